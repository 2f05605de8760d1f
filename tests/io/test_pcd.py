"""PCD in its three encodings, and LZF."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gestalt3d.errors import UserError
from gestalt3d.io import load_cloud
from gestalt3d.io.lzf import lzf_decode


def lzf_encode(data: bytes) -> bytes:
    """Plain greedy LZF: the last place of every three bytes is remembered."""
    out, literals, seen, at = bytearray(), bytearray(), {}, 0

    def flush() -> None:
        for first in range(0, len(literals), 32):
            part = literals[first : first + 32]
            out.append(len(part) - 1)
            out.extend(part)
        literals.clear()

    while at < len(data):
        key = data[at : at + 3]
        back = at - seen.get(key, -(10**9))
        seen[key] = at
        length = 0
        if len(key) == 3 and back <= 8192:
            while length < 264 and at + length < len(data) and data[at + length] == data[at + length - back]:
                length += 1
        if length < 3:
            literals.append(data[at])
            at += 1
            continue
        flush()
        high = (back - 1) >> 8
        out.extend([(length - 2) << 5 | high] if length < 9 else [7 << 5 | high, length - 9])
        out.append((back - 1) & 255)
        at += length
    flush()
    return bytes(out)


def make_pcd(table: np.ndarray, data: str, *, claimed: int | None = None, extra: str = "") -> bytes:
    names = table.dtype.names
    kinds = {"i": "I", "u": "U", "f": "F"}
    base = [table.dtype[n].base for n in names]
    counts = [table.dtype[n].shape[0] if table.dtype[n].shape else 1 for n in names]
    n = len(table) if claimed is None else claimed
    head = "# .PCD v0.7\nVERSION 0.7\nFIELDS " + " ".join(names)
    head += (
        "\nSIZE "
        + " ".join(str(b.itemsize) for b in base)
        + "\nTYPE "
        + " ".join(kinds[b.kind] for b in base)
    )
    head += "\nCOUNT " + " ".join(map(str, counts))
    head += f"\nWIDTH {n}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {n}\n{extra}DATA {data}\n"
    if data == "ascii":
        rows = [[w for n in names for w in np.atleast_1d(row[n])] for row in table]
        body = "".join(" ".join(repr(v.item()) for v in row) + "\n" for row in rows).encode()
    elif data == "binary":
        body = table.tobytes()
    else:
        raw = b"".join(np.ascontiguousarray(table[n]).tobytes() for n in names)
        packed = lzf_encode(raw)
        body = struct.pack("<II", len(packed), len(raw)) + packed
    return head.encode() + body


def sample(rgb: str = "f4") -> np.ndarray:
    rng = np.random.default_rng(0)
    table = np.zeros(
        200, [("label", "u2"), ("z", "f4"), ("x", "f8"), ("y", "f4"), ("rgb", rgb), ("h", "f4", (3,))]
    )
    for n in "xyz":
        table[n] = rng.normal(size=200)
    packed = (10 << 16 | 20 << 8 | 30) + np.arange(200, dtype=np.uint32)
    table["rgb"] = packed.view(rgb)
    table["label"] = np.arange(200)
    table["h"] = rng.normal(size=(200, 3))
    return table


@pytest.mark.parametrize("data", ["ascii", "binary", "binary_compressed"])
@pytest.mark.parametrize("rgb", ["f4", "u4"])
def test_all_encodings_give_the_same_cloud(tmp_path: Path, data: str, rgb: str) -> None:
    table = sample(rgb)
    path = tmp_path / "a.pcd"
    path.write_bytes(make_pcd(table, data))
    cloud = load_cloud(path)
    expected = np.column_stack([table[n] for n in "xyz"]).astype(np.float32)
    np.testing.assert_array_equal(cloud.points.numpy(), expected)
    assert cloud.colors is not None and cloud.source is not None and cloud.source.table is not None
    np.testing.assert_allclose(cloud.colors[5].numpy() * 255, [10, 20, 35], atol=1e-4)
    assert cloud.source.table.dtype.names == ("label", "z", "x", "y", "red", "green", "blue", "h")
    np.testing.assert_array_equal(cloud.source.table["h"], table["h"])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([b"a", b"ab", b"abcabc", b"\0" * 40, b"xyz" * 200]), max_size=30),
    st.binary(max_size=200),
)
def test_lzf_undoes_an_independent_encoder(parts: list[bytes], tail: bytes) -> None:
    data = b"".join(parts) + tail + b"".join(parts)
    out = np.zeros(len(data), np.uint8)
    assert lzf_decode(np.frombuffer(lzf_encode(data), np.uint8), out) == len(data)
    assert out.tobytes() == data


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 300))
def test_lzf_stays_within_its_buffer_on_junk(data: bytes, size: int) -> None:
    out = np.full(size + 8, 7, np.uint8)
    assert -1 <= lzf_decode(np.frombuffer(data, np.uint8), out[:size]) <= size
    assert (out[size:] == 7).all()


@pytest.mark.parametrize("data", ["ascii", "binary", "binary_compressed"])
def test_lying_headers_are_refused(tmp_path: Path, data: str) -> None:
    path = tmp_path / "bad.pcd"
    good = make_pcd(sample(), data)
    bad = [
        make_pcd(sample(), data, claimed=10**12),
        make_pcd(sample(), data, claimed=201),
        good.replace(b"WIDTH 200", b"WIDTH 100"),
        good.replace(b"COUNT 1 1", b"COUNT 1"),
        good.replace(b"SIZE 2", b"SIZE 3"),
        good.replace(b"FIELDS label z", b"FIELDS label w"),
        good.replace(f"DATA {data}".encode(), b"DATA zip"),
        good[:100],
        good[: len(good) - 40],
    ]
    for content in bad:
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"bad\.pcd: .*;"):
            load_cloud(path)


def test_real_compressed_frames_equal_their_scans(shared: Path) -> None:
    """The scans were made from the frames by a rigid motion that their ground truth keeps."""
    for name, part in (("learn6", "learn"), ("test42", "test"), ("test50", "test")):
        cloud = load_cloud(shared / "data" / "osd" / part / f"{name}.pcd")
        scan = load_cloud(shared / "data" / "scans" / f"osd_{name}.ply")
        with np.load(shared / "data" / "scans" / f"osd_{name}.gt.npz") as truth:
            pixel, matrix = truth["pixel"], truth["scan_from_source"]
        assert len(cloud) == 640 * 480 and cloud.source is not None and cloud.colors is not None
        moved = cloud.points.numpy()[pixel] @ matrix[:3, :3].T + matrix[:3, 3]
        np.testing.assert_allclose(moved, scan.points.numpy(), atol=1e-5)
        np.testing.assert_allclose(cloud.colors.numpy()[pixel], scan.colors.numpy(), atol=1e-6)

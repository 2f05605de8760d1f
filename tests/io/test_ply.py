"""PLY in every layout."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gestalt3d.errors import UserError
from gestalt3d.io import load_cloud
from gestalt3d.io.ply import read_ply, write_ply

WORDS = {
    "i1": ("char", "int8"), "u1": ("uchar", "uint8"), "i2": ("short", "int16"), "u2": ("ushort", "uint16"),
    "i4": ("int", "int32"), "u4": ("uint", "uint32"), "f4": ("float", "float32"), "f8": ("double", "float64"),
}  # fmt: skip
FORMATS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


def make_ply(
    table: np.ndarray,
    *,
    kind: str = "binary_little_endian",
    end: str = "\n",
    alias: int = 0,
    faces_before: list[list[int]] | None = None,
    faces_after: list[list[int]] | None = None,
    claimed: int | None = None,
    extra: tuple[str, ...] = (),
) -> bytes:
    """An independent writer, so that the reader is not tested against its own mirror image."""
    order = FORMATS[kind]

    def faces(rows: list[list[int]]) -> bytes:
        if not order:
            return b"".join((" ".join(map(str, [len(r), *r, 7])) + end).encode() for r in rows)
        return b"".join(struct.pack(f"{order}B{len(r)}ih", len(r), *r, 7) for r in rows)

    def face_words(rows: list[list[int]] | None) -> list[str]:
        if rows is None:
            return []
        return [f"element face {len(rows)}", "property list uchar int vertex_indices", "property short flag"]

    count = len(table) if claimed is None else claimed
    words = ["ply", f"format {kind} 1.0", *extra, *face_words(faces_before), f"element vertex {count}"]
    words += [f"property {WORDS[table.dtype[n].str[1:]][alias]} {n}" for n in table.dtype.names]
    words += [*face_words(faces_after), "end_header", ""]
    if order:
        body = table.astype(table.dtype.newbyteorder(order)).tobytes()
    else:
        body = "".join(" ".join(repr(v.item()) for v in row) + end for row in table).encode()
    return end.join(words).encode() + faces(faces_before or []) + body + faces(faces_after or [])


def table_of(points: np.ndarray, **columns: np.ndarray) -> np.ndarray:
    every = dict(zip("xyz", points.T, strict=True)) | columns
    table = np.empty(len(points), [(n, c.dtype) for n, c in every.items()])
    for name, column in every.items():
        table[name] = column
    return table


@st.composite
def layouts(draw: st.DrawFn) -> tuple[np.ndarray, dict]:
    code = st.sampled_from(sorted(WORDS))
    extras = draw(
        st.lists(
            st.sampled_from(["red", "label", "nx", "scalar_a", "quality", "id"]), unique=True, max_size=4
        )
    )
    names = draw(st.permutations(["x", "y", "z", *extras]))
    fields = [(n, draw(code)) for n in names]
    rows = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    table = np.empty(rows, fields)
    for name, kind in fields:
        low, high = (-100, 100) if kind[0] != "u" else (0, 200)
        table[name] = rng.uniform(low, high, rows)
    polygons = st.none() | st.lists(st.lists(st.integers(0, 9), min_size=0, max_size=5), max_size=4)
    options = {
        "kind": draw(st.sampled_from(sorted(FORMATS))),
        "end": draw(st.sampled_from(["\n", "\r\n"])),
        "alias": draw(st.integers(0, 1)),
        "faces_before": draw(polygons),
        "faces_after": draw(polygons),
        "extra": draw(st.sampled_from([(), ("comment x y z", "obj_info made by hand", "comment")])),
    }
    return table, options


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layouts())
def test_every_layout_gives_back_every_property(tmp_path: Path, layout: tuple[np.ndarray, dict]) -> None:
    table, options = layout
    path = tmp_path / "a.ply"
    path.write_bytes(make_ply(table, **options))
    read = read_ply(path).table
    assert read is not None and read.dtype.names == table.dtype.names
    for name in table.dtype.names:
        assert read.dtype[name].str[1:] == table.dtype[name].str[1:]
        np.testing.assert_array_equal(read[name], table[name])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layouts())
def test_what_is_written_is_read_back(tmp_path: Path, layout: tuple[np.ndarray, dict]) -> None:
    table, _ = layout
    path = tmp_path / "b.ply"
    with path.open("wb") as file:
        write_ply(file, table, comments=("one\nline",))
    read = read_ply(path).table
    assert read is not None and read.dtype == table.dtype
    np.testing.assert_array_equal(read, table)


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_faces_of_different_sizes_before_the_vertices_are_skipped(tmp_path: Path, kind: str) -> None:
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    faces = [[0, 1, 2], [3, 4, 5, 6], [], [1, 2]]
    path = tmp_path / "a.ply"
    path.write_bytes(make_ply(table_of(points), kind=kind, faces_before=faces, faces_after=faces))
    np.testing.assert_array_equal(load_cloud(path).points.numpy(), points)


def test_vertices_may_carry_lists_of_one_length(tmp_path: Path) -> None:
    head = "ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\nproperty list uchar"
    head += " short k\nproperty float y\nproperty float z\nend_header\n"
    path = tmp_path / "a.ply"
    path.write_bytes(
        head.encode() + b"".join(struct.pack("<fBhhff", i, 2, 8, 9, i + 1, i + 2) for i in range(3))
    )
    np.testing.assert_array_equal(load_cloud(path).points.numpy(), [[0, 1, 2], [1, 2, 3], [2, 3, 4]])
    path.write_bytes(path.read_bytes()[:-17] + struct.pack("<fBhff", 2, 1, 8, 3, 4))
    with pytest.raises(UserError, match=r"list|bytes follow"):
        load_cloud(path)


@pytest.mark.parametrize(
    ("dtype", "white"), [("u1", 255), ("u2", 65535), ("f4", 1.0), ("f4", 255.0), ("f8", 65535.0), ("i4", 255)]
)
def test_colors_of_every_type_are_scaled_to_one(tmp_path: Path, dtype: str, white: float) -> None:
    colors = (np.array([0.0, 0.2, 1.0]) * white).astype(dtype)
    table = table_of(np.zeros((3, 3), np.float32), red=colors, green=colors, blue=colors)
    path = tmp_path / "a.ply"
    path.write_bytes(make_ply(table))
    got = load_cloud(path).colors
    assert got is not None
    np.testing.assert_allclose(got[:, 0].numpy(), [0, 0.2, 1], atol=1e-4)


def test_normals_turn_with_the_axes(tmp_path: Path) -> None:
    normals = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    table = table_of(np.eye(3, dtype=np.float32), **dict(zip(("nx", "ny", "nz"), normals.T, strict=True)))
    path = tmp_path / "a.ply"
    path.write_bytes(make_ply(table))
    cloud = load_cloud(path, up="y", units="cm")
    assert cloud.normals is not None
    np.testing.assert_allclose(cloud.normals.numpy()[0], [0, 0, 1], atol=1e-7)
    np.testing.assert_allclose(cloud.points.numpy()[1], [0, 0, 0.01], atol=1e-9)


POINTS = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
GOOD = make_ply(table_of(POINTS))
LYING = {
    "empty": b"",
    "junk": bytes(range(256)) * 20,
    "only the magic": b"ply\n",
    "no end of header": GOOD[:80],
    "cut in the data": GOOD[:-5],
    "cut in the faces": make_ply(table_of(POINTS), faces_after=[[0, 1, 2]] * 4)[:-5],
    "cut in faces of several sizes": make_ply(table_of(POINTS), faces_after=[[0, 1], [0, 1, 2]])[:-5],
    "cut before the faces": make_ply(table_of(POINTS), faces_after=[[0, 1, 2]])[:-13],
    "cut in the faces, ascii": make_ply(table_of(POINTS), kind="ascii", faces_after=[[0, 1, 2]] * 4)[:-15],
    "huge count": make_ply(table_of(POINTS), claimed=10**15),
    "huge ascii count": make_ply(table_of(POINTS), kind="ascii", claimed=10**15),
    "one row too many, ascii": make_ply(table_of(POINTS), kind="ascii", claimed=21),
    "negative count": GOOD.replace(b"vertex 20", b"vertex -1"),
    "no count": GOOD.replace(b"vertex 20", b"vertex"),
    "no points": make_ply(table_of(POINTS[:0])),
    "no coordinates": GOOD.replace(b"float z", b"float w"),
    "unknown type": GOOD.replace(b"float x", b"quad x"),
    "unknown format": GOOD.replace(b"binary_little_endian", b"binary_middle_endian"),
    "no format": GOOD.replace(b"format binary_little_endian 1.0\n", b""),
    "no vertices": GOOD.replace(b"element vertex", b"element corner"),
    "endless lists": make_ply(table_of(POINTS), faces_before=[[1, 2, 3]]).replace(
        b"\x03\x01\x00\x00\x00", b"\xff\x01\x00\x00\x00"
    ),
    "faces never end": make_ply(table_of(POINTS), faces_before=[[1]]).replace(
        b"face 1\n", b"face 99999999999\n"
    ),
    "words in ascii": make_ply(table_of(POINTS), kind="ascii").replace(b".", b"!", 5),
    "all NaN": make_ply(table_of(np.full((9, 3), np.nan, np.float32))),
    "all infinite": make_ply(table_of(np.full((9, 3), np.inf, np.float32))),
    "all absurd": make_ply(table_of(np.full((9, 3), 1e300))),
}


@pytest.mark.parametrize("name", LYING)
def test_lies_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bad.ply"
    path.write_bytes(LYING[name])
    with pytest.raises(UserError) as caught:
        load_cloud(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message and ";" in message


def test_a_claim_of_a_petabyte_allocates_nothing(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "bad.ply"
    path.write_bytes(LYING["huge count"])
    tracemalloc.start()
    with pytest.raises(UserError):
        load_cloud(path)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_types_that_ply_lacks_are_widened_and_split(tmp_path: Path) -> None:
    table = np.zeros(
        3,
        [
            ("x", "f2"),
            ("y", "f4"),
            ("z", "f4"),
            ("id", "i8"),
            ("big", "u8"),
            ("ok", "?"),
            ("f", "f4", (2,)),
            ("s", "U3"),
        ],
    )
    table["id"] = [-1, 5, 7]
    table["big"] = 2**40
    table["f"] = [[1, 2]] * 3
    path = tmp_path / "a.ply"
    with path.open("wb") as file:
        write_ply(file, table)
    read = read_ply(path).table
    assert read is not None
    assert read.dtype.names == ("x", "y", "z", "id", "big", "ok", "f_0", "f_1")
    assert read["id"].tolist() == [-1, 5, 7] and read["big"][0] == 2**40 and read["f_1"][0] == 2

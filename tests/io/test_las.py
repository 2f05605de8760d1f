"""LAS and LAZ."""

import io
import struct
from pathlib import Path
from typing import Any

import laspy
import lazrs
import numpy as np
import pytest
import torch
from laspy.vlrs.vlrlist import VLRList

from gestalt3d.errors import UserError
from gestalt3d.io import expect_writable, load_cloud, save_instances
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.vocabulary import S3DIS


def make_las(
    path: Path, *, count: int = 500, bits: int = 16, point_format: int = 3, version: str = "1.2"
) -> np.ndarray:
    rng = np.random.default_rng(0)
    points = np.array([512_345.25, 5_403_210.5, 231.0]) + rng.uniform(0, [6, 5, 3], (count, 3))
    header = laspy.LasHeader(point_format=point_format, version=version)
    header.offsets, header.scales = np.floor(points.min(0)), np.full(3, 0.001)
    las = laspy.LasData(header)
    las.add_extra_dim(laspy.ExtraBytesParams(name="reflectance", type=np.float32))
    las.xyz = points
    las.intensity = rng.integers(0, 60000, count)
    las.classification = rng.integers(0, 20, count)
    las["reflectance"] = rng.normal(size=count).astype(np.float32)
    colors = rng.integers(0, 256, (count, 3)).astype(np.uint16)
    colors[0] = 255
    las.red, las.green, las.blue = (colors * (257 if bits == 16 else 1)).T
    las.write(path)
    return points


def answers(count: int) -> Instances:
    labels = torch.arange(count) % 7 - 1
    return Instances.from_labels(
        labels,
        torch.tensor([8, 8, 7, 1, 0, 2]),
        torch.linspace(0.5, 1, 6),
        vocabulary=S3DIS,
        element_classes=torch.arange(count) % 13,
    )


@pytest.mark.parametrize("suffix", [".las", ".laz"])
@pytest.mark.parametrize(("point_format", "version"), [(3, "1.2"), (7, "1.4")])
def test_georeferenced_millimetres_survive(
    tmp_path: Path, suffix: str, point_format: int, version: str
) -> None:
    path = tmp_path / f"a{suffix}"
    points = make_las(path, point_format=point_format, version=version)
    cloud = load_cloud(path)
    assert cloud.origin is not None and float(cloud.origin[1]) > 5e6
    np.testing.assert_allclose(cloud.points.numpy() + cloud.origin.numpy(), points, atol=6e-4)
    assert cloud.points.abs().max() < 10


@pytest.mark.parametrize("bits", [8, 16])
def test_colors_of_both_depths_become_fractions(tmp_path: Path, bits: int) -> None:
    make_las(tmp_path / "a.las", bits=bits)
    colors = load_cloud(tmp_path / "a.las").colors
    assert colors is not None and colors.max() == 1 and 0.4 < colors.mean() < 0.6


@pytest.mark.parametrize(("suffix", "target"), [(".las", ".las"), (".laz", ".laz"), (".las", ".laz")])
def test_las_stays_las_with_its_own_dimensions(tmp_path: Path, suffix: str, target: str) -> None:
    make_las(tmp_path / f"a{suffix}")
    cloud = load_cloud(tmp_path / f"a{suffix}")
    found = answers(len(cloud))
    out = tmp_path / f"b{target}"
    save_instances(out, found, cloud)
    old, new = laspy.read(tmp_path / f"a{suffix}"), laspy.read(out)
    for name in old.point_format.dimension_names:
        np.testing.assert_array_equal(np.asarray(old[name]), np.asarray(new[name]))
    np.testing.assert_array_equal(old.header.scales, new.header.scales)
    np.testing.assert_array_equal(old.header.offsets, new.header.offsets)
    np.testing.assert_array_equal(new["instance"], found.to_labels().numpy())
    np.testing.assert_array_equal(new["semantic"], np.arange(500) % 13)
    assert new["instance"].dtype == np.int32 and new["score"].dtype == np.float32

    save_instances(tmp_path / f"c{target}", found[torch.tensor([0])], load_cloud(out))
    again = laspy.read(tmp_path / f"c{target}")
    assert list(again.point_format.extra_dimension_names).count("instance") == 1
    assert int(again["instance"].max()) == 0


def test_other_inputs_can_be_written_as_las(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("".join(f"{i} {i % 7} {i / 9} 255 128 0\n" for i in range(1, 60)))
    cloud = load_cloud(tmp_path / "a.xyz")
    save_instances(tmp_path / "b.laz", answers(len(cloud)), cloud)
    back = load_cloud(tmp_path / "b.laz")
    np.testing.assert_allclose(back.points.numpy(), cloud.points.numpy(), atol=1e-4)
    np.testing.assert_allclose(back.colors.numpy(), cloud.colors.numpy(), atol=1e-6)


@pytest.mark.parametrize("point_format", [3, 7])
def test_many_chunks_are_read(tmp_path: Path, point_format: int) -> None:
    points = make_las(tmp_path / "a.laz", count=120_000, point_format=point_format, version="1.4")
    cloud = load_cloud(tmp_path / "a.laz")
    assert cloud.origin is not None
    np.testing.assert_allclose(cloud.points.numpy() + cloud.origin.numpy(), points, atol=6e-4)


@pytest.mark.parametrize("point_format", [3, 7])
def test_a_laz_cannot_make_the_decompressor_abort(tmp_path: Path, point_format: int) -> None:
    """It allocates what the chunk table and the layers claim; a failure there would end the process."""
    path = tmp_path / "a.laz"
    make_las(path, point_format=point_format, version="1.4")
    good = path.read_bytes()
    start = int.from_bytes(good[96:100], "little")
    table = int.from_bytes(good[start : start + 8], "little")
    row = int.from_bytes(good[105:107], "little")
    for place in (table + 4, table + 8) + ((start + 8 + row + 4,) if point_format == 7 else ()):
        bad = bytearray(good)
        bad[place : place + 4] = b"\xff" * 4
        path.write_bytes(bad)
        with pytest.raises(UserError, match=r"does not fit|cannot be read"):
            load_cloud(path)


@pytest.mark.parametrize("suffix", [".las", ".laz"])
def test_lying_headers_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    make_las(path)
    good = path.read_bytes()
    huge = bytearray(good)
    huge[107:111] = (2**32 - 1).to_bytes(4, "little")
    more = bytearray(good)
    more[107:111] = (501).to_bytes(4, "little")
    vlrs = bytearray(good)
    vlrs[100:104] = (2**32 - 1).to_bytes(4, "little")
    bad = [good[:300], good[:-50], b"LASF" + bytes(400), b"junk" * 200, bytes(huge), bytes(vlrs)]
    if suffix == ".las":
        bad.append(bytes(more))
    for content in bad:
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.la[sz]: .*;"):
            load_cloud(path)


def test_a_scan_that_changed_since_is_not_mixed_up(tmp_path: Path) -> None:
    make_las(tmp_path / "a.las")
    cloud = load_cloud(tmp_path / "a.las")
    make_las(tmp_path / "a.las", count=400)
    with pytest.raises(UserError, match="400 points now"):
        save_instances(tmp_path / "b.las", answers(500), cloud)
    assert not (tmp_path / "b.las").exists()


def patched(path: Path, changes: dict[int, bytes]) -> Path:
    data = bytearray(path.read_bytes())
    for at, part in changes.items():
        data[at : at + len(part)] = part
    path.write_bytes(data)
    return path


def odd_las(folder: Path, name: str) -> Path:
    """A file that laspy reads and does not write as it is."""
    path = folder / ("a.copc.laz" if name == "copc" else "a.las")
    make_las(path, point_format=7 if "extended" in name or name == "copc" else 3, version="1.4")
    latin = "Größe".encode("latin-1")
    if name == "latin header":
        return patched(path, {26: latin, 58: latin})
    if name in ("1.0", "1.1 with colours"):
        make_las(path)
        return patched(path, {25: b"\0" if name == "1.0" else b"\1"})
    las = laspy.read(path)
    if name == "copc":
        info = struct.pack("<5d2Q2d", 2, 1.5, 1.2, 2.5, 0.05, 0, 0, 0, 0) + bytes(88)
        las.vlrs.append(laspy.VLR("copc", 1, "", info))
        las.evlrs = VLRList([laspy.VLR("copc", 1000, "EPT hierarchy", bytes(32))])
    elif name == "latin record":
        las.vlrs.append(laspy.VLR("someone", 7, "Groesse", b"data"))
    else:
        las.evlrs = VLRList([laspy.VLR("someone", 7, "Groesse", b"data")])
    las.write(path)
    data = path.read_bytes()
    return path if name == "copc" else patched(path, {data.index(b"Groesse"): b"Gr\xf6\xdfe  "})


ODD = ["copc", "1.0", "1.1 with colours", "latin header", "latin record", "latin extended record"]


@pytest.mark.parametrize("name", ODD)
def test_whatever_las_is_read_is_written_back(tmp_path: Path, name: str) -> None:
    path = odd_las(tmp_path, name)
    cloud = load_cloud(path)
    out = tmp_path / f"b{path.suffix}"
    expect_writable(cloud)
    save_instances(out, answers(500), cloud)
    old, new = laspy.read(path), laspy.read(out)
    np.testing.assert_array_equal(np.asarray(old.xyz), np.asarray(new.xyz))
    np.testing.assert_array_equal(new["instance"], answers(500).to_labels().numpy())
    assert new.header.version >= (1, 2)
    records = [*new.vlrs, *(new.evlrs or [])]
    assert "copc" not in [v.user_id for v in records]
    if name == "latin header":
        assert out.read_bytes()[58:63].decode("latin-1") == "Größe"
    if "record" in name:
        kept = next(v for v in records if v.user_id == "someone")
        assert kept.record_data_bytes() == b"data"


@pytest.mark.parametrize("suffix", [".las", ".laz"])
def test_names_in_latin1_are_read_and_written(tmp_path: Path, suffix: str) -> None:
    """Of a record and of an extra dimension, which laspy wants as UTF-8."""
    path = tmp_path / f"a{suffix}"
    make_las(path, point_format=7, version="1.4")
    las = laspy.read(path)
    las.vlrs.append(laspy.VLR("someone", 7, "text", b"data"))
    las.write(path)
    data = path.read_bytes()
    long = "ä" * 11  # of 16 bytes, 22 as UTF-8
    patched(
        path,
        {data.index(b"someone"): long.encode("latin-1"), data.index(b"reflectance"): b"H\xf6he   \0\0\0\0"},
    )
    cloud = load_cloud(path)
    expect_writable(cloud)
    save_instances(tmp_path / f"b{suffix}", answers(500), cloud)
    new = laspy.read(tmp_path / f"b{suffix}")
    np.testing.assert_array_equal(new["Höhe   "], las["reflectance"])
    np.testing.assert_array_equal(new["instance"], answers(500).to_labels().numpy())
    assert [v.record_data_bytes() for v in new.vlrs if v.user_id == "?" * 11] == [b"data"]


def test_a_las_that_cannot_be_written_back_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_las(tmp_path / "a.las")
    cloud = load_cloud(tmp_path / "a.las")

    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError("no such records")

    monkeypatch.setattr(laspy, "LasWriter", refuse)
    with pytest.raises(UserError, match=r"a\.las: can be read, but not copied .*no such records"):
        expect_writable(cloud)


def make_copc(path: Path) -> np.ndarray:
    """A cloud-optimised LAZ: an index in front, chunks of different sizes, and the index' pages at the end."""
    points = make_las(path, point_format=7, version="1.4")
    whole = laspy.read(path)
    whole.vlrs.insert(0, laspy.VLR("copc", 1, "copc info", bytes(160)))
    whole.write(path, do_compress=True)
    data = path.read_bytes()
    start = struct.unpack_from("<I", data, 96)[0]
    vlr: Any = lazrs.LazVlr.new_for_compression(7, 4, use_variable_size_chunks=True)
    record = (
        vlr.record_data().tobytes() if hasattr(vlr.record_data(), "tobytes") else bytes(vlr.record_data())
    )
    at = data.index(b"laszip encoded") + 52
    stream = io.BytesIO(data[:at] + record + data[at + len(record) : start])
    stream.seek(0, io.SEEK_END)
    compressor: Any = lazrs.LasZipCompressor(stream, vlr)
    rows = np.frombuffer(whole.points.memoryview(), np.uint8).reshape(len(points), -1)
    for first, last in ((0, 130), (130, 140), (140, len(points))):
        compressor.compress_many(rows[first:last].tobytes())
        compressor.finish_current_chunk()
    compressor.done()
    evlr = struct.pack("<H16sHQ32s", 0, b"copc", 1000, 32, b"EPT hierarchy") + bytes(32)
    end = stream.seek(0, io.SEEK_END)
    out = bytearray(stream.getvalue() + evlr)
    struct.pack_into("<QI", out, 235, end, 1)
    path.write_bytes(bytes(out))
    return points


def test_cloud_optimised_files_are_read(tmp_path: Path) -> None:
    points = make_copc(tmp_path / "a.copc.laz")
    cloud = load_cloud(tmp_path / "a.copc.laz")
    assert cloud.origin is not None and cloud.colors is not None
    np.testing.assert_allclose(cloud.points.numpy() + cloud.origin.numpy(), points, atol=6e-4)
    assert float(cloud.colors[0].min()) == 1

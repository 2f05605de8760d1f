"""Colours as files store them: whatever type and range, the same shades come out."""

from collections.abc import Callable
from pathlib import Path

import laspy
import numpy as np
import pytest

from gestalt3d.data.s3dis import read_room
from gestalt3d.io import load_cloud, save_instances
from gestalt3d.structures.colors import scaled_colors
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS
from tests.io.test_pcd import make_pcd
from tests.io.test_ply import make_ply, table_of

COUNT = 1500
RNG = np.random.default_rng(0)
XYZ = RNG.uniform(-2, 2, (COUNT, 3)).astype(np.float32)
RGB = RNG.integers(0, 256, (COUNT, 3))
UNIT = (RGB / 255).astype(np.float32)
PACKED = (RGB[:, 0] << 16 | RGB[:, 1] << 8 | RGB[:, 2]).astype(np.uint32)
NAMES = ("red", "green", "blue")


def with_one(values: np.ndarray, value: float) -> np.ndarray:
    """One stray value in the last point."""
    changed = values.copy()
    changed[-1, 1] = value
    return changed


def ply(path: Path, colors: np.ndarray, names: tuple[str, ...] = NAMES) -> None:
    path.write_bytes(make_ply(table_of(XYZ, **dict(zip(names, colors.T, strict=True)))))


def pcd(path: Path, packed: np.ndarray, kind: str = "binary", name: str = "rgb") -> None:
    path.write_bytes(make_pcd(table_of(XYZ, **{name: packed}), kind))


def las(path: Path, colors: np.ndarray) -> None:
    header = laspy.LasHeader(point_format=2, version="1.2")
    header.scales = [0.001] * 3
    cloud = laspy.LasData(header)
    cloud.x, cloud.y, cloud.z = XYZ.T
    cloud.red, cloud.green, cloud.blue = colors.T.astype(np.uint16)
    cloud.write(path)


def text(path: Path, colors: np.ndarray, header: str = "") -> None:
    np.savetxt(path, np.c_[XYZ, colors], "%.9g", header=header, comments="//" if header else "")


def vectors(path: Path) -> None:
    table = np.empty(COUNT, [("xyz", "f4", 3), ("rgb", "u1", 3)])
    table["xyz"], table["rgb"] = XYZ, RGB
    np.save(path, table)


def off(path: Path, colors: np.ndarray, word: str = "COFF") -> None:
    rows = "".join(" ".join(f"{v:.9g}" for v in row) + "\n" for row in np.c_[XYZ, colors])
    path.write_text(f"{word}\n{COUNT} 0 0\n{rows}")


def obj(path: Path, colors: np.ndarray) -> None:
    path.write_text("".join("v " + " ".join(f"{v:.9g}" for v in row) + "\n" for row in np.c_[XYZ, colors]))


# File, how it is written, and the range that is said; "" where the type says it.
VARIANTS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "bytes": ("a.ply", lambda p: ply(p, RGB.astype(np.uint8)), ""),
    "signed bytes": ("a.ply", lambda p: ply(p, RGB.astype(np.uint8).view(np.int8)), ""),
    "floats": ("a.ply", lambda p: ply(p, UNIT), "from 0 to 1"),
    "one float too bright": ("a.ply", lambda p: ply(p, with_one(UNIT, 1.06)), "from 0 to 1"),
    "one float far too bright": ("a.ply", lambda p: ply(p, with_one(UNIT, 1e30)), "from 0 to 1"),
    "one float negative": ("a.ply", lambda p: ply(p, with_one(UNIT, -0.4)), "from 0 to 1"),
    "one float not a number": ("a.ply", lambda p: ply(p, with_one(UNIT, np.nan)), "from 0 to 1"),
    "floats from -1": ("a.ply", lambda p: ply(p, UNIT * 2 - 1), "from -1 to 1"),
    "floats to 255": ("a.ply", lambda p: ply(p, RGB.astype(np.float32)), "from 0 to 255"),
    "means to 255": ("a.ply", lambda p: ply(p, (RGB + 0.2).astype(np.float32)), "from 0 to 255"),
    "doubles to 65535": ("a.ply", lambda p: ply(p, RGB * 257.0), "from 0 to 65535"),
    "short numbers": ("a.ply", lambda p: ply(p, (RGB * 257).astype(np.uint16)), "from 0 to 65535"),
    "short numbers to 255": ("a.ply", lambda p: ply(p, RGB.astype(np.uint16)), "from 0 to 255"),
    "r g b": ("a.ply", lambda p: ply(p, RGB.astype(np.uint8), ("r", "g", "b")), ""),
    "Rf Gf Bf": ("a.ply", lambda p: ply(p, UNIT, ("Rf", "Gf", "Bf")), "from 0 to 1"),
    "packed in a PLY": (
        "a.ply", lambda p: p.write_bytes(make_ply(table_of(XYZ, rgb=PACKED.view(np.float32)))), "",
    ),
    "LAS": ("a.las", lambda p: las(p, RGB * 257), "from 0 to 65535"),
    "LAS with bytes": ("a.las", lambda p: las(p, RGB), "from 0 to 255"),
    "LAS with bytes and a 256": ("a.las", lambda p: las(p, with_one(RGB, 256)), "from 0 to 255"),
    "PCD bits": ("a.pcd", lambda p: pcd(p, PACKED.view(np.float32)), ""),
    "PCD bits with alpha": ("a.pcd", lambda p: pcd(p, PACKED | np.uint32(255 << 24), name="rgba"), ""),
    "PCD number": ("a.pcd", lambda p: pcd(p, PACKED), ""),
    "PCD number called float": ("a.pcd", lambda p: pcd(p, PACKED.astype(np.float32)), ""),
    "PCD number called float as text": ("a.pcd", lambda p: pcd(p, PACKED.astype(np.float32), "ascii"), ""),
    "PCD number called double": ("a.pcd", lambda p: pcd(p, PACKED.astype(np.float64)), ""),
    "PCD bits as text": ("a.pcd", lambda p: pcd(p, PACKED.view(np.float32), "ascii"), ""),
    "table": ("a.txt", lambda p: text(p, RGB), ""),
    "table with a 256": ("a.txt", lambda p: text(p, with_one(RGB, 256)), "from 0 to 255"),
    "table with a 1.06": ("a.txt", lambda p: text(p, with_one(UNIT, 1.06)), "from 0 to 1"),
    "table of means": ("a.txt", lambda p: text(p, RGB + 0.2, "X Y Z R G B"), "from 0 to 255"),
    "table Rf Gf Bf": ("a.txt", lambda p: text(p, UNIT, "X Y Z Rf Gf Bf"), "from 0 to 1"),
    "array": ("a.npy", lambda p: np.save(p, np.c_[XYZ, RGB]), "from 0 to 255"),
    "array of means": ("a.npy", lambda p: np.save(p, np.c_[XYZ, RGB + 0.2]), "from 0 to 255"),
    "array from -1": ("a.npy", lambda p: np.save(p, np.c_[XYZ, UNIT * 2 - 1]), "from -1 to 1"),
    "array with a 1.06": ("a.npy", lambda p: np.save(p, np.c_[XYZ, with_one(UNIT, 1.06)]), "from 0 to 1"),
    "array with labels": ("a.npy", lambda p: np.save(p, np.c_[XYZ, UNIT, RGB[:, :2] % 9]), "from 0 to 1"),
    "fields": (
        "a.npy", lambda p: np.save(p, table_of(XYZ, **dict(zip("rgb", RGB.T.astype(np.uint8), strict=True)))), "",
    ),
    "fields with packed colour": ("a.npy", lambda p: np.save(p, table_of(XYZ, rgb=PACKED.view(np.float32))), ""),
    "fields of three": ("a.npy", vectors, ""),
    "named array from -1": ("a.npz", lambda p: np.savez(p, coord=XYZ, color=UNIT * 2 - 1), "from -1 to 1"),
    "COFF": ("a.off", lambda p: off(p, RGB), ""),
    "COFF with alpha": ("a.off", lambda p: off(p, np.c_[RGB, np.full(COUNT, 255)]), ""),
    "COFF of floats": ("a.off", lambda p: off(p, np.c_[UNIT, np.ones(COUNT)]), ""),
    "OFF with more columns": ("a.off", lambda p: off(p, RGB, "OFF"), ""),
    "OBJ": ("a.obj", lambda p: obj(p, UNIT), ""),
    "OBJ of bytes": ("a.obj", lambda p: obj(p, RGB), ""),
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_every_way_to_store_colours_gives_the_same_ones(tmp_path: Path, name: str) -> None:
    file, write, said = VARIANTS[name]
    write(tmp_path / file)
    cloud = load_cloud(tmp_path / file)
    assert cloud.colors is not None and cloud.source is not None
    colors = cloud.colors.numpy()
    # The last point is the one with the stray value; means are 0.2 brighter.
    np.testing.assert_allclose(colors[:-1] * 255, RGB[:-1], atol=0.51)
    assert colors.min() >= 0 and colors.max() <= 1
    np.testing.assert_allclose(cloud.points.numpy(), XYZ, atol=1e-3)
    assert said in "".join(cloud.source.notes) and (said or "olours from" not in "".join(cloud.source.notes))
    assert len(cloud.source.notes) <= 1


BLACK: dict[str, tuple[str, Callable[[Path], object]]] = {
    "PLY": ("a.ply", lambda p: ply(p, np.zeros((COUNT, 3), np.uint8))),
    "PLY of floats": ("a.ply", lambda p: ply(p, np.full((COUNT, 3), np.nan, np.float32))),
    "LAS": ("a.las", lambda p: las(p, RGB * 0)),
    "PCD": ("a.pcd", lambda p: pcd(p, PACKED * np.uint32(0))),
    "table": ("a.txt", lambda p: text(p, RGB * 0)),
    "array": ("a.npz", lambda p: np.savez(p, points=XYZ, colors=RGB * 0)),
}


@pytest.mark.parametrize("name", BLACK)
def test_colours_that_are_zero_everywhere_are_none(tmp_path: Path, name: str) -> None:
    file, write = BLACK[name]
    write(tmp_path / file)
    cloud = load_cloud(tmp_path / file)
    assert cloud.colors is None and cloud.source is not None
    assert "0 everywhere, which is taken for none" in cloud.source.notes[0]


def test_a_scan_with_few_coloured_points_keeps_them() -> None:

    sparse = np.zeros(1_000_000, np.uint16)
    sparse[1:4] = [65535, 257 * 100, 257]
    colors, said = scaled_colors((sparse, sparse, sparse))
    assert colors is not None and said == "colours from 0 to 65535"
    np.testing.assert_allclose(colors[1:4, 0] * 255, [255, 100, 1], atol=1e-3)


@pytest.mark.parametrize("scale", [1, 1 / 255])
def test_rooms_of_s3dis_as_arrays_are_as_bright_in_either_range(tmp_path: Path, scale: float) -> None:
    labels = np.c_[RGB[:, :1] % 13, RGB[:, 1:2]]
    np.save(tmp_path / "Area_1_office_1.npy", np.c_[XYZ, RGB * scale, labels].astype(np.float32))
    assert (read_room(tmp_path / "Area_1_office_1.npy", []).colors == RGB).all()


def test_results_keep_packed_colours_as_three_properties(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", table_of(XYZ, rgb=PACKED.view(np.float32)))
    cloud = load_cloud(tmp_path / "a.npy")
    save_instances(tmp_path / "b.ply", Instances.empty(COUNT, S3DIS), cloud)
    back: PointCloud = load_cloud(tmp_path / "b.ply")
    assert back.colors is not None and cloud.colors is not None
    assert back.colors.equal(cloud.colors)

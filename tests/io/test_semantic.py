"""Class ids of a file, read where they are asked for and nowhere else."""

from pathlib import Path

import numpy as np
import pytest

from gestalt3d.errors import UserError
from gestalt3d.io import load_cloud
from gestalt3d.io.ply import write_ply

XYZ = np.random.default_rng(0).uniform(-2, 2, (6, 3)).astype(np.float32)
IDS = np.array([3, 0, 12, -1, 3, -100])


def ply(path: Path, **columns: np.ndarray) -> Path:
    with path.open("wb") as file:
        write_ply(file, {**dict(zip("xyz", XYZ.T, strict=True)), **columns})
    return path


@pytest.mark.parametrize("kind", ["ply", "npz", "csv"])
@pytest.mark.parametrize("name", ["semantic", "Label"])
def test_a_property_becomes_the_semantics(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "ply":
        ply(path, **{name.lower(): IDS})
    elif kind == "npz":
        np.savez(path, points=XYZ, **{name: IDS})
    else:
        rows = np.column_stack([XYZ, IDS])
        np.savetxt(path, rows, delimiter=",", header=f"x,y,z,{name}", comments="")
    cloud = load_cloud(path, semantic=name)
    assert cloud.semantic is not None and cloud.semantic.tolist() == [3, 0, 12, -1, 3, -1]
    assert load_cloud(path).semantic is None


def test_what_is_no_class_is_named(tmp_path: Path) -> None:
    path = ply(tmp_path / "a.ply", semantic=IDS, height=np.linspace(0.1, 0.2, 6))
    with pytest.raises(UserError, match=r"a\.ply: has no property 'label'; it has x, y, z, semantic"):
        load_cloud(path, semantic="label")
    with pytest.raises(UserError, match=r"a\.ply: its 'height' holds 0\.1.* no class id"):
        load_cloud(path, semantic="height")
    np.savez(tmp_path / "b.npz", points=XYZ, semantic=IDS[:4])
    with pytest.raises(UserError, match=r"b\.npz: its 'semantic' is \(4,\) int64, but there are 6 points"):
        load_cloud(tmp_path / "b.npz", semantic="semantic")
    with pytest.raises(UserError, match=r"b\.npz: has no array 'label'"):
        load_cloud(tmp_path / "b.npz", semantic="label")
    np.save(tmp_path / "c.npy", XYZ)
    with pytest.raises(UserError, match=r"c\.npy: its properties have no names"):
        load_cloud(tmp_path / "c.npy", semantic="semantic")


def test_numbers_that_are_none_are_unknown(tmp_path: Path) -> None:
    path = ply(tmp_path / "a.ply", semantic=np.array([1.0, np.nan, 2.0, -3.0, np.inf, 0.0]))
    cloud = load_cloud(path, semantic="semantic")
    assert cloud.semantic is not None and cloud.semantic.tolist() == [1, -1, 2, -1, -1, 0]

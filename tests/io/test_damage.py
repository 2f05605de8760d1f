"""Whatever happens to a file, it loads or is refused: no other error, no crash."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from gestalt3d.errors import UserError
from gestalt3d.io import load_cloud, load_instances, save_cloud, save_instances
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS
from tests.io.test_las import make_copc, make_las
from tests.io.test_pcd import make_pcd, sample
from tests.io.test_ply import make_ply, table_of

POINTS = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
COLORS = np.random.default_rng(1).integers(0, 256, (3, 40)).astype(np.uint8)
TABLE = table_of(POINTS, **dict(zip(("red", "green", "blue"), COLORS, strict=True)))
FACES = [[0, 1, 2], [2, 3, 4, 5]]


def _mesh(path: Path) -> None:
    mesh = trimesh.creation.box()
    mesh.visual.vertex_colors = np.arange(32).reshape(8, 4)
    mesh.export(path)


def _textured(path: Path) -> None:
    (path.parent / "a.mtl").write_text("newmtl m\nKd 1 0 0\nmap_Kd a.png\n")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path.parent / "a.png")
    corners = "v 0 0 0 9 9 9\nv 1 0 0 9 9 9\nv 0 1 0 9 9 9\nvt 0 0\nvt 1 0\nvt 0 1\n"
    path.write_text(f"mtllib a.mtl\n{corners}usemtl m\nf 1/1 2/2 3/3\n")


def _instances(path: Path) -> None:
    found = Instances.from_labels(torch.arange(40) % 3, torch.tensor([1, 2, 3]), vocabulary=S3DIS)
    save_instances(path, found, PointCloud.from_arrays(POINTS))


MAKERS: dict[str, Callable[[Path], object]] = {
    "ascii.ply": lambda p: p.write_bytes(
        make_ply(TABLE, kind="ascii", faces_before=FACES, faces_after=FACES)
    ),
    "little.ply": lambda p: p.write_bytes(make_ply(TABLE, faces_before=FACES)),
    "big.ply": lambda p: p.write_bytes(make_ply(TABLE, kind="binary_big_endian", end="\r\n")),
    "ascii.pcd": lambda p: p.write_bytes(make_pcd(sample()[:20], "ascii")),
    "binary.pcd": lambda p: p.write_bytes(make_pcd(sample()[:20], "binary")),
    "packed.pcd": lambda p: p.write_bytes(make_pcd(sample()[:20], "binary_compressed")),
    "a.las": lambda p: make_las(p, count=40),
    "new.las": lambda p: make_las(p, count=40, point_format=7, version="1.4"),
    "a.laz": lambda p: make_las(p, count=40),
    "new.laz": lambda p: make_las(p, count=40, point_format=7, version="1.4"),
    "a.xyz": lambda p: np.savetxt(p, np.hstack([POINTS, COLORS.T])),
    "a.csv": lambda p: np.savetxt(p, POINTS, delimiter=",", header="x,y,z", comments=""),
    "a.pts": lambda p: np.savetxt(p, POINTS, header="40", comments=""),
    "stations.pts": lambda p: p.write_text(2 * ("20\n" + "1 2 3 9 9 9\n" * 20)),
    "quoted.csv": lambda p: p.write_text('"Point ID";"X";"Y";"Z";\n' + '"1";"2,5";"3,5";"4";\n' * 40),
    "utf-16.txt": lambda p: p.write_text("x\ty\tz\n" + "1,5\t2\t3\n" * 40, encoding="utf-16"),
    "utf-16.ply": lambda p: p.write_bytes(make_ply(TABLE, kind="ascii").decode().encode("utf-16")),
    "copc.laz": make_copc,
    "fields.npy": lambda p: np.save(p, TABLE),
    "unnamed.npz": lambda p: np.savez(p, POINTS.T),
    "a.npy": lambda p: np.save(p, POINTS),
    "a.npz": lambda p: save_cloud(p, PointCloud.from_arrays(POINTS)),
    "packed.npz": lambda p: np.savez_compressed(p, points=POINTS, colors=COLORS.T),
    "a.instances.npz": _instances,
    "a.obj": _mesh,
    "a.glb": _mesh,
    "a.stl": _mesh,
    "a.off": _mesh,
    "colours.off": lambda p: p.write_text(
        "COFF\n3 1 0\n" + "0 0 0 9 9 9 9\n1 0 0 9 9 9 9\n0 1 0 9 9 9 9\n" + "3 0 1 2\n"
    ),
    "textured.obj": _textured,
}


@pytest.mark.parametrize("name", MAKERS)
def test_damage_is_survived_or_refused(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gestalt3d.io.mesh.SAMPLES", 500)
    path = tmp_path / name
    MAKERS[name](path)
    load = load_instances if name.endswith(".instances.npz") else load_cloud
    load(path)
    good = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(sum(map(ord, name)))
    refused = 0
    for trial in range(120):
        bad = good.copy()
        if trial % 4 == 0:
            bad = bad[: rng.integers(1, len(bad))]
        else:
            # Mostly early, where the headers are; the values that hurt most are among them.
            count = int(rng.integers(1, 5))
            reach = len(bad) if trial % 4 == 1 else min(len(bad), 400)
            values = rng.choice([0, 1, 127, 128, 255, *rng.integers(0, 256, 5)], count)
            bad[rng.integers(0, reach, count)] = values
        path.write_bytes(bad.tobytes())
        try:
            load(path)
        except UserError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error)
    assert refused > 5

"""Which way is up, on synthetic and real scans turned to each of the six directions."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from gestalt3d.io import load_cloud
from gestalt3d.io.frame import UP_ROTATIONS
from gestalt3d.io.upright import DIRECTIONS, SURE_AT, find_up
from gestalt3d.synth.rooms import RoomConfig, make_room
from gestalt3d.synth.table_tops import make_table_top


@cache
def synthetic() -> dict[str, np.ndarray]:
    """Rooms whole, without ceiling and cut, and table tops; z up."""
    scans = {}
    for seed in range(2_000_000, 2_000_004):
        room = make_room(seed, RoomConfig(points=40_000)).input.points.numpy().astype(np.float64)
        top = np.percentile(room[:, 2], 99)
        scans[f"room {seed}"] = room
        scans[f"room {seed} without ceiling"] = room[room[:, 2] < top - 0.5]
    for seed in (2_000_000, 2_000_001):
        scans[f"table {seed}"] = make_table_top(seed).input.points.numpy().astype(np.float64)
    return scans


def turned(scan: np.ndarray, up: str) -> np.ndarray:
    """The scan as a file holds it in which `up` points up."""
    return scan @ np.array(UP_ROTATIONS[up], dtype=np.float64)


@pytest.mark.parametrize("up", DIRECTIONS)
def test_up_is_found_in_four_of_five_synthetic_scans_and_is_unsure_about_the_rest(up: str) -> None:
    found = {name: find_up(turned(scan, up)) for name, scan in synthetic().items()}
    wrong = {name: it for name, it in found.items() if it.up != up}
    assert len(wrong) <= len(found) / 5, wrong
    assert all(it.sureness < SURE_AT for it in wrong.values()), wrong
    assert not (up == "z" and wrong)


def test_what_says_too_little_stays_z_and_unsure() -> None:
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(5000, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    for points in (
        np.zeros((0, 3)),
        np.ones((5000, 3)),
        rng.random((500, 3)),
        ball,
        rng.random((5000, 3)) * [1, 0, 0],
    ):
        found = find_up(points)
        assert found.up == "z" and found.sureness < SURE_AT


def test_one_stray_point_turns_nothing() -> None:
    room = synthetic()["room 2000000"]
    assert find_up(np.concatenate([room, [[0, 1e6, 0]]])).up == "z"


@pytest.mark.parametrize("up", DIRECTIONS)
def test_up_is_found_in_nine_of_ten_real_scans_and_is_unsure_about_the_rest(up: str, shared: Path) -> None:
    scans = {path.stem: load_cloud(path, units="m", up="z").points.numpy() for path in real_scans(shared)}
    scans["kinect"] = kinect_frame(shared)
    assert len(scans) == 10
    found = {name: find_up(turned(scan.astype(np.float64), up)) for name, scan in scans.items()}
    wrong = {name: it for name, it in found.items() if it.up != up}
    assert len(wrong) <= 1 and all(it.sureness < SURE_AT for it in wrong.values()), wrong
    assert not (up == "z" and wrong)


def test_no_real_scan_or_object_with_z_up_is_turned(shared: Path) -> None:
    for path in [*real_scans(shared), *sorted((shared / "data" / "shapes").glob("*.ply"))]:
        assert find_up(load_cloud(path, units="m", up="z").points.numpy().astype(np.float64)).up == "z", path


def real_scans(shared: Path) -> list[Path]:
    return sorted((shared / "data" / "scans").glob("*.ply"))


def kinect_frame(shared: Path) -> np.ndarray:
    """Points of SUN RGB-D's raw frame, turned upright by the rotation beside it."""
    from PIL import Image

    folder = next((shared / "data" / "sunrgbd" / "SUNRGBD" / "kv2" / "align_kv2").iterdir())
    stored = np.array(Image.open(next((folder / "depth").glob("*.png")))).astype(np.uint16)
    z = ((stored >> 3) | (stored << 13)) / 1000.0
    k = np.loadtxt(folder / "intrinsics.txt").reshape(3, 3)
    v, u = np.nonzero(z > 0)
    z = z[v, u]
    points = np.stack([(u - k[0, 2]) * z / k[0, 0], z, -(v - k[1, 2]) * z / k[1, 1]], axis=1)
    return points @ np.loadtxt(next((folder / "extrinsics").glob("*.txt")))[:, :3].T

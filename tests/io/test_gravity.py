"""Up from what a camera sees: a room by hand, synthetic frames whose pose is withheld, real ones."""

from pathlib import Path

import numpy as np
import pytest

from gestalt3d.io import load_input
from gestalt3d.io.gravity import find_gravity, upright_from
from gestalt3d.structures.camera import Camera
from gestalt3d.structures.view import View
from gestalt3d.synth.views import make_view

SIZE = (160, 120)
CAMERA = Camera.from_focal(131.0, SIZE)


def up_of(down: float, roll: float) -> np.ndarray:
    """Of a camera that looks down and is then turned clockwise about its axis, degrees."""
    d, r = np.deg2rad([down, roll])
    return np.array([-np.sin(r) * np.cos(d), -np.cos(r) * np.cos(d), -np.sin(d)])


def room(down: float, roll: float, *, noise: float = 0.0, level: bool = True) -> np.ndarray:
    """(h, w, 3) points: a floor 1.4 m below and walls 3 m ahead and 1.1 m to both sides; without `level` the wall ahead alone."""
    rays, up = CAMERA.rays(), up_of(down, roll)
    ahead = upright_from(up)[1]
    right = np.cross(ahead, up)
    planes = [(-up, 1.4), (ahead, 3.0), (right, 1.1), (-right, 1.1)]
    with np.errstate(divide="ignore"):
        depth = np.min(
            [
                np.where(rays @ n > 1e-9, away / (rays @ n), np.inf)
                for n, away in (planes if level else planes[1:2])
            ],
            axis=0,
        )
    depth = np.where(depth < 20, depth, 0)
    wrong = np.random.default_rng(0).normal(0, noise, depth.shape)
    return rays * (depth + wrong * depth**2)[..., None]


def angle(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.rad2deg(np.arccos(np.clip(one @ other, -1, 1))))


@pytest.mark.parametrize("noise", [0.0, 0.003])
@pytest.mark.parametrize("roll", [-30.0, 0.0, 4.0, 20.0])
@pytest.mark.parametrize("down", [-10.0, 0.0, 25.0, 45.0, 60.0])
def test_a_room_tells_how_the_camera_is_tilted(down: float, roll: float, noise: float) -> None:
    if down == 60.0 and abs(roll) > 25:
        return  # farther from level than what is tried
    found = find_gravity(room(down, roll, noise=noise))
    assert found is not None and angle(found.up, up_of(down, roll)) < 1
    assert found.down == pytest.approx(down, abs=1) and found.roll == pytest.approx(roll, abs=2)
    assert found.sure >= (0.9 if down > 0 else 0.5) and np.linalg.norm(found.up) == pytest.approx(1)


def test_a_mirrored_room_is_rolled_the_other_way() -> None:
    points = room(30.0, 15.0, noise=0.002)
    one, other = find_gravity(points), find_gravity(points[:, ::-1] * [-1, 1, 1])
    assert one is not None and other is not None
    assert one.down == pytest.approx(other.down, abs=0.5) and one.roll == pytest.approx(-other.roll, abs=0.5)


def test_a_wall_alone_leaves_the_roll_to_how_cameras_are_held_and_is_less_sure() -> None:
    found, whole = find_gravity(room(10.0, 0.0, level=False)), find_gravity(room(10.0, 0.0))
    assert found is not None and whole is not None
    assert angle(found.up, up_of(10.0, 0.0)) < 3 and found.sure < whole.sure


def test_where_too_little_is_even_nothing_is_said() -> None:
    rays = CAMERA.rays()
    rough = np.random.default_rng(0).uniform(1, 3, rays.shape[:2])
    assert find_gravity(rays * rough[..., None]) is None
    assert find_gravity(np.zeros((120, 160, 3))) is None
    assert find_gravity(room(20.0, 0.0)[:3]) is None
    thin = room(20.0, 0.0)
    thin[:, 5:] = 0
    assert find_gravity(thin) is None


def test_a_ball_has_no_up() -> None:
    """Its normals point everywhere towards the camera alike."""
    rays = CAMERA.rays()
    center, radius = np.array([0.0, 0.0, 2.0]), 0.9
    a, b, c = (rays**2).sum(-1), rays @ center, center @ center - radius**2
    inside = b**2 - a * c
    depth = np.where(inside > 0, (b - np.sqrt(np.maximum(inside, 0))) / a, 0)
    found = find_gravity(rays * depth[..., None])
    assert found is None or found.sure < 0.8


@pytest.mark.parametrize("seed", [1_000_000, 1_000_004, 1_000_007])
def test_synthetic_frames_whose_pose_is_withheld(seed: int) -> None:
    view = make_view(seed).input
    assert view.depth is not None and view.camera is not None
    found = find_gravity(view.camera.rays() * view.depth.double().numpy()[..., None])
    assert found is not None and angle(found.up, view.camera.world_from_camera[2, :3]) < 2


@pytest.mark.parametrize(
    ("frame", "most"),
    [("sunrgbd/SUNRGBD/kv1/b3dodata/img_0063", 3.0), ("sunrgbd/SUNRGBD/kv2/align_kv2/*", 2.0)],
)
def test_real_frames_whose_pose_is_known(shared: Path, frame: str, most: float) -> None:
    (folder,) = (shared / "data").glob(frame)
    view = load_input(folder)
    assert isinstance(view, View) and view.depth is not None and view.camera is not None
    found = find_gravity(view.camera.rays() * view.depth.double().numpy()[..., None])
    assert found is not None and angle(found.up, view.camera.world_from_camera[2, :3]) < most


def test_a_real_frame_of_a_desk_is_no_longer_taken_for_level(shared: Path) -> None:
    view = load_input(shared / "data" / "rgbd" / "tum")
    assert isinstance(view, View) and view.camera is not None
    note = next(note for note in view.notes if "no pose" in note)
    assert "looks 29 degrees down (99% sure; --up -y takes it for level)" in note
    level = load_input(shared / "data" / "rgbd" / "tum", up="-y")
    assert isinstance(level, View) and level.camera is not None
    np.testing.assert_allclose(level.camera.world_from_camera[:3, 2], [0, 1, 0], atol=1e-12)

"""Views and cameras: pixels become points and project back to themselves."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gestalt3d.structures.camera import Camera
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.view import View


def turned(yaw: float, pitch: float, position: tuple[float, float, float]) -> np.ndarray:
    """A camera's pose: level and along y at first, then pitched about x and turned about z."""
    a, b = math.cos(yaw), math.sin(yaw)
    c, s = math.cos(pitch), math.sin(pitch)
    about_z = np.array([[a, -b, 0], [b, a, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    level = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = about_z @ about_x @ level, position
    return pose


def frame(pose: np.ndarray | None = None, width: int = 8, height: int = 6) -> View:
    generator = torch.Generator().manual_seed(0)
    camera = Camera.from_focal(10.0, (width, height), pose)
    depth = 0.5 + 3 * torch.rand(height, width, generator=generator)
    return View(torch.rand(3, height, width, generator=generator), depth, camera)


def test_a_level_camera_sees_along_y_with_z_up() -> None:
    view = replace(frame(), depth=torch.full((6, 8), 2.0))
    points = view.cloud().points.reshape(6, 8, 3)
    assert torch.allclose(points[..., 1], torch.full((6, 8), 2.0))  # ahead
    assert bool((points[:, 1:, 0] > points[:, :-1, 0]).all())  # columns to the right
    assert bool((points[1:, :, 2] < points[:-1, :, 2]).all())  # rows downwards
    assert torch.allclose(points.mean((0, 1)), torch.tensor([0.0, 2.0, 0.0]), atol=1e-6)


def test_points_project_to_the_pixels_they_come_from() -> None:
    view = frame(turned(0.7, -0.3, (3.0, -2.0, 1.5)))
    assert view.camera is not None and view.depth is not None
    points = view.cloud().points.double().numpy()
    pose = np.linalg.inv(view.camera.world_from_camera)
    in_camera = points @ pose[:3, :3].T + pose[:3, 3]
    pixels = in_camera @ view.camera.intrinsics.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    u, v = np.meshgrid(np.arange(8), np.arange(6))
    np.testing.assert_allclose(pixels, np.stack([u, v], -1).reshape(-1, 2), atol=1e-5)
    np.testing.assert_allclose(in_camera[:, 2], view.depth.reshape(-1).numpy(), atol=1e-5)


def test_pixels_without_depth_have_no_point() -> None:
    view = frame()
    assert view.depth is not None
    depth = view.depth.clone()
    depth[0, 0], depth[1, 2], depth[5, 7], depth[3, 3] = 0.0, torch.nan, torch.inf, -1.0
    view = replace(view, depth=depth)
    cloud, pixels = view.cloud(), view.pixels()
    assert len(cloud) == len(pixels) == len(view) - 4 and cloud.colors is not None
    assert not set(pixels.tolist()) & {0, 1 * 8 + 2, 5 * 8 + 7, 3 * 8 + 3}
    assert torch.equal(cloud.colors, view.image.reshape(3, -1).T[pixels])


def test_a_camera_far_from_the_origin_keeps_millimetres() -> None:
    near, far = frame(), frame(turned(0.0, 0.0, (353_000.0, 5_601_000.0, 100.0)))
    assert far.cloud().origin is not None
    torch.testing.assert_close(far.cloud().points, near.cloud().points)


def test_a_photo_is_no_cloud() -> None:
    with pytest.raises(ValueError, match="this one has no depth and camera"):
        replace(frame(), depth=None, camera=None).cloud()
    assert len(replace(frame(), depth=None).pixels()) == 0
    assert repr(frame()) == "view of 8 x 6 pixels, with depth and camera"


def test_views_are_equal_when_they_hold_the_same() -> None:
    assert frame() == frame() and frame() != replace(frame(), depth=None) and frame() != 3
    assert frame() == replace(frame(), notes=("depth in millimetres",))


def test_a_camera_of_another_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the camera is of images of \(6, 8\), got one of \(8, 6\)"):
        replace(frame(), camera=Camera.from_focal(10.0, (6, 8)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"intrinsics": np.diag([1.0, -1, 1])}, "positive focal lengths"),
        ({"intrinsics": np.diag([1.0, 1, 2])}, "must end in rows"),
        ({"world_from_camera": 2 * np.eye(4)}, "end in 0 0 0 1"),
        ({"world_from_camera": np.diag([2.0, 2, 2, 1])}, "not scale or mirror"),
        ({"world_from_camera": np.diag([-1.0, 1, 1, 1])}, "not scale or mirror"),
        ({"world_from_camera": np.full((4, 4), np.nan)}, "must be"),
        ({"size": (0, 6)}, "width and height"),
    ],
)
def test_what_is_no_camera_is_refused(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(Camera.from_focal(10.0, (8, 6)), **changes)


def test_a_mesh_moves_as_a_whole_and_checks_its_faces() -> None:
    mesh = Mesh(torch.eye(3), torch.tensor([[0, 1, 2]]))
    moved = mesh.moved(
        turned(math.pi / 2, 0.0, (1.0, 0.0, 0.0)) @ np.linalg.inv(turned(0.0, 0.0, (0.0, 0.0, 0.0)))
    )
    expected = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
    torch.testing.assert_close(moved.vertices, expected)
    assert moved.faces is mesh.faces and moved != mesh and repr(mesh) == "mesh of 3 vertices and 1 triangle"
    with pytest.raises(ValueError, match=r"faces must lie in \[0, 3\)"):
        Mesh(torch.eye(3), torch.tensor([[0, 1, 3]]))


def test_points_of_a_mesh_lie_evenly_on_it() -> None:
    vertices = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, 5], [1, 0, 5], [0, 1, 5]])
    mesh = Mesh(vertices, torch.tensor([[0, 1, 2], [3, 4, 5]]))
    points = mesh.sampled(5000, np.random.default_rng(0)).double()
    low = points[:, 2] == 0
    assert bool((low | (points[:, 2] == 5)).all())
    assert float(low.double().mean()) == pytest.approx(4 / 5, abs=4 * math.sqrt(0.16 / 5000))  # by area
    assert bool((points[:, :2] >= 0).all()) and bool((points[low, :2].sum(1) <= 2 + 1e-6).all())
    assert points[low, :2].mean(0).tolist() == pytest.approx([2 / 3, 2 / 3], abs=0.05)
    flat = Mesh(vertices, torch.tensor([[0, 0, 1]]))
    assert flat.sampled(7, np.random.default_rng(0)).shape == (7, 3)
    assert Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)).sampled(
        7, np.random.default_rng(0)
    ).shape == (0, 3)

"""Where a camera that looks at an object stands, and where it sees what."""

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gestalt3d.ops.look_at import look_at, project
from gestalt3d.structures.camera import LEVEL, Camera
from tests.ops import kit

FOV = math.radians(30)


def angles(*values: float) -> tuple[Tensor, ...]:
    return tuple(torch.tensor([v], dtype=torch.float64) for v in values)


@kit.quick(40)
@given(st.floats(-math.pi / 2, math.pi / 2), st.floats(-math.pi, math.pi), st.floats(0.1, 100.0))
def test_the_eye_stands_where_the_angles_say_and_looks_at_the_origin(e: float, a: float, d: float) -> None:
    pose = look_at(*angles(e, a, d))[0].numpy()
    turn, move = pose[:3, :3], pose[:3, 3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1) and pose[3].tolist() == [0, 0, 0, 1]
    eye = d * np.array([math.cos(e) * math.sin(a), -math.cos(e) * math.cos(a), math.sin(e)])
    np.testing.assert_allclose(-turn.T @ move, eye, atol=1e-9)
    np.testing.assert_allclose(move, [0, 0, d], atol=1e-12)
    # Level: its right is horizontal, and what is up in the world is up in the picture.
    assert turn[0, 2] == pytest.approx(0) and turn[1, 2] <= 1e-12
    # And back again: elevation, and azimuth as the angle of (x, -y) from the second to the first.
    assert math.asin(np.clip(eye[2] / d, -1, 1)) == pytest.approx(e, abs=1e-6)
    if abs(e) < 1.5:
        assert math.atan2(eye[0], -eye[1]) == pytest.approx(a, abs=1e-6)


def test_without_angles_it_is_our_level_camera() -> None:
    pose = look_at(*angles(0, 0, 2.0))[0].numpy()
    np.testing.assert_allclose(
        np.linalg.inv(pose), LEVEL + np.array([[0, 0, 0, 0], [0, 0, 0, -2], [0] * 4, [0] * 4])
    )


def test_by_hand() -> None:
    """A quarter to the right of the object: the camera at +x, the object's y to its right."""
    pose = look_at(*angles(0, math.pi / 2, 3.0))
    points = torch.tensor([[[0, 0, 0], [0, 0.5, 0], [0, 0, 0.5], [1, 0.5, 0]]], dtype=torch.float64)
    found = project(points, pose, field_of_view=math.pi / 2)
    expected = torch.tensor([[[0, 0, 3], [1 / 6, 0, 3], [0, 1 / 6, 3], [1 / 4, 0, 2]]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_it_sees_what_a_camera_of_ours_sees() -> None:
    """The same pixels as by `structures.Camera`: whole numbers are centres of pixels."""
    g = torch.Generator().manual_seed(0)
    points = torch.rand(1, 50, 3, generator=g, dtype=torch.float64) - 0.5
    pose, (h, w) = look_at(*angles(0.4, 2.0, 2.7)), (48, 64)
    camera = Camera.from_focal(h / 2 / math.tan(FOV / 2), (w, h), np.linalg.inv(pose[0].numpy()))
    there = points[0].numpy() @ pose[0, :3, :3].numpy().T + pose[0, :3, 3].numpy()
    pixels = there @ camera.intrinsics.T / there[:, 2:]
    x, y, depth = project(points, pose, field_of_view=FOV)[0].numpy().T
    np.testing.assert_allclose((x * h + w - 1) / 2, pixels[:, 0], atol=1e-9)
    np.testing.assert_allclose((h - 1 - y * h) / 2, pixels[:, 1], atol=1e-9)
    np.testing.assert_allclose(depth, there[:, 2], atol=1e-12)


def test_it_is_soft_rasterizers_picture_with_y_and_z_exchanged() -> None:
    """Its camera: eye at d (cos e sin a, sin e, -cos e cos a), axes z to the origin, x = up × z, y = z × x."""
    e, a, d = 0.5, -1.2, 2.732
    points = np.random.default_rng(0).random((20, 3)) - 0.5
    eye = d * np.array([math.cos(e) * math.sin(a), math.sin(e), -math.cos(e) * math.cos(a)])
    z = -eye / d
    x = np.cross([0, 1, 0], z)
    x /= np.linalg.norm(x)
    there = (points - eye) @ np.stack([x, np.cross(z, x), z]).T
    expected = there[:, :2] / there[:, 2:] / math.tan(math.radians(15))
    found = project(
        torch.from_numpy(points[None, :, [0, 2, 1]]), look_at(*angles(e, a, d)), field_of_view=FOV
    )
    np.testing.assert_allclose(found[0, :, :2].numpy(), expected, atol=1e-12)


def test_gradients() -> None:
    g = torch.Generator().manual_seed(1)
    viewpoint = tuple(
        (torch.rand(2, generator=g, dtype=torch.float64) + lo).requires_grad_() for lo in (0.0, 1.0, 2.5)
    )
    points = torch.rand(2, 5, 3, generator=g, dtype=torch.float64).requires_grad_()
    kit.check_gradients(lambda p, *v: project(p, look_at(*v), field_of_view=FOV), points, *viewpoint)


def test_straight_from_above_nothing_is_singular() -> None:
    viewpoint = [x.requires_grad_() for x in angles(math.pi / 2, 0.3, 2.0)]
    found = project(torch.eye(3, dtype=torch.float64)[None], look_at(*viewpoint), field_of_view=FOV)
    grads = torch.autograd.grad(found.square().sum(), viewpoint)
    assert bool(found.isfinite().all()) and all(bool(g.isfinite().all()) for g in grads)


def test_points_at_the_camera_and_behind_it_are_finite_and_keep_their_depth() -> None:
    points = torch.tensor([[[0.0, -2.0, 1.0], [0.0, -3.0, 1.0], [0.0, -1.995, 1.0]]], requires_grad=True)
    found = project(points, look_at(*(x.float() for x in angles(0, 0, 2.0))), field_of_view=math.pi / 2)
    torch.testing.assert_close(found[0, :, 2], torch.tensor([0.0, -1.0, 0.005]), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[0, :, 1], torch.full((3,), 100.0))
    found.sum().backward()
    assert points.grad is not None and bool(points.grad.isfinite().all())


def test_under_autocast_positions_are_not_rounded() -> None:
    points = torch.rand(1, 9, 3, generator=torch.Generator().manual_seed(0))
    pose = look_at(*(x.float() for x in angles(0.3, 0.7, 2.0)))
    expected = project(points, pose, field_of_view=FOV)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(project(points, pose, field_of_view=FOV), expected)


def test_no_views_and_no_points() -> None:
    none = look_at(*(torch.zeros(0),) * 3)
    assert none.shape == (0, 4, 4)
    assert project(torch.zeros(0, 5, 3), none, field_of_view=FOV).shape == (0, 5, 3)
    one = look_at(*(torch.ones(1),) * 3)
    assert project(torch.zeros(1, 0, 3), one, field_of_view=FOV).shape == (1, 0, 3)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"points": torch.zeros(2, 4, 3)}, r"points must be \(b, v, 3\) and camera_from_object"),
        ({"field_of_view": 0.0}, "field_of_view must be between 0 and π"),
        ({"field_of_view": math.pi}, "field_of_view must be between 0 and π"),
        ({"near": 0.0}, "near positive"),
    ],
)
def test_what_makes_no_sense_is_refused(changed: dict[str, Any], words: str) -> None:
    given_ = {"points": torch.zeros(1, 4, 3), "camera_from_object": torch.eye(4)[None], "field_of_view": FOV}
    with pytest.raises(ValueError, match=words):
        inspect.unwrap(project)(**{**given_, **changed})  # before annotations speak

"""Upright boxes: they hold their points, no rectangle is smaller, and turning the points turns the box."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gestalt3d.ops import boxes as module
from gestalt3d.ops.boxes import boxes_reference, oriented_boxes
from tests.ops import kit

OP = kit.Op(oriented_boxes, boxes_reference, module._op)


def csr(*sizes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    offsets = torch.tensor([0, *sizes]).cumsum(0)
    return offsets, torch.randperm(int(offsets[-1]), generator=torch.Generator().manual_seed(seed))


def whole(points: torch.Tensor) -> torch.Tensor:
    """The box of all points."""
    return oriented_boxes(points, torch.tensor([0, len(points)]), torch.arange(len(points)))[0]


def turned(points: torch.Tensor, yaw: float) -> torch.Tensor:
    c, s = math.cos(yaw), math.sin(yaw)
    return points @ torch.tensor([[c, s, 0], [-s, c, 0], [0, 0, 1]], dtype=points.dtype)


def own_frame(points: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
    return turned(points - box[:3], -float(box[6]))


@kit.quick(60)
@given(st.integers(0, 2**16), st.sampled_from(["surface", "lattice", "line", "far", "1 mm", "1 km"]))
def test_kernel_is_the_reference(seed, kind):
    points = (kit.lattice(48, seed) if kind == "lattice" else kit.surface(48, seed))[0].double()
    if kind == "line":
        points[:, 1] = 0.3 * points[:, 0]
    points = points * {"1 mm": 1e-3, "1 km": 1e3}.get(kind, 1.0) + (1e4 if kind == "far" else 0)
    offsets, indices = csr(0, 1, 2, 3, 12, 30, 0, seed=seed)
    found, expected = OP.run(points, offsets, indices), OP.reference(points, offsets, indices)
    # Coordinates of 1e4 m leave 1e-12 m. Nearly equal areas may choose another yaw: compare what must agree.
    scale = float(points.abs().max())
    torch.testing.assert_close(found[:, [2, 5]], expected[:, [2, 5]], rtol=0, atol=1e-12 * scale)
    area, least = found[:, 3] * found[:, 4], expected[:, 3] * expected[:, 4]
    torch.testing.assert_close(area, least, rtol=2e-6, atol=1e-11 * scale**2)
    same = (found[:, 6] - expected[:, 6]).abs() < 1e-9
    torch.testing.assert_close(found[same], expected[same], rtol=0, atol=1e-8 * scale)
    assert same.double().mean() > 0.8


@kit.quick()
@given(st.integers(1, 80), st.integers(0, 2**16))
def test_boxes_hold_their_points_and_touch_them(n, seed):
    points = kit.surface(n, seed)[0].double()
    box = whole(points)
    inside = own_frame(points, box)
    torch.testing.assert_close(inside.amax(0), box[3:6] / 2, rtol=0, atol=1e-9)
    torch.testing.assert_close(inside.amin(0), -box[3:6] / 2, rtol=0, atol=1e-9)
    assert 0 <= float(box[6]) < math.pi / 2


@kit.quick()
@given(st.floats(0, 1.57), st.floats(0.2, 3), st.floats(3.5, 6), st.integers(0, 2**16))
def test_a_turned_box_is_found_again(yaw, short, long, seed):
    sides = torch.tensor([short, long, 1.0]).double()
    corners = torch.tensor([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]).double()
    inner = torch.rand(200, 3, generator=torch.Generator().manual_seed(seed)).double()
    points = (torch.cat([corners, inner]) - 0.5) * sides
    box = whole(turned(points, yaw) + 5)
    torch.testing.assert_close(box[:3], torch.full((3,), 5.0).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(box[3:6].sort().values, sides.sort().values, rtol=1e-6, atol=0)
    assert min(abs(float(box[6]) - yaw), math.pi / 2 - abs(float(box[6]) - yaw)) < 1e-3


def test_an_axis_aligned_box_stays_one():
    square = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 2], [1, 1, 0]])
    noise = 1e-7 * torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert float(whole(square + noise)[6]) == 0.0
    diamond = torch.tensor([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]])
    assert math.isclose(float(whole(diamond)[6]), math.pi / 4, abs_tol=1e-6)


def test_degenerate_instances():
    points = torch.tensor([[1.0, 2, 3], [1, 2, 3], [1, 2, 5], [2, 2, 3]])
    empty, point, pillar, row = oriented_boxes(
        points, torch.tensor([0, 0, 2, 4, 6]), torch.tensor([0, 1, 0, 2, 0, 3])
    ).tolist()
    assert empty == [0] * 7
    assert point == [1, 2, 3, 0, 0, 0, 0]
    assert pillar == [1, 2, 4, 0, 0, 2, 0]
    assert row == [1.5, 2, 3, 1, 0, 0, 0]
    assert oriented_boxes(points, torch.tensor([0]), torch.zeros(0, dtype=torch.int64)).shape == (0, 7)


def test_many_points_on_a_circle():
    angle = torch.linspace(0, 2 * math.pi, 100_001).double()[:-1]
    box = whole(torch.stack([angle.cos(), angle.sin(), angle], dim=1))
    torch.testing.assert_close(box[3:5], torch.full((2,), 2.0).double(), rtol=1e-8, atol=0)


def test_indices_outside_are_refused():
    with pytest.raises(ValueError, match=r"indices must lie in \[0, 1\), got 1 to 1"):
        oriented_boxes(torch.zeros(1, 3), torch.tensor([0, 1]), torch.tensor([1]))


def test_determinism_layouts_registration_and_workers():
    points = kit.surface(300)[0]
    offsets, indices = csr(100, 0, 200)
    kit.check_deterministic(OP, points, offsets, indices)
    kit.check_layouts(OP, points, offsets, indices)
    kit.check_registration(OP, points, offsets, indices)
    kit.check_in_forked_worker(lambda: OP.run(points, offsets, indices))

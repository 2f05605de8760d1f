"""Points of boxes: the kernel is the definition, drawn points lie in their box."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gestalt3d.ops import roi_align as module
from gestalt3d.ops.roi_align import point_roi_align, points_in_boxes, points_in_boxes_reference
from tests.ops import kit

OP = kit.Op(module._op, points_in_boxes_reference, module._op)


def boxes(n: int, seed: int = 0, *, turned: bool = True) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    made = torch.cat([5 * torch.rand(n, 3, generator=g), 3 * torch.rand(n, 3, generator=g)], dim=1)
    yaw = 7 * torch.rand(n, 1, generator=g) if turned else torch.zeros(n, 1)
    return torch.cat([made, yaw], dim=1)


@kit.quick()
@given(st.integers(0, 80), st.integers(0, 12), st.integers(0, 2**16), st.booleans(), st.booleans())
def test_is_the_definition(n: int, r: int, seed: int, lattice: bool, turned: bool) -> None:
    points = (kit.lattice if lattice else kit.surface)(n, seed)[0]
    made = boxes(r, seed, turned=turned)
    made = made.round() if lattice and not turned else made
    kit.check_equals_reference(OP, points, made)


@pytest.mark.parametrize("name", kit.awkward_clouds())
def test_awkward_clouds(name: str) -> None:
    points = kit.awkward_clouds()[name][0]
    size = (points.amax(0) - points.amin(0)) / 2
    some = points[:: max(1, len(points) // 7)]
    made = torch.cat([some, size.expand_as(some), torch.zeros(len(some), 1)], dim=1)
    kit.check_equals_reference(OP, points, made)
    found = points_in_boxes(points, made)
    assert bool((found.offsets.diff() >= 1).all())  # the centre itself


def test_faces_belong_to_the_box() -> None:
    points = torch.tensor([[1.0, 0, 0], [-1, 1, 1], [1.001, 0, 0], [0, 0, -1]])
    found = points_in_boxes(points, torch.tensor([[0.0, 0, 0, 2, 2, 2, 0]]))
    assert found.indices.tolist() == [0, 1, 3]


def test_a_turned_box_holds_what_turns_with_it() -> None:
    points = kit.surface(500)[0].double()
    box = torch.tensor([[2.0, 1.5, 0.3, 3.0, 2.0, 1.5, 0.0]], dtype=torch.float64)
    angle = 0.7
    turn = torch.tensor(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]],
        dtype=torch.float64,
    )
    moved = torch.cat([box[:, :3] @ turn.T, box[:, 3:6], box[:, 6:] + angle], dim=1)
    before, after = points_in_boxes(points, box), points_in_boxes(points @ turn.T, moved)
    assert len(before.indices) > 5 and torch.equal(before.indices, after.indices)
    draws = torch.rand(1, 20, generator=torch.Generator().manual_seed(0))
    one, two = point_roi_align(points, box, draws), point_roi_align(points @ turn.T, moved, draws)
    assert torch.equal(one.index, two.index)
    torch.testing.assert_close(one.local, two.local, atol=1e-9, rtol=0)


def test_drawn_points_lie_in_the_unit_cube_of_their_box() -> None:
    points, made = kit.surface(2000)[0], boxes(12)
    found = point_roi_align(points, made, torch.rand(12, 64, generator=torch.Generator().manual_seed(0)))
    inside = points_in_boxes(points, made)
    for r in range(12):
        own = inside.indices[inside.offsets[r] : inside.offsets[r + 1]].tolist()
        if own:
            assert set(found.index[r].tolist()) <= set(own)
            assert float(found.local[r].abs().max()) <= 0.5 + 1e-6
            back = found.local[r] * made[r, 3:6]
            c, s = made[r, 6].cos(), made[r, 6].sin()
            x, y, z = back.unbind(1)
            there = torch.stack([c * x - s * y, s * x + c * y, z], dim=1) + made[r, :3]
            torch.testing.assert_close(there, points[found.index[r]], atol=1e-5, rtol=0)
        else:
            assert bool((found.index[r] == -1).all()) and not bool(found.local[r].any())


def test_draws_choose_among_the_points_of_a_box() -> None:
    points = torch.arange(5.0)[:, None].expand(5, 3).contiguous()
    box = torch.tensor([[2.0, 2, 2, 2, 2, 2, 0]])
    found = point_roi_align(points, box, torch.tensor([[0.0, 0.34, 0.67, 1 - 1e-7]]))
    assert found.index.tolist() == [[1, 2, 3, 3]]
    assert found.local[0, :, 0].tolist() == [-0.5, 0.0, 0.5, 0.5]


def test_nothing_is_in_an_empty_place() -> None:
    draws = torch.zeros(2, 3)
    for points in (torch.zeros(0, 3), torch.full((1, 3), 99.0)):
        found = point_roi_align(points, boxes(2), draws)
        assert found.index.tolist() == [[-1] * 3] * 2 and not bool(found.local.any())
    assert point_roi_align(torch.zeros(4, 3), torch.zeros(0, 7), torch.zeros(0, 3)).index.shape == (0, 3)
    flat = point_roi_align(torch.zeros(4, 3), torch.zeros(1, 7), torch.zeros(1, 3))
    assert flat.index.tolist() == [[0, 0, 0]] and not bool(flat.local.any())


def test_determinism_layouts_and_workers() -> None:
    args = kit.surface(400)[0], boxes(40)
    kit.check_deterministic(OP, *args)
    kit.check_layouts(OP, *args)
    kit.check_in_forked_worker(lambda: OP.run(*args))


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="must be finite"):
        points_in_boxes(torch.full((2, 3), torch.nan), boxes(1))
    with pytest.raises(ValueError, match="must be finite"):
        points_in_boxes(torch.zeros(2, 3), boxes(1) * torch.inf)

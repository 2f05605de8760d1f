"""Overlap of boxes at any yaw: never above 1, exactly 1 for a box and itself, equal to shapely's and to counted points."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gestalt3d.ops import oriented_boxes_overlap as module
from gestalt3d.ops.aligned_boxes import aligned_iou, suppressed
from gestalt3d.ops.oriented_boxes_overlap import iou_reference, nms_reference, oriented_iou, oriented_nms
from gestalt3d.ops.roi_align import points_in_boxes
from tests.ops import kit

IOU = kit.Op(module._iou, iou_reference, module._iou)
NMS = kit.Op(module._nms, nms_reference, module._nms)
SCALES = [1e-3, 1.0, 1e3]


def boxes(n: int, seed: int = 0, *, lattice: bool = False) -> Tensor:
    """With `lattice`, faces in one plane, boxes in boxes, equal boxes and flat ones are many."""
    g = torch.Generator().manual_seed(seed)
    centre, size = 2 * torch.rand(n, 3, generator=g), 1.5 * torch.rand(n, 3, generator=g)
    yaw = 7 * torch.rand(n, 1, generator=g)
    made = torch.cat([centre, size, yaw], dim=1).double()
    return (
        torch.cat([made[:, :6].round(), (made[:, 6:] / (math.pi / 4)).round() * (math.pi / 4)], 1)
        if lattice
        else made
    )


def corners(box: np.ndarray) -> np.ndarray:
    c, s = np.cos(box[6]), np.sin(box[6])
    own = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * box[3:5] / 2
    return own @ np.array([[c, s], [-s, c]]) + box[:2]


@kit.quick(40)
@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 2**16), st.booleans())
def test_is_the_definition(n: int, m: int, seed: int, lattice: bool) -> None:
    a, b = boxes(n, seed, lattice=lattice), boxes(m, seed + 1, lattice=lattice)
    kit.check_near_float64(IOU, a, b, rtol=0, atol=1e-12)


@kit.quick(40)
@given(st.integers(0, 30), st.integers(0, 2**16), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_suppression_is_the_definition(n: int, seed: int, most: float) -> None:
    kit.check_equals_reference(NMS, boxes(n, seed), most)


@kit.quick(40)
@given(st.integers(0, 2**16), st.sampled_from(SCALES), st.booleans(), st.booleans())
def test_a_box_and_itself_are_exactly_one(seed: int, scale: float, far: bool, narrow: bool) -> None:
    made = boxes(20, seed)
    made[:, 3:6] += 0.01
    made = torch.cat([made[:, :6] * scale, made[:, 6:]], dim=1)
    made[:, :3] += 1e4 if far else 0
    made = made.float() if narrow else made
    assert bool((oriented_iou(made, made).diagonal() == 1).all())


@kit.quick(40)
@given(st.integers(0, 2**16), st.booleans())
def test_no_pair_is_above_one_or_below_zero_and_order_does_not_matter(seed: int, lattice: bool) -> None:
    made = boxes(20, seed, lattice=lattice)
    found = oriented_iou(made, made)
    assert bool((found >= 0).all()) and bool((found <= 1).all())
    torch.testing.assert_close(found, found.T, atol=1e-12, rtol=0)


@pytest.mark.parametrize("turn", [math.pi, -math.pi, math.pi / 2, 2 * math.pi, 3 * math.pi / 2])
def test_the_same_box_written_otherwise_is_the_same(turn: float) -> None:
    made = boxes(50)
    other = made.clone()
    other[:, 6] += turn
    if round(turn / (math.pi / 2)) % 2:
        other[:, [3, 4]] = other[:, [4, 3]]
    torch.testing.assert_close(
        oriented_iou(made, other).diagonal(), torch.ones(50).double(), atol=1e-9, rtol=0
    )


@kit.quick(40)
@given(st.integers(0, 2**16), st.booleans())
def test_without_yaw_it_is_the_overlap_along_the_axes(seed: int, lattice: bool) -> None:
    a, b = boxes(9, seed, lattice=lattice), boxes(9, seed + 1, lattice=lattice)
    a[:, 6] = b[:, 6] = 0
    torch.testing.assert_close(oriented_iou(a, b), aligned_iou(a[:, :6], b[:, :6]), atol=1e-12, rtol=0)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("far", [0.0, 1e4])
@pytest.mark.parametrize("lattice", [False, True])
def test_is_shapelys(scale: float, far: float, lattice: bool) -> None:
    geometry = pytest.importorskip("shapely.geometry")
    made = boxes(30, 3, lattice=lattice)
    moved = torch.cat([made[:, :3] * scale + far, made[:, 3:6] * scale, made[:, 6:]], dim=1)
    found = oriented_iou(moved, moved)
    rows = made.numpy()  # where shapely is at its best
    polygons = [geometry.Polygon(corners(box)) for box in rows]
    for i, (a, one) in enumerate(zip(rows, polygons, strict=True)):
        for j, (b, two) in enumerate(zip(rows, polygons, strict=True)):
            height = max(min(a[2] + a[5] / 2, b[2] + b[5] / 2) - max(a[2] - a[5] / 2, b[2] - b[5] / 2), 0)
            shared = one.intersection(two).area * height if a[3] * a[4] * b[3] * b[4] else 0
            union = a[3:6].prod() + b[3:6].prod() - shared
            # 10 km away float64 has steps of 2e-12 m: of a box of 1 mm that is 2e-9.
            assert float(found[i, j]) == pytest.approx(
                shared / union if union else 0, abs=1e-6 if far else 1e-9
            )


def test_is_the_share_of_points_that_are_in_both() -> None:
    made = boxes(8, 5).float()
    made[:, 3:6] += 0.5
    points = 5 * torch.rand(200_000, 3, generator=torch.Generator().manual_seed(0)) - 1.5
    inside = points_in_boxes(points, made)
    mask = torch.zeros(8, len(points))
    for r in range(8):
        mask[r, inside.indices[inside.offsets[r] : inside.offsets[r + 1]]] = 1
    both = mask @ mask.T
    union = mask.sum(1)[:, None] + mask.sum(1) - both
    # Of `union` points a share p varies by sqrt(p (1 - p) / union) <= 1 / 2 / sqrt(union); five times that.
    error = (oriented_iou(made, made) - both / union).abs()
    assert bool((error < 2.5 / union.sqrt()).all())


def test_an_octagon() -> None:
    """A unit square and itself turned by 45 degrees share a regular octagon of width 1."""
    square = torch.tensor([[0.0, 0, 0, 1, 1, 1, 0], [0, 0, 0, 1, 1, 1, math.pi / 4]]).double()
    octagon = 2 * (math.sqrt(2) - 1)
    assert float(oriented_iou(square[:1], square[1:])) == pytest.approx(octagon / (2 - octagon), abs=1e-7)


def test_a_millimetre_in_a_kilometre() -> None:
    big = torch.tensor([[0.0, 0, 0, 1e3, 1e3, 1e3, 0.3]]).double()
    small = torch.tensor([[300.0, 200, -100, 1e-3, 2e-3, 1e-3, 1.2]]).double()
    assert float(oriented_iou(big, small)) == pytest.approx(2e-18, rel=1e-6)


def test_faces_that_touch_share_nothing() -> None:
    box = torch.tensor([[0.0, 0, 0, 1, 1, 1, 0]])
    beside = torch.tensor(
        [[1.0, 0, 0, 1, 1, 1, 0], [0, -1, 0, 1, 1, 1, 0], [0, 0, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 0]]
    )
    assert oriented_iou(box, beside).tolist() == [[0, 0, 0, 0]]


def test_flat_boxes_share_nothing_and_all_stay() -> None:
    flat = torch.tensor([[0.0, 0, 0, 1, 1, 0, 0.3], [0, 0, 0, 1, 1, 0, 0.3], [0, 0, 0, 0, 0, 0, 0]])
    assert not oriented_iou(flat, flat).any()
    assert not oriented_iou(flat, torch.tensor([[0.0, 0, 0, 2, 2, 2, 0]])).any()
    assert oriented_nms(flat, torch.ones(3), max_iou=0.0).tolist() == [0, 1, 2]


def test_yaw_counts() -> None:
    """Two long boxes that cross: as many drop them by the box around, none by their own."""
    crossed = torch.tensor([[0.0, 0, 0, 4, 0.2, 1, 0], [0, 0, 0, 4, 0.2, 1, math.pi / 2]])
    assert oriented_nms(crossed, torch.ones(2), max_iou=0.1).tolist() == [0, 1]
    assert float(oriented_iou(crossed[:1], crossed[1:])) == pytest.approx(0.04 / (1.6 - 0.04), abs=1e-6)


@kit.quick()
@given(st.integers(1, 40), st.integers(0, 2**16), st.sampled_from([0.1, 0.5]))
def test_what_is_kept_does_not_overlap_and_what_is_not_does(n: int, seed: int, most: float) -> None:
    made = boxes(n, seed)
    scores = torch.rand(n, generator=torch.Generator().manual_seed(seed)).mul(4).round() / 4  # some are equal
    kept = oriented_nms(made, scores, max_iou=most)
    ranked = torch.argsort(scores, descending=True, stable=True).tolist()
    assert [i for i in ranked if i in set(kept.tolist())] == kept.tolist()
    shares = oriented_iou(made, made)
    assert bool((shares[kept][:, kept].fill_diagonal_(0) <= most + 1e-9).all())
    for i in set(range(n)) - set(kept.tolist()):
        better = [k for k in kept.tolist() if ranked.index(k) < ranked.index(i)]
        assert float(shares[i, better].max()) >= most - 1e-9


@kit.quick()
@given(st.integers(0, 40), st.integers(0, 2**16), st.sampled_from([0.0, 0.3, 1.0]))
def test_without_yaw_the_same_boxes_are_kept(n: int, seed: int, most: float) -> None:
    made, scores = boxes(n, seed), torch.rand(n, generator=torch.Generator().manual_seed(seed))
    made[:, 6] = 0
    kept = oriented_nms(made, scores, max_iou=most)
    assert kept.tolist() == suppressed(made[:, :6], scores, max_iou=most).tolist()


def test_determinism_layouts_registration_and_workers() -> None:
    for op, args in ((IOU, (boxes(90), boxes(70, 1))), (NMS, (boxes(50), 0.25))):
        kit.check_deterministic(op, *args)
        kit.check_layouts(op, *args)
        kit.check_in_forked_worker(lambda op=op, args=args: op.run(*args))
    kit.check_registration(IOU, boxes(9), boxes(7, 1))
    kit.check_registration(NMS, boxes(9), 0.25)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (-torch.ones(2, 7), "have negative sizes"),
        (torch.full((1, 7), torch.nan), "must be finite"),
        (torch.full((1, 7), torch.inf), "must be finite"),
    ],
)
def test_what_is_no_box_is_refused(made: Tensor, words: str) -> None:
    calls: list[Any] = [
        lambda: oriented_iou(made, torch.ones(1, 7)),
        lambda: oriented_iou(torch.ones(1, 7), made),
        lambda: oriented_nms(made, torch.ones(len(made)), max_iou=0.5),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(ValueError, match="scores must be finite"):
        oriented_nms(torch.ones(1, 7), torch.full((1,), torch.nan), max_iou=0.5)

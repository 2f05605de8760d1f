"""3-D RoIAlign: exact for linear fields, torchvision's on slices, the definition everywhere."""

import math
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gestalt3d.ops import roi_align_3d as module
from gestalt3d.ops.roi_align_3d import (
    roi_align_3d,
    roi_align_3d_backward_reference,
    roi_align_3d_reference,
    roi_bin_centers,
)
from tests.ops import kit

FORWARD = kit.Op(module._forward, roi_align_3d_reference, module._forward)
BACKWARD = kit.Op(module._backward, roi_align_3d_backward_reference, module._backward)
Place = Literal["align", "warp", "pool"]
ORIGIN, CELL = (-1.0, 2.0, 0.5), 0.25
HERE = {"origin": ORIGIN, "cell": CELL}
MODES = [(True, False), (False, False), (True, True)]
"""Largest or mean, pooled or interpolated."""


def boxes(r: int, seed: int = 0, *, turned: bool = True) -> Tensor:
    """In cells of a volume about 9 cells wide, partly outside."""
    g = torch.Generator().manual_seed(seed)
    made = [9 * torch.rand(r, 3, generator=g), 8 * torch.rand(r, 3, generator=g)]
    yaw = 7 * torch.rand(r, 1, generator=g) if turned else torch.zeros(r, 1)
    return torch.cat([*made, yaw], dim=1).double()


def volumes(seed: int = 0, *, whole: bool = False, b: int = 2, c: int = 3) -> Tensor:
    made = torch.randn(b, c, 9, 7, 8, generator=torch.Generator().manual_seed(seed))
    return made.round() if whole else made


def args(seed: int = 0, r: int = 5, *, largest: bool, pool: bool, turned: bool = True, whole: bool = False):
    rois = boxes(r, seed, turned=turned)
    rois = module._rounded(rois) if pool else rois
    batch = torch.arange(r) % 2
    return volumes(seed, whole=whole), rois, batch, 3, 2, largest, pool


def field(points: Tensor) -> Tensor:
    return points @ points.new_tensor([0.7, -1.3, 0.4]) + 2


def centres(shape: tuple[int, int, int] = (20, 18, 16)) -> Tensor:
    axes = ((torch.arange(n).double() + 0.5) * CELL + o for n, o in zip(shape, ORIGIN, strict=True))
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def inner_boxes(r: int = 6) -> Tensor:
    """In metres, well inside of the volume of `centres`."""
    g = torch.Generator().manual_seed(1)
    middle = torch.tensor([1.5, 4.2, 2.5]) + 0.4 * torch.rand(r, 3, generator=g)
    return torch.cat(
        [middle, 0.3 + torch.rand(r, 3, generator=g), 7 * torch.rand(r, 1, generator=g)], 1
    ).double()


@kit.quick(40)
@given(st.integers(0, 2**16), st.sampled_from(MODES), st.booleans(), st.booleans(), st.integers(0, 6))
def test_is_the_definition(seed: int, mode: tuple[bool, bool], turned: bool, whole: bool, r: int) -> None:
    largest, pool = mode
    given_ = args(seed, r, largest=largest, pool=pool, turned=turned, whole=whole)
    kit.check_near_float64(FORWARD, *given_, rtol=1e-5, atol=1e-5)
    kit.check_near_float64(FORWARD, *kit.doubled(given_), rtol=1e-12, atol=1e-12)
    grad = torch.randn(r, 3, 3, 3, 3, generator=torch.Generator().manual_seed(seed)).double()
    if not whole:  # interpolated, equal numbers are not quite
        kit.check_near_float64(BACKWARD, grad, *kit.doubled(given_), rtol=1e-12, atol=1e-12)


@kit.quick(20)
@given(st.integers(0, 2**16), st.booleans())
def test_of_equal_cells_the_first_gets_the_gradient(seed: int, turned: bool) -> None:
    given_ = kit.doubled(args(seed, largest=True, pool=True, turned=turned, whole=True))
    kit.check_equals_reference(FORWARD, *given_)
    kit.check_near_float64(BACKWARD, torch.ones(5, 3, 3, 3, 3).double(), *given_, rtol=0, atol=0)


@pytest.mark.parametrize("samples", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 4])
def test_the_mean_of_a_linear_field_is_that_of_the_bin_centres(size: int, samples: int) -> None:
    volume, made = field(centres())[None, None], inner_boxes()
    found = roi_align_3d(
        volume, made, torch.zeros(6).long(), **HERE, size=size, samples=samples, reduce="mean"
    )
    torch.testing.assert_close(found[:, 0], field(roi_bin_centers(made, size=size)), atol=1e-12, rtol=0)


def test_the_maximum_of_a_linear_field_is_that_of_the_outermost_sample() -> None:
    volume, made = field(centres())[None, None], inner_boxes()
    found = roi_align_3d(volume, made, torch.zeros(6).long(), **HERE, size=3, samples=2)
    by_sample = field(roi_bin_centers(made, size=6))
    by_bin = by_sample.unflatten(1, (3, 2)).unflatten(3, (3, 2)).unflatten(5, (3, 2)).amax((2, 4, 6))
    torch.testing.assert_close(found[:, 0], by_bin, atol=1e-12, rtol=0)


def test_of_a_map_that_does_not_change_along_an_axis_it_is_torchvisions() -> None:
    ops = pytest.importorskip("torchvision.ops")
    g = torch.Generator().manual_seed(0)
    plane, n = torch.randn(2, 5, 20, 30, generator=g), 9
    low = 1 + torch.rand(8, 2, generator=g) * torch.tensor([10.0, 18.0])
    size = 0.5 + torch.rand(8, 2, generator=g) * torch.tensor([7.0, 9.0])
    batch = torch.arange(8) % 2
    # Its boxes are (batch, x low, y low, x high, y high) and its image rows are y.
    corners = torch.cat([batch[:, None].float(), low.flip(1), (low + size).flip(1)], dim=1)
    expected = ops.roi_align(plane, corners, 7, sampling_ratio=2, aligned=True)
    rest = torch.tensor([[n / 2, n * 0.8, 0.0]]).expand(8, 3)
    made = torch.cat([low + size / 2, rest[:, :1], size, rest[:, 1:]], dim=1)
    volume = plane[..., None].expand(-1, -1, -1, -1, n)
    found = roi_align_3d(volume, made, batch, origin=(0.0, 0.0, 0.0), cell=1.0, size=7, reduce="mean")
    for k in range(7):
        torch.testing.assert_close(found[..., k], expected, atol=1e-5, rtol=1e-5)


def test_the_maximum_by_hand() -> None:
    """Two cells in one bin, sampled at a quarter and three quarters of each axis."""
    volume = torch.zeros(1, 1, 2, 2, 2)
    volume[0, 0, 1, 1, 1] = 64
    box = torch.tensor([[1.0, 1, 1, 2, 2, 2, 0]])
    unit = {"origin": (0.0, 0.0, 0.0), "cell": 1.0}
    found = [
        roi_align_3d(volume, box, torch.zeros(1).long(), **unit, size=1, samples=n, reduce=how).item()
        for n in (1, 2, 4)
        for how in ("max", "mean")
    ]
    # Samples lie at 1, at 1/2 and 3/2, and at 1/4, 3/4, 5/4 and 7/4: weights 1/2; 0, 1; 0, 1/4, 3/4, 1.
    assert found == [8, 8, 64, 8, 64, 8]


@pytest.mark.parametrize("place", ["align", "warp"])
def test_the_maximum_is_no_less_than_the_mean(place: Place) -> None:
    volume, made, batch = volumes(), boxes(6).float(), torch.arange(6) % 2
    unit: dict[str, Any] = {"origin": (0.0, 0.0, 0.0), "cell": 1.0, "size": 4, "place": place}
    most = roi_align_3d(volume, made, batch, **unit)
    mean = roi_align_3d(volume, made, batch, **unit, reduce="mean")
    assert bool((most >= mean - 1e-5).all()) and bool((most > mean + 0.1).any())


@pytest.mark.parametrize("place", ["align", "warp", "pool"])
def test_a_turned_box_in_a_field_that_turns_with_it_is_the_same(place: Place) -> None:
    """By quarters, so that cells fall on cells."""
    volume = torch.randn(1, 2, 12, 12, 6, generator=torch.Generator().manual_seed(0)).double()
    g = torch.Generator().manual_seed(1)
    parts = (
        8 * torch.rand(9, 3, generator=g) - 4,
        5 * torch.rand(9, 3, generator=g),
        torch.rand(9, 1, generator=g),
    )
    made = torch.cat(parts, 1).double()
    if place != "align":
        made[:, 6] = 0  # what else is rounded depends on where the grid begins
    zero, here = torch.zeros(9).long(), {"origin": (-6.0, -6.0, -3.0), "cell": 1.0, "size": 3, "place": place}
    turned = made.clone()
    turned[:, 0], turned[:, 1], turned[:, 6] = -made[:, 1], made[:, 0], made[:, 6] + math.pi / 2
    # What was at (x, y) is now at (-y, x).
    after = volume.flip(3).transpose(2, 3)
    torch.testing.assert_close(
        roi_align_3d(after, turned, zero, **here), roi_align_3d(volume, made, zero, **here), atol=1e-9, rtol=0
    )


def test_a_box_at_any_angle_in_a_smooth_field_that_turns_with_it() -> None:
    def bump(points: Tensor, yaw: float) -> Tensor:
        c, s = math.cos(yaw), math.sin(yaw)
        x, y, z = (points - points.new_tensor([1.5, 4.2, 2.5])).unbind(-1)
        u, v = c * x + s * y, c * y - s * x
        return u.sin() * 2 + v * v + u * v + z

    made = torch.tensor([[1.5, 4.2, 2.5, 1.4, 0.9, 1.2, 0.0]]).double()
    expected = bump(roi_bin_centers(made, size=4), 0.0)
    for yaw in (0.3, 1.1, 2.0, -2.7):
        made[0, 6] = yaw
        volume = bump(centres(), yaw)[None, None]
        found = roi_align_3d(volume, made, torch.zeros(1).long(), **HERE, size=4, reduce="mean")
        # Between cells of 0.25 m interpolation is off by at most 2 x 0.25² / 8 times the curvature, 2 + 2.
        torch.testing.assert_close(found[:, 0], expected, atol=0.0625, rtol=0)


def test_rounded_boxes_differ_by_construction() -> None:
    """A box 0.4 cells beside the grid: "warp" moves it onto the cells, "pool" finds cells as they are."""
    volume = (torch.arange(10.0) ** 2)[None, None, :, None, None].expand(1, 1, 10, 4, 4)
    box, zero = torch.tensor([[3.4, 2.0, 2.0, 4.0, 4.0, 4.0, 0.0]]), torch.zeros(1).long()
    unit = {"origin": (0.0, 0.0, 0.0), "cell": 1.0, "size": 2, "samples": 1}
    line = {}
    for place in ("align", "warp", "pool"):
        line[place] = roi_align_3d(volume, box, zero, **unit, place=place)[0, 0, :, 0, 0].tolist()
    # Centres of bins at 2.4 and 4.4 cells; of [1, 5] at 2 and 4: values between those of centres 1.5, 2.5, …
    assert line["align"] == pytest.approx([1 + 0.9 * 3, 9 + 0.9 * 7])
    assert line["warp"] == pytest.approx([2.5, 12.5])
    assert line["pool"] == [4, 16]  # the largest of cells 1 and 2, and of 3 and 4


def test_bins_of_more_and_of_fewer_cells_than_there_are() -> None:
    volume = torch.arange(10.0)[None, None, :, None, None].expand(1, 1, 10, 1, 1)
    unit = {"origin": (0.0, 0.0, 0.0), "cell": 1.0, "place": "pool"}

    def line(low: float, high: float, size: int) -> list[float]:
        box = torch.tensor([[(low + high) / 2, 0.5, 0.5, high - low, 1, 1, 0]])
        found = roi_align_3d(volume, box, torch.zeros(1).long(), **unit, size=size)
        return found[0, 0, :, 0, 0].tolist()

    assert line(0, 5, 2) == [2, 4]  # [0, 3) and [2, 5)
    assert line(2, 4, 3) == [2, 3, 3]  # [0, 1), [0, 2) and [1, 2)
    assert line(7.2, 7.3, 2) == [7, 7]  # one cell at least
    assert line(8, 12, 4) == [8, 9, 0, 0]  # nothing outside
    assert line(-1e30, 1e30, 2) == [0, 9]


def test_beyond_the_border_is_the_border() -> None:
    volume = torch.arange(4.0)[None, None, :, None, None].expand(1, 1, 4, 3, 3)
    box = torch.tensor([[-50.0, 1, 1, 2, 2, 2, 0], [1e30, 1, 1, 0, 0, 0, 0]])
    found = roi_align_3d(volume, box, torch.zeros(2).long(), origin=(0.0, 0.0, 0.0), cell=1.0, size=2)
    assert found[0].unique().tolist() == [0] and found[1].unique().tolist() == [3]


@pytest.mark.parametrize(
    ("reduce", "place"), [("max", "align"), ("mean", "align"), ("mean", "warp"), ("max", "pool")]
)
def test_gradients_are_those_of_finite_differences(reduce: Any, place: Place) -> None:
    volume = volumes(b=1, c=2).double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v: roi_align_3d(
            v, boxes(2).float(), torch.zeros(2).long(), origin=(0.0, 0.0, 0.0), cell=1.0, size=2,
            reduce=reduce, place=place,
        ),
        volume,
    )  # fmt: skip


def test_places_and_units_of_the_bin_centres() -> None:
    made = torch.tensor([[1.0, 2, 3, 4, 2, 6, math.pi / 2]], requires_grad=True)
    found = roi_bin_centers(made, size=2)
    assert found.shape == (1, 2, 2, 2, 3)
    torch.testing.assert_close(found[0, 1, 0, 1], torch.tensor([1.5, 3, 4.5]), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.mean((1, 2, 3)), made[:, :3])
    found.sum().backward()
    assert made.grad is not None and made.grad[0, :3].tolist() == [8, 8, 8]
    assert roi_bin_centers(torch.zeros(0, 7), size=2).shape == (0, 2, 2, 2, 3)


def test_no_boxes_give_no_bins() -> None:
    volume = volumes().requires_grad_()
    for place in ("align", "warp", "pool"):
        found = roi_align_3d(volume, torch.zeros(0, 7), torch.zeros(0).long(), **HERE, size=3, place=place)
        assert found.shape == (0, 3, 3, 3, 3)
        assert not torch.autograd.grad(found.sum(), volume)[0].any()


@pytest.mark.parametrize(("largest", "pool"), MODES)
def test_determinism_layouts_registration_and_workers(largest: bool, pool: bool) -> None:
    volume, *rest = args(2, 12, largest=largest, pool=pool)
    given_ = volume.repeat(1, 16, 1, 1, 1), *rest
    grad = torch.randn(12, 48, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    for op, inputs in ((FORWARD, given_), (BACKWARD, (grad, *given_))):
        kit.check_deterministic(op, *inputs)
        kit.check_layouts(op, *inputs)
        kit.check_registration(op, *inputs)
        kit.check_in_forked_worker(lambda op=op, inputs=inputs: op.run(*inputs))
    kit.check_registration(FORWARD, args(largest=largest, pool=pool)[0].requires_grad_(), *rest)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("far", [0.0, 1e4])
def test_scales_and_far_origins(scale: float, far: float) -> None:
    made, volume, batch = boxes(6), volumes(), torch.arange(6) % 2
    for place in ("align", "warp", "pool"):
        expected = roi_align_3d(volume, made, batch, origin=(0.0, 0.0, 0.0), cell=1.0, size=3, place=place)
        moved = torch.cat([made[:, :3] * scale + far, made[:, 3:6] * scale, made[:, 6:]], dim=1)
        found = roi_align_3d(volume, moved, batch, origin=(far, far, far), cell=scale, size=3, place=place)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"boxes": torch.full((1, 7), torch.nan)}, "boxes must be finite"),
        ({"boxes": -torch.ones(1, 7)}, "negative sizes"),
        ({"batch": torch.tensor([2])}, r"batch must be in \[0, 2\)"),
        ({"volume": torch.zeros(1, 1, 0, 2, 2)}, "with a cell at least"),
        ({"cell": 0.0}, "cell must be positive"),
        ({"size": 0}, "size and samples 1 or more"),
        ({"place": "pool", "reduce": "mean"}, 'use reduce="max"'),
    ],
)
def test_what_makes_no_sense_is_refused(changed: dict[str, Any], words: str) -> None:
    given_ = {
        "volume": volumes(),
        "boxes": torch.ones(1, 7),
        "batch": torch.zeros(1).long(),
        "size": 2,
        **HERE,
    }
    with pytest.raises(ValueError, match=words):
        roi_align_3d(**{**given_, **changed})

"""Segment reductions: sums that repeat, gradients, and nothing from rows without a segment."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gestalt3d.ops import segment as module
from gestalt3d.ops.segment import (
    segment_count,
    segment_max,
    segment_max_reference,
    segment_mean,
    segment_mode,
    segment_mode_reference,
    segment_sum,
    segment_sum_reference,
)
from tests.ops import kit

SUM = kit.Op(segment_sum, segment_sum_reference, module._sum_op)
MAX = kit.Op(module._max_op, segment_max_reference, module._max_op)
MODE = kit.Op(segment_mode, segment_mode_reference, module._mode_op)
REDUCTIONS = [segment_sum, segment_mean, segment_max]


def rows(n: int, c: int = 3, segments: int = 7, seed: int = 0, *, ties: bool = False):
    """Values, segment ids from -2 on, and a number of segments of which the last is empty."""
    g = torch.Generator().manual_seed(seed)
    values = torch.randint(-2, 3, (n, c), generator=g).float() if ties else torch.randn(n, c, generator=g)
    return values, torch.randint(-2, segments - 1, (n,), generator=g), segments


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_each_segment_is_reduced_by_itself(reduce):
    values, segments, count = rows(500)
    plain = {
        segment_sum: torch.sum,
        segment_mean: torch.mean,
        segment_max: torch.amax,
    }
    out = reduce(values.double(), segments, count)
    for s in range(count - 1):
        torch.testing.assert_close(
            out[s], plain[reduce](values[segments == s].double(), 0), rtol=1e-14, atol=1e-14
        )
    assert torch.equal(out[-1], torch.zeros(3).double()) and not torch.signbit(out[-1]).any()


@kit.quick()
@given(st.integers(0, 80), st.integers(0, 3), st.integers(1, 9), st.integers(0, 2**16), st.booleans())
def test_kernels_are_the_references(n, c, count, seed, ties):
    values, segments, count = rows(n, c, count, seed, ties=ties)
    kit.check_equals_reference(MAX, values, segments, count)
    torch.testing.assert_close(
        SUM.run(values, segments, count), SUM.reference(values, segments, count), rtol=2**-23, atol=0
    )
    votes = torch.randint(-1, 4, (n,), generator=torch.Generator().manual_seed(seed))
    kit.check_equals_reference(MODE, votes, segments, count, 4)


@kit.quick()
@given(st.integers(0, 80), st.integers(1, 9), st.integers(0, 2**16))
def test_the_first_nan_is_the_maximum(n, count, seed):
    values, segments, count = rows(n, 3, count, seed, ties=True)
    values[torch.rand(values.shape, generator=torch.Generator().manual_seed(seed)) < 0.2] = torch.nan
    kit.check_equals_reference(MAX, values, segments, count)
    for s in range(count):
        own = values[segments == s]
        assert torch.equal(segment_max(values, segments, count)[s].isnan(), own.isnan().any(0))


def test_a_long_sum_keeps_its_digits():
    ones = torch.full((2**24 + 100, 1), 1.0)
    zero = torch.zeros(len(ones), dtype=torch.int64)
    assert segment_sum(ones, zero, 1).item() == 2**24 + 100  # float32 additions would stop at 2^24


def test_the_first_of_equal_maxima_gets_the_gradient():
    values = torch.tensor([[1.0], [3.0], [3.0]], requires_grad=True)
    segment_max(values, torch.zeros(3, dtype=torch.int64), 1).sum().backward()
    assert values.grad is not None and values.grad.flatten().tolist() == [0, 1, 0]


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_gradients(reduce):
    values, segments, count = rows(20)
    kit.check_gradients(lambda v: reduce(v, segments, count), values)


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_no_rows_no_segments(reduce):
    nothing = torch.zeros(0, dtype=torch.int64)
    assert torch.equal(reduce(torch.zeros(0, 4), nothing, 3), torch.zeros(3, 4))
    assert reduce(torch.zeros(0, 4), nothing, 0).shape == (0, 4)
    assert reduce(torch.ones(2, 4), torch.tensor([-1, -1]), 0).shape == (0, 4)
    lost = torch.ones(2, 4, requires_grad=True)
    reduce(lost, torch.tensor([-1, -1]), 2).sum().backward()
    assert lost.grad is not None and not lost.grad.any()


def test_mode_takes_the_smallest_of_the_most_frequent():
    values, segments = torch.tensor([5, 2, 2, 5, 1, -1, -1]), torch.tensor([0, 0, 0, 0, 0, 1, 1])
    assert segment_mode(values, segments, 3, 6).tolist() == [2, -1, -1]


def test_mode_of_many_segments_needs_no_table():
    segments = torch.tensor([0, 999_999_999, 999_999_999])
    few = segments.clamp_max(1)
    assert segment_mode(torch.tensor([4, 3, 3]), few, 2, 2**40).tolist() == [4, 3]


def test_count():
    assert segment_count(torch.tensor([2, -5, 0, 2]), 4).tolist() == [1, 0, 2, 0]


def test_too_large_ids_are_refused():
    with pytest.raises(ValueError, match="segments must be below num_segments = 2, got 2"):
        segment_sum(torch.ones(1, 1), torch.tensor([2]), 2)
    with pytest.raises(ValueError, match="values must be below num_values = 3, got 3"):
        segment_mode(torch.tensor([3]), torch.tensor([0]), 1, 3)


def test_determinism_layouts_registration():
    values, segments, count = rows(5000)
    for op in (SUM, MAX):
        kit.check_deterministic(op, values, segments, count)
        kit.check_layouts(op, values, segments, count)
        kit.check_registration(op, values[:50].requires_grad_(), segments[:50], count)
        values = values.detach()
    kit.check_layouts(MODE, segments + 2, segments, count, 9)
    kit.check_registration(MODE, segments[:50] + 2, segments[:50], count, 9)
    kit.check_in_forked_worker(lambda: segment_sum(values, segments, count))

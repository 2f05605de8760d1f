"""Directions to centres: the kernel is the definition, the cosine what geometry says."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gestalt3d.ops import centers as module
from gestalt3d.ops.centers import center_coherency, center_coherency_reference, to_centers
from tests.ops import kit

OP = kit.Op(module._op, center_coherency_reference, module._op)


def case(points: int, sets: int, pairs: int, seed: int, *, lattice: bool = False) -> tuple[torch.Tensor, ...]:
    """Vectors, positions, disjoint sets of which some are empty, and pairs of them, some of one alone."""
    g = torch.Generator().manual_seed(seed)
    positions = torch.randn(points, 3, generator=g)
    owner = torch.randint(0, max(sets, 1), (points,), generator=g)
    offsets = torch.cat([torch.zeros(1).long(), torch.bincount(owner, minlength=sets).cumsum(0)])
    both = torch.stack(
        [
            torch.randint(0, max(sets, 1), (pairs,), generator=g),
            torch.randint(-1, max(sets, 1), (pairs,), generator=g),
        ]
    )
    both[1, both[0] == both[1]] = -1
    places = (positions * 2).round() if lattice else positions
    return torch.randn(points, 3, generator=g), places, offsets, torch.argsort(owner), both


@kit.quick(60)
@given(st.integers(1, 60), st.integers(1, 8), st.integers(0, 30), st.booleans(), st.integers(0, 2**16))
def test_is_the_definition(points, sets, pairs, lattice, seed):
    some = case(points, sets, pairs, seed, lattice=lattice)
    # Unit vectors and quotients round a few times each; the threshold of what lies on its centre is that of float32.
    kit.check_near_float64(OP, *some, rtol=0, atol=1e-5)
    assert bool((center_coherency(*some).abs() <= 1 + 1e-6).all())


def test_vectors_to_the_centre_agree_and_those_away_do_not() -> None:
    _, positions, offsets, indices, pairs = case(80, 4, 12, 0)
    for e, (a, b) in enumerate(pairs.T.tolist()):
        own = torch.cat([indices[offsets[i] : offsets[i + 1]] for i in (a, b) if i >= 0])
        vectors = torch.zeros_like(positions)
        vectors[own] = positions[own].mean(0) - positions[own]
        one = pairs[:, e : e + 1]
        near = center_coherency(3 * vectors, positions, offsets, indices, one)
        away = center_coherency(-vectors, positions, offsets, indices, one)
        torch.testing.assert_close(torch.cat([near, away]), torch.tensor([1.0, -1.0]))


def test_is_the_mean_of_cosines_with_unit_vectors_to_centers() -> None:
    vectors, positions, offsets, indices, _ = case(60, 5, 0, 3)
    groups = torch.empty(60).long()
    groups[indices] = torch.arange(5).repeat_interleave(offsets.diff())
    target, known = to_centers(positions, groups, 5)
    cosine = (torch.nn.functional.normalize(vectors, dim=1) * target).sum(1)
    alone = torch.stack([torch.arange(5), torch.full((5,), -1)])
    expected = torch.stack([cosine[(groups == i) & known].mean() for i in range(5)])
    torch.testing.assert_close(center_coherency(vectors, positions, offsets, indices, alone), expected)


def test_turning_and_moving_changes_nothing() -> None:
    vectors, positions, *sets = case(50, 4, 9, 5)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))
    moved = center_coherency(vectors @ turn.T, positions @ turn.T + 2, *sets)
    torch.testing.assert_close(moved, center_coherency(vectors, positions, *sets), atol=1e-5, rtol=0)


def test_what_has_no_direction() -> None:
    positions = torch.tensor([[1.0, 2, 3], [1, 2, 3], [0, 0, 0], [2, 0, 0]])
    offsets, indices = torch.tensor([0, 2, 4, 4]), torch.arange(4)
    pairs = torch.tensor([[0, 1, 2, 2, 1], [-1, -1, -1, 1, 0]])
    vectors = torch.tensor([[1.0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]])
    found = center_coherency(vectors, positions, offsets, indices, pairs)
    # All on the centre; one of two vectors agrees and one is zero; nothing; that again.
    torch.testing.assert_close(found[:4], torch.tensor([0.0, 0.5, 0.0, 0.5]))


def test_meets_the_kit() -> None:
    some = case(3000, 40, 600, 1)
    kit.check_deterministic(OP, *some)
    kit.check_layouts(OP, *some)
    kit.check_registration(OP, *case(50, 4, 9, 2))
    kit.check_in_forked_worker(lambda: OP.run(*some))
    nothing = center_coherency(*case(0, 0, 0, 0))
    assert nothing.shape == (0,)


def test_what_names_no_set_or_point_is_refused() -> None:
    vectors, positions, offsets, indices, pairs = case(20, 3, 4, 0)
    with pytest.raises(ValueError, match=r"indices must name points in \[0, 20\)"):
        center_coherency(vectors, positions, offsets, indices + 1, pairs)
    with pytest.raises(ValueError, match=r"pairs must name sets in \[0, 3\) or be -1"):
        center_coherency(vectors, positions, offsets, indices, pairs + 3)
    for wrong in (offsets + 1, offsets[:-1], offsets.flip(0), offsets[:0]):
        with pytest.raises(ValueError, match="offsets must ascend from 0 to the number of indices, 20"):
            center_coherency(vectors, positions, wrong, indices, pairs.clamp(max=0))

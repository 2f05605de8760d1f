"""Overlap of boxes along the axes, and suppression by it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gestalt3d.ops import aligned_boxes as module
from gestalt3d.ops.aligned_boxes import aligned_iou, suppressed, suppressed_reference
from tests.ops import kit

OP = kit.Op(module._op, suppressed_reference, module._op)


def boxes(n: int, seed: int = 0, *, lattice: bool = False) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    centre, size = 3 * torch.rand(n, 3, generator=g), torch.rand(n, 3, generator=g) * 1.5
    made = torch.cat([centre, size], dim=1)
    return made.round() if lattice else made


def in_unit_cells(box: torch.Tensor) -> set[tuple[int, ...]]:
    """Of a box with whole corners."""
    low = (box[:3] - box[3:] / 2).long()
    x, y, z = (range(int(a), int(a + b)) for a, b in zip(low, box[3:], strict=True))
    return {(i, j, k) for i in x for j in y for k in z}


@kit.quick()
@given(st.integers(0, 2**16))
def test_the_share_is_that_of_cells(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    corner, size = torch.randint(0, 4, (5, 3), generator=g), torch.randint(0, 4, (5, 3), generator=g)
    made = torch.cat([corner + size / 2, size], dim=1)
    cells = [in_unit_cells(box) for box in made]
    expected = [[len(a & b) / max(len(a | b), 1) for b in cells] for a in cells]
    torch.testing.assert_close(aligned_iou(made, made), torch.tensor(expected))


@kit.quick()
@given(st.integers(0, 60), st.integers(0, 2**16), st.booleans(), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_suppression_is_the_definition(n: int, seed: int, lattice: bool, most: float) -> None:
    made = boxes(n, seed, lattice=lattice)
    kit.check_equals_reference(OP, made, most)
    kit.check_equals_reference(OP, made.double(), most)


@kit.quick()
@given(st.integers(1, 40), st.integers(0, 2**16), st.sampled_from([0.1, 0.5]))
def test_what_is_kept_does_not_overlap_and_what_is_not_does(n: int, seed: int, most: float) -> None:
    made = boxes(n, seed)
    scores = torch.rand(n, generator=torch.Generator().manual_seed(seed)).mul(4).round() / 4  # some are equal
    kept = suppressed(made, scores, max_iou=most)
    ranked = torch.argsort(scores, descending=True, stable=True).tolist()
    assert [i for i in ranked if i in set(kept.tolist())] == kept.tolist()
    shares = aligned_iou(made, made)
    others = shares[kept][:, kept] - torch.eye(len(kept))
    assert bool((others <= most + 1e-6).all())
    for i in set(range(n)) - set(kept.tolist()):
        better = [k for k in kept.tolist() if ranked.index(k) < ranked.index(i)]
        assert float(shares[i, better].max()) >= most - 1e-6


def test_flat_boxes_share_nothing_and_all_stay() -> None:
    flat = torch.tensor([[0.0, 0, 0, 1, 1, 0], [0, 0, 0, 1, 1, 0]])
    assert torch.equal(aligned_iou(flat, flat), torch.zeros(2, 2))
    assert suppressed(flat, torch.ones(2), max_iou=0.5).tolist() == [0, 1]


def test_gradients_are_those_of_finite_differences() -> None:
    one, two = boxes(4).double(), boxes(3, 1).double()
    assert torch.autograd.gradcheck(aligned_iou, (one.requires_grad_(), two.requires_grad_()))


def test_determinism_layouts_registration_and_workers() -> None:
    args = (boxes(50), 0.25)
    kit.check_deterministic(OP, *args)
    kit.check_layouts(OP, *args)
    kit.check_in_forked_worker(lambda: OP.run(*args))


@pytest.mark.parametrize(
    ("made", "scores", "words"),
    [
        (-torch.ones(2, 6), torch.ones(2), "boxes have negative sizes"),
        (torch.full((1, 6), torch.nan), torch.ones(1), "must be finite"),
        (torch.ones(1, 6), torch.full((1,), torch.inf), "must be finite"),
    ],
)
def test_what_is_no_box_is_refused(made: torch.Tensor, scores: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        suppressed(made, scores, max_iou=0.5)

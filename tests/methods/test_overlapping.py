"""Suppression, and one labelling out of overlapping sets."""

import numpy as np
import pytest
import torch

from gestalt3d.methods import overlapping
from gestalt3d.methods.overlapping import Overlaps, apart, best_first, sizes_of, suppress, without_overlap
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import S3DIS


def sets(*members: list[int], size: int = 100) -> Sets:
    return Sets.of([torch.tensor(m, dtype=torch.int64) for m in members], size)


def as_sets(found: Sets) -> list[list[int]]:
    return [own.tolist() for own in found]


def test_order_is_by_score_then_size_then_number() -> None:
    scores, sizes = torch.tensor([0.5, 0.9, 0.5, 0.5]), torch.tensor([3, 1, 7, 3])
    assert best_first(scores, sizes).tolist() == [1, 2, 0, 3]


def test_suppression_drops_what_overlaps_a_kept_one_too_much() -> None:
    proposals = sets([0, 1, 2, 3], [1, 2, 3], [3, 4], [2, 3, 4, 5])
    order = torch.tensor([0, 1, 2, 3])
    # IoU with the first: 3/4, 1/5, 2/6; of the third with the fourth: 2/4.
    assert suppress(proposals, order, max_iou=0.5).tolist() == [0, 2, 3]
    assert suppress(proposals, order, max_iou=0.49).tolist() == [0, 2]
    assert suppress(proposals, order.flip(0), max_iou=0.49).tolist() == [3, 1]
    assert suppress(proposals, order, max_iou=0.75).tolist() == [0, 1, 2, 3]
    assert suppress(proposals, order[:0], max_iou=0.5).tolist() == []


def test_one_labelling_gives_each_voxel_to_the_first_that_holds_it() -> None:
    proposals = sets([0, 1, 2], [2, 3, 4], [0, 1, 2, 3], [5])
    found, kept = without_overlap(proposals, torch.tensor([0, 2, 1, 3]), min_rest=0.5, least=1)
    # Of the third set a quarter is left, of the second two thirds.
    assert kept.tolist() == [0, 1, 3] and as_sets(found) == [[0, 1, 2], [3, 4], [5]]
    found, kept = without_overlap(proposals, torch.tensor([0, 2, 1, 3]), min_rest=0.0, least=2)
    assert kept.tolist() == [0, 1]


def test_weights_count_as_so_many_elements() -> None:
    """Sets of weighted elements are what sets of as many unweighted ones are."""
    random = torch.Generator().manual_seed(0)
    weights = torch.randint(1, 5, (40,), generator=random)
    member = torch.rand(30, 40, generator=random) < 0.4
    each = torch.arange(40).repeat_interleave(weights)
    weighted = sets(*(row.nonzero()[:, 0].tolist() for row in member), size=40)
    plain = sets(*(row[each].nonzero()[:, 0].tolist() for row in member), size=len(each))
    assert torch.equal(sizes_of(weighted, weights), plain.sizes)
    order = torch.randperm(30, generator=random)
    for iou in (0.2, 0.3, 0.4):
        kept = suppress(plain, order, max_iou=iou)
        assert torch.equal(suppress(weighted, order, max_iou=iou, weights=weights), kept)
    assert 1 < len(kept) < 30
    parts, left = without_overlap(weighted, order, min_rest=0.3, least=10, weights=weights)
    expected, expected_left = without_overlap(plain, order, min_rest=0.3, least=10)
    assert torch.equal(left, expected_left) and torch.equal(sizes_of(parts, weights), expected.sizes)


def test_apart_leaves_each_element_to_the_best_that_has_it() -> None:
    found = Instances(
        masks=sets([0, 1, 2, 3], [2, 3, 4, 5], [3, 4], [8, 9], size=10),
        classes=torch.tensor([0, 1, 2, 3]),
        scores=torch.tensor([0.5, 0.9, 0.4, 0.9]),
        vocabulary=S3DIS,
    )
    alone = apart(found)
    assert as_sets(alone.masks) == [[2, 3, 4, 5], [8, 9], [0, 1]] and alone.classes.tolist() == [1, 3, 0]
    assert apart(alone) == alone and not alone.masks.overlap
    assert len(apart(found[:0])) == 0
    assert apart(found, min_rest=0.6).classes.tolist() == [1, 3]


def test_overlaps_are_intersections_over_unions() -> None:
    found = [*Overlaps(sets([0, 1, 2, 3], [], [3, 4], [9])).of(np.arange(4))]
    assert [dict(zip(f.others.tolist(), f.iou.tolist(), strict=True)) for f in found] == [
        {0: 1.0, 2: 0.2}, {}, {0: 0.2, 2: 1.0}, {3: 1.0}
    ]  # fmt: skip


def test_a_bound_on_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = torch.Generator().manual_seed(0)
    member = torch.rand(300, 60, generator=random) < 0.1 + 0.8 * torch.rand(300, 1, generator=random) ** 4
    made = sets(*(row.nonzero()[:, 0].tolist() for row in member), size=60)
    order = torch.randperm(300, generator=random)
    expected = suppress(made, order, max_iou=0.3)
    assert 10 < len(expected) < 290
    for most in (1, 7, 1000):
        monkeypatch.setattr(overlapping, "_ROWS_AT_ONCE", most)
        assert torch.equal(suppress(made, order, max_iou=0.3), expected)

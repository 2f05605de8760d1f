"""Overlap tables: equal to counting by hand, whatever the ids look like."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gestalt3d.metrics.matching import Regions, compact, majority, overlaps_of_labels, overlaps_of_masks

LABELS = st.lists(
    st.tuples(st.integers(-1, 3), st.integers(-1, 4), st.integers(-1, 3), st.integers(-1, 4)),
    min_size=1,
    max_size=60,
)


@given(ids=st.lists(st.sampled_from([-5, -1, 0, 1, 7, 40_000, 2**40]), max_size=30))
@settings(max_examples=100, deadline=None)
def test_compact_numbers_distinct_ids_in_ascending_order(ids) -> None:
    values = np.array(ids, dtype=np.int64)
    distinct, position = compact(values)
    assert distinct.tolist() == sorted({i for i in ids if i >= 0})
    assert position.tolist() == [distinct.tolist().index(i) if i >= 0 else -1 for i in ids]


def test_majority_takes_the_smallest_of_equally_common_values() -> None:
    groups = np.array([0, 0, 0, 0, 1, 1, 1, -1, 3])
    values = np.array([5, 2, 5, 2, 9, 9, -1, 4, -1])
    assert majority(groups, values, 4).tolist() == [2, 9, -1, -1]


def _sets(labels: np.ndarray) -> list[set[int]]:
    return [set(np.flatnonzero(labels == i).tolist()) for i in sorted(set(labels[labels >= 0].tolist()))]


@given(rows=LABELS)
@settings(max_examples=100, deadline=None)
def test_overlaps_count_common_points(rows) -> None:
    gt_semantic, gt_instance, semantic, instance = np.array(rows, dtype=np.int64).T
    found = overlaps_of_labels(Regions.from_labels(gt_semantic, gt_instance), semantic, instance)
    truth = _sets(np.where(gt_semantic >= 0, gt_instance, -1))
    predicted = _sets(instance)
    unlabelled = set(np.flatnonzero(gt_semantic < 0).tolist())
    assert found.common.tolist() == [[len(p & t) for t in truth] for p in predicted]
    assert found.prediction_sizes.tolist() == [len(p) for p in predicted]
    assert found.region_sizes.tolist() == [len(t) for t in truth]
    assert found.unlabelled.tolist() == [len(p & unlabelled) for p in predicted]
    assert found.iou() == pytest.approx(
        np.array([[len(p & t) / len(p | t) for t in truth] for p in predicted]).reshape(found.common.shape)
    )


@given(
    masks=st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 11))), max_size=5),
    predicted=st.lists(st.sets(st.integers(0, 11)), max_size=4),
    unlabelled=st.sets(st.integers(0, 11), max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_regions_that_overlap_count_each(masks, predicted, unlabelled) -> None:
    labelled = np.array([k not in unlabelled for k in range(12)])

    def rows(sets) -> tuple[np.ndarray, np.ndarray]:
        return np.cumsum([0, *map(len, sets)]), np.array([k for one in sets for k in sorted(one)], dtype=int)

    classes = np.array([c for c, _ in masks], dtype=int)
    regions = Regions.from_masks(*rows([own for _, own in masks]), classes, labelled)
    truth = [(c, own - unlabelled) for c, own in masks if own - unlabelled]
    zeros = np.zeros(len(predicted), dtype=int)
    found = overlaps_of_masks(regions, *rows(predicted), zeros, zeros + 1.0)
    assert found.common.tolist() == [[len(p & t) for _, t in truth] for p in predicted]
    assert found.region_sizes.tolist() == [len(t) for _, t in truth]
    assert found.region_classes.tolist() == [c for c, _ in truth]
    # The same by labels, which give every point to one prediction.
    instance = np.full(12, -1)
    for i, own in enumerate(predicted):
        instance[sorted(own)] = i
    by_label = overlaps_of_labels(regions, np.zeros(12, dtype=int), instance)
    assert by_label.common.tolist() == [[len(p & t) for _, t in truth] for p in _sets(instance)]


@pytest.mark.parametrize(
    ("offsets", "indices", "words"),
    [
        ([0, 2], [1], "need offsets from 0 to 1"),
        ([0, 1], [7], r"must lie in \[0, 4\)"),
        ([1, 1], [0], "need offsets"),
    ],
)
def test_what_is_no_masks_is_refused(offsets, indices, words) -> None:
    with pytest.raises(ValueError, match=words):
        Regions.from_masks(np.array(offsets), np.array(indices), np.array([0]), np.ones(4, dtype=bool))


@given(rows=LABELS)
@settings(max_examples=50, deadline=None)
def test_masks_of_a_labelling_give_the_same_overlaps(rows) -> None:
    gt_semantic, gt_instance, semantic, instance = np.array(rows, dtype=np.int64).T
    regions = Regions.from_labels(gt_semantic, gt_instance)
    by_label = overlaps_of_labels(regions, semantic, instance)
    masks = [sorted(s) for s in _sets(instance)]
    offsets = np.cumsum([0, *map(len, masks)])
    indices = np.array([i for mask in masks for i in mask], dtype=np.int64)
    by_mask = overlaps_of_masks(
        regions, offsets, indices, by_label.prediction_classes, by_label.prediction_scores
    )
    for name in ("prediction_sizes", "unlabelled", "common", "region_classes"):
        assert np.array_equal(getattr(by_label, name), getattr(by_mask, name)), name


def test_wrong_lengths_are_named() -> None:
    with pytest.raises(ValueError, match="semantic has 2 points and instance 3"):
        Regions.from_labels(np.zeros(2, dtype=int), np.zeros(3, dtype=int))
    with pytest.raises(ValueError, match=r"must be integers \(n,\)"):
        Regions.from_labels(np.zeros(2), np.zeros(2, dtype=int))
    regions = Regions.from_labels(np.zeros(3, dtype=int), np.zeros(3, dtype=int))
    with pytest.raises(ValueError, match="2 classes need 3 offsets"):
        overlaps_of_masks(regions, np.array([0, 1]), np.array([0]), np.zeros(2, dtype=int), np.ones(2))
    with pytest.raises(ValueError, match="3 points, but 2 predicted"):
        overlaps_of_labels(regions, np.zeros(2, dtype=int), np.zeros(2, dtype=int))

"""The S3DIS rule and the semantic scores, computed by hand."""

import numpy as np
import pytest

from gestalt3d.metrics.coverage import coverage
from gestalt3d.metrics.matching import Regions, overlaps_of_labels, overlaps_of_masks
from gestalt3d.metrics.semantic import confusion, semantic


def _room(*runs: tuple[int, int, int, int, int]):
    """Runs of (points, true class, true id, predicted class, predicted id)."""
    points = [run[0] for run in runs]
    gt_semantic, gt_instance, pred_semantic, pred_instance = (
        np.repeat([run[k] for run in runs], points) for k in range(1, 5)
    )
    return overlaps_of_labels(Regions.from_labels(gt_semantic, gt_instance), pred_semantic, pred_instance)


def test_coverage_and_weighted_coverage() -> None:
    room = _room((30, 0, 0, 0, 0), (10, 0, 0, 0, -1), (5, 0, 1, 0, 1), (5, 0, 1, 0, -1))
    found = coverage([room], num_classes=1)
    assert found.cov[0] == pytest.approx((0.75 + 0.5) / 2)
    assert found.wcov[0] == pytest.approx(0.75 * 40 / 50 + 0.5 * 10 / 50)
    assert (found.precision[0], found.recall[0]) == (1, 1)


def test_coverage_is_averaged_over_scans_but_precision_is_pooled() -> None:
    one = _room((10, 0, 0, 0, 0))
    three = _room((10, 0, 0, 0, -1), (10, 0, 1, 0, 0), (10, 0, 2, 0, -1))
    found = coverage([one, three, _room((10, 1, 0, 1, 0))], num_classes=2)
    assert found.cov[0] == pytest.approx((1 + 1 / 3) / 2)
    assert found.precision[0] == 1
    assert found.recall[0] == pytest.approx(2 / 4)
    assert (found.num_true[0], found.num_predicted[0]) == (4, 2)


def test_instances_match_inside_their_class_only() -> None:
    found = coverage([_room((10, 0, 0, 1, 0))], num_classes=2)
    assert (found.cov[0], found.recall[0], found.precision[1]) == (0, 0, 0)
    assert np.isnan([found.precision[0], found.cov[1], found.recall[1]]).all()


def test_region_is_matched_once() -> None:
    """Two predictions cover exactly one half each: IoU .5 twice, one match."""
    found = coverage([_room((10, 0, 0, 0, 0), (10, 0, 0, 0, 1))], num_classes=1)
    assert (found.cov[0], found.precision[0], found.recall[0]) == (0.5, 0.5, 1)


def test_prediction_is_matched_once() -> None:
    found = coverage([_room((10, 0, 0, 0, 0), (10, 0, 1, 0, 0))], num_classes=1)
    assert (found.cov[0], found.precision[0], found.recall[0]) == (0.5, 1, 0.5)


def test_prediction_over_two_halves_leaves_one_to_the_next() -> None:
    regions = Regions.from_labels(np.zeros(40, dtype=int), np.repeat([0, 1], 20))
    both, half = np.arange(40), np.arange(20, 30)
    masks = np.array([0, 40, 50]), np.concatenate([both, half])
    found = coverage([overlaps_of_masks(regions, *masks, np.zeros(2, dtype=int), np.ones(2))], num_classes=1)
    assert (found.precision[0], found.recall[0]) == (1, 1)


def test_unlabelled_points_are_taken_out_of_predictions() -> None:
    found = coverage([_room((10, 0, 0, 0, 0), (90, -1, 5, 0, 0), (50, -1, -1, 0, 1))], num_classes=1)
    assert (found.cov[0], found.precision[0], int(found.num_predicted[0])) == (1, 1, 1)


def test_points_without_instance_form_no_region_but_widen_predictions() -> None:
    found = coverage([_room((10, 0, 0, 0, 0), (10, 0, -1, 0, 0))], num_classes=1)
    assert (found.cov[0], int(found.num_true[0])) == (0.5, 1)


def test_semantic_scores() -> None:
    truth = np.array([0, 0, 0, 1, 1, -1, 9, 3])
    predicted = np.array([0, 0, 1, 1, -1, 0, 1, 2])
    counts = confusion(truth, predicted, num_classes=4)
    assert counts.tolist() == [[2, 1, 0, 0, 0], [0, 1, 0, 0, 1], [0] * 5, [0, 0, 1, 0, 0]]
    scores = semantic(counts)
    assert scores.overall_accuracy == pytest.approx(3 / 6)
    assert scores.accuracy == pytest.approx([2 / 3, 1 / 2, np.nan, 0], nan_ok=True)
    assert scores.iou == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert np.isnan(semantic(np.zeros((2, 3), dtype=np.int64)).iou).all()

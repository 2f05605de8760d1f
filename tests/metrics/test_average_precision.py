"""ScanNet's rule on scenes small enough to compute by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gestalt3d.metrics.average_precision import area_under_curve, average_precision, class_agnostic, recovery
from gestalt3d.metrics.matching import Overlaps, Regions, overlaps_of_masks


def _scan(
    truth: list[tuple[int, int]], predictions: list[tuple[int, float, list[tuple[int, int]]]], void: int = 0
) -> Overlaps:
    """`truth`: class and size of regions in a row, then void; `predictions`: class, score, runs of points."""
    sizes = [size for _, size in truth]
    instance = np.append(np.repeat(np.arange(len(truth)), sizes), np.full(void, -1)).astype(np.int64)
    semantic = np.append(np.repeat([c for c, _ in truth], sizes), np.full(void, -1)).astype(np.int64)
    masks = [np.concatenate([np.arange(a, b) for a, b in runs]) for _, _, runs in predictions]
    return overlaps_of_masks(
        Regions.from_labels(semantic, instance),
        np.cumsum([0, *map(len, masks)]),
        np.concatenate([np.zeros(0, dtype=np.int64), *masks]),
        np.array([c for c, _, _ in predictions], dtype=np.int64),
        np.array([s for _, s, _ in predictions], dtype=np.float64),
    )


def _ap(*scans: Overlaps, classes=(0,)) -> tuple[float, float, float]:
    result = average_precision(scans, classes=classes)
    return result.ap, result.ap50, result.ap25


def test_exact_masks_score_one() -> None:
    assert _ap(_scan([(0, 150), (0, 100)], [(0, 0.9, [(0, 150)]), (0, 0.8, [(150, 250)])])) == (1, 1, 1)


def test_class_without_regions_is_undefined_and_without_predictions_is_zero() -> None:
    result = average_precision([_scan([(0, 100)], [(1, 0.9, [(0, 100)])])], classes=(0, 1))
    assert result.per_class[0] == 0
    assert math.isnan(result.per_class[1])
    assert result.ap == 0


def test_curve_is_not_enveloped() -> None:
    """A wrong prediction above the only right one: trapezoid from (0, 1) over (0, 0) to (1, .5)."""
    scan = _scan([(0, 200), (1, 300)], [(0, 0.9, [(200, 500)]), (0, 0.8, [(0, 200)])])
    assert _ap(scan, classes=(0, 1))[1] == pytest.approx((0.25 + 0.0) / 2)


def test_equal_scores_are_one_point_of_the_curve() -> None:
    scan = _scan([(0, 200), (1, 300)], [(0, 0.8, [(200, 500)]), (0, 0.8, [(0, 200)])])
    assert average_precision([scan], classes=(0, 1)).per_class_50[0] == pytest.approx((1 + 0.5) / 2)


def test_iou_at_a_threshold_is_no_match() -> None:
    """IoU 12/20 passes .50 and .55, not .60: two of nine thresholds."""
    ap, ap50, ap25 = _ap(_scan([(0, 200)], [(0, 0.9, [(0, 120)])]))
    assert (ap50, ap25) == (1, 1)
    assert ap == pytest.approx(2 / 9)


def test_small_regions_and_predictions_do_not_count() -> None:
    small = _scan([(0, 99), (0, 200)], [(0, 0.9, [(0, 99)]), (0, 0.95, [(0, 90)]), (0, 0.8, [(99, 299)])])
    assert _ap(small) == (1, 1, 1)
    assert math.isnan(_ap(_scan([(0, 99)], [(0, 0.9, [(0, 99)])]))[0])
    of_hundred_and_one = _scan([(0, 101), (0, 200)], [(0, 0.9, [(0, 101)]), (0, 0.8, [(101, 301)])])
    assert _ap(of_hundred_and_one) == (1, 1, 1)


def test_prediction_on_a_small_region_is_neither_right_nor_wrong() -> None:
    scan = _scan([(0, 90), (0, 200), (1, 200)], [(0, 0.9, [(0, 90), (290, 320)]), (0, 0.8, [(90, 290)])])
    assert _ap(scan)[1] == 1


@pytest.mark.parametrize(("on_small", "expected"), [(60, 0.25), (61, 1.0)])
def test_unmatched_prediction_is_ignored_when_more_than_half_is_on_a_small_region(on_small, expected) -> None:
    """IoU with the region of 99 is below .4, so nothing matches; at 60 of 120 points it is wrong."""
    wrong = (0, 0.9, [(99 - on_small, 99 + 120 - on_small)])
    scan = _scan([(0, 99), (1, 200), (0, 200)], [wrong, (0, 0.8, [(299, 499)])])
    assert average_precision([scan], classes=(0, 1)).per_class_50[0] == pytest.approx(expected)


@pytest.mark.parametrize(("void", "expected"), [(100, 0.25), (101, 1.0)])
def test_unmatched_prediction_is_ignored_when_more_than_half_is_void(void, expected) -> None:
    wrong = (0, 0.9, [(400 - (200 - void), 400 + void)])
    scan = _scan([(0, 200), (1, 200)], [wrong, (0, 0.8, [(0, 200)])], void=200)
    result = average_precision([scan], classes=(0, 1))
    assert result.per_class_50[0] == pytest.approx(expected)


def test_class_that_is_not_asked_for_is_void() -> None:
    scan = _scan([(0, 200), (1, 200)], [(0, 0.9, [(200, 400)]), (0, 0.8, [(0, 200)])])
    assert _ap(scan, classes=(0,)) == (1, 1, 1)


def test_best_score_of_several_detections_is_right() -> None:
    """The better-scored has the lower IoU. The duplicate ranks below, where recall grows no more."""
    scan = _scan([(0, 200)], [(0, 0.5, [(0, 200)]), (0, 0.9, [(0, 150)])])
    assert _ap(scan)[1] == 1
    assert recovery([scan], classes=(0,)).coverage == 1


def test_class_whose_predictions_are_all_ignored_scores_zero() -> None:
    assert _ap(_scan([(0, 200)], [(0, 0.9, [(200, 400)])], void=200)) == (0, 0, 0)


def test_prediction_over_two_regions_is_used_once() -> None:
    """Below IoU .5 one mask reaches two regions; it may be right for one of them only."""
    both = (0, 0.8, [(0, 400)])
    scan = _scan([(0, 200), (0, 200)], [(0, 0.9, [(0, 200)]), both])
    assert _ap(scan)[2] == 1
    worse = _scan([(0, 200), (0, 200)], [(0, 0.7, [(0, 200)]), both])
    # `both` takes the first of two equal regions, which the exact mask then finds taken.
    assert _ap(worse)[2] == pytest.approx(0.5)


def test_scans_are_pooled_before_the_curve() -> None:
    good = _scan([(0, 200)], [(0, 0.5, [(0, 200)])])
    bad = _scan([(0, 200), (1, 200)], [(0, 0.9, [(200, 400)])])
    result = average_precision([good, bad], classes=(0, 1))
    # wrong at .9, then right at .5, two positives: (0, 1), (0, 0), (.5, .5)
    assert result.per_class_50[0] == pytest.approx(0.5 * 0.5 / 2)


@given(
    decisions=st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=12),
    missed=st.integers(0, 3),
)
@settings(max_examples=200, deadline=None)
def test_area_is_the_trapezoid_rule_over_distinct_scores(decisions, missed) -> None:
    positives = sum(right for _, right in decisions) + missed
    scores = np.array([s for s, _ in decisions], dtype=np.float64)
    right = np.array([r for _, r in decisions])
    area = area_under_curve(scores, right, positives)
    if not positives:
        assert math.isnan(area)
        return
    curve = [(0.0, 1.0)]
    for threshold in sorted({s for s, _ in decisions}, reverse=True):
        kept = right[scores >= threshold]
        curve.append((kept.sum() / positives, kept.sum() / len(kept)))
    assert area == pytest.approx(sum((r1 - r0) * (p1 + p0) / 2 for (r0, p0), (r1, p1) in pairwise(curve)))


@given(order=st.permutations(range(8)), seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_order_of_predictions_does_not_matter(order, seed) -> None:
    rng = np.random.default_rng(seed)
    predictions = []
    for i in range(8):
        start = int(rng.integers(0, 500))
        predictions.append((0, 0.1 + 0.1 * i, [(start, start + int(rng.integers(100, 400)))]))
    truth = [(0, 150), (0, 250), (0, 90), (0, 200), (1, 300)]
    assert _ap(_scan(truth, predictions)) == _ap(_scan(truth, [predictions[i] for i in order]))


def test_class_agnostic_scores_take_structure_as_void() -> None:
    """Class 2 is structure: a mask of it that says so is left out, one that calls it an object is ignored."""
    truth = [(0, 200), (1, 200), (2, 400)]
    structure = np.array([False, False, True])
    predictions = [(1, 0.9, [(0, 200)]), (0, 0.8, [(200, 400)]), (2, 1.0, [(0, 300)]), (0, 1.0, [(400, 800)])]
    scan = class_agnostic(
        _scan(truth, predictions), region_structure=structure, prediction_structure=structure
    )
    assert _ap(scan) == (1, 1, 1)
    found = recovery([scan], classes=(0,))
    assert (found.recall50, found.coverage) == (1, 1)


def test_recall_and_coverage_count_large_regions() -> None:
    scan = _scan([(0, 200), (0, 100), (0, 99)], [(0, 0.1, [(0, 150)]), (0, 0.1, [(200, 250)])])
    found = recovery([scan], classes=(0,))
    # The second mask has 50 points, too few to count.
    assert found.recall50 == 0.5
    assert found.coverage == pytest.approx(0.75 / 2)
    half = _scan([(0, 200)], [(0, 0.1, [(0, 100)])])
    assert (recovery([half], classes=(0,)).recall50, recovery([half], classes=(0,)).coverage) == (0, 0.5)
    assert math.isnan(recovery([], classes=(0,)).recall50)

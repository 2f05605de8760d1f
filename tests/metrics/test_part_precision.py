"""PartNet's average precision on cases small enough for paper."""

import numpy as np
import pytest

from gestalt3d.metrics.matching import Overlaps
from gestalt3d.metrics.part_files import Prediction, Truth, overlaps_of_parts
from gestalt3d.metrics.part_precision import area_under_envelope, part_precision


def shape(
    truth: list[tuple[range, int]],
    found: list[tuple[range, int, float]],
    *,
    points: int = 100,
    other: range = range(0),
) -> Overlaps:
    """Parts as (points, class) and predictions as (points, class, score)."""

    def masks(sets: list[range]) -> np.ndarray:
        rows = np.zeros((len(sets), points), dtype=bool)
        for row, chosen in zip(rows, sets, strict=True):
            row[list(chosen)] = True
        return rows

    return overlaps_of_parts(
        Truth(
            masks([t[0] for t in truth]), np.array([t[1] for t in truth], dtype=np.int64), masks([other])[0]
        ),
        Prediction(
            masks([f[0] for f in found]),
            np.array([f[1] for f in found], dtype=np.int64),
            np.array([f[2] for f in found], dtype=np.float64),
        ),
    )


def test_right_wrong_right_of_two_parts() -> None:
    # Precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1; at or beyond .51 … 1 the best is 2/3, at 0 … .5 it is 1.
    area = area_under_envelope(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), 2)
    assert area == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_without_anything_right_one_recall_of_101_has_precision_1() -> None:
    assert area_under_envelope(np.array([0.5]), np.array([False]), 3) == pytest.approx(1 / 101)
    assert area_under_envelope(np.zeros(0), np.zeros(0, dtype=bool), 3) == 0
    assert np.isnan(area_under_envelope(np.array([0.5]), np.array([False]), 0))


@pytest.mark.parametrize("right", [35, 47, 57, 69, 94])
def test_recalls_on_the_grid_count(right: int) -> None:
    """0.35 of NumPy's arange is 0.35000000000000003: compared as floats, 35 of 100 would miss it."""
    area = area_under_envelope(np.arange(100, 0, -1.0), np.arange(100) < right, 100)
    assert area == pytest.approx((right + 1) / 101)


def test_an_iou_must_lie_above_the_threshold() -> None:
    truth = [(range(10), 0)]
    half, more = [(range(20), 0, 1.0)], [(range(19), 0, 1.0)]
    assert part_precision([shape(truth, half)], num_classes=1).mean == pytest.approx(1 / 101)
    assert part_precision([shape(truth, more)], num_classes=1).mean == 1
    assert part_precision([shape(truth, half)], num_classes=1, threshold=0.25).mean == 1


def test_points_of_no_part_leave_the_predictions() -> None:
    truth = [(range(10), 0)]
    assert part_precision([shape(truth, [(range(60), 0, 1.0)], other=range(10, 60))], num_classes=1).mean == 1
    # One of such points alone is wrong all the same, and being first it halves the precision of the other.
    found = [(range(20, 30), 0, 0.9), (range(10), 0, 0.8)]
    area = part_precision([shape(truth, found, other=range(10, 60))], num_classes=1).mean
    assert area == pytest.approx((1 + 100 / 2) / 101)


def test_a_part_is_taken_once_by_the_best_score() -> None:
    truth = [(range(10), 0)]
    found = [(range(10), 0, 0.3), (range(9), 0, 0.9), (range(10), 1, 1.0)]
    result = part_precision([shape(truth, found)], num_classes=2)
    assert result.per_class[0] == 1 and np.isnan(result.per_class[1])
    assert result.num_true.tolist() == [1, 0]


def test_classes_of_a_shape_count_where_true_or_found() -> None:
    with_two = shape([(range(10), 0), (range(10, 20), 1)], [(range(10), 0, 1.0), (range(30, 40), 2, 1.0)])
    nothing = shape([], [])
    result = part_precision([with_two, nothing], num_classes=4)
    # Class 0 is right, class 1 is not found, class 2 is not there, class 3 neither.
    assert result.per_shape[0] == pytest.approx(1 / 3) and np.isnan(result.per_shape[1])
    assert result.shape_mean == pytest.approx(1 / 3) and result.mean == 0.5


def test_shapes_are_pooled_before_the_curve() -> None:
    right = shape([(range(10), 0)], [(range(10), 0, 0.2)])
    wrong = shape([(range(10), 0)], [(range(50, 60), 0, 0.9)])
    result = part_precision([right, wrong], num_classes=1)
    # Wrong, then right: precision 1/2 up to recall 1/2.
    assert result.mean == pytest.approx((1 + 50 / 2) / 101)
    assert result.shape_mean == pytest.approx((1 + 1 / 101) / 2)


def test_without_shapes_nothing_is_defined() -> None:
    result = part_precision([], num_classes=3)
    assert np.isnan(result.mean) and np.isnan(result.shape_mean) and result.num_true.tolist() == [0, 0, 0]

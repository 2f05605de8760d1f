"""COCO's average precision on cases small enough for paper, and against the rule in plain loops."""

from typing import NamedTuple

import numpy as np
import pytest

from gestalt3d.coco.runs import Runs
from gestalt3d.metrics.coco_precision import (
    THRESHOLDS,
    Found,
    Objects,
    Pairs,
    Precision,
    Range,
    match,
    overlapping,
    precision,
)

SIZE = (1, 100)


def strip(*pixels: int) -> np.ndarray:
    """A mask of one row; `strip(3, 7)` has the pixels from 3 to 6."""
    mask = np.zeros(SIZE, bool)
    mask[0, slice(*pixels)] = True
    return mask


def objects(masks: list[np.ndarray], **changes) -> Objects:
    """Of image and category 0 where nothing else is said."""
    count = len(masks)
    runs = Runs.from_masks(masks)
    given = {
        "photo": np.zeros(count, np.int64), "category": np.zeros(count, np.int64), "masks": runs,
        "areas": runs.areas.astype(float), "is_ignored": np.zeros(count, bool), "is_crowd": np.zeros(count, bool),
    }  # fmt: skip
    return Objects(**given | {key: np.array(value) for key, value in changes.items()})


def answers(masks: list[np.ndarray], scores: list[float], **changes) -> Found:
    given = {"photo": np.zeros(len(masks), np.int64), "category": np.zeros(len(masks), np.int64)}
    given |= {key: np.array(value) for key, value in changes.items()}
    return Found(**given, scores=np.array(scores, float), masks=Runs.from_masks(masks))


def scored(
    truth: Objects, found: Found, *, again: bool = False, left_out=None, categories: int = 1
) -> Precision:
    nowhere = np.zeros(len(found.scores), bool) if left_out is None else np.array(left_out)
    which = Range(truth.is_ignored, truth.is_ignored if again else truth.is_crowd, nowhere)
    matched = match(overlapping(truth, found), found, which)
    return precision(truth, found, which, matched, num_categories=categories, most=(1, 10, 100))


def test_right_wrong_right_of_two() -> None:
    truth = objects([strip(0, 10), strip(20, 30)])
    found = answers([strip(0, 10), strip(50, 60), strip(20, 30)], [0.9, 0.8, 0.7])
    result = scored(truth, found)
    # Precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1: at or beyond 0 … .5 the best is 1, beyond that 2/3.
    assert result.mean == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert (result.recall(1), result.recall(10)) == (0.5, 1.0)


@pytest.mark.parametrize(("length", "reached"), [(10, 10), (9, 9), (8, 7), (6, 3), (5, 1), (4, 0)])
def test_an_iou_equal_to_the_threshold_counts(length: int, reached: int) -> None:
    result = scored(objects([strip(0, 10)]), answers([strip(0, length)], [0.5]))
    assert (result.areas[:, 0] == 1).sum() == reached


def test_a_later_mask_is_left_without_what_a_better_scored_one_took() -> None:
    truth = objects([strip(0, 10), strip(10, 20)])
    found = answers([strip(0, 10), strip(0, 9)], [0.5, 0.9])
    # The mask of the higher score has IoU .9 with the first object; the exact one comes too late, but above .9.
    areas = scored(truth, found).areas[:, 0]
    assert areas[:9] == pytest.approx(51 / 101) and areas[9] == pytest.approx(51 / 2 / 101)


def test_equal_ious_take_the_later_object_and_equal_scores_go_by_the_file() -> None:
    truth = objects([strip(0, 10), strip(0, 10)])
    found = answers([strip(0, 10), strip(0, 10)], [0.5, 0.5])
    which = Range(truth.is_ignored, truth.is_crowd, np.zeros(2, bool))
    assert (match(overlapping(truth, found), found, which) == [[1], [0]]).all()


def test_an_ignored_object_is_taken_only_where_no_other_can_be() -> None:
    truth = objects([strip(0, 10), strip(0, 9)], is_ignored=[True, False])
    found = answers([strip(0, 10)], [0.5])
    which = Range(truth.is_ignored, truth.is_crowd, np.zeros(1, bool))
    assert match(overlapping(truth, found), found, which)[0].tolist() == [1] * 9 + [0]


def test_a_crowd_takes_any_number_of_masks_that_lie_in_it() -> None:
    truth = objects([strip(0, 50), strip(60, 70)], is_ignored=[True, False], is_crowd=[True, False])
    found = answers([strip(0, 5), strip(5, 10), strip(45, 55), strip(60, 70)], [0.9, 0.8, 0.7, 0.6])
    # Half of the third lies in the crowd: neither right nor wrong at .50, wrong above.
    areas = scored(truth, found).areas[:, 0]
    assert areas[0] == 1 and areas[1:] == pytest.approx(0.5)


def test_answers_on_what_is_not_asked_for_may_be_many() -> None:
    """By occlusion: an ignored object may be found twice."""
    truth = objects([strip(0, 10), strip(20, 30)], is_ignored=[True, False])
    found = answers([strip(0, 10), strip(0, 10), strip(20, 30)], [0.9, 0.8, 0.7])
    assert scored(truth, found).mean == pytest.approx(0.5)
    assert scored(truth, found, again=True).mean == 1
    assert scored(
        truth, answers([strip(50, 60), strip(20, 30)], [0.9, 0.8]), again=True
    ).mean == pytest.approx(0.5)


def test_what_is_left_out_is_no_mistake_unless_it_is_right() -> None:
    truth = objects([strip(0, 10)])
    found = answers([strip(50, 60), strip(0, 10)], [0.9, 0.8])
    assert scored(truth, found).mean == pytest.approx(0.5)
    assert scored(truth, found, left_out=[True, True]).mean == 1


def test_a_hundred_masks_of_an_image_and_category_count() -> None:
    truth = objects([strip(0, 10)])
    wrong = [strip(50, 60)] * 100
    assert scored(truth, answers([*wrong, strip(0, 10)], [0.9] * 100 + [0.1])).mean == 0
    assert scored(truth, answers([*wrong[1:], strip(0, 10)], [0.9] * 99 + [0.1])).mean == pytest.approx(0.01)
    two = objects([strip(0, 10), strip(0, 10)], photo=[0, 1])
    apart = answers([*wrong, strip(0, 10)], [0.9] * 100 + [0.1], photo=[0] * 100 + [1])
    assert scored(two, apart).recall() == 0.5


def test_categories_without_objects_are_undefined_and_without_answers_zero() -> None:
    truth = objects([strip(0, 10), strip(0, 10)], category=[0, 2])
    found = answers([strip(0, 10)] * 3, [0.5] * 3, category=[0, 1, -1])
    result = scored(truth, found, categories=4)
    assert result.areas[0, [0, 2]].tolist() == [1, 0] and np.isnan(result.areas[:, [1, 3]]).all()
    assert result.mean == 0.5 and result.num_true.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("right", [7, 14, 28, 29, 55, 56, 57, 58])
def test_recalls_on_the_grid_count(right: int) -> None:
    """.07 of NumPy's linspace is .07000000000000001: compared as floats, 7 of 100 would miss it."""
    masks = [strip(i, i + 1) for i in range(100)]
    found = answers(masks[:right], [1.0] * right)
    assert scored(objects(masks), found).mean == pytest.approx((right + 1) / 101)


def test_masks_of_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="different sizes"):
        overlapping(objects([strip(0, 10)]), answers([np.ones((2, 50))], [0.5]))


def test_nothing_on_either_side_is_allowed() -> None:
    assert np.isnan(scored(objects([]), answers([], [])).mean)
    assert np.isnan(scored(objects([]), answers([strip(0, 1)], [0.5])).mean)
    assert scored(objects([strip(0, 1)]), answers([], [])).mean == 0
    assert scored(objects([strip(0, 0)]), answers([strip(0, 0)], [1.0])).mean == 0


class _Case(NamedTuple):
    truth: Objects
    found: Found
    left_out: np.ndarray


def drawn(seed: int) -> _Case:
    """Three images, two categories; crowds, ignored objects, equal scores, several masks of an object."""
    rng = np.random.default_rng(seed)
    rows = []
    for photo in range(3):
        for _ in range(int(rng.integers(0, 7))):
            start, length = rng.integers(0, 70), rng.integers(4, 25)
            rows.append((photo, int(rng.integers(2)), int(start), int(start + length)))
    crowd = rng.random(len(rows)) < 0.15
    truth = objects(
        [strip(a, b) for _, _, a, b in rows],
        photo=np.array([row[0] for row in rows], np.int64),
        category=np.array([row[1] for row in rows], np.int64),
        is_ignored=crowd | (rng.random(len(rows)) < 0.15),
        is_crowd=crowd,
    )
    made = []
    for photo, category, a, b in rows:
        for _ in range(int(rng.integers(0, 4))):
            c, d = sorted((int(a + rng.integers(-2, 3)), int(b + rng.integers(-2, 3))))
            own = category if rng.random() < 0.9 else 1 - category
            made.append((photo, own, max(c, 0), d, round(float(rng.random()), 1)))
    order = rng.permutation(len(made))
    made = [made[i] for i in order]
    found = answers(
        [strip(a, b) for _, _, a, b, _ in made],
        [row[4] for row in made],
        photo=np.array([row[0] for row in made], np.int64),
        category=np.array([row[1] for row in made], np.int64),
    )
    return _Case(truth, found, rng.random(len(made)) < 0.3)


def in_loops(case: _Case, category: int, threshold: float) -> float:
    """Average precision of a category by the rule of the benchmark, one answer after the other."""
    truth, found, left_out = case
    decided = []
    for photo in range(3):
        own = [g for g in range(len(truth.photo)) if (truth.photo[g], truth.category[g]) == (photo, category)]
        own.sort(key=lambda g: truth.is_ignored[g])
        its = [d for d in range(len(found.photo)) if (found.photo[d], found.category[d]) == (photo, category)]
        taken: set[int] = set()
        for d in sorted(its, key=lambda d: -found.scores[d]):
            best, least = None, min(threshold, 1 - 1e-10)
            for g in own:
                if g in taken and not truth.is_crowd[g]:
                    continue
                if best is not None and not truth.is_ignored[best] and truth.is_ignored[g]:
                    break
                one, other = found.masks.mask(d), truth.masks.mask(g)
                whole = one.sum() if truth.is_crowd[g] else (one | other).sum()
                iou = (one & other).sum() / whole if whole else 0.0
                if iou >= least:
                    best, least = g, iou
            taken |= set() if best is None else {best}
            if not (left_out[d] if best is None else truth.is_ignored[best]):
                decided.append((found.scores[d], best is not None))
    decided.sort(key=lambda one: -one[0])
    positives = sum((truth.category == category) & ~truth.is_ignored)
    if not positives:
        return float("nan")
    right = np.cumsum([ok for _, ok in decided])
    total = 0.0
    for step in range(101):
        reached = [r / (i + 1) for i, r in enumerate(right) if r * 100 >= step * positives]
        total += max(reached, default=0.0)
    return total / 101


@pytest.mark.parametrize("seed", range(40))
def test_curves_are_those_of_the_rule_in_loops(seed: int) -> None:
    case = drawn(seed)
    result = scored(case.truth, case.found, left_out=case.left_out, categories=2)
    known = [[in_loops(case, category, t) for category in range(2)] for t in THRESHOLDS.tolist()]
    np.testing.assert_allclose(result.areas, known, atol=1e-12)


def test_pairs_below_the_threshold_are_not_listed() -> None:
    truth, found = objects([strip(0, 10), strip(90, 99)]), answers([strip(0, 6), strip(0, 4)], [0.5, 0.5])
    assert overlapping(truth, found) == Pairs(np.array([0]), np.array([0]), pytest.approx(np.array([0.6])))
    assert overlapping(truth, found, least=0.0).iou.tolist() == pytest.approx([0.6, 0.4])

"""Whole objects by hand: blocks of voxels in a row, of which the image shows a part."""

import json

import numpy as np
import pytest

from gestalt3d.metrics.amodal import FIGURES, AmodalEvaluator, WholeAnswer, WholeTruth
from gestalt3d.metrics.voxel_masks import VoxelSets, voxel_iou
from gestalt3d.structures.vocabulary import DSS19

EDGE = 0.05
CHAIR, TABLE, BED = (DSS19.id(name) for name in ("chair", "table", "bed"))


def bar(first: int, length: int, *, y: int = 0) -> np.ndarray:
    """Voxels in a row along x."""
    return np.array([(x, y, 0) for x in range(first, first + length)], np.int64).reshape(-1, 3)


def box(first: float, length: float, *, y: float = 0) -> list[float]:
    """Around such a bar."""
    return [EDGE * (first + length / 2), EDGE * (y + 0.5), EDGE / 2, EDGE * length, EDGE, EDGE, 0]


def truth(bars: list[np.ndarray], shown: list[int], classes: list[int] | None = None) -> WholeTruth:
    """Of each the first `shown` voxels are visible."""
    return WholeTruth(
        np.array(classes or [CHAIR] * len(bars), np.int64),
        bars,
        [np.arange(len(b)) < s for b, s in zip(bars, shown, strict=True)],
        np.array([box(int(b[0, 0]), len(b), y=int(b[0, 1])) for b in bars], np.float64).reshape(-1, 7),
    )


def answer(
    bars: list[np.ndarray] | None,
    boxes: list[list[float]] | None = None,
    *,
    scores: list[float] | None = None,
    classes: list[int] | None = None,
) -> WholeAnswer:
    count = len(bars if bars is not None else boxes or [])
    return WholeAnswer(
        np.array(classes or [CHAIR] * count, np.int64),
        np.array(scores or [1.0] * count, np.float64),
        bars,
        None if boxes is None else np.array(boxes, np.float64).reshape(-1, 7),
    )


def pooled(*frames: tuple[WholeTruth, WholeAnswer], class_agnostic: bool = False) -> dict:
    evaluator = AmodalEvaluator(DSS19, class_agnostic=class_agnostic)
    for i, (there, found) in enumerate(frames):
        evaluator.add(str(i), there, found)
    return evaluator.results()["pooled"]


def test_sets_share_what_they_have_in_common() -> None:
    rng = np.random.default_rng(0)
    one = [rng.integers(-6, 6, (n, 3)) for n in (0, 1, 40, 300)]
    other = [rng.integers(-6, 6, (n, 3)) for n in (200, 0, 5)]
    a, b = VoxelSets.of(one), VoxelSets.of(other)
    plain = [[{*map(tuple, v.tolist())} for v in sets] for sets in (one, other)]
    assert a.common(b).tolist() == [[len(x & y) for y in plain[1]] for x in plain[0]]
    assert a.sizes.tolist() == [len(x) for x in plain[0]]
    assert b.common(a).tolist() == a.common(b).T.tolist()
    iou = voxel_iou(a.common(b), a.sizes, b.sizes)
    assert iou[3, 0] == len(plain[0][3] & plain[1][0]) / len(plain[0][3] | plain[1][0])
    assert iou[0, 1] == 0 and VoxelSets.of([]).common(a).shape == (0, 4)
    inside = a.within(b)
    assert a.where(inside).sizes.tolist() == [len(x & set().union(*plain[1])) for x in plain[0]]


def test_voxels_far_away_are_refused() -> None:
    with pytest.raises(ValueError, match="set 1 must lie within"):
        VoxelSets.of([bar(0, 1), bar(1 << 20, 1)])


def test_the_truth_itself_is_perfect() -> None:
    there = truth([bar(0, 10), bar(20, 10), bar(40, 10)], [4, 10, 0])
    found = answer(list(there.voxels or ()), [*np.asarray(there.boxes).tolist()])
    figures = pooled((there, found))
    assert {name: figures[name] for name in FIGURES} == dict.fromkeys(FIGURES, 100)
    assert figures["class_agnostic"] == dict.fromkeys(FIGURES, 100) | {"n_gt": 3}
    assert figures["n_gt"] == 3 and figures["per_class"]["chair"]["n_gt"] == 3
    assert figures["per_class"]["bed"] == dict.fromkeys(FIGURES, None) | {"n_gt": 0}
    whole = figures["whole"]
    assert whole["objects"] == whole["found"] == 3
    assert whole["invisible_iou"] == whole["invisible_iou_all"] == whole["box_iou"] == 100


def test_three_objects_reach_either_order_of_the_figures() -> None:
    """A mean over thresholds may lie above or below the value at one of them."""
    there = truth([bar(0, 10), bar(20, 10), bar(40, 10)], [5, 5, 5])
    # IoU .3, .6 and 1: three are found at the first two of eleven thresholds, two at the next six, one at the last three.
    falling = pooled((there, answer([bar(0, 3), bar(20, 6), bar(40, 10)])))
    assert falling["AP2"] == pytest.approx(100) and falling["AP4"] == pytest.approx(100 * 4 / 9)
    assert falling["AP"] == pytest.approx(100 * (2 * 1 + 6 * 4 / 9 + 3 * 1 / 9) / 11)
    assert falling["AP2"] > falling["AP"] > falling["AP4"]
    # IoU .3, .5 and .5: two are found at the next four, none at the last five.
    late = pooled((there, answer([bar(0, 3), bar(20, 5), bar(40, 5)], scores=[0.1, 0.9, 0.8])))
    assert late["AP"] == pytest.approx(100 * (2 * 1 + 4 * 2 / 3) / 11)
    assert late["AP2"] > late["AP4"] == pytest.approx(100 * 2 / 3) and late["AP4"] > late["AP"]


def test_average_precision_of_masks_by_hand() -> None:
    there = truth([bar(0, 10), bar(20, 10)], [5, 5])
    found = answer([bar(0, 10), bar(20, 5), bar(60, 3)], scores=[0.5, 0.9, 0.7])
    figures = pooled((there, found))
    # At .25 and .50: right, wrong, right. Above .50 the first is wrong, and of three answers the last is right.
    assert figures["AP2"] == figures["AP4"] == pytest.approx(100 * (0.5 + 0.5 * 2 / 3))
    assert figures["AP"] == pytest.approx((6 * figures["AP4"] + 5 * 100 * (0.5 / 3)) / 11)
    assert figures["APr full"] == figures["AP4"]


def test_hidden_voxels_alone_count_in_apr() -> None:
    # Both answers have all that is visible; of the hidden halves one has 1 of 5, the other 4 of 5.
    there = truth([bar(0, 10), bar(20, 10)], [5, 5])
    found = answer([bar(0, 6), bar(20, 9)], scores=[0.9, 0.8])
    figures = pooled((there, found))
    assert figures["AP2"] == 100
    assert figures["APr"] == pytest.approx(100 * 0.5 * 0.5)
    assert figures["whole"]["invisible_iou"] == pytest.approx(100 * (1 / 5 + 4 / 5) / 2)


def test_what_shows_all_of_itself_need_not_be_found_in_apr() -> None:
    there = truth([bar(0, 10), bar(20, 20)], [5, 20])
    only = pooled((there, answer([bar(0, 10)])))
    assert only["APr"] == 100 and only["AP2"] == 50
    both = pooled((there, answer([bar(0, 10), bar(20, 20), bar(20, 25)], scores=[0.1, 0.9, 0.8])))
    assert both["APr"] == 100  # the second holds nothing hidden, the third is that of the object seen whole
    wrong = pooled((there, answer([bar(0, 10), bar(70, 9)], scores=[0.1, 0.9])))
    assert wrong["APr"] == pytest.approx(50)


def test_visible_voxels_of_any_object_are_left_out_of_apr_and_the_own_of_the_invisible_iou() -> None:
    """The answer to the first reaches over the visible part of the second."""
    there = truth([bar(0, 10), bar(10, 10)], [5, 5])
    figures = pooled((there, answer([bar(0, 15)])))
    assert (
        figures["APr"] == 50
    )  # of its ten hidden voxels five are seen of the other, five are those of the first
    assert figures["whole"]["invisible_iou"] == pytest.approx(100 * 5 / 10)


def test_apm_asks_for_box_and_voxels_within_it() -> None:
    there = truth([bar(0, 10)], [5])
    # The stray voxel lies out of the answer's box, and of the truth as much as is in it counts.
    stray = np.concatenate([bar(0, 5), bar(90, 30)])
    assert pooled((there, answer([stray], [box(0, 5)])))["APm"] == 100
    assert pooled((there, answer([stray], [box(0, 5)])))["AP2"] == 0
    assert pooled((there, answer([bar(0, 10)], [box(0, 2)])))["APm"] == 0  # box IoU of .2
    assert pooled((there, answer([bar(0, 4)], [box(0, 10)])))["APm"] == 0  # IoU of .4 in the box
    assert pooled((there, answer([bar(0, 5)], [box(0, 10)])))["APm"] == 100


def test_answers_with_one_of_both_have_the_figures_of_that() -> None:
    there = truth([bar(0, 10)], [5])
    masks = pooled((there, answer([bar(0, 10)])))
    assert [masks[name] for name in FIGURES] == [100, 100, 100, None, None, 100, 100, None, None]
    assert masks["whole"]["box_iou"] is None and masks["whole"]["box_iou_all"] is None
    boxes = pooled((there, answer(None, [box(0, 10)])))
    assert [boxes[name] for name in FIGURES] == [None, None, None, 100, 100, None, None, None, 100]
    assert boxes["whole"]["objects"] == 0 and boxes["n_gt"] == 1
    neither = pooled((there, WholeAnswer(np.array([CHAIR]), np.ones(1))))
    assert [neither[name] for name in FIGURES] == [None] * len(FIGURES)


def test_truths_with_boxes_alone() -> None:
    there = WholeTruth(np.array([CHAIR, -1]), boxes=np.array([box(0, 10), box(30, 10)]))
    figures = pooled((there, answer(None, [box(0, 10), box(30, 4)], classes=[CHAIR, BED], scores=[0.5, 0.9])))
    assert figures["APb"] == 100 and figures["APb50"] == 100 and figures["recallb"] == 100
    assert figures["class_agnostic"]["APb50"] == pytest.approx(100 * 0.5 * 0.5)
    assert figures["class_agnostic"]["recallb"] == 100 and figures["n_gt"] == 2
    assert figures["AP"] is None and figures["APm"] is None


def test_frames_without_an_answer_miss_their_objects() -> None:
    there = truth([bar(0, 10)], [5])
    found, none = answer([bar(0, 10)], [box(0, 10)]), WholeAnswer(np.zeros(0, np.int64), np.zeros(0))
    figures = pooled((there, found), (there, none))
    assert figures["AP2"] == figures["APb"] == figures["APr"] == figures["APm"] == figures["recallb"] == 50
    assert figures["whole"]["invisible_iou"] == 100 and figures["whole"]["invisible_iou_all"] == 50
    assert figures["whole"]["box_iou"] == 100 and figures["whole"]["box_iou_all"] == 50
    assert pooled((there, none))["AP"] is None


def test_objects_are_counted_by_what_is_hidden_of_them() -> None:
    there = truth([bar(0, 20), bar(30, 20), bar(60, 20), bar(90, 20)], [20, 15, 10, 0])
    found = answer([bar(0, 20), bar(60, 20), bar(95, 10)], [box(0, 20), box(60, 20), box(95, 10)])
    whole = pooled((there, found))["whole"]
    ranges = whole["hidden"]
    assert [*ranges] == ["0-25", "25-50", "50-75", "75-100"]
    assert [(r["objects"], r["found"]) for r in ranges.values()] == [(1, 1), (1, 0), (1, 1), (1, 1)]
    assert [r["invisible_iou"] for r in ranges.values()] == [None, None, 100, 50]
    assert [r["invisible_iou_all"] for r in ranges.values()] == [None, 0, 100, 50]
    assert [r["box_iou_all"] for r in ranges.values()] == pytest.approx([100, 0, 100, 50])
    assert whole["invisible_iou_all"] == pytest.approx(50) and whole["objects"] == 4


def test_objects_and_answers_are_matched_one_to_one_whatever_the_class_and_score() -> None:
    there = truth([bar(0, 10), bar(10, 10)], [5, 5])
    found = answer([bar(0, 12), bar(2, 10)], scores=[0.1, 0.9], classes=[TABLE, BED])
    whole = pooled((there, found))["whole"]
    # The first takes the first; the second, whose IoU with it is smaller, has the other left, of which it holds two voxels.
    assert whole["found"] == 2
    assert whole["invisible_iou"] == pytest.approx(100 * (5 / 7 + 0 / 15) / 2)


def test_class_agnostic_answers_may_be_of_another_vocabulary() -> None:
    there = truth([bar(0, 10)], [5], classes=[TABLE])
    figures = pooled((there, answer([bar(0, 10)], [box(0, 10)])), class_agnostic=True)
    assert {name: figures[name] for name in FIGURES} == dict.fromkeys(FIGURES, 100)
    assert "per_class" not in figures and figures["n_gt"] == 1
    assert pooled((there, answer([bar(0, 10)])))["AP"] == 0


def test_frames_counted_apart_add_up() -> None:
    rng = np.random.default_rng(1)
    frames = []
    for _ in range(4):
        bars = [bar(30 * k, int(rng.integers(5, 15))) for k in range(3)]
        there = truth(bars, [int(rng.integers(0, 5)) for _ in bars], classes=[CHAIR, TABLE, -1])
        spans = [(30 * k + int(rng.integers(-2, 5)), int(rng.integers(4, 15))) for k in range(3)]
        found = answer(
            [bar(*s) for s in spans],
            [box(*s) for s in spans],
            scores=rng.random(3).tolist(),
            classes=[CHAIR, BED, TABLE],
        )
        frames.append((there, found))
    frames.append((frames[0][0], WholeAnswer(np.zeros(0, np.int64), np.zeros(0))))
    together, apart = AmodalEvaluator(DSS19), AmodalEvaluator(DSS19)
    for i, frame in enumerate(frames):
        together.add(str(i), *frame)
        one = AmodalEvaluator(DSS19)
        one.add(str(i), *frame)
        apart.add_counts(json.loads(json.dumps(one.counts(), allow_nan=False)))
    assert apart.results() == together.results()
    assert apart.counts() == together.counts()
    without = AmodalEvaluator(DSS19)
    for i, frame in enumerate(frames[1:]):
        without.add(str(i), *frame)
    expected = without.results()["pooled"]
    assert together.left_out()["AP2"][0] == expected["AP2"]
    whole = together.whole_left_out()
    assert {name: values[0] for name, values in whole.items()} == {
        name: expected["whole"][name] for name in whole
    }
    assert len({*whole["invisible_iou_all"]}) > 1
    with pytest.raises(ValueError, match="already"):
        apart.add_counts(together.counts())
    for damaged in (
        {},
        {"amodal": {}},
        {"amodal": {**together.counts()["scans"]["0"]["amodal"], "boxes": [[7, 0, 1.0]]}},
    ):
        with pytest.raises(ValueError, match="no counts of whole objects"):
            apart.add_counts({**apart.counts(), "scans": {"x": damaged}})
    with pytest.raises(ValueError, match="another class_agnostic"):
        AmodalEvaluator(DSS19, class_agnostic=True).add_counts(together.counts())


def test_a_frame_is_added_once_and_says_of_all_voxels_whether_they_are_visible() -> None:
    evaluator = AmodalEvaluator(DSS19)
    there = truth([bar(0, 10)], [5])
    evaluator.add("a", there, answer([bar(0, 10)]))
    with pytest.raises(ValueError, match="added before"):
        evaluator.add("a", there, answer([bar(0, 10)]))
    with pytest.raises(ValueError, match="visible must say"):
        evaluator.add("b", WholeTruth(there.classes, [bar(0, 10)], [np.ones(3, bool)]), answer([bar(0, 10)]))
    with pytest.raises(ValueError, match="or neither"):
        evaluator.add("c", WholeTruth(there.classes, [bar(0, 10)]), answer([bar(0, 10)]))

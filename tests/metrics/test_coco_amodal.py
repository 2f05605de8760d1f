"""Scores of amodal masks in photos: the golden cases where they are at hand, small files computed by hand always."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gestalt3d.coco.annotations import read_annotations
from gestalt3d.coco.results import read_results
from gestalt3d.coco.runs import Runs
from gestalt3d.errors import UserError
from gestalt3d.metrics.amodal_iou import SETTINGS, Settings, completions
from gestalt3d.metrics.amodal_order import order_accuracy, ordered_pairs
from gestalt3d.metrics.coco_amodal import found_of, objects_of
from gestalt3d.metrics.official import score
from tests.coco.files import VISIBLE, WHOLE, box, document, rle, save
from tests.metrics.test_coco_precision import answers, objects, strip
from tests.metrics.test_official import NOTES, largest_difference

NUMBER_OF_CASES = 24


def _cases() -> list[Path]:
    folder = Path(os.environ.get("GESTALT3D_SHARED") or "-") / "golden" / "coco_amodal"
    return sorted(folder.glob("*")) or [Path("none")]


def test_golden_folder_is_complete(shared) -> None:
    assert len(list((shared / "golden" / "coco_amodal").glob("*/expected.json"))) == NUMBER_OF_CASES


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case.name)
def test_golden(shared, case: Path) -> None:
    """Of a case with a known bug the right rule, which is one of the alternatives."""
    expected = json.loads((case / "expected.json").read_text())
    found = score("coco-amodal", case / "gt.json", case / "pred.json")
    accepted = [expected, *expected.get("alternatives", [])]
    keys = set(expected) - NOTES
    assert keys == {"amodal", "visible"}
    assert min(largest_difference({key: found[key] for key in keys}, values) for values in accepted) < 1e-6


def answer(i: int, mask: np.ndarray, **keys: Any) -> dict[str, Any]:
    whole = {
        "image_id": [30, 30, 29][i],
        "category_id": [2, 7, 2][i],
        "score": 0.9,
        "segmentation": rle(mask),
    }
    return whole | {"visible_mask": rle(VISIBLE[i])} | keys


def files(tmp_path: Path, entries: list[dict[str, Any]], layout: str = "COCOA-cls") -> tuple[Path, Path]:
    return save(tmp_path / "gt.json", document(layout)), save(tmp_path / "r.json", entries)


PERFECT = [answer(i, WHOLE[i]) for i in range(3)]


@pytest.mark.parametrize("layout", ["KINS 2020", "KINS 2019", "AISFormer", "aistron", "UOAIS", "COCOA-cls"])
def test_what_is_right_scores_one_in_every_layout(tmp_path: Path, layout: str) -> None:
    found = score("coco-amodal", *files(tmp_path, PERFECT, layout))
    for kind in ("amodal", "visible"):
        assert [found[kind][key] for key in ("AP", "AP50", "AP75", "APs", "AR100")] == [1.0] * 5
        assert [found[kind][key] for key in ("APm", "APl")] == [None, None]
        assert found[kind]["per_class"]["box"] == {"AP": 1.0, "AP50": 1.0, "AP75": 1.0, "AR100": 1.0}
    assert found["iou"]["class"] == {"whole": 1.0, "with_visible": 1.0, "occluded": 1.0}
    assert found["order"] == {"accuracy": 1.0, "accuracy_found": 1.0, "pairs": 1, "pairs_found": 1}
    assert found["notes"] == []


def test_regions_of_cocoa_are_one_class(tmp_path: Path) -> None:
    found = score("coco-amodal", *files(tmp_path, [one | {"category_id": 1} for one in PERFECT], "COCOA"))
    assert found["amodal"]["AP"] == 1.0 and [*found["amodal"]["per_class"]] == ["object"]
    assert found["order"]["pairs"] == 1


def test_by_occlusion_only_the_objects_of_the_range_are_asked_for(tmp_path: Path) -> None:
    # The second object hides 12 of 60 pixels; it is not found.
    found = score("coco-amodal", *files(tmp_path, [PERFECT[0], PERFECT[2], PERFECT[0]]))
    ranges = found["by_occlusion"]
    assert ranges["none"] == {"AP": 1.0, "AP50": 1.0, "AR100": 1.0, "n_gt": 2}
    assert ranges["above .15"] == ranges["up to .25"] == {"AP": 0.0, "AP50": 0.0, "AR100": 0.0, "n_gt": 1}
    assert ranges["above .25"] == {"AP": None, "AP50": None, "AR100": None, "n_gt": 0}


def test_without_visible_masks_the_whole_ones_are_scored(tmp_path: Path) -> None:
    entries = [{key: value for key, value in one.items() if key != "visible_mask"} for one in PERFECT]
    found = score("coco-amodal", *files(tmp_path, entries))
    assert found["visible"] is None and found["amodal"]["AP"] == 1.0 and found["order"]["accuracy"] is None
    plain = score("coco-amodal", *files(tmp_path, entries, "COCO"))
    assert plain["amodal"] == found["amodal"]
    assert [plain[key] for key in ("visible", "by_occlusion", "iou", "order")] == [None] * 4


def test_what_is_odd_is_told(tmp_path: Path) -> None:
    found = score("coco-amodal", *files(tmp_path, [*PERFECT, answer(0, WHOLE[0], category_id=99)]))
    assert found["notes"] == ["results of categories that are not listed, left out: 1"]


def test_files_are_asked_for(tmp_path: Path) -> None:
    gt, results = files(tmp_path, PERFECT)
    with pytest.raises(UserError, match="is a folder; name a file"):
        score("coco-amodal", tmp_path, results)
    with pytest.raises(UserError, match=r"none\.json: no such file"):
        score("coco-amodal", gt, tmp_path / "none.json")


# --- IoU ---


def completed(settings: Settings = SETTINGS) -> Any:
    """Two objects of class 0 of 10 and 20 pixels, half of the second hidden, and one of class 1 that nothing is found of."""
    truth = objects([strip(0, 10), strip(20, 40), strip(60, 70)], category=[0, 0, 1])
    visible = Runs.from_masks([strip(0, 10), strip(20, 30), strip(60, 65)])
    # 8 of 10; 10 + 5 of 20, and 5 beyond it; the last is of the wrong class.
    found = answers(
        [strip(0, 8), strip(25, 45), strip(0, 7), strip(60, 70)], [0.9, 0.5, 0.99, 0.9], category=[0, 0, 0, 0]
    )
    return completions(truth, found, visible, settings=settings)


def test_means_by_hand() -> None:
    found = completed()
    assert found.found.tolist() == [0, 1, -1]
    assert found.mean("whole", "class") == pytest.approx(((0.8 + 15 / 25) / 2 + 0) / 2)
    assert found.mean("whole", "instance") == pytest.approx((0.8 + 15 / 25) / 3)
    assert found.mean("whole", "pixel") == pytest.approx((8 + 15) / (10 + 25 + 10))
    assert found.mean("whole", "class", "skip") == pytest.approx((0.8 + 15 / 25) / 2)
    assert found.mean("whole", "pixel", "skip") == pytest.approx((8 + 15) / (10 + 25))
    # With the true visible pixels added: all 10, and 20 of 25.
    assert found.mean("with_visible", "instance") == pytest.approx((1 + 20 / 25) / 3)
    # Hidden are 30 to 39 and 65 to 69; beyond what is visible the second says 30 to 44.
    assert found.mean("occluded", "instance") == pytest.approx((10 / 15 + 0) / 2)
    assert found.mean("occluded", "instance", "skip") == pytest.approx(10 / 15)
    assert found.figures() | {"n": 3, "n_found": 2, "n_occluded": 2} == found.figures()


def test_settings_of_the_pairing() -> None:
    assert completed(Settings(match="any")).found.tolist() == [0, 1, 3]
    assert completed(Settings(threshold=0.7)).found.tolist() == [0, -1, -1]
    assert completed(Settings(min_score=0.6)).found.tolist() == [0, -1, -1]
    assert completed(Settings(min_score=0.95)).found.tolist() == [2, -1, -1]


def test_without_a_threshold_one_object_an_image_gives_the_mean_iou_of_renderings() -> None:
    truth = objects([strip(0, 10)] * 3, photo=[0, 1, 2], category=[0, 0, 1])
    found = answers([strip(0, 10), strip(9, 29), strip(0, 5)], [1.0] * 3, photo=[0, 1, 2], category=[0, 0, 1])
    iou = completions(truth, found, truth.masks, settings=Settings(threshold=0.0))
    assert iou.mean("whole", "class") == pytest.approx(((1 + 1 / 29) / 2 + 0.5) / 2)
    assert np.isnan(iou.mean("occluded", "class"))


def test_classes_weigh_alike_however_many_objects_they_have() -> None:
    classes = np.repeat(np.arange(2), [1, 3])
    truth = objects([strip(0, 10)] * 4, photo=np.arange(4), category=classes)
    found = answers([strip(0, 5), *[strip(0, 10)] * 3], [1.0] * 4, photo=np.arange(4), category=classes)
    iou = completions(truth, found, truth.masks)
    assert iou.mean("whole", "class") == 0.75 and iou.mean("whole", "instance") == 0.875


def test_ignored_objects_are_not_asked_for() -> None:
    truth = objects([strip(0, 10), strip(50, 60)], is_ignored=[False, True])
    iou = completions(truth, answers([strip(0, 10)], [1.0]), truth.masks)
    assert iou.rows.tolist() == [0] and iou.mean("whole", "instance") == 1


def test_nothing_is_undefined() -> None:
    nothing = objects([])
    iou = completions(nothing, answers([], []), nothing.masks)
    assert np.isnan([iou.mean(mask, "class") for mask in ("whole", "with_visible", "occluded")]).all()


# --- order ---


def test_the_one_that_shows_where_the_other_is_hidden_is_in_front(tmp_path: Path) -> None:
    whole = Runs.from_masks([box(0, 0, 6, 6), box(4, 0, 9, 6), box(8, 0, 12, 6), box(8, 0, 12, 6)])
    visible = Runs.from_masks([box(0, 0, 4, 6), box(4, 0, 8, 6), box(8, 0, 12, 6), box(8, 0, 12, 6)])
    photo = np.array([0, 0, 0, 1])
    pairs = ordered_pairs(photo, whole, visible, np.ones(4, bool))
    assert sorted(map(tuple, pairs.tolist())) == [(1, 0), (2, 1)]
    assert len(ordered_pairs(photo, whole, visible, np.array([True, False, True, True]))) == 0


def test_orders_of_found_masks_are_compared(tmp_path: Path) -> None:
    gt, results = files(tmp_path, PERFECT)
    truth = read_annotations(gt)
    found = read_results(results, truth)
    given, said = objects_of(truth), found_of(truth, found)
    assert truth.visible is not None and found.visible is not None
    turned = Runs.from_masks([WHOLE[0] & ~WHOLE[1], WHOLE[1], WHOLE[2]])
    none = np.zeros((0, 2), np.int64)

    def accuracy(visible: Runs | None, chosen: list[int], front: np.ndarray = none) -> list[Any]:
        return [*order_accuracy(given, truth.visible, said, visible, np.array(chosen), front).values()]

    assert accuracy(found.visible, [0, 1, 2]) == [1.0, 1.0, 1, 1]
    assert accuracy(turned, [0, 1, 2]) == [0.0, 0.0, 1, 1]
    assert accuracy(found.visible, [0, -1, 2]) == [0.0, None, 1, 0]
    assert accuracy(None, [0, 1, 2]) == [None, None, 1, 1]
    # What the truth says itself counts.
    assert accuracy(turned, [0, 1, 2], np.array([[1, 0]])) == [1.0, 1.0, 1, 1]
    ignoring = replace(given, is_ignored=np.array([True, False, False]))
    assert [*order_accuracy(ignoring, truth.visible, said, turned, np.array([0, 1, 2]), none).values()] == [
        None,
        None,
        0,
        0,
    ]

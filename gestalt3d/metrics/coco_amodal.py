"""Scores of amodal masks in photos, from files as COCO has them: precision, IoU of what is whole and hidden, order.

Precision of whole and of visible masks is COCO's (`coco_precision`); of visible ones both sides are replaced by their visible
masks, and sizes are those of these. Precision by occlusion rate, the share of an object's pixels that is hidden, asks for the
objects of a range and ignores the others: an answer that lies on one of these is neither right nor wrong, however many do.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gestalt3d.coco.annotations import Annotations, read_annotations, said
from gestalt3d.coco.results import Answers, read_results
from gestalt3d.coco.runs import Runs
from gestalt3d.metrics.amodal_iou import SETTINGS, Completions, completions
from gestalt3d.metrics.amodal_order import order_accuracy
from gestalt3d.metrics.coco_precision import (
    MOST_FOUND,
    Found,
    Objects,
    Pairs,
    Precision,
    Range,
    match,
    overlapping,
    precision,
    row_of,
)
from gestalt3d.metrics.report import by_class, defined

SIZES = {"s": (0.0, 32.0**2), "m": (32.0**2, 96.0**2), "l": (96.0**2, 1e10)}
"""Pixels of small, medium and large objects, both included."""
RATES = {
    "none": (-1.0, 1e-5), "up to .25": (1e-5, 0.25), "above .15": (0.15, 1.0), "above .25": (0.25, 1.0),
    "above .40": (0.4, 1.0),
}  # fmt: skip
"""Shares of an object that are hidden, the first excluded: COCOA's none, partial and heavy, and those of ShapeDict."""


def score_coco_amodal(gt_file: Path, pred_file: Path) -> dict[str, Any]:
    """Keys `amodal` and `visible`, each with AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl and `per_class`.

    `visible` is None where a side has no visible masks; so are `by_occlusion`, `iou` and `order` where the truth has none.
    `notes` say what was odd in the files.
    """
    truth = read_annotations(gt_file)
    answers = read_results(pred_file, truth)
    result = scores(
        objects_of(truth), truth.visible, found_of(truth, answers), answers.visible, truth.names, truth.front
    )
    if result["iou"] is not None:
        result["iou"]["settings"] = SETTINGS._asdict()
    return {**result, "notes": [*truth.notes, *said(answers.odd)]}


def scores(
    objects: Objects,
    visible: Runs | None,
    found: Found,
    found_visible: Runs | None,
    names: tuple[str, ...],
    front: np.ndarray | None = None,
    completed: Completions | None = None,
) -> dict[str, Any]:
    """The figures of `score_coco_amodal` of whole masks and the visible ones that go with them, by the `names` of the categories.

    `front` (e, 2) are rows of objects that the truth orders, the first before the second. `completed` are the objects beside what
    was found of them, where that is known; else it is looked for.
    """
    pairs = overlapping(objects, found)
    result: dict[str, Any] = {"amodal": figures(objects, found, pairs, names), "visible": None}
    if visible is None:
        return result | dict.fromkeys(("by_occlusion", "iou", "order"))
    if found_visible is not None:
        seen = replace(objects, masks=visible, areas=visible.areas.astype(np.float64))
        shown = replace(found, masks=found_visible)
        result["visible"] = figures(seen, shown, overlapping(seen, shown), names)
    if completed is None:
        completed = completions(objects, found, visible, pairs)
    front = np.zeros((0, 2), np.int64) if front is None else front
    return {
        **result,
        "by_occlusion": by_occlusion(objects, visible, found, pairs, names),
        "iou": completed.figures(),
        "order": order_accuracy(objects, visible, found, found_visible, completed.found, front),
    }


def objects_of(truth: Annotations) -> Objects:
    """The objects of a file by their whole masks."""
    place = _by_id(truth)
    return Objects(
        place[truth.photo], truth.category, truth.whole, truth.areas, truth.is_ignored, truth.is_crowd
    )


def found_of(truth: Annotations, answers: Answers) -> Found:
    """The answers by their whole masks."""
    return Found(_by_id(truth)[answers.photo], answers.category, answers.scores, answers.whole)


def figures(objects: Objects, found: Found, pairs: Pairs, names: tuple[str, ...]) -> dict[str, Any]:
    """COCO's twelve, and by class those of all sizes."""
    nowhere = np.zeros(len(found.scores), bool)
    limits = (1, 10, MOST_FOUND)
    every = _curves(
        objects, found, pairs, Range(objects.is_ignored, objects.is_crowd, nowhere), names, limits
    )
    result = {"AP": every.mean, "AP50": every.at(0.5), "AP75": every.at(0.75)}
    recalls = {f"AR{limit}": every.recall(limit) for limit in limits}
    its = found.masks.areas
    for name, (least, most) in SIZES.items():
        is_other = objects.is_ignored | (objects.areas < least) | (objects.areas > most)
        of_size = Range(is_other, objects.is_crowd, (its < least) | (its > most))
        own = _curves(objects, found, pairs, of_size, names, (MOST_FOUND,))
        result[f"AP{name}"], recalls[f"AR{name}"] = own.mean, own.recall()
    columns = {
        "AP": every.areas.mean(axis=0),
        "AP50": every.areas[row_of(0.5)],
        "AP75": every.areas[row_of(0.75)],
        "AR100": every.recalls[MOST_FOUND].mean(axis=0),
    }
    return {
        **{name: defined(value) for name, value in (result | recalls).items()},
        "per_class": by_class(names, columns),
    }


def by_occlusion(
    objects: Objects, visible: Runs, found: Found, pairs: Pairs, names: tuple[str, ...]
) -> dict[str, Any]:
    """AP, AP50, AR100 and `n_gt` of whole masks by how much of the object is hidden."""
    rate = 1 - visible.areas / np.maximum(objects.masks.areas, 1)
    nowhere = np.zeros(len(found.scores), bool)
    result = {}
    for name, (above, most) in RATES.items():
        is_other = objects.is_ignored | ~((rate > above) & (rate <= most))
        own = _curves(objects, found, pairs, Range(is_other, is_other, nowhere), names, (MOST_FOUND,))
        means = {"AP": own.mean, "AP50": own.at(0.5), "AR100": own.recall()}
        result[name] = {key: defined(value) for key, value in means.items()} | {
            "n_gt": int((~is_other).sum())
        }
    return result


def _curves(
    objects: Objects, found: Found, pairs: Pairs, which: Range, names: tuple[str, ...], most: tuple[int, ...]
) -> Precision:
    matched = match(pairs, found, which)
    return precision(objects, found, which, matched, num_categories=len(names), most=most)


def _by_id(truth: Annotations) -> np.ndarray:
    """(p,) int64: place of each image among the ids."""
    place = np.empty(len(truth.photos), np.int64)
    place[np.argsort([photo.id for photo in truth.photos], kind="stable")] = np.arange(len(place))
    return place

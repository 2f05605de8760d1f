"""Which of two objects lies in front, read from their masks: pairwise accuracy (Zhan et al., CVPR 2020, "Self-Supervised Scene
De-occlusion").

Of two objects the one in front shows more pixels where the other is hidden than the other way round. Pairs that hide nothing of
each other, or as much, have no order. Where the truth names its pairs, as COCOA's `depth_constraint` does, these count.
"""

from typing import Any

import numpy as np

from gestalt3d.coco.runs import Runs
from gestalt3d.metrics.coco_precision import Found, Objects
from gestalt3d.metrics.report import defined


def order_accuracy(
    objects: Objects,
    visible: Runs,
    found: Found,
    found_visible: Runs | None,
    chosen: np.ndarray,
    front: np.ndarray,
) -> dict[str, Any]:
    """`accuracy`: share of the `pairs` of true objects with an order whose found masks say the same; `accuracy_found`: of those
    `pairs_found` of which both are found. None where there is no pair, or nothing was said of what is visible.

    `chosen` (g,) is the found mask of each object, -1 for none; `front` (e, 2) objects that the truth orders.
    """
    true = (
        _named(objects, front)
        if len(front)
        else ordered_pairs(objects.photo, objects.masks, visible, ~objects.is_ignored)
    )
    has = (chosen[true] >= 0).all(axis=1)
    result: dict[str, Any] = {
        "accuracy": None,
        "accuracy_found": None,
        "pairs": len(true),
        "pairs_found": int(has.sum()),
    }
    if found_visible is None or not len(true):
        return result
    said = _nearer(found.masks, found_visible, chosen[true[has]])
    right = int((said > 0).sum())
    return result | {
        "accuracy": right / len(true),
        "accuracy_found": defined(right / int(has.sum()) if has.any() else float("nan")),
    }


def ordered_pairs(photo: np.ndarray, whole: Runs, visible: Runs, counts: np.ndarray) -> np.ndarray:
    """(e, 2) int64 rows of one image, the first in front of the second; of those that `counts` (g,) bool."""
    rows = np.flatnonzero(counts)
    rows = rows[np.argsort(photo[rows], kind="stable")]
    parts = [np.zeros((0, 2), np.int64)]
    for own in np.split(rows, np.flatnonzero(np.diff(photo[rows])) + 1):
        first, second = np.triu_indices(len(own), 1)
        boxes = whole.boxes[own]
        sides = np.minimum(boxes[first, 2:], boxes[second, 2:]) - np.maximum(
            boxes[first, :2], boxes[second, :2]
        )
        near = (sides > 0).all(axis=1)
        parts.append(np.stack([own[first[near]], own[second[near]]], axis=1))
    pairs = np.concatenate(parts)
    sign = _nearer(whole, visible, pairs)
    return np.concatenate([pairs[sign > 0], pairs[sign < 0][:, ::-1]])


def _named(objects: Objects, front: np.ndarray) -> np.ndarray:
    return front[~objects.is_ignored[front].any(axis=1)]


def _nearer(whole: Runs, visible: Runs, pairs: np.ndarray) -> np.ndarray:
    """(e,) int64: positive where the first of a pair shows more of what the second hides than the other way round."""
    rows, place = np.unique(pairs, return_inverse=True)
    place = place.reshape(-1, 2)
    seen = visible.take(rows)
    hidden = whole.take(rows).minus(seen)
    first, second = place.T
    return seen.common(first, hidden, second) - seen.common(second, hidden, first)

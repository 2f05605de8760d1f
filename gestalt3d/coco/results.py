"""What a method found, in a file as COCO takes results: scored masks of images, whole and, where it says so, visible ones."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gestalt3d.coco.annotations import Annotations, masks_of
from gestalt3d.coco.json_text import needed, read_json
from gestalt3d.coco.layouts import LAYOUTS
from gestalt3d.coco.runs import Runs
from gestalt3d.errors import UserError

_VISIBLE = tuple(dict.fromkeys(one.visible for one in LAYOUTS if one.visible))


@dataclass(frozen=True, eq=False)
class Answers:
    """Found masks, a row each, in the order of the file."""

    photo: np.ndarray
    """(d,) int64: position in the truth's `photos`."""
    category: np.ndarray
    """(d,) int64: position in the truth's `names`."""
    scores: np.ndarray
    """(d,) float64."""
    whole: Runs
    visible: Runs | None
    """None where answers have no visible masks."""
    odd: Counter[str]
    """What was counted and not refused: words and how often."""


def read_results(path: Path, truth: Annotations) -> Answers:
    """A list of objects with `image_id`, `category_id`, `score`, `segmentation` and perhaps `visible_mask`.

    Visible masks may be called as any layout calls them; either all answers have one, or none. `UserError` in a line for a
    missing key, an image that the truth has not, and a mask that is none or of another size. Categories that the truth does not
    list are counted and left out.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise UserError(
            f"{path}: must be a list of results, is {type(entries).__name__}; write COCO's results"
        )
    what = [f"result {number + 1}" for number in range(len(entries))]
    ids = {photo.id: position for position, photo in enumerate(truth.photos)}
    categories = {own: position for position, own in enumerate(truth.category_ids)}
    photo, category, scores, whole = [], [], [], []
    for words, entry in zip(what, entries, strict=True):
        image_id = needed(path, entry, "image_id", words)
        if type(image_id) is not int or image_id not in ids:
            raise UserError(
                f"{path}: {words} is of image {str(image_id)[:40]!r}, which {truth.path} does not list; is it of other data?"
            )
        photo.append(ids[image_id])
        own = needed(path, entry, "category_id", words)
        category.append(categories.get(own, -1) if type(own) is int else -1)
        scores.append(_score(path, needed(path, entry, "score", words), words))
        whole.append(needed(path, entry, "segmentation", words))
    odd: Counter[str] = Counter()
    listed = np.flatnonzero(np.array(category, np.int64) >= 0).tolist()
    odd["results of categories that are not listed, left out"] += len(entries) - len(listed)
    sizes = np.array([truth.photos[photo[row]].size for row in listed], np.int64).reshape(-1, 2)

    def masks(values: list[Any], key: str) -> Runs:
        read = masks_of(path, values, sizes, [f"{what[row]} ({key})" for row in listed])
        odd[f"outlines of {key} with fewer than three corners, left out"] += read.flat_outlines
        return read.runs

    given = (key for key in _VISIBLE if any(key in entry for entry in entries))
    key = next(given, None if entries else _VISIBLE[0])
    return Answers(
        photo=np.array(photo, np.int64)[listed],
        category=np.array(category, np.int64)[listed],
        scores=np.array(scores, np.float64)[listed],
        whole=masks([whole[row] for row in listed], "segmentation"),
        visible=None if key is None else masks([needed(path, entries[r], key, what[r]) for r in listed], key),
        odd=odd,
    )


def _score(path: Path, value: Any, what: str) -> float:
    if type(value) not in (int, float) or not abs(value) <= 1e300:
        raise UserError(f"{path}: score of {what} is {str(value)[:40]!r}, must be a finite number")
    return float(value)

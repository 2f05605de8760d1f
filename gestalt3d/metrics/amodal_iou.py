"""Mean IoU of whole masks in photos, and of what is hidden of them: the conventions in which papers state it, said exactly.

No public code defines the mIoU of A3D's Table 3. Here a true object is compared with the found mask of its category that it is
paired with: masks of a score of `min_score` or more are paired one to one, best IoU first, down to `threshold`. An object
without one counts 0 (`unmatched` "zero") or is left out ("skip"). Means:

- "class": over the objects of a category, then over the categories that have any. With one object an image and no threshold
  that is the mIoU of ShapeNet's renderings (A3D's Table 1).
- "instance": over all objects, as C2F-Seg (Gao et al., ICCV 2023) does.
- "pixel": what is common of all objects by what is in either of all, as Deocclusion (Zhan et al., CVPR 2020) does.

Masks: "whole" is the found one; "with_visible" has the true visible pixels added, as both of these do; "occluded" compares what
both masks have beyond the true visible pixels, over the objects that hide any.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from gestalt3d.coco.runs import Runs
from gestalt3d.metrics.average_precision import nan_mean
from gestalt3d.metrics.coco_precision import Found, Objects, Pairs, overlapping
from gestalt3d.metrics.report import defined

Average = Literal["class", "instance", "pixel"]
Unmatched = Literal["zero", "skip"]
Mask = Literal["whole", "with_visible", "occluded"]


class Settings(NamedTuple):
    """How objects and found masks are paired, and what counts of an object without one."""

    match: str = "class"
    """"class": masks of the object's category; "any": of all."""
    min_score: float = 0.05
    threshold: float = 0.5
    unmatched: Unmatched = "zero"


SETTINGS = Settings()


@dataclass(frozen=True)
class Completions:
    """True objects that are not ignored beside what was found of them, a row each; `rows` are theirs among all objects."""

    rows: np.ndarray
    """(q,) int64."""
    category: np.ndarray
    """(q,) int64."""
    found: np.ndarray
    """(g,) int64: the found mask that each of all objects is paired with, -1 for none."""
    common: dict[Mask, np.ndarray]
    """(q,) int64 pixels that both have; 0 without a found mask."""
    either: dict[Mask, np.ndarray]
    """(q,) int64: that one of them has."""
    is_occluded: np.ndarray
    """(q,) bool."""

    def mean(self, mask: Mask, average: Average, unmatched: Unmatched = "zero") -> float:
        """A mean as the module says; NaN where nothing counts."""
        counts = self.is_occluded if mask == "occluded" else np.ones(len(self.rows), bool)
        counts = counts & (self.either[mask] > 0)
        if unmatched == "skip":
            counts &= self.found[self.rows] >= 0
        common, either = self.common[mask][counts], self.either[mask][counts]
        if not len(common):
            return float("nan")
        if average == "pixel":
            return float(common.sum() / either.sum())
        iou = common / either
        if average == "instance":
            return float(iou.mean())
        category = self.category[counts]
        return nan_mean(np.array([iou[category == c].mean() for c in np.unique(category)]))

    def of_category(self, category: int) -> "Completions":
        """The objects of one."""
        own = self.category == category
        of_masks: list[dict[Mask, np.ndarray]] = [
            {mask: values[own] for mask, values in of.items()} for of in (self.common, self.either)
        ]
        return replace(
            self, rows=self.rows[own], category=self.category[own], common=of_masks[0], either=of_masks[1],
            is_occluded=self.is_occluded[own],
        )  # fmt: skip

    def means_without(self, mask: Mask, average: Average, photo: np.ndarray, photos: int) -> np.ndarray:
        """(photos,): "class" or "instance" means with the objects of each photo left out in turn.

        `photo` (q,) says whose each object is. NaN where nothing is left. `ValueError` for "pixel".
        """
        if average == "pixel":
            raise ValueError('average must be "class" or "instance" where photos are left out')
        counts = (self.either[mask] > 0) & (self.is_occluded if mask == "occluded" else True)
        iou = np.where(counts, self.common[mask] / np.maximum(self.either[mask], 1), 0.0)
        groups = self.category if average == "class" else np.zeros_like(self.category)
        names, group = np.unique(groups, return_inverse=True)
        total, number = np.zeros((2, photos, max(len(names), 1)))
        np.add.at(total, (photo, group), iou)
        np.add.at(number, (photo, group), counts)
        left = number.sum(0) - number
        mean = np.where(left > 0, (total.sum(0) - total) / np.maximum(left, 1), np.nan)
        return np.array([nan_mean(row) for row in mean])

    def figures(self, unmatched: Unmatched = "zero") -> dict[str, Any]:
        """Each mean of each mask, `n` objects, `n_found` that are paired and `n_occluded` that hide any."""
        means: dict[str, Any] = {
            average: {
                mask: defined(self.mean(mask, average, unmatched))
                for mask in ("whole", "with_visible", "occluded")
            }
            for average in ("class", "instance", "pixel")
        }
        paired = self.found[self.rows] >= 0
        counts = {
            "n": len(self.rows),
            "n_found": int(paired.sum()),
            "n_occluded": int(self.is_occluded.sum()),
        }
        return means | counts


def completions(
    objects: Objects, found: Found, visible: Runs, pairs: Pairs | None = None, settings: Settings = SETTINGS
) -> Completions:
    """Pair objects with what was found of them; `visible` are the objects' true visible masks.

    `pairs` spares looking for them anew where they hold those down to the threshold, of masks of one category.
    """
    if settings.match == "any":
        objects, found, pairs = _of_one_category(objects), _of_one_category(found), None
    if pairs is None:
        pairs = overlapping(objects, found, least=settings.threshold)
    return of_pairs(objects, found, visible, paired(objects, found, pairs, settings))


def of_pairs(objects: Objects, found: Found, visible: Runs, chosen: np.ndarray) -> Completions:
    """Objects beside what is known to be about them: `chosen` (g,) is the found mask of each of all objects, -1 for none."""
    rows = np.flatnonzero(~objects.is_ignored & (objects.category >= 0))
    true, seen = objects.masks.take(rows), visible.take(rows)
    hidden = true.minus(seen)
    has = np.flatnonzero(chosen[rows] >= 0)
    masks = found.masks.take(chosen[rows][has])
    each = np.arange(len(has))
    added, beyond = masks.union(seen.take(has)), masks.minus(seen.take(has))
    with_seen = true.union(seen)
    compared: dict[Mask, tuple[Runs, Runs]] = {
        "whole": (masks, true), "with_visible": (added, with_seen), "occluded": (beyond, hidden)
    }  # fmt: skip
    common: dict[Mask, np.ndarray] = {}
    either: dict[Mask, np.ndarray] = {}
    for name, (its, own) in compared.items():
        common[name], either[name] = np.zeros(len(rows), np.int64), own.areas.copy()
        common[name][has] = its.common(each, own, has)
        either[name][has] += its.areas - common[name][has]
    return Completions(rows, objects.category[rows], chosen, common, either, hidden.areas > 0)


def paired(objects: Objects, found: Found, pairs: Pairs, settings: Settings = SETTINGS) -> np.ndarray:
    """(g,) int64: the found mask of each object, -1 for none; best IoU first, of equal ones the earlier mask, then object."""
    out = np.full(len(objects.category), -1, np.int64)
    is_used = np.zeros(len(found.scores), bool)
    fits = (pairs.iou >= settings.threshold) & (found.scores[pairs.found] >= settings.min_score)
    fits &= ~objects.is_ignored[pairs.object]
    order = np.flatnonzero(fits)
    order = order[np.lexsort((pairs.object[order], pairs.found[order], -pairs.iou[order]))]
    for mask, own in zip(pairs.found[order].tolist(), pairs.object[order].tolist(), strict=True):
        if not is_used[mask] and out[own] < 0:
            is_used[mask], out[own] = True, mask
    return out


def _of_one_category(given: Any) -> Any:
    return replace(given, category=np.where(given.category >= 0, 0, -1))

"""Average precision and recall of scored masks in images by COCO's rule (Lin et al., ECCV 2014), whole masks or visible ones.

Readings of the benchmark that decide the number:

- In each image and category, best score first and at most a hundred, a found mask takes the free object with the best IoU that
  reaches the threshold (.50, .55 … .95); of equal scores the earlier one is first, of equal IoUs the later object is taken.
- An object that is ignored is taken only where no other can be. What takes it is neither right nor wrong. A crowd can be taken
  any number of times, and its overlap is the share of the found mask that lies in it.
- The curve pools all images, equal scores by the images' ids. The area is the mean, over the 101 recalls 0, .01, … 1, of the best
  precision at that recall or beyond. A category without objects is undefined, one without answers is 0.
- By size, objects of other sizes are ignored, and answers of other sizes that take nothing are left out.

Where pycocotools is known to be wrong, the right form is computed: recall k / n is compared with the grid exactly, `ignore` is
honoured without `iscrowd`, and an annotation of id 0 is one like others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from gestalt3d.coco.runs import Runs
from gestalt3d.metrics.average_precision import nan_mean

THRESHOLDS = np.linspace(0.5, 0.95, 10)
MOST_FOUND = 100
"""Answers of an image and category that count."""
_STEPS = 100
_EXACT = 1 - 1e-10


@dataclass(frozen=True)
class Objects:
    """What is there, a row each."""

    photo: np.ndarray
    """(g,) int64: the image, in the order in which answers of one score are counted."""
    category: np.ndarray
    """(g,) int64: -1 is none."""
    masks: Runs
    areas: np.ndarray
    """(g,) float64: the size that ranges of sizes go by."""
    is_ignored: np.ndarray
    """(g,) bool."""
    is_crowd: np.ndarray
    """(g,) bool: ignored, too."""


@dataclass(frozen=True)
class Found:
    """Answers, a row each, in the order in which equal scores count."""

    photo: np.ndarray
    category: np.ndarray
    scores: np.ndarray
    """(d,) float64."""
    masks: Runs

    @cached_property
    def rank(self) -> np.ndarray:
        """(d,) int64: among those of an image and category, best score first."""
        order = np.lexsort((-self.scores, self.category, self.photo))
        first = np.append(True, (np.diff(self.photo[order]) != 0) | (np.diff(self.category[order]) != 0))[
            : len(order)
        ]
        starts = np.flatnonzero(first)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
        return rank


class Pairs(NamedTuple):
    """Found masks and objects of one image and category that overlap, a row each."""

    found: np.ndarray
    object: np.ndarray
    iou: np.ndarray
    """(p,) float64; with a crowd the share of the found mask that lies in it."""


class Range(NamedTuple):
    """Which objects are asked for."""

    is_ignored: np.ndarray
    """(g,) bool."""
    is_taken_again: np.ndarray
    """(g,) bool: any number of answers may take it."""
    is_left_out: np.ndarray
    """(d,) bool: no mistake where it takes nothing."""


@dataclass(frozen=True)
class Precision:
    """Fractions by threshold and category; NaN where there is nothing to find."""

    areas: np.ndarray
    """(t, c): average precision."""
    recalls: dict[int, np.ndarray]
    """(t, c) by how many answers of an image and category count."""
    num_true: np.ndarray
    """(c,) int64."""

    @property
    def mean(self) -> float:
        return nan_mean(self.areas.ravel())

    def at(self, threshold: float) -> float:
        """Mean over the categories at one of `THRESHOLDS`."""
        return nan_mean(self.areas[row_of(threshold)])

    def recall(self, most: int = MOST_FOUND) -> float:
        return nan_mean(self.recalls[most].ravel())


def row_of(threshold: float) -> int:
    return int(np.abs(THRESHOLDS - threshold).argmin())


def overlapping(objects: Objects, found: Found, *, least: float = THRESHOLDS[0]) -> Pairs:
    """Pairs whose overlap is `least` or more and above 0, of answers that count. `ValueError` for masks of other sizes."""
    rows = np.flatnonzero((found.rank < MOST_FOUND) & (found.category >= 0))
    first, second = _candidates(found.photo, found.category, rows, objects)
    if not np.array_equal(found.masks.sizes[first], objects.masks.sizes[second]):
        raise ValueError("masks of one image have different sizes")
    share = objects.is_crowd[second]
    its, own = found.masks.areas[first], objects.masks.areas[second]
    # No more than the boxes share: that spares most pairs the counting.
    ours, theirs = found.masks.boxes[first], objects.masks.boxes[second]
    sides = np.minimum(ours[:, 2:], theirs[:, 2:]) - np.maximum(ours[:, :2], theirs[:, :2])
    bound = np.minimum(np.prod(np.maximum(sides, 0), axis=1), np.minimum(its, own))
    close = (bound > 0) & (bound >= (1 - 1e-9) * least * _of(share, its, own, bound))
    first, second, share, its, own = first[close], second[close], share[close], its[close], own[close]
    common = found.masks.common(first, objects.masks, second)
    iou = common / np.maximum(_of(share, its, own, common), 1)
    near = (common > 0) & (iou >= min(least, _EXACT))
    return Pairs(first[near], second[near], iou[near])


def _of(share: np.ndarray, its: np.ndarray, own: np.ndarray, common: np.ndarray) -> np.ndarray:
    """What an overlap is a part of."""
    return np.where(share, its, its + own - common)


def _candidates(
    photo: np.ndarray, category: np.ndarray, rows: np.ndarray, objects: Objects
) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of one image and category, by found row and object."""
    width = 1 + max(int(category.max(initial=0)), int(objects.category.max(initial=0)))
    key = np.where(objects.category >= 0, objects.photo * width + objects.category, -1)
    order = np.argsort(key, kind="stable")
    wanted = photo[rows] * width + category[rows]
    start = np.searchsorted(key[order], wanted)
    count = np.searchsorted(key[order], wanted, side="right") - start
    within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(rows, count), order[np.repeat(start, count) + within]


def match(pairs: Pairs, found: Found, which: Range, thresholds: np.ndarray = THRESHOLDS) -> np.ndarray:
    """(d, t) int64: the object that each answer takes at each threshold, -1 for none."""
    matched = np.full((len(found.scores), len(thresholds)), -1, np.int64)
    if not len(pairs.found):
        return matched
    # Answers of different images and categories never meet: the first of each are decided together, then the second, ….
    having = np.unique(pairs.found)
    having = having[np.lexsort((found.rank[having], found.category[having], found.photo[having]))]
    is_first = np.append(True, (np.diff(found.photo[having]) != 0) | (np.diff(found.category[having]) != 0))
    starts = np.flatnonzero(is_first)
    turn = np.zeros(len(found.scores), np.int64)
    turn[having] = np.arange(len(having)) - np.repeat(starts, np.diff(np.append(starts, len(having))))
    # Of an answer's pairs the best is last.
    is_asked = ~which.is_ignored[pairs.object]
    order = np.lexsort((pairs.object, pairs.iou, is_asked, pairs.found, turn[pairs.found]))
    row, target, iou = pairs.found[order], pairs.object[order], pairs.iou[order]
    is_taken = np.zeros((len(which.is_ignored), len(thresholds)), bool)
    limits = np.minimum(thresholds, _EXACT)
    bounds = np.searchsorted(turn[row], np.arange(int(turn.max()) + 2))
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        own, its = row[start:stop], target[start:stop]
        is_free = ~is_taken[its] | which.is_taken_again[its, None]
        place = np.where(is_free & (iou[start:stop, None] >= limits), np.arange(stop - start)[:, None], -1)
        firsts = np.flatnonzero(np.append(True, own[1:] != own[:-1]))
        best = np.maximum.reduceat(place, firsts, axis=0)
        took = np.where(best >= 0, its[best], -1)
        matched[own[firsts]] = took
        at = np.nonzero(took >= 0)
        is_taken[took[at], at[1]] = True
    return matched


def precision(
    objects: Objects,
    found: Found,
    which: Range,
    matched: np.ndarray,
    *,
    num_categories: int,
    most: Sequence[int] = (MOST_FOUND,),
) -> Precision:
    """The curves of what `match` says."""
    has = matched >= 0
    takes_ignored = has & np.append(which.is_ignored, False)[matched]
    counts = ~(takes_ignored | (~has & which.is_left_out[:, None]))
    right = has & ~takes_ignored
    asked = objects.category[~which.is_ignored & (objects.category >= 0)]
    num_true = np.bincount(asked, minlength=num_categories)
    areas = np.full((matched.shape[1], num_categories), np.nan)
    recalls = {limit: areas.copy() for limit in most}
    is_kept = (found.rank < MOST_FOUND) & (found.category >= 0)
    order = np.lexsort((found.rank, found.photo, -found.scores, found.category))
    order = order[is_kept[order]]
    bounds = np.searchsorted(found.category[order], np.arange(num_categories + 1))
    for c in np.flatnonzero(num_true).tolist():
        own = order[bounds[c] : bounds[c + 1]]
        positives = int(num_true[c])
        areas[:, c] = _areas(right[own], counts[own], positives)
        for limit in most:
            recalls[limit][:, c] = right[own[found.rank[own] < limit]].sum(axis=0) / positives
    return Precision(areas, recalls, num_true)


def _areas(right: np.ndarray, counts: np.ndarray, positives: int) -> np.ndarray:
    """(t,) mean over 101 recalls of the best precision at or beyond each; of (n, t) decisions, best score first."""
    place = np.cumsum(right, axis=0)
    at = np.nonzero(right)
    # Row k: with the k-th right answer, where alone precision rises.
    best = np.zeros((positives, right.shape[1]))
    best[place[at] - 1, at[1]] = place[at] / np.cumsum(counts, axis=0)[at]
    best = np.maximum.accumulate(best[::-1], axis=0)[::-1]
    # The answer with which recall reaches step / 100, in whole numbers.
    wanted = np.maximum(-(-np.arange(_STEPS + 1) * positives // _STEPS), 1) - 1
    return best[wanted].mean(axis=0)

"""Average precision of scored instances by ScanNet's rule, and recall and coverage by the same rule.

Readings of the benchmark that decide the number:

- AP is the mean over the nine IoU thresholds .50, .55, … .90; AP50 and AP25 stand alone. An IoU must lie
  above the threshold.
- Regions and predictions of fewer than `min_region` points do not count. A prediction that matches a small
  region is neither right nor wrong.
- Of several predictions on one region the best-scored is right, the others are wrong.
- An unmatched prediction is left out when more of it than the threshold lies on void (points in no region of
  the classes asked for) or on small regions of its class.
- One point of the curve per distinct score; the area is that of the trapezoids under the raw curve, which
  starts at recall 0, precision 1. Scans are pooled before the curve is drawn.
- Below IoU .5, which is AP25 alone, a prediction may reach two regions: it takes the better free one, best score first, so
  the order of the predictions does not matter. There the authors' script follows the order of the file and may count one
  prediction twice: its AP25 differs by order where predictions compete, AP and AP50 never.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gestalt3d.metrics.matching import Overlaps

AP_THRESHOLDS = tuple(k / 20 for k in range(10, 19))
THRESHOLDS = (*AP_THRESHOLDS, 0.25)
MIN_REGION = 100


@dataclass(frozen=True)
class AveragePrecision:
    """Fractions; NaN where there is nothing to find. Arrays follow the classes asked for."""

    per_class: np.ndarray
    """(c,) float64: AP."""
    per_class_50: np.ndarray
    per_class_25: np.ndarray

    @property
    def ap(self) -> float:
        """Mean over the classes that have regions."""
        return nan_mean(self.per_class)

    @property
    def ap50(self) -> float:
        return nan_mean(self.per_class_50)

    @property
    def ap25(self) -> float:
        return nan_mean(self.per_class_25)


@dataclass(frozen=True)
class Recovery:
    """How much of the true regions is found, whatever the scores. Fractions; NaN without regions."""

    recall50: float
    """Share of the regions of at least `min_region` points with a prediction of their class above IoU .5."""
    coverage: float
    """Mean over the same regions of the best IoU with a prediction of their class."""


@dataclass(frozen=True)
class _Decisions:
    """Predictions that count at one threshold."""

    classes: np.ndarray
    scores: np.ndarray
    right: np.ndarray


@dataclass(frozen=True)
class Judged:
    """What figures take from one scan, which does not depend on other scans."""

    decisions: tuple[_Decisions, ...]
    """At each of `THRESHOLDS`."""
    wanted: np.ndarray
    """(r,): classes of the regions that count."""
    best: np.ndarray
    """(r,): the best IoU of each with a prediction of its class."""


def judge(scan: Overlaps, *, classes: Sequence[int], min_region: int = MIN_REGION) -> Judged:
    """Regions of other than `classes` are void, such predictions are left out."""
    candidates = _Candidates.of(scan, classes, min_region)
    counts = candidates.region_counts
    return Judged(
        tuple(_decide(candidates, threshold) for threshold in THRESHOLDS),
        candidates.region_classes[counts],
        candidates.iou[:, counts].max(axis=0, initial=0.0),
    )


def average_precision(
    scans: Sequence[Overlaps], *, classes: Sequence[int], min_region: int = MIN_REGION
) -> AveragePrecision:
    """Pooled over `scans`. Regions of other than `classes` are void, such predictions are left out."""
    return pooled_precision([judge(scan, classes=classes, min_region=min_region) for scan in scans], classes)


def recovery(scans: Sequence[Overlaps], *, classes: Sequence[int], min_region: int = MIN_REGION) -> Recovery:
    """Pooled over the regions of all `scans`; predictions below `min_region` points do not count."""
    return pooled_recovery([judge(scan, classes=classes, min_region=min_region) for scan in scans])


def pooled_precision(scans: Sequence[Judged], classes: Sequence[int]) -> AveragePrecision:
    """`average_precision` of scans that were judged for these `classes`."""
    values = np.array([_per_class(scans, classes, k) for k in range(len(THRESHOLDS))])
    return AveragePrecision(values[:-1].mean(axis=0), values[0], values[-1])


def pooled_recovery(scans: Sequence[Judged]) -> Recovery:
    """`recovery` of scans that were judged."""
    ious = np.concatenate([np.zeros(0), *(scan.best for scan in scans)])
    if not len(ious):
        return Recovery(float("nan"), float("nan"))
    return Recovery(float((ious > 0.5).mean()), float(ious.mean()))


def class_agnostic(
    scan: Overlaps, *, region_structure: np.ndarray, prediction_structure: np.ndarray
) -> Overlaps:
    """The same scan with one class, 0. Structure (bool per class) is void, and left out of the predictions.

    Class -1 (unknown) is void in the truth and no structure in a prediction.
    """
    known = scan.region_classes >= 0
    objects = known & ~np.append(region_structure, False)[scan.region_classes]
    wanted = ~np.append(prediction_structure, False)[scan.prediction_classes]
    kept = scan.keep(wanted, objects)
    return replace(
        kept,
        prediction_classes=np.zeros_like(kept.prediction_classes),
        region_classes=np.zeros_like(kept.region_classes),
    )


def nan_mean(values: np.ndarray) -> float:
    """Mean of the values that are not NaN, NaN when all are."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")


@dataclass(frozen=True)
class _Candidates:
    """One scan reduced to what every threshold asks for."""

    classes: np.ndarray
    scores: np.ndarray
    ignorable: np.ndarray
    """(p,): share of each prediction on void and on small regions of its class."""
    iou: np.ndarray
    """(p, r): 0 between different classes."""
    region_classes: np.ndarray
    region_counts: np.ndarray
    """(r,) bool: large enough."""

    @classmethod
    def of(cls, scan: Overlaps, classes: Sequence[int], min_region: int) -> "_Candidates":
        large = scan.prediction_sizes >= max(min_region, 1)
        scan = scan.keep(
            np.flatnonzero(large & np.isin(scan.prediction_classes, classes)),
            np.flatnonzero(np.isin(scan.region_classes, classes)),
        )
        counts = scan.region_sizes >= min_region
        same = scan.prediction_classes[:, None] == scan.region_classes[None, :]
        void = scan.prediction_sizes - scan.common.sum(axis=1)
        small = np.where(same & ~counts, scan.common, 0).sum(axis=1)
        return cls(
            classes=scan.prediction_classes,
            scores=scan.prediction_scores,
            ignorable=(void + small) / scan.prediction_sizes,
            iou=np.where(same, scan.iou(), 0.0),
            region_classes=scan.region_classes,
            region_counts=counts,
        )


def _decide(scan: _Candidates, threshold: float) -> _Decisions:
    above = scan.iou > threshold
    right, duplicates = _assign(np.where(above & scan.region_counts, scan.iou, 0.0), scan.scores)
    wrong = np.flatnonzero(~above.any(axis=1) & (scan.ignorable <= threshold))
    rows = np.concatenate([right, duplicates, wrong]).astype(np.int64)
    return _Decisions(scan.classes[rows], scan.scores[rows], np.arange(len(rows)) < len(right))


def _assign(iou: np.ndarray, scores: np.ndarray) -> tuple[list[int], list[int]]:
    """The right predictions and the duplicates: by score, each takes its best free region. 0: no match."""
    predictions, regions = np.nonzero(iou)
    order = np.lexsort((-iou[predictions, regions], predictions, -scores[predictions]))
    right: dict[int, int] = {}
    taken: set[int] = set()
    for prediction, region in zip(predictions[order].tolist(), regions[order].tolist(), strict=True):
        if prediction not in right and region not in taken:
            right[prediction] = region
            taken.add(region)
    return list(right), [prediction for prediction in set(predictions.tolist()) if prediction not in right]


def _per_class(scans: Sequence[Judged], classes: Sequence[int], threshold: int) -> list[float]:
    decisions = [scan.decisions[threshold] for scan in scans]
    found = np.concatenate([d.classes for d in decisions] or [[]])
    scores = np.concatenate([d.scores for d in decisions] or [[]])
    right = np.concatenate([d.right for d in decisions] or [[]])
    wanted = np.concatenate([scan.wanted for scan in scans] or [[]])
    return [
        area_under_curve(scores[found == c], right[found == c], int((wanted == c).sum())) for c in classes
    ]


def area_under_curve(scores: np.ndarray, right: np.ndarray, positives: int) -> float:
    """Area under the precision-recall curve of scored decisions; 0 without any, NaN without `positives`."""
    if not positives:
        return float("nan")
    if not len(scores):
        return 0.0
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    last = np.append(scores[1:] != scores[:-1], True)  # a point only where the score changes
    true = np.cumsum(right[order])[last]
    precision = np.append(1.0, true / (np.flatnonzero(last) + 1))
    recall = np.append(0.0, true / positives)
    return float((np.diff(recall) * (precision[1:] + precision[:-1])).sum() / 2)

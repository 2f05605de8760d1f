"""Coverage, precision and recall of instances as the S3DIS tables give them (ASIS, Eq. 7–9).

Readings of the benchmark that decide the number: only instances of one class match; the coverage of a class
is averaged inside each scan that holds it, then over those scans; precision and recall are pooled over scans,
at IoU .5 or more. A region is matched once, which differs from the authors' code only where two predictions
reach exactly .5 or overlap each other. Unlabelled points are taken out of everything first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from gestalt3d.metrics.matching import Overlaps

MATCH_IOU = 0.5


@dataclass(frozen=True)
class Coverage:
    """Fractions per class, (c,) float64; NaN for a class without true (precision: predicted) instances."""

    cov: np.ndarray
    """Mean over scans of the mean best IoU of the scan's regions (Eq. 7)."""
    wcov: np.ndarray
    """The same with regions weighted by their size inside the scan (Eq. 8, 9)."""
    precision: np.ndarray
    recall: np.ndarray
    num_true: np.ndarray
    """(c,) int64: instances over all scans."""
    num_predicted: np.ndarray


def coverage(scans: Sequence[Overlaps], *, num_classes: int) -> Coverage:
    """Classes `0 … num_classes - 1` over all `scans`; instances of other classes are left out."""
    return pooled_coverage(
        [covered(scan, num_classes=num_classes) for scan in scans], num_classes=num_classes
    )


def covered(scan: Overlaps, *, num_classes: int) -> Float64[np.ndarray, "c 5"]:
    """What `pooled_coverage` takes from one scan, which does not depend on others."""
    return np.array([_of_class(scan, c) for c in range(num_classes)]).reshape(num_classes, 5)


def pooled_coverage(scans: Sequence[Float64[np.ndarray, "c 5"]], *, num_classes: int) -> Coverage:
    """`coverage` of scans that were looked at one by one."""
    parts = np.array([*scans]).reshape(len(scans), num_classes, 5)
    cov, wcov, hits, num_true, num_predicted = parts.transpose(2, 0, 1)
    held = num_true.sum(axis=0)
    scans_with = (num_true > 0).sum(axis=0)
    return Coverage(
        cov=ratio(cov.sum(axis=0), scans_with),
        wcov=ratio(wcov.sum(axis=0), scans_with),
        precision=ratio(hits.sum(axis=0), num_predicted.sum(axis=0)),
        recall=ratio(hits.sum(axis=0), held),
        num_true=held.astype(np.int64),
        num_predicted=num_predicted.sum(axis=0).astype(np.int64),
    )


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient as float64, NaN where the denominator is 0."""
    numerator, denominator = (
        np.asarray(numerator, dtype=np.float64),
        np.asarray(denominator, dtype=np.float64),
    )
    return np.divide(numerator, denominator, out=np.full_like(denominator, np.nan), where=denominator != 0)


def _of_class(scan: Overlaps, c: int) -> tuple[float, float, int, int, int]:
    """Coverage, weighted coverage, matches, true and predicted instances of one class in one scan."""
    visible = scan.prediction_sizes > scan.unlabelled
    scan = scan.keep(visible & (scan.prediction_classes == c), scan.region_classes == c)
    iou = scan.iou(labelled_only=True)
    best = iou.max(axis=0, initial=0.0)
    if not len(best):
        return 0.0, 0.0, 0, 0, len(iou)
    weights = scan.region_sizes / scan.region_sizes.sum()
    return float(best.mean()), float(best @ weights), _matches(iou), len(best), len(iou)


def _matches(iou: np.ndarray) -> int:
    """Pairs of a prediction and a region at IoU .5 or more, best first, each used once."""
    predictions, regions = np.nonzero(iou >= MATCH_IOU)
    order = np.argsort(-iou[predictions, regions], kind="stable")
    used: tuple[set[int], set[int]] = (set(), set())
    for p, r in zip(predictions[order].tolist(), regions[order].tolist(), strict=True):
        if p not in used[0] and r not in used[1]:
            used[0].add(p)
            used[1].add(r)
    return len(used[0])

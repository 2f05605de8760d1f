"""Semantic scores from a table of counts: overall accuracy, and accuracy and IoU per class."""

from dataclasses import dataclass

import numpy as np

from gestalt3d.metrics.coverage import ratio


@dataclass(frozen=True)
class Semantic:
    """Fractions; per class (c,) float64, NaN for a class without true points (IoU: without any point)."""

    overall_accuracy: float
    accuracy: np.ndarray
    iou: np.ndarray
    intersection: np.ndarray
    """(c,) int64: points of the class that are predicted as it."""
    union: np.ndarray
    """(c,) int64."""


def confusion(truth: np.ndarray, predicted: np.ndarray, *, num_classes: int) -> np.ndarray:
    """(c, c + 1) int64: points by true class (row) and predicted class (column, the last for all others).

    Points whose true class is outside `[0, num_classes)` are left out.
    """
    if len(truth) != len(predicted):
        raise ValueError(f"{len(truth)} true and {len(predicted)} predicted classes")
    counted = (truth >= 0) & (truth < num_classes)
    truth, predicted = truth[counted].astype(np.int64), predicted[counted].astype(np.int64)
    predicted = np.where((predicted >= 0) & (predicted < num_classes), predicted, num_classes)
    cells = np.bincount(truth * (num_classes + 1) + predicted, minlength=num_classes * (num_classes + 1))
    return cells.reshape(num_classes, num_classes + 1)


def semantic(counts: np.ndarray) -> Semantic:
    """Scores of a table from `confusion`; add the tables of several scans to pool them."""
    right = np.diagonal(counts).copy()
    true, predicted = counts.sum(axis=1), counts[:, :-1].sum(axis=0)
    union = true + predicted - right
    return Semantic(
        overall_accuracy=float(right.sum() / true.sum()) if true.any() else float("nan"),
        accuracy=ratio(right, true),
        iou=ratio(right, union),
        intersection=right,
        union=union,
    )

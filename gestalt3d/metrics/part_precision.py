"""Average precision of scored parts by PartNet's rule (Mo et al., CVPR 2019), which GSPN's Table 2 goes by.

Readings of the benchmark that decide the number:

- Points without a true part ("other") are taken out of the predictions before the IoU, which must lie above the threshold. A
  prediction of such points alone is wrong.
- In each shape, best score first, a prediction takes the free true part of its class with the best IoU; a part that is taken is
  not looked at again. With equal scores the earlier prediction comes first; the authors' sorting leaves that open.
- The curve pools all shapes and has a point per prediction. The area is the mean, over the 101 recalls 0, .01, … 1, of the best
  precision at that recall or beyond; at recall 0 that is 1, whatever was found.
- A class without true parts is undefined, one without predictions is 0. By shape a class counts where it is true or predicted
  there, with 0 where it is only one of the two; a shape without either is undefined.
- Recall k / n is compared with a recall of the grid exactly. The authors' script does so with NumPy 1; with NumPy 2 rounding
  costs it ten of the grid's recalls.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gestalt3d.metrics.average_precision import nan_mean
from gestalt3d.metrics.matching import Overlaps

_STEPS = 100


@dataclass(frozen=True)
class PartPrecision:
    """Fractions at one threshold; NaN where there is nothing to find."""

    per_class: np.ndarray
    """(c,) float64, pooled over the shapes."""
    num_true: np.ndarray
    """(c,) int64: true parts."""
    per_shape: np.ndarray
    """(s,) float64: mean over the classes of a shape."""

    @property
    def mean(self) -> float:
        """Over the classes that have true parts."""
        return nan_mean(self.per_class)

    @property
    def shape_mean(self) -> float:
        """Over the shapes that have parts, true or predicted."""
        return nan_mean(self.per_shape)


def part_precision(shapes: Sequence[Overlaps], *, num_classes: int, threshold: float = 0.5) -> PartPrecision:
    """Of predictions and true parts whose classes lie in [0, num_classes); others are left out."""
    right = [_right(shape, threshold) for shape in shapes]
    found = np.concatenate([np.zeros(0, dtype=np.int64), *(shape.prediction_classes for shape in shapes)])
    scores = np.concatenate([np.zeros(0), *(shape.prediction_scores for shape in shapes)])
    pooled = np.concatenate([np.zeros(0, dtype=bool), *right])
    true = [_counts(shape.region_classes, num_classes) for shape in shapes]
    num_true = np.sum([np.zeros(num_classes, dtype=np.int64), *true], axis=0)
    return PartPrecision(
        per_class=_areas(found, scores, pooled, num_true),
        num_true=num_true,
        per_shape=np.array(
            [_of_shape(*row) for row in zip(shapes, right, true, strict=True)], dtype=np.float64
        ),
    )


def _right(shape: Overlaps, threshold: float) -> np.ndarray:
    """(p,) bool: the predictions that take a true part."""
    same = shape.prediction_classes[:, None] == shape.region_classes[None, :]
    iou = np.where(same, shape.iou(labelled_only=True), 0.0)
    right = np.zeros(len(iou), dtype=bool)
    if not iou.size:
        return right
    for p in np.argsort(-shape.prediction_scores, kind="stable"):
        best = int(iou[p].argmax())
        if iou[p, best] > threshold:
            right[p] = True
            iou[:, best] = 0.0
    return right


def _areas(classes: np.ndarray, scores: np.ndarray, right: np.ndarray, num_true: np.ndarray) -> np.ndarray:
    """(c,) AP of the decisions of each class; NaN without true parts."""
    return np.array(
        [
            area_under_envelope(scores[classes == c], right[classes == c], int(positives))
            for c, positives in enumerate(num_true)
        ]
    ).reshape(-1)


def area_under_envelope(scores: np.ndarray, right: np.ndarray, positives: int) -> float:
    """Mean over 101 recalls of the best precision at or beyond each; 0 without decisions, NaN without `positives`."""
    if not positives:
        return float("nan")
    if not len(scores):
        return 0.0
    true = np.append(0, np.cumsum(right[np.argsort(-scores, kind="stable")]))
    precision = np.append(1.0, true[1:] / np.arange(1, len(true)))
    best_beyond = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    # true / positives >= step / 100, in whole numbers.
    first = np.searchsorted(true * _STEPS, np.arange(_STEPS + 1) * positives)
    return float(best_beyond[first].mean())


def _of_shape(shape: Overlaps, right: np.ndarray, num_true: np.ndarray) -> float:
    num_found = _counts(shape.prediction_classes, len(num_true))
    areas = _areas(shape.prediction_classes, shape.prediction_scores, right, num_true)
    areas[(num_true == 0) & (num_found > 0)] = 0.0
    return nan_mean(areas)


def _counts(classes: np.ndarray, num_classes: int) -> np.ndarray:
    inside = (classes >= 0) & (classes < num_classes)
    return np.bincount(classes[inside], minlength=num_classes)

"""Average precision of scored answers in frames, by the rule of PASCAL VOC: for boxes and for voxels.

- Answers are matched frame by frame, best score first, equal scores by their row: each takes the free truth of its class that it
  overlaps most, the lower row on a tie, if their IoU is at least the threshold. A truth is taken once; who comes later may take
  another one, or is wrong. (VOC's own code calls it wrong without a look at the others.)
- The curve is of all frames together, with a point for each distinct score, so that it depends on no order of frames. Precision
  is made to fall with recall, and the area below is exact ("all points").
- A class without truth has no value and is in no mean; one with truth and no answer has 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from gestalt3d.metrics.average_precision import nan_mean


@dataclass(frozen=True)
class Pairs:
    """The `p` answers to a frame and its `r` truths; either may be none."""

    classes: Int[np.ndarray, "p"]
    scores: Float[np.ndarray, "p"]
    truth_classes: Int[np.ndarray, "r"]
    iou: Float64[np.ndarray, "p r"]
    """In [0, 1], whatever the classes."""
    is_void: Bool[np.ndarray, "r"] | None = None
    """Truths that nobody has to find, and whose answers are neither right nor wrong."""
    is_silent: Bool[np.ndarray, "p"] | None = None
    """Answers that are not wrong where they match nothing."""

    def __post_init__(self) -> None:
        p, r = len(self.classes), len(self.truth_classes)
        wanted = {"scores": (p,), "iou": (p, r), "is_void": (r,), "is_silent": (p,)}
        for name, shape in wanted.items():
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise ValueError(f"{name} must be {shape} for {p} answers and {r} truths, got {value.shape}")
        if not np.isfinite(self.scores).all():
            raise ValueError("scores must be finite, got NaN or infinity; give every answer a score")

    def any_class(self) -> "Pairs":
        """The same with class 0 for all, unknown ones (-1) among them."""
        return replace(
            self, classes=np.zeros_like(self.classes), truth_classes=np.zeros_like(self.truth_classes)
        )


@dataclass(frozen=True)
class Decisions:
    """What became of the answers to a frame that count."""

    rows: Int[np.ndarray, "k"]
    """Which answers, best score first."""
    truths: Int[np.ndarray, "k"]
    """The truth that each has found; -1: it is wrong."""


def decide(pairs: Pairs, threshold: float) -> Decisions:
    """Match answers and truths of a frame; classes of -1 match nothing."""
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be an IoU in (0, 1], got {threshold}")
    same = (pairs.classes[:, None] == pairs.truth_classes[None, :]) & (pairs.classes[:, None] >= 0)
    void = np.zeros(len(pairs.truth_classes), bool) if pairs.is_void is None else pairs.is_void
    silent = np.zeros(len(pairs.classes), bool) if pairs.is_silent is None else pairs.is_silent
    reached = same & (pairs.iou >= threshold)
    open_iou = np.where(reached & ~void, pairs.iou, 0.0)
    excused = silent | (reached & void).any(axis=1)
    rows, truths = [], []
    for row in np.argsort(-pairs.scores, kind="stable").tolist():
        best = int(open_iou[row].argmax()) if open_iou.shape[1] else -1
        if best >= 0 and open_iou[row, best] > 0:
            open_iou[:, best] = 0
        elif excused[row]:
            continue
        else:
            best = -1
        rows.append(row)
        truths.append(best)
    return Decisions(np.array(rows, np.int64), np.array(truths, np.int64))


@dataclass(frozen=True)
class Precision:
    """Fractions, in the order of the classes asked for; NaN for those without truth."""

    per_class: Float64[np.ndarray, "c"]
    recall: Float64[np.ndarray, "c"]
    """Share of the truths that are found, whatever the scores."""

    @property
    def mean(self) -> float:
        """Over the classes with truth; NaN without any."""
        return nan_mean(self.per_class)

    @property
    def mean_recall(self) -> float:
        return nan_mean(self.recall)


def precision_at(frames: Sequence[Pairs], threshold: float, *, classes: Sequence[int]) -> Precision:
    """Average precision of each class over all `frames`, at that IoU; answers and truths of other classes are left out."""
    decided = [decide(frame, threshold) for frame in frames]
    of, scores, right = _Column(np.int64), _Column(np.float64), _Column(np.bool_)
    truth = _Column(np.int64)
    for frame, decisions in zip(frames, decided, strict=True):
        of.parts.append(frame.classes[decisions.rows])
        scores.parts.append(frame.scores[decisions.rows])
        right.parts.append(decisions.truths >= 0)
        counted = slice(None) if frame.is_void is None else ~frame.is_void
        truth.parts.append(frame.truth_classes[counted])
    areas, recalls = [], []
    for c in classes:
        own, positives = of.all == c, int((truth.all == c).sum())
        areas.append(area_of_all_points(scores.all[own], right.all[own], positives))
        recalls.append(right.all[own].sum() / positives if positives else np.nan)
    return Precision(np.array(areas, np.float64), np.array(recalls, np.float64))


def area_of_all_points(scores: Float[np.ndarray, "k"], right: Bool[np.ndarray, "k"], positives: int) -> float:
    """Area below the falling precision-recall curve; 0 without answers, NaN without `positives` to find."""
    if not positives:
        return float("nan")
    if not len(scores):
        return 0.0
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    true = np.cumsum(right[order])[last]
    precision = np.maximum.accumulate((true / (np.flatnonzero(last) + 1))[::-1])[::-1]
    return float((np.diff(true, prepend=0) / positives * precision).sum())


@dataclass
class _Column:
    """Arrays that grow by parts."""

    dtype: type
    parts: list[np.ndarray] = field(default_factory=list[np.ndarray])

    @property
    def all(self) -> np.ndarray:
        return np.concatenate([np.zeros(0, self.dtype), *self.parts])

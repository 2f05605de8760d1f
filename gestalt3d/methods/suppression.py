"""Non-maximum suppression among the boxes of each class, for methods whose instances begin as boxes."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable
class Suppress(Protocol):
    """An operator such as `ops.aligned_boxes.suppressed`: rows of the boxes that stay."""

    def __call__(self, boxes: Tensor, scores: Tensor, *, max_iou: float) -> Tensor: ...


def best_of_each_class(
    suppress: Suppress,
    boxes: Float[Tensor, "n d"],
    score: Float[Tensor, "n"],
    kind: Int[Tensor, "n"],
    *,
    max_iou: float,
) -> Int[Tensor, "k"]:
    """Rows of boxes that no better one of their class overlaps by more, the best first."""
    kept = [torch.zeros(0, dtype=torch.int64)]
    for one in torch.unique(kind):
        own = (kind == one).nonzero()[:, 0]
        kept.append(own[suppress(boxes[own], score[own], max_iou=max_iou)])
    rows = torch.cat(kept)
    return rows[torch.argsort(score[rows], descending=True, stable=True)]

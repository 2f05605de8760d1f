"""Loss of SGPN's similarity matrix (Wang et al., CVPR 2018): a double hinge on pairs of points."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

_ROWS_AT_ONCE = 256


class SimilarityTerms(NamedTuple):
    loss: Float[Tensor, ""]
    overlap: Float[Tensor, "b r"]
    """IoU of each row's proposal, the points with S < k1, with its point's instance: the confidence's target.
    Without gradient."""


def double_hinge_loss(
    features: Float[Tensor, "b n d"],
    instances: Int[Tensor, "b n"],
    classes: Int[Tensor, "b n"],
    *,
    alpha: float,
    k1: float = 10.0,
    k2: float = 80.0,
    rows: int | None = None,
) -> SimilarityTerms:
    """S = 10 |f_i - f_j|² for pairs of one instance, alpha [k1 - S]+ of one class, [k2 - S]+ of two.

    The mean over pairs, each weighted with the inverse sizes of its points' instances; negative ids take no
    part. `rows` takes the first so many points of each block against all points instead of all pairs, a
    fair sample when points are in random order. Memory grows with n, not n². In float32 also under
    autocast; not twice differentiable.
    """
    with torch.autocast(features.device.type, enabled=False):
        features = features if features.dtype == torch.float64 else features.float()
        return SimilarityTerms(
            *_DoubleHinge.apply(features, instances, classes, alpha, k1, k2, rows or features.shape[1])
        )


class _DoubleHinge(torch.autograd.Function):
    """The gradient is computed beside the loss, a slice of the matrix at a time, so that no slice is kept."""

    @staticmethod
    def forward(ctx, features, instances, classes, alpha, k1, k2, rows):
        gradient = torch.zeros_like(features)
        overlap = features.new_zeros(len(features), min(rows, features.shape[1]))
        losses = [
            _block(*block, alpha, k1, k2)
            for block in zip(features, instances, classes, gradient, overlap, strict=True)
        ]
        loss = torch.stack(losses).mean() if losses else features.new_zeros(())
        ctx.save_for_backward(gradient / max(len(losses), 1))
        ctx.mark_non_differentiable(overlap)
        return loss, overlap

    @staticmethod
    def backward(ctx, grad, _):
        (gradient,) = ctx.saved_tensors
        return grad * gradient, *(None,) * 6


def _block(f, instances, classes, gradient, overlap, alpha, k1, k2):
    """Loss of one block; writes its gradient and the overlaps."""
    member = torch.where(instances < 0, int(instances.max()) + 1, instances)
    size = torch.bincount(member)[member].to(f.dtype)
    weight = torch.where(instances < 0, 0, 1 / size)
    length2 = f.square().sum(1)
    rows = overlap.shape[0]
    total = weight[:rows].sum() * weight.sum()
    if total == 0:
        return f.new_zeros(())
    loss = f.new_zeros(())
    for first in range(0, rows, _ROWS_AT_ONCE):
        part = slice(first, min(first + _ROWS_AT_ONCE, rows))
        s = (10 * (length2[part, None] + length2 - 2 * f[part] @ f.T)).clamp(min=0)
        together = instances[part, None] == instances
        related = classes[part, None] == classes
        edge = torch.where(related, k1, k2)
        slope = torch.where(related, -alpha, -1.0)
        near = s < edge
        slope = torch.where(together, 1.0, torch.where(near, slope, 0.0))
        value = slope * torch.where(together, s, s - edge)
        pair = weight[part, None] * weight / total
        loss = loss + (pair * value).sum()
        pull = 20 * pair * slope  # dL/df_i = sum_j pull_ij (f_i - f_j)
        gradient[part] += pull.sum(1, keepdim=True) * f[part] - pull @ f
        gradient += pull.sum(0)[:, None] * f - pull.T @ f[part]

        proposed = s < k1
        common = (proposed & together).sum(1).to(f.dtype)
        overlap[part] = common / (proposed.sum(1) + size[part] - common)
    return loss

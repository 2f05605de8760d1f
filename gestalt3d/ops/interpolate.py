"""Features between points: the feature propagation of PointNet++ (Qi et al. 2017, Eq. 2 with p = 2)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.gather import gather_reference, scatter_add_reference
from gestalt3d.ops.knn import Neighbours
from gestalt3d.ops.operator import Operator
from gestalt3d.ops.shapes import check_batch


def inverse_distance_weights(
    dist2: Float[Tensor, "b m k"], index: Int[Tensor, "b m k"]
) -> Float[Tensor, "b m k"]:
    """1 / max(dist2, 1e-10), normalised to a sum of one; zero for padding."""
    wide = dist2.to(torch.promote_types(dist2.dtype, torch.float32))
    weights = (1 / wide.clamp(min=1e-10)).masked_fill(index < 0, 0)
    return (weights / weights.sum(-1, keepdim=True).clamp(min=torch.finfo(wide.dtype).tiny)).to(dist2.dtype)


def interpolate_reference(
    features: Float[Tensor, "b n c"], index: Int[Tensor, "b m k"], weights: Float[Tensor, "b m k"]
) -> Float[Tensor, "b m c"]:
    """The definition, in plain PyTorch: the weighted sum of the rows of `index` that are not negative."""
    dtype = torch.promote_types(features.dtype, torch.float32)
    rows = gather_reference(features, index.flatten(1)).unflatten(1, index.shape[1:])
    return (rows.to(dtype) * weights[..., None]).sum(2).to(features.dtype)


def interpolate_backward_reference(
    grad: Float[Tensor, "b m c"], index: Int[Tensor, "b m k"], weights: Float[Tensor, "b m k"], n: int
) -> Float[Tensor, "b n c"]:
    """The adjoint in `features`."""
    dtype = torch.promote_types(grad.dtype, torch.float32)
    values = grad[:, :, None].to(dtype) * weights[..., None]
    return scatter_add_reference(values.flatten(1, 2), index.flatten(1), n).to(grad.dtype)


_forward = Operator(
    "gestalt3d::interpolate",
    interpolate_reference,
    schema="(Tensor features, Tensor index, Tensor weights) -> Tensor",
)
_backward = Operator(
    "gestalt3d::interpolate_backward",
    interpolate_backward_reference,
    schema="(Tensor grad, Tensor index, Tensor weights, int n) -> Tensor",
)


@_forward.register_kernel("cpu", halves=True)
def _forward_cpu(features: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    from gestalt3d.ops._numba.interpolate import interpolate as kernel

    return kernel(features, index, weights)


@_backward.register_kernel("cpu", halves=True)
def _backward_cpu(grad: Tensor, index: Tensor, weights: Tensor, n: int) -> Tensor:
    from gestalt3d.ops._numba.interpolate import interpolate_backward as kernel

    return kernel(grad, index, weights, n)


@_forward.register_fake
def _forward_fake(features: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    return features.new_empty((*index.shape[:2], features.shape[2]))


@_backward.register_fake
def _backward_fake(grad: Tensor, index: Tensor, weights: Tensor, n: int) -> Tensor:
    return grad.new_empty((grad.shape[0], n, grad.shape[2]))


def _forward_context(ctx, inputs, output) -> None:
    ctx.save_for_backward(*inputs[1:])
    ctx.n = inputs[0].shape[1]


_forward.register_autograd(
    lambda ctx, grad: (_backward(grad, *ctx.saved_tensors, ctx.n), None, None), setup_context=_forward_context
)
_backward.register_autograd(
    lambda ctx, grad: (_forward(grad, *ctx.saved_tensors), None, None, None),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs[1:3]),
)


def interpolate(features: Float[Tensor, "b n c"], neighbours: Neighbours) -> Float[Tensor, "b m c"]:
    """The mean of the features of each point's neighbours, weighted by 1 / max(dist2, 1e-10).

    Differentiable in `features`, not in the distances. Padding does not count; no neighbours give zeros. Sums
    in float32.
    """
    check_batch(features=features, index=neighbours.index, dist2=neighbours.dist2)
    dtype = torch.promote_types(features.dtype, torch.float32)
    index = neighbours.index.to(torch.int64)
    return _forward(features, index, inverse_distance_weights(neighbours.dist2.detach(), index).to(dtype))

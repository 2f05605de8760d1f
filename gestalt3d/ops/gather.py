"""Rows of features by index, and the sum back into them."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator
from gestalt3d.ops.shapes import check_batch


def gather_reference(features: Float[Tensor, "b n c"], index: Int[Tensor, "b m"]) -> Float[Tensor, "b m c"]:
    """The definition, in plain PyTorch."""
    b, n, c = features.shape
    if n == 0:
        return features.new_zeros((b, index.shape[1], c))
    rows = torch.arange(b, device=index.device)[:, None]
    return features[rows, index.clamp(min=0)].masked_fill_((index < 0)[..., None], 0)


def scatter_add_reference(
    values: Float[Tensor, "b m c"], index: Int[Tensor, "b m"], n: int
) -> Float[Tensor, "b n c"]:
    """The adjoint of `gather`: row i sums all `values[b, j]` with `index[b, j] = i` in float32 or wider."""
    b, _, c = values.shape
    dtype = torch.promote_types(values.dtype, torch.float32)
    # Row 0 of each batch takes what has no index.
    rows = torch.arange(b, device=index.device)[:, None] * (n + 1) + index.clamp(min=-1) + 1
    total = torch.zeros((b * (n + 1), c), dtype=dtype, device=values.device)
    total.index_add_(0, rows.flatten(), values.to(dtype).flatten(0, 1))
    return total.view(b, n + 1, c)[:, 1:].to(values.dtype).contiguous()


_gather = Operator("gestalt3d::gather", gather_reference, schema="(Tensor features, Tensor index) -> Tensor")
_scatter_add = Operator(
    "gestalt3d::scatter_add",
    scatter_add_reference,
    schema="(Tensor values, Tensor index, int n) -> Tensor",
)


@_gather.register_kernel("cpu", halves=True)
def _gather_cpu(features: Tensor, index: Tensor) -> Tensor:
    from gestalt3d.ops._numba.gather import gather as kernel

    return kernel(features, index)


@_scatter_add.register_kernel("cpu", halves=True)
def _scatter_add_cpu(values: Tensor, index: Tensor, n: int) -> Tensor:
    from gestalt3d.ops._numba.gather import scatter_add as kernel

    return kernel(values, index, n)


@_gather.register_fake
def _gather_fake(features: Tensor, index: Tensor) -> Tensor:
    return features.new_empty((*index.shape, features.shape[2]))


@_scatter_add.register_fake
def _scatter_add_fake(values: Tensor, index: Tensor, n: int) -> Tensor:
    return values.new_empty((values.shape[0], n, values.shape[2]))


def _gather_context(ctx, inputs, output) -> None:
    features, index = inputs
    ctx.save_for_backward(index)
    ctx.n = features.shape[1]


def _scatter_add_context(ctx, inputs, output) -> None:
    ctx.save_for_backward(inputs[1])


_gather.register_autograd(
    lambda ctx, grad: (_scatter_add(grad, ctx.saved_tensors[0], ctx.n), None), setup_context=_gather_context
)
_scatter_add.register_autograd(
    lambda ctx, grad: (_gather(grad, ctx.saved_tensors[0]), None, None), setup_context=_scatter_add_context
)


def gather(features: Float[Tensor, "b n c"], index: Int[Tensor, "b *m"]) -> Float[Tensor, "b *m c"]:
    """`result[b, i, j] = features[b, index[b, i, j]]`, zeros for negative ones; `index` may be (b, m).

    Differentiable. The backward sums in float32 at least; on the CPU in index order, whatever the threads.
    """
    check_batch(features=features, index=index)
    flat = _gather(features, index.flatten(1).to(torch.int64))
    return flat.unflatten(1, index.shape[1:])

"""Channel-wise maximum over neighbours, gathered or already grouped, with a backward that touches one row per maximum.

The plain way, `gather` then `amax`, writes every neighbour's features to memory and compares them all again in the backward;
here neither happens.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator


def neighbour_max_reference(
    features: Float[Tensor, "b n c"], index: Int[Tensor, "b m k"]
) -> tuple[Tensor, Tensor]:
    """The definition, in plain PyTorch: maxima, and which of the k each came from (-1: no neighbour)."""
    b, m, k = index.shape
    c = features.shape[2]
    if k == 0 or features.shape[1] == 0:
        return features.new_zeros((b, m, c)), torch.full(
            (b, m, c), -1, dtype=torch.int16, device=features.device
        )
    rows = torch.arange(b, device=index.device)[:, None, None]
    missing = (index < 0)[..., None]
    grouped = features[rows, index.clamp(min=0)].masked_fill_(missing, -torch.inf)
    best, which = grouped.max(dim=2)
    nothing = missing.all(dim=2)
    # `max` promises no order among equals: the first that equals the maximum is the contract.
    which = _attains(grouped, best[:, :, None]).argmax(dim=2)
    return best.masked_fill(nothing, 0), which.masked_fill(nothing, -1).to(torch.int16)


def neighbour_max_backward_reference(grad: Tensor, index: Tensor, which: Tensor, n: int) -> Tensor:
    """The sum of all gradients at the row each maximum came from."""
    b, _, c = grad.shape
    dtype = torch.promote_types(grad.dtype, torch.float32)
    row = index.gather(2, which.clamp(min=0).long()) if index.shape[2] else which.long()
    row = torch.where(which < 0, -1, row)
    total = torch.zeros((b, n + 1, c), dtype=dtype, device=grad.device)
    total.scatter_add_(1, row + 1, grad.to(dtype))
    return total[:, 1:].to(grad.dtype).contiguous()


def group_max_reference(values: Float[Tensor, "r k c"]) -> tuple[Tensor, Tensor]:
    """The definition for values that are grouped already."""
    best = values.amax(dim=1)
    which = _attains(values, best[:, None]).argmax(dim=1)
    return best, which.to(torch.int16)


def _attains(values: Tensor, best: Tensor) -> Tensor:
    """1 where a value is the maximum, which is NaN where any is."""
    return ((values == best) | (values.isnan() & best.isnan())).to(torch.int8)


def group_max_backward_reference(grad: Tensor, which: Tensor, k: int) -> Tensor:
    """Each gradient at the place of its maximum, zeros elsewhere."""
    out = torch.zeros((grad.shape[0], k, grad.shape[1]), dtype=grad.dtype, device=grad.device)
    return out.scatter_(1, which[:, None].long(), grad[:, None])


_PAIR = "-> (Tensor, Tensor)"
_neighbour_max = Operator(
    "gestalt3d::neighbour_max",
    neighbour_max_reference,
    schema=f"(Tensor features, Tensor index) {_PAIR}",
)
_neighbour_max_backward = Operator(
    "gestalt3d::neighbour_max_backward",
    neighbour_max_backward_reference,
    schema="(Tensor grad, Tensor index, Tensor which, int n) -> Tensor",
)
_group_max = Operator("gestalt3d::group_max", group_max_reference, schema=f"(Tensor values) {_PAIR}")
_group_max_backward = Operator(
    "gestalt3d::group_max_backward",
    group_max_backward_reference,
    schema="(Tensor grad, Tensor which, int k) -> Tensor",
)


@_neighbour_max.register_kernel("cpu", halves=True)
def _neighbour_max_cpu(features: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    from gestalt3d.ops._numba.neighbour_max import neighbour_max as kernel

    return kernel(features, index)


@_neighbour_max_backward.register_kernel("cpu", halves=True)
def _neighbour_max_backward_cpu(grad: Tensor, index: Tensor, which: Tensor, n: int) -> Tensor:
    from gestalt3d.ops._numba.neighbour_max import neighbour_max_backward as kernel

    return kernel(grad, index, which, n)


@_group_max.register_kernel("cpu", halves=True)
def _group_max_cpu(values: Tensor) -> tuple[Tensor, Tensor]:
    from gestalt3d.ops._numba.neighbour_max import group_max as kernel

    return kernel(values)


@_group_max_backward.register_kernel("cpu", halves=True)
def _group_max_backward_cpu(grad: Tensor, which: Tensor, k: int) -> Tensor:
    from gestalt3d.ops._numba.neighbour_max import group_max_backward as kernel

    return kernel(grad, which, k)


@_neighbour_max.register_fake
def _neighbour_max_fake(features: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    shape = (*index.shape[:2], features.shape[2])
    return features.new_empty(shape), features.new_empty(shape, dtype=torch.int16)


@_neighbour_max_backward.register_fake
def _neighbour_max_backward_fake(grad: Tensor, index: Tensor, which: Tensor, n: int) -> Tensor:
    return grad.new_empty((grad.shape[0], n, grad.shape[2]))


@_group_max.register_fake
def _group_max_fake(values: Tensor) -> tuple[Tensor, Tensor]:
    shape = (values.shape[0], values.shape[2])
    return values.new_empty(shape), values.new_empty(shape, dtype=torch.int16)


@_group_max_backward.register_fake
def _group_max_backward_fake(grad: Tensor, which: Tensor, k: int) -> Tensor:
    return grad.new_empty((grad.shape[0], k, grad.shape[1]))


def _neighbour_context(ctx, inputs, output) -> None:
    features, index = inputs
    ctx.save_for_backward(index, output[1])
    ctx.n = features.shape[1]
    ctx.mark_non_differentiable(output[1])


def _group_context(ctx, inputs, output) -> None:
    ctx.save_for_backward(output[1])
    ctx.k = inputs[0].shape[1]
    ctx.mark_non_differentiable(output[1])


_neighbour_max.register_autograd(
    lambda ctx, grad, _: (_neighbour_max_backward(grad, *ctx.saved_tensors, ctx.n), None),
    setup_context=_neighbour_context,
)
_group_max.register_autograd(
    lambda ctx, grad, _: _group_max_backward(grad, *ctx.saved_tensors, ctx.k), setup_context=_group_context
)


def neighbour_max(features: Float[Tensor, "b n c"], index: Int[Tensor, "b m k"]) -> Float[Tensor, "b m c"]:
    """`result[b, i, j]` is the largest `features[b, index[b, i, :], j]`; zero where all of a row's indices are negative.

    Differentiable: the gradient goes to the first of equal neighbours (`amax` shares it among them). Sums of the backward
    are in float32 at least and in index order. NaN is larger than any number, the first one the largest.
    """
    return _neighbour_max(features, index.to(torch.int64))[0]


def group_max(values: Float[Tensor, "*rows k c"]) -> Float[Tensor, "*rows c"]:
    """Maximum over the last dimension but one, which must not be empty; the gradient goes to the first of equals.

    NaN is larger than any number, the first one the largest.
    """
    if values.shape[-2] == 0:
        raise ValueError("group_max needs at least one value in every group, got k = 0")
    flat = values.reshape(-1, *values.shape[-2:])
    return _group_max(flat)[0].reshape(*values.shape[:-2], values.shape[-1])

"""Batch normalisation over rows and ReLU in one: what every layer of a point network does to memory.

The plain way takes more passes over memory; and here bfloat16 stays bfloat16 in memory while everything is
computed in float32.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gestalt3d.ops.operator import Operator


class NormRelu(NamedTuple):
    out: Float[Tensor, "r c"]
    mean: Float[Tensor, "c"]
    """Of the rows; without gradient, like `var`."""
    var: Float[Tensor, "c"]
    """Biased."""


def norm_relu_reference(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """The definition, in plain PyTorch."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    var, mean = torch.var_mean(wide, dim=0, correction=0)
    normalised = (wide - mean) * (var + eps).rsqrt()
    return torch.relu(normalised * weight + bias).to(x.dtype), mean, var


def norm_relu_backward_reference(
    grad: Tensor, x: Tensor, out: Tensor, weight: Tensor, mean: Tensor, var: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias."""
    wide = torch.promote_types(x.dtype, torch.float32)
    scale = (var + eps).rsqrt()
    normalised = (x.to(wide) - mean) * scale
    passed = torch.where(out > 0, grad, 0).to(wide)
    d_bias, d_weight = passed.sum(0), (passed * normalised).sum(0)
    d_x = weight * scale * (passed - d_bias / len(x) - normalised * d_weight / len(x))
    return d_x.to(x.dtype), d_weight, d_bias


_op = Operator(
    "gestalt3d::norm_relu",
    norm_relu_reference,
    schema="(Tensor x, Tensor weight, Tensor bias, float eps) -> (Tensor, Tensor, Tensor)",
)
_backward = Operator(
    "gestalt3d::norm_relu_backward",
    norm_relu_backward_reference,
    schema="(Tensor grad, Tensor x, Tensor out, Tensor weight, Tensor mean, Tensor var, float eps)"
    " -> (Tensor, Tensor, Tensor)",
)
_KERNEL_TYPES = (torch.float32, torch.bfloat16)


@_op.register_kernel("cpu", halves=True)
def _cpu(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    if x.dtype not in _KERNEL_TYPES:
        return norm_relu_reference(x, weight, bias, eps)
    from gestalt3d.ops._numba.norm_relu import norm_relu as kernel

    return kernel(x, weight, bias, eps)


@_backward.register_kernel("cpu", halves=True)
def _backward_cpu(grad, x, out, weight, mean, var, eps):
    if x.dtype not in _KERNEL_TYPES or grad.dtype != x.dtype:
        return norm_relu_backward_reference(grad, x, out, weight, mean, var, eps)
    from gestalt3d.ops._numba.norm_relu import norm_relu_backward as kernel

    return kernel(grad, x, out, weight, mean, var, eps)


@_op.register_fake
def _fake(x, weight, bias, eps):
    wide = torch.promote_types(x.dtype, torch.float32)
    return x.new_empty(x.shape), x.new_empty(x.shape[1], dtype=wide), x.new_empty(x.shape[1], dtype=wide)


@_backward.register_fake
def _backward_fake(grad, x, out, weight, mean, var, eps):
    return x.new_empty(x.shape), mean.new_empty(mean.shape), mean.new_empty(mean.shape)


def _context(ctx, inputs, output) -> None:
    x, weight, _, ctx.eps = inputs
    out, mean, var = output
    ctx.save_for_backward(x, out, weight, mean, var)
    ctx.mark_non_differentiable(mean, var)


def _gradient(ctx, grad, _mean, _var):
    d_x, d_weight, d_bias = _backward(grad, *ctx.saved_tensors, ctx.eps)
    return d_x, d_weight, d_bias, None


_op.register_autograd(_gradient, setup_context=_context)


def norm_relu(
    x: Float[Tensor, "r c"], weight: Float[Tensor, "c"], bias: Float[Tensor, "c"], *, eps: float
) -> NormRelu:
    """`out = relu((x - mean) / sqrt(var + eps) * weight + bias)` in the type of `x`, statistics over rows.

    Differentiable in x, weight and bias. At least one row. The number of threads changes nothing.
    """
    if len(x) == 0:
        raise ValueError("norm_relu needs at least one row to take a mean of, got none")
    return NormRelu(*_op(x, weight, bias, eps))

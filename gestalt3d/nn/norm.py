"""Batch norm followed by ReLU on rows of channels, its momentum, and statistics other than those of the training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gestalt3d.ops.norm_relu import norm_relu

BatchNorm: TypeAlias = nn.modules.batchnorm._BatchNorm
"""Of any dimension."""


def batch_norms(module: nn.Module) -> list[BatchNorm]:
    """Every batch norm in it."""
    return [part for part in module.modules() if isinstance(part, BatchNorm)]


def set_bn_momentum(module: nn.Module, momentum: float) -> None:
    """Weight of the newest batch in every running mean and variance; PointNet's falls from 0.5 to 0.01."""
    for norm in batch_norms(module):
        norm.momentum = momentum


@contextmanager
def statistics_of(module: nn.Module, look: Callable[[], object]) -> Iterator[None]:
    """Inside, batch norm goes by the means and variances of what `look` sends through `module`, which is in eval mode.

    Momentum and running statistics are what they were afterwards.
    """
    norms = batch_norms(module)
    kept = [(norm.momentum, {n: b.clone() for n, b in norm.named_buffers()}) for norm in norms]
    try:
        for norm in norms:
            norm.train()
            norm.momentum = 1.0
        look()
        for norm in norms:
            norm.eval()
        yield
    finally:
        for norm, (momentum, buffers) in zip(norms, kept, strict=True):
            norm.momentum = momentum
            norm.load_state_dict(buffers, strict=False)
            norm.eval()


def folded(norm: nn.BatchNorm1d) -> tuple[Float[Tensor, "d"], Float[Tensor, "d"]]:
    """Factor and bias per channel that the batch norm amounts to outside training."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale


def rectified(norm: nn.BatchNorm1d, values: Float[Tensor, "*rows d"]) -> Float[Tensor, "*rows d"]:
    """ReLU, in training after batch norm over all rows; otherwise `values` have it folded in, and are overwritten."""
    if not norm.training:
        return F.relu(values, inplace=True)
    assert norm.running_mean is not None and norm.running_var is not None
    rows = values.reshape(-1, values.shape[-1])
    if len(rows) <= 1:
        # One row has no variance to divide by: it is judged by what earlier batches looked like.
        statistics = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        return F.relu(F.batch_norm(rows, *statistics, eps=norm.eps)).reshape(values.shape)
    out, mean, var = norm_relu(rows, norm.weight, norm.bias, eps=norm.eps)
    with torch.no_grad():
        momentum, unbiased = norm.momentum or 0.0, len(rows) / (len(rows) - 1)
        norm.running_mean.lerp_(mean, momentum)
        norm.running_var.lerp_(var * unbiased, momentum)
    return out.reshape(values.shape)

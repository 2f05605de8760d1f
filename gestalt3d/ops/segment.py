"""Reduce the rows that share a segment id: sum, mean, max, min, mode.

`out[s]` reduces `values[segments == s]`. Negative ids are ignored, empty segments are 0 (mode: -1). Sums are
accumulated in float64 in row order, so results repeat bit for bit whatever the number of threads. A NaN makes its
segment's sum, mean, maximum and minimum NaN, as `torch.amax` does. 16-bit floats are widened, and rounded once at the end.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator
from gestalt3d.ops.shapes import widened

DENSE_PAIRS = 1 << 24
"""Largest (segments, values) table that `segment_mode` counts in directly: 128 MB."""


def segment_sum(
    values: Float[Tensor, "n c"], segments: Int[Tensor, "n"], num_segments: int
) -> Float[Tensor, "s c"]:
    """Sum of each segment's rows."""
    _check(segments, num_segments)
    return torch.ops.gestalt3d.segment_sum(values, segments.long(), num_segments)


def segment_mean(
    values: Float[Tensor, "n c"], segments: Int[Tensor, "n"], num_segments: int
) -> Float[Tensor, "s c"]:
    """Mean of each segment's rows."""
    wide = values.to(torch.promote_types(values.dtype, torch.float32))
    sums = segment_sum(wide, segments, num_segments)
    return (sums / segment_count(segments, num_segments).clamp_min(1)[:, None]).to(values.dtype)


def segment_max(
    values: Float[Tensor, "n c"], segments: Int[Tensor, "n"], num_segments: int
) -> Float[Tensor, "s c"]:
    """Maximum per column; the gradient goes to the first row that attains it, or to the first NaN."""
    _check(segments, num_segments)
    return torch.ops.gestalt3d.segment_max(values, segments.long(), num_segments)[0]


def segment_count(segments: Int[Tensor, "n"], num_segments: int) -> Int[Tensor, "s"]:
    """Number of rows of each segment."""
    _check(segments, num_segments)
    return torch.bincount(segments.long().clamp_min(-1) + 1, minlength=num_segments + 1)[1:]


def segment_mode(
    values: Int[Tensor, "n"], segments: Int[Tensor, "n"], num_segments: int, num_values: int
) -> Int[Tensor, "s"]:
    """Most frequent value of each segment, the smallest on ties; negative values do not vote, -1 where
    nothing does.
    """
    _check(segments, num_segments)
    if len(values) and int(values.max()) >= num_values:
        raise ValueError(f"values must be below num_values = {num_values}, got {int(values.max())}")
    return torch.ops.gestalt3d.segment_mode(values.long(), segments.long(), num_segments, num_values)


def _check(segments: Tensor, num_segments: int) -> None:
    if len(segments) and int(segments.max()) >= num_segments:
        raise ValueError(f"segments must be below num_segments = {num_segments}, got {int(segments.max())}")


def segment_sum_reference(values: Tensor, segments: Tensor, num_segments: int) -> Tensor:
    """The definition in plain PyTorch: sorted by segment, then every run is summed (no atomics, so it repeats
    on a GPU).
    """
    order = torch.argsort(segments, stable=True)
    order = order[segments[order] >= 0]
    lengths = torch.bincount(segments[order], minlength=num_segments)
    if len(order) == 0 or values.shape[1] == 0:
        return values.new_zeros((num_segments, values.shape[1]))
    sums = torch.segment_reduce(values[order].double(), "sum", lengths=lengths, axis=0, unsafe=True)
    return sums.to(values.dtype)


def segment_max_reference(values: Tensor, segments: Tensor, num_segments: int) -> tuple[Tensor, Tensor]:
    """The definition in plain PyTorch: (maximum, its first row or -1)."""
    rows, columns = len(segments), values.shape[1]
    member = segments >= 0
    slot = segments.clamp_min(0)[:, None].expand(rows, columns)
    low = torch.where(member[:, None], values, -torch.inf)
    best = values.new_full((num_segments, columns), -torch.inf).scatter_reduce(0, slot, low, "amax")
    own = best.gather(0, slot) if rows else values
    attains = member[:, None] & ((values == own) | (values.isnan() & own.isnan()))
    row = torch.where(attains, torch.arange(rows, device=values.device)[:, None], rows)
    index = slot.new_full((num_segments, columns), rows).scatter_reduce(0, slot, row, "amin")
    empty = index == rows
    return best.masked_fill(empty, 0), index.masked_fill(empty, -1)


def segment_mode_reference(values: Tensor, segments: Tensor, num_segments: int, num_values: int) -> Tensor:
    """The definition in plain PyTorch, from the sorted (segment, value) pairs: memory does not grow with the
    table.
    """
    votes = (segments >= 0) & (values >= 0)
    mode = segments.new_full((num_segments,), -1)
    pairs, times = torch.unique(segments[votes] * num_values + values[votes], return_counts=True)
    # Pairs ascend by segment and value; stable sorts put the most frequent, then smallest first.
    order = torch.argsort(times, descending=True, stable=True)
    owner = pairs[order] // max(num_values, 1)
    by_segment = torch.argsort(owner, stable=True)
    order, owner = order[by_segment], owner[by_segment]
    first = torch.ones_like(owner, dtype=torch.bool)
    first[1:] = owner[1:] != owner[:-1]
    mode[owner[first]] = pairs[order[first]] % max(num_values, 1)
    return mode


_sum_op = Operator(
    "gestalt3d::segment_sum",
    segment_sum_reference,
    schema="(Tensor values, Tensor segments, int num_segments) -> Tensor",
)


@_sum_op.register_kernel("cpu", halves=True)
def _sum_cpu(values: Tensor, segments: Tensor, num_segments: int) -> Tensor:
    from gestalt3d.ops._numba import segment as cpu

    totals = np.zeros((num_segments, values.shape[1]))
    cpu.segment_sum(widened(values).contiguous().numpy(), segments.contiguous().numpy(), totals)
    return torch.from_numpy(totals).to(values.dtype)


@_sum_op.register_fake
def _sum_fake(values: Tensor, segments: Tensor, num_segments: int) -> Tensor:
    return values.new_empty((num_segments, values.shape[1]))


def _sum_context(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(inputs[1])


def _sum_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
    (segments,) = ctx.saved_tensors
    return _rows(grad, segments), None, None


_sum_op.register_autograd(_sum_backward, setup_context=_sum_context)


def _rows(table: Tensor, index: Tensor) -> Tensor:
    """`table[index]`, zero rows where the index is negative."""
    if table.shape[0] == 0:
        return table.new_zeros((len(index), *table.shape[1:]))
    return table[index.clamp_min(0)].masked_fill((index < 0)[:, None], 0)


_max_op = Operator(
    "gestalt3d::segment_max",
    segment_max_reference,
    schema="(Tensor values, Tensor segments, int num_segments) -> (Tensor, Tensor)",
)


@_max_op.register_kernel("cpu", halves=True)
def _max_cpu(values: Tensor, segments: Tensor, num_segments: int) -> tuple[Tensor, Tensor]:
    from gestalt3d.ops._numba import segment as cpu

    rows = values.detach()
    index = np.full((num_segments, values.shape[1]), -1, dtype=np.int64)
    cpu.segment_max(widened(rows).contiguous().numpy(), segments.contiguous().numpy(), index)
    at = torch.from_numpy(index)
    if len(rows) == 0:
        return rows.new_zeros(at.shape), at
    return rows.gather(0, at.clamp_min(0)).masked_fill(at < 0, 0), at


@_max_op.register_fake
def _max_fake(values: Tensor, segments: Tensor, num_segments: int) -> tuple[Tensor, Tensor]:
    shape = (num_segments, values.shape[1])
    return values.new_empty(shape), values.new_empty(shape, dtype=torch.int64)


def _max_context(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(output[1])
    ctx.rows = inputs[0].shape[0]
    ctx.mark_non_differentiable(output[1])


def _max_backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor, None, None]:
    (index,) = ctx.saved_tensors
    zeros = grad.new_zeros((ctx.rows, grad.shape[1]))
    if ctx.rows == 0:
        return zeros, None, None
    return zeros.scatter_add(0, index.clamp_min(0), grad.masked_fill(index < 0, 0)), None, None


_max_op.register_autograd(_max_backward, setup_context=_max_context)


_mode_op = Operator(
    "gestalt3d::segment_mode",
    segment_mode_reference,
    schema="(Tensor values, Tensor segments, int num_segments, int num_values) -> Tensor",
)


@_mode_op.register_kernel("cpu")
def _mode_cpu(values: Tensor, segments: Tensor, num_segments: int, num_values: int) -> Tensor:
    if num_segments * num_values > DENSE_PAIRS:
        return segment_mode_reference(values, segments, num_segments, num_values)
    from gestalt3d.ops._numba import segment as cpu

    counts, mode = (
        np.zeros((num_segments, num_values), dtype=np.int64),
        np.empty(num_segments, dtype=np.int64),
    )
    cpu.segment_mode(values.contiguous().numpy(), segments.contiguous().numpy(), counts, mode)
    return torch.from_numpy(mode)


@_mode_op.register_fake
def _mode_fake(values: Tensor, segments: Tensor, num_segments: int, num_values: int) -> Tensor:
    return segments.new_empty(num_segments)

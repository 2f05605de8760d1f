"""Maxima over rows, compared as integers for bfloat16, which NumPy lacks: its bits order like sign and magnitude.

NaN counts as larger than all numbers, the first one as the largest.
"""

import numpy as np
import torch
from torch import Tensor

from gestalt3d.ops._numba import kernel, parallel, parallel_channels, parallel_rows
from gestalt3d.ops._numba.gather import checked


@kernel
def _neighbour_max(features, index, out, which, first, last):
    c = features.shape[1]
    for i in range(first, last):
        some = False
        for t in range(index.shape[1]):
            row = index[i, t]
            if row < 0:
                continue
            if not some:
                some = True
                for j in range(c):
                    out[i, j] = features[row, j]
                    which[i, j] = t
                continue
            for j in range(c):
                value, best = features[row, j], out[i, j]
                larger = (value > best) | ((value != value) & (best == best))
                out[i, j] = value if larger else best
                which[i, j] = t if larger else which[i, j]
        if not some:
            for j in range(c):
                out[i, j] = 0
                which[i, j] = -1


@kernel
def _group_max(values, out, which, first, last):
    c = values.shape[2]
    for i in range(first, last):
        for j in range(c):
            out[i, j] = values[i, 0, j]
            which[i, j] = 0
        for t in range(1, values.shape[1]):
            for j in range(c):
                value, best = values[i, t, j], out[i, j]
                larger = (value > best) | ((value != value) & (best == best))
                out[i, j] = value if larger else best
                which[i, j] = t if larger else which[i, j]


@kernel
def _scatter_neighbours(grad, index, which, out, first, last):
    for i in range(grad.shape[0]):
        for j in range(first, last):
            t = which[i, j]
            if t >= 0:
                out[index[i, t], j] += grad[i, j]


@kernel
def _scatter_groups(grad, which, out, first, last):
    c = grad.shape[1]
    for i in range(first, last):
        for t in range(out.shape[1]):
            for j in range(c):
                out[i, t, j] = grad[i, j] if which[i, j] == t else 0


@kernel
def _ordered(bits, out):
    """bfloat16 bits as int16 whose order is that of the numbers; any NaN is the highest."""
    for i in range(bits.shape[0]):
        b = bits[i]
        out[i] = 0x7FFF if (b & 0x7FFF) > 0x7F80 else b ^ ((b >> 15) & 0x7FFF)


@kernel
def _bits(ordered, out):
    """The way back."""
    for i in range(ordered.shape[0]):
        b = ordered[i]
        out[i] = b ^ ((b >> 15) & 0x7FFF)


def _comparable(values: Tensor) -> np.ndarray:
    values = values.contiguous()
    if values.dtype != torch.bfloat16:
        return (values.float() if values.dtype == torch.float16 else values).numpy()
    bits = values.view(torch.int16).numpy().reshape(-1)
    out = np.empty_like(bits)
    parallel(lambda a, b: _ordered(bits[a:b], out[a:b]), len(bits), grain=2**16)
    return out.reshape(values.shape)


def _restored(values: np.ndarray, like: Tensor) -> Tensor:
    if like.dtype != torch.bfloat16:
        return torch.from_numpy(values).to(like.dtype)
    out = np.empty(values.size, np.int16)
    _bits(values.reshape(-1), out)
    return torch.from_numpy(out.reshape(values.shape)).view(torch.bfloat16)


def neighbour_max(features: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    b, n, c = features.shape
    m = index.shape[1]
    indices = checked(index, n)
    source = _comparable(features)
    out, which = np.zeros((b, m, c), source.dtype), np.full((b, m, c), -1, np.int16)
    if out.size:
        parallel_rows(
            lambda s, first, last: _neighbour_max(source[s], indices[s], out[s], which[s], first, last),
            b,
            m,
            grain=64,
        )
    return _restored(out, features), torch.from_numpy(which)


def neighbour_max_backward(grad: Tensor, index: Tensor, which: Tensor, n: int) -> Tensor:
    b, _, c = grad.shape
    dtype = torch.promote_types(grad.dtype, torch.float32)
    out = torch.zeros((b, n, c), dtype=dtype)
    source, indices, chosen = (
        grad.to(dtype).contiguous().numpy(),
        index.contiguous().numpy(),
        which.contiguous().numpy(),
    )
    total = out.numpy()
    if grad.numel() and n:
        parallel_channels(
            lambda s, first, last: _scatter_neighbours(
                source[s], indices[s], chosen[s], total[s], first, last
            ),
            b,
            c,
        )
    return out.to(grad.dtype)


def group_max(values: Tensor) -> tuple[Tensor, Tensor]:
    source = _comparable(values)
    r, _, c = source.shape
    out, which = np.empty((r, c), source.dtype), np.empty((r, c), np.int16)
    if out.size:
        parallel(lambda a, b: _group_max(source, out, which, a, b), r, grain=64)
    return _restored(out, values), torch.from_numpy(which)


def group_max_backward(grad: Tensor, which: Tensor, k: int) -> Tensor:
    # Copied as they are, so bfloat16 may pass as its bits.
    bits = torch.int16 if grad.element_size() == 2 else grad.dtype
    source, chosen = grad.contiguous().view(bits).numpy(), which.contiguous().numpy()
    out = np.empty((len(source), k, source.shape[1]), source.dtype)
    if out.size:
        parallel(lambda a, b: _scatter_groups(source, chosen, out, a, b), len(source), grain=64)
    return torch.from_numpy(out).view(grad.dtype)

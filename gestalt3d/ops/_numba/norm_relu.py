"""Batch norm and ReLU over rows given as bits: uint32 is float32, uint16 is bfloat16, its upper half.

Rows are widened into a buffer of one row, which stays in the innermost cache.
"""

import numpy as np
import torch
from torch import Tensor

from gestalt3d.ops._numba import kernel, parallel

_ROWS_AT_ONCE = 256
"""Partial sums are float32 over so many rows, float64 beyond; fixed, so that threads change nothing."""
_LONG_ROW = 512


@kernel
def _widen(x, i, half, bits):
    # By a constant: numba makes shifts by a variable 64 bits wide. No slices: views count references.
    if half:
        for j in range(x.shape[1]):
            bits[j] = np.uint32(x[i, j]) << np.uint32(16)
    else:
        for j in range(x.shape[1]):
            bits[j] = x[i, j]


@kernel
def _widen_passed(grad, out, i, half, bits):
    """Only where the ReLU let something through."""
    if half:
        for j in range(grad.shape[1]):
            bits[j] = (np.uint32(grad[i, j]) << np.uint32(16)) if out[i, j] != 0 else np.uint32(0)
    else:
        for j in range(grad.shape[1]):
            bits[j] = grad[i, j] if out[i, j] != 0 else np.uint32(0)


@kernel
def _narrow(bits, half, out, i):
    """To the nearest, ties to even."""
    if half:
        for j in range(out.shape[1]):
            b = bits[j]
            out[i, j] = (b + np.uint32(0x7FFF) + ((b >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    else:
        for j in range(out.shape[1]):
            out[i, j] = bits[j]


@kernel
def _sums(x, half, first_row, partial, first, last):
    """Sum and sum of squares of the distance from the first row: a large mean swallows no variance."""
    n, c = x.shape
    bits, total, squares = np.empty(c, np.uint32), np.empty(c, np.float32), np.empty(c, np.float32)
    value = bits.view(np.float32)
    for part in range(first, last):
        total[:] = 0
        squares[:] = 0
        for i in range(part * _ROWS_AT_ONCE, min(n, (part + 1) * _ROWS_AT_ONCE)):
            _widen(x, i, half, bits)
            for j in range(c):
                v = value[j] - first_row[j]
                total[j] += v
                squares[j] += v * v
        for j in range(c):
            partial[part, 0, j] = total[j]
            partial[part, 1, j] = squares[j]


@kernel
def _apply(x, half, scale, offset, center, out, first, last):
    c = x.shape[1]
    bits = np.empty(c, np.uint32)
    value = bits.view(np.float32)
    for i in range(first, last):
        _widen(x, i, half, bits)
        for j in range(c):
            v = (value[j] - center[j]) * scale[j] + offset[j]
            value[j] = np.float32(0) if v <= np.float32(0) else v
        _narrow(bits, half, out, i)


@kernel
def _gradient_sums(grad, x, out, half, center, partial, first, last):
    n, c = x.shape
    x_bits, g_bits = np.empty(c, np.uint32), np.empty(c, np.uint32)
    total, weighted = np.empty(c, np.float32), np.empty(c, np.float32)
    value, passed = x_bits.view(np.float32), g_bits.view(np.float32)
    for part in range(first, last):
        total[:] = 0
        weighted[:] = 0
        for i in range(part * _ROWS_AT_ONCE, min(n, (part + 1) * _ROWS_AT_ONCE)):
            _widen(x, i, half, x_bits)
            _widen_passed(grad, out, i, half, g_bits)
            for j in range(c):
                total[j] += passed[j]
                weighted[j] += passed[j] * (value[j] - center[j])
        for j in range(c):
            partial[part, 0, j] = total[j]
            partial[part, 1, j] = weighted[j]


@kernel
def _gradient(grad, x, out, half, center, of_grad, of_value, constant, result, first, last):
    c = x.shape[1]
    x_bits, g_bits = np.empty(c, np.uint32), np.empty(c, np.uint32)
    value, passed = x_bits.view(np.float32), g_bits.view(np.float32)
    for i in range(first, last):
        _widen(x, i, half, x_bits)
        _widen_passed(grad, out, i, half, g_bits)
        for j in range(c):
            value[j] = of_grad[j] * passed[j] + of_value[j] * (value[j] - center[j]) + constant[j]
        _narrow(x_bits, half, result, i)


def _bits(x: Tensor) -> tuple[np.ndarray, bool]:
    if x.dtype == torch.bfloat16:
        return x.contiguous().view(torch.int16).numpy().view(np.uint16), True
    return x.contiguous().view(torch.int32).numpy().view(np.uint32), False


def _float(bits: np.ndarray, like: Tensor) -> Tensor:
    signed = np.int16 if like.dtype == torch.bfloat16 else np.int32
    return torch.from_numpy(bits.view(signed)).view(like.dtype).view(like.shape)


def _repeats(rows: int, c: int) -> int:
    """How many rows to treat as one long row: short inner loops waste the vector units."""
    repeats = 1
    while rows % (2 * repeats) == 0 and 2 * repeats * c <= _LONG_ROW:
        repeats *= 2
    return repeats


def _summed(partial: np.ndarray, c: int) -> np.ndarray:
    """(2, c) from the partial sums of long rows."""
    return partial.sum(0).reshape(2, -1, c).sum(1)


def norm_relu(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    rows, c = x.shape
    repeats = _repeats(rows, c)
    bits, half = _bits(x)
    bits = bits.reshape(-1, c * repeats)
    origin = x[0].detach().float().numpy()
    partial = np.empty((-(-len(bits) // _ROWS_AT_ONCE), 2, bits.shape[1]), np.float64)
    first_row = np.tile(origin, repeats)
    parallel(lambda a, b: _sums(bits, half, first_row, partial, a, b), len(partial), grain=2)
    total, squares = _summed(partial, c) / rows
    var = np.maximum(squares - total**2, 0)
    mean = (origin + total).astype(np.float32)
    scale = (weight.detach().double().numpy() / np.sqrt(var + eps)).astype(np.float32)
    long = [np.tile(k, repeats) for k in (scale, bias.detach().float().numpy(), mean)]
    out = np.empty_like(bits)
    parallel(lambda a, b: _apply(bits, half, *long, out, a, b), len(bits), grain=512)
    return _float(out, x), torch.from_numpy(mean), torch.from_numpy(var.astype(np.float32))


def norm_relu_backward(
    grad: Tensor, x: Tensor, out: Tensor, weight: Tensor, mean: Tensor, var: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    rows, c = x.shape
    repeats = _repeats(rows, c)
    half = x.dtype == torch.bfloat16
    g, bits, done = (_bits(k)[0].reshape(-1, c * repeats) for k in (grad, x, out))
    center = np.tile(mean.numpy(), repeats)
    partial = np.empty((-(-len(bits) // _ROWS_AT_ONCE), 2, bits.shape[1]), np.float64)
    parallel(lambda a, b: _gradient_sums(g, bits, done, half, center, partial, a, b), len(partial), grain=2)
    total, weighted = _summed(partial, c)
    inverse = 1 / np.sqrt(var.double().numpy() + eps)
    scale = weight.detach().double().numpy() * inverse
    of_value, constant = -scale * inverse**2 * weighted / rows, -scale * total / rows
    long = [np.tile(k.astype(np.float32), repeats) for k in (scale, of_value, constant)]
    result = np.empty_like(bits)
    parallel(lambda a, b: _gradient(g, bits, done, half, center, *long, result, a, b), len(bits), grain=512)
    d_weight, d_bias = (weighted * inverse).astype(np.float32), total.astype(np.float32)
    return _float(result, x), torch.from_numpy(d_weight), torch.from_numpy(d_bias)

"""Sparse convolution on the CPU.

Rulebooks take one walk along the sorted keys per column of offsets, no table and no search. The convolution leaves the
products to PyTorch and adds them up in its own kernel: `index_add_` uses one thread, and needs bfloat16 widened in memory first.
"""

from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from gestalt3d.ops._numba import kernel, parallel
from gestalt3d.ops._numba.gather import is_index

_PAIRS_AT_ONCE = 2**14
"""What is gathered is multiplied and added before it has left the cache."""
_TERMS = 512
"""Longest sum that is left to the library: from some 1,000 terms on its threads share one, and the rounding changes."""


@kernel
def _count(keys, deltas, columns, counts, first, last):
    """Pairs of each offset of the columns `first` to `last`."""
    n = len(keys)
    for c in range(first, last):
        start, stop = columns[c], columns[c + 1]
        step = deltas[start + 1] - deltas[start] if stop - start > 1 else 1
        span = deltas[stop - 1] - deltas[start]
        counts[start:stop] = 0
        ahead = 0
        for i in range(n):
            low = keys[i] + deltas[start]
            while ahead < n and keys[ahead] < low:
                ahead += 1
            for q in range(ahead, n):
                beyond = keys[q] - low
                if beyond > span:
                    break
                if step == 1:
                    counts[start + beyond] += 1
                elif beyond % step == 0:
                    counts[start + beyond // step] += 1


@kernel
def _fill(keys, deltas, columns, forth, back, inputs, outputs, first, last):
    """Rows of each pair, from `forth` on; seen from its other end, where the offset is the opposite, from `back` on."""
    n = len(keys)
    for c in range(first, last):
        start, stop = columns[c], columns[c + 1]
        step = deltas[start + 1] - deltas[start] if stop - start > 1 else 1
        span = deltas[stop - 1] - deltas[start]
        ahead = 0
        for i in range(n):
            low = keys[i] + deltas[start]
            while ahead < n and keys[ahead] < low:
                ahead += 1
            for q in range(ahead, n):
                beyond = keys[q] - low
                if beyond > span:
                    break
                if step != 1:
                    if beyond % step != 0:
                        continue
                    beyond //= step
                t = start + beyond
                inputs[forth[t]] = q
                outputs[forth[t]] = i
                inputs[back[t]] = i
                outputs[back[t]] = q
                forth[t] += 1
                back[t] += 1


def pairs(keys: Tensor, positive: list[int], side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, outputs and counts of a whole kernel of `side`³ offsets, the second half of which are `positive`."""
    ascending, half = np.ascontiguousarray(keys.numpy()), len(positive)
    deltas, counts = np.array(positive, np.int64), np.empty(half, np.int64)
    # Offsets that differ in z alone are found in one walk; the first column has its upper half only.
    columns = np.array([0, *range(side // 2, half + 1, side)], np.int64)
    if half:
        parallel(lambda a, b: _count(ascending, deltas, columns, counts, a, b), len(columns) - 1, grain=1)
    every = np.concatenate([counts[::-1], [0], counts])
    ends = np.cumsum(every)
    inputs, outputs = (torch.empty(int(ends[-1]), dtype=torch.int32) for _ in range(2))
    forth, back = (ends - every)[half + 1 :], (ends - every)[:half][::-1].copy()
    rows = inputs.numpy(), outputs.numpy()
    if half:
        parallel(
            lambda a, b: _fill(ascending, deltas, columns, forth, back, *rows, a, b),
            len(columns) - 1,
            grain=1,
        )
    return inputs, outputs, torch.from_numpy(every)


@kernel
def _add(products, rows, out, first, last):
    for p in range(first, last):
        row = rows[p]
        for j in range(out.shape[1]):
            out[row, j] += products[p, j]


@kernel
def _add_bfloat16(products, rows, out, first, last):
    """`products` are the bits of bfloat16: the upper halves of float32."""
    channels = out.shape[1]
    bits = np.empty(channels, np.uint32)
    values = bits.view(np.float32)
    for p in range(first, last):
        row = rows[p]
        for j in range(channels):
            bits[j] = np.uint32(products[p, j]) << np.uint32(16)
        for j in range(channels):
            out[row, j] += values[j]


def sparse_conv(
    features: Tensor,
    weight: Tensor,
    inputs: Tensor,
    outputs: Tensor,
    starts: list[int],
    rows: int,
    identity: int,
) -> Tensor:
    targets = np.ascontiguousarray(outputs.numpy())
    if not is_index(targets, rows):
        raise IndexError(f"outputs of the rules must be below {rows}, got {int(outputs.max())}")
    features, weight = features.contiguous(), weight.contiguous()
    channels = weight.shape[2]
    wide = torch.promote_types(features.dtype, torch.float32)
    out = torch.zeros((rows, channels), dtype=wide)
    total = out.numpy()
    blocks = [slice(c, c + _TERMS) for c in range(0, features.shape[1], _TERMS)]
    parts = _parts(starts, identity, rows)
    most = _even(max((last - first for _, first, last in parts), default=0))
    gathered, products = features.new_zeros(most, features.shape[1]), features.new_empty(most, channels)
    bits = features.dtype == torch.bfloat16
    add, summands = (_add_bfloat16, products.view(torch.uint16).numpy()) if bits else (_add, products.numpy())
    for k, first, last in parts:
        size, even = last - first, _even(last - first)
        taken = gathered
        if k != identity:
            torch.index_select(features, 0, inputs[first:last], out=gathered[:size])
        elif size == even:
            taken = features[first:last]
        else:
            gathered[:size] = features[first:last]
        # No row occurs twice in one offset: threads never meet.
        work = partial(add, summands, targets[first:last], total)
        for block in blocks:
            torch.mm(taken[:even, block], weight[k, block], out=products[:even])
            if k == identity:
                out[first:last] += products[:size]
            else:
                parallel(work, size, grain=max(1, 2**16 // channels))
    return out.to(features.dtype)


def weight_gradient(
    features: Tensor, grad: Tensor, inputs: Tensor, outputs: Tensor, starts: list[int], identity: int
) -> Tensor:
    features, grad = features.contiguous(), grad.contiguous()
    wide = torch.promote_types(features.dtype, torch.float32)
    out = torch.zeros((len(starts) - 1, features.shape[1], grad.shape[1]), dtype=wide)
    parts = _parts(starts, identity, len(features))
    most = max((_tiles(last - first) for _, first, last in parts), default=0)
    left, right = (t.new_zeros(most, t.shape[1]) for t in (features, grad))
    for k, first, last in parts:
        size, whole = last - first, _tiles(last - first)
        if k == identity and size == whole:
            out[k] += _outer(features[first:last], grad[first:last])
            continue
        if k == identity:
            left[:size], right[:size] = features[first:last], grad[first:last]
        else:
            torch.index_select(features, 0, inputs[first:last], out=left[:size])
            torch.index_select(grad, 0, outputs[first:last], out=right[:size])
        left[size:whole], right[size:whole] = 0, 0
        out[k] += _outer(left[:whole], right[:whole])
    return out.to(features.dtype)


def _parts(starts: list[int], identity: int, rows: int) -> list[tuple[int, int, int]]:
    """Offset, first and last pair of every part that is worked on at once; rows instead of pairs for the identity."""
    spans = [(0, rows) if k == identity else span for k, span in enumerate(pairwise(starts))]
    return [
        (k, first, min(end, first + _PAIRS_AT_ONCE))
        for k, (start, end) in enumerate(spans)
        for first in range(start, end, _PAIRS_AT_ONCE)
    ]


def _even(rows: int) -> int:
    """Rows that a product is padded to: the library prepares each new size anew, and shares single rows among threads."""
    if rows > 1024:
        return -(-rows // 1024) * 1024
    return max(16, 1 << (rows - 1).bit_length())


def _tiles(rows: int) -> int:
    return -(-rows // _TERMS) * _TERMS


def _outer(a: Tensor, b: Tensor) -> Tensor:
    """`a.T @ b` of whole tiles, added up by NumPy: one after the other."""
    left, right = (t.unflatten(0, (-1, _TERMS)) for t in (a, b))
    parts = torch.bmm(left.transpose(1, 2), right)
    return torch.from_numpy(parts.to(torch.promote_types(a.dtype, torch.float32)).numpy().sum(axis=0))

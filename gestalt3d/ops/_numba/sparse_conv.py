"""Sparse convolution on the CPU.

Rulebooks take one walk along the sorted keys per column of offsets, no table and no search. The convolution leaves the
products to PyTorch and adds them up in its own kernel: `index_add_` uses one thread, and needs bfloat16 widened in memory first.
Every product is cut by the rulebook alone and made by one thread: libraries cut by the number of theirs, and round accordingly.
"""

import threading
from collections import Counter
from itertools import pairwise
from typing import no_type_check

import numpy as np
import torch
from torch import Tensor

from gestalt3d.ops._numba import each_on_one_thread, kernel, parallel
from gestalt3d.ops._numba.gather import is_index

_PAIRS_AT_ONCE = 2**14
"""What is gathered is multiplied and added before it has left the cache."""


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
    out = torch.zeros((rows, channels), dtype=torch.promote_types(features.dtype, torch.float32))
    total = out.numpy()
    parts = _parts(starts, identity, rows)
    turns, room = _Turns(parts), _Room(parts, features, features.new_empty(0, channels))
    bits = features.dtype == torch.bfloat16
    add = _add_bfloat16 if bits else _add

    @no_type_check  # here and below: parts are many, and tests would look at the types of each
    def multiply_and_add(part: tuple[int, int, int]) -> None:
        k, first, last = part
        size, even = last - first, _even(last - first)
        taken, products = room.of_this_thread()
        summands = products.view(torch.uint16).numpy() if bits else products.numpy()
        if k == identity and size == even:
            taken = features[first:last]
        elif k == identity:
            taken[:size] = features[first:last]
        else:
            torch.index_select(features, 0, inputs[first:last], out=taken[:size])
        torch.mm(taken[:even], weight[k], out=products[:even])
        turns.wait(k)
        add(summands, np.arange(first, last) if k == identity else targets[first:last], total, 0, size)

    @no_type_check
    def work(part: tuple[int, int, int]) -> None:
        try:
            multiply_and_add(part)
        finally:
            turns.end(part[0])

    each_on_one_thread(work, parts)
    return out.to(features.dtype)


def weight_gradient(
    features: Tensor, grad: Tensor, inputs: Tensor, outputs: Tensor, starts: list[int], identity: int
) -> Tensor:
    features, grad = features.contiguous(), grad.contiguous()
    wide = torch.promote_types(features.dtype, torch.float32)
    out = torch.zeros((len(starts) - 1, features.shape[1], grad.shape[1]), dtype=wide)
    parts = _parts(starts, identity, len(features))
    room = _Room(parts, features, grad)

    @no_type_check
    def outer(part: tuple[int, int, int]) -> Tensor:
        k, first, last = part
        size, even = last - first, _even(last - first)
        if k == identity and size == even:
            return features[first:last].T @ grad[first:last]
        left, right = room.of_this_thread()
        if k == identity:
            left[:size], right[:size] = features[first:last], grad[first:last]
        else:
            torch.index_select(features, 0, inputs[first:last], out=left[:size])
            torch.index_select(grad, 0, outputs[first:last], out=right[:size])
        left[size:even], right[size:even] = 0, 0
        return left[:even].T @ right[:even]

    for (k, _, _), summand in zip(parts, each_on_one_thread(outer, parts), strict=True):
        out[k] += summand
    return out.to(features.dtype)


@no_type_check
class _Room:
    """Two buffers for every thread, as long as the longest part is when it is padded."""

    def __init__(self, parts: list[tuple[int, int, int]], *like: Tensor) -> None:
        longest = max((last - first for _, first, last in parts), default=0)
        self.like, self.rows, self.mine = like, _even(longest), threading.local()

    def of_this_thread(self) -> list[Tensor]:
        if not hasattr(self.mine, "buffers"):
            self.mine.buffers = [t.new_zeros(self.rows, t.shape[1]) for t in self.like]
        return self.mine.buffers


@no_type_check
class _Turns:
    """Parts of one offset add at once, as no row occurs twice in it, but only after those of the offsets before."""

    def __init__(self, parts: list[tuple[int, int, int]]) -> None:
        self.left, self.changed = Counter(k for k, _, _ in parts), threading.Condition()
        self.now, self.last = 0, max(self.left, default=0)
        self._go_on()

    def wait(self, k: int) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.now >= k)

    def end(self, k: int) -> None:
        with self.changed:
            self.left[k] -= 1
            if self._go_on():
                self.changed.notify_all()

    def _go_on(self) -> bool:
        """To the first offset that has parts left; whether that is another one."""
        before = self.now
        while self.now < self.last and not self.left[self.now]:
            self.now += 1
        return self.now > before


def _parts(starts: list[int], identity: int, rows: int) -> list[tuple[int, int, int]]:
    """Offset, first and last pair of every part that is worked on at once; rows instead of pairs for the identity."""
    spans = [(0, rows) if k == identity else span for k, span in enumerate(pairwise(starts))]
    return [
        (k, first, min(end, first + _PAIRS_AT_ONCE))
        for k, (start, end) in enumerate(spans)
        for first in range(start, end, _PAIRS_AT_ONCE)
    ]


@no_type_check
def _even(rows: int) -> int:
    """Rows that a product is padded to: the library prepares each new size anew."""
    if rows > 1024:
        return -(-rows // 1024) * 1024
    return max(16, 1 << (rows - 1).bit_length())

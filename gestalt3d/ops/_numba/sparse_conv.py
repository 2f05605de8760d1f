"""Rulebooks on the CPU: one walk along the sorted keys per offset, no table and no search."""

import numpy as np
import torch
from torch import Tensor

from gestalt3d.ops._numba import kernel, parallel


@kernel
def _count(keys, deltas, counts, first, last):
    n = len(keys)
    for t in range(first, last):
        ahead = 0
        found = 0
        for i in range(n):
            wanted = keys[i] + deltas[t]
            while ahead < n and keys[ahead] < wanted:
                ahead += 1
            if ahead == n:
                break
            found += keys[ahead] == wanted
        counts[t] = found


@kernel
def _fill(keys, deltas, starts, far, near, first, last):
    """Pairs of each offset: rows `far` lie at the offset from rows `near`."""
    n = len(keys)
    for t in range(first, last):
        ahead = 0
        p = starts[t]
        for i in range(n):
            wanted = keys[i] + deltas[t]
            while ahead < n and keys[ahead] < wanted:
                ahead += 1
            if ahead == n:
                break
            if keys[ahead] == wanted:
                far[p] = ahead
                near[p] = i
                p += 1


def pairs(keys: Tensor, positive: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, outputs and counts of a whole kernel, whose offsets `positive` are the second half of."""
    ascending, half = np.ascontiguousarray(keys.numpy()), len(positive)
    deltas, counts = np.array(positive, np.int64), np.empty(half, np.int64)
    if half:
        parallel(lambda a, b: _count(ascending, deltas, counts, a, b), half, grain=1)
    every = np.concatenate([counts[::-1], [0], counts])
    ends = np.cumsum(every)
    inputs, outputs = (torch.empty(int(ends[-1]), dtype=torch.int32) for _ in range(2))
    into, out_of = inputs.numpy(), outputs.numpy()

    def work(first: int, last: int) -> None:
        _fill(ascending, deltas, (ends - every)[half + 1 :], into, out_of, first, last)
        # Seen from the other end: offset -t, far and near exchanged.
        _fill(ascending, deltas, (ends - every)[half - 1 :: -1] if half else ends[:0], out_of, into, first, last)

    if half:
        parallel(work, half, grain=1)
    return inputs, outputs, torch.from_numpy(every)

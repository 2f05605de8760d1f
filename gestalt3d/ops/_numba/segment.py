"""Segment reductions on the CPU, one pass over the rows in their order."""

import numpy as np

from gestalt3d.ops._numba import kernel


@kernel
def segment_sum(values, segments, totals):
    """Add rows in order; `totals` is float64, so the sum of ten million float32 values keeps its digits."""
    for i in range(len(segments)):
        s = segments[i]
        if s >= 0:
            for j in range(values.shape[1]):
                totals[s, j] += values[i, j]


@kernel
def segment_max(values, segments, index):
    """Row of the maximum or else of the first NaN per segment and column, the lowest on ties; `index` comes in as -1."""
    for i in range(len(segments)):
        s = segments[i]
        if s >= 0:
            for j in range(values.shape[1]):
                value = values[i, j]
                best = values[index[s, j], j] if index[s, j] >= 0 else -np.inf
                if index[s, j] < 0 or value > best or (value != value and best == best):
                    index[s, j] = i


@kernel
def segment_mode(values, segments, counts, mode):
    """Count pairs in `counts` (segments, values); the smallest most frequent value wins, -1 where there is
    none.
    """
    for i in range(len(segments)):
        if segments[i] >= 0 and values[i] >= 0:
            counts[segments[i], values[i]] += 1
    for s in range(len(counts)):
        best = np.int64(-1)
        often = 0
        for v in range(counts.shape[1]):
            if counts[s, v] > often:
                best, often = v, counts[s, v]
        mode[s] = best

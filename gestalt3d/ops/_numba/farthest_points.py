"""Exact farthest point sampling in kd buckets.

A bucket farther from the new sample than its own farthest point is from the old ones is left alone.
"""

import numpy as np
import torch
from torch import Tensor

from gestalt3d.ops._numba import kernel, parallel
from gestalt3d.ops._numba.kdtree import build

_LEAF = 64


@kernel(fastmath={"nnan", "nsz"})
def _sample(points, order, low, high, distance, start, out):
    x, y, z = points[0], points[1], points[2]
    n = len(order)
    buckets = low.shape[0]
    # Not `0`: a box bound must be rounded like the distances it bounds.
    zero = x[0] - x[0]
    farthest = np.full(buckets, np.inf, points.dtype)
    # Reordered position of the farthest point with the lowest index; -1 where it is to be found again.
    position = np.full(buckets, -1, np.int64)
    distance[:] = np.inf
    current = 0
    for p in range(n):
        if order[p] == start:
            current = p
    for j in range(len(out)):
        out[j] = order[current]
        # Below every distance: a chosen point is never chosen again, not even among duplicates.
        distance[current] = -1
        a, b, c = x[current], y[current], z[current]
        best = distance[current]
        for i in range(buckets):
            first = (n * i) // buckets
            last = (n * (i + 1)) // buckets
            u = max(zero, max(low[i, 0] - a, a - high[i, 0]))
            v = max(zero, max(low[i, 1] - b, b - high[i, 1]))
            w = max(zero, max(low[i, 2] - c, c - high[i, 2]))
            if u * u + v * v + w * w < farthest[i] or first <= current < last:
                largest = distance[current]
                for p in range(first, last):
                    du = x[p] - a
                    dv = y[p] - b
                    dw = z[p] - c
                    s = min(distance[p], du * du + dv * dv + dw * dw)
                    distance[p] = s
                    largest = max(largest, s)
                farthest[i] = largest
                position[i] = -1
            best = max(best, farthest[i])
        lowest = n
        for i in range(buckets):
            if farthest[i] == best:
                if position[i] < 0:
                    p = (n * i) // buckets
                    while distance[p] != best:
                        p += 1
                    position[i] = p
                if order[position[i]] < lowest:
                    lowest = order[position[i]]
                    current = position[i]


def farthest_points(points: Tensor, k: int, start: int) -> Tensor:
    b, n, _ = points.shape
    index = torch.full((b, k), -1, dtype=torch.int64)
    if n == 0 or k == 0:
        return index
    cloud, out = points.numpy(), index.numpy()
    parallel(lambda first, last: _of_some(cloud, start, out[:, :n], first, last), b, grain=1)
    return index


def _of_some(clouds: np.ndarray, start: int, out: np.ndarray, first: int, last: int) -> None:
    for i in range(first, last):
        tree = build(clouds[i], _LEAF, threaded=len(clouds) == 1)
        leaves = slice(2**tree.depth - 1, None)
        distance = np.empty(clouds.shape[1], clouds.dtype)
        _sample(tree.points, tree.order, tree.low[leaves], tree.high[leaves], distance, start, out[i])

"""Exact nearest neighbours in few dimensions, L1 or L2, in a kd-tree; equal distances by lowest index."""

import numpy as np
import torch
from torch import Tensor

from gestalt3d.ops._numba import kernel, parallel_rows
from gestalt3d.ops._numba.kdtree import build_all

_LEAF = 64


@kernel
def _query(points, order, low, high, lowest, depth, manhattan, distance, index, first, last):
    """Rows `first` to `last` of the reordered cloud, so that neighbours in a row share their cache."""
    e, n = points.shape
    k = distance.shape[1]
    nodes = np.empty(2 * depth + 4, np.int64)
    bounds = np.empty(2 * depth + 4, points.dtype)
    row = np.empty(_LEAF, points.dtype)
    pair = np.empty(2, points.dtype)
    here = np.empty(e, points.dtype)
    best = np.empty(k, points.dtype)
    number = np.empty(k, np.int64)
    leaves = (1 << depth) - 1
    for r in range(first, last):
        q = order[r]
        # Not `0`: a box bound must be rounded like the distances it bounds.
        zero = points[0, r] - points[0, r]
        for a in range(e):
            here[a] = points[a, r]
        best[:] = np.inf
        number[:] = n
        worst = best[k - 1]
        worst_index = n
        top = 1
        nodes[0] = 0
        bounds[0] = zero
        while top > 0:
            top -= 1
            node = nodes[top]
            bound = bounds[top]
            if bound > worst or (bound == worst and lowest[node] > worst_index):
                continue
            if node >= leaves:
                i = node - leaves
                start = (n * i) >> depth
                size = ((n * (i + 1)) >> depth) - start
                row[:size] = zero
                for a in range(e):
                    x = here[a]
                    xs = points[a, start : start + size]
                    if manhattan:
                        for j in range(size):
                            row[j] += abs(xs[j] - x)
                    else:
                        for j in range(size):
                            u = xs[j] - x
                            row[j] += u * u
                for s in range(size):
                    d = row[s]
                    if d > worst:
                        continue
                    o = order[start + s]
                    if d == worst and o > worst_index:
                        continue
                    j = k - 1
                    while j > 0 and (best[j - 1] > d or (best[j - 1] == d and number[j - 1] > o)):
                        best[j] = best[j - 1]
                        number[j] = number[j - 1]
                        j -= 1
                    best[j] = d
                    number[j] = o
                    worst = best[k - 1]
                    worst_index = number[k - 1]
                continue
            near = 2 * node + 1
            for child in range(2):
                bound = zero
                for a in range(e):
                    x = here[a]
                    u = max(zero, max(low[near + child, a] - x, x - high[near + child, a]))
                    bound += u if manhattan else u * u
                pair[child] = bound
            other = 0
            if pair[1] < pair[0] or (pair[1] == pair[0] and lowest[near + 1] < lowest[near]):
                other = 1
            nodes[top] = near + 1 - other
            bounds[top] = pair[1 - other]
            nodes[top + 1] = near + other
            bounds[top + 1] = pair[other]
            top += 2
        for j in range(min(k, n)):
            distance[q, j] = best[j]
            index[q, j] = number[j]


def embedding_neighbours(x: Tensor, k: int, p: int) -> tuple[Tensor, Tensor]:
    b, n, e = x.shape
    distance = x.new_full((b, n, k), torch.inf)
    index = torch.full((b, n, k), -1, dtype=torch.int64)
    if b * n * k == 0:
        return distance, index
    # Without coordinates all distances are zero, as with one that is zero.
    cloud = x.numpy() if e else np.zeros((b, n, 1), x.numpy().dtype)
    trees = build_all(cloud, _LEAF, name="x")
    d, i = distance.numpy(), index.numpy()
    parallel_rows(lambda s, first, last: _query(*trees[s], p == 1, d[s], i[s], first, last), b, n)
    return (distance if p == 1 else distance.sqrt_()), index

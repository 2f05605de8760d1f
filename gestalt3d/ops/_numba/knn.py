"""Exact nearest neighbours in a kd-tree, equal distances by lowest index."""

import numpy as np
import torch
from torch import Tensor

from gestalt3d.ops._numba import kernel, parallel_rows
from gestalt3d.ops._numba.kdtree import build_all, is_finite

_LEAF = 32


@kernel
def _query(points, order, low, high, lowest, depth, queries, dist2, index, first, last):
    x, y, z = points[0], points[1], points[2]
    n = len(order)
    k = dist2.shape[1]
    nodes = np.empty(2 * depth + 4, np.int64)
    bounds = np.empty(2 * depth + 4, points.dtype)
    leaves = (1 << depth) - 1
    best = np.empty(k, points.dtype)
    number = np.empty(k, np.int64)
    for q in range(first, last):
        a, b, c = queries[q, 0], queries[q, 1], queries[q, 2]
        # Not `0`: a box bound must be rounded like the distances it bounds.
        zero = a - a
        best[:] = np.inf
        number[:] = n
        worst = best[k - 1]
        worst_number = n
        top = 1
        nodes[0] = 0
        bounds[0] = zero
        while top > 0:
            top -= 1
            node = nodes[top]
            bound = bounds[top]
            if bound > worst or (bound == worst and lowest[node] > worst_number):
                continue
            if node >= leaves:
                i = node - leaves
                for p in range((n * i) >> depth, (n * (i + 1)) >> depth):
                    u = x[p] - a
                    v = y[p] - b
                    w = z[p] - c
                    s = u * u + v * v + w * w
                    if s > worst:
                        continue
                    o = order[p]
                    if s == worst and o > worst_number:
                        continue
                    j = k - 1
                    while j > 0 and (best[j - 1] > s or (best[j - 1] == s and number[j - 1] > o)):
                        best[j] = best[j - 1]
                        number[j] = number[j - 1]
                        j -= 1
                    best[j] = s
                    number[j] = o
                    worst = best[k - 1]
                    worst_number = number[k - 1]
                continue
            near = 2 * node + 1
            far = near + 1
            u = max(zero, max(low[near, 0] - a, a - high[near, 0]))
            v = max(zero, max(low[near, 1] - b, b - high[near, 1]))
            w = max(zero, max(low[near, 2] - c, c - high[near, 2]))
            near_bound = u * u + v * v + w * w
            u = max(zero, max(low[far, 0] - a, a - high[far, 0]))
            v = max(zero, max(low[far, 1] - b, b - high[far, 1]))
            w = max(zero, max(low[far, 2] - c, c - high[far, 2]))
            far_bound = u * u + v * v + w * w
            if far_bound < near_bound or (far_bound == near_bound and lowest[far] < lowest[near]):
                near, far = far, near
                near_bound, far_bound = far_bound, near_bound
            nodes[top] = far
            bounds[top] = far_bound
            nodes[top + 1] = near
            bounds[top + 1] = near_bound
            top += 2
        for j in range(min(k, n)):
            dist2[q, j] = best[j]
            index[q, j] = number[j]


def knn(queries: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    b, m, _ = queries.shape
    n = points.shape[1]
    dist2 = queries.new_full((b, m, k), torch.inf)
    index = torch.full((b, m, k), -1, dtype=torch.int64)
    if b * m * n * k == 0:
        return dist2, index
    q, cloud, d, i = np.ascontiguousarray(queries.numpy()), points.numpy(), dist2.numpy(), index.numpy()
    if not is_finite(q.reshape(-1, 3)):
        raise ValueError("queries must be finite, got NaN or infinity; drop those first")
    trees = build_all(cloud, _LEAF)
    parallel_rows(lambda s, first, last: _query(*trees[s], q[s], d[s], i[s], first, last), b, m)
    return dist2, index

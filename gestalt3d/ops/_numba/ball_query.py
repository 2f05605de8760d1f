"""The first k points in index order inside each ball; the kd-tree knows the lowest index of every node."""

import numpy as np
import torch
from torch import Tensor

from gestalt3d.ops._numba import kernel, parallel_rows
from gestalt3d.ops._numba.kdtree import build_all, is_finite

_LEAF = 32


@kernel
def _query(points, order, low, high, lowest, depth, centers, radius2, index, first, last):
    x, y, z = points[0], points[1], points[2]
    n = len(order)
    k = index.shape[1]
    nodes = np.empty(2 * depth + 4, np.int64)
    leaves = (1 << depth) - 1
    for q in range(first, last):
        a, b, c = centers[q, 0], centers[q, 1], centers[q, 2]
        # Not `0`: a box bound must be rounded like the distances it bounds.
        zero = a - a
        found = 0
        top = 1
        nodes[0] = 0
        while top > 0:
            top -= 1
            node = nodes[top]
            if found == k and lowest[node] > index[q, k - 1]:
                continue
            u = max(zero, max(low[node, 0] - a, a - high[node, 0]))
            v = max(zero, max(low[node, 1] - b, b - high[node, 1]))
            w = max(zero, max(low[node, 2] - c, c - high[node, 2]))
            if not u * u + v * v + w * w < radius2:
                continue
            if node < leaves:
                left = 2 * node + 1
                # The child with the lower index is seen first, so that later ones are skipped.
                other = 1 if lowest[left] < lowest[left + 1] else 0
                nodes[top] = left + other
                nodes[top + 1] = left + 1 - other
                top += 2
                continue
            i = node - leaves
            for p in range((n * i) >> depth, (n * (i + 1)) >> depth):
                o = order[p]
                if found == k and o > index[q, k - 1]:
                    break
                u = x[p] - a
                v = y[p] - b
                w = z[p] - c
                if u * u + v * v + w * w < radius2:
                    if found < k:
                        found += 1
                    j = found - 1
                    while j > 0 and index[q, j - 1] > o:
                        index[q, j] = index[q, j - 1]
                        j -= 1
                    index[q, j] = o


def ball_query(centers: Tensor, points: Tensor, radius: float, k: int) -> Tensor:
    b, m, _ = centers.shape
    n = points.shape[1]
    index = torch.full((b, m, k), -1, dtype=torch.int64)
    if b * m * n * k == 0:
        return index
    q, cloud, out = np.ascontiguousarray(centers.numpy()), points.numpy(), index.numpy()
    if not is_finite(q.reshape(-1, 3)):
        raise ValueError("centers must be finite, got NaN or infinity; drop those first")
    radius2 = q.dtype.type(radius * radius)
    trees = build_all(cloud, _LEAF)
    parallel_rows(lambda s, first, last: _query(*trees[s], q[s], radius2, out[s], first, last), b, m)
    return index

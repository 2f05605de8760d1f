"""Exact farthest point sampling in a kd-tree.

Every node knows how far its farthest point is from all samples so far. A node farther from the new sample than that is left
alone with all below it, and the next sample is found from the top down.
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
    nodes = low.shape[0]
    leaves = (nodes + 1) // 2
    inner = nodes - leaves
    # Not `0`: a box bound must be rounded like the distances it bounds.
    zero = x[0] - x[0]
    farthest = np.full(nodes, np.inf, points.dtype)
    # Of each leaf the reordered position of its farthest point with the lowest index; -1 where it is to be found again.
    position = np.full(leaves, -1, np.int64)
    stack = np.empty(nodes, np.int64)
    opened = np.empty(nodes, np.int64)
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
        # All above the sample are looked into, even where nothing in them is farther away than nothing.
        above = inner + ((current + 1) * leaves - 1) // n
        farthest[above] = np.inf
        while above > 0:
            above = (above - 1) // 2
            farthest[above] = np.inf
        stack[0] = 0
        top = 1
        count = 0
        while top > 0:
            top -= 1
            node = stack[top]
            u = max(zero, max(low[node, 0] - a, a - high[node, 0]))
            v = max(zero, max(low[node, 1] - b, b - high[node, 1]))
            w = max(zero, max(low[node, 2] - c, c - high[node, 2]))
            if not u * u + v * v + w * w < farthest[node]:
                continue
            if node < inner:
                opened[count] = node
                count += 1
                stack[top] = 2 * node + 1
                stack[top + 1] = 2 * node + 2
                top += 2
                continue
            first = (n * (node - inner)) // leaves
            last = (n * (node - inner + 1)) // leaves
            largest = distance[first]
            for p in range(first, last):
                du = x[p] - a
                dv = y[p] - b
                dw = z[p] - c
                # A chosen point stays below all.
                s = min(distance[p], du * du + dv * dv + dw * dw)
                distance[p] = s
                largest = s if p == first else max(largest, s)
            farthest[node] = largest
            position[node - inner] = -1
        for i in range(count - 1, -1, -1):  # children before their parents
            farthest[opened[i]] = max(farthest[2 * opened[i] + 1], farthest[2 * opened[i] + 2])
        best = farthest[0]
        lowest = n
        stack[0] = 0
        top = 1
        while top > 0:
            top -= 1
            node = stack[top]
            if farthest[node] != best:
                continue
            if node < inner:
                stack[top] = 2 * node + 1
                stack[top + 1] = 2 * node + 2
                top += 2
                continue
            leaf = node - inner
            if position[leaf] < 0:
                p = (n * leaf) // leaves
                while distance[p] != best:
                    p += 1
                position[leaf] = p
            if order[position[leaf]] < lowest:
                lowest = order[position[leaf]]
                current = position[leaf]


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
        distance = np.empty(clouds.shape[1], clouds.dtype)
        _sample(tree.points, tree.order, tree.low, tree.high, distance, start, out[i])

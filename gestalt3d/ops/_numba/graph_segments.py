"""Felzenszwalb & Huttenlocher's segments on union-find: a root knows its set's size and how great a weight it bears."""

import numpy as np

from gestalt3d.ops._numba import kernel
from gestalt3d.ops._numba.components import find, number, unite


@kernel
def settle_ties(weights, order):
    """Where `order` has equal weights, by number: what a stable sort does, which takes several times as long."""
    start = 0
    for e in range(1, len(order) + 1):
        if e == len(order) or weights[order[e]] != weights[order[start]]:
            if e - start > 1:
                order[start:e].sort()
            start = e


@kernel
def graph_segments(first, second, weights, order, scale, min_size, labels):
    n = len(labels)
    parent, size, bears = np.arange(n), np.ones(n, dtype=np.int64), np.full(n, scale)
    for e in order:
        a, b = find(parent, first[e]), find(parent, second[e])
        if a != b and weights[e] <= bears[a] and weights[e] <= bears[b]:
            root = min(a, b)
            unite(parent, a, b)
            size[root] = size[a] + size[b]
            bears[root] = weights[e] + scale / size[root]
    for e in order:
        a, b = find(parent, first[e]), find(parent, second[e])
        if a != b and (size[a] < min_size or size[b] < min_size):
            root = min(a, b)
            unite(parent, a, b)
            size[root] = size[a] + size[b]
    number(parent, labels)

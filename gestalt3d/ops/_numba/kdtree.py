"""A balanced kd-tree without pointers: the index behind sampling and all neighbour searches.

Node `i` of level `l` holds the points `[n i / 2^l, n (i + 1) / 2^l)` of the reordered cloud, so memory is
linear in `n` whatever the cloud looks like (a grid would follow the extent, which one stray point can blow
up).

Boxes bound distances exactly, rounding included: floating-point subtraction, multiplication and addition are
monotone, so a distance to a box, computed by the same operations in the same order and precision, never
exceeds the computed distance to a point inside.
"""

from typing import NamedTuple

import numpy as np

from gestalt3d.ops._numba import kernel, parallel

_PARALLEL_FROM = 65536


class Tree(NamedTuple):
    """Passed to kernels field by field."""

    points: np.ndarray
    """(d, n), reordered; ascending original index inside every leaf."""
    order: np.ndarray
    """(n,) original index of every reordered point."""
    low: np.ndarray
    """(nodes, d) box of every node; node `i` of level `l` has number `2^l - 1 + i`."""
    high: np.ndarray
    lowest: np.ndarray
    """(nodes,) lowest original index in every node."""
    depth: int


@kernel
def is_finite(points):
    for i in range(points.shape[0]):
        for a in range(points.shape[1]):
            if points[i, a] - points[i, a] != 0:
                return False
    return True


@kernel
def _select(points, order, axis, start, end, nth, seed):
    """Reorder `[start, end)` so that no coordinate before `nth` exceeds one after it (quickselect)."""
    x = points[axis]
    first = start
    last = end - 1
    while last > first:
        # A pseudo-random middle of three: no input that people have is slow.
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        p = x[first + seed % (last - first + 1)]
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        q = x[first + seed % (last - first + 1)]
        r = x[(first + last) // 2]
        pivot = max(min(p, q), min(max(p, q), r))
        i = first
        j = last
        while i <= j:
            while x[i] < pivot:
                i += 1
            while x[j] > pivot:
                j -= 1
            if i <= j:
                for a in range(points.shape[0]):
                    points[a, i], points[a, j] = points[a, j], points[a, i]
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if nth <= j:
            last = j
        elif nth >= i:
            first = i
        else:
            return


@kernel(fastmath={"nnan", "nsz"})
def _split(points, order, low, high, lowest, level, first, last, stop, depth):
    """Split the nodes `[first, last)` of `level` down to level `stop`; sort the leaves by original index."""
    d, n = points.shape
    levels = np.empty(2 * depth + 4, np.int64)
    nodes = np.empty(2 * depth + 4, np.int64)
    for root in range(first, last):
        levels[0] = level
        nodes[0] = root
        top = 1
        while top > 0:
            top -= 1
            at = levels[top]
            i = nodes[top]
            start = (n * i) >> at
            end = (n * (i + 1)) >> at
            if at < stop or at == depth:
                node = (1 << at) - 1 + i
                axis = 0
                widest = -1.0
                for a in range(d):
                    lo = points[a, start]
                    hi = lo
                    for p in range(start, end):
                        lo = min(lo, points[a, p])
                        hi = max(hi, points[a, p])
                    low[node, a] = lo
                    high[node, a] = hi
                    if hi - lo > widest:
                        widest = hi - lo
                        axis = a
                if at == depth:
                    for p in range(start + 1, end):
                        r = p
                        while r > start and order[r - 1] > order[r]:
                            for a in range(d):
                                points[a, r], points[a, r - 1] = points[a, r - 1], points[a, r]
                            order[r], order[r - 1] = order[r - 1], order[r]
                            r -= 1
                    lowest[node] = order[start]
                else:
                    _select(points, order, axis, start, end, (n * (2 * i + 1)) >> (at + 1), 1 + node)
                    levels[top] = at + 1
                    nodes[top] = 2 * i + 1
                    levels[top + 1] = at + 1
                    nodes[top + 1] = 2 * i
                    top += 2


@kernel
def _raise_lowest(lowest, depth):
    for node in range((1 << depth) - 2, -1, -1):
        lowest[node] = min(lowest[2 * node + 1], lowest[2 * node + 2])


def build(points: np.ndarray, leaf: int, *, name: str = "points", threaded: bool = False) -> Tree:
    """Index (n, d) finite points, n > 0, in leaves of at most `leaf`; the tree does not depend on threads.

    `threaded` is for callers outside the pool: waiting for the pool inside it would never end.
    """
    n, d = points.shape
    points = np.ascontiguousarray(points)
    if not is_finite(points):
        count = int((~np.isfinite(points).all(1)).sum())
        raise ValueError(f"{name} must be finite, got {count} of {n} with NaN or infinity; drop those first")
    depth = max(0, int(n - 1) // leaf).bit_length()
    nodes = 2 ** (depth + 1) - 1
    tree = Tree(
        np.ascontiguousarray(points.T),
        np.arange(n),
        np.empty((nodes, d), points.dtype),
        np.empty((nodes, d), points.dtype),
        np.empty(nodes, np.int64),
        depth,
    )
    cut = 3 if threaded and n >= _PARALLEL_FROM else 0
    arrays = tree[:5]
    if cut:
        _split(*arrays, 0, 0, 1, cut, depth)
    parallel(lambda first, last: _split(*arrays, cut, first, last, depth, depth), 2**cut, grain=1)
    _raise_lowest(tree.lowest, depth)
    return tree


def build_all(clouds: np.ndarray, leaf: int, *, name: str = "points") -> list[Tree]:
    """One tree for each of the (b, n, d) clouds."""
    # Of a fixed length: threads fill it while others look at it.
    trees: list[Tree | None] = [None] * len(clouds)
    parallel(lambda first, last: _build_some(trees, clouds, leaf, name, first, last), len(clouds), grain=1)
    return [tree for tree in trees if tree is not None]


def _build_some(
    trees: list[Tree | None], clouds: np.ndarray, leaf: int, name: str, first: int, last: int
) -> None:
    for i in range(first, last):
        trees[i] = build(clouds[i], leaf, name=name, threaded=len(clouds) == 1)

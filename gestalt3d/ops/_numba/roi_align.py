"""Points in boxes, sought among those that lie beside each other along x."""

import numpy as np

from gestalt3d.ops._numba import kernel


@kernel
def _hits(points, box, half, turn, hit):
    """Whether each of the points between the first two numbers returned is in the box, in the front of `hit`."""
    x0, y0, z0 = box[0], box[1], box[2]
    hx, hy, hz = half[0], half[1], half[2]
    c, s = turn[0], turn[1]
    reach = abs(c) * hx + abs(s) * hy
    reach += 1e-5 * (reach + abs(x0)) + 1e-30  # the test itself rounds otherwise
    begin = np.searchsorted(points[0], x0 - reach)
    end = np.searchsorted(points[0], x0 + reach, side="right")
    xs, ys, zs = points[0, begin:end], points[1, begin:end], points[2, begin:end]
    for k in range(end - begin):  # no branches: vector instructions
        x, y, z = xs[k] - x0, ys[k] - y0, zs[k] - z0
        hit[k] = (abs(c * x + s * y) <= hx) & (abs(c * y - s * x) <= hy) & (abs(z) <= hz)
    return begin, end


@kernel
def count(points, order, boxes, halves, turns, counts, first, last):
    hit = np.empty(points.shape[1], np.bool_)
    for r in range(first, last):
        begin, end = _hits(points, boxes[r], halves[r], turns[r], hit)
        found = 0
        for k in range(end - begin):
            found += hit[k]
        counts[r] = found


@kernel
def fill(points, order, boxes, halves, turns, offsets, indices, first, last):
    hit = np.empty(points.shape[1], np.bool_)
    for r in range(first, last):
        begin, end = _hits(points, boxes[r], halves[r], turns[r], hit)
        at = offsets[r]
        for k in range(end - begin):
            if hit[k]:
                indices[at] = order[begin + k]
                at += 1
        indices[offsets[r] : at].sort()

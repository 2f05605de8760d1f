"""Overlap of upright boxes, each pair in the frame of its first, most of them told apart by circles and heights."""

import math

import numpy as np

from gestalt3d.ops._numba import kernel


@kernel
def _clip(x, y, count, sign, most, to_x, to_y):
    """The part of a polygon in which `sign * x` is `most` at most, and how many corners it has."""
    kept = 0
    for p in range(count):
        q = p + 1 if p + 1 < count else 0
        over_p, over_q = sign * x[p] - most, sign * x[q] - most
        if over_p <= 0:
            to_x[kept], to_y[kept] = x[p], y[p]
            kept += 1
        if (over_p <= 0) != (over_q <= 0):
            t = over_p / (over_p - over_q)
            to_x[kept], to_y[kept] = sign * most, y[p] + t * (y[q] - y[p])
            kept += 1
    return kept


@kernel
def _volumes(a, b, corners):
    """What two boxes share, and what they fill together; `corners` is room for two polygons of 8 corners."""
    filled_a, filled_b = a[3] * a[4] * a[5], b[3] * b[4] * b[5]
    union = filled_a + filled_b
    dx, dy, dz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    height = min(a[5] / 2, dz + b[5] / 2) - max(-a[5] / 2, dz - b[5] / 2)
    apart = math.hypot(a[3], a[4]) / 2 + math.hypot(b[3], b[4]) / 2
    if not height > 0 or dx * dx + dy * dy > apart * apart * 1.0001:
        return 0.0, union
    c, s = math.cos(-a[6]), math.sin(-a[6])
    x, y = c * dx - s * dy, s * dx + c * dy
    c, s = math.cos(b[6] - a[6]), math.sin(b[6] - a[6])
    for k in range(4):
        u = b[3] / 2 if k == 1 or k == 2 else -b[3] / 2
        v = b[4] / 2 if k >= 2 else -b[4] / 2
        corners[0, k], corners[1, k] = x + (c * u - s * v), y + (s * u + c * v)
    one_x, one_y, two_x, two_y = corners[0], corners[1], corners[2], corners[3]
    count = _clip(one_x, one_y, 4, 1.0, a[3] / 2, two_x, two_y)
    count = _clip(two_x, two_y, count, -1.0, a[3] / 2, one_x, one_y)
    count = _clip(one_y, one_x, count, 1.0, a[4] / 2, two_y, two_x)
    count = _clip(two_y, two_x, count, -1.0, a[4] / 2, one_y, one_x)
    double = 0.0
    for k in range(1, count - 1):
        double += (one_x[k] - one_x[0]) * (one_y[k + 1] - one_y[0])
        double -= (one_x[k + 1] - one_x[0]) * (one_y[k] - one_y[0])
    shared = max(min(double / 2 * height, filled_a, filled_b), 0.0)
    return shared, union - shared


@kernel
def iou(a, b, out, first, last):
    corners = np.empty((4, 16))
    for i in range(first, last):
        for j in range(len(b)):
            shared, union = _volumes(a[i], b[j], corners)
            out[i, j] = min(shared / union, 1.0) if shared > 0 else 0.0


@kernel
def suppress(boxes, max_iou, gone):
    """Boxes in the order of their scores."""
    corners = np.empty((4, 16))
    for i in range(len(boxes)):
        if gone[i]:
            continue
        for j in range(i + 1, len(boxes)):
            if not gone[j]:
                shared, union = _volumes(boxes[i], boxes[j], corners)
                gone[j] = shared > max_iou * union

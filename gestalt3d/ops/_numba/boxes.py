"""Minimum-area rectangles about z on the CPU: convex hull, then rotating calipers."""

import numpy as np

from gestalt3d.ops._numba import kernel


@kernel
def _beyond_octagon(x, y, keep):
    """Mark the points that can be corners of the hull: those not strictly inside the octagon of extremes.
    Returns how many.
    """
    n = len(x)
    corners = np.empty(8, np.int64)
    for k in range(8):
        # Directions in counter-clockwise order.
        a = (1.0, 1.0, 0.0, -1.0, -1.0, -1.0, 0.0, 1.0)[k]
        b = (0.0, 1.0, 1.0, 1.0, 0.0, -1.0, -1.0, -1.0)[k]
        best, at = -np.inf, 0
        for i in range(n):
            v = a * x[i] + b * y[i]
            if v > best:
                best, at = v, i
        corners[k] = at
    count = 0
    for i in range(n):
        inside = True
        for k in range(8):
            p, q = corners[k], corners[(k + 1) % 8]
            if p != q and (x[q] - x[p]) * (y[i] - y[p]) - (y[q] - y[p]) * (x[i] - x[p]) <= 0:
                inside = False
                break
        if not inside:
            keep[count] = i
            count += 1
    if count == 0:  # all points are the same one
        keep[0] = corners[0]
        count = 1
    return count


@kernel
def hull(x, y):
    """Corners of the convex hull, counter-clockwise, collinear ones left out (Andrew's monotone chain)."""
    keep = np.empty(len(x), np.int64)
    count = _beyond_octagon(x, y, keep)
    px, py = x[keep[:count]], y[keep[:count]]
    by_y = np.argsort(py, kind="mergesort")
    order = by_y[np.argsort(px[by_y], kind="mergesort")]
    corners = np.empty((2 * count + 1, 2))
    size = 0
    for back in range(2):
        base = size
        for t in range(count):
            i = order[count - 1 - t] if back else order[t]
            while size >= base + 2:
                ax, ay = (
                    corners[size - 1, 0] - corners[size - 2, 0],
                    corners[size - 1, 1] - corners[size - 2, 1],
                )
                bx, by = px[i] - corners[size - 1, 0], py[i] - corners[size - 1, 1]
                if ax * by - ay * bx > 0:
                    break
                size -= 1
            corners[size, 0], corners[size, 1] = px[i], py[i]
            size += 1
        size -= 1  # the chain's last corner is the other chain's first
    return corners[: max(size, 1)]


@kernel
def rectangle(corners, yaw, out):
    """Rectangle of that yaw around the corners, into (centre x, y, size x, y); returns its area."""
    c, s = np.cos(yaw), np.sin(yaw)
    low_u = low_v = np.inf
    high_u = high_v = -np.inf
    for k in range(len(corners)):
        u = c * corners[k, 0] + s * corners[k, 1]
        v = c * corners[k, 1] - s * corners[k, 0]
        low_u, high_u = min(low_u, u), max(high_u, u)
        low_v, high_v = min(low_v, v), max(high_v, v)
    u, v = 0.5 * (low_u + high_u), 0.5 * (low_v + high_v)
    out[0], out[1] = c * u - s * v, s * u + c * v
    out[2], out[3] = high_u - low_u, high_v - low_v
    return out[2] * out[3]


@kernel
def _caliper_areas(corners, areas, yaws):
    """Area of the rectangle on each edge and its yaw in [0, π/2), each caliper going once round the hull."""
    h = len(corners)
    right = top = left = 1
    for e in range(h):
        f = (e + 1) % h
        dx, dy = corners[f, 0] - corners[e, 0], corners[f, 1] - corners[e, 1]
        length = np.hypot(dx, dy)
        c, s = dx / length, dy / length
        right = _climb(corners, right, c, s)
        if e == 0:
            top, left = right, right
        top = _climb(corners, top, -s, c)
        if e == 0:
            left = top
        left = _climb(corners, left, -c, -s)
        along = c * (corners[right, 0] - corners[left, 0]) + s * (corners[right, 1] - corners[left, 1])
        across = c * (corners[top, 1] - corners[e, 1]) - s * (corners[top, 0] - corners[e, 0])
        areas[e] = max(0.0, along * across)  # a sliver may be negative by rounding
        yaw = np.arctan2(dy, dx) % (0.5 * np.pi)
        yaws[e] = yaw if yaw < 0.5 * np.pi else 0.0


@kernel
def _climb(corners, k, a, b):
    """Walk on while the next corner is no less far in the direction (a, b)."""
    h = len(corners)
    for _ in range(h):
        n = (k + 1) % h
        if a * (corners[n, 0] - corners[k, 0]) + b * (corners[n, 1] - corners[k, 1]) < 0:
            break
        k = n
    return k


@kernel
def oriented_boxes(points, offsets, indices, boxes):
    """Box of each instance into `boxes` (float64); rows of empty instances are not touched."""
    flat = np.empty(4)
    for i in range(len(offsets) - 1):
        first, n = offsets[i], offsets[i + 1] - offsets[i]
        if n == 0:
            continue
        # Relative to one of the points: far from zero the products of the hull would lose their digits.
        x0, y0 = np.float64(points[indices[first], 0]), np.float64(points[indices[first], 1])
        x, y = np.empty(n), np.empty(n)
        low, high = np.inf, -np.inf
        for k in range(n):
            p = indices[first + k]
            x[k], y[k] = points[p, 0] - x0, points[p, 1] - y0
            low, high = min(low, points[p, 2]), max(high, points[p, 2])
        corners = hull(x, y)
        yaw, smallest = 0.0, rectangle(corners, 0.0, flat)
        if len(corners) > 1:
            areas, yaws = np.empty(len(corners)), np.empty(len(corners))
            _caliper_areas(corners, areas, yaws)
            smallest = min(smallest, areas.min())
            if flat[2] * flat[3] > smallest * (1 + 1e-6):
                yaw = 0.5 * np.pi
                for e in range(len(corners)):
                    if areas[e] <= smallest * (1 + 1e-6):
                        yaw = min(yaw, yaws[e])
                rectangle(corners, yaw, flat)
        boxes[i, 0], boxes[i, 1], boxes[i, 2] = flat[0] + x0, flat[1] + y0, 0.5 * (low + high)
        boxes[i, 3], boxes[i, 4], boxes[i, 5], boxes[i, 6] = flat[2], flat[3], high - low, yaw

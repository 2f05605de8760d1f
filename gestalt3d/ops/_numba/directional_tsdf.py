"""The nearest point of each voxel near one, sought cell by cell from the nearest on; the cells are the voxels and a rim."""

import numpy as np

from gestalt3d.ops._numba import kernel

_SLACK = 1e-6
"""Voxels by which rounding may move a point out of its cell."""


def cells_of(points, voxel_size, size, reach):
    """Points by cell, the cells with a point within `rim`, and what to look at around a voxel, nearest first."""
    rim = int(reach / voxel_size + 0.5 + _SLACK)
    wide = tuple(n + 2 * rim for n in size)
    start, order = _by_cell(points, voxel_size, rim, *wide)
    near = _near(start, rim, *wide)
    apart = np.arange(-rim, rim + 1)
    gap = (np.maximum(np.abs(apart) - 0.5 - _SLACK, 0) * voxel_size) ** 2
    gap2 = (gap[:, None, None] + gap[:, None] + gap).reshape(-1)
    step = ((apart[:, None, None] * wide[1] + apart[:, None]) * wide[2] + apart).reshape(-1)
    ranked = np.argsort(gap2, kind="stable")
    ranked = ranked[gap2[ranked] < reach * reach]
    return start, order, np.ascontiguousarray(points[order].T), near, step[ranked], gap2[ranked], rim


@kernel
def _by_cell(points, voxel_size, rim, x, y, z):
    """Counting sort: `order[start[c]:start[c + 1]]` are the points of cell `c`, ascending."""
    start = np.zeros(x * y * z + 1, np.int32)
    cell = np.empty(len(points), np.int64)
    for i in range(len(points)):
        a = np.floor(points[i, 0] / voxel_size) + rim
        b = np.floor(points[i, 1] / voxel_size) + rim
        c = np.floor(points[i, 2] / voxel_size) + rim
        cell[i] = -1
        if 0 <= a < x and 0 <= b < y and 0 <= c < z:
            cell[i] = (int(a) * y + int(b)) * z + int(c)
            start[cell[i] + 1] += 1
    for c in range(x * y * z):
        start[c + 1] += start[c]
    place = start[:-1].copy()
    order = np.empty(start[-1], np.int32)
    for i in range(len(points)):
        if cell[i] >= 0:
            order[place[cell[i]]] = i
            place[cell[i]] += 1
    return start, order


@kernel
def _near(start, rim, x, y, z):
    """(x, y, z) cells with a point in the cube of cells `rim` around."""
    near = np.zeros((x, y, z), np.bool_)
    for i in range(x):
        for j in range(y):
            at = (i * y + j) * z
            if start[at] < start[at + z]:
                for k in range(z):
                    near[i, j, k] = start[at + min(k + rim + 1, z)] > start[at + max(k - rim, 0)]
    across = np.empty((y, z), np.bool_)
    some = np.zeros((x, y), np.bool_)
    for i in range(x):
        across[:] = False
        for j in range(y):
            at = (i * y + j) * z
            if start[at] < start[at + z]:
                for n in range(max(j - rim, 0), min(j + rim + 1, y)):
                    some[i, n] = True
                    across[n] |= near[i, j]
        near[i] = across
    out = np.zeros((x, y, z), np.bool_)
    for i in range(x):
        for j in range(y):
            if some[i, j]:
                for n in range(max(i - rim, 0), min(i + rim + 1, x)):
                    out[n, j] |= near[i, j]
    return out


@kernel
def _nearest(px, py, pz, start, order, sorted_points, step, gap2, cell, reach2):
    """Index of the point nearest to the centre of a cell among those nearer than the reach, -1 if there are none."""
    best, found = reach2, -1
    for s in range(len(step)):
        if gap2[s] > best:
            break
        at = cell + step[s]
        for k in range(start[at], start[at + 1]):
            dx = sorted_points[0, k] - px
            dy = sorted_points[1, k] - py
            dz = sorted_points[2, k] - pz
            dist2 = dx * dx + dy * dy + dz * dz
            if dist2 < best or (dist2 == best and 0 <= order[k] < found):
                best, found = dist2, order[k]
    return found


@kernel
def fill(
    points,
    colors,
    depth,
    pixels,
    start,
    order,
    sorted_points,
    near,
    step,
    gap2,
    rim,
    voxel_size,
    truncation,
    reach,
    per_axis_sign,
    out,
    first,
    last,
):
    """Rows `first` to `last` of voxels along z."""
    channels, _, y, z = out.shape
    height, width = depth.shape
    reach2 = reach * reach
    for r in range(first, last):
        i, j = r // y, r % y
        px, py = (i + 0.5) * voxel_size, (j + 0.5) * voxel_size
        cells = ((i + rim) * near.shape[1] + j + rim) * near.shape[2] + rim
        for k in range(z):
            pz = (k + 0.5) * voxel_size
            w = pixels[2, 0] * px + pixels[2, 1] * py + pixels[2, 2] * pz + pixels[2, 3]
            column = row = -1.0
            if w > 0:
                u = pixels[0, 0] * px + pixels[0, 1] * py + pixels[0, 2] * pz + pixels[0, 3]
                v = pixels[1, 0] * px + pixels[1, 1] * py + pixels[1, 2] * pz + pixels[1, 3]
                column, row = np.floor(u / w + 0.5), np.floor(v / w + 0.5)
            if not (0 <= column < width and 0 <= row < height):
                for c in range(channels):
                    out[c, i, j, k] = 0
                continue
            shown = depth[int(row), int(column)]
            in_front = np.isfinite(shown) and shown > 0 and not w > shown
            sign = 1.0 if in_front or per_axis_sign else -1.0
            found = -1
            if near[i + rim, j + rim, k + rim]:
                found = _nearest(px, py, pz, start, order, sorted_points, step, gap2, cells + k, reach2)
            if found < 0:
                for c in range(3):
                    out[c, i, j, k] = sign
                for c in range(3, channels):
                    out[c, i, j, k] = 0
                continue
            for c in range(3):
                away = points[found, c] - (px if c == 0 else py if c == 1 else pz)
                share = min(abs(away), truncation) / truncation
                out[c, i, j, k] = -share if per_axis_sign and away < 0 else share * sign
            for c in range(3, channels):
                out[c, i, j, k] = colors[found, c - 3]

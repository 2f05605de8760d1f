"""Inside and thin surfaces of a mesh in a grid, triangle by triangle."""

import numpy as np

from gestalt3d.ops._numba import kernel


@kernel
def _area(ax, ay, bx, by):
    return ax * by - ay * bx


@kernel
def _is_left(area, ax, ay, bx, by):
    """On the edge itself: as if all lines were moved a little to lower coordinates, less along the second than the first."""
    if area != 0:
        return area > 0
    return by > ay or (by == ay and bx < ax)


@kernel
def _meets(t, p, q, axis, x, y):
    """The height at which the line along `axis` through (x, y) meets a triangle, and 1 where that leads out, -1 in, 0 nowhere."""
    ax, ay = t[0, p] - x, t[0, q] - y
    bx, by = t[1, p] - x, t[1, q] - y
    cx, cy = t[2, p] - x, t[2, q] - y
    u = _area(bx, by, cx, cy)
    v = _area(cx, cy, ax, ay)
    w = _area(ax, ay, bx, by)
    area = u + v + w
    left = _is_left(u, bx, by, cx, cy)
    if left != (area > 0) or area == 0:
        return 0.0, 0
    if _is_left(v, cx, cy, ax, ay) != left or _is_left(w, ax, ay, bx, by) != left:
        return 0.0, 0
    height = (u * t[0, axis] + v * t[1, axis] + w * t[2, axis]) / area
    out = 1 if left else -1
    return height, out if axis != 1 else -out


@kernel
def _lines_of(low, high, count):
    """First line through a centre between `low` and `high`, and the one after the last; one more at either end, by rounding."""
    first = int(np.floor(min(max(low - 0.5, 0.0), float(count))))
    last = int(np.ceil(min(max(high + 0.5, 0.0), float(count))))
    return first, last


@kernel
def mesh_voxels(vertices, faces, x, y, z):
    """(x, y, z) bool; `vertices` in voxels from the lowest corner."""
    size = (x, y, z)
    solid = np.ones((x, y, z), np.bool_)
    filled = np.zeros((x, y, z), np.bool_)
    t = np.empty((3, 3))
    at = np.empty(3, np.int64)
    # First what is inside by all three axes, then what the surface crosses beside it.
    for crossing in range(2):
        for axis in range(3):
            p = 1 if axis == 0 else 0
            q = 1 if axis == 2 else 2
            n = size[axis]
            # out[i, j, k]: surfaces that lead out less those that lead in between the centres k - 1 and k.
            out = np.zeros((size[p], size[q], n + 1) if crossing == 0 else (0, 0, 0), np.int32)
            for f in range(len(faces)):
                for k in range(3):
                    for c in range(3):
                        t[k, c] = vertices[faces[f, k], c]
                first_i, last_i = _lines_of(
                    min(t[0, p], t[1, p], t[2, p]), max(t[0, p], t[1, p], t[2, p]), size[p]
                )
                first_j, last_j = _lines_of(
                    min(t[0, q], t[1, q], t[2, q]), max(t[0, q], t[1, q], t[2, q]), size[q]
                )
                for i in range(first_i, last_i):
                    for j in range(first_j, last_j):
                        height, leads = _meets(t, p, q, axis, i + 0.5, j + 0.5)
                        if leads == 0:
                            continue
                        # The first centre above it.
                        above = min(max(np.floor(height - 0.5) + 1, 0.0), float(n))
                        if crossing == 0:
                            out[i, j, int(above)] += leads
                        elif 0 <= height < n:
                            _mark(filled, solid, at, axis, p, q, i, j, height, int(above))
            if crossing == 0:
                _keep_inside(solid, out, at, axis, p, q)
    filled |= solid
    return _with_lone_edges(filled, vertices, faces)


@kernel
def _with_lone_edges(filled, vertices, faces):
    """And the voxels of points of edges, a quarter of a voxel apart at most, around which nothing is filled."""
    size = filled.shape
    out = filled.copy()
    at = np.empty(3, np.int64)
    for f in range(len(faces)):
        for k in range(3):
            a, b = faces[f, k], faces[f, (k + 1) % 3]
            longest = 0.0
            for c in range(3):
                longest = max(longest, abs(vertices[b, c] - vertices[a, c]))
            steps = max(int(np.ceil(4 * longest)), 1)
            for step in range(steps):
                inside = True
                for c in range(3):
                    place = np.floor(vertices[a, c] + (vertices[b, c] - vertices[a, c]) * (step / steps))
                    inside = inside and 0 <= place < size[c]
                    at[c] = int(place) if inside else 0
                if inside and not _any_around(filled, at):
                    out[at[0], at[1], at[2]] = True
    return out


@kernel
def _any_around(filled, at):
    x, y, z = filled.shape
    for i in range(max(at[0] - 1, 0), min(at[0] + 2, x)):
        for j in range(max(at[1] - 1, 0), min(at[1] + 2, y)):
            for k in range(max(at[2] - 1, 0), min(at[2] + 2, z)):
                if filled[i, j, k]:
                    return True
    return False


@kernel
def _keep_inside(solid, out, at, axis, p, q):
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            total = 0
            for k in range(out.shape[2]):
                total += out[i, j, k]
            below = 0
            at[p], at[q] = i, j
            for k in range(out.shape[2] - 1):
                below += out[i, j, k]
                if below > -1 or total - below < 1:
                    at[axis] = k
                    solid[at[0], at[1], at[2]] = False


@kernel
def _mark(filled, solid, at, axis, p, q, i, j, height, above):
    """The voxel of a crossing, unless a centre beside it is inside."""
    at[p], at[q] = i, j
    for k in range(max(above - 1, 0), min(above + 1, solid.shape[axis])):
        at[axis] = k
        if solid[at[0], at[1], at[2]]:
            return
    at[axis] = int(height)
    filled[at[0], at[1], at[2]] = True

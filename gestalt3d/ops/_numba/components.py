"""Union-find on the CPU. A root is the lowest member of its set, so numbers follow from one pass in order."""

import numpy as np

from gestalt3d.ops._numba import kernel


@kernel
def find(parent, i):
    """Root of `i`, halving the path."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel
def unite(parent, i, j):
    """Join two sets under the lower root."""
    a, b = find(parent, i), find(parent, j)
    if a < b:
        parent[b] = a
    elif b < a:
        parent[a] = b


@kernel
def number(parent, labels):
    """Number the sets from 0 by their lowest member; a negative parent is in no set and gets -1."""
    count = 0
    for i in range(len(parent)):
        if parent[i] < 0:
            labels[i] = -1
            continue
        root = find(parent, i)
        if root == i:
            labels[i] = count
            count += 1
        else:
            labels[i] = labels[root]
    return count


@kernel
def graph(first, second, labels):
    """Components of the graph with edges `first[e] - second[e]`."""
    parent = np.arange(len(labels))
    for e in range(len(first)):
        unite(parent, first[e], second[e])
    number(parent, labels)


@kernel
def grid(flat, shape, offsets, out):
    """Components of equal, non-negative neighbours; `offsets` are those earlier in memory."""
    size_x, size_y, size_z = shape
    parent = np.arange(flat.size)
    for x in range(size_x):
        for y in range(size_y):
            for z in range(size_z):
                i = (x * size_y + y) * size_z + z
                if flat[i] < 0:
                    parent[i] = -1
                    continue
                for k in range(len(offsets)):
                    u, v, w = x + offsets[k, 0], y + offsets[k, 1], z + offsets[k, 2]
                    if u < 0 or v < 0 or w < 0 or v >= size_y or w >= size_z:
                        continue
                    j = (u * size_y + v) * size_z + w
                    if flat[j] == flat[i]:
                        unite(parent, i, j)
    number(parent, out)


@kernel
def cells_of(points, low, size, cells):
    """Grid cell of every point, never negative."""
    for i in range(len(points)):
        for j in range(3):
            cells[i, j] = np.int64((np.float64(points[i, j]) - low[j]) / size)


@kernel
def columns_after(along_x, along_y):
    """Key offsets of the thirteen columns of cells that hold a cell's later neighbours; the first is its own
    column.
    """
    shifts = np.zeros(13, np.int64)
    count = 1
    for dx in range(3):
        for dy in range(-2, 3):
            if dx > 0 or dy > 0:
                shifts[count] = dx * along_x + dy * along_y
                count += 1
    return shifts


@kernel
def later_cells(keys, c, shift, first, stop):
    """Occupied cells `first` to `stop` of that column within two steps of cell `c`.

    Keys ascend, so over ascending `c` both only move forward: pass in what the last cell got.
    """
    lowest = keys[c] + shift + (1 if shift == 0 else -2)
    highest = keys[c] + shift + 2
    while first < len(keys) and keys[first] < lowest:
        first += 1
    stop = max(stop, first)
    while stop < len(keys) and keys[stop] <= highest:
        stop += 1
    return first, stop


@kernel
def dist2(a, b):
    dx, dy, dz = np.float64(a[0]) - b[0], np.float64(a[1]) - b[1], np.float64(a[2]) - b[2]
    return dx * dx + dy * dy + dz * dz


@kernel
def count_neighbours(points, keys, starts, shifts, limit2, enough, counts):
    """Points within reach of each point, itself included; points are sorted by cell and cells are cliques.

    Two cells of `enough` members are not compared: all their counts suffice.
    """
    for c in range(len(keys)):
        for i in range(starts[c], starts[c + 1]):
            counts[i] += starts[c + 1] - starts[c]
    for shift in shifts:
        first = stop = 0
        for c in range(len(keys)):
            first, stop = later_cells(keys, c, shift, first, stop)
            full = starts[c + 1] - starts[c] >= enough
            for o in range(first, stop):
                if full and starts[o + 1] - starts[o] >= enough:
                    continue
                for i in range(starts[c], starts[c + 1]):
                    for j in range(starts[o], starts[o + 1]):
                        if dist2(points[i], points[j]) <= limit2:
                            counts[i] += 1
                            counts[j] += 1


@kernel
def _touch(points, first, stop, other_first, other_stop, is_core, limit2):
    """Whether a core point of one range is within reach of one of the other."""
    for i in range(first, stop):
        if is_core[i]:
            for j in range(other_first, other_stop):
                if is_core[j] and dist2(points[i], points[j]) <= limit2:
                    return True
    return False


@kernel
def join_cells(points, keys, starts, shifts, limit2, is_core, index, parent):
    """Unite the core points of each cell, and of neighbouring cells where two core points are within reach.

    `index` is each point's row in the caller's order; `parent` uses those rows.
    """
    core = np.full(len(keys), -1)
    for c in range(len(keys)):
        for i in range(starts[c], starts[c + 1]):
            if is_core[i]:
                if core[c] < 0:
                    core[c] = i
                unite(parent, index[core[c]], index[i])
    for shift in shifts:
        first = stop = 0
        for c in range(len(keys)):
            first, stop = later_cells(keys, c, shift, first, stop)
            if core[c] < 0:
                continue
            for o in range(first, stop):
                if core[o] < 0 or find(parent, index[core[c]]) == find(parent, index[core[o]]):
                    continue
                if _touch(points, core[c], starts[c + 1], core[o], starts[o + 1], is_core, limit2):
                    unite(parent, index[core[c]], index[core[o]])


@kernel
def _offer(points, i, j, limit2, is_core, index, best, nearest):
    """Let core point `j` be the nearest of point `i`, the lower row on ties."""
    if is_core[i] or not is_core[j]:
        return
    d2 = dist2(points[i], points[j])
    at = index[i]
    if d2 <= limit2 and (d2 < best[i] or (d2 == best[i] and index[j] < nearest[at])):
        best[i] = d2
        nearest[at] = index[j]


@kernel
def nearest_core(points, keys, starts, shifts, limit2, is_core, index, nearest):
    """Row of the nearest core point within reach of each point that is none; other rows of `nearest` keep
    their value.
    """
    best = np.full(len(points), np.inf)
    for c in range(len(keys)):
        for i in range(starts[c], starts[c + 1]):
            if not is_core[i]:
                for j in range(starts[c], starts[c + 1]):
                    _offer(points, i, j, limit2, is_core, index, best, nearest)
    for shift in shifts:
        first = stop = 0
        for c in range(len(keys)):
            first, stop = later_cells(keys, c, shift, first, stop)
            for i in range(starts[c], starts[c + 1]):
                for j in range(starts[first], starts[stop]):
                    _offer(points, i, j, limit2, is_core, index, best, nearest)
                    _offer(points, j, i, limit2, is_core, index, best, nearest)

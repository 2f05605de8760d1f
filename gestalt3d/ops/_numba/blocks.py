"""Blocks of a room and the sparse voxel table of BlockMerging, on the CPU."""

import numpy as np

from gestalt3d.ops._numba import kernel


@kernel
def block_range(r, size, stride, count):
    """First and last block along one axis whose closed interval holds `r`, the distance from the cloud's
    minimum.
    """
    first = int(np.ceil((r - size) / stride))
    last = int(np.floor(r / stride))
    # The quotients are rounded; the comparisons below define membership.
    while first > 0 and r <= (first - 1) * stride + size:
        first -= 1
    while first < 0 or (r > first * stride + size and first < count - 1):
        first += 1
    while last + 1 < count and (last + 1) * stride <= r:
        last += 1
    while last > 0 and (last >= count or last * stride > r):
        last -= 1
    return first, last


@kernel
def count_members(x, y, low_x, low_y, size, stride, counts):
    """Points of every block of the (columns, rows) table `counts`."""
    columns, rows = counts.shape
    for i in range(len(x)):
        a, b = block_range(np.float64(x[i]) - low_x, size, stride, columns)
        c, d = block_range(np.float64(y[i]) - low_y, size, stride, rows)
        for u in range(a, b + 1):
            for v in range(c, d + 1):
                counts[u, v] += 1


@kernel
def write_members(x, y, low_x, low_y, size, stride, cursor, indices):
    """Write every point into its blocks; `cursor[u, v]` is where the block's next point goes, -1 for a
    dropped block.
    """
    columns, rows = cursor.shape
    for i in range(len(x)):
        a, b = block_range(np.float64(x[i]) - low_x, size, stride, columns)
        c, d = block_range(np.float64(y[i]) - low_y, size, stride, rows)
        for u in range(a, b + 1):
            for v in range(c, d + 1):
                at = cursor[u, v]
                if at >= 0:
                    indices[at] = i
                    cursor[u, v] = at + 1


EMPTY = -1  # in `keys`: no voxel here


@kernel
def slot_of(key, keys):
    """Where `key` is or would be in the open-addressed table (a power of two long, never full)."""
    mask = len(keys) - 1
    # splitmix64's mixer: neighbouring voxels must not probe each other's slots.
    h = np.uint64(key)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    at = np.int64((h ^ (h >> np.uint64(31))) & np.uint64(mask))
    while keys[at] != EMPTY and keys[at] != key:
        at = (at + 1) & mask
    return at


@kernel
def rehash(keys, instances, classes, new_keys, new_instances, new_classes):
    """Copy a table into a larger one."""
    for i in range(len(keys)):
        if keys[i] != EMPTY:
            at = slot_of(keys[i], new_keys)
            new_keys[at] = keys[i]
            new_instances[at] = instances[i]
            new_classes[at] = classes[i]


@kernel
def look_up(queries, keys, instances, classes, found_instances, found_classes):
    """Instance and class of each queried voxel, -1 where there is none."""
    for i in range(len(queries)):
        at = slot_of(queries[i], keys)
        known = keys[at] != EMPTY
        found_instances[i] = instances[at] if known else -1
        found_classes[i] = classes[at] if known else -1


@kernel
def claim(queries, owners, owner_classes, keys, instances, classes):
    """Give every voxel without an owner to the first point that has one; returns how many
    were claimed, and the highest owner.
    """
    claimed, highest = 0, -1
    for i in range(len(queries)):
        if owners[i] < 0:
            continue
        at = slot_of(queries[i], keys)
        if keys[at] == EMPTY:
            keys[at] = queries[i]
            instances[at] = owners[i]
            classes[at] = owner_classes[i]
            claimed += 1
            highest = max(highest, owners[i])
    return claimed, highest

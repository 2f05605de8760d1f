"""Points to voxels on the CPU: one packed key per point, one sort."""

import numpy as np

from gestalt3d.ops._numba import kernel


@kernel
def bounds(points, voxel_size, low, high):
    """Lowest and highest voxel coordinate per axis (float64); False if a coordinate is not finite."""
    for j in range(3):
        low[j], high[j] = np.inf, -np.inf
    for i in range(len(points)):
        for j in range(3):
            c = np.floor(np.float64(points[i, j]) / voxel_size)
            if not np.isfinite(c):
                return False
            low[j], high[j] = min(low[j], c), max(high[j], c)
    return True


@kernel
def pack(points, voxel_size, low, extent, keys):
    """Position of each point's voxel in the grid of that extent, x slowest: keys sort like coordinates."""
    for i in range(len(points)):
        key = np.int64(0)
        for j in range(3):
            c = np.int64(np.floor(np.float64(points[i, j]) / voxel_size)) - low[j]
            key = key * extent[j] + c
        keys[i] = key


@kernel
def number(keys, order, low, extent, voxel_of_point, coordinates, counts):
    """Number the runs of equal keys in ascending order."""
    voxel = -1
    last = np.int64(-1)
    for i in range(len(order)):
        key = keys[order[i]]
        if key != last:
            last = key
            voxel += 1
            counts[voxel] = 0
            for j in range(2, -1, -1):
                coordinates[voxel, j] = low[j] + key % extent[j]
                key //= extent[j]
        counts[voxel] += 1
        voxel_of_point[order[i]] = voxel

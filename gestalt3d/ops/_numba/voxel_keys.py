"""Voxels as numbers."""

import numpy as np

from gestalt3d.ops._numba import kernel


@kernel
def voxel_keys(points, origin, voxel_size, keys):
    """Pack 21 bits of each voxel coordinate; returns the first point outside that range, -1 if none."""
    limit = 1 << 20
    for i in range(len(points)):
        key = 0
        for j in range(3):
            c = np.floor((np.float64(points[i, j]) - origin[j]) / voxel_size[j])
            if not (-limit <= c < limit):
                return i
            key = (key << 21) | (int(c) + limit)
        keys[i] = key
    return -1

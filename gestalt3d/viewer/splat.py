"""Points as discs that close a surface."""

import numpy as np

from gestalt3d.ops._numba import kernel
from gestalt3d.viewer.viewpoint import Projection

_LARGEST = 9.0
"""Pixels."""


def splat(projection: Projection, spacing: float, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Depth (h, w) float32, infinite where nothing is, and the point seen there (h, w), -1 for none. `size` is height, width."""
    depth = np.full(size, np.inf, dtype=np.float32)
    nearest = np.full(size, -1, dtype=np.int32)
    columns = (np.ascontiguousarray(c, dtype=np.float32) for c in projection[:3])
    _splat_points(*columns, projection.focal, 1.35 * spacing, _LARGEST, depth, nearest)
    return depth, nearest


@kernel
def _splat_points(x, y, z, focal, radius, largest, depth, nearest):
    """Discs with a rim deeper than their middle, so that neighbours meet half-way like Voronoi cells."""
    height, width = depth.shape
    for p in range(len(x)):
        if not z[p] > 0:
            continue
        r = min(max(radius * focal / z[p], 1.0), largest)
        left, right = max(0, int(np.ceil(x[p] - r))), min(width - 1, int(np.floor(x[p] + r)))
        above, below = max(0, int(np.ceil(y[p] - r))), min(height - 1, int(np.floor(y[p] + r)))
        for row in range(above, below + 1):
            for column in range(left, right + 1):
                share = ((column - x[p]) ** 2 + (row - y[p]) ** 2) / (r * r)
                if share <= 1.0:
                    d = np.float32(z[p] + radius * share)
                    if d < depth[row, column]:
                        depth[row, column] = d
                        nearest[row, column] = p

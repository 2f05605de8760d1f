"""Merging tables: one number for each voxel of a room, and the most frequent value of rows; what both mergings share."""

import numpy as np
from jaxtyping import Float
from torch import Tensor


def voxel_grid(
    voxel_size: float | Float[Tensor, "3"], origin: Float[Tensor, "3"] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Metres of a voxel along x, y, z and where voxel (0, 0, 0) begins, (0, 0, 0) unless told."""
    size = np.broadcast_to(np.asarray(voxel_size, dtype=np.float64), 3).copy()
    if not (np.isfinite(size) & (size > 0)).all():
        raise ValueError(f"voxel_size must be positive metres, got {voxel_size}")
    return size, np.zeros(3) if origin is None else origin.cpu().double().numpy()


def voxel_keys(points: Float[Tensor, "n 3"], voxel_size: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """(n,) int64, one number for each voxel of a `voxel_grid`; there are 2^21 along an axis."""
    from gestalt3d.ops._numba.voxel_keys import voxel_keys as kernel

    coordinates = points.detach().cpu().numpy()
    keys = np.empty(len(coordinates), dtype=np.int64)
    bad = kernel(coordinates, origin, voxel_size, keys)
    if bad >= 0:
        raise ValueError(
            f"point {bad} at {coordinates[bad].tolist()} lies outside the 2^21 voxels of "
            f"{voxel_size.tolist()} m around {origin.tolist()}; "
            "drop stray and non-finite points, or pass an origin"
        )
    return keys


def coordinates_of(keys: np.ndarray) -> np.ndarray:
    """(n, 3) coordinates of the voxels of `voxel_keys`, shifted so that none is negative."""
    return (keys[:, None] >> np.array([42, 21, 0])) & (2**21 - 1)


def most_frequent(rows: np.ndarray, values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Most frequent value of each row and how often it occurs; the lowest on ties, (-1, 0) for rows without
    values.
    """
    best, often = np.full(count, -1, dtype=np.int64), np.zeros(count, dtype=np.int64)
    width = int(values.max(initial=0)) + 1
    pairs, times = np.unique(rows * width + values, return_counts=True)
    # Written from rare to frequent and, among equals, from high to low: the wanted one remains.
    order = np.lexsort((-pairs, times))
    best[pairs[order] // width], often[pairs[order] // width] = pairs[order] % width, times[order]
    return best, often


def modes(rows: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Most frequent value of each row, the lowest on ties. Values may be -1."""
    return most_frequent(rows, values + 1, count)[0] - 1

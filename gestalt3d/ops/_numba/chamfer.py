"""All distances between two small sets at once, in cache: every row and every column finds its nearest."""

import numpy as np
import torch
from torch import Tensor

from gestalt3d.ops._numba import kernel, parallel

_LANES = 16


@kernel
def _pairs(a, b, index_a, index_b, first, last):
    """Sets `first` to `last`; coordinates are rows. Loops over `j` are made of whole numbers of lanes and selects, so that they
    become vector instructions.
    """
    n, m = a.shape[2], b.shape[2]
    wide = (m + _LANES - 1) // _LANES * _LANES
    row = np.full(wide, np.inf, a.dtype)
    best_b = np.empty(wide, a.dtype)
    number_b = np.empty(wide, np.int32)
    xs = np.zeros(wide, a.dtype)
    ys = np.zeros(wide, a.dtype)
    zs = np.zeros(wide, a.dtype)
    lane = np.empty(_LANES, a.dtype)
    for s in range(first, last):
        xs[:m] = b[s, 0]
        ys[:m] = b[s, 1]
        zs[:m] = b[s, 2]
        best_b[:] = np.inf
        number_b[:] = 0
        for i in range(n):
            x, y, z = a[s, 0, i], a[s, 1, i], a[s, 2, i]
            for j in range(m):
                u, v, w = x - xs[j], y - ys[j], z - zs[j]
                row[j] = u * u + v * v + w * w
            for j in range(m):
                nearer = row[j] < best_b[j]
                best_b[j] = row[j] if nearer else best_b[j]
                number_b[j] = np.int32(i) if nearer else number_b[j]
            lane[:] = np.inf
            for j in range(0, wide, _LANES):
                for k in range(_LANES):
                    d = row[j + k]
                    lane[k] = d if d < lane[k] else lane[k]
            least = lane[0]
            for k in range(1, _LANES):
                least = min(least, lane[k])
            at = 0
            for j in range(m):
                if row[j] == least:
                    at = j
                    break
            index_a[s, i] = at
        for j in range(m):
            index_b[s, j] = number_b[j]


def nearest_both_ways(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    index_a = torch.empty(a.shape[:2], dtype=torch.int64)
    index_b = torch.empty(b.shape[:2], dtype=torch.int64)
    rows = [points.transpose(1, 2).contiguous().numpy() for points in (a, b)]
    found = (index_a.numpy(), index_b.numpy())
    parallel(lambda first, last: _pairs(*rows, *found, first, last), len(a), grain=1)
    return index_a, index_b

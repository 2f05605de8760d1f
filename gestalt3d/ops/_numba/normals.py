"""Eigenvectors of 3 × 3 covariances in closed form, a third of a microsecond each."""

import math

import numpy as np
import torch
from torch import Tensor

from gestalt3d.ops._numba import kernel, parallel_rows
from gestalt3d.ops._numba.gather import checked

_FLAT = 1e-6


@kernel
def _normals(points, index, out, first, last):
    k = index.shape[1]
    for i in range(first, last):
        out[i, 0] = out[i, 1] = out[i, 2] = 0
        px, py, pz = np.float64(points[i, 0]), np.float64(points[i, 1]), np.float64(points[i, 2])
        count = 0
        sx = sy = sz = xx = xy = xz = yy = yz = zz = 0.0
        for t in range(k):
            j = index[i, t]
            if j < 0:
                continue
            x, y, z = points[j, 0] - px, points[j, 1] - py, points[j, 2] - pz
            count += 1
            sx += x
            sy += y
            sz += z
            xx += x * x
            xy += x * y
            xz += x * z
            yy += y * y
            yz += y * z
            zz += z * z
        if count < 3:
            continue
        xx -= sx * sx / count
        xy -= sx * sy / count
        xz -= sx * sz / count
        yy -= sy * sy / count
        yz -= sy * sz / count
        zz -= sz * sz / count
        scale = max(xx, yy, zz)
        if not scale > 0:
            continue
        xx /= scale
        xy /= scale
        xz /= scale
        yy /= scale
        yz /= scale
        zz /= scale
        # Smith (1961): eigenvalues of a symmetric matrix by the angle of its deviator.
        q = (xx + yy + zz) / 3
        a, b, c = xx - q, yy - q, zz - q
        p = math.sqrt((a * a + b * b + c * c + 2 * (xy * xy + xz * xz + yz * yz)) / 6)
        if p == 0:
            out[i, 2] = 1
            continue
        half = (a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz)) / (2 * p * p * p)
        angle = math.acos(min(1.0, max(-1.0, half))) / 3
        largest = q + 2 * p * math.cos(angle)
        smallest = q + 2 * p * math.cos(angle + 2.0943951023931953)
        if not 3 * q - largest - smallest > _FLAT * largest:
            continue
        a, b, c = xx - smallest, yy - smallest, zz - smallest
        # Rows of a rank-two matrix: the longest of their cross products is the least noisy eigenvector.
        ux, uy, uz = xy * yz - xz * b, xz * xy - a * yz, a * b - xy * xy
        vx, vy, vz = b * c - yz * yz, yz * xz - xy * c, xy * yz - b * xz
        wx, wy, wz = xy * c - xz * yz, xz * xz - a * c, a * yz - xy * xz
        u, v, w = ux * ux + uy * uy + uz * uz, vx * vx + vy * vy + vz * vz, wx * wx + wy * wy + wz * wz
        if v > u and v >= w:
            ux, uy, uz, u = vx, vy, vz, v
        elif w > u:
            ux, uy, uz, u = wx, wy, wz, w
        if u == 0:
            out[i, 2] = 1  # two equal smallest extents: every direction between them is as thin
            continue
        length = math.sqrt(u)
        if uz < 0 or (uz == 0 and (uy < 0 or (uy == 0 and ux < 0))):
            length = -length
        out[i, 0] = ux / length
        out[i, 1] = uy / length
        out[i, 2] = uz / length


def normals(points: Tensor, index: Tensor) -> Tensor:
    b, n, _ = points.shape
    indices = checked(index, n)
    source = points.contiguous().numpy()
    out = np.zeros((b, n, 3), source.dtype)
    if n:
        parallel_rows(
            lambda s, first, last: _normals(source[s], indices[s], out[s], first, last), b, n, grain=1024
        )
    return torch.from_numpy(out)

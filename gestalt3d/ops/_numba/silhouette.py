"""Soft silhouettes face by face: each visits the pixels within its reach only. In float64, whatever the vertices are.

Threads share rows of pixels forward and faces backward, and every sum runs in the order of the faces or of the pixels.
"""

import numpy as np
import torch
from torch import Tensor

from gestalt3d.ops._numba import kernel, parallel_rows

_FACTORS = 512
"""Each is 2 at most, and 2**512 is a float64."""


@kernel
def _sides(vertices, face, near, sides):
    """Fills the three sides of a triangle; False where it does not lie before the camera.

    Of each: its corner, the way to the next one and the inverse of the squared length, 0 where it has none.
    """
    for k in range(3):
        i, j = face[k], face[(k + 1) % 3]
        if not vertices[i, 2] > near:
            return False
        x, y = np.float64(vertices[i, 0]), np.float64(vertices[i, 1])
        u, v = np.float64(vertices[j, 0]) - x, np.float64(vertices[j, 1]) - y
        length2 = u * u + v * v
        sides[k, 0], sides[k, 1], sides[k, 2], sides[k, 3] = x, y, u, v
        sides[k, 4] = 1 / length2 if length2 > 0 else 0.0
    return True


@kernel
def _extent(a, b, c, reach, offset, scale, count):
    """First and last of `count` pixels, number i at (i - offset) / scale, that lie within reach of three coordinates."""
    low, high = min(a, b, c) - reach, max(a, b, c) + reach
    first = max(np.ceil(low * scale + offset), 0.0)
    last = min(np.floor(high * scale + offset), count - 1.0)
    return (int(first), int(last)) if first <= last else (0, -1)


@kernel
def _box(sides, reach, height, width):
    """Rows and columns of the pixels within reach of a triangle, upper row first."""
    left, right = _extent(sides[0, 0], sides[1, 0], sides[2, 0], reach, (width - 1) / 2, height / 2, width)
    top, bottom = _extent(
        -sides[0, 1], -sides[1, 1], -sides[2, 1], reach, (height - 1) / 2, height / 2, height
    )
    return top, bottom, left, right


@kernel(fastmath={"contract"})
def _signed_dist2(sides, turn, xs, y, left, right, out, nearest):
    """Of the pixels of a row: squared distance from the nearest side, negative outside of the triangle, and which that is."""
    ax, ay, au, av, an = sides[0, 0], sides[0, 1], sides[0, 2], sides[0, 3], sides[0, 4]
    bx, by, bu, bv, bn = sides[1, 0], sides[1, 1], sides[1, 2], sides[1, 3], sides[1, 4]
    cx, cy, cu, cv, cn = sides[2, 0], sides[2, 1], sides[2, 2], sides[2, 3], sides[2, 4]
    for i in range(right - left + 1):
        x = xs[left + i]
        wx, wy = x - ax, y - ay
        t = min(max((wx * au + wy * av) * an, 0.0), 1.0)
        inside = turn * (au * wy - av * wx) > 0
        dx, dy = wx - t * au, wy - t * av
        best, k = dx * dx + dy * dy, 0
        wx, wy = x - bx, y - by
        t = min(max((wx * bu + wy * bv) * bn, 0.0), 1.0)
        inside &= turn * (bu * wy - bv * wx) > 0
        dx, dy = wx - t * bu, wy - t * bv
        d = dx * dx + dy * dy
        k = 1 if d < best else k
        best = d if d < best else best
        wx, wy = x - cx, y - cy
        t = min(max((wx * cu + wy * cv) * cn, 0.0), 1.0)
        inside &= turn * (cu * wy - cv * wx) > 0
        dx, dy = wx - t * cu, wy - t * cv
        d = dx * dx + dy * dy
        nearest[i] = 2 if d < best else k
        best = d if d < best else best
        out[i] = best if inside else -best


@kernel
def _turn(sides):
    """1 where the corners run counter-clockwise, -1 clockwise, 0 where they lie on a line."""
    return np.sign(sides[0, 2] * sides[1, 3] - sides[0, 3] * sides[1, 2])


@kernel
def _columns(height, width):
    return (2 * np.arange(width) + 1 - width) / height


@kernel
def _cover(vertices, faces, height, width, sigma, cut, near, out, first, last):
    """Rows `first` to `last` of an image."""
    sides, row, nearest = np.empty((3, 5)), np.empty(width), np.empty(width, np.int64)
    cover, rest = np.zeros((last - first, width)), np.ones((last - first, width))
    xs = _columns(height, width)
    reach = np.sqrt(sigma * cut)
    for f in range(len(faces)):
        if f % _FACTORS == 0:
            _take_logarithms(cover, rest)
        if not _sides(vertices, faces[f], near, sides):
            continue
        top, bottom, left, right = _box(sides, reach, height, width)
        turn = _turn(sides)
        for r in range(max(top, first), min(bottom + 1, last)):
            _signed_dist2(sides, turn, xs, (height - 1 - 2 * r) / height, left, right, row, nearest)
            for i in range(right - left + 1):
                z = row[i] / sigma
                if z > -cut:
                    cover[r - first, left + i] += max(z, 0.0)
                    rest[r - first, left + i] *= 1 + np.exp(-abs(z))
    _take_logarithms(cover, rest)
    for r in range(first, last):
        for c in range(width):
            out[r, c] = cover[r - first, c]


@kernel
def _take_logarithms(cover, rest):
    for r in range(len(rest)):
        for c in range(rest.shape[1]):
            cover[r, c] += np.log(rest[r, c])
            rest[r, c] = 1


@kernel
def _corners_backward(grad, vertices, faces, sigma, cut, near, out, first, last):
    """Gradients of the corners of faces `first` to `last`, each from all pixels that it reaches."""
    height, width = grad.shape
    sides, row, nearest = np.empty((3, 5)), np.empty(width), np.empty(width, np.int64)
    pull, xs = np.empty((3, 2)), _columns(height, width)
    reach = np.sqrt(sigma * cut)
    for f in range(first, last):
        pull[:] = 0
        if _sides(vertices, faces[f], near, sides):
            top, bottom, left, right = _box(sides, reach, height, width)
            turn = _turn(sides)
            for r in range(top, bottom + 1):
                y = (height - 1 - 2 * r) / height
                _signed_dist2(sides, turn, xs, y, left, right, row, nearest)
                for i in range(right - left + 1):
                    z, g = row[i] / sigma, np.float64(grad[r, left + i])
                    if g == 0 or not z > -cut:
                        continue
                    k = nearest[i]
                    wx, wy = xs[left + i] - sides[k, 0], y - sides[k, 1]
                    t = min(max((wx * sides[k, 2] + wy * sides[k, 3]) * sides[k, 4], 0.0), 1.0)
                    dx, dy = wx - t * sides[k, 2], wy - t * sides[k, 3]
                    # Of softplus(z) to z, of z to the distance, of the distance to both ends of the side.
                    g *= 1 / (1 + np.exp(-z)) / sigma * (-2 if z > 0 else 2)
                    pull[k, 0] += g * (1 - t) * dx
                    pull[k, 1] += g * (1 - t) * dy
                    pull[(k + 1) % 3, 0] += g * t * dx
                    pull[(k + 1) % 3, 1] += g * t * dy
        out[f] = pull


@kernel
def _to_vertices(pull, faces, out):
    """Every vertex takes what its faces have for it, in their order."""
    total = np.zeros((out.shape[1], 2))
    for s in range(len(out)):
        total[:] = 0
        for f in range(len(faces)):
            for k in range(3):
                total[faces[f, k], 0] += pull[s, f, k, 0]
                total[faces[f, k], 1] += pull[s, f, k, 1]
        for v in range(out.shape[1]):
            out[s, v, 0], out[s, v, 1], out[s, v, 2] = total[v, 0], total[v, 1], 0


def soft_cover(
    vertices: Tensor, faces: Tensor, height: int, width: int, sigma: float, cut: float, near: float
) -> Tensor:
    out = torch.empty((len(vertices), height, width), dtype=vertices.dtype)
    meshes, triangles, to = vertices.contiguous().numpy(), faces.contiguous().numpy(), out.numpy()
    how = height, width, sigma, cut, near
    parallel_rows(
        lambda s, a, b: _cover(meshes[s], triangles, *how, to[s], a, b), len(meshes), height, grain=16
    )
    return out


def soft_cover_backward(
    grad: Tensor, vertices: Tensor, faces: Tensor, sigma: float, cut: float, near: float
) -> Tensor:
    out = torch.zeros_like(vertices, memory_format=torch.contiguous_format)
    if len(faces):
        meshes, triangles, given = (t.contiguous().numpy() for t in (vertices, faces, grad))
        pull = np.empty((len(meshes), len(triangles), 3, 2))
        how = sigma, cut, near
        parallel_rows(
            lambda s, a, b: _corners_backward(given[s], meshes[s], triangles, *how, pull[s], a, b),
            len(meshes),
            len(triangles),
            grain=64,
        )
        _to_vertices(pull, triangles, out.numpy())
    return out

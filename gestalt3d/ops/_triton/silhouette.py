"""Soft silhouettes: forward one program per tile of pixels, which sees all triangles, backward one per triangle.

Nothing is added up by several programs at once, so the answer is the same every time.
"""

# Pyright reads a kernel as the Python function it looks like.
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportIndexIssue=false

import torch
import triton
import triton.language as tl
from torch import Tensor

from gestalt3d.ops._triton import jit

_BLOCK = 128


@jit
def _corner(vertices, faces, k):
    at = vertices + 3 * tl.load(faces + k)
    return tl.load(at), tl.load(at + 1), tl.load(at + 2)


@jit
def _toward(x, y, ax, ay, bx, by):
    """Of places: squared distance from the side between two corners, how far along it, the way from there and on which hand."""
    u = bx - ax
    v = by - ay
    length2 = u * u + v * v
    wx = x - ax
    wy = y - ay
    t = (wx * u + wy * v) / tl.where(length2 > 0, length2, 1)
    t = tl.minimum(tl.maximum(t, 0), 1)
    dx = wx - t * u
    dy = wy - t * v
    return dx * dx + dy * dy, t, dx, dy, u * wy - v * wx


@jit
def _place(p, height, width, like):
    x = (2 * (p % width) + 1 - width).to(like) / height
    y = (height - 1 - 2 * (p // width)).to(like) / height
    return x, y


@jit
def _turn(ax, ay, bx, by, cx, cy):
    area = (bx - ax) * (cy - by) - (by - ay) * (cx - bx)
    return tl.where(area > 0, 1, 0) - tl.where(area < 0, 1, 0)


@jit
def _cover(vertices, faces, how, out, v, f, height, width, tiles, BLOCK: tl.constexpr):
    like = vertices.dtype.element_ty
    mesh = tl.program_id(0).to(tl.int64) // tiles
    first = tl.program_id(0) % tiles * BLOCK
    p = first + tl.arange(0, BLOCK)
    x, y = _place(p, height, width, like)
    sigma = tl.load(how)
    cut = tl.load(how + 1)
    near = tl.load(how + 2)
    reach = tl.sqrt(sigma * cut)
    highest = (height - 1 - 2 * (first // width)).to(like) / height + reach
    lowest = (height - 1 - 2 * ((first + BLOCK - 1) // width)).to(like) / height - reach
    vertices += mesh * v * 3
    cover = tl.zeros([BLOCK], like)
    for j in range(f):
        ax, ay, az = _corner(vertices, faces + 3 * j, 0)
        bx, by, bz = _corner(vertices, faces + 3 * j, 1)
        cx, cy, cz = _corner(vertices, faces + 3 * j, 2)
        low = tl.minimum(tl.minimum(ay, by), cy)
        high = tl.maximum(tl.maximum(ay, by), cy)
        if (az > near) & (bz > near) & (cz > near) & (low <= highest) & (high >= lowest):
            turn = _turn(ax, ay, bx, by, cx, cy)
            d, _, _, _, hand = _toward(x, y, ax, ay, bx, by)
            e, _, _, _, other = _toward(x, y, bx, by, cx, cy)
            g, _, _, _, third = _toward(x, y, cx, cy, ax, ay)
            inside = (turn * hand > 0) & (turn * other > 0) & (turn * third > 0)
            dist2 = tl.minimum(tl.minimum(d, e), g)
            z = tl.where(inside, dist2, -dist2) / sigma
            soft = tl.maximum(z, 0) + tl.log(1 + tl.exp(-tl.abs(z)))
            cover += tl.where(z > -cut, soft, 0)
    tl.store(out + mesh * height * width + p, cover, mask=p < height * width)


@jit
def _corners_backward(grad, vertices, faces, how, out, v, f, height, width, BLOCK: tl.constexpr):
    like = vertices.dtype.element_ty
    mesh = tl.program_id(0).to(tl.int64) // f
    faces += tl.program_id(0) % f * 3
    vertices += mesh * v * 3
    grad += mesh * height * width
    sigma = tl.load(how)
    cut = tl.load(how + 1)
    near = tl.load(how + 2)
    reach = tl.sqrt(sigma * cut)
    ax, ay, az = _corner(vertices, faces, 0)
    bx, by, bz = _corner(vertices, faces, 1)
    cx, cy, cz = _corner(vertices, faces, 2)
    low = tl.minimum(tl.minimum(ay, by), cy) - reach
    high = tl.maximum(tl.maximum(ay, by), cy) + reach
    # Rows within reach, and one more at each end in case of rounding; a row is at y = (height - 1 - 2 row) / height.
    top = tl.minimum(tl.maximum((height - 1 - high * height) / 2 - 1, 0), height).to(tl.int32)
    bottom = tl.minimum(tl.maximum((height - 1 - low * height) / 2 + 2, 0), height).to(tl.int32)
    end = tl.where((az > near) & (bz > near) & (cz > near), bottom * width, 0)
    turn = _turn(ax, ay, bx, by, cx, cy)
    to_ax = tl.zeros([BLOCK], like)
    to_ay = tl.zeros([BLOCK], like)
    to_bx = tl.zeros([BLOCK], like)
    to_by = tl.zeros([BLOCK], like)
    to_cx = tl.zeros([BLOCK], like)
    to_cy = tl.zeros([BLOCK], like)
    first = top * width
    while first < end:
        p = first + tl.arange(0, BLOCK)
        x, y = _place(p, height, width, like)
        d, t, dx, dy, hand = _toward(x, y, ax, ay, bx, by)
        e, s, ex, ey, other = _toward(x, y, bx, by, cx, cy)
        g, r, gx, gy, third = _toward(x, y, cx, cy, ax, ay)
        inside = (turn * hand > 0) & (turn * other > 0) & (turn * third > 0)
        second = e < d
        last = g < tl.minimum(d, e)
        dist2 = tl.minimum(tl.minimum(d, e), g)
        z = tl.where(inside, dist2, -dist2) / sigma
        pull = tl.load(grad + p, mask=p < end, other=0) / (1 + tl.exp(-tl.maximum(z, -cut))) / sigma
        pull = tl.where(z > -cut, pull, 0) * tl.where(inside, -2, 2)
        along = tl.where(last, r, tl.where(second, s, t))
        px = pull * tl.where(last, gx, tl.where(second, ex, dx))
        py = pull * tl.where(last, gy, tl.where(second, ey, dy))
        # The side's own corner takes 1 - along, the next one along.
        at_a = tl.where(last, along, tl.where(second, 0, 1 - along))
        at_b = tl.where(last, 0, tl.where(second, 1 - along, along))
        at_c = tl.where(last, 1 - along, tl.where(second, along, 0))
        to_ax += at_a * px
        to_ay += at_a * py
        to_bx += at_b * px
        to_by += at_b * py
        to_cx += at_c * px
        to_cy += at_c * py
        first += BLOCK
    out += tl.program_id(0).to(tl.int64) * 6
    tl.store(out, tl.sum(to_ax, 0))
    tl.store(out + 1, tl.sum(to_ay, 0))
    tl.store(out + 2, tl.sum(to_bx, 0))
    tl.store(out + 3, tl.sum(to_by, 0))
    tl.store(out + 4, tl.sum(to_cx, 0))
    tl.store(out + 5, tl.sum(to_cy, 0))


def soft_cover(
    vertices: Tensor, faces: Tensor, height: int, width: int, sigma: float, cut: float, near: float
) -> Tensor:
    b, v, _ = vertices.shape
    out = vertices.new_zeros(b, height, width)
    if b * len(faces) == 0:
        return out
    tiles = triton.cdiv(height * width, _BLOCK)
    given = vertices.contiguous(), faces.contiguous(), vertices.new_tensor([sigma, cut, near])
    _cover[(b * tiles,)](*given, out, v, len(faces), height, width, tiles, BLOCK=_BLOCK)
    return out


def soft_cover_backward(
    grad: Tensor, vertices: Tensor, faces: Tensor, sigma: float, cut: float, near: float
) -> Tensor:
    (b, v, _), f = vertices.shape, len(faces)
    out = torch.zeros_like(vertices)
    if b * f == 0:
        return out
    pull = vertices.new_empty(b, f, 3, 2)
    given = vertices.contiguous(), faces.contiguous(), vertices.new_tensor([sigma, cut, near])
    _corners_backward[(b * f,)](grad.contiguous(), *given, pull, v, f, *grad.shape[1:], BLOCK=_BLOCK)
    # With `accumulate` CUDA sorts what goes to one vertex: the same sum every time.
    mesh = torch.arange(b, device=faces.device)[:, None, None]
    return out.index_put_((mesh, faces), torch.nn.functional.pad(pull, (0, 1)), accumulate=True)

"""Exact farthest point sampling: one program per cloud, one pass over the distances per sample."""

# Pyright reads a kernel as the Python function it looks like.
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024


@triton.jit(do_not_specialize=["start"])
def _sample(points, distance, index, n, k, samples, start, BLOCK: tl.constexpr):
    cloud = tl.program_id(0).to(tl.int64)
    x = points + cloud * 3 * n
    y = x + n
    z = y + n
    distance += cloud * n
    index += cloud * k
    lanes = tl.arange(0, BLOCK)
    current = start
    for j in range(samples):
        tl.store(index + j, current.to(tl.int64))
        a = tl.load(x + current)
        b = tl.load(y + current)
        c = tl.load(z + current)
        best = tl.full([BLOCK], -2, distance.dtype.element_ty)
        where = lanes
        for first in range(0, n, BLOCK):
            p = first + lanes
            inside = p < n
            u = tl.load(x + p, mask=inside, other=0) - a
            v = tl.load(y + p, mask=inside, other=0) - b
            w = tl.load(z + p, mask=inside, other=0) - c
            d = tl.minimum(tl.load(distance + p, mask=inside, other=-2), u * u + v * v + w * w)
            # Below every distance: a chosen point is never chosen again, not even among duplicates.
            d = tl.where(p == current, -1, d)
            tl.store(distance + p, d, mask=inside)
            # Strictly larger: the earlier point of a lane stays.
            where = tl.where(d > best, p, where)
            best = tl.maximum(best, d)
        current = tl.min(tl.where(best == tl.max(best, 0), where, n), 0)


def farthest_points(points: Tensor, k: int, start: int) -> Tensor:
    b, n, _ = points.shape
    index = points.new_full((b, k), -1, dtype=torch.int64)
    if b * n * k == 0:
        return index
    distance = points.new_full((b, n), torch.inf)
    columns = points.transpose(1, 2).contiguous()
    # Without fusion the distances are the reference's, bit for bit, and so are ties.
    launch = {"BLOCK": _BLOCK, "num_warps": 8, "enable_fp_fusion": False}
    _sample[(b,)](columns, distance, index, n, k, min(k, n), start, **launch)
    return index

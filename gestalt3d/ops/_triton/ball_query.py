"""The first k points in index order inside each ball: one program per centre, which stops then."""

# Pyright reads a kernel as the Python function it looks like.
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 256


@triton.jit
def _first_inside(centers, points, radius2, index, m, n, k, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    x = points + row // m * 3 * n
    y = x + n
    z = y + n
    a = tl.load(centers + 3 * row)
    b = tl.load(centers + 3 * row + 1)
    c = tl.load(centers + 3 * row + 2)
    limit = tl.load(radius2)
    found = 0
    first = 0
    while (first < n) & (found < k):
        p = first + tl.arange(0, BLOCK)
        u = tl.load(x + p, mask=p < n, other=0) - a
        v = tl.load(y + p, mask=p < n, other=0) - b
        w = tl.load(z + p, mask=p < n, other=0) - c
        inside = ((u * u + v * v + w * w < limit) & (p < n)).to(tl.int32)
        place = found + tl.cumsum(inside, 0) - 1
        tl.store(index + row * k + place, p.to(tl.int64), mask=(inside > 0) & (place < k))
        found += tl.sum(inside, 0)
        first += BLOCK


def ball_query(centers: Tensor, points: Tensor, radius: float, k: int) -> Tensor:
    b, m, _ = centers.shape
    n = points.shape[1]
    index = centers.new_full((b, m, k), -1, dtype=torch.int64)
    if b * m * n * k == 0:
        return index
    radius2 = centers.new_full((1,), radius * radius)
    columns = points.transpose(1, 2).contiguous()
    # Without fusion the distances are the reference's, bit for bit, also on the surface of the ball.
    launch = {"BLOCK": _BLOCK, "num_warps": 4, "enable_fp_fusion": False}
    _first_inside[(b * m,)](centers.contiguous(), columns, radius2, index, m, n, k, **launch)
    return index

"""Points around centres: the grouping layer of PointNet++."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator
from gestalt3d.ops.shapes import check_clouds

_PAIRS_AT_ONCE = 2**24


def ball_query_reference(
    centers: Float[Tensor, "b m 3"], points: Float[Tensor, "b n 3"], radius: float, k: int
) -> Int[Tensor, "b m k"]:
    """The definition, in plain PyTorch: all distances, as many rows at a time as memory should hold."""
    n = points.shape[1]
    x, y, z = (a[:, None] for a in points.unbind(-1))
    radius2 = torch.tensor(radius * radius, dtype=points.dtype, device=points.device)
    number = torch.arange(n, device=points.device)
    found = []
    for c in centers.split(max(1, _PAIRS_AT_ONCE // max(1, points.shape[0] * n)), dim=1):
        dx, dy, dz = x - c[..., :1], y - c[..., 1:2], z - c[..., 2:]
        inside = dx * dx + dy * dy + dz * dz < radius2
        index = torch.where(inside, number, n).topk(min(k, n), largest=False, sorted=True).values
        found.append(torch.nn.functional.pad(index, (0, max(0, k - n)), value=n))
    index = torch.cat(found, dim=1)
    return index.masked_fill_(index == n, -1)


_op = Operator(
    "gestalt3d::ball_query",
    ball_query_reference,
    schema="(Tensor centers, Tensor points, float radius, int k) -> Tensor",
)


@_op.register_kernel("cpu")
def _cpu(centers: Tensor, points: Tensor, radius: float, k: int) -> Tensor:
    from gestalt3d.ops._numba.ball_query import ball_query as kernel

    return kernel(centers, points, radius, k)


@_op.register_kernel("cuda")
def _cuda(centers: Tensor, points: Tensor, radius: float, k: int) -> Tensor:
    try:
        from gestalt3d.ops._triton.ball_query import ball_query as kernel
    except ImportError:  # Triton exists on Linux only.
        return ball_query_reference(centers, points, radius, k)
    return kernel(centers, points, radius, k)


@_op.register_fake
def _fake(centers: Tensor, points: Tensor, radius: float, k: int) -> Tensor:
    return centers.new_empty((*centers.shape[:2], k), dtype=torch.int64)


def ball_query(
    centers: Float[Tensor, "b m 3"], points: Float[Tensor, "b n 3"], *, radius: float, k: int
) -> Int[Tensor, "b m k"]:
    """The first `k` points, in index order, that lie closer to a centre than `radius`, in the points' unit.

    Exact: dist2 < radius², where dist2 = dx² + dy² + dz² in the wider precision of the two (half precision:
    float32) and radius² is rounded to it. Padded with -1.
    """
    check_clouds(centers=centers, points=points)
    if k < 0:
        raise ValueError(f"k must not be negative, got {k}")
    if not (math.isfinite(radius) and radius >= 0):
        raise ValueError(f"radius must be a length, got {radius}")
    dtype = torch.promote_types(torch.promote_types(centers.dtype, points.dtype), torch.float32)
    return _op(centers.detach().to(dtype), points.detach().to(dtype), float(radius), k)

"""Farthest point sampling: an even subset of a cloud (Eldar et al. 1997), as PointNet++ samples."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator
from gestalt3d.ops.shapes import check_clouds


def farthest_points_reference(points: Float[Tensor, "b n 3"], k: int, start: int = 0) -> Int[Tensor, "b k"]:
    """The definition, in plain PyTorch: k passes over the cloud."""
    b, n, _ = points.shape
    index = points.new_full((b, k), -1, dtype=torch.int64)
    if n == 0 or k == 0:
        return index
    x, y, z = points.unbind(-1)
    rows = torch.arange(b, device=points.device)
    dist2 = torch.full_like(x, torch.inf)
    chosen = torch.full_like(rows, start)
    for j in range(min(k, n)):
        index[:, j] = chosen
        dx, dy, dz = (a - a[rows, chosen, None] for a in (x, y, z))
        dist2 = torch.minimum(dist2, dx * dx + dy * dy + dz * dz)
        dist2[rows, chosen] = -1
        # argmax may return any of several largest values.
        chosen = (dist2 == dist2.amax(1, keepdim=True)).int().argmax(1)
    return index


_op = Operator(
    "gestalt3d::farthest_points",
    farthest_points_reference,
    schema="(Tensor points, int k, int start) -> Tensor",
)


@_op.register_kernel("cpu")
def _cpu(points: Tensor, k: int, start: int) -> Tensor:
    from gestalt3d.ops._numba.farthest_points import farthest_points as kernel

    return kernel(points, k, start)


@_op.register_kernel("cuda")
def _cuda(points: Tensor, k: int, start: int) -> Tensor:
    try:
        from gestalt3d.ops._triton.farthest_points import farthest_points as kernel
    except ImportError:  # Triton exists on Linux only.
        return farthest_points_reference(points, k, start)
    return kernel(points, k, start)


@_op.register_fake
def _fake(points: Tensor, k: int, start: int) -> Tensor:
    return points.new_empty((points.shape[0], k), dtype=torch.int64)


def farthest_points(points: Float[Tensor, "b n 3"], k: int, *, start: int = 0) -> Int[Tensor, "b k"]:
    """Choose `k` points, each the one farthest from all chosen before it, beginning with number `start`.

    Exact. Equal distances: lowest index wins; a chosen point is never chosen again, so duplicates have their
    turn. Padded with -1 when n < k. Distances are dx² + dy² + dz² in the precision of `points` (half
    precision: float32).
    """
    check_clouds(points=points)
    if k < 0:
        raise ValueError(f"k must not be negative, got {k}")
    if not 0 <= start < max(1, points.shape[1]):
        raise ValueError(f"start must be the index of one of {points.shape[1]} points, got {start}")
    if points.dtype not in (torch.float32, torch.float64):
        points = points.float()
    return _op(points.detach(), k, start)

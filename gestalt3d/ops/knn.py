"""Nearest neighbours of points in a cloud."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator
from gestalt3d.ops.shapes import check_clouds

_PAIRS_AT_ONCE = 2**24
_QUERIES_AT_ONCE = 2**19


class Neighbours(NamedTuple):
    """`index[b, m, j] = i` means `points[b, i]` is j-th nearest to `queries[b, m]`; (inf, -1) pads."""

    dist2: Float[Tensor, "b m k"]
    """Squared distance, ascending."""
    index: Int[Tensor, "b m k"]


def smallest(distance: Float[Tensor, "b m n"], k: int) -> tuple[Float[Tensor, "b m k"], Int[Tensor, "b m k"]]:
    """The k smallest of each row, ascending, lowest index on ties (`topk` promises none), (inf, -1) pads."""
    n = distance.shape[2]
    values, index = torch.sort(distance, dim=2, stable=True)
    pad = (0, max(0, k - n))
    values = torch.nn.functional.pad(values[..., :k], pad, value=torch.inf)
    return values, torch.nn.functional.pad(index[..., :k], pad, value=-1)


def knn_reference(
    queries: Float[Tensor, "b m 3"], points: Float[Tensor, "b n 3"], k: int
) -> tuple[Float[Tensor, "b m k"], Int[Tensor, "b m k"]]:
    """The definition, in plain PyTorch: all distances, as many rows at a time as memory should hold."""
    x, y, z = (a[:, None] for a in points.unbind(-1))
    rows = max(1, _PAIRS_AT_ONCE // max(1, points.shape[0] * points.shape[1]))
    found = []
    for q in queries.split(rows, dim=1):
        dx, dy, dz = x - q[..., :1], y - q[..., 1:2], z - q[..., 2:]
        found.append(smallest(dx * dx + dy * dy + dz * dz, k))
    dist2, index = (torch.cat(parts, dim=1) for parts in zip(*found, strict=True))
    return dist2, index


_op = Operator(
    "gestalt3d::knn",
    knn_reference,
    schema="(Tensor queries, Tensor points, int k) -> (Tensor, Tensor)",
)


@_op.register_kernel("cpu")
def _cpu(queries: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    from gestalt3d.ops._numba.knn import knn as kernel

    return kernel(queries, points, k)


@_op.register_fake
def _fake(queries: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    shape = (*queries.shape[:2], k)
    return queries.new_empty(shape), queries.new_empty(shape, dtype=torch.int64)


def knn(queries: Float[Tensor, "b m 3"], points: Float[Tensor, "b n 3"], *, k: int) -> Neighbours:
    """The `k` points nearest to each query, nearest first; a query that is one of the points finds itself.

    Exact. Equal distances: lowest index wins. Padded with (inf, -1) when n < k. Distances are dx² + dy² + dz²
    in the wider precision of the two (half precision: float32) and carry no gradient.
    """
    check_clouds(queries=queries, points=points)
    if k < 0:
        raise ValueError(f"k must not be negative, got {k}")
    dtype = torch.promote_types(torch.promote_types(queries.dtype, points.dtype), torch.float32)
    return Neighbours(*_op(queries.detach().to(dtype), points.detach().to(dtype), k))


def knn_among(points: Float[Tensor, "b n 3"], *, k: int, reach: float = math.inf) -> Int[Tensor, "b n k"]:
    """`knn(points, points, k=k).index` in 32 bits, -1 also for what is farther than `reach`; distances are not kept.

    Of large clouds some points' neighbours are sought at a time, so that they take no more room than the answer.
    """
    index = torch.empty(*points.shape[:2], k, dtype=torch.int32, device=points.device)
    step = max(_QUERIES_AT_ONCE, -(-points.shape[1] // 4))  # every step builds the tree anew
    for first in range(0, points.shape[1], step):
        some = slice(first, first + step)
        found = knn(points[:, some], points, k=k)
        index[:, some] = found.index.masked_fill_(found.dist2 > reach**2, -1)
    return index

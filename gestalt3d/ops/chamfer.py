"""Chamfer distance between sets of points (Fan et al., "A Point Set Generation Network", CVPR 2017)."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.knn import knn_reference
from gestalt3d.ops.operator import Operator
from gestalt3d.ops.shapes import check_clouds

_PAIRS = 2**22
"""Larger sets are searched by trees."""


class NearestBothWays(NamedTuple):
    """`index_a[b, i] = j` means `points_b[b, j]` is the nearest to `points_a[b, i]`."""

    dist2_a: Float[Tensor, "b n"]
    """Squared distance of each point of a to its nearest in b."""
    index_a: Int[Tensor, "b n"]
    dist2_b: Float[Tensor, "b m"]
    index_b: Int[Tensor, "b m"]


def nearest_reference(a: Float[Tensor, "b n 3"], b: Float[Tensor, "b m 3"]) -> tuple[Tensor, Tensor]:
    """The definition, in plain PyTorch: for each point of one set the first of the nearest in the other."""
    return knn_reference(a, b, 1)[1][..., 0], knn_reference(b, a, 1)[1][..., 0]


_op = Operator(
    "gestalt3d::nearest_both_ways", nearest_reference, schema="(Tensor a, Tensor b) -> (Tensor, Tensor)"
)


@_op.register_kernel("cpu")
def _cpu(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if a.shape[1] * b.shape[1] > _PAIRS:
        from gestalt3d.ops._numba.knn import knn as by_tree

        return by_tree(a, b, 1)[1][..., 0].contiguous(), by_tree(b, a, 1)[1][..., 0].contiguous()
    from gestalt3d.ops._numba.chamfer import nearest_both_ways as kernel

    return kernel(a, b)


@_op.register_fake
def _fake(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return a.new_empty(a.shape[:2], dtype=torch.int64), b.new_empty(b.shape[:2], dtype=torch.int64)


def nearest_both_ways(a: Float[Tensor, "b n 3"], b: Float[Tensor, "b m 3"]) -> NearestBothWays:
    """The nearest point of the other set for every point of each of two sets; `ValueError` where one has no points.

    Exact. Equal distances: lowest index wins. Squared distances are dx² + dy² + dz² in the wider precision of the two (half
    precision: float32), never below 0, and carry gradients to both points, which are 0 where the two coincide. A coordinate that
    is NaN makes the distance of its own point NaN.
    """
    check_clouds(a=a, b=b)
    if a.shape[1] == 0 or b.shape[1] == 0:
        raise ValueError(f"both sets need a point, got {a.shape[1]} and {b.shape[1]}")
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    a, b = a.to(dtype), b.to(dtype)
    index_a, index_b = _op(a.detach(), b.detach())
    return NearestBothWays(_dist2(a, b, index_a), index_a, _dist2(b, a, index_b), index_b)


def chamfer_distance(a: Float[Tensor, "b n 3"], b: Float[Tensor, "b m 3"]) -> Float[Tensor, "b"]:
    """Mean squared distance from a to the nearest of b plus that from b to the nearest of a, of every pair of sets.

    As `nearest_both_ways`; sets may have different numbers of points.
    """
    found = nearest_both_ways(a, b)
    return found.dist2_a.mean(1) + found.dist2_b.mean(1)


def _dist2(from_: Float[Tensor, "b n 3"], to: Float[Tensor, "b m 3"], index: Int[Tensor, "b n"]) -> Tensor:
    nearest = to.gather(1, index[..., None].expand(-1, -1, 3))
    dx, dy, dz = (from_ - nearest).unbind(-1)
    return dx * dx + dy * dy + dz * dz

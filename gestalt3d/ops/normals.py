"""Surface normals: the direction in which a point's neighbourhood is thinnest."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.knn import knn_among
from gestalt3d.ops.operator import Operator
from gestalt3d.ops.shapes import check_clouds

FLAT = 1e-6
"""A neighbourhood whose second extent is below this share of the first (squared) is a line: it has no normal."""


def normals_of_neighbours_reference(points: Float[Tensor, "b n 3"], index: Tensor) -> Float[Tensor, "b n 3"]:
    """The definition, in plain PyTorch: the eigenvector of the smallest eigenvalue of the neighbours' covariance."""
    b, n, k = index.shape
    if n == 0 or k == 0:
        return torch.zeros_like(points)
    rows = torch.arange(b, device=points.device)[:, None, None]
    there = (index >= 0)[..., None]
    offset = (points[rows, index.clamp(min=0)] - points[:, :, None]).double() * there
    mean = offset.sum(2, keepdim=True) / there.sum(2, keepdim=True).clamp(min=1)
    centred = (offset - mean) * there
    values, vectors = torch.linalg.eigh(centred.mT @ centred)
    normal = vectors[..., 0]
    return (_upward(normal) * (values[..., 1:2] > FLAT * values[..., 2:])).to(points.dtype)


def _upward(normal: Tensor) -> Tensor:
    """The sign that makes the last coordinate that is not zero positive."""
    x, y, z = normal.unbind(-1)
    down = (z < 0) | ((z == 0) & ((y < 0) | ((y == 0) & (x < 0))))
    return torch.where(down[..., None], -normal, normal)


_normals = Operator(
    "gestalt3d::normals_of_neighbours",
    normals_of_neighbours_reference,
    schema="(Tensor points, Tensor index) -> Tensor",
)


@_normals.register_kernel("cpu")
def _normals_cpu(points: Tensor, index: Tensor) -> Tensor:
    from gestalt3d.ops._numba.normals import normals as kernel

    return kernel(points, index)


@_normals.register_fake
def _normals_fake(points: Tensor, index: Tensor) -> Tensor:
    return torch.empty_like(points)


def normals_of_neighbours(
    points: Float[Tensor, "b n 3"], index: Int[Tensor, "b n k"]
) -> Float[Tensor, "b n 3"]:
    """Unit normal of the plane through the points that each row of `index` names, -1 for none; turned to z >= 0.

    Zero where they lie on a line or in one place. No gradient. Computed in float64 from offsets to the row's own point.
    """
    check_clouds(points=points)
    if index.ndim != 3 or index.is_floating_point() or index.shape[:2] != points.shape[:2]:
        raise ValueError(
            f"index must be whole numbers, a row for every point: {tuple(points.shape[:2])} and k, "
            f"got {index.dtype} {tuple(index.shape)}"
        )
    return _normals(points.detach(), index)


def surface_normals(points: Float[Tensor, "b n 3"], *, k: int = 16) -> Float[Tensor, "b n 3"]:
    """`normals_of_neighbours` of each point's `k` nearest, itself included.

    The distance from the origin does not matter beyond the points' own precision.
    """
    if k < 3:
        raise ValueError(f"k must be at least 3 for a plane, got {k}")
    return normals_of_neighbours(points, knn_among(points, k=k))

"""Losses of shapes learnt from outlines: overlap of silhouettes, and what keeps a mesh smooth.

The overlap is A3D's Eq. 1. A3D's text names no regulariser; those here are of Soft Rasterizer (Liu et al., ICCV 2019), on which
it builds, and of Pixel2Mesh (Wang et al., ECCV 2018). All are computed in float32 at least.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from gestalt3d.ops.mesh_edges import MeshEdges
from gestalt3d.ops.shapes import wide

_EPS = 1e-6
"""Added to the union, in pixels, as Soft Rasterizer's code does."""


def soft_iou(predicted: Float[Tensor, "*i h w"], target: Float[Tensor, "*i h w"]) -> Float[Tensor, "*i"]:
    """Σ p g / (Σ (p + g - p g) + 1e-6) of two masks in [0, 1], over the pixels of each image.

    Intersection over union where masks are binary; 0 where both are empty.
    """
    if predicted.shape != target.shape or predicted.ndim < 2:
        raise ValueError(
            f"masks must have the same shape (…, h, w), got {tuple(predicted.shape)} and {tuple(target.shape)}"
        )
    p, g = wide(predicted), wide(target)
    shared = (p * g).sum((-2, -1))
    return shared / (p.sum((-2, -1)) + g.sum((-2, -1)) - shared + _EPS)


def silhouette_loss(predicted: Float[Tensor, "b h w"], target: Float[Tensor, "b h w"]) -> Float[Tensor, ""]:
    """A3D Eq. 1: the mean over images of 1 - IoU, which is `soft_iou`; zero where there are no images."""
    return (1 - soft_iou(predicted, target)).sum() / max(len(predicted), 1)  # Eq. 1


def laplacian_loss(vertices: Float[Tensor, "b v 3"], edges: MeshEdges) -> Float[Tensor, ""]:
    """Soft Rasterizer's uniform Laplacian: squared distance of each vertex from the mean of its neighbours, summed over a mesh.

    The mean over meshes, in squared units of length. A vertex without an edge takes no part.
    """
    vertices = wide(vertices)
    a, b = edges.ends.unbind(1)
    total = torch.zeros_like(vertices).index_add(1, a, vertices.index_select(1, b))
    total = total.index_add(1, b, vertices.index_select(1, a))
    count = torch.bincount(edges.ends.flatten(), minlength=vertices.shape[1])[:, None]
    apart = torch.where(count > 0, vertices - total / count.clamp(min=1), 0)
    return apart.square().sum() / max(len(vertices), 1)


def edge_length_loss(
    vertices: Float[Tensor, "b v 3"], edges: MeshEdges, *, length: float = 0.0
) -> Float[Tensor, ""]:
    """Mean over edges, then over meshes, of the squared difference of an edge's length from `length`; zero without edges.

    With 0 the regulariser of Pixel2Mesh, divided by the number of edges.
    """
    a, b = (wide(vertices).index_select(1, end) for end in edges.ends.unbind(1))
    # torch's norm has a gradient of 0 where an edge has no length.
    apart = torch.linalg.vector_norm(a - b, dim=-1) - length
    return apart.square().sum() / max(apart.numel(), 1)


def flatten_loss(vertices: Float[Tensor, "b v 3"], edges: MeshEdges) -> Float[Tensor, ""]:
    """Soft Rasterizer's flatness: Σ (cos θ + 1)² over edges, θ the angle between the two triangles; the mean over meshes.

    θ is measured from one triangle to the other about their edge, π where they continue each other, whichever way round they
    run: 0 on a plane, 4 for a triangle folded onto its neighbour. An edge of any other number of triangles takes no part, nor
    does one whose triangles have no area.
    """
    inner = edges.opposite[:, 0] >= 0
    vertices = wide(vertices)
    (a, b), (c, d) = edges.ends[inner].unbind(1), edges.opposite[inner].unbind(1)
    a, b, c, d = (vertices.index_select(1, corner) for corner in (a, b, c, d))
    first, second = _from_line(c, a, b), _from_line(d, a, b)
    product = torch.linalg.vector_norm(first, dim=-1) * torch.linalg.vector_norm(second, dim=-1)
    some = product > 0
    cosine = (first * second).sum(-1) / torch.where(some, product, 1)
    return torch.where(some, (cosine + 1).square(), 0).sum() / max(len(vertices), 1)


def _from_line(points: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The part of a - `points` that is at right angles to a line through a and b."""
    along, to = b - a, points - a
    length2 = along.square().sum(-1, keepdim=True)
    return to - along * ((to * along).sum(-1, keepdim=True) / torch.where(length2 > 0, length2, 1))

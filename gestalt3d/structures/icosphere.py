"""The sphere that shapes are made from."""

import torch

from gestalt3d.structures.mesh import Mesh

_MOST = 8
"""Levels; 1.3 million faces."""


def icosphere(levels: int = 3, *, radius: float = 1.0) -> Mesh:
    """A sphere about the origin: an icosahedron, each face cut into four `levels` times; outward faces, float32.

    10 · 4^levels + 2 vertices and 20 · 4^levels faces: 642 and 1,280 at level 3, the template of A3D. Vertices of a level are the
    first of the next.
    """
    if not 0 <= levels <= _MOST or not radius > 0:
        raise ValueError(f"levels must be 0 to {_MOST} and radius positive, got {levels} and {radius}")
    golden = (1 + 5**0.5) / 2
    # Three golden rectangles, each in a plane of two axes.
    flat = torch.tensor([[-1, golden], [1, golden], [-1, -golden], [1, -golden]], dtype=torch.float64)
    none = torch.zeros(4, dtype=torch.float64)
    vertices = torch.cat(
        [torch.stack([flat[:, 0], flat[:, 1], none], dim=1).roll(turn, 1) for turn in range(3)]
    )
    vertices = vertices / vertices.norm(dim=1, keepdim=True)
    faces = _outward(vertices)
    for _ in range(levels):
        vertices, faces = _cut(vertices, faces)
    return Mesh((radius * vertices).float(), faces)


def _outward(vertices: torch.Tensor) -> torch.Tensor:
    """Of the icosahedron: all triples at the shortest distance from each other, counter-clockwise from outside."""
    apart = torch.cdist(vertices, vertices)
    near = (apart > 0) & (apart < 1.1)
    i, j, k = (near[:, :, None] & near[:, None] & near[None]).nonzero().T
    volume = (vertices[i] * torch.linalg.cross(vertices[j], vertices[k])).sum(1)
    # Each triple in its six orders: one begins with the lowest number and runs the right way.
    return torch.stack([i, j, k], dim=1)[(i < j) & (i < k) & (volume > 0)]


def _cut(vertices: torch.Tensor, faces: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each face into four by the middles of its edges, which lie on the sphere."""
    sides = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).sort(dim=1).values
    ends, number = sides.unique(dim=0, return_inverse=True)
    middles = vertices[ends].mean(1)
    ab, bc, ca = (number + len(vertices)).chunk(3)
    a, b, c = faces.unbind(1)
    cut = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return torch.cat([vertices, middles / middles.norm(dim=1, keepdim=True)]), torch.stack(
        [torch.stack(corners, dim=1) for corners in cut], dim=1
    ).flatten(0, 1)

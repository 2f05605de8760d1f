"""Edges of a mesh of triangles."""

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor


class MeshEdges(NamedTuple):
    ends: Int[Tensor, "e 2"]
    """Both vertices of each edge, the lower one first; edges in ascending order, each once."""
    opposite: Int[Tensor, "e 2"]
    """The third vertices of its two triangles, the earlier one first; -1 for edges of any other number of triangles."""


def mesh_edges(faces: Int[Tensor, "f 3"]) -> MeshEdges:
    """Every side of a triangle once, and what lies on both sides of it; a triangle that names a vertex twice takes no part."""
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"faces must be (f, 3), got {tuple(faces.shape)}")
    a, b, c = faces[_whole(faces)].long().unbind(1)
    sides = torch.stack([torch.cat([a, b, c]), torch.cat([b, c, a])], dim=1).sort(dim=1).values
    third = torch.cat([c, a, b])
    ends, edge, count = sides.unique(dim=0, return_inverse=True, return_counts=True)
    # By edge, and within an edge by triangle.
    face = torch.arange(len(a), device=faces.device).repeat(3)
    order = (edge * max(len(a), 1) + face).argsort()
    first = count.cumsum(0) - count
    pair = third[order][torch.stack([first, (first + 1).clamp(max=max(len(order) - 1, 0))], dim=1)]
    return MeshEdges(ends, torch.where((count == 2)[:, None], pair, -1))


def _whole(faces: Tensor) -> Tensor:
    a, b, c = faces.unbind(1)
    return (a != b) & (b != c) & (c != a)

"""The closed surface around occupied voxels: triangles between the middles of neighbours, then made smooth.

Where eight voxels meet, a cell of their middles is cut by marching cubes. The surface runs between an occupied and an empty
middle, half-way. On a face of a cell whose occupied middles lie across from each other they are kept apart, by both cells alike,
and no triangle has a further edge in a face: so every edge has two triangles, and around every vertex they form one disc,
whatever the voxels are.
"""

from functools import cache
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int
from torch import Tensor

_SHRINK, _SWELL = 0.5, -0.53
"""Taubin's two steps: towards the mean of the neighbours and, a little more, away from it, so that things keep their size."""
_FARTHEST = 0.25
"""Voxels along an axis. With more, bars of one voxel would become threads."""
_CORNERS = [(k & 1, k >> 1 & 1, k >> 2 & 1) for k in range(8)]
_EDGES = [(a, b) for a in range(8) for b in range(a + 1, 8) if (a ^ b) in (1, 2, 4)]
# Counter-clockwise, seen from outside the cell.
_FACES = [(0, 4, 6, 2), (1, 3, 7, 5), (0, 1, 5, 4), (2, 6, 7, 3), (0, 2, 3, 1), (4, 5, 7, 6)]
_EDGES_OF_FACES = [
    [_EDGES.index((min(a, b), max(a, b))) for a, b in pairwise((*face, face[0]))] for face in _FACES
]


class Surface(NamedTuple):
    """Triangles, counter-clockwise seen from the empty side."""

    vertices: Float64[Tensor, "v 3"]
    """In voxels: voxel (0, 0, 0) reaches from 0 to 1."""
    faces: Int[Tensor, "f 3"]


def voxel_surface(coordinates: Int[Tensor, "n 3"], *, smooth: int = 10) -> Surface:
    """The surface of the occupied voxels, of which none may be named twice; `n = 0` is allowed.

    It is closed and an orientable manifold. `smooth` rounds take the steps off slanted surfaces; 0 leaves every vertex half-way
    between two voxels. No vertex moves by more than a quarter of a voxel along an axis, so that thin things stay.
    """
    if coordinates.ndim != 2 or coordinates.shape[1] != 3 or coordinates.is_floating_point():
        raise ValueError(
            f"coordinates must be integers (n, 3), got {coordinates.dtype} {tuple(coordinates.shape)}"
        )
    if smooth < 0:
        raise ValueError(f"smooth must be 0 or more, got {smooth}")
    if len(coordinates) == 0:
        return Surface(torch.zeros(0, 3, dtype=torch.float64), torch.zeros(0, 3, dtype=torch.int64))
    low = coordinates.amin(0).long().cpu()
    # One empty layer below and one above, so that a key's neighbours are no others.
    own = coordinates.long().cpu() - low + 1
    size = own.amax(0) + 2
    if float(size.double().prod()) >= 2.0**61:
        raise ValueError(f"coordinates must span fewer than 2^61 voxels, got {size.tolist()}")
    step = torch.stack([size[1] * size[2], size[2], size.new_ones(())])
    keys = (own @ step).sort().values
    if bool((keys.diff() == 0).any()):
        raise ValueError("coordinates must name each voxel once; call unique(dim=0) first")
    corners = torch.tensor(_CORNERS) @ step
    cells = torch.unique((keys[:, None] - corners).flatten())
    edges = _triangle_edges(cells, keys, corners)
    found, vertex = torch.unique(edges, return_inverse=True)
    faces = vertex.reshape(-1, 3)
    place, axis = found // 3, found % 3
    at = torch.stack([place // step[0], place // step[1] % size[1], place % size[2]], dim=1).double() + 0.5
    at[torch.arange(len(at)), axis] += 0.5
    return Surface(_smoothed(at, faces, smooth) + (low - 1), faces)


def _triangle_edges(
    cells: Int[Tensor, "m"], keys: Int[Tensor, "n"], corners: Int[Tensor, "8"]
) -> Int[Tensor, "k"]:
    """The grid's edge under each corner of each triangle: the key of its lower end times 3, plus its axis."""
    near = cells[:, None] + corners
    occupied = keys[torch.searchsorted(keys, near).clamp(max=len(keys) - 1)] == near
    case = (occupied.long() << torch.arange(8)).sum(1)
    table, first = _cases()
    counts = first[case + 1] - first[case]
    cell = cells.repeat_interleave(counts)
    row = torch.arange(len(cell)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    lower = torch.tensor([a for a, _ in _EDGES])
    axis = torch.tensor([(a ^ b).bit_length() - 1 for a, b in _EDGES])
    edge = table[first[case].repeat_interleave(counts) + row]
    return ((cell[:, None] + corners[lower[edge]]) * 3 + axis[edge]).flatten()


def _smoothed(
    vertices: Float64[Tensor, "v 3"], faces: Int[Tensor, "f 3"], rounds: int
) -> Float64[Tensor, "v 3"]:
    a, b = faces.flatten(), faces.roll(-1, dims=1).flatten()  # of a closed surface: every edge once each way
    count = torch.bincount(a, minlength=len(vertices)).double()[:, None]
    moved = vertices
    for share in (_SHRINK, _SWELL) * rounds:
        mean = torch.zeros_like(moved).index_add_(0, a, moved[b]) / count
        moved = moved + share * (mean - moved)
    return vertices + (moved - vertices).clamp(-_FARTHEST, _FARTHEST)


@cache
def _cases() -> tuple[Int[Tensor, "t 3"], Int[Tensor, "257"]]:
    """Triangles of all 256 cells as positions in `_EDGES`, and where those of each begin; bit `k` is corner `k`."""
    every = [_triangles_of(case) for case in range(256)]
    first = torch.tensor([0, *map(len, every)]).cumsum(0)
    return torch.tensor([triangle for own in every for triangle in own]), first


def _triangles_of(case: int) -> list[tuple[int, int, int]]:
    onward: dict[int, int] = {}
    for face, edge in zip(_FACES, _EDGES_OF_FACES, strict=True):
        is_in = [bool(case >> corner & 1) for corner in face]
        for k in range(4):
            if is_in[k] and not is_in[k - 1]:  # a run of occupied corners begins after edge k - 1
                end = next(j for j in range(k, k + 4) if not is_in[(j + 1) % 4])
                onward[edge[k - 1]] = edge[end % 4]
    triangles: list[tuple[int, int, int]] = []
    while onward:
        loop = [next(iter(onward))]
        while (after := onward.pop(loop[-1])) != loop[0]:
            loop.append(after)
        cut = _cut(tuple(loop))
        assert cut is not None, "every loop of a cell has such triangles"
        triangles += cut
    return triangles


def _cut(loop: tuple[int, ...]) -> list[tuple[int, int, int]] | None:
    """Triangles of a loop whose inner edges lie in no face of the cell; None where there are none."""
    if len(loop) == 3:
        return [(loop[0], loop[1], loop[2])]
    for k in range(len(loop)):
        ear = (loop[k - 1], loop[k], loop[(k + 1) % len(loop)])
        if not _share_a_face(ear[0], ear[2]) and (rest := _cut(loop[:k] + loop[k + 1 :])) is not None:
            return [ear, *rest]
    return None


@cache
def _share_a_face(one: int, other: int) -> bool:
    return any({*_EDGES[one], *_EDGES[other]} <= {*face} for face in _FACES)

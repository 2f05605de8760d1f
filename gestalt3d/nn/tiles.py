"""A network of voxels on one part of the scene after the other, where the whole does not fit into memory.

A tile answers for its own voxels and sees all around them as far as the network does, so its answers are those of the
whole scene. Coordinates stay what they are: pooling has the same cells in every tile. Batch norm must use its running
statistics: those of a tile would be its own.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.memory import give_back
from gestalt3d.stages import counted

Network = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
WIDEST = 3
"""Halos that a part may span whatever it holds: of its halves each would see most of the other."""


class Tile(NamedTuple):
    own: Int[Tensor, "r"]
    """Rows that it answers for, ascending."""
    seen: Int[Tensor, "s"]
    """Rows that it sees, its own among them, ascending."""
    low: Int[Tensor, "3"]
    high: Int[Tensor, "3"]
    """Corners of what it sees, both inclusive."""
    size: int
    """What it costs: voxels seen or, in dense space, voxels of the box."""


def by_tiles(
    network: Network,
    coordinates: Int[Tensor, "v 3"],
    features: Float[Tensor, "v c"],
    *,
    halo: int,
    most: int,
    dense: bool = False,
) -> tuple[Tensor, ...]:
    """`network(coordinates, features)`, whose answers have a row per voxel, on tiles of at most `most` voxels.

    `halo` is the farthest voxel that an answer depends on: half the receptive field. `dense` networks compute the box
    around their voxels: it counts in place of the voxels, and reaches as far in a tile as in the scene. Tiles may be larger
    than `most` where cutting no longer pays, which is up to five halos in width.
    """
    cut = tiles(coordinates, halo=halo, most=most, dense=dense)
    if len(cut) <= 1:
        return tuple(network(coordinates, features))
    whole: tuple[Tensor, ...] = ()
    for tile in counted(cut):
        at, values = coordinates[tile.seen], features[tile.seen]
        parts = network(*(_held_open(at, values, tile) if dense else (at, values)))
        if not whole:
            whole = tuple(part.new_empty((len(coordinates), *part.shape[1:])) for part in parts)
        inside = torch.searchsorted(tile.seen, tile.own)
        for answers, part in zip(whole, parts, strict=True):
            answers[tile.own] = part[inside]
        give_back()
    return whole


def tiles(coordinates: Int[Tensor, "v 3"], *, halo: int, most: int, dense: bool = False) -> list[Tile]:
    """Every voxel in one tile: halves of halves, until they see at most `most` voxels or are at most `WIDEST` halos wide."""
    if len(coordinates) == 0:
        return []
    rows = torch.arange(len(coordinates), device=coordinates.device)
    scene = Tile(rows, rows, coordinates.amin(0), coordinates.amax(0), 0)
    pending, done = [_tile(coordinates, rows, scene, halo, dense)], []
    while pending:
        tile = pending.pop()
        halves = () if tile.size <= most else _halves(coordinates, tile, halo, dense)
        pending += reversed(halves)
        done += [] if halves else [tile]
    return done


def _tile(at: Tensor, own: Tensor, within: Tile, halo: int, dense: bool) -> Tile:
    """The tile that answers for the rows `own`, all of whose surroundings `within` sees."""
    low = torch.maximum(at[own].amin(0) - halo, within.low)
    high = torch.minimum(at[own].amax(0) + halo, within.high)
    near = at[within.seen]
    seen = within.seen[((near >= low) & (near <= high)).all(1)]
    size = int((high - low + 1).double().prod()) if dense else len(seen)
    return Tile(own, seen, low, high, size)


def _halves(at: Tensor, tile: Tile, halo: int, dense: bool) -> tuple[Tile, ...]:
    """The cut whose larger half is the smallest; none where the tile is narrow."""
    cuts = (
        tuple(_tile(at, tile.own[side], tile, halo, dense) for side in (below, ~below))
        for below in _cuts(at[tile.own], WIDEST * halo)
    )
    return min(cuts, key=lambda halves: max(half.size for half in halves), default=())


def _cuts(own: Tensor, widest: int) -> Iterator[Tensor]:
    """Voxels below the middle and below the median along each wide axis: strays far away leave one of them useful."""
    for values in own.unbind(1):
        low, high = int(values.min()), int(values.max())
        if high - low >= max(widest, 1):
            yield values <= low + (high - low) // 2
            yield values <= values.median().clamp(max=high - 1)


def _held_open(at: Tensor, values: Tensor, tile: Tile) -> tuple[Tensor, Tensor]:
    """With the corners of the box: a voxel of zeros is an empty one in dense space."""
    corners = torch.unique(torch.stack([tile.low, tile.high]), dim=0)
    empty = corners[~(corners[:, None] == at).all(2).any(1)]
    return torch.cat([at, empty]), torch.cat([values, values.new_zeros(len(empty), values.shape[1])])

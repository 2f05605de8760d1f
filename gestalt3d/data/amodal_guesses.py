"""Guesses at whole objects that need no network, which methods that complete objects have to beat; solids of generated points."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from gestalt3d.data.amodal_scoring import VOXEL_SIZE, box_voxels, lattice_voxels
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.view import View
from gestalt3d.structures.voxelgrid import VoxelGrid

_FLOOR = 0.01
"""Share of a view's points that may lie below what counts as its floor."""


def filled_boxes(_view: View, found: Instances) -> Instances:
    """The same objects, each all of its amodal box."""
    assert found.amodal_boxes is not None
    boxes = found.amodal_boxes.double().cpu().numpy()
    return replace(
        found, shapes=tuple(_on_lattice(torch.from_numpy(box_voxels(box, VOXEL_SIZE))) for box in boxes)
    )


def solid(_view: View, found: Instances) -> Instances:
    """The same objects; of shapes that are points the voxels between two that hold one, along each of the three axes, too.

    So points of a surface, as R-PointNet generates them, count for what is inside.
    """
    if found.shapes is None:
        return found
    shapes = tuple(_filled(shape) if isinstance(shape, PointCloud) else shape for shape in found.shapes)
    return replace(found, shapes=shapes)


def _filled(shape: PointCloud) -> VoxelGrid:
    places = torch.from_numpy(lattice_voxels(shape, voxel_size=VOXEL_SIZE))
    if len(places) == 0:
        return _on_lattice(places)
    low = places.amin(0)
    taken = torch.zeros((places.amax(0) - low + 1).tolist(), dtype=torch.bool)
    taken[tuple((places - low).unbind(1))] = True
    between = torch.ones_like(taken)
    for axis in range(3):
        before = taken.int().cummax(axis).values
        after = taken.int().flip(axis).cummax(axis).values.flip(axis)
        between &= (before & after).bool()
    return _on_lattice((taken | between).nonzero() + low)


def down_to_the_floor(view: View, found: Instances) -> Instances:
    """The same objects, each what lies from its visible points down to the floor, the view's lowest points but a few strays."""
    cloud = view.cloud()
    points = cloud.world_points.double()
    if len(points) == 0:
        return replace(
            found, shapes=tuple(_on_lattice(torch.zeros(0, 3, dtype=torch.int64)) for _ in range(len(found)))
        )
    floor = float(torch.quantile(points[:: max(1, len(points) // 100_000), 2], _FLOOR))
    row = torch.full((len(view),), -1)
    row[view.pixels()] = torch.arange(len(points))
    shapes = []
    for i in range(len(found)):
        own = row[found.elements_of(i)]
        shapes.append(_on_lattice(_columns((points[own[own >= 0]] / VOXEL_SIZE).floor().long(), floor)))
    return replace(found, shapes=tuple(shapes))


def _columns(places: Int[Tensor, "n 3"], floor: float) -> Int[Tensor, "m 3"]:
    """All voxels from the highest of each column down to the floor."""
    if len(places) == 0:
        return places
    lowest = int(np.floor(floor / VOXEL_SIZE))
    column, which = torch.unique(places[:, :2], dim=0, return_inverse=True)
    top = torch.full((len(column),), lowest).scatter_reduce(0, which, places[:, 2], "amax")
    counts = (top - lowest + 1).clamp(min=1)
    first = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    height = torch.arange(int(counts.sum())) - first + lowest
    return torch.cat([column.repeat_interleave(counts, dim=0), height[:, None]], dim=1)


def _on_lattice(places: Int[Tensor, "n 3"]) -> VoxelGrid:
    return VoxelGrid.from_lattice(places, VOXEL_SIZE)

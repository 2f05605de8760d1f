"""From boxes and masks of whole objects to instances of a view: visible pixels, amodal boxes, and shapes in voxels."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.methods.frames.objects import in_frame
from gestalt3d.ops.roi_align import points_in_boxes
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary
from gestalt3d.structures.voxelgrid import VoxelGrid

_MOST_VOXELS = 2**22
"""Of a box: larger ones, which no furniture has, are answered in larger voxels."""


class Detected(NamedTuple):
    """Objects, the surest first."""

    boxes: Float[Tensor, "r 7"]
    kind: Int[Tensor, "r"]
    score: Float[Tensor, "r"]


def boxes_as_instances(view: View, found: Detected, vocabulary: Vocabulary, method: str) -> Instances:
    """Of boxes in the frame of `view.cloud()` alone: all that is seen in them is theirs."""
    cloud, pixels = view.cloud(), view.pixels()
    inside = points_in_boxes(cloud.points, found.boxes)
    masks = Sets.from_sizes(inside.offsets.diff(), pixels[inside.indices], len(view))
    return _instances(found, masks, None, vocabulary, method)


def masks_as_instances(
    view: View,
    found: Detected,
    filled: Float[Tensor, "r m m m"],
    vocabulary: Vocabulary,
    method: str,
    *,
    voxel: float,
    threshold: float,
    visible_threshold: float,
) -> Instances:
    """Of boxes in the frame of `view.cloud()`, and how probably the object fills each part of them.

    A shape has the voxels above `threshold`. A pixel belongs to the mask where its point is in the box and the probability there,
    of the bin or a neighbouring one, is above `visible_threshold`: surfaces lie on the border of what is filled.
    """
    shapes = [_shape(box, own, voxel, threshold) for box, own in zip(found.boxes, filled, strict=True)]
    cloud, pixels = view.cloud(), view.pixels()
    inside = points_in_boxes(cloud.points, found.boxes)
    wide = F.max_pool3d(filled[:, None], 3, stride=1, padding=1)[:, 0]
    members: list[Tensor] = []
    for r, (box, own) in enumerate(zip(found.boxes, wide, strict=True)):
        rows = inside.indices[inside.offsets[r] : inside.offsets[r + 1]]
        near = probability_at(own, in_frame(cloud.points[rows], box)) > visible_threshold
        members.append(pixels[rows[near]])
    masks = Sets.of(members, len(view))
    return _instances(found, masks, tuple(shapes), vocabulary, method)


def _instances(
    found: Detected, masks: Sets, shapes: tuple[VoxelGrid, ...] | None, vocabulary: Vocabulary, method: str
) -> Instances:
    return Instances(
        masks=masks,
        classes=found.kind.long(),
        scores=found.score.float(),
        vocabulary=vocabulary,
        amodal_boxes=found.boxes.float(),
        shapes=shapes,
        method=method,
    )


def probability_at(filled: Float[Tensor, "m m m"], local: Float[Tensor, "n 3"]) -> Float[Tensor, "n"]:
    """Between the middles of bins, at places in the frame of a box; at its border that of the outermost bin."""
    if len(local) == 0:
        return filled.new_zeros(0)
    # The last coordinate of a grid belongs to the last axis.
    at = (local.flip(-1) * 2 - 1)[None, :, None, None].to(filled)
    found = F.grid_sample(filled[None, None], at, padding_mode="border", align_corners=False)
    return found[0, 0, :, 0, 0]


class _Lattice(NamedTuple):
    """Voxels of the world with a corner in its origin whose middles are in a box."""

    coordinates: Int[Tensor, "n 3"]
    local: Float[Tensor, "n 3"]
    """Their middles in the frame of the box."""
    edge: float


def _lattice(box: Float[Tensor, "7"], voxel: float) -> _Lattice:
    half = box[3:6] / 2
    cos, sin = box[6].cos().abs(), box[6].sin().abs()
    reach = torch.stack([cos * half[0] + sin * half[1], sin * half[0] + cos * half[1], half[2]])
    edge = voxel
    while float(((2 * reach / edge) + 2).double().prod()) > _MOST_VOXELS:
        edge *= 2
    first, last = ((box[:3] - reach) / edge).floor().long(), ((box[:3] + reach) / edge).floor().long()
    axes = [torch.arange(int(a), int(b) + 1) for a, b in zip(first, last, strict=True)]
    at = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, 2)
    local = in_frame((at + 0.5) * edge, box)
    inside = ((local >= 0) & (local <= 1)).all(1)
    return _Lattice(at[inside], local[inside], edge)


def _shape(
    box: Float[Tensor, "7"], filled: Float[Tensor, "m m m"], voxel: float, threshold: float
) -> VoxelGrid:
    lattice = _lattice(box, voxel)
    # An object of which nothing is probable enough has what is at least half as probable as its most probable part.
    least = min(threshold, float(filled.max()) / 2)
    chosen = probability_at(filled, lattice.local) > least
    return VoxelGrid.from_lattice(lattice.coordinates[chosen], lattice.edge)

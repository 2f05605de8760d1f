"""The true objects of a frame as networks learn them: oriented boxes, and shapes in the frames of these boxes.

A box is centre x y z, size along its own axes and yaw about z. The *frame* of a box reaches from 0 to 1 along each of its axes.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from gestalt3d.ops.mesh_voxels import mesh_voxels
from gestalt3d.structures.instances import Instances, moved_boxes
from gestalt3d.structures.mesh import Mesh

SIDE = 32
"""Voxels of a true shape along each side of its box."""
_LEAST = 0.02
"""Metres: thinner boxes count as so thick."""


class Truth(NamedTuple):
    """The objects of all frames of a batch, one frame's after the other's."""

    boxes: Float[Tensor, "o 7"]
    """In the grid."""
    classes: Int[Tensor, "o"]
    """-1 for objects of no class of the vocabulary."""
    shapes: Bool[Tensor, "o s s s"]
    """Whether the object fills each part of its box's frame."""
    shaped: Bool[Tensor, "o"]
    """Whether its shape is known at all."""
    objects: Int[Tensor, "b"]
    """Of each frame."""

    def to(self, device: torch.device | str) -> "Truth":
        return Truth(*(values.to(device) for values in self))

    @classmethod
    def cat(cls, parts: Sequence["Truth"]) -> "Truth":
        return cls(*map(torch.cat, zip(*parts, strict=True)))

    @property
    def frame(self) -> Int[Tensor, "o"]:
        """Row of the batch that each object is in."""
        rows = torch.arange(len(self.objects), device=self.objects.device)
        return rows.repeat_interleave(self.objects)


def truth_of(truth: Instances, grid_from_world: Float64[np.ndarray, "4 4"]) -> tuple[Truth, list[int]]:
    """The instances that have amodal boxes, and which rows of the truth they are; those of the building's parts are none."""
    count = 0 if truth.amodal_boxes is None else len(truth)
    structure = torch.from_numpy(truth.vocabulary.is_structure)
    wanted = [i for i in range(count) if int(truth.classes[i]) < 0 or not bool(structure[truth.classes[i]])]
    boxes = torch.zeros(0, 7)
    if wanted:
        assert truth.amodal_boxes is not None
        boxes = moved_boxes(truth.amodal_boxes[wanted], grid_from_world)
    shapes, shaped = torch.zeros(len(wanted), SIDE, SIDE, SIDE, dtype=torch.bool), []
    for row, i in enumerate(wanted):
        shape = None if truth.shapes is None else truth.shapes[i]
        shaped.append(isinstance(shape, Mesh))
        if isinstance(shape, Mesh):
            shapes[row] = _filled(shape, boxes[row], grid_from_world)
    known = torch.tensor(shaped, dtype=torch.bool)
    return Truth(boxes, truth.classes[wanted].long(), shapes, known, torch.tensor([len(wanted)])), wanted


def owners_of_pixels(
    truth: Instances, rows: list[int], size: tuple[int, int], wanted: tuple[int, int]
) -> Int[Tensor, "h w"]:
    """Which of these rows of the truth each pixel shows, -1 for none, brought from one size of the image to another."""
    number = torch.full((len(truth) + 1,), -1)
    number[rows] = torch.arange(len(rows))
    labels = number[truth.to_labels()].reshape(1, 1, *size).float()
    return F.interpolate(labels, wanted, mode="nearest")[0, 0].long()


def _filled(
    mesh: Mesh, box: Float[Tensor, "7"], grid_from_world: Float64[np.ndarray, "4 4"]
) -> Bool[Tensor, "s s s"]:
    move = torch.from_numpy(grid_from_world)
    vertices = mesh.vertices.double() @ move[:3, :3].T + move[:3, 3]
    local = in_frame(vertices, box[None].double()) * SIDE
    return mesh_voxels(local, mesh.faces, voxel_size=1.0, origin=(0.0, 0.0, 0.0), size=(SIDE, SIDE, SIDE))


def in_frame(points: Float[Tensor, "*n 3"], boxes: Float[Tensor, "*#n 7"]) -> Float[Tensor, "*n 3"]:
    """Points of the grid in the frames of boxes."""
    x, y, z = (points - boxes[..., :3]).unbind(-1)
    cos, sin = boxes[..., 6].cos(), boxes[..., 6].sin()
    local = torch.stack([cos * x + sin * y, cos * y - sin * x, z], dim=-1)
    return local / boxes[..., 3:6].clamp(min=_LEAST) + 0.5


def along(
    boxes: Float[Tensor, "n 7"], yaw: Float[Tensor, "n"]
) -> tuple[Float[Tensor, "n 7"], Float[Tensor, "n"]]:
    """The same boxes with the axes named so that their yaw is as near to `yaw` as it can be, and what it still differs by.

    The difference is in [-π/4, π/4). As in Deep Sliding Shapes, where axes are matched by their dot products.
    """
    quarter = math.pi / 2
    turns = torch.floor((boxes[:, 6] - yaw) / quarter + 0.5)
    odd = (turns.long() % 2 == 1)[:, None]
    size = torch.where(odd, boxes[:, [4, 3, 5]], boxes[:, 3:6])
    own = boxes[:, 6] - turns * quarter
    return torch.cat([boxes[:, :3], size, own[:, None]], dim=1), own - yaw


def turned(centers: Float[Tensor, "n 3"], yaw: Float[Tensor, "n"]) -> Float[Tensor, "n 3"]:
    """Turned by -yaw about the origin's vertical: where boxes of that yaw are along the axes."""
    x, y, z = centers.unbind(1)
    cos, sin = yaw.cos(), yaw.sin()
    return torch.stack([cos * x + sin * y, cos * y - sin * x, z], dim=1)


def along_axes(boxes: Float[Tensor, "n _"], yaw: Float[Tensor, "n"]) -> Float[Tensor, "n 6"]:
    """Boxes of that yaw, whatever their own say, in axes in which they are along the axes: centre and size."""
    return torch.cat([turned(boxes[:, :3], yaw), boxes[:, 3:6]], dim=1)


def turned_back(boxes: Float[Tensor, "n 6"], yaw: Float[Tensor, "n"]) -> Float[Tensor, "n 7"]:
    """The way back from `along_axes`."""
    return torch.cat([turned(boxes[:, :3], -yaw), boxes[:, 3:], yaw[:, None]], dim=1)


def widened(boxes: Float[Tensor, "n 7"], factor: float) -> Float[Tensor, "n 7"]:
    """About their centres."""
    return torch.cat([boxes[:, :3], boxes[:, 3:6] * factor, boxes[:, 6:]], dim=1)

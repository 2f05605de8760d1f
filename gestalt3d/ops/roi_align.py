"""Point RoIAlign (GSPN, Yi et al., CVPR 2019, Sec. 3.2): a fixed number of points from each box, in the box's own frame."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator


class PointsInBoxes(NamedTuple):
    """`indices[offsets[r]:offsets[r + 1]]` are the points in box `r`, ascending."""

    offsets: Int[Tensor, "r_plus_1"]
    indices: Int[Tensor, "m"]


class RoIPoints(NamedTuple):
    index: Int[Tensor, "r k"]
    """Of the drawn points, -1 for a box without points."""
    local: Float[Tensor, "r k 3"]
    """The points in the frame of their box, which reaches from -1/2 to 1/2 along each axis; 0 for a box without points."""


def points_in_boxes(points: Float[Tensor, "n 3"], boxes: Float[Tensor, "r 7"]) -> PointsInBoxes:
    """The points in each box: centre, size along the box's own axes, yaw about z. Faces belong to the box.

    Computed in the precision of the points, on the CPU, wherever they live. `ValueError` for boxes or points that are not
    finite.
    """
    if boxes.ndim != 2 or boxes.shape[1] != 7 or points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(
            f"points must be (n, 3) and boxes (r, 7), got {tuple(points.shape)} and {tuple(boxes.shape)}"
        )
    if not bool(torch.isfinite(points).all() and torch.isfinite(boxes).all()):
        raise ValueError("points and boxes must be finite, got NaN or infinity")
    return PointsInBoxes(*_op(points.detach(), boxes.detach().to(points)))


def point_roi_align(
    points: Float[Tensor, "n 3"], boxes: Float[Tensor, "r 7"], draws: Float[Tensor, "r k"]
) -> RoIPoints:
    """`k` points of each box, drawn with replacement as the authors do: `draws` in [0, 1) choose among those inside.

    The first of a box's points where a draw is 0, the last just below 1. No gradient.
    """
    inside = points_in_boxes(points, boxes)
    boxes = boxes.detach().to(points)
    sizes = inside.offsets.diff()
    at = (draws.detach().double() * sizes[:, None]).long().clamp(max=(sizes[:, None] - 1).clamp(min=0))
    some = sizes[:, None] > 0
    last = max(len(inside.indices) - 1, 0)
    where = (inside.offsets[:-1, None] + at).clamp(max=last)
    index = inside.indices[where] if len(inside.indices) else torch.zeros_like(where)
    index = torch.where(some, index, -1)
    local = (
        _in_box(points.detach()[index.clamp(min=0)], boxes[:, None])
        if len(points)
        else boxes.new_zeros(*index.shape, 3)
    )
    # Flat boxes hold points on their plane only.
    local = local / torch.where(boxes[:, None, 3:6] > 0, boxes[:, None, 3:6], 1)
    return RoIPoints(index, torch.where(some[..., None], local, 0))


def _in_box(points: Float[Tensor, "*#n 3"], boxes: Float[Tensor, "*#n 7"]) -> Float[Tensor, "*m 3"]:
    """Along the box's own axes, from its centre."""
    x, y, z = (points - boxes[..., :3]).unbind(-1)
    c, s = boxes[..., 6].cos(), boxes[..., 6].sin()
    return torch.stack([c * x + s * y, c * y - s * x, z], dim=-1)


def points_in_boxes_reference(points: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """The definition, in plain PyTorch, a box at a time."""
    members = [(_in_box(points, box[None]).abs() <= box[3:6] / 2).all(1).nonzero()[:, 0] for box in boxes]
    sizes = torch.tensor([0, *map(len, members)], device=points.device)
    return sizes.cumsum(0), torch.cat([sizes.new_zeros(0), *members])


_op = Operator(
    "gestalt3d::points_in_boxes",
    points_in_boxes_reference,
    schema="(Tensor points, Tensor boxes) -> (Tensor, Tensor)",
)


@_op.register_kernel("cpu")
def _cpu(points: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    from gestalt3d.ops._numba import parallel
    from gestalt3d.ops._numba import roi_align as cpu

    order = torch.argsort(points[:, 0]) if len(points) else torch.zeros(0, dtype=torch.int64)
    by_x = points[order].T.contiguous().numpy()
    turn = torch.stack([boxes[:, 6].cos(), boxes[:, 6].sin()], dim=1).numpy()
    given = (by_x, order.numpy(), boxes.contiguous().numpy(), (boxes[:, 3:6] / 2).numpy(), turn)
    offsets = np.zeros(len(boxes) + 1, dtype=np.int64)
    parallel(lambda first, last: cpu.count(*given, offsets[1:], first, last), len(boxes), grain=16)
    np.cumsum(offsets, out=offsets)
    indices = np.empty(offsets[-1], dtype=np.int64)
    parallel(lambda first, last: cpu.fill(*given, offsets, indices, first, last), len(boxes), grain=16)
    return torch.from_numpy(offsets), torch.from_numpy(indices)


@_op.register_fake
def _fake(points: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    count = torch.library.get_ctx().new_dynamic_size()
    offsets = points.new_empty(len(boxes) + 1, dtype=torch.int64)
    return offsets, points.new_empty(count, dtype=torch.int64)

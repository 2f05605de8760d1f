"""Boxes that stand upright: centre x y z, size along their own axes, yaw about z."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator
from gestalt3d.ops.shapes import widened


def oriented_boxes(
    points: Float[Tensor, "n 3"], offsets: Int[Tensor, "i_plus_1"], indices: Int[Tensor, "m"]
) -> Float[Tensor, "i 7"]:
    """The smallest upright box of each instance `indices[offsets[i]:offsets[i + 1]]`; zeros for an empty one.

    Yaw, in [0, π/2) radians, is that of the rectangle of least area; among areas within 1e-6 of the least the
    smallest yaw, so an axis-aligned box stays one. Computed on the CPU in float64; not differentiable.
    """
    if len(indices) and not (int(indices.min()) >= 0 and int(indices.max()) < len(points)):
        raise ValueError(
            f"indices must lie in [0, {len(points)}), got {int(indices.min())} to {int(indices.max())}"
        )
    return torch.ops.gestalt3d.oriented_boxes(points.detach(), offsets.long(), indices.long())


def boxes_reference(points: Tensor, offsets: Tensor, indices: Tensor) -> Tensor:
    """The definition in plain PyTorch: directions of all pairs of points include the edges of the hull."""
    boxes = points.new_zeros((len(offsets) - 1, 7), dtype=torch.float64)
    for i in range(len(boxes)):
        own = points[indices[offsets[i] : offsets[i + 1]]].double()
        if len(own) == 0:
            continue
        base = own[0]
        x, y, z = (own - base).unbind(1)
        dx, dy = (x[:, None] - x).flatten(), (y[:, None] - y).flatten()
        yaws = torch.remainder(torch.atan2(dy, dx)[(dx != 0) | (dy != 0)], torch.pi / 2)
        yaws = torch.cat([yaws.new_zeros(1), yaws])
        c, s = yaws.cos()[:, None], yaws.sin()[:, None]
        u, v = c * x + s * y, c * y - s * x
        width, depth = u.amax(1) - u.amin(1), v.amax(1) - v.amin(1)
        areas = width * depth
        least = torch.where(areas <= areas.min() * (1 + 1e-6), yaws, torch.inf).argmin()
        c, s = c[least, 0], s[least, 0]
        mid_u, mid_v = (u[least].amax() + u[least].amin()) / 2, (v[least].amax() + v[least].amin()) / 2
        center = torch.stack([c * mid_u - s * mid_v, s * mid_u + c * mid_v, (z.amax() + z.amin()) / 2]) + base
        size = torch.stack([width[least], depth[least], z.amax() - z.amin()])
        boxes[i] = torch.cat([center, size, yaws[least][None]])
    return boxes.to(points.dtype)


def _boxes(points: Tensor, offsets: Tensor, indices: Tensor) -> Tensor:
    from gestalt3d.ops._numba import boxes as cpu

    boxes = np.zeros((len(offsets) - 1, 7))
    arrays = (t.cpu().contiguous().numpy() for t in (widened(points), offsets, indices))
    cpu.oriented_boxes(*arrays, boxes)
    return torch.from_numpy(boxes).to(points)


_op = Operator(
    "gestalt3d::oriented_boxes",
    _boxes,
    schema="(Tensor points, Tensor offsets, Tensor indices) -> Tensor",
)


@_op.register_fake
def _fake(points: Tensor, offsets: Tensor, indices: Tensor) -> Tensor:
    return points.new_empty((offsets.shape[0] - 1, 7))

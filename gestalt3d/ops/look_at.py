"""Cameras that look at an object, and where they see its points; differentiable in the viewpoint.

The object's frame is ours, right-handed with z up, in any unit of length. The viewpoint at elevation 0 and azimuth 0 is that of a
camera that stands level at -y and looks along y, as `structures.camera.LEVEL` does; Soft Rasterizer's frame (Liu et al., ICCV
2019), in whose code y is up and that viewpoint lies at -z, is this one with y and z exchanged: the pictures are the same.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from gestalt3d.ops.shapes import wide


def look_at(
    elevation: Float[Tensor, "b"], azimuth: Float[Tensor, "b"], distance: Float[Tensor, "b"]
) -> Float[Tensor, "b 4 4"]:
    """`camera_from_object` of cameras that look at the origin, level, from `distance` away; angles are radians.

    The eye is at distance · (cos e sin a, -cos e cos a, sin e): elevation e leads up, azimuth a counter-clockwise, seen
    from above. In the camera's frame x points right, y down and z ahead. At elevations of ± π/2 the azimuth says which way is up.
    """
    e, a, d = torch.broadcast_tensors(*(wide(t) for t in (elevation, azimuth, distance)))
    if e.ndim != 1:
        raise ValueError(f"elevation, azimuth and distance must be (b,), got {tuple(e.shape)}")
    none, one = torch.zeros_like(e), torch.ones_like(e)
    right = torch.stack([a.cos(), a.sin(), none, none], dim=-1)
    down = torch.stack([e.sin() * a.sin(), -e.sin() * a.cos(), -e.cos(), none], dim=-1)
    ahead = torch.stack([-e.cos() * a.sin(), e.cos() * a.cos(), -e.sin(), d], dim=-1)
    return torch.stack([right, down, ahead, torch.stack([none, none, none, one], dim=-1)], dim=-2)


def project(
    points: Float[Tensor, "b v 3"],
    camera_from_object: Float[Tensor, "b 4 4"],
    *,
    field_of_view: float,
    near: float = 0.01,
) -> Float[Tensor, "b v 3"]:
    """Points as `soft_silhouette` takes them: x right and y up in the image plane, and the depth along the optical axis.

    `field_of_view` is the whole vertical angle in radians: the upper edge of the image is y = 1. (Soft Rasterizer's viewing angle
    of 15° is half of it.) Points with a depth below `near` are shown as if they were at `near`, so that nothing is infinite;
    their depth stays, and `soft_silhouette` leaves out their faces.
    """
    if points.ndim != 3 or points.shape[2] != 3 or camera_from_object.shape != (len(points), 4, 4):
        raise ValueError(
            "points must be (b, v, 3) and camera_from_object (b, 4, 4), got "
            f"{tuple(points.shape)} and {tuple(camera_from_object.shape)}"
        )
    if not 0 < field_of_view < math.pi or not near > 0:
        raise ValueError(
            f"field_of_view must be between 0 and π and near positive, got {field_of_view} and {near}"
        )
    points, pose = wide(points), wide(camera_from_object)
    # No matrix product: autocast would round positions to 16 bits.
    turned = (points[:, :, None] * pose[:, None, :3, :3]).sum(-1) + pose[:, None, :3, 3]
    x, y, depth = turned.unbind(-1)
    span = depth.clamp(min=near) * math.tan(field_of_view / 2)
    return torch.stack([x / span, -y / span, depth], dim=-1)

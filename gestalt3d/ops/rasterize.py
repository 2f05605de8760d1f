"""Depth and face of every pixel: a z-buffer."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops._numba import rasterize as _kernels
from gestalt3d.ops.operator import Operator
from gestalt3d.ops.shapes import widened


class Rasterized(NamedTuple):
    depth: Float[Tensor, "h w"]
    """Along the optical axis, inf where no face is hit."""
    face: Int[Tensor, "h w"]
    """int64; -1 where no face is hit."""


def _rasterize_reference(
    vertices: Tensor,
    faces: Tensor,
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    height: int,
    width: int,
    near: float,
) -> tuple[Tensor, Tensor]:
    """Every pixel's ray against every triangle (Möller & Trumbore 1997), in float64."""
    ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    ray = torch.stack([(xs - cx) / fx, (ys - cy) / fy, torch.ones_like(xs)], -1).reshape(-1, 1, 3).double()
    corners = vertices.double()[faces]
    a, e1, e2 = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    p = torch.linalg.cross(ray, e2[None].expand(len(ray), -1, -1))
    determinant = (p * e1).sum(-1)
    u = (p * -a).sum(-1) / determinant
    q = torch.linalg.cross(-a, e1)
    v = (ray * q).sum(-1) / determinant
    depth = (q * e2).sum(-1) / determinant
    hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (depth >= near) & (determinant != 0)
    depth = torch.where(hit, depth, torch.inf)
    if not len(faces):
        return torch.full((height, width), torch.inf), torch.full((height, width), -1)
    nearest, face = depth.min(1)
    face = torch.where(nearest.isinf(), -1, face)
    return nearest.float().reshape(height, width), face.reshape(height, width)


def _kernel(vertices, faces, fx, fy, cx, cy, height, width, near):
    depth, face = _kernels.rasterize(
        widened(vertices).contiguous().cpu().numpy(),
        faces.contiguous().cpu().numpy(),
        fx,
        fy,
        cx,
        cy,
        width,
        height,
        near,
    )
    return torch.from_numpy(depth).to(vertices.device), torch.from_numpy(face).to(
        vertices.device, torch.int64
    )


_op = Operator(
    "gestalt3d::rasterize",
    _kernel,
    schema="(Tensor vertices, Tensor faces, float fx, float fy, float cx, float cy, int height, int width, "
    "float near) -> (Tensor, Tensor)",
)


@_op.register_fake
def _(vertices, faces, fx, fy, cx, cy, height, width, near):
    return vertices.new_empty((height, width), dtype=torch.float32), vertices.new_empty(
        (height, width), dtype=torch.int64
    )


def rasterize(
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    *,
    focal: tuple[float, float],
    center: tuple[float, float],
    size: tuple[int, int],
    near: float = 0.01,
) -> Rasterized:
    """The nearest face through the middle of every pixel, both sides of a face being visible.

    `vertices` are in the camera's frame (x right, y down, z forward); the pixel (row v, column u) looks along
    ((u - center[0]) / focal[0], (v - center[1]) / focal[1], 1). `size` is (height, width). Faces are
    clipped at z = near. Equal depths: the lowest face wins. Not differentiable.
    """
    if near <= 0:
        raise ValueError(f"near must be positive, got {near}; choose a small distance such as 0.01")
    if len(faces) and not (int(faces.min()) >= 0 and int(faces.max()) < len(vertices)):
        raise ValueError(
            f"faces must index the {len(vertices)} vertices, got {int(faces.min())} to {int(faces.max())}"
        )
    return Rasterized(*_op(vertices, faces, *focal, *center, *size, near))

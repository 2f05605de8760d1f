"""Soft silhouettes of meshes (Liu et al., "Soft Rasterizer", ICCV 2019, Sec. 3.2 and 3.3), differentiable in the vertices.

The image plane is that of `ops.look_at.project`: x right, y up, the image reaches from -1 to 1 in y and from -w/h to w/h in x, so
that pixels are squares of 2/h. The centre of the pixel in row r and column c lies at x = (2c + 1 - w) / h, y = (h - 1 - 2r) / h.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator

_SHARPEST = 1e-30
"""Of sigma: its inverse times a squared distance is a float32."""


def soft_silhouette(
    vertices: Float[Tensor, "b v 3"],
    faces: Int[Tensor, "f 3"],
    *,
    size: tuple[int, int],
    sigma: float = 1e-4,
    eps: float = 1e-10,
    near: float = 0.01,
) -> Float[Tensor, "b h w"]:
    """How much of each pixel a mesh covers, from 0 to 1, for every mesh of a batch; `size` is (h, w).

    `vertices` are x, y and the depth before the camera. A triangle covers a pixel by D = sigmoid(δ d² / sigma), d the distance
    from the pixel's centre to the triangle's boundary, δ = 1 inside of it and -1 outside, whichever way round it runs, and the
    mesh covers S = 1 - ∏ (1 - D), computed as 1 - exp(-Σ log(1 + exp(δ d² / sigma))). Where D is below `eps` outside, a
    triangle does not count: no pixel farther away moves it. `sigma` is in squared units of the image plane; towards 0 the
    silhouette becomes the filled outline.

    A triangle without area has no inside, and a side without length is a point. A triangle with a corner at depth `near` or
    less is left out whole, as if it were not there. No vertices or faces: nothing is covered. `ValueError` for vertices that
    are not finite.

    Differentiable in x and y, once; the depth's gradient is 0. A pixel equally near to two sides moves the first. Where many
    triangles cover a pixel, exp(-Σ) is tiny and at last 0, and so are its gradients, never NaN. On the CPU computed in float64
    and the same whatever the number of threads; elsewhere in the type of the vertices.
    """
    _check(vertices, faces, size)
    if not _SHARPEST <= sigma < math.inf or not 0 < eps < 0.5 or not 0 <= near < math.inf:
        raise ValueError(
            f"sigma must be {_SHARPEST} or more, eps between 0 and 1/2 and near not negative, got {sigma}, {eps} and {near}"
        )
    cover = _forward(vertices, faces.long(), *size, sigma, math.log(1 / eps - 1), near)
    return 1 - (-cover).exp()


def _check(vertices: Tensor, faces: Tensor, size: tuple[int, int]) -> None:
    if vertices.ndim != 3 or vertices.shape[2] != 3:
        raise ValueError(
            f"vertices must be (b, v, 3), got {tuple(vertices.shape)}; for one mesh take vertices[None]"
        )
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(
            f"faces must be (f, 3), the same for every mesh of the batch, got {tuple(faces.shape)}"
        )
    if len(faces) and not (int(faces.min()) >= 0 and int(faces.max()) < vertices.shape[1]):
        raise ValueError(
            f"faces must index the {vertices.shape[1]} vertices, got {int(faces.min())} to {int(faces.max())}"
        )
    if min(size) < 1:
        raise ValueError(f"size must be rows and columns, 1 or more, got {size}")
    if not bool(torch.isfinite(vertices).all()):
        raise ValueError("vertices must be finite, got NaN or infinity")


def soft_cover_reference(
    vertices: Tensor, faces: Tensor, height: int, width: int, sigma: float, cut: float, near: float
) -> Tensor:
    """The definition of Σ log(1 + exp(δ d² / sigma)), in plain PyTorch: every pixel against every triangle, a mesh at a time."""
    out = [
        _softplus(_signed_dist2(corners, height, width)[0] / sigma, cut).sum(1).view(height, width)
        for corners in _before_camera(vertices, faces, near)
    ]
    return torch.stack(out) if out else vertices.new_zeros(0, height, width)


def _softplus(z: Tensor, cut: float) -> Tensor:
    return torch.where(z > -cut, torch.logaddexp(z, torch.zeros_like(z)), 0)


def _before_camera(vertices: Tensor, faces: Tensor, near: float) -> list[Tensor]:
    """Of each mesh (g, 3, 2), the corners of the triangles that count."""
    seen = (vertices[..., 2] > near)[:, faces].all(-1)
    return [mesh[faces[those], :2] for mesh, those in zip(vertices, seen, strict=True)]


def _signed_dist2(corners: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """δ d² of every pixel and triangle, (h·w, g); the nearest side, how far along it the nearest point is, the way from there."""
    rows, columns = (torch.arange(n, dtype=corners.dtype, device=corners.device) for n in (height, width))
    y, x = torch.meshgrid((height - 1 - 2 * rows) / height, (2 * columns + 1 - width) / height, indexing="ij")
    pixels = torch.stack([x, y], dim=-1).reshape(-1, 1, 1, 2)
    sides = corners.roll(-1, dims=1) - corners
    length2 = sides.square().sum(-1)
    way = pixels - corners
    along = ((way * sides).sum(-1) / torch.where(length2 > 0, length2, 1)).clamp(0, 1)
    away = way - along[..., None] * sides
    dist2, side = away.square().sum(-1).min(-1)
    turn = _cross(sides[:, 0], sides[:, 1]).sign()
    inside = (turn[:, None] * _cross(sides, way) > 0).all(-1)
    along = along.gather(-1, side[..., None])[..., 0]
    away = away.gather(-2, side[..., None, None].expand(*side.shape, 1, 2))[..., 0, :]
    return torch.where(inside, dist2, -dist2), side, along, away


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def soft_cover_backward_reference(
    grad: Tensor, vertices: Tensor, faces: Tensor, sigma: float, cut: float, near: float
) -> Tensor:
    """The gradient of each pixel at the two ends of the side that it is nearest to, in every triangle."""
    out = torch.zeros_like(vertices)
    height, width = grad.shape[1:]
    seen = (vertices[..., 2] > near)[:, faces].all(-1)
    for s, corners in enumerate(_before_camera(vertices, faces, near)):
        dist2, side, along, away = _signed_dist2(corners, height, width)
        z = dist2 / sigma
        # Of softplus to z, of z to the distance, of the distance to both ends: d|p - q|² = -2 (p - q) · dq.
        pull = torch.where(z > -cut, z.sigmoid(), 0) * grad[s].reshape(-1, 1)
        pull = (pull * torch.where(dist2 > 0, -2, 2) / sigma)[..., None] * away
        own = faces[seen[s]].expand(len(pull), -1, -1)
        for share, end in ((1 - along, side), (along, (side + 1) % 3)):
            at = own.gather(-1, end[..., None]).flatten()
            out[s, :, :2].index_add_(0, at, (share[..., None] * pull).flatten(0, 1))
    return out


_HOW = "float sigma, float cut, float near"
_forward = Operator(
    "gestalt3d::soft_silhouette",
    soft_cover_reference,
    schema=f"(Tensor vertices, Tensor faces, int height, int width, {_HOW}) -> Tensor",
)
_backward = Operator(
    "gestalt3d::soft_silhouette_backward",
    soft_cover_backward_reference,
    schema=f"(Tensor grad, Tensor vertices, Tensor faces, {_HOW}) -> Tensor",
)


@_forward.register_kernel("cpu")
def _forward_cpu(vertices, faces, height, width, sigma, cut, near):
    from gestalt3d.ops._numba.silhouette import soft_cover as kernel

    return kernel(vertices, faces, height, width, sigma, cut, near)


@_backward.register_kernel("cpu")
def _backward_cpu(grad, vertices, faces, sigma, cut, near):
    from gestalt3d.ops._numba.silhouette import soft_cover_backward as kernel

    return kernel(grad, vertices, faces, sigma, cut, near)


@_forward.register_kernel("cuda")
def _forward_cuda(vertices, faces, height, width, sigma, cut, near):
    try:
        from gestalt3d.ops._triton.silhouette import soft_cover as kernel
    except ImportError:  # Triton exists on Linux only.
        kernel = soft_cover_reference
    return kernel(vertices, faces, height, width, sigma, cut, near)


@_backward.register_kernel("cuda")
def _backward_cuda(grad, vertices, faces, sigma, cut, near):
    try:
        from gestalt3d.ops._triton.silhouette import soft_cover_backward as kernel
    except ImportError:
        kernel = soft_cover_backward_reference
    return kernel(grad, vertices, faces, sigma, cut, near)


@_forward.register_fake
def _forward_fake(vertices, faces, height, width, sigma, cut, near):
    return vertices.new_empty((vertices.shape[0], height, width))


@_backward.register_fake
def _backward_fake(grad, vertices, faces, sigma, cut, near):
    return vertices.new_empty(vertices.shape)


def _context(ctx, inputs, output) -> None:
    vertices, faces, _, _, *how = inputs
    ctx.save_for_backward(vertices, faces)
    ctx.how = how


_forward.register_autograd(
    lambda ctx, grad: (_backward(grad, *ctx.saved_tensors, *ctx.how), *(None,) * 6), setup_context=_context
)

"""Directional TSDF of an RGB-D frame (Song & Xiao, "Deep Sliding Shapes", CVPR 2016, Sec. 3.1): where the nearest surface is.

Where the paper leaves it open, as the authors' code does: one sign for all three axes, which says whether the camera sees past
the voxel, and not that of each axis. They multiply metres by 100 where values here are shares of the truncation: theirs, with
voxels of 2.5 cm, are five times as large. Their colours are blue, green, red.
"""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gestalt3d.ops.operator import Operator

_MOST_VOXELS = 2**28
_FARTHEST = 32
"""Voxels: what is looked through grows with the third power of the reach."""


def directional_tsdf(
    points: Float[Tensor, "n 3"],
    colors: Float[Tensor, "n 3"] | None,
    depth: Float[Tensor, "h w"],
    intrinsics: Float64[Tensor, "3 3"],
    world_from_camera: Float64[Tensor, "4 4"],
    *,
    origin: tuple[float, float, float],
    voxel_size: float,
    size: tuple[int, int, int],
    truncation: float | None = None,
    reach: float | None = None,
    per_axis_sign: bool = False,
) -> Float[Tensor, "c x y z"]:
    """How far the nearest point is from the centre of each voxel along x, y and z, and whether a camera sees past the voxel.

    A grid of `size`, whose lowest corner is `origin`, in the frame of the points, the camera's world; everything is in metres.
    The nearest point is exact; equal distances: lowest index wins. Channels 0 to 2 are |dx|, |dy|, |dz| divided by `truncation`
    (two voxels unless told), 1 at most, and 1 where no point is nearer than `reach` (four voxels unless told, 32 at most). All
    three are negative where the voxel is farther from the camera than the `depth` of the pixel that it is seen in, along the
    camera's axis. A pixel without depth (0, below 0, NaN or infinite) is not known to be free: voxels there are negative too.
    With `colors`, channels 3 to 5 are red, green and blue of the nearest point, 0 where none is within reach. All channels are
    0 where the voxel is seen in no pixel: beside the image, or not in front of the camera.

    Whole numbers are centres of pixels; halfway between two it is the right or lower one. `n = 0` is allowed. With
    `per_axis_sign`, a common other reading, channels 0 to 2 are those of the point minus the centre, each with its own sign, 1
    without a point, and depth is not looked at. Computed in float64 on the CPU, given in the precision of the points. Not
    differentiable.
    """
    truncation = 2 * voxel_size if truncation is None else truncation
    reach = 4 * voxel_size if reach is None else reach
    _check(points, colors, depth, intrinsics, world_from_camera)
    if not voxel_size > 0 or min(size) < 1 or size[0] * size[1] * size[2] > _MOST_VOXELS:
        raise ValueError(
            f"voxel_size must be positive and size three numbers from 1 on, of {_MOST_VOXELS:,} voxels at most, "
            f"got {voxel_size} and {size}"
        )
    if not (truncation > 0 and 0 < reach <= _FARTHEST * voxel_size):
        raise ValueError(
            f"truncation and reach must be positive metres, reach {_FARTHEST} voxels of {voxel_size} at most, "
            f"got {truncation} and {reach}"
        )
    pixels_from_world = intrinsics.cpu() @ torch.linalg.inv(world_from_camera.cpu())[:3]
    corner = torch.tensor(origin, dtype=torch.float64)
    # From the grid's corner, so that far ones lose nothing.
    from_corner = torch.cat(
        [pixels_from_world[:, :3], (pixels_from_world[:, :3] @ corner + pixels_from_world[:, 3])[:, None]], 1
    )
    given = points.detach(), None if colors is None else colors.detach().to(points), depth.detach()
    return _op(*given, from_corner, *origin, voxel_size, *size, truncation, reach, per_axis_sign)


def _check(
    points: Tensor, colors: Tensor | None, depth: Tensor, intrinsics: Tensor, world_from_camera: Tensor
) -> None:
    if points.ndim != 2 or points.shape[1] != 3 or (colors is not None and colors.shape != points.shape):
        shapes = f"{tuple(points.shape)} and {None if colors is None else tuple(colors.shape)}"
        raise ValueError(f"points must be (n, 3) and colors as many or None, got {shapes}")
    if depth.ndim != 2 or depth.numel() == 0:
        raise ValueError(f"depth must be an image (h, w), got {tuple(depth.shape)}")
    if not bool(points.isfinite().all()):
        raise ValueError("points must be finite, got NaN or infinity; leave pixels without depth out")
    if colors is not None and not bool(colors.isfinite().all()):
        raise ValueError("colors must be finite, got NaN or infinity")
    if intrinsics.shape != (3, 3) or not bool(intrinsics.isfinite().all()):
        raise ValueError(f"intrinsics must be (3, 3) and finite, got {intrinsics.tolist()}")
    if intrinsics[2].tolist() != [0, 0, 1]:
        raise ValueError(f"intrinsics must end in a row [0, 0, 1], got {intrinsics.tolist()}")
    if world_from_camera.shape != (4, 4) or not bool(world_from_camera.isfinite().all()):
        raise ValueError(f"world_from_camera must be (4, 4) and finite, got {world_from_camera.tolist()}")


def directional_tsdf_reference(
    points: Tensor,
    colors: Tensor | None,
    depth: Tensor,
    pixels_from_corner: Tensor,
    ox: float,
    oy: float,
    oz: float,
    voxel_size: float,
    x: int,
    y: int,
    z: int,
    truncation: float,
    reach: float,
    per_axis_sign: bool,
) -> Tensor:
    """The definition, in plain PyTorch: every voxel with every point, a slab of the grid at a time."""
    corner = torch.tensor([ox, oy, oz], dtype=torch.float64, device=points.device)
    near = points.double() - corner
    slabs = []
    for i in range(x):
        middle = [
            (torch.arange(a, b, dtype=torch.float64, device=points.device) + 0.5) * voxel_size
            for a, b in ((i, i + 1), (0, y), (0, z))
        ]
        centre = torch.stack(torch.meshgrid(*middle, indexing="ij"), -1)[0]
        away, nearest = _nearest(centre, near, reach)
        seen, behind = _seen(centre, depth, pixels_from_corner.to(points.device))
        share = away.abs().clamp(max=truncation) / truncation
        sign = torch.where(away < 0, -1, 1) if per_axis_sign else torch.where(behind, -1, 1)[..., None]
        channels = [share * sign]
        if colors is not None:
            found = colors[nearest.clamp(min=0)] if len(colors) else colors.new_zeros(y, z, 3)
            channels.append(torch.where(nearest[..., None] >= 0, found, 0).double())
        slabs.append(torch.where(seen[..., None], torch.cat(channels, -1), 0))
    return torch.stack(slabs).movedim(3, 0).to(points.dtype).contiguous()


def _nearest(centre: Tensor, points: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """The way to the nearest point, infinite without one within reach, and its index, -1 then."""
    if not len(points):
        return torch.full_like(centre, torch.inf), torch.full_like(centre[..., 0], -1).long()
    dx, dy, dz = (points - centre[..., None, :]).unbind(-1)
    dist2, nearest = (dx * dx + dy * dy + dz * dz).min(-1)
    within = dist2 < reach * reach
    away = torch.where(within[..., None], points[nearest] - centre, torch.inf)
    return away, torch.where(within, nearest, -1)


def _seen(centre: Tensor, depth: Tensor, pixels_from_corner: Tensor) -> tuple[Tensor, Tensor]:
    """Whether a centre is seen in a pixel, and whether it lies behind what the pixel shows."""
    x, y, z = centre.unbind(-1)
    u, v, w = (a * x + b * y + c * z + d for a, b, c, d in pixels_from_corner)
    ahead = w > 0
    column = torch.where(ahead, u / w + 0.5, -1).floor()
    row = torch.where(ahead, v / w + 0.5, -1).floor()
    height, width = depth.shape
    seen = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    shown = depth[torch.where(seen, row, 0).long(), torch.where(seen, column, 0).long()].double()
    in_front = shown.isfinite() & (shown > 0) & ~(w > shown)
    return seen, ~in_front


def _anywhere(points: Tensor, colors: Tensor | None, depth: Tensor, *rest: object) -> Tensor:
    near = points.cpu(), None if colors is None else colors.cpu(), depth.cpu()
    return _op(*near, *rest).to(points.device)


_op = Operator(
    "gestalt3d::directional_tsdf",
    _anywhere,
    schema="(Tensor points, Tensor? colors, Tensor depth, Tensor pixels_from_corner, float ox, float oy, float oz, "
    "float voxel_size, int x, int y, int z, float truncation, float reach, bool per_axis_sign) -> Tensor",
)


@_op.register_kernel("cpu")
def _cpu(
    points, colors, depth, pixels_from_corner, ox, oy, oz, voxel_size, x, y, z, truncation, reach, per_axis
):
    from gestalt3d.ops._numba import directional_tsdf as cpu
    from gestalt3d.ops._numba import parallel

    near = (points.double() - torch.tensor([ox, oy, oz], dtype=torch.float64)).contiguous().numpy()
    cells = cpu.cells_of(near, voxel_size, (x, y, z), reach)
    out = points.new_empty((3 if colors is None else 6, x, y, z))
    given = (
        near,
        (points.new_zeros(0, 3) if colors is None else colors.contiguous()).numpy(),
        depth.double().contiguous().numpy(),
        pixels_from_corner.cpu().contiguous().numpy(),
    )
    how = voxel_size, truncation, reach, per_axis
    parallel(lambda first, last: cpu.fill(*given, *cells, *how, out.numpy(), first, last), x * y, grain=y * 4)
    return out


@_op.register_fake
def _fake(
    points, colors, depth, pixels_from_corner, ox, oy, oz, voxel_size, x, y, z, truncation, reach, per_axis
):
    return points.new_empty((3 if colors is None else 6, x, y, z))

"""The voxels that points occupy, in an order that does not depend on the order of the points."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator

FARTHEST = 2.0**62
"""Voxel coordinates must be exact in int64, differences included."""
_ROWS_AT_ONCE = 2**20
"""Points that float64 offsets are held of at a time."""


class Voxels(NamedTuple):
    coordinates: Int[Tensor, "v 3"]
    """`floor(points / voxel_size)`, ascending in x, then y, then z. May be negative."""
    voxel_of_point: Int[Tensor, "n"]
    counts: Int[Tensor, "v"]
    """Points in each voxel, at least one."""


def voxelize(points: Float[Tensor, "n 3"], *, voxel_size: float) -> Voxels:
    """Occupied voxels of a cubic grid through the origin. The division is done in float64."""
    if not (voxel_size > 0 and np.isfinite(voxel_size)):
        raise ValueError(f"voxel_size must be positive metres, got {voxel_size}")
    return Voxels(*torch.ops.gestalt3d.voxelize(points.detach(), float(voxel_size)))


def voxel_means(
    points: Float[Tensor, "n 3"], voxels: Voxels, *, voxel_size: float
) -> tuple[Float[Tensor, "v 3"], Float[Tensor, "v 3"]]:
    """Middle of each voxel, and the offset from it to the mean of its points; both metres, float64.

    Apart, so that far from the origin the offset keeps its digits.
    """
    count = len(voxels.counts)
    middle = (voxels.coordinates.double() + 0.5) * voxel_size
    total = torch.zeros(count, 3, dtype=torch.float64, device=middle.device)
    for some, rows in zip(
        points.split(_ROWS_AT_ONCE), voxels.voxel_of_point.split(_ROWS_AT_ONCE), strict=True
    ):
        total.index_add_(0, rows, some.double() - middle[rows])
    return middle, total.div_(voxels.counts[:, None])


def quarter_turned(coordinates: Int[Tensor, "v 3"], turns: int = 1) -> Int[Tensor, "v 3"]:
    """The same voxels of the cloud turned about the vertical, from x to y, so many times; rows keep their order."""
    x, y, z = coordinates.unbind(1)
    for _ in range(turns):
        x, y = -y - 1, x
    return torch.stack([x, y, z], dim=1)


def voxelize_reference(points: Tensor, voxel_size: float) -> tuple[Tensor, Tensor, Tensor]:
    """The definition in plain PyTorch."""
    if not bool(torch.isfinite(points).all()):
        raise _not_finite()
    cells = torch.floor(points.double() / voxel_size)
    if len(cells) and float(cells.abs().max()) >= FARTHEST:
        raise _too_far(float(cells.abs().max()), voxel_size)
    coordinates, voxel_of_point, counts = torch.unique(
        cells.long(), dim=0, return_inverse=True, return_counts=True
    )
    return coordinates, voxel_of_point, counts


def _not_finite() -> ValueError:
    return ValueError("points must be finite, got NaN or infinity; drop those points first")


def _too_far(cells: float, voxel_size: float) -> ValueError:
    return ValueError(
        f"points reach {cells:.3g} voxels of {voxel_size} m from the origin, more than 2^62; "
        "drop stray points, check the unit, or use larger voxels"
    )


_op = Operator(
    "gestalt3d::voxelize",
    voxelize_reference,
    schema="(Tensor points, float voxel_size) -> (Tensor, Tensor, Tensor)",
)


@_op.register_kernel("cpu")
def _cpu(points: Tensor, voxel_size: float) -> tuple[Tensor, Tensor, Tensor]:
    if len(points) == 0:
        return voxelize_reference(points, voxel_size)
    from gestalt3d.ops._numba import voxelize as cpu

    xyz = points.contiguous().numpy()
    low, high = np.empty(3), np.empty(3)
    if not cpu.bounds(xyz, voxel_size, low, high):
        raise _not_finite()
    farthest = max(-low.min(), high.max())
    if farthest >= FARTHEST:
        raise _too_far(farthest, voxel_size)
    if np.prod(high - low + 1) >= FARTHEST:
        # A stray point far away: keys would not fit 63 bits; the slow sort of whole rows needs none.
        return voxelize_reference(points, voxel_size)
    first, extent = low.astype(np.int64), (high - low + 1).astype(np.int64)
    keys = np.empty(len(xyz), dtype=np.int64)
    cpu.pack(xyz, voxel_size, first, extent, keys)
    order = np.argsort(keys)
    voxel_of_point = np.empty(len(xyz), dtype=np.int64)
    voxels = 1 + int(np.count_nonzero(np.diff(keys[order])))
    coordinates, counts = np.empty((voxels, 3), dtype=np.int64), np.empty(voxels, dtype=np.int64)
    cpu.number(keys, order, first, extent, voxel_of_point, coordinates, counts)
    return torch.from_numpy(coordinates), torch.from_numpy(voxel_of_point), torch.from_numpy(counts)


@_op.register_fake
def _fake(points: Tensor, voxel_size: float) -> tuple[Tensor, Tensor, Tensor]:
    count = torch.library.get_ctx().new_dynamic_size()
    return (
        points.new_empty((count, 3), dtype=torch.int64),
        points.new_empty(points.shape[0], dtype=torch.int64),
        points.new_empty(count, dtype=torch.int64),
    )

"""3-D RoIAlign (He et al., "Mask R-CNN", ICCV 2017, Sec. 3, in a volume): a fixed number of bins from each upright box.

Positions are continuous, a cell of the volume fills [n, n + 1) and its value belongs to the centre n + 1/2, so that boxes lose
no half cell: with samples averaged this is `torchvision.ops.roi_align(aligned=True)` with a third axis. Two comparators round
the box first: RoIWarp (Dai et al., CVPR 2016) and RoIPool (Girshick, ICCV 2015).
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator

_FARTHEST = 2.0**40
"""Cells; boxes reach no farther, so that they can be counted."""


def roi_align_3d(
    volume: Float[Tensor, "b c x y z"],
    boxes: Float[Tensor, "r 7"],
    batch: Int[Tensor, "r"],
    *,
    origin: tuple[float, float, float],
    cell: float,
    size: int,
    samples: int = 2,
    reduce: Literal["max", "mean"] = "max",
    place: Literal["align", "warp", "pool"] = "align",
) -> Float[Tensor, "r c s s s"]:
    """Features of `size`³ bins of each box, along the box's own axes; box `r` lies in volume `batch[r]`.

    Boxes are centre x y z, size along their own axes and yaw about z. `origin` is the lowest corner of the volume and `cell`
    the edge of its cells, metres like the boxes.

    "align": `samples`³ places in each bin, at (s + 1/2) / samples of its edges, interpolated between the eight nearest centres
    of cells, of which `reduce` takes the maximum (the first of equals gets the gradient) or the mean. Places beyond the
    outermost centres take the value there. "warp": the same, after the faces of the box are rounded to whole cells: what is
    rounded are positions along the box's own axes, counted in cells from the corner `origin` (halves to the even number), so an
    axis-aligned box falls on the volume's own cells, and no box is thinner than one. "pool": the rounded box is cut into bins
    of whole cells, bin i of n cells being those from floor(i n / size) to ceil((i + 1) n / size), and each bin takes the
    largest of its cells, nothing interpolated. The cells of a turned box are its own, each with the value of the volume's cell
    in which its centre lies; bins outside of the volume are 0, and `samples` does not matter.

    Differentiable in `volume`, once; positions are computed in float64 and values in 32 bits at least. `r = 0` is allowed.
    """
    _check(volume, boxes, batch)
    if not cell > 0 or size < 1 or samples < 1:
        raise ValueError(
            f"cell must be positive, size and samples 1 or more, got {cell}, {size} and {samples}"
        )
    if reduce not in ("max", "mean") or place not in ("align", "warp", "pool"):
        raise ValueError(
            f'reduce is "max" or "mean", place "align", "warp" or "pool", got {reduce!r}, {place!r}'
        )
    if place == "pool" and reduce != "max":
        raise ValueError('place="pool" takes the largest cell; use reduce="max" with it')
    rois = _in_cells(boxes.detach().to(volume.device), origin, cell)
    rois = rois if place == "align" else _rounded(rois)
    return _forward(
        volume, rois, batch.to(volume.device).long(), size, samples, reduce == "max", place == "pool"
    )


def roi_bin_centers(boxes: Float[Tensor, "r 7"], *, size: int) -> Float[Tensor, "r s s s 3"]:
    """The centre of each of the `size`³ bins of `roi_align_3d`, in the frame of the boxes; differentiable."""
    if boxes.ndim != 2 or boxes.shape[1] != 7 or size < 1:
        raise ValueError(f"boxes must be (r, 7) and size 1 or more, got {tuple(boxes.shape)} and {size}")
    return _turned(boxes, _steps(size, boxes))


def _check(volume: Tensor, boxes: Tensor, batch: Tensor) -> None:
    if volume.ndim != 5 or min(volume.shape[2:]) < 1:
        raise ValueError(f"volume must be (b, c, x, y, z) with a cell at least, got {tuple(volume.shape)}")
    if boxes.ndim != 2 or boxes.shape[1] != 7 or batch.shape != boxes.shape[:1]:
        raise ValueError(
            f"boxes must be (r, 7) and batch (r,), got {tuple(boxes.shape)} and {tuple(batch.shape)}"
        )
    if not bool(torch.isfinite(boxes).all()):
        raise ValueError("boxes must be finite, got NaN or infinity")
    if bool((boxes[:, 3:6] < 0).any()):
        raise ValueError("boxes have negative sizes")
    if len(batch) and not (int(batch.min()) >= 0 and int(batch.max()) < len(volume)):
        raise ValueError(f"batch must be in [0, {len(volume)}), got {int(batch.min())} to {int(batch.max())}")


def _in_cells(boxes: Tensor, origin: tuple[float, float, float], cell: float) -> Tensor:
    """(r, 7) float64: centre and size in cells from the corner of the volume."""
    boxes = boxes.double()
    centre = (boxes[:, :3] - boxes.new_tensor(origin)) / cell
    return torch.cat([centre, boxes[:, 3:6] / cell, boxes[:, 6:]], dim=1)


def _rounded(rois: Tensor) -> Tensor:
    """Faces on whole numbers along the box's own axes, one apart at least."""
    c, s = rois[:, 6].cos(), rois[:, 6].sin()
    low, high = _faces(rois)
    mid_x, mid_y, mid_z = ((low + high) / 2).unbind(1)
    centre = torch.stack([c * mid_x - s * mid_y, s * mid_x + c * mid_y, mid_z], dim=1)
    return torch.cat([centre, high - low, rois[:, 6:]], dim=1)


def _faces(rois: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest whole numbers to the faces along the box's own axes, (r, 3) each."""
    c, s = rois[:, 6].cos(), rois[:, 6].sin()
    x, y, z = rois[:, :3].unbind(1)
    centre = torch.stack([c * x + s * y, c * y - s * x, z], dim=1)
    low = (centre - rois[:, 3:6] / 2).round().clamp(-_FARTHEST, _FARTHEST)
    high = (centre + rois[:, 3:6] / 2).round().clamp(-_FARTHEST, _FARTHEST)
    return low, torch.maximum(high, low + 1)


def _steps(count: int, like: Tensor) -> Tensor:
    """Middles of `count` equal parts of [-1/2, 1/2]."""
    return (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) / count - 0.5


def _turned(boxes: Tensor, steps: Tensor) -> Tensor:
    """(r, n, n, n, 3) places at `steps` of the sizes along a box's own axes."""
    along = boxes[:, 3:6, None] * steps
    u, v, w = along[:, 0, :, None, None], along[:, 1, None, :, None], along[:, 2, None, None, :]
    c, s = (f(boxes[:, 6])[:, None, None, None] for f in (torch.cos, torch.sin))
    offset = torch.stack(torch.broadcast_tensors(c * u - s * v, s * u + c * v, w), dim=-1)
    return boxes[:, None, None, None, :3] + offset


def roi_align_3d_reference(
    volume: Tensor, rois: Tensor, batch: Tensor, size: int, samples: int, largest: bool, pool: bool
) -> Tensor:
    """The definition, in plain PyTorch, a box at a time; `rois` in cells, rounded before."""
    out = volume.new_zeros(len(rois), volume.shape[1], size, size, size)
    for r in range(len(rois)):
        own = volume[batch[r]][None]
        if pool:
            out[r] = _largest_cell(own, rois[r : r + 1], size)[0]
        else:
            values = F.grid_sample(own, _places(own, rois[r : r + 1], size * samples), **_SAMPLING)
            out[r] = (F.max_pool3d if largest else F.avg_pool3d)(values, samples)[0]
    return out


_SAMPLING = {"mode": "bilinear", "padding_mode": "border", "align_corners": False}


def _places(own: Tensor, roi: Tensor, count: int) -> Tensor:
    """As `grid_sample` wants them: from -1 to 1 between the outer faces, last axis first."""
    shape = torch.tensor(own.shape[2:], device=own.device)
    return (2 * _turned(roi, _steps(count, roi)) / shape - 1).flip(-1).to(own.dtype)


def _largest_cell(own: Tensor, roi: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """(c, s, s, s) the largest cell of each bin, and its number in the volume, -1 for an empty bin.

    Along the last axis first, so that the first of equals is that of the lowest first coordinate.
    """
    (low, high), shape = _faces(roi), torch.tensor(own.shape[2:], device=own.device)
    c, s = roi[0, 6].cos(), roi[0, 6].sin()
    # No cell lies beyond the circle around the volume.
    far = float(shape.double().norm()) + 1
    first, last = low[0].clamp(-far, far).long(), high[0].clamp(-far, far).long()
    axes = [torch.arange(int(a), int(b), device=own.device) + 0.5 for a, b in zip(first, last, strict=True)]
    u, v, w = torch.meshgrid(*(axis.double() for axis in axes), indexing="ij")
    at = torch.stack([c * u - s * v, s * u + c * v, w], dim=-1).floor().long()
    inside = ((at >= 0) & (at < shape)).all(-1)
    number = torch.where(inside, (at[..., 0] * shape[1] + at[..., 1]) * shape[2] + at[..., 2], -1)
    values = torch.where(inside, own[0].flatten(1)[:, number.clamp(min=0)], -torch.inf)
    number = number.expand_as(values)
    for axis in (2, 1, 0):
        n, start, end = int(high[0, axis] - low[0, axis]), int(first[axis]), int(last[axis])
        found = []
        for i in range(size):
            a = max(int(low[0, axis]) + i * n // size, start)
            b = min(int(low[0, axis]) - (-(i + 1) * n // size), end)
            found.append(_first_largest(values, number, axis + 1, a - start, max(b - a, 0)))
        values, number = (torch.cat(parts, axis + 1) for parts in zip(*found, strict=True))
    return torch.where(number < 0, 0, values), number


def _first_largest(values: Tensor, number: Tensor, axis: int, a: int, count: int) -> tuple[Tensor, Tensor]:
    """Of `count` cells from `a` on along an axis the largest and its number; -1 where there are none."""
    if count == 0:
        shape = [1 if k == axis else n for k, n in enumerate(values.shape)]
        return values.new_full(shape, -torch.inf), number.new_full(shape, -1)
    best = values.narrow(axis, a, count).max(axis, keepdim=True)
    return best.values, number.narrow(axis, a, count).gather(axis, best.indices)


def roi_align_3d_backward_reference(
    grad: Tensor,
    volume: Tensor,
    rois: Tensor,
    batch: Tensor,
    size: int,
    samples: int,
    largest: bool,
    pool: bool,
) -> Tensor:
    """The gradient of each bin at the cells it came from."""
    out = torch.zeros_like(volume)
    for r in range(len(rois)):
        own, roi, to = volume[batch[r]][None], rois[r : r + 1], grad[r]
        if pool:
            number = _largest_cell(own, roi, size)[1].flatten(1)
            to = torch.where(number < 0, 0, to.flatten(1))
            out[batch[r]].flatten(1).scatter_add_(1, number.clamp(min=0), to)
            continue
        places = _places(own, roi, size * samples)
        if largest:
            values = F.grid_sample(own, places, **_SAMPLING)
            where = F.max_pool3d(values, samples, return_indices=True)[1][0]
            spread = torch.zeros_like(values[0])
            spread.flatten(1).scatter_(1, where.flatten(1), to.flatten(1))
        else:
            spread = to / samples**3
            for axis in (1, 2, 3):
                spread = spread.repeat_interleave(samples, axis)
        # 0: trilinear, 1: the border's values, and no gradient of the places.
        out[batch[r]] += torch.ops.aten.grid_sampler_3d_backward(
            spread[None], own, places, 0, 1, False, [True, False]
        )[0][0]
    return out


_HOW = "Tensor rois, Tensor batch, int size, int samples, bool largest, bool pool"
_forward = Operator(
    "gestalt3d::roi_align_3d", roi_align_3d_reference, schema=f"(Tensor volume, {_HOW}) -> Tensor"
)
_backward = Operator(
    "gestalt3d::roi_align_3d_backward",
    roi_align_3d_backward_reference,
    schema=f"(Tensor grad, Tensor volume, {_HOW}) -> Tensor",
)


@_forward.register_kernel("cpu", halves=True)
def _forward_cpu(volume, rois, batch, size, samples, largest, pool):
    from gestalt3d.ops._numba.roi_align_3d import roi_align_3d as kernel

    return kernel(volume, rois, batch, size, samples, largest, _faces(rois) if pool else None)


@_backward.register_kernel("cpu", halves=True)
def _backward_cpu(grad, volume, rois, batch, size, samples, largest, pool):
    from gestalt3d.ops._numba.roi_align_3d import roi_align_3d_backward as kernel

    return kernel(grad, volume, rois, batch, size, samples, largest, _faces(rois) if pool else None)


@_forward.register_fake
def _forward_fake(volume, rois, batch, size, samples, largest, pool):
    return volume.new_empty((rois.shape[0], volume.shape[1], size, size, size))


@_backward.register_fake
def _backward_fake(grad, volume, rois, batch, size, samples, largest, pool):
    return volume.new_empty(volume.shape)


def _context(ctx, inputs, output) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.how = inputs[3:]


_forward.register_autograd(
    lambda ctx, grad: (_backward(grad, *ctx.saved_tensors, *ctx.how), *(None,) * 6), setup_context=_context
)

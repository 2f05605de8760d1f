"""RoIAlign (He et al., "Mask R-CNN", ICCV 2017, Sec. 3): a fixed number of bins from each rectangle of an image.

In plain PyTorch: a rectangle has a few bins, and `torchvision.ops.roi_align(aligned=True)`, to which this is equal, costs the
import of all of torch's compiler.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def roi_align_2d(
    maps: Float[Tensor, "b c h w"],
    boxes: Float[Tensor, "r 4"],
    batch: Int[Tensor, "r"],
    *,
    scale: float,
    size: int,
    samples: int = 2,
) -> Float[Tensor, "r c s s"]:
    """Means of `size`² bins of each rectangle; rectangle `r` lies in map `batch[r]`.

    Rectangles are left, top, right and bottom edge in pixels of an image of which the maps have `scale` times the resolution.
    Pixel n of a map fills [n, n + 1) and its value belongs to the centre. Of a bin `samples`² places are interpolated between the
    four nearest centres; up to one pixel beyond the outermost centres they take the value there, farther out they are 0.
    Differentiable in `maps`. `r = 0` is allowed.
    """
    if maps.ndim != 4 or min(maps.shape[2:]) < 1:
        raise ValueError(f"maps must be (b, c, h, w) with a pixel at least, got {tuple(maps.shape)}")
    if boxes.ndim != 2 or boxes.shape[1] != 4 or batch.shape != boxes.shape[:1]:
        raise ValueError(
            f"boxes must be (r, 4) and batch (r,), got {tuple(boxes.shape)} and {tuple(batch.shape)}"
        )
    if size < 1 or samples < 1 or not scale > 0:
        raise ValueError(
            f"size and samples must be 1 or more, scale positive, got {size}, {samples}, {scale}"
        )
    if len(batch) and not (int(batch.min()) >= 0 and int(batch.max()) < len(maps)):
        raise ValueError(f"batch must be in [0, {len(maps)}), got {int(batch.min())} to {int(batch.max())}")
    places = size * samples
    share = (torch.arange(places, device=maps.device, dtype=maps.dtype) + 0.5) / places
    low, high = boxes.detach().to(maps).mul(scale).sub(0.5).split(2, dim=1)
    # Counted from the first centre: (r, places, x or y).
    at = low[:, None] + share[:, None] * (high - low)[:, None]
    last = at.new_tensor([maps.shape[3] - 1, maps.shape[2] - 1])
    is_near = (at >= -1) & (at <= last + 1)
    # From -1 at the first centre to 1 at the last.
    grid = 2 * at.minimum(last).clamp(min=0) / last.clamp(min=1) - 1
    found = maps.new_zeros(len(boxes), maps.shape[1], size, size)
    for b in batch.unique().tolist():
        own = batch.to(maps.device) == b
        x, y = grid[own].unbind(-1)
        mesh = torch.stack([x[:, None].expand(-1, places, -1), y[:, :, None].expand(-1, -1, places)], dim=-1)
        values = F.grid_sample(maps[b : b + 1], mesh.flatten(0, 1)[None], align_corners=True)[0]
        near = is_near[own]
        seen = values.unflatten(1, (-1, places)) * (near[:, None, :, 0] & near[:, :, None, 1])
        found[own] = F.avg_pool2d(seen, samples).transpose(0, 1)
    return found

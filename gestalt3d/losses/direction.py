"""Loss of vectors that should point at the centre of their object."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.centers import to_centers


def direction_loss(
    directions: Float[Tensor, "b n 3"], positions: Float[Tensor, "b n 3"], instances: Int[Tensor, "b n"]
) -> Float[Tensor, ""]:
    """MTML Eq. 5: minus the mean cosine between predicted vectors and those towards the centre, from -1 to 1.

    The mean over an instance's voxels, then over a scene's instances, then over scenes. The centre is the mean of the
    instance's positions, and the target points towards it, as the paper's text says; the printed Eq. 5, X_i - X_c, has
    the opposite sign. A voxel that lies on its centre has no direction and takes no part, nor does an instance
    of such voxels; nor do negative ids. A scene without instances contributes zero. In float32 also under autocast.
    """
    with torch.autocast(directions.device.type, enabled=False):
        wide = directions.float() if directions.dtype != torch.float64 else directions
        rows, width = len(wide), int(instances.max()) + 1 if instances.numel() else 0
        if width <= 0:
            return wide.sum() * 0.0
        slot = torch.where(instances < 0, width, instances.long())
        slot = (slot + torch.arange(rows, device=slot.device)[:, None] * (width + 1)).flatten()
        target, known = to_centers(positions.flatten(0, 1).to(wide.dtype), slot, rows * (width + 1))
        cosine = (F.normalize(wide.flatten(0, 1), dim=1) * target).sum(1)

        def per_slot(values: Tensor) -> Tensor:
            return values.new_zeros(rows * (width + 1)).index_add(0, slot, values).view(rows, -1)[:, :width]

        voxels = per_slot(known.to(cosine.dtype))
        mean = per_slot(cosine) / voxels.clamp(min=1)
        return -(mean.sum(1) / (voxels > 0).sum(1).clamp(min=1)).mean()  # Eq. 5

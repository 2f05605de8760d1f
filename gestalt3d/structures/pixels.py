"""Masks as pixels of an image, row by row from the upper left."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gestalt3d.structures.sets import Sets


def pixel_boxes(masks: Sets, *, width: int) -> Float[Tensor, "i 4"]:
    """Left, top, right and bottom edge of each mask of an image of this width; zeros for one without pixels."""
    rows, columns = masks.indices // width, masks.indices % width
    edges = torch.stack([columns, rows, -columns - 1, -rows - 1], dim=1)
    least = edges.new_zeros(len(masks), 4)
    least.scatter_reduce_(0, masks.owners[:, None].expand(-1, 4), edges, "amin", include_self=False)
    return (least * least.new_tensor([1, 1, -1, -1])).float()


def dense_mask(pixels: Int[Tensor, "k"], *, width: int, height: int) -> Bool[Tensor, "height width"]:
    """The mask of these pixels."""
    mask = torch.zeros(width * height, dtype=torch.bool, device=pixels.device)
    mask[pixels] = True
    return mask.reshape(height, width)

"""Crops of a photo around its objects, all brought to one size, and masks of crops brought back to the photo.

Boxes are left, top, right and bottom edge in pixels; the corner of the upper left pixel is 0 0. They may reach out of the photo,
where it is black and no object is.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gestalt3d.ops.roi_align_2d import roi_align_2d
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pixels import pixel_boxes
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View

Around = Literal["amodal", "visible"]
"""The boxes of whole objects, where the answer that is completed has them, or those of the visible masks."""


def squares(boxes: Float[Tensor, "i 4"], margin: float) -> Float[Tensor, "i 4"]:
    """The squares around the middles of boxes whose sides are `margin` times the longer side; of a pixel at least."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True).clamp(min=1) * margin / 2
    return torch.cat([middle - half, middle + half], dim=1)


def stretched(boxes: Float[Tensor, "i 4"], margin: float) -> Float[Tensor, "i 4"]:
    """The boxes themselves, each side `margin` times as long; of a pixel at least."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1) * margin / 2
    return torch.cat([middle - half, middle + half], dim=1)


def cut_image(
    image: Float[Tensor, "c h w"], boxes: Float[Tensor, "i 4"], side: int
) -> Float[Tensor, "i c side side"]:
    """What of the image lies in each box, as the mean over each pixel of the crop."""
    if not len(boxes):
        return image.new_zeros(0, len(image), side, side)
    return torch.cat([_cut(*_part(image, box), side) for box in boxes])


def cut_masks(
    masks: Sets, size: tuple[int, int], boxes: Float[Tensor, "i 4"], side: int
) -> Float[Tensor, "i side side"]:
    """How much of each pixel of its crop a mask fills, in [0, 1]. `size` is width and height of the photo."""
    width, height = size
    crops = [boxes.new_zeros(0, side, side)]
    for mask, box in zip(masks, boxes, strict=True):
        left, top, right, bottom = _inside(box, width, height)
        x, y = mask % width - left, mask // width - top
        dense = boxes.new_zeros(max(bottom - top, 0), max(right - left, 0))
        kept = (x >= 0) & (y >= 0) & (x < dense.shape[1]) & (y < dense.shape[0])
        dense[y[kept], x[kept]] = 1
        crops.append(_cut(dense[None], box - box.new_tensor([left, top, left, top]), side)[:, 0])
    return torch.cat(crops)


def pasted(
    probability: Float[Tensor, "i side side"],
    boxes: Float[Tensor, "i 4"],
    size: tuple[int, int],
    threshold: float = 0.5,
) -> Sets:
    """The pixels of a photo of that width and height where a crop's value, interpolated, is more than the threshold."""
    width, height = size
    found: list[Tensor] = []
    for values, box in zip(probability, boxes, strict=True):
        left, top, right, bottom = _inside(box, width, height)
        x, y = torch.arange(left, right) + 0.5, torch.arange(top, bottom) + 0.5
        low, high = box[:2].cpu(), box[2:].cpu()
        x, y = (x - low[0]) / (high[0] - low[0]) * 2 - 1, (y - low[1]) / (high[1] - low[1]) * 2 - 1
        if not (len(x) and len(y)):
            found.append(torch.zeros(0, dtype=torch.int64))
            continue
        at = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None]
        dense = F.grid_sample(
            values.cpu()[None, None], at.to(values.dtype), padding_mode="border", align_corners=False
        )
        row, column = (dense[0, 0] > threshold).nonzero(as_tuple=True)
        found.append((row + top) * width + column + left)
    return Sets.of(found, width * height)


def united(one: Sets, other: Sets) -> Sets:
    """Set by set, the elements of either."""
    return Sets.of([torch.cat(pair).unique() for pair in zip(one, other, strict=True)], one.size)


def only_behind(whole: Sets, masks: Sets) -> Sets:
    """Of each whole mask what is visible of its object or of another: nothing else can hide it, where all objects are known."""
    times = torch.bincount(masks.indices, minlength=masks.size)
    own = torch.zeros(masks.size, dtype=torch.int64)
    kept: list[Tensor] = []
    for pixels, visible in zip(whole, masks, strict=True):
        own[visible] = 1
        kept.append(pixels[(own[pixels] == 1) | (times[pixels] > 0)])
        own[visible] = 0
    return Sets.of(kept, whole.size)


def in_order(whole: Sets, masks: Sets, share: float = 1.0) -> Sets:
    """The whole masks without what would hide behind an object that itself hides behind this one.

    Of two objects each of which reaches behind the other's visible pixels, the one that does so with fewer than `share` times the
    pixels of the other is in front, and keeps nothing there; where both reach as far, both keep it. A pixel that several others
    show stays where one of them may be in front.
    """
    count = len(masks)
    hidden = whole.without(masks)
    place, over = masks.holding(hidden.indices)
    under = hidden.owners[place]
    reach = torch.bincount(under * count + over, minlength=count * count).view(count, count)
    is_front = (reach < share * reach.T) & (reach > 0)  # of a pair (set, mask): the set before the mask
    drop = torch.zeros(len(hidden.indices), dtype=torch.bool)
    drop[place] = True
    drop[place[~is_front[under, over]]] = False
    sizes = torch.bincount(hidden.owners[drop], minlength=count)
    return whole.without(Sets.from_sizes(sizes, hidden.indices[drop], whole.size))


def others_in_crops(
    masks: Sets, every: Sets, size: tuple[int, int], boxes: Float[Tensor, "i 4"], side: int
) -> Float[Tensor, "i side side"]:
    """How much of each pixel of a mask's crop others fill, in [0, 1]. `masks` are some of `every`; `size` as for `cut_masks`."""
    width, height = size
    times = torch.bincount(every.indices, minlength=every.size)
    crops = [boxes.new_zeros(0, side, side)]
    for mask, box in zip(masks, boxes, strict=True):
        others = times.clone()
        others[mask] -= 1
        crops.append(_cut(*_part((others > 0).to(boxes).view(1, height, width), box), side)[:, 0])
    return torch.cat(crops)


def boxes_to_cut(seen: Instances, view: View, around: Around) -> Float[Tensor, "i 4"]:
    """The boxes of the instances, of one kind or the other."""
    if around == "amodal" and seen.image_boxes is not None:
        return seen.image_boxes.float()
    return pixel_boxes(seen.masks, width=view.image.shape[2])


def _inside(box: Float[Tensor, "4"], width: int, height: int) -> tuple[int, int, int, int]:
    """The pixels of a photo that the box touches."""
    left, top, right, bottom = box.tolist()
    return (
        min(max(math.floor(left), 0), width),
        min(max(math.floor(top), 0), height),
        min(max(math.ceil(right), 0), width),
        min(max(math.ceil(bottom), 0), height),
    )


def _part(
    image: Float[Tensor, "c h w"], box: Float[Tensor, "4"]
) -> tuple[Float[Tensor, "c i j"], Float[Tensor, "4"]]:
    """The part of an image that the box touches, and the box in it."""
    left, top, right, bottom = _inside(box, image.shape[2], image.shape[1])
    return image[:, top:bottom, left:right], box - box.new_tensor([left, top, left, top])


def _cut(part: Float[Tensor, "c i j"], box: Float[Tensor, "4"], side: int) -> Float[Tensor, "1 c side side"]:
    if part.shape[1] == 0 or part.shape[2] == 0:
        return part.new_zeros(1, len(part), side, side)
    # Beyond the image the operator repeats its last pixel; there nothing is.
    part = F.pad(part, (1, 1, 1, 1))
    longest = float((box[2:] - box[:2]).max())
    samples = max(1, math.ceil(longest / side))
    first = torch.zeros(1, dtype=torch.int64)
    return roi_align_2d(part[None], box[None] + 1, first, scale=1.0, size=side, samples=samples)

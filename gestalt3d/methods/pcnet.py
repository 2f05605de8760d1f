"""PCNet-M, which completes masks (Zhan et al., "Self-Supervised Scene De-occlusion", CVPR 2020): learnt from visible masks alone.

A network is shown a mask of which a part was erased by another object's, and that other mask; it restores what was erased. It is
also shown pairs whose other object lies behind, and must leave the mask as it is. So it learns how much further an object reaches
behind another, and from this which of two is in front, without ever seeing a whole one. Sections are the paper's.

Readings, where the code says more than the paper, which it then follows:
- Crops are squares about the visible mask, whose side is the larger of the root of three times its box's area and 1.1 times its
  longer side; in training they are moved and scaled at random.
- An eraser is another visible mask of the photo, laid so that it covers a part of the object; of an object alone its own.
- Of two neighbours that one is behind which grows more into the other, if by a tenth of its size at least (Sec. 3.3). An object
  is completed behind all that are in front of it, directly or not, and keeps what it has.
- Of masks that meet nothing, nothing is known to hide anything, and they stay as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gestalt3d.configs import Lengths, NotNegative, Share, Shares, Width, Within, check_ranges
from gestalt3d.errors import UserError
from gestalt3d.methods.method import Learned, Moment
from gestalt3d.methods.photos.crops import cut_masks, pasted, united
from gestalt3d.nn.modes import evaluating
from gestalt3d.nn.unet_2d import UNet2D
from gestalt3d.stages import counted, stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pixels import pixel_boxes
from gestalt3d.structures.samples import LabelledView
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary

_AT_ONCE = 32
"""Pairs in `refine`, for memory."""
_TRIES = 20
"""To lay an eraser so that it covers enough."""


@dataclass(frozen=True)
class PCNetConfig:
    """Defaults are the authors'."""

    side: Annotated[int, Within(least=16, most=1024)] = 256
    """Pixels along the sides of a crop."""
    widths: tuple[Width, ...] = (64, 128, 256, 512, 512)
    """Channels of the U-Net, from its finest level to its coarsest."""
    erase: Share = 0.8
    """How often, in training, the other object lies in front."""
    cover: Shares = (0.001, 0.9)
    """Least and most share of an object that an eraser may cover."""
    shift: Share = 0.2
    """Farthest that a crop is moved in training, in its sides."""
    scale: Lengths = (0.8, 1.2)
    """Least and most that its side is multiplied with."""
    eraser_weight: NotNegative = 5.0
    """Of pixels of the eraser, in the cross-entropy."""
    order_threshold: Share = 0.1
    """Least growth, in sizes of the visible mask, by which an object is behind its neighbour."""
    threshold: Share = 0.2
    """A hidden pixel with more probability belongs to the object."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.side % 2 ** (len(self.widths) - 1):
            raise UserError(
                f"side {self.side}: must be a multiple of {2 ** (len(self.widths) - 1)}, for {len(self.widths)} levels"
            )


class Batch(NamedTuple):
    """Pairs of masks in crops around the first."""

    seen: Float[Tensor, "b s s"]
    """What is left of the object."""
    eraser: Float[Tensor, "b s s"]
    """The other one."""
    restored: Float[Tensor, "b s s"]
    """The object as it was."""

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(*(values.to(device) for values in self))

    @classmethod
    def cat(cls, parts: Sequence["Batch"]) -> "Batch":
        return cls(*map(torch.cat, zip(*parts, strict=True)))


class PCNet(Learned[View, Batch, Tensor]):
    name = "pcnet"
    takes = View
    not_trained = ("order_threshold", "threshold")
    config: PCNetConfig

    def __init__(self, config: PCNetConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.unet = UNet2D(2, config.widths, 2)

    @classmethod
    def from_config(cls, config: PCNetConfig, vocabulary: Vocabulary) -> "PCNet":
        return cls(config, vocabulary)

    # --- partial completion, self-supervised (Sec. 3.2) ---

    def prepare(self, sample: LabelledView, rng: np.random.Generator) -> Batch:
        """A pair for each visible mask of the photo; whole masks are not looked at."""
        truth, side = sample.truth, self.config.side
        truth = truth[truth.sizes > 0]
        width, height = sample.input.image.shape[2], sample.input.image.shape[1]
        boxes = self._around(pixel_boxes(truth.masks, width=width), rng)
        whole = cut_masks(truth.masks, (width, height), boxes, side) > 0.5
        parts = [Batch(*(torch.zeros(0, side, side) for _ in range(3)))]
        for i, mask in enumerate(whole):
            # Every mask of the photo can erase, in a crop of its own: another one where there is another.
            others = [j for j in range(len(whole)) if j != i] or [i]
            eraser = self._laid(whole[int(rng.choice(others))], mask, rng)
            in_front = rng.random() < self.config.erase
            seen = mask & ~eraser if in_front else mask
            # Behind the object the eraser shows only what the object leaves free.
            shown = eraser if in_front else eraser & ~mask
            parts.append(Batch(*(one[None].float() for one in (seen, shown, mask))))
        return Batch.cat(parts)

    def _around(
        self, boxes: Float[Tensor, "i 4"], rng: np.random.Generator | None = None
    ) -> Float[Tensor, "i 4"]:
        """The squares that are cut out for boxes of visible masks, moved and scaled at random with a generator."""
        size = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1)
        side = torch.maximum((3 * size.prod(1)).sqrt(), 1.1 * size.amax(1))
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        if rng is not None:
            c = self.config
            moved = rng.uniform(-c.shift, c.shift, (len(boxes), 2))
            side = side * torch.from_numpy(rng.uniform(*c.scale, len(boxes))).to(side)
            middle = middle + torch.from_numpy(moved).to(middle) * side[:, None]
        half = side[:, None] / 2
        return torch.cat([middle - half, middle + half], dim=1)

    def _laid(
        self, eraser: Bool[Tensor, "s s"], mask: Bool[Tensor, "s s"], rng: np.random.Generator
    ) -> Bool[Tensor, "s s"]:
        """Another mask moved at random, perhaps mirrored, so that it covers a part of this one; nothing where it never does."""
        low, high = self.config.cover
        if rng.random() < 0.5:
            eraser = eraser.flip(1)
        size, reach = max(int(mask.sum()), 1), self.config.side
        for _ in range(_TRIES):
            x, y = (int(step) for step in rng.integers(-reach // 2, reach // 2 + 1, 2))
            moved = _moved(eraser, x, y)
            if low <= int((moved & mask).sum()) / size <= high:
                return moved
        return torch.zeros_like(mask)

    # --- the network ---

    def forward(self, batch: Batch) -> Float[Tensor, "b 2 s s"]:
        return self.unet(torch.stack([batch.seen, batch.eraser], dim=1)).float()

    def losses(
        self, prediction: Float[Tensor, "b 2 s s"], batch: Batch, at: Moment
    ) -> dict[str, Float[Tensor, ""]]:
        """Cross-entropy over the pixels, those of the eraser weighing more (Eq. 2)."""
        each = F.cross_entropy(prediction, batch.restored.long(), reduction="none")
        weight = torch.where(batch.eraser > 0.5, self.config.eraser_weight, 1.0)
        return {"mask": (weight * each).sum() / max(each.numel(), 1)}

    # --- order, and completion behind what is in front (Sec. 3.3) ---

    def segment(self, given: View, /) -> Instances:
        """`ValueError`: it completes masks that others find."""
        raise ValueError("pcnet completes visible masks and finds none itself; call refine(view, seen)")

    @torch.inference_mode()
    def refine(self, view: View, seen: Instances, /) -> Instances:
        """The objects with `whole`, completed behind those that are in front of them."""
        size = (view.image.shape[2], view.image.shape[1])
        boxes = self._around(pixel_boxes(seen.masks, width=size[0]))
        with evaluating(self), stage("whole masks"):
            front = self._in_front(seen.masks, size, boxes)
            hidden = [
                torch.cat([seen.masks[j] for j in np.flatnonzero(front[:, i]).tolist()]).unique()
                if front[:, i].any()
                else torch.zeros(0, dtype=torch.int64)
                for i in range(len(seen))
            ]
            erasers = Sets.of(hidden, view.image[0].numel())
            rows = ((erasers.sizes > 0) & (seen.sizes > 0)).nonzero()[:, 0]
            grown = torch.zeros(len(seen), self.config.side, self.config.side)
            grown[rows] = self._completed(seen.masks, rows, erasers, rows, size, boxes)
        whole = united(seen.masks, pasted(grown, boxes, size, self.config.threshold))
        return replace(seen, whole=whole, method=self.name)

    def _completed(
        self,
        masks: Sets,
        rows: Int[Tensor, "p"],
        erasers: Sets,
        by: Int[Tensor, "p"],
        size: tuple[int, int],
        boxes: Float[Tensor, "i 4"],
    ) -> Float[Tensor, "p s s"]:
        """How probably each pixel of an eraser, in the crop of its object, is the object's."""
        side, device = self.config.side, next(self.parameters()).device
        found = [torch.zeros(0, side, side)]
        for first in counted(range(0, len(rows), _AT_ONCE)):
            some, others = rows[first : first + _AT_ONCE], by[first : first + _AT_ONCE]
            seen = (cut_masks(masks.take(some), size, boxes[some], side) > 0.5).float()
            eraser = (cut_masks(erasers.take(others), size, boxes[some], side) > 0.5).float()
            said = self.unet(torch.stack([seen, eraser], dim=1).to(device)).float().softmax(1)[:, 1].cpu()
            found.append(said * eraser)
        return torch.cat(found)

    def _in_front(
        self, masks: Sets, size: tuple[int, int], boxes: Float[Tensor, "i 4"]
    ) -> Bool[np.ndarray, "i i"]:
        """Whether the first object is in front of the second, directly or by others between."""
        pairs = _neighbours(masks, size[0])
        each = torch.cat([pairs, pairs.flip(1)])
        growth = self._completed(masks, each[:, 0], masks, each[:, 1], size, boxes)
        area = (cut_masks(masks, size, boxes, self.config.side) > 0.5).sum((1, 2)).clamp(min=1)
        grown = (growth > self.config.threshold).sum((1, 2)) / area[each[:, 0]]
        one, other = grown.chunk(2)
        behind = torch.where((one >= other)[:, None], pairs, pairs.flip(1))
        behind = behind[torch.maximum(one, other) >= self.config.order_threshold]
        front = np.zeros((len(masks), len(masks)), bool)
        front[behind[:, 1].numpy(), behind[:, 0].numpy()] = True
        for between in range(len(masks)):
            front |= front[:, between, None] & front[None, between]
        np.fill_diagonal(front, False)
        return front


def _moved(mask: Bool[Tensor, "s s"], x: int, y: int) -> Bool[Tensor, "s s"]:
    """Without what leaves the crop."""
    out = torch.zeros_like(mask)
    height, width = mask.shape
    part = mask[max(-y, 0) : height - max(y, 0), max(-x, 0) : width - max(x, 0)]
    out[max(y, 0) : max(y, 0) + part.shape[0], max(x, 0) : max(x, 0) + part.shape[1]] = part
    return out


def _neighbours(masks: Sets, width: int) -> Int[Tensor, "p 2"]:
    """Pairs of masks of an image of that width that overlap or touch, the lower number first."""
    count = len(masks)
    owners, pixels = masks.owners, masks.indices
    found = [torch.zeros(0, dtype=torch.int64)]
    for step in (0, 1, width):
        # An image's last pixel of a row does not touch the first of the next.
        inside = (pixels % width != width - 1) if step == 1 else torch.ones_like(pixels, dtype=torch.bool)
        place, theirs = masks.holding(pixels[inside] + step)
        mine = owners[inside][place]
        a, b = torch.minimum(mine, theirs), torch.maximum(mine, theirs)
        found.append((a * max(count, 1) + b)[a != b].unique())
    keys = torch.cat(found).unique()
    return torch.stack([keys // max(count, 1), keys % max(count, 1)], dim=1)


METHOD = PCNet

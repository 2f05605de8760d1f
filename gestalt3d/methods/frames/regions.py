"""From anchors to regions: which are empty, what they should learn, which are proposed, and a better box for each."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gestalt3d.configs import Count, NotNegative, Share, Within, check_ranges
from gestalt3d.methods.frames.objects import along, along_axes
from gestalt3d.nn.anchors import Kind
from gestalt3d.ops.aligned_boxes import aligned_iou, suppressed

_MOST_GROWTH = 1.5
"""Largest logarithm of a change of size; no network may make a box without end."""


@dataclass(frozen=True)
class RegionConfig:
    """Defaults are those of Deep Sliding Shapes."""

    anchors: Kind = "dss"
    """Its nineteen, or four scales by three aspect ratios."""
    density: NotNegative = 5000.0
    """Least points a cubic metre, of an image of 640 x 480, in an anchor's middle, which is half as wide, deep and high."""
    positive_iou: Share = 0.35
    """IoU with an object's box from which an anchor is one."""
    small_positive_iou: Share = 0.35
    """The same for small anchors; 0.30 in the code of Deep Sliding Shapes, and 0.35 in both papers."""
    negative_iou: Share = 0.15
    """IoU below which it is none. What lies between does not count."""
    forced_iou: Share = 0.25
    """An object that no anchor overlaps enough has the anchor that overlaps it most, if by more than that."""
    sampled: Count = 256
    """Anchors of a frame that training learns from, half of them positive where there are so many."""
    anchor_suppression: Share = 0.35
    """Of two anchors of one kind whose middles overlap by more, the better one stays."""
    of_each_anchor: Count = 150
    """Most anchors of a kind that stay."""
    proposals: Count = 2000
    """Most proposals of a frame."""
    proposal_suppression: Annotated[float, Within(above=0, most=1)] = 1.0
    """Of two proposals that overlap by more, the better one stays; 1 keeps all, as Deep Sliding Shapes does."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class Anchors:
    """All anchors of one branch in a frame, places first."""

    sizes: Float[Tensor, "a 3"]
    places: tuple[Float[Tensor, "x"], Float[Tensor, "y"], Float[Tensor, "z"]]
    """Along each axis of the grid, metres."""

    @property
    def count(self) -> int:
        x, y, z = (len(axis) for axis in self.places)
        return x * y * z * len(self.sizes)

    @cached_property
    def boxes(self) -> Float[Tensor, "n 6"]:
        """Centre and size, in the order of what the branch predicts."""
        center = torch.stack(torch.meshgrid(*self.places, indexing="ij"), dim=-1)
        shape = (*center.shape[:3], len(self.sizes), 3)
        both = (center[:, :, :, None].expand(shape), self.sizes.expand(shape))
        return torch.cat(both, dim=-1).flatten(0, 3)


class Targets(NamedTuple):
    """Of the anchors of one frame that training learns from."""

    rows: Int[Tensor, "k"]
    object: Int[Tensor, "k"]
    """Row of the frame's objects, -1 for none."""
    deltas: Float[Tensor, "k 6"]
    """0 where there is no object."""


def occupied(
    counts: Float[Tensor, "u v w"],
    anchors: Anchors,
    low: tuple[float, float, float],
    cell: float,
    density: float,
) -> Bool[Tensor, "n"]:
    """Anchors with enough points in their middle, whose sides are half of theirs; counted in whole cells, one at least."""
    integral = F.pad(counts.double().cumsum(0).cumsum(1).cumsum(2), (1, 0, 1, 0, 1, 0))
    found = []
    for size in anchors.sizes:
        first, last = [], []
        for axis, places in enumerate(anchors.places):
            middle = (places - low[axis]) / cell
            half = float(size[axis]) / 4 / cell
            a, b = (middle - half).round(), (middle + half).round()
            b = torch.maximum(b, a + 1)
            most = counts.shape[axis]
            first.append(a.clamp(0, most).long())
            last.append(b.clamp(0, most).long())
        inside = torch.zeros(tuple(len(p) for p in anchors.places), dtype=torch.float64)
        for corner in range(8):
            ends = [last[k] if corner >> k & 1 else first[k] for k in range(3)]
            sign = 1 if bin(corner).count("1") % 2 == 1 else -1
            inside += sign * integral[ends[0]][:, ends[1]][:, :, ends[2]]
        volume = float((size / 2).prod())
        found.append(inside >= max(1.0, density * volume))
    return torch.stack(found, dim=-1).flatten()


def deltas_to(anchors: Float[Tensor, "n 6"], truth: Float[Tensor, "n 6"]) -> Float[Tensor, "n 6"]:
    """What leads from anchors to boxes with the same axes: shift in half sizes, logarithm of the growth."""
    shift = (truth[:, :3] - anchors[:, :3]) / (anchors[:, 3:] / 2)
    return torch.cat([shift, (truth[:, 3:].clamp(min=0.02) / anchors[:, 3:]).log()], dim=1)


def changed(anchors: Float[Tensor, "n 6"], deltas: Float[Tensor, "n 6"]) -> Float[Tensor, "n 6"]:
    """The boxes to which `deltas_to` leads."""
    center = anchors[:, :3] + deltas[:, :3].clamp(-4, 4) * anchors[:, 3:] / 2
    return torch.cat([center, anchors[:, 3:] * deltas[:, 3:].clamp(-_MOST_GROWTH, _MOST_GROWTH).exp()], dim=1)


def aligned_truth(boxes: Float[Tensor, "o 7"], yaw: Float[Tensor, ""]) -> Float[Tensor, "o 6"]:
    """True boxes in the axes of `along_axes`, their axes matched and what they differ by in yaw left out."""
    near, _ = along(boxes, yaw.expand(len(boxes)))
    return along_axes(near, yaw.expand(len(boxes)))


def targets(
    anchors: Float[Tensor, "n 6"],
    is_small: Bool[Tensor, "n"],
    truth: Float[Tensor, "o 6"],
    c: RegionConfig,
) -> Targets:
    """Random positive and negative ones of a frame's anchors, all in the same axes."""
    overlap = torch.cat([aligned_iou(anchors, truth), anchors.new_zeros(len(anchors), 1)], dim=1)
    best, nearest = overlap.max(1)
    positive = best >= torch.where(is_small, c.small_positive_iou, c.positive_iou)
    if len(truth) and len(anchors):
        highest, row = overlap[:, :-1].max(0)
        lacking = (highest > c.forced_iou) & ~_reached(nearest, positive, len(truth))
        positive[row[lacking]] = True
        nearest = nearest.index_put((row[lacking],), lacking.nonzero()[:, 0])
    half = c.sampled // 2
    some = shuffled(positive.nonzero()[:, 0])[:half]
    others = shuffled(((best < c.negative_iou) & ~positive).nonzero()[:, 0])
    others = others[: max(c.sampled - len(some), len(some))]
    chosen = torch.cat([some, others])
    object = torch.where(positive[chosen], nearest[chosen], -1)
    wanted = torch.cat([truth, truth.new_zeros(1, 6)])[object]
    deltas = torch.where((object >= 0)[:, None], deltas_to(anchors[chosen], wanted), 0)
    return Targets(chosen, object, deltas)


def _reached(nearest: Int[Tensor, "n"], positive: Bool[Tensor, "n"], count: int) -> Bool[Tensor, "o"]:
    """Objects that have a positive anchor."""
    found = torch.zeros(count, dtype=torch.bool, device=nearest.device)
    found[nearest[positive]] = True
    return found


def proposed(
    anchors: Float[Tensor, "n 6"],
    kinds: Int[Tensor, "n"],
    score: Float[Tensor, "n"],
    deltas: Float[Tensor, "n 6"],
    c: RegionConfig,
) -> tuple[Float[Tensor, "k 6"], Float[Tensor, "k"]]:
    """Better boxes for the best anchors of a frame, the best first, and their scores."""
    kept = [torch.zeros(0, dtype=torch.int64, device=anchors.device)]
    for kind in torch.unique(kinds):
        own = (kinds == kind).nonzero()[:, 0]
        # What is far down would not be among the best that stay.
        own = own[score[own].argsort(descending=True, stable=True)][: 20 * c.of_each_anchor]
        middles = torch.cat([anchors[own, :3], anchors[own, 3:] / 2], dim=1)
        kept.append(own[suppressed(middles, score[own], max_iou=c.anchor_suppression)][: c.of_each_anchor])
    rows = torch.cat(kept)
    rows = rows[score[rows].argsort(descending=True, stable=True)][: c.proposals]
    boxes, own_score = changed(anchors[rows], deltas[rows]), score[rows]
    if c.proposal_suppression < 1:
        stay = suppressed(boxes, own_score, max_iou=c.proposal_suppression)
        boxes, own_score = boxes[stay], own_score[stay]
    return boxes, own_score


def shuffled(rows: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
    """In random order."""
    return rows[torch.randperm(len(rows), device=rows.device)]

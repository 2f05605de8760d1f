"""Proposals: points for each seed of a scene, and how sure each is."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.losses.variational import Gaussian
from gestalt3d.ops.aligned_boxes import suppressed


class Made(NamedTuple):
    """What a network proposes for every seed, and what its losses need beside it."""

    shape: Float[Tensor, "b s p 3"]
    """Points, from the predicted centre."""
    confidence: Float[Tensor, "b s p"]
    """Logit of e: whether something is there."""
    prior: Gaussian | None = None
    """Of generated shapes."""
    proposal: Gaussian | None = None
    """Of the recognition network; the prior where there is no object to recognise."""
    anchors: Float[Tensor, "b s a 7"] | None = None
    """Of anchor boxes: the logit of being an object's, and `box_deltas`."""
    members: Int[Tensor, "b s p"] | None = None
    """Of segments: rows of the scene's points, -1 where there are fewer."""


def counted_points(confidence: Float[Tensor, "*s p"]) -> Tensor:
    """The points that count: those with e > .5, all where there are none."""
    sure = confidence > 0.5
    return sure | ~sure.any(-1, keepdim=True)


def boxes_of(
    center: Float[Tensor, "*s 3"], shape: Float[Tensor, "*s p 3"], confidence: Float[Tensor, "*s p"]
) -> Float[Tensor, "*s 6"]:
    """Centre and size of the boxes along the axes around the points that count; confidence from 0 to 1."""
    counts = counted_points(confidence)[..., None]
    low = shape.masked_fill(~counts, torch.inf).amin(-2)
    high = shape.masked_fill(~counts, -torch.inf).amax(-2)
    return torch.cat([center + (low + high) / 2, high - low], dim=-1)


class Proposals(NamedTuple):
    """What was generated for each seed of a scene."""

    center: Float[Tensor, "s 3"]
    shape: Float[Tensor, "s p 3"]
    """From the centre."""
    confidence: Float[Tensor, "s p"]
    """e, 0 to 1."""
    objectness: Float[Tensor, "s"]
    """0 to 1."""
    context: Float[Tensor, "s f"]
    """f_c."""
    boxes: Float[Tensor, "s 6"]
    """Of the confident points: centre and size."""

    def points_of(self, i: int) -> Float[Tensor, "k 3"]:
        """The confident points of a shape, all where there are none, in the scene's frame."""
        return self.shape[i][counted_points(self.confidence[i])] + self.center[i]

    def best(self, *, before: int, most: int, max_iou: float) -> Int[Tensor, "k"]:
        """At most `most` that do not overlap by more than `max_iou`, of the `before` most object-like, best first."""
        first = torch.argsort(self.objectness, descending=True, stable=True)[:before]
        return first[suppressed(self.boxes[first], self.objectness[first], max_iou=max_iou)][:most]

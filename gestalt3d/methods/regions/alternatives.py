"""Proposals that are regressed or segmented instead of generated, with which GSPN is compared (Yi et al., CVPR 2019, Table 4).

Both say of every seed what a generator says, points and how sure each is: the box around the sure ones is the proposal.

Readings: the paper does not give its 27 anchors. Here they are boxes about the predicted centre with the volumes of cubes of
three widths, of three proportions on the ground (square, long along x, long along y) times three heights (half, as high, twice).
An anchor is positive where its IoU with the seed's object is above 1/2, and so is the best one of each seed on an object.
"""

from itertools import product

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gestalt3d.methods.regions.box_deltas import box_deltas, changed_boxes
from gestalt3d.methods.regions.proposals import Made
from gestalt3d.nn.pointnet import point_layers, scaled
from gestalt3d.ops.aligned_boxes import aligned_iou
from gestalt3d.ops.ball_query import ball_query
from gestalt3d.ops.gather import gather
from gestalt3d.ops.neighbour_max import group_max

ANCHORS = 27
_POSITIVE = 0.5
_CORNERS = torch.tensor(list(product((-0.5, 0.5), repeat=3)))
_SURE = 20.0
"""Logit of what is not in question."""


def anchor_sizes(scales: tuple[float, float, float]) -> Float[Tensor, "27 3"]:
    """Sizes along x, y and z of the anchors, metres."""
    sizes = []
    for scale, (x, y), z in product(scales, ((1.0, 1.0), (2.0, 1.0), (1.0, 2.0)), (0.5, 1.0, 2.0)):
        side = scale / (x * y * z) ** (1 / 3)
        sizes.append([side * x, side * y, side * z])
    return torch.tensor(sizes)


class AnchorBoxes(nn.Module):
    """For each seed the anchor that is most likely an object's, as it is refined; its corners are the proposal's points."""

    def __init__(self, channels: int, scales: tuple[float, float, float], width_scale: float) -> None:
        super().__init__()
        widths = [scaled(width, width_scale) for width in (256, 256)]
        self.net = nn.Sequential(point_layers([channels, *widths]), nn.Linear(widths[-1], ANCHORS * 7))
        self.register_buffer("sizes", anchor_sizes(scales), persistent=False)
        self.sizes: Tensor

    def forward(self, context: Float[Tensor, "b s c"]) -> Made:
        every = self.net(context).float().unflatten(-1, (ANCHORS, 7))
        best = every[..., 0].argmax(-1, keepdim=True)
        chosen = every.gather(2, best[..., None].expand(-1, -1, 1, 7))[:, :, 0]
        start = torch.cat([torch.zeros_like(chosen[..., :3]), self.sizes[best[..., 0]]], dim=-1)
        boxes = changed_boxes(start.flatten(0, 1), chosen[..., 1:].flatten(0, 1)).unflatten(
            0, start.shape[:2]
        )
        shape = boxes[..., None, :3] + boxes[..., None, 3:] * _CORNERS.to(boxes)
        return Made(shape, torch.full_like(shape[..., 0], _SURE), anchors=every)

    def losses(
        self, anchors: Float[Tensor, "k 27 7"], boxes: Float[Tensor, "k 6"]
    ) -> dict[str, Float[Tensor, ""]]:
        """Of seeds on objects, whose boxes are given from the predicted centre."""
        start = torch.cat([torch.zeros_like(self.sizes), self.sizes], dim=1)
        overlap = aligned_iou(boxes, start)
        positive = overlap > _POSITIVE
        if len(boxes):
            positive = positive | (overlap == overlap.amax(1, keepdim=True)) & (overlap > 0)
        seed, anchor = positive.nonzero(as_tuple=True)
        wanted = box_deltas(start[anchor], boxes[seed])
        off = F.smooth_l1_loss(anchors[seed, anchor, 1:], wanted, reduction="sum")
        objectness = F.binary_cross_entropy_with_logits(anchors[..., 0], positive.float(), reduction="sum")
        return {
            "anchor objectness": objectness / max(positive.numel(), 1),
            "anchor boxes": off / max(6 * len(seed), 1),
        }


class ContextSegments(nn.Module):
    """For each seed the points of the largest context about it, each with the logit of belonging to the seed's object."""

    def __init__(self, radius: float, points: int, width_scale: float) -> None:
        super().__init__()
        a, b, c, d = (scaled(width, width_scale) for width in (64, 128, 512, 256))
        self.radius, self.points = radius, points
        self.local = point_layers([6, a, a])
        self.whole = point_layers([a, a, b, c])
        self.joined = nn.Sequential(point_layers([a + c, d, d]), nn.Linear(d, 1))

    def forward(
        self,
        points: Float[Tensor, "b n 3"],
        colors: Float[Tensor, "b n 3"],
        places: Float[Tensor, "b s 3"],
        centers: Float[Tensor, "b s 3"],
    ) -> Made:
        members = ball_query(places, points, radius=self.radius, k=self.points)
        index = torch.where(members < 0, members[..., :1], members).clamp(min=0)
        own = gather(points, index.flatten(1)).unflatten(1, index.shape[1:])
        color = gather(colors, index.flatten(1)).unflatten(1, index.shape[1:])
        local = self.local(torch.cat([own - places[:, :, None], color], dim=-1))
        whole = group_max(self.whole(local))[:, :, None].expand(-1, -1, local.shape[2], -1)
        logit = self.joined(torch.cat([local, whole], dim=-1))[..., 0].float()
        return Made(own - centers[:, :, None], logit, members=members)

    @staticmethod
    def losses(
        logits: Float[Tensor, "k p"], inside: Float[Tensor, "k p"], known: Float[Tensor, "k p"]
    ) -> dict[str, Float[Tensor, ""]]:
        """Of seeds on objects: whether each point is the object's; `known` is 0 where there is none."""
        every = F.binary_cross_entropy_with_logits(logits, inside, weight=known, reduction="sum")
        return {"segment": every / known.sum().clamp(min=1)}

"""What R-PointNet decides about a region (GSPN, Yi et al., CVPR 2019, Sec. 3.2 and appendix A): class, better box and mask."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from gestalt3d.methods.staged import Known
from gestalt3d.nn.pointnet import PointLayer, point_layers, scaled
from gestalt3d.nn.pointnet2 import PointNet2Features
from gestalt3d.ops.gather import gather
from gestalt3d.ops.interpolate import interpolate
from gestalt3d.ops.knn import Neighbours, knn
from gestalt3d.ops.neighbour_max import group_max
from gestalt3d.ops.roi_align import point_roi_align

_LEVEL_CHANNELS = 64
"""Of f_sem, of each level, as in the authors' code."""
_LOCAL = 6
"""A point and the predicted centre of its object, both in the frame of the region."""
_FARTHEST = 4.0
"""Predicted centres are seen at most so many sizes of the region away: a flat region would see them at infinity."""


class Regions(NamedTuple):
    """Points of as many regions of each scene."""

    index: Int[Tensor, "b r k"]
    """Rows of the scene's points, -1 in a region without points."""
    local: Float[Tensor, "b r k 6"]
    """The point and its predicted centre, in sizes of the region from its centre."""

    def to(self, device: torch.device | str) -> "Regions":
        return Regions(*(values.to(device) for values in self))


class Backbone(NamedTuple):
    """What is known at the points of scenes, before it is brought to regions."""

    context: Float[Tensor, "b s c"] | None
    """f_c at the seeds."""
    near: Neighbours
    """The three nearest seeds of every point."""
    semantic: Float[Tensor, "b n d"] | None
    """f_sem at the points."""


def regions_of(
    boxes: Float[Tensor, "b r 6"],
    draws: Float[Tensor, "b r k"],
    points: Float[Tensor, "b n 3"],
    centers: Float[Tensor, "b n 3"],
) -> Regions:
    """Point RoIAlign: points in each box, chosen by draws from 0 to 1, beside the centres that are predicted at them."""
    found = []
    for own, wanted, at, center in zip(boxes, draws, points, centers, strict=True):
        upright = torch.cat([own, own.new_zeros(len(own), 1)], dim=1)
        drawn = point_roi_align(at, upright, wanted)
        size = torch.where(own[:, None, 3:] > 0, own[:, None, 3:], 1)
        away = (center[drawn.index.clamp(min=0)] - own[:, None, :3]) / size
        away = away.clamp(-_FARTHEST, _FARTHEST).masked_fill(drawn.index[..., None] < 0, 0)
        found.append((drawn.index, torch.cat([drawn.local.to(away), away], dim=-1)))
    return Regions(*map(torch.stack, zip(*found, strict=True)))


class SemanticFeatures(nn.Module):
    """f_sem: every level of a PointNet++ through a layer of its own, at every point; side by side."""

    def __init__(self, channels: tuple[int, ...], width_scale: float) -> None:
        super().__init__()
        width = scaled(_LEVEL_CHANNELS, width_scale)
        self.levels = nn.ModuleList([PointLayer(c, width) for c in channels])
        self.channels = width * len(channels)

    def forward(self, features: PointNet2Features, points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n d"]:
        found = []
        for layer, known, level in zip(self.levels, features.skips[1:], features.levels, strict=True):
            assert isinstance(layer, PointLayer)
            # The linear half where there are fewest rows; it commutes with interpolation.
            weight, bias = layer.weight_and_bias()
            near = knn(points, level.points, k=3)
            found.append(layer.finish(interpolate(F.linear(known, weight, bias), near)))
        return torch.cat(found, dim=-1)


class KnownFeatures(nn.Module):
    """f_sem of what a trained backbone knows of the points: a layer, as wide as one level of `SemanticFeatures`."""

    def __init__(self, channels: int, width_scale: float) -> None:
        super().__init__()
        self.channels = scaled(_LEVEL_CHANNELS, width_scale)
        self.layer = PointLayer(channels, self.channels)

    def forward(self, known: Known) -> Float[Tensor, "b n d"]:
        return self.layer(known.joined)


class RegionLayer(nn.Module):
    """`PointLayer` on the points of regions: each point's place in its region, f_c and f_sem side by side."""

    def __init__(self, context: int, semantic: int, outputs: int) -> None:
        super().__init__()
        self.layer = PointLayer(_LOCAL + context + semantic, outputs)
        self.split = [_LOCAL, context, semantic]

    def forward(self, regions: Regions, known: Backbone) -> Float[Tensor, "b r k d"]:
        weight, bias = self.layer.weight_and_bias()
        on_local, on_context, on_semantic = weight.split(self.split, dim=1)
        values = F.linear(regions.local, on_local, bias)
        # Once for every seed and every point of the scene, not once for every region that they lie in.
        each: Tensor | None = None
        if known.context is not None:
            each = interpolate(F.linear(known.context, on_context), known.near)
        if known.semantic is not None:
            seen = F.linear(known.semantic, on_semantic)
            each = seen if each is None else each + seen
        if each is not None:
            values = values + gather(each, regions.index.flatten(1)).unflatten(1, regions.index.shape[1:])
        return self.layer.finish(values)


class ClassHead(nn.Module):
    """PointNet over a region: logits of the classes, the last one background, and a better box for each class."""

    def __init__(self, context: int, semantic: int, classes: int, width_scale: float) -> None:
        super().__init__()
        a, b, c = (scaled(width, width_scale) for width in (128, 256, 512))
        self.first = RegionLayer(context, semantic, a)
        self.rest = point_layers([a, b, c])
        self.to_class = nn.Sequential(point_layers([c, b, b]), nn.Linear(b, classes + 1))
        self.to_box = nn.Sequential(point_layers([c, b, b]), nn.Linear(b, classes * 6))

    def forward(
        self, regions: Regions, known: Backbone
    ) -> tuple[Float[Tensor, "b r classes_plus_1"], Float[Tensor, "b r classes 6"]]:
        whole = group_max(self.rest(self.first(regions, known)))
        return self.to_class(whole).float(), self.to_box(whole).float().unflatten(-1, (-1, 6))


class MaskHead(nn.Module):
    """PointNet over a region: for each class a logit at every point, whether it belongs to the object."""

    def __init__(self, context: int, semantic: int, classes: int, width_scale: float) -> None:
        super().__init__()
        a, b, c, d = (scaled(width, width_scale) for width in (64, 128, 512, 256))
        self.first = RegionLayer(context, semantic, a)
        self.local = point_layers([a, a])
        self.whole = point_layers([a, a, b, c])
        self.joined = PointLayer(a + c, d)
        self.last = nn.Sequential(point_layers([d, d]), nn.Linear(d, classes))

    def forward(self, regions: Regions, known: Backbone) -> Float[Tensor, "b r k classes"]:
        local = self.local(self.first(regions, known))
        whole = group_max(self.whole(local))
        weight, bias = self.joined.weight_and_bias()
        split = local.shape[-1]
        # The feature of the region is multiplied once, not once for each of its points.
        tiled = F.linear(whole, weight[:, split:], bias)[:, :, None]
        return self.last(self.joined.finish(F.linear(local, weight[:, :split]) + tiled)).float()

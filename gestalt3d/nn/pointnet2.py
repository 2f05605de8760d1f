"""PointNet++ (Qi et al., NeurIPS 2017), single-scale grouping, for per-point predictions.

Linear maps commute with gathering, with subtracting the centroid and with interpolating, so the first layer
of every module is applied where there are fewest rows: to the points before grouping, to the coarse level
before interpolation. The function is the paper's, with a fraction of the multiplications.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from gestalt3d.nn.pointnet import PointLayer, point_layers, scaled
from gestalt3d.ops.ball_query import ball_query
from gestalt3d.ops.farthest_points import farthest_points
from gestalt3d.ops.gather import gather
from gestalt3d.ops.interpolate import interpolate
from gestalt3d.ops.knn import Neighbours, knn
from gestalt3d.ops.neighbour_max import group_max

WIDTHS = ((32, 32, 64), (64, 64, 128), (128, 128, 256), (256, 256, 512))
RADII = (0.1, 0.2, 0.4, 0.8)
DECODER_WIDTHS = ((256, 256), (256, 256), (256, 128), (128, 128, 128))


class Level(NamedTuple):
    """One level of the pyramid: a quarter of the points below it."""

    points: Float[Tensor, "b m 3"]
    group: Int[Tensor, "b m k"]
    """Rows of the level below within the radius of each point, the first one repeated to fill up."""
    below: Neighbours
    """For every point of the level below: its three nearest of this level."""


class PointNet2Features(NamedTuple):
    skips: tuple[Float[Tensor, "b _m _c"], ...]
    """Features per level, the input's own (without coordinates) first."""
    levels: tuple[Level, ...]


@torch.no_grad()
def pyramid(
    points: Float[Tensor, "b n 3"],
    *,
    radii: Sequence[float],
    group_size: int,
    counts: Sequence[int] | None = None,
) -> tuple[Level, ...]:
    """Farthest points, the balls around them, and the way back: 1024, 256, 64, 16 points for 4,096, or at most `counts`."""
    levels = []
    for i, radius in enumerate(radii):
        below = points.shape[1]
        chosen = farthest_points(points, max(1, below // 4 if counts is None else min(counts[i], below)))
        centers = gather(points, chosen)
        group = filled_up(ball_query(centers, points, radius=radius, k=group_size))
        levels.append(Level(centers, group, knn(points, centers, k=3)))
        points = centers
    return tuple(levels)


def filled_up(group: Int[Tensor, "b m k"]) -> Int[Tensor, "b m k"]:
    """The first of each group in the places that have none; -1 stays where a group is empty."""
    return torch.where(group < 0, group[..., :1], group)


class SetAbstraction(nn.Module):
    """Features of each ball: layers on (relative coordinates, features), maximum over the ball."""

    def __init__(self, inputs: int, widths: Sequence[int]):
        super().__init__()
        self.first = PointLayer(3 + inputs, widths[0])
        self.rest = point_layers(widths)

    def forward(
        self,
        points: Float[Tensor, "b n 3"],
        features: Float[Tensor, "b n c"],
        centers: Float[Tensor, "b m 3"],
        group: Int[Tensor, "b m k"],
    ) -> Float[Tensor, "b m d"]:
        weight, bias = self.first.weight_and_bias()
        device = points.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else features.dtype
        # In float32 whatever autocast says: the difference of two positions would drown in bfloat16's steps.
        with torch.autocast(device, enabled=False):
            each = F.linear(torch.cat([points, features.float()], dim=-1), weight, bias)
            center = F.linear(centers, weight[:, :3])
            grouped = (gather(each, group) - center[:, :, None]).to(dtype)
        return group_max(self.rest(self.first.finish(grouped)))


class FeaturePropagation(nn.Module):
    """Features of a coarse level brought to the finer one below and joined with what that level knew."""

    def __init__(self, coarse: int, skip: int, widths: Sequence[int]):
        super().__init__()
        self.first = PointLayer(coarse + skip, widths[0])
        self.rest = point_layers(widths)

    def forward(
        self, coarse: Float[Tensor, "b m c"], skip: Float[Tensor, "b n s"], below: Neighbours
    ) -> Float[Tensor, "b n d"]:
        weight, bias = self.first.weight_and_bias()
        split = coarse.shape[-1]
        brought = interpolate(F.linear(coarse, weight[:, :split]), below)
        return self.rest(self.first.finish(brought + F.linear(skip, weight[:, split:], bias)))


class PointNet2Encoder(nn.Module):
    """Four set abstractions. The first three input channels are the coordinates, metres in the block."""

    def __init__(
        self,
        inputs: int,
        *,
        radii: Sequence[float] = RADII,
        group_size: int = 32,
        width_scale: float = 1.0,
        counts: Sequence[int] | None = None,
    ):
        super().__init__()
        self.radii, self.group_size, self.counts = tuple(radii), group_size, counts
        channels = [inputs - 3]
        stages = []
        for widths in WIDTHS:
            widths = [scaled(w, width_scale) for w in widths]
            stages.append(SetAbstraction(channels[-1], widths))
            channels.append(widths[-1])
        self.stages = nn.ModuleList(stages)
        self.channels = tuple(channels)

    def forward(self, points: Float[Tensor, "b n c"]) -> PointNet2Features:
        xyz, features = points[..., :3].contiguous(), points[..., 3:]
        levels = pyramid(xyz, radii=self.radii, group_size=self.group_size, counts=self.counts)
        skips = [features]
        for stage, level in zip(self.stages, levels, strict=True):
            skips.append(stage(xyz, skips[-1], level.points, level.group))
            xyz = level.points
        return PointNet2Features(tuple(skips), levels)


class PointNet2Decoder(nn.Module):
    """Four feature propagations back to the points, then one layer to `outputs` channels per point."""

    def __init__(self, encoder: PointNet2Encoder, outputs: int, *, width_scale: float = 1.0):
        super().__init__()
        coarse = encoder.channels[-1]
        stages = []
        for skip, widths in zip(reversed(encoder.channels[:-1]), DECODER_WIDTHS, strict=True):
            widths = [scaled(w, width_scale) for w in widths]
            stages.append(FeaturePropagation(coarse, skip, widths))
            coarse = widths[-1]
        self.stages = nn.ModuleList(stages)
        self.last = PointLayer(coarse, outputs)

    def forward(self, features: PointNet2Features) -> Float[Tensor, "b n d"]:
        """Of every point that the encoder saw."""
        return self._down(features, features.skips[0], features.levels[0].below)

    def at(
        self,
        features: PointNet2Features,
        places: Float[Tensor, "b m 3"],
        skip: Float[Tensor, "b m c"],
    ) -> Float[Tensor, "b m d"]:
        """Of `places` only, with what the encoder was given of each beside its coordinates."""
        return self._down(features, skip, knn(places, features.levels[0].points, k=3))

    def _down(
        self, features: PointNet2Features, skip: Float[Tensor, "b m c"], below: Neighbours
    ) -> Float[Tensor, "b m d"]:
        skips = [*reversed(features.skips[1:-1]), skip]
        ways = [*(level.below for level in reversed(features.levels[1:])), below]
        x = features.skips[-1]
        for stage, known, way in zip(self.stages, skips, ways, strict=True):
            x = stage(x, known, way)
        return self.last(x)

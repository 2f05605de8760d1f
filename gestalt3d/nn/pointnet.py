"""PointNet (Qi et al., CVPR 2017) for per-point predictions, and the layer shared by every point network.

Rows of channels instead of convolutions: a layer shared by all points is a matrix product on (rows,
channels).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gestalt3d.nn.norm import folded, rectified
from gestalt3d.ops.neighbour_max import group_max


class PointLayer(nn.Module):
    """Fully connected layer shared by all points, batch norm, ReLU.

    In eval mode the batch norm is folded into the weight. `weight_and_bias` and `finish` are its two
    halves, for callers that apply the linear map before gathering or interpolating, where it costs a
    fraction.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.norm = nn.BatchNorm1d(outputs, eps=1e-3)
        nn.init.xavier_uniform_(self.weight)

    def weight_and_bias(self) -> tuple[Float[Tensor, "d c"], Float[Tensor, "d"] | None]:
        """The linear half: raw in training, with the batch norm folded in otherwise."""
        if self.norm.training:
            return self.weight, None
        scale, bias = folded(self.norm)
        return self.weight * scale[:, None], bias

    def finish(self, values: Float[Tensor, "*rows d"]) -> Float[Tensor, "*rows d"]:
        """The other half: ReLU, in training after batch norm over all rows."""
        return rectified(self.norm, values)

    def forward(self, rows: Float[Tensor, "*rows c"]) -> Float[Tensor, "*rows d"]:
        weight, bias = self.weight_and_bias()
        return self.finish(F.linear(rows, weight, bias))


def point_layers(widths: Sequence[int]) -> nn.Sequential:
    """`PointLayer`s from `widths[0]` channels through all others."""
    return nn.Sequential(*(PointLayer(a, b) for a, b in pairwise(widths)))


class PointNetFeatures(NamedTuple):
    local: Float[Tensor, "b n c"]
    whole: Float[Tensor, "b d"]


class PointNetEncoder(nn.Module):
    """Per point 64, 64, 64, 128, 1024; all points of a block share the maximum, sent through 256, 128.

    As in the authors' scene segmentation network: no T-Nets.
    """

    def __init__(self, inputs: int, *, width_scale: float = 1.0):
        super().__init__()
        local = [scaled(w, width_scale) for w in (64, 64, 64, 128, 1024)]
        whole = [scaled(w, width_scale) for w in (256, 128)]
        self.local = point_layers([inputs, *local])
        self.whole = point_layers([local[-1], *whole])
        self.channels = (local[-1], whole[-1])

    def forward(self, points: Float[Tensor, "b n c"]) -> PointNetFeatures:
        local = self.local(points)
        return PointNetFeatures(local, self.whole(group_max(local)))


class PointNetDecoder(nn.Module):
    """Local and global features side by side, through 512 and 256, to `outputs` channels per point."""

    def __init__(self, encoder: PointNetEncoder, outputs: int, *, width_scale: float = 1.0):
        super().__init__()
        widths = [scaled(w, width_scale) for w in (512, 256)]
        self.first = PointLayer(sum(encoder.channels), widths[0])
        self.rest = point_layers([*widths, outputs])

    def forward(self, features: PointNetFeatures) -> Float[Tensor, "b n d"]:
        weight, bias = self.first.weight_and_bias()
        split = features.local.shape[-1]
        # The tiled global feature is multiplied once per block, not once per point.
        whole = F.linear(features.whole, weight[:, split:], bias)
        return self.rest(self.first.finish(F.linear(features.local, weight[:, :split]) + whole[:, None]))


def scaled(width: int, factor: float) -> int:
    """A layer width times `factor`, a multiple of 8 and at least 8."""
    return max(8, round(width * factor / 8) * 8)

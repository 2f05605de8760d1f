"""The networks that turn a block's points into features: an encoder, and as many decoders as a method has branches."""

from dataclasses import dataclass
from typing import Annotated

from torch import nn

from gestalt3d.configs import Count, Positive, Within, check_ranges
from gestalt3d.nn.pointnet import PointNetDecoder, PointNetEncoder
from gestalt3d.nn.pointnet2 import RADII, PointNet2Decoder, PointNet2Encoder

WidthScale = Annotated[float, Within(above=0, most=64)]


@dataclass(frozen=True)
class PointNetConfig:
    """PointNet (Qi et al., CVPR 2017): every point, and the maximum over its block."""

    width_scale: WidthScale = 1.0
    """Factor for the widths of all layers."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class PointNet2Config:
    """PointNet++ (Qi et al., NeurIPS 2017): a pyramid of ever fewer points, each with the ball around it."""

    radii: tuple[Positive, Positive, Positive, Positive] = RADII
    """Radius of the balls in metres, one for each level."""
    group_size: Count = 32
    """Points in a ball."""
    width_scale: WidthScale = 1.0
    """Factor for the widths of all layers."""

    def __post_init__(self) -> None:
        check_ranges(self)


BackboneConfig = PointNetConfig | PointNet2Config


def backbone(
    config: BackboneConfig, *, features: int, width: int, decoders: int
) -> tuple[nn.Module, list[nn.Module]]:
    """An encoder of blocks (b, n, `features`) and decoders of what it says to (b, n, `width`)."""
    scale = config.width_scale
    if isinstance(config, PointNetConfig):
        encoder = PointNetEncoder(features, width_scale=scale)
        return encoder, [PointNetDecoder(encoder, width, width_scale=scale) for _ in range(decoders)]
    encoder = PointNet2Encoder(features, radii=config.radii, group_size=config.group_size, width_scale=scale)
    return encoder, [PointNet2Decoder(encoder, width, width_scale=scale) for _ in range(decoders)]

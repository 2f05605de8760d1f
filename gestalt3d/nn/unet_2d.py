"""U-Net for images (Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class UNet2D(nn.Module):
    """Levels of two convolutions with batch norm, halved by pooling and joined again on the way up."""

    def __init__(self, channels: int, widths: Sequence[int], out: int) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        for width in widths:
            self.down.append(_two_convs(channels, width))
            channels = width
        self.up = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.up.append(_two_convs(channels + width, width))
            channels = width
        self.out = nn.Conv2d(channels, out, 1)

    def forward(self, x: Float[Tensor, "b c s s"]) -> Float[Tensor, "b o s s"]:
        kept: list[Tensor] = []
        for level, layer in enumerate(self.down):
            x = layer(F.max_pool2d(x, 2) if level else x)
            kept.append(x)
        for layer, skip in zip(self.up, reversed(kept[:-1]), strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = layer(torch.cat([skip, x], dim=1))
        return self.out(x)


def _two_convs(channels: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (channels, width):
        layers += [
            nn.Conv2d(before, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)

"""Point sets out of a code (Fan et al., "A Point Set Generation Network", CVPR 2017): two branches, and the union of both."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gestalt3d.nn.pointnet import point_layers, scaled


class PointSetDecoder(nn.Module):
    """256 points from fully connected layers and 256 from transposed convolutions, each with `outputs` channels (GSPN, Table 7).

    The convolutions make a grid of 16 x 16 points out of the code, which is good at smooth surfaces; the other branch knows no
    neighbours, which is good at thin and separate parts.
    """

    points = 512

    def __init__(self, inputs: int, outputs: int, *, width_scale: float = 1.0) -> None:
        super().__init__()
        a, b, c = (scaled(width, width_scale) for width in (512, 256, 128))
        self.flat = point_layers([inputs, a, a])
        self.flat_points = nn.Linear(a, 256 * outputs)
        # 1 -> 3 -> 7 -> 16 places along each side.
        self.grid = nn.Sequential(
            *_grown(inputs, a, size=3, stride=1),
            *_grown(a, b, size=3, stride=2),
            *_grown(b, c, size=4, stride=2),
        )
        self.grid_points = nn.Conv2d(c, outputs, 1)
        self.outputs = outputs

    def forward(self, codes: Float[Tensor, "n c"]) -> Float[Tensor, "n p o"]:
        flat = self.flat_points(self.flat(codes)).unflatten(1, (256, self.outputs))
        grid = self.grid_points(self.grid(codes[:, :, None, None])).flatten(2).transpose(1, 2)
        return torch.cat([flat, grid], dim=1)


def _grown(inputs: int, outputs: int, *, size: int, stride: int) -> list[nn.Module]:
    return [
        nn.ConvTranspose2d(inputs, outputs, size, stride, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3),
        nn.ReLU(inplace=True),
    ]

"""MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov, Chen, "Inverted Residuals and Linear Bottlenecks", CVPR 2018) up to a sixteenth.

Layers have the names that torchvision gives them, so weights go both ways. It is said here once more because `import torchvision`
imports all of torch's compiler, three times as much as torch itself, and no shipped network needs more of it than this.
"""

from torch import Tensor, nn

_STEM = 32
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
"""Table 2: expansion t, channels c, repetitions n and stride s, but for the two stages of a thirty-second."""


def mobilenetv2() -> nn.Sequential:
    """(b, 3, h, w) → (b, 96, h / 16, w / 16): the first convolution and thirteen bottlenecks; the sixth ends an eighth."""
    layers: list[nn.Module] = [_convolution(3, _STEM, size=3, stride=2)]
    channels = _STEM
    for expansion, width, repetitions, stride in _STAGES:
        for i in range(repetitions):
            layers.append(_Bottleneck(channels, width, expansion, stride if i == 0 else 1))
            channels = width
    return nn.Sequential(*layers)


class _Bottleneck(nn.Module):
    """Table 1: wider, one filter a channel, narrow again without ReLU6; what comes in is added where it has the same shape."""

    def __init__(self, channels: int, width: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = channels * expansion
        layers: list[nn.Module] = [_convolution(channels, wide, size=1)] if expansion > 1 else []
        layers.append(_convolution(wide, wide, size=3, stride=stride, groups=wide))
        self.conv = nn.Sequential(*layers, _kernels(wide, width, size=1), nn.BatchNorm2d(width))
        self.is_residual = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.is_residual else self.conv(x)


def _convolution(channels: int, width: int, *, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    kernels = _kernels(channels, width, size=size, stride=stride, groups=groups)
    return nn.Sequential(kernels, nn.BatchNorm2d(width), nn.ReLU6(inplace=True))


def _kernels(channels: int, width: int, *, size: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    made = nn.Conv2d(channels, width, size, stride, padding=size // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(made.weight, mode="fan_out")
    return made

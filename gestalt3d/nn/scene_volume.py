"""The 3-D convolutions of Deep Sliding Shapes (Song and Xiao, CVPR 2016): a trunk, and two branches that propose regions.

Cells of feature maps are larger voxels, of which the first begins in the lowest corner of the volume.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

LAYOUT = torch.channels_last_3d
"""Of volumes and weights: on a CPU a convolution of few channels takes a third of the time in it."""
_SPREAD = 0.01
"""Of the initial weights of layers that decide."""


def volume_layer(
    inputs: int, outputs: int, size: int, *, norm: bool, padding: int | None = None
) -> nn.Sequential:
    """Convolution of size³ voxels, batch norm where asked for, ReLU. Keeps the size where `padding` is left to it."""
    conv = nn.Conv3d(inputs, outputs, size, padding=size // 2 if padding is None else padding, bias=not norm)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    layers = [conv, nn.BatchNorm3d(outputs)] if norm else [conv]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)).to(memory_format=LAYOUT)


class Seen(NamedTuple):
    """Two maps of a volume."""

    near: Float[Tensor, "b c x y z"]
    """After the first layer and its pooling."""
    far: Float[Tensor, "b d u v w"]
    """After the second."""


class SceneTrunk(nn.Module):
    """Two layers, each followed by max-pooling over `pools` voxels; 1 pools nothing."""

    def __init__(
        self,
        inputs: int,
        widths: tuple[int, int],
        sizes: tuple[int, int],
        pools: tuple[int, int],
        *,
        norm: bool,
    ) -> None:
        super().__init__()
        self.first = volume_layer(inputs, widths[0], sizes[0], norm=norm)
        self.second = volume_layer(widths[0], widths[1], sizes[1], norm=norm)
        self.widths, self.pools = widths, pools

    def forward(self, volume: Float[Tensor, "b c x y z"]) -> Seen:
        near = F.max_pool3d(self.first(volume.contiguous(memory_format=LAYOUT)), self.pools[0])
        return Seen(near, F.max_pool3d(self.second(near), self.pools[1]))


class Proposed(NamedTuple):
    """What one branch says of each of its anchors at each place."""

    said: Float[Tensor, "b x y z a 8"]
    """Two logits, of nothing and of an object, and six numbers that lead to a better box."""


class _Decides(nn.Module):
    """The last layer of a branch."""

    def __init__(self, inputs: int, size: int, padding: int, anchors: int) -> None:
        super().__init__()
        self.anchors = anchors
        self.conv = nn.Conv3d(inputs, anchors * 8, size, padding=padding)
        nn.init.normal_(self.conv.weight, std=_SPREAD)
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)
        self.conv.to(memory_format=LAYOUT)

    def forward(self, x: Tensor) -> Proposed:
        return Proposed(self.conv(x).float().movedim(1, -1).unflatten(-1, (self.anchors, 8)))


class SmallBranch(nn.Module):
    """For small objects: a reduction and a convolution of 2³ cells, whose places are the corners of the cells."""

    def __init__(self, inputs: int, anchors: int, *, norm: bool) -> None:
        super().__init__()
        self.reduce = volume_layer(inputs, inputs, 1, norm=norm)
        self.decide = _Decides(inputs, 2, 1, anchors)

    def forward(self, seen: Float[Tensor, "b c x y z"]) -> Proposed:
        return self.decide(self.reduce(seen))


class LargeBranch(nn.Module):
    """For large objects: a layer, pooling over 2³ cells, further layers, and the last one, of `sizes` cells each.

    Pooling has stride 1, and places are the corners of the cells, as in the paper; or stride 2, and an eighth as many places are
    the centres of cells twice as large.
    """

    def __init__(
        self, inputs: int, width: int, sizes: Sequence[int], stride: int, anchors: int, *, norm: bool
    ) -> None:
        super().__init__()
        self.first = volume_layer(inputs, width, sizes[0], norm=norm)
        self.rest = nn.Sequential(*(volume_layer(width, width, size, norm=norm) for size in sizes[1:-1]))
        self.decide = _Decides(width, sizes[-1], sizes[-1] // 2, anchors)
        self.stride = stride

    def forward(self, seen: Float[Tensor, "b c x y z"]) -> Proposed:
        # Max-pooling first where it makes the layer eight times cheaper; a layer and a maximum do not commute, and the paper's
        # order is kept where the stride is the paper's.
        if self.stride == 1:
            pooled = F.max_pool3d(self.first(seen), 2, stride=1, padding=1)
        else:
            pooled = self.first(F.max_pool3d(seen, 2, stride=2))
        return self.decide(self.rest(pooled))


def corners(count: int, cell: float, low: float) -> Float[Tensor, "n"]:
    """Places of the corners of `count` cells along an axis, one more than these."""
    return low + cell * torch.arange(count + 1)


def centers(count: int, cell: float, low: float) -> Float[Tensor, "n"]:
    """Places of the centres of `count` cells along an axis."""
    return low + cell * (torch.arange(count) + 0.5)

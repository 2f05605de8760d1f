"""Pyramids of features of photos (Lin et al., "Feature Pyramid Networks", CVPR 2017), on networks from torchvision."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.resnet import ResNet
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from gestalt3d.nn.image_backbone import IMAGENET, Start, downloaded, shipped_weights

Levels = Literal["resnet50", "resnet18", "mobilenetv2"]
_STRIDES = 4
"""Levels, of 4, 8, 16 and 32 pixels, and one more by pooling."""


class ImagePyramid(nn.Module):
    """Maps of a batch of photos in [0, 1] by name, the finest first: "0" to "3" and, twice as coarse as the last, "pool".

    Sides must be multiples of 32. Batch norm, whose statistics a few photos tell badly, keeps those that the network starts
    with where they are ImageNet's.
    """

    count = _STRIDES + 1
    mean: Float[Tensor, "3 1 1"]
    std: Float[Tensor, "3 1 1"]

    def __init__(self, levels: Levels, width: int, *, start: Start = "nothing") -> None:
        super().__init__()
        stages, channels = _stages(levels, start)
        self.stages = nn.ModuleList(stages)
        self.merge = FeaturePyramidNetwork(channels, width, LastLevelMaxPool())
        self.keeps_norm = start == "imagenet"
        for name, values in zip(("mean", "std"), IMAGENET, strict=True):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> dict[str, Tensor]:
        x = (image - self.mean) / self.std
        seen: dict[str, Tensor] = {}
        for i, layers in enumerate(self.stages):
            x = seen[str(i)] = layers(x)
        return self.merge(seen)

    def train(self, mode: bool = True) -> "ImagePyramid":
        """As ever, but batch norm that began as ImageNet's keeps its running statistics."""
        super().train(mode)
        if self.keeps_norm:
            for module in self.stages.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


def _stages(levels: Levels, start: Start) -> tuple[list[nn.Module], list[int]]:
    """The network in four pieces, each half as fine as the one before, and the channels after each."""
    if levels == "mobilenetv2":
        from torchvision.models import mobilenet_v2

        layers = mobilenet_v2(weights=None).features
        if start == "imagenet":
            # Known are the layers up to a sixteenth of the resolution, by the names of two pieces.
            known = shipped_weights(levels)
            assert known is not None
            own = {name.partition(".")[2]: values for name, values in known.items()}
            if not next(layers.parameters()).is_meta:
                layers.load_state_dict(own, strict=False)
        return [layers[:4], layers[4:7], layers[7:14], layers[14:18]], [24, 32, 96, 320]
    from torchvision.models import resnet18, resnet50

    make: Callable[[str | None], ResNet] = partial(_resnet, resnet50 if levels == "resnet50" else resnet18)
    net = make(None)
    if start == "imagenet" and not next(net.parameters()).is_meta:
        net = downloaded(levels, make)
    stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1)
    widths = [256, 512, 1024, 2048] if levels == "resnet50" else [64, 128, 256, 512]
    return [stem, net.layer2, net.layer3, net.layer4], widths


def _resnet(make: Callable[..., ResNet], weights: str | None) -> ResNet:
    return make(weights=weights)

"""Features of a photo: the convolutional part of networks for images, up to a sixteenth of its resolution.

MobileNetV2 and its weights that were trained on ImageNet come with this package. The others are torchvision's, which downloads
their weights when a training asks for them.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gestalt3d.errors import UserError
from gestalt3d.nn.mobilenetv2 import mobilenetv2

Name = Literal["alexnet", "vgg16", "resnet10-c4", "resnet18-c4", "resnet18-fpn", "mobilenetv2"]
Start = Literal["nothing", "imagenet"]
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Means and deviations of ImageNet's channels, which pre-trained weights expect."""


_SHIPPED = Path(__file__).parent / "imagenet"
"""<name>.safetensors, and where each is from."""


_Network = TypeVar("_Network")


class _Made(NamedTuple):
    layers: nn.Module
    channels: int


class ImageBackbone(nn.Module):
    """A map of features for each photo, in [0, 1]. Its pixel (0, 0) covers the photo's upper left corner, as far as its stride.

    `learns` off, weights and running statistics stay as they are. With `start` "imagenet" the initial weights are those that
    know ImageNet: `UserError` where there are none.
    """

    def __init__(self, name: Name, *, learns: bool, start: Start = "nothing") -> None:
        super().__init__()
        made = _MAKERS[name]
        self.layers, self.channels = made(None)
        # There weights are about to be loaded.
        if start == "imagenet" and not next(self.layers.parameters()).is_meta:
            self._start(name, made)
        self.learns = learns
        self.requires_grad_(learns)
        self.register_buffer("mean", torch.tensor(IMAGENET[0])[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET[1])[:, None, None], persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def _start(self, name: Name, made: "_Maker") -> None:
        if (known := shipped_weights(name)) is not None:
            self.layers.load_state_dict(known, strict=False)
            return
        if name == "resnet10-c4":
            raise UserError(f'image_start "imagenet": there are no such weights of {name}; choose "nothing"')
        self.layers = downloaded(name, made).layers

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c i j"]:
        with torch.set_grad_enabled(self.learns and torch.is_grad_enabled()):
            return self.layers((image - self.mean) / self.std)

    def train(self, mode: bool = True) -> "ImageBackbone":
        """As ever, but what does not learn keeps its running statistics."""
        return super().train(mode and self.learns)


def shipped_weights(name: str) -> dict[str, Tensor] | None:
    """The tensors of a network of that name which come with this package; None where there are none."""
    file = _SHIPPED / f"{name}.safetensors"
    if not file.is_file():
        return None
    from safetensors.torch import load_file

    return load_file(file)


def downloaded(name: str, make: Callable[[str | None], _Network]) -> _Network:
    """What `make` makes with the ImageNet weights that torchvision downloads; `UserError` where it cannot."""
    try:
        return make("IMAGENET1K_V1")
    except OSError as problem:
        raise UserError(
            f'start "imagenet": the weights of {name} could not be downloaded ({problem}); choose "nothing"'
        ) from None


class _Pyramid(nn.Module):
    """The levels of a ResNet, each with what the coarser ones know (Lin et al., "Feature Pyramid Networks", CVPR 2017)."""

    def __init__(self, stem: nn.Module, levels: Sequence[nn.Module], channels: list[int], width: int) -> None:
        super().__init__()
        from torchvision.ops import FeaturePyramidNetwork

        self.stem, self.levels = stem, nn.ModuleList(levels)
        self.merge = FeaturePyramidNetwork(channels, width)

    def forward(self, image: Tensor) -> Tensor:
        x, seen = self.stem(image), dict[str, Tensor]()
        for i, level in enumerate(self.levels):
            x = seen[str(i)] = level(x)
        return self.merge(seen)["0"]


class _TwoScales(nn.Module):
    """Features of an eighth of the resolution, and of a sixteenth stretched to it, side by side."""

    def __init__(self, fine: nn.Module, coarse: nn.Module) -> None:
        super().__init__()
        self.fine, self.coarse = fine, coarse

    def forward(self, image: Tensor) -> Tensor:
        fine = self.fine(image)
        coarse = F.interpolate(self.coarse(fine), fine.shape[-2:], mode="bilinear", align_corners=False)
        return torch.cat([fine, coarse], dim=1)


def _alexnet(weights: str | None) -> _Made:
    from torchvision.models import alexnet

    features = alexnet(weights=weights).features
    assert isinstance(features, nn.Sequential)
    return _Made(features[:-1], 256)


def _vgg16(weights: str | None) -> _Made:
    from torchvision.models import vgg16

    features = vgg16(weights=weights).features
    assert isinstance(features, nn.Sequential)
    return _Made(features[:-1], 512)


def _resnet(weights: str | None, *, blocks: int, pyramid: bool) -> _Made:
    from torchvision.models.resnet import BasicBlock, ResNet, resnet18

    net = resnet18(weights=weights) if blocks == 2 else ResNet(BasicBlock, [blocks] * 4)
    stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
    if pyramid:
        levels = [net.layer1, net.layer2, net.layer3, net.layer4]
        return _Made(_Pyramid(stem, levels, [64, 128, 256, 512], 256), 256)
    return _Made(nn.Sequential(stem, net.layer1, net.layer2, net.layer3), 256)


def _mobilenetv2(weights: str | None) -> _Made:
    """Whose weights are shipped."""
    features = mobilenetv2()
    return _Made(_TwoScales(features[:7], features[7:14]), 32 + 96)


_Maker = Callable[[str | None], _Made]
_MAKERS: dict[str, _Maker] = {
    "alexnet": _alexnet,
    "vgg16": _vgg16,
    "resnet10-c4": partial(_resnet, blocks=1, pyramid=False),
    "resnet18-c4": partial(_resnet, blocks=2, pyramid=False),
    "resnet18-fpn": partial(_resnet, blocks=2, pyramid=True),
    "mobilenetv2": _mobilenetv2,
}

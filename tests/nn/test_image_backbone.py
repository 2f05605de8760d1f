"""Networks for photos: their maps, and ImageNet's weights of the one that comes with the package."""

import pytest
import torch

from gestalt3d.errors import UserError
from gestalt3d.nn.image_backbone import ImageBackbone

MAPS = {
    "alexnet": (256, 6, 9), "vgg16": (512, 7, 10), "resnet10-c4": (256, 8, 10), "resnet18-c4": (256, 8, 10),
    "resnet18-fpn": (256, 30, 40), "mobilenetv2": (128, 15, 20),
}  # fmt: skip
"""Channels, rows and columns for a photo of 120 x 160: at most a sixteenth of its resolution, finer where levels are merged."""


@pytest.mark.parametrize("name", MAPS)
def test_maps_have_their_size(name: str) -> None:
    network = ImageBackbone(name, learns=True).eval()  # type: ignore[arg-type]
    found = network(torch.rand(2, 3, 120, 160))
    assert tuple(found.shape[1:]) == MAPS[name] and network.channels == MAPS[name][0]


def test_imagenets_weights_come_with_the_package_and_stay() -> None:
    torch.manual_seed(0)
    one = ImageBackbone("mobilenetv2", learns=False, start="imagenet").train()
    other = ImageBackbone("mobilenetv2", learns=False, start="imagenet").eval()
    photo = torch.rand(1, 3, 64, 64)
    assert torch.equal(one(photo), other(photo)), (
        "nothing is drawn, and frozen norms keep their statistics in training"
    )
    assert not any(weight.requires_grad for weight in one.parameters())
    assert one(photo).grad_fn is None
    drawn = ImageBackbone("mobilenetv2", learns=False).eval()
    assert not torch.allclose(drawn(photo), other(photo))


def test_trained_features_tell_an_edge_from_its_mirror_image() -> None:
    """Random ones do, too, but trained ones answer to what there is: a flat photo excites them less than a structured one."""
    network = ImageBackbone("mobilenetv2", learns=False, start="imagenet").eval()
    flat = torch.full((1, 3, 64, 64), 0.5)
    checks = (
        ((torch.arange(64) // 8)[:, None] + torch.arange(64) // 8).remainder(2).float().expand(1, 3, 64, 64)
    )
    excited = [float(network(photo)[:, :32].std(dim=(2, 3)).mean()) for photo in (flat, checks)]
    assert excited[1] > 2 * excited[0]


def test_weights_that_nobody_has_are_refused() -> None:
    with pytest.raises(UserError, match="there are no such weights of resnet10-c4"):
        ImageBackbone("resnet10-c4", learns=True, start="imagenet")

import pytest
import torch

from gestalt3d.nn.mobilenetv2 import mobilenetv2


def test_it_is_the_first_part_of_torchvisions_and_takes_its_weights() -> None:
    models = pytest.importorskip("torchvision.models")
    theirs = models.mobilenet_v2(weights=None).features[:14].eval()
    ours = mobilenetv2().eval()
    for norm in (layer for layer in theirs.modules() if isinstance(layer, torch.nn.BatchNorm2d)):
        norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2), norm.weight.data.uniform_(0.5, 2)
    ours.load_state_dict(theirs.state_dict())
    photo = torch.rand(2, 3, 64, 96)
    torch.testing.assert_close(ours(photo), theirs(photo), atol=1e-5, rtol=1e-5)
    assert ours(photo).shape == (2, 96, 4, 6) and ours[:7](photo).shape == (2, 32, 8, 12)


def test_it_begins_as_torchvisions_does() -> None:
    """Each layer's own weights have the same spread."""
    models = pytest.importorskip("torchvision.models")
    theirs = dict(models.mobilenet_v2(weights=None).features[:14].requires_grad_(False).named_parameters())
    for name, weight in mobilenetv2().requires_grad_(False).named_parameters():
        if weight.ndim == 4 and weight.numel() > 2000:
            assert float(weight.std()) == pytest.approx(float(theirs[name].std()), rel=0.15), name
        elif weight.ndim == 1:
            assert torch.equal(weight, theirs[name])

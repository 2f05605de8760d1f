"""PointNet++: moving the first linear map before grouping and interpolating changes nothing but the cost."""

import torch
import torch.nn.functional as F

from gestalt3d.nn.pointnet import PointLayer
from gestalt3d.nn.pointnet2 import (
    FeaturePropagation,
    PointNet2Decoder,
    PointNet2Encoder,
    SetAbstraction,
    pyramid,
)
from gestalt3d.ops.gather import gather
from gestalt3d.ops.interpolate import interpolate


def block(b: int = 2, n: int = 200) -> torch.Tensor:
    points = torch.rand(b, n, 9, generator=torch.Generator().manual_seed(0))
    points[..., :2] -= 0.5
    return points


def layer_forward(layer: PointLayer, x: torch.Tensor) -> torch.Tensor:
    """The layer as the papers draw it: everything at full resolution."""
    norm = layer.norm
    y = F.linear(x, layer.weight).flatten(0, -2)
    y = F.batch_norm(y, None, None, norm.weight, norm.bias, True, eps=norm.eps)
    return F.relu(y).view(*x.shape[:-1], -1)


def test_pyramid_keeps_a_quarter_at_each_level() -> None:
    levels = pyramid(block(n=1024)[..., :3].contiguous(), radii=(0.2, 0.4, 0.8, 1.6), group_size=8)
    assert [level.points.shape[1] for level in levels] == [256, 64, 16, 4]
    assert all(bool((level.group >= 0).all()) for level in levels)


def test_set_abstraction_is_the_papers() -> None:
    torch.manual_seed(0)
    points = block()
    xyz, features = points[..., :3].contiguous(), points[..., 3:]
    (level,) = pyramid(xyz, radii=(0.4,), group_size=16)
    module = SetAbstraction(6, (8, 8, 16))
    found = module(xyz, features, level.points, level.group)
    relative = gather(xyz, level.group) - level.points[:, :, None]
    x = torch.cat([relative, gather(features.contiguous(), level.group)], dim=-1)
    for layer in (module.first, *module.rest):
        x = layer_forward(layer, x)
    torch.testing.assert_close(found, x.amax(2), rtol=1e-4, atol=1e-4)


def test_feature_propagation_is_the_papers() -> None:
    torch.manual_seed(0)
    points = block()
    (level,) = pyramid(points[..., :3].contiguous(), radii=(0.4,), group_size=16)
    coarse, skip = torch.randn(2, 50, 12), torch.randn(2, 200, 6)
    module = FeaturePropagation(12, 6, (16, 8))
    found = module(coarse, skip, level.below)
    x = torch.cat([interpolate(coarse, level.below), skip], dim=-1)
    for layer in (module.first, *module.rest):
        x = layer_forward(layer, x)
    torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-4)


def test_widths_are_the_papers() -> None:
    encoder = PointNet2Encoder(9)
    decoder = PointNet2Decoder(encoder, 128)
    assert encoder.channels == (6, 64, 128, 256, 512)
    assert [stage.first.weight.shape[1] for stage in decoder.stages] == [768, 384, 320, 134]
    points = block(1, 4096)
    with torch.no_grad():
        features = encoder.eval()(points)
        assert [level.points.shape[1] for level in features.levels] == [1024, 256, 64, 16]
        assert decoder.eval()(features).shape == (1, 4096, 128)


def test_moving_a_block_moves_nothing_but_its_own_coordinates() -> None:
    """Set abstraction sees relative coordinates: with the other features kept, nothing changes."""
    torch.manual_seed(0)
    encoder = PointNet2Encoder(9, radii=(0.2, 0.4, 0.8, 1.6), width_scale=0.25).eval()
    points = block()
    points[..., :3] = (points[..., :3] * 1024).round() / 1024  # shifts are exact, so that ties stay ties
    moved = points.clone()
    moved[..., :3] = points[..., :3] + torch.tensor([0.25, -0.5, 1.0])
    with torch.no_grad():
        torch.testing.assert_close(encoder(points).skips[-1], encoder(moved).skips[-1], rtol=1e-4, atol=1e-4)

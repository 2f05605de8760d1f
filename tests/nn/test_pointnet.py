"""The shared layer and PointNet: folding, split products and symmetry are exact, not approximate."""

import pytest
import torch
import torch.nn.functional as F

from gestalt3d.nn.dropout import Dropout
from gestalt3d.nn.norm import set_bn_momentum
from gestalt3d.nn.pointnet import PointLayer, PointNetDecoder, PointNetEncoder


def warmed_up(layer: PointLayer) -> PointLayer:
    """With running statistics and an affine part that are not the initial ones."""
    torch.nn.init.normal_(layer.norm.weight)
    torch.nn.init.normal_(layer.norm.bias)
    for _ in range(3):
        layer(torch.randn(50, layer.weight.shape[1]) * 2 + 1)
    return layer


def plain(layer: PointLayer, x: torch.Tensor) -> torch.Tensor:
    norm = layer.norm
    y = F.linear(x, layer.weight)
    statistics = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    return F.relu(F.batch_norm(y, *statistics, norm.training, eps=norm.eps))


def test_training_is_linear_batch_norm_relu() -> None:
    torch.manual_seed(0)
    layer, x = PointLayer(6, 8), torch.randn(40, 6)
    expected = torch.nn.Sequential(
        torch.nn.Linear(6, 8, bias=False), torch.nn.BatchNorm1d(8, eps=1e-3), torch.nn.ReLU()
    )
    expected[0].weight.data = layer.weight.data.clone()
    torch.testing.assert_close(layer(x), expected(x))
    torch.testing.assert_close(layer.norm.running_mean, expected[1].running_mean)
    torch.testing.assert_close(layer.norm.running_var, expected[1].running_var)


def test_folded_batch_norm_is_batch_norm() -> None:
    torch.manual_seed(0)
    layer = warmed_up(PointLayer(6, 8)).eval()
    x = torch.randn(40, 6)
    torch.testing.assert_close(layer(x), plain(layer, x), rtol=1e-5, atol=1e-5)


def test_frozen_batch_norm_still_learns_its_affine_part() -> None:
    layer = warmed_up(PointLayer(6, 8))
    layer.norm.eval()
    before = layer.norm.running_mean.clone()
    layer(torch.randn(40, 6)).sum().backward()
    assert torch.equal(layer.norm.running_mean, before)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())


def test_one_row_is_judged_by_running_statistics() -> None:
    torch.manual_seed(0)
    layer = warmed_up(PointLayer(6, 8))
    x = torch.randn(1, 6)
    assert torch.equal(layer(x), layer.eval()(x)) or torch.allclose(layer(x), layer.eval()(x), atol=1e-5)


def test_momentum_is_set_everywhere() -> None:
    encoder = PointNetEncoder(9, width_scale=0.125)
    set_bn_momentum(encoder, 0.37)
    momenta = {m.momentum for m in encoder.modules() if isinstance(m, torch.nn.BatchNorm1d)}
    assert momenta == {0.37}


def test_decoder_is_a_layer_on_local_and_tiled_global_features() -> None:
    torch.manual_seed(0)
    encoder = PointNetEncoder(9, width_scale=0.125).eval()
    decoder = PointNetDecoder(encoder, 16, width_scale=0.125).eval()
    features = encoder(torch.randn(2, 30, 9))
    tiled = torch.cat([features.local, features.whole[:, None].expand(-1, 30, -1)], dim=-1)
    torch.testing.assert_close(decoder(features), decoder.rest(decoder.first(tiled)), rtol=1e-5, atol=1e-5)


def test_permuted_points_permute_the_features() -> None:
    torch.manual_seed(0)
    encoder = PointNetEncoder(9, width_scale=0.125).eval()
    decoder = PointNetDecoder(encoder, 16, width_scale=0.125).eval()
    points, order = torch.randn(1, 30, 9), torch.randperm(30)
    torch.testing.assert_close(
        decoder(encoder(points))[:, order], decoder(encoder(points[:, order])), rtol=1e-5, atol=1e-6
    )


def test_dropout_keeps_the_mean_and_the_share() -> None:
    torch.manual_seed(0)
    dropout, x = Dropout(0.25), torch.ones(1001, 103)
    y = dropout(x)
    n = x.numel()
    assert abs(float((y == 0).float().mean()) - 0.25) < 5 * (0.25 * 0.75 / n) ** 0.5
    assert float(y.max()) == pytest.approx(1 / 0.75)
    assert torch.equal(dropout.eval()(x), x)
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        Dropout(1.0)

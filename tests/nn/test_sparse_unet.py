"""The sparse U-Net: order, batches and whole steps of the grid do not matter, one voxel and none are enough."""

import pytest
import torch
import torch.nn.functional as F

from gestalt3d.nn import sparse_unet as module
from gestalt3d.nn.sparse_unet import SparseLayer, SparseUNet, pyramid
from gestalt3d.ops.sparse_conv import sparse_conv, submanifold_rules


def surface(n: int = 400, *, batches: int = 2, seed: int = 0) -> torch.Tensor:
    """About n ascending voxels on the floor and a wall of a room of 16 voxels, negative ones among them."""
    random = torch.Generator().manual_seed(seed)
    at = torch.randint(0, 16, (n, 4), generator=random)
    at[:, 0] %= batches
    at[torch.arange(n), torch.randint(1, 3, (n,), generator=random)] = 0
    return at.unique(dim=0) - torch.tensor([0, 3, 8, 1])


def network(levels: int = 3, *, inputs: int = 4, repeats: int = 1) -> SparseUNet:
    """With running statistics and affine parts that are not the initial ones."""
    torch.manual_seed(0)
    unet = SparseUNet(inputs, width=8, levels=levels, repeats=repeats)
    at = surface()
    for _ in range(2):
        unet(at, torch.randn(len(at), inputs))
    for part in unet.modules():
        if isinstance(part, torch.nn.BatchNorm1d):
            torch.nn.init.normal_(part.bias)
    return unet


@pytest.mark.parametrize("levels", [1, 2, 4])
@pytest.mark.parametrize("training", [False, True])
def test_output_follows_the_order_of_the_input(levels, training):
    unet, at = network(levels).train(training).double(), surface()
    features, order = torch.randn(len(at), 4, dtype=torch.float64), torch.randperm(len(at))
    found = unet(at, features)
    assert found.shape == (len(at), unet.channels)
    torch.testing.assert_close(unet(at[order], features[order]), found[order], rtol=1e-9, atol=1e-9)


def test_batches_do_not_see_each_other():
    unet, at = network().eval(), surface()
    features = torch.randn(len(at), 4)
    both = unet(at, features)
    for b in (0, 1):
        mine = at[:, 0] == b
        torch.testing.assert_close(unet(at[mine], features[mine]), both[mine], rtol=1e-5, atol=1e-5)


def test_whole_steps_of_the_coarsest_grid_change_nothing():
    unet, at = network(levels=3).eval(), surface()
    features = torch.randn(len(at), 4)
    assert torch.equal(unet(at + torch.tensor([0, 4, -8, 1000]), features), unet(at, features))


def test_every_parameter_receives_a_gradient():
    unet, at = network(repeats=2), surface()
    unet(at, torch.randn(len(at), 4)).square().sum().backward()
    without = [name for name, p in unet.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


def test_every_rulebook_is_made_once(monkeypatch):
    made = []
    for name in ("submanifold_rules", "strided_rules"):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda c, real=real, name=name: made.append(name) or real(c))
    at = surface()
    network(levels=3, repeats=2)(at, torch.zeros(len(at), 4))
    one = ["strided_rules", "submanifold_rules"] * 2 + ["submanifold_rules"]
    assert made == one * 3  # two passes warm the network up


def test_levels_halve_the_grid():
    at = surface()
    first, second, third = pyramid(at, levels=3)
    assert first.down is not None and second.down is not None and third.down is None
    assert first.within.rows_in == len(at) and first.down.rows_out == second.within.rows_in
    coarse = at.clone()
    coarse[:, 1:] = coarse[:, 1:].div(4, rounding_mode="floor")
    assert third.within.rows_in == len(coarse.unique(dim=0))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rows", [0, 1])
def test_one_voxel_and_none(rows, training):
    unet = network().train(training)
    out = unet(torch.tensor([[0, -7, 3, 2]])[:rows], torch.ones(rows, 4))
    assert out.shape == (rows, 8) and torch.isfinite(out).all()


def test_folded_batch_norm_is_batch_norm():
    torch.manual_seed(0)
    layer, at = SparseLayer(4, 6), surface()
    rules, features = submanifold_rules(at), torch.randn(len(at), 4)
    layer(features, rules)
    torch.nn.init.normal_(layer.norm.bias)
    layer.eval()
    expected = F.relu(layer.norm(sparse_conv(features, layer.weight, rules)))
    torch.testing.assert_close(layer(features, rules), expected, rtol=1e-5, atol=1e-5)


def test_bfloat16_under_autocast_trains():
    unet, at = network(), surface()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = unet(at, torch.randn(len(at), 4))
    assert out.dtype == torch.bfloat16
    out.float().square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in unet.parameters())


def test_senseless_sizes_are_named():
    with pytest.raises(ValueError, match="must be at least 1, got 4, 16, 0, 1"):
        SparseUNet(4, levels=0)

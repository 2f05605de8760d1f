"""The same weights in both spaces; the sparse one against torch's own convolutions."""

import pytest
import torch
import torch.nn.functional as F

from gestalt3d.nn.conv3d import Conv, DenseSpace, SparseSpace, Upsample


def full(batch: int = 2, size: tuple[int, int, int] = (6, 4, 8)) -> torch.Tensor:
    return torch.ones(batch, *size).nonzero()


def occupied(seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    rows = (torch.rand(2, 7, 6, 9) < 0.3).nonzero()
    return rows[torch.randperm(len(rows))] - torch.tensor([0, 3, 2, 5])


@pytest.mark.parametrize("norm", [False, True])
def test_spaces_agree_where_every_voxel_is_occupied(norm: bool) -> None:
    torch.manual_seed(0)
    at = full()
    x = torch.randn(len(at), 3, requires_grad=True)
    a, b, up = Conv(3, 4, size=7, norm=norm), Conv(4, 4, dilation=2, coarse=True, norm=norm), Upsample(4, 2)
    answers = []
    for space in (SparseSpace(at), DenseSpace(at)):
        y = up(b(space.pool(a(space.enter(x), space)), space), space)
        answers.append(space.leave(y))
    torch.testing.assert_close(answers[0], answers[1], atol=1e-4, rtol=1e-4)
    gradients = [torch.autograd.grad(y.square().mean(), x)[0] for y in answers]
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=1e-3)


def test_upsampling_is_the_transposed_convolution_of_the_occupied_coarse_voxels() -> None:
    at = occupied()
    space, dense = SparseSpace(at), DenseSpace(at)
    coarse, up = space.coarser.coordinates, Upsample(3, 2)
    x = torch.randn(len(coarse), 3)
    fine = at.clone()
    low = fine.amin(0)[1:].div(2, rounding_mode="floor")
    extent = coarse.amax(0)[1:] - low + 1
    grid = torch.zeros(2, *extent.tolist(), 3)
    grid[tuple((coarse - torch.cat([low.new_zeros(1), low])).unbind(1))] = x
    expected = dense.leave(dense.upsample(grid.movedim(-1, 1), up.weight))
    torch.testing.assert_close(space.upsample(x, up.weight), expected, atol=1e-5, rtol=1e-4)


def test_pooling_takes_the_maximum_over_the_occupied_voxels() -> None:
    at = occupied()
    x = torch.randn(len(at), 5)
    space = SparseSpace(at)
    found = space.pool(x)
    for row, coarse in enumerate(space.coarser.coordinates):
        inside = (at[:, 0] == coarse[0]) & (at[:, 1:].div(2, rounding_mode="floor") == coarse[1:]).all(1)
        assert torch.equal(found[row], x[inside].amax(0))


def test_dense_is_conv3d_with_empty_voxels_zero() -> None:
    at = occupied()
    layer, x, space = Conv(3, 4, dilation=2, relu=False), torch.randn(len(at), 3), DenseSpace(at)
    grid = space.enter(x)
    assert float(grid.abs().sum()) == pytest.approx(float(x.abs().sum()), rel=1e-5)
    weight = layer.weight.view(3, 3, 3, 3, 4).permute(4, 3, 0, 1, 2)
    torch.testing.assert_close(layer(grid, space), F.conv3d(grid, weight, padding=2, dilation=2))
    assert torch.equal(space.leave(grid), x)


def test_no_voxel_and_one() -> None:
    for count in (0, 1):
        at = torch.full((count, 4), 3)
        at[:, 0] = 0
        for space in (SparseSpace(at), DenseSpace(at)):
            layer, up = Conv(2, 3, norm=True), Upsample(3, 2)
            y = space.leave(up(space.pool(layer(space.enter(torch.ones(count, 2)), space)), space))
            assert y.shape == (count, 2) and bool(torch.isfinite(y).all())

"""RoIAlign of images: exact for linear fields, equal to torchvision's."""

import pytest
import torch
from torch import Tensor

from gestalt3d.ops.roi_align_2d import roi_align_2d


def rectangles(r: int) -> Tensor:
    """In pixels of an image of 120 x 80: within, partly outside, all outside, flat."""
    g = torch.Generator().manual_seed(0)
    low = torch.rand(r, 2, generator=g) * torch.tensor([150.0, 110.0]) - 20
    made = torch.cat([low, low + torch.rand(r, 2, generator=g) * 60], dim=1)
    made[0, 2:] = made[0, :2]
    made[1] = torch.tensor([-60.0, -60.0, -30.0, -30.0])
    return made


@pytest.mark.parametrize("samples", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 7])
def test_it_is_torchvisions(size: int, samples: int) -> None:
    ops = pytest.importorskip("torchvision.ops")
    g = torch.Generator().manual_seed(1)
    maps = torch.randn(3, 5, 20, 30, generator=g).requires_grad_()
    boxes, batch = rectangles(40), torch.arange(40) % 2 * 2
    expected = ops.roi_align(
        maps, torch.cat([batch[:, None].float(), boxes], dim=1), size,
        spatial_scale=0.25, sampling_ratio=samples, aligned=True,
    )  # fmt: skip
    found = roi_align_2d(maps, boxes, batch, scale=0.25, size=size, samples=samples)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert not found[1].any() and found[2].any()
    weight = torch.randn(found.shape, generator=g)
    gradients = [torch.autograd.grad((made * weight).sum(), maps)[0] for made in (found, expected)]
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=1e-5)


def test_a_linear_field_has_its_value_in_the_middle_of_each_bin() -> None:
    row, column = torch.meshgrid(torch.arange(20.0) + 0.5, torch.arange(30.0) + 0.5, indexing="ij")
    field = (3 * column - 2 * row + 5)[None, None].double()
    box = torch.tensor([[8.0, 12.0, 40.0, 36.0]]).double()
    found = roi_align_2d(field, box, torch.zeros(1).long(), scale=0.5, size=4)
    x, y = 4 + 16 * (torch.arange(4.0) + 0.5) / 4, 6 + 12 * (torch.arange(4.0) + 0.5) / 4
    torch.testing.assert_close(found[0, 0], (3 * x - 2 * y[:, None] + 5).double(), atol=1e-12, rtol=0)


def test_of_no_rectangle_and_of_a_single_pixel() -> None:
    maps = torch.full((1, 2, 1, 1), 3.0)
    none = roi_align_2d(maps, torch.zeros(0, 4), torch.zeros(0).long(), scale=1.0, size=3)
    assert none.shape == (0, 2, 3, 3)
    found = roi_align_2d(maps, torch.tensor([[0.0, 0, 1, 1]]), torch.zeros(1).long(), scale=1.0, size=3)
    assert found.shape == (1, 2, 3, 3) and (found == 3).all()


def test_what_does_not_fit_is_refused() -> None:
    maps, boxes, batch = torch.zeros(1, 2, 4, 4), torch.zeros(3, 4), torch.zeros(3).long()
    with pytest.raises(ValueError, match=r"maps must be \(b, c, h, w\) with a pixel at least"):
        roi_align_2d(maps[:, :, :0], boxes, batch, scale=1.0, size=3)
    with pytest.raises(
        ValueError, match=r"size and samples must be 1 or more, scale positive, got 0, 2, 1\.0"
    ):
        roi_align_2d(maps, boxes, batch, scale=1.0, size=0)
    with pytest.raises(ValueError, match=r"batch must be in \[0, 1\), got 0 to 1"):
        roi_align_2d(maps, boxes, torch.tensor([0, 1, 0]), scale=1.0, size=2)

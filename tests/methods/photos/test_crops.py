"""What of the other masks of a photo shows in the crop of one, and what they can hide."""

import numpy as np
import pytest
import torch
import torchvision

from gestalt3d.methods.photos.crops import cut_image, cut_masks, in_order, only_behind, others_in_crops
from gestalt3d.structures.sets import Sets

WIDTH, HEIGHT = 6, 4
SIZE = WIDTH * HEIGHT


def _masks(*rows: list[int]) -> Sets:
    return Sets.of([torch.tensor(row, dtype=torch.int64) for row in rows], SIZE)


@pytest.mark.parametrize("box", [(-3.0, 2.0, 21.0, 26.0), (5.0, 4.0, 9.5, 8.5), (0.0, 0.0, 40.0, 40.0)])
def test_crops_are_torchvisions_of_the_photo_in_the_dark(box: tuple[float, float, float, float]) -> None:
    """Beyond the photo nothing is; a pixel of a small crop is the mean of as many places as pixels are under it."""
    image = torch.rand(3, 30, 33, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([box])
    dark = torch.nn.functional.pad(image, (40, 40, 40, 40))
    wanted = torchvision.ops.roi_align(dark[None], [boxes + 40], 8, sampling_ratio=-1, aligned=True)
    # At the edge of a crop nothing of the photo beyond it counts.
    inner = np.s_[..., 1:-1, 1:-1]
    assert torch.allclose(cut_image(image, boxes, 8)[inner], wanted[inner], atol=1e-5)


def test_nothing_but_another_mask_hides() -> None:
    """Of pixels of the whole stay those of the object's own mask and of any other's, be it before or behind."""
    masks = _masks([0, 1, 2], [3, 4], [4, 5], [])
    whole = _masks([0, 1, 2, 3, 4, 8], [0, 3, 4, 9], [4, 5], [5, 23])
    assert [own.tolist() for own in only_behind(whole, masks)] == [[0, 1, 2, 3, 4], [0, 3, 4], [4, 5], [5]]


def test_pixels_of_two_masks_are_beside_both() -> None:
    """Overlapping visible masks, which detectors give, show each other where they overlap."""
    masks = _masks([0, 1, 6, 7], [1, 2], [20])
    boxes = torch.tensor([[0.0, 0.0, 6.0, 4.0]]).repeat(3, 1)
    boxes[:, 3] = 6.0  # square: two rows below the photo, where nothing is
    found = others_in_crops(masks, masks, (WIDTH, HEIGHT), boxes, 6)
    dense = torch.zeros(3, 36)
    dense[0, [1, 2, 20]] = dense[1, [0, 1, 6, 7, 20]] = dense[2, [0, 1, 2, 6, 7]] = 1
    assert torch.allclose(found, dense.view(3, 6, 6), atol=1e-6)


def test_some_objects_are_beside_all_others() -> None:
    every = _masks([0, 1], [2, 3], [8])
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
    found = others_in_crops(every.take(torch.tensor([1])), every, (WIDTH, HEIGHT), boxes, 4)
    both = cut_masks(_masks([0, 1, 8]), (WIDTH, HEIGHT), boxes, 4)
    assert torch.equal(found, both)


def test_of_two_objects_one_is_in_front() -> None:
    """0 reaches behind 1 with three pixels, 1 behind 0 with one; 2 is behind both. Where two masks overlap one suffices."""
    masks = _masks([0, 1, 2, 3], [4, 5, 6, 7], [12, 13])
    whole = _masks([0, 1, 2, 3, 4, 5, 6], [3, 4, 5, 6, 7], [3, 4, 12, 13])
    assert [own.tolist() for own in in_order(whole, masks)] == [
        [0, 1, 2, 3, 4, 5, 6],
        [4, 5, 6, 7],
        [3, 4, 12, 13],
    ]
    # A third of the pixels is not less than a quarter of them.
    assert in_order(whole, masks, 0.25) == whole
    overlapping = _masks([0, 1, 2, 3], [4, 5, 6, 7], [3, 12, 13])
    assert in_order(whole, overlapping)[1].tolist() == [3, 4, 5, 6, 7], "it may hide behind 2"


def test_two_objects_that_reach_as_far_both_do() -> None:
    masks, whole = _masks([0, 1], [2, 3]), _masks([0, 1, 2], [1, 2, 3])
    assert in_order(whole, masks) == whole


def test_what_reaches_behind_nobody_stays() -> None:
    masks, whole = _masks([0, 1], []), _masks([0, 1, 9], [4])
    assert in_order(whole, masks) == whole

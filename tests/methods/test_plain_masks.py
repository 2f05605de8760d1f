"""Masks that are completed by a rule."""

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from gestalt3d.methods.plain_masks import PlainMasksConfig, box, hull
from gestalt3d.testing import Case

CASES = (
    *(Case(config=PlainMasksConfig(complete=complete), name=complete) for complete in ("not", "hull", "box")),
    Case(config=PlainMasksConfig(behind=True), name="behind", by_itself=False),
)


def _pixels(*places: tuple[int, int], width: int) -> torch.Tensor:
    return torch.tensor(sorted(row * width + column for row, column in places), dtype=torch.int64)


def test_the_hull_of_an_l_is_filled_along_its_diagonal() -> None:
    """From corner (1, 0) to corner (3, 2) it goes through the middles of two pixels, which belong to it."""
    found = hull(_pixels((0, 0), (1, 0), (2, 0), (2, 1), (2, 2), width=5), 5)
    assert found.tolist() == [0, 1, 5, 6, 7, 10, 11, 12]


def test_two_far_pixels_are_joined() -> None:
    found = hull(_pixels((1, 1), (1, 8), width=10), 10)
    assert found.tolist() == list(range(11, 19))


@pytest.mark.parametrize("seed", range(20))
def test_the_hull_holds_the_middles_that_scipys_holds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    width, height = 23, 17
    count = int(rng.integers(1, 12))
    pixels = torch.from_numpy(np.unique(rng.integers(0, width * height, count)))
    rows, columns = np.divmod(pixels.numpy(), width)
    corners = np.concatenate([np.stack([columns + i, rows + j], axis=1) for i in (0, 1) for j in (0, 1)])
    planes = ConvexHull(corners).equations
    middles = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1).reshape(-1, 2)
    inside = (middles @ planes[:, :2].T + planes[:, 2] <= 1e-9).all(1)
    assert hull(pixels, width).tolist() == np.flatnonzero(inside).tolist()


def test_a_box_holds_all_between_its_edges() -> None:
    assert box(_pixels((1, 1), (2, 3), width=6), 6).tolist() == [7, 8, 9, 13, 14, 15]

"""Voxel grids: sparse and dense say the same, and wrong ones are refused."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from gestalt3d.structures.voxelgrid import VoxelGrid


def some_grid() -> VoxelGrid:
    generator = torch.Generator().manual_seed(0)
    occupied = torch.rand((4, 5, 6), generator=generator) < 0.3
    return VoxelGrid.from_dense(
        occupied,
        voxel_size=0.1,
        features=torch.rand((3, 4, 5, 6), generator=generator),
        classes=torch.randint(-1, 5, (4, 5, 6), generator=generator),
        instances=torch.arange(120).view(4, 5, 6),
        origin=torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64),
    )


def test_sparse_and_dense_hold_the_same() -> None:
    grid = some_grid()
    assert grid.features is not None and grid.classes is not None and grid.instances is not None
    assert grid.features.shape == (len(grid), 3) and grid.size == (4, 5, 6)
    dense = grid.dense(grid.features, empty=-2)
    assert dense.shape == (3, 4, 5, 6)
    for row, (x, y, z) in enumerate(grid.coordinates.tolist()):
        assert torch.equal(dense[:, x, y, z], grid.features[row])
        assert int(grid.instances[row]) == (x * 5 + y) * 6 + z
    assert int((dense != -2).all(0).sum()) == len(grid)
    assert torch.equal(grid.gather(dense), grid.features)
    assert torch.equal(grid.gather(grid.dense(grid.classes, empty=-1)), grid.classes)


def test_dense_keeps_the_type_and_lets_gradients_through() -> None:
    grid = some_grid()
    assert grid.dense(torch.ones(len(grid), dtype=torch.bool)).dtype == torch.bool
    values = torch.rand((len(grid), 2), dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(grid.dense, (values,))


def test_centres_lie_half_a_voxel_above_the_corner() -> None:
    grid = VoxelGrid(torch.tensor([[0, 0, 0], [2, 1, 3]]), (3, 2, 4), 0.1)
    torch.testing.assert_close(grid.centers, torch.tensor([[0.05, 0.05, 0.05], [0.25, 0.15, 0.35]]))


def test_a_grid_may_be_empty() -> None:
    grid = VoxelGrid(torch.zeros((0, 3), dtype=torch.int64), (2, 3, 4), 0.1)
    assert len(grid) == 0 and grid.centers.shape == (0, 3)
    assert grid.dense(torch.zeros((0, 7)), empty=1).shape == (7, 2, 3, 4)


def test_moving_keeps_everything() -> None:
    grid = some_grid()
    moved = grid.to("cpu")
    assert moved.classes is not None and grid.classes is not None
    assert torch.equal(moved.coordinates, grid.coordinates) and torch.equal(moved.classes, grid.classes)
    assert moved.size == grid.size and moved.origin is grid.origin


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coordinates": torch.tensor([[0, 0, 1], [0, 0, 0]])}, "ascend"),
        ({"coordinates": torch.tensor([[0, 0, 1], [0, 0, 1]])}, "none twice"),
        ({"coordinates": torch.tensor([[-1, 0, 0], [0, 0, 0]])}, "lowest corner"),
        ({"coordinates": torch.tensor([[0, 0, 0], [0, 0, 3]])}, r"lie in \[0, \(3, 3, 3\)\)"),
        ({"size": (0, 3, 3)}, "positive numbers of voxels"),
        ({"voxel_size": 0.0}, "positive metres"),
        # Both refuse it: the annotation, where it is checked, and the constructor.
        ({"classes": torch.zeros(3, dtype=torch.int64)}, r"classes must have 2 rows|i64\[3\]"),
    ],
)
def test_wrong_grids_are_refused(change: dict[str, Any], message: str) -> None:
    right: dict[str, Any] = {
        "coordinates": torch.tensor([[0, 0, 0], [0, 0, 1]]),
        "size": (3, 3, 3),
        "voxel_size": 0.1,
    }
    assert len(VoxelGrid(**right)) == 2
    with pytest.raises((ValueError, TypeError), match=message):
        VoxelGrid(**(right | change))


def test_arrays_of_another_grid_are_refused() -> None:
    grid = some_grid()
    with pytest.raises(ValueError, match=r"end in \(4, 5, 6\)"):
        grid.gather(torch.zeros(4, 5, 7))
    with pytest.raises(ValueError, match="one per voxel"):
        grid.dense(torch.zeros(len(grid) + 1))


def test_grids_are_equal_when_they_hold_the_same() -> None:
    assert some_grid() == some_grid()
    assert some_grid() != replace(some_grid(), voxel_size=7.0) and some_grid() != "grid"

"""Clouds: scaling of colours, origins of large coordinates, lengths."""

import numpy as np
import pytest
import torch

from gestalt3d.structures.pointcloud import PointCloud


def test_large_coordinates_keep_millimetres() -> None:
    points = np.array([[500_000.001, 5_000_000.002, 10.003], [500_001.0, 5_000_001.0, 11.0]])
    cloud = PointCloud.from_arrays(points)
    assert cloud.origin is not None
    assert np.abs(cloud.points.double().numpy() + cloud.origin.numpy() - points).max() < 1e-6


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_integer_colours_are_scaled(dtype: type, top: int) -> None:
    cloud = PointCloud.from_arrays(np.zeros((1, 3)), np.array([[0, top // 5, top]], dtype=dtype))
    assert cloud.colors is not None
    torch.testing.assert_close(cloud.colors, torch.tensor([[0.0, 0.2, 1.0]]), atol=1e-5, rtol=0)


def test_choosing_points() -> None:
    cloud = PointCloud.from_arrays(np.arange(9.0).reshape(3, 3), np.zeros((3, 3), dtype=np.float32))
    assert cloud[torch.tensor([True, False, True])].points[:, 0].tolist() == [0, 6]
    assert len(cloud[:0]) == 0


@pytest.mark.parametrize(("points", "colors"), [((2, 6), None), ((2, 3), (3, 3))])
def test_wrong_shapes_are_refused(points: tuple[int, int], colors: tuple[int, int] | None) -> None:
    tint = None if colors is None else torch.zeros(colors)
    with pytest.raises((ValueError, TypeError)):
        PointCloud(torch.zeros(points), tint)

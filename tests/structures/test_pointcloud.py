"""Clouds: scaling of colours, origins of large coordinates, lengths."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.structures.pointcloud import PointCloud, Source

RGB = np.random.default_rng(0).integers(0, 256, (300, 3))


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


@pytest.mark.parametrize("colors", [RGB.astype(np.int64), RGB / 255, RGB.astype(np.float32), RGB / 127.5 - 1])
def test_colours_of_any_type_and_range_are_the_same(colors: np.ndarray) -> None:
    cloud = PointCloud.from_arrays(np.zeros((300, 3)), colors)
    assert cloud.colors is not None
    np.testing.assert_allclose(cloud.colors.numpy() * 255, RGB, atol=1e-3)


def test_black_points_stay_black() -> None:
    cloud = PointCloud.from_arrays(np.zeros((3, 3)), np.zeros((3, 3), np.uint8))
    assert cloud.colors is not None and not bool(cloud.colors.any())


def test_choosing_points() -> None:
    cloud = PointCloud.from_arrays(np.arange(9.0).reshape(3, 3), np.zeros((3, 3), dtype=np.float32))
    assert cloud[torch.tensor([True, False, True])].points[:, 0].tolist() == [0, 6]
    assert len(cloud[:0]) == 0


@pytest.mark.parametrize(("points", "colors"), [((2, 6), None), ((2, 3), (3, 3))])
def test_wrong_shapes_are_refused(points: tuple[int, int], colors: tuple[int, int] | None) -> None:
    tint = None if colors is None else torch.zeros(colors)
    with pytest.raises((ValueError, TypeError)):
        PointCloud(torch.zeros(points), tint)


def test_points_are_chosen_like_instances() -> None:
    cloud = PointCloud(torch.rand(5, 3), torch.rand(5, 3))
    for keep in ([1, 3], np.array([1, 3]), np.array([False, True, False, True, False]), slice(1, 4, 2)):
        assert cloud[keep] == cloud[torch.tensor([1, 3])]
    assert cloud[::-1] == cloud[[4, 3, 2, 1, 0]]
    assert len(cloud[0]) == 1 and [len(point) for point in cloud] == [1] * 5
    for keep, kind in ((5, IndexError), ("x", TypeError), (np.zeros(5), TypeError)):
        with pytest.raises(kind, match="points"):
            cloud[keep]


def test_clouds_are_equal_when_they_hold_the_same_wherever_from() -> None:
    points = torch.rand(5, 3)
    points[0] = torch.nan
    cloud = PointCloud(points, source=Source(Path("a.ply"), "ply", np.eye(4)))
    assert cloud == PointCloud(points.clone())
    assert cloud != PointCloud(points, points) and cloud != PointCloud(points[1:])
    assert cloud != replace(cloud, origin=torch.ones(3, dtype=torch.float64)) and cloud != 3


def test_a_cloud_says_what_it_holds() -> None:
    points = torch.tensor([[0.0, 0, 0], [4.1, 3.2, 2.6], [torch.nan, 0, 0]])
    origin = torch.tensor([353000.0, 5601000.0, 100.0], dtype=torch.float64)
    cloud = PointCloud(points, points, origin=origin, source=Source(Path("in/office.ply"), "ply", np.eye(4)))
    words = "3 points, 4.1 x 3.2 x 2.6 m, with colors, around (353000, 5601000, 100), from office.ply"
    assert repr(cloud) == words
    assert repr(PointCloud(torch.zeros(0, 3))) == "0 points"
    assert repr(cloud[0]).startswith("1 point, ")

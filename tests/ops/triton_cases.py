"""Triton kernels against their references; run by test_triton.py, natively or in Triton's interpreter."""

import pytest
import torch

from gestalt3d.ops._triton.ball_query import ball_query
from gestalt3d.ops._triton.farthest_points import farthest_points
from gestalt3d.ops.ball_query import ball_query_reference
from gestalt3d.ops.farthest_points import farthest_points_reference
from tests.ops import kit

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIZES = [1, 7, 1025]


def clouds(n: int, dtype: torch.dtype) -> list[torch.Tensor]:
    return [make(n, seed=n, b=2).to(DEVICE, dtype) for make in (kit.surface, kit.lattice)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", SIZES)
def test_farthest_points(n, dtype):
    for cloud in clouds(n, dtype):
        args = cloud, 12, n // 2
        kit.assert_same(farthest_points(*args), farthest_points_reference(*args))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", SIZES)
def test_ball_query(n, dtype):
    for cloud in clouds(n, dtype):
        for radius in (0.0, 1.0, 50.0):
            args = cloud[:, :3], cloud, radius, 9
            kit.assert_same(ball_query(*args), ball_query_reference(*args))


def test_emptiness():
    cloud = kit.surface(4).to(DEVICE)
    for points, k in ((cloud[:, :0], 3), (cloud, 0), (cloud[:0], 3), (cloud, 6)):
        kit.assert_same(farthest_points(points, k, 0), farthest_points_reference(points, k, 0))
        kit.assert_same(
            ball_query(cloud[: len(points)], points, 1.0, k),
            ball_query_reference(cloud[: len(points)], points, 1.0, k),
        )

"""Triton kernels against their references; run by test_triton.py, natively or in Triton's interpreter."""

import pytest
import torch

from gestalt3d.ops._triton.ball_query import ball_query
from gestalt3d.ops._triton.farthest_points import farthest_points
from gestalt3d.ops._triton.silhouette import soft_cover, soft_cover_backward
from gestalt3d.ops.ball_query import ball_query_reference
from gestalt3d.ops.farthest_points import farthest_points_reference
from gestalt3d.ops.silhouette import soft_cover_backward_reference, soft_cover_reference
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(1, 1), (9, 31)])
@pytest.mark.parametrize("sigma", [1e-4, 1e-1])
def test_silhouette(size, sigma, dtype):
    """Corners in one place and at the camera, and triangles that name one twice, among the others."""
    g = torch.Generator().manual_seed(0)
    vertices = (2.4 * torch.rand(2, 8, 3, generator=g, dtype=torch.float64) - 1.2).to(DEVICE, dtype)
    vertices[..., 2] = 1
    vertices[1, 3, 2], vertices[:, 7] = 0.01, vertices[:, 0]
    faces = torch.randint(0, 8, (6, 3), generator=g).to(DEVICE)
    how = sigma, 23.0, 0.01
    grad = torch.randn(2, *size, generator=g, dtype=torch.float64).to(DEVICE, dtype)
    rtol = 1e-11 if dtype == torch.float64 else 1e-4
    for found, expected in (
        (soft_cover(vertices, faces, *size, *how), soft_cover_reference(vertices, faces, *size, *how)),
        (
            soft_cover_backward(grad, vertices, faces, *how),
            soft_cover_backward_reference(grad, vertices, faces, *how),
        ),
    ):
        # Positions are known to the last digit of 1; what that makes of a quotient by sigma is relative to the largest.
        torch.testing.assert_close(found, expected, rtol=0, atol=rtol * max(1, float(expected.abs().max())))


def test_emptiness():
    nothing = torch.zeros(0, 3, dtype=torch.int64, device=DEVICE)
    for vertices in (torch.ones(2, 3, 3, device=DEVICE), torch.ones(0, 3, 3, device=DEVICE)):
        assert not soft_cover(vertices, nothing, 4, 5, 1e-2, 9.0, 0.01).any()
        grad = torch.ones(len(vertices), 4, 5, device=DEVICE)
        assert not soft_cover_backward(grad, vertices, nothing, 1e-2, 9.0, 0.01).any()
    cloud = kit.surface(4).to(DEVICE)
    for points, k in ((cloud[:, :0], 3), (cloud, 0), (cloud[:0], 3), (cloud, 6)):
        kit.assert_same(farthest_points(points, k, 0), farthest_points_reference(points, k, 0))
        kit.assert_same(
            ball_query(cloud[: len(points)], points, 1.0, k),
            ball_query_reference(cloud[: len(points)], points, 1.0, k),
        )

"""Surface normals: exact on planes, equal to the eigenvectors elsewhere, turning with the cloud."""

import math

import pytest
import torch

from gestalt3d.ops.knn import knn
from gestalt3d.ops.normals import (
    _normals,
    normals_of_neighbours,
    normals_of_neighbours_reference,
    surface_normals,
)
from tests.ops import kit

OP = kit.Op(torch.ops.gestalt3d.normals_of_neighbours, normals_of_neighbours_reference, _normals)


def blob(n: int = 400, seed: int = 0) -> torch.Tensor:
    """Points of a bumpy sheet: every neighbourhood has one thin direction."""
    g = torch.Generator().manual_seed(seed)
    xy = torch.rand(1, n, 2, generator=g, dtype=torch.float64) * 4
    z = 0.3 * torch.sin(2 * xy[..., :1]) + 0.2 * torch.cos(3 * xy[..., 1:])
    return torch.cat([xy, z], dim=-1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_agrees_with_the_eigenvectors(dtype: torch.dtype) -> None:
    points = blob().to(dtype)
    index = knn(points, points, k=12).index
    agreement = (OP.run(points, index) * OP.reference(points, index)).sum(-1)
    assert float(agreement.min()) > 1 - 1e-5


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_plane_has_its_normal(scale: float) -> None:
    turn = kit.rotation(1)
    flat = (
        torch.cat(
            [torch.rand(1, 200, 2, dtype=torch.float64), torch.zeros(1, 200, 1, dtype=torch.float64)], -1
        )
        * scale
    )
    found = surface_normals(flat @ turn.T, k=10)
    expected = turn[:, 2]
    assert float((found @ expected).abs().min()) > 1 - 1e-9


def test_far_from_the_origin() -> None:
    flat = torch.cat([torch.rand(1, 200, 2), torch.zeros(1, 200, 1)], -1) + 10_000.0
    assert float(surface_normals(flat, k=10)[..., 2].min()) > math.cos(math.radians(3))


def test_deterministic_and_registered() -> None:
    points = blob(3000).float()
    index = knn(points, points, k=8).index
    kit.check_deterministic(OP, points, index)
    kit.check_layouts(OP, points, index)
    kit.check_registration(OP, points[:, :20], index[:, :20].clamp(max=19))


def test_lines_points_and_nothing_have_none() -> None:
    line = torch.linspace(0, 1, 20)[None, :, None] * torch.tensor([1.0, 2.0, 3.0])
    assert not surface_normals(line, k=5).any()
    assert not surface_normals(torch.ones(1, 9, 3), k=5).any()
    assert surface_normals(torch.zeros(1, 0, 3)).shape == (1, 0, 3)
    assert not surface_normals(torch.zeros(2, 1, 3)).any()


def test_too_few_neighbours_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        surface_normals(torch.zeros(1, 5, 3), k=2)


def test_rows_name_whom_they_like() -> None:
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [5, 5, 5]])[None]
    index = torch.tensor([[1, 2, 0], [0, 2, 3], [0, 1, -1], [-1, -1, -1], [0, 1, 2]])[None]
    expected = torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]])
    torch.testing.assert_close(normals_of_neighbours(points, index)[0], expected)
    none = torch.zeros(1, 0, 4, dtype=torch.int64)
    assert normals_of_neighbours(torch.zeros(1, 0, 3), none).shape == (1, 0, 3)


@pytest.mark.parametrize("shape", [(1, 3, 4), (2, 5, 4), (5, 4)])
def test_an_index_of_other_points_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(Exception, match="index"):
        normals_of_neighbours(torch.zeros(1, 5, 3), torch.zeros(shape, dtype=torch.int64))

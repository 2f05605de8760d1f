"""Edges of meshes: each once, with what lies on both sides."""

import pytest
import torch

from gestalt3d.ops.mesh_edges import mesh_edges
from gestalt3d.structures.icosphere import icosphere


def test_two_triangles_by_hand() -> None:
    found = mesh_edges(torch.tensor([[3, 0, 1], [1, 0, 2]]))
    assert found.ends.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3]]
    assert found.opposite.tolist() == [[3, 2], [-1, -1], [-1, -1], [-1, -1], [-1, -1]]


def test_which_way_round_triangles_run_does_not_matter() -> None:
    faces = icosphere(1).faces
    expected, turned = mesh_edges(faces), faces.clone()
    turned[::2] = turned[::2].flip(1)
    for a, b in zip(mesh_edges(turned), expected, strict=True):
        assert torch.equal(a, b)


def test_three_triangles_at_one_edge_have_no_two_sides() -> None:
    found = mesh_edges(torch.tensor([[0, 1, 2], [1, 0, 3], [0, 1, 4]]))
    assert found.ends[0].tolist() == [0, 1] and (found.opposite == -1).all()


def test_a_closed_surface_has_two_triangles_at_every_edge() -> None:
    sphere = icosphere(3)
    found = mesh_edges(sphere.faces)
    assert found.ends.shape == found.opposite.shape == (1920, 2)
    assert bool((found.ends[:, 0] < found.ends[:, 1]).all()) and bool((found.opposite >= 0).all())
    triangles = {frozenset(f) for f in sphere.faces.tolist()}
    for ends, both in zip(found.ends.tolist(), found.opposite.tolist(), strict=True):
        assert both[0] != both[1] and all(frozenset([*ends, third]) in triangles for third in both)


def test_nothing_and_triangles_that_name_a_vertex_twice() -> None:
    for faces in (torch.zeros(0, 3, dtype=torch.int64), torch.tensor([[0, 0, 1], [2, 2, 2]])):
        found = mesh_edges(faces)
        assert found.ends.shape == found.opposite.shape == (0, 2)


def test_a_single_triangle() -> None:
    assert mesh_edges(torch.tensor([[2, 5, 3]])).ends.tolist() == [[2, 3], [2, 5], [3, 5]]


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_any_whole_numbers(dtype: torch.dtype) -> None:
    assert mesh_edges(torch.tensor([[0, 1, 2]], dtype=dtype)).ends.dtype == torch.int64

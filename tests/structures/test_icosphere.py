"""The template sphere."""

import pytest
import torch

from gestalt3d.ops.mesh_edges import mesh_edges
from gestalt3d.structures.icosphere import icosphere


@pytest.mark.parametrize(
    ("levels", "v", "f"), [(0, 12, 20), (1, 42, 80), (2, 162, 320), (3, 642, 1280), (4, 2562, 5120)]
)
def test_it_is_a_closed_sphere_whose_faces_look_outward(levels: int, v: int, f: int) -> None:
    sphere = icosphere(levels, radius=0.5)
    assert (len(sphere.vertices), len(sphere.faces)) == (v, f)
    edges = mesh_edges(sphere.faces)
    assert v - len(edges.ends) + f == 2 and bool((edges.opposite >= 0).all())
    torch.testing.assert_close(sphere.vertices.norm(dim=1), torch.full((v,), 0.5))
    a, b, c = sphere.vertices[sphere.faces].double().unbind(1)
    assert bool(((torch.linalg.cross(b - a, c - a) * (a + b + c)).sum(1) > 0).all())
    # The volume of a polyhedron, which approaches that of the ball from below.
    volume = float((a * torch.linalg.cross(b, c)).sum() / 6)
    ball = 4 / 3 * torch.pi * 0.125
    # Each level leaves less than a third of what is missing; the icosahedron lacks 39 %.
    assert 0 < 1 - volume / ball < 0.4 / 3**levels * 1.1


def test_edges_are_nearly_equal_and_vertices_stay_from_level_to_level() -> None:
    sphere, finer = icosphere(2), icosphere(3)
    assert torch.equal(finer.vertices[:162], sphere.vertices)
    a, b = finer.vertices[mesh_edges(finer.faces).ends].unbind(1)
    lengths = (a - b).norm(dim=1)
    assert float(lengths.max() / lengths.min()) < 1.25


@pytest.mark.parametrize("wrong", [{"levels": -1}, {"levels": 9}, {"radius": 0.0}])
def test_what_makes_no_sense_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="levels must be 0 to 8 and radius positive"):
        icosphere(**wrong)

"""The surface of voxels: closed, a manifold, outward, and where the voxels end."""

import numpy as np
import pytest
import torch
from torch import Tensor

from gestalt3d.ops.voxel_surface import Surface, voxel_surface


def directed_edges(faces: Tensor) -> list[tuple[int, int]]:
    return [
        (int(a), int(b)) for k in range(3) for a, b in zip(faces[:, k], faces[:, (k + 1) % 3], strict=True)
    ]


def volume(surface: Surface) -> float:
    a, b, c = surface.vertices[surface.faces].unbind(1)
    return float((a * torch.linalg.cross(b, c, dim=1)).sum() / 6)


def discs_around(faces: Tensor) -> bool:
    """Whether the triangles around every vertex form one ring."""
    onward: dict[int, dict[int, int]] = {}
    for face in faces.tolist():
        for k in range(3):
            onward.setdefault(face[k], {})[face[(k + 1) % 3]] = face[(k + 2) % 3]
    for ring in onward.values():
        first = at = next(iter(ring))
        length = 0
        while length == 0 or at != first:
            at, length = ring[at], length + 1
        if length != len(ring):
            return False
    return True


def every_cell() -> list[Tensor]:
    """The 256 ways to occupy two by two by two voxels."""
    corners = torch.stack(torch.meshgrid(*[torch.arange(2)] * 3, indexing="ij"), dim=-1).reshape(8, 3)
    return [corners[torch.tensor([bool(case >> k & 1) for k in range(8)])] for case in range(1, 256)]


def noise(seed: int, share: float) -> Tensor:
    return (torch.rand(7, 8, 9, generator=torch.Generator().manual_seed(seed)) < share).nonzero()


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.7, 0.95, None])
def test_the_surface_is_a_closed_manifold_whatever_the_voxels(share: float | None) -> None:
    every = every_cell() if share is None else [noise(seed, share) for seed in range(8)]
    for voxels in every:
        vertices, faces = voxel_surface(voxels, smooth=0)
        edges = directed_edges(faces)
        assert len(set(edges)) == len(edges), "no edge is used twice in one direction"
        assert {*edges} == {(b, a) for a, b in edges}, "every edge is used once in each"
        assert discs_around(faces)
        assert torch.equal(faces.unique(), torch.arange(len(vertices)))


def test_voxels_are_inside_and_empty_places_outside() -> None:
    """By the winding number, the sum of the solid angles of the triangles (van Oosterom and Strackee 1983)."""
    voxels = noise(3, 0.5)
    vertices, faces = voxel_surface(voxels, smooth=0)
    middles = torch.stack(torch.meshgrid(*[torch.arange(-1, 10)] * 3, indexing="ij"), dim=-1).reshape(-1, 3)
    occupied = (middles[:, None] == voxels[None]).all(2).any(1)
    a, b, c = (vertices[faces] - (middles + 0.5)[:, None, None]).unbind(2)
    la, lb, lc = a.norm(dim=-1), b.norm(dim=-1), c.norm(dim=-1)
    triple = (a * torch.linalg.cross(b, c, dim=-1)).sum(-1)
    below = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    winding = torch.atan2(triple, below).sum(1) / (2 * np.pi)
    assert torch.allclose(winding, occupied.double(), atol=1e-9)


def test_plain_vertices_are_half_way_between_an_occupied_and_an_empty_voxel() -> None:
    voxels = noise(0, 0.4)
    held = {tuple(v) for v in voxels.tolist()}
    for place in voxel_surface(voxels, smooth=0).vertices.numpy():
        (axis,) = np.flatnonzero(place == np.round(place))
        sides = [tuple(np.floor(place + s * 0.5 * np.eye(3)[axis]).astype(int).tolist()) for s in (-1, 1)]
        assert (sides[0] in held) != (sides[1] in held)


@pytest.mark.parametrize("smooth", [0, 10])
def test_the_surface_of_a_ball_is_that_of_the_ball(smooth: int) -> None:
    at = torch.stack(torch.meshgrid(*[torch.arange(24)] * 3, indexing="ij"), dim=-1).reshape(-1, 3)
    voxels = at[(at - 11.5).norm(dim=1) < 10]
    surface = voxel_surface(voxels, smooth=smooth)
    assert volume(surface) == pytest.approx(len(voxels), rel=0.01)
    radius = (surface.vertices - 12).norm(dim=1)
    assert float((radius - 10).abs().max()) < 0.6
    # Steps of half a voxel are uneven by 1 / sqrt(12) / sqrt(2); smooth, by half as much.
    assert float(radius.std()) < (0.11 if smooth else 0.21)


def test_smoothing_moves_nothing_far_and_leaves_thin_things() -> None:
    voxels = noise(1, 0.3)
    plain, smooth = voxel_surface(voxels, smooth=0), voxel_surface(voxels, smooth=50)
    assert torch.equal(plain.faces, smooth.faces)
    assert float((plain.vertices - smooth.vertices).abs().max()) <= 0.25
    bar = voxel_surface(torch.tensor([[0, 0, k] for k in range(12)]))
    middle = bar.vertices[(bar.vertices[:, 2] > 2) & (bar.vertices[:, 2] < 10)]
    assert float(middle[:, :2].amax(0).min() - middle[:, :2].amin(0).max()) == pytest.approx(0.5)
    assert volume(bar) > 0


def test_a_large_flat_side_stays_flat() -> None:
    at = torch.stack(torch.meshgrid(*[torch.arange(20)] * 3, indexing="ij"), dim=-1).reshape(-1, 3)
    vertices = voxel_surface(at).vertices
    inner = vertices[((vertices[:, :2] > 6) & (vertices[:, :2] < 14)).all(1)]
    assert torch.allclose(
        torch.minimum(inner[:, 2].abs(), (inner[:, 2] - 20).abs()), torch.zeros(1).double(), atol=0.02
    )


def test_the_order_of_voxels_and_their_place_do_not_matter() -> None:
    voxels = noise(2, 0.4)
    vertices, faces = voxel_surface(voxels)
    shuffled = voxels[torch.randperm(len(voxels), generator=torch.Generator().manual_seed(0))]
    moved = voxel_surface((shuffled + torch.tensor([-5, 1000, -70])).int())
    assert torch.equal(moved.faces, faces)
    assert torch.allclose(moved.vertices, vertices + torch.tensor([-5, 1000, -70]), atol=1e-9)


def test_no_voxels_have_no_surface_and_what_is_no_list_of_voxels_is_refused() -> None:
    vertices, faces = voxel_surface(torch.zeros(0, 3, dtype=torch.int64))
    assert vertices.shape == faces.shape == (0, 3)
    for bad, words in (
        (torch.tensor([[1, 2, 3], [1, 2, 3]]), "once"),
        (torch.tensor([[0, 0, 0], [2**31, 2**31, 0]]), "span fewer"),
    ):
        with pytest.raises(ValueError, match=words):
            voxel_surface(bad)
    with pytest.raises(ValueError, match="smooth"):
        voxel_surface(torch.tensor([[0, 0, 0]]), smooth=-1)

"""Overlap of silhouettes and the regularisers, against values by hand and finite differences."""

import inspect
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gestalt3d.losses.silhouette import (
    edge_length_loss,
    flatten_loss,
    laplacian_loss,
    silhouette_loss,
    soft_iou,
)
from gestalt3d.ops.mesh_edges import mesh_edges
from gestalt3d.structures.icosphere import icosphere

TENT = mesh_edges(torch.tensor([[0, 1, 2], [1, 0, 3]]))
"""Two triangles at the edge from 0 to 1."""


def tent(angle: float, *, height: float = 1.0) -> Tensor:
    """The edge on the y axis, one wing along x, the other turned away from it by `angle`."""
    wing = [2 * math.cos(angle), 0.3, 2 * math.sin(angle)]
    return torch.tensor([[[0, 0, 0], [0, 1, 0], [height, 0.8, 0], wing]], dtype=torch.float64)


def grid(n: int = 5) -> tuple[Tensor, Tensor]:
    """A plane of squares, each cut along the same diagonal, and its triangles."""
    y, x = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    number = y * n + x
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
    faces = torch.cat([torch.stack([a, b, d], -1), torch.stack([a, d, c], -1)]).reshape(-1, 3)
    points = torch.stack([x, y, torch.zeros_like(x)], dim=-1).reshape(1, -1, 3).double()
    return points, faces


def random_mesh() -> Tensor:
    g = torch.Generator().manual_seed(0)
    return (icosphere(0).vertices.double() + 0.2 * torch.randn(2, 12, 3, generator=g)).requires_grad_()


def test_overlap_of_binary_masks_is_intersection_over_union() -> None:
    p, g = torch.zeros(3, 4, 4), torch.zeros(3, 4, 4)
    p[0, :2], g[0, 1:] = 1, 1  # 4 of 16 pixels
    p[1, 1:3], g[1, 1:3] = 1, 1
    p[2, 0], g[2, 3] = 1, 1
    torch.testing.assert_close(soft_iou(p, g), torch.tensor([0.25, 1.0, 0.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(silhouette_loss(p, g), torch.tensor(1 - 1.25 / 3), atol=1e-6, rtol=0)


def test_overlap_of_soft_masks_by_hand() -> None:
    p, g = torch.tensor([[[0.5, 0.25]]]), torch.tensor([[[1.0, 0.0]]])
    torch.testing.assert_close(soft_iou(p, g), torch.tensor([0.5 / (0.75 + 1 - 0.5)]), atol=1e-6, rtol=0)


def test_empty_masks_do_not_overlap_and_have_no_gradient() -> None:
    p = torch.zeros(1, 3, 3, requires_grad=True)
    loss = silhouette_loss(p, torch.zeros(1, 3, 3))
    loss.backward()
    assert float(loss.detach()) == 1 and p.grad is not None and not p.grad.any()
    assert float(silhouette_loss(torch.zeros(0, 3, 3), torch.zeros(0, 3, 3))) == 0


def test_more_overlap_costs_less() -> None:
    """The gradient asks for more inside of the target and for less outside."""
    p = torch.full((1, 6, 6), 0.4, requires_grad=True)
    target = torch.zeros(1, 6, 6)
    target[0, 2:5, 1:4] = 1
    silhouette_loss(p, target).backward()
    assert p.grad is not None and torch.equal(p.grad < 0, target > 0)


def test_masks_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="same shape"):
        inspect.unwrap(soft_iou)(torch.zeros(2, 3, 3), torch.zeros(3, 3))  # before annotations speak


def test_laplacian_by_hand() -> None:
    """A triangle: every vertex lies 3/2 times as far from the others' middle as from the centre."""
    vertices = torch.tensor([[[0.0, 0, 0], [3, 0, 0], [0, 6, 0]]], dtype=torch.float64)
    centre = vertices.mean(1, keepdim=True)
    expected = (1.5 * (vertices - centre)).square().sum()
    edges = mesh_edges(torch.tensor([[0, 1, 2]]))
    torch.testing.assert_close(laplacian_loss(vertices, edges), expected)
    two = torch.cat([vertices, 2 * vertices])
    torch.testing.assert_close(laplacian_loss(two, edges), expected * (1 + 4) / 2)
    alone = torch.cat([vertices, torch.full((1, 1, 3), 9.0)], dim=1)
    torch.testing.assert_close(laplacian_loss(alone, edges), expected)


def test_laplacian_of_a_regular_plane_is_zero_inside() -> None:
    points, faces = grid()
    inner = points.clone().requires_grad_()
    laplacian_loss(inner, mesh_edges(faces)).backward()
    assert inner.grad is not None and not inner.grad[0, 12].any()  # none of its neighbours is at the border
    moved = points.clone()
    moved[0, 12, 2] = 1.0
    # What a peak adds: itself, and a sixth for each of its six neighbours.
    base = laplacian_loss(points, mesh_edges(faces))
    assert float(base) > 0
    torch.testing.assert_close(
        laplacian_loss(moved, mesh_edges(faces)) - base, torch.tensor(1 + 6 / 36).double()
    )


def test_edge_lengths_by_hand() -> None:
    vertices = torch.tensor([[[0.0, 0, 0], [3, 0, 0], [0, 4, 0]]])
    edges = mesh_edges(torch.tensor([[0, 1, 2]]))
    torch.testing.assert_close(edge_length_loss(vertices, edges), torch.tensor((9 + 16 + 25) / 3))
    torch.testing.assert_close(edge_length_loss(vertices, edges, length=4.0), torch.tensor((1 + 0 + 1) / 3))
    none = mesh_edges(torch.zeros(0, 3, dtype=torch.int64))
    assert float(edge_length_loss(vertices, none)) == float(laplacian_loss(vertices, none)) == 0


def test_an_edge_without_length_has_a_finite_gradient() -> None:
    vertices = torch.zeros(1, 4, 3, requires_grad=True)
    total = (
        edge_length_loss(vertices, TENT, length=1.0)
        + flatten_loss(vertices, TENT)
        + laplacian_loss(vertices, TENT)
    )
    total.backward()
    assert float(total.detach()) == 1 and vertices.grad is not None and bool(vertices.grad.isfinite().all())


@pytest.mark.parametrize("degrees", [180, 135, 90, 60, 0])
def test_flatness_by_hand(degrees: float) -> None:
    angle = math.radians(degrees)
    for height in (1.0, 0.2):  # nothing but the angle matters
        found = flatten_loss(tent(angle, height=height), TENT)
        torch.testing.assert_close(
            found, torch.tensor((math.cos(angle) + 1) ** 2, dtype=torch.float64), atol=1e-12, rtol=0
        )


def test_flatness_of_a_plane_is_zero_whichever_way_round_its_triangles_run() -> None:
    points, faces = grid()
    assert float(flatten_loss(points, mesh_edges(faces))) == pytest.approx(0, abs=1e-20)
    # A cube's twelve edges at right angles; the diagonals of its sides are flat.
    corners = torch.tensor([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]).double()[None]
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    cube = torch.tensor([t for a, b, c, d in quads for t in ((a, b, c), (c, a, d))])
    assert float(flatten_loss(corners, mesh_edges(cube))) == pytest.approx(12)
    assert float(flatten_loss(corners.expand(3, -1, -1), mesh_edges(cube))) == pytest.approx(12)


def test_finer_spheres_are_flatter_at_each_edge() -> None:
    found = []
    for levels in (1, 2, 3):
        sphere = icosphere(levels)
        edges = mesh_edges(sphere.faces)
        found.append(float(flatten_loss(sphere.vertices[None], edges)) / len(edges.ends))
    assert found[0] > 10 * found[1] > 100 * found[2] > 0


def test_gradients_are_those_of_finite_differences() -> None:
    vertices, edges = random_mesh(), mesh_edges(icosphere(0).faces)
    for loss in (
        laplacian_loss,
        flatten_loss,
        edge_length_loss,
        lambda v, e: edge_length_loss(v, e, length=0.7),
    ):
        assert torch.autograd.gradcheck(lambda v, loss=loss: loss(v, edges), vertices)
    g = torch.Generator().manual_seed(1)
    p = torch.rand(2, 3, 4, generator=g, dtype=torch.float64).requires_grad_()
    target = torch.rand(2, 3, 4, generator=g, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: silhouette_loss(p, target), p)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bits_are_summed_in_32(dtype: torch.dtype) -> None:
    p = torch.full((1, 64, 64), 0.5, dtype=dtype)
    assert float(soft_iou(p, p)) == pytest.approx(0.25 / 0.75, abs=1e-6)
    vertices = icosphere(1).vertices[None]
    edges = mesh_edges(icosphere(1).faces)
    for loss in (laplacian_loss, edge_length_loss, flatten_loss):
        torch.testing.assert_close(loss(vertices.to(dtype), edges), loss(vertices.to(dtype).float(), edges))


def test_the_example_of_the_docs_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "conventions.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    assert 0 < float(names["loss"].detach()) < 1 and bool(names["vertices"].grad.any())
    assert names["mask"].shape == (1, 64, 64)

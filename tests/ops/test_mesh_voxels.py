"""Voxels of a mesh: equal to the definition, exact for boxes, without gaps for what is thin."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gestalt3d.ops import mesh_voxels as module
from gestalt3d.ops.mesh_voxels import mesh_voxels, mesh_voxels_reference
from gestalt3d.synth.colours import Material
from gestalt3d.synth.shapes import Builder
from tests.ops import kit

OP = kit.Op(module._op, mesh_voxels_reference, module._op)
GRID = (9, 10, 11)


def mesh(b: Builder) -> tuple[Tensor, Tensor]:
    vertices = torch.from_numpy(np.concatenate([part.vertices for part in b.parts]))
    first = np.cumsum([0, *(len(part.vertices) for part in b.parts)])
    faces = np.concatenate([part.faces + f for part, f in zip(b.parts, first, strict=False)])
    return vertices, torch.from_numpy(faces.astype(np.int64))


def boxes(*corners: tuple[tuple[float, float, float], tuple[float, float, float]]) -> tuple[Tensor, Tensor]:
    b = Builder()
    for low, high in corners:
        b.box("part", low, high, Material())
    return mesh(b)


def args(vertices: Tensor, faces: Tensor, voxel_size: float = 1.0) -> tuple:
    return vertices, faces, voxel_size, 0.0, 0.0, 0.0, *GRID


def lumps(seed: int, *, on_lattice: bool) -> tuple[Tensor, Tensor]:
    """Overlapping boxes, lumps, an open cone and strays, partly out of the grid; corners on centres and edges, or not."""
    rng = np.random.default_rng(seed)
    b = Builder()
    for _ in range(3):
        low = rng.integers(-2, 8, 3) / 2 if on_lattice else rng.uniform(-1, 7, 3)
        high = low + (rng.integers(1, 8, 3) / 2 if on_lattice else rng.uniform(0.1, 5, 3))
        b.box("box", tuple(low), tuple(high), Material())
    b.blob("lump", tuple(rng.uniform(1, 8, 3)), (2, 1, 2), rng, Material(), rings=5, sides=6)
    b.lathe("shade", [(2, 1), (1, 3)], Material(), at=(5, 5, 5), sides=7)
    b.mesh("stray", rng.uniform(0, 9, (6, 3)), np.arange(6).reshape(2, 3), Material())
    return mesh(b)


@kit.quick(40)
@given(st.integers(0, 2**16), st.booleans())
def test_is_the_definition_ties_included(seed: int, on_lattice: bool) -> None:
    kit.check_equals_reference(OP, *args(*lumps(seed, on_lattice=on_lattice)))


@kit.quick(40)
@given(st.integers(0, 2**16))
def test_a_box_has_the_voxels_whose_centres_it_holds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low, size = rng.uniform(0, 4, 3), rng.uniform(1, 5, 3)
    found = mesh_voxels(
        *boxes((tuple(low), tuple(low + size))), voxel_size=1.0, origin=(0.0, 0.0, 0.0), size=GRID
    )
    centres = torch.from_numpy(np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in GRID), indexing="ij"), -1))
    inside = ((centres > torch.from_numpy(low)) & (centres < torch.from_numpy(low + size))).all(-1)
    assert torch.equal(found, inside)


def test_diagonals_and_edges_on_the_middle_lines_neither_leak_nor_double() -> None:
    """Corners on centres: every middle line there runs along an edge or the diagonal of a side."""
    found = mesh_voxels(
        *boxes(((0.5, 0.5, 0.5), (3.5, 3.5, 3.5))), voxel_size=1.0, origin=(0.0, 0.0, 0.0), size=(5, 5, 5)
    )
    # Half of the centres on the surface are in: 3 of 4 along each axis.
    assert int(found.sum()) == 27
    assert bool(found[1:4, 1:4, 1:4].all())


def test_overlapping_and_nested_parts_are_one_solid() -> None:
    parts = boxes(((1, 1, 1), (5, 5, 5)), ((3, 3, 3), (8, 8, 8)), ((1.7, 1.7, 1.7), (4.2, 4.2, 4.2)))
    found = mesh_voxels(*parts, voxel_size=1.0, origin=(0.0, 0.0, 0.0), size=GRID)
    assert int(found.sum()) == 4**3 + 5**3 - 2**3


@pytest.mark.parametrize("height", [3.2, 3.5, 3.8])
def test_a_sheet_is_one_layer_without_gaps(height: float) -> None:
    found = mesh_voxels(
        *boxes(((1, 1, height), (8, 8, height + 0.01))), voxel_size=1.0, origin=(0.0, 0.0, 0.0), size=GRID
    )
    assert found.sum() == 49 and bool(found[1:8, 1:8, 3].all())


def test_a_bar_through_middles_has_no_gap() -> None:
    found = mesh_voxels(
        *boxes(((2.45, 2.45, 0.2), (2.55, 2.55, 8.3))), voxel_size=1.0, origin=(0.0, 0.0, 0.0), size=GRID
    )
    assert found.nonzero().tolist() == [[2, 2, k] for k in range(8)]


@pytest.mark.parametrize("width", [0.01, 0.2, 0.6])
def test_bars_never_vanish(width: float) -> None:
    for x in (2.2, 2.5, 2.8):
        upright = boxes(((x, 2.7, 0.2), (x + width, 2.7 + width, 8.3)))
        found = mesh_voxels(*upright, voxel_size=1.0, origin=(0.0, 0.0, 0.0), size=GRID)
        assert bool(found.any(0).any(0)[1:8].all())
    slanting = Builder()
    slanting.cylinder("leg", (1.2, 1.3, 0.5), (7.7, 8.2, 10.2), width / 2, width / 2, Material(), 8)
    leg = mesh_voxels(*mesh(slanting), voxel_size=1.0, origin=(0.0, 0.0, 0.0), size=GRID)
    layers = leg.any(0).any(0)[1:10]
    assert bool((layers[1:] | layers[:-1]).all())  # no gap of two


def test_what_is_open_holds_nothing() -> None:
    b = Builder()
    b.lathe("shade", [(4.0, 0.3), (4.0, 8.7)], Material(), at=(4.5, 4.5, 0), sides=24)
    found = mesh_voxels(*mesh(b), voxel_size=1.0, origin=(0.0, 0.0, 0.0), size=(9, 9, 9))
    assert not bool(found[3:6, 3:6].any()) and bool(found[0, 4, 1:8].all()) and bool(found[4, 8, 1:8].all())


def test_scale_and_origin_move_the_grid() -> None:
    vertices, faces = lumps(5, on_lattice=False)
    base = mesh_voxels(vertices, faces, voxel_size=1.0, origin=(0.0, 0.0, 0.0), size=GRID)
    for scale in (2.0**-10, 2.0**10):
        origin = (64 * scale, -32 * scale, 8 * scale)
        moved = vertices * scale + torch.tensor(origin, dtype=torch.float64)
        assert torch.equal(mesh_voxels(moved, faces, voxel_size=scale, origin=origin, size=GRID), base)


def test_nothing_fills_nothing() -> None:
    empty = mesh_voxels(
        torch.zeros(0, 3),
        torch.zeros(0, 3, dtype=torch.int64),
        voxel_size=1.0,
        origin=(0.0, 0.0, 0.0),
        size=GRID,
    )
    assert empty.shape == GRID and not bool(empty.any())


def test_bad_arguments_are_named() -> None:
    vertices, faces = boxes(((1, 1, 1), (2, 2, 2)))
    fine = {"voxel_size": 1.0, "origin": (0.0, 0.0, 0.0), "size": GRID}
    for changed, said in (({"voxel_size": 0.0}, "voxel_size"), ({"size": (0, 1, 1)}, "size")):
        with pytest.raises(ValueError, match=said):
            mesh_voxels(vertices, faces, **{**fine, **changed})  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="faces"):
        mesh_voxels(vertices, faces + 1, **fine)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="within 1,048,576 voxels"):
        mesh_voxels(vertices * 1e7, faces, **fine)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="finite"):
        mesh_voxels(vertices * torch.nan, faces, **fine)  # pyright: ignore[reportArgumentType]


def test_is_registered_deterministic_and_indifferent_to_layout() -> None:
    given = args(*lumps(2, on_lattice=True))
    kit.check_registration(OP, *given)
    kit.check_deterministic(OP, *given)
    kit.check_layouts(OP, *given)

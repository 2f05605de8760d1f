"""Answers to views scored as whole objects: shapes and boxes become voxels, the truth finds itself."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

import gestalt3d as g3
from gestalt3d.data import Evaluator
from gestalt3d.data.amodal_scoring import (
    ViewScores,
    lattice_voxels,
    not_free,
    whole_answer,
    whole_truth,
)
from gestalt3d.data.relabel import relabelled
from gestalt3d.metrics.amodal import FIGURES
from gestalt3d.structures.camera import Camera
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import LabelledView
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import S3DIS, SYNTH
from gestalt3d.structures.voxelgrid import VoxelGrid
from gestalt3d.synth.view_voxels import whole_voxels
from gestalt3d.synth.views import SyntheticView, make_view

CAMERA = Camera(Camera.from_focal(100.0, (101, 81)).intrinsics, np.eye(4), (101, 81))


@cache
def view(seed: int) -> SyntheticView:
    return make_view(seed)


def block(low: tuple[int, ...], high: tuple[int, ...]) -> np.ndarray:
    axes = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


def solid(low: tuple[float, ...], high: tuple[float, ...], edge: float, corner: float) -> VoxelGrid:
    """The voxels of a grid of its own whose centres lie in a box."""
    count = np.ceil((np.array(high) - low) / edge).astype(int) + 3
    first = np.floor((np.array(low) - corner) / edge) - 1
    origin = torch.from_numpy(first * edge + corner)
    centres = (np.stack(np.indices(count), -1) + 0.5) * edge + origin.numpy()
    filled = ((centres > low) & (centres < high)).all(-1)
    return VoxelGrid.from_dense(torch.from_numpy(filled), voxel_size=edge, origin=origin)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return {*map(tuple, a.tolist())} == {*map(tuple, b.tolist())}


@pytest.mark.parametrize(("edge", "corner"), [(0.05, 0.0), (0.025, 0.0), (0.0125, 0.0), (0.05 / 3, 0.0)])
def test_grids_that_fit_into_the_lattice_are_what_they_fill(edge: float, corner: float) -> None:
    grid = solid((-0.2, 0.1, -0.3), (0.3, 0.4, -0.1), edge, corner)
    assert same(lattice_voxels(grid), block((-4, 2, -6), (6, 8, -2)))


def test_a_grid_half_a_voxel_off_keeps_its_size() -> None:
    moved = solid((-0.225, 0.075, -0.325), (0.275, 0.375, -0.125), 0.05, 0.025)
    found = lattice_voxels(moved)
    low, high = found.min(0), found.max(0) + 1
    assert (high - low).tolist() == [10, 6, 4]


@pytest.mark.parametrize("edge", [0.031, 0.05, 0.08, 0.1])
def test_a_grid_of_its_own_fills_about_what_it_covers(edge: float) -> None:
    low, high = (-0.62, 0.41, -0.83), (0.63, 1.44, 0.21)
    found = {*map(tuple, lattice_voxels(solid(low, high, edge, 0.013)).tolist())}
    wanted = {*map(tuple, lattice_voxels(solid(low, high, 0.05, 0.0)).tolist())}
    # Each of six sides is off by half of the larger edge at most, of lengths from 1 m on.
    assert len(found & wanted) / len(found | wanted) > (1 - max(edge, 0.05) / 1.03) ** 3


def test_meshes_and_clouds_and_empty_shapes() -> None:
    seen = view(3)
    assert seen.truth.shapes is not None
    for i, shape in enumerate(seen.truth.shapes):
        voxels = whole_voxels(seen, i)
        assert voxels.grid.origin is not None
        first = (voxels.grid.origin / 0.05).round().long()
        assert same(lattice_voxels(shape), (voxels.grid.coordinates + first).numpy())
    points = torch.tensor([[0.01, 0.0, -0.01], [0.04, 0.02, -0.04], [0.06, 0.0, 0.0]])
    assert same(lattice_voxels(PointCloud(points)), np.array([[0, 0, -1], [1, 0, 0]]))
    away = PointCloud(points, origin=torch.tensor([0.5, 0, 0], dtype=torch.float64))
    assert same(lattice_voxels(away), np.array([[10, 0, -1], [11, 0, 0]]))
    nothing = (
        Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)),
        PointCloud(torch.zeros(0, 3)),
        VoxelGrid(torch.zeros(0, 3, dtype=torch.int64), (4, 4, 4), 0.03),
    )
    assert all(lattice_voxels(shape).shape == (0, 3) for shape in nothing)


def test_shapes_that_are_no_objects_are_refused_in_a_line() -> None:
    faces = torch.tensor([[0, 1, 2]])
    for vertices, said in ((torch.eye(3) * 1e4, "more than"), (torch.eye(3) * np.nan, "finite")):
        with pytest.raises(ValueError, match=said):
            lattice_voxels(Mesh(vertices, faces))


def test_of_a_box_what_the_view_looks_through_is_free() -> None:
    """A wall 2 m ahead fills the image; a box reaches from 1 to 3 m, to the right out of the image."""
    depth = torch.full((81, 101), 2.0)
    depth[:20] = 0  # nothing is known of the upper part
    view = View(torch.zeros(3, 81, 101), depth, CAMERA)
    box = np.array([[0.5, 0.0, 2.0, 3.0, 0.8, 2.0, 0.0]])  # the camera's axes: x right, y down, z ahead
    (found,) = not_free(view, box)
    centres = (found + 0.5) * 0.05
    every = (block((-40, -20, 0), (60, 20, 80)) + 0.5) * 0.05
    inside = every[(np.abs(every - box[0, :3]) <= box[0, 3:6] / 2).all(1)]
    column, row = (np.rint(inside[:, k] / inside[:, 2] * 100 + (50, 40)[k]) for k in (0, 1))
    is_known = (column >= 0) & (column < 101) & (row >= 20) & (row < 81)
    free = is_known & (inside[:, 2] < 1.94)
    taken = ~is_known | (inside[:, 2] > 2)
    listed = {*map(tuple, np.round(centres, 4).tolist())}
    assert not listed & {*map(tuple, np.round(inside[free], 4).tolist())}
    assert listed >= {*map(tuple, np.round(inside[taken], 4).tolist())}
    assert len(inside[free]) > 1000 and len(inside[taken]) > 1000
    bare = View(view.image)
    assert len(not_free(bare, box)[0]) == len(inside)
    assert not_free(view, np.zeros((0, 7))) == []


def answer_of(seen: SyntheticView, **changes) -> Instances:
    return replace(seen.truth, scores=torch.linspace(1, 0.5, len(seen.truth)), **changes)


def scored(seen: LabelledView, found: Instances, vocabulary=SYNTH, *, class_agnostic: bool = False) -> dict:
    evaluator = ViewScores(vocabulary, class_agnostic=class_agnostic)
    evaluator.see(seen, found)  # pyright: ignore[reportArgumentType]
    results = evaluator.results()
    assert results["scans"][seen.name] == results["pooled"]
    return results["pooled"]


def test_the_truth_finds_itself() -> None:
    seen = view(3)
    figures = scored(seen, answer_of(seen))
    assert figures["AP"] == 100
    whole = figures["amodal"]
    assert {name: whole[name] for name in FIGURES} == dict.fromkeys(FIGURES, pytest.approx(100))
    assert whole["n_gt"] == whole["whole"]["found"] == len(seen.truth)
    assert whole["whole"]["invisible_iou_all"] == 100
    found = relabelled(answer_of(seen), S3DIS)
    agnostic = scored(seen, found, S3DIS, class_agnostic=True)["amodal"]
    assert {name: agnostic[name] for name in FIGURES} == dict.fromkeys(FIGURES, pytest.approx(100))


def test_boxes_alone_have_all_figures() -> None:
    seen = view(3)
    whole = scored(seen, answer_of(seen, shapes=None))["amodal"]
    assert whole["APb"] == whole["APb50"] == whole["recallb"] == 100
    assert 0 < whole["AP"] < 100 and whole["AP2"] >= whole["AP4"] and whole["APm"] is not None


def test_shapes_alone_have_no_figures_of_boxes() -> None:
    seen = view(3)
    whole = scored(seen, answer_of(seen, amodal_boxes=None))["amodal"]
    assert [whole[name] is None for name in FIGURES] == [
        name in ("APb", "APb50", "APm", "recallb") for name in FIGURES
    ]


def test_answers_without_whole_objects_have_the_figures_of_pixels() -> None:
    seen = view(3)
    figures = scored(seen, answer_of(seen, shapes=None, amodal_boxes=None))
    assert figures["AP"] == 100
    assert all(figures["amodal"][name] is None for name in FIGURES)
    assert figures["amodal"]["n_gt"] == len(seen.truth) and figures["amodal"]["whole"]["objects"] == 0


def test_structure_is_no_object_and_unknown_classes_are() -> None:
    seen = view(3)
    classes = seen.truth.classes.clone()
    classes[0], classes[1] = SYNTH.id("wall"), -1
    there = whole_truth(replace(seen, truth=replace(seen.truth, classes=classes)))
    assert there is not None and there.classes.tolist() == classes[1:].tolist()
    assert there.voxels is not None and len(there.voxels) == len(classes) - 1
    found = whole_answer(seen.input, replace(seen.truth, classes=classes))
    assert found.classes.tolist() == classes[1:].tolist() and found.voxels is not None
    assert same(found.voxels[0], there.voxels[0])


def test_views_counted_apart_add_up() -> None:
    views = [view(3), view(11)]
    together, apart = ViewScores(SYNTH), ViewScores(SYNTH)
    for seen in views:
        one = ViewScores(SYNTH)
        for evaluator in (together, one):
            evaluator.see(seen, answer_of(seen))  # pyright: ignore[reportArgumentType]
        apart.add_counts(one.counts())
    assert apart.results() == together.results() and apart.counts() == together.counts()
    assert together.left_out()["AP"] == [100, 100]
    with pytest.raises(ValueError, match="already"):
        apart.add_counts(together.counts())
    with pytest.raises(ValueError, match="no counts of views"):
        apart.add_counts({"settings": {}, "skipped": [], "scans": {}})


def test_the_data_hand_out_these_evaluators() -> None:
    data = g3.open_data("views:val", limit=1)
    evaluator = data.evaluator(SYNTH)
    assert isinstance(evaluator, ViewScores) and isinstance(evaluator, Evaluator)

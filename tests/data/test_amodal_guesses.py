"""Guesses at whole objects, on the tiny frame's boxes."""

from dataclasses import replace

import numpy as np
import torch

from gestalt3d.data.amodal_guesses import down_to_the_floor, filled_boxes, solid
from gestalt3d.data.amodal_scoring import VOXEL_SIZE, lattice_voxels
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.testing import tiny_view


def test_a_filled_box_has_the_volume_of_the_box() -> None:
    sample = tiny_view()
    found = filled_boxes(sample.input, sample.truth)
    assert found.shapes is not None and found.amodal_boxes is not None
    for shape, box in zip(found.shapes, found.amodal_boxes, strict=True):
        volume = len(lattice_voxels(shape)) * VOXEL_SIZE**3
        assert abs(volume / float(box[3:6].prod()) - 1) < 0.15
        centers = shape.centers.double() + shape.origin  # pyright: ignore
        assert float((centers.mean(0) - box[:3].double()).abs().max()) < VOXEL_SIZE


def test_columns_stand_on_the_floor_below_what_is_seen() -> None:
    sample = tiny_view()
    found = down_to_the_floor(sample.input, sample.truth)
    row = torch.full((len(sample.input),), -1)
    row[sample.input.pixels()] = torch.arange(len(sample.input.cloud()))
    assert found.shapes is not None
    for i, shape in enumerate(found.shapes):
        voxels = lattice_voxels(shape)
        points = sample.input.cloud().points[row[sample.truth.elements_of(i)]].double().numpy()
        seen = {tuple(v) for v in np.floor(points / VOXEL_SIZE).astype(int).tolist()}
        assert seen <= {tuple(v) for v in voxels.tolist()}, "what is seen is part of it"
        lowest = float(voxels[:, 2].min()) * VOXEL_SIZE
        assert abs(lowest + 1.2) < 1.01 * VOXEL_SIZE, "the floor of the tiny frame"
        below = {(x, y, z - 1) for x, y, z in voxels.tolist() if z > voxels[:, 2].min()}
        assert below <= {tuple(v) for v in voxels.tolist()}, "columns have no gaps"


def test_generated_surfaces_are_filled() -> None:
    sample = tiny_view(boxes=1, yaw=0.0)
    box = sample.truth.amodal_boxes[0]  # pyright: ignore
    corners = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    side = torch.arange(4000) % 3
    corners[torch.arange(4000), side] = corners[torch.arange(4000), side].sign() / 2
    surface = PointCloud((corners * box[3:6] + box[:3]).float())
    found = solid(sample.input, replace(sample.truth, shapes=(surface,)))
    assert found.shapes is not None
    hollow, filled = len(lattice_voxels(surface)), len(lattice_voxels(found.shapes[0]))
    whole = len(lattice_voxels(filled_boxes(sample.input, sample.truth).shapes[0]))  # pyright: ignore
    assert hollow < 0.8 * filled and filled >= whole, "the box, and voxels that its faces only touch"
    assert solid(sample.input, sample.truth) == sample.truth, "meshes stay as they are"


def test_nothing_found_is_nothing_guessed() -> None:
    sample = tiny_view()
    nothing = sample.truth[:0]
    assert len(filled_boxes(sample.input, nothing)) == len(down_to_the_floor(sample.input, nothing)) == 0

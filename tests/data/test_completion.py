"""Completions of objects are measured against the whole of them; every figure here is worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gestalt3d.data.completion import ANSWER, TO_GROUND, VISIBLE, completions
from gestalt3d.metrics.completion import Completion
from gestalt3d.structures.instances import Instances, Shape
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.structures.voxelgrid import VoxelGrid

CORNERS = torch.tensor([[x, y, z] for z in (0.0, 1.0) for y in (0.0, 1.0) for x in (0.0, 1.0)])
"""Of a cube on the floor: four below, then four above."""
FLOOR = torch.tensor(
    [[x, y, 0.0] for x in np.linspace(-3, 3, 20) for y in np.linspace(-3, 3, 20)], dtype=torch.float32
)
HALF_DIAGONAL = math.sqrt(3) / 2


def scene(*seen: torch.Tensor) -> Scan:
    """A floor and unit cubes, 5 m apart along x, that show these of their corners; their whole is all eight."""
    parts = [FLOOR, *(CORNERS[own] + torch.tensor([5.0 * k, 0, 0]) for k, own in enumerate(seen))]
    labels = torch.repeat_interleave(torch.arange(len(parts)), torch.tensor([len(part) for part in parts]))
    classes = torch.tensor([S3DIS.id("floor"), *[S3DIS.id("chair")] * len(seen)])
    truth = Instances.from_labels(labels, classes, vocabulary=S3DIS)
    whole = [
        PointCloud(FLOOR),
        *(PointCloud(CORNERS + torch.tensor([5.0 * k, 0, 0])) for k in range(len(seen))),
    ]
    return Scan("cubes", PointCloud(torch.cat(parts)), replace(truth, shapes=tuple(whole)))


ABOVE, ALL, NONE = torch.arange(4, 8), torch.arange(8), torch.arange(0)


def answer(scan: Scan, *shapes: Shape, rows: list[int] | None = None) -> Instances:
    """The true masks of the cubes, or of those `rows`, with these shapes."""
    found = scan.truth[list(range(1, len(scan.truth))) if rows is None else rows]
    return replace(found, shapes=shapes)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def close(found: Completion, *expected: float, atol: float = 1e-6) -> None:
    assert found == pytest.approx(expected, abs=atol)


def test_a_box_of_which_the_upper_half_shows() -> None:
    scan = scene(ABOVE)
    (row,) = completions(scan, answer(scan, PointCloud(CORNERS)), rng())
    assert (row.instance, row.found, row.hidden) == (
        1,
        0,
        0.5,
    )  # the four lower corners are 1 m from what is seen
    assert row.half_diagonal == pytest.approx(HALF_DIAGONAL)
    close(row.completions[ANSWER], 0, 0, 1)
    # From a visible corner to the whole: 0. From the whole: half of the corners are 1 m away. The mean of both ways: 1/4.
    close(row.completions[VISIBLE], 0.25, 0.25 / HALF_DIAGONAL, 0)  # the box around four corners is flat
    to_ground = row.completions[TO_GROUND]
    assert to_ground.box_iou == pytest.approx(1)
    # A place of a unit square is on average (sqrt 2 + ln(1 + sqrt 2)) / 6 from its nearest corner; the standard deviation
    # is below the half of that, and 1,024 are drawn. From a corner to the nearest of 1,024 drawn: of 171 to a side the
    # nearest in three quarters of a disc is some 1 / (2 sqrt(171 * 3/4)) away.
    mean = (math.sqrt(2) + math.log(1 + math.sqrt(2))) / 6
    assert to_ground.chamfer_m == pytest.approx((mean + 0.5 / math.sqrt(128)) / 2, abs=0.025)


def test_a_box_that_shows_all_over() -> None:
    scan = scene(ALL)
    (row,) = completions(scan, answer(scan, PointCloud(CORNERS * 0.5)), rng())
    assert row.hidden == 0
    close(row.completions[VISIBLE], 0, 0, 1)
    # Half as large about the corner 0 0 0, with an eighth of the volume. There: 0, three times a half (to the nearest
    # corner, along one axis), three times sqrt(1/2), once sqrt(3/4). Back: from each corner to the nearest of the small one's,
    # which is half of it: the same eight.
    eight = (0 + 3 * 0.5 + 3 * math.sqrt(0.5) + math.sqrt(0.75)) / 8
    close(row.completions[ANSWER], eight, eight / HALF_DIAGONAL, 1 / 8)


def test_a_metre_is_a_metre_and_small_things_are_measured_in_their_own_size() -> None:
    scan = scene(ABOVE)
    assert scan.truth.shapes is not None
    smaller = replace(
        scan,
        input=replace(scan.input, points=scan.input.points / 4),
        truth=replace(
            scan.truth,
            shapes=tuple(PointCloud(s.points / 4) for s in scan.truth.shapes if isinstance(s, PointCloud)),
        ),
    )
    (row,), (small,) = (completions(s, answer(s, PointCloud(CORNERS)), rng()) for s in (scan, smaller))
    close(small.completions[VISIBLE], 0.25 / 4, row.completions[VISIBLE].chamfer, 0)


@pytest.mark.parametrize("found", ["nothing", "another", "half of it"])
def test_what_is_not_found_has_no_completions(found: str) -> None:
    scan = scene(ABOVE, ALL)
    answers = {
        "nothing": Instances.empty(len(scan.input), S3DIS),
        "another": answer(scan, PointCloud(CORNERS), rows=[2]),
        "half of it": replace(
            Instances.from_labels(
                torch.where(torch.arange(len(scan.input)) < len(FLOOR) + 2, -1, 0),
                torch.tensor([8]),
                vocabulary=S3DIS,
            ),
            shapes=(PointCloud(CORNERS),),
        ),
    }
    first, second = completions(scan, answers[found], rng())
    assert (first.found, first.completions, first.hidden) == (-1, {}, 0.5)
    # Ten of the twelve visible corners of both: 8 of the 10 are those of the second, which is an IoU of .8.
    assert (second.found, second.hidden) == (-1 if found == "nothing" else 0, 0)


def test_an_overlap_of_one_half_is_none() -> None:
    scan = scene(ALL)
    labels = torch.where(torch.arange(len(scan.input)) >= len(FLOOR) + 4, 0, -1)
    half = Instances.from_labels(labels, torch.tensor([8]), vocabulary=S3DIS)
    found = replace(half, shapes=(PointCloud(CORNERS),))
    assert [row.found for row in completions(scan, found, rng())] == [-1]
    assert [row.found for row in completions(scan, found, rng(), min_iou=0.49)] == [0]


def test_an_object_that_no_point_shows_is_all_hidden() -> None:
    scan = scene(NONE, ALL)
    first, second = completions(scan, answer(scan, PointCloud(CORNERS), PointCloud(CORNERS)), rng())
    assert (first.found, first.hidden, first.completions) == (-1, 1.0, {})
    assert second.found == 1


def test_near_decides_what_is_hidden() -> None:
    scan = scene(ABOVE)
    found = Instances.empty(len(scan.input), S3DIS)
    assert completions(scan, found, rng(), near=0.99)[0].hidden == 0.5
    assert completions(scan, found, rng(), near=1.01)[0].hidden == 0.0


def test_structure_and_what_has_no_class_are_no_objects() -> None:
    scan = scene(ALL, ALL)
    classes = torch.tensor([S3DIS.id("wall"), -1, S3DIS.id("chair")])
    scan = replace(scan, truth=replace(scan.truth, classes=classes))
    assert [row.instance for row in completions(scan, Instances.empty(len(scan.input), S3DIS), rng())] == [2]


def test_the_best_of_several_answers_counts() -> None:
    scan = scene(ALL)
    labels = torch.where(torch.arange(len(scan.input)) >= len(FLOOR) + 2, 0, -1)
    most = Instances.from_labels(labels, torch.tensor([8]), vocabulary=S3DIS)
    found = Instances.cat(
        [
            replace(most, shapes=(PointCloud(CORNERS + 9),)),
            replace(scan.truth[[1]], shapes=(PointCloud(CORNERS),)),
        ]
    )
    (row,) = completions(scan, found, rng())
    assert row.found == 1
    close(row.completions[ANSWER], 0, 0, 1)


def test_an_amodal_box_counts_where_it_stands_along_the_axes() -> None:
    scan = scene(ALL)
    along, turned = (torch.tensor([[0.5, 0.5, 1.0, 1, 1, 2, yaw]]) for yaw in (0.0, math.pi / 4))
    both = replace(answer(scan, PointCloud(CORNERS)), amodal_boxes=along)
    for found, iou in (
        (both, 1 / 2),
        (replace(both, amodal_boxes=turned), 1),  # that around the shape
        (replace(both, shapes=None), 1 / 2),
        # The box along the axes around a square on its corner has twice its area.
        (replace(both, shapes=None, amodal_boxes=turned), 1 / 4),
    ):
        (row,) = completions(scan, found, rng())
        assert row.completions[ANSWER].box_iou == pytest.approx(iou)
    cube = replace(both, shapes=None, amodal_boxes=torch.tensor([[0.5, 0.5, 0.5, 1, 1, 1, 0]]))
    (row,) = completions(scan, cube, rng())
    # Both drawn from the surface of the same cube, by 1,024 points.
    assert row.completions[ANSWER].chamfer_m == pytest.approx(row.completions[TO_GROUND].chamfer_m, abs=0.02)


def test_shapes_of_every_kind_are_compared() -> None:
    scan = scene(ALL)
    square = Mesh(CORNERS[4:], torch.tensor([[0, 1, 3], [0, 3, 2]]))
    grid = VoxelGrid((CORNERS.flip(1) * 9).long(), (10, 10, 10), 0.1)
    far = PointCloud(CORNERS - 100, origin=torch.full((3,), 100.0, dtype=torch.float64))
    nothing = PointCloud(torch.zeros(0, 3))
    for shape, iou, atol in (
        (square, 0.0, 1e-6),
        (grid, 0.9**3, 1e-5),
        (far, 1.0, 1e-5),
        (nothing, 1.0, 1e-6),
    ):
        (row,) = completions(scan, answer(scan, shape), rng())
        assert row.completions[ANSWER].box_iou == pytest.approx(iou, abs=atol)
    # The centres of the corner voxels are 5 cm inside along each axis.
    (row,) = completions(scan, answer(scan, grid), rng())
    assert row.completions[ANSWER].chamfer_m == pytest.approx(0.05 * math.sqrt(3), abs=1e-5)


def test_stray_points_do_not_weaken_the_baselines() -> None:
    """A camera's points in the middle of nowhere are left out of what is visible; two corners a finger apart are none."""
    dense = torch.cat([CORNERS + 0.01 * k for k in range(4)])
    stray = torch.tensor([[0.5, 0.5, 3.0]])
    points = torch.cat([FLOOR, dense, stray])
    labels = torch.where(torch.arange(len(points)) < len(FLOOR), 0, 1)
    truth = Instances.from_labels(labels, torch.tensor([S3DIS.id("floor"), 8]), vocabulary=S3DIS)
    scan = Scan("stray", PointCloud(points), replace(truth, shapes=(PointCloud(FLOOR), PointCloud(dense))))
    (row,) = completions(scan, answer(scan, PointCloud(dense)), rng())
    close(row.completions[VISIBLE], 0, 0, 1)


def test_a_box_is_extended_down_to_what_lies_below_it() -> None:
    """To the floor, where that was scanned or not, or to the top of another thing."""
    scan = scene(ALL)
    up = torch.tensor([0, 0, 1.0])
    bare = FLOOR[FLOOR[:, :2].abs().amax(1) > 1.5]
    for ground, lift, size in (
        (FLOOR, 0 * up, 1),
        (FLOOR, up, 2),
        (bare, up, 2),
        (torch.cat([FLOOR, CORNERS * 0.5]), up, 1.5),
    ):
        points = torch.cat([ground, CORNERS + lift])
        labels = torch.where(torch.arange(len(points)) < len(ground), 0, 1)
        truth = Instances.from_labels(labels, scan.truth.classes, vocabulary=S3DIS)
        truth = replace(truth, shapes=(PointCloud(ground), PointCloud(CORNERS + lift)))
        given = Scan("hung", PointCloud(points), truth)
        (row,) = completions(given, answer(given, PointCloud(CORNERS)), rng())
        assert row.completions[TO_GROUND].box_iou == pytest.approx(1 / size)


def test_what_is_missing_is_named() -> None:
    scan = scene(ALL)
    with pytest.raises(ValueError, match="rooms-whole"):
        completions(replace(scan, truth=replace(scan.truth, shapes=None)), scan.truth, rng())
    with pytest.raises(ValueError, match="shapes or amodal_boxes"):
        completions(scan, replace(scan.truth, shapes=None), rng())
    with pytest.raises(ValueError, match="408 points"):
        completions(scan, Instances.empty(3, S3DIS), rng())

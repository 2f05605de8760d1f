"""Whole objects lie where the scan shows them, and beyond; nothing hidden for good is part of them."""

from functools import lru_cache

import numpy as np
import pytest
import torch

from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import SYNTH
from gestalt3d.synth.colours import Material
from gestalt3d.synth.rooms import RoomConfig, make_room
from gestalt3d.synth.shapes import Builder
from gestalt3d.synth.table_tops import make_table_top
from gestalt3d.synth.whole import POINTS, surface

MODES = ("fused", "static", "single")


@lru_cache
def room(mode: str) -> Scan:
    return make_room(4, RoomConfig(points=20_000, mode=mode), shapes=True)


def shape_of(scan: Scan, i: int) -> torch.Tensor:
    assert scan.truth.shapes is not None
    shape = scan.truth.shapes[i]
    assert isinstance(shape, PointCloud) and shape.origin is None
    return shape.points


def in_box(points: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
    """In the box's own axes, about its middle."""
    c, s = torch.cos(box[6]), torch.sin(box[6])
    turn = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return (points - box[:3]) @ turn


@pytest.mark.parametrize("mode", MODES)
def test_whole_shapes_change_nothing_else(mode: str) -> None:
    plain, whole = make_room(4, RoomConfig(points=20_000, mode=mode)), room(mode)
    assert plain.input == whole.input and plain.truth.masks == whole.truth.masks
    assert plain.truth.shapes is None and plain.truth.amodal_boxes is None
    assert torch.equal(plain.truth.classes, whole.truth.classes)
    again = make_room(4, RoomConfig(points=20_000, mode=mode), shapes=True)
    assert again.truth == whole.truth


@pytest.mark.parametrize("scan", [*map(room, MODES), make_table_top(3)], ids=[*MODES, "table top"])
def test_what_is_scanned_lies_on_the_whole_object(scan: Scan) -> None:
    assert scan.truth.shapes is not None and scan.truth.amodal_boxes is not None
    for i in range(len(scan.truth)):
        own, shape = scan.input.points[scan.truth.elements_of(i)], shape_of(scan, i)
        assert shape.shape == (POINTS, 3)
        # In an even draw a place of the surface is as far from the nearest point as that point is from its own nearest.
        to_next = torch.cdist(shape, shape).fill_diagonal_(9).amin(1)
        # Half of the points: a camera also sees some in the middle of nowhere, and small things count to their support.
        apart = torch.cdist(own, shape).amin(1)
        assert float(apart.median()) < 1.5 * float(to_next.median()) + 0.03, scan.truth.class_name(i)
        outside = in_box(own, scan.truth.amodal_boxes[i]).abs() - scan.truth.amodal_boxes[i, 3:6] / 2
        assert float(outside.amax(1).median()) < 0.02, scan.truth.class_name(i)


@pytest.mark.parametrize("scan", [*map(room, MODES), make_table_top(3)], ids=[*MODES, "table top"])
def test_amodal_boxes_enclose_shapes_and_shapes_reach_all_their_sides(scan: Scan) -> None:
    assert scan.truth.amodal_boxes is not None
    for i, box in enumerate(scan.truth.amodal_boxes):
        own = in_box(shape_of(scan, i), box)
        torch.testing.assert_close(own.amax(0), box[3:6] / 2, atol=1e-4, rtol=0)
        torch.testing.assert_close(own.amin(0), -box[3:6] / 2, atol=1e-4, rtol=0)


def test_whole_things_stand_on_the_floor_though_nobody_saw_their_feet() -> None:
    on_floor = unseen = 0
    for scan in map(room, MODES[1:]):  # a fused scan is tilted a little
        assert scan.truth.amodal_boxes is not None
        for i, box in enumerate(scan.truth.amodal_boxes):
            if SYNTH.names[int(scan.truth.classes[i])] not in (
                "chair",
                "office_chair",
                "table",
                "desk",
                "sofa",
            ):
                continue
            # The lower edge of a slanting leg lies a few millimetres in the floor.
            assert float(box[2] - box[5] / 2) == pytest.approx(0, abs=0.005)
            on_floor += 1
            unseen += float(scan.input.points[scan.truth.elements_of(i), 2].amin()) > 0.1
    assert on_floor >= 3 and unseen >= 1


def test_what_lies_on_a_table_top_ends_where_the_table_begins() -> None:
    scan = make_table_top(3)
    lowest = [float(shape_of(scan, i)[:, 2].amin()) for i in range(len(scan.truth))]
    assert min(lowest[1:]) == pytest.approx(0, abs=1e-5) and lowest[0] < -0.5


def solid(*boxes: tuple[tuple[float, float, float], tuple[float, float, float]]) -> np.ndarray:
    """Triangles of boxes from corner to corner."""
    b = Builder()
    for low, high in boxes:
        b.box("part", low, high, Material())
    return np.concatenate([part.vertices[part.faces] for part in b.parts])


def test_points_are_spread_by_area() -> None:
    points = surface(solid(((0, 0, 0), (2, 1, 1))), 1000, np.random.default_rng(0))
    # A draw in equal shares of the area gives a triangle a point more or less than its share at either end, and there are two.
    for axis, side, share in ((0, 0, 0.1), (0, 2, 0.1), (1, 0, 0.2), (1, 1, 0.2), (2, 0, 0.2), (2, 1, 0.2)):
        assert np.count_nonzero(np.abs(points[:, axis] - side) < 1e-9) == pytest.approx(1000 * share, abs=4)


def test_touching_parts_have_one_surface() -> None:
    """Two cubes side by side, one of them a hair off: nobody sees between them."""
    for gap in (0.0, 0.002):
        points = surface(
            solid(((0, 0, 0), (1, 1, 1)), ((1 + gap, 0, 0), (2, 1, 1))), 1000, np.random.default_rng(0)
        )
        assert np.count_nonzero(np.abs(points[:, 0] - 1) < 0.003) < 10
        # Ten unit squares are left of twelve.
        assert np.count_nonzero(points[:, 0] == 0) == pytest.approx(100, abs=10)


def test_parts_within_others_are_no_surface() -> None:
    points = surface(
        solid(((0, 0, 0), (1, 1, 1)), ((0.2, 0.2, 0.2), (0.8, 0.8, 0.8)), ((0.3, 0.3, 0.3), (0.9, 0.9, 0.9))),
        1000,
        np.random.default_rng(0),
    )
    assert len(points) == 1000
    assert bool((np.isclose(points, 0) | np.isclose(points, 1)).any(1).all())


def test_mostly_hidden_parts_leave_the_rest_of_the_surface() -> None:
    """Of 40 boxes one in another, whose outermost has a twentieth of the area, that one is left."""
    nested = [((-s, -s, -s), (s, s, s)) for s in np.linspace(0.8, 1, 40).tolist()]
    points = surface(solid(*nested), 500, np.random.default_rng(0))
    assert points.shape == (500, 3) and bool(np.isclose(np.abs(points).max(1), 1).all())


def test_what_stands_in_something_open_is_seen() -> None:
    b = Builder()
    b.lathe("shade", [(0.3, 0.0), (0.2, 0.4)], Material())  # open above and below
    b.box("bulb", (-0.05, -0.05, 0.1), (0.05, 0.05, 0.2), Material())
    triangles = np.concatenate([part.vertices[part.faces] for part in b.parts])
    areas = np.linalg.norm(
        np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1
    )
    points = surface(triangles, 1000, np.random.default_rng(0))
    assert np.count_nonzero(np.abs(points).max(1) <= 0.2 + 1e-9) > 0
    bulb = np.count_nonzero((np.abs(points[:, :2]) <= 0.05 + 1e-9).all(1))
    assert bulb == pytest.approx(1000 * areas[-12:].sum() / areas.sum(), abs=3)

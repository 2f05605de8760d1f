import dataclasses

import numpy as np
import pytest
import torch

from gestalt3d.structures.camera import Camera
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.structures.voxelgrid import VoxelGrid
from gestalt3d.viewer import shapes
from gestalt3d.viewer.layers import ImagePlane, Points, Sight, Triangles
from gestalt3d.viewer.scene import scene_of
from gestalt3d.viewer.shapes import box_lines, outlines, whole_shapes
from tests.viewer.made_up_layers import box_mesh, frame


def found(count: int, **more) -> Instances:
    made = Instances.from_labels(torch.arange(count), torch.arange(count), vocabulary=S3DIS)
    return dataclasses.replace(made, **more)


def test_voxels_are_shown_as_the_surface_around_them() -> None:
    occupied = torch.zeros(24, 24, 24, dtype=torch.bool)
    occupied[2:12, 3:23, 4:8] = True
    origin = torch.tensor([10.0, 20.0, 30.0], dtype=torch.float64)
    grid = VoxelGrid.from_dense(occupied, voxel_size=0.05, origin=origin)
    (layer,) = whole_shapes(found(1, shapes=(grid,)), [])
    assert isinstance(layer, Triangles) and (layer.labels == 0).all() and layer.vertices.dtype == np.float32
    low, high = np.array([10.1, 20.15, 30.2]), np.array([10.6, 21.15, 30.4])
    np.testing.assert_allclose([layer.vertices.min(0), layer.vertices.max(0)], [low, high], atol=0.0125)
    a, b, c = (layer.vertices[layer.faces[:, k]].astype(np.float64) - low for k in range(3))
    assert (a * np.cross(b, c)).sum() / 6 == pytest.approx(0.5 * 1.0 * 0.2, rel=0.05)


def test_every_kind_of_shape_stands_where_the_input_does() -> None:
    mesh = Mesh(torch.eye(3), torch.tensor([[0, 1, 2]]))
    cloud = PointCloud(torch.zeros(4, 3), origin=torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    grid = VoxelGrid(torch.tensor([[2, 0, 0]]), (3, 1, 1), 0.1)
    surfaces, points = whole_shapes(found(3, shapes=(mesh, cloud, grid)), [])
    assert isinstance(surfaces, Triangles) and isinstance(points, Points)
    np.testing.assert_array_equal(surfaces.vertices[surfaces.faces[surfaces.labels == 0]][0], np.eye(3))
    own = surfaces.vertices[surfaces.faces[surfaces.labels == 2].ravel()]
    np.testing.assert_allclose([own.min(0), own.max(0)], [[0.2, 0, 0], [0.3, 0.1, 0.1]], atol=0.026)
    np.testing.assert_array_equal(points.positions, np.tile([1, 2, 3], (4, 1)))
    assert (points.labels == 1).all() and points.opacity < 1 and not points.cutaway.any()


def test_shapes_that_are_no_numbers_or_empty_are_left_out() -> None:
    broken = Mesh(
        torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [float("nan")] * 3]),
        torch.tensor([[0, 1, 2], [0, 1, 3]]),
    )
    nothing = VoxelGrid(torch.zeros(0, 3, dtype=torch.int64), (3, 1, 1), 0.1)
    (layer,) = whole_shapes(found(2, shapes=(broken, nothing)), [])
    assert len(layer) == 1
    none = PointCloud(torch.full((2, 3), torch.inf))
    assert whole_shapes(found(2, shapes=(none, nothing)), []) == []
    assert whole_shapes(found(2), []) == []


def test_shapes_too_many_for_a_page_go_by_score_and_a_note_says_so(monkeypatch) -> None:
    monkeypatch.setattr(shapes, "_MOST_TRIANGLES", 2)
    mesh = Mesh(torch.eye(3), torch.tensor([[0, 1, 2]]))
    notes: list[str] = []
    (layer,) = whole_shapes(found(3, shapes=(mesh,) * 3, scores=torch.tensor([0.1, 0.9, 0.5])), notes)
    assert isinstance(layer, Triangles) and sorted(layer.labels.tolist()) == [1, 2]
    assert notes == ["2 of 3 whole shapes are shown, those of the highest scores"]


def test_of_shapes_that_fill_the_same_place_the_best_is_seen() -> None:
    cube = torch.tensor([[x, y, z] for x in (0.0, 1) for y in (0.0, 1) for z in (0.0, 1)])
    nearly, beside, inside = cube + 0.1, cube + torch.tensor([0.9, 0.0, 0.0]), 0.4 * cube + 0.3
    given = tuple(map(PointCloud, (nearly, cube, beside, inside)))
    notes: list[str] = []
    (layer,) = whole_shapes(found(4, shapes=given, scores=torch.tensor([0.5, 0.9, 0.4, 0.3])), notes)
    assert isinstance(layer, Points) and sorted(set(layer.labels.tolist())) == [1, 2, 3]
    assert notes == ["1 of 4 whole shapes are not shown, for they overlap better ones"]


def test_outlines_run_along_the_edges_of_masks() -> None:
    mask = np.zeros((40, 60), dtype=bool)
    mask[10:30, 20:50] = True
    mask[15:20, 30:40] = False
    masks = Sets.from_labels(torch.from_numpy(np.where(mask, 1, -1).ravel()), 2)
    lines = outlines(masks, (40, 60), 1)
    assert (lines.labels == 1).all() and (lines.ends[..., 2] == 0).all()
    column, row = lines.ends[..., 0], -lines.ends[..., 1]
    outer = np.isin(column, (20, 50)) | np.isin(row, (10, 30))
    inner = np.isin(column, (30, 40)) | np.isin(row, (15, 20))
    # Corners may be cut by a piece of a few pixels.
    assert (outer | inner).mean() > 0.9
    length = np.linalg.norm(np.diff(lines.ends, axis=1), axis=-1).sum()
    assert 0.5 * (2 * 50 + 2 * 15) < length < 0.75 * (2 * 50 + 2 * 15), "three fifths of the edges"
    assert outlines(Sets.empty(2400), (40, 60), 1).ends.shape == (0, 2, 3)


def test_masks_that_touch_at_a_corner_have_closed_outlines() -> None:
    mask = np.eye(12, dtype=bool)
    loops = shapes._loops(mask)
    assert sum(len(loop) - 1 for loop in loops) == 4 * 12
    for loop in loops:
        assert (loop[0] == loop[-1]).all() and (np.abs(np.diff(loop, axis=0)).sum(1) == 1).all()


def test_a_frame_is_a_photo_and_its_points() -> None:
    view, instances = frame()
    scene = scene_of(view, instances)
    photo, scan, sight, ghost = scene.layers
    assert isinstance(photo, ImagePlane) and isinstance(scan, Points) and isinstance(ghost, Triangles)
    assert isinstance(sight, Sight)
    labels = instances.to_labels().numpy()
    np.testing.assert_array_equal(photo.labels.ravel(), labels)
    np.testing.assert_allclose(photo.pixels / 255, view.image.permute(1, 2, 0), atol=0.002)
    known = view.pixels().numpy()
    np.testing.assert_allclose(scan.positions, view.cloud().points.numpy())
    np.testing.assert_array_equal(scan.labels, labels[known])
    assert scene.notes == (f"{len(view) - len(known)} pixels have no depth",)
    assert scene.room is not None
    # The near box is seen from x = 0 to 1 at a distance of 2.
    near = scene.room.boxes[0]
    np.testing.assert_allclose(near[:2] - near[3:5] / 2, [0, 2], atol=0.05)


def test_the_photo_hangs_between_the_eye_and_what_it_shows() -> None:
    view, instances = frame()
    scene = scene_of(view, instances)
    (sight,) = (layer for layer in scene.layers if isinstance(layer, Sight))
    # 160 x 120 pixels with a focal length of 120; half as far as the nearest depth, 2 m, and a fifth of the median, 5 m.
    wide, high = 160 / 120 / 2, 120 / 120 / 2
    corners = [[-wide, 1.0, high], [wide, 1.0, high], [-wide, 1.0, -high], [wide, 1.0, -high]]
    np.testing.assert_allclose(sight.corners, corners, atol=1e-9)
    np.testing.assert_array_equal(sight.eye, np.zeros(3))
    assert sight.azimuth == pytest.approx(-90), "it looks along y"
    ends = sight.lines.ends
    assert ends.shape == (8, 2, 3) and (sight.lines.labels == -1).all()
    assert np.linalg.norm(ends[4:, 1] - ends[4:, 0], axis=1).tolist() == pytest.approx(
        [2 * wide, 2 * high] * 2
    )


def test_a_photo_without_a_camera_hangs_behind_the_shapes_in_it() -> None:
    """Upright, a pixel as large as one of the shapes, whose origin is its lower left corner; it is looked at from the front."""
    mesh = box_mesh((30.0, -20.0, 20.0), (70.0, 25.0, 50.0), 0)
    found = Instances(
        masks=Sets.of([torch.arange(5), torch.arange(5, 9)], 8000), classes=torch.tensor([0, 0]), scores=torch.ones(2),
        vocabulary=S3DIS,
        shapes=(
            Mesh(torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces)),
            Mesh(torch.zeros(0, 3), torch.zeros(0, 3).long()),
        ),
    )  # fmt: skip
    scene = scene_of(View(torch.rand(3, 80, 100)), found)
    (hung,) = (layer for layer in scene.layers if isinstance(layer, Sight))
    np.testing.assert_allclose(hung.corners, [[x, 29.0, z] for z in (80, 0) for x in (0, 100)])
    assert hung.eye is None and hung.azimuth == pytest.approx(-90) and hung.lines.ends.shape == (4, 2, 3)
    assert scene.room is not None and scene.room.unit == "px"
    assert -90 < scene.room.best_viewpoint.azimuth < -45, "before it, a little from its right"
    assert scene.room.places is not None
    np.testing.assert_allclose(scene.room.places[0], [50, 2.5, 35, 40, 45, 30, 0])
    assert np.isnan(scene.room.places[1, :6]).all()


def test_a_frame_is_looked_at_from_the_side_of_its_camera_and_with_its_whole_shapes() -> None:
    view, instances = frame()
    scene = scene_of(view, instances)
    assert scene.room is not None and scene.is_completed
    off = (scene.room.best_viewpoint.azimuth + 90 + 180) % 360 - 180
    assert abs(off) <= 45
    (ghost,) = (layer for layer in scene.layers if isinstance(layer, Triangles))
    fitted = scene.room.fit_points()
    for place in (*ghost.vertices, np.zeros(3)):
        assert np.linalg.norm(fitted - place, axis=1).min() < 0.02
    bare = scene_of(view, dataclasses.replace(instances, shapes=None))
    assert not bare.is_completed and bare.room is not None and len(bare.room.beside) == 5


def test_boxes_have_twelve_edges_where_they_are_known() -> None:
    boxes = np.array([[np.nan] * 7, [1, 2, 3, 2, 4, 6, np.pi / 2]])
    lines = box_lines(boxes)
    assert len(lines) == 12 and (lines.labels == 1).all() and lines.dashed
    np.testing.assert_allclose(lines.ends.reshape(-1, 3).min(0), [-1, 1, 0], atol=1e-6)
    np.testing.assert_allclose(lines.ends.reshape(-1, 3).max(0), [3, 3, 6], atol=1e-6)
    lengths = np.linalg.norm(lines.ends[:, 1] - lines.ends[:, 0], axis=1)
    assert sorted(np.round(lengths, 4).tolist()) == [2.0] * 4 + [4.0] * 4 + [6.0] * 4
    assert len(box_lines(boxes[:1])) == 0


@pytest.mark.parametrize("missing", ["depth", "camera"])
def test_a_view_without_depth_or_camera_is_a_photo_alone(missing: str) -> None:
    view, instances = frame()
    scene = scene_of(
        dataclasses.replace(view, **{missing: None}), dataclasses.replace(instances, shapes=None)
    )
    assert [type(layer) for layer in scene.layers] == [ImagePlane] and scene.room is None
    blind = dataclasses.replace(view, depth=torch.zeros_like(view.image[0]))
    assert scene_of(blind, dataclasses.replace(instances, shapes=None)).room is None


def test_whole_shapes_of_a_photo_have_a_room_to_stand_in() -> None:
    view, instances = frame()
    scene = scene_of(dataclasses.replace(view, depth=None), instances)
    assert scene.scan is None and scene.room is not None
    np.testing.assert_allclose(scene.room.bounds[1] - scene.room.bounds[0], [1.2, 0.6, 1.0], atol=1e-5)


def test_a_large_photo_is_shown_smaller() -> None:
    image = torch.rand(3, 40, 6000)
    labels = torch.full((40, 6000), -1)
    labels[3:12, 3000:4500] = 0
    instances = Instances.from_labels(labels.ravel(), torch.tensor([0]), vocabulary=S3DIS)
    scene = scene_of(View(image), dataclasses.replace(instances, whole=instances.masks))
    photo = scene.photo
    assert photo is not None and photo.pixels.shape == (14, 2000, 3) and photo.labels.shape == (14, 2000)
    np.testing.assert_allclose(photo.boxes, [[1000, 1, 1500, 4]])
    assert photo.labels[2, 1200] == 0 and photo.outlines is not None
    assert photo.outlines.ends[..., 0].max() == 1500
    assert "1 / 3 of its 6,000 × 40 pixels" in scene.notes[0]


def test_instances_of_another_view_are_refused() -> None:
    view, _ = frame()
    with pytest.raises(ValueError, match="pixels"):
        scene_of(view, Instances.empty(7, S3DIS))


def test_a_camera_far_away_keeps_its_millimetres() -> None:
    view, instances = frame()
    assert view.camera is not None
    pose = view.camera.world_from_camera.copy()
    pose[:3, 3] += [500_000, 5_000_000, 0]
    far = dataclasses.replace(view, camera=Camera(view.camera.intrinsics, pose, view.camera.size))
    scene = scene_of(far, dataclasses.replace(instances, shapes=None))
    assert scene.room is not None and scene.room.origin[0] == pytest.approx(500_000, abs=10)
    assert scene.room.extent.max() < 10

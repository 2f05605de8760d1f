import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.errors import UserError
from gestalt3d.io import load_cloud
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud, Source
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.viewer.cutaway import CEILING, WALL
from gestalt3d.viewer.layers import Points
from gestalt3d.viewer.page import write_page
from gestalt3d.viewer.picture import write_picture
from gestalt3d.viewer.scene import Scene, scene_of
from gestalt3d.viewer.viewpoint import Viewpoint, project, visible_value
from tests.viewer.made_up_layers import frame
from tests.viewer.made_up_room import SIZE, made_up_room


def scan_of(scene: Scene) -> Points:
    assert scene.scan is not None
    return scene.scan


def without_classes(instances: Instances) -> Instances:
    """What a method without labels answers: things, no classes, nothing said about the building."""
    things = instances[torch.arange(6, len(instances))]
    return dataclasses.replace(things, classes=torch.full_like(things.classes, -1), element_classes=None)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("turned", [0.0, 0.5])
def test_a_look_from_outside_goes_through_ceiling_and_near_walls(named: bool, turned: float) -> None:
    cloud, instances = made_up_room(60_000)
    inside = cloud.points.numpy()
    rotation = np.array(
        [[np.cos(turned), -np.sin(turned), 0], [np.sin(turned), np.cos(turned), 0], [0, 0, 1]]
    )
    cloud = PointCloud(torch.from_numpy((inside @ rotation.T).astype(np.float32)), cloud.colors)
    labels = instances.to_labels().numpy()
    scene = scene_of(cloud, instances if named else without_classes(instances))
    # The eye looks from the side of x = 0.
    hidden = scan_of(scene).hidden_from(Viewpoint(azimuth=180 + float(np.rad2deg(turned)), elevation=40))
    middle = (inside[:, 2] > 0.3) & (inside[:, 2] < 2.4) & (np.abs(inside[:, 1] - SIZE[1] / 2) < 1.5)
    floor, near_wall, far_wall, ceiling = labels == 0, labels == 3, labels == 4, labels == 5
    assert hidden[ceiling].mean() > 0.95
    assert hidden[near_wall & middle].mean() > 0.9
    assert hidden[far_wall & middle].mean() < 0.05
    assert hidden[floor].mean() < 0.15
    assert hidden[labels == 6].mean() < 0.05, "the table in the middle stays"


def test_walls_come_back_when_the_eye_goes_round() -> None:
    cloud, instances = made_up_room(40_000)
    scene, labels = scene_of(cloud, instances), instances.to_labels().numpy()
    front, back = (scan_of(scene).hidden_from(Viewpoint(a, 40)) for a in (180, 0))
    assert front[labels == 3].mean() > 0.9 > 0.1 > back[labels == 3].mean()
    assert front[labels == 4].mean() < 0.1 < 0.9 < back[labels == 4].mean()
    assert not scan_of(scene).hidden_from(Viewpoint(180, -20))[labels == 5].any(), (
        "from below the ceiling is seen"
    )


def test_a_table_top_is_not_cut() -> None:
    rng = np.random.default_rng(0)
    points = rng.random((5000, 3)) * [1, 1, 0.0]
    points[:500] = rng.random((500, 3)) * [0.1, 0.1, 0.2]
    cloud = PointCloud.from_arrays(points.astype(np.float32))
    assert not scene_of(cloud, Instances.empty(5000, S3DIS)).scan.cutaway.any()


def test_codes_are_ceilings_and_directions() -> None:
    cloud, instances = made_up_room(20_000)
    codes = scan_of(scene_of(cloud, instances)).cutaway
    assert CEILING in codes and (codes >= WALL).any() and codes.dtype == np.uint8


def test_thinning_keeps_every_instance() -> None:
    n = 50_000
    labels = torch.zeros(n, dtype=torch.int64)
    labels[-40:] = torch.arange(1, 41)
    labels[:5000] = -1
    instances = Instances.from_labels(labels, torch.zeros(41, dtype=torch.int64), vocabulary=S3DIS)
    cloud = PointCloud.from_arrays(np.random.default_rng(0).random((n, 3)).astype(np.float32))
    scene = scene_of(cloud, instances).thinned(2000)
    assert len(scan_of(scene)) <= 2000
    assert set(scan_of(scene).labels.tolist()) == set(range(-1, 41))
    assert (scan_of(scene).labels == -1).sum() == pytest.approx(200, rel=0.2)
    assert any("2,000 of 50,000" in note for note in scene.notes)


def test_the_highest_score_shows_where_instances_overlap() -> None:
    cloud = PointCloud.from_arrays(np.eye(3, dtype=np.float32))
    instances = Instances(
        masks=Sets(torch.tensor([0, 2, 4]), torch.tensor([0, 1, 1, 2]), 3),
        classes=torch.tensor([7, 8]),
        scores=torch.tensor([0.3, 0.9]),
        vocabulary=S3DIS,
    )
    scene = scene_of(cloud, instances)
    assert scan_of(scene).labels.tolist() == [0, 1, 1]
    assert scan_of(scene).classes.tolist() == [7, 8, 8]


def test_points_that_cannot_be_drawn_are_named_in_notes() -> None:
    points = np.random.default_rng(0).random((10_000, 3)).astype(np.float32)
    points[0], points[1], points[2] = np.nan, np.inf, 1e6
    scene = scene_of(PointCloud.from_arrays(points), Instances.empty(10_000, S3DIS))
    assert len(scan_of(scene)) == 9997
    assert "2 points without finite coordinates" in "\n".join(scene.notes)
    assert "1 stray" in "\n".join(scene.notes)


def test_nothing_to_show_is_said_in_one_line() -> None:
    cloud = PointCloud(torch.full((3, 3), float("nan")))
    with pytest.raises(UserError, match="no finite point"):
        scene_of(cloud, Instances.empty(3, S3DIS))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_everything_fits_into_the_view(scale: float) -> None:
    points = (np.random.default_rng(1).random((500, 3)) * scale).astype(np.float32)
    x, y, depth, _ = project(points, Viewpoint(30, 35), (640, 480), points)
    assert (depth > 0).all()
    assert x.min() >= 0 and x.max() <= 640 and y.min() >= 0 and y.max() <= 480
    assert np.ptp(x) > 0.85 * 640 or np.ptp(y) > 0.85 * 480


def test_spacing_is_the_distance_of_neighbours() -> None:
    side = np.arange(200) * 0.01
    grid = np.stack(np.meshgrid(side, side, [0.0]), axis=-1).reshape(-1, 3)
    scene = scene_of(PointCloud.from_arrays(grid.astype(np.float32)), Instances.empty(len(grid), S3DIS))
    assert scan_of(scene).spacing == pytest.approx(0.01, rel=0.3)


def test_what_was_found_does_not_change_the_viewpoint() -> None:
    cloud, instances = made_up_room(30_000)
    found = (
        instances,
        without_classes(instances),
        Instances.empty(len(cloud), S3DIS),
        instances[torch.arange(3)],
    )
    # Thinned out, so that each method keeps other points.
    scenes = [scene_of(cloud, one).thinned(4000) for one in found]
    assert len({scene.room.best_viewpoint for scene in scenes}) == 1
    for scene in scenes[1:]:
        np.testing.assert_array_equal(scene.room.fit_points(), scenes[0].room.fit_points())


def test_the_viewpoint_is_not_behind_the_tall_thing() -> None:
    """A bookcase of two metres stands in front of a row of stools: it is looked at from the other side."""
    rng = np.random.default_rng(0)
    floor = rng.random((4000, 3)) * [4, 4, 0]
    wall = rng.random((6000, 3)) * [0.3, 4, 2] + [1.0, 0, 0]
    stools = rng.random((3000, 3)) * [0.4, 3.6, 0.4] + [0.2, 0.2, 0]
    cloud = PointCloud.from_arrays(np.concatenate([floor, wall, stools]).astype(np.float32))
    azimuth = scene_of(cloud, Instances.empty(len(cloud), S3DIS)).room.best_viewpoint.azimuth
    assert 90 < azimuth % 360 < 270, "from the side of low x"


def test_the_size_said_is_that_of_all_points() -> None:
    cloud, instances = made_up_room(20_000)
    cloud.points[0] = torch.tensor([9.0, 2.0, 1.0])
    scene = scene_of(cloud, instances).thinned(1000)
    wanted = np.ptp(cloud.points.numpy(), axis=0)
    np.testing.assert_allclose(scene.room.extent, wanted, rtol=1e-6)
    assert scene.room.extent[0] > 1.3 * np.ptp(scene.room.bounds, axis=0)[0]


def test_a_wall_of_which_only_the_upper_part_was_scanned_is_cut_away() -> None:
    cloud, instances = made_up_room(60_000)
    points, labels = cloud.points.numpy(), instances.to_labels().numpy()
    kept = ~((labels == 3) & (points[:, 2] < 1.5))
    nothing = Instances.empty(int(kept.sum()), S3DIS)
    scene = scene_of(cloud[torch.from_numpy(kept)], nothing)
    hidden = scan_of(scene).hidden_from(Viewpoint(180, 40))
    middle = (points[kept, 2] < 2.3) & (np.abs(points[kept, 1] - SIZE[1] / 2) < 1.5)
    assert hidden[(labels[kept] == 3) & middle].mean() > 0.9
    assert hidden[labels[kept] == 6].mean() < 0.05


def test_labels_and_viewpoint_are_found_once_for_picture_and_page(tmp_path, monkeypatch) -> None:
    cloud, instances = made_up_room(5000)
    calls = []
    to_labels, value = Instances.to_labels, visible_value
    monkeypatch.setattr(Instances, "to_labels", lambda self: calls.append("labels") or to_labels(self))
    monkeypatch.setattr("gestalt3d.viewer.scene.visible_value", lambda *a: calls.append("view") or value(*a))
    scene = scene_of(cloud, instances)
    write_picture(tmp_path / "room.png", scene, size=(160, 120), panels=("rgb", "instance"))
    write_page(tmp_path / "room.html", scene)
    assert calls.count("labels") == 1
    assert calls.count("view") == 16, "azimuths of one look around"


def test_what_a_reader_told_is_not_told_again(tmp_path) -> None:
    cloud, _ = made_up_room(5000)
    cloud.points[0], cloud.points[1], cloud.points[2] = torch.nan, 1e5, 60.0
    np.save(tmp_path / "room.npy", cloud.points.numpy())
    read = load_cloud(tmp_path / "room.npy")
    assert read.source is not None
    notes = scene_of(read, Instances.empty(5000, S3DIS)).notes
    assert notes[: len(read.source.notes)] == read.source.notes
    # The point that methods see, but that would make the room a speck, no reader told of.
    assert notes[len(read.source.notes) :] == (
        "1 stray points far away are not shown",
        "no colour in the input",
    )
    told = "\n".join(notes)
    assert told.count("finite") == 1 and told.count("far from all others") == 1
    view, instances = frame()
    notes = ("25 of 19,200 pixels have no depth and get no answer",)
    read = dataclasses.replace(view, path=tmp_path, notes=notes)
    assert scene_of(read, instances).notes == notes


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ((), ["no colour in the input"]),
        (("colours may be missing: skin.png cannot be read or does not lie beside it",), []),
    ],
)
def test_a_missing_colour_is_said_once_whoever_says_it(said, wanted) -> None:
    cloud, instances = made_up_room(500, color=False)
    source = Source(Path("x.obj"), "mesh", np.eye(4), notes=said)
    scene = scene_of(dataclasses.replace(cloud, source=source), instances)
    assert list(scene.notes) == [*said, *wanted]

"""What `Model.segment` promises whatever the method."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.engine.model import Model, load
from gestalt3d.errors import UserError
from gestalt3d.io import load_cloud, save_cloud
from gestalt3d.io.ply import write_ply
from gestalt3d.structures.camera import LEVEL, Camera
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.structures.voxelgrid import VoxelGrid
from tests.fakes import Fake
from tests.scenes import tiny_scan


class Halves(Fake):
    """Everything left of the median is a chair, the rest a table; remembers what it was given."""

    def segment(self, cloud: PointCloud) -> Instances:
        self.given = cloud
        x = cloud.points[:, 0]
        labels = (x > x.median()).long()
        classes = torch.tensor([S3DIS.id("chair"), S3DIS.id("table")])
        return Instances.from_labels(
            labels, classes, torch.tensor([0.4, 0.9]), vocabulary=S3DIS, element_classes=classes[labels]
        )


class Shared(Fake):
    """Two things that share the middle of the cloud, the second the surer one."""

    def segment(self, cloud: PointCloud) -> Instances:
        third = len(cloud) // 3
        masks = Sets.of([torch.arange(2 * third), torch.arange(third, 3 * third)], len(cloud))
        scores = torch.tensor([0.4, 0.9])
        return Instances(masks=masks, classes=torch.tensor([7, 8]), scores=scores, vocabulary=S3DIS)


def cloud_of(points: torch.Tensor) -> PointCloud:
    return PointCloud(points, torch.rand(len(points), 3))


def test_instances_come_best_first_with_a_box_that_holds_them() -> None:
    points = torch.rand(200, 3)
    found = Model("halves", Halves()).segment(cloud_of(points))
    assert [found.class_name(i) for i in range(2)] == ["table", "chair"] and found.method == "halves"
    assert found.boxes is not None
    for i in range(2):
        own = points[found.elements_of(i)] - found.boxes[i, :3]
        c, s = found.boxes[i, 6].cos(), found.boxes[i, 6].sin()
        turned = torch.stack([c * own[:, 0] + s * own[:, 1], c * own[:, 1] - s * own[:, 0], own[:, 2]], 1)
        assert bool((turned.abs() <= found.boxes[i, 3:6] / 2 + 1e-4).all())


def test_without_overlap_each_point_is_in_the_surest_of_those_that_are_wanted() -> None:
    points, model = torch.rand(90, 3), Model("shared", Shared())
    shared = model.segment(cloud_of(points))
    assert shared.masks.overlap and shared.sizes.tolist() == [60, 60]
    apart = model.segment(cloud_of(points), overlap=False)
    assert apart.sizes.tolist() == [60, 30] and apart.scores.tolist() == pytest.approx([0.9, 0.4])
    assert apart.boxes is not None and shared.boxes is not None
    assert float(apart.boxes[1, 3:6].prod()) < float(shared.boxes[1, 3:6].prod()) * 1.01
    alone = model(cloud_of(points), classes=[S3DIS.names[7]], overlap=False)
    assert alone.sizes.tolist() == [60]  # what is not wanted takes nothing away


def test_points_that_are_not_finite_never_reach_the_method_and_get_minus_one() -> None:
    points = torch.rand(100, 3)
    points[::4, 1] = torch.nan
    points[1, 0] = torch.inf
    method = Halves()
    found = Model("halves", method).segment(cloud_of(points))
    bad = ~torch.isfinite(points).all(1)
    assert bool(torch.isfinite(method.given.points).all())
    assert found.masks.size == 100
    assert bool((found.to_labels()[bad] == -1).all()) and bool((found.to_labels()[~bad] >= 0).all())
    assert found.element_classes is not None and bool((found.element_classes[bad] == -1).all())


@pytest.mark.parametrize("stray", [[1e6, 1e6, 1e6], [0.0, -900.0, 0.0]])
def test_stray_points_never_reach_the_method_and_get_minus_one(stray: list[float]) -> None:
    points = torch.rand(100, 3)
    points[7] = torch.tensor(stray)
    method = Halves()
    labels = Model("halves", method).segment(cloud_of(points)).to_labels()
    assert len(method.given) == 99 and float(method.given.points.abs().max()) <= 1
    assert labels[7] == -1 and bool((labels[torch.arange(100) != 7] >= 0).all())


def test_pixels_without_depth_never_reach_the_method_and_get_minus_one() -> None:
    points = torch.rand(100, 3) + 1
    points[40:60] = 0
    method = Halves()
    labels = Model("halves", method).segment(cloud_of(points)).to_labels()
    assert len(method.given) == 80
    assert (labels == -1).nonzero().flatten().tolist() == list(range(40, 60))


@pytest.mark.parametrize("name", ["mtml-rooms", "components-rooms"])
def test_a_stray_point_changes_no_other_answer(name: str) -> None:
    model, cloud = load(name), replace(tiny_scan(points=1500).input, semantic=None)
    points = torch.cat([cloud.points, torch.full((1, 3), 1e6)])
    colors = None if cloud.colors is None else torch.cat([cloud.colors, torch.ones(1, 3)])
    labels = model.segment(PointCloud(points, colors)).to_labels()
    assert labels[-1] == -1 and torch.equal(labels[:-1], model.segment(cloud).to_labels())


def test_the_answer_does_not_depend_on_where_the_scan_stands() -> None:
    scan = tiny_scan(points=2000).input
    here = load("geometric").segment(scan)
    method = Halves()
    far = replace(scan, points=scan.points + torch.tensor([4096.0, -8192.0, 512.0]))
    Model("halves", method).segment(far)
    assert float(method.given.points.abs().max()) < 10.0
    there = load("geometric").segment(
        replace(far, points=far.points - torch.tensor([4096.0, -8192.0, 512.0]))
    )
    assert len(here) == len(there)


def test_classes_and_scores_choose_and_change_nothing_else() -> None:
    cloud = cloud_of(torch.rand(50, 3))
    model = Model("halves", Halves())
    whole = model.segment(cloud)
    chairs = model.segment(cloud, classes=["chair"])
    assert torch.equal(chairs.masks.indices, whole.elements_of(1)) and chairs.masks.size == 50
    assert len(model.segment(cloud, min_score=0.5)) == 1
    assert len(model.segment(cloud, classes=[])) == 0
    with pytest.raises(UserError, match="sofa, bookcase"):
        model.segment(cloud, classes=["sofa", "unicorn"])


def test_a_seed_must_be_a_count() -> None:
    model = load("geometric")
    assert model.with_seed(3).method.config.seed == 3 and model.method.config.seed != 3
    for seed in (-1, 2**63):
        with pytest.raises(UserError, match="seed"):
            model.with_seed(seed)


UTM = np.array([353_123.0, 5_601_456.0, 104.0])


def object_boxes(points: np.ndarray, found: Instances) -> list[tuple[np.ndarray, np.ndarray]]:
    """Centre and size of each instance along the axes of `points`."""
    spans = [(own.min(0), own.max(0)) for own in (points[found.mask(i)] for i in range(len(found)))]
    return [((low + high) / 2, high - low) for low, high in spans]


@pytest.mark.parametrize("given", ["cloud", "array", "tensor", "las", "ply in millimetres with y up"])
def test_boxes_in_a_table_are_in_the_frame_of_what_was_given(tmp_path: Path, given: str) -> None:
    points = np.random.default_rng(0).random((400, 3)) * [4, 3, 2] + UTM
    path = tmp_path / ("scan.las" if given == "las" else "scan.ply")
    options = {}
    if given == "las":
        save_cloud(path, PointCloud.from_arrays(points))
    elif given.startswith("ply"):
        points = (points - UTM)[:, [0, 2, 1]] * [1000, 1000, -1000]  # z up to y up
        with path.open("wb") as file:
            write_ply(file, dict(zip("xyz", points.T, strict=True)))
        options = {"units": "mm", "up": "y"}
    handed = {
        "cloud": lambda: PointCloud.from_arrays(points),
        "array": lambda: points,
        "tensor": lambda: torch.from_numpy(points),
    }.get(given, lambda: load_cloud(path, **options))()
    found = Model("halves", Halves()).segment(handed)
    unit = 1000 if options else 1
    for row, (centre, size) in zip(found.to_dicts(), object_boxes(points, found), strict=True):
        assert abs(row["yaw"]) < 0.1 or abs(abs(row["yaw"]) - np.pi / 2) < 0.1
        middle = [row[f"center_{a}"] for a in "xyz"]
        np.testing.assert_allclose(middle, centre, atol=0.15 * unit)
        up = 1 if options else 2
        assert row[f"size_{'xyz'[up]}"] == pytest.approx(size[up], abs=1e-3 * unit)
    # As tensors they lie over the points of the cloud that was segmented, whose origin is taken off.
    assert found.boxes is not None and float(found.boxes[:, :3].abs().max()) < 10


class Completing(Fake):
    """One chair, the first half of the points, with its whole in a box of its own and as three kinds of shape."""

    def segment(self, cloud: PointCloud) -> Instances:
        self.given = cloud
        low, high = cloud.points.amin(0), cloud.points.amax(0)
        whole = torch.cat([(low + high) / 2, high - low, torch.tensor([0.25])])[None]
        corner = low.double()
        grid = VoxelGrid.from_dense(torch.ones(2, 1, 1, dtype=torch.bool), voxel_size=0.5, origin=corner)
        shapes = (Mesh(cloud.points[:3], torch.tensor([[0, 1, 2]])), PointCloud(cloud.points[:5]), grid)
        labels = torch.arange(len(cloud)) % 3
        found = Instances.from_labels(labels, torch.zeros(3, dtype=torch.int64), vocabulary=S3DIS)
        return replace(found, boxes=whole.repeat(3, 1), amodal_boxes=whole.repeat(3, 1), shapes=shapes)


@pytest.mark.parametrize("kept", ["float32", "with an origin"])
def test_geometry_of_a_method_comes_back_to_where_the_scan_stands(kept: str) -> None:
    """UTM coordinates: the method is shown what lies around the origin, and what it answers lies in the frame of the cloud."""
    points = torch.rand(300, 3) * torch.tensor([4.0, 3.0, 2.0])
    at = torch.tensor([4096.0, -8192.0, 512.0])
    cloud = PointCloud(points + at)
    if kept != "float32":
        cloud = PointCloud(points + at, origin=torch.from_numpy(UTM))
    method = Completing()
    found = Model("completing", method).segment(cloud)
    assert float(method.given.points.abs().max()) < 10
    low, high = cloud.points.amin(0), cloud.points.amax(0)
    for boxes in (found.boxes, found.amodal_boxes):
        assert boxes is not None
        torch.testing.assert_close(
            boxes[0], torch.cat([(low + high) / 2, high - low, torch.tensor([0.25])]), atol=2e-3, rtol=0
        )
    mesh, some, grid = found.shapes or ()
    assert isinstance(mesh, Mesh) and isinstance(some, PointCloud) and isinstance(grid, VoxelGrid)
    torch.testing.assert_close(mesh.vertices, cloud.points[:3], atol=2e-3, rtol=0)
    assert some.origin is not None and grid.origin is not None
    torch.testing.assert_close(some.points + some.origin, cloud.points[:5].double(), atol=2e-3, rtol=0)
    torch.testing.assert_close(grid.origin, low.double(), atol=2e-3, rtol=0)
    middle = [found.to_dicts()[0][f"amodal_center_{axis}"] for axis in "xyz"]
    origin = 0 if cloud.origin is None else UTM
    np.testing.assert_allclose(middle, ((low + high) / 2).numpy() + origin, atol=2e-3)


def test_boxes_that_a_method_gives_stay(tmp_path: Path) -> None:
    """In the frame of a file in millimetres with y up, too."""
    points = np.random.default_rng(0).random((300, 3)) * [4000, 2000, 3000]
    with (tmp_path / "scan.ply").open("wb") as file:
        write_ply(file, dict(zip("xyz", points.T, strict=True)))
    cloud = load_cloud(tmp_path / "scan.ply", units="mm", up="y")
    found = Model("completing", Completing()).segment(cloud)
    row = found.to_dicts()[0]
    assert row["yaw"] == pytest.approx(0.25)
    np.testing.assert_allclose([row[f"size_{axis}"] for axis in "xyz"], np.ptp(points, axis=0), rtol=1e-4)
    np.testing.assert_allclose(
        [row[f"center_{axis}"] for axis in "xyz"], (points.min(0) + points.max(0)) / 2, rtol=1e-4
    )


def some_view(*, depth: bool = True, camera: bool = True, at: float = 0.0) -> View:
    """6 x 4 pixels, two of them without depth, seen from 1 m above (`at`, `at`, 0)."""
    values = 2 + torch.rand(4, 6)
    values[0, 0], values[2, 3] = 0, torch.nan
    pose = LEVEL.copy()
    pose[:3, 3] = at, at, 1
    return View(
        torch.rand(3, 4, 6),
        values if depth else None,
        Camera.from_focal(5.0, (6, 4), pose) if camera else None,
    )


@pytest.mark.parametrize("at", [0.0, 5e6])
def test_the_answer_to_a_view_is_of_its_pixels(at: float) -> None:
    view, method = some_view(at=at), Halves()
    found = Model("halves", method).segment(view)
    assert isinstance(method.given, PointCloud) and len(method.given) == 22
    assert found.masks.size == 24 and not {0, 15} & set(found.masks.indices.tolist())
    assert found.element_classes is not None and found.element_classes[[0, 15]].tolist() == [-1, -1]
    # The method's row 0, the left half, is now the second: a pixel is left if its point is.
    x = view.cloud().points[:, 0]
    assert torch.equal(found.elements_of(1), view.pixels()[x <= x.median()])
    assert found.boxes is not None and found.image_boxes is not None
    columns = found.elements_of(1) % 6
    assert found.image_boxes[1].tolist() == [int(columns.min()), 0, int(columns.max()) + 1, 4]
    middle = found.to_dicts()[1]["center_x"]
    assert abs(middle - at) < 3, "boxes of a table are in the world of the camera"


def test_a_view_without_depth_or_camera_is_refused_by_models_for_clouds() -> None:
    model = Model("halves", Halves())
    with pytest.raises(
        UserError,
        match=r"photo without depth; halves wants depth, too .*; photos are for mask-rcnn-photos",
    ):
        model.segment(some_view(depth=False))
    with pytest.raises(UserError, match="no camera"):
        model.segment(some_view(camera=False))
    blind = replace(some_view(), depth=torch.zeros(4, 6))
    with pytest.raises(UserError, match="no pixel of this view has a depth"):
        model.segment(blind)


class Bright(Fake):
    """Bright pixels are one instance."""

    takes = View  # type: ignore[assignment]

    def segment(self, view: View) -> Instances:
        bright = (view.image.mean(0) > 0.5).long().reshape(-1) - 1
        return Instances.from_labels(bright, torch.zeros(1, dtype=torch.int64), vocabulary=S3DIS)


class NeedsDepth(Bright):
    """As methods for whole objects do."""

    needs_depth = True


def test_a_method_for_views_is_shown_the_view_itself() -> None:
    view = some_view(depth=False)
    found = Model("bright", Bright()).segment(view)
    assert found.masks.size == 24 and found.method == "bright"
    assert found.boxes is None, "a photo has no places"
    with pytest.raises(UserError, match=r"bright takes single images, .* and this is a cloud"):
        Model("bright", Bright()).segment(tiny_scan(points=50).input)


@pytest.mark.parametrize("at", [0.0, 5e6])
def test_what_a_method_for_views_finds_has_boxes_of_its_pixels_and_points(at: float) -> None:
    view = some_view(at=at)
    found = Model("bright", NeedsDepth()).segment(view)
    own = found.elements_of(0)
    assert found.image_boxes is not None and found.boxes is not None
    rows, columns = own // 6, own % 6
    wanted = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert found.image_boxes[0].tolist() == [float(edge) for edge in wanted]
    points = view.cloud().points[torch.isin(view.pixels(), own)]
    assert len(points) == int(view.seen[own].sum())
    box = found.boxes[0]
    np.testing.assert_allclose(box[2], (points[:, 2].min() + points[:, 2].max()) / 2, rtol=1e-5)
    local = points[:, :2] - box[:2]
    along = local[:, 0] * box[6].cos() + local[:, 1] * box[6].sin()
    assert float(along.abs().max()) == pytest.approx(float(box[3]) / 2, rel=1e-3)


def test_an_object_that_nobody_sees_has_no_visible_box() -> None:
    class Hidden(Bright):
        def segment(self, view: View) -> Instances:
            found = Instances.from_labels(
                torch.full((len(view),), -1), torch.tensor([0, 1]), vocabulary=S3DIS
            )
            return replace(found, amodal_boxes=torch.ones(2, 7))

    found = Model("hidden", Hidden()).segment(some_view())
    assert found.boxes is not None and bool(found.boxes.isnan().all())
    row = found.to_dicts()[1]
    assert row["center_x"] is None and row["amodal_center_x"] == 1
    assert found.image_boxes is not None and not found.image_boxes.any()


def test_what_a_method_for_frames_lacks_is_one_line() -> None:
    model = Model("whole", NeedsDepth())
    with pytest.raises(UserError, match="a photo without depth; whole wants depth, too"):
        model.segment(some_view(depth=False))
    with pytest.raises(UserError, match="no camera, by which whole would know places; give it one"):
        model.segment(some_view(camera=False))
    with pytest.raises(UserError, match="no pixel of this view has a depth"):
        model.segment(replace(some_view(), depth=torch.zeros(4, 6)))


def test_other_faults_of_a_method_for_views_are_told_as_they_are() -> None:
    class Broken(Bright):
        def segment(self, view: View) -> Instances:
            raise ValueError("its own fault")

    with pytest.raises(ValueError, match="its own fault"):
        Model("broken", Broken()).segment(some_view())


def test_a_path_or_an_array_stands_for_its_cloud(tmp_path: Path) -> None:
    model, cloud = Model("halves", Halves()), cloud_of(torch.rand(60, 3))
    save_cloud(tmp_path / "scan.npz", cloud)
    expected = model.segment(cloud)
    array = np.column_stack([cloud.points.numpy(), np.rint(cloud.colors.numpy() * 255)])
    for given in (tmp_path / "scan.npz", str(tmp_path / "scan.npz"), array, array[:, :3], array.astype("f4")):
        assert torch.equal(model(given).masks.indices, expected.masks.indices)
    model(array)
    assert model.method.given.colors is not None
    np.testing.assert_allclose(model.method.given.colors.numpy(), cloud.colors.numpy(), atol=0.5 / 255)
    model(np.column_stack([array[:, :3], cloud.colors.numpy()]))
    np.testing.assert_allclose(model.method.given.colors.numpy(), cloud.colors.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    "array", [np.zeros((3, 50)), np.zeros((6, 50)), np.zeros((50, 4)), np.zeros(3)], ids=str
)
def test_an_array_that_is_no_points_is_refused_in_one_sentence(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"\(n, 3\) or \(n, 6\) numbers, got \(") as problem:
        Model("halves", Halves()).segment(array)
    assert ("transpose" in str(problem.value)) == (array.shape[0] in (3, 6) and array.ndim == 2)


def test_a_model_says_its_name_and_classes() -> None:
    words = "model halves, 13 classes: ceiling, floor, wall, beam, column, window, door, table, ..."
    assert repr(Model("halves", Halves())) == words


def test_one_class_may_be_named_without_a_list() -> None:
    cloud = cloud_of(torch.rand(50, 3))
    assert len(Model("halves", Halves()).segment(cloud, classes="chair")) == 1


WRONG = """
import numpy as np, torch
import gestalt3d as g3
cloud = g3.PointCloud(torch.rand(4, 3))
found = g3.Instances.from_labels(torch.zeros(4, dtype=torch.int64), torch.tensor([0]), vocabulary=g3.Vocabulary("v", ("a",)))
model = g3.load("geometric")
for call in (
    lambda: g3.save_instances("x.ply", cloud, found),
    lambda: g3.save_instances(found, "x.ply", cloud),
    lambda: g3.save_instances("x.ply", found, found),
    lambda: g3.save_instances("x.ply", found, cloud[:2]),
    lambda: g3.save_objects(found, "x", cloud),
    lambda: g3.save_cloud(cloud, "x.ply"),
    lambda: g3.save_page(cloud, found, "x.html", title="x"),
    lambda: g3.save_page("x.html", found, cloud, title="x"),
    lambda: g3.save_picture("x.png", found, cloud),
    lambda: g3.view(found, cloud),
    lambda: g3.view(cloud, cloud),
    lambda: g3.load_cloud(np.zeros((4, 3))),
    lambda: g3.load(None),
    lambda: g3.evaluate("geometric", "rooms:val"),
    lambda: g3.train("asis-folder", "runs/x"),
    lambda: g3.score("scannet", "gt", ["a.txt"]),
    lambda: model(None),
    lambda: model([1, 2]),
    lambda: model(np.array(["a"])),
):
    try:
        call()
    except Exception as problem:
        print(type(problem).__name__, problem)
    else:
        print("nothing")
"""


def test_swapped_and_foreign_arguments_are_said_in_one_sentence_each() -> None:
    """In a process of its own, without the checks of types that tests run under."""
    done = subprocess.run([sys.executable, "-c", WRONG], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "TypeError save_instances(path, instances, given): got a PointCloud in place of the instances; "
        "swap it with the instances",
        "TypeError save_instances(path, instances, given): a path is wanted first, got an Instances",
        "TypeError save_instances(path, instances, given): a cloud, a path or an array (n, 3) or (n, 6) is "
        "wanted, got an Instances",
        "ValueError save_instances(path, instances, given): the instances are of 4 points, the cloud has 2; "
        "pass its own",
        "TypeError save_objects(folder, instances, cloud): a path is wanted first, got an Instances",
        "TypeError save_cloud(path, cloud): wants a path and a PointCloud, got a PointCloud and a str",
        "TypeError save_page(path, cloud, instances): a path is wanted first, got a PointCloud",
        "TypeError save_page(path, cloud, instances): got a PointCloud in place of the instances; "
        "swap it with the instances",
        "TypeError save_picture(path, cloud, instances): got a PointCloud in place of the instances; "
        "swap it with the instances",
        "TypeError view(cloud, instances): got a PointCloud in place of the instances; swap it with the instances",
        "TypeError view(cloud, instances): got a PointCloud in place of the instances; pass what segment returned",
        "TypeError load_cloud(path): got a ndarray, not a path; PointCloud.from_arrays takes arrays",
        "TypeError load(name_or_path): wants a model's name or a weight file, got None",
        "TypeError evaluate(model, scans): wants a model and a data set, as load and open_data give them, "
        "got 'geometric' and 'rooms:val'",
        "TypeError train(recipe, out): wants a recipe, as gestalt3d.recipes.recipe gives it, got 'asis-folder'",
        "TypeError score(kind, gt, pred): wants the names of two folders, got ['a.txt']",
        "TypeError segment(given): a cloud, a path or an array (n, 3) or (n, 6) is wanted, got a NoneType",
        "TypeError segment(given): a cloud, a path or an array (n, 3) or (n, 6) is wanted, got a list",
        "ValueError segment(given): an array of points must be (n, 3) or (n, 6) numbers, got (1,) <U1",
    ]

"""Files to files: all results of a scan or none, and names that never collide."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gestalt3d.engine import results, segment
from gestalt3d.engine.model import Model, load
from gestalt3d.engine.results import Answer, Kinds, result_folder, write_results
from gestalt3d.engine.segment import Options, Result, segment_files
from gestalt3d.errors import UserError
from gestalt3d.io import Inputs, load_instances, save_cloud, save_instances, surfaces
from gestalt3d.io.ply import read_ply
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.structures.voxelgrid import VoxelGrid
from tests.fakes import Fake
from tests.io.test_inputs import plain, save_color
from tests.scenes import tiny_scan

PLAIN = Options(kinds=Kinds(picture=False, page=False))


@pytest.fixture(scope="module")
def model() -> Model:
    return load("geometric")


def test_two_scans_of_one_name_get_two_results(model: Model, tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "room.ply", tmp_path / "b" / "Room.ply", tmp_path / "room-2.xyz"]
    for seed, path in enumerate(paths):
        save_cloud(path.with_suffix(".ply"), tiny_scan(seed, points=500 + 100 * seed).input)
    save_cloud(paths[2], tiny_scan(2, points=700).input)
    outcome = segment_files(model, paths, tmp_path / "out", PLAIN)
    assert outcome.done == paths and not outcome.failed
    names = sorted(p.name for p in (tmp_path / "out").glob("*.npz"))
    assert names == ["Room-2.instances.npz", "room-2-2.instances.npz", "room.instances.npz"]


def test_callbacks_tell_what_happens_to_each_file(model: Model, tmp_path: Path) -> None:
    save_cloud(tmp_path / "good.ply", tiny_scan(points=500).input)
    (tmp_path / "bad.ply").write_bytes(b"ply")
    began, done, failed = [], [], []
    outcome = segment_files(
        model,
        [tmp_path],
        tmp_path / "out",
        PLAIN,
        on_start=lambda path, i, n: began.append((path.name, i, n)),
        on_result=lambda result: done.append(result.source.name),
        on_failure=failed.append,
    )
    assert began == [("bad.ply", 1, 2), ("good.ply", 2, 2)]
    assert done == ["good.ply"] and failed == outcome.failed and "bad.ply" in failed[0]


def test_an_unknown_class_is_refused_before_anything_is_read(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unicorn"):
        segment_files(model, [tmp_path / "missing.ply"], tmp_path / "out", Options(classes=("unicorn",)))
    assert not (tmp_path / "out").exists()


def test_running_out_of_memory_is_a_matter_of_one_file(tmp_path: Path) -> None:
    for name in ("large.ply", "small.ply"):
        save_cloud(tmp_path / name, tiny_scan(points=500 if name == "small.ply" else 900).input)

    class Greedy(Fake):
        def segment(self, cloud: PointCloud) -> Instances:
            if len(cloud) > 600:
                torch.empty(2**60)
            return Instances.empty(len(cloud), self.vocabulary)

    outcome = segment_files(Model("greedy", Greedy()), [tmp_path], tmp_path / "out", PLAIN)
    assert [p.name for p in outcome.done] == ["small.ply"]
    assert len(outcome.failed) == 1 and "large.ply" in outcome.failed[0] and "memory" in outcome.failed[0]


def test_a_fault_of_ours_is_named_with_its_place_and_the_next_file_is_tried(tmp_path: Path) -> None:
    for name in ("large.ply", "small.ply"):
        save_cloud(tmp_path / name, tiny_scan(points=500 if name == "small.ply" else 900).input)

    class Broken(Fake):
        def segment(self, cloud: PointCloud) -> Instances:
            if len(cloud) > 600:
                raise RuntimeError("shapes do\nnot match")
            return Instances.empty(len(cloud), self.vocabulary)

    outcome = segment_files(Model("broken", Broken()), [tmp_path], tmp_path / "out", PLAIN)
    assert [p.name for p in outcome.done] == ["small.ply"]
    (line,) = outcome.failed
    assert line.startswith(str(tmp_path / "large.ply")) and "\n" not in line
    assert "RuntimeError: shapes do not match in engine" in line and "report it" in line
    assert not list((tmp_path / "out").glob("*large*")) and not list((tmp_path / "out").glob(".*"))


@pytest.mark.parametrize("step", ["read", "expect_writable", "save_instances", "write_page"])
@pytest.mark.parametrize(
    "fault", [NotImplementedError("copc"), OSError(5, "Input/output error"), MemoryError()]
)
def test_whatever_one_file_does_the_next_is_tried(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, fault: Exception
) -> None:
    for name in ("a.ply", "b.ply"):
        save_cloud(tmp_path / name, tiny_scan(points=500).input)
    home = next(home for home in (Inputs, segment, results) if hasattr(home, step))
    work, calls = getattr(home, step), iter(range(100))

    def fail_at_first(*args: Any, **options: Any) -> Any:
        if next(calls) == 0:
            raise fault
        return work(*args, **options)

    monkeypatch.setattr(home, step, fail_at_first)
    outcome = segment_files(model, [tmp_path], tmp_path / "out", Options(kinds=Kinds(picture=False)))
    assert [p.name for p in outcome.done] == ["b.ply"]
    assert len(outcome.failed) == 1 and outcome.failed[0].startswith(str(tmp_path))
    assert {p.name.split(".")[0] for p in (tmp_path / "out").iterdir()} == {"b"}


def test_a_folder_in_the_way_is_seen_before_the_work(tmp_path: Path) -> None:
    save_cloud(tmp_path / "a.ply", tiny_scan(points=500).input)
    (tmp_path / "out" / "a.html").mkdir(parents=True)

    class Never(Fake):
        def segment(self, cloud: PointCloud) -> Instances:
            raise AssertionError("worked in vain")

    outcome = segment_files(Model("never", Never()), [tmp_path / "a.ply"], tmp_path / "out")
    assert len(outcome.failed) == 1 and "a.html" in outcome.failed[0] and "in the way" in outcome.failed[0]


@pytest.mark.parametrize("failing", ["save_instances", "write_picture", "write_page", "save_objects"])
def test_what_cannot_be_written_leaves_no_trace(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    scan = tiny_scan(points=500)
    found = model.segment(scan.input)
    answer = Answer("room", scan.input, found)
    write_results(tmp_path, answer, Kinds(objects=True))
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise UserError(f"{path}: cannot be written: the disk is full")

    monkeypatch.setattr(f"gestalt3d.engine.results.{failing}", refuse)
    with pytest.raises(UserError) as problem:
        write_results(tmp_path, replace(answer, found=found[found.scores > 2]), Kinds(objects=True))
    assert str(problem.value).startswith(str(tmp_path / "room."))  # not the hidden place it was written to
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_frame_has_results_of_its_pixels(model: Model, tmp_path: Path) -> None:
    plain(tmp_path / "in" / "desk")
    save_color(tmp_path / "in" / "holiday.jpg")
    save_cloud(tmp_path / "in" / "room.ply", tiny_scan(points=500).input)
    save_color(tmp_path / "in" / "holiday.jpg")
    told: list[Result] = []
    outcome = segment_files(model, [tmp_path / "in"], tmp_path / "out", on_result=told.append)
    assert [p.name for p in outcome.done] == ["desk", "room.ply"], (
        "photos in a folder are left to models for photos"
    )
    names = ["desk.html", *(f"desk.instances.{kind}" for kind in ("json", "npz", "ply", "png")), "desk.png"]
    assert sorted(p.name for p in (tmp_path / "out").glob("desk.*")) == names
    found, view = load_instances(tmp_path / "out" / "desk.instances.npz")
    assert isinstance(view, View) and found.masks.size == len(view) == 48 * 64
    ids = np.asarray(Image.open(tmp_path / "out" / "desk.instances.png")).astype(int)
    np.testing.assert_array_equal(ids.reshape(-1) - 1, found.to_labels().numpy())
    assert any("taken for millimetres" in note for note in told[0].answer.notes)


def test_photos_are_refused_by_name_and_as_a_folder(model: Model, tmp_path: Path) -> None:
    save_color(tmp_path / "in" / "holiday.jpg")
    outcome = segment_files(
        model, [tmp_path / "in", tmp_path / "in" / "holiday.jpg"], tmp_path / "out", PLAIN
    )
    folder, photo = outcome.failed
    assert "only photos without depth; geometric wants depth, too" in folder
    assert str(tmp_path / "in" / "holiday.jpg") in photo and "photos are for mask-rcnn-photos" in photo


class Solid(Fake):
    """What shows at all is one object, whose whole shape is a cube of voxels."""

    name = "solid"
    takes = View  # type: ignore[assignment]
    needs_depth = True

    def segment(self, view: View) -> Instances:
        labels = view.seen.long() - 1
        found = Instances.from_labels(labels, torch.tensor([8]), vocabulary=S3DIS)
        cube = VoxelGrid.from_dense(torch.ones(4, 4, 4, dtype=torch.bool), voxel_size=0.05)
        return replace(found, shapes=(cube,), amodal_boxes=torch.tensor([[0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0]]))


def test_a_model_for_views_answers_frames_and_leaves_clouds(tmp_path: Path) -> None:
    model = Model("solid", Solid())
    plain(tmp_path / "in" / "desk")
    save_cloud(tmp_path / "in" / "room.ply", tiny_scan(points=500).input)
    save_color(tmp_path / "in" / "holiday.jpg")
    told: list[Result] = []
    outcome = segment_files(
        model, [tmp_path / "in"], tmp_path / "out", Options(kinds=Kinds(objects=True)), on_result=told.append
    )
    assert [p.name for p in outcome.done] == ["desk"] and outcome.failed == []
    out = tmp_path / "out"
    kinds = [
        "html",
        "instances.json",
        "instances.npz",
        "instances.ply",
        "instances.png",
        "objects",
        "png",
        "shapes",
    ]
    assert sorted(p.name for p in out.iterdir()) == [f"desk.{kind}" for kind in kinds]
    assert sorted(p.name for p in (out / "desk.shapes").iterdir()) == ["0000_chair.glb", "0000_chair.ply"]
    assert [p.name for p in (out / "desk.objects").iterdir()] == ["0000_chair.ply"]
    found, view = load_instances(out / "desk.instances.npz")
    assert found.to_dicts() == told[0].answer.found.to_dicts() and isinstance(view, View)
    assert found.shapes is not None and isinstance(found.shapes[0], VoxelGrid)
    table = read_ply(out / "desk.instances.ply").table
    assert table is not None and len(table) == int(view.seen.sum()) and (table["instance"] == 0).all()
    (row,) = json.loads((out / "desk.instances.json").read_text())["instances"]
    assert row["amodal_box"]["size"] == pytest.approx([0.2, 0.2, 0.2]) and row["shape"] == "0000_chair.ply"
    assert row["image_box"] == [0, 0, 64, 48] and row["box"]["size"][2] > 1
    assert any("taken for millimetres" in note for note in told[0].answer.notes)


def test_surfaces_of_voxels_are_made_once_for_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(tmp_path / "desk")
    made: list[int] = []
    surface = surfaces.voxel_surface
    monkeypatch.setattr(
        surfaces, "voxel_surface", lambda at, **how: made.append(len(at)) or surface(at, **how)
    )
    options = Options(kinds=Kinds(objects=True))
    assert segment_files(Model("solid", Solid()), [tmp_path / "desk"], tmp_path / "out", options).done
    assert made == [64]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda folder: save_color(folder / "photo.jpg"),
            "in: only photos without depth in this folder; solid takes folders with a colour image and its depth",
        ),
        (
            lambda folder: save_cloud(folder / "room.ply", tiny_scan(points=500).input),
            "in: only clouds in this folder",
        ),
        (
            lambda folder: (
                save_color(folder / "photo.jpg"),
                save_cloud(folder / "room.ply", tiny_scan(points=500).input),
            ),
            "in: only clouds and photos without depth in this folder",
        ),
        (Path.mkdir, "in: no image in this folder; put folders with a colour image"),
    ],
    ids=["photo", "cloud", "both", "nothing"],
)
def test_what_a_model_for_frames_cannot_answer_is_one_line(
    tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    make(tmp_path / "in")
    outcome = segment_files(Model("solid", Solid()), [tmp_path / "in"], tmp_path / "out", PLAIN)
    (line,) = outcome.failed
    assert words in line and "\n" not in line
    assert not (tmp_path / "out").exists()


def test_labels_and_scene_of_a_result_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Counter()

    def counting(home: Any, name: str) -> None:
        work = getattr(home, name)

        def counted(*args: Any, **options: Any) -> Any:
            calls[name] += 1
            return work(*args, **options)

        monkeypatch.setattr(home, name, counted)

    counting(Instances, "to_labels")
    counting(results, "scene_of")
    scan = tiny_scan(points=500)
    answer = Answer("room", scan.input, scan.truth)
    write_results(tmp_path, answer, Kinds(objects=True))
    assert len(answer.labels) == 500 and calls == {"to_labels": 1, "scene_of": 1}


def test_whole_shapes_lie_beside_the_results(tmp_path: Path) -> None:
    scan = tiny_scan(points=500)
    whole = tuple(Mesh(torch.rand(3, 3), torch.tensor([[0, 1, 2]])) for _ in range(len(scan.truth)))
    files = write_results(
        tmp_path, Answer("room", scan.input, replace(scan.truth, shapes=whole)), PLAIN.kinds
    )
    assert files[-1] == tmp_path / "room.shapes" and len(list(files[-1].iterdir())) == len(scan.truth)
    rows = json.loads((tmp_path / "room.instances.json").read_text())["instances"]
    assert sorted(row["shape"] for row in rows) == sorted(p.name for p in files[-1].iterdir())


def test_a_result_may_be_segmented_again(model: Model, tmp_path: Path) -> None:
    save_instances(tmp_path / "a.instances.ply", tiny_scan(points=500).truth, tiny_scan(points=500).input)
    outcome = segment_files(model, [tmp_path / "a.instances.ply"], tmp_path / "out")
    assert len(outcome.done) == 1 and (tmp_path / "out" / "a.instances.png").is_file()


def test_a_folder_made_for_results_that_never_came_goes_again(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), result_folder(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    with result_folder(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").is_dir()

"""Pictures of single objects and photos of several, as data and as files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gestalt3d.data import DataSet, DataSetOf, needs_root, open_data
from gestalt3d.data.cache import fingerprint
from gestalt3d.data.objects import SPLITS, Objects
from gestalt3d.data.photo_scenes import Photos
from gestalt3d.errors import UserError
from gestalt3d.io.inputs import load_input
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import SHAPENET13, SYNTH
from gestalt3d.synth.objects.models import CATEGORIES
from gestalt3d.synth.objects.photos import PhotoConfig, make_photo
from gestalt3d.synth.objects.pictures import PictureConfig, make_picture
from gestalt3d.synth.objects.viewpoints import HELD_OUT, SEEN, VIEWPOINTS
from gestalt3d.synth.views import SyntheticView
from tests.command import Command


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def whole_split(split: str) -> Objects:
    return Objects(split, count=10**9)


def test_open_data_gives_pictures_and_photos() -> None:
    for spec in ("objects:val", "photos:val"):
        data = open_data(spec, limit=3)
        assert isinstance(data, DataSetOf) and isinstance(data, DataSet) and len(data) == len(data.names) == 3
        assert not needs_root(spec) and data.notes == [] and data.vocabulary == SHAPENET13
        first = data[0]
        assert isinstance(first.input, View) and first.input.depth is None and first.name == data.names[0]
        assert first.truth.whole is not None and first.truth.image_boxes is not None
    assert {split: len(open_data(f"objects:{split}")) for split in SPLITS} == {
        s: own.count for s, own in SPLITS.items()
    }


@pytest.mark.parametrize("split", SPLITS)
def test_every_object_of_a_split_is_seen_once_from_each_of_its_viewpoints(split: str) -> None:
    data, own = whole_split(split), SPLITS[split]
    shown = {(data.seed_of(i), data.viewpoint_of(i)) for i in range(len(data))}
    assert len(shown) == len(data) == len(set(data.names)) == 13 * own.objects * len(own.viewpoints)
    assert {k for _, k in shown} == set(own.viewpoints)


def test_new_objects_and_viewpoints_are_new() -> None:
    objects = {
        split: {data.seed_of(i) for i in range(len(data))}
        for split in SPLITS
        for data in [whole_split(split)]
    }
    assert (
        not objects["train"] & objects["val"]
        and not objects["train"] & objects["test"]
        and not objects["val"] & objects["test"]
    )
    assert objects["new-objects"] == objects["test"] and objects["new-viewpoints"] == objects["train"]
    seen = {split: set(own.viewpoints) for split, own in SPLITS.items()}
    assert seen["train"] == seen["val"] == seen["new-objects"] == set(SEEN)
    assert seen["test"] == seen["new-viewpoints"] == set(HELD_OUT)
    # Occluders come from blocks of 208 seeds: those of no two splits meet.
    blocks = {split: {seed // 208 for seed in objects[split]} for split in ("train", "val", "test")}
    assert (
        not blocks["train"] & blocks["val"]
        and not blocks["train"] & blocks["test"]
        and not blocks["val"] & blocks["test"]
    )


@pytest.mark.parametrize("split", SPLITS)
def test_any_first_pictures_have_all_categories_and_many_objects(split: str) -> None:
    data = Objects(split, count=130)
    assert [data[i].truth.class_name(0) for i in range(13)] == list(CATEGORIES)
    assert len({data.seed_of(i) for i in range(130)}) == 130
    assert len({data.viewpoint_of(i) for i in range(130)}) >= 6


def test_pictures_of_one_object_are_found() -> None:
    data = whole_split("train")
    rng = np.random.default_rng(0)
    for i in (0, 17, 5000):
        same = data.same_object(i)
        assert i in same and len(same) == len(SEEN)
        assert {data.seed_of(k) for k in same} == {data.seed_of(i)}
        assert {data.viewpoint_of(k) for k in same} == set(SEEN)
        other = data.another(i, rng)
        assert other in same and other != i
    one, other = data[17], data[data.another(17, rng)]
    assert one.object_name == other.object_name and one.viewpoint != other.viewpoint
    assert one.truth.shapes is not None and other.truth.shapes is not None
    back = [np.linalg.inv(seen.viewpoint.view_from_object) for seen in (one, other)]
    meshes = [seen.truth.shapes[0].moved(m) for seen, m in zip((one, other), back, strict=True)]  # pyright: ignore
    torch.testing.assert_close(meshes[0].vertices, meshes[1].vertices, atol=1e-6, rtol=0)
    assert Objects("train", count=13).another(4, rng) == 4


def test_a_picture_is_the_same_whatever_the_size_of_the_set() -> None:
    assert Objects("test", count=20)[15].truth == Objects("test")[15].truth
    assert Objects("test")[3].input == make_picture(SPLITS["test"].first + 3, HELD_OUT[0]).input
    assert Photos("val", count=2)[1].truth == make_photo(1_000_001).truth


def test_fingerprints_change_with_picture_and_settings() -> None:
    sets = [
        Objects("train"),
        Objects("test"),
        Objects("train", config=PictureConfig(size=32)),
        Photos("train"),
        Photos("train", config=PhotoConfig(min_pixels=9)),
    ]
    assert len({fingerprint(data, i) for data in sets for i in (0, 1)}) == 10  # pyright: ignore[reportArgumentType]
    assert Objects("new-objects").fingerprint(0) != Objects("test").fingerprint(0)


def test_splits_and_positions_are_checked() -> None:
    with pytest.raises(UserError, match="objects has no split 'dev'; it has train, val, test, new-objects"):
        open_data("objects:dev")
    with pytest.raises(UserError, match="photos has no split 'dev'; it has train, val, test"):
        open_data("photos:dev")
    with pytest.raises(IndexError, match="objects:val has 1 pictures"):
        Objects("val", count=1)[1]
    with pytest.raises(IndexError, match="photos:val has 1 photos"):
        Photos("val", count=1)[1]


def test_classes_are_mapped_to_the_vocabulary_asked_for() -> None:
    data = open_data("objects:val", limit=13, vocabulary=SYNTH)
    names = {category: data[i].truth.class_name(0) for i, category in enumerate(CATEGORIES)}
    assert (names["chair"], names["display"], names["car"]) == ("chair", "monitor", "clutter")
    assert len(data.notes) == 1 and "clutter" in data.notes[0]


def test_frames_of_rooms_serve_in_the_classes_of_the_objects() -> None:
    """They have masks of whole objects, and some of the thirteen categories."""
    data = open_data("views:val", limit=3, vocabulary=SHAPENET13)
    seen = [data[i] for i in range(3)]
    classes = torch.cat([one.truth.classes for one in seen])
    assert all(one.truth.whole is not None for one in seen)
    known = {SHAPENET13.names[c] for c in classes.tolist() if c >= 0}
    assert {"chair", "table"} & known and known <= {
        "bench",
        "cabinet",
        "chair",
        "display",
        "lamp",
        "sofa",
        "table",
    }


def test_single_objects_are_written(command: Command, tmp_path: Path) -> None:
    answer = command("synth", "objects", "-n", 1, "--seed", 3, "--category", "phone", "-o", tmp_path)
    assert answer.code == 0, answer.err
    assert len(list((tmp_path / "rgb").iterdir())) == len(list((tmp_path / "amodal").iterdir())) == 24
    assert [p.name for p in (tmp_path / "shapes").iterdir()] == ["phone_0000003.glb"]
    seen = make_picture(3, 6, category="phone")
    about = json.loads((tmp_path / "objects" / "phone_0000003_06.json").read_text())
    assert seen.truth.whole is not None
    assert (about["visible_pixels"], about["amodal_pixels"]) == (
        int(seen.truth.sizes[0]),
        int(seen.truth.whole.sizes[0]),
    )
    assert about["class"] == "phone" and about["viewpoint"]["azimuth"] == pytest.approx(
        VIEWPOINTS[6].azimuth, abs=1e-6
    )
    labels = np.asarray(Image.open(tmp_path / "instance" / "phone_0000003_06.png"))
    whole = np.asarray(Image.open(tmp_path / "amodal" / "phone_0000003_06_001.png"))
    assert (labels.reshape(-1).nonzero()[0] == seen.truth.masks[0].numpy()).all()
    assert (whole.reshape(-1).nonzero()[0] == seen.truth.whole[0].numpy()).all()
    read = load_input(tmp_path / "shapes" / "phone_0000003.glb")
    assert not isinstance(read, View)
    assert float((read.points.amax(0) - read.points.amin(0)).norm()) == pytest.approx(1, abs=0.02)


def test_photos_are_written_without_depth(command: Command, tmp_path: Path) -> None:
    answer = command("synth", "photos", "-n", 2, "--seed", 5, "-o", tmp_path)
    assert answer.code == 0, answer.err
    assert sorted(p.name for p in (tmp_path / "rgb").iterdir()) == ["photo_0000005.png", "photo_0000006.png"]
    assert not (tmp_path / "depth").exists() and not (tmp_path / "voxels").exists()
    seen = make_photo(6)
    about = json.loads((tmp_path / "objects" / "photo_0000006.json").read_text())
    hidden_by = [[j - 1 for j in row["occluded_by"]] for row in about["objects"]]
    assert hidden_by == [seen.occludes[:, i].nonzero().flatten().tolist() for i in range(len(seen.truth))]


def test_a_kind_of_objects_that_is_not_there_is_refused(command: Command, tmp_path: Path) -> None:
    answer = command("synth", "objects", "--category", "spoon", "-o", tmp_path / "out")
    assert answer.code == 2 and len(answer.err.splitlines()) == 1
    assert "--category spoon" in answer.err and "airplane" in answer.err and not (tmp_path / "out").exists()


def test_photos_are_views_of_one_world() -> None:
    assert isinstance(Photos("val", count=1)[0], SyntheticView)

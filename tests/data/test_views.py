"""Views as a data set, and as files that are read again."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gestalt3d import load_input
from gestalt3d.data import DataSet, DataSetOf, needs_root, open_data
from gestalt3d.data.cache import fingerprint
from gestalt3d.data.view_files import VOXEL_SIZE, save_view
from gestalt3d.data.views import COUNTS, PER_ROOM, Views
from gestalt3d.errors import UserError
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import S3DIS, SYNTH, translate
from gestalt3d.synth.depth_noise import PLAIN
from gestalt3d.synth.rooms import SPLITS
from gestalt3d.synth.view_voxels import Sight, whole_voxels
from gestalt3d.synth.views import ViewConfig, make_view
from tests.command import Command


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def test_open_data_gives_views() -> None:
    data = open_data("views:val", limit=7)
    assert isinstance(data, DataSetOf) and isinstance(data, DataSet) and len(data) == len(data.names) == 7
    assert not needs_root("views:train") and data.notes == []
    first, last = data[0], data[6]
    assert isinstance(first.input, View) and first.input.depth is not None and first.input.camera is not None
    assert (first.name, last.name) == ("val_000000_0", "val_000001_1") == (data.names[0], data.names[6])
    assert last.truth == make_view(SPLITS["val"] + 1, 1).truth
    assert {split: len(open_data(f"views:{split}")) for split in COUNTS} == COUNTS


def test_no_two_splits_share_a_room() -> None:
    views = {split: Views(split) for split in COUNTS}
    rooms = {split: {views[split].seed_of(i)[0] for i in range(COUNTS[split])} for split in COUNTS}
    for split, seeds in rooms.items():
        assert len(seeds) == COUNTS[split] // PER_ROOM
        assert min(seeds) == SPLITS[split]
        for other in set(rooms) - {split}:
            assert not seeds & rooms[other]


def test_a_view_is_the_same_whenever_it_is_asked_for() -> None:
    data, again = Views("train", count=12), Views("train", count=12)
    order = [11, 0, 6, 1]
    found = {i: data[i] for i in order}
    for i in sorted(order):
        other = again[i]
        assert found[i].input == other.input and found[i].truth == other.truth
    assert found[0].input != found[1].input


def test_fingerprints_change_with_view_split_and_settings() -> None:
    sets = [
        Views("train"),
        Views("val"),
        Views("train", config=ViewConfig(noise=PLAIN)),
        Views("train", config=ViewConfig(camera="kinect-v2")),
    ]
    assert len({fingerprint(data, i) for data in sets for i in (0, 1)}) == 8  # pyright: ignore[reportArgumentType]
    assert Views("train").fingerprint(3) == Views("train", count=5).fingerprint(3)


def test_classes_are_mapped_to_the_vocabulary_asked_for() -> None:
    own, data = open_data("views:val", limit=1), open_data("views:val", limit=1, vocabulary=S3DIS)
    table = torch.from_numpy(translate(SYNTH, S3DIS))
    assert data.vocabulary == S3DIS and len(data.notes) == 1
    assert torch.equal(data[0].truth.classes, table[own[0].truth.classes])
    assert own[0].truth.element_classes is not None
    assert torch.equal(data[0].truth.classes_of_elements(), table[own[0].truth.element_classes])
    assert data[0].truth.whole == own[0].truth.whole


def test_splits_and_positions_are_checked() -> None:
    with pytest.raises(UserError, match="train, val, test"):
        open_data("views:dev")
    with pytest.raises(IndexError, match="views:val has 1 views"):
        Views("val", count=1)[1]


def test_saved_views_are_read_as_they_were(tmp_path: Path) -> None:
    seen = make_view(3)
    read = load_input(save_view(tmp_path, seen))
    assert isinstance(read, View) and read.depth is not None and read.camera is not None
    camera = seen.input.camera
    assert camera is not None and seen.input.depth is not None
    np.testing.assert_allclose(read.camera.intrinsics, camera.intrinsics, rtol=1e-8)
    np.testing.assert_allclose(read.camera.world_from_camera, camera.world_from_camera, atol=1e-8)
    torch.testing.assert_close(read.image, seen.input.image, atol=1e-6, rtol=0)
    torch.testing.assert_close(read.depth, seen.input.depth, atol=0.00051, rtol=0)


def test_saved_annotations_say_what_the_truth_does(tmp_path: Path) -> None:
    seen = make_view(3)
    save_view(tmp_path, seen)
    truth, name = seen.truth, seen.name
    assert truth.whole is not None and truth.amodal_boxes is not None
    about = json.loads((tmp_path / "objects" / f"{name}.json").read_text())
    labels = np.asarray(Image.open(tmp_path / "instance" / f"{name}.png"))
    classes = np.asarray(Image.open(tmp_path / "semantic" / f"{name}.png"))
    assert (labels.reshape(-1).astype(np.int64) - 1 == truth.to_labels().numpy()).all()
    assert (classes.reshape(-1).astype(np.int64) - 1 == truth.classes_of_elements().numpy()).all()
    assert (tmp_path / "classes.txt").read_text().split() == list(SYNTH.names)
    assert len(about["objects"]) == len(truth) == len(list((tmp_path / "amodal").glob("*.png")))
    camera = seen.input.camera
    assert camera is not None
    np.testing.assert_allclose(camera.world_from_camera[:3, :3] @ about["up_in_camera"], [0, 0, 1], atol=1e-8)
    with np.load(tmp_path / "voxels" / f"{name}.npz") as voxels:
        lattice, offsets, sight = voxels["lattice"], voxels["offsets"], voxels["sight"]
    for i, row in enumerate(about["objects"]):
        mask = np.asarray(Image.open(tmp_path / "amodal" / f"{name}_{i + 1:03d}.png"))
        assert (mask.reshape(-1).nonzero()[0] == truth.whole[i].numpy()).all()
        assert row["id"] == i + 1 and row["class"] == truth.class_name(i)
        assert (row["visible_pixels"], row["amodal_pixels"]) == (len(truth.masks[i]), len(truth.whole[i]))
        assert list(row["amodal_box"].values()) == pytest.approx(truth.amodal_boxes[i].tolist(), abs=1e-6)
        assert [j - 1 for j in row["occluded_by"]] == seen.occludes[:, i].nonzero().flatten().tolist()
        made, own = whole_voxels(seen, i, voxel_size=VOXEL_SIZE), slice(offsets[i], offsets[i + 1])
        assert (sight[own] == made.sight.numpy()).all()
        assert made.grid.origin is not None
        centres = made.grid.centers.double() + made.grid.origin
        np.testing.assert_allclose((lattice[own] + 0.5) * VOXEL_SIZE, centres, atol=1e-6)
        assert (sight[own] == Sight.VISIBLE).any()


def test_synth_writes_as_many_frames_as_asked_for(command: Command, tmp_path: Path) -> None:
    answer = command("synth", "views", "-n", 2, "--seed", 5, "--camera", "kinect-v2", "-o", tmp_path)
    assert answer.code == 0, answer.err
    assert sorted(p.name for p in (tmp_path / "rgb").iterdir()) == [
        "view_0000005_0.png",
        "view_0000006_0.png",
    ]
    read = load_input(tmp_path / "rgb" / "view_0000006_0.png")
    made = make_view(6, config=ViewConfig(camera="kinect-v2"))
    assert isinstance(read, View) and read.depth is not None and made.input.depth is not None
    torch.testing.assert_close(read.depth, made.input.depth, atol=0.00051, rtol=0)


def test_views_cannot_be_written_into_a_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = command("synth", "views", "-n", 1, "-o", tmp_path / "file")
    assert answer.code == 2 and len(answer.err.splitlines()) == 1 and "file" in answer.err


def test_a_method_of_clouds_segments_and_is_scored_on_the_pixels_of_views(
    command: Command, tmp_path: Path
) -> None:
    words = ("-m", "geometric", "-d", "views:val", "--limit", 1)
    assert command("evaluate", *words, "--json", tmp_path / "figures.json").code == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert list(figures["scans"]) == ["val_000000_0"] and figures["pooled"]["AP25"] is not None
    assert figures["pooled"]["amodal"]["AP2"] is None and figures["pooled"]["amodal"]["n_gt"] > 0

"""The model where none is named."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import gestalt3d as g3
from gestalt3d.data import open_data
from gestalt3d.data.folder import save_scan
from gestalt3d.data.photo_scenes import Photos
from gestalt3d.engine.auto import Auto
from gestalt3d.engine.model import load
from gestalt3d.errors import UserError
from gestalt3d.methods.choice import COMPLETER, FINDER, LABELLED, LEAST_IOU, LEAST_SCORE
from gestalt3d.methods.choice import SMALL as TABLE_TOPS
from gestalt3d.methods.choice import USUAL as ROOMS
from gestalt3d.methods.refiner import visible_part
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import LabelledView
from gestalt3d.synth.table_tops import make_table_top
from tests.command import Command
from tests.scenes import tiny_scan


@pytest.fixture(scope="module")
def auto() -> Auto:
    model = g3.load("auto")
    assert isinstance(model, Auto)
    return model


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def small(cloud: PointCloud, size: float) -> PointCloud:
    """The cloud shrunk so that its longest side has this many metres."""
    extent = cloud.points.amax(0) - cloud.points.amin(0)
    return replace(cloud, points=cloud.points * (size / float(extent.max())), semantic=None)


@pytest.mark.parametrize(
    ("size", "name"), [(0.3, TABLE_TOPS), (1.9, TABLE_TOPS), (2.1, ROOMS), (60.0, ROOMS)]
)
def test_the_size_of_the_scan_decides(auto: Auto, size: float, name: str) -> None:
    cloud = small(tiny_scan().input, size)
    assert auto.for_cloud(cloud).name == name
    strays = replace(cloud, points=torch.cat([cloud.points[:-1], torch.tensor([[0.0, 1e6, 0.0]])]))
    assert auto.for_cloud(strays).name == name


def test_a_narrow_high_room_is_a_room(auto: Auto) -> None:
    cloud = small(tiny_scan().input, 2.5)
    narrow = replace(cloud, points=cloud.points * torch.tensor([0.5, 0.5, 1.0]))
    assert auto.for_cloud(narrow).name == ROOMS


def test_given_semantics_go_to_the_model_that_takes_them(auto: Auto) -> None:
    cloud = small(tiny_scan().input, 1.0)
    given = replace(cloud, semantic=torch.zeros(len(cloud), dtype=torch.int64))
    assert auto.takes_semantics and auto.for_cloud(given).name == LABELLED


def test_a_room_gets_the_answer_of_the_model_for_rooms(auto: Auto) -> None:
    cloud = small(tiny_scan(points=1500).input, 2.5)
    one, other = auto.segment(cloud), load(ROOMS).segment(cloud, overlap=False, min_score=LEAST_IOU)
    assert torch.equal(one.to_labels(), other.to_labels()) and torch.equal(one.scores, other.scores)
    assert one.method == ROOMS and not one.masks.overlap


def test_both_answer_in_one_vocabulary_and_the_instances_say_which_it_was(auto: Auto) -> None:
    found = auto.segment(make_table_top(0).input)
    assert found.vocabulary == auto.vocabulary and found.method == TABLE_TOPS
    assert {found.class_name(i) for i in range(len(found))} <= {"floor", "wall", "ceiling", "otherfurniture"}


def test_the_seed_reaches_both(auto: Auto) -> None:
    other = auto.with_seed(7)
    assert isinstance(other, Auto) and other.for_small.method.config.seed == 7
    drawing = other.usual.method.consensus.methods  # type: ignore[attr-defined]
    assert drawing["asis-rooms"].config.seed == drawing["rpointnet-rooms"].config.seed == 7
    assert auto.for_small.method.config.seed == 0


def test_models_that_do_not_choose_are_themselves() -> None:
    model = load("geometric")
    assert model.for_cloud(tiny_scan().input) is model


def test_segment_says_which_model_it_took_and_how_to_overrule(command: Command, tmp_path: Path) -> None:
    g3.save_cloud(tmp_path / "table.ply", make_table_top(1).input)
    plain = ["-o", tmp_path / "out", "--no-picture", "--no-page"]
    answer = command("segment", tmp_path / "table.ply", *plain)
    assert answer.code == 0 and "model: geometric-regions" in answer.out and f"-m {ROOMS}" in answer.out
    assert "model:" not in command("segment", tmp_path / "table.ply", "-m", "geometric", *plain).out


def test_the_list_of_models_begins_with_it(command: Command) -> None:
    first = command("models").out.splitlines()[0]
    assert first.startswith("auto ") and ROOMS in first and TABLE_TOPS in first


@pytest.mark.parametrize("rule", [["--class-agnostic"], []])
def test_evaluate_takes_it_and_says_who_segmented_what(
    command: Command, tmp_path: Path, rule: list[str]
) -> None:
    save_scan(tmp_path, make_table_top(2))
    save_scan(tmp_path, replace(tiny_scan(), name="room"))
    answer = command("evaluate", "-m", "auto", "-d", "folder", "--root", tmp_path, *rule)
    assert answer.code == 0, answer.err
    assert (
        f"room: segmented by {ROOMS}" in answer.out
        and f"table_top_0000002: segmented by {TABLE_TOPS}" in answer.out
    )


@pytest.fixture(scope="module")
def photo() -> LabelledView:
    return Photos("val", count=1)[0]


def test_a_photo_is_searched_by_one_model_and_completed_by_another(auto: Auto, photo: LabelledView) -> None:
    """What is found is what the finder is sure of, and its visible masks and classes stay."""
    found, alone = auto.segment(photo.input), load(FINDER).segment(photo.input, min_score=LEAST_SCORE)
    assert found.method == COMPLETER and len(found) == len(alone) > 0
    assert found.masks == alone.masks and torch.equal(found.classes, alone.classes)
    assert found.whole is not None and found.whole.sizes.sum() > found.masks.sizes.sum()
    assert found.shapes is not None
    name = alone.class_name(0)
    some = auto.segment(photo.input, classes=[name])
    assert 0 < len(some) == sum(alone.class_name(i) == name for i in range(len(alone)))
    sure = auto.segment(photo.input, min_score=0.9)
    assert len(sure) == int((alone.scores >= 0.9).sum())


def test_given_masks_of_a_photo_are_completed(auto: Auto, photo: LabelledView) -> None:
    seen = visible_part(photo.truth, width=photo.input.image.shape[2])
    assert auto.refines and auto.finds
    assert auto.refine(photo.input, seen).whole == load(COMPLETER).refine(photo.input, seen).whole


def test_segment_says_who_found_and_completed(command: Command, photo: LabelledView, tmp_path: Path) -> None:
    pixels = (photo.input.image.permute(1, 2, 0).numpy() * 255).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "desk.png")
    plain = ["-o", tmp_path / "out", "--no-picture", "--no-page"]
    answer = command("segment", tmp_path / "desk.png", *plain)
    assert answer.code == 0, answer.err
    assert f"models: {FINDER} finds objects, {COMPLETER} completes them" in answer.out
    written = tmp_path / "out" / "desk.whole.json"
    again = command("segment", tmp_path / "desk.png", "--masks", written, "-o", tmp_path / "two", "--no-page")
    assert again.code == 0, again.err
    assert f"model: {COMPLETER}; -m overrules" in again.out
    kept, given = (json.loads(p.read_text()) for p in (tmp_path / "two" / "desk.whole.json", written))
    assert kept["categories"] == given["categories"], "names are those of the completer's vocabulary"


def test_photos_are_not_scored_in_classes_that_nobody_answers_in(auto: Auto) -> None:
    with pytest.raises(UserError, match=f"{FINDER} and {COMPLETER}, which know other classes"):
        g3.evaluate(auto, open_data("photos:val", vocabulary=auto.vocabulary, limit=1))

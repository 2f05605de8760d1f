"""Toy boxes as a data set: seeds, presets, vocabularies, and the minimum that AP asks for."""

import pytest
import torch

from gestalt3d.data import DataSet, open_data
from gestalt3d.data.toyboxes import COUNTS, Toyboxes
from gestalt3d.errors import UserError
from gestalt3d.structures.vocabulary import S3DIS, TOYBOXES
from gestalt3d.synth.toyboxes import PRESETS, SPLITS, make_toybox


@pytest.mark.parametrize(("name", "preset"), [("toyboxes", "default"), ("toyboxes-hard", "hard")])
def test_a_scan_is_the_scene_of_its_seed(name: str, preset: str) -> None:
    data = open_data(f"{name}:val", limit=3)
    assert isinstance(data, DataSet) and data.vocabulary == TOYBOXES and data.notes == []
    scan, grid = data[2], make_toybox(SPLITS["val"] + 2, PRESETS[preset])
    assert scan.name == data.names[2] == "val_000002"
    assert torch.equal(scan.input.points, grid.centers)
    assert grid.instances is not None and torch.equal(scan.truth.to_labels(), grid.instances)
    assert grid.classes is not None and scan.truth.element_classes is not None
    assert torch.equal(scan.truth.element_classes, grid.classes)
    assert torch.equal(scan.truth.classes[grid.instances], grid.classes)


def test_there_are_900_scenes_to_train_on_and_100_to_test() -> None:
    assert {split: len(open_data(f"toyboxes:{split}")) for split in COUNTS} == {
        "train": 900,
        "val": 100,
        "test": 100,
    }
    assert open_data("toyboxes").names == open_data("toyboxes:test").names


def test_classes_are_mapped_to_the_vocabulary_asked_for() -> None:
    scan = Toyboxes("val", count=1, vocabulary=S3DIS)[0]
    assert set(scan.truth.classes.tolist()) == {S3DIS.id("clutter")}


def test_evaluation_counts_boxes_of_any_size() -> None:
    evaluators = [open_data(spec, limit=0).evaluator(TOYBOXES) for spec in ("toyboxes:val", "rooms:val")]
    assert [evaluator.counts()["settings"]["min_region"] for evaluator in evaluators] == [1, 100]


def test_splits_presets_and_positions_are_checked() -> None:
    for spec in ("toyboxes:dev", "toyboxes-hard:dev"):
        with pytest.raises(UserError, match="train, val, test"):
            open_data(spec)
    with pytest.raises(UserError, match="default, hard"):
        Toyboxes("val", preset="easy")
    with pytest.raises(UserError, match="toyboxes:train"):
        open_data("toyboxes-easy:val")
    with pytest.raises(IndexError, match="1 scenes"):
        Toyboxes("val", count=1)[1]

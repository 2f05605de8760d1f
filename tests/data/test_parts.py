"""Synthetic objects in parts as a data set: names, splits, categories, levels."""

import pytest
import torch

from gestalt3d.data import DataSet, needs_root, open_data
from gestalt3d.data.cache import fingerprint
from gestalt3d.data.part_names import PartName, part_name
from gestalt3d.errors import UserError
from gestalt3d.structures.vocabulary import PARTNET, PARTNET_ALL, S3DIS
from gestalt3d.synth.parts.objects import SPLITS, make_object


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("parts", PartName("parts", "", 3)),
        ("parts-chair", PartName("parts", "chair", 3)),
        ("parts-chair-1", PartName("parts", "chair", 1)),
        ("parts-2", PartName("parts", "", 2)),
        ("parts-chair-4", None),
        ("parts-chair-lamp", None),
    ],
)
def test_a_name_says_category_and_level(name: str, words: PartName | None) -> None:
    assert part_name(name) == words


@pytest.mark.parametrize(
    ("word", "category"), [("chair", "chair"), ("storagefurniture", "storage_furniture")]
)
def test_a_scan_is_the_object_of_its_seed(word: str, category: str) -> None:
    for level in (1, 3):
        data = open_data(f"parts-{word}-{level}:val", limit=4)
        assert isinstance(data, DataSet) and data.notes == [] and len(data) == 4
        assert data.vocabulary == PARTNET[category, level]
        scan, made = data[2], make_object(SPLITS["val"] + 2, category, level=level)
        assert scan.name == data.names[2]
        assert torch.equal(scan.input.points, made.input.points)
        assert torch.equal(scan.truth.to_labels(), made.truth.to_labels())
        assert torch.equal(scan.truth.classes, made.truth.classes)


def test_without_a_category_they_alternate() -> None:
    data = open_data("parts:train", limit=8)
    assert data.vocabulary == PARTNET_ALL[3]
    roots = [data[i].truth.class_name(0).split("/")[0] for i in range(8)]
    assert roots == ["chair", "table", "lamp", "storage_furniture"] * 2
    assert len({fingerprint(data, i) for i in range(8)}) == 8


def test_the_test_split_is_meant_where_none_is_named() -> None:
    assert open_data("parts-lamp").names == open_data("parts-lamp:test").names
    assert len(open_data("parts-lamp:train")) == 20_000


def test_classes_are_mapped_to_the_vocabulary_asked_for() -> None:
    scan = open_data("parts-chair:val", limit=1, vocabulary=PARTNET_ALL[3])[0]
    own = make_object(SPLITS["val"], "chair").truth
    assert [scan.truth.class_name(i) for i in range(len(own))] == [own.class_name(i) for i in range(len(own))]
    assert open_data("parts-chair:val", limit=1, vocabulary=S3DIS).notes != []


def test_evaluation_counts_parts_of_any_size() -> None:
    data = open_data("parts-chair:val", limit=0)
    assert data.evaluator(data.vocabulary).counts()["settings"]["min_region"] == 1


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("parts:dev", "train, val, test"),
        ("parts-sofa:val", "chair, table, lamp, storagefurniture"),
        ("parts-chair-4:val", "parts-lamp-2"),
        ("parts-chair-lamp:val", "parts-lamp-2"),
        ("parts-:val", "parts:train"),
    ],
)
def test_what_there_is_none_of_is_refused(spec: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        open_data(spec)


def test_what_is_made_here_needs_no_folder() -> None:
    assert not any(map(needs_root, ("parts:train", "parts-chair-2:val", "rooms", "toyboxes-hard:test")))
    assert all(map(needs_root, ("s3dis:area5", "folder", "scannet-aligned:val")))


def test_positions_are_checked() -> None:
    with pytest.raises(IndexError, match="1 objects"):
        open_data("parts:val", limit=1)[1]

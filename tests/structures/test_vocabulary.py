"""Vocabularies and the tables between them."""

import numpy as np
import pytest

from gestalt3d.structures.vocabulary import (
    S3DIS,
    SCANNET20,
    SCANNET21,
    SYNTH,
    VOCABULARIES,
    Vocabulary,
    translate,
)


def named(source: Vocabulary, target: Vocabulary, name: str) -> str | None:
    found = int(translate(source, target)[source.id(name)])
    return target.names[found] if found >= 0 else None


@pytest.mark.parametrize("vocabulary", VOCABULARIES.values(), ids=lambda v: v.title)
def test_a_vocabulary_maps_to_itself(vocabulary: Vocabulary) -> None:
    assert translate(vocabulary, vocabulary).tolist() == [*range(len(vocabulary)), -1]


def test_no_class_stays_no_class() -> None:
    assert translate(SYNTH, S3DIS)[-1] == -1


@pytest.mark.parametrize(
    ("name", "s3dis", "scannet"),
    [
        ("desk", "table", "desk"),
        ("bed", "clutter", "bed"),
        ("bookcase", "bookcase", "bookshelf"),
        ("fridge", "clutter", "refrigerator"),
        ("ceiling", "ceiling", None),
        ("beam", "beam", None),
        ("column", "column", "wall"),
        ("lamp", "clutter", "otherfurniture"),
    ],
)
def test_classes_of_the_rooms_elsewhere(name: str, s3dis: str, scannet: str | None) -> None:
    assert named(SYNTH, S3DIS, name) == s3dis
    assert named(SYNTH, SCANNET20, name) == scannet


def test_everything_in_a_room_has_a_class_where_the_ceiling_has_one() -> None:
    for source in (SYNTH, S3DIS, SCANNET20):
        assert int(translate(source, SCANNET21)[:-1].min()) >= 0
    assert translate(SCANNET20, SCANNET21)[:-1].tolist() == list(range(20))
    assert named(S3DIS, SCANNET21, "ceiling") == named(SYNTH, SCANNET21, "beam") == "ceiling"


def test_official_ids_and_back() -> None:
    ids = np.array([[1, 39, 13], [0, 16, 40]])
    assert SCANNET20.from_official(ids).tolist() == [[0, 19, -1], [-1, 13, -1]]


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(KeyError, match="no class 'cat'"):
        S3DIS.id("cat")
    with pytest.raises(ValueError, match="twice"):
        Vocabulary("x", ("a", "a"))
    with pytest.raises(ValueError, match="unknown classes structure"):
        Vocabulary("x", ("a",), structure=frozenset({"b"}))

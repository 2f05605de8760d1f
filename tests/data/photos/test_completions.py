"""Scores of photos: completed objects one by one, found ones in pairs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gestalt3d.data.photos.scores import PhotoScores
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.samples import LabelledView
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary

KINDS = Vocabulary("kinds", ("cup", "plate"), (0, 1))


def _sets(*masks: list[int]) -> Sets:
    return Sets.from_sizes(
        torch.tensor([len(mask) for mask in masks]),
        torch.tensor([pixel for mask in masks for pixel in mask]),
        20,
    )


def _photo(name: str, visible: Sets, whole: Sets, classes: list[int]) -> LabelledView:
    truth = Instances(
        masks=visible,
        whole=whole,
        classes=torch.tensor(classes),
        scores=torch.ones(len(classes)),
        vocabulary=KINDS,
    )
    return LabelledView(name, View(torch.zeros(3, 4, 5)), truth)


def _completed(photo: LabelledView, whole: Sets) -> Instances:
    return replace(photo.truth, whole=whole)


ONE = _photo("one", _sets([0, 1], [10, 11]), _sets([0, 1, 2, 3], [10, 11]), [0, 1])
TWO = _photo("two", _sets([5]), _sets([5, 6]), [0])


def _scored(*pairs: tuple[LabelledView, Instances], agnostic: bool = False) -> PhotoScores:
    scores = PhotoScores(KINDS, class_agnostic=agnostic)
    for photo, found in pairs:
        scores.see(photo, found)
    return scores


def test_means_of_whole_masks_and_of_what_is_hidden() -> None:
    """Cups: 3 of 5 pixels and 1 of 2, hidden 1 of 3 and 0; the plate, of which nothing is hidden, whole."""
    found = _scored(
        (ONE, _completed(ONE, _sets([0, 1, 2, 9], [10, 11]))), (TWO, _completed(TWO, _sets([5])))
    ).results()
    pooled = found["pooled"]
    assert pooled["mIoU"] == pytest.approx(100 * np.mean([np.mean([3 / 5, 1 / 2]), 1]))
    assert pooled["IoU"] == pytest.approx(100 * np.mean([3 / 5, 1, 1 / 2]))
    assert pooled["hidden_IoU"] == pytest.approx(100 * np.mean([1 / 3, 0]))
    assert pooled["hidden_mIoU"] == pooled["hidden_IoU"]
    assert (found["scans"]["two"]["IoU"], found["scans"]["two"]["hidden_IoU"]) == (50.0, 0.0)


def test_a_photo_left_out_is_as_if_it_were_not_there() -> None:
    answers = [
        (ONE, _completed(ONE, _sets([0, 1, 2, 9], [10, 11]))),
        (TWO, _completed(TWO, _sets([5]))),
        (replace(TWO, name="three"), _completed(TWO, _sets([5, 6, 7]))),
    ]
    left_out = _scored(*answers).left_out()
    for number in range(3):
        rest = _scored(*(pair for i, pair in enumerate(answers) if i != number)).results()["pooled"]
        for key in ("mIoU", "hidden_mIoU", "IoU", "hidden_IoU"):
            assert left_out[key][number] == pytest.approx(rest[key])


def test_true_masks_are_perfect_and_another_number_of_found_ones_is_paired() -> None:
    perfect = _scored((ONE, ONE.truth), (TWO, TWO.truth)).results()["pooled"]
    assert [perfect[key] for key in ("mIoU", "hidden_IoU", "AP", "AP75", "AR100")] == [100.0] * 5
    assert perfect["visible"]["AP"] == 100.0
    fewer = _scored((ONE, ONE.truth[:1]), (TWO, TWO.truth)).results()["pooled"]
    assert fewer["IoU"] == pytest.approx(100 * 2 / 3)  # the plate was not found
    assert fewer["mIoU"] == 50.0


def test_classes_do_not_matter_where_nobody_asks_for_them() -> None:
    wrong = replace(ONE.truth, classes=torch.tensor([1, 0]), masks=_sets([0, 1], [10]))
    assert _scored((ONE, wrong)).results()["pooled"]["AP"] == 0.0
    assert _scored((ONE, wrong), agnostic=True).results()["pooled"]["AP"] == 100.0

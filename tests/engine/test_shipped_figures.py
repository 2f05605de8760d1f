"""Every shipped weight still finds what it found in one scene: a change of an equation it was trained with shows here."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gestalt3d.data import open_data
from gestalt3d.data.amodal_scoring import WholeScores
from gestalt3d.data.parts import Parts
from gestalt3d.data.photos.scores import PhotoScores
from gestalt3d.data.rooms import Rooms
from gestalt3d.data.scoring import CloudScores
from gestalt3d.data.toyboxes import Toyboxes
from gestalt3d.engine import checkpoint
from gestalt3d.engine.model import Model, load
from gestalt3d.methods.refiner import visible_part
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary
from gestalt3d.synth.rooms import RoomConfig


class Floor(NamedTuple):
    scene: int
    """Of the validation split; of models for photos the last of those up to there."""
    figures: dict[str, float]
    """About 80 % of what was printed when the weights were shipped; of models for frames whatever the class."""


FLOORS = {
    "a3d-objects": Floor(25, {"mIoU": 64, "hidden_mIoU": 34}),
    "a3d-photos": Floor(3, {"mIoU": 74, "hidden_mIoU": 38}),
    "mask-rcnn-photos": Floor(3, {"AP50": 47, "mIoU": 46}),
    "a3is-rooms": Floor(3, {"AP2": 14, "APb": 21, "recallb": 26}),
    "consensus-best": Floor(0, {"AP50": 50, "mCov": 30, "mIoU": 50}),
    "asis-rooms": Floor(2, {"AP50": 54, "mCov": 63, "mIoU": 61}),
    "mtml-rooms": Floor(0, {"AP50": 51, "mCov": 33, "mIoU": 55}),
    "rpointnet-parts": Floor(2, {"AP50": 53, "mCov": 41, "mIoU": 7}),
    "rpointnet-rooms": Floor(2, {"AP50": 46, "mCov": 29, "mIoU": 49}),
    "mtml-toyboxes": Floor(0, {"AP50": 80, "mCov": 78, "mIoU": 80}),
}


def pooled(model: Model, number: int, folder: Path) -> dict[str, Any]:
    """Figures of one scene."""
    vocabulary, name = model.vocabulary, model.name
    world = name.rpartition("-")[2]
    if world in ("objects", "photos"):
        photos, scores = (
            open_data(f"{world}:val", vocabulary=vocabulary, limit=number + 1),
            PhotoScores(vocabulary),
        )
        for i in range(number + 1):
            photo = photos[i]
            if model.finds:
                found = model.segment(photo.input)
            else:
                found = model.refine(photo.input, visible_part(photo.truth, width=photo.input.image.shape[2]))
            scores.see(photo, found)
        return scores.results()["pooled"]
    if model.takes is View:
        view = open_data("views:val", vocabulary=vocabulary, limit=number + 1)[number]
        whole = WholeScores(vocabulary)
        whole.see(view, model.segment(view.input))
        return whole.results()["pooled"]["class_agnostic"]
    scan = scene(number, vocabulary, folder, world=world)
    evaluator = CloudScores(vocabulary)
    evaluator.see(scan, model.segment(scan.input))
    return evaluator.results()["pooled"]


def scene(number: int, vocabulary: Vocabulary, folder: Path, *, world: str) -> Scan:
    if world == "toyboxes":
        return Toyboxes("val", count=number + 1)[number]
    if world == "parts":
        return Parts("val", count=number + 1)[number]
    fewer = RoomConfig(points=30_000)
    return Rooms("val", count=number + 1, vocabulary=vocabulary, config=fewer, cache_dir=folder)[number]


def test_every_shipped_weight_has_a_floor() -> None:
    assert {*checkpoint.shipped()} == {*FLOORS}


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where rooms are kept, as several weights are shown the same."""
    return tmp_path_factory.mktemp("rooms")


@pytest.mark.parametrize("name", sorted(checkpoint.shipped()))
def test_a_shipped_weight_finds_what_it_found(name: str, rooms: Path) -> None:
    floor = FLOORS[name]
    # The same weights with a sixth of the work.
    found = pooled(load("consensus-fast" if name == "consensus-best" else name), floor.scene, rooms)
    assert all(found[figure] >= least for figure, least in floor.figures.items()), {
        figure: found[figure] for figure in floor.figures
    }

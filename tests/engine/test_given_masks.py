"""Photos with visible masks from elsewhere: from files to files, and what does not go together."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gestalt3d.engine.model import load
from gestalt3d.engine.segment import Options, segment_files
from gestalt3d.errors import UserError

SQUARES = [[2, 2, 6, 2, 6, 6, 2, 6], [10, 2, 14, 2, 14, 10, 10, 10]]


def _photo(folder: Path, name: str = "desk.png") -> Path:
    folder.mkdir(exist_ok=True)
    Image.fromarray(np.full((16, 20, 3), 90, np.uint8)).save(folder / name)
    return folder / name


def _masks(folder: Path) -> Path:
    """One object of two pieces, and one of a class."""
    document = {
        "images": [{"id": 1, "file_name": "desk.png"}, {"id": 2, "file_name": "floor.png"}],
        "categories": [{"id": 1, "name": "chair"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": SQUARES, "score": 0.9},
            {"id": 2, "image_id": 1, "category_id": 1, "segmentation": SQUARES[:1], "score": 0.2},
        ],
    }
    path = folder / "masks.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_given_masks_are_completed_and_written_as_coco_does(tmp_path: Path) -> None:
    photo, out = _photo(tmp_path / "in"), tmp_path / "out"
    outcome = segment_files(load("filled-boxes"), [photo], out, Options(masks=_masks(tmp_path)))
    assert outcome.failed == []
    written = json.loads((out / "desk.whole.json").read_text(encoding="utf-8"))
    first = written["annotations"][0]
    assert first["bbox"] == [2, 2, 12, 8] and first["area"] == 96
    assert first["occlude_rate"] == pytest.approx(1 - (16 + 32) / 96)
    assert {c["id"]: c["name"] for c in written["categories"]}[first["category_id"]] == "chair"
    assert (out / "desk.png").exists() and (out / "desk.html").exists()


def test_what_was_written_can_be_given_again(tmp_path: Path) -> None:
    photo, out = _photo(tmp_path / "in"), tmp_path / "out"
    segment_files(load("filled-boxes"), [photo], out, Options(masks=_masks(tmp_path)))
    again = segment_files(
        load("filled-boxes"), [photo], tmp_path / "two", Options(masks=out / "desk.whole.json")
    )
    assert again.failed == []
    one, two = (json.loads((folder / "desk.whole.json").read_text()) for folder in (out, tmp_path / "two"))
    assert one == two


def test_unsure_masks_are_left_out(tmp_path: Path) -> None:
    photo = _photo(tmp_path / "in")
    segment_files(
        load("convex-hulls"), [photo], tmp_path / "out", Options(masks=_masks(tmp_path), min_score=0.5)
    )
    assert len(json.loads((tmp_path / "out" / "desk.whole.json").read_text())["annotations"]) == 1


def test_a_photo_without_masks_fails_alone(tmp_path: Path) -> None:
    photos = [_photo(tmp_path / "in"), _photo(tmp_path / "in", "sky.png")]
    outcome = segment_files(load("convex-hulls"), photos, tmp_path / "out", Options(masks=_masks(tmp_path)))
    assert [path.name for path in outcome.done] == ["desk.png"]
    assert len(outcome.failed) == 1 and "no image called 'sky.png'" in outcome.failed[0]


def test_models_and_masks_that_do_not_go_together_are_told(tmp_path: Path) -> None:
    photo, masks = _photo(tmp_path / "in"), _masks(tmp_path)
    with pytest.raises(UserError, match="geometric completes no masks; choose one of"):
        segment_files(load("geometric"), [photo], tmp_path / "out", Options(masks=masks))
    with pytest.raises(UserError, match="--refiner geometric: completes no masks"):
        segment_files(load("convex-hulls"), [photo], tmp_path / "out", Options(refiner=load("geometric")))
    outcome = segment_files(load("convex-hulls"), [photo], tmp_path / "out", Options())
    assert "completes masks and finds none itself" in outcome.failed[0]

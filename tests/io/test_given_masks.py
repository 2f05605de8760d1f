"""Visible masks from files: whoever wrote them, and whatever is wrong with them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from gestalt3d.errors import UserError
from gestalt3d.io.given_masks import GivenMasks
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import SHAPENET13

SQUARE = [1, 1, 4, 1, 4, 3, 1, 3]
"""Three by two pixels."""
RLE = {"size": [6, 8], "counts": [7, 2, 4, 2, 4, 2, 27]}
"""The same, column by column."""
PIXELS = [9, 10, 11, 17, 18, 19]


def _view(name: str = "desk.jpg") -> View:
    return View(torch.zeros(3, 6, 8), path=Path("photos") / name)


def _file(folder: Path, document: Any) -> Path:
    path = folder / "masks.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def _annotations(**entry: Any) -> dict[str, Any]:
    return {
        "images": [
            {"id": 3, "file_name": "a/b/desk.jpg", "height": 6, "width": 8},
            {"id": 4, "file_name": "floor.jpg"},
        ],
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 7, **entry},
            {"id": 2, "image_id": 4, "category_id": 7, **entry},
        ],
        "categories": [{"id": 7, "name": "chair"}],
    }


@pytest.mark.parametrize(
    ("document", "name"),
    [
        (_annotations(segmentation=[SQUARE]), "chair"),
        (_annotations(segmentation=RLE), "chair"),
        (_annotations(segmentation=[[0, 0, 8, 0, 8, 6]], visible_mask=RLE), "chair"),
        (_annotations(a_segm=[[0, 0, 8, 0, 8, 6]], i_segm=[SQUARE]), "chair"),
        ([{"segmentation": RLE, "predicted_iou": 0.5, "area": 6}], None),
        ([{"segmentation": RLE, "image_id": 9, "category_id": 1, "score": 0.5}], None),
        ({"image": {"width": 8}, "annotations": [{"segmentation": RLE, "predicted_iou": 0.5}]}, None),
        ({"shapes": [{"label": "lamp", "points": [[1, 1], [4, 1], [4, 3], [1, 3]], "shape_type": "polygon"}]}, "lamp"),
        ({"shapes": [{"label": "lamp", "points": [[1, 1], [4, 3]], "shape_type": "rectangle"}]}, "lamp"),
    ],
    ids=["outlines", "runs", "cocoa-cls", "kins", "sam", "results", "sa-1b", "labelme", "labelme-box"],
)  # fmt: skip
def test_a_mask_is_the_same_whoever_wrote_it(document: Any, name: str | None, tmp_path: Path) -> None:
    seen, odd = GivenMasks(_file(tmp_path, document)).of(_view(), SHAPENET13)
    assert [mask.tolist() for mask in seen.masks] == [PIXELS]
    assert seen.vocabulary == SHAPENET13 and odd == []
    assert seen.classes.tolist() == [-1 if name is None else SHAPENET13.id(name)]
    assert seen.scores.tolist() == [0.5 if name is None else 1.0]


def test_names_that_the_model_does_not_know_stay_the_files(tmp_path: Path) -> None:
    document = _annotations(segmentation=RLE)
    document["categories"][0]["name"] = "unicorn"
    seen, _ = GivenMasks(_file(tmp_path, document)).of(_view(), SHAPENET13)
    assert seen.class_name(0) == "unicorn"


def test_what_is_odd_is_counted(tmp_path: Path) -> None:
    entries = [{"segmentation": [[1, 1, 4, 1]]}, {"segmentation": RLE}]
    seen, odd = GivenMasks(_file(tmp_path, entries)).of(_view(), SHAPENET13)
    assert seen.sizes.tolist() == [0, 6]
    assert odd == [
        "masks.json: outlines with fewer than three corners, left out: 1",
        "masks.json: masks without pixels: 1",
    ]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("{", "is no JSON"),
        ("7", "must be an object or a list of masks"),
        ({"info": 1}, "the file has no 'annotations'"),
        ([{"bbox": [0, 0, 1, 1]}], "mask 1 has no 'segmentation'"),
        ([{"segmentation": {"size": [5, 5], "counts": [25]}}], "its size is 5 x 5, its image is 8 x 6"),
        (
            [{"segmentation": RLE, "image_id": 1}, {"segmentation": RLE, "image_id": 2}],
            "masks are of 2 images",
        ),
        ({"shapes": [{"points": [[1, 1]], "shape_type": "circle"}]}, "shape 1 is a circle"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(document: Any, problem: str, tmp_path: Path) -> None:
    path = _file(tmp_path, document)
    with pytest.raises(UserError, match=problem) as told:
        GivenMasks(path).of(_view(), SHAPENET13)
    assert str(told.value).startswith(str(path)) and "\n" not in str(told.value)


def test_a_photo_that_the_file_does_not_name_is_told_with_those_it_does(tmp_path: Path) -> None:
    masks = GivenMasks(_file(tmp_path, _annotations(segmentation=RLE)))
    with pytest.raises(UserError, match=r"no image called 'sky\.jpg' among its 2 \(desk\.jpg, floor\.jpg\)"):
        masks.of(_view("sky.jpg"), SHAPENET13)

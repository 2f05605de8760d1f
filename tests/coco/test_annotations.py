"""Files of annotations: every layout says the same, and what is wrong with a file is named."""

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gestalt3d.coco import json_text
from gestalt3d.coco.annotations import expect_visible, read_annotations
from gestalt3d.coco.results import read_results
from gestalt3d.coco.runs import Runs
from gestalt3d.errors import UserError
from tests.coco.files import LAYOUTS, OUTLINES, VISIBLE, WHOLE, document, rle, save


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_told_by_its_keys_and_says_the_same(tmp_path: Path, layout: str) -> None:
    read = read_annotations(save(tmp_path / "a.json", document(layout)))
    assert read.layout.title == layout
    assert read.whole == Runs.from_masks(WHOLE)
    assert read.photo.tolist() == [0, 0, 1] and [photo.id for photo in read.photos] == [30, 29]
    assert read.areas.tolist() == [mask.sum() for mask in WHOLE]
    assert read.notes == []
    if layout == "COCO":
        with pytest.raises(UserError, match="nothing of what is visible"):
            expect_visible(read)
    else:
        assert expect_visible(read) == Runs.from_masks(VISIBLE)
    if layout == "COCOA":
        assert read.names == ("object",) and read.front.tolist() == [[0, 1]]
    else:
        assert read.names == ("cup", "box") and read.category.tolist() == [0, 1, 0]


def changed(layout: str = "COCOA-cls", at: int = 0, **keys: Any) -> dict[str, Any]:
    """The file with other values in one annotation; None takes a key away."""
    data = deepcopy(document(layout))
    for key, value in keys.items():
        data["annotations"][at][key] = value
        if value is None:
            del data["annotations"][at][key]
    return data


def read(tmp_path: Path, data: Any) -> Any:
    return read_annotations(save(tmp_path / "a.json", data))


@pytest.mark.parametrize(
    ("layout", "key"),
    [
        ("KINS 2020", "a_segm"), ("KINS 2020", "i_segm"), ("KINS 2019", "segmentation"), ("KINS 2019", "inmodal_seg"),
        ("COCOA-cls", "visible_mask"), ("COCOA-cls", "image_id"), ("COCOA-cls", "category_id"), ("COCOA", "regions"),
        ("AISFormer", "i_segmentation"), ("COCO", "segmentation"),
    ],
)  # fmt: skip
def test_a_missing_key_is_named(tmp_path: Path, layout: str, key: str) -> None:
    with pytest.raises(UserError, match=rf"a\.json: annotation 2 has no '{key}'; it has ") as error:
        read(tmp_path, changed(layout, 1, **{key: None}))
    assert "\n" not in str(error.value)


def test_a_file_that_calls_no_mask_by_any_name_is_refused(tmp_path: Path) -> None:
    data = document("COCO")
    for entry in data["annotations"]:
        del entry["segmentation"]
    with pytest.raises(UserError, match="no annotation has a mask"):
        read(tmp_path, data)


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_a_missing_list_is_named(tmp_path: Path, key: str) -> None:
    data = document("COCOA-cls")
    del data[key]
    with pytest.raises(UserError, match=f"the file has no '{key}'"):
        read(tmp_path, data)
    with pytest.raises(UserError, match="must be a list"):
        read(tmp_path, data | {key: 3})


MASK = rle(WHOLE[0])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"visible_mask": MASK | {"size": [12, 21]}}, "annotation 1 .visible_mask.: its size is 21 x 12, its image is 20 x 12"),
        ({"visible_mask": MASK | {"size": [10**9, 10**9]}}, "is more than"),
        ({"visible_mask": MASK | {"size": 7}}, "its size is 7, must be"),
        ({"visible_mask": MASK | {"counts": [5, 5]}}, "its runs cover 10 pixels"),
        ({"visible_mask": MASK | {"counts": [250, -10]}}, "negative length"),
        ({"visible_mask": MASK | {"counts": [1e300]}}, "must be a string or lengths"),
        ({"visible_mask": MASK | {"counts": ["5"]}}, "must be a string or lengths"),
        ({"visible_mask": MASK | {"counts": "é"}}, "character"),
        ({"visible_mask": MASK | {"counts": "o" * 20}}, "cut off"),
        ({"visible_mask": "abc"}, "a mask is runs with size and counts, or outlines"),
        ({"visible_mask": [[1, 2, 3]]}, "must be numbers x1, y1"),
        ({"visible_mask": [["1", 2, 3, 4, 5, 6]]}, "must be numbers"),
        ({"visible_mask": [[1, 2], 3]}, "must be numbers"),
        ({"visible_mask": [[[1, 2], [3, 4]]]}, "must be numbers"),
        ({"visible_mask": [[1, 2, 3, 4, 1e9, 6]]}, "corner"),
        ({"visible_mask": [[1, 2, 3, 4, float("nan"), 6]]}, "corner"),
        ({"iscrowd": "yes"}, "'iscrowd' of annotation 1 is 'yes', must be 0 or 1"),
        ({"area": "big"}, "'area' of annotation 1 is 'big', must be a number"),
        ({"area": float("nan")}, "must be a number"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_annotation_is_named(
    tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path, changed(**keys))
    assert "\n" not in str(error.value) and str(error.value).startswith(str(tmp_path / "a.json"))


@pytest.mark.parametrize(
    ("keys", "note"),
    [
        ({"visible_mask": rle(np.ones((12, 20), bool))}, "objects whose visible mask is not within the whole one: 1"),
        ({"visible_mask": rle(np.zeros((12, 20), bool))}, "objects of which nothing is visible: 1"),
        ({"visible_mask": []}, "objects of which nothing is visible: 1"),
        ({"visible_mask": [OUTLINES[0], [1, 1, 9, 9]]}, "outlines of visible_mask with fewer than three corners, left out: 1"),
        ({"segmentation": [], "visible_mask": []}, "objects whose mask is empty: 1"),
        ({"bbox": [15, 0, 9, 3]}, "boxes that are none or lie outside their image, not used: 1"),
        ({"bbox": [-3, 0, 9, 3]}, "boxes that are none or lie outside their image, not used: 1"),
        ({"bbox": "here"}, "boxes that are none or lie outside their image, not used: 1"),
        ({"area": 0}, "objects whose area is said to be less than half, or more than twice, that of the mask: 1"),
    ],
)  # fmt: skip
def test_what_is_odd_is_counted(tmp_path: Path, keys: dict[str, Any], note: str) -> None:
    assert note in read(tmp_path, changed(**keys)).notes


@pytest.mark.parametrize("value", [99, "2", None, 2.0, [2], True])
def test_objects_of_unlisted_categories_and_images_are_left_out(tmp_path: Path, value: Any) -> None:
    data = document("COCOA-cls")
    data["annotations"][0]["category_id"] = value
    found = read(tmp_path, data)
    assert found.category.tolist() == [1, 0] and found.notes == [
        "objects of categories that are not listed, left out: 1"
    ]
    data["annotations"][1]["image_id"] = value
    found = read(tmp_path, data)
    assert (
        found.category.tolist() == [0] and "objects of images that are not listed, left out: 1" in found.notes
    )


def test_images_may_be_listed_twice_but_not_as_two(tmp_path: Path) -> None:
    data = document("UOAIS")
    data["images"].append(data["images"][0])
    assert read(tmp_path, data).notes == ["images that are listed more than once: 1"]
    data["images"][-1] = data["images"][0] | {"file_name": "other.png"}
    with pytest.raises(UserError, match="image 30 is listed twice, as p0"):
        read(tmp_path, data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "is 20 x 0, must be 1 to"),
        ({"height": 1 << 40}, "must be 1 to"),
        ({"height": "12"}, "'height' of image 1 is '12', must be a whole number"),
        ({"id": "30"}, "'id' of image 1 is '30', must be a whole number"),
        ({"id": 1 << 80}, "must be a whole number"),
    ],
)
def test_images_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    data = document("COCOA-cls")
    data["images"][0] |= change
    with pytest.raises(UserError, match=message):
        read(tmp_path, data)


def test_outlines_need_the_size_of_their_image_and_runs_do_not(tmp_path: Path) -> None:
    for layout, works in (("COCOA-cls", True), ("KINS 2019", False)):
        data = document(layout)
        for image in data["images"]:
            del image["height"], image["width"]
        if works:
            assert read(tmp_path, data).whole == Runs.from_masks(WHOLE)
        else:
            with pytest.raises(UserError, match="needs the height and width"):
                read(tmp_path, data)


def test_of_several_annotators_one_is_chosen(tmp_path: Path) -> None:
    data = document("COCOA")
    second = data["annotations"][0] | {"id": 9, "author": "b", "depth_constraint": "2-1"}
    second["regions"] = second["regions"][::-1]
    data["annotations"].insert(1, second)
    path = save(tmp_path / "a.json", data)
    first, other = read_annotations(path), read_annotations(path, annotator=1)
    assert first.whole == Runs.from_masks(WHOLE) and first.front.tolist() == [[0, 1]]
    assert other.whole == Runs.from_masks([WHOLE[1], WHOLE[0]]) and other.front.tolist() == [[1, 0]]


@pytest.mark.parametrize("text", ["1-3", "1", "a-b", "1-2-1", "0-1", "1--2", "-1-2"])
def test_orders_of_regions_that_are_not_there_are_refused(tmp_path: Path, text: str) -> None:
    data = document("COCOA")
    data["annotations"][0]["depth_constraint"] = text
    with pytest.raises(UserError, match="depth_constraint of annotation 1 has"):
        read(tmp_path, data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no JSON"),
        ("[1, 2", "is no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"images": ' + "9" * 9999 + "}", "is no JSON"),
        ("[]", "must be an object with 'images'"),
        ("7", "must be an object with 'images'"),
    ],
)
def test_what_is_no_file_of_annotations_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        read_annotations(path)
    assert "\n" not in str(error.value)


def test_a_file_that_is_too_large_is_refused_with_its_size_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(500_000_000)
    with pytest.raises(UserError, match="has 500 MB, JSON is read up to 480 MB; split it by images"):
        read_annotations(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_annotations(tmp_path / "none.json")


def test_json_in_other_encodings_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"name": "Größe"}, ensure_ascii=False), encoding="utf-16")
    assert json_text.read_json(path) == {"name": "Größe"}


# --- results ---


def answer(**keys: Any) -> dict[str, Any]:
    """A result; None takes a key away."""
    whole = {
        "image_id": 30,
        "category_id": 2,
        "score": 0.5,
        "segmentation": MASK,
        "visible_mask": MASK,
    } | keys
    return {key: value for key, value in whole.items() if value is not None}


def results(tmp_path: Path, entries: Any) -> Any:
    truth = read_annotations(save(tmp_path / "gt.json", document("COCOA-cls")))
    return read_results(save(tmp_path / "r.json", entries), truth)


def test_results_are_read(tmp_path: Path) -> None:
    found = results(tmp_path, [answer(), answer(image_id=29, category_id=7, score=1), answer(category_id=8)])
    assert (
        found.photo.tolist() == [0, 1]
        and found.category.tolist() == [0, 1]
        and found.scores.tolist() == [0.5, 1.0]
    )
    assert found.whole == found.visible == Runs.from_masks([WHOLE[0]] * 2)
    assert found.odd["results of categories that are not listed, left out"] == 1
    assert results(tmp_path, [answer(visible_mask=None)]).visible is None
    assert results(tmp_path, [answer(visible_mask=None, inmodal_seg=MASK)]).visible == Runs.from_masks(
        [WHOLE[0]]
    )
    assert len(results(tmp_path, []).whole) == 0


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"annotations": []}, "must be a list of results, is dict"),
        ([[]], "result 1 is '[]', must be an object with 'image_id'"),
        ([answer(image_id=5)], "result 1 is of image '5', which"),
        ([answer(image_id=30.0)], "is of image"),
        ([answer(), answer(score=None)], "result 2 has no 'score'"),
        ([answer(score="high")], "score of result 1 is 'high', must be a finite number"),
        ([answer(score=float("inf"))], "must be a finite number"),
        ([answer(segmentation=None)], "has no 'segmentation'"),
        ([answer(), answer(visible_mask=None)], "result 2 has no 'visible_mask'"),
        ([answer(segmentation=MASK | {"size": [20, 12]})], "mask of result 1 (segmentation): its size is 12 x 20"),
    ],
)  # fmt: skip
def test_results_that_do_not_fit_are_named(tmp_path: Path, entries: Any, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        results(tmp_path, entries)

"""labelme's files, as labelme writes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gestalt3d.data import open_data
from gestalt3d.errors import UserError
from tests.coco.files import OUTLINES, VISIBLE, WHOLE, save


def shape(label: str, points: Any, **about: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": "polygon", "flags": {}} | about


def corners(i: int) -> list[list[float]]:
    return np.array(OUTLINES[i]).reshape(-1, 2).tolist()


def write(root: Path, *shapes: dict[str, Any], **about: Any) -> Path:
    Image.fromarray(np.zeros((12, 20, 3), np.uint8)).save(root / "desk.jpg")
    data = {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": "..\\photos\\desk.jpg"}
    return save(root / "desk.json", data | {"imageData": None, "imageHeight": 12, "imageWidth": 20} | about)


def test_outlines_of_a_group_are_one_object_with_what_is_hidden(tmp_path: Path) -> None:
    right, below = [[8, 4], [15, 4], [15, 8], [8, 8]], [[5, 8], [15, 8], [15, 10], [5, 10]]
    write(
        tmp_path,
        shape("cup", corners(0)),
        shape("box", right, group_id=1),
        shape("box", below, group_id=1),
        shape("box", corners(1), group_id=1, flags={"whole": True}),
        shape("cup", corners(2), group_id=2, description="whole"),
    )
    (tmp_path / "other.json").write_text("{}")
    data = open_data("labelme", root=tmp_path)
    assert (data.names, data.vocabulary.names, data.notes) == (["desk"], ("box", "cup"), [])
    truth = data[0].truth
    assert [truth.class_name(k) for k in range(3)] == ["cup", "box", "cup"]
    assert truth.whole is not None
    assert [truth.mask(k).reshape(12, 20).sum() for k in range(3)] == [36, VISIBLE[1].sum(), 0]
    assert (truth.mask(1).reshape(12, 20) == VISIBLE[1]).all()
    assert all((truth.whole.dense(k).numpy().reshape(12, 20) == WHOLE[k]).all() for k in range(3))


def test_without_a_mark_nothing_is_known_of_what_is_hidden(tmp_path: Path) -> None:
    write(tmp_path, shape("a", corners(0)), shape("a", [[0, 0], [4, 3]], shape_type="rectangle"))
    data = open_data("labelme", root=tmp_path)
    assert data[0].truth.whole is None and data[0].truth.sizes.tolist() == [36, 12]
    assert data.notes == ["no outline is marked 'whole': nothing is known of what is hidden"]


def test_circles_are_round_and_lines_are_left_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        shape("a", [[10, 6], [14, 6]], shape_type="circle"),
        shape("a", [[0, 0], [9, 9]], shape_type="line"),
        shape("a", [[0, 0], [9, 9]]),
        shape("a", [[0, 0]], shape_type="point"),
    )
    data = open_data("labelme", root=tmp_path)
    assert data[0].truth.sizes.tolist() == [pytest.approx(np.pi * 16, abs=5)]
    assert data.notes[:3] == [
        "shapes of kind line, left out: 1", "polygons of fewer than 3 points, left out: 1", "shapes of kind point, left out: 1",
    ]  # fmt: skip


def test_photos_without_outlines_are_named(tmp_path: Path) -> None:
    write(tmp_path)
    data = open_data("labelme", root=tmp_path)
    assert data.without_instances() == ["desk"] and len(data[0].truth) == 0


@pytest.mark.parametrize(
    ("shapes", "about", "message"),
    [
        ([{"points": [[1, 2]]}], {}, "shape 1 has no 'label'"),
        ([{"label": "a"}], {}, "shape 1 has no 'points'"),
        ([shape("a", [[1, 2], [3]])], {}, "points of shape 1 are no list"),
        ([shape("a", [[1, 2], [3, "x"], [4, 5]])], {}, "points of shape 1 are no list"),
        ([shape("a", [[1, 2], [3, 1e12], [4, 5]])], {}, "points of shape 1 are no list"),
        ([], {"imageHeight": None}, "'imageHeight' of the file is 'None', must be a whole number"),
        ([], {"imageHeight": 10**9}, "must be 1 to"),
        ([], {"shapes": 3}, "'shapes' of the file is '3', must be a list"),
        ([], {"imagePath": "other.jpg"}, "its photo other.jpg is not beside it"),
        ([], {"imagePath": ".."}, "is no name of a photo"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, shapes: list[Any], about: dict[str, Any], message: str
) -> None:
    write(tmp_path, *shapes, **about)
    with pytest.raises(UserError, match=message):
        open_data("labelme", root=tmp_path)


def test_folders_without_files_are_named(tmp_path: Path) -> None:
    for root, message in ((tmp_path, "holds no file of labelme"), (tmp_path / "none", "not a folder")):
        with pytest.raises(UserError, match=message):
            open_data("labelme", root=root)
    write(tmp_path)
    with pytest.raises(UserError, match="has no splits"):
        open_data("labelme:train", root=tmp_path)

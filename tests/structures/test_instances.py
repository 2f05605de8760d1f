"""Instances: masks in compressed rows behave like sets of points."""

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gestalt3d.errors import UserError
from gestalt3d.structures.instances import BOX, PER_INSTANCE, Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.structures.voxelgrid import VoxelGrid


def three(overlap: bool = False) -> Instances:
    """Instances {0, 2}, {1, 3, 4}, {5} of six points; with `overlap` the last also has point 1."""
    last = [1, 5] if overlap else [5]
    indices = torch.tensor([0, 2, 1, 3, 4, *last])
    offsets = torch.tensor([0, 2, 5, 5 + len(last)])
    return Instances(
        masks=Sets(offsets, indices, 6),
        classes=torch.tensor([8, 7, 12]),
        scores=torch.tensor([0.5, 0.9, 0.7]),
        vocabulary=S3DIS,
    )


def test_labels_there_and_back() -> None:
    labels = torch.tensor([0, 1, 0, 1, 1, 2])
    found = Instances.from_labels(labels, torch.tensor([8, 7, 12]), vocabulary=S3DIS)
    assert torch.equal(found.masks.indices, three().masks.indices)
    assert torch.equal(found.masks.offsets, three().masks.offsets)
    assert torch.equal(found.to_labels(), labels)


def test_points_without_instance_and_empty_rows() -> None:
    found = Instances.from_labels(torch.tensor([-1, 2, -1]), torch.tensor([1, 1, 1]), vocabulary=S3DIS)
    assert found.sizes.tolist() == [0, 0, 1]
    assert found.to_labels().tolist() == [-1, 2, -1]


def test_the_highest_score_wins_a_shared_point() -> None:
    assert three(overlap=True).to_labels().tolist() == [0, 1, 0, 1, 1, 2]


def test_the_lower_id_wins_among_equal_scores() -> None:
    found = Instances(
        masks=Sets(torch.tensor([0, 1, 2]), torch.tensor([0, 0]), 1),
        classes=torch.tensor([1, 1]),
        scores=torch.tensor([0.5, 0.5]),
        vocabulary=S3DIS,
    )
    assert found.to_labels().tolist() == [0]


CHOICES = [
    torch.tensor([True, False, True]),
    torch.tensor([0, 2]),
    np.array([True, False, True]),
    np.array([0, 2], dtype=np.uint8),
    [True, False, True],
    [0, -1],
    (0, 2),
    range(0, 3, 2),
    slice(None, None, 2),
]


@pytest.mark.parametrize("keep", CHOICES, ids=repr)
def test_choosing_instances(keep: object) -> None:
    chosen = three()[keep]
    assert chosen.masks.indices.tolist() == [0, 2, 5]
    assert chosen.masks.offsets.tolist() == [0, 2, 3]
    assert chosen.classes.tolist() == [8, 12]


def test_choosing_a_slice() -> None:
    assert three()[:2].classes.tolist() == [8, 7]
    assert three()[::-1].classes.tolist() == [12, 7, 8]


@pytest.mark.parametrize("keep", [torch.zeros(3, dtype=torch.bool), [], np.zeros(0), slice(0)], ids=repr)
def test_choosing_none(keep: object) -> None:
    assert len(three()[keep]) == 0 and three()[keep].masks.size == 6


@pytest.mark.parametrize("i", [1, -2, np.int64(1), torch.tensor(1)], ids=repr)
def test_a_number_chooses_one_instance(i: int) -> None:
    one = three()[i]
    assert len(one) == 1 and one.masks.indices.tolist() == [1, 3, 4] and one.class_name(0) == "table"
    assert three().elements_of(i).tolist() == [1, 3, 4] and three().class_name(i) == "table"
    mask = three().mask(i)
    assert isinstance(mask, np.ndarray) and mask.tolist() == [False, True, False, True, True, False]


def test_a_loop_goes_through_the_instances_one_by_one() -> None:
    found = replace(three(), boxes=torch.arange(21.0).reshape(3, 7))
    parts = list(found)
    assert [len(part) for part in parts] == [1, 1, 1]
    assert Instances.cat(parts) == found
    assert list(three()[:0]) == []


@pytest.mark.parametrize(
    ("keep", "kind", "words"),
    [
        (3, IndexError, "there is no 3: there are 3 instances, counted from 0"),
        ([0, -4], IndexError, "there is no -4: there are 3 instances"),
        ([True, False], IndexError, "a mask of 2 cannot choose among 3 instances"),
        ("chair", TypeError, "choose instances by a number.*got str 'chair'.*class_id"),
        (True, TypeError, "got bool True"),  # found.classes == "chair" is False, not a mask
        (None, TypeError, "got NoneType None"),
        ([0.5], TypeError, "got list"),
        (torch.tensor(0.5), TypeError, "got Tensor"),
        (np.zeros((2, 2), int), TypeError, "got ndarray"),
        ([[1], [1, 2]], TypeError, "got list"),
    ],
    ids=str,
)
def test_what_cannot_choose_is_said_in_one_sentence(keep: object, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words) as problem:
        three()[keep]
    assert "\n" not in str(problem.value)


def test_instances_are_equal_when_they_hold_the_same() -> None:
    assert three() == three() and three() != three(overlap=True) and three() != "chair"
    named = replace(three(), boxes=torch.full((3, 7), torch.nan), source_from_cloud=np.eye(4))
    assert named == replace(named, boxes=named.boxes.clone()) and named != three()
    assert named != replace(named, source_from_cloud=2 * np.eye(4))


def test_instances_say_how_many_of_which_class() -> None:
    labels = torch.arange(81369) % 9
    classes = torch.tensor([7, 8, 8, -1, 8, 7, 8, 8, 1])
    found = Instances.from_labels(labels, classes, vocabulary=S3DIS)
    assert repr(found) == "9 instances in 81,369 points: 5 chair, 2 table, 1 unknown, 1 floor"
    assert repr(found[0]) == "1 instance in 81,369 points: 1 table"
    assert repr(found[:0]) == "0 instances in 81,369 points"
    many = Instances.from_labels(torch.arange(13), torch.arange(13), vocabulary=S3DIS)
    assert repr(many).endswith("1 door, 1 table, ...") and repr(many).isascii()


def test_rows_of_a_table_hold_the_box_in_the_frame_of_the_source() -> None:
    found = replace(three()[:1], boxes=torch.tensor([[1.0, 2.0, 3.0, 0.1, 0.2, 0.3, 0.5]]))
    plain = {"id": 0, "class": "chair", "score": 0.5, "points": 2}
    box = dict(zip(BOX, [1.0, 2.0, 3.0, 0.1, 0.2, 0.3, 0.5], strict=True))
    assert found.to_dicts() == [plain | {n: pytest.approx(v) for n, v in box.items()}]
    # Millimetres with y up, moved by whole metres: x y z of the cloud are x, -z, y of the source.
    matrix = np.array([[1000, 0, 0, 5000], [0, 0, 1000, 0], [0, -1000, 0, 0], [0, 0, 0, 1.0]])
    moved = dict(zip(BOX, [6000.0, 3000.0, -2000.0, 100.0, 300.0, 200.0, 0.5], strict=True))
    rows = replace(found, source_from_cloud=matrix, amodal_boxes=found.boxes).to_dicts()
    amodal = {f"amodal_{n}": pytest.approx(v) for n, v in moved.items()}
    assert rows == [plain | {n: pytest.approx(v, rel=1e-6) for n, v in moved.items()} | amodal]


def test_without_boxes_the_columns_are_there_and_empty() -> None:
    rows = three().to_dicts()
    assert [row["points"] for row in rows] == [2, 3, 1]
    assert all(row[name] is None for row in rows for name in BOX)


@pytest.mark.parametrize("count", [3, 0])
def test_a_data_frame_has_the_rows(count: int) -> None:
    pytest.importorskip("pandas")
    table = three()[:count].to_dataframe()
    assert list(table.columns) == ["id", "class", "score", "points", *BOX] and len(table) == count
    assert table["points"].tolist() == [2, 3, 1][:count]


def test_without_pandas_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(
        UserError, match=r"pandas is not installed; run `pip install pandas`, or use to_dicts"
    ):
        three().to_dataframe()


MESH = Mesh(torch.eye(3), torch.tensor([[0, 1, 2]]))


def complete() -> Instances:
    """Three instances of six points with all that instances may have."""
    grid = VoxelGrid(torch.tensor([[0, 0, 0], [1, 0, 1]]), (2, 1, 2), 0.5)
    return replace(
        three(),
        whole=Sets.from_labels(torch.tensor([0, 1, 1, 2, 2, 2])),
        boxes=torch.arange(21.0).reshape(3, 7),
        amodal_boxes=-torch.arange(21.0).reshape(3, 7),
        image_boxes=torch.arange(12.0).reshape(3, 4),
        shapes=(MESH, PointCloud(torch.eye(3)), grid),
        element_classes=torch.arange(6),
    )


def test_everything_of_an_instance_is_chosen_with_it() -> None:
    found = complete()
    assert all(getattr(found, name) is not None for name in PER_INSTANCE)
    one = found[torch.tensor([2, 0])]
    assert one.whole is not None and [own.tolist() for own in one.whole] == [[3, 4, 5], [0]]
    assert one.shapes is not None and one.shapes[1] is MESH and isinstance(one.shapes[0], VoxelGrid)
    assert one.image_boxes is not None and one.image_boxes.tolist() == [[8, 9, 10, 11], [0, 1, 2, 3]]
    assert Instances.cat(list(found)) == found
    assert Instances.cat([found, three()]).whole is None


def test_boxes_and_shapes_move_and_lead_to_the_same_source() -> None:
    found = replace(complete()[:2], source_from_cloud=np.diag([1000.0, 1000.0, 1000.0, 1.0]))
    quarter = np.array([[0.0, -2, 0, 5], [2, 0, 0, 6], [0, 0, 2, 7], [0, 0, 0, 1]])  # twice as large, too
    moved = found.moved(quarter)
    assert moved.boxes is not None and moved.shapes is not None and moved.masks == found.masks
    assert moved.boxes[0].tolist() == pytest.approx(
        [5 - 2 * 1, 6 + 2 * 0, 7 + 2 * 2, 6, 8, 10, 6 + np.pi / 2]
    )
    assert isinstance(moved.shapes[0], Mesh) and isinstance(moved.shapes[1], PointCloud)
    assert moved.shapes[0].vertices.tolist() == [[5, 8, 7], [3, 6, 7], [5, 6, 9]]
    cloud = moved.shapes[1]
    assert cloud.origin is not None
    torch.testing.assert_close(cloud.points + cloud.origin, moved.shapes[0].vertices.double())
    assert moved.source_from_cloud is not None and found.source_from_cloud is not None
    np.testing.assert_allclose(moved.source_from_cloud @ quarter, found.source_from_cloud, atol=1e-9)
    back = moved.moved(np.linalg.inv(quarter))
    assert back.boxes is not None and found.boxes is not None
    torch.testing.assert_close(back.boxes, found.boxes)


def test_voxel_grids_move_but_do_not_turn() -> None:
    grid = complete()[2:]
    shift = np.eye(4)
    shift[:3, :3] *= 2
    shift[:3, 3] = 1, 2, 3
    moved = grid.moved(shift).shapes
    assert moved is not None and isinstance(moved[0], VoxelGrid)
    assert (
        moved[0].voxel_size == 1.0 and moved[0].origin is not None and moved[0].origin.tolist() == [1, 2, 3]
    )
    turn = np.diag([-1.0, -1, 1, 1])
    with pytest.raises(ValueError, match="a voxel grid cannot be turned; make a mesh of it first"):
        grid.moved(turn)
    assert three().moved(turn) == replace(three(), source_from_cloud=turn)


@pytest.mark.parametrize("diagonal", [(1, 1, -1), (1, 2, 1), (1, -1, -1), (0, 0, 0)], ids=str)
def test_boxes_stay_upright(diagonal: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="boxes stand upright"):
        complete()[:2].moved(np.diag([*map(float, diagonal), 1.0]))


def test_order_asked_for_is_kept() -> None:
    assert three()[torch.tensor([2, 0])].masks.indices.tolist() == [5, 0, 2]


def test_joining_parts() -> None:
    whole = three()
    parts = [whole[torch.tensor([0])], whole[torch.tensor([1, 2])]]
    joined = Instances.cat(parts)
    assert torch.equal(joined.masks.indices, whole.masks.indices)
    assert torch.equal(joined.masks.offsets, whole.masks.offsets)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"masks": Sets.empty(6)}, "classes must have a row for each of 0 masks, got 3"),
        ({"shapes": (MESH,)}, "shapes must have a row for each of 3 masks, got 1"),
        ({"whole": Sets.from_labels(torch.arange(3))}, "whole masks must be of the 6 elements"),
        ({"element_classes": torch.zeros(3, dtype=torch.int64)}, "element_classes must have 6 entries"),
    ],
)
def test_inconsistent_parts_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(three(), **changes)


def test_a_label_without_row_is_refused() -> None:
    with pytest.raises(ValueError, match="label 3 is none of 1"):
        Instances.from_labels(torch.tensor([3]), torch.tensor([1]), vocabulary=S3DIS)

"""PartNet's HDF5 files: both layouts, splits, classes, and whatever may be wrong with them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.data import DataSet, open_data
from gestalt3d.data.cache import fingerprint
from gestalt3d.data.check import check
from gestalt3d.data.partnet import part_classes
from gestalt3d.engine.train import train
from gestalt3d.errors import UserError
from gestalt3d.metrics.official import score
from gestalt3d.recipes.parts import gspn_partnet, rpointnet_partnet
from gestalt3d.structures.vocabulary import PARTNET
from tests.hdf5_files import hdf5, write_hdf5
from tests.methods import test_rpointnet

__all__ = ["hdf5"]
pytestmark = pytest.mark.usefixtures("hdf5")
N, K = 60, 5


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESTALT3D_CACHE", str(tmp_path / "cache"))


def shapes(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Points and, of each shape, three parts of twenty, fifteen and ten points of classes 4, 0 and 4; fifteen in none."""
    rng = np.random.default_rng(seed)
    owner = np.repeat([0, 1, 2, -1], [20, 15, 10, 15])
    classes = np.array([4, 0, 4])
    mask = np.zeros((count, K, N), bool)
    mask[:, :3] = owner == np.arange(3)[:, None]
    label = np.zeros((count, K), np.uint8)
    label[:, :3] = classes
    return {
        "pts": rng.random((count, N, 3)).astype(np.float32),
        "gt_mask": mask,
        "gt_mask_label": label,
        "gt_mask_valid": np.tile(np.arange(K) < 3, (count, 1)),
        "gt_mask_other": np.tile(owner < 0, (count, 1)),
    }


def for_detection(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same in the layout of the training files, which call a part valid that has no point, too."""
    point_label = np.zeros(arrays["gt_mask_other"].shape, np.uint8)
    for s in range(len(point_label)):
        for k in np.flatnonzero(arrays["gt_mask_valid"][s]):
            point_label[s, arrays["gt_mask"][s, k]] = arrays["gt_mask_label"][s, k] + 1
    valid = arrays["gt_mask_valid"].copy()
    valid[:, 3] = True
    return {
        "pts": arrays["pts"],
        "gt_label": point_label,
        "gt_mask": arrays["gt_mask"],
        "gt_valid": valid,
        "gt_other_mask": arrays["gt_mask_other"],
    }


def write(
    root: Path, folder: str, name: str, arrays: dict[str, np.ndarray], ids: list[str] | None = None
) -> Path:
    path = root / folder / name
    write_hdf5(path, **arrays)
    if ids is not None:
        path.with_suffix(".json").write_text(json.dumps([{"anno_id": one, "ins_seg": []} for one in ids]))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "partnet"
    test = shapes(2, 3)
    write(found, "ins_seg_h5_for_detection/Chair-1", "train-00.h5", for_detection(shapes(2, 1)), ["11", "12"])
    write(found, "ins_seg_h5_for_detection/Chair-1", "train-01.h5", for_detection(shapes(1, 2)), ["13"])
    write(found, "ins_seg_h5_for_detection/Chair-1", "test-00.h5", {"pts": test["pts"]}, ["21", "22"])
    write(found, "ins_seg_h5_gt/Chair-1", "test-00.h5", test, ["21", "22"])
    return found


def test_both_layouts_say_the_same(root: Path) -> None:
    data = open_data("partnet-chair-1:train", root=root)
    assert isinstance(data, DataSet) and data.names == ["Chair_11", "Chair_12", "Chair_13"]
    assert data.vocabulary == PARTNET["chair", 1] and data.notes == [] and data.without_instances() == []
    write(root, "ins_seg_h5_gt/Chair-1", "train-00.h5", shapes(2, 1), ["11", "12"])
    again = open_data("partnet-chair-1:train", root=root)
    assert again.names == ["Chair_11", "Chair_12"], "the second folder counts where both have the split"
    for i in range(2):
        one, two = data[i], again[i]
        assert torch.equal(one.input.points, two.input.points)
        assert torch.equal(one.truth.to_labels(), two.truth.to_labels())
        assert torch.equal(one.truth.classes, two.truth.classes)


def test_a_shape_is_turned_upright_and_its_parts_keep_their_points(root: Path) -> None:
    scan = open_data("partnet-chair-1:test", root=root)[1]
    x, y, z = torch.from_numpy(shapes(2, 3)["pts"][1]).unbind(1)
    assert torch.equal(scan.input.points, torch.stack([x, -z, y], 1)) and scan.input.colors is None
    assert scan.name == "Chair_22"
    assert scan.truth.to_labels().tolist() == [0] * 20 + [1] * 15 + [2] * 10 + [-1] * 15
    assert [scan.truth.class_name(i) for i in range(3)] == [
        "chair/chair_seat",
        "chair/chair_head",
        "chair/chair_seat",
    ]
    assert scan.truth.classes_of_elements().tolist() == [4] * 20 + [0] * 15 + [4] * 10 + [-1] * 15


def test_a_cached_shape_is_that_of_the_file_as_it_is_now(root: Path) -> None:
    before = open_data("partnet-chair-1:test", root=root)
    first, mark = before[0], fingerprint(before, 0)
    assert torch.equal(open_data("partnet-chair-1:test", root=root)[0].input.points, first.input.points)
    write(root, "ins_seg_h5_gt/Chair-1", "test-00.h5", shapes(3, 9))
    after = open_data("partnet-chair-1:test", root=root)
    assert len(after) == 3 and not torch.equal(after[0].input.points, first.input.points)
    assert fingerprint(after, 0) != mark


def test_parts_that_share_points_keep_them(root: Path) -> None:
    arrays = shapes(1)
    arrays["gt_mask"][0, 1, :30] = True
    write(root, "ins_seg_h5_gt/Chair-1", "val-00.h5", arrays)
    scan = open_data("partnet-chair-1:val", root=root)[0]
    assert scan.truth.masks.overlap and scan.truth.sizes.tolist() == [20, 35, 10]
    assert scan.name == "Chair_val-00_0000"


def test_files_without_labels_are_told(root: Path) -> None:
    (root / "ins_seg_h5_gt" / "Chair-1" / "test-00.h5").unlink()
    data = open_data("partnet-chair-1:test", root=root)
    assert data.without_instances() == data.names == ["Chair_21", "Chair_22"]
    assert len(data[0].truth) == 0 and "ins_seg_h5_gt" in data.label_hint


def test_several_categories_have_one_list_of_classes(root: Path) -> None:
    write(root, "ins_seg_h5_gt/Bottle-1", "test-00.h5", shapes(1))
    stats = root / "stats" / "after_merging_label_ids"
    stats.mkdir(parents=True)
    (stats / "Bottle-level-1.txt").write_text("".join(f"{2 * k} bottle/part_{k} leaf\n" for k in range(1, 8)))
    data = open_data("partnet-1:test", root=root)
    assert data.names == ["Bottle_test-00_0000", *[f"Chair_test-00_{k:04d}" for k in range(2)]]
    assert data.vocabulary.names == (*(f"bottle/part_{k}" for k in range(1, 8)), *PARTNET["chair", 1].names)
    assert (
        data[0].truth.class_name(0) == "bottle/part_5" and data[1].truth.class_name(0) == "chair/chair_seat"
    )
    assert open_data("partnet-bottle-1:test", root=root).vocabulary.official_ids == (2, 4, 6, 8, 10, 12, 14)


def test_classes_of_other_categories_are_asked_for(root: Path) -> None:
    write(root, "ins_seg_h5_gt/Bottle-1", "test-00.h5", shapes(1))
    with pytest.raises(UserError, match=r"put stats/after_merging_label_ids/Bottle-level-1\.txt"):
        open_data("partnet-bottle-1:test", root=root)


@pytest.mark.parametrize("below", ["", "ins_seg_h5_gt"])
def test_the_folder_may_be_named_at_either_level(root: Path, below: str) -> None:
    assert len(open_data("partnet-chair-1:test", root=root / below)) == 2


def test_what_there_is_none_of_is_said(root: Path) -> None:
    for spec, words in (
        ("partnet-chair-1:dev", "train, val, test and all"),
        ("partnet-sofa-1:test", "sofa at level 1; there are chair"),
        ("partnet-chair:test", "chair at level 3"),
        ("partnet-chair-7:test", "no data set"),
    ):
        with pytest.raises(UserError, match=words):
            open_data(spec, root=root)
    with pytest.raises(UserError, match="--root"):
        open_data("partnet-chair-1:test")
    assert open_data("partnet-chair-1:train", root=root, limit=1).names == ["Chair_11"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pts": None}, "has no array 'pts'"),
        ({"pts": np.zeros((2, N, 2), np.float32)}, r"pts must be \(shapes, points, 3\)"),
        ({"pts": np.zeros((2, N), np.float32)}, "'pts' must be floats in 3 dimensions"),
        ({"pts": np.full((2, N, 3), np.nan, np.float32)}, "shape 0 has a point that is no finite number"),
        ({"gt_mask": np.zeros((2, K, N - 1), bool)}, r"gt_mask is \(2, 5, 59\), expected \(2, 5, 60\)"),
        ({"gt_mask": np.zeros((2, K, N), np.float32)}, "'gt_mask' must be booleans or integers"),
        ({"gt_mask_valid": None}, "neither gt_valid nor gt_mask_valid"),
        ({"gt_mask_label": None}, "neither gt_label nor gt_mask_label"),
        (
            {"gt_mask_label": np.full((2, K), 5, np.uint8)},
            "shape 0 has class 5, the list of its category has 5",
        ),
        ({"gt_mask_label": np.zeros((1, K), np.uint8)}, r"gt_mask_label is \(1, 5\)"),
    ],
)
def test_files_that_are_wrong_are_named(
    root: Path, changes: dict[str, np.ndarray | None], message: str
) -> None:
    arrays = {name: values for name, values in (shapes(2) | changes).items() if values is not None}
    write(root, "ins_seg_h5_gt/Chair-1", "test-00.h5", arrays)
    with pytest.raises(UserError, match=message):
        open_data("partnet-chair-1:test", root=root)[0]
    report = check("partnet", root)
    assert any("test-00.h5" in problem for problem in report.problems)


def test_something_else_named_h5_is_one_line(root: Path) -> None:
    (root / "ins_seg_h5_gt" / "Chair-1" / "test-00.h5").write_bytes(b"PK or anything")
    with pytest.raises(UserError, match="no HDF5 file or cut off"):
        open_data("partnet-chair-1:test", root=root)


@pytest.mark.parametrize(
    "content", ["[1, 2]", '{"a": 1}', "[", '[{"anno_id": "../x"}, {"anno_id": "y"}]', "[{}, {}]"]
)
def test_ids_that_say_something_else_are_left_out(root: Path, content: str) -> None:
    (root / "ins_seg_h5_gt" / "Chair-1" / "test-00.json").write_text(content)
    assert open_data("partnet-chair-1:test", root=root).names == ["Chair_test-00_0000", "Chair_test-00_0001"]


def test_check_counts_the_shapes(root: Path) -> None:
    report = check("partnet", root)
    counts = {count.name: (count.found, count.expected) for count in report.counts}
    assert counts["Chair-1 train"] == (3, 4489) and counts["Chair-1 test"] == (2, 1217)
    assert "Chair-1 val: 0 of 617 shapes" in report.problems and not report.is_complete
    empty = check("partnet", root / "ins_seg_h5_gt" / "Chair-1")
    assert empty.counts == () and "ins_seg_h5.zip" in empty.advice


def test_the_authors_lists_are_those_that_are_known(shared: Path) -> None:
    root = shared / "data" / "partnet"
    for (category, level), known in PARTNET.items():
        name = {"storage_furniture": "StorageFurniture"}.get(category, category.capitalize())
        read = part_classes(root, name, level)
        assert (read.names, read.official_ids, read.title) == (known.names, known.official_ids, known.title)


def test_official_files_are_scored_as_the_shapes_in_them(tmp_path: Path) -> None:
    truth = shapes(2, 5)
    gt, pred = tmp_path / "Chair-1", tmp_path / "pred"
    write_hdf5(gt / "test-00.h5", **truth)
    conf = np.linspace(0, 1, 2 * K, dtype=np.float32).reshape(2, K)
    label = truth["gt_mask_label"].copy()
    label[1, 0] = 1
    write_hdf5(
        pred / "test-00.h5", mask=truth["gt_mask"], label=label, valid=truth["gt_mask_valid"], conf=conf
    )
    found = score("partnet", gt, pred)
    assert found["per_class"]["chair/chair_head"] == {"AP": 1.0, "n_gt": 2}
    assert found["per_class"]["chair/chair_seat"]["n_gt"] == 4
    # Shape 0 is right; in shape 1 the seat has one of two, and a class that is not there.
    assert found["per_shape"] == pytest.approx([1, (1 + 51 / 101 + 0) / 3])
    write_hdf5(
        pred / "test-00.h5", mask=truth["gt_mask"][:1], label=label, valid=truth["gt_mask_valid"], conf=conf
    )
    with pytest.raises(UserError, match=r"\[1, 2\] shapes"):
        score("partnet", gt, pred)


def test_the_networks_of_the_recipes_learn_from_it(root: Path, tmp_path: Path) -> None:
    for made, model, init in (
        (gspn_partnet(), test_rpointnet.SMALL.gspn, ()),
        (rpointnet_partnet(), replace(test_rpointnet.SMALL, learn="semantics"), ("gspn-partnet",)),
    ):
        recipe = replace(
            made, model=model, data="partnet-chair-1:train", root=root, validate="", workers=0, scans_per_step=1,
            optim=replace(made.optim, steps=1), init=tuple(str(tmp_path / name / "last.safetensors") for name in init),
        )  # fmt: skip
        assert train(recipe, tmp_path / made.name, device="cpu").exists()

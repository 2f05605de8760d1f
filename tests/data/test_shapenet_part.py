"""ShapeNet part: both official folders, instances from components, the figure of Table 6."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.data import DataSet, open_data
from gestalt3d.data.cache import fingerprint
from gestalt3d.data.check import check
from gestalt3d.data.shapenet_part import CATEGORIES, FEWEST, POINTS, instances_of, read_list, shape_iou
from gestalt3d.errors import UserError
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.vocabulary import SHAPENET_PART
from tests.hdf5_files import hdf5, write_hdf5

__all__ = ["hdf5"]
TABLE = "04379243"


def table(seed: int, points: int = 600) -> np.ndarray:
    """(n, 7): a top, part 47, and four legs, part 48, of which one is in two pieces; y is up."""
    rng = np.random.default_rng(seed)
    top = rng.uniform((-1, 0.0, -1), (1, 0.05, 1), (points - 200, 3))
    legs = [
        rng.uniform((x - 0.05, -1, z - 0.05), (x + 0.05, -0.1, z + 0.05), (50, 3))
        for x in (-0.9, 0.9)
        for z in (-0.9, 0.9)
    ]
    legs[0][:5, 1] -= 0.6  # a few points far below the others
    xyz = np.concatenate([top, *legs])
    part = np.repeat([47, 48], [points - 200, 200])
    return np.column_stack([xyz, np.zeros_like(xyz), part])


def write(root: Path, split: str, shapes: dict[str, np.ndarray], *, listed: list[str] | None = None) -> None:
    folder = root / "shapenetcore_partanno_segmentation_benchmark_v0_normal"
    (folder / "train_test_split").mkdir(parents=True, exist_ok=True)
    names = list(shapes) if listed is None else listed
    entries = [f"shape_data/{name}" for name in names]
    (folder / "train_test_split" / f"shuffled_{split}_file_list.json").write_text(json.dumps(entries))
    for name, values in shapes.items():
        path = folder / f"{name}.txt"
        path.parent.mkdir(exist_ok=True)
        np.savetxt(path, values, fmt="%.6f")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(
        tmp_path,
        "val",
        {f"{TABLE}/a-{k}": table(k) for k in range(2)},
        listed=[f"{TABLE}/a-1", f"{TABLE}/a-0", f"{TABLE}/b"],
    )
    write(tmp_path, "train", {f"{TABLE}/c": table(5, 3000)})
    write(tmp_path, "test", {f"{TABLE}/d": table(6)})
    return tmp_path


def test_parts_have_their_official_numbers() -> None:
    assert len(SHAPENET_PART) == 50 and [SHAPENET_PART.names[i] for i in (0, 12, 30, 49)] == [
        "airplane/0", "chair/12", "motorbike/30", "table/49",
    ]  # fmt: skip
    assert {name.split("/")[0] for name in SHAPENET_PART.names} == set(CATEGORIES.values())


def test_shapes_come_in_the_order_of_the_list_with_2048_points(root: Path) -> None:
    data = open_data("shapenet-part:val", root=root)
    assert isinstance(data, DataSet) and data.vocabulary == SHAPENET_PART
    assert data.names == ["table_a-1", "table_a-0"]
    assert data.notes == ["1 of the 3 listed shapes are not there"]
    scan = data[1]
    assert scan.input.points.shape == (POINTS, 3) and scan.input.colors is None
    assert float(scan.input.points.norm(dim=1).max()) == pytest.approx(1, abs=1e-5)
    assert torch.equal(scan.input.points, open_data("shapenet-part:val", root=root)[1].input.points)
    assert len(set(map(tuple, scan.input.points.tolist()))) == 600, (
        "each point is there before any comes again"
    )
    z = scan.input.points[:, 2]
    classes = scan.truth.classes_of_elements()
    assert float(z[classes == 47].min()) > float(z[classes == 48].max()), "the top is above the legs"


def test_legs_are_instances_and_pieces_of_a_leg_are_not(root: Path) -> None:
    scan = open_data("shapenet-part:train", root=root)[0]
    assert [scan.truth.class_name(i) for i in range(len(scan.truth))] == ["table/47", *["table/48"] * 4]
    assert int(scan.truth.sizes.sum()) == POINTS == len(set(map(tuple, scan.input.points.tolist())))


def test_a_part_of_small_pieces_only_is_one_instance() -> None:
    points = np.arange(FEWEST - 1)[:, None] * np.array([[0.5, 0, 0]])
    instance, classes = instances_of(points, np.full(len(points), 3))
    assert instance.tolist() == [0] * len(points) and classes.tolist() == [3]


def test_all_splits_in_a_row_and_a_limit(root: Path) -> None:
    assert open_data("shapenet-part", root=root).names == ["table_c", "table_a-1", "table_a-0", "table_d"]
    data = open_data("shapenet-part:all", root=root, limit=2)
    assert data.names == ["table_c", "table_a-1"] and len({fingerprint(data, i) for i in range(2)}) == 2
    inside = root / "shapenetcore_partanno_segmentation_benchmark_v0_normal"
    assert len(open_data("shapenet-part:test", root=inside)) == 1


def test_pointnets_files_say_the_same(root: Path, hdf5: None) -> None:
    rows = np.concatenate([table(9, POINTS)[None], table(10, POINTS)[None]])
    folder = root / "points"
    arrays = {"data": rows[..., :3].astype(np.float32), "pid": rows[..., 6].astype(np.uint8)}
    write_hdf5(folder / "hdf5_data" / "ply_data_val0.h5", **arrays, label=np.full((2, 1), 15, np.uint8))
    data = open_data("shapenet-part:val", root=folder)
    assert data.names == ["val0_0000", "val0_0001"]
    write(root / "text", "val", {f"{TABLE}/x": rows[1]})
    text = open_data("shapenet-part:val", root=root / "text")[0]
    assert sorted(data[1].truth.sizes.tolist()) == sorted(text.truth.sizes.tolist())
    write_hdf5(folder / "hdf5_data" / "ply_data_val0.h5", data=arrays["data"], pid=arrays["pid"][:, :9])
    with pytest.raises(UserError, match="data must be"):
        open_data("shapenet-part:val", root=folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no point"),
        ("1 2 3\n", "has 3 columns"),
        ("1 2 3 0 0 0 x\n", "is no shape"),
        ("1 2 3 0 0 0 50\n", "part 50"),
        ("1 2 3 0 0 0 1.5\n", "part 1.5"),
        ("1 nan 3 0 0 0 1\n", "no finite number"),
    ],
)
def test_shapes_that_are_wrong_are_named(root: Path, content: str, message: str) -> None:
    data = open_data("shapenet-part:test", root=root)
    path = next(root.rglob("d.txt"))
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        data[0]
    assert any("d.txt" in problem for problem in check("shapenet-part", root).problems)


@pytest.mark.parametrize(
    "content", ["[", "{}", '["shape_data/00000000/a"]', '["../../etc/passwd"]', '["04379243/a/b"]', "[7]"]
)
def test_lists_that_are_wrong_are_named(root: Path, content: str) -> None:
    path = next(root.rglob("shuffled_test_file_list.json"))
    path.write_text(content)
    with pytest.raises(UserError, match="is no official list"):
        open_data("shapenet-part:test", root=root)
    path.unlink()
    with pytest.raises(UserError, match="no such file"):
        open_data("shapenet-part:test", root=root)


def test_what_there_is_none_of_is_said(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="train, val, test and all"):
        open_data("shapenet-part:dev", root=root)
    with pytest.raises(UserError, match="train_test_split"):
        open_data("shapenet-part:val", root=tmp_path / "nowhere")
    with pytest.raises(IndexError, match="1 shapes"):
        open_data("shapenet-part:test", root=root)[1]
    report = check("shapenet-part", root)
    assert [count.found for count in report.counts] == [
        1,
        2,
        1,
    ] and "train: 1 of 12,137 shapes" in report.problems


def test_a_part_in_neither_counts_one() -> None:
    counts = np.zeros((50, 51), dtype=np.int64)
    counts[47, 47], counts[47, 48] = (
        30,
        10,
    )  # of a table's three parts the first, partly found; the third is nowhere
    assert shape_iou(counts, SHAPENET_PART) == pytest.approx((0.75 + 0 + 1) / 3)
    counts[48, 0] = 10  # found as part of an airplane: a miss
    assert shape_iou(counts, SHAPENET_PART) == pytest.approx((0.75 + 0 + 1) / 3)


def test_the_figure_of_table_6_is_the_mean_over_shapes(root: Path) -> None:
    data = open_data("shapenet-part:val", root=root)
    evaluator = data.evaluator(data.vocabulary)
    for i, is_right in enumerate((True, False)):
        scan = data[i]
        truth = scan.truth
        top = torch.full_like(truth.classes_of_elements(), 47)
        labels, classes = truth.to_labels(), truth.classes
        found = Instances.from_labels(
            labels, classes, vocabulary=SHAPENET_PART,
            element_classes=truth.element_classes if is_right else top,
        )  # fmt: skip
        evaluator.see(scan, found)
    results = evaluator.results()
    first, second = (results["scans"][name]["shape_mIoU"] for name in data.names)
    share = float((data[1].truth.classes_of_elements() == 47).float().mean())
    assert first == 100 and second == pytest.approx(100 * (share + 0 + 1) / 3)
    assert results["pooled"]["shape_mIoU"] == pytest.approx((first + second) / 2)


def test_official_files_are_read(shared: Path) -> None:
    root = shared / "data" / "shapenet_part"
    folder = next(root.iterdir())
    assert [len(read_list(folder, split)) for split in ("train", "val", "test")] == [12_137, 1_870, 2_874]
    data = open_data("shapenet-part:train", root=root)
    parts = {
        scan.name.split("_")[0]: {scan.truth.class_name(i) for i in range(len(scan.truth))}
        for scan in map(data.__getitem__, range(2))
    }
    assert parts == {"table": {"table/47", "table/48", "table/49"}, "skateboard": {"skateboard/45"}}

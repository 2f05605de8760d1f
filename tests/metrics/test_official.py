"""Official file formats: the golden cases where they are at hand, small cases computed by hand always."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gestalt3d.errors import UserError
from gestalt3d.metrics.official import KINDS, score

ROOT = Path(__file__).parents[2]
GOLDEN = {
    "scannet": ("scannet_ap", 23),
    "scannet-semantic": ("scannet_semantic", 16),
    "s3dis": ("s3dis_coverage", 21),
    "partnet": ("partnet_ap", 19),
}
NOTES = {"evaluator", "case", "exercises", "note", "alternatives", "rule", "arguments"}


def _cases() -> list[tuple[str, str]]:
    folder = Path(os.environ.get("GESTALT3D_SHARED") or "-") / "golden"
    found = [
        (kind, f"{name}/{case.name}")
        for kind, (name, _) in GOLDEN.items()
        for case in sorted((folder / name).glob("*"))
    ]
    return found or [("", "none")]


def largest_difference(got: Any, expected: Any) -> float:
    """Largest absolute difference; infinite where one is undefined or lacks a key."""
    if isinstance(expected, dict):
        if set(got) != set(expected) - NOTES:
            return float("inf")
        return max((largest_difference(got[key], expected[key]) for key in got), default=0.0)
    if isinstance(expected, list):
        return max(largest_difference(g, e) for g, e in zip(got, expected, strict=True))
    if got is None or expected is None:
        return 0.0 if got is expected else float("inf")
    return abs(got - expected)


def test_golden_folders_are_complete(shared) -> None:
    for name, count in GOLDEN.values():
        assert len(list((shared / "golden" / name).glob("*/expected.json"))) == count


@pytest.mark.parametrize(("kind", "case"), _cases(), ids=lambda value: value)
def test_golden(shared, kind, case) -> None:
    folder = shared / "golden" / case
    expected = json.loads((folder / "expected.json").read_text())
    gt, pred = (folder, folder) if kind in ("s3dis", "partnet") else (folder / "gt", folder / "pred")
    accepted = [expected, *expected.get("alternatives", [])]
    assert min(largest_difference(score(kind, gt, pred), values) for values in accepted) < 1e-6


def test_large_case_equals_the_official_result(shared, tmp_path) -> None:
    """How fast is measured by `gestalt3d bench score`."""
    maker = shared / "golden" / "make_large_scannet_case.py"
    subprocess.run([sys.executable, maker, tmp_path], check=True, capture_output=True)
    expected = json.loads((shared / "golden" / "large_scannet_expected.json").read_text())
    found = score("scannet", tmp_path / "gt", tmp_path / "pred")
    assert [found[k] for k in ("AP", "AP50", "AP25")] == pytest.approx(
        [expected[k] for k in ("AP", "AP50", "AP25")], abs=1e-6
    )


def test_scoring_starts_without_torch_numba_and_scipy() -> None:
    code = "import sys, gestalt3d.metrics.official, gestalt3d.metrics.evaluator; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert not {"torch", "numba", "scipy"} & set(run.stdout.split())


def _column(values) -> str:
    return "".join(f"{v}\n" for v in values)


@pytest.fixture
def scannet(tmp_path) -> Path:
    """Chairs of 200 and 150, a wall (void), a bed of 99 (too small); exact masks of the chairs."""
    gt = np.repeat([5001, 5002, 1001, 4001], [200, 150, 250, 99])
    (tmp_path / "gt").mkdir()
    (tmp_path / "pred" / "predicted_masks").mkdir(parents=True)
    (tmp_path / "gt" / "scene0000_00.txt").write_text(_column(gt))
    lines = []
    for i, (region, score_) in enumerate(((5001, 0.9), (5002, 0.8))):
        (tmp_path / "pred" / "predicted_masks" / f"{i}.txt").write_text(_column((gt == region).astype(int)))
        lines.append(f"predicted_masks/{i}.txt 5 {score_}\n")
    (tmp_path / "pred" / "scene0000_00.txt").write_text("".join(lines))
    return tmp_path


def _scannet_score(folder: Path) -> dict[str, Any]:
    return score("scannet", folder / "gt", folder / "pred")


def _entry(folder: Path, text: str) -> None:
    path = folder / "pred" / "scene0000_00.txt"
    path.write_text(path.read_text() + text)


def test_exact_masks_score_one_and_small_or_missing_classes_nothing(scannet) -> None:
    result = _scannet_score(scannet)
    assert (result["AP"], result["AP50"], result["AP25"]) == (1, 1, 1)
    assert result["per_class"]["chair"] == {"AP": 1, "AP50": 1, "AP25": 1}
    assert result["per_class"]["bed"] == {"AP": None, "AP50": None, "AP25": None}
    assert len(result["per_class"]) == 18


def test_mask_below_a_hundred_vertices_is_dropped(scannet) -> None:
    """One of two chairs is found: the curve ends at recall .5."""
    (scannet / "pred" / "predicted_masks" / "1.txt").write_text(_column([0] * 200 + [1] * 75 + [0] * 424))
    _entry(scannet, "predicted_masks/1.txt 5.0 8e-1\n\n")
    result = _scannet_score(scannet)
    assert (result["AP50"], result["AP25"]) == (0.5, 0.5)


def test_last_line_of_a_repeated_mask_counts(scannet) -> None:
    _entry(scannet, "predicted_masks/0.txt 7 0.9\n")
    assert _scannet_score(scannet)["AP"] == pytest.approx(0.5)


def test_unknown_labels_are_left_out_without_reading_their_masks(scannet) -> None:
    _entry(scannet, "predicted_masks/none.txt 40 0.9\n")
    assert _scannet_score(scannet)["AP"] == 1


def test_empty_prediction_scores_zero(scannet) -> None:
    (scannet / "pred" / "scene0000_00.txt").write_text("")
    assert _scannet_score(scannet)["AP"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("predicted_masks/none.txt 5 0.5\n", r"none\.txt: no such file"),
        ("predicted_masks/0.txt 5\n", r"scene0000_00\.txt:3: .*is not 'mask-file label confidence'"),
        ("predicted_masks/0.txt chair 0.5\n", r"scene0000_00\.txt:3: 'chair' is not a finite number"),
        ("predicted_masks/0.txt 5 nan\n", r"scene0000_00\.txt:3: 'nan' is not a finite number"),
        ("../gt/scene0000_00.txt 5 0.5\n", r"scene0000_00\.txt:3: mask .* leaves"),
        ("../pred2/0.txt 5 0.5\n", r"scene0000_00\.txt:3: mask .* leaves"),
        ("/etc/passwd 5 0.5\n", r"scene0000_00\.txt:3: mask .* leaves"),
        ("predicted_masks/../../gt/scene0000_00.txt 5 0.5\n", r"leaves"),
        ("a\0b 5 0.5\n", r"leaves"),
        ("predicted_masks 5 0.5\n", r"predicted_masks: no such file"),
    ],
)
def test_bad_prediction_lines_are_named(scannet, text, message) -> None:
    _entry(scannet, text)
    with pytest.raises(UserError, match=message) as error:
        _scannet_score(scannet)
    assert "\n" not in str(error.value)


def test_links_out_of_the_prediction_folder_are_refused(scannet) -> None:
    outside = scannet / "outside"
    outside.mkdir()
    (outside / "m.txt").write_text(_column([0] * 699))
    try:
        (scannet / "pred" / "linked").symlink_to(outside)
        (scannet / "pred" / "link.txt").symlink_to(outside / "m.txt")
    except OSError:
        pytest.skip("this system lets nobody make links")
    (scannet / "pred" / "link.txt").rename(scannet / "pred" / "predicted_masks" / "link.txt")
    entries = (scannet / "pred" / "scene0000_00.txt").read_text()
    for name in ("linked/m.txt", "predicted_masks/link.txt"):
        (scannet / "pred" / "scene0000_00.txt").write_text(entries + f"{name} 5 0.5\n")
        with pytest.raises(UserError, match="leaves"):
            _scannet_score(scannet)


def test_scenes_must_have_both_sides(scannet) -> None:
    (scannet / "gt" / "scene0001_00.txt").write_text("0\n")
    with pytest.raises(UserError, match=r"pred/scene0001_00\.txt: missing"):
        _scannet_score(scannet)
    (scannet / "gt" / "scene0001_00.txt").unlink()
    (scannet / "pred" / "scene0002_00.txt").write_text("")
    with pytest.raises(UserError, match=r"gt/scene0002_00\.txt: missing"):
        _scannet_score(scannet)


@pytest.mark.parametrize("kind", KINDS)
def test_empty_and_missing_folders_are_named(tmp_path, kind) -> None:
    with pytest.raises(UserError, match="holds n"):
        score(kind, tmp_path, tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        score(kind, tmp_path, tmp_path / "none")


def test_unknown_benchmark_is_named(tmp_path) -> None:
    with pytest.raises(UserError, match="known are scannet, scannet-semantic, s3dis"):
        score("kitti", tmp_path, tmp_path)


def test_semantic_labels(tmp_path) -> None:
    """Label 13 is outside the 20 classes: on the truth's side skipped, on the prediction's a miss."""
    for side, labels in (("gt", [1, 1, 2, 2, 13, 39]), ("pred", [1, 2, 2, 13, 1, 39])):
        (tmp_path / side).mkdir()
        (tmp_path / side / "scene.txt").write_text(_column(labels))
    result = score("scannet-semantic", tmp_path / "gt", tmp_path / "pred")
    assert {n: v for n, v in result["per_class"].items() if v is not None} == {
        "wall": 0.5,
        "floor": pytest.approx(1 / 3),
        "otherfurniture": 1.0,
    }
    assert result["counts"]["floor"] == [1, 3]
    assert result["mIoU"] == pytest.approx((0.5 + 1 / 3 + 1) / 3)
    assert score("scannet-semantic", str(tmp_path / "gt"), str(tmp_path / "pred")) == result
    (tmp_path / "pred" / "scene.txt").write_text(_column([1, 2]))
    with pytest.raises(UserError, match=r"scene\.txt: 2 lines, .* has 6"):
        score("scannet-semantic", tmp_path / "gt", tmp_path / "pred")


ROOM = {
    "gt_sem": [0] * 4 + [7] * 4,
    "gt_ins": [3] * 4 + [5] * 4,
    "pred_sem": [0] * 4 + [7, 7, 8, 8],
    "pred_ins": [1] * 4 + [2, 2, -1, -1],
}


def _save_room(path: Path, **changes) -> None:
    np.savez(path, **{key: np.array(values, dtype=np.int32) for key, values in (ROOM | changes).items()})


def test_room_archive(tmp_path) -> None:
    _save_room(tmp_path / "room.npz")
    result = score("s3dis", tmp_path, tmp_path)
    assert result["per_class"]["table"] == {
        "Cov": 0.5, "WCov": 0.5, "Prec": 1.0, "Rec": 1.0, "Acc": 0.5, "IoU": 0.5, "n_gt": 1, "n_pred": 1,
    }  # fmt: skip
    assert result["mCov"] is None
    assert result["nan_skipped"]["mCov"] == 0.75
    assert result["oAcc"] == 0.75


def test_room_tables_of_the_authors_script_score_as_the_archive(tmp_path) -> None:
    _save_room(tmp_path / "room.npz")
    tables = tmp_path / "tables"
    tables.mkdir()
    points = np.zeros((8, 7))
    np.savetxt(
        tables / "room_pred.txt", np.column_stack([points, ROOM["pred_sem"], ROOM["pred_ins"]]), fmt="%f"
    )
    np.savetxt(tables / "room_gt.txt", np.column_stack([ROOM["gt_sem"], ROOM["gt_ins"]]), fmt="%d")
    assert score("s3dis", tables, tables) == score("s3dis", tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gt_sem": [0] * 7 + [13]}, r"room\.npz: class 13 at point 7"),
        ({"pred_sem": [-2] + [0] * 7}, r"room\.npz: class -2 at point 0"),
        ({"pred_ins": [0] * 7}, r"give every point both"),
    ],
)
def test_wrong_rooms_are_named(tmp_path, changes, message) -> None:
    _save_room(tmp_path / "room.npz", **changes)
    with pytest.raises(UserError, match=message):
        score("s3dis", tmp_path, tmp_path)


def _shape(**changes) -> dict[str, np.ndarray]:
    """Two parts of five points each, one of them found."""
    masks = np.repeat(np.eye(2, dtype=bool), 5, axis=1)
    arrays = {
        "gt_mask": masks,
        "gt_mask_label": np.array([0, 1], np.uint8),
        "gt_mask_valid": np.ones(2, bool),
        "gt_mask_other": np.zeros(10, bool),
        "pred_mask": masks[:1],
        "pred_label": np.array([0], np.uint8),
        "pred_valid": np.ones(1, bool),
        "pred_conf": np.ones(1, np.float32),
    }
    return arrays | changes


def _save_shape(folder: Path, names: str = "3 seat leaf\n5 back leaf\n", **changes) -> None:
    (folder / "part_names.txt").write_text(names)
    np.savez(folder / "chair.npz", **_shape(**changes))


def test_parts_by_hand(tmp_path) -> None:
    _save_shape(tmp_path)
    found = score("partnet", tmp_path, tmp_path)
    assert (found["mAP"], found["shape_mAP"], found["per_shape"]) == (0.5, 0.5, [0.5])
    assert found["per_class"] == {"seat": {"AP": 1.0, "n_gt": 1}, "back": {"AP": 0.0, "n_gt": 1}}
    assert found["at_0.75"] == {k: v for k, v in found.items() if not k.startswith(("at_", "iou"))}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pred_label": np.array([2])}, r"chair\.npz: label 2, but there are 2 names of parts"),
        ({"gt_mask_label": np.array([0, -1])}, "label -1"),
        ({"pred_conf": np.array([np.nan], np.float32)}, "no finite number"),
        ({"pred_conf": np.ones(2, np.float32)}, "1 rows of pred_mask and 2 of pred_conf"),
        ({"pred_mask": np.ones((1, 9), bool)}, r"over 9 points, those of .* are over 10"),
        ({"gt_mask_other": np.zeros(9, bool)}, "gt_mask is over 10 points, gt_mask_other over 9"),
        ({"gt_mask": np.ones(10, bool)}, r"gt_mask must be booleans or integers \(m, n\)"),
        ({"pred_label": np.array(["seat"])}, "pred_label must be integers"),
        ({"pred_label": np.array([None], dtype=object)}, "cannot be read as .npz"),
        ({"names": "3 seat\n\n5\n"}, "line '5' is not 'id name kind'"),
        ({"names": "3 seat leaf\n4 seat leaf\n"}, "must name every part once"),
        ({"names": ""}, "at least one"),
    ],
)
def test_wrong_shapes_are_named(tmp_path, changes, message) -> None:
    _save_shape(tmp_path, **changes)
    with pytest.raises(UserError, match=message):
        score("partnet", tmp_path, tmp_path)


def test_part_names_are_asked_for(tmp_path) -> None:
    _save_shape(tmp_path)
    (tmp_path / "part_names.txt").unlink()
    with pytest.raises(UserError, match="after_merging_label_ids"):
        score("partnet", tmp_path, tmp_path)


def test_an_archive_that_unpacks_to_very_much_is_refused(tmp_path, monkeypatch) -> None:
    _save_shape(tmp_path)
    monkeypatch.setattr("gestalt3d.metrics.columns.MOST_BYTES", 100)
    with pytest.raises(UserError, match="gt_mask would unpack to more than"):
        score("partnet", tmp_path, tmp_path)

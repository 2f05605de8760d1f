"""ScanNet from its official files, on scenes the tests write and on real ones if there are any."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gestalt3d.data import DataSet, open_data
from gestalt3d.data.check import check
from gestalt3d.data.scannet import ScanNet
from gestalt3d.data.scannet_annotation import read_words
from gestalt3d.engine.evaluate import evaluate
from gestalt3d.engine.model import load
from gestalt3d.errors import UserError
from gestalt3d.io import Submission, load_cloud
from gestalt3d.metrics.official import score
from gestalt3d.structures.vocabulary import S3DIS, SCANNET18, SCANNET20
from tests.command import Command
from tests.data.scannet_files import (
    NAME,
    PARTS,
    TABLE,
    VERTICES,
    aggregation_file,
    segments_file,
    write_json,
    write_mesh,
    write_scene,
    write_table,
)

SEMANTIC = np.repeat([2, 5, 7, 13, 0], [*PARTS.values()])
INSTANCE = np.repeat([1, 2, 3, 4, 0], [*PARTS.values()])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One labelled scene of val and one test scene."""
    write_scene(tmp_path)
    write_scene(tmp_path, "scene0707_00", labelled=False)
    return write_table(tmp_path, val=[NAME], test=["scene0707_00"], train=["scene0001_00"])


@pytest.fixture
def scene(root: Path) -> Path:
    return root / "scans" / NAME


# --- what is read ---


def test_segments_and_groups_give_every_vertex_its_class_and_object(root: Path) -> None:
    labels = ScanNet(root, "val").labels(0)
    assert labels is not None and not labels.notes
    assert labels.semantic.tolist() == SEMANTIC.tolist() and labels.instance.tolist() == INSTANCE.tolist()
    assert labels.official.tolist() == (SEMANTIC * 1000 + INSTANCE).tolist()


def test_a_scan_has_the_benchmarks_classes_and_the_order_of_the_mesh(root: Path, scene: Path) -> None:
    data = open_data("scannet:val", root=root)
    assert isinstance(data, DataSet) and data.names == [NAME] and data.vocabulary == SCANNET20
    scan = data[0]
    found = scan.truth
    assert [found.class_name(i) for i in range(4)] == ["floor", "chair", "table", "unknown"]
    assert found.sizes.tolist() == [300, 150, 120, 110] and len(found) == 4
    assert found.element_classes is not None
    assert found.element_classes.tolist() == SCANNET20.from_official(SEMANTIC).tolist()
    assert torch.equal(scan.input.points, load_cloud(scene / f"{NAME}_vh_clean_2.ply").points)
    assert scan.input.colors is not None


def test_classes_can_be_mapped(root: Path) -> None:
    found = open_data("scannet:val", root=root, vocabulary=S3DIS)[0].truth
    assert [found.class_name(i) for i in range(4)] == ["floor", "chair", "table", "unknown"]


def test_a_test_scene_has_points_and_no_labels(root: Path) -> None:
    data = open_data("scannet:test", root=root)
    scan = data[0]
    assert data.names == ["scene0707_00"] and len(scan.input) == VERTICES and len(scan.truth) == 0
    assert scan.truth.element_classes is not None and bool((scan.truth.element_classes == -1).all())


def test_a_mesh_of_labels_gives_classes_alone_and_a_note(root: Path, scene: Path) -> None:
    segments_file(scene).unlink()
    write_mesh(scene / f"{NAME}_vh_clean_2.labels.ply", label=np.where(SEMANTIC == 13, 149, SEMANTIC))
    data = ScanNet(root, "val")
    found = data[0].truth
    assert len(found) == 0 and found.element_classes is not None
    assert found.element_classes.tolist() == SCANNET20.from_official(SEMANTIC).tolist()
    assert NAME in data.notes[0] and ".segs.json" in data.notes[0]


def test_a_segment_of_two_objects_belongs_to_the_last_and_is_noted(root: Path, scene: Path) -> None:
    groups = json.loads(aggregation_file(scene).read_text())
    groups["segGroups"][2]["segments"] += groups["segGroups"][1]["segments"]  # the table takes the chair
    write_json(aggregation_file(scene), groups)
    data = ScanNet(root, "val")
    found = data[0].truth
    assert [found.class_name(i) for i in range(3)] == ["floor", "table", "unknown"]
    assert found.sizes.tolist() == [300, 270, 110]
    assert len(data.notes) == 1 and "2 segments" in data.notes[0]
    assert data[0] and len(data.notes) == 1


def test_the_aggregation_of_the_finer_mesh_serves_where_it_fits(root: Path, scene: Path) -> None:
    aggregation_file(scene).rename(scene / f"{NAME}_vh_clean.aggregation.json")
    assert len(ScanNet(root, "val")[0].truth) == 4


def test_alignment_turns_and_shifts_the_points(root: Path, scene: Path) -> None:
    raw = ScanNet(root, "val")[0].input
    turned = open_data("scannet-aligned:val", root=root)[0].input
    x, y, z = raw.points.T
    assert torch.allclose(turned.points, torch.stack([2 - y, 3 + x, z - 0.5], dim=1), atol=1e-6)
    assert turned.source is not None and turned.source.world_from_source[0].tolist() == [0, -1, 0, 2]
    (scene / f"{NAME}.txt").write_text("numColorFrames = 10\n")
    assert torch.equal(open_data("scannet-aligned:val", root=root)[0].input.points, raw.points)


def test_splits_are_lists_and_missing_scenes_are_noted(root: Path) -> None:
    write_table(root, val=["scene0012_00", NAME, "", NAME])
    data = ScanNet(root, "val")
    assert data.names == [NAME] and "1 of 2 scenes" in data.notes[0]
    assert ScanNet(root).names == [NAME, "scene0707_00"] and len(ScanNet(root, limit=1)) == 1
    with pytest.raises(UserError, match=r"no scene of train.*scans/scene0001_00"):
        ScanNet(root, "train")
    with pytest.raises(UserError, match="train, val, test"):
        ScanNet(root, "dev")
    with pytest.raises(UserError, match="--root"):
        open_data("scannet:val")
    (root / "scannetv2_val.txt").unlink()
    with pytest.raises(UserError, match=r"scannetv2_val\.txt.*ScanNet"):
        ScanNet(root, "val")


# --- what does not fit ---

Change = Callable[[Any], Any]


def refusal(root: Path) -> str:
    """The one line that reading the scene of val ends with."""
    with pytest.raises(UserError) as error:
        ScanNet(root, "val")[0]
    assert "\n" not in str(error.value) and len(str(error.value)) < 700
    return str(error.value)


def edit(change: Callable[[dict[str, Any]], object]) -> Change:
    def changed(value: dict[str, Any]) -> dict[str, Any]:
        change(value)
        return value

    return changed


SEGMENTS: dict[str, tuple[Change, str]] = {
    "one_short": (edit(lambda s: s["segIndices"].pop()), f"{VERTICES - 1} entries, the mesh {VERTICES}"),
    "none": (edit(lambda s: s.pop("segIndices")), "must be a list, got nothing"),
    "text": (edit(lambda s: s.update(segIndices="1,2")), "must be a list, got '1,2'"),
    "a_word_within": (edit(lambda s: s["segIndices"].__setitem__(5, "x" * 10_000)), "got 'xxx"),
    "a_list_within": (edit(lambda s: s["segIndices"].__setitem__(5, [1])), "got a list"),
    "null_within": (edit(lambda s: s["segIndices"].__setitem__(5, None)), "got nothing"),
    "true_within": (edit(lambda s: s["segIndices"].__setitem__(5, True)), "got True"),
    "negative": (edit(lambda s: s["segIndices"].__setitem__(5, -3)), "got -3"),
    "huge": (edit(lambda s: s["segIndices"].__setitem__(5, 10**30)), "got 1000"),
    "fraction": (edit(lambda s: s["segIndices"].__setitem__(5, 1.5)), "got 1.5"),
    "not_finite": (edit(lambda s: s["segIndices"].__setitem__(5, float("nan"))), "got nan"),
    "a_list": (lambda s: s["segIndices"], "JSON object, got a list"),
    "a_number": (lambda s: 7, "JSON object, got 7"),
    "other_segments": (edit(lambda s: s.update(segIndices=[1] * VERTICES)), "has segment 90000"),
}

GROUPS: dict[str, tuple[Change, str]] = {
    "unknown_segment": (edit(lambda a: a["segGroups"][1]["segments"].append(123)), "has segment 123"),
    "huge_segment": (edit(lambda a: a["segGroups"][1]["segments"].append(2**62)), f"has segment {2**62}"),
    "unknown_word": (edit(lambda a: a["segGroups"][1].update(label="throne\n")), r"'throne\\n', which .*tsv"),
    "no_word": (edit(lambda a: a["segGroups"][1].pop("label")), "label of segGroups.1. must be a word"),
    "number_too_large": (edit(lambda a: a["segGroups"][1].update(objectId=10**12)), "0 to 998, got 1000"),
    "number_negative": (edit(lambda a: a["segGroups"][1].update(objectId=-1)), "0 to 998, got -1"),
    "number_a_word": (edit(lambda a: a["segGroups"][1].update(objectId="1")), "whole number, got '1'"),
    "no_group": (edit(lambda a: a["segGroups"].append(3)), "segGroups.4. must be a JSON object, got 3"),
    "no_groups": (edit(lambda a: a.pop("segGroups")), "segGroups of the file must be a list"),
    "a_list": (lambda a: a["segGroups"], "JSON object, got a list"),
}


@pytest.mark.parametrize("case", SEGMENTS)
def test_segments_that_do_not_fit_are_one_line(root: Path, scene: Path, case: str) -> None:
    change, words = SEGMENTS[case]
    write_json(segments_file(scene), change(json.loads(segments_file(scene).read_text())))
    refused = refusal(root)
    assert segments_file(scene).name in refused
    assert words in refused


@pytest.mark.parametrize("case", GROUPS)
def test_groups_that_do_not_fit_are_one_line(root: Path, scene: Path, case: str) -> None:
    change, words = GROUPS[case]
    write_json(aggregation_file(scene), change(json.loads(aggregation_file(scene).read_text())))
    with pytest.raises(UserError, match=words):
        ScanNet(root, "val")[0]
    assert aggregation_file(scene).name in refusal(root)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"segIndices": ' + b"9" * 9000 + b"}", b"\0" * 100],
    ids=["empty", "cut_off", "no_text", "deep", "endless_number", "zeros"],
)
@pytest.mark.parametrize("file", [segments_file, aggregation_file])
def test_what_is_no_json_is_one_line(
    root: Path, scene: Path, data: bytes, file: Callable[[Path], Path]
) -> None:
    file(scene).write_bytes(data)
    assert refusal(root).startswith(str(file(scene)))


def test_a_file_larger_than_its_mesh_can_need_is_not_read(root: Path, scene: Path) -> None:
    with segments_file(scene).open("ab") as file:
        file.truncate(40 << 30)  # a hole: takes no disk
    assert "42,949,672,960 bytes" in refusal(root)


def test_a_mesh_that_lies_about_its_vertices_is_one_line(root: Path, scene: Path) -> None:
    path = scene / f"{NAME}_vh_clean_2.ply"
    path.write_bytes(path.read_bytes().replace(f"vertex {VERTICES}".encode(), b"vertex 1000000000000000"))
    assert path.name in refusal(root)
    with pytest.raises(UserError, match="claims 1000000000000000 vertices"):
        ScanNet(root, "val").labels(0)


def test_missing_label_files_are_named_before_anything_is_read(root: Path, scene: Path) -> None:
    aggregation_file(scene).unlink()
    with pytest.raises(UserError, match=rf"{NAME}\.aggregation\.json: no such file"):
        ScanNet(root, "val")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no columns raw_category and nyu40id"),
        ("id\tcategory\n", "no columns raw_category and nyu40id"),
        (TABLE.replace("\t5\t4", "\tfive\t4"), "'office chair' has nyu40id 'five'"),
        (TABLE.replace("\t5\t4", "\t41\t4"), "'office chair' has nyu40id '41'"),
        (TABLE.replace("\t5\t4", "\t" + "9" * 5000), "'office chair' has nyu40id '9999"),
        (TABLE.replace("chair\tchair\t595\t5\t4", "chair"), "'office chair' has nyu40id ''"),
        (TABLE.replace("office chair", "stool"), "'office chair', which"),
        ("x" * 200_000 + "\n", "no table"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_is_one_line(root: Path, text: str, words: str) -> None:
    (root / "scannetv2-labels.combined.tsv").write_text(text)
    refused = refusal(root)
    assert words in refused and "scannetv2-labels.combined.tsv" in refused


def test_a_missing_table_is_one_line(root: Path) -> None:
    (root / "scannetv2-labels.combined.tsv").unlink()
    assert "scannetv2-labels.combined.tsv: no such file" in refusal(root)


def test_a_list_may_not_lead_elsewhere(root: Path) -> None:
    write_table(root, val=["../../etc"])
    assert "scannetv2_val.txt" in refusal(root)


@pytest.mark.parametrize(
    "line", ["axisAlignment = 1 2 3", "axisAlignment = " + "7 " * 16, "axisAlignment = " + "nan " * 16]
)
def test_an_alignment_that_is_none_is_one_line(root: Path, scene: Path, line: str) -> None:
    (scene / f"{NAME}.txt").write_text(line)
    with pytest.raises(UserError, match=rf"{NAME}\.txt: axisAlignment") as error:
        open_data("scannet-aligned:val", root=root)[0]
    assert "\n" not in str(error.value)


def test_labels_of_another_mesh_are_one_line(root: Path, scene: Path) -> None:
    segments_file(scene).unlink()
    write_mesh(scene / f"{NAME}_vh_clean_2.labels.ply", label=SEMANTIC)
    mesh = (scene / f"{NAME}_vh_clean_2.ply").read_bytes()
    shorter = mesh.replace(f"vertex {VERTICES}".encode(), f"vertex {VERTICES - 1}".encode())
    shorter = shorter[: -13 - 16] + shorter[-13:]  # the last vertex before the face
    (scene / f"{NAME}_vh_clean_2.ply").write_bytes(shorter)
    assert f"{VERTICES} vertices, the mesh {VERTICES - 1}" in refusal(root)


# --- data check ---


def test_check_counts_scenes_and_names_what_is_missing_and_what_does_not_fit(root: Path, scene: Path) -> None:
    report = check("scannet", root)
    assert {c.name: (c.found, c.expected) for c in report.counts} == {
        "train": (0, 1), "val": (1, 1), "test": (1, 1), "instance labels": (1, None)
    }  # fmt: skip
    assert report.problems == ("train: 1 of 1 scenes are missing: scene0001_00",)
    assert any("without labels" in n and "scene0707_00" in n for n in report.notes)
    write_json(segments_file(scene), {"segIndices": [1, 2, 3]})
    assert any("3 entries, the mesh 700" in p for p in check("scannet", root).problems)
    segments_file(scene).unlink()
    assert any(f"{NAME}: missing: {NAME}_vh" in p for p in check("scannet", root).problems)
    (root / "scannetv2-labels.combined.tsv").unlink()
    assert any("scannetv2-labels.combined.tsv" in p for p in check("scannet", root).problems)


def test_a_mesh_cut_in_half_is_a_problem_and_keeps_no_other_scene_from_its_score(
    root: Path, scene: Path
) -> None:
    whole = write_scene(root, "scene0012_00", seed=1)
    mesh = scene / f"{NAME}_vh_clean_2.ply"
    mesh.write_bytes(mesh.read_bytes()[: mesh.stat().st_size // 2])
    problems = check("scannet", root).problems
    assert [p for p in problems if p.startswith(f"{mesh}: claims 700 vertices and ends before the last one")]
    said: list[str] = []
    model = load("geometric")
    result = evaluate(
        model, open_data("scannet", root=root, vocabulary=model.vocabulary), on_failure=said.append
    )
    assert list(result["scans"]) == [whole.name] and result["failed"] == [NAME]
    assert len(said) == 1 and str(mesh) in said[0]


def test_a_mesh_that_ends_within_its_faces_is_a_problem_too(root: Path, scene: Path) -> None:
    mesh = scene / f"{NAME}_vh_clean_2.ply"
    mesh.write_bytes(mesh.read_bytes()[:-4])
    assert [p for p in check("scannet", root).problems if f"{mesh}: " in p and "cut off" in p]


def test_check_of_an_empty_folder_says_where_scannet_comes_from(tmp_path: Path) -> None:
    report = check("scannet", tmp_path)
    assert not report.is_complete and "scan-net.org" in report.advice
    with pytest.raises(UserError, match="--root"):
        check("scannet", tmp_path / "nowhere")


# --- handing in ---


def write_truth(data: ScanNet, out: Path) -> Path:
    """A submission of what is true, beside the truth."""
    submission = Submission(out)
    for i, name in enumerate(data.names):
        labels = data.labels(i)
        assert labels is not None
        submission.add(name, data[i].truth)
        submission.add_truth(name, labels.semantic, labels.instance)
    return out


def test_the_truth_handed_in_scores_one(root: Path, tmp_path: Path) -> None:
    out = write_truth(ScanNet(root, "val"), tmp_path / "out")
    result = score("scannet", out / "gt-instance", out / "instance")
    scores = {name: v["AP"] for name, v in result["per_class"].items() if v["AP"] is not None}
    assert scores == {"chair": 1, "table": 1} and result["AP"] == result["AP50"] == result["AP25"] == 1
    result = score("scannet-semantic", out / "gt-semantic", out / "semantic")
    assert result["mIoU"] == 1 and [n for n, v in result["per_class"].items() if v] == [
        "floor",
        "chair",
        "table",
    ]


def test_evaluate_writes_submissions_and_skips_scans_without_labels(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, out, report = Command(capsys), tmp_path / "out", tmp_path / "report.json"
    words = ("evaluate", "-m", "geometric", "-d", "scannet:all", "--root", root, "--json", report)
    answer = command(*words, "--submission", out)
    assert answer.code == 0 and str(out) in answer.out
    result = json.loads(report.read_text())
    assert list(result["scans"]) == [NAME] and result["skipped"] == ["scene0707_00"]
    for folder in ("instance", "semantic"):
        assert {p.stem for p in (out / folder).glob("*.txt")} == {NAME, "scene0707_00"}
    assert len((out / "semantic" / "scene0707_00.txt").read_text().splitlines()) == VERTICES
    assert [p.stem for p in (out / "gt-instance").iterdir()] == [NAME]
    again = command(*words, "--submission", out)
    assert again.code == 2 and len(again.err.splitlines()) == 1 and "not empty" in again.err
    other = command(
        "evaluate", "-m", "geometric", "-d", "rooms:val", "--limit", 1, "--submission", tmp_path / "x"
    )
    assert other.code == 2 and "scannet:val" in other.err
    several = command(*words, "--submission", tmp_path / "x", "--seeds", 1, 2)
    assert several.code == 2 and "--seeds" in several.err and not (tmp_path / "x").exists()


# --- the real scenes ---


def test_the_real_scene_gives_exactly_the_official_ground_truth(shared: Path, tmp_path: Path) -> None:
    root = shared / "data" / "scannet"
    data = ScanNet(root, "train")
    labels = data.labels(data.names.index("scene0000_00"))
    assert labels is not None and not labels.notes
    truth = (root / "gt" / "scene0000_00.txt").read_text()
    assert "".join(f"{v}\n" for v in labels.official.tolist()) == truth
    path = root / "scans" / "scene0000_00" / "scene0000_00_vh_clean_2.labels.ply"
    source = load_cloud(path, units="m", up="z").source
    assert source is not None and source.table is not None
    assert (source.table["label"] == labels.semantic).all()

    scan = data[data.names.index("scene0000_00")]
    assert len(scan.input) == 81_369 and len(scan.truth) == 67
    submission = Submission(tmp_path / "out")
    submission.add(scan.name, scan.truth)
    result = score("scannet", _only(root / "gt", tmp_path / "gt"), tmp_path / "out" / "instance")
    present = {SCANNET18.names[c] for c in SCANNET18.from_official(np.unique(labels.semantic)) if c >= 0}
    scored = {name: v["AP"] for name, v in result["per_class"].items() if v["AP"] is not None}
    assert scored == dict.fromkeys(scored, 1.0) and result["AP"] == result["AP25"] == 1.0
    assert set(scored) <= present and len(scored) >= 12


def _only(folder: Path, to: Path) -> Path:
    """The ground truth of scene0000_00 alone."""
    to.mkdir()
    (to / "scene0000_00.txt").write_bytes((folder / "scene0000_00.txt").read_bytes())
    return to


def test_the_real_scene_aligned_fills_the_official_boxes(shared: Path) -> None:
    root = shared / "data" / "scannet"
    data = open_data("scannet-aligned:train", root=root)
    scan = data[data.names.index("scene0000_00")]
    boxes = np.load(root / "scannet_train_instance_data" / "scene0000_00_bbox.npy", allow_pickle=False)
    found = scan.truth
    extents = [scan.input.points[found.elements_of(i)].numpy() for i in range(len(found))]
    mine = np.array([[*(p.min(0) + p.max(0)) / 2, *(p.max(0) - p.min(0))] for p in extents])
    distance = np.abs(mine[:, None] - boxes[None, :, :6]).max(axis=2).min(axis=0)
    assert len(boxes) == 27 and distance.max() < 2e-3


def test_the_real_scene_without_instances_is_listed_only(shared: Path) -> None:
    data = ScanNet(shared / "data" / "scannet")
    found = data[data.names.index("scene0470_00")].truth
    assert len(found) == 0 and found.element_classes is not None
    assert SCANNET20.names[int(found.element_classes.max())] == "otherfurniture"
    assert any("scene0470_00" in note for note in data.notes)
    report = check("scannet", shared / "data" / "scannet")
    assert any(p.startswith("scene0470_00: missing") for p in report.problems)
    assert {c.name: c.expected for c in report.counts} == {
        "train": 1201, "val": 312, "test": 100, "instance labels": None
    }  # fmt: skip


def test_the_real_label_table_knows_every_word(shared: Path) -> None:
    words = read_words(shared / "data" / "scannet" / "scannetv2-labels.combined.tsv")
    # "object" stands twice in the 607 rows.
    assert len(words) == 606 and words["couch"] == 6 and words["wall"] == 1

"""Every verb as a person would type it."""

import json
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch

import gestalt3d
from gestalt3d.cli import view
from gestalt3d.cli.train import _parsed
from gestalt3d.cli.verbs import VERBS
from gestalt3d.data import open_data
from gestalt3d.data.folder import save_scan
from gestalt3d.data.posed import Posed
from gestalt3d.engine.evaluate import evaluate
from gestalt3d.engine.model import load
from gestalt3d.io import load_cloud, load_instances, save_cloud
from gestalt3d.io.ply import read_ply, write_ply
from gestalt3d.metrics.official import FILES, KINDS
from gestalt3d.recipes import RECIPES, recipe
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS
from tests.coco.files import VISIBLE, WHOLE, document, rle, save
from tests.command import Command, save_weights
from tests.scenes import save_folder, tiny_scan


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "room.ply"
    save_cloud(path, tiny_scan().input)
    return path


# --- help ---


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)], ids=str)
def test_help_lists_every_verb_with_what_it_does(command: Command, words: tuple[str, ...]) -> None:
    answer = command(*words)
    assert answer.code == 0 and not answer.err
    for verb in VERBS.values():
        assert re.search(rf"^  {verb.name} +{re.escape(verb.summary)}$", answer.out, re.MULTILINE)
    assert max(len(line) for line in answer.out.splitlines()) <= 110


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_shows_three_commands(command: Command, verb: str) -> None:
    answer = command(verb, "--help")
    assert answer.code == 0 and not answer.err
    for example in VERBS[verb].examples:
        assert example in answer.out
    assert not re.search(
        r"[{,]None[,}]", answer.out
    )  # an option that may be left out does not offer the word None
    assert answer.out == command("help", verb).out


def test_help_of_a_recipe_names_its_fields_as_they_are_typed(command: Command) -> None:
    answer = command("train", "asis-folder", "--help")
    assert answer.code == 0
    for option in (
        "--optim.lr",
        "--model.blocks.points",
        "--root PATH",
        "--init [STR ...]",
        "--resume",
        "--out",
    ):
        assert option in answer.out


@pytest.mark.parametrize("name", ["asis-s3dis", "asis-folder", "mtml-rooms", "semantics-rooms"])
def test_help_of_a_recipe_says_none_in_words(command: Command, name: str) -> None:
    text = " ".join(command("train", name, "--help").out.replace("│", " ").split())
    assert "None}" not in text and "(default: None)" not in text and "(default: )" not in text
    assert "Else from nothing. (default: none)" in text


def test_none_is_typed_as_help_shows_it() -> None:
    assert _parsed(recipe("mtml-rooms"), args=[]).recipe.model.parter.proposals.merge == 0.6
    for none in ("none", "None"):
        run = _parsed(recipe("mtml-rooms"), args=["--model.parter.proposals.merge", none, "--root", none])
        assert run.recipe.model.parter.proposals.merge is None and run.recipe.root is None
    for words, init in ((["none"], ()), ([], ()), (["a", "none"], ("a", "none"))):
        assert _parsed(recipe("mtml-rooms"), args=["--init", *words]).recipe.init == init


def test_a_part_is_chosen_by_name_and_has_its_own_options(command: Command) -> None:
    plain = command("train", "asis-rooms", "--help").out
    assert "--model.merging {blockmerging,votes,agreement}" in plain
    assert "--model.merging.min-agreement" in plain and "--model.merging.min-iou" not in plain
    for words in (("--model.merging", "votes"), ("--model.merging=votes",)):
        votes = command("train", "asis-rooms", *words, "--help").out
        assert "--model.merging.min-agreement" not in votes and "--model.merging.min-iou" in votes
        assert "--model.merging.superpoints {superpoint,none}" in votes
    wrong = command("train", "asis-rooms", "--model.merging", "last")
    assert wrong.code == 2
    assert wrong.err == "gestalt3d train: --model.merging last: there are blockmerging, votes, agreement\n"


def test_recipes_are_listed(command: Command) -> None:
    assert all(f"  {name} " in command("train").out for name in RECIPES)


def test_examples_are_commands(command: Command) -> None:
    known = {*VERBS, "--version"}
    for verb in VERBS.values():
        assert len(set(verb.examples)) == 3
        assert all(line.split()[0] == "gestalt3d" and line.split()[1] in known for line in verb.examples)


def test_version(command: Command) -> None:
    assert command("--version").out == f"gestalt3d {gestalt3d.__version__}\n"


def test_help_and_version_load_nothing_heavy() -> None:
    code = "import sys; from gestalt3d.cli import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {"torch", "numba", "scipy", "numpy", "rich", "tyro"} & loaded
    assert not {f"gestalt3d.cli.{verb}" for verb in VERBS} & loaded


def test_score_loads_neither_torch_nor_what_tyro_checks_types_with(tmp_path: Path) -> None:
    folder = write_scannet(tmp_path)
    code = f"""
import sys
from gestalt3d.cli import main
main(["score", "scannet", "--gt", {str(folder / "gt")!r}, "--pred", {str(folder / "pred")!r}])
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numba", "scipy", "typeguard"} & set(done.stdout.split())


# --- segment, view ---


def test_segment_writes_every_result(command: Command, scan: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    answer = command(
        "segment", scan, "-m", "geometric", "-o", tmp_path / "out", "--objects", "--json", report
    )
    assert answer.code == 0, answer.err
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    kinds = ["html", "instances.json", "instances.npz", "instances.ply", "objects", "png"]
    assert names == [f"room.{kind}" for kind in kinds]

    found, cloud = load_instances(tmp_path / "out" / "room.instances.npz")
    assert found.method == "geometric" and len(cloud) == len(load_cloud(scan))
    assert bool((found.scores.diff() <= 0).all())
    objects = sorted((tmp_path / "out" / "room.objects").iterdir())
    assert [len(load_cloud(p)) for p in objects] == found.sizes.tolist()

    written = json.loads((tmp_path / "out" / "room.instances.json").read_text())["instances"]
    assert [o["points"] for o in written] == found.sizes.tolist()
    entry = json.loads(report.read_text())["files"][0]
    assert entry["points"] == len(cloud) and len(entry["instances"]) == len(found)
    assert [Path(f).exists() for f in entry["files"]] == [True] * 6
    assert {"read", "write"} <= entry["seconds"].keys() and "write: picture" in entry["seconds_within"]
    line = next(line for line in answer.out.splitlines() if line.startswith("seconds "))
    parts, total = re.sub(r" \([^()]*\)", "", line).removeprefix("seconds").split("=")
    printed = [float(part.split()[-1]) for part in parts.split(",")]
    assert sum(printed) == pytest.approx(float(total), abs=0.06 * len(printed)), (
        "stages inside others count once"
    )
    assert sum(entry["seconds"].values()) == pytest.approx(float(total), abs=0.06)
    assert f"{len(cloud):,} points, {len(found)} instances" in answer.out


def test_segment_again_leaves_no_object_of_the_first_time(
    command: Command, scan: Path, tmp_path: Path
) -> None:
    stale = tmp_path / "room.objects" / "0099_ghost.ply"
    stale.parent.mkdir()
    stale.write_bytes(b"")
    assert command("segment", scan, "-m", "geometric", "-o", tmp_path, "--objects").code == 0
    assert not stale.exists() and len(list(stale.parent.iterdir())) > 1


def test_the_answer_keeps_order_and_properties_of_the_input(command: Command, tmp_path: Path) -> None:
    cloud = tiny_scan(points=1500).input
    columns = {
        "time": np.arange(len(cloud), dtype=np.float64),
        **dict(zip("xyz", cloud.points.numpy().astype(np.float64).T * 100, strict=True)),
        "quality": np.arange(len(cloud)).astype(np.uint16),
    }
    words = {"f8": "double", "u2": "ushort"}
    table = np.empty(len(cloud), [(n, c.dtype) for n, c in columns.items()])
    for name, column in columns.items():
        table[name] = column
    lines = [f"property {words[c.dtype.str[1:]]} {n}" for n, c in columns.items()]
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(cloud)}", *lines, "end_header\n"]
    (tmp_path / "scan.ply").write_bytes("\n".join(head).encode() + table.tobytes())

    words_ = ("segment", tmp_path / "scan.ply", "-m", "geometric", "-o", tmp_path, "--units", "cm")
    assert command(*words_, "--no-page", "--no-picture").code == 0
    answer = read_ply(tmp_path / "scan.instances.ply").table
    assert answer is not None
    assert answer.dtype.names == (*columns, "instance", "semantic", "score")
    for name, column in columns.items():
        np.testing.assert_array_equal(answer[name], column)
    found, _ = load_instances(tmp_path / "scan.instances.npz")
    np.testing.assert_array_equal(answer["instance"], found.to_labels().numpy())
    assert not (tmp_path / "scan.png").exists() and not (tmp_path / "scan.html").exists()


def test_classes_and_scores_choose_among_the_instances(command: Command, scan: Path, tmp_path: Path) -> None:
    words = ("segment", scan, "-m", "geometric", "-o", tmp_path, "--no-page", "--no-picture")
    assert command(*words).code == 0
    whole = load_instances(tmp_path / "room.instances.npz")[0]
    name, least = whole.class_name(0), float(whole.scores.median())
    assert command(*words, "--classes", name, "--min-score", least).code == 0
    part = load_instances(tmp_path / "room.instances.npz")[0]
    kept = (whole.classes == whole.class_id(name)) & (whole.scores >= least)
    assert part.sizes.tolist() == whole[kept].sizes.tolist() and 0 < len(part) < len(whole)
    assert command(*words, "--min-score", "1").code == 0


def test_las_stays_las(command: Command, tmp_path: Path) -> None:
    save_cloud(tmp_path / "scan.laz", tiny_scan(points=1000).input)
    assert command("segment", tmp_path / "scan.laz", "-m", "geometric", "-o", tmp_path).code == 0
    assert len(load_cloud(tmp_path / "scan.instances.laz")) == 1000
    assert not (tmp_path / "scan.instances.ply").exists()


def test_the_seed_of_a_model_changes_its_draw_and_nothing_else(command: Command, tmp_path: Path) -> None:
    weights = save_weights(tmp_path / "w.safetensors", blocks={"points": 128})
    save_cloud(tmp_path / "scan.ply", tiny_scan(points=4000).input)
    words = ("segment", tmp_path / "scan.ply", "-m", weights, "-o", tmp_path, "--no-page", "--no-picture")
    answers = []
    for seed in (0, 0, 1):
        assert command(*words, "--seed", seed).code == 0
        answers.append(load_instances(tmp_path / "scan.instances.npz")[0].element_classes)
    assert torch.equal(answers[0], answers[1]) and not torch.equal(answers[0], answers[2])


def test_view_serves_the_page_until_ctrl_c(
    command: Command, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("segment", scan, "-m", "geometric", "-o", tmp_path).code == 0
    pages: list[bytes] = []

    def visit(text: str) -> None:
        address = next(word for word in text.split() if word.startswith("http://"))

        def fetch() -> None:
            with urllib.request.urlopen(address, timeout=20) as answer:
                pages.append(answer.read())
            signal.raise_signal(signal.SIGINT)

        threading.Thread(target=fetch).start()

    monkeypatch.setattr(view, "say", visit)
    answer = command("view", tmp_path / "room.instances.npz", "--no-browser")
    assert answer.code == 0 and not answer.err
    assert pages and pages[0].startswith(b"<!doctype html>")


# --- demo, synth, data, evaluate, train ---


def test_demo_shows_a_room_and_how_well_it_went(command: Command, tmp_path: Path) -> None:
    answer = command("demo", "-m", "geometric", "-o", tmp_path / "demo", "--json", tmp_path / "demo.json")
    assert answer.code == 0, answer.err
    names = {p.name for p in (tmp_path / "demo").iterdir()}
    kinds = ("ply", "png", "html", "instances.npz", "instances.ply", "instances.json")
    assert names == {f"room.{kind}" for kind in kinds}
    report = json.loads((tmp_path / "demo.json").read_text())
    assert report["figures"].keys() == {"AP50", "AP25", "mIoU", "AP50, any class", "AP25, any class"}
    assert 0 < report["figures"]["mIoU"] <= 100
    assert report["scan"].startswith("val_") and "validation room" in answer.out
    assert "mIoU" in answer.out and "room.html" in answer.out
    assert "AP50: average precision at IoU .5" in answer.out


def test_synthetic_rooms_become_a_folder_that_is_complete(command: Command, tmp_path: Path) -> None:
    root = tmp_path / "rooms"
    assert command("synth", "rooms", "-n", 2, "--seed", 5, "-o", root).code == 0
    assert len(list(root.glob("*.ply"))) == len(list(root.glob("*.gt.npz"))) == 2
    answer = command("data", "check", "folder", "--root", root, "--json", tmp_path / "check.json")
    assert answer.code == 0, answer.err
    report = json.loads((tmp_path / "check.json").read_text())
    assert report["counts"][0] == {"name": "labelled clouds", "found": 2, "expected": None, "unit": "files"}
    assert report["problems"] == []


@pytest.mark.parametrize("preset", ["default", "hard"])
def test_toy_boxes_become_a_folder_with_the_same_labels(
    command: Command, tmp_path: Path, preset: str
) -> None:
    from gestalt3d.data import open_data
    from gestalt3d.synth.toyboxes import PRESETS, make_toybox, scan_of

    root = tmp_path / "boxes"
    answer = command("synth", "toyboxes", "-n", 2, "--seed", 5, "-o", root, "--preset", preset)
    assert answer.code == 0, answer.err
    assert len(list(root.glob("*.ply"))) == len(list(root.glob("*.gt.npz"))) == 2
    written, made = open_data("folder", root=root)[1], scan_of(make_toybox(6, PRESETS[preset]), "")
    assert torch.equal(written.input.points, made.input.points)
    assert torch.equal(written.truth.to_labels(), made.truth.to_labels())
    names = [[s.truth.class_name(i) for i in range(len(s.truth))] for s in (written, made)]
    assert names[0] == names[1]


def test_objects_in_parts_become_a_folder_that_passes_the_check(command: Command, tmp_path: Path) -> None:
    from gestalt3d.data import open_data
    from gestalt3d.synth.parts.objects import make_object

    root = tmp_path / "lamps"
    answer = command("synth", "parts", "-n", 2, "--seed", 5, "--category", "lamp", "--level", 2, "-o", root)
    assert answer.code == 0 and "data check folder" in answer.out, answer.err
    written, made = open_data("folder", root=root)[1], make_object(6, "lamp", level=2)
    assert torch.equal(written.input.points, made.input.points)
    assert torch.equal(written.truth.to_labels(), made.truth.to_labels())
    assert written.truth.vocabulary.names == made.truth.vocabulary.names
    assert command("data", "check", "folder", "--root", root).code == 0
    mixed = tmp_path / "mixed"
    assert command("synth", "parts", "-n", 4, "-o", mixed).code == 0
    assert {scan.name.rpartition("_")[0] for scan in map(open_data("folder", root=mixed).__getitem__, range(4))} == {
        "chair", "table", "lamp", "storage_furniture",
    }  # fmt: skip


def test_score_partnet_shows_three_thresholds(command: Command, tmp_path: Path) -> None:
    masks = np.repeat(np.eye(2, dtype=bool), 5, axis=1)
    np.savez(
        tmp_path / "chair.npz",
        gt_mask=masks, gt_mask_label=[0, 1], gt_mask_valid=[True, True], gt_mask_other=np.zeros(10, bool),
        pred_mask=masks[:1], pred_label=[0], pred_valid=[True], pred_conf=[0.5],
    )  # fmt: skip
    (tmp_path / "part_names.txt").write_text("3 seat leaf\n5 back leaf\n")
    answer = command(
        "score", "partnet", "--gt", tmp_path, "--pred", tmp_path, "--json", tmp_path / "out.json"
    )
    assert answer.code == 0, answer.err
    thresholds = [line.split()[0] for line in answer.out.splitlines() if line.startswith("0.")]
    assert thresholds == ["0.5000", "0.2500", "0.7500"] and "PartNet's rule" in answer.out
    assert json.loads((tmp_path / "out.json").read_text())["mAP"] == 0.5


def test_data_check_says_what_is_missing_with_exit_code_2(command: Command, tmp_path: Path) -> None:
    answer = command("data", "check", "s3dis", "--root", tmp_path)
    assert answer.code == 2 and "Area_1" in answer.out and "Traceback" not in answer.err


@pytest.mark.parametrize("options", [(), ("--class-agnostic",), ("--blocks",)], ids=str)
def test_evaluate_reports_every_scan_and_all(
    command: Command, tmp_path: Path, options: tuple[str, ...]
) -> None:
    root = save_folder(tmp_path / "scans")
    report = tmp_path / "report.json"
    answer = command(
        "evaluate", "-m", "geometric", "-d", "folder", "--root", root, "--json", report, *options
    )
    assert answer.code == 0, answer.err
    result = json.loads(report.read_text())
    assert result.keys() == {"method", "data", "scans", "pooled", "skipped"}
    assert list(result["scans"]) == ["tiny0", "tiny1"]
    keys = ("AP", "AP50", "AP25", "recall50", "coverage") if options == ("--class-agnostic",) else ("mCov",)
    assert all(key in result["pooled"] for key in keys)
    assert "tiny1" in answer.out and "\nall" in answer.out
    assert all(f"{key}: " in answer.out for key in keys)


def test_evaluate_goes_on_after_a_bad_scan_and_ends_with_exit_code_2(
    command: Command, tmp_path: Path
) -> None:
    root = save_folder(tmp_path / "scans", count=3)
    (root / "tiny1.ply").write_bytes((root / "tiny1.ply").read_bytes()[:-100])
    report = tmp_path / "report.json"
    answer = command("evaluate", "-m", "geometric", "-d", "folder", "--root", root, "--json", report)
    assert answer.code == 2 and "Traceback" not in answer.err
    first, last = answer.err.splitlines()
    assert "tiny1.ply" in first and last.endswith("2 scans done, 1 could not be")
    result = json.loads(report.read_text())
    assert list(result["scans"]) == ["tiny0", "tiny2"] and result["failed"] == ["tiny1"]
    assert "tiny2" in answer.out


@pytest.fixture
def breaks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first cloud is too much for the method."""
    from gestalt3d.methods.geometric import Geometric

    plain = Geometric.segment
    calls: list[int] = []

    def segment(self: Geometric, cloud: PointCloud) -> Instances:
        calls.append(1)
        if len(calls) == 1:
            raise IndexError("index 7 is out of bounds")
        return plain(self, cloud)

    monkeypatch.setattr(Geometric, "segment", segment)


@pytest.mark.usefixtures("breaks_once")
def test_an_error_that_nobody_foresaw_is_named_with_its_scan(command: Command, tmp_path: Path) -> None:
    root = save_folder(tmp_path / "scans")
    answer = command("evaluate", "-m", "geometric", "-d", "folder", "--root", root)
    assert answer.code == 2 and "tiny1" in answer.out
    assert "tiny0: a fault of gestalt3d stopped it (IndexError: index 7 is out of bounds" in answer.err


@pytest.mark.usefixtures("breaks_once")
def test_a_scan_that_fails_with_one_seed_has_no_mean(command: Command, tmp_path: Path) -> None:
    root, report = save_folder(tmp_path / "scans"), tmp_path / "report.json"
    words = ("evaluate", "-m", "geometric", "-d", "folder", "--root", root, "--json", report)
    answer = command(*words, "--seeds", 0, 1)
    assert answer.code == 2 and "Traceback" not in answer.err
    result = json.loads(report.read_text())
    assert list(result["scans"]) == ["tiny1"] and result["failed"] == ["tiny0"]


def test_instances_without_classes_have_class_agnostic_figures(command: Command, tmp_path: Path) -> None:
    scan = tiny_scan()
    columns = dict(zip("xyz", scan.input.points.numpy().T, strict=True))
    with (tmp_path / "a.ply").open("wb") as file:
        write_ply(file, {**columns, "instance": scan.truth.to_labels().numpy().astype(np.int32)})
    report = tmp_path / "report.json"
    words = ("evaluate", "-m", "geometric", "-d", "folder", "--root", tmp_path, "--json", report)
    assert command(*words, "--class-agnostic").code == 0
    figures = json.loads(report.read_text())["pooled"]
    assert all(figures[name] is not None for name in ("AP", "AP50", "AP25", "recall50", "coverage"))
    assert figures["AP25"] > 0


def test_several_seeds_are_averaged(command: Command, tmp_path: Path) -> None:
    root, figures = save_folder(tmp_path / "scans"), []
    for seeds in ((0,), (1,), (0, 1)):
        report = tmp_path / "report.json"
        words = ("evaluate", "-m", "geometric", "-d", "folder", "--root", root, "--json", report, "--seeds")
        answer = command(*words, *seeds)
        assert answer.code == 0, answer.err
        figures.append(json.loads(report.read_text()))
    one, other, both = (result["pooled"]["mCov"] for result in figures)
    assert both == pytest.approx((one + other) / 2)
    assert figures[2]["seeds"] == [0, 1]
    assert figures[2]["pooled_sd"]["mCov"] == pytest.approx(abs(one - other) / 2**0.5)
    assert "± sd" in answer.out


def test_poses_are_averaged(command: Command, tmp_path: Path) -> None:
    root, report = save_folder(tmp_path / "scans"), tmp_path / "report.json"
    words = ("evaluate", "-m", "geometric", "-d", "folder", "--root", root, "--json", report, "--poses")
    assert command(*words, 0).code == 2
    assert command(*words, 2).code == 0
    both = json.loads(report.read_text())
    assert both["poses"] == 2 and both["pooled_sd"]
    scans = open_data("folder", root=root, vocabulary=S3DIS)
    one, other = (evaluate(load("geometric"), Posed(scans, pose))["pooled"]["mCov"] for pose in range(2))
    assert both["pooled"]["mCov"] == pytest.approx((one + other) / 2)


SMALL = ["--model.blocks.points", 128, "--model.width", 16, "--model.backbone.width-scale", 0.25]
SMALL += ["--workers", 0, "--optim.precision", "no", "--scans-per-step", 1, "--optim.steps", 2]


def test_a_model_trained_on_ones_own_folder_segments_with_its_classes(
    command: Command, tmp_path: Path
) -> None:
    root, out = save_folder(tmp_path / "scans"), tmp_path / "run"
    words = ["train", "asis-folder", "--root", root, "-o", out, *SMALL[:-1]]
    answer = command(*words, 2)
    assert answer.code == 0, answer.err
    assert str(out / "last.safetensors") in answer.out
    assert command(*words, 2).code == 2  # the folder holds a run
    scan = root / "tiny0.ply"
    answer = command("segment", scan, "-m", out / "last.safetensors", "-o", out, "--no-page", "--no-picture")
    assert answer.code == 0, answer.err
    found, _ = load_instances(out / "tiny0.instances.npz")
    assert "table" in found.vocabulary.names and found.method == "last"


def test_resume_needs_nothing_but_the_folder_of_the_run(command: Command, tmp_path: Path) -> None:
    root, out = save_folder(tmp_path / "scans"), tmp_path / "run"
    words = ["train", "asis-folder", "--root", root, "-o", out, "--hold-out", 0, *SMALL]
    answer = command(*words, "--stop-after", 1)
    assert answer.code == 0, answer.err
    assert "learning from folder: 2 scans, 6,000 points, 10 instances" in answer.err
    for wrong, says in (
        (
            ["train", "--resume", "--out", out, "--optim.lr", 2e-3],
            "--optim.lr is 0.0005 there and 0.002 here",
        ),
        (
            ["train", "--resume", "--out", out, "--model.backbone", "pointnet"],
            "--model.backbone is pointnet2 there and pointnet here",
        ),
        (["train", "asis-rooms", "--resume", "--out", out], "holds a run of asis-folder, not of asis-rooms"),
        (["train", "--resume"], "--out"),
        (["train", "--resume", "-o", tmp_path / "none"], "holds no run to --resume"),
    ):
        answer = command(*wrong)
        assert answer.code == 2 and says in answer.err, answer.err
    answer = command("train", "--resume", "--out", out)
    assert answer.code == 0 and "going on at step 2 of 2" in answer.err, answer.err
    answer = command("train", "asis-folder", "--resume", f"--out={out}", "--optim.steps", 3)
    assert answer.code == 0 and "step 3 of 3 instead of 2: the cosine is stretched" in answer.err, answer.err
    assert "all 3 steps are done" in command("train", "--resume", "--out", out).err


def test_figures_of_the_held_out_scans_are_printed_at_the_end(command: Command, tmp_path: Path) -> None:
    root, out = save_folder(tmp_path / "scans", count=3), tmp_path / "run"
    answer = command("train", "asis-folder", "--root", root, "-o", out, *SMALL)
    assert answer.code == 0, answer.err
    assert "held out to validate on: tiny" in answer.err and "step 2: on 1 validation scan mCov" in answer.err
    assert "on the validation scans, percent" in answer.out and "loss.png" in answer.out
    assert f"segment scan.ply -m {out / 'best.safetensors'}" in answer.out
    assert (out / "best.safetensors").exists()


# --- score, models, bench, doctor ---


def write_scannet(folder: Path) -> Path:
    """One scene of two chairs, the first found whole, the second by half."""
    (folder / "gt").mkdir()
    (folder / "pred" / "masks").mkdir(parents=True)
    gt = np.repeat([0, 5001, 5002], 200)
    np.savetxt(folder / "gt" / "a.txt", gt, fmt="%d")
    lines = []
    for i, rows in enumerate((slice(200, 400), slice(400, 510))):
        mask = np.zeros(len(gt), int)
        mask[rows] = 1
        np.savetxt(folder / "pred" / "masks" / f"{i}.txt", mask, fmt="%d")
        lines.append(f"masks/{i}.txt 5 0.9\n")
    (folder / "pred" / "a.txt").write_text("".join(lines))
    return folder


def test_score_prints_and_writes_the_official_figures(command: Command, tmp_path: Path) -> None:
    folder = write_scannet(tmp_path)
    report = tmp_path / "figures.json"
    words = ("--gt", folder / "gt", "--pred", folder / "pred", "--json", report)
    answer = command("score", "scannet", *words)
    assert answer.code == 0, answer.err
    figures = json.loads(report.read_text())
    assert figures["AP25"] == pytest.approx(1.0) and figures["AP"] < figures["AP50"]
    assert f"{figures['AP50']:.4f}" in answer.out and "chair" in answer.out
    assert "AP25: at .25" in answer.out and "mIoU: " not in answer.out


def test_score_of_masks_in_photos_shows_what_is_hidden(command: Command, tmp_path: Path) -> None:
    gt = save(tmp_path / "gt.json", document("KINS 2019"))
    entry = {"image_id": 30, "category_id": 2, "score": 0.5, "segmentation": rle(WHOLE[0])}
    results = save(tmp_path / "r.json", [entry | {"visible_mask": rle(VISIBLE[0])}, entry])
    answer = command("score", "coco-amodal", "--gt", gt, "--pred", results, "--json", tmp_path / "out.json")
    # One `visible_mask` for two results.
    assert (
        answer.code == 2
        and "result 2 has no 'visible_mask'" in answer.err
        and len(answer.err.splitlines()) == 1
    )
    save(results, [entry, entry | {"category_id": 9}])
    answer = command("score", "coco-amodal", "--gt", gt, "--pred", results, "--json", tmp_path / "out.json")
    assert answer.code == 0, answer.err
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["visible"] is None and figures["amodal"]["per_class"]["box"]["AP"] == 0.0
    assert "1 of 3 objects found by a mask of their class" in answer.out and "COCO's rule" in answer.out
    assert "NOTE results of categories that are not listed, left out: 1" in answer.out


def test_score_offers_what_can_be_scored(command: Command) -> None:
    answer = command("score", "--help")
    assert all(kind in answer.out for kind in KINDS | FILES)


def test_models_lists_those_that_need_no_training(command: Command, tmp_path: Path) -> None:
    answer = command("models", "--json", tmp_path / "models.json")
    assert answer.code == 0 and "geometric-regions" in answer.out
    names = [m["name"] for m in json.loads((tmp_path / "models.json").read_text())["models"]]
    untrained = (
        "geometric",
        "geometric-regions",
        "components",
        "semantics",
        "components-rooms",
        "classes-rooms",
        "consensus-fast",
        "visible-masks",
        "convex-hulls",
        "filled-boxes",
        "hulls-behind-others",
    )
    assert sorted(names[-len(untrained) :]) == sorted(untrained)


def test_benchmarks_and_tables_are_listed_with_a_title(command: Command) -> None:
    for verb in ("bench", "reproduce"):
        answer = command(verb)
        assert answer.code == 0
        rows = [line.split(maxsplit=1) for line in answer.out.splitlines()]
        assert len(rows) > 3 and all(len(row) == 2 for row in rows)
        assert "`" not in answer.out


def test_doctor_examines_the_installation(command: Command, tmp_path: Path) -> None:
    answer = command("doctor", "--json", tmp_path / "report.json")
    findings = {f["what"]: f for f in json.loads((tmp_path / "report.json").read_text())["findings"]}
    assert findings["torch"]["ok"] and findings["numba kernels"]["ok"]
    missing = [f for f in findings.values() if not f["ok"] and not f["optional"]]
    assert answer.code == (2 if missing else 0)
    assert all(f["remedy"] for f in missing)


def test_one_scan_of_each_kind(shared: Path, command: Command, tmp_path: Path) -> None:
    """Real scans of every source are read and answered in whole."""
    scans = [shared / "data" / "scans" / "osd_learn6.ply", *sorted(shared.glob("data/osd/*/*.pcd"))[:1]]
    scans += [shared / "data" / "shapes" / "partnet_179.ply"]
    words = ("-m", "geometric", "-o", tmp_path, "--no-page", "--no-picture")
    answer = command("segment", *scans, *words)
    assert answer.code == 0, answer.err
    for scan in scans:
        found, cloud = load_instances(tmp_path / f"{scan.stem}.instances.npz")
        assert found.masks.size == len(cloud) == len(load_cloud(scan)) and len(found)


def test_labels_beside_a_scan_do_not_change_its_answer(command: Command, tmp_path: Path) -> None:
    scan = tiny_scan()
    for name, labelled in (("with", True), ("without", False)):
        (tmp_path / name).mkdir()
        if labelled:
            save_scan(tmp_path / name, scan)
        else:
            save_cloud(tmp_path / name / f"{scan.name}.ply", scan.input)
        words = ("-m", "geometric", "-o", tmp_path / name, "--no-page", "--no-picture")
        assert command("segment", tmp_path / name / f"{scan.name}.ply", *words).code == 0
    a, b = (load_instances(tmp_path / n / f"{scan.name}.instances.npz")[0] for n in ("with", "without"))
    assert torch.equal(a.to_labels(), b.to_labels())

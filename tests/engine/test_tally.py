"""Evaluations that ran apart add up to the one that ran at once, and what is written scores as it was measured."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gestalt3d.data import open_data
from gestalt3d.engine.evaluate import evaluate
from gestalt3d.engine.model import load
from gestalt3d.metrics.evaluator import CloudEvaluator
from gestalt3d.structures.vocabulary import S3DIS, SCANNET20
from tests.command import Command, save_weights
from tests.scenes import save_folder, tiny_scan

FIGURES = ("mCov", "mWCov", "mPrec", "mRec", "mAcc", "mIoU")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESTALT3D_CACHE", str(tmp_path / "cache"))


def save_s3dis(root: Path, areas: tuple[int, ...] = (1, 2, 3)) -> Path:
    """A room in each area, as arrays, a quarter of its points without class."""
    root.mkdir()
    for area in areas:
        scan = tiny_scan(area, points=6000)
        semantic, instance = scan.truth.classes_of_elements().numpy(), scan.truth.to_labels().numpy()
        semantic = np.where(np.arange(len(semantic)) % 4 == area, -1, semantic)
        colors = np.rint(scan.input.colors.numpy() * 255)  # type: ignore[union-attr]
        table = np.c_[scan.input.points.numpy(), colors, semantic, instance].astype(np.float32)
        np.save(root / f"Area_{area}_office_1.npy", table)
    return root


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
@pytest.mark.parametrize("options", [(), ("--class-agnostic",), ("--blocks",)], ids=str)
def test_folds_add_up_to_the_whole(
    command: Command, tmp_path: Path, order: tuple[int, ...], options: tuple[str, ...]
) -> None:
    root, report = save_s3dis(tmp_path / "s3dis"), tmp_path / "report.json"
    words = ("evaluate", "-m", "geometric", "--root", root, "--json", report, *options)
    assert command(*words, "-d", "s3dis:all").code == 0
    whole = json.loads(report.read_text())
    assert whole["pooled"].get("mCov", whole["pooled"]["coverage"]) > 0
    for area in order:
        answer = command(*words, "-d", f"s3dis:area{area}", "--add-to", tmp_path / "folds.json")
        assert answer.code == 0, answer.err
        assert f"Area_{area}_office_1" in answer.out and answer.out.count("office_1") == 1
    assert f"all 3 in {tmp_path / 'folds.json'}" in answer.out
    folds = json.loads((tmp_path / "folds.json").read_text())
    assert folds["pooled"] == whole["pooled"] == json.loads(report.read_text())["pooled"]
    assert folds["scans"] == whole["scans"] and [part["data"] for part in folds["parts"]] == [
        f"s3dis:area{area}" for area in order
    ]


def test_other_weights_of_the_same_kind_add_up(command: Command, tmp_path: Path) -> None:
    """A cross validation has a model per fold."""
    root = save_s3dis(tmp_path / "s3dis")
    models = [save_weights(tmp_path / f"{k}.safetensors", blocks={"min_points": 20}) for k in range(2)]
    for area, model in zip((1, 2), models, strict=True):
        answer = command(
            "evaluate",
            "-m",
            model,
            "-d",
            f"s3dis:area{area}",
            "--root",
            root,
            "--add-to",
            tmp_path / "folds.json",
        )
        assert answer.code == 0, answer.err
    folds = json.loads((tmp_path / "folds.json").read_text())
    assert [part["model"] for part in folds["parts"]] == ["0", "1"] and len(folds["scans"]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-m", "geometric", "-d", "s3dis:area1"), "holds Area_1_office_1 already"),
        (("-m", "geometric", "-d", "s3dis:all"), "holds Area_1_office_1 already"),
        (("-m", "geometric-regions", "-d", "s3dis:area2"), "another variant: dbscan, not regions"),
        (
            ("-m", "geometric", "-d", "s3dis:area2", "--class-agnostic"),
            "another class_agnostic: False, not True",
        ),
        (("-m", "geometric", "-d", "s3dis:area2", "--blocks"), "another sampled_blocks: False, not True"),
        (("-m", "WEIGHTS", "-d", "s3dis:area2"), "another method: geometric, not asis"),
    ],
)
def test_what_does_not_add_up_is_refused_before_the_work(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    root, file = save_s3dis(tmp_path / "s3dis"), tmp_path / "folds.json"
    words = tuple(str(save_weights(tmp_path / "w.safetensors")) if w == "WEIGHTS" else w for w in words)
    first = ("evaluate", "-m", "geometric", "-d", "s3dis:area1", "--root", root, "--add-to", file)
    assert command(*first).code == 0
    before = file.read_bytes()
    monkeypatch.setattr("gestalt3d.engine.model.Model.segment", lambda *_: pytest.fail("segmented"))
    answer = command("evaluate", *words, "--root", root, "--add-to", file)
    assert answer.code == 2 and said in answer.err and len(answer.err.splitlines()) == 1
    assert str(file) in answer.err and file.read_bytes() == before


def test_vocabularies_are_not_mixed() -> None:
    counted = CloudEvaluator(SCANNET20).counts()
    with pytest.raises(ValueError, match="another vocabulary"):
        CloudEvaluator(S3DIS).add_counts(counted)


@pytest.mark.parametrize("damage", ["text", "list", "other", "counts", "numbers"])
def test_a_file_that_holds_no_counts_is_one_line_and_stays(
    command: Command, tmp_path: Path, damage: str
) -> None:
    root, file = save_s3dis(tmp_path / "s3dis"), tmp_path / "folds.json"
    words = ("evaluate", "-m", "geometric", "--root", root, "--add-to", file)
    assert command(*words, "-d", "s3dis:area1").code == 0
    held: dict[str, Any] = json.loads(file.read_text())
    if damage == "counts":
        held["counts"] = {}
    elif damage == "numbers":
        held["counts"]["scans"]["Area_1_office_1"]["objects"]["common"][0] = 1000
    text = {"text": "no JSON", "list": "[1]", "other": '{"pooled": {}}'}.get(damage, json.dumps(held))
    file.write_text(text)
    answer = command(*words, "-d", "s3dis:area2")
    assert answer.code == 2 and str(file) in answer.err and len(answer.err.splitlines()) == 1
    assert file.read_text() == text


def test_where_a_scan_fails_nothing_is_added(command: Command, tmp_path: Path) -> None:
    """What failed could not be added later beside what did not, which counts once only."""
    root, file = save_s3dis(tmp_path / "s3dis"), tmp_path / "folds.json"
    words = ("evaluate", "-m", "geometric", "-d", "s3dis:all", "--root", root, "--add-to", file)
    whole = (root / "Area_2_office_1.npy").read_bytes()
    (root / "Area_2_office_1.npy").write_bytes(whole[:1000])
    answer = command(*words)
    assert answer.code == 2 and "nothing was added" in answer.err and not file.exists()
    assert "all 3" not in answer.out
    (root / "Area_2_office_1.npy").write_bytes(whole)
    assert command(*words).code == 0 and len(json.loads(file.read_text())["scans"]) == 3


def test_several_answers_are_not_added(command: Command, tmp_path: Path) -> None:
    answer = command("evaluate", "--poses", 2, "--add-to", tmp_path / "folds.json")
    assert answer.code == 2 and "--add-to" in answer.err
    nowhere = command("evaluate", "--add-to", tmp_path / "nowhere" / "folds.json")
    assert nowhere.code == 2 and "cannot be written there" in nowhere.err


def test_two_at_once_lose_nothing(tmp_path: Path) -> None:
    """Another evaluation may finish while one runs."""
    root, file, model = save_s3dis(tmp_path / "s3dis"), tmp_path / "folds.json", load("geometric")
    areas = [open_data(f"s3dis:area{area}", root=root) for area in (1, 2)]

    def meanwhile(*_: object) -> None:
        if not file.exists():
            evaluate(model, areas[1], add_to=file)

    found = evaluate(model, areas[0], add_to=file, report=meanwhile)
    assert set(found["scans"]) == {"Area_1_office_1", "Area_2_office_1"}


@pytest.mark.parametrize("options", [(), ("--blocks",)], ids=str)
@pytest.mark.parametrize("model", ["geometric", "asis"])
def test_what_is_written_scores_as_it_was_measured(
    command: Command, tmp_path: Path, model: str, options: tuple[str, ...]
) -> None:
    root, report = save_s3dis(tmp_path / "s3dis"), tmp_path / "report.json"
    name = save_weights(tmp_path / "w.safetensors", blocks={"min_points": 20}) if model == "asis" else model
    words = ("evaluate", "-m", name, "-d", "s3dis:all", "--root", root, "--json", report, *options)
    answer = command(*words, "--submission", tmp_path / "out")
    assert answer.code == 0, answer.err
    measured = json.loads(report.read_text())["pooled"]
    scored = tmp_path / "score.json"
    assert (
        command("score", "s3dis", "--gt", tmp_path / "out", "--pred", tmp_path / "out", "--json", scored).code
        == 0
    )
    assert measured["mCov"] > 0
    assert_same(measured, json.loads(scored.read_text()))


def assert_same(measured: dict[str, Any], official: dict[str, Any]) -> None:
    """Percent and fractions."""
    for key in FIGURES:
        assert _close(measured[key], official["nan_skipped"][key]), key
        assert _close(measured["official"][key], official[key]), key
    assert _close(measured["oAcc"], official["oAcc"])
    for name, values in official["per_class"].items():
        for key, value in values.items():
            mine = measured["per_class"][name][key]
            assert mine == value if key.startswith("n_") else _close(mine, value), (name, key)


def _close(percent: float | None, fraction: float | None) -> bool:
    if percent is None or fraction is None:
        return percent is None and fraction is None
    return math.isclose(percent, 100 * fraction, rel_tol=1e-12)


def test_the_real_hallway_scores_as_it_was_measured(command: Command, shared: Path, tmp_path: Path) -> None:
    root, report, scored = shared / "data" / "s3dis", tmp_path / "report.json", tmp_path / "score.json"
    words = ("evaluate", "-m", "geometric", "-d", "s3dis:area3", "--root", root, "--json", report)
    assert command(*words, "--submission", tmp_path / "out").code == 0
    assert (
        command("score", "s3dis", "--gt", tmp_path / "out", "--pred", tmp_path / "out", "--json", scored).code
        == 0
    )
    assert_same(json.loads(report.read_text())["pooled"], json.loads(scored.read_text()))


def test_other_classes_and_other_data_are_not_written(command: Command, tmp_path: Path) -> None:
    root = save_s3dis(tmp_path / "s3dis", areas=(1,))
    words = ("evaluate", "--submission", tmp_path / "out")
    other = command(*words, "-m", "components-rooms", "-d", "s3dis:area1", "--root", root)
    assert other.code == 2 and "not those of 'scannet21'" in other.err
    folder = command(*words, "-m", "geometric", "-d", "folder", "--root", save_folder(tmp_path / "scans"))
    assert folder.code == 2 and "s3dis:area5" in folder.err and not (tmp_path / "out").exists()

"""Methods from elsewhere: an installed package, through the command line; broken ones."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gestalt3d import plugins
from gestalt3d.io import load_instances
from gestalt3d.testing.__main__ import main as contract_on
from tests.command import Answer, Command
from tests.scenes import save_folder, tiny_scan

EXAMPLE = Path(__file__).parents[1] / "examples" / "plugin"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path; what a test puts there is as if it had been installed."""
    target = tmp_path / "site"
    target.mkdir()
    monkeypatch.syspath_prepend(str(target))
    before = set(sys.modules)
    _forget()
    yield target
    _forget()
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and target in Path(file).parents:
            del sys.modules[name]


def _forget() -> None:
    plugins.announced.cache_clear()
    plugins.module.cache_clear()
    importlib.invalidate_caches()


def install(target: Path, name: str, source: str, *, method: str | None = None) -> None:
    """What an installer makes of a package of one module, which no earlier test has left behind."""
    sys.modules.pop(name, None)
    (target / f"{name}.py").write_text(source, encoding="utf-8")
    about = target / f"{name}-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(
        f"[{plugins.GROUP}]\n{method or name} = {name}\n", encoding="utf-8"
    )
    _forget()


def test_the_example_trains_evaluates_segments_and_is_listed(
    installed: Path, tmp_path: Path, command: Command
) -> None:
    source = (EXAMPLE / "heights.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 80
    assert 'heights = "heights"' in (EXAMPLE / "pyproject.toml").read_text(encoding="utf-8")
    install(installed, "heights", source)
    scans, run = save_folder(tmp_path / "scans"), tmp_path / "run"
    listed = command("models")
    assert "heights" in listed.out and "gestalt3d train heights-rooms" in listed.out
    assert "heights-rooms" in command("train").out
    where = ("--data", "folder", "--root", scans, "--out", run, "--workers", 0, "--device", "cpu")
    trained = command("train", "heights-rooms", *where, "--optim.steps", 3)
    assert trained.code == 0, trained.err
    weights = run / "last.safetensors"
    scored = command("evaluate", "-m", weights, "-d", "folder", "--root", scans)
    assert scored.code == 0 and "mIoU" in scored.out, scored.err
    found = command(
        "segment", scans / "tiny0.ply", "-m", weights, "-o", tmp_path / "out", "--no-picture", "--no-page"
    )
    assert found.code == 0 and (tmp_path / "out" / "tiny0.instances.npz").is_file(), found.err
    more = command("train", "--resume", "--out", run, "--optim.steps", 4, "--device", "cpu")
    assert more.code == 0, more.err


def both(command: Command, method: object, scans: Path, out: Path) -> list[Answer]:
    """What `segment` and `evaluate` do with a model of that name."""
    files = ("-o", out, "--no-picture", "--no-page")
    return [
        command("segment", scans / "tiny0.ply", "-m", method, *files),
        command("evaluate", "-m", method, "-d", "folder", "--root", scans),
    ]


def test_a_method_that_was_never_trained_says_how_it_is(
    installed: Path, tmp_path: Path, command: Command
) -> None:
    """Where no recipe does it, that there has to be one."""
    source = (EXAMPLE / "heights.py").read_text(encoding="utf-8")
    scans, out = save_folder(tmp_path / "scans"), tmp_path / "out"
    install(installed, "heights", source)
    install(
        installed, "depths", source.replace('name = "heights"', 'name = "depths"').replace("RECIPES", "_")
    )
    for name, says in (("heights", "train it: gestalt3d train heights-rooms"), ("depths", "has no recipe")):
        for answer in both(command, name, scans, out):
            assert answer.code == 2 and len(answer.err.splitlines()) == 1
            assert f"{name}: was never trained" in answer.err and says in answer.err, answer.err
    assert not out.exists()
    listed = command("models").out
    assert "From heights; train it: gestalt3d train heights-rooms\n" in listed
    assert "From depths; has to be trained\n" in listed


HALVES = """
from dataclasses import dataclass
import torch
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud

@dataclass(frozen=True)
class HalvesConfig:
    at: float = 0.5
    seed: int = 0

class Halves:
    name, takes, takes_semantics = "halves", PointCloud, False
    config: HalvesConfig

    def __init__(self, config, vocabulary):
        self.config, self.vocabulary = config, vocabulary

    @classmethod
    def from_config(cls, config, vocabulary):
        return cls(config, vocabulary)

    def segment(self, cloud):
        labels = (cloud.points[:, 2] > self.config.at).long()
        classes = torch.tensor([self.vocabulary.id("floor"), self.vocabulary.id("wall")])
        return Instances.from_labels(
            labels, classes, vocabulary=self.vocabulary, element_classes=classes[labels]
        )

METHOD = Halves
"""


def test_a_method_that_needs_no_training_goes_by_its_name(
    installed: Path, tmp_path: Path, command: Command
) -> None:
    install(installed, "halves", HALVES)
    scans, out = save_folder(tmp_path / "scans"), tmp_path / "out"
    listed = [line for line in command("models").out.splitlines() if line.startswith("halves")]
    assert listed == ["halves               From halves; not trained"]
    segmented, evaluated = both(command, "halves", scans, out)
    assert segmented.code == 0, segmented.err
    found, _ = load_instances(out / "tiny0.instances.npz")
    above = tiny_scan().input.points[:, 2] > 0.5
    assert found.method == "halves" and len(found) == 2
    assert {tuple(mask.tolist()) for mask in found.masks} == {
        tuple(half.nonzero()[:, 0].tolist()) for half in (above, ~above)
    }
    assert evaluated.code == 0 and "mIoU" in evaluated.out, evaluated.err
    assert command("segment", scans / "tiny0.ply", "-m", "halves", "-o", out, "--seed", 1).code == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("    config: HalvesConfig\n", "", "its METHOD names no dataclass as its config"),
        ("@dataclass(frozen=True)\n", "", "its METHOD names no dataclass as its config"),
        (
            "    config: HalvesConfig\n",
            "    config: 'Missing'\n",
            "its METHOD names no dataclass as its config",
        ),
        (", takes_semantics =", ", takes_semantic =", "its METHOD lacks takes_semantics"),
        ("def segment", "def answer", "its METHOD lacks segment"),
        ("self.config, self.vocabulary =", "self.config, self.words =", "has no vocabulary when it is made"),
        ("at: float = 0.5", "at: float", "cannot be made with its defaults (TypeError"),
        (
            "return cls(config, vocabulary)",
            "raise OSError('no licence')",
            "cannot be made with its defaults (OSError: no licence)",
        ),
        ("return Instances", "return print", "a fault of the method 'halves' of the package halves"),
        (
            "return Instances.from_labels(",
            "return dict(labels=labels) or Instances.from_labels(",
            "must return Instances from segment, got dict",
        ),
        ("(cloud.points[:, 2] >", "(cloud.points[:-1, 2] >", "must answer about all 3000 elements, got 2999"),
    ],
)
def test_a_method_that_cannot_be_used_is_one_line(
    installed: Path, tmp_path: Path, command: Command, old: str, new: str, says: str
) -> None:
    assert old in HALVES
    install(installed, "halves", HALVES.replace(old, new, 1))
    scans, out = save_folder(tmp_path / "scans", count=1), tmp_path / "out"
    for answer in both(command, "halves", scans, out):
        assert answer.code == 2 and says in answer.err, answer
        assert len(answer.err.splitlines()) <= 2 and "Traceback" not in answer.err
    assert not list(out.glob("*"))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("raise RuntimeError('no\\nluck')", "cannot be imported (RuntimeError: no)"),
        ("import sys; sys.exit(3)", "cannot be imported (SystemExit: 3)"),
        ("x = 1", "names no module with a class METHOD"),
        ("class METHOD: name = 'other'", "its METHOD is called 'other'"),
    ],
)
def test_a_broken_package_is_one_line(installed: Path, command: Command, source: str, says: str) -> None:
    install(installed, "shattered", source)
    listed = command("models")
    assert listed.code == 0 and "geometric" in listed.out
    (note,) = [line for line in listed.out.splitlines() if line.startswith("NOTE")]
    assert "'shattered' of the package shattered" in note and says in note
    unknown = command("train", "nothing")
    assert unknown.code == 2 and says in unknown.err and len(unknown.err.strip().splitlines()) == 1
    assert command("evaluate", "-m", "geometric", "-d", "toyboxes:test", "--limit", 1).code == 0


def test_the_contract_is_one_command(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = (EXAMPLE / "heights.py").read_text(encoding="utf-8")
    install(installed, "heights", source)
    assert contract_on([]) == contract_on(["heights"]) == 0
    out = capsys.readouterr().out
    assert out.count("holds (") == 2 * 14 and out.count("14 of 14 checks hold") == 2


def test_a_broken_contract_is_said_in_a_line(
    installed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (EXAMPLE / "heights.py").read_text(encoding="utf-8")
    install(installed, "heights", source.replace("semantic_loss(", "nn.functional.cross_entropy("))
    assert contract_on(["heights"]) == 1
    said = capsys.readouterr()
    assert "heights: losses ignore what has no label: " in said.out and "13 of 14 checks hold" in said.out


def test_what_has_no_contract_is_one_line(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, says in (
        ([], "no installed package announces a method"),
        (["nothing"], "no method 'nothing'"),
        (["geometric"], "geometric: its module has neither CASE nor CASES"),
    ):
        assert contract_on(words) == 2
        said = capsys.readouterr()
        assert says in said.err and len(said.err.splitlines()) == 1 and not said.out


def test_names_of_ours_stay_ours(installed: Path, command: Command) -> None:
    install(installed, "usurper", "raise RuntimeError", method="geometric")
    from gestalt3d.methods import method_class

    assert method_class("geometric").__module__ == "gestalt3d.methods.geometric"


def test_nothing_is_read_for_what_is_known(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gestalt3d.methods import method_class
    from gestalt3d.recipes import recipe

    def read(**_: object) -> None:
        raise AssertionError("entry points were read")

    monkeypatch.setattr(plugins, "entry_points", read)
    assert method_class("geometric").name == "geometric" and recipe("asis-rooms").method == "asis"

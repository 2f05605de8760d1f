"""Methods from elsewhere: an installed package, through the command line; broken ones."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gestalt3d import plugins
from gestalt3d.testing.__main__ import main as contract_on
from tests.command import Command
from tests.scenes import save_folder

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
    """What an installer makes of a package of one module."""
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

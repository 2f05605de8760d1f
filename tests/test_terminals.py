"""Terminals, pipes and locales as they are elsewhere: old code pages, closed streams, odd names, no docstrings."""

import ast
import io
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from gestalt3d.cli import main
from gestalt3d.cli.verbs import VERBS
from gestalt3d.io import load_instances, save_cloud
from gestalt3d.io.names import readable
from gestalt3d.terminal import say
from tests.command import Command
from tests.scenes import tiny_scan

ROOT = Path(__file__).parents[1]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def segment(folder: Path, *words: object) -> list[str]:
    """Words of a quick `segment` of what is in `folder` into its `out`."""
    quick = ("-m", "geometric", "-o", folder / "out", "--no-picture", *words)
    return [str(word) for word in ("segment", folder, *quick)]


# --- encodings of the terminal ---


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "cp850", "utf-8"])
@pytest.mark.parametrize("words", [(), ("segment", "--help"), ("train", "mtml-rooms", "--help")], ids=str)
def test_help_is_shown_on_every_terminal(
    monkeypatch: pytest.MonkeyPatch, encoding: str, words: tuple[str, ...]
) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding=encoding))
    with pytest.raises(SystemExit) if words else nullcontext():
        main(list(words))
    text = shown.getvalue().decode(encoding)
    assert len(text) > 500 and "?" not in text
    if words[:1] == ("segment",):
        assert ("--classes CLASS…" if encoding == "utf-8" else "--classes CLASS...") in " ".join(text.split())


@pytest.mark.parametrize("encoding", ["ascii", "cp437"])
def test_help_is_shown_where_python_is_told_the_encoding(encoding: str) -> None:
    words = [sys.executable, "-m", "gestalt3d", "segment", "--help"]
    done = subprocess.run(words, capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert done.returncode == 0 and not done.stderr and b"--classes CLASS..." in done.stdout


def test_characters_that_a_terminal_lacks_become_the_like_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    say("3³ voxels, 1–2 … Größe")
    assert shown.getvalue() == b"3^3 voxels, 1-2 ... Gr??e\n"


# --- closed streams ---


def nobody_reads() -> int:
    """The writing end of a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def test_a_reader_that_goes_away_does_not_end_the_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("a.ply", "b.ply"):
        save_cloud(tmp_path / name, tiny_scan(points=500).input)
    monkeypatch.setattr(sys, "stdout", os.fdopen(nobody_reads(), "w", encoding="utf-8"))
    main(segment(tmp_path, "--no-page", "--json", tmp_path / "report.json"))
    assert {p.name for p in (tmp_path / "out").glob("*.npz")} == {"a.instances.npz", "b.instances.npz"}
    assert len(json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["files"]) == 2


def test_closed_streams_do_not_end_the_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save_cloud(tmp_path / "a.ply", tiny_scan(points=500).input)
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    main(segment(tmp_path, "--no-page"))
    assert (tmp_path / "out" / "a.instances.npz").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_output_lost_to_a_full_disk_is_told_after_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    save_cloud(tmp_path / "a.ply", tiny_scan(points=500).input)
    monkeypatch.setattr(sys, "stdout", Path("/dev/full").open("w", encoding="utf-8"))  # noqa: SIM115
    with pytest.raises(SystemExit) as end:
        main(segment(tmp_path, "--no-page"))
    assert end.value.code == 2 and (tmp_path / "out" / "a.instances.npz").exists()
    assert "stdout: No space left" in capsys.readouterr().err


@pytest.mark.parametrize("buffering", [1, -1])
def test_help_cut_short_by_head_is_no_error(
    command: Command, monkeypatch: pytest.MonkeyPatch, buffering: int
) -> None:
    monkeypatch.setattr(sys, "stdout", os.fdopen(nobody_reads(), "w", buffering, encoding="utf-8"))
    answer = command("segment", "--help")
    assert answer.code == 0 and not answer.err
    sys.stdout.close()  # as at the end of the process: nothing is left that could fail


# --- names of files ---


def test_bytes_of_a_name_are_read_as_utf8_whatever_the_locale() -> None:
    assert readable("Gr\udcc3\udcb6\udcc3\udc9fe.ply") == "Größe.ply" == readable("Größe.ply")
    assert readable("caf\udce9.ply") == "caf\ufffd.ply" and readable("\ud83d") == "?"


def odd_name(folder: Path) -> Path:
    """A scan whose name is Latin-1, in bytes that are no UTF-8."""
    try:
        path = folder / os.fsdecode(b"caf\xe9.ply")
        save_cloud(path, tiny_scan(points=500).input)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes UTF-8 names only")
    return path


def test_a_name_that_is_no_utf8_gets_every_result(command: Command, tmp_path: Path) -> None:
    path = odd_name(tmp_path)
    save_cloud(tmp_path / "z.ply", tiny_scan(points=500).input)
    words = segment(tmp_path, "--objects", "--json", tmp_path / "report.json")
    answer = command(*(word for word in words if word != "--no-picture"))
    assert answer.code == 0, answer.err
    stem = path.stem
    kinds = ["html", "instances.json", "instances.npz", "instances.ply", "objects", "png"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {f"{s}.{k}" for s in (stem, "z") for k in kinds}
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert os.fsencode(report["files"][0]["file"]) == os.fsencode(path)  # nothing of the name is lost
    page = (tmp_path / "out" / f"{stem}.html").read_text(encoding="utf-8")
    assert "<title>caf\ufffd" in page
    assert load_instances(tmp_path / "out" / f"{stem}.instances.npz")[0].masks.size == 500


@pytest.mark.skipif(sys.platform != "linux", reason="names are text on this system")
def test_any_name_works_in_an_ascii_locale(tmp_path: Path) -> None:
    save_cloud(tmp_path / "Größe.ply", tiny_scan(points=500).input)
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "gestalt3d", *segment(tmp_path)],
        capture_output=True,
        env=os.environ | ascii_only,
    )
    assert done.returncode == 0, done.stderr
    assert b"Gr??e.ply: 500 points" in done.stdout
    page = (tmp_path / "out" / "Größe.html").read_text(encoding="utf-8")
    assert "<title>Größe" in page


# --- what else an installation may be like ---

WITHOUT_DOCSTRINGS = """
import sys
from gestalt3d.cli import main
from gestalt3d.cli.verbs import VERBS
assert False, "asserts are dropped, too"
light = [[], *([verb, "--help"] for verb in VERBS if verb != "train")]
heavy = [["train"], ["train", "asis-rooms", "--help"], ["models"], ["reproduce"], ["bench"], sys.argv[1:]]
for words in heavy if sys.argv[1:] else light:
    try:
        main(words)
    except SystemExit as end:
        if end.code:
            sys.exit(f"{words}: {end.code}")
"""


def without_docstrings(*words: str) -> str:
    run = [sys.executable, "-OO", "-c", WITHOUT_DOCSTRINGS, *words]
    done = subprocess.run(run, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_verb_has_its_help_without_docstrings() -> None:
    shown = without_docstrings()
    assert all(f"  {verb}" in shown for verb in VERBS)
    assert all(VERBS[verb].examples[0] in shown for verb in VERBS if verb != "train")


@pytest.mark.slow  # Python compiles torch anew for -OO
def test_scans_are_segmented_without_docstrings(tmp_path: Path) -> None:
    save_cloud(tmp_path / "a.ply", tiny_scan(points=500).input)
    assert "asis-rooms" in without_docstrings(*segment(tmp_path, "--no-page"))
    assert (tmp_path / "out" / "a.instances.npz").exists()


def unnamed_encodings(file: Path) -> list[str]:
    """Places where a text file is opened in whatever encoding the system prefers."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        is_text = name.endswith((".read_text", ".write_text", "TextIOWrapper", ".fdopen"))
        if (name == "open" or name.endswith((".open", ".fdopen"))) and name not in NO_FILES:
            modes = [
                a.value
                for a in (*node.args, *(k.value for k in node.keywords))
                if isinstance(a, ast.Constant)
            ]
            is_text = not any(isinstance(mode, str) and "b" in mode for mode in modes)
        if is_text and not any(k.arg == "encoding" for k in node.keywords):
            found.append(f"{file.name}:{node.lineno}: {ast.unparse(node)[:60]}")
    return found


NO_FILES = {"os.open", "Image.open", "webbrowser.open", "laspy.open", "archive.open"}


@pytest.mark.parametrize("folder", ["gestalt3d", "examples", "benchmarks"])
def test_every_text_file_is_read_and_written_in_a_named_encoding(folder: str) -> None:
    places = [place for file in sorted((ROOT / folder).rglob("*.py")) for place in unnamed_encodings(file)]
    assert not places


def test_the_check_of_encodings_sees_what_it_looks_for(tmp_path: Path) -> None:
    lines = ["p.read_text()", "p.open()", "open(p, 'w')", "TextIOWrapper(f)", "p.open('rb')", "os.open(p, 0)"]
    (tmp_path / "a.py").write_text("\n".join([*lines, "p.read_text(encoding='utf-8')"]), encoding="utf-8")
    assert [int(place.split(":")[1]) for place in unnamed_encodings(tmp_path / "a.py")] == [1, 2, 3, 4]

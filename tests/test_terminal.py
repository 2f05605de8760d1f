"""How far a long job is, in a log and on a terminal."""

import io
import re
import sys
import time

import pytest

from gestalt3d import stages, terminal
from gestalt3d.terminal import Progress
from tests.command import Command


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch):
    """Lines come after a twentieth of a second instead of ten seconds."""
    waits = terminal.threading.Event.wait
    monkeypatch.setattr(terminal.threading.Event, "wait", lambda self, seconds=None: waits(self, 0.01))

    def make() -> Progress:
        progress = Progress()
        progress._pause = 0.05
        return progress

    return make


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, work) -> str:
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Progress() as progress:
        work(progress)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.getvalue())


def test_a_log_hears_of_a_stage_that_says_nothing_itself(hasty, capsys) -> None:
    with hasty() as progress:
        progress.begin("scan.ply")
        progress("superpoints", 0, 0)
        time.sleep(0.2)
    assert re.search(r"^scan\.ply: superpoints: \d+ s so far$", capsys.readouterr().err, re.M)


def test_a_log_hears_how_long_counted_steps_will_take(hasty, capsys) -> None:
    with hasty() as progress:
        progress.begin("scan.ply")
        progress("blocks", 0, 4)
        progress("blocks", 1, 4, "a note")
        progress._began -= 20
        time.sleep(0.2)
    assert re.search(r"^scan\.ply: blocks: 1 of 4, about 6\d s left  a note$", capsys.readouterr().err, re.M)


@pytest.mark.parametrize(("seconds", "lines"), [(9.0, 0), (11.0, 1)])
def test_a_log_hears_of_a_job_after_ten_seconds(capsys, seconds: float, lines: int) -> None:
    progress = Progress()
    progress.begin("scan.ply")
    progress("read", 0, 0)
    progress._began = progress._said = time.monotonic() - seconds
    progress._say_now_and_then()
    assert capsys.readouterr().err.count("scan.ply: read: 11 s so far\n") == lines


def test_what_a_command_says_of_its_progress_is_no_answer_of_it(hasty, monkeypatch, capsys) -> None:
    """However slow the machine is, tests of what `Command` returns see the same lines."""

    def slow(words: list[str]) -> None:
        with Progress() as progress:
            progress.begin("scan.ply")
            progress._said = time.monotonic() - 3600
            time.sleep(0.1)
            terminal.complain("the answer")

    monkeypatch.setattr("tests.command.main", slow)
    assert Command(capsys)().err == "the answer\n"


def test_time_so_far_is_not_called_time_left_on_a_terminal(monkeypatch) -> None:
    def work(progress: Progress) -> None:
        progress.begin("scan.ply")
        progress("superpoints", 0, 0)
        progress._began -= 47
        assert progress._bar is not None
        progress._bar.refresh()

    shown = on_a_terminal(monkeypatch, work)
    assert "scan.ply: superpoints" in shown and "47 s so far" in shown
    assert "left" not in shown and "?" not in shown


def test_a_terminal_shows_the_time_left_where_steps_are_counted(monkeypatch) -> None:
    def work(progress: Progress) -> None:
        progress("network", 0, 10)
        progress._began -= 30
        progress("network", 2.5, 10)
        assert progress._bar is not None
        progress._bar.refresh()

    assert re.search(r"25 %, about 9\d s left", on_a_terminal(monkeypatch, work))


@pytest.mark.parametrize(("kept", "words"), [(True, "once"), (False, "NUMBA_CACHE_DIR")])
def test_compiling_is_said_once(capsys, kept: bool, words: str) -> None:
    with Progress():
        stages.compiling(kept=kept)
        stages.compiling(kept=kept)
    said = capsys.readouterr().err
    assert said.count("compiling kernels") == 1 and words in said
    stages.compiling(kept=kept)
    assert "compiling" not in capsys.readouterr().err, "nobody listens any more"

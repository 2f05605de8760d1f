"""Tables, and how far a long job is, in a log and on a terminal."""

import io
import math
import re
import sys
import time

import pytest
from rich.cells import cell_len

from gestalt3d import stages, terminal
from gestalt3d.terminal import Progress, table
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


# --- tables ---

FIGURES = {
    "mCov": 61.234,
    "mWCov": None,
    "mPrec": 55.1,
    "true instances": 1234,
    "AP50": math.nan,
    "AP25": 99.9,
}
SCANS = [{"scan": name, **FIGURES} for name in ("Area_5_conferenceRoom_1", "± sd over … and poses", "x")]


def shown(monkeypatch: pytest.MonkeyPatch, encoding: str = "utf-8", columns: int | None = None) -> list[str]:
    """Lines of a table without its title, on a terminal of so many columns or, with none, in a pipe."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    if columns is not None:
        monkeypatch.setattr(stream, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "stdout", stream)
    table("title", SCANS)
    title, *lines = raw.getvalue().decode(encoding).splitlines()
    assert title in ("title", "\033[1mtitle\033[0m")
    return [re.sub("\033\\[[01]m", "", line) for line in lines]


def test_a_table_lines_up(capsys: pytest.CaptureFixture[str]) -> None:
    table("how well", [{"class": "chair", "AP": 33.333, "n": 1012}, {"class": "bathtub", "AP": None, "n": 0}])
    assert capsys.readouterr().out.splitlines() == [
        "how well",
        "class      AP      n",
        "────────────────────",
        "chair    33.3  1,012",
        "bathtub     –      0",
    ]
    table("nothing", [])
    assert capsys.readouterr().out.split() == ["nothing"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "utf-8"])
def test_columns_line_up_in_every_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    lines = shown(monkeypatch, encoding)
    assert len(lines) == 5 and len({len(line) for line in lines}) == 1
    assert "?" not in "".join(lines) and all("1,234" in line for line in lines[2:])


def test_characters_of_double_width_count_twice(capsys: pytest.CaptureFixture[str]) -> None:
    table("", [{"scan": "部屋", "AP": 1.0}, {"scan": "hall", "AP": 1.0}])
    assert len({cell_len(line) for line in capsys.readouterr().out.splitlines()}) == 1


def test_names_and_headings_fold_on_a_narrow_terminal_and_figures_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wide = shown(monkeypatch, columns=200)
    assert wide == shown(monkeypatch)
    lines = shown(monkeypatch, columns=60)
    assert max(map(len, lines)) == 60 < len(wide[0])
    assert "true" in lines[0] and "instances" in lines[1]
    assert sum("61.2      –   55.1" in line and "1,234" in line for line in lines) == len(SCANS)
    pieces = [line[:20].split()[0] for line in lines[3:5]]
    assert "".join(pieces) == "Area_5_conferenceRoom_1"


@pytest.mark.parametrize("columns", range(5, 85, 5))
def test_no_figure_is_cut_on_any_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    words = " ".join(shown(monkeypatch, columns=columns)).split()
    for word in ("61.2", "55.1", "1,234", "99.9"):
        assert words.count(word) == len(SCANS)


def test_a_table_in_a_pipe_has_one_line_a_row_and_no_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("FORCE_COLOR", "1")
    lines = shown(monkeypatch)
    assert len(lines) == 2 + len(SCANS) and lines[2].startswith("Area_5_conferenceRoom_1  61.2")

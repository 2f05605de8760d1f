"""What the command line shows: lines, tables, and how far a long job is."""

import codecs
import contextlib
import errno
import io
import math
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gestalt3d.io.names import readable
from gestalt3d.stages import when_compiling

_PLAIN = {
    "…": "...",
    "³": "^3",
    "–": "-",
    "—": "-",
    "─": "-",
    "·": "|",
    "×": "x",
    "±": "+-",
    "→": "->",
    "≥": ">=",
    "≤": "<=",
}


def _plainer(error: UnicodeError) -> tuple[str, int]:
    """For characters that a terminal's encoding lacks: the like of them in ASCII, else a question mark."""
    assert isinstance(error, UnicodeEncodeError)
    wanted = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c, "?") for c in wanted), error.end


codecs.register_error("gestalt3d.plainer", _plainer)


@contextlib.contextmanager
def streams() -> Iterator[None]:
    """While it lasts, any text can be written to stdout and stderr, whatever their encoding and even where they are closed.

    A reader that goes away, such as `| head -1`, does not end the work. Where stdout fails otherwise, say on a full
    disk, that is told at the end, and the exit code is 2.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by `>&-`; the number must not go to the next file opened
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        with contextlib.suppress(AttributeError):
            getattr(sys, name).reconfigure(errors="gestalt3d.plainer")
    _lost.clear()
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            _attempt(stream, stream.flush)
    if _lost:
        complain(f"gestalt3d: stdout: {_lost[0].strerror}; the work is finished, what it said is lost")
        sys.exit(2)


_lost: list[OSError] = []


def say(text: str = "") -> None:
    """A line on stdout."""
    _write(sys.stdout, text)


def complain(text: str) -> None:
    """A line on stderr."""
    _write(sys.stderr, text)


def _write(stream: Any, text: str) -> None:
    line = _as_shown(text, stream) + "\n"
    _attempt(stream, lambda: (stream.write(line), stream.flush()))


def _as_shown(text: str, stream: Any) -> str:
    """In the characters that the stream's encoding has."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return readable(text).encode(encoding, "gestalt3d.plainer").decode(encoding)


def _attempt(stream: Any, write: Any) -> None:
    """Write; when nobody reads any more, let all further output go nowhere."""
    try:
        write()
    except OSError as problem:
        # Windows says EINVAL of a pipe that nobody reads.
        if stream is sys.stdout and problem.errno not in (errno.EPIPE, errno.EINVAL):
            _lost.append(problem)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def table(title: str, rows: Sequence[dict[str, Any]], *, digits: int = 1) -> None:
    """Rows as columns under a title; floats get `digits` decimals, counts separators, undefined is a dash.

    On a terminal narrower than the table headings and the first column go over several lines. Figures stay whole, also where
    that makes lines too long for it, and so does everything in a file or a pipe.
    """
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    columns = list(dict.fromkeys(name for row in rows for name in row))
    # Aligned as they will be seen: what replaces a character may be wider.
    heads = [_as_shown(name, sys.stdout) for name in columns]
    cells = [[_as_shown(_cell(row.get(name), digits), sys.stdout) for name in columns] for row in rows]
    shown = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    least = 0
    for i, head in enumerate(heads):
        whole = max(map(cell_len, ["", *head.split(), *(row[i] for row in cells)]))
        least += (needed := whole if i else min(whole, _LEAST_NAME)) + 2
        shown.add_column(Text(head), justify="right" if i else "left", overflow="fold", min_width=needed)
    for row in cells:
        shown.add_row(*map(Text, row))
    edge = shutil.get_terminal_size().columns if sys.stdout.isatty() else _NO_EDGE
    text = io.StringIO()
    Console(
        file=text,
        width=max(edge, least),  # of a smaller width rich drops columns
        color_system=None,
        force_terminal=False,
        force_jupyter=False,
        legacy_windows=False,
    ).print(shown, crop=False)
    lines = [line.rstrip() for line in text.getvalue().rstrip("\n").split("\n")]
    rule = next(i for i, line in enumerate(lines) if line and not line.strip("─")) if rows else 0
    say("\n".join([*map(bold, filter(None, (title, *lines[:rule]))), *lines[rule:]]))


_LEAST_NAME = 12
"""Columns of a terminal that names in a table's first column get, if they need them, however narrow it is."""

_NO_EDGE = 10_000
"""Columns of a file or a pipe."""


def _cell(value: Any, digits: int) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_count else str(value)


def bold(text: str) -> str:
    """Bold on a terminal, plain in a file or a pipe or where NO_COLOR is set."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty()
    return text if plain or not text else f"\033[1m{text}\033[0m"


def duration(seconds: float) -> str:
    """`42 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


FIRST_PAUSE = 10.0
"""Seconds until a job tells a log how far it is."""


class Progress:
    """A bar with the time left on a terminal; elsewhere a line after ten seconds and then ever more rarely.

    `begin` names the job, such as a file; calling the object with a stage and its steps moves the bar. Where steps are not
    known, total 0, the time so far is shown. That kernels are being compiled is said once.
    """

    def __init__(self) -> None:
        self._bar = _bar() if sys.stderr.isatty() else None
        self._task: Any = None
        self._job = self._stage = self._note = ""
        self._first = self._done = 0.0
        self._total = 0
        self._began = self._said = time.monotonic()
        self._pause = FIRST_PAUSE
        self._compiling_said = False
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "Progress":
        self._open.enter_context(when_compiling(self._say_compiling))
        if self._bar is not None:
            self._open.enter_context(self._bar)
        else:
            self._open.enter_context(_every_second(self._say_now_and_then))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def begin(self, job: str) -> None:
        self._job, self._stage, self._note = job, "", ""
        self._restart(0, 0)

    def __call__(self, stage: str, done: int | float, total: int, note: str = "") -> None:
        if stage != self._stage or done < self._done or total != self._total:
            self._stage = stage
            self._restart(done, total)
        self._done, self._note = done, note
        if self._bar is not None:
            self._bar.update(self._task, completed=done, note=note)

    def _restart(self, done: int | float, total: int) -> None:
        self._began, self._first, self._done, self._total = time.monotonic(), done, done, total
        if self._bar is None:
            return
        if self._task is not None:
            self._bar.remove_task(self._task)
        # A bar without a total is a moving one: reading and writing do not say how far they are.
        self._task = self._bar.add_task(
            self._name(), total=total or None, completed=done, note="", progress=self
        )

    def _name(self) -> str:
        return ": ".join(filter(None, (self._job, self._stage))) or "working"

    def how_far(self) -> str:
        """`3 of 12, about 40 s left`, or `40 s so far` where no end is known."""
        now = time.monotonic() - self._began
        if not self._total:
            return f"{duration(now)} so far"
        done = f"{self._done:.0f} of {self._total}"
        if self._done != int(self._done):
            done = f"{100 * self._done / self._total:.0f} %"
        if self._done <= self._first:
            return f"{done}, {duration(now)} so far"
        return f"{done}, about {duration(now / (self._done - self._first) * (self._total - self._done))} left"

    def _say_now_and_then(self) -> None:
        if time.monotonic() - self._said > self._pause:
            self._said, self._pause = time.monotonic(), min(self._pause * 1.5, 300.0)
            complain(f"{self._name()}: {self.how_far()}  {self._note}".rstrip())

    def _say_compiling(self, kept: bool) -> None:
        if self._compiling_said:
            return
        self._compiling_said = True
        once = "once: about a minute" if kept else _COMPILED_EACH_TIME
        line = f"compiling kernels, {once}"
        if self._bar is None:
            complain(line)
        else:
            self._bar.console.print(line, markup=False, highlight=False)


_COMPILED_EACH_TIME = (
    "at each start, about a minute, as no folder takes them; set NUMBA_CACHE_DIR to one that can be written"
)


@contextlib.contextmanager
def _every_second(act: Callable[[], None]) -> Iterator[None]:
    """Inside, `act` is called in a thread of its own."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(1.0):
            act()

    thread = threading.Thread(target=run, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, TextColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    class HowFar(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(task.fields["progress"].how_far())

    return Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        HowFar(),
        TextColumn("{task.fields[note]}", markup=False),
        console=Console(stderr=True),
        transient=True,
        # Lines for stdout pass through the bar only where both are the terminal: `> file` must get them.
        redirect_stdout=sys.stdout.isatty(),
    )

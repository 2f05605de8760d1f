"""JSON-lines log of a run, with TensorBoard beside it where the extra is installed."""

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol, runtime_checkable

from gestalt3d.configs import Number

Line = dict[str, Number]
"""Step, seconds, and what is logged by name."""
WATCHED = "watched_"
"""Begins the names of what is no loss and no validation, but what a method watches of itself."""


def read_log(folder: Path) -> list[Line]:
    """The lines of a run's `log.jsonl`, in order; none where there is no file."""
    try:
        lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    rows: list[Line] = []
    for line in lines:
        with suppress(json.JSONDecodeError):  # half written by a run that was killed
            rows.append(json.loads(line))
    return rows


class Log:
    """Appends one JSON object per call to `log.jsonl`. Lines a killed run left half-written are cut off on opening."""

    def __init__(self, folder: Path, *, first_step: int = 0, seconds: float = 0.0):
        """`first_step` and `seconds` are where a resumed run goes on."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "log.jsonl"
        self._keep_before(first_step)
        self._file = self.path.open("a", encoding="utf-8")
        self._board = _tensorboard(folder)
        self._start = time.time() - seconds

    def _keep_before(self, step: int) -> None:
        """A resumed run repeats the steps after its checkpoint: drop their old lines."""
        kept = [row for row in read_log(self.path.parent) if row.get("step", 0) <= step and step > 0]
        self.path.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")

    def write(self, step: int, **values: Number) -> None:
        self._file.write(
            json.dumps({"step": step, "seconds": round(time.time() - self._start, 3), **values}) + "\n"
        )
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


@runtime_checkable
class _Board(Protocol):
    def add_scalar(self, name: str, value: Number, step: int, /) -> None: ...

    def close(self) -> None: ...


def _tensorboard(folder: Path) -> _Board | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))

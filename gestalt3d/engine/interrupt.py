"""Ctrl-C and SIGTERM in a long job: the first asks to stop, the second ends at once."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """`with Interrupt("finishing the step") as interrupt: …` and look at `interrupt.asked` where the job can stop.

    The first Ctrl-C or SIGTERM says so on stderr and sets `asked`; the second raises `KeyboardInterrupt`. Outside the main thread
    signals are left as they are, since Python sets their handlers there only.
    """

    def __init__(self, doing: str) -> None:
        self.asked = False
        self._line = f"\n{doing}; once more ends at once\n".encode()
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        with suppress(OSError):
            os.write(2, self._line)  # not `print`, which the signal may have interrupted


def ignore(_worker: int = 0) -> None:
    """For processes that serve this one and are ended by it: a terminal sends Ctrl-C to them, too."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)

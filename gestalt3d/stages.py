"""Where the time goes, and how far the work is: `with stage("network"): ...` tells whatever `measure()` is listening.

Outside `measure()` a stage costs one context variable look-up, so operators and methods name their stages freely. Inside a
stage, `for view in counted(views): ...` says how many steps there are.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

Progress = Callable[[str, float, int], None]
"""Called with the stage ("proposals: mean shift"), the steps done, which may be a fraction, and all steps; 0 for unknown."""


@dataclass
class Stage:
    """Seconds of a piece of work and, in the order they first ran, of its parts."""

    seconds: float = 0.0
    parts: dict[str, "Stage"] = field(default_factory=dict)

    @property
    def shares(self) -> dict[str, float]:
        """Seconds of each part and, where there are parts, of "other" for what is in none: together `seconds`."""
        own = {name: part.seconds for name, part in self.parts.items()}
        if own:
            own["other"] = own.get("other", 0.0) + max(0.0, self.seconds - sum(own.values()))
        return own

    @property
    def within(self) -> dict[str, float]:
        """Seconds of the innermost stages by their way down, "proposals: mean shift": those of one part add up to its share."""
        found: dict[str, float] = {}
        for name, part in self.parts.items():
            inner = {n: s for n, s in part.shares.items() if not (n in part.parts and part.parts[n].parts)}
            found |= {f"{name}: {n}": s for n, s in (inner | part.within).items()}
        return found

    def __str__(self) -> str:
        """`read 0.1, proposals 12.0 (components 3.0, mean shift 9.0), other 0.2`; a rest that shows as 0.0 is left out."""
        shown = {name: s for name, s in self.shares.items() if name != "other" or s >= 0.05}
        within = {name: str(part) for name, part in self.parts.items() if part.parts}
        return ", ".join(
            f"{n} {s:.1f}" + (f" ({within[n]})" if n in within else "") for n, s in shown.items()
        )


@dataclass
class _Count:
    """A loop whose steps are known."""

    stage: str
    total: int
    done: int = 0


class _Listener:
    """What is open at the moment."""

    def __init__(self, on_progress: Progress | None) -> None:
        self.root = Stage()
        self.stages, self.path = [self.root], ""
        self.counts: list[_Count] = []
        self.on_progress = on_progress
        self.farthest = 0.0

    def tell(self) -> None:
        """The outermost loop counts, with what its inner ones have done of its step; else the stage alone is named."""
        if self.on_progress is None:
            return
        # A loop of one step says nothing of its own.
        outermost = next((count for count in self.counts if count.total > 1), None)
        if outermost is None:
            self.on_progress(self.path, 0.0, 0)
            return
        within = 0.0
        for count in reversed(self.counts):
            within = min(1.0, (count.done + within) / count.total)
        # A step is done when its loop goes on, not when the loops inside it end: never back.
        self.farthest = max(self.farthest, within)
        self.on_progress(outermost.stage, self.farthest * outermost.total, outermost.total)

    def forget_counts(self, kept: int) -> None:
        del self.counts[kept:]
        if not self.counts:
            self.farthest = 0.0


_listener: ContextVar[_Listener | None] = ContextVar("stages", default=None)


@contextmanager
def measure(on_progress: Progress | None = None) -> Iterator[Stage]:
    """Collect the stages of everything called inside: parts of a stage whose seconds are those of the whole body."""
    listener = _Listener(on_progress)
    token = _listener.set(listener)
    start = time.perf_counter()
    try:
        yield listener.root
    finally:
        listener.root.seconds = time.perf_counter() - start
        _listener.reset(token)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Add the wall time of the body to `name`, a part of the stage around it."""
    listener = _listener.get()
    if listener is None:
        yield
        return
    own = listener.stages[-1].parts.setdefault(name, Stage())
    outer, counts = listener.path, len(listener.counts)
    listener.stages.append(own)
    listener.path = f"{outer}: {name}" if outer else name
    listener.tell()
    start = time.perf_counter()
    try:
        yield
    finally:
        own.seconds += time.perf_counter() - start
        listener.stages.pop()
        listener.path = outer
        listener.forget_counts(counts)  # also of loops that an error has left


def counted(steps: Sequence[T], *, more: int = 0) -> Iterator[T]:
    """The steps one by one, saying how many are done; `more` are still to come after the loop.

    Loops inside a step count as its fractions. Stages inside are measured but not named.
    """
    listener = _listener.get()
    if listener is None or not len(steps):
        yield from steps
        return
    depth = len(listener.counts)
    count = _Count(listener.path, len(steps) + more)
    listener.counts.append(count)
    listener.tell()
    for step in steps:
        yield step
        listener.forget_counts(depth + 1)
        count.done += 1
        listener.tell()
    if not more:
        listener.forget_counts(depth)


_on_compiling: list[Callable[[bool], None]] = []


@contextmanager
def when_compiling(tell: Callable[[bool], None]) -> Iterator[None]:
    """Inside, in whatever thread, `tell` is called when a kernel is about to be compiled; True if it will be kept on disk."""
    _on_compiling.append(tell)
    try:
        yield
    finally:
        _on_compiling.remove(tell)


def compiling(*, kept: bool) -> None:
    """Say that a kernel is about to be compiled."""
    for tell in list(_on_compiling):
        tell(kept)

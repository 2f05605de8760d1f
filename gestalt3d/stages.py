"""Where the time goes: `with stage("network"): ...` adds to whatever `measure()` is listening.

Outside `measure()` a stage costs one dictionary-free context variable look-up, so operators and methods name their stages
freely. The same listener carries progress: `progress(done, total)` inside a stage.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

Progress = Callable[[str, int, int], None]


@dataclass
class Stages:
    """Seconds per stage, in the order the stages first ran. Nested stages count in both."""

    seconds: dict[str, float] = field(default_factory=dict)
    on_progress: Progress | None = None
    current: str = ""


_listener: ContextVar[Stages | None] = ContextVar("stages", default=None)


@contextmanager
def measure(on_progress: Progress | None = None) -> Iterator[Stages]:
    """Collect the stages of everything called inside."""
    stages = Stages(on_progress=on_progress)
    token = _listener.set(stages)
    try:
        yield stages
    finally:
        _listener.reset(token)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Add the wall time of the body to `name`."""
    stages = _listener.get()
    if stages is None:
        yield
        return
    outer, stages.current = stages.current, name
    start = time.perf_counter()
    try:
        yield
    finally:
        stages.seconds[name] = stages.seconds.get(name, 0.0) + time.perf_counter() - start
        stages.current = outer


def progress(done: int, total: int) -> None:
    """Say that `done` of `total` steps of the current stage are finished."""
    stages = _listener.get()
    if stages is not None and stages.on_progress is not None:
        stages.on_progress(stages.current, done, total)

"""CPU kernels. Each file has the name of its operator; `kernel` compiles, `parallel` spreads rows over a small thread pool."""

import inspect
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, no_type_check

import numba
import torch
from numba.core import event

from gestalt3d import stages


def kernel(fn: Callable[..., Any] | None = None, *, fastmath: Any = False) -> Any:
    """`njit(nogil=True, cache=True)`, never `parallel=True`: that kills or hangs forked data-loader workers.

    Unwrapped first, because jaxtyping's import hook wraps every function. Without a writable cache folder the kernel is
    compiled in every process instead of failing at import.
    """
    if fn is None:
        return lambda f: kernel(f, fastmath=fastmath)
    plain = inspect.unwrap(fn)
    try:
        return numba.njit(nogil=True, cache=True, fastmath=fastmath)(plain)
    except RuntimeError:
        _kept_nowhere.add(plain)
        return numba.njit(nogil=True, cache=False, fastmath=fastmath)(plain)


_kept_nowhere: set[Callable[..., Any]] = set()
"""Kernels that each process compiles anew."""


class _Announcer(event.Listener):
    """Tells `stages` before one of our kernels is compiled; reading it from the cache is no compiling."""

    def on_start(self, begun: event.Event) -> None:
        assert begun.data is not None
        compiled = begun.data["dispatcher"].py_func
        if compiled.__module__.startswith("gestalt3d."):
            stages.compiling(kept=compiled not in _kept_nowhere)

    def on_end(self, ended: event.Event) -> None:
        pass


event.register("numba:compile", _Announcer())


_pool: tuple[int, int, ThreadPoolExecutor] | None = None
_pool_lock = threading.Lock()
_CHANNELS_AT_ONCE = 32


def _executor(threads: int) -> ThreadPoolExecutor:
    """The process's pool. Keyed by pid: an executor inherited through fork has no threads and would hang."""
    global _pool
    with _pool_lock:
        if _pool is None or _pool[:2] != (os.getpid(), threads):
            _pool = (os.getpid(), threads, _threads_that_share_nothing(threads))
        return _pool[2]


def _threads_that_share_nothing(count: int) -> ThreadPoolExecutor:
    """In each of them torch has one thread: `parallel` runs in place, and products do not depend on the count."""
    all_there = threading.Barrier(count)

    def start() -> None:
        torch.get_num_threads()  # the first look in a thread sets it to what was said anywhere
        torch.set_num_threads(1)
        all_there.wait()

    pool = ThreadPoolExecutor(count, thread_name_prefix="gestalt3d", initializer=start)
    list(pool.map(lambda _: None, range(count)))
    torch.set_num_threads(count)  # what threads to come begin with; they took the last that was said anywhere
    return pool


os.register_at_fork(
    after_in_child=lambda: globals().update(_pool=None, _pool_lock=threading.Lock())
) if hasattr(os, "register_at_fork") else None


def num_threads() -> int:
    """As many as torch may use: one inside a data-loader worker."""
    return max(1, torch.get_num_threads())


def parallel(work: Callable[[int, int], Any], rows: int, *, grain: int = 256) -> None:
    """Call `work(first, last)` on slices of `range(rows)`, on as many threads as torch has; small inputs run in place.

    Slices are fixed by `rows` and the thread count and every row is computed independently, so results do not depend on timing.
    """
    threads = min(num_threads(), rows // max(grain, 1))
    if threads <= 1:
        work(0, rows)
        return
    parts = threads * 4 if rows >= threads * 4 * grain else threads
    edges = [rows * p // parts for p in range(parts + 1)]
    list(_executor(threads).map(work, edges[:-1], edges[1:]))


def parallel_rows(work: Callable[[int, int, int], Any], batch: int, rows: int, *, grain: int = 256) -> None:
    """As `parallel`: call `work(s, first, last)` on slices of the rows of every item `s` of a batch."""
    parallel(lambda first, last: _by_item(work, rows, first, last), batch * rows, grain=grain)


def _by_item(work: Callable[[int, int, int], Any], rows: int, first: int, last: int) -> None:
    for s in range(first // rows, (last - 1) // rows + 1):
        work(s, max(first - s * rows, 0), min(last - s * rows, rows))


def parallel_channels(work: Callable[[int, int, int], Any], batch: int, channels: int) -> None:
    """As `parallel`: call `work(s, first, last)` on the channels of every item `s` of a batch.

    Where there are few items, threads share the channels of each, which leaves the order of sums over rows alone.
    """
    width = channels if batch >= num_threads() else _CHANNELS_AT_ONCE
    slices = -(-channels // width)
    parallel(
        lambda first, last: _by_slice(work, channels, width, slices, first, last), batch * slices, grain=1
    )


def _by_slice(
    work: Callable[[int, int, int], Any], channels: int, width: int, slices: int, first: int, last: int
) -> None:
    for t in range(first, last):
        s, part = divmod(t, slices)
        work(s, part * width, min(channels, part * width + width))


def each_on_one_thread(work: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
    """`work` of every task, begun in their order, several at once but each by itself on one of torch's threads.

    So what a task computes does not depend on how many threads there are, whichever library it asks. As `inference_mode`:
    the threads do not know in which mode the caller is.
    """
    threads, alone = num_threads(), partial(_alone, work)
    return [alone(task) for task in tasks] if threads == 1 else list(_executor(threads).map(alone, tasks))


@no_type_check  # tests look at types wherever a function is called, and tasks are many
def _alone(work: Callable[[Any], Any], task: Any) -> Any:
    with torch.inference_mode():
        return work(task)

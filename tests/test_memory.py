"""Memory goes back to the system where the system lets it."""

import sys
from pathlib import Path

import pytest
import torch

from gestalt3d import memory


def resident() -> int:
    import resource  # there is none on Windows

    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not sys.platform.startswith("linux") or memory._trim() is None, reason="needs glibc")
def test_what_small_arrays_leave_is_given_back() -> None:
    # Freed but for the last, which lies on top of them all: what is below stays with the allocator.
    arrays = [torch.ones(2**14) for _ in range(4000)]
    del arrays[:-1]
    before = resident()
    memory.give_back()
    assert resident() < before - 100e6
    assert len(arrays) == 1


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    memory._trim.cache_clear()
    monkeypatch.setattr(sys, "platform", "win32")
    memory.give_back()
    assert memory._trim() is None
    memory._trim.cache_clear()

"""Shared fixtures. Imports nothing of the package, so that jaxtyping's import hook sees it first."""

import os
import signal
from pathlib import Path

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list[object]) -> None:
    """Workers share the cores: with a thread for every core in every worker each waits, busily, for threads that have no core.

    Said before the workers start, because torch and NumPy look when they are loaded.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // len(specs))))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of golden cases and real samples, named by GESTALT3D_SHARED."""
    folder = os.environ.get("GESTALT3D_SHARED")
    if not folder:
        pytest.skip("GESTALT3D_SHARED names no folder of golden cases and real samples")
    return Path(folder)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """A shell starts what it sends to the background with Ctrl-C ignored, and Python then leaves it so."""
    signal.signal(signal.SIGINT, signal.default_int_handler)

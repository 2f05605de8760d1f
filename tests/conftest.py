"""Shared fixtures. Imports nothing of the package, so that jaxtyping's import hook sees it first."""

import os
import signal
from pathlib import Path

import pytest

# Workers of pytest-xdist share the cores. Before torch is imported: with a thread for every core in every worker, each waits,
# busily, for threads that have no core.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault(
        "OMP_NUM_THREADS", str(max(1, cores // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])))
    )


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

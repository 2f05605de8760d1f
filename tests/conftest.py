"""Shared fixtures. Imports nothing of the package, so that jaxtyping's import hook sees it first."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of golden cases and real samples, named by GESTALT3D_SHARED."""
    folder = os.environ.get("GESTALT3D_SHARED")
    if not folder:
        pytest.skip("GESTALT3D_SHARED names no folder of golden cases and real samples")
    return Path(folder)

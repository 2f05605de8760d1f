"""Where weights come from: what a training or an average writes into its file, so that it can be done again."""

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import gestalt3d


def origin_of_training(*, seed: int, inits: Sequence[tuple[str, Path]], processes: int) -> dict[str, Any]:
    """Commit, versions, seed and processes, and of each initial weight file its name as given and its SHA-256."""
    return {
        **_here(),
        "torch": torch.__version__,
        "seed": seed,
        "processes": processes,
        "init": [{"name": name, "sha256": sha256(file)} for name, file in inits],
    }


def resumed(origin: dict[str, Any] | None) -> dict[str, Any] | None:
    """The origin of a training that goes on now; other code than that it began with is listed under "resumed"."""
    if origin is None:
        return None
    commits = [origin.get("commit"), *origin.get("resumed", [])]
    if (now := commit()) == commits[-1]:
        return origin
    return {**origin, "resumed": [*commits[1:], now]}


def origin_of_average(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Commit, version and the averaged files."""
    return {**_here(), "average": parts}


def _here() -> dict[str, Any]:
    return {"commit": commit(), "version": gestalt3d.__version__}


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def commit() -> str | None:
    """The checkout's commit, with + for uncommitted changes; None for an installed package, whose version says enough."""
    try:
        _git(
            "ls-files", "--error-unmatch", Path(__file__).name
        )  # in another project's checkout this file is unknown
        changed = "+" if _git("status", "--porcelain", "-uno") else ""
        return _git("rev-parse", "--short=12", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*words: str) -> str:
    here = Path(__file__).parent
    return subprocess.run(
        ["git", *words], cwd=here, capture_output=True, text=True, check=True
    ).stdout.strip()

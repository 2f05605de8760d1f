"""Where weights come from: what a training or an average writes into its file, so that it can be done again."""

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

import torch

import gestalt3d
from gestalt3d.configs import Json


def origin_of_training(*, seed: int, inits: Sequence[tuple[str, Path]], processes: int) -> dict[str, Json]:
    """Commit, versions, seed and processes, and of each initial weight file its name as given and its SHA-256."""
    return {
        **_here(),
        "torch": torch.__version__,
        "seed": seed,
        "processes": processes,
        "init": [{"name": name, "sha256": sha256(file)} for name, file in inits],
    }


def resumed(origin: dict[str, Json]) -> dict[str, Json]:
    """The origin of a training that goes on now; other code than that it began with is listed under "resumed"."""
    before = origin.get("resumed")
    commits = [origin.get("commit"), *(before if isinstance(before, list) else [])]
    if (now := commit()) == commits[-1]:
        return origin
    return {**origin, "resumed": [*commits[1:], now]}


def origin_of_average(parts: list[Json]) -> dict[str, Json]:
    """Commit, version and the averaged files."""
    return {**_here(), "average": parts}


def _here() -> dict[str, Json]:
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

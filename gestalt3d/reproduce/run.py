"""One row of a table trained with one seed: its training, its figures, and the file that keeps them."""

import json
import platform
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import gestalt3d
from gestalt3d.errors import UserError
from gestalt3d.reproduce.table import Budget, Progress, Row, Table

# What fields were called when all scans were rooms.
_FORMER = {"train_rooms": "train_scans", "test_rooms": "test_scans"}


class Run(NamedTuple):
    """One row trained with one seed."""

    row: str
    seed: int
    steps: int
    """0 where nothing is trained."""
    train_scans: int
    test_scans: int
    commit: str
    device: str
    seconds: float
    """Of training."""
    figures: dict[str, Any]
    times: dict[str, float]
    """Milliseconds per block; empty where they were not taken."""


def one_run(
    table: Table, row: Row, seed: int, folder: Path, budget: Budget, device: str, say: Progress
) -> Run:
    """A run, from its file in `folder` where it is finished."""
    from gestalt3d.data import open_data
    from gestalt3d.engine.model import load
    from gestalt3d.metrics.report import write_json

    file = folder / f"{row.key}-seed{seed}.json"
    run = read(file) if file.exists() else None
    if run is None or (table.times and not run.times):
        weights, reached = row.untrained or row.weights or "", {"step": 0, "seconds": 0.0}
        if not weights:
            weights, reached = _trained(table, row, seed, folder / file.stem, budget, device, say)
        model = load(weights, device=device).with_seed(seed)  # for methods without training, too
        if row.adjust is not None:
            row.adjust(model)
        if run is None:
            scans = open_data(table.setting.data, vocabulary=model.vocabulary, limit=budget.test)
            figures = table.setting.measure(model, scans, say)
            run = Run(
                row.key, seed, reached["step"], budget.train, budget.test, _commit(), _device(device),
                reached["seconds"], figures, {},
            )  # fmt: skip
        if table.times is not None and hasattr(model.method, "group"):
            run = run._replace(times=table.times(model))
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, run._asdict())
    return run


def read(file: Path) -> Run:
    try:
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return Run(**{_FORMER.get(name, name): value for name, value in kept.items()})
    except (ValueError, TypeError, AttributeError) as problem:
        raise UserError(f"{file}: not the result of a run ({problem}); delete it to make it again") from None


def _trained(
    table: Table, row: Row, seed: int, folder: Path, budget: Budget, device: str, say: Progress
) -> tuple[str, dict[str, Any]]:
    """The weight file of a run, trained or trained on as far as needed, and how far and how long that was."""
    from gestalt3d.engine import checkpoint
    from gestalt3d.engine.train import train

    last = folder / f"last{checkpoint.SUFFIX}"
    recipe = replace(table.setting.recipe(row.key, budget.steps, seed), count=budget.train)
    report = lambda step, steps, _terms: say(f"train {row.key} seed {seed}", step, steps)  # noqa: E731
    if _reached(last)["step"] < recipe.optim.steps:
        train(recipe, folder, init=row.init, resume=last.exists(), device=device, report=report)
    return str(last), _reached(last)


def _reached(last: Path) -> dict[str, Any]:
    from gestalt3d.engine import checkpoint

    return checkpoint.read(last).about["run"] if last.exists() else {"step": 0, "seconds": 0.0}


def _device(device: str) -> str:
    import torch

    name = (
        torch.cuda.get_device_name(0)
        if device.startswith("cuda")
        else platform.processor() or platform.machine()
    )
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _commit() -> str:
    """The checkout's commit, with + for uncommitted changes; the version where there is no checkout."""
    try:
        changed = "+" if _git("status", "--porcelain", "-uno") else ""
        return _git("rev-parse", "--short=12", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return gestalt3d.__version__


def _git(*words: str) -> str:
    here = Path(__file__).parent
    return subprocess.run(
        ["git", *words], cwd=here, capture_output=True, text=True, check=True
    ).stdout.strip()

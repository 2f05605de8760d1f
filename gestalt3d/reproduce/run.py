"""One row of a table trained with one seed: its training, its figures, and the file that keeps them."""

import json
import platform
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import gestalt3d
from gestalt3d.errors import UserError
from gestalt3d.reproduce.table import Budget, Row

Progress = Callable[[str, int, int], None]


class Run(NamedTuple):
    """One row trained with one seed."""

    row: str
    seed: int
    steps: int
    train_rooms: int
    test_rooms: int
    commit: str
    device: str
    seconds: float
    """Of training."""
    figures: dict[str, Any]
    times: dict[str, float]
    """Milliseconds per block; empty where they were not taken."""


def one_run(
    row: Row, seed: int, folder: Path, budget: Budget, device: str, timed: bool, say: Progress
) -> Run:
    """A run, from its file in `folder` where it is finished."""
    from gestalt3d.engine.model import load
    from gestalt3d.metrics.report import write_json

    file = folder / f"{row.key}-seed{seed}.json"
    run = read(file) if file.exists() else None
    if run is None or (timed and not run.times):
        weights, seconds = _trained(row, seed, folder / file.stem, budget, device, say)
        model = load(weights, device=device).with_seed(seed)  # for methods without training, too
        if run is None:
            figures = _evaluated(model, budget, say)
            run = Run(
                row.key, seed, budget.steps, budget.train_rooms, budget.test_rooms, _commit(), _device(device), seconds,
                figures, {},
            )  # fmt: skip
        if timed and hasattr(model.method, "group"):
            from gestalt3d.engine.block_times import block_times

            run = run._replace(times=block_times(model))
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, run._asdict())
    return run


def read(file: Path) -> Run:
    try:
        return Run(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as problem:
        raise UserError(f"{file}: not the result of a run ({problem}); delete it to make it again") from None


def _trained(
    row: Row, seed: int, folder: Path, budget: Budget, device: str, say: Progress
) -> tuple[str, float]:
    """The weight file of a run, trained or trained on as far as needed, and the seconds that took."""
    from gestalt3d.engine import checkpoint
    from gestalt3d.engine.train import train
    from gestalt3d.recipes import table_row

    if row.key in checkpoint.UNTRAINED:
        return row.key, 0.0
    last = folder / f"last{checkpoint.SUFFIX}"
    recipe = replace(table_row(row.key, steps=budget.steps, seed=seed), count=budget.train_rooms)
    report = lambda step, steps, _terms: say(f"train {row.key} seed {seed}", step, steps)  # noqa: E731
    if _reached(last)["step"] < budget.steps:
        train(recipe, folder, resume=last.exists(), device=device, report=report)
    return str(last), _reached(last)["seconds"]


def _reached(last: Path) -> dict[str, Any]:
    from gestalt3d.engine import checkpoint

    return checkpoint.read(last).about["run"] if last.exists() else {"step": 0, "seconds": 0.0}


def _evaluated(model: Any, budget: Budget, say: Progress) -> dict[str, Any]:
    """Figures on sampled blocks as in the paper and, named "raw", on the raw points."""
    from gestalt3d.data import open_data
    from gestalt3d.engine.evaluate import add_scan
    from gestalt3d.metrics.evaluator import CloudEvaluator

    scans = open_data("rooms:test", vocabulary=model.vocabulary, limit=budget.test_rooms)
    evaluators = {suffix: CloudEvaluator(model.vocabulary) for suffix in ("", " raw")}
    for i in range(len(scans)):
        say(f"evaluate {scans.names[i]}", i, len(scans))
        scan = scans[i]
        found = model.segment(scan.cloud)
        for suffix, evaluator in evaluators.items():
            add_scan(evaluator, scan, found, sampled_blocks=not suffix)
    flat: dict[str, Any] = {}
    for suffix, evaluator in evaluators.items():
        pooled = evaluator.results()["pooled"]
        flat |= {f"{k}{suffix}": v for k, v in pooled.items() if not isinstance(v, dict)}
        flat |= {
            f"{m} {c}{suffix}": v.get(m) for c, v in pooled["per_class"].items() for m in ("WCov", "IoU")
        }
    return flat


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

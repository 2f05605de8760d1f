"""One row of a table trained with one seed: its training, its figures, and the file that keeps them."""

import json
import platform
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import gestalt3d
from gestalt3d.configs import Json, from_plain, to_plain
from gestalt3d.errors import UserError
from gestalt3d.reproduce.claim import Measured
from gestalt3d.reproduce.table import FORMER, Budget, Progress, Row, Table

if TYPE_CHECKING:
    from gestalt3d.engine import training_state


@dataclass(frozen=True)
class Run:
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
    figures: dict[str, float | None]
    times: dict[str, float]
    """Milliseconds per block; empty where they were not taken."""
    scans: list[str] = field(default_factory=list[str])
    left_out: dict[str, list[float | None]] = field(default_factory=dict[str, list[float | None]])
    """By metric: the figure with each of `scans` left out in turn; none in the files of earlier versions."""
    num_true: dict[str, int] = field(default_factory=dict[str, int])
    """True instances of each class, over all scans."""
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict[str, list[tuple[int, float]]])
    """By name, what the method watched in training: (step, mean of the steps since the one before)."""

    def measured(self) -> Measured:
        """What claims are judged by."""
        figures = self.figures | self.times
        return Measured(
            self.seed, figures, self.left_out, self.scans, self.steps > 0, self.device, self.test_scans
        )


def one_run(
    table: Table, row: Row, seed: int, folder: Path, budget: Budget, device: str, say: Progress
) -> Run:
    """A run, from its file in `folder` where it is finished."""
    from gestalt3d.data import open_data
    from gestalt3d.engine import provenance, training_state
    from gestalt3d.engine.model import load
    from gestalt3d.io.json_files import write_json

    file = folder / f"{row.key}-seed{seed}.json"
    run = read(file) if file.exists() else None
    if run is None or (table.times and not run.times):
        weights, reached = row.untrained or row.weights or "", training_state.Run()
        curves: dict[str, list[tuple[int, float]]] = {}
        if not weights:
            weights, reached = _trained(table, row, seed, folder, budget, device, say)
            curves = _watched(Path(weights).parent)
        model = load(weights, device=device).with_seed(seed)  # for methods without training, too
        if row.adjust is not None:
            model = row.adjust(model)
        if run is None:
            scans = open_data(table.setting.data, vocabulary=model.vocabulary, limit=budget.test)
            figures = table.setting.measure(model, scans, say)
            code = provenance.commit() or gestalt3d.__version__
            run = Run(
                row.key, seed, reached.step, budget.train, budget.test, code, _device(device),
                reached.seconds, figures.values, {}, figures.scans, figures.left_out, figures.num_true,
                curves,
            )  # fmt: skip
        if table.times is not None:
            run = replace(run, times=table.times(model))
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, to_plain(run))
    return run


def read(file: Path) -> Run:
    try:
        kept: Json = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(kept, dict):
            kept = {FORMER.get(name, name): value for name, value in kept.items()}
        return from_plain(Run, kept, "run")
    except ValueError as problem:
        raise UserError(f"{file}: not the result of a run ({problem}); delete it to make it again") from None


def _trained(
    table: Table, row: Row, seed: int, folder: Path, budget: Budget, device: str, say: Progress
) -> "tuple[str, training_state.Run]":
    """The weight file of a run, trained or trained on as far as needed, and how far and how long that was."""
    key = row.trained_as or row.key
    init = row.init
    if row.start is not None:
        init = (*init, _trained_by_key(table, row.start, (), seed, folder, budget, device, say))
    last = _trained_by_key(table, key, init, seed, folder, budget, device, say)
    return last, _reached(Path(last))


def _trained_by_key(
    table: Table,
    key: str,
    init: tuple[str, ...],
    seed: int,
    folder: Path,
    budget: Budget,
    device: str,
    say: Progress,
) -> str:
    from gestalt3d.engine import checkpoint
    from gestalt3d.engine.train import train

    out = folder / f"{key}-seed{seed}"
    last = out / f"last{checkpoint.SUFFIX}"
    recipe = table.setting.recipe(key, budget.steps, seed)
    # A recipe that says how many scans it learns from differs from other rows in just this.
    recipe = replace(recipe, count=budget.train if recipe.count is None else recipe.count, init=init)

    def report(step: int, steps: int, _terms: dict[str, float]) -> None:
        say(f"train {key} seed {seed}", step, steps)

    if _reached(last).step < recipe.optim.steps:
        train(recipe, out, resume=last.exists(), device=device, report=report)
    return str(last)


def _reached(last: Path) -> "training_state.Run":
    from gestalt3d.engine import checkpoint, training_state

    return training_state.run_of(checkpoint.read(last)) if last.exists() else training_state.Run()


def _watched(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves of what a training's log watched."""
    from gestalt3d.engine.log import WATCHED, read_log

    curves: dict[str, list[tuple[int, float]]] = {}
    for line in read_log(folder):
        for name, value in line.items():
            if name.startswith(WATCHED):
                curves.setdefault(name.removeprefix(WATCHED), []).append((int(line["step"]), float(value)))
    return curves


def _device(device: str) -> str:
    import torch

    name = torch.cuda.get_device_name(0) if device.startswith("cuda") else _processor()
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _processor() -> str:
    """Its model's name where the system tells, or times of two machines would look like those of one."""
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        names = [
            line.partition(":")[2].strip()
            for line in cpus.read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ]
        if names:
            return names[0]
    return platform.processor() or platform.machine()

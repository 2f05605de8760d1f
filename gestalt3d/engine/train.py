"""Training: one loop over accelerate, seeded per step, resumable bit for bit.

Every random choice of step `s` comes from generators seeded with (seed, s, slot), so a resumed run needs no generator state:
it continues at the step after its checkpoint with the same batches and the same dropout masks.
"""

import json
import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Never

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn
from torch.optim import Optimizer

from gestalt3d.configs import Number
from gestalt3d.engine import checkpoint, provenance
from gestalt3d.engine.batches import StepBatches, cut
from gestalt3d.engine.curve import save_curve
from gestalt3d.engine.faults import is_out_of_memory
from gestalt3d.engine.initial import file_and_part, initialise
from gestalt3d.engine.interrupt import Interrupt
from gestalt3d.engine.log import WATCHED, Log, read_log
from gestalt3d.engine.precision import usable_precision
from gestalt3d.engine.recipe import Recipe, to_plain
from gestalt3d.engine.schedules import bn_momentum, learning_rate
from gestalt3d.engine.training_set import Say, opened, parted, plan
from gestalt3d.engine.training_state import TrainingState
from gestalt3d.engine.validation import Validation
from gestalt3d.errors import UserError
from gestalt3d.io.atomic import atomic_path
from gestalt3d.methods import method_of
from gestalt3d.methods.method import AnyBatch, Learned, Moment, Predicted, learns
from gestalt3d.nn.norm import batch_norms, set_bn_momentum
from gestalt3d.stages import Progress, measure

Report = Callable[[int, int, dict[str, float]], None]
"""Called after each step with step, steps and the loss terms, means over the last `log_every` steps."""


def train(
    recipe: Recipe,
    out: Path | str,
    *,
    resume: bool = False,
    device: str = "auto",
    report: Report | None = None,
    note: Say | None = None,
    on_progress: Progress | None = None,
    stop_after: int | None = None,
    epochs: Number | None = None,
) -> Path:
    """Train `recipe` into folder `out` and return the file of the final weights (`last.safetensors`).

    `out` receives `recipe.json`, `log.jsonl`, `loss.png`, `last.safetensors` (every `checkpoint_every` steps) and, when the
    recipe validates, `best.safetensors`. `note` is told in words what there is to learn from, which tensors start anew and how
    well it validates, `on_progress` how far blocks are cut that are kept. `stop_after` ends early at that step, for tests and
    budgets; `epochs` sets the recipe's steps to so many passes over the scans. The first Ctrl-C or SIGTERM finishes the step,
    saves and raises `KeyboardInterrupt` with the command that goes on; the second ends at once.
    Raises `UserError` when `out` holds another run, when there is nothing to resume or to learn from, and when the loss is not
    finite.
    """
    _expect_recipe(recipe, stop_after, epochs)
    accelerator, slow = _accelerator(recipe, device)
    last, best = (Path(out) / f"{name}{checkpoint.SUFFIX}" for name in ("last", "best"))
    _expect_place(last, resume=resume)
    main, rank, world = accelerator.is_main_process, accelerator.process_index, accelerator.num_processes
    say = note if note is not None and main else _say_nothing

    scans = opened(recipe)
    _seed(recipe.seed)
    method = method_of(recipe.model).from_config(recipe.model, recipe.vocabulary() or scans.vocabulary)
    if not learns(method):
        raise UserError(f"{recipe.name}: the method {method.name!r} has nothing to train")
    checkpoint.standing(method, device)
    scans, kept = parted(scans, recipe, say, instances=method.finds_instances)
    if not resume:
        taken = initialise(method, recipe.init)
        if recipe.init:
            say(taken)
        if recipe.freeze_bn:
            _expect_trained_norms(method, recipe.name)
    method.fit(scans)  # of these scans, not of those the initial weights saw
    blocks = None
    if recipe.stored_blocks:
        say(f"cutting {len(scans)} scans into blocks, which the cache keeps for the next time")
        with measure(on_progress if main else None):
            blocks = cut(scans, method, recipe, first=rank * len(scans) // world)
        say(f"{len(blocks):,} blocks, of which each epoch sees every one once")
    batches = StepBatches(scans, method, recipe, rank=rank, world=world, blocks=blocks)
    if epochs is not None:
        steps = max(1, round(epochs * batches.epoch))
        batches.recipe = recipe = replace(recipe, optim=replace(recipe.optim, steps=steps))
    say(plan(recipe, batches.epoch, accelerator.device))
    if slow:
        say(slow)

    state, validation = TrainingState.begun(method, recipe.optim), Validation(recipe, kept, say)
    if resume:
        state.restore(last, recipe, say)
    else:
        files = [(name, file_and_part(name)[0]) for name in recipe.init]
        state.run.origin = provenance.origin_of_training(seed=recipe.seed, inits=files, processes=world)
    run, optim = state.run, recipe.optim
    model, optimizer = accelerator.prepare(method, state.optimizer)
    until = min(optim.steps, stop_after or optim.steps)
    log = Log(Path(out), first_step=run.step, seconds=run.seconds) if main else None
    if main:
        _write_recipe(Path(out) / "recipe.json", recipe)

    def keep() -> None:
        if main:
            state.save(last, recipe)
            save_curve(Path(out) / "loss.png", read_log(Path(out)), title=recipe.name)

    started = time.perf_counter() - run.seconds
    recent: deque[dict[str, float]] = deque(maxlen=recipe.log_every)
    with (
        _ended_in_words(last, state),
        _closed(log, accelerator),
        Interrupt("finishing this step, then saving") as interrupt,
    ):
        for step, parts in batches.stream(run.step, until, accelerator.device, interrupt):
            recent.append(_step(accelerator, model, method, optimizer, parts, recipe, step))
            terms = {name: statistics.fmean(one[name] for one in recent) for name in recent[0]}
            if state.average is not None:
                state.average.update(method, step)
            run.step, run.seconds = step + 1, time.perf_counter() - started
            is_last = run.step == until
            logs = run.step % recipe.log_every == 0 or run.step == 1 or is_last
            rate = learning_rate(optim, step)
            if log is not None and logs:
                log.write(run.step, lr=rate, **terms)
            if report is not None and main:
                report(run.step, optim.steps, terms)
            if main and not interrupt.asked and validation.is_due(run.step):
                figures = validation.figures(method, state.weights, run.step, interrupt)
                if log is not None and figures is not None:
                    log.write(run.step, **{f"val_{name}": value for name, value in figures.items()})
                if figures is not None and (score := validation.score(figures)) > run.best:
                    run.best, run.best_step = score, run.step
                    state.save(best, recipe)
            stop = _agreed(accelerator, interrupt.asked)
            if log is not None and stop and not logs:
                log.write(run.step, lr=rate, **terms)
            if run.step % recipe.checkpoint_every == 0 or is_last:
                keep()
            if stop:
                break
        if run.step < until:
            keep()
            raise KeyboardInterrupt(f"stopped after step {run.step:,} of {optim.steps:,} and saved")
    return last


def _step(
    accelerator: Accelerator,
    model: nn.Module,
    method: Learned[Never, AnyBatch, Predicted],
    optimizer: Optimizer,
    parts: Sequence[AnyBatch],
    recipe: Recipe,
    step: int,
) -> dict[str, float]:
    """One optimiser step on the mean gradient of `parts`; returns the mean loss terms, whose sum is the paper's loss, and what
    else the method watches.

    `model` is the method as accelerate runs it.
    """
    _seed(hash((recipe.seed, step, accelerator.process_index)) & 0x7FFFFFFF)  # dropout
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(recipe.optim, step)
    method.train()
    if recipe.freeze_bn:  # as some train after their pre-training
        for norm in batch_norms(method):
            norm.eval()
    set_bn_momentum(method, bn_momentum(recipe.optim, step))
    at = Moment(step, recipe.optim.steps, step * recipe.optim.samples_per_step)
    optimizer.zero_grad(set_to_none=True)
    sums: dict[str, float] = {}
    for batch in parts:
        prediction = model(batch)
        terms = method.losses(prediction, batch, at)
        loss = torch.stack(list(terms.values())).sum()
        if not bool(torch.isfinite(loss)):
            raise UserError(
                f"the loss is {float(loss.detach())} at step {step}; lower --optim.lr or set --optim.precision no"
            )
        accelerator.backward(loss / len(parts))
        with torch.no_grad():
            seen = {f"{WATCHED}{name}": value for name, value in method.watched(prediction, batch).items()}
        for name, term in {"loss": loss, **terms, **seen}.items():
            sums[name] = sums.get(name, 0.0) + float(term.detach()) / len(parts)
    if recipe.optim.clip:
        accelerator.clip_grad_norm_(model.parameters(), recipe.optim.clip)
    optimizer.step()
    return sums


def _seed(seed: int) -> None:
    torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType] torch gives its argument no type


def _agreed(accelerator: Accelerator, asked: bool) -> bool:
    """Whether any of the processes was asked to stop: they stop at the same step."""
    if accelerator.num_processes == 1:
        return asked
    together = accelerator.reduce(torch.tensor([float(asked)], device=accelerator.device), "sum")
    return bool(together.sum() > 0)


@contextmanager
def _ended_in_words(last: Path, state: TrainingState) -> Generator[None]:
    """An interrupt says how to go on, and a lack of memory what to lower."""
    try:
        yield
    except KeyboardInterrupt as problem:
        how = str(problem) or "stopped at once; the last checkpoint is whole"
        go_on = f"gestalt3d train --resume --out {last.parent}"
        raise KeyboardInterrupt(
            f"{how}; go on with: {go_on}" if last.exists() else "stopped; nothing was saved"
        ) from None
    except (MemoryError, RuntimeError) as problem:
        if not is_out_of_memory(problem):
            raise
        raise UserError(
            f"out of memory at step {state.run.step + 1:,}; lower --scans-per-step, or what one scan takes "
            "(--model.blocks.points, --model.training.blocks-per-scan, --model.max-extent), or set --separate-scans"
        ) from None


@contextmanager
def _closed(log: Log | None, accelerator: Accelerator) -> Generator[None]:
    try:
        yield
    finally:
        if log is not None:
            log.close()
        accelerator.end_training()


def _accelerator(recipe: Recipe, device: str) -> tuple[Accelerator, str]:
    """And what there is to say of its precision."""
    # An earlier training in this process may have had another precision, which nothing public forgets.
    AcceleratorState._reset_state()  # pyright: ignore[reportPrivateUsage]
    usable = checkpoint.usable_device(device)
    precision, slow = usable_precision(recipe.optim.precision, usable)
    accelerator = Accelerator(mixed_precision=precision, cpu=usable.type == "cpu")
    if recipe.scans_per_step % accelerator.num_processes:
        raise UserError(
            f"scans_per_step {recipe.scans_per_step} cannot be shared by {accelerator.num_processes} processes"
        )
    return accelerator, slow


def _write_recipe(file: Path, recipe: Recipe) -> None:
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps(to_plain(recipe), indent=2) + "\n", encoding="utf-8")


def _say_nothing(_line: str) -> None:
    pass


def _expect_recipe(recipe: Recipe, stop_after: int | None, epochs: Number | None) -> None:
    # Also for callers who check no types.
    if not isinstance(recipe, Recipe):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"train(recipe, out): wants a recipe, as gestalt3d.recipes.recipe gives it, got {recipe!r:.40}"
        )
    if stop_after is not None and stop_after < 1:
        raise UserError(f"--stop-after {stop_after}: must be at least 1")
    if epochs is not None and not 0 < epochs < math.inf:
        raise UserError(f"--epochs {epochs}: must be above 0")


def _expect_place(last: Path, *, resume: bool) -> None:
    """A new run has a folder of its own, one that goes on has a checkpoint."""
    out = last.parent
    if last.exists() and not resume:
        raise UserError(f"{out}: holds a run already; continue it with --resume or name another --out")
    if resume and not last.exists():
        raise UserError(
            f"{out}: no checkpoint to resume from ({last.name} is missing); start without --resume"
        )


def _expect_trained_norms(method: nn.Module, name: str) -> None:
    """Batch norm that is frozen before it has seen anything divides by 1 for good."""
    for norm in batch_norms(method):
        mean, var = norm.running_mean, norm.running_var
        if mean is not None and var is not None and not bool(mean.any()) and bool((var == 1).all()):
            raise UserError(
                "freeze_bn keeps batch norm as it is, and it was never trained; start from trained weights with --init "
                f"(`gestalt3d train {name} --help` lists the trainings before this one), or let batch norm learn, with "
                "--no-freeze-bn or without --freeze-bn"
            )

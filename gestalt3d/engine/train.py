"""Training: one loop over accelerate, seeded per step, resumable bit for bit.

Every random choice of step `s` comes from generators seeded with (seed, s, slot), so a resumed run needs no generator state:
it continues at the step after its checkpoint with the same batches and the same dropout masks.
"""

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from gestalt3d.configs import Number, from_plain, to_plain
from gestalt3d.data import DataSet, open_data
from gestalt3d.data.augment import augment
from gestalt3d.data.block_store import BlockStore
from gestalt3d.data.part import Part, held_out
from gestalt3d.engine import checkpoint, provenance
from gestalt3d.engine.curve import save_curve
from gestalt3d.engine.evaluate import evaluate
from gestalt3d.engine.faults import is_out_of_memory
from gestalt3d.engine.initial import file_and_part, initialise
from gestalt3d.engine.interrupt import Interrupt, ignore
from gestalt3d.engine.log import Log, read_log
from gestalt3d.engine.model import Model
from gestalt3d.engine.resume import carried_on, expect_same
from gestalt3d.engine.survey import expect_labels, survey
from gestalt3d.errors import UserError
from gestalt3d.methods import method_class
from gestalt3d.methods.method import CutsBlocks, Learned, Moment
from gestalt3d.nn.norm import set_bn_momentum
from gestalt3d.recipes import PLAIN, Optim, Recipe

Report = Callable[[int, int, dict[str, float]], None]
"""Called after each step with step, steps and the loss terms, means over the last `log_every` steps."""


class StepBatches(Dataset):
    """Item `s` is this process's part of step `s`: its scans, augmented and prepared, joined into one batch or a batch each.

    With `blocks` a slot holds the next `blocks_per_scan` of an epoch's blocks instead of random ones of a random scan.
    """

    def __init__(
        self,
        scans: Any,
        method: Any,
        recipe: Recipe,
        *,
        rank: int,
        world: int,
        blocks: BlockStore | None = None,
    ):
        self.scans, self.method, self.recipe, self.rank, self.world = scans, method, recipe, rank, world
        self.blocks = blocks

    @property
    def epoch(self) -> float:
        """Steps that see every block, or as many scans as there are, once."""
        if self.blocks is None:
            return len(self.scans) / self.recipe.scans_per_step
        return len(self.blocks) / (self.recipe.scans_per_step * self.method.blocks_per_sample)

    def __len__(self) -> int:
        return self.recipe.optim.steps

    def __getitem__(self, step: int) -> list[Any]:
        per_process = self.recipe.scans_per_step // self.world
        slots = range(self.rank * per_process, (self.rank + 1) * per_process)
        batches = [self._one(step, slot) for slot in slots]
        return batches if self.recipe.separate_scans else [type(batches[0]).cat(batches)]

    def _one(self, step: int, slot: int) -> Any:
        if self.blocks is not None:
            count = self.method.blocks_per_sample
            first = (step * self.recipe.scans_per_step + slot) * count
            rows = self.blocks.drawn(range(first, first + count), self.recipe.seed)
            return self.method.batch_class(*self.blocks.rows(rows))
        rng = np.random.default_rng([self.recipe.seed, step, slot])
        scan = self.scans[int(rng.integers(len(self.scans)))]
        return self.method.prepare(augment(scan, rng, self.recipe.augment), rng)


class _Averaged:
    """Exponential moving average of the weights (EMA); buffers are copied. Used for evaluation when the recipe asks for it."""

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.tensors = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        # A short memory at first, or the average would start from random weights.
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            mean = self.tensors[name]
            if mean.is_floating_point() and "running_" not in name:
                mean.lerp_(value.detach().to(mean.dtype), 1 - decay)
            else:
                mean.copy_(value)


@dataclass
class _Run:
    """What a checkpoint keeps besides the weights."""

    step: int = 0
    best: float = -math.inf
    seconds: float = 0.0
    best_step: int = 0
    origin: dict[str, Any] | None = None
    """Code, seed and initial weights; None where the checkpoint is older than this."""


def learning_rate(optim: Optim, step: int) -> float:
    """Rate of step `step` (from 0): linear warm-up, then the recipe's schedule, never below its floor."""
    if step < optim.warmup:
        return optim.lr * (step + 1) / optim.warmup
    if optim.schedule == "halving":
        rate = optim.lr * 0.5 ** (step * optim.samples_per_step // optim.halve_every)
    elif optim.schedule == "cosine":
        done = (step - optim.warmup) / max(optim.steps - optim.warmup, 1)
        rate = optim.lr * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    else:
        rate = optim.lr
    return max(rate, optim.lr_floor)


def bn_momentum(optim: Optim, step: int) -> float:
    """Batch norm's share of the new batch: halves with the rate, from `bn_momentum` down to .01 (PointNet's schedule)."""
    halvings = step * optim.samples_per_step // optim.halve_every
    return max(0.01, optim.bn_momentum * 0.5**halvings)


def train(
    recipe: Recipe,
    out: Path | str,
    *,
    resume: bool = False,
    init: str | Sequence[str] = (),
    device: str = "auto",
    report: Report | None = None,
    note: Callable[[str], None] | None = None,
    stop_after: int | None = None,
    epochs: Number | None = None,
) -> Path:
    """Train `recipe` into folder `out` and return the file of the final weights (`last.safetensors`).

    `out` receives `recipe.json`, `log.jsonl`, `loss.png`, `last.safetensors` (every `checkpoint_every` steps) and, when the
    recipe validates, `best.safetensors`. `init` starts from another model's weights, or several's (`initialise`). `note` is told
    in words what there is to learn from, which tensors start anew and how well it validates. `stop_after` ends early at that
    step, for tests and budgets; `epochs` sets the recipe's steps to so many passes over the scans. The first Ctrl-C or SIGTERM
    finishes the step, saves and raises `KeyboardInterrupt` with the command that goes on; the second ends at once.
    Raises `UserError` when `out` holds another run, when there is nothing to resume or to learn from, and when the loss is not
    finite.
    """
    if not isinstance(recipe, Recipe):
        raise TypeError(
            f"train(recipe, out): wants a recipe, as gestalt3d.recipes.recipe gives it, got {recipe!r:.40}"
        )
    out = Path(out)
    if stop_after is not None and stop_after < 1:
        raise UserError(f"--stop-after {stop_after}: must be at least 1")
    if epochs is not None and not 0 < epochs < math.inf:
        raise UserError(f"--epochs {epochs}: must be above 0")
    AcceleratorState._reset_state()  # an earlier training in this process may have had another precision
    accelerator = Accelerator(
        mixed_precision=recipe.optim.precision, cpu=checkpoint.usable_device(device).type == "cpu"
    )
    if recipe.scans_per_step % accelerator.num_processes:
        raise UserError(
            f"scans_per_step {recipe.scans_per_step} cannot be shared by {accelerator.num_processes} processes"
        )
    last = out / f"last{checkpoint.SUFFIX}"
    if last.exists() and not resume:
        raise UserError(f"{out}: holds a run already; continue it with --resume or name another --out")
    if resume and not last.exists():
        raise UserError(
            f"{out}: no checkpoint to resume from ({last.name} is missing); start without --resume"
        )
    main = accelerator.is_main_process
    say = note if note is not None and main else lambda _: None

    opened = _opened(recipe)
    torch.manual_seed(recipe.seed)
    method = method_class(recipe.method).from_config(recipe.model, recipe.vocabulary() or opened.vocabulary)
    if not isinstance(method, Learned):
        raise UserError(f"{recipe.name}: the method {recipe.method!r} has nothing to train")
    scans, kept = _parted(opened, recipe, say, instances=method.finds_instances)
    inits = [init] if isinstance(init, str) else list(init)
    if not resume:
        taken = initialise(method, inits)
        if inits:
            say(taken)
    method.fit(scans)  # of these scans, not of those the initial weights saw
    optimizer = torch.optim.Adam(
        method.parameters(), lr=recipe.optim.lr, weight_decay=recipe.optim.weight_decay
    )
    run, average = _Run(), None
    if not resume:
        run.origin = provenance.origin_of_training(
            seed=recipe.seed,
            inits=[(name, file_and_part(name)[0]) for name in inits],
            processes=accelerator.num_processes,
        )
    if recipe.optim.ema:
        average = _Averaged(method, recipe.optim.ema)
    if recipe.freeze_bn and not resume:
        _expect_trained_norms(method, recipe.name)
    rank, world = accelerator.process_index, accelerator.num_processes
    blocks = _cut(scans, method, recipe, rank, world, note) if recipe.stored_blocks else None
    batches = StepBatches(scans, method, recipe, rank=rank, world=world, blocks=blocks)
    if epochs is not None:
        steps = max(1, round(epochs * batches.epoch))
        batches.recipe = recipe = replace(recipe, optim=replace(recipe.optim, steps=steps))
    say(_plan(recipe, batches.epoch, accelerator.device))
    if resume:
        run = _restore(last, recipe, method, optimizer, average, say)
    model, optimizer = accelerator.prepare(method, optimizer)

    until = min(recipe.optim.steps, stop_after or recipe.optim.steps)
    log = Log(out, first_step=run.step, seconds=run.seconds) if main else None
    save = lambda file: main and _save(file, recipe, accelerator.unwrap_model(model), optimizer, average, run)  # noqa: E731
    if main:
        with checkpoint.atomic_path(out / "recipe.json") as temporary:
            temporary.write_text(checkpoint.json.dumps(to_plain(recipe), indent=2) + "\n", encoding="utf-8")

    def keep() -> None:
        save(last)
        if main:
            save_curve(out / "loss.png", read_log(out), title=recipe.name)

    started = time.perf_counter() - run.seconds
    recent: deque[dict[str, float]] = deque(maxlen=recipe.log_every)
    try:
        with Interrupt("finishing this step, then saving") as interrupt:
            for step, parts in _stream(batches, recipe, run.step, until, accelerator.device, interrupt):
                recent.append(_step(accelerator, model, optimizer, parts, recipe, step))
                terms = {name: statistics.fmean(one[name] for one in recent) for name in recent[0]}
                if average is not None:
                    average.update(accelerator.unwrap_model(model), step)
                run.step, run.seconds = step + 1, time.perf_counter() - started
                is_last = run.step == until
                logs = run.step % recipe.log_every == 0 or run.step == 1 or is_last
                rate = learning_rate(recipe.optim, step)
                if log is not None and logs:
                    log.write(run.step, lr=rate, **terms)
                if report is not None and main:
                    report(run.step, recipe.optim.steps, terms)
                if main and not interrupt.asked and _validates(recipe, kept, run.step):
                    score = _validate(
                        recipe, accelerator.unwrap_model(model), average, kept, log, run, interrupt, say
                    )
                    if score > run.best:
                        run.best, run.best_step = score, run.step
                        save(out / f"best{checkpoint.SUFFIX}")
                stop = _agreed(accelerator, interrupt.asked)
                if log is not None and stop and not logs:
                    log.write(run.step, lr=rate, **terms)
                if run.step % recipe.checkpoint_every == 0 or is_last:
                    keep()
                if stop:
                    break
            if run.step < until:
                keep()
                raise KeyboardInterrupt(
                    f"stopped after step {run.step:,} of {recipe.optim.steps:,} and saved"
                )
    except KeyboardInterrupt as problem:
        how = str(problem) or "stopped at once; the last checkpoint is whole"
        go_on = f"gestalt3d train --resume --out {out}"
        raise KeyboardInterrupt(
            f"{how}; go on with: {go_on}" if last.exists() else "stopped; nothing was saved"
        ) from None
    except (MemoryError, RuntimeError) as problem:
        if not is_out_of_memory(problem):
            raise
        raise UserError(
            f"out of memory at step {run.step + 1:,}; lower --scans-per-step, or what one scan takes (--model.blocks.points, "
            "--model.training.blocks-per-scan, --model.max-extent), or set --separate-scans"
        ) from None
    finally:
        if log is not None:
            log.__exit__(None, None, None)
        accelerator.end_training()
    return last


def _opened(recipe: Recipe) -> DataSet:
    """The recipe's data; `UserError` where some of it cannot be read, now and not in the middle of the training."""
    scans = open_data(
        recipe.data,
        root=recipe.root,
        vocabulary=recipe.vocabulary(),
        limit=recipe.count,
        semantics=recipe.semantics,
    )
    if broken := scans.unreadable:
        raise UserError(next(iter(broken.values())))
    return scans


def _parted(
    scans: DataSet, recipe: Recipe, say: Callable[[str], None], *, instances: bool
) -> tuple[DataSet, DataSet | None]:
    """What to learn from, and what of it was held out to validate on, said in words; `UserError` where nothing is labelled.

    Where `instances` are learnt, what has none is left out.
    """
    without = set(scans.without_instances()) if instances else set()
    if without and (usable := [i for i, name in enumerate(scans.names) if name not in without]):
        say(f"NOTE without instance labels, not learnt from: {', '.join(sorted(without))}")
        scans = Part(scans, usable)
    kept = held_out(len(scans), recipe.hold_out, seed=recipe.seed)
    if recipe.hold_out and not kept:
        say(f"NOTE too few to hold some out of {len(scans)}: nothing is validated")
    rest = [i for i in range(len(scans)) if i not in set(kept)]
    learnt = Part(scans, rest) if kept else scans
    found = survey(learnt, most=3 if recipe.root is None else 50)
    expect_labels(scans, found, instances=instances)
    say(f"learning from {recipe.data}: {found}")
    for line in scans.notes:
        say(f"NOTE {line}")
    if not kept:
        return scans, None
    validated = Part(scans, kept[: recipe.validate_count])
    say(f"held out to validate on: {', '.join(validated.names)}")
    return learnt, validated


def _plan(recipe: Recipe, epoch: float, device: torch.device) -> str:
    """In words how long and on what; `epoch` is the number of steps that see everything once."""
    passes = recipe.optim.steps / epoch
    cores = f", {_several(torch.get_num_threads(), 'thread')}" if device.type == "cpu" else ""
    what = "block" if recipe.stored_blocks else "scan"
    often = (
        f"every {what} about {passes:,.0f} times" if passes >= 1.5 else f"{min(passes, 1):.0%} of the {what}s"
    )
    steps, each = _several(recipe.optim.steps, "step"), _several(recipe.scans_per_step, "scan")
    return f"{steps} of {each}, {often}; on {device}{cores}"


def _several(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _agreed(accelerator: Accelerator, asked: bool) -> bool:
    """Whether any of the processes was asked to stop: they stop at the same step."""
    if accelerator.num_processes == 1:
        return asked
    flag = torch.tensor([float(asked)], device=accelerator.device)
    return bool(accelerator.reduce(flag, "sum").sum() > 0)  # type: ignore[union-attr]


def _validates(recipe: Recipe, kept: DataSet | None, step: int) -> bool:
    """At the end, too, of a recipe that validates at all."""
    apart = not recipe.hold_out and recipe.validate != recipe.data  # figures of scans learnt from say nothing
    can = bool(recipe.validate_every) and (kept is not None or apart)
    return can and (step % recipe.validate_every == 0 or step == recipe.optim.steps)


def _step(
    accelerator: Accelerator, model: Any, optimizer: Any, parts: list[Any], recipe: Recipe, step: int
) -> dict[str, float]:
    """One optimiser step on the mean gradient of `parts`; returns the mean loss terms, whose sum is the paper's loss."""
    torch.manual_seed(hash((recipe.seed, step, accelerator.process_index)) & 0x7FFFFFFF)  # dropout
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(recipe.optim, step)
    method = accelerator.unwrap_model(model)
    method.train()
    if recipe.freeze_bn:
        set_eval(method)
    set_bn_momentum(method, bn_momentum(recipe.optim, step))
    at = Moment(step, recipe.optim.steps, step * recipe.optim.samples_per_step)
    optimizer.zero_grad(set_to_none=True)
    sums: dict[str, float] = {}
    for batch in parts:
        terms = method.losses(model(batch), batch, at)
        loss: Tensor = torch.stack(list(terms.values())).sum()
        if not bool(torch.isfinite(loss)):
            raise UserError(
                f"the loss is {float(loss.detach())} at step {step}; lower --optim.lr or set --optim.precision no"
            )
        accelerator.backward(loss / len(parts))
        for name, term in {"loss": loss, **terms}.items():
            sums[name] = sums.get(name, 0.0) + float(term.detach()) / len(parts)
    if recipe.optim.clip:
        accelerator.clip_grad_norm_(model.parameters(), recipe.optim.clip)
    optimizer.step()
    return sums


def set_eval(module: nn.Module) -> None:
    """Freeze batch norm (SGPN trains so after its pre-training)."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()


def _expect_trained_norms(method: nn.Module, name: str) -> None:
    """Batch norm that is frozen before it has seen anything divides by 1 for good."""
    for norm in method.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.running_mean is not None:
            assert norm.running_var is not None
            if not bool(norm.running_mean.any()) and bool((norm.running_var == 1).all()):
                raise UserError(
                    "freeze_bn keeps batch norm as it is, and it was never trained; start from trained weights with --init "
                    f"(`gestalt3d train {name} --help` lists the trainings before this one), or let batch norm learn, with "
                    "--no-freeze-bn or without --freeze-bn"
                )


def _cut(
    scans: Any, method: Any, recipe: Recipe, rank: int, world: int, note: Callable[[str], None] | None
) -> BlockStore:
    """The blocks of all scans, from the cache or cut now."""
    if not isinstance(method, CutsBlocks):
        raise UserError(f"stored_blocks: the method {recipe.method!r} has no blocks; leave it off")
    if recipe.augment != PLAIN:
        raise UserError(
            "stored_blocks: blocks that are cut once cannot be augmented; train a recipe that augments nothing, such as "
            "asis-s3dis with your own --data and --root, or leave it off"
        )
    if note is not None and rank == 0:
        note(f"cutting {len(scans)} scans into blocks, which the cache keeps for the next time")
    blocks = BlockStore(scans, method.lattice, method.lattice_settings(), first=rank * len(scans) // world)
    if note is not None and rank == 0:
        note(f"{len(blocks):,} blocks, of which each epoch sees every one once")
    return blocks


def _stream(
    batches: StepBatches,
    recipe: Recipe,
    first: int,
    until: int,
    device: torch.device,
    interrupt: Interrupt,
) -> Iterator[tuple[int, list[Any]]]:
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=list(range(first, until)),
        num_workers=recipe.workers,
        prefetch_factor=2 if recipe.workers else None,
        worker_init_fn=ignore,
    )
    given = iter(loader)
    for step in range(first, until):
        try:
            parts = next(given)
        except RuntimeError:
            if interrupt.asked:  # whoever ended this process ended the one that makes its batches, too
                return
            raise
        except UserError as problem:
            # A worker's error arrives with its traceback in the text.
            raise UserError(str(problem).strip().splitlines()[-1].removeprefix(f"{_USER_ERROR}: ")) from None
        yield step, [part.to(device) for part in parts]


_USER_ERROR = f"{UserError.__module__}.{UserError.__qualname__}"


def _save(
    file: Path, recipe: Recipe, method: nn.Module, optimizer: Any, average: _Averaged | None, run: _Run
) -> None:
    tensors = {f"model.{name}": value for name, value in method.state_dict().items()}
    state = getattr(optimizer, "optimizer", optimizer).state_dict()["state"]
    for index, values in state.items():
        tensors |= {f"optim.{index}.{key}": torch.as_tensor(value) for key, value in values.items()}
    if average is not None:
        tensors |= {f"ema.{name}": value for name, value in average.tensors.items()}
    state = to_plain(run)
    origin = state.pop("origin")
    about = checkpoint.describe(method, {"recipe": to_plain(recipe), "run": state, "origin": origin})
    checkpoint.save(file, tensors, about)


def _restore(
    file: Path,
    recipe: Recipe,
    method: nn.Module,
    optimizer: Any,
    average: _Averaged | None,
    say: Callable[[str], None],
) -> _Run:
    stored = checkpoint.read(file)
    theirs = stored.about.get("recipe")
    if not isinstance(theirs, dict) or not isinstance(stored.about.get("run"), dict):
        raise UserError(
            f"{file}: a weight file, not a checkpoint; start from it with --init instead of --resume"
        )
    if stored.renamed:
        raise UserError(
            f"{file}: an earlier version wrote it, in which the parts of the network were in another order, so that its "
            "optimiser's state fits no more; start from its weights with --init and a new --out"
        )
    run = _Run(**stored.about["run"], origin=provenance.resumed(stored.about.get("origin")))
    # Settings that the file is older than have their defaults.
    before = from_plain(Recipe, theirs, str(file))
    expect_same(file, before, recipe)
    say(carried_on(before, recipe, run.step, learning_rate))
    checkpoint.load_into(method, stored, prefix="model.")
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in stored.tensors.items():
        if name.startswith("optim."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    if average is not None:
        average.tensors = {n[4:]: v for n, v in stored.tensors.items() if n.startswith("ema.")}
    return run


class _Stopped(Exception):
    """Asked to stop while validating."""


@torch.no_grad()
def _validate(
    recipe: Recipe,
    method: Any,
    average: _Averaged | None,
    kept: DataSet | None,
    log: Log | None,
    run: _Run,
    interrupt: Interrupt,
    say: Callable[[str], None],
) -> float:
    """The first figure of `validate_by` on the validation scans; -inf where it is undefined or the validation interrupted.

    With the averaged weights where there are any.
    """
    twin = method_class(recipe.method).from_config(recipe.model, method.vocabulary)
    twin.load_state_dict(average.tensors if average is not None else method.state_dict())
    twin = twin.to(next(method.parameters()).device).eval()
    scans = kept or open_data(
        recipe.validate,
        root=recipe.root,
        vocabulary=method.vocabulary,
        limit=recipe.validate_count,
        semantics=recipe.semantics,
    )

    def go_on(*_: object) -> None:
        if interrupt.asked:
            raise _Stopped

    try:
        result = evaluate(Model(recipe.name, twin), scans, report=go_on)["pooled"]
    except _Stopped:
        return -math.inf
    figures = {name: value for name, value in result.items() if isinstance(value, (int, float))}
    if log is not None:
        log.write(run.step, **{f"val_{name}": value for name, value in figures.items()})
    by = recipe.validate_by
    if unknown := [name for name in by if name not in result]:
        raise UserError(f"--validate-by {unknown[0]}: no such figure; there are {', '.join(figures)}")
    shown = [f"{name} {figures[name]:.1f}" for name in by if name in figures]
    say(
        f"step {run.step:,}: on {_several(len(scans), 'validation scan')} {', '.join(shown) or 'nothing is defined'}"
    )
    return float(figures.get(by[0], -math.inf))

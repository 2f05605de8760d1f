"""Training: one loop over accelerate, seeded per step, resumable bit for bit.

Every random choice of step `s` comes from generators seeded with (seed, s, slot), so a resumed run needs no generator state:
it continues at the step after its checkpoint with the same batches and the same dropout masks.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from gestalt3d.configs import from_plain, to_plain
from gestalt3d.data import open_data
from gestalt3d.data.augment import augment
from gestalt3d.data.block_store import BlockStore
from gestalt3d.engine import checkpoint, provenance
from gestalt3d.engine.evaluate import evaluate
from gestalt3d.engine.initial import file_and_part, initialise
from gestalt3d.engine.log import Log
from gestalt3d.engine.model import Model
from gestalt3d.errors import UserError
from gestalt3d.methods import method_class
from gestalt3d.nn.norm import set_bn_momentum
from gestalt3d.recipes import PLAIN, Optim, Recipe

Report = Callable[[int, int, dict[str, float]], None]
"""Called after each step with step, steps and the loss terms."""


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
        return len(self.blocks) / (self.recipe.scans_per_step * self.method.config.blocks_per_scan)

    def __len__(self) -> int:
        return self.recipe.optim.steps

    def __getitem__(self, step: int) -> list[Any]:
        per_process = self.recipe.scans_per_step // self.world
        slots = range(self.rank * per_process, (self.rank + 1) * per_process)
        batches = [self._one(step, slot) for slot in slots]
        return batches if self.recipe.separate_scans else [_join(batches)]

    def _one(self, step: int, slot: int) -> Any:
        if self.blocks is not None:
            count = self.method.config.blocks_per_scan
            first = (step * self.recipe.scans_per_step + slot) * count
            rows = self.blocks.drawn(range(first, first + count), self.recipe.seed)
            return self.method.batch_class(*self.blocks.rows(rows))
        rng = np.random.default_rng([self.recipe.seed, step, slot])
        scan = self.scans[int(rng.integers(len(self.scans)))]
        return self.method.prepare(augment(scan, rng, self.recipe.augment), rng)


def _join(batches: list[Any]) -> Any:
    return type(batches[0])(*(torch.cat(parts) for parts in zip(*batches, strict=True)))


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
) -> Path:
    """Train `recipe` into folder `out` and return the file of the final weights (`last.safetensors`).

    `out` receives `recipe.json`, `log.jsonl`, `last.safetensors` (every `checkpoint_every` steps) and, when the recipe
    validates, `best.safetensors`. `init` starts from another model's weights, or several's (`initialise`), and `note` is told
    which tensors start anew. `stop_after` ends early at that step, as a kill would, for tests and budgets.
    Raises `UserError` when `out` holds another run, or when there is nothing to resume.
    """
    out = Path(out)
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

    scans = open_data(
        recipe.data,
        root=recipe.root,
        vocabulary=recipe.vocabulary(),
        limit=recipe.count,
        semantics=recipe.semantics,
    )
    torch.manual_seed(recipe.seed)
    method = method_class(recipe.method).from_config(recipe.model, recipe.vocabulary() or scans.vocabulary)
    inits = [init] if isinstance(init, str) else list(init)
    if not resume:
        taken = initialise(method, inits)
        if inits and note is not None and accelerator.is_main_process:
            note(taken)
    if hasattr(method, "fit_statistics"):  # of these scans, not of those the initial weights saw
        method.fit_statistics(scans)
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
    if resume:
        run = _restore(last, recipe, method, optimizer, average)
    if recipe.freeze_bn and not resume:
        _expect_trained_norms(method, recipe.name)
    rank, world = accelerator.process_index, accelerator.num_processes
    blocks = _cut(scans, method, recipe, rank, world, note) if recipe.stored_blocks else None
    batches = StepBatches(scans, method, recipe, rank=rank, world=world, blocks=blocks)
    model, optimizer = accelerator.prepare(method, optimizer)

    until = min(recipe.optim.steps, stop_after or recipe.optim.steps)
    main = accelerator.is_main_process
    log = Log(out, first_step=run.step, seconds=run.seconds) if main else None
    save = lambda file: main and _save(file, recipe, accelerator.unwrap_model(model), optimizer, average, run)  # noqa: E731
    if main and not resume:
        with checkpoint.atomic_path(out / "recipe.json") as temporary:
            temporary.write_text(checkpoint.json.dumps(to_plain(recipe), indent=2) + "\n", encoding="utf-8")
    started = time.perf_counter() - run.seconds
    try:
        for step, parts in _stream(batches, recipe, run.step, until, accelerator.device):
            terms = _step(accelerator, model, optimizer, parts, recipe, step)
            if average is not None:
                average.update(accelerator.unwrap_model(model), step)
            run.step, run.seconds = step + 1, time.perf_counter() - started
            if log is not None and (run.step % recipe.log_every == 0 or run.step == until):
                log.write(run.step, lr=learning_rate(recipe.optim, step), **terms)
            if report is not None and main:
                report(run.step, recipe.optim.steps, terms)
            if recipe.validate_every and run.step % recipe.validate_every == 0 and main:
                score = _validate(recipe, accelerator.unwrap_model(model), average, log, run.step)
                if score > run.best:
                    run.best = score
                    save(out / f"best{checkpoint.SUFFIX}")
            if run.step % recipe.checkpoint_every == 0 or run.step == until:
                save(last)
    except KeyboardInterrupt:
        # The interrupted step may be half applied, so the last whole checkpoint stays as it is.
        done = f"continue with --resume from {last}" if last.exists() else "no checkpoint was written yet"
        raise KeyboardInterrupt(f"stopped; {done}") from None
    finally:
        if log is not None:
            log.__exit__(None, None, None)
        accelerator.end_training()
    return last


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
    if hasattr(method, "set_progress"):
        method.set_progress(step / recipe.optim.steps)
    optimizer.zero_grad(set_to_none=True)
    sums: dict[str, float] = {}
    for batch in parts:
        terms = method.losses(model(batch), batch)
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
                    f"(`gestalt3d train {name} --help` lists the trainings before this one), or set --no-freeze-bn"
                )


def _cut(
    scans: Any, method: Any, recipe: Recipe, rank: int, world: int, note: Callable[[str], None] | None
) -> BlockStore:
    """The blocks of all scans, from the cache or cut now."""
    if not hasattr(method, "lattice"):
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
    batches: StepBatches, recipe: Recipe, first: int, until: int, device: torch.device
) -> Iterator[tuple[int, list[Any]]]:
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=list(range(first, until)),
        num_workers=recipe.workers,
        prefetch_factor=2 if recipe.workers else None,
    )
    for step, parts in zip(range(first, until), loader, strict=True):
        yield step, [type(part)(*(t.to(device, non_blocking=True) for t in part)) for part in parts]


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
    file: Path, recipe: Recipe, method: nn.Module, optimizer: Any, average: _Averaged | None
) -> _Run:
    stored = checkpoint.read(file)
    theirs = stored.about.get("recipe")
    ours = to_plain(recipe)
    if not isinstance(theirs, dict) or not isinstance(stored.about.get("run"), dict):
        raise UserError(
            f"{file}: a weight file, not a checkpoint; start from it with --init instead of --resume"
        )
    # Settings that the file is older than have their defaults.
    theirs = to_plain(from_plain(Recipe, theirs, str(file)))
    if changed := [k for k in ours if theirs.get(k) != ours[k] and k not in _FREE_TO_CHANGE]:
        raise UserError(f"{file}: was trained with another {', '.join(changed)}; resume with the same recipe")
    checkpoint.load_into(method, stored, prefix="model.")
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in stored.tensors.items():
        if name.startswith("optim."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    if average is not None:
        average.tensors = {n[4:]: v for n, v in stored.tensors.items() if n.startswith("ema.")}
    return _Run(**stored.about["run"], origin=provenance.resumed(stored.about.get("origin")))


_FREE_TO_CHANGE = {"workers", "log_every", "checkpoint_every", "validate_every", "validate_count"}
"""Fields that change what is reported, not what is learnt."""


@torch.no_grad()
def _validate(recipe: Recipe, method: Any, average: _Averaged | None, log: Log | None, step: int) -> float:
    """mCov on a few validation scans, with the averaged weights where there are any."""
    twin = method_class(recipe.method).from_config(recipe.model, method.vocabulary)
    twin.load_state_dict(average.tensors if average is not None else method.state_dict())
    twin = twin.to(next(method.parameters()).device).eval()
    scans = open_data(
        recipe.validate,
        root=recipe.root,
        vocabulary=method.vocabulary,
        limit=recipe.validate_count,
        semantics=recipe.semantics,
    )
    result = evaluate(Model(recipe.name, twin), scans)["pooled"]
    if log is not None:
        log.write(step, **{f"val_{k}": v for k, v in result.items() if isinstance(v, (int, float))})
    return float(result.get("mCov") or 0.0)

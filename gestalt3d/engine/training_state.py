"""What a training is made of, written to a checkpoint and taken up again bit for bit."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from gestalt3d.configs import Json, from_plain, to_plain
from gestalt3d.engine import checkpoint, provenance, recipe
from gestalt3d.engine.recipe import Optim, Recipe
from gestalt3d.engine.resume import carried_on, expect_same
from gestalt3d.engine.schedules import Averaged, learning_rate
from gestalt3d.engine.training_set import Say
from gestalt3d.errors import UserError
from gestalt3d.methods.method import Network


@dataclass
class Run:
    """What a checkpoint keeps besides the weights."""

    step: int = 0
    best: float = -math.inf
    seconds: float = 0.0
    best_step: int = 0
    origin: dict[str, Json] | None = None
    """Code, seed and initial weights; None where the checkpoint is older than this."""


def run_of(stored: checkpoint.Stored) -> Run:
    """That of a checkpoint; `UserError` where the file holds weights alone."""
    run, origin = stored.about.get("run"), stored.about.get("origin")
    if not isinstance(run, dict):
        raise UserError(
            f"{stored.path}: a weight file, not a checkpoint; start from it with --init instead of --resume"
        )
    known = from_plain(Run, run, f"{stored.path}: run")
    known.origin = origin if isinstance(origin, dict) else None
    return known


@dataclass
class TrainingState:
    """The network, its optimiser, the averaged weights where the recipe asks for them, and how far all is."""

    method: Network
    optimizer: Optimizer
    average: Averaged | None
    run: Run = field(default_factory=Run)

    @classmethod
    def begun(cls, method: Network, optim: Optim) -> "TrainingState":
        average = Averaged(method, optim.ema) if optim.ema else None
        return cls(method, optimizer_of(method, optim), average)

    @property
    def weights(self) -> dict[str, Tensor]:
        """The averaged ones where there are any."""
        return self.method.state_dict() if self.average is None else self.average.tensors

    def save(self, file: Path, settings: Recipe) -> None:
        """Write a checkpoint."""
        tensors = {f"model.{name}": value for name, value in self.method.state_dict().items()}
        for index, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optim.{index}.{key}": torch.as_tensor(value) for key, value in values.items()}
        if self.average is not None:
            tensors |= {f"ema.{name}": value for name, value in self.average.tensors.items()}
        run = to_plain(self.run)
        origin = run.pop("origin")
        extra = {"recipe": recipe.to_plain(settings), "run": run, "origin": origin}
        checkpoint.save(file, tensors, checkpoint.describe(self.method, extra))

    def restore(self, file: Path, settings: Recipe, say: Say) -> None:
        """Take everything over from a checkpoint; `UserError` where it is none, or of a training of other settings."""
        stored = checkpoint.read(file)
        self.run = run_of(stored)
        if stored.renamed:
            raise UserError(
                f"{file}: an earlier version wrote it, in which the parts of the network were in another order, so that its "
                "optimiser's state fits no more; start from its weights with --init and a new --out"
            )
        if self.run.origin is not None:
            self.run.origin = provenance.resumed(self.run.origin)
        # Settings that the file is older than have their defaults.
        before = recipe.from_plain(stored.about.get("recipe"), str(file))
        expect_same(file, before, settings)
        say(carried_on(before, settings, self.run.step, learning_rate))
        checkpoint.load_into(self.method, stored, prefix="model.")
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in stored.tensors.items():
            if name.startswith("optim."):
                _, index, key = name.split(".", 2)
                state.setdefault(int(index), {})[key] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        if self.average is not None:
            self.average.tensors = {n[4:]: v for n, v in stored.tensors.items() if n.startswith("ema.")}


def optimizer_of(method: Network, optim: Optim) -> Optimizer:
    """The recipe's optimiser of all weights."""
    weights, decay = method.parameters(), optim.weight_decay
    if optim.kind == "sgd":
        return SGD(weights, lr=optim.lr, momentum=optim.momentum, weight_decay=decay)
    return (AdamW if optim.kind == "adamw" else Adam)(weights, lr=optim.lr, weight_decay=decay)

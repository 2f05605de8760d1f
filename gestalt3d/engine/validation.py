"""How well a training does on scans that it does not learn from."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from gestalt3d.configs import Number
from gestalt3d.data import DataSet, open_data
from gestalt3d.engine import checkpoint
from gestalt3d.engine.evaluate import evaluate
from gestalt3d.engine.interrupt import Interrupt
from gestalt3d.engine.model import Model
from gestalt3d.engine.recipe import Recipe
from gestalt3d.engine.training_set import Say, several
from gestalt3d.errors import UserError
from gestalt3d.methods.method import Network


class _Stopped(Exception):
    """Asked to stop while validating."""


class Validation:
    """Validates a recipe on `kept`, what was held out, or on the data that it names."""

    def __init__(self, recipe: Recipe, kept: DataSet | None, say: Say) -> None:
        self._recipe, self._kept, self._say = recipe, kept, say
        # Figures of scans that are learnt from say nothing.
        named = recipe.validate not in ("", recipe.data) and not recipe.hold_out
        self._can = bool(recipe.validate_every) and (kept is not None or named)

    def is_due(self, step: int) -> bool:
        """After `step` steps; at the end, too, of a recipe that validates at all."""
        recipe = self._recipe
        return self._can and (step % recipe.validate_every == 0 or step == recipe.optim.steps)

    @torch.no_grad()
    def figures(
        self, method: Network, weights: Mapping[str, Tensor], step: int, interrupt: Interrupt
    ) -> dict[str, Number] | None:
        """The defined figures of the method with those weights; None where it was interrupted."""
        recipe = self._recipe
        twin = type(method).from_config(recipe.model, method.vocabulary)
        twin.load_state_dict(weights)
        device = next(method.parameters()).device
        twin = checkpoint.standing(twin.to(device).eval(), str(device))
        scans = self._kept or open_data(
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
            return None
        figures = {name: value for name, value in result.items() if isinstance(value, int | float)}
        by = recipe.validate_by
        if unknown := [name for name in by if name not in result]:
            raise UserError(f"--validate-by {unknown[0]}: no such figure; there are {', '.join(figures)}")
        shown = [f"{name} {figures[name]:.1f}" for name in by if name in figures]
        where = several(len(scans), "validation scan")
        self._say(f"step {step:,}: on {where} {', '.join(shown) or 'nothing is defined'}")
        return figures

    def score(self, figures: dict[str, Number]) -> float:
        """That by which `best` is chosen: the first of `validate_by`, -inf where it is undefined."""
        return float(figures.get(self._recipe.validate_by[0], -math.inf))

"""What a resumed training may change, and how it says what differs."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from gestalt3d.configs import KIND, Json
from gestalt3d.engine.checkpoint import migrated_recipe
from gestalt3d.engine.recipe import Optim, Recipe, from_plain, to_plain
from gestalt3d.errors import UserError

_FREE_TO_CHANGE = {
    "workers",
    "log_every",
    "checkpoint_every",
    "validate_every",
    "validate_count",
    "validate_by",
    "root",
    "init",
}
"""Fields that change what is reported or where the same scans lie, not what is learnt."""


def recipe_of(out: Path) -> Recipe:
    """The recipe of the run in that folder."""
    file = out / "recipe.json"
    try:
        plain: Json = json.loads(file.read_text(encoding="utf-8"))
        return from_plain(migrated_recipe(plain) if isinstance(plain, dict) else plain, str(file))
    except FileNotFoundError:
        raise UserError(f"{out}: holds no run to --resume ({file.name} is missing)") from None
    except (OSError, ValueError) as problem:
        if isinstance(problem, UserError):
            raise
        raise UserError(f"{file}: cannot be read ({problem}); name the recipe after `train`") from None


def expect_same(file: Path, there: Recipe, here: Recipe) -> None:
    """`UserError` that names each option in which the checkpoint's recipe differs; more steps are welcome."""
    theirs, ours = there, here
    if ours.optim.steps >= theirs.optim.steps:
        theirs = replace(theirs, optim=replace(theirs.optim, steps=ours.optim.steps))
    differing = list(_differing(to_plain(theirs), to_plain(ours), "--"))
    if differing:
        raise UserError(f"{file}: {'; '.join(differing)}; resume with the same values or start a new --out")


def _differing(there: Json, here: Json, option: str) -> Iterator[str]:
    if isinstance(there, dict) and isinstance(here, dict):
        for name in here:
            if name == KIND:
                yield from _differing(there.get(name), here[name], option)
            elif option != "--" or name not in _FREE_TO_CHANGE:
                dot = "" if option == "--" else "."
                yield from _differing(there.get(name), here[name], f"{option}{dot}{name.replace('_', '-')}")
    elif there != here:
        yield f"{option} is {there} there and {here} here"


def carried_on(there: Recipe, here: Recipe, step: int, rate: Callable[[Optim, int], float]) -> str:
    """In words where a run goes on, and what more steps than planned mean for its learning rate."""
    steps, planned = here.optim.steps, there.optim.steps
    if step >= steps:
        return f"all {steps:,} steps are done; for more add --optim.steps, such as {2 * steps}"
    line = f"going on at step {step + 1:,} of {steps:,}"
    if steps == planned:
        return line
    before, after = rate(there.optim, step), rate(here.optim, step)
    line += f" instead of {planned:,}"
    if here.optim.schedule != "cosine":
        return line
    return (
        f"{line}: the cosine is stretched over all {steps:,} steps, so the learning rate goes on at {after:.2g} (it would be "
        f"{before:.2g} in the run planned) and falls to its floor at the new end; the result is not that of {steps:,} steps "
        "from the start"
    )

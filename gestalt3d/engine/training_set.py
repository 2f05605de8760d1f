"""What a recipe learns from and what it is validated on, said in words before hours are spent on it."""

from collections.abc import Callable

import torch

from gestalt3d.data import DataSet, open_data
from gestalt3d.data.part import Part, held_out
from gestalt3d.engine.recipe import Recipe
from gestalt3d.engine.survey import expect_labels, survey
from gestalt3d.errors import UserError
from gestalt3d.methods import method_class

Say = Callable[[str], None]


def opened(recipe: Recipe) -> DataSet:
    """The recipe's data; `UserError` where some of it cannot be read or is nothing for the method, now and not in the middle of
    the training.
    """
    scans = open_data(
        recipe.data,
        root=recipe.root,
        vocabulary=recipe.vocabulary(),
        limit=recipe.count,
        semantics=recipe.semantics,
    )
    if broken := scans.unreadable:
        raise UserError(next(iter(broken.values())))
    takes = method_class(recipe.method).takes
    # The name of the data decides what they hold, which types do not know.
    if len(scans) and not isinstance(scans[0].input, takes):
        raise UserError(
            f"--data {recipe.data}: its samples are {type(scans[0].input).__name__}s, and {recipe.method} learns from "
            f"{takes.__name__}s; name other data"
        )
    return scans


def parted(scans: DataSet, recipe: Recipe, say: Say, *, instances: bool) -> tuple[DataSet, DataSet | None]:
    """What to learn from, and what of it was held out to validate on; `UserError` where nothing is labelled.

    Where `instances` are learnt, what has none is left out.
    """
    without = set(scans.without_instances()) if instances else set[str]()
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


def plan(recipe: Recipe, epoch: float, device: torch.device) -> str:
    """In words how long and on what; `epoch` is the number of steps that see everything once."""
    passes = recipe.optim.steps / epoch
    cores = f", {several(torch.get_num_threads(), 'thread')}" if device.type == "cpu" else ""
    what = "block" if recipe.stored_blocks else "scan"
    often = (
        f"every {what} about {passes:,.0f} times" if passes >= 1.5 else f"{min(passes, 1):.0%} of the {what}s"
    )
    steps, each = several(recipe.optim.steps, "step"), several(recipe.scans_per_step, "scan")
    return f"{steps} of {each}, {often}; on {device}{cores}"


def several(count: int, what: str) -> str:
    """`1 scan`, `2,000 scans`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"

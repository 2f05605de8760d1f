"""`gestalt3d train`: the fields of a recipe are its options."""

import contextlib
import dataclasses
import io
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import arg

from gestalt3d.cli.options import FIELDS, STYLE, Device, option
from gestalt3d.cli.report import say_broken
from gestalt3d.cli.verbs import VERBS
from gestalt3d.errors import UserError
from gestalt3d.terminal import Progress, complain, duration, say, table


def train(arguments: list[str]) -> None:
    """Train from the words after `gestalt3d train`. Which options there are depends on the recipe among them."""
    if not arguments or arguments[0] in ("-h", "--help"):
        _say_recipes()
        return
    from gestalt3d.engine.train import train as train_recipe
    from gestalt3d.recipes import RECIPES, chain, makers, recipe

    named = "" if arguments[0].startswith("-") else arguments[0]
    given = arguments[1:] if named else arguments
    if not named and "--resume" not in given:
        raise UserError(f"name a recipe first, not {arguments[0]}: gestalt3d train RECIPE {arguments[0]} …")
    default = recipe(named) if named else None
    if "--resume" in given:
        default = _resumed(given, default)
    assert default is not None
    default, given = _with_choices(default, given)
    make = RECIPES.get(default.name) or makers().get(default.name)
    about = _first_line(make) if make else VERBS["train"].summary
    if make is not None:
        about += "\n\n" + "\n".join(["From nothing to its weights", *(f"  {x}" for x in chain(default.name))])
    if parts := _choices(default):
        rows = (f"  {part} {{{','.join(kinds)}}}" for part, (_, kinds) in parts.items())
        about += "\n\n" + "\n".join(["Parts with a choice; with one made, --help shows its options", *rows])
    run = _parsed(
        default,
        prog=f"gestalt3d train {default.name}",
        args=given,
        description=f"{about}\n\n{VERBS['train'].shown_examples}",
    )
    if run.recipe.name != default.name:
        raise UserError("--name is the recipe's own; name another recipe, or a folder with --out")
    if run.epochs is not None and any(word.startswith("--optim.steps") for word in given):
        raise UserError("--epochs and --optim.steps both say how long to train; give one of them")
    out = run.out or Path("runs") / default.name
    with Progress() as bar:
        bar.begin(default.name)
        last = train_recipe(
            run.recipe,
            out,
            resume=run.resume,
            device=run.device,
            stop_after=run.stop_after,
            epochs=run.epochs,
            report=_Expected(bar),
            note=complain,
            on_progress=bar,
        )
    if os.environ.get("RANK", "0") == "0":  # one of several processes speaks
        _say_training(out, last, run.recipe)


class _Expected:
    """Moves the bar, and says once, after a few steps, how long the rest will take."""

    def __init__(self, bar: Progress) -> None:
        self._bar, self._first, self._began = bar, 0, 0.0

    def __call__(self, step: int, steps: int, terms: dict[str, float]) -> None:
        now = time.monotonic()
        if not self._began:  # the first step also compiles
            self._first, self._began = step, now
        taken, seconds = step - self._first, now - self._began
        if self._first >= 0 and taken and (taken >= 10 or seconds > 20) and step < steps:
            each = seconds / taken
            complain(
                f"a step takes {each:.2g} s: {duration(each * (steps - step))} for the {steps - step:,} left"
            )
            self._first = -1
        self._bar("training", step, steps, f"loss {terms['loss']:.3f}")


def _say_training(out: Path, last: Path, recipe: Any) -> None:
    """How well it validated, and what lies where."""
    from gestalt3d.engine.checkpoint import SUFFIX
    from gestalt3d.engine.log import read_log

    rows = [
        {"step": row["step"], **{k: row.get(f"val_{k}") for k in recipe.validate_by}}
        for row in read_log(out)
        if any(name.startswith("val_") for name in row)
    ]
    best = out / f"best{SUFFIX}"
    if rows:
        table("on the validation scans, percent", rows)
        say()
    files = [f"weights  {last}"] + [f"best     {best}"] * best.exists()
    files += [f"log      {out / 'log.jsonl'}, drawn in {out / 'loss.png'}"]
    say("\n".join([*files, f"try      gestalt3d segment scan.ply -m {best if best.exists() else last}"]))


def _resumed(given: list[str], named: Any) -> Any:
    """The recipe of the run to go on with, which lies in its folder."""
    from gestalt3d.engine.resume import recipe_of

    words = [part for word in given for part in (word.split("=", 1) if word.startswith("--") else [word])]
    at = next((i for i, word in enumerate(words[:-1]) if word in ("--out", "-o")), None)
    if at is None and named is None:
        raise UserError("--resume: name the folder of the run with --out, or its recipe")
    out = Path(words[at + 1]) if at is not None else Path("runs") / named.name
    found = recipe_of(out)
    if named is not None and found.name != named.name:
        raise UserError(f"{out}: holds a run of {found.name}, not of {named.name}; leave the recipe out")
    return found


def _choices(recipe: Any) -> dict[str, tuple[tuple[str, ...], dict[str, Any]]]:
    """By option the parts of the recipe's model of which there are several kinds: their path, and the kinds."""
    from gestalt3d.configs import choices

    found = ((("model", *path), kinds) for path, kinds in choices(recipe.model))
    return {f"--{'.'.join(path)}".replace("_", "-"): (path, kinds) for path, kinds in found}


def _with_choices(recipe: Any, given: list[str]) -> tuple[Any, list[str]]:
    """The recipe with parts such as `--model.merging votes`, whose own options are then to be parsed, and the other words."""
    from gestalt3d.configs import chosen

    words = [
        piece for word in given for piece in (word.split("=", 1) if word.startswith("--model") else [word])
    ]
    done: set[str] = set()
    # A part may bring parts with a choice of their own.
    while part := next((o for o in _choices(recipe) if o in words and o not in done), None):
        path, kinds = _choices(recipe)[part]
        at = words.index(part)
        kind = words[at + 1] if at + 1 < len(words) else ""
        if kind not in kinds:
            raise UserError(f"{part} {kind}: there are {', '.join(kinds)}")
        recipe = chosen(recipe, path, kinds[kind])
        del words[at : at + 2]
        done.add(part)
    return recipe, words


def _parsed(default: Any, **about: Any) -> "TrainOptions":
    """The options, with a setting out of its range refused in one line that names it as it is typed."""
    shown = io.StringIO()
    try:
        with FIELDS, contextlib.redirect_stderr(shown):
            return tyro.cli(TrainOptions, default=TrainOptions(default), config=STYLE, **about)
    except (UserError, SystemExit) as end:
        problem: BaseException | None = end  # tyro shows what a constructor refuses in a box of its own
        while problem is not None and not isinstance(problem, UserError):
            problem = problem.__context__
        if problem is None:
            sys.stderr.write(shown.getvalue())
            raise
    raise UserError(_as_typed(problem, default))


def _as_typed(problem: UserError, recipe: Any) -> str:
    from gestalt3d.configs import OutOfRange

    if not isinstance(problem, OutOfRange):
        return str(problem)
    parts = [("--", recipe)]
    for typed, part in parts:
        if type(part).__name__ == problem.owner.__name__:  # tyro makes types of its own
            return problem.under(typed + problem.field.replace("_", "-"))
        for field in dataclasses.fields(part):
            if dataclasses.is_dataclass(inner := getattr(part, field.name)):
                parts.append((f"{typed}{field.name.replace('_', '-')}.", inner))
    return str(problem)


def _say_recipes() -> None:
    from gestalt3d.recipes import makers

    say(f"usage: gestalt3d train RECIPE [OPTIONS]\n\n{VERBS['train'].description}\n\nRecipes")
    width = max(map(len, makers()))
    for name, make in makers().items():
        say(f"  {name:<{width}}  {_first_line(make)}")
    say_broken()
    say("\n`gestalt3d train RECIPE --help` shows the options: every field of the recipe is one.")


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """A recipe, whose fields become options without a prefix, and what a run of it needs besides."""

    recipe: Annotated[Any, arg(name="")]
    out: Annotated[
        Path | None,
        option("folder for weights, log and settings of the run", "DIR", short="-o", default="runs/RECIPE"),
    ] = None
    resume: Annotated[
        bool, option("continue the run in --out, whose settings are taken from there", default="")
    ] = False
    device: Device = "auto"
    stop_after: Annotated[
        int | None, option("end after this step, to be continued with --resume", "STEP", default="")
    ] = None
    epochs: Annotated[
        float | None,
        option("how often to pass over the scans, instead of --optim.steps", "N", default=""),
    ] = None


def _first_line(fn: Any) -> str:
    """Nothing where Python was told to drop docstrings (-OO)."""
    return next(iter((fn.__doc__ or "").strip().splitlines()), "")

"""The command line: one function per verb, whose parameters are its options.

Heavy imports happen inside the verb.
"""

import contextlib
import dataclasses
import difflib
import io
import os
import sys
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, Optional

import tyro
from tyro.conf import Positional, arg

import gestalt3d
from gestalt3d.errors import UserError
from gestalt3d.terminal import Progress, complain, duration, say, streams, table

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from gestalt3d.engine.results import Answer
    from gestalt3d.engine.segment import Result
    from gestalt3d.stages import Stage
    from gestalt3d.structures.instances import Instances
    from gestalt3d.structures.pointcloud import PointCloud
    from gestalt3d.structures.samples import Scan
    from gestalt3d.structures.view import View

USAGE = """gestalt3d finds the objects in a 3-D scan.

Start here
  gestalt3d demo                           a synthetic room that training never saw: table, picture, web page
  gestalt3d segment scan.ply -o out/       your own scan: .ply .pcd .las .xyz .npy .obj .glb …
  gestalt3d view out/scan.instances.npz    look at the result in a browser

Verbs
{verbs}

`gestalt3d VERB --help` shows the options of a verb and three examples, `--version` the version."""


def main(arguments: list[str] | None = None) -> None:
    """Run one verb.

    A user's error is one line on stderr and exit code 2; Ctrl-C keeps finished files and exits with 130.
    """
    with streams():
        _main(sys.argv[1:] if arguments is None else arguments)


def _main(arguments: list[str]) -> None:
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    if not arguments or arguments[0] in ("-h", "--help"):
        say(USAGE.format(verbs="\n".join(f"  {name:<10} {_first_line(fn)}" for name, fn in VERBS.items())))
        return
    if arguments[0] in ("--version", "-V"):
        say(f"gestalt3d {gestalt3d.__version__}")
        return
    verb = arguments[0]
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(VERBS)}"
        _fail(f"gestalt3d: no verb {verb!r}; {hint}")
    try:
        _run(verb, arguments[1:])
    except UserError as problem:
        _fail(f"gestalt3d {verb}: {problem}")
    except KeyboardInterrupt as stop:
        complain(f"\ngestalt3d {verb}: {str(stop) or 'stopped; what was finished is kept'}")
        sys.exit(130)
    except MemoryError:
        _fail(f"gestalt3d {verb}: out of memory; split the scan or use a machine with more")
    except BrokenPipeError:
        pass  # of a help text that `| head` did not read to the end
    except OSError as problem:
        where, cause = problem.filename or "a file", problem.strerror or problem
        _fail(f"gestalt3d {verb}: {where}: {cause}; check the path and its permissions")


def _run(verb: str, arguments: list[str]) -> None:
    if verb == "train":
        return train(arguments)
    return tyro.cli(
        VERBS[verb], prog=f"gestalt3d {verb}", args=arguments, description=_description(verb), config=_STYLE
    )


_STYLE = (tyro.conf.FlagCreatePairsOff, tyro.conf.AvoidSubcommands)


def _description(verb: str) -> str:
    return f"{_first_line(VERBS[verb])}\n\n{_examples(verb)}"


def _examples(verb: str) -> str:
    return "\n".join(["Examples", *(f"  {line}" for line in EXAMPLES[verb])])


def _first_line(fn: Any) -> str:
    """Nothing where Python was told to drop docstrings (-OO)."""
    return next(iter((fn.__doc__ or "").strip().splitlines()), "")


def _fail(line: str) -> NoReturn:
    complain(" ".join(line.split()))
    sys.exit(2)


# --- options that several verbs share ---


def option(
    help: str, metavar: str | None = None, *, short: str | None = None, default: str | None = None
) -> Any:
    """What `--help` says about an option; `default` in words, "" for nothing, None for the value itself."""
    hint = None if default is None else f"(default: {default})" if default else ""
    return arg(help=help, metavar=metavar, aliases=[short] if short else None, help_behavior_hint=hint)


ModelName = Annotated[
    str,
    option(
        "shipped model (`gestalt3d models`), weight file, or auto: mtml-rooms, for table tops geometric-regions",
        "MODEL",
        short="-m",
    ),
]
Out = Annotated[Path, option("folder for the results; created if missing", "DIR", short="-o")]
DataName = Annotated[
    str, option("data set: rooms:val, toyboxes:test, s3dis:area5, scannet:val, folder, …", "DATA", short="-d")
]
Device = Annotated[str, option("cpu, cuda, cuda:0, …; auto: a GPU where there is one", "DEVICE")]
# `Optional`, because of `Path | None` tyro asks a library that takes longer to import than `score` to run.
Json = Annotated[Optional[Path], option("also write the figures to this file", "FILE", default="")]  # noqa: UP045


# --- looking at scans ---

DEMO_ROOM = 13
"""By AP50 in `gestalt3d evaluate -m mtml-rooms -d rooms:val --limit 20`."""


def demo(
    *,
    model: ModelName = "auto",
    out: Out = Path("demo"),
    seed: Annotated[
        int, option("number of the validation room; 13 is the best of the first twenty for mtml-rooms", "N")
    ] = DEMO_ROOM,
    device: Device = "cpu",
    json: Json = None,
) -> None:
    """Segment a synthetic scanned room that training never saw, and show how well that went."""
    from gestalt3d.data import open_data
    from gestalt3d.engine.model import load
    from gestalt3d.engine.results import ALL, Answer, result_folder, write_results
    from gestalt3d.engine.segment import notes_on
    from gestalt3d.io import save_cloud
    from gestalt3d.stages import measure, stage

    started = time.perf_counter()
    if seed < 0:
        raise UserError(f"--seed {seed}: must be 0 or more")
    _expect_writable(json)
    ready = load(model, device=device)
    with result_folder(out), Progress() as on_progress, measure(on_progress) as work:
        on_progress.begin("room")
        with stage("make room"):
            rooms = open_data("rooms:val", vocabulary=ready.vocabulary, limit=seed + 1)
            scan = rooms[seed]
        found = ready.segment(scan.input)
        with stage("write"):
            answer = Answer("room", scan.input, found, notes_on(scan.input, ready, found))
            files = write_results(out, answer, ALL)
            save_cloud(out / "room.ply", scan.input)
    evaluator = rooms.evaluator(ready.vocabulary)
    evaluator.see(scan, found)
    figures = evaluator.results()["pooled"]
    any_class = {f"{k}, any class": figures["class_agnostic"][k] for k in ("AP50", "AP25")}
    wanted = {k: figures[k] for k in ("AP50", "AP25", "mIoU")} | any_class
    chosen = ", of the first twenty the one that mtml-rooms does best" if seed == DEMO_ROOM else ""
    say(f"a validation room that training never saw{chosen}")
    say(f"{scan.name}: {len(scan.input):,} points, {len(found)} instances; there are {len(scan.truth)}")
    for note in answer.notes:
        say(f"NOTE {note}")
    say()
    _say_classes(answer, scan.truth)
    say()
    table("how well, in percent", [{"room": scan.name, **wanted}])
    say()
    _say_meanings(wanted)
    say()
    _say_seconds(work, time.perf_counter() - started)
    _say_files((*files, out / "room.ply"))
    say(f"look at it: open {out / 'room.html'} in a browser")
    if json is not None:
        room = {"scan": scan.name, "points": len(scan.input), "figures": wanted, "instances": _objects(found)}
        _write_json(json, {"model": model, **room, **_seconds(work)})


def segment(
    files: Positional[
        Annotated[
            tuple[Path, ...],
            option(
                "clouds, RGB-D frames (a folder of a colour image and its depth), or folders of them",
                "FILE…",
                default="",
            ),
        ]
    ] = (),
    *,
    model: ModelName = "auto",
    out: Out = Path("out"),
    classes: Annotated[
        tuple[str, ...], option("keep only instances of these classes", "CLASS…", default="all")
    ] = (),
    min_score: Annotated[
        float, option("keep only instances with at least this score, 0 to 1", "SCORE")
    ] = 0.0,
    units: Annotated[
        Literal["m", "cm", "mm", "ft", "in"] | None,
        option("unit of the coordinates", "{m,cm,mm,ft,in}", default="guessed"),
    ] = None,
    up: Annotated[
        Literal["x", "y", "z", "-x", "-y", "-z"] | None,
        option("axis that points up", "{x,y,z,-x,-y,-z}", default="guessed"),
    ] = None,
    semantic: Annotated[
        str | None,
        option(
            "property of the file that holds the class of each point, for models that use it",
            "PROPERTY",
            default="",
        ),
    ] = None,
    objects: Annotated[bool, option("also write one PLY per object", default="")] = False,
    picture: Annotated[bool, option("write no .png", default="")] = True,
    page: Annotated[bool, option("write no .html", default="")] = True,
    device: Device = "cpu",
    seed: Annotated[int | None, option("of the random choices in the method", "N", default="0")] = None,
    json: Json = None,
) -> None:
    """Find the objects in your own scans; no labels needed."""
    if not files:
        raise UserError("name at least one file or folder, such as scan.ply")
    if not 0 <= min_score <= 1:
        raise UserError(f"--min-score {min_score}: must lie between 0 and 1")
    _expect_writable(json)
    from gestalt3d.engine.model import load
    from gestalt3d.engine.results import Kinds
    from gestalt3d.engine.segment import Options, segment_files

    ready = load(model, device=device)
    if seed is not None:
        ready = ready.with_seed(seed)
    options = Options(
        classes or None, min_score, units, up, semantic, Kinds(picture=picture, page=page, objects=objects)
    )
    reports: list[dict[str, Any]] = []
    failed: list[str] = []

    def on_result(result: "Result") -> None:
        reports.append(_summary(result))
        _say_result(result)

    def on_failure(line: str) -> None:
        failed.append(line)
        complain(f"gestalt3d segment: {line}")

    try:
        with Progress() as bar:
            segment_files(
                ready,
                files,
                out,
                options,
                on_progress=bar,
                on_result=on_result,
                on_failure=on_failure,
                on_start=lambda path, i, n: bar.begin(path.name if n == 1 else f"{path.name} ({i} of {n})"),
            )
    finally:
        if json is not None and (reports or failed):
            _write_json(json, {"model": model, "files": reports, "failed": failed})
    if failed:
        if len(failed) + len(reports) > 1:
            complain(f"gestalt3d segment: {len(reports)} done, {len(failed)} could not be")
        sys.exit(2)


def view(
    file: Positional[
        Annotated[Path, option("a result such as scan.instances.npz, a scan, or a page", "FILE", default="")]
    ],
    *,
    port: Annotated[int, option("port on this machine; 0: any free one", "PORT")] = 0,
    browser: Annotated[bool, option("do not open a browser", default="")] = True,
) -> None:
    """Show a result or a scan as a web page, served on this machine until Ctrl-C."""
    from gestalt3d.viewer.serve import announcement, serve

    serve(
        file,
        port=port,
        open_browser=browser,
        on_ready=lambda address: say(announcement(address, str(file))),
    )


# --- training and measuring ---


def train(arguments: list[str]) -> None:
    """Train a recipe, or fine-tune a model on your own labels and classes."""
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
    about = _first_line(make or train)
    if make is not None:
        about += "\n\n" + "\n".join(["From nothing to its weights", *(f"  {x}" for x in chain(default.name))])
    if parts := _choices(default):
        rows = (f"  {option} {{{','.join(found)}}}" for option, (_, found) in parts.items())
        about += "\n\n" + "\n".join(["Parts with a choice; with one made, --help shows its options", *rows])
    run = _parsed(
        default,
        prog=f"gestalt3d train {default.name}",
        args=given,
        description=f"{about}\n\n{_examples('train')}",
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
        part for word in given for part in (word.split("=", 1) if word.startswith("--model") else [word])
    ]
    done: set[str] = set()
    # A part may bring parts with a choice of their own.
    while option := next((o for o in _choices(recipe) if o in words and o not in done), None):
        path, kinds = _choices(recipe)[option]
        at = words.index(option)
        kind = words[at + 1] if at + 1 < len(words) else ""
        if kind not in kinds:
            raise UserError(f"{option} {kind}: there are {', '.join(kinds)}")
        recipe = chosen(recipe, path, kinds[kind])
        del words[at : at + 2]
        done.add(option)
    return recipe, words


def _parsed(default: Any, **about: Any) -> "_TrainOptions":
    """The options, with a setting out of its range refused in one line that names it as it is typed."""
    shown = io.StringIO()
    try:
        with contextlib.redirect_stderr(shown):
            return tyro.cli(_TrainOptions, default=_TrainOptions(default), config=_STYLE, **about)
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
    for option, part in parts:
        if type(part).__name__ == problem.owner.__name__:  # tyro makes types of its own
            return problem.under(option + problem.field.replace("_", "-"))
        for field in dataclasses.fields(part):
            if dataclasses.is_dataclass(inner := getattr(part, field.name)):
                parts.append((f"{option}{field.name.replace('_', '-')}.", inner))
    return str(problem)


def _say_recipes() -> None:
    from gestalt3d.recipes import makers

    say(f"usage: gestalt3d train RECIPE [OPTIONS]\n\n{_description('train')}\n\nRecipes")
    for name, make in makers().items():
        say(f"  {name:<20} {_first_line(make)}")
    _say_broken()
    say("\n`gestalt3d train RECIPE --help` shows the options: every field of the recipe is one.")


@dataclasses.dataclass(frozen=True)
class _TrainOptions:
    recipe: Annotated[Any, arg(name="")]
    out: Annotated[Path | None, option("folder of the run", "DIR", short="-o", default="runs/RECIPE")] = None
    resume: Annotated[
        bool, option("continue the run in --out, whose settings are taken from there", default="")
    ] = False
    device: Device = "auto"
    stop_after: Annotated[
        int | None, option("end early after this step; continue with --resume", "STEP", default="")
    ] = None
    epochs: Annotated[
        float | None,
        option("passes over the scans, instead of --optim.steps", "N", default=""),
    ] = None


def average(
    files: Positional[
        Annotated[
            tuple[str, ...],
            option("weight files or shipped models, all of the same network", "MODEL…", default=""),
        ]
    ] = (),
    *,
    shares: Annotated[
        tuple[float, ...],
        option("weight of each in the mean", "SHARE…", default="all the same"),
    ] = (),
    out: Annotated[
        Path, option("weight file to write; its card is written beside it", "FILE", short="-o", default="")
    ],
) -> None:
    """Average weight files of the same network, such as a training's and those it started from."""
    from gestalt3d.engine.average import average as average_files

    for note in average_files(files, out, shares=shares):
        say(f"NOTE {note}")
    say(f"weights  {out}\ncard     {out.with_suffix('.json')}\ntry      gestalt3d segment scan.ply -m {out}")


def evaluate(
    *,
    model: ModelName = "asis-rooms",
    data: DataName = "rooms:val",
    root: Annotated[
        Path | None, option("folder of the data set; not for synthetic ones", "DIR", default="")
    ] = None,
    limit: Annotated[int | None, option("only this many scans", "N", default="")] = None,
    class_agnostic: Annotated[
        bool,
        option(
            "compare instances whatever their classes; walls, floors and ceilings do not count", default=""
        ),
    ] = False,
    blocks: Annotated[
        bool,
        option(
            "count the points of sampled blocks, as the ASIS paper does, instead of all points", default=""
        ),
    ] = False,
    seeds: Annotated[
        tuple[int, ...],
        option("of the random choices in the method; of several the mean is shown", "N…", default="0"),
    ] = (),
    poses: Annotated[
        int,
        option(
            "measure each scan this often, first as it is, then turned and moved; the mean is shown",
            "N",
            default="1",
        ),
    ] = 1,
    submission: Annotated[
        Path | None,
        option(
            "scannet and s3dis only: write the results to this new folder, in the format that `score` reads",
            "DIR",
            default="",
        ),
    ] = None,
    add_to: Annotated[
        Optional[Path],  # noqa: UP045
        option(
            "add these scans to the counts in this file; the figures are of all scans in it",
            "FILE",
            default="",
        ),
    ] = None,
    semantics: Annotated[
        Optional[Path],  # noqa: UP045
        option(
            "scannet only: folder of given classes, <scene>.txt with a NYU40 id per vertex",
            "DIR",
            default="",
        ),
    ] = None,
    device: Device = "cpu",
    json: Json = None,
) -> None:
    """Measure a model on labelled scans: coverage, precision and recall, AP, semantic IoU."""
    if limit is not None and limit < 1:
        raise UserError(f"--limit {limit}: must be at least 1")
    if poses < 1:
        raise UserError(f"--poses {poses}: must be at least 1")
    for name, place in (("--submission", submission), ("--add-to", add_to)):
        if place is not None and (len(seeds) > 1 or poses > 1):
            raise UserError(
                f"{name} {place}: holds one answer per scan; give one of the --seeds and no --poses"
            )
    _expect_writable(json)
    _expect_writable(add_to, "--add-to")
    from gestalt3d.data import Seen, open_data
    from gestalt3d.data.posed import Posed
    from gestalt3d.data.sampled_blocks import in_sampled_blocks
    from gestalt3d.engine.evaluate import averaged
    from gestalt3d.engine.evaluate import evaluate as evaluate_model
    from gestalt3d.engine.model import load

    ready = load(model, device=device)
    scans = open_data(
        data,
        root=root,
        vocabulary=None if class_agnostic else ready.vocabulary,
        limit=limit,
        semantics=semantics,
    )
    results, failed = [], {}

    def on_failure(line: str) -> None:
        if line not in failed:  # of several seeds and poses the first says it
            complain(f"gestalt3d evaluate: {line}")
        failed[line] = None

    with Progress() as on_progress:
        seeded = [ready.with_seed(seed) for seed in seeds] or [ready]
        for one, pose in product(seeded, range(poses)):
            on_progress.begin(data)
            results.append(
                evaluate_model(
                    one,
                    Posed(scans, pose) if poses > 1 else scans,
                    data=data,
                    class_agnostic=class_agnostic,
                    seen_as=in_sampled_blocks if blocks else Seen,
                    submission=submission,
                    add_to=add_to,
                    report=lambda done, total, name: on_progress("", done, total, name),
                    on_failure=on_failure,
                )
            )
    several = len(results) > 1
    result = {**averaged(results), "seeds": list(seeds), "poses": poses} if several else results[0]
    keys = ("AP", "AP50", "AP25", "recall50", "coverage") if class_agnostic else _FIGURES
    shown = scans.names if add_to is not None else result["scans"]
    figures = {name: result["scans"][name] for name in shown if name in result["scans"]}
    rows = [{"scan": name, **{k: v.get(k) for k in keys}} for name, v in figures.items()]
    together = f"all {len(result['scans'])} in {add_to}" if "parts" in result else "all"
    rows.append({"scan": together, **{k: result["pooled"].get(k) for k in keys}})
    if several:
        rows.append({"scan": "± sd over seeds and poses", **{k: result["pooled_sd"].get(k) for k in keys}})
    table(f"{model} on {data}, percent", rows)
    per_class = result["pooled"].get("per_class")
    if per_class and not class_agnostic:
        say()
        table("per class", [{"class": name, **values} for name, values in per_class.items()])
        keys = (*keys, "n_gt", "n_pred")
    say()
    _say_meanings(keys)
    for note in scans.notes:
        say(f"NOTE {note}")
    for name, using in result.get("models", {}).items():
        say(f"{name}: segmented by {using}")
    if result["skipped"]:
        say(f"without instance labels, not scored: {', '.join(result['skipped'])}")
    if submission is not None and submission.is_dir():
        say(f"wrote    {submission}{os.sep}{{{','.join(sorted(p.name for p in submission.iterdir()))}}}")
    if json is not None:
        _write_json(json, result)
    if failed:
        complain(f"gestalt3d evaluate: {len(scans) - len(failed)} scans done, {len(failed)} could not be")
        sys.exit(2)


_FIGURES = ("mCov", "mWCov", "mPrec", "mRec", "AP", "AP50", "AP25", "oAcc", "mAcc", "mIoU")


def score(
    benchmark: Positional[
        Annotated[
            Literal["scannet", "scannet-semantic", "s3dis"],
            option("benchmark whose rules and formats apply", default=""),
        ]
    ],
    *,
    gt: Annotated[Path, option("ground truth in the benchmark's format", "DIR", default="")],
    pred: Annotated[Path, option("predictions in the benchmark's format", "DIR", default="")],
    json: Json = None,
) -> None:
    """Score files in the formats of ScanNet or S3DIS by the official rules (fractions)."""
    from gestalt3d.metrics.official import score as score_files

    _expect_writable(json)
    result = score_files(benchmark, gt, pred)
    per_class = {
        name: v if isinstance(v, dict) else {"IoU": v} for name, v in result.get("per_class", {}).items()
    }
    rows = [{"class": name, **values} for name, values in per_class.items()]
    table(f"{benchmark}, all", [{k: v for k, v in result.items() if not isinstance(v, dict)}], digits=4)
    say()
    table("per class", rows, digits=4)
    say()
    _say_meanings({key for row in (result, *rows) for key in row})
    if json is not None:
        _write_json(json, result)


def reproduce(
    name: Positional[
        Annotated[str, option("such as asis-table1; without it all tables are listed", "TABLE", default="")]
    ] = "",
    *,
    retrain: Annotated[bool, option("train every row again; can be stopped and resumed", default="")] = False,
    quick: Annotated[
        bool, option("a tiny version of --retrain, to see that everything runs", default="")
    ] = False,
    rows: Annotated[
        tuple[str, ...], option("with --retrain: only these, such as asis-pn2", "ROW…", default="all")
    ] = (),
    seeds: Annotated[tuple[int, ...], option("with --retrain: only these", "N…", default="all")] = (),
    out: Out = Path("runs/reproduce"),
    device: Device = "cpu",
    json: Json = None,
) -> None:
    """Print a table of a paper, our figures beside the paper's."""
    from gestalt3d import reproduce as tables

    if not name:
        _say_titles(tables.titles())
        _say_broken()
        return
    _expect_writable(json)
    if retrain or quick:
        with Progress() as on_progress:
            result = tables.retrain(
                name, out, rows=rows, seeds=seeds, quick=quick, device=device, on_progress=on_progress
            )
    elif rows or seeds:
        raise UserError("--rows and --seeds choose what to train; add --retrain")
    else:
        result = tables.committed(name)
    say(tables.render(result))
    if json is not None:
        _write_json(json, result)


def synth(
    what: Positional[Annotated[Literal["rooms", "toyboxes"], option("kind of scan", default="")]],
    *,
    count: Annotated[int, option("number of scans", "N", short="-n")] = 10,
    seed: Annotated[int, option("seed of the first scan; the others count on from it", "N")] = 0,
    preset: Annotated[Literal["default", "hard"], option("toyboxes only: how often boxes touch")] = "default",
    out: Out = Path("data"),
) -> None:
    """Write synthetic labelled scans, as a folder that training and evaluation read."""
    if count < 1:
        raise UserError(f"-n {count}: must be at least 1")
    if seed < 0:
        raise UserError(f"--seed {seed}: must be 0 or more")
    if what == "rooms" and preset != "default":
        raise UserError(f"--preset {preset}: rooms have no presets, toyboxes do")
    from gestalt3d.data.folder import save_scan

    make = _maker(what, preset)
    with Progress() as on_progress:
        for i in range(count):
            on_progress(what, i, count)
            save_scan(out, make(seed + i))
    say(f"{count} {what} in {out}")
    if what == "rooms":
        say(f"train on them: gestalt3d train asis-folder --root {out} --init asis-rooms")
    else:
        say(f"points are the centres of 10 cm voxels; in Python: gestalt3d.open_data('folder', root='{out}')")


def _maker(what: str, preset: str) -> "Callable[[int], Scan]":
    """From a seed to the scan of that world."""
    if what == "rooms":
        from gestalt3d.synth.rooms import make_room

        return make_room
    from gestalt3d.synth.toyboxes import PRESETS, make_toybox, scan_of

    name = "toybox" if preset == "default" else f"toybox_{preset}"
    return lambda seed: scan_of(make_toybox(seed, PRESETS[preset]), f"{name}_{seed:07d}")


def data(
    action: Positional[Annotated[Literal["check"], option("the only action there is", default="")]],
    kind: Positional[Annotated[Literal["s3dis", "scannet", "folder"], option("which data set", default="")]],
    *,
    root: Annotated[Path, option("its folder", "DIR", default="")],
    json: Json = None,
) -> None:
    """Check a data set: count what is there, find bad files, say what is missing."""
    from gestalt3d.data.check import check

    _expect_writable(json)
    report = check(kind, root)
    rows = [{"what": c.name, "found": c.found, "expected": c.expected, "": c.unit} for c in report.counts]
    if not any(c.expected for c in report.counts):
        rows = [{k: v for k, v in row.items() if k != "expected"} for row in rows]
    table(f"{kind} in {root}", rows)
    say()
    for note in report.notes:
        say(f"NOTE {note}")
    for problem in report.problems:
        say(f"PROBLEM {problem}")
    say(report.advice)
    if json is not None:
        _write_json(json, {**dataclasses.asdict(report), "counts": [c._asdict() for c in report.counts]})
    if not report.is_complete:
        sys.exit(2)


# --- about the installation ---


def models(*, json: Json = None) -> None:
    """List the shipped models, what they were trained on and how well they do."""
    from gestalt3d.engine.cards import cards

    found = cards()
    for card in found:
        say(f"{card.name:<20} {card.about}")
        for line in card.lines:
            say(f"{'':<20} {line}")
    _say_broken()
    if json is not None:
        _write_json(json, {"models": [dataclasses.asdict(card) for card in found]})


def bench(
    name: Positional[
        Annotated[str, option("without it all benchmarks are listed", "BENCHMARK", default="")]
    ] = "",
    *,
    json: Json = None,
) -> None:
    """Measure speed on this machine, beside the usual alternatives."""
    from gestalt3d import bench as benchmarks

    if not name:
        _say_titles(benchmarks.titles())
        return
    _expect_writable(json)
    result = benchmarks.run(name)
    table(f"{name} on {result['machine']}", result["rows"])
    if json is not None:
        _write_json(json, result)


def doctor(*, json: Json = None) -> None:
    """Check the installation and say how to mend what does not work."""
    from gestalt3d.engine.doctor import examine

    findings = examine()
    for finding in findings:
        say(f"{'ok' if finding.ok else 'NO'}  {finding.what:<16} {finding.detail}")
        if finding.remedy:
            say(f"{'':<20} {finding.remedy}")
    if json is not None:
        _write_json(json, {"findings": [dataclasses.asdict(f) for f in findings]})
    if not all(f.ok or f.optional for f in findings):
        sys.exit(2)


VERBS = {
    fn.__name__: fn
    for fn in (
        demo,
        segment,
        view,
        train,
        average,
        evaluate,
        score,
        reproduce,
        synth,
        data,
        models,
        bench,
        doctor,
    )
}

EXAMPLES: dict[str, tuple[str, str, str]] = {
    "demo": (
        "gestalt3d demo",
        "gestalt3d demo --seed 7 -o demo7",
        "gestalt3d demo -m geometric -o without_learning",
    ),
    "segment": (
        "gestalt3d segment scan.ply",
        "gestalt3d segment scans/ hall.laz -o out --min-score 0.5 --objects",
        "gestalt3d segment old.ply --units mm --up y --classes chair table",
    ),
    "view": (
        "gestalt3d view out/scan.instances.npz",
        "gestalt3d view out/scan.instances.npz --port 8000 --no-browser",
        "gestalt3d view scan.ply",
    ),
    "train": (
        "gestalt3d train asis-folder --root my_scans --init asis-rooms --optim.steps 500",
        "gestalt3d train asis-rooms --out runs/mine --optim.lr 1e-3",
        "gestalt3d train --resume --out runs/mine",
    ),
    "average": (
        "gestalt3d average runs/a/last.safetensors runs/b/last.safetensors -o mean.safetensors",
        "gestalt3d average asis-rooms runs/mine/last.safetensors --shares 0.3 0.7 -o mine.safetensors",
        "gestalt3d evaluate -m mine.safetensors -d rooms:val",
    ),
    "evaluate": (
        "gestalt3d evaluate -m asis-rooms -d rooms:val --limit 5",
        "gestalt3d evaluate -m asis-rooms -d folder --root my_scans --class-agnostic --json figures.json",
        "gestalt3d evaluate -m geometric -d s3dis:area5 --root Stanford3dDataset_v1.2_Aligned_Version",
    ),
    "score": (
        "gestalt3d score scannet --gt gt --pred pred",
        "gestalt3d score scannet-semantic --gt gt --pred pred --json figures.json",
        "gestalt3d score s3dis --gt rooms --pred rooms",
    ),
    "reproduce": (
        "gestalt3d reproduce",
        "gestalt3d reproduce asis-table1",
        "gestalt3d reproduce asis-table1 --quick",
    ),
    "synth": (
        "gestalt3d synth rooms -n 100 --seed 5000 -o my_rooms",
        "gestalt3d synth toyboxes -n 20 --preset hard -o boxes",
        "gestalt3d segment my_rooms/ -o out",
    ),
    "data": (
        "gestalt3d data check folder --root my_scans",
        "gestalt3d data check s3dis --root Stanford3dDataset_v1.2_Aligned_Version",
        "gestalt3d data check scannet --root scannet --json report.json",
    ),
    "models": (
        "gestalt3d models",
        "gestalt3d models --json models.json",
        "gestalt3d segment scan.ply -m geometric",
    ),
    "bench": (
        "gestalt3d bench",
        "gestalt3d bench import-time",
        "gestalt3d bench segment --json segment.json",
    ),
    "doctor": (
        "gestalt3d doctor",
        "gestalt3d doctor --json report.json",
        "gestalt3d --version",
    ),
}


# --- output ---


def _say_result(result: "Result") -> None:
    answer, took = result.answer, duration(result.work.seconds)
    elements = _elements(answer.given)
    say(f"\n{result.source}: {len(answer.given):,} {elements}, {len(answer.found)} instances in {took}")
    for note in answer.notes:
        say(f"NOTE {note}")
    say()
    _say_classes(answer)
    say()
    _say_seconds(result.work)
    _say_files(result.files)


def _elements(given: "PointCloud | View") -> str:
    """What masks are of."""
    from gestalt3d.structures.view import View

    return "pixels" if isinstance(given, View) else "points"


def _say_classes(answer: "Answer", truth: "Instances | None" = None) -> None:
    """Instances and points or pixels per class, and how many instances there are where that is known."""
    found, elements = answer.found, _elements(answer.given)
    rows = []
    for c, name in enumerate(found.vocabulary.names):
        mine = found.classes == c
        real = int((truth.classes == c).sum()) if truth is not None else 0
        count = int(mine.sum())
        # Some models label walls and floors without parting them.
        if not count and (not real or name in found.vocabulary.structure):
            continue
        row: dict[str, Any] = {"class": name, "instances": count}
        if truth is not None:
            row["there are"] = real
        mean = float(found.scores[mine].mean()) if count else None
        rows.append(row | {elements: int(found.sizes[mine].sum()), "mean score": mean})
    rows.append({"class": "none", elements: int((answer.labels < 0).sum())})
    table("instances per class", rows, digits=2)


def _say_meanings(shown: "Container[str]") -> None:
    from gestalt3d.metrics.report import meanings

    for line in meanings(shown):
        say(line)


def _say_seconds(work: "Stage", with_start_up: float | None = None) -> None:
    """What took how long: stages in brackets are parts of the one before them, the others add up to the last figure."""
    more = "" if with_start_up is None else f", with start-up {with_start_up:.1f}"
    say(f"seconds  {work} = {work.seconds:.1f}{more}")


def _seconds(work: "Stage") -> dict[str, dict[str, float]]:
    return {"seconds": work.shares, "seconds_within": work.within}


def _say_files(files: tuple[Path, ...]) -> None:
    # As a shell writes several names, so that the line can be copied.
    start = str(files[0]).removesuffix("instances.npz")
    say(f"wrote    {start}{{{','.join(str(file).removeprefix(start) for file in files)}}}")


def _say_titles(titles: dict[str, str]) -> None:
    for name, title in titles.items():
        say(f"  {name:<14} {title}")


def _say_broken() -> None:
    """Methods of other packages that cannot be used."""
    from gestalt3d import plugins

    for line in plugins.broken():
        say(f"NOTE {line}")


def _summary(result: "Result") -> dict[str, Any]:
    answer = result.answer
    elements = _elements(answer.given)
    return {
        "file": str(result.source),
        elements: len(answer.given),
        "instances": _objects(answer.found, elements),
        **_seconds(result.work),
        "notes": list(answer.notes),
        "files": [str(f) for f in result.files],
    }


def _objects(found: "Instances", elements: str = "points") -> list[dict[str, Any]]:
    rows = zip(found.scores.tolist(), found.sizes.tolist(), strict=True)
    return [{"class": found.class_name(i), "score": s, elements: n} for i, (s, n) in enumerate(rows)]


def _expect_writable(json: Path | None, name: str = "--json") -> None:
    """Find out before the work, not after it, that an option names no place to write to."""
    if json is not None and (
        json.is_dir() or not json.parent.is_dir() or not os.access(json.parent, os.W_OK)
    ):
        raise UserError(f"{name} {json}: cannot be written there; name a file in a folder that exists")


def _write_json(path: Path, result: dict[str, Any]) -> None:
    from gestalt3d.io.json_files import write_json

    write_json(path, result)

"""The command line: one function per verb, whose parameters are its options. Heavy imports happen inside the verb."""

import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import Positional, arg

import gestalt3d
from gestalt3d.errors import UserError

if TYPE_CHECKING:
    from gestalt3d.engine.model import Model
    from gestalt3d.engine.segment import Result

USAGE = """gestalt3d turns a scan into object instances.

Start here
  gestalt3d demo                              a synthetic room it has never seen: table, picture, web page
  gestalt3d segment scan.ply -o out/          your own scan: .ply .pcd .las .laz .xyz .csv .npy .npz .obj .glb .stl .off
  gestalt3d view out/scan.instances.npz       turn around in the result

Verbs
{verbs}

`gestalt3d VERB --help` shows a verb's options. `gestalt3d --version` prints the version."""


def main(arguments: list[str] | None = None) -> None:
    """Run one verb. A user's error is one line on stderr and exit code 2; Ctrl-C leaves finished files and exits with 130."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        _print(USAGE.format(verbs="\n".join(f"  {name:<10} {_first_line(fn)}" for name, fn in VERBS.items())))
        return
    if arguments[0] in ("--version", "-V"):
        _print(f"gestalt3d {gestalt3d.__version__}")
        return
    verb, rest = arguments[0], arguments[1:]
    if verb not in VERBS:
        _fail(f"gestalt3d: no verb {verb!r}; there are {', '.join(VERBS)}")
    try:
        _dispatch(verb, rest)
    except UserError as problem:
        _fail(f"gestalt3d {verb}: {problem}")
    except KeyboardInterrupt as stop:
        _print(f"\ngestalt3d {verb}: {stop or 'stopped; finished files are kept'}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # `gestalt3d … | head` closed the pipe: nothing to report.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except MemoryError:
        _fail(f"gestalt3d {verb}: out of memory; split the scan or use a machine with more")


def _dispatch(verb: str, rest: list[str]) -> None:
    if verb == "train":
        return train(rest)
    return tyro.cli(VERBS[verb], prog=f"gestalt3d {verb}", args=rest)


def _first_line(fn: Any) -> str:
    return (fn.__doc__ or "").strip().splitlines()[0]


def _print(text: str = "", **options: Any) -> None:
    print(text, **options)


def _fail(line: str) -> None:
    _print(" ".join(line.split()), file=sys.stderr)
    sys.exit(2)


# --- options that several verbs share -------------------------------------------------------------------------------------


ModelName = Annotated[str, arg(aliases=["-m"], help="a shipped model (see `gestalt3d models`) or a weight file")]
Out = Annotated[Path, arg(aliases=["-o"], help="folder for the results; made where missing")]
DataName = Annotated[str, arg(aliases=["-d"], help="rooms:val, rooms:test, s3dis:area5, folder, …")]
Json = Annotated[Path | None, arg(help="also write the figures to this file")]
Device = Annotated[str, arg(help="cpu, cuda, cuda:0, …; auto takes a GPU where there is one")]


# --- looking at scans -----------------------------------------------------------------------------------------------------


def demo(
    *,
    model: ModelName = "asis-rooms",
    out: Out = Path("demo"),
    seed: Annotated[int, arg(help="number of the room among the test rooms, which training never saw")] = 0,
    device: Device = "cpu",
) -> None:
    """Segment a synthetic scanned room that training never saw, and show how well that went."""
    from gestalt3d.data import open_data
    from gestalt3d.engine.evaluate import evaluate_found
    from gestalt3d.engine.model import load
    from gestalt3d.engine.segment import Options, write_results
    from gestalt3d.io import save_cloud
    from gestalt3d.stages import measure, stage

    started = time.perf_counter()
    ready = load(model, device=device)
    with _Progress() as on_progress, measure(on_progress) as stages:
        with stage("make room"):
            scan = open_data("rooms:test", vocabulary=ready.vocabulary, limit=seed + 1)[seed]
        found = ready.segment(scan.cloud)
        with stage("write"):
            out.mkdir(parents=True, exist_ok=True)
            save_cloud(out / "room.ply", scan.cloud)
            files = (out / "room.ply", *write_results(out, "room", scan.cloud, found, Options()))
    figures = evaluate_found(scan, found)
    _table_of_classes(found, scan.instances)
    _print()
    _table("held-out room", [{"scan": scan.name, **{k: figures[k] for k in ("mCov", "mWCov", "mPrec", "mRec", "AP50")}}])
    _table_of_seconds(stages.seconds, time.perf_counter() - started)
    _say_files(files)
    _print(f"\nTurn around in it: open {out / 'room.html'} in a browser.")


def segment(
    files: Positional[Annotated[tuple[Path, ...], arg(metavar="FILE…", help="clouds, or folders of clouds")]],
    *,
    model: ModelName = "asis-rooms",
    out: Out = Path("out"),
    classes: Annotated[tuple[str, ...] | None, arg(help="keep only instances of these classes")] = None,
    min_score: Annotated[float, arg(help="keep only instances at least this sure, 0 to 1")] = 0.0,
    units: Annotated[Literal["m", "cm", "mm", "ft", "in"] | None, arg(help="unit of the coordinates; guessed")] = None,
    up: Annotated[Literal["x", "y", "z", "-x", "-y", "-z"] | None, arg(help="axis that points up; guessed")] = None,
    objects: Annotated[bool, arg(help="also write one PLY per object")] = False,
    picture: Annotated[bool, arg(help="write a .png")] = True,
    page: Annotated[bool, arg(help="write a .html to turn around in")] = True,
    device: Device = "cpu",
    seed: Annotated[int | None, arg(help="seed of the sampling inside the method")] = None,
    json: Json = None,
) -> None:
    """Find the object instances in your own scans; no labels needed."""
    from gestalt3d.engine.model import load
    from gestalt3d.engine.segment import Options, expand, segment_files

    if not files:
        raise UserError("name at least one file, such as scan.ply")
    if not 0 <= min_score <= 1:
        raise UserError(f"--min-score {min_score}: must lie between 0 and 1")
    expand(files)
    ready = load(model, device=device)
    if seed is not None:
        ready = ready.with_seed(seed)
    options = Options(classes, min_score, units, up, objects, picture, page)
    reports: list[dict[str, Any]] = []

    def say(result: "Result") -> None:
        reports.append(_summary(result))
        _print(f"\n{result.source}: {len(result.cloud):,} points, {len(result.instances)} instances")
        for note in result.notes:
            _print(f"  NOTE {note}")
        _table_of_classes(result.instances)
        _table_of_seconds(result.seconds)
        _say_files(result.files)

    with _Progress() as on_progress:
        outcome = segment_files(
            ready, files, out, options, on_progress=on_progress, on_result=say,
            on_failure=lambda line: _print(f"gestalt3d segment: {line}", file=sys.stderr),
        )  # fmt: skip
    if json is not None:
        _write_json(json, {"model": model, "files": reports, "failed": outcome.failed})
    if outcome.failed:
        if len(outcome.failed) + len(outcome.done) > 1:
            _print(f"{len(outcome.done)} files done, {len(outcome.failed)} could not be", file=sys.stderr)
        sys.exit(2)


def view(
    file: Positional[Annotated[Path, arg(metavar="FILE", help="a result, scan.instances.npz")]],
    *,
    port: Annotated[int, arg(help="port on this machine; 0 takes a free one")] = 0,
    browser: Annotated[bool, arg(help="open the page in the browser")] = True,
) -> None:
    """Serve a result as a web page on this machine until Ctrl-C."""
    from gestalt3d.viewer import serve

    serve(file, port=port, open_browser=browser)


# --- training and measuring -----------------------------------------------------------------------------------------------


def train(arguments: list[str]) -> None:
    """Train a recipe: `gestalt3d train asis-rooms --optim.lr 5e-4`; --init, --resume."""
    from gestalt3d.recipes import RECIPES, recipe

    if not arguments or arguments[0].startswith("-"):
        _print("usage: gestalt3d train RECIPE [--out DIR] [--resume] [--init MODEL] [any field of the recipe]\n\nRecipes")
        for name, make in RECIPES.items():
            _print(f"  {name:<22} {_first_line(make)}")
        _print("\nExamples\n  gestalt3d train asis-rooms --out runs/mine --optim.lr 5e-4")
        _print("  gestalt3d train asis-rooms --out runs/mine --resume")
        _print("  gestalt3d train asis-folder --root my_scans --init asis-rooms --optim.steps 500")
        if not arguments or arguments[0] in ("-h", "--help"):
            return
        raise UserError(f"name a recipe first, not {arguments[0]}; there are {', '.join(RECIPES)}")
    default = recipe(arguments[0])
    run = tyro.cli(_TrainOptions, prog=f"gestalt3d train {arguments[0]}", args=arguments[1:], default=_TrainOptions(default))
    chosen = dataclasses.replace(run.recipe, name=default.name)
    from gestalt3d.engine.train import train as train_recipe

    out = run.out or Path("runs") / chosen.name
    with _Progress() as on_progress:
        last = train_recipe(
            chosen, out, resume=run.resume, init=run.init, device=run.device, stop_after=run.stop_after,
            report=lambda step, steps, terms: on_progress("training", step, steps, f"loss {terms['loss']:.3f}"),
        )  # fmt: skip
    _print(f"weights: {last}   log: {out / 'log.jsonl'}")


@dataclasses.dataclass(frozen=True)
class _TrainOptions:
    recipe: Any
    out: Annotated[Path | None, arg(aliases=["-o"], help="folder of the run; runs/RECIPE where unset")] = None
    resume: Annotated[bool, arg(help="continue the run in --out")] = False
    init: Annotated[str | None, arg(help="start from the weights of this model or file")] = None
    device: Device = "auto"
    stop_after: Annotated[int | None, arg(help="end early after this step; continue with --resume")] = None


def evaluate(
    *,
    model: ModelName = "asis-rooms",
    data: DataName = "rooms:val",
    root: Annotated[Path | None, arg(help="folder of the data set, for those that lie on disk")] = None,
    limit: Annotated[int | None, arg(help="use only this many scans")] = None,
    class_agnostic: Annotated[bool, arg(help="ignore classes; structure (walls, floor) is void: ScanNet's rule")] = False,
    blocks: Annotated[bool, arg(help="measure on sampled blocks, as the ASIS paper does, not on the raw points")] = False,
    device: Device = "cpu",
    json: Json = None,
) -> None:
    """Measure a model on labelled scans: coverage, precision and recall, AP, semantic IoU."""
    from gestalt3d.data import open_data
    from gestalt3d.engine.evaluate import evaluate as evaluate_model
    from gestalt3d.engine.model import load

    ready = load(model, device=device)
    scans = open_data(data, root=root, vocabulary=None if class_agnostic else ready.vocabulary, limit=limit)
    with _Progress() as on_progress:
        result = evaluate_model(
            ready, scans, data=data, class_agnostic=class_agnostic, sampled_blocks=blocks,
            report=lambda done, total, name: on_progress(f"scan {name}", done, total),
        )  # fmt: skip
    keys = ("AP", "AP50", "AP25", "recall50", "coverage") if class_agnostic else _FIGURES
    rows = [{"scan": name, **{k: v.get(k) for k in keys}} for name, v in result["scans"].items()]
    _table(f"{model} on {data}", [*rows, {"scan": "all", **{k: result["pooled"].get(k) for k in keys}}])
    per_class = result["pooled"].get("per_class")
    if per_class and not class_agnostic:
        _print()
        _table("per class", [{"class": name, **values} for name, values in per_class.items()])
    if result["skipped"]:
        _print(f"without instance labels, not scored: {', '.join(result['skipped'])}")
    if json is not None:
        _write_json(json, result)


_FIGURES = ("mCov", "mWCov", "mPrec", "mRec", "AP", "AP50", "AP25", "oAcc", "mAcc", "mIoU")


def score(
    benchmark: Positional[Annotated[Literal["scannet", "scannet-semantic", "s3dis"], arg(help="whose rules and formats")]],
    *,
    gt: Annotated[Path, arg(help="folder of the ground truth in the benchmark's format")],
    pred: Annotated[Path, arg(help="folder of the predictions")],
    json: Json = None,
) -> None:
    """Official file formats in, official numbers out (fractions)."""
    from gestalt3d.metrics.official import score as score_files

    result = score_files(benchmark, gt, pred)
    plain = {k: v for k, v in result.items() if not isinstance(v, dict)}
    _table(benchmark, [plain], digits=4)
    if "per_class" in result:
        rows = [{"class": n, **(v if isinstance(v, dict) else {"IoU": v})} for n, v in result["per_class"].items()]
        _table("per class", rows, digits=4)
    if json is not None:
        _write_json(json, result)


def reproduce(
    table: Positional[Annotated[str, arg(help="such as asis-table1; without one, all are listed")]] = "",
    *,
    retrain: Annotated[bool, arg(help="train every row anew at the stated budget; resumable")] = False,
    quick: Annotated[bool, arg(help="a tiny version of --retrain that shows that everything runs")] = False,
    out: Out = Path("runs/reproduce"),
    device: Device = "cpu",
    json: Json = None,
) -> None:
    """A table of the papers: ours beside theirs."""
    from gestalt3d import reproduce as tables

    if not table:
        for name, title in tables.titles().items():
            _print(f"  {name:<14} {title}")
        return
    if retrain or quick:
        with _Progress() as on_progress:
            result = tables.run(table, out, quick=quick, device=device, on_progress=on_progress)
    else:
        result = tables.committed(table)
    _print(tables.render(result))
    if json is not None:
        _write_json(json, result)


def synth(
    what: Positional[Annotated[Literal["rooms"], arg(help="which world")]],
    *,
    count: Annotated[int, arg(aliases=["-n"], help="how many")] = 10,
    seed: Annotated[int, arg(help="first seed")] = 0,
    out: Out = Path("data"),
) -> None:
    """Write synthetic labelled scans: PLY with the labels beside, as `folder` reads them."""
    from gestalt3d.data.folder import save_scan
    from gestalt3d.synth.rooms import make_room

    if count < 1:
        raise UserError(f"-n {count}: must be at least 1")
    with _Progress() as on_progress:
        for i in range(count):
            on_progress(f"{what}", i, count)
            save_scan(out, make_room(seed + i))
        on_progress(f"{what}", count, count)
    _print(f"{count} {what} in {out}; train on them with `gestalt3d train asis-folder --root {out}`")


def data(
    action: Positional[Literal["check"]],
    kind: Positional[Annotated[Literal["s3dis", "folder"], arg(help="which data set")]],
    *,
    root: Annotated[Path, arg(help="its folder")],
    json: Json = None,
) -> None:
    """Count what a data set's folder holds, find known bad files, say what is missing."""
    from gestalt3d.data.check import check

    report = check(kind, root)
    _print(report.text())
    if json is not None:
        _write_json(json, report.plain())
    if not report.usable:
        sys.exit(2)


# --- about the installation -----------------------------------------------------------------------------------------------


def models(*, json: Json = None) -> None:
    """List the models that are shipped, with what they were trained on and how well they do."""
    from gestalt3d.engine.cards import cards

    rows = cards()
    _table("models", [{k: r.get(k, "") for k in ("name", "method", "trained on", "figures", "size")} for r in rows])
    if json is not None:
        _write_json(json, {"models": rows})


def bench(
    row: Positional[Annotated[str, arg(help="one benchmark; without one, all are listed")]] = "",
    *,
    json: Json = None,
) -> None:
    """Measure speed against the usual alternatives, in the same run on this machine."""
    from gestalt3d import bench as rows

    if not row:
        for name, title in rows.titles().items():
            _print(f"  {name:<14} {title}")
        return
    result = rows.run(row)
    _table(row, result["rows"])
    if json is not None:
        _write_json(json, result)


def doctor(*, json: Json = None) -> None:
    """Say what of the installation works, and what to do about the rest."""
    from gestalt3d.engine.doctor import examine

    findings = examine()
    for finding in findings:
        _print(f"{'ok ' if finding.ok else 'NO '} {finding.what:<22} {finding.detail}")
        if finding.remedy:
            _print(f"{'':<27}{finding.remedy}")
    if json is not None:
        _write_json(json, {"findings": [dataclasses.asdict(f) for f in findings]})
    if not all(f.ok or f.optional for f in findings):
        sys.exit(2)


VERBS = {
    fn.__name__: fn
    for fn in (demo, segment, view, train, evaluate, score, reproduce, synth, data, models, bench, doctor)
}


# --- output ---------------------------------------------------------------------------------------------------------------


def _table(title: str, rows: list[dict[str, Any]], digits: int = 1) -> None:
    from gestalt3d.metrics.report import text_table

    columns = list(rows[0]) if rows else []
    _print(f"{title}\n{text_table(columns, [[r.get(c) for c in columns] for r in rows], digits=digits)}")


def _table_of_classes(found: Any, truth: Any = None) -> None:
    """Classes with the number of their instances and points; with the ground truth's number beside where there is one."""
    import torch

    rows = []
    for c, name in enumerate(found.vocabulary.names):
        mine = found.classes == c
        real = int((truth.classes == c).sum()) if truth is not None else 0
        if not bool(mine.any()) and not real:
            continue
        row = {"class": name, "found": int(mine.sum())}
        if truth is not None:
            row["there are"] = real
        scores = found.scores[mine]
        row |= {"points": int(found.sizes[mine].sum()), "mean score": float(scores.mean()) if len(scores) else None}
        rows.append(row)
    unassigned = found.num_points - int(torch.unique(found.indices).numel())
    _table("instances", rows, digits=2)
    if unassigned:
        _print(f"{unassigned:,} points in no instance")


def _table_of_seconds(seconds: dict[str, float], total: float | None = None) -> None:
    parts = [f"{name} {value:.1f}" for name, value in seconds.items()]
    if total is not None:
        parts.append(f"all {total:.1f}")
    _print("seconds: " + " · ".join(parts))


def _say_files(files: tuple[Path, ...]) -> None:
    _print("wrote: " + "  ".join(str(f) for f in files))


def _summary(result: "Result") -> dict[str, Any]:
    found = result.instances
    objects = [{"class": found.class_name(i), "score": float(found.scores[i]), "points": int(found.sizes[i])} for i in range(len(found))]
    return {
        "file": str(result.source), "points": len(result.cloud), "instances": objects,
        "seconds": result.seconds, "notes": list(result.notes), "files": [str(f) for f in result.files],
    }  # fmt: skip


def _write_json(path: Path, result: dict[str, Any]) -> None:
    from gestalt3d.metrics.report import write_json

    write_json(path, result)


class _Progress:
    """A bar per stage on a terminal; one line every ten seconds elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("ETA"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self.tasks: dict[str, Any] = {}
        self.said = self.began = time.monotonic()
        self.first = 0

    def __enter__(self) -> "_Progress":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, name: str, done: int, total: int, note: str = "") -> None:
        if name not in self.tasks:
            self.tasks[name] = self.bar.add_task(name, total=total, note=note)
            self.began, self.first = time.monotonic(), done
        self.bar.update(self.tasks[name], completed=done, total=total, note=note)
        if self.bar.disable and self.first < done < total and time.monotonic() - self.said > 10:
            self.said = time.monotonic()
            left = (self.said - self.began) / (done - self.first) * (total - done)
            _print(f"{name}: {done}/{total}, about {left / 60:.1f} min left {note}", file=sys.stderr)


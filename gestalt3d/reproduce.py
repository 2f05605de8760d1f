"""Tables of the papers, ours beside theirs: train every row at an equal budget, evaluate, compare, say which claims hold.

A run is one row and one seed, and its figures are one small file: the package ships those of the last full run, tables are put
together from them. `--retrain` can be stopped and started again: finished runs are read, half-trained ones continue from their
checkpoint.
"""

import json
import math
import platform
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import gestalt3d
from gestalt3d.errors import UserError

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Budget:
    """What every row of a table gets."""

    steps: int
    train_rooms: int
    test_rooms: int
    seeds: tuple[int, ...]


FULL = Budget(steps=900, train_rooms=300, test_rooms=12, seeds=(0, 1, 2))
QUICK = Budget(steps=2, train_rooms=2, test_rooms=1, seeds=(0,))


@dataclass(frozen=True)
class Row:
    """One row of a table: a recipe of `recipes.table_row`, or a method that needs no training."""

    label: str
    key: str
    paper: dict[str, float]
    paper_area5: dict[str, float] | None = None


@dataclass(frozen=True)
class Claim:
    """`better` exceeds `worse` in `metric` by more than twice the standard error of the difference."""

    better: str
    worse: str
    metric: str


@dataclass(frozen=True)
class Table:
    title: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()
    per_class: tuple[str, ...] = ()
    """Metrics that are also shown for every class."""
    timed: bool = False
    """Times of one block instead of accuracy alone."""


def _instance(mcov: float, mwcov: float, mprec: float, mrec: float) -> dict[str, float]:
    return {"mCov": mcov, "mWCov": mwcov, "mPrec": mprec, "mRec": mrec}


def _semantic(macc: float, miou: float, oacc: float) -> dict[str, float]:
    return {"mAcc": macc, "mIoU": miou, "oAcc": oacc}


_CLASSES = (
    "ceiling", "floor", "wall", "beam", "column", "window", "door", "table", "chair", "sofa", "bookcase", "board", "clutter",
)  # fmt: skip


def _classes(metric: str, mean: float, *values: float) -> dict[str, float]:
    return {**{f"{metric} {name}": v for name, v in zip(_CLASSES, values, strict=True)}, f"m{metric}": mean}


# Figures of the paper: 6-fold cross validation on S3DIS, Area 5 where a table gives it as well.
TABLES: dict[str, Table] = {
    "asis-table1": Table(
        "ASIS Table 1: instance segmentation",
        ("mCov", "mWCov", "mPrec", "mRec"),
        (
            Row("PN SGPN", "sgpn-pn", _instance(37.9, 40.8, 38.2, 31.2), _instance(32.7, 35.5, 36.0, 28.7)),
            Row(
                "PN ASIS (vanilla)",
                "vanilla-pn",
                _instance(43.0, 46.3, 50.6, 39.2),
                _instance(38.0, 40.6, 42.3, 34.9),
            ),
            Row("PN ASIS", "asis-pn", _instance(44.7, 48.2, 53.2, 40.7), _instance(40.4, 43.3, 44.5, 37.4)),
            Row("PN++ SGPN", "sgpn-pn2", {}),
            Row(
                "PN++ ASIS (vanilla)",
                "vanilla-pn2",
                _instance(49.6, 53.4, 62.7, 45.8),
                _instance(42.6, 45.7, 53.4, 40.6),
            ),
            Row(
                "PN++ ASIS", "asis-pn2", _instance(51.2, 55.1, 63.6, 47.5), _instance(44.6, 47.8, 55.3, 42.4)
            ),
            Row("planes + DBSCAN", "geometric", {}),
        ),
        tuple(
            Claim(better, worse, metric)
            for backbone in ("pn", "pn2")
            for better, worse in (
                (f"asis-{backbone}", f"vanilla-{backbone}"),
                (f"vanilla-{backbone}", f"sgpn-{backbone}"),
            )
            for metric in ("mCov", "mPrec")
        ),
    ),
    "asis-table2": Table(
        "ASIS Table 2: semantic segmentation",
        ("mAcc", "mIoU", "oAcc"),
        (
            Row("PN SGPN", "sgpn-pn", {}),
            Row("PN ASIS (vanilla)", "vanilla-pn", _semantic(60.7, 49.5, 80.4), _semantic(52.9, 44.7, 83.7)),
            Row("PN ASIS", "asis-pn", _semantic(62.3, 51.1, 81.7), _semantic(55.7, 46.4, 84.5)),
            Row("PN++ SGPN", "sgpn-pn2", {}),
            Row(
                "PN++ ASIS (vanilla)", "vanilla-pn2", _semantic(69.0, 58.2, 85.9), _semantic(58.3, 50.8, 86.7)
            ),
            Row("PN++ ASIS", "asis-pn2", _semantic(70.1, 59.3, 86.2), _semantic(60.9, 53.4, 86.9)),
            Row("planes + DBSCAN", "geometric", {}),
        ),
        (Claim("asis-pn", "vanilla-pn", "mIoU"), Claim("asis-pn2", "vanilla-pn2", "mIoU")),
    ),
    "asis-table3": Table(
        "ASIS Table 3: ablation on PointNet",
        ("mIoU", "mWCov"),
        (
            Row("baseline", "vanilla-pn", {"mIoU": 49.5, "mWCov": 46.3}),
            Row("+IF", "if-pn", {"mIoU": 50.0, "mWCov": 47.0}),
            Row("+SA", "sa-pn", {"mIoU": 49.8, "mWCov": 47.4}),
            Row("+IF +SA", "asis-pn", {"mIoU": 51.1, "mWCov": 48.2}),
        ),
        tuple(
            Claim(better, worse, metric)
            for better, worse in (("if-pn", "vanilla-pn"), ("sa-pn", "vanilla-pn"), ("asis-pn", "vanilla-pn"))
            for metric in ("mIoU", "mWCov")
        ),
    ),
    "asis-table4": Table(
        "ASIS Table 4: per class, PointNet",
        ("mWCov", "mIoU"),
        (
            Row(
                "ASIS (vanilla)",
                "vanilla-pn",
                _classes(
                    "WCov", 46.3, 79.2, 77.0, 63.7, 47.6, 6.6, 55.6, 47.5, 50.5, 57.3, 9.9, 31.3, 33.7, 41.5
                )
                | _classes(
                    "IoU", 49.5, 90.1, 87.8, 69.2, 42.3, 26.0, 50.4, 54.9, 57.5, 45.8, 8.9, 38.0, 33.4, 39.2
                ),
            ),
            Row(
                "ASIS",
                "asis-pn",
                _classes(
                    "WCov", 48.2, 80.1, 76.4, 66.1, 53.4, 9.2, 58.8, 49.8, 50.6, 59.4, 9.9, 32.3, 38.7, 42.0
                )
                | _classes(
                    "IoU", 51.1, 91.3, 89.7, 69.8, 45.8, 27.0, 51.9, 55.1, 61.0, 49.3, 9.1, 40.2, 33.5, 40.7
                ),
            ),
        ),
        per_class=("WCov", "IoU"),
    ),
    "asis-table5": Table(
        "ASIS Table 5: time per block of 4,096 points",
        ("network ms", "grouping ms", "overall ms", "scikit-learn grouping ms", "mWCov"),
        tuple(
            Row(
                label,
                key,
                {"network ms": net, "grouping ms": group, "overall ms": net + group, "mWCov": mwcov},
            )
            for label, key, net, group, mwcov in (
                ("SGPN", "sgpn-pn", 18.0, 708.0, 35.5),
                ("ASIS (vanilla)", "vanilla-pn", 11.0, 201.0, 41.4),
                ("ASIS", "asis-pn", 20.0, 185.0, 43.6),
                ("ASIS (vanilla.PN++)", "vanilla-pn2", 35.0, 115.0, 45.7),
                ("ASIS (PN++)", "asis-pn2", 54.0, 125.0, 47.8),
            )
        ),
        timed=True,
    ),
}


def titles() -> dict[str, str]:
    """Name → title of every table."""
    return {name: table.title for name, table in TABLES.items()}


def table_of(name: str) -> Table:
    if name not in TABLES:
        raise UserError(f"no table {name!r}; there are {', '.join(TABLES)}")
    return TABLES[name]


class Run(NamedTuple):
    """One row trained with one seed."""

    row: str
    seed: int
    steps: int
    train_rooms: int
    test_rooms: int
    commit: str
    device: str
    seconds: float
    """Of training."""
    figures: dict[str, Any]
    times: dict[str, float]
    """Milliseconds per block; empty where they were not taken."""


def committed(name: str) -> dict[str, Any]:
    """The table from the runs that the package ships."""
    table = table_of(name)
    folder = Path(str(resources.files("gestalt3d") / "results"))
    runs = [_read(file) for row in table.rows for file in sorted(folder.glob(f"{row.key}-seed*.json"))]
    if not runs:
        raise UserError(
            f"{name}: no result is shipped yet; make one with `gestalt3d reproduce {name} --retrain`"
        )
    return _assemble(name, table, runs)


def retrain(
    name: str,
    out: Path,
    *,
    rows: Sequence[str] = (),
    seeds: Sequence[int] = (),
    quick: bool = False,
    device: str = "cpu",
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Train and evaluate the rows that are not finished in `out`, and put the table together.

    `rows` and `seeds` take some of the table's rows and of the budget's seeds, so that several processes can share the work;
    the table shows the runs asked for.
    """
    table = table_of(name)
    budget = QUICK if quick else FULL
    keys = [row.key for row in table.rows]
    for row in rows:
        if row not in keys:
            raise UserError(f"--rows {row}: {name} has {', '.join(keys)}")
    for seed in seeds:
        if seed not in budget.seeds:
            raise UserError(f"--seeds {seed}: the budget has {', '.join(map(str, budget.seeds))}")
    say = on_progress or (lambda *_: None)
    jobs = [(row, seed) for seed in seeds or budget.seeds for row in table.rows if row.key in (rows or keys)]
    folder = out / ("quick" if quick else "full")
    runs = []
    for number, (row, seed) in enumerate(jobs):
        say(f"{name}: {row.label}, seed {seed}", number, len(jobs))
        runs.append(_one_run(row, seed, folder, budget, device, table.timed, say))
    return _assemble(name, table, runs)


def _one_run(
    row: Row, seed: int, folder: Path, budget: Budget, device: str, timed: bool, say: Progress
) -> Run:
    """A run, from its file in `folder` where it is finished."""
    from gestalt3d.engine.model import load
    from gestalt3d.metrics.report import write_json

    file = folder / f"{row.key}-seed{seed}.json"
    run = _read(file) if file.exists() else None
    if run is None or (timed and not run.times):
        weights, seconds = _trained(row, seed, folder / file.stem, budget, device, say)
        model = load(weights, device=device).with_seed(seed)  # for methods without training, too
        if run is None:
            figures = _evaluated(model, budget, say)
            run = Run(
                row.key, seed, budget.steps, budget.train_rooms, budget.test_rooms, _commit(), _device(device), seconds,
                figures, {},
            )  # fmt: skip
        if timed and hasattr(model.method, "group"):
            from gestalt3d.engine.block_times import block_times

            run = run._replace(times=block_times(model))
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, run._asdict())
    return run


def _read(file: Path) -> Run:
    try:
        return Run(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as problem:
        raise UserError(f"{file}: not the result of a run ({problem}); delete it to make it again") from None


def _trained(
    row: Row, seed: int, folder: Path, budget: Budget, device: str, say: Progress
) -> tuple[str, float]:
    """The weight file of a run, trained or trained on as far as needed, and the seconds that took."""
    from gestalt3d.engine import checkpoint
    from gestalt3d.engine.train import train
    from gestalt3d.recipes import table_row

    if row.key in checkpoint.UNTRAINED:
        return row.key, 0.0
    last = folder / f"last{checkpoint.SUFFIX}"
    recipe = replace(table_row(row.key, steps=budget.steps, seed=seed), count=budget.train_rooms)
    report = lambda step, steps, _terms: say(f"train {row.key} seed {seed}", step, steps)  # noqa: E731
    if _reached(last)["step"] < budget.steps:
        train(recipe, folder, resume=last.exists(), device=device, report=report)
    return str(last), _reached(last)["seconds"]


def _reached(last: Path) -> dict[str, Any]:
    from gestalt3d.engine import checkpoint

    return checkpoint.read(last).about["run"] if last.exists() else {"step": 0, "seconds": 0.0}


def _evaluated(model: Any, budget: Budget, say: Progress) -> dict[str, Any]:
    """Figures on sampled blocks as in the paper and, named "raw", on the raw points."""
    from gestalt3d.data import open_data
    from gestalt3d.engine.evaluate import add_scan
    from gestalt3d.metrics.evaluator import CloudEvaluator

    scans = open_data("rooms:test", vocabulary=model.vocabulary, limit=budget.test_rooms)
    evaluators = {suffix: CloudEvaluator(model.vocabulary) for suffix in ("", " raw")}
    for i in range(len(scans)):
        say(f"evaluate {scans.names[i]}", i, len(scans))
        scan = scans[i]
        found = model.segment(scan.cloud)
        for suffix, evaluator in evaluators.items():
            add_scan(evaluator, scan, found, sampled_blocks=not suffix)
    flat: dict[str, Any] = {}
    for suffix, evaluator in evaluators.items():
        pooled = evaluator.results()["pooled"]
        flat |= {f"{k}{suffix}": v for k, v in pooled.items() if not isinstance(v, dict)}
        flat |= {
            f"{m} {c}{suffix}": v.get(m) for c, v in pooled["per_class"].items() for m in ("WCov", "IoU")
        }
    return flat


def _assemble(name: str, table: Table, runs: list[Run]) -> dict[str, Any]:
    metrics = [f"{m} {c}" for m in table.per_class for c in _CLASSES] + list(table.metrics)
    if not table.timed:
        metrics += [f"{m} raw" for m in table.metrics]
    figures = {row.key: [r.figures | r.times for r in runs if r.row == row.key] for row in table.rows}
    rows = []
    for row in table.rows:
        values = {m: [f[m] for f in figures[row.key] if f.get(m) is not None] for m in metrics}
        rows.append(
            {
                "row": row.label,
                "ours": {m: _mean(v) for m, v in values.items()},
                "sd": {m: _sd(v) for m, v in values.items()},
                "paper": row.paper,
                "paper_area5": row.paper_area5 or {},
                "seeds": [r.seed for r in runs if r.row == row.key],
                "training_seconds": _mean([r.seconds for r in runs if r.row == row.key]),
            }
        )
    data = (
        f"synthetic rooms: {_all(r.train_rooms for r in runs)} train, {_all(r.test_rooms for r in runs)} test (rooms:test);"
        f" {_all(r.steps for r in runs)} steps a row, seeds {_all(r.seed for r in runs)}; figures on sampled blocks as in the"
        " paper, 'raw': on the raw points; paper: S3DIS, 6-fold cross validation"
    )
    return {
        "table": name, "title": table.title, "data": data, "device": _all(r.device for r in runs),
        "commit": _all(r.commit for r in runs), "version": gestalt3d.__version__, "rows": rows,
        "claims": [_judged(claim, figures) for claim in table.claims],
    }  # fmt: skip


def _all(values: Iterable[Any]) -> str:
    """Every value once, so that runs of different kinds in one table show."""
    return ", ".join(str(v) for v in dict.fromkeys(values))


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _sd(values: list[float]) -> float | None:
    """Sample standard deviation; None for fewer than two values."""
    if len(values) < 2:
        return None
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))


def _judged(claim: Claim, figures: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """A claim holds when the difference exceeds twice its standard error; null where there are fewer than two seeds."""
    a = [r[claim.metric] for r in figures[claim.better] if r.get(claim.metric) is not None]
    b = [r[claim.metric] for r in figures[claim.worse] if r.get(claim.metric) is not None]
    sentence = f"{claim.better} beats {claim.worse} in {claim.metric}"
    if not a or not b:
        return {"claim": sentence, "holds": None, "seeds": min(len(a), len(b))}
    difference = _mean(a) - _mean(b)  # type: ignore[operator]
    errors = [(_sd(v) or 0.0) ** 2 / len(v) for v in (a, b)]
    error = math.sqrt(sum(errors))
    holds = difference > 2 * error if min(len(a), len(b)) > 1 else None
    return {
        "claim": sentence,
        "holds": holds,
        "seeds": min(len(a), len(b)),
        "difference": difference,
        "standard_error": error,
    }


def _device(device: str) -> str:
    import torch

    name = (
        torch.cuda.get_device_name(0)
        if device.startswith("cuda")
        else platform.processor() or platform.machine()
    )
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _commit() -> str:
    """The checkout's commit, with + for uncommitted changes; the version where there is no checkout."""
    try:
        changed = "+" if _git("status", "--porcelain", "-uno") else ""
        return _git("rev-parse", "--short=12", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return gestalt3d.__version__


def _git(*words: str) -> str:
    here = Path(__file__).parent
    return subprocess.run(
        ["git", *words], cwd=here, capture_output=True, text=True, check=True
    ).stdout.strip()


def render(result: dict[str, Any]) -> str:
    """The table as text: ours ± sd, the paper's in brackets, then the claims."""
    metrics = list(result["rows"][0]["ours"])
    lines = [
        result.get("title", result["table"]),
        result["data"],
        f"{result['device']}; commit {result['commit']}",
        "",
    ]
    label = max(len(r["row"]) for r in result["rows"])
    cells = [[_cell(r, m) for m in metrics] for r in result["rows"]]
    if len(metrics) > 10:  # one line per metric reads better than forty columns
        width = max(len(m) for m in metrics)
        lines.append(" " * width + "".join(f"  {r['row']:>28}" for r in result["rows"]))
        lines += [
            f"{m:<{width}}" + "".join(f"  {row[i]:>28}" for row in cells) for i, m in enumerate(metrics)
        ]
    else:
        widths = [max(len(m), *(len(row[i]) for row in cells)) for i, m in enumerate(metrics)]
        lines.append(" " * label + "".join(f"  {m:>{w}}" for m, w in zip(metrics, widths, strict=True)))
        for r, row in zip(result["rows"], cells, strict=True):
            lines.append(
                f"{r['row']:<{label}}" + "".join(f"  {c:>{w}}" for c, w in zip(row, widths, strict=True))
            )
    if result["claims"]:
        lines.append("")
    for claim in result["claims"]:
        verdict = {True: "holds", False: "does NOT hold here", None: "undecided, too few seeds"}[
            claim["holds"]
        ]
        detail = (
            f" (difference {claim['difference']:.1f}, standard error {claim['standard_error']:.1f})"
            if "difference" in claim
            else ""
        )
        lines.append(f"{claim['claim']}: {verdict}{detail}; seeds {claim['seeds']}")
    return "\n".join(lines)


def _cell(row: dict[str, Any], metric: str) -> str:
    value, sd, paper = row["ours"].get(metric), row["sd"].get(metric), row["paper"].get(metric)
    text = "-" if value is None else f"{value:.1f}"
    if sd is not None:
        text += f" ± {sd:.1f}"
    return text + (f" [{paper:g}]" if paper is not None else "")

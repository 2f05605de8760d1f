"""A table put together from its runs, and its cells and claims as text."""

import statistics
from collections.abc import Iterable
from typing import NotRequired, TypedDict

import gestalt3d
from gestalt3d.reproduce.claim import Verdict, mean, sd, values_of
from gestalt3d.reproduce.run import Run
from gestalt3d.reproduce.table import Table


class RowResult(TypedDict):
    """A row: ours, the mean over the seeds, beside the paper's."""

    row: str
    ours: dict[str, float | None]
    sd: dict[str, float | None]
    paper: dict[str, float]
    paper_area5: dict[str, float]
    seeds: list[int]
    training_seconds: float | None


class Result(TypedDict):
    """A table, where and how it was made, and which claims hold."""

    table: str
    title: str
    data: str
    device: str
    commit: str
    version: str
    rows: list[RowResult]
    n_gt: dict[str, int]
    """True instances of each class."""
    claims: list[Verdict]
    curves: NotRequired[dict[str, list[tuple[int, float]]]]
    """By row, what the table draws over the steps, the mean over the seeds."""


def assemble(name: str, table: Table, runs: list[Run]) -> Result:
    measured = {row.key: [r.measured() for r in runs if r.row == row.key] for row in table.rows}
    rows: list[RowResult] = []
    for row in table.rows:
        values = {m: values_of(measured[row.key], m) for m in table.columns}
        rows.append(
            {
                "row": row.label,
                "ours": {m: mean(v) for m, v in values.items()},
                "sd": {m: sd(v) for m, v in values.items()},
                "paper": row.paper,
                "paper_area5": row.paper_area5 or {},
                "seeds": [r.seed for r in runs if r.row == row.key],
                "training_seconds": mean([r.seconds for r in runs if r.row == row.key]),
            }
        )
    num_true = [r.num_true for r in runs if r.num_true]
    data = table.setting.about.format(
        train=_all(r.train_scans for r in runs),
        test=_all(r.test_scans for r in runs),
        steps=_all(r.steps for r in runs if r.seconds) or "no",
        seeds=_all(r.seed for r in runs),
    )
    found: Result = {
        "table": name, "title": table.title, "data": data, "device": _all(r.device for r in runs),
        "commit": _all(r.commit for r in runs), "version": gestalt3d.__version__, "rows": rows,
        "n_gt": num_true[0] if num_true else {},
        "claims": [claim.judged(measured) for claim in table.claims],
    }  # fmt: skip
    if table.curve:
        every = {row.label: [r.curves for r in runs if r.row == row.key] for row in table.rows}
        found["curves"] = {
            label: _mean_curve(table.curve, curves) for label, curves in every.items() if curves
        }
    return found


def _mean_curve(name: str, runs: Iterable[dict[str, list[tuple[int, float]]]]) -> list[tuple[int, float]]:
    """Over the runs, at every step that one of them has."""
    values: dict[int, list[float]] = {}
    for curves in runs:
        for step, value in curves.get(name, ()):
            values.setdefault(step, []).append(value)
    return [(step, statistics.fmean(each)) for step, each in sorted(values.items())]


def _all(values: Iterable[object]) -> str:
    """Every value once, so that runs of different kinds in one table show."""
    return ", ".join(str(v) for v in dict.fromkeys(values))


def shown_rows(result: Result) -> list[dict[str, str]]:
    """Ours ± sd and the paper's in brackets, a row of the paper's table each; turned where metrics are many."""
    metrics, rows = list(result["rows"][0]["ours"]), result["rows"]
    if len(metrics) > 10:  # one line per metric reads better than forty columns
        return [{"": metric, **{row["row"]: _cell(row, metric) for row in rows}} for metric in metrics]
    return [{"": row["row"], **{metric: _cell(row, metric) for metric in metrics}} for row in rows]


def judgements(result: Result) -> list[str]:
    """What was there to find, and which claims hold: a line each."""
    lines: list[str] = []
    if result["n_gt"]:
        true = ", ".join(f"{name} {count}" for name, count in result["n_gt"].items() if count)
        lines += ["", f"true instances: {true}"]
    if result["claims"]:
        lines += ["", "claims, with the 95 % interval of the paired difference:"]
    return lines + [f"{claim['claim']}: {_verdict(claim)}{_detail(claim)}" for claim in result["claims"]]


def _verdict(claim: Verdict) -> str:
    if claim["holds"] is None:
        return "undecided, too few seeds"
    if claim.get("opposite"):
        return "does NOT hold here, the opposite does"
    return "holds" if claim["holds"] else "does NOT hold here"


def _cell(row: RowResult, metric: str) -> str:
    value, sd, paper = row["ours"].get(metric), row["sd"].get(metric), row["paper"].get(metric)
    text = "-" if value is None else f"{value:.1f}"
    if sd is not None:
        text += f" ± {sd:.1f}"
    return text + (f" [{paper:g}]" if paper is not None else "")


def _detail(claim: Verdict) -> str:
    over = f"{claim['seeds']} seeds" if claim["seeds"] != 1 else "one seed"
    if scans := claim.get("scans"):
        over += f", {scans} scans"
    if "difference" in claim:
        interval = claim.get("interval")
        reach = f", {interval[0]:.1f} to {interval[1]:.1f}" if interval else ""
        return f" ({claim['difference']:+.1f}{reach}; {over})"
    if "ratio" in claim:
        return f" ({claim['ratio']:.1f} times; {over}, same machine)"
    if missed := claim.get("missed"):
        return " (missed: " + ", ".join(f"{m} by {-off:.1f}" for m, off in missed.items()) + f"; {over})"
    return f" ({over})"

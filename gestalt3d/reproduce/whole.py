"""How near generated shapes come to whole objects, beside what is visible of them: a table that no paper has."""

from typing import TYPE_CHECKING

import numpy as np

from gestalt3d.metrics.completion import Completed, by_hidden_share
from gestalt3d.reproduce.table import Figures, Progress

if TYPE_CHECKING:
    from gestalt3d.data import DataSet
    from gestalt3d.engine.model import Model

NAMES = ("answer", "visible points", "box to the ground")
"""Completions, as `data.completion` calls them."""
RANGES = ("0-25 %", "25-50 %", "50-75 %", "75-100 %", "all")
"""Shares of hidden surface."""
MEASURES = {"box IoU %": ("box_iou", 100.0), "Chamfer cm": ("chamfer_m", 100.0)}
"""Column → field of `Completion` and its factor."""


def column(measure: str, name: str, hidden: str) -> str:
    return f"{measure}, {name}, hidden {hidden}" if hidden != "all" else f"{measure}, {name}"


def columns() -> tuple[str, ...]:
    """The figures of the table, in order."""
    each = [column(m, name, hidden) for hidden in reversed(RANGES) for m in MEASURES for name in NAMES]
    return ("found %", *each)


def measure(model: "Model", scans: "DataSet", say: Progress) -> Figures:
    """Means over the objects of all scans that were found, in ranges of their hidden share and over all."""
    from gestalt3d.data.completion import completions

    found: list[list[Completed]] = []
    for i in range(len(scans)):
        say(f"evaluate {scans.names[i]}", i, len(scans))
        scan = scans[i]
        found.append(completions(scan, model.segment(scan.input), np.random.default_rng(i)))
    without = [_figures([*found[:i], *found[i + 1 :]]) for i in range(len(found))]
    figures = _figures(found)
    left_out = {name: [each[name] for each in without] for name in figures}
    return Figures(figures, left_out, list(scans.names), {"objects": sum(map(len, found))})


def _figures(found: list[list[Completed]]) -> dict[str, float | None]:
    rows = [row for scan in found for row in scan]
    share = 100 * float(np.mean([row.found >= 0 for row in rows])) if rows else None
    figures: dict[str, float | None] = {"found %": share}
    for hidden, summary in zip(RANGES, by_hidden_share(rows), strict=True):
        for measure, (field, factor) in MEASURES.items():
            for name in NAMES:
                value = summary.get(name, {}).get(field)
                figures[column(measure, name, hidden)] = None if value is None else factor * value
    return figures

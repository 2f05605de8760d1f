"""How well whole objects are found in RGB-D frames, and how well what nobody sees of them is said, beside honest guesses."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from gestalt3d.metrics.report import per_class
from gestalt3d.reproduce.measure import number
from gestalt3d.reproduce.table import Figures, Progress

if TYPE_CHECKING:
    from gestalt3d.configs import Json
    from gestalt3d.data import DataSet
    from gestalt3d.engine.model import Model
    from gestalt3d.structures.instances import Instances
    from gestalt3d.structures.view import View

COLUMNS = ("AP", "AP2", "AP4", "APb", "APr", "APm")
"""The paper's, as `metrics.amodal` reads them."""
HIDDEN = ("all", "0-25", "25-50", "50-75", "75-100")
"""Percent of an object that nobody sees."""
GUESSES = ("answer", "filled box", "down to the floor")


def measure(model: "Model", scans: "DataSet", say: Progress) -> Figures:
    """The paper's figures of whole objects, means over the classes, and those whatever the class."""
    return _measured(model, scans, say, {"": lambda _view, found: found})


def measure_hidden(model: "Model", scans: "DataSet", say: Progress) -> Figures:
    """Of the answer, and of two guesses from the same boxes and visible pixels: IoU of what nobody sees, and of boxes.

    "filled box": all of the amodal box. "down to the floor": what lies below the visible points, to the floor.
    """
    from gestalt3d.data.amodal_guesses import down_to_the_floor, filled_boxes, solid

    return _measured(
        model, scans, say,
        {" answer": solid, " filled box": filled_boxes, " down to the floor": down_to_the_floor},
    )  # fmt: skip


def hidden_columns() -> tuple[str, ...]:
    """The figures of `measure_hidden` that a table shows."""
    shown = [f"hidden IoU {share} {guess}" for share in HIDDEN for guess in GUESSES]
    return ("found %", *shown, "box IoU all answer")


def _measured(
    model: "Model",
    scans: "DataSet",
    say: Progress,
    answers: "dict[str, Callable[[View, Instances], Instances]]",
) -> Figures:
    from gestalt3d.data.amodal_scoring import WholeScores
    from gestalt3d.structures.view import View

    scores = {suffix: WholeScores(model.vocabulary) for suffix in answers}
    for i in range(len(scans)):
        say(f"evaluate {scans.names[i]}", i, len(scans))
        scan = scans[i]
        view = scan.input
        assert isinstance(view, View), "whole objects are scored in frames"
        found = model.segment(view)
        for suffix, answer in answers.items():
            scores[suffix].see(scan, answer(view, found))
    values: dict[str, float | None] = {}
    left_out: dict[str, list[float | None]] = {}
    num_true: dict[str, int] = {}
    for suffix, own in scores.items():
        pooled = own.results()["pooled"]
        agnostic = _table(pooled["class_agnostic"])
        values |= {f"{name}{suffix}": number(pooled[name]) for name in COLUMNS}
        values |= {f"{name}{suffix} any class": number(agnostic[name]) for name in COLUMNS}
        values |= _of_hidden(_table(pooled["whole"]), suffix)
        left_out |= {f"{name}{suffix}": own.left_out()[name] for name in COLUMNS}
        num_true = {name: int(number(row["n_gt"]) or 0) for name, row in per_class(pooled).items()}
    return Figures(values, left_out, list(scans.names), num_true)


def _of_hidden(whole: "dict[str, Json]", suffix: str) -> dict[str, float | None]:
    """Means over the objects that have an answer, by what share of them is hidden; and over all, 0 for those without."""
    objects, found = number(whole["objects"]), number(whole["found"])
    values: dict[str, float | None] = {"found %": 100 * (found or 0) / objects if objects else None}
    for share, own in {"all": whole, **_table(whole["hidden"])}.items():
        figures = _table(own)
        values[f"hidden IoU {share}{suffix}"] = number(figures["invisible_iou"])
        values[f"hidden IoU of all {share}{suffix}"] = number(figures["invisible_iou_all"])
        values[f"box IoU {share}{suffix}"] = number(figures["box_iou"])
    return values


def _table(figures: "Json") -> "dict[str, Json]":
    assert isinstance(figures, dict)
    return figures

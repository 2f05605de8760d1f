"""How well whole objects are found in RGB-D frames, and how well what nobody sees of them is said, beside honest guesses."""

from typing import TYPE_CHECKING

from gestalt3d.metrics.report import per_class
from gestalt3d.reproduce.measure import number
from gestalt3d.reproduce.table import Figures, Progress

if TYPE_CHECKING:
    from gestalt3d.configs import Json
    from gestalt3d.data import DataSet
    from gestalt3d.data.amodal_scoring import WholeScores
    from gestalt3d.engine.model import Model

COLUMNS = ("AP", "AP2", "AP4", "APb", "APr", "APm")
"""The paper's, as `metrics.amodal` reads them."""
SHARES = ("0-25", "25-50", "50-75", "75-100")
"""Percent of an object that nobody sees."""
HIDDEN = ("hidden IoU", "hidden IoU of every object", "box IoU", "box IoU of every object")
"""Of objects that have an answer, or of every object, 0 of those without."""
_KEYS = ("invisible_iou", "invisible_iou_all", "box_iou", "box_iou_all")


def measure(model: "Model", scans: "DataSet", say: Progress) -> Figures:
    """The paper's figures of whole objects, means over the classes, and those whatever the class."""
    scores = _scored(model, scans, say)
    pooled, left_out = scores.results()["pooled"], scores.left_out()
    agnostic = _table(pooled["class_agnostic"])
    values = {name: number(pooled[name]) for name in COLUMNS}
    values |= {f"{name} any class": number(agnostic[name]) for name in COLUMNS}
    num_true = {name: int(number(row["n_gt"]) or 0) for name, row in per_class(pooled).items()}
    return Figures(values, {name: left_out[name] for name in COLUMNS}, list(scans.names), num_true)


def measure_quantizer(model: "Model", scans: "DataSet", say: Progress) -> Figures:
    """`measure`, and the error of the quantizer in test frames, in thousandths of the features' variance."""
    import numpy as np
    import torch

    from gestalt3d.methods.method import learns
    from gestalt3d.nn.modes import evaluating

    method, errors, rng = model.method, list[float](), np.random.default_rng(0)
    assert learns(method), "what is measured was trained"
    with evaluating(method), torch.no_grad():
        for i in range(len(scans)):
            say(f"quantizer {scans.names[i]}", i, len(scans))
            batch = method.prepare(scans[i], rng)
            errors.append(float(method.watched(method(batch), batch)["quantizer_error"]))
    found = measure(model, scans, say)
    found.values["error in test frames"] = 1000 * float(np.mean(errors)) if errors else None
    return found


def measure_hidden(model: "Model", scans: "DataSet", say: Progress) -> Figures:
    """`HIDDEN`: mean IoU of what nobody sees of objects, and of their boxes, all together and by `SHARES`.

    Points of a surface, as R-PointNet generates them, count with what is inside.
    """
    scores = _scored(model, scans, say)
    whole = _table(scores.results()["pooled"]["whole"])
    objects, found = number(whole["objects"]), number(whole["found"])
    values: dict[str, float | None] = {"found %": 100 * (found or 0) / objects if objects else None}
    by_share = _table(whole["hidden"])
    for name, key in zip(HIDDEN, _KEYS, strict=True):
        values[name] = number(whole[key])
        values |= {f"{name} {share} %": number(_table(by_share[share])[key]) for share in SHARES}
    left_out = scores.whole_left_out()
    return Figures(
        values, dict(zip(HIDDEN, (left_out[k] for k in _KEYS), strict=True)), list(scans.names), {}
    )


def _scored(model: "Model", scans: "DataSet", say: Progress) -> "WholeScores":
    from gestalt3d.data.amodal_guesses import solid
    from gestalt3d.data.amodal_scoring import WholeScores
    from gestalt3d.structures.view import View

    scores = WholeScores(model.vocabulary)
    for i in range(len(scans)):
        say(f"evaluate {scans.names[i]}", i, len(scans))
        scan = scans[i]
        assert isinstance(scan.input, View), "whole objects are scored in frames"
        scores.see(scan, solid(scan.input, model.segment(scan.input)))
    return scores


def _table(figures: "Json") -> "dict[str, Json]":
    assert isinstance(figures, dict)
    return figures

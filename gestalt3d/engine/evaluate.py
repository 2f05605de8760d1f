"""Score a model on labelled scans. The method receives the cloud alone, never its labels."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NotRequired

from gestalt3d.configs import Json, Number
from gestalt3d.data import DataSet, Seen
from gestalt3d.engine.faults import in_one_line
from gestalt3d.engine.model import Model
from gestalt3d.engine.tally import Tally
from gestalt3d.errors import UserError
from gestalt3d.methods.choice import COMPLETER, FINDER
from gestalt3d.methods.refiner import visible_part, wants_whole_boxes
from gestalt3d.metrics.report import Figures, Results
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.view import View

Report = Callable[[int, int, str], None]
"""Called before each scan with its number, the number of scans and its name."""


class Evaluation(Results):
    """How well a model does on scans; plain JSON."""

    method: str
    data: str
    models: NotRequired[dict[str, str]]
    """Which segmented each scan, where the model chooses by the scan."""
    failed: NotRequired[list[str]]
    """Names of the scans that could not be read or segmented."""
    parts: NotRequired[list[Json]]
    """The evaluations that the figures are of, where they were added up in a file."""
    pooled_sd: NotRequired[dict[str, float]]
    """Of an average, sample standard deviations of the pooled figures."""
    seeds: NotRequired[list[int]]
    poses: NotRequired[int]


def evaluate(
    model: Model,
    scans: DataSet,
    *,
    data: str = "",
    class_agnostic: bool = False,
    seen_as: Callable[[Scan, Instances], Seen] = Seen,
    submission: Path | None = None,
    add_to: Path | None = None,
    report: Report | None = None,
    on_failure: Callable[[str], None] | None = None,
) -> Evaluation:
    """Segment every scan and compare with its labels: figures of each scan and of all pooled, percent, None where undefined.

    Returns `{"method", "data", "scans": {name: figures}, "pooled": figures, "skipped": [names]}`; figures are those of
    the data's evaluator. With `class_agnostic` the scans may have other classes than the model: every
    instance that is no structure counts, structure is void. `seen_as` says what is scored of a scan and the answer to it, by
    default all; such as `data.sampled_blocks.in_sampled_blocks`. Scans without instance labels are listed in
    "skipped" and not segmented, unless the `submission` takes them.

    `submission` is a new folder that takes what was found, and the truth where there is one, in the format of the data's
    benchmark; where that can say less than the answers, figures are those of what was written. `UserError` for data that has
    none. Of a model that chooses by the scan "models" says which segmented each.

    `add_to` is a file of counts (`Tally`): results are those of all scans that were added to it, and "parts" lists whose. Where
    a scan fails, none is added.

    With `on_failure`, a scan that cannot be read or segmented is told to it in one line, named in "failed", and does not keep
    the others from being scored.
    """
    # Also for callers who check no types.
    if not isinstance(model, Model) or not hasattr(scans, "evaluator"):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            "evaluate(model, scans): wants a model and a data set, as load and open_data give them, "
            f"got {model!r:.40} and {scans!r:.40}"
        )
    _expect_one_vocabulary(model, scans)
    make = lambda: scans.evaluator(model.vocabulary, class_agnostic=class_agnostic)  # noqa: E731
    tally = None
    if add_to is not None:
        tally = Tally(add_to, model, make, scans.names, sampled_blocks=seen_as is not Seen)
    official = None if submission is None else scans.official(submission, model.vocabulary)
    evaluator = make()
    chosen: dict[str, str] = {}
    failed: list[str] = []

    def look_at(i: int) -> None:
        scan = scans[i]
        if len(scan.truth) or (official is not None and official.takes_unlabelled):
            found = _answer(model, scan)
            if found.method != model.name:
                chosen[scan.name] = found.method
        else:
            found = Instances.empty(len(scan.input), model.vocabulary)
        seen = seen_as(scan, found)
        evaluator.see(*(seen if official is None else official.add(found, seen)))

    for i, name in enumerate(scans.names):
        if report is not None:
            report(i, len(scans), name)
        if on_failure is None:
            look_at(i)
            continue
        try:
            look_at(i)
        except Exception as problem:  # whatever it is, the other scans are still worth their figures
            failed.append(name)
            on_failure(str(in_one_line(name, problem)))
    result: Evaluation = {"method": model.name, "data": data, **evaluator.results()}
    if tally is not None and not failed:
        part: dict[str, Json] = {"model": model.name, "data": data, "scans": len(scans)}
        result = {**result, **tally.add(evaluator, part)}
    elif tally is not None and on_failure is not None:
        # The rest could be added now, but what failed could not be later.
        on_failure(
            f"--add-to {add_to}: nothing was added, because not every scan could be; try again without it"
        )
    if chosen:
        result["models"] = chosen
    if failed:
        result["failed"] = failed
    return result


def _expect_one_vocabulary(model: Model, scans: DataSet) -> None:
    """`UserError` for one that chooses by the scan where it would answer photos in other classes than it says."""
    if model.vocabulary_of_photos == model.vocabulary or not len(scans):
        return
    try:
        view: object = scans[0].input
    except Exception:
        return  # whoever reads it next says what is wrong with it
    if isinstance(view, View) and view.depth is None:
        raise UserError(
            f"{model.name} leaves photos to {FINDER} and {COMPLETER}, which know other classes; evaluate one of these"
        )


def _answer(model: Model, scan: Scan) -> Instances:
    """What the model finds in the scan, or of one that completes masks, what it makes of the true visible ones."""
    view: object = scan.input
    if not model.refines or model.finds or not isinstance(view, View):
        return model.segment(scan.input)
    seen = visible_part(scan.truth, width=view.image.shape[2], whole_boxes=wants_whole_boxes(model.method))
    return model.refine(view, seen)


def averaged(results: Sequence[Evaluation]) -> Evaluation:
    """One result from those of several seeds and poses: every figure their mean, None where one has none, and the pooled
    figures' sample standard deviations as "pooled_sd". Scans that failed in one of them are in none.
    """
    first = results[0]
    names = [name for name in first["scans"] if all(name in result["scans"] for result in results)]
    pooled = {key: _numbers(result["pooled"][key] for result in results) for key in first["pooled"]}
    mean: Evaluation = {
        **first,
        "scans": {name: _mean([result["scans"][name] for result in results]) for name in names},
        "pooled": _mean([result["pooled"] for result in results]),
        "pooled_sd": {key: statistics.stdev(n) for key, n in pooled.items() if len(n) == len(results) > 1},
    }
    if failed := list(dict.fromkeys(name for result in results for name in result.get("failed", []))):
        mean["failed"] = failed
    return mean


def _mean(tables: Sequence[Figures]) -> Figures:
    return {key: _mean_of([table[key] for table in tables]) for key in tables[0]}


def _mean_of(values: Sequence[Json]) -> Json:
    if tables := [value for value in values if isinstance(value, dict)]:
        return _mean(tables)
    return statistics.fmean(numbers) if len(numbers := _numbers(values)) == len(values) else None


def _numbers(values: Iterable[Json]) -> list[Number]:
    return [value for value in values if isinstance(value, int | float)]

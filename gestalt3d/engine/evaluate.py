"""Score a model on labelled scans. The method receives the cloud alone, never its labels."""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gestalt3d.data import DataSet, Seen
from gestalt3d.engine.faults import in_one_line
from gestalt3d.engine.model import Model
from gestalt3d.engine.tally import Tally
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.samples import Scan

Report = Callable[[int, int, str], None]
"""Called before each scan with its number, the number of scans and its name."""


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
) -> dict[str, Any]:
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
    if not isinstance(model, Model) or not hasattr(scans, "evaluator"):
        raise TypeError(
            "evaluate(model, scans): wants a model and a data set, as load and open_data give them, "
            f"got {model!r:.40} and {scans!r:.40}"
        )
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
            found = model.segment(scan.input)
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
    results = evaluator.results()
    if tally is not None and not failed:
        results = tally.add(evaluator, {"model": model.name, "data": data, "scans": len(scans)})
    elif tally is not None and on_failure is not None:
        # The rest could be added now, but what failed could not be later.
        on_failure(
            f"--add-to {add_to}: nothing was added, because not every scan could be; try again without it"
        )
    choice = {"models": chosen} if chosen else {}
    result = {"method": model.name, "data": data, **choice, **results}
    return {**result, "failed": failed} if failed else result


def averaged(results: list[dict[str, Any]]) -> dict[str, Any]:
    """One result from those of several seeds and poses: every figure their mean, None where one has none, and the pooled
    figures' sample standard deviations as "pooled_sd".
    """
    mean = _mean(results)
    spread = {
        key: statistics.stdev(result["pooled"][key] for result in results)
        for key, value in mean["pooled"].items()
        if isinstance(value, float) and len(results) > 1
    }
    return {**mean, "pooled_sd": spread}


def _mean(values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, dict):
        return {key: _mean([value[key] for value in values]) for key in first}
    if any(value is None for value in values):
        return None
    return statistics.fmean(values) if isinstance(first, int | float) else first

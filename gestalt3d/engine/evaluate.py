"""Score a model on labelled scans. The method receives the cloud alone, never its labels."""

import statistics
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from gestalt3d.data import DataSet
from gestalt3d.data.s3dis import S3DIS
from gestalt3d.data.scannet import ScanNet
from gestalt3d.engine.faults import in_one_line
from gestalt3d.engine.model import Model
from gestalt3d.engine.tally import Tally
from gestalt3d.errors import UserError
from gestalt3d.io.submission import RoomSubmission, Submission
from gestalt3d.metrics.evaluator import CloudEvaluator
from gestalt3d.metrics.matching import majority
from gestalt3d.ops.blocks import cut_blocks
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
    sampled_blocks: bool = False,
    submission: Path | None = None,
    add_to: Path | None = None,
    report: Report | None = None,
    on_failure: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Segment every scan and compare with its labels: figures of each scan and of all pooled, percent, None where undefined.

    Returns `{"method", "data", "scans": {name: figures}, "pooled": figures, "skipped": [names]}`; figures are those of
    `CloudEvaluator`. With `class_agnostic` the scans may have other classes than the model: every
    instance that is no structure counts, ScanNet's rule, structure is void. With `sampled_blocks` points count as often as
    overlapping blocks of 4,096 draw them, as in the ASIS paper, instead of once. Scans without instance labels are listed in
    "skipped" and not segmented, unless there is a `submission` of ScanNet.

    `submission` is a new folder that takes what was found, and the truth where there is one, in the format of the data, ScanNet
    or S3DIS. An instance has no class in the latter but that of most of its points, and no point is in two; figures are then
    those of what was written. Of a model that chooses by the scan "models" says which segmented each.

    `add_to` is a file of counts (`Tally`): results are those of all scans that were added to it, and "parts" lists whose. Where
    a scan fails, none is added.

    With `on_failure`, a scan that cannot be read or segmented is told to it in one line, named in "failed", and does not keep
    the others from being scored.
    """
    if not isinstance(model, Model) or not hasattr(scans, "vocabulary"):
        raise TypeError(
            "evaluate(model, scans): wants a model and a data set, as load and open_data give them, "
            f"got {model!r:.40} and {scans!r:.40}"
        )

    def make() -> CloudEvaluator:
        return CloudEvaluator(model.vocabulary, class_agnostic=class_agnostic, min_region=scans.min_region)

    tally = None
    if add_to is not None:
        tally = Tally(add_to, model, make, scans.names, sampled_blocks=sampled_blocks)
    scenes = rooms = None
    if submission is not None and isinstance(scans, ScanNet):
        scenes = _ScanNetSubmission(submission, scans)
    elif submission is not None and isinstance(scans, S3DIS):
        rooms = RoomSubmission(submission, model.vocabulary, scans.vocabulary)
    elif submission is not None:
        raise UserError(
            f"{submission}: a submission is written for the data scannet:val, scannet:test, s3dis:area5, … only"
        )
    evaluator = make()
    chosen: dict[str, str] = {}
    failed = []

    def look_at(i: int) -> None:
        scan = scans[i]
        if len(scan.truth) == 0 and scenes is None:
            found = Instances.empty(len(scan.input), model.vocabulary)
        else:
            found = model.segment(scan.input)
            if found.method != model.name:
                chosen[scan.name] = found.method
        if scenes is not None:
            scenes.add(i, found)
        seen = _seen(scan, found, sampled_blocks=sampled_blocks)
        if rooms is not None and len(scan.truth):
            seen = _written(rooms, scan.name, seen)
        _count(evaluator, scan, seen, class_agnostic=class_agnostic)

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


class _ScanNetSubmission:
    """What was found, and the truth beside it."""

    def __init__(self, folder: Path, scans: ScanNet) -> None:
        self._scans = scans
        self._submission = Submission(folder)

    def add(self, i: int, found: Instances) -> None:
        name, truth = self._scans.names[i], self._scans.labels(i)
        self._submission.add(name, found)
        if truth is not None:
            self._submission.add_truth(name, truth.semantic, truth.instance)


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


def evaluate_found(scan: Scan, found: Instances) -> dict[str, Any]:
    """The figures of one scan whose instances were found already."""
    evaluator = CloudEvaluator(found.vocabulary)
    add_scan(evaluator, scan, found)
    return evaluator.results()["pooled"]


def add_scan(
    evaluator: CloudEvaluator,
    scan: Scan,
    found: Instances,
    *,
    class_agnostic: bool = False,
    sampled_blocks: bool = False,
) -> None:
    """Show the evaluator what was found in a scan, beside the truth; the switches are those of `evaluate`."""
    _count(evaluator, scan, _seen(scan, found, sampled_blocks=sampled_blocks), class_agnostic=class_agnostic)


class _Seen(NamedTuple):
    """The points that count, as often as they do."""

    semantic: torch.Tensor
    instance: torch.Tensor
    predicted: torch.Tensor
    """Class of each point."""
    found: Instances


def _seen(scan: Scan, found: Instances, *, sampled_blocks: bool) -> _Seen:
    truth = scan.truth
    semantic, instance, predicted = (
        truth.classes_of_elements(),
        truth.to_labels(),
        found.classes_of_elements(),
    )
    if not sampled_blocks:
        return _Seen(semantic, instance, predicted, found)
    drawn = draw_blocks(scan)
    found = Instances.from_labels(
        found.to_labels()[drawn], found.classes, found.scores, vocabulary=found.vocabulary
    )
    return _Seen(semantic[drawn], instance[drawn], predicted[drawn], found)


def _written(rooms: RoomSubmission, name: str, seen: _Seen) -> _Seen:
    """What is left of an answer in the files of S3DIS, after it was written."""
    labels = seen.found.to_labels()
    rooms.add(
        name,
        semantic=seen.semantic.numpy(),
        instance=seen.instance.numpy(),
        predicted_semantic=seen.predicted.numpy(),
        predicted_instance=labels.numpy(),
    )
    voting = torch.where(seen.semantic >= 0, labels, -1).numpy()
    classes = majority(voting, seen.predicted.numpy(), len(seen.found))
    found = Instances.from_labels(
        labels, torch.from_numpy(classes), seen.found.scores, vocabulary=seen.found.vocabulary
    )
    return seen._replace(found=found[found.sizes > 0])


def _count(evaluator: CloudEvaluator, scan: Scan, seen: _Seen, *, class_agnostic: bool) -> None:
    found, semantic = seen.found, seen.semantic
    is_structure, truth = scan.truth.vocabulary.is_structure, scan.truth
    overlap = len(semantic) == truth.masks.size and truth.masks.overlap
    if class_agnostic and not bool((semantic >= 0).any()):
        # Labels that say nothing about classes: all are objects.
        semantic, is_structure = torch.zeros_like(semantic), np.array([False])
    evaluator.add(
        scan.name,
        semantic.numpy(),
        seen.instance.numpy(),
        found.masks.offsets.numpy(),
        found.masks.indices.numpy(),
        found.classes.numpy(),
        found.scores.numpy(),
        seen.predicted.numpy(),
        gt_structure=is_structure if class_agnostic else None,
        gt_masks=(
            (truth.masks.offsets.numpy(), truth.masks.indices.numpy(), truth.classes.numpy())
            if overlap
            else None
        ),
    )


def draw_blocks(scan: Scan, *, size: float = 1.0, stride: float = 0.5, points: int = 4096) -> torch.Tensor:
    """Indices of the points that overlapping blocks draw, in all blocks together; the draw depends on the scan alone."""
    blocks = cut_blocks(scan.input.points, size=size, stride=stride)
    rng = np.random.default_rng(0)
    offsets, indices = blocks.offsets.tolist(), blocks.indices.numpy()
    drawn = []
    for first, last in pairwise(offsets):
        members = indices[first:last]
        enough = len(members) >= points
        drawn.append(
            rng.choice(members, points, replace=False)
            if enough
            else np.resize(rng.permutation(members), points)
        )
    if not drawn:
        return torch.arange(len(scan.input))
    return torch.from_numpy(np.concatenate(drawn))

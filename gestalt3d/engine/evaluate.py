"""Score a model on labelled scans. The method receives the cloud alone, never its labels."""

import statistics
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gestalt3d.data import DataSet
from gestalt3d.data.scannet import ScanNet
from gestalt3d.engine.model import Model
from gestalt3d.errors import UserError
from gestalt3d.io.submission import Submission
from gestalt3d.metrics.evaluator import CloudEvaluator
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
    report: Report | None = None,
) -> dict[str, Any]:
    """`{"method", "data", "scans": {name: figures}, "pooled": figures, "skipped": [names]}`, percent, None where undefined.

    Figures are those of `CloudEvaluator`. With `class_agnostic` the scans may have other classes than the model: every
    instance that is no structure counts, ScanNet's rule, structure is void. With `sampled_blocks` points count as often as
    overlapping blocks of 4,096 draw them, as in the ASIS paper, instead of once. Scans without instance labels are listed in
    "skipped" and not segmented, unless there is a `submission`: a new folder that takes what was found in every scan of
    ScanNet, and the truth where there is one, in the benchmark's format.
    """
    written = None if submission is None else _ScanNetSubmission(submission, scans)
    evaluator = CloudEvaluator(model.vocabulary, class_agnostic=class_agnostic, min_region=scans.min_region)
    for i in range(len(scans)):
        if report is not None:
            report(i, len(scans), scans.names[i])
        scan = scans[i]
        if len(scan.instances) == 0 and written is None:
            found = Instances.empty(len(scan.cloud), model.vocabulary)
        else:
            found = model.segment(scan.cloud)
        if written is not None:
            written.add(i, found)
        add_scan(evaluator, scan, found, class_agnostic=class_agnostic, sampled_blocks=sampled_blocks)
    return {"method": model.name, "data": data, **evaluator.results()}


class _ScanNetSubmission:
    """What was found, and the truth beside it."""

    def __init__(self, folder: Path, scans: DataSet) -> None:
        if not isinstance(scans, ScanNet):
            raise UserError(
                f"{folder}: a submission is written for the data scannet:val, scannet:test, … only"
            )
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
    truth = scan.instances
    semantic, instance, predicted = truth.classes_of_points(), truth.to_labels(), found.classes_of_points()
    if sampled_blocks:
        drawn = draw_blocks(scan)
        semantic, instance, predicted = semantic[drawn], instance[drawn], predicted[drawn]
        found = Instances.from_labels(
            found.to_labels()[drawn], found.classes, found.scores, vocabulary=found.vocabulary
        )
    evaluator.add(
        scan.name,
        semantic.numpy(),
        instance.numpy(),
        found.offsets.numpy(),
        found.indices.numpy(),
        found.classes.numpy(),
        found.scores.numpy(),
        predicted.numpy(),
        gt_structure=truth.vocabulary.is_structure if class_agnostic else None,
    )


def draw_blocks(scan: Scan, *, size: float = 1.0, stride: float = 0.5, points: int = 4096) -> torch.Tensor:
    """Indices of the points that overlapping blocks draw, in all blocks together; the draw depends on the scan alone."""
    blocks = cut_blocks(scan.cloud.points, size=size, stride=stride)
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
        return torch.arange(len(scan.cloud))
    return torch.from_numpy(np.concatenate(drawn))

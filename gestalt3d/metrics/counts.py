"""What an evaluator keeps of its scans, as plain JSON and back: evaluations that ran apart add up to one."""

from typing import Any, TypedDict

import numpy as np

from gestalt3d.configs import Json
from gestalt3d.metrics.matching import Overlaps

_NUMBERS = ("prediction_classes", "prediction_sizes", "unlabelled", "region_classes", "region_sizes")


class ScanCounts(TypedDict, total=False):
    """Of one scan, what its evaluator counts."""

    overlaps: dict[str, Json]
    objects: dict[str, Json]
    """Whatever their classes."""
    confusion: Json
    amodal: dict[str, Json]
    """Of whole objects."""


class Counts(TypedDict):
    """Of all scans, and the settings that they depend on."""

    settings: dict[str, Json]
    skipped: list[str]
    scans: dict[str, ScanCounts]


def plain_overlaps(overlaps: Overlaps) -> dict[str, Json]:
    """Lists of numbers; of `common` only the cells that are not 0, as prediction, region and points in turn."""
    at = np.nonzero(overlaps.common)
    return {
        **{name: getattr(overlaps, name).tolist() for name in _NUMBERS},
        "prediction_scores": overlaps.prediction_scores.tolist(),
        "common": [*np.stack([*at, overlaps.common[at]], axis=1).ravel().tolist()],
    }


def overlaps_of_plain(plain: dict[str, Json]) -> Overlaps:
    """What `plain_overlaps` took apart, number for number; `ValueError`, `TypeError` or `KeyError` for anything else."""
    numbers = {name: _whole(plain[name]) for name in _NUMBERS}
    scores = np.asarray(plain["prediction_scores"], dtype=np.float64)
    common = np.zeros((len(numbers["prediction_classes"]), len(numbers["region_classes"])), dtype=np.int64)
    rows, columns, points = _whole(plain["common"]).reshape(-1, 3).T
    if len(rows) and (min(rows.min(), columns.min()) < 0):
        raise ValueError("counts of predictions that are not there")
    try:
        common[rows, columns] = points
    except IndexError as error:
        raise ValueError(str(error)) from None
    return Overlaps(**numbers, prediction_scores=scores, common=common)


def table_of_plain(plain: Json, *, num_classes: int) -> np.ndarray:
    """(c, c + 1) int64: a confusion table."""
    counts = _whole(plain).reshape(-1)
    if len(counts) != num_classes * (num_classes + 1):
        raise ValueError(f"{len(counts)} counts for {num_classes} classes")
    return counts.reshape(num_classes, num_classes + 1)


def _whole(values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.size and array.dtype.kind != "i":
        raise ValueError(f"whole numbers expected, got {array.dtype}")
    return array.astype(np.int64)

"""Results as plain dicts, and what their figures mean."""

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from gestalt3d.configs import Json
from gestalt3d.metrics.average_precision import nan_mean
from gestalt3d.metrics.coverage import Coverage
from gestalt3d.metrics.semantic import Semantic

Figures = dict[str, Json]
"""By name, None where undefined; some are tables of figures, such as "per_class"."""


class Results(TypedDict):
    """What an evaluator says, percent and counts."""

    scans: dict[str, Figures]
    pooled: Figures
    skipped: list[str]
    """Names of the scans that say nothing about instances."""


_MEANINGS = (
    {
        "mCov": "best IoU of each true instance with a found one of its class",
        "mWCov": "the same, weighted by size",
    },
    {
        "mPrec": "share of the found instances that are right (IoU .5)",
        "mRec": "share of the true ones that are found",
    },
    {
        "AP": "average precision, mean of IoU .50 to .90",
        "AP50": "average precision at IoU .5",
        "AP25": "at .25",
    },
    {
        "mAP": "average precision by PartNet's rule, at IoU .5 or as shown, mean of the kinds of parts",
        "shape_mAP": "mean of the shapes",
    },
    {
        "shape_mIoU": "mean over the shapes of the mean IoU of their parts",
    },
    {
        "AP50, any class": "whatever the class, walls and floors left out",
        "AP25, any class": "the same at .25",
    },
    {"recall50": "share of the true objects found at IoU .5", "coverage": "their mean best IoU"},
    {
        "oAcc": "share of the points with the right class",
        "mAcc": "mean of the classes' shares",
        "mIoU": "mean IoU of the classes",
    },
    {"n_gt": "true instances", "n_pred": "found instances"},
)


_OF_WHOLE_OBJECTS = (
    {
        "AP": "average precision of voxels, mean of IoU .25 to .75",
        "AP2": "at .25",
        "AP4": "at .50",
        "APr": "at .25 of the voxels that nobody sees",
        "APr full": "at .50, of all voxels",
    },
    {
        "APb": "average precision of boxes at IoU .25",
        "APb50": "at .50",
        "APm": "box at .25 and voxels in it at .50",
        "recallb": "share of the objects whose box is found",
    },
    {
        "invisible_iou": "mean IoU of what is not seen, of objects with an answer",
        "box_iou": "that of the boxes",
        "invisible_iou_all": "mean of all objects, 0 for those without an answer",
    },
)


_OF_MASKS = (
    {
        "AP": "average precision by COCO's rule, mean of IoU .50 to .95",
        "AP50": "at .50",
        "AP75": "at .75",
        "APs": "of objects up to 32 x 32 pixels",
        "APm": "up to 96 x 96",
        "APl": "larger",
    },
    {
        "AR100": "recall of the best 100 answers of an image and class, mean of IoU .50 to .95",
        "AR10": "of the best 10",
        "AR1": "of the best",
    },
    {
        "whole": "mean IoU of whole masks, 0 for objects without an answer",
        "with_visible": "the true visible pixels added",
        "occluded": "beyond the true visible pixels",
    },
    {"n_gt": "true objects"},
)


def meanings(
    shown: Container[str], *, whole_objects: bool = False, masks_in_photos: bool = False
) -> list[str]:
    """In a few words the metrics that are `shown`, related ones on a line. At length they stand in docs/metrics.md.

    With `whole_objects` those of `AmodalEvaluator`, with `masks_in_photos` COCO's; some share a name with others.
    """
    groups = _OF_WHOLE_OBJECTS if whole_objects else _OF_MASKS if masks_in_photos else _MEANINGS
    lines = [
        "; ".join(f"{name}: {text}" for name, text in group.items() if name in shown) for group in groups
    ]
    return [line for line in lines if line]


def defined(value: float) -> float | None:
    """The value as a plain float, `None` for NaN."""
    return None if math.isnan(value) else float(value)


def percent(scores: Any) -> Any:
    """Every float of a nested dict times 100; counts (integers), `None` and strings stay."""
    if isinstance(scores, Mapping):
        return {key: percent(value) for key, value in scores.items()}
    return 100.0 * scores if isinstance(scores, float) else scores


def per_class(figures: Figures) -> dict[str, Figures]:
    """Those of each class; empty where classes do not count."""
    found = figures.get("per_class")
    if not isinstance(found, dict):
        return {}
    return {name: own for name, own in found.items() if isinstance(own, dict)}


def by_class(names: Sequence[str], columns: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """`{class: {column: value}}`: floats become `None` where NaN, integers stay integers."""
    plain = {
        column: values.tolist()
        if np.issubdtype(values.dtype, np.integer)
        else [defined(v) for v in values.tolist()]
        for column, values in columns.items()
    }
    return {name: {column: values[i] for column, values in plain.items()} for i, name in enumerate(names)}


def room_scores(names: Sequence[str], instances: Coverage, semantics: Semantic) -> dict[str, Any]:
    """The S3DIS table: plain means (undefined as soon as one class is), `nan_skipped` means, `per_class`."""
    columns = {
        "Cov": instances.cov,
        "WCov": instances.wcov,
        "Prec": instances.precision,
        "Rec": instances.recall,
        "Acc": semantics.accuracy,
        "IoU": semantics.iou,
    }
    counts = {"n_gt": instances.num_true, "n_pred": instances.num_predicted}
    return {
        **{f"m{column}": defined(float(values.mean())) for column, values in columns.items()},
        "oAcc": defined(semantics.overall_accuracy),
        "nan_skipped": {f"m{column}": defined(nan_mean(values)) for column, values in columns.items()},
        "per_class": by_class(names, columns | counts),
    }

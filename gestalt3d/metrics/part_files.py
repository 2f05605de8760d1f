"""Files of PartNet's benchmark: shapes with true and predicted parts as masks over points."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gestalt3d.encoding import decode
from gestalt3d.errors import UserError
from gestalt3d.hdf5 import Wanted, opened
from gestalt3d.metrics.columns import Layout, read_layouts
from gestalt3d.metrics.matching import Overlaps
from gestalt3d.structures.vocabulary import PARTNET

NAMES = "part_names.txt"
_MASKS, _FLAGS, _LABELS, _SCORES = Layout(2, "biu"), Layout(1, "biu"), Layout(1, "iu"), Layout(1, "f")
TRUTH = {"gt_mask": _MASKS, "gt_mask_label": _LABELS, "gt_mask_valid": _FLAGS, "gt_mask_other": _FLAGS}
PREDICTION = {"pred_mask": _MASKS, "pred_label": _LABELS, "pred_valid": _FLAGS, "pred_conf": _SCORES}


class Truth(NamedTuple):
    """The true parts of a shape."""

    masks: np.ndarray
    """(g, n) bool."""
    labels: np.ndarray
    """(g,) int64: rows of the part names."""
    other: np.ndarray
    """(n,) bool: in no true part."""


class Prediction(NamedTuple):
    """The predicted parts of a shape."""

    masks: np.ndarray
    """(p, n) bool."""
    labels: np.ndarray
    """(p,) int64."""
    scores: np.ndarray
    """(p,) float64."""


def read_part_names(folder: Path) -> list[str]:
    """The second word of each line of the folder's `part_names.txt`; label i is line i, counted from 0.

    Without that file a folder that PartNet calls so, such as "Chair-3", says it, for the four largest categories.
    """
    path = folder / NAMES
    if not path.is_file():
        title = f"partnet-{folder.resolve().name.lower().replace('_', '')}"
        known = next((v for v in PARTNET.values() if v.title == title), None)
        if known is not None:
            return list(known.names)
        raise UserError(
            f"{path}: no such file; copy PartNet's list of the category there, such as "
            "stats/after_merging_label_ids/Chair-level-3.txt"
        )
    try:
        rows = [line.split() for line in decode(path.read_bytes()).splitlines() if line.strip()]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if wrong := next((row for row in rows if len(row) < 2), None):
        raise UserError(f"{path}: line {' '.join(wrong)[:60]!r} is not 'id name kind'; copy PartNet's list")
    names = [row[1] for row in rows]
    if not names or len(set(names)) != len(names):
        raise UserError(f"{path}: must name every part once, and at least one; copy PartNet's list")
    return names


def read_shape(truth_file: Path, prediction_file: Path, num_classes: int) -> Overlaps:
    """One shape from `.npz` files with a row of the arrays of PartNet's HDF5 files; one file may hold both sides."""
    truth = _truth(truth_file, dict(zip(TRUTH, read_layouts(truth_file, TRUTH), strict=True)))
    arrays = dict(zip(PREDICTION, read_layouts(prediction_file, PREDICTION), strict=True))
    return _compared(truth_file, truth, prediction_file, _prediction(prediction_file, arrays), num_classes)


def read_shapes(truth_file: Path, prediction_file: Path, num_classes: int) -> Iterator[Overlaps]:
    """Every shape of PartNet's HDF5 files: truth as in `ins_seg_h5_gt`, prediction as the authors' scripts write it.

    Names of the prediction's arrays are `mask`, `label`, `valid` and `conf`.
    """
    official = {name: name.removeprefix("pred_") for name in PREDICTION}
    wanted_truth = {name: Wanted(layout.dims + 1, layout.kinds) for name, layout in TRUTH.items()}
    wanted = {official[name]: Wanted(layout.dims + 1, layout.kinds) for name, layout in PREDICTION.items()}
    with opened(truth_file, wanted_truth) as truths, opened(prediction_file, wanted) as predictions:
        counts = {len(rows) for rows in (*truths.values(), *predictions.values())}
        if len(counts) > 1:
            raise UserError(
                f"{prediction_file}: {sorted(counts)} shapes in its arrays and those of {truth_file}; "
                "predict for all shapes of the truth, in its order"
            )
        for row in range(counts.pop()):
            truth = _truth(truth_file, {name: truths[name][row] for name in TRUTH})
            arrays = {name: predictions[official[name]][row] for name in PREDICTION}
            prediction = _prediction(prediction_file, arrays)
            yield _compared(truth_file, truth, prediction_file, prediction, num_classes)


def _truth(path: Path, arrays: dict[str, np.ndarray]) -> Truth:
    masks, labels, valid, other = (arrays[name] for name in TRUTH)
    _expect_rows(path, "gt_mask", masks, {"gt_mask_label": labels, "gt_mask_valid": valid})
    if len(other) != masks.shape[1]:
        raise UserError(
            f"{path}: gt_mask is over {masks.shape[1]} points, gt_mask_other over {len(other)}; write both again"
        )
    chosen = valid.astype(bool)
    return Truth(masks[chosen].astype(bool), labels[chosen].astype(np.int64), other.astype(bool))


def _prediction(path: Path, arrays: dict[str, np.ndarray]) -> Prediction:
    masks, labels, valid, scores = (arrays[name] for name in PREDICTION)
    _expect_rows(path, "pred_mask", masks, {"pred_label": labels, "pred_valid": valid, "pred_conf": scores})
    chosen = valid.astype(bool)
    scores = scores[chosen].astype(np.float64)
    if not np.isfinite(scores).all():
        raise UserError(f"{path}: pred_conf holds a value that is no finite number; write it again")
    return Prediction(masks[chosen].astype(bool), labels[chosen].astype(np.int64), scores)


def _compared(
    truth_file: Path, truth: Truth, prediction_file: Path, prediction: Prediction, num_classes: int
) -> Overlaps:
    if prediction.masks.shape[1] != len(truth.other):
        raise UserError(
            f"{prediction_file}: masks over {prediction.masks.shape[1]} points, those of {truth_file} are over "
            f"{len(truth.other)}; predict for the points of the truth"
        )
    for file, found in ((truth_file, truth.labels), (prediction_file, prediction.labels)):
        if len(wrong := found[(found < 0) | (found >= num_classes)]):
            raise UserError(
                f"{file}: label {wrong[0]}, but there are {num_classes} names of parts; write 0 to {num_classes - 1}"
            )
    return overlaps_of_parts(truth, prediction)


def overlaps_of_parts(truth: Truth, prediction: Prediction) -> Overlaps:
    """What the two have in common, counted over their points."""
    # float32 counts exactly to 2^24 points, and multiplies a hundred times as fast as integers.
    number = np.float32 if truth.masks.shape[1] < 2**24 else np.float64
    masks = prediction.masks.astype(number)
    return Overlaps(
        prediction_classes=prediction.labels,
        prediction_scores=prediction.scores,
        prediction_sizes=prediction.masks.sum(axis=1, dtype=np.int64),
        unlabelled=(masks @ truth.other.astype(number)).astype(np.int64),
        region_classes=truth.labels,
        region_sizes=truth.masks.sum(axis=1, dtype=np.int64),
        common=(masks @ truth.masks.astype(number).T).astype(np.int64),
    )


def _expect_rows(path: Path, name: str, masks: np.ndarray, columns: dict[str, np.ndarray]) -> None:
    for column, values in columns.items():
        if len(values) != len(masks):
            raise UserError(
                f"{path}: {len(masks)} rows of {name} and {len(values)} of {column}; write as many of each"
            )

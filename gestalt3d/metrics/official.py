"""The benchmarks' own file formats in, their metric keys out: fractions, `None` where a value is undefined.

`scannet`           gt/<scene>.txt: label * 1000 + instance per vertex;
                    pred/<scene>.txt: lines "mask-file label confidence"
`scannet-semantic`  gt/<scene>.txt, pred/<scene>.txt: one NYU40 label per vertex
`s3dis`             <room>.npz with gt_sem, gt_ins, pred_sem, pred_ins; or, as the authors' script reads them,
                    <room>_gt.txt and <room>_pred.txt, whose last two columns are class and instance
`partnet`           test-xx.h5 as in ins_seg_h5_gt/Chair-3, and as the authors' scripts write predictions; or <shape>.npz with a
                    shape's rows: gt_mask, gt_mask_label, gt_mask_valid, gt_mask_other, and pred_mask, pred_label, pred_valid,
                    pred_conf; part_names.txt, lines "id name kind", beside the truth
`coco-amodal`       two files: COCO's annotations with whole masks in `segmentation` and visible ones in `visible_mask` (or as
                    KINS, UOAIS, AISFormer and COCOA call them), and COCO's results with the same two and `score`

Where the authors' S3DIS script is known to be wrong, the right form is computed: a region is matched once,
points of instance -1 form no region, points of class -1 are left out.
"""

import math
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gestalt3d.encoding import decode
from gestalt3d.errors import UserError
from gestalt3d.metrics.average_precision import average_precision, nan_mean
from gestalt3d.metrics.coco_amodal import score_coco_amodal
from gestalt3d.metrics.columns import read_arrays, read_integers, read_last_columns, read_nonzero
from gestalt3d.metrics.coverage import coverage
from gestalt3d.metrics.matching import Overlaps, Regions, compact, overlaps_of_labels
from gestalt3d.metrics.part_files import read_part_names, read_shape, read_shapes
from gestalt3d.metrics.part_precision import part_precision
from gestalt3d.metrics.report import by_class, defined, room_scores
from gestalt3d.metrics.semantic import confusion, semantic
from gestalt3d.structures.vocabulary import S3DIS, SCANNET18, SCANNET20

_LABEL_STEP = 1000  # label * 1000 + instance
_LINE = "'mask-file label confidence'"


def score(kind: str, gt: str | os.PathLike[str], pred: str | os.PathLike[str]) -> dict[str, Any]:
    """Score the files in folder `pred` by the truth in folder `gt`, by the rules of a benchmark in `KINDS`; of one in `FILES`
    two files.

    Fractions by the name of the metric, and `per_class`; None where undefined. A file that is missing, of another length or not
    in the benchmark's format is a `UserError` that names it.
    """
    if kind not in KINDS | FILES:
        raise UserError(f"no benchmark {kind!r}; known are {', '.join(KINDS | FILES)}")
    for given in (gt, pred):
        if not isinstance(given, str | os.PathLike):
            raise TypeError(f"score(kind, gt, pred): wants the names of two folders, got {given!r:.40}")
    gt, pred = Path(gt), Path(pred)
    for path in (gt, pred):
        if kind in KINDS and not path.is_dir():
            raise UserError(f"{path}: no such folder; name the folder that holds the benchmark's files")
        if kind in FILES and not path.is_file():
            is_folder = path.is_dir()
            raise UserError(
                f"{path}: {'is a folder' if is_folder else 'no such file'}; name a file of {kind}"
            )
    return (KINDS | FILES)[kind](gt, pred)


def score_scannet(gt_dir: Path, pred_dir: Path) -> dict[str, Any]:
    """Keys `AP`, `AP50`, `AP25`, and `per_class` with the same three for each of the 18 classes."""
    scenes = _pairs(gt_dir, ".txt", pred_dir, ".txt")
    result = average_precision(
        [_scannet_scan(gt_file, pred_file, pred_dir) for gt_file, pred_file in scenes],
        classes=range(len(SCANNET18)),
    )
    columns = {"AP": result.per_class, "AP50": result.per_class_50, "AP25": result.per_class_25}
    means = {name: defined(nan_mean(values)) for name, values in columns.items()}
    return {**means, "per_class": by_class(SCANNET18.names, columns)}


def score_scannet_semantic(gt_dir: Path, pred_dir: Path) -> dict[str, Any]:
    """Keys `mIoU` (over the defined classes), `per_class`, and `counts`: [intersection, union] per class."""
    num_classes = len(SCANNET20)
    counts = np.zeros((num_classes, num_classes + 1), dtype=np.int64)
    for gt_file, pred_file in _pairs(gt_dir, ".txt", pred_dir, ".txt"):
        truth, predicted = read_integers(gt_file), read_integers(pred_file)
        if len(truth) != len(predicted):
            raise UserError(
                f"{pred_file}: {len(predicted)} lines, {gt_file} has {len(truth)}; write one label per vertex"
            )
        counts += confusion(
            SCANNET20.from_official(truth), SCANNET20.from_official(predicted), num_classes=num_classes
        )
    result = semantic(counts)
    pairs = np.stack([result.intersection, result.union], axis=1).tolist()
    return {
        "mIoU": defined(nan_mean(result.iou)),
        "per_class": dict(zip(SCANNET20.names, map(defined, result.iou.tolist()), strict=True)),
        "counts": dict(zip(SCANNET20.names, pairs, strict=True)),
    }


def score_s3dis(gt_dir: Path, pred_dir: Path) -> dict[str, Any]:
    """Keys `mCov … mIoU` (undefined as soon as one class is), `oAcc`, `nan_skipped` and `per_class`."""
    num_classes = len(S3DIS)
    scans: list[Overlaps] = []
    counts = np.zeros((num_classes, num_classes + 1), dtype=np.int64)
    for truth, predicted in _s3dis_rooms(gt_dir, pred_dir):
        labelled = truth.classes >= 0
        regions = Regions.from_labels(truth.classes[labelled], truth.ids[labelled])
        scans.append(overlaps_of_labels(regions, predicted.classes[labelled], predicted.ids[labelled]))
        counts += confusion(truth.classes, predicted.classes, num_classes=num_classes)
    return room_scores(S3DIS.names, coverage(scans, num_classes=num_classes), semantic(counts))


def score_partnet(gt_dir: Path, pred_dir: Path) -> dict[str, Any]:
    """Keys `mAP`, `shape_mAP`, `per_class`, `per_shape` at `iou_threshold` .5, and the same under `at_0.25` and `at_0.75`."""
    suffix = ".npz" if _stems(gt_dir, ".npz") else ".h5"
    files = _pairs(gt_dir, suffix, pred_dir, suffix)
    names = read_part_names(gt_dir)
    if suffix == ".npz":
        shapes = [read_shape(*pair, len(names)) for pair in files]
    else:
        shapes = [shape for pair in files for shape in read_shapes(*pair, len(names))]

    def at(threshold: float) -> dict[str, Any]:
        found = part_precision(shapes, num_classes=len(names), threshold=threshold)
        return {
            "mAP": defined(found.mean),
            "shape_mAP": defined(found.shape_mean),
            "per_class": by_class(names, {"AP": found.per_class, "n_gt": found.num_true}),
            "per_shape": [defined(value) for value in found.per_shape.tolist()],
        }

    return {"iou_threshold": 0.5, **at(0.5), "at_0.25": at(0.25), "at_0.75": at(0.75)}


KINDS: dict[str, Callable[[Path, Path], dict[str, Any]]] = {
    "scannet": score_scannet,
    "scannet-semantic": score_scannet_semantic,
    "s3dis": score_s3dis,
    "partnet": score_partnet,
}
"""Benchmarks of folders."""
FILES: dict[str, Callable[[Path, Path], dict[str, Any]]] = {"coco-amodal": score_coco_amodal}
"""Benchmarks of two files."""


def _pairs(gt_dir: Path, gt_suffix: str, pred_dir: Path, pred_suffix: str) -> list[tuple[Path, Path]]:
    """Files of truth and prediction of each scene, by name. Neither may lack the other."""
    truth, predicted = _stems(gt_dir, gt_suffix), _stems(pred_dir, pred_suffix)
    if not truth:
        raise UserError(f"{gt_dir}: holds no *{gt_suffix}; name the folder with the ground truth")
    pairs = [
        (gt_dir / (name + gt_suffix), pred_dir / (name + pred_suffix)) for name in sorted(truth | predicted)
    ]
    for gt_file, pred_file in pairs:
        if not pred_file.exists():
            raise UserError(
                f"{pred_file}: missing, {gt_file} exists; add the prediction or take the ground truth away"
            )
        if not gt_file.exists():
            raise UserError(
                f"{gt_file}: missing, {pred_file} exists; check its name or take the prediction away"
            )
    return pairs


def _stems(folder: Path, suffix: str) -> set[str]:
    return {name.removesuffix(suffix) for name in os.listdir(folder) if name.endswith(suffix)}  # noqa: PTH208


def _scannet_scan(gt_file: Path, pred_file: Path, pred_dir: Path) -> Overlaps:
    regions = _scannet_regions(read_integers(gt_file))
    predictions = _scannet_predictions(pred_file, pred_dir)
    sizes = np.zeros(len(predictions), dtype=np.int64)
    common = np.zeros((len(predictions), len(regions.classes)), dtype=np.int64)
    for i, prediction in enumerate(predictions):
        points = read_nonzero(prediction.mask, count=len(regions.labelled))
        sizes[i], common[i] = len(points), regions.common(points)
    return Overlaps(
        prediction_classes=np.array([p.category for p in predictions], dtype=np.int64),
        prediction_scores=np.array([p.confidence for p in predictions], dtype=np.float64),
        prediction_sizes=sizes,
        unlabelled=sizes - common.sum(axis=1),
        region_classes=regions.classes,
        region_sizes=regions.sizes,
        common=common,
    )


def _scannet_regions(ids: np.ndarray) -> Regions:
    """One region per id whose label is one of the 18; every other vertex is void."""
    distinct, position = compact(ids)
    classes = SCANNET18.from_official(distinct // _LABEL_STEP)
    evaluated = np.flatnonzero(classes >= 0)
    region = np.full(len(distinct) + 1, -1, dtype=np.int64)  # the last entry serves position -1
    region[evaluated] = np.arange(len(evaluated))
    of_point = region[position]
    return Regions.of_points(of_point, classes[evaluated], of_point >= 0)


class _Prediction(NamedTuple):
    """A line of a ScanNet prediction file."""

    mask: Path
    category: int
    confidence: float


def _scannet_predictions(path: Path, root: Path) -> list[_Prediction]:
    """The predictions of the 18 classes. Of lines that name the same mask the last one counts."""
    real: Callable[[str], str] = cache(lambda name: os.path.realpath(name))
    found: dict[str, tuple[int, float]] = {}
    for number, line in enumerate(_lines(path), start=1):
        where = f"{path}:{number}"
        parts = line.rsplit(maxsplit=2)
        if parts and len(parts) != 3:
            raise UserError(f"{where}: {line[:60]!r} is not {_LINE}; write the three separated by spaces")
        if parts:
            mask = os.path.normpath(path.parent / parts[0])
            if not _is_inside(mask, str(root), real):
                raise UserError(
                    f"{where}: mask {parts[0][:80]!r} leaves {root}; name a file inside by its relative path"
                )
            found[mask] = (int(_number(parts[1], where)), _number(parts[2], where))
    categories = SCANNET18.from_official(
        np.array([label for label, _ in found.values()], dtype=np.int64)
    ).tolist()
    return [
        _Prediction(Path(mask), category, confidence)
        for category, (mask, (_, confidence)) in zip(categories, found.items(), strict=True)
        if category >= 0
    ]


def _lines(path: Path) -> list[str]:
    try:
        return decode(path.read_bytes()).splitlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _is_inside(file: str, root: str, real: Callable[[str], str]) -> bool:
    """Links followed: prediction files come from strangers."""
    if "\0" in file:
        return False
    folder, name = os.path.split(file)
    target = os.path.join(real(folder), name)  # noqa: PTH118
    if os.path.islink(target):  # noqa: PTH114
        target = real(target)
    return target.startswith(os.path.join(real(root), ""))  # noqa: PTH118


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > 2**53:
        raise UserError(f"{where}: {text[:40]!r} is not a finite number; write the line as {_LINE}")
    return value


class _Labels(NamedTuple):
    """Class and instance id of every point of a room."""

    classes: np.ndarray
    ids: np.ndarray


def _s3dis_rooms(gt_dir: Path, pred_dir: Path) -> Iterator[tuple[_Labels, _Labels]]:
    """Truth and prediction of each room."""
    archives, tables = _stems(gt_dir, ".npz"), _stems(gt_dir, "_gt.txt")
    if not archives and not tables:
        raise UserError(
            f"{gt_dir}: holds neither <room>.npz nor <room>_gt.txt; name the folder with the ground truth"
        )
    for gt_file, pred_file in _pairs(gt_dir, ".npz", pred_dir, ".npz") if archives else ():
        truth, predicted = (
            read_arrays(gt_file, ("gt_sem", "gt_ins")),
            read_arrays(pred_file, ("pred_sem", "pred_ins")),
        )
        yield _checked(_Labels(*truth), gt_file, _Labels(*predicted), pred_file)
    for gt_file, pred_file in _pairs(gt_dir, "_gt.txt", pred_dir, "_pred.txt") if tables else ():
        truth, predicted = read_last_columns(gt_file, count=2), read_last_columns(pred_file, count=2)
        yield _checked(_Labels(*truth), gt_file, _Labels(*predicted), pred_file)


def _checked(truth: _Labels, gt_file: Path, predicted: _Labels, pred_file: Path) -> tuple[_Labels, _Labels]:
    for labels, file in ((truth, gt_file), (predicted, pred_file)):
        wrong = np.flatnonzero((labels.classes < -1) | (labels.classes >= len(S3DIS)))
        if len(wrong):
            at = int(wrong[0])
            last = len(S3DIS) - 1
            raise UserError(
                f"{file}: class {labels.classes[at]} at point {at}; write 0 to {last}, or -1 for none"
            )
    lengths = [len(column) for column in (*truth, *predicted)]
    if len(set(lengths)) > 1:
        raise UserError(
            f"{pred_file}: {lengths[2:]} classes and ids, {gt_file} has {lengths[:2]}; give every point both"
        )
    return truth, predicted

"""Instances that a file of points holds as properties of its points, as `.instances.ply` does."""

import re

import numpy as np
import torch

from gestalt3d.io.ply import read_header
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import VOCABULARIES, Vocabulary

_MOST_CLASSES = 10_000


def instances_of_points(cloud: PointCloud) -> Instances | None:
    """Instances by the property `instance` of the cloud's file, negative for none; None where there is no such property.

    Id `i` is row `i`, unless ids are larger than the number of points. The class of an instance is the commonest `semantic`
    of its points, -1 where there is none, its score the highest `score`, 1 where there is none. Names of classes are those
    of the comments "semantic 4 chair" in a PLY.
    """
    table = None if cloud.source is None else cloud.source.table
    names = () if table is None else table.dtype.names or ()
    if table is None or "instance" not in names or len(table) != len(cloud):
        return None
    labels = _whole(table["instance"])
    if len(labels) and labels.max() >= len(labels):
        held = labels >= 0
        labels[held] = np.unique(labels[held], return_inverse=True)[1]
    count = int(labels.max(initial=-1)) + 1
    semantic = _whole(table["semantic"]) if "semantic" in names else np.full(len(labels), -1)
    semantic[semantic >= _MOST_CLASSES] = -1
    vocabulary = _vocabulary(cloud, int(semantic.max(initial=-1)) + 1)
    scores = np.ones(count)
    if "score" in names:
        held = labels >= 0
        scores = np.zeros(count)
        np.maximum.at(scores, labels[held], np.nan_to_num(table["score"][held].astype(np.float64)))
    return Instances.from_labels(
        torch.from_numpy(labels),
        torch.from_numpy(_commonest(labels, semantic, count)),
        torch.from_numpy(scores),
        vocabulary=vocabulary,
        element_classes=torch.from_numpy(semantic),
    )


def _whole(values: np.ndarray) -> np.ndarray:
    """(n,) int64, -1 where negative or no number."""
    if values.dtype.kind == "f":
        values = np.where(np.isfinite(values), values, -1)
    return np.maximum(values.astype(np.int64), -1)


def _commonest(labels: np.ndarray, semantic: np.ndarray, count: int) -> np.ndarray:
    """(i,) class that most points of each instance have, the lowest on ties, -1 for instances without points."""
    held = labels >= 0
    pairs, points = np.unique(np.stack([labels[held], semantic[held]]), axis=1, return_counts=True)
    found = np.full(count, -1)
    # By rising counts, of equal ones the highest class first: the last one written stays.
    order = np.lexsort([-pairs[1], points])
    found[pairs[0, order]] = pairs[1, order]
    return found


def _vocabulary(cloud: PointCloud, least: int) -> Vocabulary:
    """That of the comments, as far as they go; "class 3" for a class without a name."""
    assert cloud.source is not None
    named: dict[int, str] = {}
    if cloud.source.kind == "ply":
        with cloud.source.path.open("rb") as file:
            for line in read_header(cloud.source.path, file).comments:
                if match := re.fullmatch(r"semantic (\d{1,4}) (.+)", line.strip()):
                    named[int(match[1])] = match[2]
    count = max(least, max(named, default=-1) + 1)
    names = tuple(named.get(i, f"class {i}") for i in range(count))
    known = next((v for v in VOCABULARIES.values() if v.names == names), None)
    return known or Vocabulary("file", names)

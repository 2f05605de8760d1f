"""The objects of a scan, and what counts of each."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gestalt3d.methods.voxels.labelled import is_object
from gestalt3d.ops.knn import knn
from gestalt3d.structures.instances import Instances

_STRAY, _COMPANIONS = 0.1, 3
"""A point of a scan is stray where it has fewer such neighbours within so many metres."""


def objects_of(truth: Instances, rows: Int[Tensor, "n"]) -> tuple[Bool[Tensor, "i"], Int[Tensor, "n"]]:
    """Which instances are objects, not the building, and the object that some elements belong to, counted from 0; -1: none."""
    objects = is_object(truth.classes, truth.vocabulary, structure=False) & (truth.sizes > 0)
    number = torch.cat([torch.where(objects, objects.cumsum(0) - 1, -1), torch.tensor([-1])])
    return objects, number[truth.to_labels()[rows]]


def without_strays(points: Float[Tensor, "n 3"]) -> Float[Tensor, "k 3"]:
    """Those with three neighbours within `_STRAY`; all where none has.

    Depth cameras leave points in the air between an object and what stands behind it. They are few, but they alone decide on
    the box around the object.
    """
    if len(points) <= _COMPANIONS:
        return points
    near = knn(points[None], points[None], k=_COMPANIONS + 1).dist2[0, :, -1] < _STRAY**2
    return points[near] if bool(near.any()) else points


def box_around(points: Float[Tensor, "n 3"]) -> Float[Tensor, "6"]:
    """Centre and size along the axes."""
    low, high = points.amin(0), points.amax(0)
    return torch.cat([(low + high) / 2, high - low])

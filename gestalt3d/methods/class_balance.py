"""How often the classes are: weights that keep the rare ones from being forgotten."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.structures.instances import Instances


def classes_of_points(found: Instances, labels: Int[Tensor, "n"] | None = None) -> Int[Tensor, "n"]:
    """Semantic class of every point, that of its instance where the semantics are not known by themselves.

    `labels` are `found.to_labels()` where they are at hand already.
    """
    if found.point_classes is not None:
        return found.point_classes
    labels = found.to_labels() if labels is None else labels
    return torch.cat([found.classes, found.classes.new_full((1,), -1)])[labels]


def evenly_spaced(count: int, most: int) -> list[int]:
    """At most `most` of the first `count` whole numbers."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(int)).tolist()


def class_weights(points: Float[Tensor, "c"], *, power: float) -> Float[Tensor, "c"]:
    """Frequency ** -power of classes with so many points, 1 in the mean over the points.

    A class without points counts like the rarest that has some.
    """
    seen = points.clamp(min=float(points[points > 0].min()) if bool(points.any()) else 1.0)
    weights = (seen / seen.sum()) ** -power
    return weights / ((weights * points).sum() / points.sum().clamp(min=1))

"""Single objects as clouds of 10,000 points, labelled by part at three levels of detail."""

from collections.abc import Callable

import numpy as np
import torch

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import PARTNET
from gestalt3d.synth.parts.chairs import chair
from gestalt3d.synth.parts.lamps import lamp
from gestalt3d.synth.parts.naming import instances
from gestalt3d.synth.parts.storage import storage
from gestalt3d.synth.parts.tables import table
from gestalt3d.synth.shapes import Part

GENERATOR_VERSION = 1
SPLITS = {"train": 0, "val": 1_000_000, "test": 2_000_000}
"""First seed of each split; a split ends where the next begins."""
POINTS = 10_000
"""As many as PartNet has."""
MOST_PARTS = 200
"""As many as PartNet's benchmark counts."""
_FEWEST_POINTS = 12
"""Of every part, however small: a knob of a wardrobe would be left with none."""

_MAKERS: dict[str, Callable[[np.random.Generator], list[Part]]] = {
    "chair": chair,
    "table": table,
    "lamp": lamp,
    "storage_furniture": storage,
}
CATEGORIES = tuple(_MAKERS)


def make_object(seed: int, category: str, *, level: int = 3) -> Scan:
    """The object of that seed, the same for the same seed, category and `GENERATOR_VERSION`, whatever the level.

    It stands upright, z up, its front at -y, in a sphere of radius 1 around the mean of its points, as those of PartNet do.
    A part belongs to the class of the vocabulary `PARTNET[category, level]` that it or what it lies in has there.
    """
    rng = np.random.default_rng([seed, GENERATOR_VERSION, CATEGORIES.index(category)])
    parts = _MAKERS[category](rng)
    while len({part.name for part in parts}) < 2 or len(parts) > MOST_PARTS:
        parts = _MAKERS[category](rng)
    points, part = _surface(parts, rng)
    points -= points.mean(0)
    points /= np.linalg.norm(points, axis=1).max()
    vocabulary = PARTNET[category, level]
    rows = instances([p.name for p in parts], vocabulary)
    labels = torch.from_numpy(rows.instance[part])
    classes = torch.from_numpy(rows.classes)
    found = Instances.from_labels(
        labels,
        classes,
        vocabulary=vocabulary,
        element_classes=torch.cat([classes, classes.new_full((1,), -1)])[labels],
    )
    return Scan(f"{category}_{seed:07d}", PointCloud.from_arrays(points.astype(np.float32)), found)


def _surface(parts: list[Part], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points on the surfaces, in random order, and the part of each: even in area, but no part goes without.

    Along all triangles in a row the points lie at equal steps of area. How far a step reaches into its triangle says how far the
    point is from the triangle's first corner, and the golden ratio where it is across: a lattice on large triangles, and along a
    strip of small ones the same distances. About as even as points chosen to be far apart, in a fraction of the time.
    """
    corners = np.concatenate([part.vertices[part.faces] for part in parts])
    part_of = np.repeat(np.arange(len(parts)), [len(part.faces) for part in parts])
    first, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = np.linalg.norm(np.cross(ab, ac), axis=1)
    of_part = np.bincount(part_of, area, len(parts))
    share = np.maximum(of_part / of_part.sum() * POINTS, _FEWEST_POINTS)
    weight = area * (share / np.maximum(of_part, 1e-12))[part_of]
    ends = np.cumsum(weight)
    step = (np.arange(POINTS) + 0.5) / POINTS * ends[-1]
    face = np.minimum(np.searchsorted(ends, step), len(ends) - 1)
    reach = np.sqrt(np.clip((step - ends[face]) / np.maximum(weight[face], 1e-12) + 1, 0, 1))[:, None]
    across = ((np.arange(POINTS) * _GOLDEN + rng.random()) % 1.0)[:, None]
    points = first[face] + reach * ((1 - across) * ab[face] + across * ac[face])
    order = rng.permutation(POINTS)
    return points[order], part_of[face[order]]


_GOLDEN = (5**0.5 - 1) / 2

"""A room of walls, a ceiling and a few boxes with a name, as points."""

import numpy as np
import torch

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS

SIZE = (6.0, 4.5, 2.7)
# name, centre x y, size x y z, colour
THINGS = (
    ("table", (2.2, 2.0), (1.6, 0.9, 0.75), (0.72, 0.52, 0.33)),
    ("chair", (1.6, 1.1), (0.5, 0.5, 0.9), (0.25, 0.35, 0.55)),
    ("chair", (2.8, 1.1), (0.5, 0.5, 0.9), (0.25, 0.35, 0.55)),
    ("chair", (2.2, 2.9), (0.5, 0.5, 0.9), (0.25, 0.35, 0.55)),
    ("sofa", (5.4, 2.2), (0.9, 2.0, 0.8), (0.55, 0.20, 0.22)),
    ("bookcase", (0.25, 3.2), (0.4, 1.6, 2.0), (0.50, 0.38, 0.26)),
    ("clutter", (4.0, 4.1), (0.6, 0.5, 0.5), (0.80, 0.75, 0.30)),
)


def box_surface(rng: np.random.Generator, n: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(n, 3) points spread over the six faces."""
    size = high - low
    areas = np.repeat([size[1] * size[2], size[0] * size[2], size[0] * size[1]], 2)
    face = rng.choice(6, size=n, p=areas / areas.sum())
    points = low + rng.random((n, 3)) * size
    axis, upper = face // 2, face % 2
    points[np.arange(n), axis] = np.where(upper, high[axis], low[axis])
    return points


def made_up_room(
    n: int, *, seed: int = 0, ceiling: bool = True, color: bool = True
) -> tuple[PointCloud, Instances]:
    """Most points lie on floor, walls and ceiling, which are instances as well, the rest on the things."""
    rng = np.random.default_rng(seed)
    x, y, z = SIZE
    planes = [
        ("floor", (0, 0, 0), (x, y, 0), (0.62, 0.58, 0.52)),
        ("wall", (0, 0, 0), (x, 0, z), (0.85, 0.84, 0.80)),
        ("wall", (0, y, 0), (x, y, z), (0.85, 0.84, 0.80)),
        ("wall", (0, 0, 0), (0, y, z), (0.80, 0.84, 0.85)),
        ("wall", (x, 0, 0), (x, y, z), (0.80, 0.84, 0.85)),
        ("ceiling", (0, 0, z), (x, y, z), (0.95, 0.95, 0.93)),
    ]
    parts = [
        (name, np.array(low, float), np.array(high, float), c)
        for name, low, high, c in planes
        if ceiling or name != "ceiling"
    ]
    for name, (cx, cy), (sx, sy, sz), c in THINGS:
        parts.append(
            (name, np.array([cx - sx / 2, cy - sy / 2, 0.01]), np.array([cx + sx / 2, cy + sy / 2, sz]), c)
        )
    areas = np.array([_area(high - low) for _, low, high, _ in parts])
    counts = rng.multinomial(n, areas / areas.sum())
    points, colors, labels = [], [], []
    for i, ((_, low, high, c), count) in enumerate(zip(parts, counts, strict=True)):
        flat = (high - low) == 0
        surface = (
            low + rng.random((count, 3)) * (high - low) if flat.any() else box_surface(rng, count, low, high)
        )
        points.append(surface + rng.normal(0, 0.003, (count, 3)))
        colors.append(np.clip(np.array(c) + rng.normal(0, 0.03, (count, 1)), 0, 1) * np.ones(3))
        labels.append(np.full(count, i))
    order = rng.permutation(n)
    cloud = PointCloud.from_arrays(
        np.concatenate(points)[order].astype(np.float32),
        np.concatenate(colors)[order].astype(np.float32) if color else None,
    )
    classes = torch.tensor([S3DIS.id(name) for name, *_ in parts])
    label = torch.from_numpy(np.concatenate(labels)[order])
    scores = torch.linspace(0.98, 0.35, len(parts))
    return cloud, Instances.from_labels(
        label, classes, scores, vocabulary=S3DIS, element_classes=classes[label], method="made up"
    )


def _area(size: np.ndarray) -> float:
    if (size == 0).any():
        return float(np.prod(size[size > 0]))
    return float(2 * (size[0] * size[1] + size[1] * size[2] + size[0] * size[2]))

"""A small labelled scene, made in milliseconds: a floor, a wall and a few boxes."""

from dataclasses import replace

import numpy as np
import torch

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import S3DIS


def tiny_scan(
    seed: int = 0, *, points: int = 3000, boxes: int = 3, size: float = 2.5, colors: bool = True
) -> Scan:
    """Floor (0), wall (1) and boxes (tables and chairs by turns) of one colour each; vocabulary S3DIS, semantics given."""
    rng = np.random.default_rng(seed)
    parts, labels, tints = [], [], []

    def add(xyz: np.ndarray) -> None:
        labels.append(np.full(len(xyz), len(parts)))
        tints.append(np.clip(rng.random(3) + rng.normal(0, 0.02, (len(xyz), 3)), 0, 1))
        parts.append(xyz)

    per_part = points // (boxes + 2)
    flat = rng.random((per_part, 2)) * size
    add(np.column_stack([flat, rng.normal(0, 0.003, per_part)]))
    up = rng.random((per_part, 2)) * [size, 2.5]
    add(np.column_stack([up[:, 0], rng.normal(0, 0.003, per_part), up[:, 1]]))
    for b in range(boxes):
        extent = rng.uniform(0.3, 0.6, 3)
        corner = np.array([(b + 0.5) * size / boxes - extent[0] / 2, rng.uniform(0.4, size - 0.7), 0.01])
        surface = rng.random((per_part, 3))
        side = rng.integers(0, 3, per_part)
        surface[np.arange(per_part), side] = rng.integers(0, 2, per_part)
        add(corner + surface * extent)
    xyz, instance, rgb = np.concatenate(parts), np.concatenate(labels), np.concatenate(tints)
    order = rng.permutation(len(xyz))
    names = ["floor", "wall", *(("table", "chair")[b % 2] for b in range(boxes))]
    classes = torch.tensor([S3DIS.id(n) for n in names])
    rows = torch.from_numpy(instance[order])
    cloud = PointCloud.from_arrays(xyz[order].astype(np.float32), rgb[order] if colors else None)
    cloud = replace(cloud, semantic=classes[rows])
    found = Instances.from_labels(rows, classes, vocabulary=S3DIS, element_classes=classes[rows])
    return Scan(f"tiny{seed}", cloud, found)

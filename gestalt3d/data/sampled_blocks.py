"""Figures as the ASIS paper takes them: points count as often as overlapping blocks draw them, instead of once."""

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from gestalt3d.data import Seen
from gestalt3d.ops.blocks import cut_blocks
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.samples import Scan


def in_sampled_blocks(scan: Scan, found: Instances) -> Seen:
    """The drawn points, all blocks together, as a scan of its own, and the answer to them. No two instances share a point."""
    drawn = draw_blocks(scan)
    return Seen(Scan(scan.name, scan.input[drawn], _at(drawn, scan.truth)), _at(drawn, found))


def _at(drawn: Int[Tensor, "d"], found: Instances) -> Instances:
    return Instances.from_labels(
        found.to_labels()[drawn],
        found.classes,
        found.scores,
        vocabulary=found.vocabulary,
        element_classes=found.classes_of_elements()[drawn],
    )


def draw_blocks(
    scan: Scan, *, size: float = 1.0, stride: float = 0.5, points: int = 4096
) -> Int[Tensor, "d"]:
    """Indices of the points that overlapping blocks draw, in all blocks together; the draw depends on the scan alone."""
    blocks = cut_blocks(scan.input.points, size=size, stride=stride)
    rng = np.random.default_rng(0)
    offsets, indices = blocks.offsets.tolist(), blocks.indices.numpy()
    drawn = []
    for first, last in pairwise(offsets):
        members = indices[first:last]
        enough = len(members) >= points
        drawn.append(
            rng.choice(members, points, replace=False)
            if enough
            else np.resize(rng.permutation(members), points)
        )
    if not drawn:
        return torch.arange(len(scan.input))
    return torch.from_numpy(np.concatenate(drawn))

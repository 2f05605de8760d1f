"""Semantics that err in patches, for training: a semantic stage does so on scans unlike those it has learnt from."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def patches_of_doubt(
    coordinates: Int[Tensor, "v 3"],
    classes: int,
    rng: np.random.Generator,
    *,
    deviation: float,
    most: int,
    radius: tuple[float, float],
) -> Float[Tensor, "v c"]:
    """Normal numbers, one for each class and ball about a random voxel; they add up where balls meet.

    There are up to `most` balls, of a radius in voxels within that range.
    """
    at = coordinates.numpy().astype(np.float32)
    total = np.zeros((len(at), classes), dtype=np.float32)
    for _ in range(int(rng.integers(most + 1)) if len(at) else 0):
        offset = at - at[rng.integers(len(at))]
        inside = np.einsum("vc,vc->v", offset, offset) <= rng.uniform(*radius) ** 2
        total[inside] += rng.normal(0, deviation, classes).astype(np.float32)
    return torch.from_numpy(total)


def doubted(scores: Float[Tensor, "v c"], doubt: Float[Tensor, "v c"]) -> Float[Tensor, "v c"]:
    """Probabilities with `doubt` added to their logarithms, of which none is below ln 0.001.

    Rows without any doubt stay as they are, and so do those of voxels whose class is unknown.
    """
    changed = (scores.clamp(min=1e-3).log() + doubt.to(scores)).softmax(1)
    stay = (doubt == 0).all(1) | (scores == 0).all(1)
    return torch.where(stay[:, None], scores, changed)

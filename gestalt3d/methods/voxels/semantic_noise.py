"""Semantics that err in patches, for training: a semantic stage does so on scans unlike those it has learnt from."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.configs import CountOrNone, Interval, NotNegative, check_ranges


@dataclass(frozen=True)
class SemanticNoiseConfig:
    """How training disturbs the probabilities of the classes: a semantic stage errs more, and over whole patches, on scans unlike
    those it has learnt from.
    """

    deviation: NotNegative = 0.0
    """Standard deviation of what each ball adds to the logarithms of the probabilities in it; 0 disturbs nothing."""
    balls: CountOrNone = 60
    """Most balls in a scene; there are from none to as many."""
    radius: Interval = (0.15, 0.8)
    """Least and greatest radius of a ball in metres."""

    def __post_init__(self) -> None:
        check_ranges(self)


def semantic_noise(
    coordinates: Int[Tensor, "v 3"],
    classes: int,
    rng: np.random.Generator,
    config: SemanticNoiseConfig,
    *,
    voxel_size: float,
) -> Float[Tensor, "v c"]:
    """Normal numbers, one for each class and ball about a random voxel; they add up where balls meet."""
    at = coordinates.numpy().astype(np.float32)
    total = np.zeros((len(at), classes), dtype=np.float32)
    low, high = (metres / voxel_size for metres in config.radius)
    for _ in range(int(rng.integers(config.balls + 1)) if len(at) else 0):
        offset = at - at[rng.integers(len(at))]
        inside = np.einsum("vc,vc->v", offset, offset) <= rng.uniform(low, high) ** 2
        total[inside] += rng.normal(0, config.deviation, classes).astype(np.float32)
    return torch.from_numpy(total)


def disturbed(scores: Float[Tensor, "v c"], noise: Float[Tensor, "v c"]) -> Float[Tensor, "v c"]:
    """Probabilities with `noise` added to their logarithms, of which none is below ln 0.001.

    Rows without any noise stay as they are, and so do those of voxels whose class is unknown.
    """
    changed = (scores.clamp(min=1e-3).log() + noise.to(scores)).softmax(1)
    stay = (noise == 0).all(1) | (scores == 0).all(1)
    return torch.where(stay[:, None], scores, changed)

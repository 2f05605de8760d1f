"""Voxels turned about the vertical, which is exact by quarters: at random in training, in every way at test time."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.voxelize import quarter_turned

Network = Callable[[Int[Tensor, "v 3"], Float[Tensor, "v c"]], tuple[Tensor, ...]]
"""From voxels in the order of their coordinates and their features to what is said of each."""


def random_turn(coordinates: Int[Tensor, "v 3"], rng: np.random.Generator) -> Int[Tensor, "v 3"]:
    """Flipped, turned about the vertical by quarters, and shifted by a voxel or none along each axis."""
    if rng.random() < 0.5:
        coordinates = coordinates * torch.tensor([-1, 1, 1])
    at = quarter_turned(coordinates, int(rng.integers(4)))
    at = at - at.amin(0) if len(at) else at
    return at + torch.from_numpy(rng.integers(0, 2, 3))


def in_order(coordinates: Int[Tensor, "v 3"]) -> Int[Tensor, "v"]:
    """Rows of the voxels in the order of x, then y, then z."""
    return torch.from_numpy(np.lexsort(coordinates.numpy().T[::-1]).copy())


def seen_turned(
    network: Network, coordinates: Int[Tensor, "v 3"], features: Float[Tensor, "v c"], turns: int
) -> tuple[Tensor, ...]:
    """What a network says of each voxel when it sees the scene after so many quarter turns from x to y.

    After an odd number the voxels are also shifted by one, so that the cells of pooling are others.
    """
    at = quarter_turned(coordinates, turns) + turns % 2
    order = in_order(at)
    back = order.argsort()
    return tuple(values[back] for values in network(at[order], features[order]))


def turned_back(directions: Float[Tensor, "v 3"], turns: int) -> Float[Tensor, "v 3"]:
    """Vectors of a scene after so many quarter turns, as they are without them."""
    x, y, z = directions.unbind(1)
    for _ in range(turns):
        x, y = y, -x
    return torch.stack([x, y, z], dim=1)

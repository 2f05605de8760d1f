"""A scene as whole-scene point networks see it: some thousand of its points, farthest from each other."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.farthest_points import farthest_points
from gestalt3d.structures.pointcloud import PointCloud


def random_order(cloud: PointCloud, rng: np.random.Generator) -> Int[Tensor, "n"]:
    """The points in an order that changes from look to look, for training."""
    return torch.from_numpy(rng.permutation(len(cloud)))


def order_of_places(cloud: PointCloud) -> Int[Tensor, "n"]:
    """The points in an order that depends on where they are, not on where they stand in the file."""
    return torch.from_numpy(np.lexsort(cloud.points.numpy().T))


def thinned(points: Float[Tensor, "n 3"], order: Int[Tensor, "n"], *, wanted: int) -> Int[Tensor, "k"]:
    """`wanted` rows of the points, the first of `order` first, each farthest from all before; some again where there are too few.

    `points` must have a row at least.
    """
    chosen = order[farthest_points(points[order][None], min(wanted, len(order)))[0]]
    return chosen[torch.arange(wanted) % len(chosen)]


def about_grey(cloud: PointCloud, rows: Int[Tensor, "k"]) -> Float[Tensor, "k 3"]:
    """The colours of some points, from -1/2 to 1/2; zeros where there are none."""
    return torch.zeros(len(rows), 3) if cloud.colors is None else cloud.colors[rows] - 0.5

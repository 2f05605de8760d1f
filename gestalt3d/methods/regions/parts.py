"""Scenes too wide to be seen at once, cut into parts that overlap."""

import math
from itertools import pairwise, product
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Part(NamedTuple):
    """A column of a scene, and the middle of it, which is no other part's."""

    elements: Int[Tensor, "k"]
    """Points of the column, ascending."""
    low: Float[Tensor, "2"]
    high: Float[Tensor, "2"]
    """The middle along x and y; without end at the border of the scene."""

    def holds(self, places: Float[Tensor, "n _c"]) -> Bool[Tensor, "n"]:
        """Which places lie in the middle, by their first two coordinates; each lies in that of one part."""
        flat = places[:, :2]
        return ((flat >= self.low) & (flat < self.high)).all(1)


def parts_of(points: Float[Tensor, "n 3"], *, extent: float, overlap: float) -> list[Part]:
    """Columns at most `extent` wide along x and y, or twice `overlap` if that is more, neighbours sharing `overlap`.

    Columns without points in their middle are left out; a scene that is no wider is one part.
    """
    if not len(points):
        return []
    low, high = points[:, :2].amin(0), points[:, :2].amax(0)
    step = max(extent - overlap, overlap)
    cuts = [_cuts(float(a), float(b), extent=extent, step=step) for a, b in zip(low, high, strict=True)]
    found = []
    for (x0, x1), (y0, y1) in product(*cuts):
        part = Part(torch.zeros(0), torch.tensor([x0, y0]), torch.tensor([x1, y1]))
        if not bool(part.holds(points).any()):
            continue
        wide = part._replace(low=part.low - overlap / 2, high=part.high + overlap / 2)
        found.append(part._replace(elements=wide.holds(points).nonzero()[:, 0]))
    return found


def _cuts(low: float, high: float, *, extent: float, step: float) -> list[tuple[float, float]]:
    """Middles along one axis, as wide as each other."""
    count = 1 if high - low <= extent else math.ceil((high - low) / step)
    inner = [low + (high - low) * i / count for i in range(1, count)]
    ends = [-math.inf, *inner, math.inf]
    return list(pairwise(ends))

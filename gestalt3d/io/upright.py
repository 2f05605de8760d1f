"""Which axis of a scan points up, from where its surfaces lie.

Six directions are weighed in two steps, each a logistic model with three terms:

- the axis: along the true vertical surfaces are level or upright and few lie askew, one level is large, and a scan is
  wider than tall;
- its sign: the floor is larger than the ceiling, if there is one; more lies in the lower third than in the upper; and
  things stand on the lowest level rather than hang from the highest.

The weights are those of greatest likelihood on 50 synthetic training rooms, whole, turned, cut to pieces, without ceiling,
without floor, and 20 table tops. `benchmarks/upright.py` fits them anew: with other pieces it gave -7.5, 0.8, -0.74 for the
axis and 3.37, 26.06, 4.64 for its sign. `gestalt3d bench upright` measures the ones here on rooms of validation. Most
files are z up, so the others need more evidence: they are an eighth as likely beforehand, z down a sixteenth, and a scan is
turned only at `TURN_AT` and where there is a level that could be a floor.
"""

from typing import NamedTuple

import numpy as np
import torch

from gestalt3d.ops.knn import knn_among
from gestalt3d.ops.normals import normals_of_neighbours
from gestalt3d.ops.voxelize import voxel_means, voxelize

DIRECTIONS = ("x", "-x", "y", "-y", "z", "-z")
PRIOR = (1 / 8, 1 / 8, 1 / 8, 1 / 8, 1, 1 / 16)
SURE_AT = 0.9
TURN_AT = 0.6
FEWEST_POINTS = 1000
SMALL = 2.0
"""Metres: what is smaller along every axis is a table top or a single object."""
_LEVEL, _LEVEL_OF_SMALL = 0.03, 0.15
"""Share of the surface that the level has which could be the floor, at least."""
_AXIS_WEIGHTS = (-7.8, 0.72, -1.31)
_SIGN_WEIGHTS = (4.07, 33.3, 8.93)
_CELLS = 80
"""Voxels along the longest extent, as long as they are no larger than `_COARSEST`."""
_COARSEST = 0.15
"""Largest side of a voxel in metres."""
_MOST_VOXELS = 40_000
_NEIGHBOURS = 16
_ALONG, _ACROSS = np.cos(np.deg2rad(12)), np.sin(np.deg2rad(12))


class Upright(NamedTuple):
    up: str
    """The direction to take for up."""
    sureness: float
    """Its probability by the evidence alone, were all six alike beforehand; 0 where there was too little to judge."""
    rival: str
    """The likeliest of the others."""


class Along(NamedTuple):
    """What is seen along one axis, upwards; shares of the surface."""

    askew: float
    level: float
    """On the fullest level, two voxels thick."""
    flatness: float
    """Logarithm of the extent along the axis by the largest across, at most 0.5."""
    lowest: float
    """Level surface in the lowest 8 % of the extent, two voxels at least; `highest`: in the highest."""
    highest: float
    lower: float
    """Anything between there and 35 %; `upper`: the same from above."""
    upper: float
    standing: float
    """Places where something rises from the lowest level; `hanging`: where something hangs from the highest."""
    hanging: float

    def axis_terms(self) -> tuple[float, float, float]:
        return float(np.log(self.askew + 0.05)), float(np.log(self.level + 0.01)), self.flatness

    def sign_terms(self) -> tuple[float, float, float]:
        """Positive for the way up: floor against ceiling, weight below against above, standing against hanging."""
        floor = (self.lowest - self.highest) / (self.lowest + self.highest + 0.02)
        things = (self.standing - self.hanging) / (self.standing + self.hanging + 0.05)
        return floor, self.lower - self.upper, things

    @property
    def floor(self) -> float:
        return max(self.lowest, self.highest)


def find_up(points: np.ndarray) -> Upright:
    """The direction that is up in (n, 3) finite points in metres; z where they say too little."""
    extents = np.subtract(*np.percentile(points, [99, 1], axis=0)) if len(points) else np.zeros(3)
    if len(points) < FEWEST_POINTS or extents.max() <= 0:
        return Upright("z", 0.0, "y")
    along = look_along(points)
    evidence = _evidence(along)
    posterior = evidence * PRIOR / np.dot(evidence, PRIOR)
    best = int(posterior.argmax())
    needed = _LEVEL_OF_SMALL if extents.max() < SMALL else _LEVEL
    if posterior[best] < TURN_AT or along[best // 2].floor < needed:
        best = DIRECTIONS.index("z")
    others = [i for i in np.argsort(-evidence, kind="stable") if i != best]
    return Upright(DIRECTIONS[best], float(evidence[best]), DIRECTIONS[others[0]])


def _evidence(along: list[Along]) -> np.ndarray:
    """(6,) probabilities of `DIRECTIONS`, alike beforehand."""
    scores = np.array([a.axis_terms() for a in along]) @ _AXIS_WEIGHTS
    axes = np.exp(scores - scores.max())
    upwards = 1 / (1 + np.exp(-np.array([a.sign_terms() for a in along]) @ _SIGN_WEIGHTS))
    return (np.stack([upwards, 1 - upwards], axis=1) * (axes / axes.sum())[:, None]).ravel()


def look_along(points: np.ndarray) -> list[Along]:
    """The three axes' views of the surface: means of voxels with their normals, strays left out."""
    low, high = np.percentile(points, [1, 99], axis=0)
    extents = high - low
    pad = 0.05 * extents.max()
    points = points[((points > low - pad) & (points < high + pad)).all(1)]
    edge = min(float(extents.max()) / _CELLS, _COARSEST)
    local = torch.from_numpy((points - low).astype(np.float32))
    middle, offset = voxel_means(local, voxelize(local, voxel_size=edge), voxel_size=edge)
    surface = (middle + offset)[:: len(middle) // _MOST_VOXELS + 1]
    near = knn_among(surface.float()[None], k=min(_NEIGHBOURS, len(surface)))
    normals = normals_of_neighbours(surface.float()[None], near)[0].numpy()
    return [
        _view(surface.numpy(), np.abs(normals), near[0].numpy(), axis, edge, extents) for axis in range(3)
    ]


def _view(
    surface: np.ndarray, normals: np.ndarray, near: np.ndarray, axis: int, edge: float, extents: np.ndarray
) -> Along:
    height, count = surface[:, axis], len(surface)
    low, high = np.percentile(height, [0.5, 99.5])
    extent = max(float(high - low), 1e-9)
    level, upright = normals[:, axis] > _ALONG, normals[:, axis] < _ACROSS
    bins = np.arange(low - 2 * edge, high + 3 * edge, edge)
    fullest = np.convolve(np.histogram(height[level], bins)[0], [1, 1], "valid").max()
    band = max(0.08 * extent, 2 * edge)
    lowest, highest = level & (height < low + band), level & (height > high - band)
    rise = height[near] - height[:, None]
    beside = ~level[near] & (np.abs(rise) > 0.6 * edge)
    across = np.delete(extents, axis).max()
    return Along(
        askew=1 - float(level.mean() + upright.mean()),
        level=float(fullest) / count,
        flatness=min(float(np.log(max(extents[axis], 1e-6) / max(across, 1e-6))), 0.5),
        lowest=float(lowest.mean()),
        highest=float(highest.mean()),
        lower=float(((height > low + band) & (height < low + 0.35 * extent)).mean()),
        upper=float(((height < high - band) & (height > high - 0.35 * extent)).mean()),
        standing=float((beside & (rise > 0))[lowest].sum()) / count,
        hanging=float((beside & (rise < 0))[highest].sum()) / count,
    )

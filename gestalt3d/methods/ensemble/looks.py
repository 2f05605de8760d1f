"""Looks at a cloud: it is turned, thinned, cut or robbed of its colours before a method sees it.

Networks answer each look a little differently, and what they say of all of them is more certain than what they say of one.
"""

import math
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from gestalt3d.configs import NotNegative, Within, check_ranges
from gestalt3d.methods.method import Method
from gestalt3d.methods.rooms.blocks import drawing_order, thin
from gestalt3d.ops.turn import turn_matrix
from gestalt3d.structures.pointcloud import PointCloud

_LOWEST_ROOM = 1.5
"""Metres: what is lower has no ceiling to leave out."""


@dataclass(frozen=True)
class Look:
    """How a cloud is shown to a method. Lengths in metres."""

    degrees: Annotated[float, Within(least=-360, most=360)] = 0.0
    """Turn about the vertical."""
    spacing: NotNegative = 0.0
    """One point is shown of every voxel of this edge; 0 shows all."""
    top: NotNegative = 0.0
    """Points less than this below the highest ones are not shown, so that a room has no ceiling; 0 shows all."""
    colors: bool = True
    """Off: the method is shown no colours."""

    def __post_init__(self) -> None:
        check_ranges(self)


class Shown(NamedTuple):
    cloud: PointCloud
    rows: Int[Tensor, "k"]
    """Which points of the whole cloud these are, ascending."""


def shown(cloud: PointCloud, look: Look) -> Shown:
    """The cloud as a method is shown it. What is shown does not depend on the order of its points."""
    rows = torch.arange(len(cloud))
    if look.top:
        rows = rows[_below_the_top(cloud, look.top)]
    if look.spacing:
        part = cloud[rows]
        rows = rows[np.sort(thin(part.points, drawing_order(part, 0), look.spacing))]
    seen = cloud if len(rows) == len(cloud) else cloud[rows]
    if look.degrees:
        matrix = turn_matrix(math.radians(look.degrees))
        seen = replace(seen, points=(seen.points.double() @ matrix.T).float(), normals=None)
    return Shown(seen if look.colors else replace(seen, colors=None), rows)


def _below_the_top(cloud: PointCloud, depth: float) -> Bool[Tensor, "n"]:
    """Whether each point is `depth` metres below the highest ones, but for one in two hundred; all are of what is low."""
    heights = cloud.points[:, 2]
    if float(cloud.extents[2]) < _LOWEST_ROOM:
        return torch.ones_like(heights, dtype=torch.bool)
    highest = heights.sort().values[int(0.995 * (len(heights) - 1))]
    return heights < highest - depth


@runtime_checkable
class Turns(Protocol):
    """A method that itself looks at turned clouds."""

    def with_turns(self, turns: int) -> Method[PointCloud]:
        """The same with the same weights, looking at so many."""
        ...


def with_turns(method: Method[PointCloud], turns: int) -> Method[PointCloud]:
    """The method looking at so many turns of what it is shown, where it looks at any."""
    return method.with_turns(turns) if isinstance(method, Turns) else method

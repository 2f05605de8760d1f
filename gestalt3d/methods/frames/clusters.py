"""Regions from what hangs together in a frame, in place of anchors: visible boxes of clusters, and of every two that touch.

They need no training, as the proposals before region proposal networks (Girshick et al., "R-CNN", CVPR 2014). In training each
has the object that it shows most of; to them come boxes that are made of the truth, around the visible points of an object, of
parts of it, and of pieces of the building, so that objects which no cluster shows teach, too.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.configs import Count, Positive, Share, check_ranges
from gestalt3d.methods.frames.objects import along_axes, turned, turned_back
from gestalt3d.methods.frames.space import Frame
from gestalt3d.methods.geometric import Geometric, GeometricConfig
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View

_LEAST = 0.2
"""Metres: thinner boxes, such as those of fronts, count as so thick."""
_FEWEST = 12
"""Pixels that make a box."""
_QUANTILE = 0.02
"""Of the points along each axis, on both sides, that a box leaves out."""


@dataclass(frozen=True)
class ClusterConfig:
    """How clusters are found, and how they are imitated in training."""

    geometry: GeometricConfig = field(default_factory=lambda: GeometricConfig(variant="regions"))
    """What finds them; planes of the building are none."""
    touching: Positive = 0.08
    """Metres: of two clusters whose boxes come nearer, the box around both is a region, too."""
    most: Count = 120
    """Most regions of a frame, the clusters first."""
    positive_iou: Share = 0.3
    """In training, of the points of a region and the visible ones of its object, from where on it shows that object."""
    negative_iou: Share = 0.1
    """Of the points of a region and those of any object, up to where it shows none."""
    of_objects: Count = 3
    """In training, regions made of each object: all that is visible of it, and random parts that show enough of it."""
    others: Count = 6
    """In training, regions made of the building."""
    least_share: Share = 0.4
    """Least share of the box around what is visible of an object that a random part has, along one axis."""

    def __post_init__(self) -> None:
        check_ranges(self)


class Clusters(NamedTuple):
    """Regions of all frames of a batch, one frame's after the other's."""

    boxes: Float[Tensor, "k 7"]
    owner: Int[Tensor, "k"]
    """Row of the frame's objects, -1 for none."""
    counts: Int[Tensor, "b"]
    """Of each frame."""

    def to(self, device: torch.device | str) -> "Clusters":
        return Clusters(*(values.to(device) for values in self))

    def and_also(self, other: "Clusters") -> "Clusters":
        """Both, of one frame."""
        boxes, owner = (torch.cat([own, others]) for own, others in zip(self[:2], other[:2], strict=True))
        return Clusters(boxes, owner, self.counts + other.counts)


def no_clusters() -> Clusters:
    """Of one frame, for networks that propose by themselves."""
    nothing = torch.zeros(0, dtype=torch.int64)
    return Clusters(torch.zeros(0, 7), nothing, torch.zeros(1, dtype=torch.int64))


def box_around(points: Float[Tensor, "n 3"], yaw: float) -> Float[Tensor, "7"]:
    """The box of that yaw around nearly all of the points."""
    flat = turned(points, torch.full((len(points),), yaw))
    # Torch's own takes sixteen million numbers at most.
    ends = torch.from_numpy(np.quantile(flat.numpy(), [_QUANTILE, 1 - _QUANTILE], axis=0)).float()
    size = (ends[1] - ends[0]).clamp(min=_LEAST)
    return turned_back(torch.cat([ends.mean(0), size])[None], torch.tensor([yaw]))[0]


class Pieces(NamedTuple):
    """Of one frame."""

    boxes: Float[Tensor, "k 7"]
    """In the grid."""
    points: Sets
    """Of the view's cloud, that each is the box around."""


def pieces_of(
    view: View, grid_from_cloud: Float[np.ndarray, "4 4"], yaw: float, config: ClusterConfig
) -> Pieces:
    """The regions of a frame."""
    cloud = view.cloud()
    parts = Geometric(config.geometry).segment(cloud)
    structure = torch.from_numpy(parts.vocabulary.is_structure)
    move = torch.from_numpy(grid_from_cloud)
    points = (cloud.points.double() @ move[:3, :3].T + move[:3, 3]).float()
    found = [parts.elements_of(i) for i in range(len(parts)) if not bool(structure[parts.classes[i]])]
    found = [own for own in found if len(own) >= _FEWEST]
    boxes = torch.zeros(0, 7)
    if found:
        alone = torch.stack([box_around(points[own], yaw) for own in found])
        together, one, other = pairs_that_touch(alone, config.touching)
        boxes = torch.cat([alone, together])
        pairs = zip(one.tolist(), other.tolist(), strict=True)
        found += [torch.cat([found[a], found[b]]).sort().values for a, b in pairs]
    boxes, found = boxes[: config.most], found[: config.most]
    sizes = torch.tensor([len(own) for own in found], dtype=torch.int64)
    elements = torch.cat([sizes[:0], *found])
    return Pieces(boxes, Sets.from_sizes(sizes, elements, len(cloud)))


def clusters_of(pieces: Pieces, owners: Int[Tensor, "n"], objects: int, config: ClusterConfig) -> Clusters:
    """Pieces of one labelled frame and what they show; `owners` are rows of its objects for each point, -1 for none.

    What shows an object in part, between the two overlaps of the settings, is left out.
    """
    k = len(pieces.boxes)
    if objects == 0 or k == 0:
        return Clusters(pieces.boxes, torch.full((k,), -1), torch.tensor([k]))
    cell = pieces.points.owners * (objects + 1) + owners[pieces.points.indices] + 1
    common = torch.bincount(cell, minlength=k * (objects + 1)).reshape(k, -1)[:, 1:]
    visible = torch.bincount(owners + 1, minlength=objects + 1)[1:]
    iou, object = (common / (pieces.points.sizes[:, None] + visible - common)).max(1)
    shows, none = iou >= config.positive_iou, iou <= config.negative_iou
    stay = shows | none
    owner = torch.where(shows, object, -1)[stay]
    return Clusters(pieces.boxes[stay], owner, torch.tensor([len(owner)]))


def pairs_that_touch(
    boxes: Float[Tensor, "k 7"], near: float
) -> tuple[Float[Tensor, "m 7"], Int[Tensor, "m"], Int[Tensor, "m"]]:
    """Boxes around every two that touch, and the rows of both; all have one yaw."""
    yaw = boxes[:, 6]
    middle, size = along_axes(boxes, yaw).split(3, dim=1)
    low, high = middle - size / 2, middle + size / 2
    gap = torch.maximum(low[:, None] - high[None], low[None] - high[:, None]).amax(-1)
    a, b = torch.triu(gap < near, diagonal=1).nonzero().unbind(1)
    least, most = torch.minimum(low[a], low[b]), torch.maximum(high[a], high[b])
    return turned_back(torch.cat([(least + most) / 2, most - least], dim=1), yaw[a]), a, b


def imitated(
    frame: Frame, owners: Int[Tensor, "h w"], objects: int, config: ClusterConfig, rng: np.random.Generator
) -> Clusters:
    """Of one labelled frame: `owners` are rows of its objects at each pixel of the frame's image, -1 for none."""
    yaw = float(frame.yaw[0])
    places, known = frame.places[0], frame.seen[0]
    boxes, owner = [], []

    def add(points: Float[Tensor, "n 3"], row: int) -> None:
        if len(points) >= _FEWEST:
            boxes.append(box_around(points, yaw))
            owner.append(row)

    visible = [places[known & (owners == row)] for row in range(objects)]
    for row, points in enumerate(visible):
        add(points, row)
        for _ in range(config.of_objects - 1):
            part = _part(points, config.least_share, rng)
            if len(part) >= config.positive_iou * len(points):
                add(part, row)
    rest = places[known & (owners < 0)]
    for _ in range(config.others):
        if len(rest):
            seed, reach = rest[int(rng.integers(len(rest)))], float(rng.uniform(0.15, 1.2))
            add(rest[(rest - seed).norm(dim=1) < reach], -1)
    if not boxes:
        return no_clusters()
    return Clusters(torch.stack(boxes), torch.tensor(owner, dtype=torch.int64), torch.tensor([len(boxes)]))


def _part(points: Float[Tensor, "n 3"], least: float, rng: np.random.Generator) -> Float[Tensor, "m 3"]:
    """Those within a random stretch of the box around the points, along one of its axes."""
    if len(points) == 0:
        return points
    low, high = points.amin(0), points.amax(0)
    axis, share = int(rng.integers(3)), float(rng.uniform(least, 1.0))
    start = float(rng.random()) * (1 - share)
    along = (points[:, axis] - low[axis]) / (high[axis] - low[axis]).clamp(min=1e-6)
    return points[(along >= start) & (along <= start + share)]

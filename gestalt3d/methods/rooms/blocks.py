"""Where blocks of a room lie, which points they draw, and what a network sees of these.

Readings of S3DIS blocks (1 m x 1 m over the whole height, a fixed number of points, nine features a point):
- Features: x, y relative to the block's centre; z above the room's floor; colour - 0.5, so that zeros,
  which also stand for missing colour, are a middle grey; coordinates relative to the room's extent. The
  floor is the 0.5th percentile of the heights, because scans have points below it.
- Points of a block are drawn without replacement (the authors: with), repeated only where there are too few.
- Half of the training blocks lie on the test's lattice, half anywhere.
- At test time the order in which points are drawn depends on their coordinates and colours alone, so the
  answer does not depend on the order of the input.
- Neighbouring blocks draw different points where there are enough, so that overlapping blocks cover more of
  the cloud.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.configs import Count, CountOrNone, Neighbours, Positive, check_ranges
from gestalt3d.errors import UserError
from gestalt3d.ops.blocks import cut_blocks
from gestalt3d.ops.normals import surface_normals
from gestalt3d.ops.voxelize import voxelize
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan

FEATURES = 9
"""Without normals; these are six more."""


@dataclass(frozen=True)
class LatticeConfig:
    """Which blocks of a room are cut, and what a network sees of each."""

    size: Positive = 1.0
    """Width and depth of a block in metres (Sec. 4.1)."""
    stride: Positive = 0.5
    """Metres between blocks at test time."""
    points: Count = 4096
    """Points drawn in each block (Sec. 4.1)."""
    min_points: CountOrNone = 100
    """Blocks with fewer points are left out where a cloud has others."""
    grid: Positive | None = None
    """Edge in metres of voxels that keep one point each, so that all scanners look alike; none: all points, as in the paper."""
    normals: Neighbours = 0
    """Points from which a surface normal is estimated, as six more features; 0, as in the paper, estimates none."""
    max_room: Positive = 10.0
    """Wider clouds, in metres, are taken apart, so that places in the room stay what they were in training."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.stride > self.size:
            raise UserError(f"stride {self.stride} exceeds size {self.size}: points would be missed")

    @property
    def features(self) -> int:
        """Numbers that describe a point."""
        return FEATURES + (6 if self.normals else 0)


class Room(NamedTuple):
    """A cloud, or the part of a wide one that is treated as a room, without stray points."""

    low: np.ndarray
    """(3,) metres; `low[2]` is the floor."""
    high: np.ndarray

    def inside(self, points: np.ndarray) -> np.ndarray:
        """(n,) bool: on its ground plane and not far above the ceiling or below the floor."""
        reach = 0.5 + 0.5 * (self.high[2] - self.low[2])
        low = np.array([*self.low[:2], self.low[2] - reach])
        high = np.array([*self.high[:2], self.high[2] + reach])
        within = (points >= low) & (points <= high)
        return within[:, 0] & within[:, 1] & within[:, 2]


class Task(NamedTuple):
    """A block to look at."""

    rows: np.ndarray
    """Drawn points, none twice."""
    center: np.ndarray
    room: Room


def lattice_blocks(
    points: np.ndarray, parts: list[Room], config: LatticeConfig, min_points: int
) -> list[Task]:
    """All blocks of the lattice over each room, in BlockMerging's order."""
    made = []
    for room in parts:
        inside = np.flatnonzero(room.inside(points))
        if len(inside) == 0:
            continue
        ground = torch.from_numpy(points[inside])
        blocks = cut_blocks(ground, size=config.size, stride=config.stride, min_points=min_points)
        low, high = (side[:2].double().numpy() for side in (ground.amin(0), ground.amax(0)))
        origins = blocks.origins.double().numpy()
        lattice = np.rint((origins - low) / config.stride).astype(np.int64) % 2
        # A room narrower than a block stands in the middle of it, as in training.
        centers = np.where(high - low < config.size, (low + high) / 2, origins + config.size / 2)
        offsets = blocks.offsets.tolist()
        for k, center in enumerate(centers):
            members = blocks.indices[offsets[k] : offsets[k + 1]].numpy()
            count = min(len(members), config.points)
            # Overlapping blocks start to draw at another quarter of their points.
            start = len(members) * int(lattice[k] @ (1, 2)) // 4
            drawn = members[np.arange(start, start + count) % len(members)]
            made.append(Task(inside[drawn].astype(np.int32), center, room))  # there are many
    return made


def drawing_order(cloud: PointCloud, seed: int) -> np.ndarray:
    """Indices of the points in a random order that depends on what they are, not on where they stand."""
    columns = [cloud.points] if cloud.colors is None else [cloud.points, cloud.colors]
    return np.argsort(_hash_rows(torch.cat(columns, dim=1).numpy(), seed))


def thin(points: Float[Tensor, "n 3"], order: np.ndarray, grid: float) -> np.ndarray:
    """The first of every voxel of `grid` metres, in that order."""
    voxel = voxelize(points, voxel_size=grid).voxel_of_point.numpy()[order]
    first = np.empty(int(voxel.max(initial=-1)) + 1, dtype=np.int64)
    first[voxel[::-1]] = np.arange(len(voxel))[::-1]  # of repeated indices the last assignment stays
    return order[np.sort(first)]


def _hash_rows(values: np.ndarray, seed: int) -> np.ndarray:
    """(n,) uint64 that mix the bits of every row with the seed (SplitMix64's finalizer after each column)."""
    hashed = np.full(len(values), seed, dtype=np.uint64)
    for column in values.T:
        hashed ^= (column + np.float32(0)).view(np.uint32)  # + 0 joins -0 and 0
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            hashed ^= hashed >> np.uint64(shift)
            hashed *= np.uint64(factor)
        hashed ^= hashed >> np.uint64(31)
    return hashed


def rooms(points: np.ndarray, config: LatticeConfig) -> list[Room]:
    """The robust extent of a cloud, where wider than `max_room` taken apart into overlapping pieces."""
    low, high = _robust_extent(points)
    spans = []
    for axis in range(2):
        width, overlap = high[axis] - low[axis], config.size
        count = max(1, int(np.ceil((width - overlap) / (config.max_room - overlap) - 1e-6)))
        starts = np.linspace(low[axis], max(low[axis], high[axis] - config.max_room), count)
        spans.append([(s, min(s + config.max_room, high[axis])) for s in starts])
    if len(spans[0]) == len(spans[1]) == 1:
        return [Room(low, high)]
    found = []
    for x in spans[0]:
        for y in spans[1]:
            room = Room(np.array([x[0], y[0], low[2]]), np.array([x[1], y[1], high[2]]))
            heights = points[room.inside(points), 2]
            if len(heights):
                floor, ceiling = np.percentile(heights[:_ENOUGH], [0.5, 99.5])
                found.append(Room(np.array([x[0], y[0], floor]), np.array([x[1], y[1], ceiling])))
    return found


_ENOUGH = 1 << 20  # points are in random order: percentiles of the first million are those of all


def _robust_extent(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Extremes of the points that are not far outside the bulk; percentiles of the heights."""
    some = points[:_ENOUGH].astype(np.float64)
    low, high = np.percentile(some, [0.5, 99.5], axis=0)
    reach = 0.25 * (high - low) + 0.1
    bulk = ((some >= low - reach) & (some <= high + reach)).all(1)
    for axis in range(2):
        low[axis], high[axis] = some[bulk, axis].min(), some[bulk, axis].max()
    return low, high


def object_points(scan: Scan, order: np.ndarray) -> np.ndarray:
    """One place in `order` for every instance that is no structure and has a point there."""
    found = scan.truth
    structure = torch.from_numpy(np.append(found.vocabulary.is_structure, True))
    labels = found.to_labels()[torch.from_numpy(order)]
    labels = torch.where(structure[found.classes][labels], -1, labels) if len(found) else labels
    return np.unique(labels.numpy(), return_index=True)[1][int(bool((labels < 0).any())) :]


def any_room(choices: list[Room], points: np.ndarray, rng: np.random.Generator) -> Room:
    """One of the rooms, as likely as it has points."""
    if len(choices) == 1:
        return choices[0]
    weights = np.array([room.inside(points).sum() for room in choices], dtype=float)
    return choices[rng.choice(len(choices), p=weights / weights.sum())]


def random_block(
    points: np.ndarray,
    room: Room,
    config: LatticeConfig,
    rng: np.random.Generator,
    objects: np.ndarray,
    *,
    around_objects: float,
    tries: int = 10,
) -> Task:
    """A block of the test's lattice or, as often, anywhere about a place in the room; not nearly empty.

    With the probability `around_objects` it lies around one of the points `objects` instead, each as likely as any other.
    """
    size, stride = config.size, config.stride
    extent = room.high[:2] - room.low[:2]
    cells = np.ceil(np.maximum(extent - size, 0) / stride - 1e-6).astype(int) + 1
    for _ in range(tries):
        # Blocks drawn from the inside of the room only would never show its outer walls.
        on_lattice = room.low[:2] + rng.integers(0, cells) * stride
        anywhere = room.low[:2] + rng.random(2) * extent - size / 2
        low = np.where((rng.random() < 0.5) | (extent < size), on_lattice, anywhere)
        if len(objects) and rng.random() < around_objects:
            low = points[rng.choice(objects), :2] - rng.uniform(0.2, 0.8, 2) * size
        inside = np.flatnonzero(((points[:, :2] >= low) & (points[:, :2] <= low + size)).all(1))
        if len(inside) >= config.min_points:
            center = np.where(extent < size, (room.low + room.high)[:2] / 2, low + size / 2)
            break
    else:
        # A sparse cloud: the block around one of its points.
        center = points[rng.integers(len(points)), :2].astype(np.float64)
        inside = np.flatnonzero((np.abs(points[:, :2] - center) <= size / 2).all(1))
    return Task(rng.permutation(inside)[: config.points], center, room)


def block_features(
    cloud: PointCloud, rows: Int[Tensor, "b n"], blocks: Sequence[Task], normals: int = 0
) -> Float[Tensor, "b n f"]:
    """x, y from the centre, z from the floor; colour about grey, zeros when missing; place in the room.

    With `normals` also the products of the normal's coordinates, which do not depend on its sign.
    """
    points = cloud.points[rows]
    low, high, center = (
        torch.from_numpy(np.stack(sides)).float()[:, None]
        for sides in zip(
            *((b.room.low, b.room.high, [*b.center, b.room.low[2]]) for b in blocks), strict=True
        )
    )
    color = torch.zeros_like(points) if cloud.colors is None else cloud.colors[rows] - 0.5
    place = ((points - low) / (high - low).clamp(min=1e-3)).clamp(0, 1)
    features = [points - center, color, place]
    if normals:
        x, y, z = surface_normals(points, k=normals).split(1, dim=-1)
        features += [x * x, y * y, z * z, x * y, x * z, y * z]
    return torch.cat(features, dim=-1)

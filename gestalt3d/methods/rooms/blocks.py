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
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.configs import (
    Count,
    CountOrNone,
    Neighbours,
    NotNegative,
    Positive,
    Seed,
    Share,
    Width,
    Within,
    check_ranges,
)
from gestalt3d.errors import UserError
from gestalt3d.methods.superpoints import SuperpointConfig
from gestalt3d.nn.pointnet2 import RADII
from gestalt3d.ops.blocks import cut_blocks
from gestalt3d.ops.normals import surface_normals
from gestalt3d.ops.voxelize import voxelize
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan

FEATURES = 9
"""Without normals; these are six more."""


@dataclass(frozen=True)
class BlockConfig:
    """How a cloud becomes blocks and blocks become a cloud again."""

    backbone: Literal["pointnet", "pointnet2"] = "pointnet2"
    """Both are the paper's (Sec. 4.2); the authors' code has PointNet++."""
    width: Width = 128
    """Features per point out of each decoder."""
    width_scale: Annotated[float, Within(above=0, most=64)] = 1.0
    """Of all layers of the backbone."""
    radii: tuple[Positive, Positive, Positive, Positive] = RADII
    """PointNet++: metres, one per level."""
    group_size: Count = 32
    """PointNet++: points in a ball."""
    block_size: Positive = 1.0
    """Metres (Sec. 4.1)."""
    stride: Positive = 0.5
    """Metres between blocks at test time."""
    points: Count = 4096
    """Per block (Sec. 4.1)."""
    min_block_points: CountOrNone = 100
    """Blocks with fewer are left out where a cloud has others."""
    normals: Neighbours = 0
    """Points from which a surface normal is estimated, as six more features; 0, the paper's: none."""
    class_balance: Annotated[float, Within(least=0, most=4)] = 0.0
    """Classes weigh frequency ** -class_balance in the cross entropy; 0, the paper's: every point the same."""
    object_blocks: Share = 0.0
    """Share of the training blocks that lie around an object, not anywhere in the room."""
    blocks_per_scan: Count = 4
    """Random blocks of a scan that one training sample holds."""
    grid: Positive | None = None
    """Metres: keep one point per voxel, so that all scanners look alike. The paper keeps all."""
    views: Annotated[int, Within(least=1, most=64)] = 1
    """Lattices of blocks at test time, each over the room turned by another part of 90 degrees."""
    merging: Literal["first", "votes", "agreement"] = "first"
    """BlockMerging (Sec. 4.1), where a voxel keeps the first instance it gets, `BlockVotes`, where the blocks vote, or
    `Agreement`, where they vote on superpoints."""
    merge_voxel: Positive = 0.05
    """Metres: voxel of the merging."""
    merge_voxel_fraction: Annotated[float, Within(above=0, most=1)] | None = None
    """Instead: this fraction of the room along each axis. The papers: 0.005."""
    merge_overlap: CountOrNone = 7
    """Points a block's cluster must share with an instance to join it; by votes: voxels that two clusters must share."""
    merge_points: CountOrNone = 30
    """Points a cluster that joins none must have to become a new instance; else: that an instance must have in all."""
    vote_iou: Annotated[float, Within(above=0, most=1)] = 0.35
    """By votes: least IoU of two blocks' clusters of one instance, in the voxels that both blocks see."""
    class_power: NotNegative = 4.0
    """By agreement: power of the cosine of two superpoints' class probabilities."""
    min_agreement: Positive = 0.15
    """By agreement: least share of pairs of points that belong together, times that power, to join two superpoints."""
    size_filter: NotNegative = 0.0
    """Drop instances of fewer voxels than this fraction of their class's mean; the authors' code: 0.25 of the points."""
    superpoints: SuperpointConfig | None = None
    """Patches that belong together whatever the points in them were said to be; None, the papers': every point for itself."""
    max_room: Positive = 10.0
    """Metres: wider clouds are taken apart, so that places in the room stay what they were in training."""
    inference_blocks: Count = 8
    """Blocks that go through the network at once."""
    scan_statistics: CountOrNone = 0
    """Batch norm's means and variances at test time are those of the scan itself, taken from this many of its
    blocks; 0, the papers': those of the training. Wants `separate_scans` in training."""
    seed: Seed = 0
    """Of the draw at test time."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.merging not in ("first", "votes", "agreement"):
            raise UserError(f'merging must be "first", "votes" or "agreement", got {self.merging!r}')
        if self.merging == "agreement" and self.superpoints is None:
            raise UserError('merging "agreement" goes by superpoints: set them, or merge by "votes"')
        if self.stride > self.block_size:
            raise UserError(
                f"stride {self.stride} exceeds block_size {self.block_size}: points would be missed"
            )


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


def lattice_blocks(points: np.ndarray, parts: list[Room], config: BlockConfig, min_points: int) -> list[Task]:
    """All blocks of the lattice over each room, in BlockMerging's order."""
    made = []
    for room in parts:
        inside = np.flatnonzero(room.inside(points))
        if len(inside) == 0:
            continue
        ground = torch.from_numpy(points[inside])
        blocks = cut_blocks(ground, size=config.block_size, stride=config.stride, min_points=min_points)
        low, high = (side[:2].double().numpy() for side in (ground.amin(0), ground.amax(0)))
        origins = blocks.origins.double().numpy()
        lattice = np.rint((origins - low) / config.stride).astype(np.int64) % 2
        # A room narrower than a block stands in the middle of it, as in training.
        centers = np.where(high - low < config.block_size, (low + high) / 2, origins + config.block_size / 2)
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


def rooms(points: np.ndarray, config: BlockConfig) -> list[Room]:
    """The robust extent of a cloud, where wider than `max_room` taken apart into overlapping pieces."""
    low, high = _robust_extent(points)
    spans = []
    for axis in range(2):
        width, overlap = high[axis] - low[axis], config.block_size
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
    config: BlockConfig,
    rng: np.random.Generator,
    objects: np.ndarray,
    *,
    tries: int = 10,
) -> Task:
    """A block of the test's lattice or, as often, anywhere about a place in the room; not nearly empty.

    `object_blocks` of the time it lies around one of the points `objects` instead, each object as likely as any other.
    """
    size, stride = config.block_size, config.stride
    extent = room.high[:2] - room.low[:2]
    cells = np.ceil(np.maximum(extent - size, 0) / stride - 1e-6).astype(int) + 1
    for _ in range(tries):
        # Blocks drawn from the inside of the room only would never show its outer walls.
        on_lattice = room.low[:2] + rng.integers(0, cells) * stride
        anywhere = room.low[:2] + rng.random(2) * extent - size / 2
        low = np.where((rng.random() < 0.5) | (extent < size), on_lattice, anywhere)
        if len(objects) and rng.random() < config.object_blocks:
            low = points[rng.choice(objects), :2] - rng.uniform(0.2, 0.8, 2) * size
        inside = np.flatnonzero(((points[:, :2] >= low) & (points[:, :2] <= low + size)).all(1))
        if len(inside) >= config.min_block_points:
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

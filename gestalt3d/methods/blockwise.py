"""What methods that look at a room block by block share: ASIS and SGPN.

S3DIS blocks as in PointNet: 1 m x 1 m over the whole height, a fixed number of points, nine features a point. Rooms
stream through the network block by block and BlockMerging (SGPN, Wang et al., CVPR 2018) joins what was found.

Readings:
- Features: x, y relative to the block's centre; z above the room's floor; colour - 0.5, so that zeros, which also
  stand for missing colour, are a middle grey; coordinates relative to the room's extent. The floor is the 0.5th
  percentile of the heights, because scans have points below it.
- Points of a block are drawn without replacement (the authors: with), repeated only where there are too few.
- Training blocks lie anywhere in the room, not only on the test's lattice.
- At test time the order in which points are drawn depends on their coordinates and colours alone, so the answer does
  not depend on the order of the input.
- Neighbouring blocks draw different points where there are enough, so that overlapping blocks cover more of the cloud;
  a point that no block drew is answered by its nearest drawn point.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gestalt3d.nn.pointnet import PointNetDecoder, PointNetEncoder
from gestalt3d.nn.pointnet2 import RADII, PointNet2Decoder, PointNet2Encoder
from gestalt3d.ops.blocks import BlockMerger, cut_blocks
from gestalt3d.ops.knn import knn
from gestalt3d.ops.voxelize import voxelize
from gestalt3d.stages import progress, stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import Vocabulary

FEATURES = 9


@dataclass(frozen=True)
class BlockConfig:
    """How a cloud becomes blocks and blocks become a cloud again."""

    backbone: Literal["pointnet", "pointnet2"] = "pointnet2"
    """Both are the paper's (Sec. 4.2); the authors' code has PointNet++."""
    width: int = 128
    """Features per point out of each decoder."""
    width_scale: float = 1.0
    """Of all layers of the backbone."""
    radii: tuple[float, float, float, float] = RADII
    """PointNet++: metres, one per level."""
    group_size: int = 32
    """PointNet++: points in a ball."""
    block_size: float = 1.0
    """Metres (Sec. 4.1)."""
    stride: float = 0.5
    """Metres between blocks at test time."""
    points: int = 4096
    """Per block (Sec. 4.1)."""
    min_block_points: int = 100
    """Blocks with fewer are left out where a cloud has others."""
    blocks_per_scan: int = 4
    """Random blocks of a scan that one training sample holds."""
    grid: float | None = None
    """Metres: keep one point per voxel, so that all scanners look alike. The paper keeps all."""
    merge_voxel: float = 0.05
    """Metres: voxel of BlockMerging."""
    merge_voxel_fraction: float | None = None
    """Instead: this fraction of the room along each axis. The papers: 0.005."""
    merge_overlap: int = 7
    """Points a block's cluster must share with an instance to join it."""
    merge_points: int = 30
    """Points a cluster that joins none must have to become a new instance."""
    size_filter: float = 0.0
    """Drop instances smaller than this fraction of their class's mean size; the authors' code: 0.25."""
    max_room: float = 10.0
    """Metres: wider clouds are taken apart, so that places in the room stay what they were in training."""
    inference_blocks: int = 8
    """Blocks that go through the network at once."""
    seed: int = 0
    """Of the draw at test time."""


class Batch(NamedTuple):
    """Blocks; the first dimension is theirs."""

    points: Float[Tensor, "b n 9"]
    classes: Int[Tensor, "b n"]
    """-1: unknown, takes no part in the loss."""
    instances: Int[Tensor, "b n"]
    """Counted from 0 in every block, -1: none."""


class Room(NamedTuple):
    """A cloud, or the part of a wide one that is treated as a room, without stray points."""

    low: np.ndarray
    """(3,) metres; `low[2]` is the floor."""
    high: np.ndarray

    def inside(self, points: np.ndarray) -> np.ndarray:
        """(n,) bool, on the ground plane."""
        return ((points[:, :2] >= self.low[:2]) & (points[:, :2] <= self.high[:2])).all(1)


class BlockMethod(nn.Module):
    """Base of methods that look at blocks. Subclasses give `forward`, `losses` and `group`."""

    name = ""
    config_class: type[Any] = BlockConfig

    def __init__(self, config: Any, vocabulary: Vocabulary):
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.register_buffer("mean_sizes", torch.zeros(len(vocabulary)))
        self.mean_sizes: Tensor

    @classmethod
    def from_config(cls, config: Any, vocabulary: Vocabulary) -> Self:
        raise NotImplementedError

    def prepare(self, scan: Scan, rng: np.random.Generator) -> Batch:
        """`blocks_per_scan` random blocks of a scan, on the CPU."""
        c = self.config
        cloud = scan.cloud
        order = rng.permutation(len(cloud))
        if c.grid is not None:
            order = thin(cloud.points, order, c.grid)
        points = cloud.points.numpy()[order]
        room = _any_room(rooms(points, c), points, rng)
        chosen, centers = [], []
        for _ in range(c.blocks_per_scan):
            members, center = _random_block(points, room, c, rng)
            chosen.append(order[members])
            centers.append(center)
        rows = torch.from_numpy(np.stack(chosen))
        labels = scan.instances.to_labels()
        classes = scan.instances.point_classes
        if classes is None:
            classes = (
                torch.where(labels < 0, -1, scan.instances.classes[labels]) if len(scan.instances) else labels
            )
        instances = torch.stack([_count_from_zero(block) for block in labels[rows]])
        return Batch(block_features(cloud, rows, np.stack(centers), room), classes[rows].long(), instances)


def drawing_order(cloud: PointCloud, seed: int) -> np.ndarray:
    """Indices of the points in a random order that depends on what the points are, not on where they stand."""
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


def _any_room(choices: list[Room], points: np.ndarray, rng: np.random.Generator) -> Room:
    """One of the rooms, as likely as it has points."""
    if len(choices) == 1:
        return choices[0]
    weights = np.array([room.inside(points).sum() for room in choices], dtype=float)
    return choices[rng.choice(len(choices), p=weights / weights.sum())]


def _random_block(
    points: np.ndarray, room: Room, config: BlockConfig, rng: np.random.Generator, *, tries: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """`points` members and the centre of a block that lies anywhere in the room but is not nearly empty."""
    size = config.block_size
    span = np.maximum(room.high[:2] - room.low[:2] - size, 0)
    for _ in range(tries):
        low = room.low[:2] + rng.random(2) * span
        inside = np.flatnonzero(((points[:, :2] >= low) & (points[:, :2] <= low + size)).all(1))
        if len(inside) >= config.min_block_points:
            break
    else:
        # A sparse cloud: the block around one of its points.
        low = points[rng.integers(len(points)), :2] - size / 2
        inside = np.flatnonzero(((points[:, :2] >= low) & (points[:, :2] <= low + size)).all(1))
    return _draw(inside, config.points, rng.permutation(len(inside))), low + size / 2


def _draw(members: np.ndarray, count: int, order: np.ndarray) -> np.ndarray:
    """`count` of the members in the given order, repeated only when there are fewer."""
    return members[np.resize(order, count)]


def _count_from_zero(labels: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
    ids, index = labels.unique(return_inverse=True)
    return index - int((ids < 0).sum())


def block_features(
    cloud: PointCloud, rows: Int[Tensor, "b n"], centers: np.ndarray, room: Room
) -> Float[Tensor, "b n 9"]:
    """x, y from the block's centre, z from the floor; colour about grey, zeros when missing; place in the room."""
    points = cloud.points[rows]
    low, high = (torch.from_numpy(side).float() for side in (room.low, room.high))
    origin = torch.cat([torch.from_numpy(centers).float(), low[2].expand(len(centers), 1)], dim=1)
    color = torch.zeros_like(points) if cloud.colors is None else cloud.colors[rows] - 0.5
    place = ((points - low) / (high - low).clamp(min=1e-3)).clamp(0, 1)
    return torch.cat([points - origin[:, None], color, place], dim=-1)


def backbone(config: BlockConfig) -> tuple[nn.Module, Any]:
    """The encoder and a function that makes a decoder to `width` features per point."""
    if config.backbone == "pointnet":
        encoder = PointNetEncoder(FEATURES, width_scale=config.width_scale)
        return encoder, lambda: PointNetDecoder(encoder, config.width, width_scale=config.width_scale)
    if config.backbone == "pointnet2":
        encoder = PointNet2Encoder(
            FEATURES, radii=config.radii, group_size=config.group_size, width_scale=config.width_scale
        )
        return encoder, lambda: PointNet2Decoder(encoder, config.width, width_scale=config.width_scale)
    raise ValueError(f'backbone must be "pointnet" or "pointnet2", got {config.backbone!r}')

"""What methods that look at a room block by block share: ASIS and SGPN.

S3DIS blocks as in PointNet: 1 m x 1 m over the whole height, a fixed number of points, nine features a
point. Rooms stream through the network block by block and BlockMerging (SGPN, Wang et al., CVPR 2018) joins
what was found.

Readings:
- Features: x, y relative to the block's centre; z above the room's floor; colour - 0.5, so that zeros,
  which also stand for missing colour, are a middle grey; coordinates relative to the room's extent. The
  floor is the 0.5th percentile of the heights, because scans have points below it.
- Points of a block are drawn without replacement (the authors: with), repeated only where there are too few.
- Half of the training blocks lie on the test's lattice, half anywhere.
- At test time the order in which points are drawn depends on their coordinates and colours alone, so the
  answer does not depend on the order of the input.
- Neighbouring blocks draw different points where there are enough, so that overlapping blocks cover more of
  the cloud; a point that no block drew is answered by its nearest drawn point.
- Where `scan_statistics` asks for it, batch norm goes by the scan itself at test time (Li et al., "Adaptive
  Batch Normalization", 2018), not by running means: rooms differ more than blocks of one room do.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gestalt3d.methods.class_balance import class_weights
from gestalt3d.nn.modes import evaluating
from gestalt3d.nn.norm import statistics_of
from gestalt3d.nn.pointnet import PointNetDecoder, PointNetEncoder
from gestalt3d.nn.pointnet2 import RADII, PointNet2Decoder, PointNet2Encoder
from gestalt3d.ops.block_votes import BlockVotes
from gestalt3d.ops.blocks import BlockMerger, cut_blocks
from gestalt3d.ops.knn import knn
from gestalt3d.ops.normals import surface_normals
from gestalt3d.ops.voxelize import voxelize
from gestalt3d.stages import progress, stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan, Scans, evenly_spaced
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
    normals: int = 0
    """Points from which a surface normal is estimated, as six more features; 0, the paper's: none."""
    class_balance: float = 0.0
    """Classes weigh frequency ** -class_balance in the cross entropy; 0, the paper's: every point the same."""
    object_blocks: float = 0.0
    """Share of the training blocks that lie around an object, not anywhere in the room."""
    blocks_per_scan: int = 4
    """Random blocks of a scan that one training sample holds."""
    grid: float | None = None
    """Metres: keep one point per voxel, so that all scanners look alike. The paper keeps all."""
    merging: Literal["first", "votes"] = "first"
    """BlockMerging (Sec. 4.1), where a voxel keeps the first instance it gets, or `BlockVotes`, where the blocks vote."""
    merge_voxel: float = 0.05
    """Metres: voxel of the merging."""
    merge_voxel_fraction: float | None = None
    """Instead: this fraction of the room along each axis. The papers: 0.005."""
    merge_overlap: int = 7
    """Points a block's cluster must share with an instance to join it; by votes: voxels that two clusters must share."""
    merge_points: int = 30
    """Points a cluster that joins none must have to become a new instance; by votes: that an instance must have in all."""
    vote_iou: float = 0.35
    """By votes: least IoU of two blocks' clusters of one instance, in the voxels that both blocks see."""
    size_filter: float = 0.0
    """Drop instances smaller than this fraction of their class's mean size; the authors' code: 0.25."""
    max_room: float = 10.0
    """Metres: wider clouds are taken apart, so that places in the room stay what they were in training."""
    inference_blocks: int = 8
    """Blocks that go through the network at once."""
    scan_statistics: int = 0
    """Batch norm's means and variances at test time are those of the scan itself, taken from this many of its
    blocks; 0, the papers': those of the training. Wants `separate_scans` in training."""
    seed: int = 0
    """Of the draw at test time."""

    def __post_init__(self) -> None:
        positive = ("width", "width_scale", "group_size", "block_size", "stride", "points", "blocks_per_scan")
        for name in (*positive, "merge_voxel", "max_room", "inference_blocks"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.merging not in ("first", "votes"):
            raise ValueError(f'merging must be "first" or "votes", got {self.merging!r}')
        if not 0 < self.vote_iou <= 1:
            raise ValueError(f"vote_iou must be above 0 and at most 1, got {self.vote_iou}")
        if self.stride > self.block_size:
            raise ValueError(
                f"stride {self.stride} exceeds block_size {self.block_size}: points would be missed"
            )
        if not all(radius > 0 for radius in self.radii):
            raise ValueError(f"radii must be positive, got {self.radii}")
        if self.grid is not None and not self.grid > 0:
            raise ValueError(f"grid must be positive or None, got {self.grid}")


class Batch(NamedTuple):
    """Blocks; the first dimension is theirs."""

    points: Float[Tensor, "b n f"]
    """The features: nine, or fifteen with normals."""
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
        """(n,) bool: on its ground plane and not far above the ceiling or below the floor."""
        reach = 0.5 + 0.5 * (self.high[2] - self.low[2])
        low = np.array([*self.low[:2], self.low[2] - reach])
        high = np.array([*self.high[:2], self.high[2] + reach])
        within = (points >= low) & (points <= high)
        return within[:, 0] & within[:, 1] & within[:, 2]


class BlockMethod(nn.Module):
    """Base of methods that look at blocks. Subclasses give `forward`, `losses` and `group`."""

    name = ""
    config_class: type[Any] = BlockConfig

    def __init__(self, config: Any, vocabulary: Vocabulary):
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.register_buffer("mean_sizes", torch.zeros(len(vocabulary)))
        self.register_buffer("class_weights", torch.ones(len(vocabulary)))
        self.mean_sizes: Tensor
        self.class_weights: Tensor

    @classmethod
    def from_config(cls, config: Any, vocabulary: Vocabulary) -> "BlockMethod":
        raise NotImplementedError

    def group(self, prediction: Any) -> Int[Tensor, "n"]:
        """Instances of a prediction for a single block, counted from 0, -1 for none."""
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
        objects = _object_points(scan, order) if c.object_blocks else np.zeros(0, dtype=np.int64)
        blocks = [_random_block(points, room, c, rng, objects) for _ in range(c.blocks_per_scan)]
        rows = torch.from_numpy(order[np.stack([np.resize(block.rows, c.points) for block in blocks])])
        labels = scan.instances.to_labels()
        classes = scan.instances.classes_of_points()
        instances = torch.stack([_count_from_zero(block) for block in labels[rows]])
        return Batch(block_features(cloud, rows, blocks, c.normals), classes[rows].long(), instances)

    @torch.inference_mode()
    def segment(self, cloud: PointCloud) -> Instances:
        """Instances of a cloud of finite points, every point answered by itself or the nearest drawn point.

        A score is the mean predicted probability of the instance's class over its drawn points. Points
        farther than a block from all drawn points belong to no instance.
        """
        if len(cloud) == 0:
            empty = Instances.empty(0, self.vocabulary, self.name)
            return replace(empty, point_classes=torch.zeros(0, dtype=torch.int64))
        with evaluating(self):
            return self._segment(cloud)

    def _segment(self, cloud: PointCloud) -> Instances:
        c = self.config
        with stage("blocks"):
            order = drawing_order(cloud, c.seed)
            if c.grid is not None:
                order = thin(cloud.points, order, c.grid)
            points = cloud.points.numpy()[order]
            parts = rooms(points, c)
            # Where every block is sparse, all of them count.
            tasks = _tasks(points, parts, c, c.min_block_points) or _tasks(points, parts, c, 1)
        samples = _Samples(points, _merger(parts, c))
        threads = ThreadPoolExecutor(max(1, torch.get_num_threads()))
        with self._statistics(cloud, order, tasks), threads as pool:
            for first in range(0, len(tasks), c.inference_blocks):
                some = tasks[first : first + c.inference_blocks]
                with stage("blocks"):
                    batch = self._blocks(cloud, order, some)
                with stage("network"):
                    prediction = self._predict(batch)
                with stage("grouping"):
                    # The repeats that fill a sparse block up take no part.
                    blocks = [_one(prediction, k, len(task.rows)) for k, task in enumerate(some)]
                    clusters = list(pool.map(self._group, blocks))
                with stage("merging"):
                    for task, block, found in zip(some, blocks, clusters, strict=True):
                        samples.add(task.rows, block.logits[0].float().softmax(-1), found)
                    progress(min(first + c.inference_blocks, len(tasks)), len(tasks))
        with stage("merging"):
            labels, classes, scores = samples.instances(self.mean_sizes if c.size_filter else None, c)
        del points
        with stage("assign"):
            point_labels, point_classes = _assign(
                cloud.points, order[samples.rows], labels, samples.classes, c.block_size
            )
        return Instances.from_labels(
            point_labels,
            classes,
            scores,
            vocabulary=self.vocabulary,
            point_classes=point_classes,
            method=self.name,
        )

    def _blocks(self, cloud: PointCloud, order: np.ndarray, tasks: "list[_Task]") -> Batch:
        c = self.config
        rows = torch.from_numpy(order[np.stack([np.resize(task.rows, c.points) for task in tasks])])
        return _unlabelled(block_features(cloud, rows, tasks, c.normals))

    def _statistics(
        self, cloud: PointCloud, order: np.ndarray, tasks: "list[_Task]"
    ) -> AbstractContextManager[None]:
        """Inside, batch norm goes by evenly spread blocks of this scan where `scan_statistics` asks for it."""
        wanted = min(self.config.scan_statistics, len(tasks))
        if not wanted:
            return nullcontext()
        spread = np.linspace(0, len(tasks) - 1, wanted).round().astype(int)
        with stage("blocks"):
            batch = self._blocks(cloud, order, [tasks[i] for i in spread])

        def look() -> None:
            with stage("network"):
                self._predict(batch)

        return statistics_of(self, look)

    def _predict(self, batch: Batch) -> Any:
        device = self.mean_sizes.device
        prediction = self(Batch(*(values.to(device) for values in batch)))
        return type(prediction)(*(values.cpu() for values in prediction))

    def _group(self, prediction: Any) -> Int[Tensor, "n"]:
        with torch.inference_mode():  # a mode of the thread, not of the process
            return self.group(prediction)

    def fit_statistics(self, scans: Scans, *, most: int = 100) -> None:
        """What the configuration asks to know of the training scans, from at most `most` evenly spaced ones.

        Mean size of every class's instances for `size_filter`; weights of the classes for `class_balance`.
        """
        c = self.config
        if not (c.size_filter or c.class_balance):
            return
        total, number, points = torch.zeros(3, len(self.vocabulary), dtype=torch.float64)
        for scan in evenly_spaced(scans, most):
            found, labels = scan.instances, scan.instances.to_labels()
            sizes = _sizes(scan.cloud.points, labels, len(found), c.merge_voxel)
            known = found.classes >= 0
            total.index_add_(0, found.classes[known], sizes[known].double())
            number.index_add_(0, found.classes[known], torch.ones(int(known.sum()), dtype=torch.float64))
            classes = found.classes_of_points()
            points += torch.bincount(classes[classes >= 0], minlength=len(self.vocabulary))
        self.mean_sizes.copy_(total / number.clamp(min=1))
        self.class_weights.copy_(class_weights(points, power=c.class_balance))


class _Task(NamedTuple):
    """A block to look at."""

    rows: np.ndarray
    """Drawn points, none twice."""
    center: np.ndarray
    room: Room


def _tasks(points: np.ndarray, parts: list[Room], config: BlockConfig, min_points: int) -> list[_Task]:
    """All blocks of the lattice over each room, in BlockMerging's order."""
    tasks = []
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
            tasks.append(_Task(inside[drawn], center, room))
    return tasks


def _merger(parts: list[Room], config: BlockConfig) -> BlockMerger | BlockVotes:
    low = np.min([room.low for room in parts], axis=0)
    extent = np.max([room.high for room in parts], axis=0) - low
    fraction = config.merge_voxel_fraction
    size = np.full(3, config.merge_voxel) if fraction is None else extent.clip(1e-3) * fraction
    voxel, origin = torch.from_numpy(size).float(), torch.from_numpy(low).float()
    overlap, least = config.merge_overlap, config.merge_points
    if config.merging == "votes":
        return BlockVotes(
            voxel, origin=origin, min_iou=config.vote_iou, min_overlap=overlap, min_points=least
        )
    return BlockMerger(voxel, origin=origin, min_overlap=overlap, min_points=least)


class _Samples:
    """What is known about the drawn points: of the blocks that stream by only a class per point and the mean probabilities."""

    AT_ONCE = 1 << 20

    def __init__(self, points: np.ndarray, merger: BlockMerger | BlockVotes):
        self._points, self._merger = points, merger
        self._pending: list[tuple[np.ndarray, Tensor]] = []
        self._waiting = 0
        self._done: list[tuple[np.ndarray, Tensor, Tensor]] = []

    def add(self, rows: np.ndarray, probabilities: Float[Tensor, "n c"], clusters: Int[Tensor, "n"]) -> None:
        self._merger.add(torch.from_numpy(self._points[rows]), clusters, probabilities.argmax(1))
        self._pending.append((rows, probabilities.half()))
        self._waiting += len(rows)
        if self._waiting > self.AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        """Average what several blocks said about the same point."""
        if not self._pending:
            return
        rows, index = np.unique(np.concatenate([rows for rows, _ in self._pending]), return_inverse=True)
        index = torch.from_numpy(index)
        mean = torch.zeros(len(rows), self._pending[0][1].shape[1])
        mean.index_add_(0, index, torch.cat([p for _, p in self._pending]).float())
        mean /= torch.bincount(index, minlength=len(rows))[:, None]
        self._pending, self._waiting = [], 0
        self._done.append((rows, mean.argmax(1), mean.half()))

    def instances(
        self, mean_sizes: Float[Tensor, "c"] | None, config: BlockConfig
    ) -> tuple[Int[Tensor, "n"], Int[Tensor, "i"], Float[Tensor, "i"]]:
        """Instance of every point of `rows`; class (the mode) and score of every instance."""
        self._flush()
        labels = self._merger.labels(torch.from_numpy(self._points[self.rows]))
        assigned = labels >= 0
        count, names = int(labels.max()) + 1 if len(labels) else 0, self._done[0][2].shape[1]
        votes = torch.bincount(labels[assigned] * names + self.classes[assigned], minlength=count * names)
        votes = votes.reshape(count, names)
        sums = torch.zeros(count, names, dtype=torch.float64)
        for own, (_, _, mean) in zip(
            labels.split([len(r) for r, _, _ in self._done]), self._done, strict=True
        ):
            sums.index_add_(0, own[own >= 0], mean[own >= 0].double())
        classes = votes.argmax(1)
        number = votes.sum(1)
        scores = sums.gather(1, classes[:, None])[:, 0] / number.clamp(min=1)
        keep = number > 0
        if mean_sizes is not None:
            sizes = _sizes(torch.from_numpy(self._points[self.rows]), labels, len(keep), config.merge_voxel)
            keep &= sizes > config.size_filter * mean_sizes.cpu()[classes]
        renumber = torch.where(keep, keep.cumsum(0) - 1, -1)
        labels = torch.where(labels < 0, -1, renumber[labels]) if len(keep) else labels
        return labels, classes[keep], scores[keep].float()

    @property
    def rows(self) -> np.ndarray:
        return np.concatenate([rows for rows, _, _ in self._done])

    @property
    def classes(self) -> Int[Tensor, "n"]:
        return torch.cat([classes for _, classes, _ in self._done])


def _sizes(
    points: Float[Tensor, "n 3"], labels: Int[Tensor, "n"], count: int, voxel: float
) -> Int[Tensor, "i"]:
    """Voxels that each instance touches: unlike its points, not a matter of how densely it was scanned."""
    member = labels >= 0
    voxels = voxelize(points[member], voxel_size=voxel).voxel_of_point
    pairs = torch.unique(voxels * max(count, 1) + labels[member])
    return torch.bincount(pairs % max(count, 1), minlength=count)


def _assign(
    points: Float[Tensor, "n 3"],
    drawn: np.ndarray,
    labels: Int[Tensor, "m"],
    classes: Int[Tensor, "m"],
    reach: float,
) -> tuple[Int[Tensor, "n"], Int[Tensor, "n"]]:
    """Instance and class of every point: of the nearest drawn point; no instance beyond `reach` metres."""
    rows = torch.from_numpy(drawn)
    nearest = torch.full((len(points),), -1, dtype=torch.int64)
    nearest[rows.flip(0)] = torch.arange(len(rows)).flip(0)
    left = (nearest < 0).nonzero().flatten()
    far = left
    if len(left):
        found = knn(points[left][None], points[rows][None], k=1)
        nearest[left] = found.index[0, :, 0]
        far = left[found.dist2[0, :, 0] > reach**2]
    point_labels = labels[nearest]
    point_labels[far] = -1
    return point_labels, classes[nearest]


def _unlabelled(points: Float[Tensor, "b n f"]) -> Batch:
    nothing = torch.full(points.shape[:2], -1)
    return Batch(points, nothing, nothing)


def _one(prediction: Any, block: int, count: int) -> Any:
    """The first `count` points of one block, as a batch of one."""
    return type(prediction)(*(values[block : block + 1, :count] for values in prediction))


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


def _object_points(scan: Scan, order: np.ndarray) -> np.ndarray:
    """One place in `order` for every instance that is no structure and has a point there."""
    found = scan.instances
    structure = torch.from_numpy(np.append(found.vocabulary.is_structure, True))
    labels = found.to_labels()[torch.from_numpy(order)]
    labels = torch.where(structure[found.classes][labels], -1, labels) if len(found) else labels
    return np.unique(labels.numpy(), return_index=True)[1][int(bool((labels < 0).any())) :]


def _any_room(choices: list[Room], points: np.ndarray, rng: np.random.Generator) -> Room:
    """One of the rooms, as likely as it has points."""
    if len(choices) == 1:
        return choices[0]
    weights = np.array([room.inside(points).sum() for room in choices], dtype=float)
    return choices[rng.choice(len(choices), p=weights / weights.sum())]


def _random_block(
    points: np.ndarray,
    room: Room,
    config: BlockConfig,
    rng: np.random.Generator,
    objects: np.ndarray,
    *,
    tries: int = 10,
) -> _Task:
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
    return _Task(rng.permutation(inside)[: config.points], center, room)


def _count_from_zero(labels: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
    ids, index = labels.unique(return_inverse=True)
    return index - int((ids < 0).sum())


def block_features(
    cloud: PointCloud, rows: Int[Tensor, "b n"], blocks: Sequence[_Task], normals: int = 0
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


def backbone(config: BlockConfig) -> tuple[nn.Module, Any]:
    """The encoder and a function that makes a decoder to `width` features per point."""
    features = FEATURES + (6 if config.normals else 0)
    if config.backbone == "pointnet":
        encoder = PointNetEncoder(features, width_scale=config.width_scale)
        return encoder, lambda: PointNetDecoder(encoder, config.width, width_scale=config.width_scale)
    if config.backbone == "pointnet2":
        encoder = PointNet2Encoder(
            features, radii=config.radii, group_size=config.group_size, width_scale=config.width_scale
        )
        return encoder, lambda: PointNet2Decoder(encoder, config.width, width_scale=config.width_scale)
    raise ValueError(f'backbone must be "pointnet" or "pointnet2", got {config.backbone!r}')

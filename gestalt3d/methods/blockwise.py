"""What methods that look at a room block by block share: ASIS and SGPN.

Rooms stream through the network block by block, and BlockMerging (SGPN, Wang et al., CVPR 2018) or votes of the blocks
join what was found.

Readings:
- A point that no block drew is answered by its nearest drawn point.
- Where `scan_statistics` asks for it, batch norm goes by the scan itself at test time (Li et al., "Adaptive
  Batch Normalization", 2018), not by running means: rooms differ more than blocks of one room do.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gestalt3d.methods.class_balance import class_weights
from gestalt3d.methods.room_blocks import (
    FEATURES,
    BlockConfig,
    Room,
    Task,
    any_room,
    block_features,
    drawing_order,
    lattice_blocks,
    object_points,
    random_block,
    rooms,
    thin,
)
from gestalt3d.nn.modes import evaluating
from gestalt3d.nn.norm import statistics_of
from gestalt3d.nn.pointnet import PointNetDecoder, PointNetEncoder
from gestalt3d.nn.pointnet2 import PointNet2Decoder, PointNet2Encoder
from gestalt3d.ops.block_votes import BlockVotes
from gestalt3d.ops.blocks import BlockMerger
from gestalt3d.ops.knn import knn
from gestalt3d.ops.voxelize import voxelize
from gestalt3d.stages import progress, stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan, Scans, evenly_spaced
from gestalt3d.structures.vocabulary import Vocabulary


class Batch(NamedTuple):
    """Blocks; the first dimension is theirs."""

    points: Float[Tensor, "b n f"]
    """The features: nine, or fifteen with normals."""
    classes: Int[Tensor, "b n"]
    """-1: unknown, takes no part in the loss."""
    instances: Int[Tensor, "b n"]
    """Counted from 0 in every block, -1: none."""


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
        room = any_room(rooms(points, c), points, rng)
        objects = object_points(scan, order) if c.object_blocks else np.zeros(0, dtype=np.int64)
        blocks = [random_block(points, room, c, rng, objects) for _ in range(c.blocks_per_scan)]
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
            tasks = lattice_blocks(points, parts, c, c.min_block_points) or lattice_blocks(
                points, parts, c, 1
            )
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

    def _blocks(self, cloud: PointCloud, order: np.ndarray, tasks: "list[Task]") -> Batch:
        c = self.config
        rows = torch.from_numpy(order[np.stack([np.resize(task.rows, c.points) for task in tasks])])
        return _unlabelled(block_features(cloud, rows, tasks, c.normals))

    def _statistics(
        self, cloud: PointCloud, order: np.ndarray, tasks: "list[Task]"
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


def _count_from_zero(labels: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
    ids, index = labels.unique(return_inverse=True)
    return index - int((ids < 0).sum())


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

"""What methods that look at a room block by block share: ASIS and SGPN.

Rooms stream through the network block by block, and BlockMerging (SGPN, Wang et al., CVPR 2018), votes of the blocks or their
agreement on superpoints join what was found.

Readings:
- A point that no block drew is answered by its nearest drawn point.
- With `superpoints`, all points of one have one class, that of its points' mean probabilities, and are in one instance or
  none. By agreement the mean is over its drawn points, repeats counted, and a superpoint without any is answered by the nearest
  that has some.
- Where `scan_statistics` asks for it, batch norm goes by the scan itself at test time (Li et al., "Adaptive
  Batch Normalization", 2018), not by running means: rooms differ more than blocks of one room do.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, NamedTuple, TypeGuard, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.configs import (
    Count,
    CountOrNone,
    NotNegative,
    Positive,
    Seed,
    Share,
    Width,
    Within,
    check_ranges,
)
from gestalt3d.losses.semantic import class_weights
from gestalt3d.memory import give_back
from gestalt3d.methods.method import AnyMethod, Learned, Migrated
from gestalt3d.methods.rooms import flat
from gestalt3d.methods.rooms.answers import ByPoint, BySuperpoint
from gestalt3d.methods.rooms.backbone import PointNet2Config, PointNetConfig
from gestalt3d.methods.rooms.blocks import (
    LatticeConfig,
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
from gestalt3d.methods.rooms.merging import AgreementConfig, BlockMergingConfig, VotesConfig, collector
from gestalt3d.methods.superpoints import superpoints
from gestalt3d.nn.modes import evaluating
from gestalt3d.nn.norm import statistics_of
from gestalt3d.ops.renumber import renumbered
from gestalt3d.ops.turn import turn_matrix
from gestalt3d.ops.voxelize import voxelize
from gestalt3d.stages import counted, stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan, Scans, evenly_spaced
from gestalt3d.structures.vocabulary import Vocabulary

Predicted = TypeVar("Predicted")

_BLOCKS_BETWEEN = 128
"""After so many, memory goes back to the system."""
_BLOCKS_AT_ONCE = 64
"""Of a labelled scan."""


@dataclass(frozen=True)
class TrainingConfig:
    """Which blocks training sees, and how much their points count."""

    blocks_per_scan: Count = 4
    """Random blocks of a scan that one training sample holds."""
    object_blocks: Share = 0.0
    """Share of the blocks that lie around an object, not anywhere in the room."""
    class_balance: Annotated[float, Within(least=0, most=4)] = 0.0
    """Classes weigh frequency ** -class_balance in the cross entropy; 0, as in the paper, weighs every point the same."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class SizeFilterConfig:
    """Which instances are dropped because they are small for their class."""

    share: NotNegative = 0.0
    """Least voxels of an instance as a share of its class's mean (the authors' code: 0.25 of the points); 0 drops none."""
    voxel_size: Positive = 0.05
    """Edge of the voxels in metres."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class BlockConfig:
    """How a cloud becomes blocks and blocks become a cloud again."""

    backbone: PointNetConfig | PointNet2Config = field(default_factory=PointNet2Config)
    """The network behind all branches; the paper has both (Sec. 4.2), the authors' code PointNet++."""
    width: Width = 128
    """Features per point out of each decoder."""
    blocks: LatticeConfig = field(default_factory=LatticeConfig)
    """Which blocks of a room are cut, and what a network sees of each."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Which blocks training sees, and how much their points count."""
    merging: BlockMergingConfig | VotesConfig | AgreementConfig = field(default_factory=BlockMergingConfig)
    """How the answers of overlapping blocks become one answer."""
    size_filter: SizeFilterConfig = field(default_factory=SizeFilterConfig)
    """Which instances are dropped because they are small for their class."""
    turns: Annotated[int, Within(least=1, most=64)] = 1
    """Lattices of blocks at test time, each over the room turned by another part of 90 degrees."""
    inference_blocks: Count = 8
    """Blocks that go through the network at once."""
    # Wants `separate_scans` in training.
    scan_statistics: CountOrNone = 0
    """Blocks of the scan that give batch norm's statistics at test time; 0, as in the papers, keeps those of training."""
    seed: Seed = 0
    """Seed of the points that blocks draw at test time."""

    def __post_init__(self) -> None:
        check_ranges(self)


class Batch(NamedTuple):
    """Blocks; the first dimension is theirs."""

    points: Float[Tensor, "b n f"]
    """The features: nine, or fifteen with normals."""
    classes: Int[Tensor, "b n"]
    """-1: unknown, takes no part in the loss."""
    instances: Int[Tensor, "b n"]
    """Counted from 0 in every block, -1: none."""

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(*(values.to(device) for values in self))

    @classmethod
    def cat(cls, parts: Sequence["Batch"]) -> "Batch":
        return Batch(*map(torch.cat, zip(*parts, strict=True)))


class BlockMethod(Learned[PointCloud, Batch, Predicted]):
    """Base of methods that look at blocks. Subclasses give `forward`, `losses` and `group`."""

    takes = PointCloud
    batch_class = Batch
    config: BlockConfig

    def __init__(self, config: BlockConfig, vocabulary: Vocabulary):
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.register_buffer("mean_sizes", torch.zeros(len(vocabulary)))
        self.register_buffer("class_weights", torch.ones(len(vocabulary)))
        self.mean_sizes: Tensor
        self.class_weights: Tensor

    @property
    def blocks_per_sample(self) -> int:
        return self.config.training.blocks_per_scan

    @classmethod
    def migrated(cls, config: dict[str, Any]) -> Migrated:
        """Settings of blocks were one flat table before."""
        return Migrated(cls.name, flat.nested(config) if flat.is_flat(config) else config)

    def with_turns(self, turns: int) -> "BlockMethod[Predicted]":
        """The same with the same weights, looking at so many turns of clouds that may be turned already."""
        method = copy.copy(self)
        # It will be shown turned clouds instead: what is one room stays one.
        blocks = replace(self.config.blocks, max_room=self.config.blocks.max_room * math.sqrt(2))
        method.config = replace(self.config, turns=turns, blocks=blocks)
        return method

    def group(self, prediction: Predicted) -> Int[Tensor, "n"]:
        """Instances of a prediction for a single block, counted from 0, -1 for none."""
        raise NotImplementedError

    def prepare(self, scan: Scan, rng: np.random.Generator) -> Batch:
        """`blocks_per_scan` random blocks of a scan, on the CPU."""
        c, training = self.config.blocks, self.config.training
        cloud = scan.input
        order = rng.permutation(len(cloud))
        if c.grid is not None:
            order = thin(cloud.points, order, c.grid)
        points = cloud.points.numpy()[order]
        room = any_room(rooms(points, c), points, rng)
        around = training.object_blocks
        objects = object_points(scan, order) if around else np.zeros(0, dtype=np.int64)
        blocks = [
            random_block(points, room, c, rng, objects, around_objects=around)
            for _ in range(training.blocks_per_scan)
        ]
        rows = torch.from_numpy(order[np.stack([np.resize(block.rows, c.points) for block in blocks])])
        labels = scan.truth.to_labels()
        classes = scan.truth.classes_of_elements()
        instances = torch.stack([renumbered(block) for block in labels[rows]])
        return Batch(block_features(cloud, rows, blocks, c.normals), classes[rows].long(), instances)

    def lattice(self, scan: Scan) -> Iterator[Batch]:
        """Every block of a labelled scan that `segment` looks at in its first turn, as it draws them, some at a time."""
        kept, drawable = _drawable(scan.input, self.config)
        if len(kept) == 0:
            return
        look = _look(drawable, self.config, 0)
        labels, classes = scan.truth.to_labels()[kept], scan.truth.classes_of_elements()[kept].long()
        for first in range(0, len(look.tasks), _BLOCKS_AT_ONCE):
            tasks = look.tasks[first : first + _BLOCKS_AT_ONCE]
            rows = self._rows(tasks)
            instances = torch.stack([renumbered(block) for block in labels[rows]])
            features = block_features(look.cloud, rows, tasks, self.config.blocks.normals)
            yield Batch(features, classes[rows], instances)

    def lattice_settings(self) -> tuple[Any, ...]:
        """All of the configuration that `lattice` depends on."""
        c = self.config.blocks
        return c.size, c.stride, c.points, c.min_points, c.normals, c.grid, c.max_room, self.config.seed

    @torch.inference_mode()
    def segment(self, cloud: PointCloud) -> Instances:
        """Instances of a cloud of finite points, every point answered by itself, the nearest drawn point or its superpoint.

        A score is the mean predicted probability of the instance's class over its drawn points, or its superpoints weighted by
        their points. Points farther than a block from all drawn points belong to no instance, unless most of their superpoint
        does; by agreement, superpoints as far from all drawn ones.
        """
        if len(cloud) == 0:
            empty = Instances.empty(0, self.vocabulary, self.name)
            return replace(empty, element_classes=torch.zeros(0, dtype=torch.int64))
        with evaluating(self):
            return self._segment(cloud)

    def _segment(self, cloud: PointCloud) -> Instances:
        c = self.config
        surfaces = None
        if c.merging.superpoints is not None:
            with stage("superpoints"):
                surfaces = superpoints(cloud, c.merging.superpoints)
        with stage("cutting"):
            kept, drawable = _drawable(cloud, c)
            looks = [_look(drawable, c, turn) for turn in range(c.turns)]
            collected = collector(
                c.merging,
                cloud.points,
                kept,
                surfaces,
                parts=looks[0].rooms,
                classes=len(self.vocabulary),
                reach=c.blocks.size,
            )
        with stage("blocks"):
            self._stream(looks, collected)
        with stage("merging"):
            answers, row_of_point, labels = collected.answer()
            classes, scores = answers.instances()
            found = Instances.from_labels(
                labels,
                classes,
                scores,
                vocabulary=self.vocabulary,
                element_classes=answers.classes[row_of_point],
                method=self.name,
            )
            keep = found.sizes > 0
            if c.size_filter.share:
                sizes = _sizes(cloud.points, labels, len(found), c.size_filter.voxel_size)
                keep &= sizes > c.size_filter.share * self.mean_sizes.cpu()[classes]
            return found[keep]

    def _stream(self, looks: list["_Look"], collected: ByPoint | BySuperpoint) -> None:
        """Every block of every turn through the network, some at a time."""
        c = self.config
        done = 0
        with ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
            for look in counted(looks):
                with self._statistics(look):
                    for first in counted(range(0, len(look.tasks), c.inference_blocks)):
                        tasks = look.tasks[first : first + c.inference_blocks]
                        with stage("input"):
                            batch = self._blocks(look.cloud, tasks)
                        with stage("network"):
                            prediction = self._predict(batch)
                        with stage("grouping"):
                            # The repeats that fill a sparse block up take no part.
                            blocks = [_one(prediction, k, len(task.rows)) for k, task in enumerate(tasks)]
                            clusters = list(pool.map(self._group, blocks))
                        with stage("merging"):
                            for task, block, found in zip(tasks, blocks, clusters, strict=True):
                                collected.add(task.rows, found, block.logits[0].float().softmax(-1))
                        done += len(tasks)
                        if done % _BLOCKS_BETWEEN < len(tasks):
                            give_back()  # what is kept of each block lies between what the network has left

    def _blocks(self, cloud: PointCloud, tasks: "list[Task]") -> Batch:
        return _unlabelled(block_features(cloud, self._rows(tasks), tasks, self.config.blocks.normals))

    def _rows(self, tasks: "list[Task]") -> Int[Tensor, "b n"]:
        """Points of the blocks, repeated where there are too few."""
        return torch.from_numpy(
            np.stack([np.resize(task.rows, self.config.blocks.points) for task in tasks])
        ).long()

    def _statistics(self, look: "_Look") -> AbstractContextManager[None]:
        """Inside, batch norm goes by evenly spread blocks of this scan where `scan_statistics` asks for it."""
        wanted = min(self.config.scan_statistics, len(look.tasks))
        if not wanted:
            return nullcontext()
        spread = np.linspace(0, len(look.tasks) - 1, wanted).round().astype(int)
        with stage("input"):
            batch = self._blocks(look.cloud, [look.tasks[i] for i in spread])

        def watch() -> None:
            with stage("network"):
                self._predict(batch)

        return statistics_of(self, watch)

    def _predict(self, batch: Batch) -> Any:
        device = self.mean_sizes.device
        prediction = self(batch.to(device))
        return type(prediction)(*(values.cpu() for values in prediction))

    def _group(self, prediction: Any) -> Int[Tensor, "n"]:
        with torch.inference_mode():  # a mode of the thread, not of the process
            return self.group(prediction)

    def fit(self, samples: Scans, *, most: int = 100) -> None:
        """What the configuration asks to know of the training scans, from at most `most` evenly spaced ones.

        Mean size of every class's instances for `size_filter`; weights of the classes for `class_balance`.
        """
        c = self.config
        if not (c.size_filter.share or c.training.class_balance):
            return
        total, number, points = torch.zeros(3, len(self.vocabulary), dtype=torch.float64)
        for scan in evenly_spaced(samples, most):
            found, labels = scan.truth, scan.truth.to_labels()
            sizes = _sizes(scan.input.points, labels, len(found), c.size_filter.voxel_size)
            known = found.classes >= 0
            total.index_add_(0, found.classes[known], sizes[known].double())
            number.index_add_(0, found.classes[known], torch.ones(int(known.sum()), dtype=torch.float64))
            classes = found.classes_of_elements()
            points += torch.bincount(classes[classes >= 0], minlength=len(self.vocabulary))
        self.mean_sizes.copy_(total / number.clamp(min=1))
        self.class_weights.copy_(class_weights(points, power=c.training.class_balance))


def looks_at_blocks(method: AnyMethod) -> TypeGuard[BlockMethod[Any]]:
    """Whether it is one of these, whatever it predicts."""
    return isinstance(method, BlockMethod)


class _Look(NamedTuple):
    """A look at the points that blocks may draw, from one of the turns."""

    cloud: PointCloud
    """The points as they are turned."""
    rooms: list[Room]
    tasks: list[Task]


def _drawable(cloud: PointCloud, config: BlockConfig) -> tuple[Int[Tensor, "k"], PointCloud]:
    """The points that blocks may draw, in the order in which they do, and their rows in the cloud."""
    order = drawing_order(cloud, config.seed)
    if config.blocks.grid is not None:
        order = thin(cloud.points, order, config.blocks.grid)
    kept = torch.from_numpy(order)
    return kept, PointCloud(cloud.points[kept], None if cloud.colors is None else cloud.colors[kept])


def _look(cloud: PointCloud, config: BlockConfig, turn: int) -> _Look:
    """The cloud turned by that many parts of 90 degrees, and its blocks."""
    blocks = config.blocks
    if turn:
        matrix = turn_matrix(turn / config.turns * math.pi / 2)
        cloud = replace(cloud, points=(cloud.points.double() @ matrix.T).float())
        blocks = replace(blocks, max_room=blocks.max_room * math.sqrt(2))  # what is one room stays one
    points = cloud.points.numpy()
    parts = rooms(points, blocks)
    # Where every block is sparse, all of them count.
    tasks = lattice_blocks(points, parts, blocks, blocks.min_points)
    return _Look(cloud, parts, tasks or lattice_blocks(points, parts, blocks, 1))


def _sizes(
    points: Float[Tensor, "n 3"], labels: Int[Tensor, "n"], count: int, voxel: float
) -> Int[Tensor, "i"]:
    """Voxels that each instance touches: unlike its points, not a matter of how densely it was scanned."""
    member = labels >= 0
    voxels = voxelize(points[member], voxel_size=voxel).voxel_of_point
    pairs = torch.unique(voxels * max(count, 1) + labels[member])
    return torch.bincount(pairs % max(count, 1), minlength=count)


def _unlabelled(points: Float[Tensor, "b n f"]) -> Batch:
    nothing = torch.full(points.shape[:2], -1)
    return Batch(points, nothing, nothing)


def _one(prediction: Any, block: int, count: int) -> Any:
    """The first `count` points of one block, as a batch of one."""
    return type(prediction)(*(values[block : block + 1, :count] for values in prediction))

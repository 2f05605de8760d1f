"""U-Net: semantic classes from sparse convolution (Graham et al., "3D Semantic Segmentation with Submanifold Sparse
Convolutional Networks", CVPR 2018), the network that MTML's semantics come from (its Sec. 3.1).

It parts nothing into instances: `segment` answers with the class of every point.

Readings:
- A voxel says where its surface lies and how it is inclined as well as its colour: 1; mean colour - 0.5, zeros where
  there is none; whether there is colour; height above the floor; offset of its points' mean from its middle; and
  the products of its normal's coordinates, which do not depend on the normal's sign.
- The floor is the 0.5th percentile of the heights, because scans have points below it.
- A voxel has the most frequent class of its points (the lowest on ties); a point has its voxel's.
- A window of a large room is enough for a training step: the network sees a few metres.
- With `superpoints`, `segment` averages the probabilities over each superpoint, and a point has its superpoint's class.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gestalt3d.configs import Count, Neighbours, Positive, Width, Within, check_ranges
from gestalt3d.losses.semantic import class_weights, semantic_loss
from gestalt3d.methods.method import Learned, Migrated, Moment
from gestalt3d.methods.superpoints import SuperpointConfig, classes_by_superpoint, superpoints
from gestalt3d.methods.voxels import earlier
from gestalt3d.methods.voxels.labelled import Labelled, VoxelScores
from gestalt3d.nn.modes import evaluating
from gestalt3d.nn.sparse_unet import SparseUNet
from gestalt3d.nn.tiles import by_tiles
from gestalt3d.ops.normals import surface_normals
from gestalt3d.ops.segment import segment_mean, segment_mode
from gestalt3d.ops.voxelize import Voxels, quarter_turned, voxel_means, voxelize
from gestalt3d.stages import counted, stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan, Scans, evenly_spaced
from gestalt3d.structures.vocabulary import Vocabulary

FEATURES = 9
"""Without normals; these are six more."""
_OFFSET = slice(6, 8)
"""Columns of the offset along x and y."""


@dataclass(frozen=True)
class UNetConfig:
    """Defaults suit rooms."""

    voxel_size: Positive = 0.05
    """Edge of a voxel in metres; ScanNet is usually seen at 0.02 to 0.05."""
    width: Width = 16
    """Channels of the first level; the second has twice as many, the third three times, and so on."""
    levels: Annotated[int, Within(least=1, most=16)] = 5
    """Levels of the U, each of half the resolution of the one above it."""
    repeats: Annotated[int, Within(least=1, most=64)] = 1
    """Layers at each level, on the way down and on the way up."""
    normals: Neighbours = 16
    """Voxels from which a surface normal is estimated, as six more features; 0 estimates none."""
    class_balance: Annotated[float, Within(least=0, most=4)] = 0.0
    """Classes weigh frequency ** -class_balance in the cross entropy."""
    max_extent: Positive | None = None
    """Width in metres of a training sample, a window about a random point as high as the scan; none: the whole scan."""
    superpoints: SuperpointConfig | None = None
    """Pieces whose points get one class and, before another stage, one instance; by default points have their voxel's."""
    turns: Annotated[int, Within(least=1, most=4)] = 1
    """Quarter turns about the vertical whose answers `segment` averages, 1 to 4."""
    # They overlap by the receptive field, as far as that pays.
    tile_voxels: Count = 500_000
    """Most voxels that `segment` looks at at once, of 2 kB each; larger scans are cut into tiles that overlap."""

    def __post_init__(self) -> None:
        check_ranges(self)


class Batch(NamedTuple):
    """Voxels of `len(sizes)` scans, one after the other."""

    coordinates: Int[Tensor, "v 3"]
    features: Float[Tensor, "v f"]
    classes: Int[Tensor, "v"]
    """-1: unknown, takes no part in the loss."""
    sizes: Int[Tensor, "b"]
    """Voxels of each scan."""

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(*(values.to(device) for values in self))

    @classmethod
    def cat(cls, parts: Sequence["Batch"]) -> "Batch":
        return Batch(*map(torch.cat, zip(*parts, strict=True)))


class Prediction(NamedTuple):
    logits: Float[Tensor, "v c"]


class UNet(Learned[PointCloud, Batch, Prediction]):
    name = "unet"
    takes = PointCloud
    not_trained = ("superpoints", "turns", "tile_voxels")
    config: UNetConfig

    def __init__(self, config: UNetConfig, vocabulary: Vocabulary, trunk: SparseUNet) -> None:
        super().__init__()
        self.config, self.vocabulary, self.trunk = config, vocabulary, trunk
        self.classify = nn.Linear(trunk.channels, len(vocabulary))
        self.register_buffer("class_weights", torch.ones(len(vocabulary)))
        self.class_weights: Tensor

    @classmethod
    def from_config(cls, config: UNetConfig, vocabulary: Vocabulary) -> "UNet":
        inputs = FEATURES + (6 if config.normals else 0)
        trunk = SparseUNet(inputs, width=config.width, levels=config.levels, repeats=config.repeats)
        return cls(config, vocabulary, trunk)

    @classmethod
    def migrated(cls, config: dict[str, Any]) -> Migrated:
        """Settings had other names before."""
        return earlier.of_unet(config)

    @property
    def finds_instances(self) -> bool:
        return False

    def prepare(self, scan: Scan, rng: np.random.Generator) -> Batch:
        """The scan's voxels, or those of a random window of `max_extent`."""
        cloud, classes = scan.input, scan.truth.classes_of_elements()
        floor = floor_height(cloud.points)
        if self.config.max_extent is not None:
            inside = _window(cloud.points, self.config.max_extent, rng)
            cloud, classes = cloud[inside], classes[inside]
        voxels = voxelize(cloud.points, voxel_size=self.config.voxel_size)
        features = voxel_features(cloud, voxels, self.config, floor=floor)
        known = segment_mode(classes, voxels.voxel_of_point, len(features), len(self.vocabulary))
        return Batch(voxels.coordinates, features, known, torch.tensor([len(features)]))

    def forward(self, batch: Batch) -> Prediction:
        return Prediction(self.classify(self.shared(batch)).float())

    def shared(self, batch: Batch) -> Float[Tensor, "v c"]:
        """Features of the voxels, which the classes are told from."""
        scans = torch.arange(len(batch.sizes), device=batch.sizes.device)
        where = torch.cat([scans.repeat_interleave(batch.sizes)[:, None], batch.coordinates], dim=1)
        return self.trunk(where, batch.features)

    def losses(self, prediction: Prediction, batch: Batch, at: Moment) -> dict[str, Float[Tensor, ""]]:
        return {"semantic": semantic_loss(prediction.logits, batch.classes, self.class_weights)}

    @torch.inference_mode()
    def segment(self, cloud: PointCloud) -> Instances:
        """The class of every point as `element_classes`, and no instances."""
        classes = self.label(cloud).cloud.semantic
        return replace(Instances.empty(len(cloud), self.vocabulary, self.name), element_classes=classes)

    @torch.inference_mode()
    def label(self, cloud: PointCloud) -> Labelled:
        """The cloud with the class of each point, and the probabilities and superpoints that the classes come from."""
        surfaces, size = self.superpoints(cloud), self.config.voxel_size
        with stage("voxels"):
            voxels = voxelize(cloud.points, voxel_size=size)
            features = voxel_features(cloud, voxels, self.config)
        with stage("network"), evaluating(self):
            scores = self.scores(voxels.coordinates, features)
        with stage("superpoints"):
            classes = classes_by_superpoint(scores, voxels.voxel_of_point, surfaces)
        return Labelled(replace(cloud, semantic=classes), VoxelScores(voxels, size, scores), surfaces)

    def superpoints(self, cloud: PointCloud) -> Int[Tensor, "n"] | None:
        """Superpoint of each point; None where voxels decide."""
        if self.config.superpoints is None:
            return None
        with stage("superpoints"):
            return superpoints(cloud, self.config.superpoints)

    def scores(self, coordinates: Int[Tensor, "v 3"], features: Float[Tensor, "v f"]) -> Float[Tensor, "v c"]:
        """Probabilities of the classes, the mean of all `turns`, on the CPU; for a network in eval mode."""
        if len(features) == 0:
            return features.new_zeros(0, len(self.vocabulary))
        device, c = self.class_weights.device, self.config

        def network(at: Tensor, values: Tensor) -> tuple[Tensor]:
            total = torch.zeros(len(values), len(self.vocabulary))
            for turn in counted(range(c.turns)):
                if turn:
                    at, values = quarter_turn(at, values)
                batch = Batch(at, values, torch.full_like(at[:, 0], -1), torch.tensor([len(at)]))
                total += self(batch.to(device)).logits.softmax(1).cpu()
            return (total / c.turns,)

        return by_tiles(network, coordinates, features, halo=self.trunk.reach, most=c.tile_voxels)[0]

    def fit(self, samples: Scans, *, most: int = 100) -> None:
        """Weights of the classes for `class_balance`, from at most `most` evenly spaced scans."""
        if not self.config.class_balance:
            return
        voxels = torch.zeros(len(self.vocabulary))
        for scan in evenly_spaced(samples, most):
            at = voxelize(scan.input.points, voxel_size=self.config.voxel_size)
            classes = scan.truth.classes_of_elements()
            known = segment_mode(classes, at.voxel_of_point, len(at.counts), len(self.vocabulary))
            voxels += torch.bincount(known[known >= 0], minlength=len(self.vocabulary))
        self.class_weights.copy_(class_weights(voxels, power=self.config.class_balance))


def floor_height(points: Float[Tensor, "n 3"]) -> float:
    """The 0.5th percentile of the heights, 0 where there are no points."""
    return float(np.percentile(points[:, 2].numpy(), 0.5)) if len(points) else 0.0


def voxel_features(
    cloud: PointCloud, voxels: Voxels, config: UNetConfig, *, floor: float | None = None
) -> Float[Tensor, "v f"]:
    """What the network sees of each voxel; `floor` where it is known from more than these points."""
    count, size = len(voxels.counts), config.voxel_size
    floor = floor_height(cloud.points) if floor is None else floor
    middle, offset = voxel_means(cloud.points, voxels, voxel_size=size)
    means = middle + offset
    color = torch.zeros(count, 3)
    if cloud.colors is not None:
        color = segment_mean(cloud.colors, voxels.voxel_of_point, count) - 0.5
    flag = torch.full((count, 1), float(cloud.colors is not None))
    height = (means[:, 2:] - floor).float()
    features = [torch.ones(count, 1), color, flag, height, (offset / size).float()]
    if config.normals:
        centred = (means - means.mean(0)).float() if count else means.float()
        x, y, z = surface_normals(centred[None], k=config.normals)[0].split(1, dim=1)
        features += [x * x, y * y, z * z, x * y, x * z, y * z]
    return torch.cat(features, dim=1)


def quarter_turn(
    coordinates: Int[Tensor, "v 3"], features: Float[Tensor, "v f"]
) -> tuple[Int[Tensor, "v 3"], Float[Tensor, "v f"]]:
    """Voxels and their `voxel_features` of the scan turned from x to y: the same voxels elsewhere."""
    turned = features.clone()
    turned[:, _OFFSET] = features[:, _OFFSET].flip(1) * torch.tensor([-1.0, 1.0])
    if features.shape[1] > FEATURES:
        xx, yy, zz, xy, xz, yz = features[:, FEATURES:].unbind(1)
        turned[:, FEATURES:] = torch.stack([yy, xx, zz, -xy, -yz, xz], dim=1)
    return quarter_turned(coordinates), turned


def _window(points: Float[Tensor, "n 3"], extent: float, rng: np.random.Generator) -> Tensor:
    """(n,) bool: the points in a window on the ground plane about one of them; all where they fit into it."""
    flat = points[:, :2]
    if not len(flat) or float((flat.amax(0) - flat.amin(0)).max()) <= extent:
        return torch.ones(len(flat), dtype=torch.bool)
    center = flat[int(rng.integers(len(flat)))]
    return ((flat - center).abs() <= extent / 2).all(1)


METHOD = UNet

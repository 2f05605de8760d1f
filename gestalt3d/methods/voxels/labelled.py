"""Clouds whose classes are known, their voxels, and the way back to the points."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gestalt3d.errors import UserError
from gestalt3d.ops.segment import segment_mean, segment_mode
from gestalt3d.ops.sparse_conv import strided_rules
from gestalt3d.ops.voxelize import Voxels, voxelize
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import Vocabulary


class VoxelScores(NamedTuple):
    """What is known of the classes in the voxels of a cloud."""

    voxels: Voxels
    voxel_size: float
    """Edge in metres."""
    scores: Float[Tensor, "v c"]
    """Probabilities of the classes; a row of zeros where the class is unknown."""

    @classmethod
    def of_classes(
        cls,
        points: Float[Tensor, "n 3"],
        classes: Int[Tensor, "n"],
        vocabulary: Vocabulary,
        *,
        voxel_size: float,
    ) -> "VoxelScores":
        """Where the class of each point is given: the most frequent one of each voxel is certain."""
        voxels = voxelize(points, voxel_size=voxel_size)
        known = classes_of_voxels(classes, voxels, vocabulary)
        return cls(voxels, voxel_size, one_hot(known, len(vocabulary)))

    def coarser(self, voxel_size: float) -> "VoxelScores":
        """Means over larger voxels, whose edge is a whole multiple."""
        voxels, larger = nested(self.voxels, factor=round(voxel_size / self.voxel_size))
        return VoxelScores(voxels, voxel_size, segment_mean(self.scores, larger, len(voxels.counts)))


class Labelled(NamedTuple):
    """A cloud whose points have their classes, as a semantic stage hands it on."""

    cloud: PointCloud
    """Its `semantic` is the class of each point, -1 for an unknown one."""
    seen: VoxelScores
    """What the classes come from, in the voxels of the semantic stage."""
    superpoints: Int[Tensor, "n"] | None = None
    """Superpoint of each point, where the classes or the instances go by them."""


def given_classes(cloud: PointCloud, vocabulary: Vocabulary) -> Int[Tensor, "n"]:
    """The semantics that the cloud carries; `UserError` where it has none or ids that the vocabulary lacks."""
    classes = cloud.semantic
    if classes is None:
        raise UserError(
            "the cloud carries no semantic classes, which this model parts into instances; "
            "name its property of class ids with --semantic, or set PointCloud.semantic"
        )
    if len(classes) and not (int(classes.min()) >= -1 and int(classes.max()) < len(vocabulary)):
        raise UserError(
            f"the cloud's semantic classes must be -1 to {len(vocabulary) - 1}, got {_first_unknown(classes, vocabulary)}; "
            f"the model knows {', '.join(f'{i} {name}' for i, name in enumerate(vocabulary.names))}"
        )
    return classes.long()


def given_scores(
    cloud: PointCloud, vocabulary: Vocabulary, *, voxel_size: float, channels: int | None = None
) -> tuple[Voxels, Int[Tensor, "v"], Float[Tensor, "v c"]]:
    """Voxels of a cloud that carries its semantics, the class of each as far as the cloud tells, else -1, and what else it tells.

    That is the class, one-hot, or where `channels` are named the mean of so many `PointCloud.features`, which must be scores of
    the classes where the cloud carries none.
    """
    voxels = voxelize(cloud.points, voxel_size=voxel_size)
    classes = None
    if cloud.semantic is not None or channels is None:
        classes = classes_of_voxels(given_classes(cloud, vocabulary), voxels, vocabulary)
    if classes is not None and channels is None:
        return voxels, classes, one_hot(classes, len(vocabulary))
    features = cloud.features
    if features is None or features.shape[1] != channels:
        got = "none" if features is None else str(features.shape[1])
        raise UserError(
            f"the cloud must carry {channels} features per point for this model, got {got}; set PointCloud.features"
        )
    means = segment_mean(features, voxels.voxel_of_point, len(voxels.counts))
    if classes is None and channels != len(vocabulary):
        raise UserError(
            f"{channels} features are no scores of {len(vocabulary)} classes; set PointCloud.semantic as well"
        )
    return voxels, means.argmax(1) if classes is None else classes, means


def _first_unknown(classes: Int[Tensor, "n"], vocabulary: Vocabulary) -> int:
    return int(classes[(classes < -1) | (classes >= len(vocabulary))][0])


def classes_of_voxels(classes: Int[Tensor, "n"], voxels: Voxels, vocabulary: Vocabulary) -> Int[Tensor, "v"]:
    """The most frequent known class of the points in each voxel, the lowest on ties; -1 where none is known."""
    return segment_mode(classes, voxels.voxel_of_point, len(voxels.counts), len(vocabulary))


def nested(fine: Voxels, *, factor: int) -> tuple[Voxels, Int[Tensor, "w"]]:
    """Voxels `factor` times as large that the fine ones fill exactly, and the large one of each fine one."""
    if factor == 1:
        return fine, torch.arange(len(fine.counts))
    larger = strided_rules(F.pad(fine.coordinates, (1, 0)), stride=factor)
    voxel_of_fine = torch.empty(len(fine.counts), dtype=torch.int64)
    voxel_of_fine[larger.rules.inputs.long()] = larger.rules.outputs.long()
    voxel_of_point = voxel_of_fine[fine.voxel_of_point]
    counts = torch.bincount(voxel_of_point, minlength=len(larger.coordinates))
    return Voxels(larger.coordinates[:, 1:], voxel_of_point, counts), voxel_of_fine


def probable_class(scores: Float[Tensor, "v c"]) -> Int[Tensor, "v"]:
    """The class with the highest score, the lowest on ties; -1 where all are 0."""
    if 0 in scores.shape:
        return torch.full((len(scores),), -1, device=scores.device)
    best = scores.max(1)
    return torch.where(best.values > 0, best.indices, -1)


def is_object(
    classes: Int[Tensor, "k"], vocabulary: Vocabulary, *, structure: bool = False
) -> Bool[Tensor, "k"]:
    """Neither unknown nor, unless `structure` counts as objects, the building."""
    building = np.append(vocabulary.is_structure & (not structure), True)
    return ~torch.from_numpy(building)[classes]


def one_hot(classes: Int[Tensor, "v"], count: int) -> Float[Tensor, "v c"]:
    """A row of zeros for class -1."""
    return F.one_hot(classes + 1, count + 1)[:, 1:].float()


def to_points(found: Sets, rows: Int[Tensor, "r"], voxel_of_point: Int[Tensor, "n"]) -> Sets:
    """The points in sets of voxels; member `j` of a set stands for voxel `rows[j]`.

    All points of a voxel share its answer (Sec. 3, "Problem Setting").
    """
    by_voxel = torch.argsort(voxel_of_point, stable=True)
    counts = torch.bincount(voxel_of_point, minlength=int(rows.max()) + 1 if len(rows) else 0)
    first = counts.cumsum(0) - counts
    voxels = rows[found.indices]
    each = counts[voxels]
    owners = found.owners.repeat_interleave(each)
    ends = each.cumsum(0)
    within = torch.arange(int(each.sum())) - torch.repeat_interleave(ends - each, each)
    indices = by_voxel[torch.repeat_interleave(first[voxels], each) + within]
    order = torch.argsort(owners * max(len(voxel_of_point), 1) + indices)
    sizes = torch.bincount(owners, minlength=len(found.sizes))
    return Sets.from_sizes(sizes, indices[order], len(voxel_of_point))

"""What semantics say without learning instances: MTML's baselines "Input Segmentation" and "Connected Component" (Sec. 4).

With `connected`, an instance is a connected component of the voxels of one class; without, all of a class is one
instance. Every score is 1: the paper names no order among them. Where the semantic stage goes by superpoints, so do instances.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from gestalt3d.configs import Count, Positive, check_ranges
from gestalt3d.methods.superpoints import by_superpoints
from gestalt3d.methods.voxels.labelled import Labelled, classes_of_voxels, given_classes, is_object, to_points
from gestalt3d.methods.voxels.proposals import split
from gestalt3d.ops.components import voxel_pairs
from gestalt3d.ops.voxelize import voxelize
from gestalt3d.stages import stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import Vocabulary


@dataclass(frozen=True)
class ComponentsConfig:
    """Which voxels are one instance."""

    connected: bool = True
    """Parts of a class that do not touch are instances of their own; off: every class is one."""
    voxel_size: Positive = 0.1
    """Edge of a voxel in metres, MTML's (Sec. 3.1)."""
    connectivity: Literal[6, 18, 26] = 26
    """Neighbours that are connected: 6 (faces), 18 (and edges) or 26 (and corners)."""
    min_voxels: Count = 1
    """Smaller components are no instances."""
    structure: bool = False
    """Floors and walls are instances, too."""

    def __post_init__(self) -> None:
        check_ranges(self)


class Components:
    """Nothing to train: a cloud that carries its semantics goes in."""

    name = "components"
    takes = PointCloud
    takes_semantics = True
    superpoints_of_given = False
    config: ComponentsConfig

    def __init__(self, config: ComponentsConfig, vocabulary: Vocabulary) -> None:
        self.config, self.vocabulary = config, vocabulary

    @classmethod
    def from_config(cls, config: ComponentsConfig, vocabulary: Vocabulary) -> "Components":
        return cls(config, vocabulary)

    def part(self, labelled: Labelled) -> Instances:
        """Instances of a cloud that a semantic stage has labelled, made of whole superpoints if there are any."""
        found = self.segment(labelled.cloud)
        if labelled.superpoints is None or len(found) == 0:
            return found
        with stage("superpoints"):
            return by_superpoints(found, labelled.superpoints)

    def segment(self, cloud: PointCloud) -> Instances:
        """Instances of a cloud; the semantics that it carries are its `element_classes`."""
        c, given = self.config, given_classes(cloud, self.vocabulary)
        with stage("voxels"):
            voxels = voxelize(cloud.points, voxel_size=c.voxel_size)
            classes = classes_of_voxels(given, voxels, self.vocabulary)
        rows = is_object(classes, self.vocabulary, structure=c.structure).nonzero()[:, 0]
        if len(rows) == 0:
            return replace(Instances.empty(len(cloud), self.vocabulary, self.name), element_classes=given)
        with stage("grouping"):
            found = Sets.from_labels(self.group(voxels.coordinates[rows], classes[rows]))
            found = found.take((found.sizes >= c.min_voxels).nonzero()[:, 0])
        kinds = classes[rows][found.indices[found.offsets[:-1]]]
        with stage("points"):
            masks = to_points(found, rows, voxels.voxel_of_point)
        return Instances(
            masks=masks,
            classes=kinds,
            scores=torch.ones(len(kinds)),
            vocabulary=self.vocabulary,
            element_classes=given,
            method=self.name,
        )

    def group(self, coordinates: Int[Tensor, "v 3"], classes: Int[Tensor, "v"]) -> Int[Tensor, "v"]:
        """Instance of each voxel; classes are known."""
        if not self.config.connected:
            return classes
        pairs = voxel_pairs(coordinates, connectivity=self.config.connectivity)
        return split(torch.zeros_like(classes), classes, pairs)


METHOD = Components

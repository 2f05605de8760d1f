"""Superpoints: patches of surface in which neither inclination nor colour changes abruptly, and answers that go by them.

Networks on voxels or blocks see where an object's border runs to within their voxels; the surface itself often shows it better.
So classes are averaged over superpoints, and each goes to one instance as a whole. ScanNet's own labels are made of such
patches (of a mesh; here of voxels, which any cloud has).

Readings, of Felzenszwalb & Huttenlocher's segments (`ops.graph_segments`) on a cloud:
- Nodes are voxels, so the density of the scan does not matter; links go to the nearest others.
- A link weighs 1 - |cosine| of the normals, plus the squared difference of the colours where there are colours. Voxels on a
  line have no normal and link to nothing but to fill up patches that are too small.
- Weights are rounded to a millionth: what is equal but for the order of additions is equal, and the order of points has no
  say.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from torch import Tensor

from gestalt3d.ops.graph_segments import graph_segments
from gestalt3d.ops.knn import knn
from gestalt3d.ops.normals import normals_of_neighbours
from gestalt3d.ops.segment import segment_mean, segment_mode
from gestalt3d.ops.voxelize import voxel_means, voxelize
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud


@dataclass(frozen=True)
class SuperpointConfig:
    """For scans of rooms."""

    voxel_size: float = 0.02
    """Metres."""
    neighbours: int = 16
    """Voxels from which a normal is estimated, the voxel itself included."""
    links: int = 8
    """Nearest voxels that each one is compared with."""
    color_weight: float = 0.5
    """Of the squared difference of colours, 0 to 3."""
    scale: float = 0.05
    """Larger makes larger patches: one of n voxels bears steps that are `scale / n` greater than those in it."""
    min_voxels: int = 20
    """Smaller patches join what they resemble most."""

    def __post_init__(self) -> None:
        for name in ("voxel_size", "links", "scale", "min_voxels"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not self.neighbours > max(self.links, 2):
            raise ValueError(
                f"neighbours must be at least 3 and more than the {self.links} links, got {self.neighbours}"
            )


def superpoints(cloud: PointCloud, config: SuperpointConfig) -> Int[Tensor, "n"]:
    """Superpoint of each point, numbered from 0; points of one voxel are of one."""
    c = config
    voxels = voxelize(cloud.points, voxel_size=c.voxel_size)
    count = len(voxels.counts)
    if not count:
        return voxels.voxel_of_point
    middle, offset = voxel_means(cloud.points, voxels, voxel_size=c.voxel_size)
    means = middle + offset
    means = (means - means.mean(0)).float()[None]
    near = knn(means, means, k=c.neighbours).index
    normals = normals_of_neighbours(means, near)[0].double()
    ends = near[0, :, : c.links + 1]  # the voxel itself is among them: a link that joins nothing
    rows = torch.arange(count)[:, None].expand_as(ends)
    there = ends >= 0
    a, b = rows[there], ends[there]
    weights = 1 - (normals[a] * normals[b]).sum(1).abs().clamp(max=1)
    if cloud.colors is not None and c.color_weight:
        colors = segment_mean(cloud.colors, voxels.voxel_of_point, count).double()
        weights += c.color_weight * (colors[a] - colors[b]).square().sum(1)
    found = graph_segments(
        torch.stack([a, b]),
        (weights * 1e6).round() / 1e6,
        num_nodes=count,
        scale=c.scale,
        min_size=c.min_voxels,
    )
    return found[voxels.voxel_of_point]


def mean_by_points(
    values: Float[Tensor, "s c"], source: Int[Tensor, "n"], target: Int[Tensor, "n"]
) -> Float[Tensor, "t c"]:
    """Each target's mean, over its points, of what the sources of these have; targets are 0, 1, … without gaps."""
    count = int(target.max()) + 1 if len(target) else 0
    points = np.ones(len(target), dtype=np.int32)
    shared = csr_matrix((points, (target.numpy(), source.numpy())), shape=(count, len(values)))
    points_of_target = torch.bincount(target, minlength=count).numpy()
    means = np.empty((count, values.shape[1]), dtype=np.float32)
    for j, column in enumerate(
        values.T
    ):  # one at a time: float64 values of all would take more room than the rest
        means[:, j] = shared @ column.double().numpy() / points_of_target
    return torch.from_numpy(means)


def majority(labels: Int[Tensor, "n"], patches: Int[Tensor, "n"]) -> Int[Tensor, "p"]:
    """What most points of each patch have; -1, none, counts like a label. Ties: the lowest."""
    count = int(patches.max()) + 1 if len(patches) else 0
    return segment_mode(labels + 1, patches, count, int(labels.max()) + 2 if len(labels) else 1) - 1


def by_superpoints(found: Instances, patches: Int[Tensor, "n"]) -> Instances:
    """Each patch as a whole in the instance, or in none, that the majority of its points is in.

    Where instances overlap, points count for the one with the highest score. Those that win no patch are gone.
    """
    labels = majority(found.to_labels(), patches)[patches]
    made = Instances.from_labels(
        labels,
        found.classes,
        found.scores,
        vocabulary=found.vocabulary,
        point_classes=found.point_classes,
        method=found.method,
    )
    return made[made.sizes > 0]

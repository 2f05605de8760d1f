"""Superpoints: pieces of surface in which neither inclination nor colour changes abruptly, and answers that go by them.

Networks on voxels or blocks see where an object's border runs to within their voxels; the surface itself shows it to within
its own. So classes are averaged over superpoints, and each goes to one instance as a whole.

Readings, of Felzenszwalb & Huttenlocher's segments (`ops.graph_segments`) on a cloud:
- Nodes are voxels, so the density of the scan does not matter; links go to the nearest others within `reach`. (The segments
  that ScanNet's annotators painted are those of a mesh, linked by its edges.)
- A link weighs 1 - |cosine| of the normals, whether the edge is convex or concave, plus the squared difference of the
  colours where there are colours. Voxels without a normal, on a line or alone, join others only where superpoints are too small.
- A cloud of more than a million voxels is cut into tiles of fewer, so that links and normals are held of one tile only. No
  superpoint crosses a cut, and normals beside it see one side.
- Weights are rounded to a millionth, so that what is equal but for the order of additions is equal: the order of the points
  has as good as no say.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from torch import Tensor

from gestalt3d.configs import Count, NotNegative, Positive, Within, check_ranges
from gestalt3d.errors import UserError
from gestalt3d.memory import give_back
from gestalt3d.nn.tiles import tiles
from gestalt3d.ops.graph_segments import graph_segments
from gestalt3d.ops.knn import knn_among
from gestalt3d.ops.normals import normals_of_neighbours
from gestalt3d.ops.segment import segment_mean, segment_mode
from gestalt3d.ops.voxelize import Voxels, voxel_means, voxelize
from gestalt3d.stages import counted
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud

_MOST_VOXELS = 2**20
"""Of a tile, which takes about 600 bytes a voxel."""
_POINTS_AT_ONCE = 2**22
"""Points whose values are averaged at a time."""
_LINKS_AT_ONCE = 2**18
"""Links whose normals and colours are compared at a time."""


@dataclass(frozen=True)
class SuperpointConfig:
    """How a scan becomes superpoints. Defaults suit rooms."""

    voxel_size: Positive = 0.02
    """Edge in metres of the voxels that are joined."""
    neighbours: Annotated[int, Within(least=3, most=1000)] = 16
    """Voxels from which a normal is estimated, the voxel itself included."""
    links: Count = 8
    """Nearest voxels that each one is compared with."""
    reach: Positive = 0.2
    """Farther voxels, in metres, are no neighbours, so that stray points stay alone."""
    color_weight: NotNegative = 0.5
    """Weight of the squared difference of two colours, which is 3 between black and white."""
    # Of 1 and more, voxels without a normal would join whatever is near.
    scale: Annotated[float, Within(above=0, below=1)] = 0.05
    """Larger ones make larger superpoints: one of n voxels bears steps `scale / n` greater than those in it."""
    min_voxels: Count = 20
    """Smaller superpoints join what they resemble most, where something is in reach."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.neighbours > self.links:
            raise UserError(f"neighbours must be more than the {self.links} links, got {self.neighbours}")


def superpoints(cloud: PointCloud, config: SuperpointConfig) -> Int[Tensor, "n"]:
    """Superpoint of each point, numbered from 0: as the cloud carries them, else made here; then points of a voxel are of one."""
    if cloud.superpoints is not None:
        return cloud.superpoints
    voxels = voxelize(cloud.points, voxel_size=config.voxel_size)
    count = len(voxels.counts)
    if not count:
        return voxels.voxel_of_point
    means = _means(cloud.points, voxels, config.voxel_size)
    colors = None
    if cloud.colors is not None and config.color_weight:
        colors = segment_mean(cloud.colors, voxels.voxel_of_point, count)
    labels, found = torch.empty(count, dtype=torch.int64), 0
    for tile in counted(tiles(voxels.coordinates, halo=0, most=_MOST_VOXELS)):
        part = _segments(means[tile.own], None if colors is None else colors[tile.own], config)
        labels[tile.own] = found + part
        found += int(part.max()) + 1
        give_back()
    return labels[voxels.voxel_of_point]


def _means(points: Float[Tensor, "n 3"], voxels: Voxels, voxel_size: float) -> Float[Tensor, "v 3"]:
    """Mean of each voxel's points from the centre of all voxels, where float32 is fine enough wherever they lie."""
    middle, offset = voxel_means(points, voxels, voxel_size=voxel_size)
    # Whole numbers add up to the same in any order.
    centre = torch.stack([axis.double().mean() for axis in voxels.coordinates.T])
    middle -= (centre + 0.5) * voxel_size
    middle += offset
    return middle.float()


def _segments(
    means: Float[Tensor, "v 3"], colors: Float[Tensor, "v 3"] | None, config: SuperpointConfig
) -> Int[Tensor, "v"]:
    """Superpoint of each voxel, numbered from 0."""
    near = knn_among(means[None], k=config.neighbours, reach=config.reach)
    normals, ends = normals_of_neighbours(means[None], near)[0], near[0, :, : config.links + 1]
    rows = torch.arange(len(means), dtype=torch.int32)[:, None].expand_as(ends)
    links = torch.stack([rows, ends])[:, (ends >= 0) & (ends != rows)]
    del near, ends
    steps = torch.empty(links.shape[1], dtype=torch.float64)
    for some, step in zip(links.split(_LINKS_AT_ONCE, dim=1), steps.split(_LINKS_AT_ONCE), strict=True):
        step[:] = _step(some.long(), normals, colors, config.color_weight)
    return graph_segments(
        links,
        steps,
        num_nodes=len(means),
        scale=config.scale,
        min_size=config.min_voxels,
    )


def _step(
    links: Int[Tensor, "2 m"],
    normals: Float[Tensor, "v 3"],
    colors: Float[Tensor, "v 3"] | None,
    color_weight: float,
) -> Float[Tensor, "m"]:
    """How abruptly the surface changes along each link: float64, from 0 on."""
    a, b = links
    weight = 1 - (normals[a].double() * normals[b].double()).sum(1).abs().clamp(max=1)
    if colors is not None:
        difference = (colors[a].double() - colors[b].double()).square().sum(1)
        weight += color_weight * difference.nan_to_num(0.0, 0.0)  # of a colour that is no number
    return (weight * 1e6).round() / 1e6


def classes_by_superpoint(
    scores: Float[Tensor, "v c"], voxel_of_point: Int[Tensor, "n"], superpoints: Int[Tensor, "n"] | None
) -> Int[Tensor, "n"]:
    """Class of each point from its voxel's scores: that of the highest mean over its superpoint's points, or over its voxel
    alone where there are no superpoints; the lowest on ties.
    """
    if superpoints is None:
        return scores.argmax(1)[voxel_of_point]
    return mean_by_points(scores, voxel_of_point, superpoints).argmax(1)[superpoints]


def mean_by_points(
    values: Float[Tensor, "s c"], source: Int[Tensor, "n"], target: Int[Tensor, "n"]
) -> Float[Tensor, "t c"]:
    """Each target's mean, over its points, of what the sources of these have; targets are numbered from 0 without gaps."""
    count = int(target.max()) + 1 if len(target) else 0
    sums = np.zeros((count, values.shape[1]))
    for own, given in zip(target.split(_POINTS_AT_ONCE), source.split(_POINTS_AT_ONCE), strict=True):
        points = np.ones(len(own), dtype=np.int32)
        shared = csr_matrix((points, (own.numpy(), given.numpy())), shape=(count, len(values)))
        # One column at a time: float64 values of all would take more room than the rest.
        for j, column in enumerate(values.T):
            sums[:, j] += shared @ column.double().numpy()
    return torch.from_numpy(sums / torch.bincount(target, minlength=count).numpy()[:, None]).float()


def most_frequent(labels: Int[Tensor, "n"], superpoints: Int[Tensor, "n"]) -> Int[Tensor, "p"]:
    """What more points of each superpoint have than anything else; -1, none, counts like a label. Ties: the lowest."""
    count = int(superpoints.max()) + 1 if len(superpoints) else 0
    return segment_mode(labels + 1, superpoints, count, int(labels.max()) + 2 if len(labels) else 1) - 1


def by_superpoints(found: Instances, superpoints: Int[Tensor, "n"]) -> Instances:
    """Each superpoint as a whole in the instance, or in none, that more of its points are in than in any other.

    Where instances overlap, points count for the one with the highest score. Those that win no superpoint are gone.
    """
    labels = most_frequent(found.to_labels(), superpoints)[superpoints]
    made = Instances.from_labels(
        labels,
        found.classes,
        found.scores,
        vocabulary=found.vocabulary,
        element_classes=found.element_classes,
        method=found.method,
    )
    return made[made.sizes > 0]

"""What people do without learning: large planes off by RANSAC, then the rest into clusters.

Two variants:

- "dbscan": every large plane is taken off, DBSCAN (Ester et al., KDD 1996) clusters what remains.
- "regions": only planes that look like the building are taken off (level ones at the bottom or the top,
  upright ones), then regions grow over neighbours whose normals agree (Rabbani et al., ISPRS 2006).

Readings:
- Everything runs on voxels in a fixed order, so the answer does not depend on the order of the points.
- RANSAC (Fischler & Bolles, 1981) draws one voxel and its normal per hypothesis, not three points.
- A plane takes everything near it along, whatever its normal; its size is that of voxels whose normals agree.
- Small clusters and noise join the nearest large cluster within reach, else they are in no instance.
- Planes become floor, ceiling and wall, clusters clutter. A score is the rank of the size, 1 for the largest.
- Scans narrower than `full_width` hold smaller things: every length shrinks in proportion, as far as voxels still hold two
  points on average: nothing hangs together in finer ones.
- Regions on what measures less than two metres along every axis, a table top, have settings of their own.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from scipy.spatial import KDTree

from gestalt3d.configs import Count, CountOrNone, NotNegative, Positive, Seed, Within, check_ranges
from gestalt3d.ops.components import dbscan, graph_components
from gestalt3d.ops.knn import knn_among
from gestalt3d.ops.voxelize import Voxels, voxelize
from gestalt3d.stages import counted, stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS, Vocabulary, translate

_SLAB = 200_000  # voxels whose neighbour pairs are held at once
_POINTS_A_VOXEL = 2
TABLE_TOP = 2.0
"""Metres: no room is smaller along every axis."""
_LEVEL = 0.7  # |z| of a floor's normal, at least


@dataclass(frozen=True)
class PlaneConfig:
    """How RANSAC finds the planes of the building. Lengths in metres."""

    distance: Positive = 0.03
    """Greatest distance from a plane to the mean of a voxel that agrees with it."""
    angle_degrees: Annotated[float, Within(least=0, most=180)] = 30.0
    """Greatest angle between a plane's normal and that of a voxel that agrees with it."""
    min_area: NotNegative = 2.0
    """Least area of a plane in square metres of occupied cells."""
    cell: Positive = 0.05
    """Side of those cells: wider than the gaps between points."""
    hypotheses: Count = 400
    """Hypotheses drawn for each plane."""
    sample: Count = 8000
    """Most voxels on which hypotheses are judged."""
    building_only: bool = False
    """Planes are upright, or level and within `band` of the lowest or the highest voxels."""
    band: NotNegative = 0.3
    """Greatest distance of level planes from the lowest or the highest voxels, where `building_only` asks for it."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class DBSCANConfig:
    """Settings of the variant "dbscan": what no plane takes is clustered by density. Lengths in metres."""

    planes: PlaneConfig = PlaneConfig()
    """The planes that are taken away first."""
    full_width: Positive = 4.0
    """The wider horizontal extent of a scan from which lengths count as they are; in smaller scans they are smaller."""
    voxel_size: Positive = 0.03
    """Edge of a voxel."""
    neighbours: Annotated[int, Within(least=3, most=1000)] = 16
    """Voxels from which a normal is estimated."""
    eps: Positive = 0.075
    """Greatest distance between neighbours."""
    min_points: Count = 10
    """Least neighbours of a voxel that links others, itself included."""
    min_voxels: CountOrNone = 20
    """Clusters of fewer voxels are joined to others within `reach`."""
    reach: Positive = 0.1
    """Greatest distance between clusters that are joined because one is small."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class RegionsConfig:
    """Settings of the variant "regions": what no plane takes grows over smooth surface. Lengths in metres."""

    planes: PlaneConfig = PlaneConfig(distance=0.025, building_only=True)
    """The planes that are taken away first."""
    full_width: Positive = 2.0
    """The wider horizontal extent of a scan from which lengths count as they are; in smaller scans they are smaller."""
    voxel_size: Positive = 0.02
    """Edge of a voxel."""
    neighbours: Annotated[int, Within(least=3, most=1000)] = 24
    """Voxels from which a normal is estimated."""
    eps: Positive = 0.075
    """Greatest distance between neighbours."""
    angle_degrees: Annotated[float, Within(least=0, most=180)] = 15.0
    """Greatest angle between the normals of neighbours."""
    min_points: Count = 3
    """Least neighbours of a voxel that links others, itself included."""
    min_voxels: CountOrNone = 50
    """Regions of fewer voxels are joined to others within `reach`."""
    reach: Positive = 0.1
    """Greatest distance between regions that are joined because one is small."""
    sparse_unit: Annotated[float, Within(least=1)] = 1.0
    """Where voxels hold fewer than two points on average, every length grows, up to this many times itself."""

    def __post_init__(self) -> None:
        check_ranges(self)


TABLE_TOPS = RegionsConfig(
    planes=PlaneConfig(distance=0.014, min_area=0.5, cell=0.025, building_only=True, band=0.15),
    full_width=1.0,
    voxel_size=0.0125,
    neighbours=20,
    eps=0.025,
    angle_degrees=18.0,
    min_voxels=20,
    reach=0.05,
    sparse_unit=2.0,
)
"""Chosen on 16 scans of `table-tops:train`, of some thirty settings."""


@dataclass(frozen=True)
class GeometricConfig:
    """Defaults suit rooms."""

    variant: Literal["dbscan", "regions"] = "dbscan"
    """How what no plane takes becomes objects: by density, or by regions of smooth surface."""
    seed: Seed = 0
    """Seed of RANSAC's draws."""
    dbscan: DBSCANConfig = DBSCANConfig()
    """Settings of the variant "dbscan"."""
    regions: RegionsConfig = RegionsConfig()
    """Settings of the variant "regions"."""
    table_tops: RegionsConfig = TABLE_TOPS
    """Settings in place of `regions`, for scans that measure less than `TABLE_TOP` along every axis."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class _Surface:
    """The voxels of a cloud, in units that make it at least `full_width` wide."""

    centers: np.ndarray
    """(v, 3) float64: mean of each voxel's points, about the cloud's centre."""
    normals: np.ndarray
    """(v, 3) float64, of either sign."""
    low: float
    high: float
    """Height of the lowest and the highest voxels, but for one in two hundred."""


@dataclass(frozen=True)
class _Plane:
    kind: Literal["floor", "ceiling", "wall"]
    voxels: np.ndarray


class Geometric:
    """Planes and clusters; nothing to train."""

    name = "geometric"
    takes = PointCloud
    takes_semantics = False
    config: GeometricConfig

    def __init__(self, config: GeometricConfig, vocabulary: Vocabulary = S3DIS) -> None:
        self.config, self.vocabulary = config, vocabulary

    @classmethod
    def from_config(cls, config: GeometricConfig, vocabulary: Vocabulary = S3DIS) -> "Geometric":
        return cls(config, vocabulary)

    def segment(self, cloud: PointCloud) -> Instances:
        """Planes and clusters. Points in neither have the class of clutter and no instance."""
        if not len(cloud):
            none = torch.zeros(0, dtype=torch.int64)
            return Instances.from_labels(
                none, none, vocabulary=self.vocabulary, element_classes=none, method=self.name
            )
        config = self.config
        variant = self._variant(cloud)
        with stage("normals"):
            unit = min(1.0, float(cloud.extents[:2].max()) / variant.full_width) or 1.0
            voxels = voxelize(cloud.points, voxel_size=variant.voxel_size * unit)
            sparse_unit = variant.sparse_unit if isinstance(variant, RegionsConfig) else 1.0
            while unit < sparse_unit and len(cloud) < _POINTS_A_VOXEL * len(voxels.counts):
                unit = min(sparse_unit, 1.5 * unit)
                voxels = voxelize(cloud.points, voxel_size=variant.voxel_size * unit)
            surface = _surface(cloud.points.numpy(), voxels, unit, variant)
        with stage("planes"):
            planes = _planes(surface, variant.planes, np.random.default_rng(config.seed))
        with stage("grouping"):
            rest = np.ones(len(surface.centers), dtype=bool)
            for plane in planes:
                rest[plane.voxels] = False
            rest = np.flatnonzero(rest)
            centers = surface.centers[rest]
            if isinstance(variant, RegionsConfig):
                clusters = _smooth_regions(centers, surface.normals[rest], variant)
            else:
                found = torch.from_numpy(centers).float()
                clusters = dbscan(found, eps=variant.eps, min_points=variant.min_points).numpy()
            clusters = _without_small(centers, clusters, variant)
        with stage("assign"):
            labels = np.full(len(surface.centers), -1, dtype=np.int64)
            for i, plane in enumerate(planes):
                labels[plane.voxels] = i
            labels[rest] = np.where(clusters >= 0, clusters + len(planes), -1)
            return self._instances(labels, planes, voxels)

    def _variant(self, cloud: PointCloud) -> DBSCANConfig | RegionsConfig:
        if self.config.variant == "dbscan":
            return self.config.dbscan
        return self.config.table_tops if is_table_top(cloud) else self.config.regions

    def _instances(self, labels: np.ndarray, planes: list[_Plane], voxels: Voxels) -> Instances:
        table = translate(S3DIS, self.vocabulary)
        clutter = int(table[S3DIS.id("clutter")])
        count = int(labels.max(initial=-1)) + 1
        classes = np.full(count, clutter, dtype=np.int64)
        classes[: len(planes)] = [table[S3DIS.id(plane.kind)] for plane in planes]
        of_point = torch.from_numpy(labels)[voxels.voxel_of_point]
        sizes = torch.bincount(of_point[of_point >= 0], minlength=count)
        rank = torch.argsort(torch.argsort(sizes, stable=True), stable=True)
        return Instances.from_labels(
            of_point,
            torch.from_numpy(classes),
            (rank + 1).float() / max(count, 1),
            vocabulary=self.vocabulary,
            element_classes=torch.from_numpy(np.append(classes, clutter))[of_point],
            method=self.name,
        )


def is_table_top(cloud: PointCloud) -> bool:
    """Whether the points, which are usable ones, measure less than `TABLE_TOP` along every axis, but for the outermost."""
    return len(cloud) > 0 and float(cloud.extents.max()) < TABLE_TOP


def _surface(
    points: np.ndarray, voxels: Voxels, unit: float, config: DBSCANConfig | RegionsConfig
) -> _Surface:
    centers = _means(points, voxels, config.voxel_size * unit) / unit
    centers -= np.median(centers, axis=0)
    low, high = np.quantile(centers[:, 2], [0.005, 0.995])
    return _Surface(centers, _normals(centers, config.neighbours), float(low), float(high))


def _means(points: np.ndarray, voxels: Voxels, voxel_size: float) -> np.ndarray:
    """Mean of each voxel's points, summed as whole numbers: the order of the points changes nothing."""
    of_point, cells = voxels.voxel_of_point.numpy(), voxels.coordinates.numpy()
    means = np.empty(cells.shape)
    for axis in range(3):
        offset = points[:, axis] / np.float64(voxel_size) - cells[of_point, axis]
        total = np.bincount(of_point, np.rint(offset * 2.0**20), minlength=len(cells))
        means[:, axis] = (cells[:, axis] + total / voxels.counts.numpy() / 2.0**20) * voxel_size
    return means


def _normals(centers: np.ndarray, k: int) -> np.ndarray:
    """Direction of least spread of each center's `k` nearest."""
    tensor = torch.from_numpy(centers).float()[None]
    near = knn_among(tensor, k=min(k, len(centers)))[0].numpy()
    normals = np.empty_like(centers)
    for first in counted(range(0, len(centers), _SLAB)):
        patch = centers[near[first : first + _SLAB]]
        patch -= patch.mean(axis=1, keepdims=True)
        spread = np.matmul(patch.transpose(0, 2, 1), patch)
        normals[first : first + _SLAB] = np.linalg.eigh(spread)[1][:, :, 0]
    return normals


def _planes(surface: _Surface, config: PlaneConfig, rng: np.random.Generator) -> list[_Plane]:
    """The largest plane, then the largest of what it leaves, until one is smaller than `min_area`."""
    left = np.arange(len(surface.centers))
    planes = []
    while len(left) >= 3:
        centers, normals = surface.centers[left], surface.normals[left]
        drawn = rng.choice(len(left), min(config.hypotheses, len(left)), replace=False)
        if config.building_only:
            drawn = drawn[_looks_built(centers[drawn], normals[drawn], surface, config)]
        judged = rng.choice(len(left), min(config.sample, len(left)), replace=False)
        normal = _best_normal(centers, normals, drawn, judged, config)
        if normal is None:
            break
        direction, offset = _fit(centers[_agreeing(centers, normals, *normal, config)])
        agreeing = _agreeing(centers, normals, direction, offset, config)
        if _area(centers[agreeing], direction, config.cell) < config.min_area:
            break
        near = np.abs(centers @ direction - offset) < config.distance
        planes.append(_Plane(_kind(direction, centers[agreeing], surface), left[near]))
        left = left[~near]
    return planes


def _looks_built(
    centers: np.ndarray, normals: np.ndarray, surface: _Surface, config: PlaneConfig
) -> np.ndarray:
    """Upright, or level and near the bottom or the top; within 15 degrees."""
    steepness, height = np.abs(normals[:, 2]), centers[:, 2]
    outermost = (height < surface.low + config.band) | (height > surface.high - config.band)
    return (steepness < np.sin(np.deg2rad(15))) | ((steepness > np.cos(np.deg2rad(15))) & outermost)


def _best_normal(
    centers: np.ndarray, normals: np.ndarray, drawn: np.ndarray, judged: np.ndarray, config: PlaneConfig
) -> tuple[np.ndarray, float] | None:
    """The hypothesis, fitted to the voxels that agree, with which most of those at `judged` agree."""
    offsets = np.einsum("hc,hc->h", normals[drawn], centers[drawn])
    distance = np.abs(centers[judged] @ normals[drawn].T - offsets)
    alignment = np.abs(normals[judged] @ normals[drawn].T)
    votes = ((distance < config.distance) & (alignment > np.cos(np.deg2rad(config.angle_degrees)))).sum(
        axis=0
    )
    best, most = None, 2
    for h in np.argsort(-votes, kind="stable")[:5]:
        plane = normals[drawn[h]], float(offsets[h])
        for _ in range(3):
            agreeing = judged[_agreeing(centers[judged], normals[judged], *plane, config)]
            if len(agreeing) < 3:
                break
            if len(agreeing) > most:
                best, most = plane, len(agreeing)
            plane = _fit(centers[agreeing])
    return best


def _agreeing(
    centers: np.ndarray, normals: np.ndarray, direction: np.ndarray, offset: float, config: PlaneConfig
) -> np.ndarray:
    aligned = np.abs(normals @ direction) > np.cos(np.deg2rad(config.angle_degrees))
    return aligned & (np.abs(centers @ direction - offset) < config.distance)


def _fit(centers: np.ndarray) -> tuple[np.ndarray, float]:
    """Least-squares plane: unit normal and its dot product with any point of the plane."""
    mean = centers.mean(axis=0)
    direction = np.linalg.eigh((centers - mean).T @ (centers - mean))[1][:, 0]
    return direction, float(direction @ mean)


def _area(centers: np.ndarray, direction: np.ndarray, cell: float) -> float:
    """Square metres of the plane's cells that hold a center."""
    across = np.cross(direction, np.eye(3)[np.abs(direction).argmin()])
    across /= np.linalg.norm(across)
    flat = np.floor(centers @ np.stack([across, np.cross(direction, across)], axis=1) / cell)
    return len(np.unique(flat @ [1.0, 1j])) * cell**2


def _kind(
    direction: np.ndarray, centers: np.ndarray, surface: _Surface
) -> Literal["floor", "ceiling", "wall"]:
    if abs(direction[2]) < _LEVEL:
        return "wall"
    return "floor" if np.median(centers[:, 2]) < (surface.low + surface.high) / 2 else "ceiling"


def _smooth_regions(centers: np.ndarray, normals: np.ndarray, config: RegionsConfig) -> np.ndarray:
    """Region of each center, -1 none; one that links nothing belongs to its nearest linking neighbour's."""
    edges = _smooth_edges(centers, normals, config)
    links = np.bincount(edges.ravel(), minlength=len(centers)) + 1 >= config.min_points
    edges = edges[:, links[edges].all(axis=0)]
    regions = graph_components(torch.from_numpy(edges), num_nodes=len(centers)).numpy()
    return _joined(centers, np.where(links, regions, -1), links, config.eps)


def _smooth_edges(centers: np.ndarray, normals: np.ndarray, config: RegionsConfig) -> np.ndarray:
    """(2, m) pairs of neighbours, slab by slab along x, each pair once."""
    order = np.argsort(centers[:, 0], kind="stable")
    x = centers[order, 0]
    found = [np.zeros((2, 0), dtype=np.int64)]
    for first in counted(range(0, len(order), _SLAB)):
        last = min(first + _SLAB, len(order))
        end = int(np.searchsorted(x, x[last - 1] + config.eps, side="right"))
        slab = order[first:end]
        pairs = KDTree(centers[slab]).query_pairs(config.eps, output_type="ndarray")
        pairs = pairs[(pairs < last - first).any(axis=1)]
        a, b = slab[pairs[:, 0]], slab[pairs[:, 1]]
        smooth = np.abs(np.einsum("mc,mc->m", normals[a], normals[b])) > np.cos(
            np.deg2rad(config.angle_degrees)
        )
        found.append(np.stack([a[smooth], b[smooth]]))
    return np.concatenate(found, axis=1)


def _without_small(
    centers: np.ndarray, clusters: np.ndarray, config: DBSCANConfig | RegionsConfig
) -> np.ndarray:
    """Clusters of at least `min_voxels`, numbered anew; the others join them or are -1."""
    sizes = np.bincount(clusters[clusters >= 0])
    large = sizes >= config.min_voxels
    number = np.append(np.where(large, np.cumsum(large) - 1, -1), -1)
    clusters = number[clusters]
    return _joined(centers, clusters, clusters >= 0, config.reach)


def _joined(centers: np.ndarray, labels: np.ndarray, known: np.ndarray, reach: float) -> np.ndarray:
    """Labels with those of the nearest known center within `reach` where not `known`, else -1."""
    if known.all() or not known.any():
        return np.where(known, labels, -1)
    _, nearest = KDTree(centers[known]).query(centers[~known], distance_upper_bound=reach)
    labels = labels.copy()
    labels[~known] = np.append(labels[known], -1)[nearest]
    return labels


METHOD = Geometric

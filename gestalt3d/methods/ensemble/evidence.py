"""What is known of proposals besides who has found them: what they are shaped like, and how firmly they hang together.

Nothing here is a class or the name of one, nor what a network says of its own find: both carry over badly to other scans.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from scipy.sparse import csr_matrix
from torch import Tensor

from gestalt3d.methods.ensemble.pool import Pool, by_method
from gestalt3d.methods.overlapping import Overlaps, sizes_of, table_of
from gestalt3d.ops.components import voxel_pairs
from gestalt3d.ops.segment import segment_mode
from gestalt3d.ops.voxelize import voxelize
from gestalt3d.structures.pointcloud import PointCloud

VOXEL = 0.05
"""Edge in metres of the voxels in which places and borders are measured."""
_FIRM, _FIRMER = 0.5, 0.7
_HELD = 0.8
"""A set of which this share lies in a larger one is held by it."""
_LARGER = 1.2
"""Times the points of a set that a larger one has."""

GENERAL = (
    "agreement", "most agreement", "least agreement", "share above .5", "share above .7",
    "relative size", "log points", "log voxels", "log pieces", "log neighbours", "points a voxel",
    "log length", "log width", "log height", "lowest", "highest", "flat", "thick", "upright", "log filling",
    "found inside", "found around", "together inside", "together across", "border", "contrast",
    "agreement of holder", "agreement of held", "log holders", "log held",
)  # fmt: skip
"""What `evidence` says after the agreement of each method."""


class Surface(NamedTuple):
    """Superpoints, measured in voxels, and the borders between them."""

    points: Int[Tensor, "s"]
    voxels: Float64[np.ndarray, "s"]
    """Each voxel is of the superpoint that has most of its points; a superpoint may have none."""
    sums: Float64[np.ndarray, "s 3"]
    """Of the places of its voxels, in metres from the lowest corner."""
    products: Float64[np.ndarray, "s 9"]
    """Of the same, of each two axes."""
    lowest: Float64[np.ndarray, "s"]
    """Metres above the floor, infinite without voxels."""
    highest: Float64[np.ndarray, "s"]
    colors: Float64[np.ndarray, "s 3"] | None
    a: Int[np.ndarray, "e"]
    """One side of each border, the lower number."""
    b: Int[np.ndarray, "e"]
    lengths: Float64[np.ndarray, "e"]
    """Pairs of neighbouring voxels."""


def surface_of(cloud: PointCloud, superpoints: Int[Tensor, "n"], count: int) -> Surface:
    """Of a cloud's superpoints, numbered from 0 to `count`. The order of the points does not matter."""
    voxels = voxelize(cloud.points, voxel_size=VOXEL)
    owner = segment_mode(superpoints, voxels.voxel_of_point, len(voxels.counts), max(count, 1)).numpy()
    cells = voxels.coordinates.numpy()
    low = cells.min(axis=0) if len(cells) else np.zeros(3, dtype=np.int64)
    places = (cells - low) * VOXEL
    # The lowest of two hundred voxels may be a reflection.
    floor = np.quantile(places[:, 2], 0.005, method="lower") if len(places) else 0.0
    height = places[:, 2] - floor
    lowest, highest = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(lowest, owner, height)
    np.maximum.at(highest, owner, height)
    # Places are whole voxels: their sums are the same in any order.
    sums = np.stack([np.bincount(owner, (cells - low)[:, i], count) for i in range(3)], axis=1) * VOXEL
    pairs = [(i, j) for i in range(3) for j in range(3)]
    whole = (cells - low).astype(np.float64)
    products = np.stack([np.bincount(owner, whole[:, i] * whole[:, j], count) for i, j in pairs], axis=1)
    a, b, lengths = _borders(owner, voxel_pairs(voxels.coordinates, connectivity=26).numpy(), count)
    return Surface(
        points=torch.bincount(superpoints, minlength=count),
        voxels=np.bincount(owner, minlength=count).astype(np.float64),
        sums=sums,
        products=products * VOXEL**2,
        lowest=lowest,
        highest=highest,
        colors=_colors(cloud, superpoints, count),
        a=a,
        b=b,
        lengths=lengths,
    )


def _borders(
    owner: Int[np.ndarray, "v"], pairs: Int[np.ndarray, "2 m"], count: int
) -> tuple[Int[np.ndarray, "e"], Int[np.ndarray, "e"], Float64[np.ndarray, "e"]]:
    first, second = owner[pairs]
    apart = first != second
    low, high = np.minimum(first, second)[apart], np.maximum(first, second)[apart]
    keys, lengths = np.unique(low.astype(np.int64) * max(count, 1) + high, return_counts=True)
    return keys // max(count, 1), keys % max(count, 1), lengths.astype(np.float64)


def _colors(
    cloud: PointCloud, superpoints: Int[Tensor, "n"], count: int
) -> Float64[np.ndarray, "s 3"] | None:
    """Mean colour of each superpoint; colours are rounded to whole parts of 2^20, whose sums are the same in any order."""
    if cloud.colors is None:
        return None
    steps = (cloud.colors.double().nan_to_num(0.0, 0.0, 0.0) * 2**20).round().numpy()
    owner = superpoints.numpy()
    sums = np.stack([np.bincount(owner, steps[:, i], count) for i in range(3)], axis=1) / 2**20
    return sums / np.maximum(np.bincount(owner, minlength=count), 1)[:, None]


def evidence(
    pool: Pool, agreed: Float[Tensor, "p sources"], surface: Surface, looks: Sequence[int]
) -> Float[Tensor, "p f"]:
    """A row for each proposal: the agreement of each method, whose looks number `looks`, then what `GENERAL` names.

    `agreed` is that of `pool.agreement`. A method that has found the proposal in its only look has no say: for its agreement the
    mean of the others' stands.
    """
    count = len(pool.sets)
    if not count:
        return torch.zeros(0, len(looks) + len(GENERAL))
    of_methods = by_method(agreed, looks)
    agreement = of_methods.nanmean(1, keepdim=True).nan_to_num(0.0)
    of_methods = torch.where(of_methods.isnan(), agreement, of_methods)
    known = ~agreed.isnan()
    share = [((agreed > least) & known).sum(1) / known.sum(1).clamp(min=1) for least in (_FIRM, _FIRMER)]
    judged = [agreement[:, 0], of_methods.amax(1), of_methods.amin(1), *share]
    members = table_of(pool.sets)
    # Which borders lie inside each proposal, and which are its own.
    inside = csr_matrix(members[:, surface.a].multiply(members[:, surface.b]))
    about = csr_matrix(members[:, surface.a] + members[:, surface.b] - 2 * inside)
    shape = _shapes(members, about, pool, surface)
    bonds = _bonds(members, inside, about, surface, _said(pool, surface, looks))
    holding = _holding(pool, surface.points, agreement[:, 0].double().numpy())
    rest = np.stack([*shape, *bonds, *holding], axis=1)
    return torch.cat([of_methods, torch.stack(judged, dim=1), torch.from_numpy(rest)], dim=1).float()


def _shapes(members: csr_matrix, about: csr_matrix, pool: Pool, surface: Surface) -> list[np.ndarray]:
    """Size, extent and form. Along and across are the axes of the ground on which the voxels vary most and least."""
    points = sizes_of(pool.sets, surface.points).double().numpy()
    log_points = np.log(np.maximum(points, 1))
    spread = np.ptp(log_points)
    relative = (log_points - log_points.min()) / spread if spread else np.ones_like(log_points)
    voxels = np.maximum(members @ surface.voxels, 1)
    mean = members @ surface.sums / voxels[:, None]
    spread_of = (members @ surface.products / voxels[:, None]).reshape(-1, 3, 3) - mean[:, :, None] * mean[
        :, None
    ]
    inner = VOXEL**2 / 12  # of one voxel
    spread_of += inner * np.eye(3)
    values, axes = np.linalg.eigh(spread_of)
    thickness, width, length = np.sqrt(np.maximum(values, inner)).T
    on_ground = np.sqrt(12 * np.maximum(np.linalg.eigvalsh(spread_of[:, :2, :2]), inner))
    low, high = _ends(pool, surface)
    height = high - low + VOXEL
    filling = voxels * VOXEL**3 / (on_ground.prod(axis=1) * height)
    borders = np.asarray(about.sum(axis=1)).ravel()
    density = surface.points.sum().item() / max(surface.voxels.sum(), 1)
    return [
        relative, log_points, np.log(voxels), np.log(np.maximum(pool.sets.sizes.numpy(), 1)), np.log1p(borders),
        log_points - np.log(voxels) - np.log(max(density, 1e-9)),
        np.log(on_ground[:, 1]), np.log(on_ground[:, 0]), np.log(height), low, high,
        (width - thickness) / length, thickness / length, np.abs(axes[:, 2, 0]), np.log(filling),
    ]  # fmt: skip


def _ends(pool: Pool, surface: Surface) -> tuple[np.ndarray, np.ndarray]:
    """Metres above the floor of the lowest and the highest voxel of each proposal; 0 where it has none."""
    owners, index = pool.sets.owners.numpy(), pool.sets.indices.numpy()
    low, high = np.full(len(pool.sets), np.inf), np.full(len(pool.sets), -np.inf)
    np.minimum.at(low, owners, surface.lowest[index])
    np.maximum.at(high, owners, surface.highest[index])
    none = ~np.isfinite(low)
    low[none], high[none] = 0, 0
    return low, high


def _bonds(
    members: csr_matrix,
    inside: csr_matrix,
    about: csr_matrix,
    surface: Surface,
    said: tuple[Float64[np.ndarray, "s"], Float64[np.ndarray, "e"]],
) -> list[np.ndarray]:
    """What sources say of the superpoints inside and around, and of the borders within and about each proposal."""
    found, together = said
    within, around = inside @ surface.lengths, about @ surface.lengths
    points = surface.points.double().numpy()
    found_inside = (members @ (points * found)) / np.maximum(members @ points, 1)
    # Of a border about it one side is in the proposal.
    outer = about @ (surface.lengths * (found[surface.a] + found[surface.b]))
    outer = outer - members[:, surface.a].multiply(about) @ (surface.lengths * found[surface.a])
    outer = outer - members[:, surface.b].multiply(about) @ (surface.lengths * found[surface.b])
    steps = np.zeros(len(surface.lengths))
    if surface.colors is not None:
        steps = np.linalg.norm(surface.colors[surface.a] - surface.colors[surface.b], axis=1)
    contrast = _mean(about @ (surface.lengths * steps), around, 0.0)
    return [
        found_inside,
        _mean(outer, around, 0.0),
        _mean(inside @ (surface.lengths * together), within, 1.0),
        _mean(about @ (surface.lengths * together), around, 0.0),
        around / np.maximum(members @ surface.voxels, 1),
        contrast - _mean(inside @ (surface.lengths * steps), within, 0.0),
    ]


def _mean(total: np.ndarray, weight: np.ndarray, otherwise: float) -> np.ndarray:
    return np.where(weight > 0, total / np.maximum(weight, 1e-9), otherwise)


def _said(
    pool: Pool, surface: Surface, looks: Sequence[int]
) -> tuple[Float64[np.ndarray, "s"], Float64[np.ndarray, "e"]]:
    """What share of the methods has each superpoint in an instance, and both sides of each border in one and the same."""
    found, together = np.zeros(pool.sets.size), np.zeros(len(surface.lengths))
    source = 0
    for count in looks:
        for _ in range(count):
            rows = (pool.source == source).nonzero()[:, 0]
            labels = pool.sets.take(rows).to_labels(pool.scores[rows]).numpy()
            found += (labels >= 0) / (count * len(looks))
            same = (labels[surface.a] == labels[surface.b]) & (labels[surface.a] >= 0)
            together += same / (count * len(looks))
            source += 1
    return found, together


def _holding(pool: Pool, points: Int[Tensor, "s"], agreement: np.ndarray) -> list[np.ndarray]:
    """Of each proposal the best agreement, and the number, of larger ones that hold it and of smaller ones that it holds."""
    sizes = sizes_of(pool.sets, points).double().numpy()
    best, number = np.zeros((2, len(sizes))), np.zeros((2, len(sizes)))
    for found in Overlaps(pool.sets, points).of(np.arange(len(sizes))):
        own, others = sizes[found.row], sizes[found.others]
        shared = found.iou * (own + others) / (1 + found.iou)
        larger = (others > _LARGER * own) & (shared > _HELD * own)
        smaller = (own > _LARGER * others) & (shared > _HELD * others)
        for k, which in enumerate((larger, smaller)):
            best[k, found.row] = agreement[found.others[which]].max(initial=0.0)
            number[k, found.row] = which.sum()
    return [*best, *np.log1p(number)]

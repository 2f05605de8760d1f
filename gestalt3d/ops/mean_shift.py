"""Mean shift with a flat kernel and bin seeds (Comaniciu & Meer, 2002), as scikit-learn's
`MeanShift(bin_seeding=True)`.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator
from gestalt3d.ops.shapes import widened


class Clusters(NamedTuple):
    labels: Int[Tensor, "n"]
    """Row of `centers` nearest to each point, the lowest on ties: every point has one."""
    centers: Float[Tensor, "k d"]
    """Modes, the one with the most points within the bandwidth first."""


def mean_shift(x: Float[Tensor, "n d"], *, bandwidth: float, max_iterations: int = 300) -> Clusters:
    """Cluster the rows of `x`: seeds climb to the mean of the points within `bandwidth` (inclusive) until
    they move less than a thousandth of it.

    Seeds are the occupied cells of a grid of that spacing, or all points where every point has a cell of its
    own. Modes are ordered by (points within the bandwidth, coordinates), both descending; a mode within the
    bandwidth of an earlier one is dropped. Everything is computed in float64. Where no seed has a point
    within reach, scikit-learn raises; here the points themselves become the seeds. Not differentiable.
    """
    if not (bandwidth > 0 and np.isfinite(bandwidth)):
        raise ValueError(f"bandwidth must be a positive finite distance, got {bandwidth}")
    if max_iterations < 0:
        raise ValueError(f"max_iterations must not be negative, got {max_iterations}")
    if len(x) and not bool(torch.isfinite(x).all()):
        raise ValueError("x must be finite, got NaN or infinity; the network that made it has diverged")
    centers, labels = torch.ops.gestalt3d.mean_shift(x.detach(), float(bandwidth), int(max_iterations))
    return Clusters(labels, centers)


def bin_seeds(x: Float[Tensor, "n d"], bandwidth: float) -> Float[Tensor, "s d"]:
    """Centres of the occupied cells, rounded to float32 as scikit-learn rounds them; all points if each has
    its own cell.
    """
    cells = torch.unique(torch.round(widened(x) / bandwidth), dim=0)
    if len(cells) == len(x):
        return x.double()
    return (cells.float() * torch.tensor(bandwidth, dtype=torch.float32, device=x.device)).double()


def mean_shift_reference(x: Tensor, bandwidth: float, max_iterations: int) -> tuple[Tensor, Tensor]:
    """The definition in plain PyTorch: (centers, labels)."""
    seeds, x64 = bin_seeds(x, bandwidth), x.double()
    modes, counts = _climb(seeds, x64, bandwidth, max_iterations)
    if len(x) and not bool((counts > 0).any()):
        modes, counts = _climb(torch.unique(x64, dim=0), x64, bandwidth, max_iterations)
    modes = _ranked(modes[counts > 0], counts[counts > 0])
    keep = torch.ones(len(modes), dtype=torch.bool, device=x.device)
    for i in range(len(modes)):
        if keep[i]:
            keep[i + 1 :] &= ~((modes[i + 1 :] - modes[i]).square().sum(1) <= bandwidth**2)
    centers = modes[keep]
    labels = [_dist2(part, centers).argmin(1) for part in x64.split(1024)] if len(x) else []
    return centers.to(x.dtype), torch.cat([x.new_zeros(0, dtype=torch.int64), *labels])


def _dist2(a: Tensor, b: Tensor) -> Tensor:
    return (a[:, None] - b[None]).square().sum(-1)


def _climb(seeds: Tensor, x: Tensor, bandwidth: float, max_iterations: int) -> tuple[Tensor, Tensor]:
    """Last mean of every seed, and how many points it averages: 0 where nothing was within reach."""
    modes, counts = seeds.clone(), torch.zeros(len(seeds), dtype=torch.int64, device=x.device)
    active = torch.arange(len(seeds), device=x.device)
    for _ in range(max_iterations + 1):
        moved = []
        for rows in active.split(512):
            within = (_dist2(modes[rows], x) <= bandwidth**2).to(x.dtype)
            counts[rows] = within.sum(1).long()
            means = (within @ x) / within.sum(1, keepdim=True)
            step = (means - modes[rows]).norm(dim=1)
            alive = counts[rows] > 0
            modes[rows[alive]] = means[alive]
            moved.append(rows[alive & (step > 1e-3 * bandwidth)])
        active = torch.cat([active[:0], *moved])
        if len(active) == 0:
            break
    return modes, counts


def _ranked(modes: Tensor, counts: Tensor) -> Tensor:
    """By (count, coordinates), descending."""
    keys = (*modes.T.flip(0).cpu().numpy(), counts.cpu().numpy())
    return modes[torch.from_numpy(np.lexsort(keys)[::-1].copy()).to(modes.device)]


_op = Operator(
    "gestalt3d::mean_shift",
    mean_shift_reference,
    schema="(Tensor x, float bandwidth, int max_iterations) -> (Tensor, Tensor)",
)


@_op.register_kernel("cpu", halves=True)
def _cpu(x: Tensor, bandwidth: float, max_iterations: int) -> tuple[Tensor, Tensor]:
    if x.numel() == 0:
        return mean_shift_reference(x, bandwidth, max_iterations)
    from gestalt3d.ops._numba import mean_shift as cpu

    points = np.ascontiguousarray(x.double().numpy())
    tree = cpu.build_tree(points, cpu.WIDTH)
    modes, counts = _climb_tree(bin_seeds(x, bandwidth).numpy(), points, tree, bandwidth, max_iterations)
    if not counts.any():
        modes, counts = _climb_tree(np.unique(points, axis=0), points, tree, bandwidth, max_iterations)
    found = np.unique(np.column_stack([counts, modes])[counts > 0], axis=0)[::-1]
    modes = np.ascontiguousarray(found[:, 1:])
    keep = np.empty(len(modes), dtype=np.bool_)
    cpu.suppress(modes, bandwidth * bandwidth, keep)
    centers, labels = modes[keep], np.empty(len(points), dtype=np.int64)
    cpu.nearest_center(points, centers, *cpu.build_tree(centers, 8), labels)
    return torch.from_numpy(centers).to(x.dtype), torch.from_numpy(labels)


def _climb_tree(
    seeds: np.ndarray, points: np.ndarray, tree: tuple[np.ndarray, ...], bandwidth: float, max_iterations: int
) -> tuple[np.ndarray, np.ndarray]:
    """`_climb` with the kernels."""
    from gestalt3d.ops._numba import mean_shift as cpu
    from gestalt3d.ops._numba import parallel

    order, start, stop, skip, low, high = tree
    packed, leaf_of = cpu.pack_leaves(points, order, start, stop, skip)
    totals, sizes = cpu.leaf_totals(packed)
    modes, counts = np.empty_like(seeds), np.empty(len(seeds), dtype=np.int64)
    shared = (skip, low, high, packed, leaf_of, totals, sizes, modes, counts)
    parallel(lambda a, b: cpu.climb(seeds, a, b, bandwidth, max_iterations, *shared), len(seeds), grain=256)
    return modes, counts


@_op.register_fake
def _fake(x: Tensor, bandwidth: float, max_iterations: int) -> tuple[Tensor, Tensor]:
    count = torch.library.get_ctx().new_dynamic_size()
    return x.new_empty((count, x.shape[1])), x.new_empty(x.shape[0], dtype=torch.int64)

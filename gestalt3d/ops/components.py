"""Connected components of graphs and label grids, and DBSCAN (Ester et al., 1996).

Components are numbered 0, 1, … by their lowest member; -1 is in none. Clouds are clustered on the CPU,
wherever they live.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator
from gestalt3d.ops.shapes import widened
from gestalt3d.ops.sparse_conv import submanifold_rules


def graph_components(edges: Int[Tensor, "2 m"], *, num_nodes: int) -> Int[Tensor, "n"]:
    """Component of each node of the undirected graph with edges `edges[0, e] - edges[1, e]`."""
    check_edges(edges, num_nodes)
    return torch.ops.gestalt3d.graph_components(edges.long(), num_nodes)


def check_edges(edges: Int[Tensor, "2 m"], num_nodes: int) -> None:
    """`ValueError` unless `edges` are those of a graph of so many nodes."""
    if num_nodes < 0:
        raise ValueError(f"num_nodes must not be negative, got {num_nodes}")
    if edges.numel() and not (int(edges.min()) >= 0 and int(edges.max()) < num_nodes):
        raise ValueError(
            f"edges must name nodes in [0, {num_nodes}), got {int(edges.min())} to {int(edges.max())}"
        )


def grid_components(labels: Int[Tensor, "x y z"], *, connectivity: int = 26) -> Int[Tensor, "x y z"]:
    """Component of each voxel: neighbours of the same label belong together, voxels with negative labels to
    nothing.

    `connectivity` is 6 (faces), 18 (and edges) or 26 (and corners).
    """
    if connectivity not in (6, 18, 26):
        raise ValueError(f"connectivity must be 6, 18 or 26, got {connectivity}")
    return torch.ops.gestalt3d.grid_components(labels.long(), connectivity)


def voxel_pairs(coordinates: Int[Tensor, "v 3"], *, connectivity: int = 26) -> Int[Tensor, "2 m"]:
    """Pairs of rows, each once, of voxels that share a face (6), at least an edge (18) or at least a corner (26).

    Coordinates are whole, distinct and in any order: the sparse counterpart of the neighbours in `grid_components`.
    """
    if connectivity not in (6, 18, 26):
        raise ValueError(f"connectivity must be 6, 18 or 26, got {connectivity}")
    rules = submanifold_rules(F.pad(coordinates, (1, 0)))
    most = {6: 1, 18: 2, 26: 3}[connectivity]
    offsets: list[list[int]] = torch.cartesian_prod(*(torch.arange(-1, 2),) * 3).tolist()
    near = [k for k in range(14, 27) if sum(abs(step) for step in offsets[k]) <= most]
    pairs = torch.stack([rules.outputs, rules.inputs]).long()
    return torch.cat([pairs[:, rules.starts[k] : rules.starts[k + 1]] for k in near], dim=1)


def dbscan(points: Float[Tensor, "n 3"], *, eps: float, min_points: int) -> Int[Tensor, "n"]:
    """Density clusters: a core point has at least `min_points` points within `eps`, itself included; -1 is
    noise.

    The partition of the core points is scikit-learn's, and so are the numbers. A point that is no core
    belongs to its nearest core within `eps`, the lowest index on ties (scikit-learn: to the cluster that was
    found first).
    """
    if not (eps > 0 and np.isfinite(eps)):
        raise ValueError(f"eps must be positive metres, got {eps}")
    if min_points < 1:
        raise ValueError(f"min_points must be at least 1, got {min_points}")
    if len(points) and not bool(torch.isfinite(points).all()):
        raise ValueError("points must be finite, got NaN or infinity; drop those points first")
    return torch.ops.gestalt3d.dbscan(points.detach(), float(eps), int(min_points))


def graph_reference(edges: Tensor, num_nodes: int) -> Tensor:
    """The definition in plain PyTorch: the lowest number spreads along the edges until nothing changes."""
    lowest = torch.arange(num_nodes, device=edges.device)
    a, b = torch.cat([edges, edges.flip(0)], dim=1)
    while True:
        spread = lowest.scatter_reduce(0, a, lowest[b], "amin")
        spread = spread[spread]
        if torch.equal(spread, lowest):
            return torch.unique(lowest, return_inverse=True)[1]
        lowest = spread


def grid_reference(labels: Tensor, connectivity: int) -> Tensor:
    """The definition in plain PyTorch: the graph of all pairs of equal neighbours."""
    index = torch.arange(labels.numel(), device=labels.device).view(labels.shape)
    pairs = [index.new_zeros((2, 0))]
    for shift in earlier_neighbours(connectivity).tolist():
        here = tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(shift, labels.shape, strict=True))
        there = tuple(slice(max(0, s), n + min(0, s)) for s, n in zip(shift, labels.shape, strict=True))
        equal = (labels[here] == labels[there]) & (labels[here] >= 0)
        pairs.append(torch.stack([index[here][equal], index[there][equal]]))
    found = graph_reference(torch.cat(pairs, dim=1), labels.numel())
    return _renumbered(found.masked_fill(labels.flatten() < 0, -1)).view(labels.shape)


def dbscan_reference(points: Tensor, eps: float, min_points: int) -> Tensor:
    """The definition in plain PyTorch, from all pairs of points."""
    x = points.double()
    dx, dy, dz = (a[:, None] - a for a in x.unbind(1))
    dist2 = dx * dx + dy * dy + dz * dz
    near = dist2 <= eps * eps
    core = near.sum(1) >= min_points
    found = graph_reference((near & core & core[:, None]).nonzero().T, len(x)).masked_fill(~core, -1)
    if len(x):
        nearest = torch.where(near & core, dist2, torch.inf).argmin(1)
        found = torch.where((near & core).any(1), found[nearest], found)
    return _renumbered(found, core)


def _renumbered(labels: Tensor, member: Tensor | None = None) -> Tensor:
    """Number labels from 0 in the order of their first `member`, keeping -1."""
    out = torch.full_like(labels, -1)
    order: dict[int, int] = {}
    for label in (labels if member is None else labels[member]).tolist():
        if label >= 0:
            order.setdefault(label, len(order))
    for label, new in order.items():
        out[labels == label] = new
    return out


def earlier_neighbours(connectivity: int) -> Int[Tensor, "o 3"]:
    """Half of a voxel's neighbours: those that come before it in memory order."""
    most = {6: 1, 18: 2, 26: 3}[connectivity]
    steps = torch.cartesian_prod(*(torch.arange(-1, 2),) * 3)[:13]
    return steps[steps.abs().sum(1) <= most]


_graph = Operator(
    "gestalt3d::graph_components",
    graph_reference,
    schema="(Tensor edges, int num_nodes) -> Tensor",
)


@_graph.register_kernel("cpu")
def _graph_cpu(edges: Tensor, num_nodes: int) -> Tensor:
    from gestalt3d.ops._numba import components as cpu

    labels = np.empty(num_nodes, dtype=np.int64)
    first, second = edges.contiguous().numpy()
    cpu.graph(first, second, labels)
    return torch.from_numpy(labels)


@_graph.register_fake
def _graph_fake(edges: Tensor, num_nodes: int) -> Tensor:
    return edges.new_empty(num_nodes)


def _grid(labels: Tensor, connectivity: int) -> Tensor:
    from gestalt3d.ops._numba import components as cpu

    out = np.empty(labels.numel(), dtype=np.int64)
    flat = labels.cpu().contiguous().numpy().reshape(-1)
    cpu.grid(flat, tuple(labels.shape), earlier_neighbours(connectivity).numpy(), out)
    return torch.from_numpy(out).view(labels.shape).to(labels.device)


_grid_op = Operator("gestalt3d::grid_components", _grid, schema="(Tensor labels, int connectivity) -> Tensor")


@_grid_op.register_fake
def _grid_fake(labels: Tensor, connectivity: int) -> Tensor:
    return labels.new_empty(labels.shape)


def _dbscan(points: Tensor, eps: float, min_points: int) -> Tensor:
    from gestalt3d.ops._numba import components as cpu

    out = np.full(len(points), -1, dtype=np.int64)
    if len(points) == 0:
        return torch.from_numpy(out).to(points.device)
    xyz = widened(points).cpu().contiguous().numpy()
    keys, along_x, along_y = _cell_keys(xyz, eps)
    index = np.argsort(keys, kind="stable")
    keys, xyz = keys[index], xyz[index]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    grid = (keys[first], np.append(first, len(keys)), cpu.columns_after(along_x, along_y), eps * eps)

    is_core = np.ones(len(points), dtype=np.bool_)
    if min_points > 1:
        counts = np.zeros(len(points), dtype=np.int64)
        cpu.count_neighbours(xyz, *grid, min_points, counts)
        is_core = counts >= min_points
    parent = np.full(len(out), -1, dtype=np.int64)
    parent[index[is_core]] = index[is_core]
    cpu.join_cells(xyz, *grid, is_core, index, parent)
    cpu.number(parent, out)
    if not is_core.all():
        nearest = np.full(len(out), -1, dtype=np.int64)
        cpu.nearest_core(xyz, *grid, is_core, index, nearest)
        border = nearest >= 0
        out[border] = out[nearest[border]]
    return torch.from_numpy(out).to(points.device)


def _cell_keys(xyz: np.ndarray, radius: float) -> tuple[np.ndarray, int, int]:
    """One integer per cell, and what a step in x and in y adds to it; a step in z adds 1.

    Cells are so small that all points of one are within `radius` of each other; neighbours lie at most two
    cells away.
    """
    from gestalt3d.ops._numba import components as cpu

    low, high = xyz.min(0).astype(np.float64), xyz.max(0).astype(np.float64)
    size = (
        radius / np.sqrt(3) * (1 - 1e-7)
    )  # a little less than the clique's limit, for the rounding of the quotients
    if (high - low).max() / size >= 2**62:
        raise ValueError(
            f"points extend over {(high - low).max():.3g} m, too far for a radius of {radius}; "
            "drop stray points"
        )
    cells = np.empty(xyz.shape, dtype=np.int64)
    cpu.cells_of(xyz, low, size, cells)
    if not _fits(cells.max(0)):
        # Stray points: gaps of more than three cells mean no more than three.
        cells = np.stack([_without_gaps(axis) for axis in cells.T], axis=1)
        if not _fits(cells.max(0)):
            raise ValueError(
                f"points occupy too many cells for a radius of {radius} m; use a larger one or fewer points"
            )
    along_y, along_z = (int(e) + 3 for e in cells.max(0)[1:])
    # Two empty cells beyond each end of an axis: a step of two never reaches into the next column.
    keys = (cells[:, 0] * along_y + cells[:, 1]) * along_z + cells[:, 2]
    return keys, along_y * along_z, along_z


def _fits(last: np.ndarray) -> bool:
    return bool(np.prod([float(e) + 5 for e in last]) < 2**62)


def _without_gaps(cells: np.ndarray) -> np.ndarray:
    values, at = np.unique(cells, return_inverse=True)
    return np.concatenate([[0], np.minimum(np.diff(values), 3).cumsum()])[at]


_dbscan_op = Operator(
    "gestalt3d::dbscan", _dbscan, schema="(Tensor points, float eps, int min_points) -> Tensor"
)


@_dbscan_op.register_fake
def _dbscan_fake(points: Tensor, eps: float, min_points: int) -> Tensor:
    return points.new_empty(len(points), dtype=torch.int64)

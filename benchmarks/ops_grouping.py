"""Grouping operators beside scikit-learn, scipy and NumPy.

Mean shift against scikit-learn with bin seeds, components against scipy, average linkage on a floor's graph and, against
scipy, which needs all pairs, on a complete one, segments of a picture against scikit-image
(where it is installed), voxels against `numpy.unique`, all on the same input and with the same answer. Medians in
milliseconds; the first call, which compiles, is not counted.
"""

import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import scipy.ndimage
import scipy.sparse
import scipy.sparse.csgraph
import torch
from scipy.cluster.hierarchy import linkage
from sklearn.cluster import DBSCAN, MeanShift
from torch import Tensor

from gestalt3d.ops.average_linkage import average_linkage
from gestalt3d.ops.blocks import cut_blocks
from gestalt3d.ops.boxes import oriented_boxes
from gestalt3d.ops.components import dbscan, graph_components, grid_components, voxel_pairs
from gestalt3d.ops.graph_segments import graph_segments
from gestalt3d.ops.knn import knn
from gestalt3d.ops.mean_shift import mean_shift
from gestalt3d.ops.voxelize import voxelize


def embeddings(spread: float, *, n: int = 4096, noise: float = 0.08) -> Tensor:
    """(n, 5) points around ten centres at least 1.5 apart, some of them strewn: a block's embeddings."""
    rng = np.random.default_rng(0)
    centers: list[np.ndarray] = []
    while len(centers) < 10:
        c = rng.uniform(-2.5, 2.5, 5)
        if all(np.linalg.norm(c - o) > 1.5 for o in centers):
            centers.append(c)
    x = np.array(centers)[rng.integers(0, 10, n)] + rng.normal(0, spread, (n, 5))
    strewn = rng.random(n) < noise
    x[strewn] += rng.normal(0, 0.6, (int(strewn.sum()), 5))
    return torch.from_numpy(x)


def room(n: int) -> Tensor:
    """Points on the walls and the floor of a 10 × 8 × 3 m room."""
    rng = np.random.default_rng(0)
    points = rng.random((n, 3)) * [10.0, 8.0, 3.0]
    points[np.arange(n), rng.integers(0, 3, n)] = 0
    return torch.from_numpy(points + rng.normal(0, 0.005, points.shape)).float()


def label_grid(side: int = 128, labels: int = 20) -> Tensor:
    """A smooth random field cut into labels, half of it empty."""
    rng = np.random.default_rng(0)
    field = scipy.ndimage.gaussian_filter(rng.normal(size=(side,) * 3), 3)
    grid = np.digitize(field, np.quantile(field, np.linspace(0, 1, labels + 1)[1:-1]))
    grid[scipy.ndimage.gaussian_filter(rng.normal(size=(side,) * 3), 2) > 0] = -1
    return torch.from_numpy(grid.astype(np.int64))


def similar(n: int, near: int) -> tuple[Tensor, Tensor, int]:
    """Edges from each of `n` nodes in the plane to its `near` nearest, once, in SciPy's order; similarities; n."""
    places = torch.rand(1, n, 3, generator=torch.Generator().manual_seed(0))
    places[..., 2] = 0
    found = knn(places, places, k=near + 1)
    edges = torch.stack([torch.arange(n)[:, None].expand(n, near + 1).flatten(), found.index.flatten()])
    edges = edges.sort(0).values
    edges, first = torch.unique(edges[:, edges[0] < edges[1]], dim=1), places[0]
    return edges, (-(first[edges[0]] - first[edges[1]]).norm(dim=1)).exp().double(), n


def clusters_of(edges: Tensor, similarities: Tensor, n: int, *, least: float) -> Tensor:
    return average_linkage(
        edges, similarities, torch.ones_like(similarities), num_nodes=n, min_similarity=least
    )


def scipy_components(grid: np.ndarray) -> int:
    """Components of every label, each inside the box it fills."""
    count = 0
    for label, box in enumerate(scipy.ndimage.find_objects(grid + 1)):
        if box is not None:
            count += scipy.ndimage.label(grid[box] == label, np.ones((3, 3, 3)))[1]
    return count


def links(draws: int) -> tuple[Tensor, int]:
    """Pairs of neighbouring voxels of a floor with some left out, and the number of voxels."""
    rng = np.random.default_rng(0)
    side = int(1.2 * draws**0.5)
    voxels = np.unique(rng.integers(0, [side, side, 3], (draws, 3)), axis=0)
    pairs = voxel_pairs(torch.from_numpy(voxels))
    return pairs[:, torch.from_numpy(rng.random(pairs.shape[1]) < 0.6)], len(voxels)


def scipy_graph(pairs: np.ndarray, nodes: int) -> np.ndarray:
    graph = scipy.sparse.coo_matrix((np.ones(pairs.shape[1], np.int8), tuple(pairs)), shape=(nodes, nodes))
    return scipy.sparse.csgraph.connected_components(graph.tocsr(), directed=False)[1]


def numpy_voxels(points: np.ndarray, size: float) -> tuple[np.ndarray, ...]:
    cells = np.floor(points / size).astype(np.int64)
    return np.unique(cells, axis=0, return_inverse=True, return_counts=True)


def image(side: int = 512) -> np.ndarray:
    """Patches of whole heights, slightly noisy."""
    rng = np.random.default_rng(0)
    smooth = scipy.ndimage.gaussian_filter(rng.normal(size=(side, side)), 6)
    return np.round(smooth / smooth.std()) + rng.normal(0, 0.05, (side, side))


def segments_of(heights: np.ndarray) -> Tensor:
    """Of the graph of a picture's pixels and their eight neighbours."""
    at = np.arange(heights.size).reshape(heights.shape)
    pairs = [
        (at[1:], at[:-1]),
        (at[:, 1:], at[:, :-1]),
        (at[1:, 1:], at[:-1, :-1]),
        (at[1:, :-1], at[:-1, 1:]),
    ]
    edges = np.stack([np.concatenate([side.ravel() for side in sides]) for sides in zip(*pairs, strict=True)])
    steps = np.abs(np.subtract(*heights.ravel()[edges]))
    return graph_segments(
        torch.from_numpy(edges), torch.from_numpy(steps), num_nodes=at.size, scale=1.0, min_size=20
    )


Ways = dict[str, Callable[[], Any]]


def cases() -> dict[str, Ways]:
    """What is measured: ours first, then the alternative."""
    made: dict[str, Ways] = {}
    noise = np.random.default_rng(0)
    blocks = {
        "clear": embeddings(0.05, noise=0.0),
        "spread 0.12, 8 % noise": embeddings(0.12),
        "spread 0.25, 8 % noise": embeddings(0.25),
        "one normal blob of 0.5": torch.from_numpy(noise.normal(0, 0.5, (4096, 5))),
        "uniform noise in a cube of 6": torch.from_numpy(noise.uniform(-3, 3, (4096, 5))),
    }
    for name, x in blocks.items():
        made[f"mean_shift 4,096 x 5, bandwidth 0.6, {name}"] = {
            "gestalt3d": lambda x=x: mean_shift(x, bandwidth=0.6),
            "scikit-learn": lambda x=x: MeanShift(bandwidth=0.6, bin_seeding=True).fit(x.numpy()),
        }
    grid, small, large = label_grid(), room(200_000), room(1_000_000)
    made["grid_components 128^3, 20 labels, 26 neighbours"] = {
        "gestalt3d": lambda: grid_components(grid),
        "scipy per label": lambda: scipy_components(grid.numpy()),
    }
    pairs, nodes = links(1_000_000)
    made["graph_components 700,000 voxels, some of their neighbours"] = {
        "gestalt3d": lambda: graph_components(pairs, num_nodes=nodes),
        "scipy": lambda: scipy_graph(pairs.numpy(), nodes),
    }
    made["dbscan 200,000 points, eps 0.05, min_points 10"] = {
        "gestalt3d": lambda: dbscan(small, eps=0.05, min_points=10),
        "scikit-learn": lambda: DBSCAN(eps=0.05, min_samples=10).fit(small.numpy()),
    }
    made["voxelize 1,000,000 points, 5 cm"] = {
        "gestalt3d": lambda: voxelize(large, voxel_size=0.05),
        "numpy.unique": lambda: numpy_voxels(large.numpy().astype(np.float64), 0.05),
    }
    picture = image()
    made["graph_segments 512 x 512 pixels, 8 neighbours"] = {"gestalt3d": lambda: segments_of(picture)}
    if find_spec("skimage"):  # not among the dependencies
        from skimage.segmentation import felzenszwalb

        made["graph_segments 512 x 512 pixels, 8 neighbours"]["scikit-image"] = lambda: felzenszwalb(
            picture, scale=255.0, sigma=0, min_size=20
        )
    near, all_pairs = similar(16_000, 100), similar(1_000, 999)
    made["average_linkage 16,000 nodes, 100 edges each"] = {
        "gestalt3d": lambda: clusters_of(*near, least=0.97)
    }
    made["average_linkage 1,000 nodes, all pairs"] = {
        "gestalt3d": lambda: clusters_of(*all_pairs, least=0.9),
        "scipy": lambda: linkage(1 - all_pairs[1].numpy(), "average"),
    }
    made["cut_blocks 1,000,000 points, 1 m by 0.5 m"] = {
        "gestalt3d": lambda: cut_blocks(large, size=1.0, stride=0.5)
    }
    offsets = torch.arange(0, 1_000_001, 1000)
    made["oriented_boxes 1,000 instances of 1,000 points"] = {
        "gestalt3d": lambda: oriented_boxes(large, offsets, torch.arange(1_000_000))
    }
    return made


def measure(work: Callable[[], Any], *, budget: float = 3.0) -> list[float]:
    """Milliseconds of up to seven runs within a budget of seconds, one run at least."""
    times: list[float] = []
    while not times or (len(times) < 7 and sum(times) < budget * 1e3):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def run() -> list[dict[str, Any]]:
    rows = []
    for case, ways in cases().items():
        (_, ours), *others = ways.items()
        ours()
        row: dict[str, Any] = {"case": case, "ours ms": float(np.median(measure(ours)))}
        row |= {"usual": None, "usual ms": None, "ratio": None}
        for name, other in others:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # scikit-learn says when all points are seeds
                usual = float(np.median(measure(other)))
            row |= {"usual": name, "usual ms": usual, "ratio": usual / row["ours ms"]}
        rows.append(row)
    return rows

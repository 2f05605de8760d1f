"""Every operator that takes floats: 16-bit ones are computed with or refused with the way out, never a bare error.

And what a NaN among them does: it is refused or seen in the answer, wherever it stands, never lost.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import gestalt3d.ops
from gestalt3d.ops.aligned_boxes import aligned_iou, paired_iou, suppressed
from gestalt3d.ops.average_linkage import average_linkage
from gestalt3d.ops.ball_query import ball_query
from gestalt3d.ops.blocks import block_counts, cut_blocks
from gestalt3d.ops.boxes import oriented_boxes
from gestalt3d.ops.centers import center_coherency, to_centers
from gestalt3d.ops.chamfer import chamfer_distance, nearest_both_ways
from gestalt3d.ops.components import dbscan
from gestalt3d.ops.directional_tsdf import directional_tsdf
from gestalt3d.ops.embedding_neighbours import embedding_neighbours
from gestalt3d.ops.farthest_points import farthest_points
from gestalt3d.ops.gather import gather
from gestalt3d.ops.graph_segments import graph_segments
from gestalt3d.ops.interpolate import interpolate, inverse_distance_weights
from gestalt3d.ops.knn import Neighbours, knn, knn_among, smallest
from gestalt3d.ops.look_at import look_at, project
from gestalt3d.ops.mean_shift import bin_seeds, mean_shift
from gestalt3d.ops.mesh_voxels import mesh_voxels
from gestalt3d.ops.neighbour_max import group_max, neighbour_max
from gestalt3d.ops.norm_relu import norm_relu
from gestalt3d.ops.normals import normals_of_neighbours, surface_normals
from gestalt3d.ops.oriented_boxes_overlap import oriented_iou, oriented_nms
from gestalt3d.ops.rasterize import rasterize
from gestalt3d.ops.roi_align import point_roi_align, points_in_boxes
from gestalt3d.ops.roi_align_2d import roi_align_2d
from gestalt3d.ops.roi_align_3d import roi_align_3d, roi_bin_centers
from gestalt3d.ops.segment import segment_max, segment_mean, segment_sum
from gestalt3d.ops.silhouette import soft_silhouette
from gestalt3d.ops.sparse_conv import sparse_conv, submanifold_rules
from gestalt3d.ops.voxelize import voxel_means, voxelize
from tests.ops import kit

IDS = torch.tensor([0, 1, 0, 2, -1, 1, 2, 2, 0, 1, 1, 0])
CLOUD = kit.lattice(12)  # whole numbers: exact in 16 bits
ROWS = torch.arange(12)
INDEX = torch.tensor([[[0, 3, -1], [2, 1, 5]]])
TRIANGLE = torch.tensor([[0, 1, 2]])
VOXELS = voxelize(CLOUD[0], voxel_size=2.0)
PLACES = torch.unique(CLOUD[0].long(), dim=0)
RULES = submanifold_rules(torch.nn.functional.pad(PLACES, (1, 0)))

AHEAD = look_at(*(torch.tensor([x]) for x in (0.5, 0.25, 8.0)))
BOXES = torch.tensor([[1.0, 1, 1, 2, 2, 2, 0], [2, 2, 2, 2, 2, 2, 0]])
WHOLE = torch.tensor([[1.0, 1, 1.5, 2, 2, 3, 0]])

COMPUTED: dict[str, tuple[Callable[..., Any], tuple[Tensor, ...]]] = {
    "segment_sum": (lambda v: segment_sum(v, IDS, 4), (CLOUD[0],)),
    "segment_mean": (lambda v: segment_mean(v, IDS, 4), (CLOUD[0],)),
    "segment_max": (lambda v: segment_max(v, IDS, 4), (CLOUD[0],)),
    "gather": (lambda f: gather(f, INDEX), (CLOUD,)),
    "neighbour_max": (lambda f: neighbour_max(f, INDEX), (CLOUD,)),
    "group_max": (group_max, (CLOUD,)),
    "interpolate": (
        lambda f: interpolate(f, Neighbours(torch.ones(1, 2, 3), INDEX)),
        (CLOUD,),
    ),
    "norm_relu": (
        lambda x: norm_relu(x, torch.ones(3), torch.zeros(3), eps=1e-3).out,
        (CLOUD[0],),
    ),
    "sparse_conv": (
        lambda f, w: sparse_conv(f, w, RULES),
        (torch.ones(len(PLACES), 2), torch.ones(27, 2, 3)),
    ),
    "average_linkage": (
        lambda s, w: average_linkage(
            torch.stack([ROWS[:-1], ROWS[1:]]), s, w, num_nodes=12, min_similarity=0.6
        ),
        (ROWS[1:] / 16, torch.ones(11)),
    ),
    "graph_segments": (
        lambda w: graph_segments(torch.stack([ROWS[:-1], ROWS[1:]]), w, num_nodes=12, scale=1.0),
        (ROWS[1:] / 16,),
    ),
    "oriented_boxes": (
        lambda p: oriented_boxes(p, torch.tensor([0, 12]), ROWS),
        (CLOUD[0],),
    ),
    "dbscan": (lambda p: dbscan(p, eps=1.0, min_points=2), (CLOUD[0],)),
    "rasterize": (
        lambda v: rasterize(v, TRIANGLE, focal=(4.0, 4.0), center=(4.0, 4.0), size=(8, 8)).face,
        (torch.tensor([[-1.0, -1, 2], [1, -1, 2], [0, 1, 2]]),),
    ),
    "voxel_means": (lambda p: voxel_means(p, VOXELS, voxel_size=2.0)[1].to(p.dtype), (CLOUD[0],)),
    "smallest": (lambda d: smallest(d, 3), (CLOUD.transpose(1, 2),)),
    "ball_query": (lambda q, p: ball_query(q, p, radius=1.0, k=3), (CLOUD, CLOUD)),
    "knn": (lambda q, p: knn(q, p, k=3), (CLOUD, CLOUD)),
    "nearest_both_ways": (nearest_both_ways, (CLOUD, CLOUD + 1)),
    "chamfer_distance": (chamfer_distance, (CLOUD, CLOUD + 1)),
    "knn_among": (lambda p: knn_among(p, k=3), (CLOUD,)),
    "farthest_points": (lambda p: farthest_points(p, 3), (CLOUD,)),
    "embedding_neighbours": (lambda x: embedding_neighbours(x, k=3), (CLOUD,)),
    "mean_shift": (lambda x: mean_shift(x, bandwidth=1.5), (CLOUD[0],)),
    "bin_seeds": (lambda x: bin_seeds(x, 1.5), (CLOUD[0],)),
    "to_centers": (lambda p: to_centers(p, IDS.clamp(min=0), 3), (CLOUD[0],)),
    "inverse_distance_weights": (
        lambda d: inverse_distance_weights(d, INDEX),
        (torch.tensor([[[1.0, 2, 0], [0, 1, 4]]]),),
    ),
    "roi_align_3d": (
        lambda v: roi_align_3d(v, BOXES, ROWS[:2] * 0, origin=(0.0, 0.0, 0.0), cell=1.0, size=2),
        (ROWS.float().view(1, 1, 2, 2, 3),),
    ),
    "roi_align_2d": (
        lambda v: roi_align_2d(v, torch.tensor([[0.0, 0, 4, 3]]), ROWS[:1] * 0, scale=1.0, size=2),
        (ROWS.float().view(1, 1, 3, 4),),
    ),
    "roi_bin_centers": (lambda b: roi_bin_centers(b, size=2), (BOXES,)),
    "block_counts": (lambda e: block_counts(e, 1.0, 0.5), (torch.tensor([3.0, 4.0]),)),
    "look_at": (look_at, (torch.tensor([0.5]), torch.tensor([0.25]), torch.tensor([3.0]))),
    "project": (lambda p: project(p, AHEAD, field_of_view=1.0), (CLOUD,)),
}
"""What computes with 16-bit floats as with float32, the answer rounded to them."""
REFUSED: dict[str, tuple[Callable[..., Any], tuple[Tensor, ...]]] = {
    "aligned_iou": (lambda a: aligned_iou(a, a), (BOXES[:, :6],)),
    "paired_iou": (lambda a: paired_iou(a, a), (BOXES[:, :6],)),
    "suppressed": (lambda a: suppressed(a, torch.ones(len(a)), max_iou=0.5), (BOXES[:, :6],)),
    "oriented_iou": (lambda a: oriented_iou(a, a), (BOXES,)),
    "oriented_nms": (lambda a: oriented_nms(a, torch.ones(len(a)), max_iou=0.5), (BOXES,)),
    "points_in_boxes": (lambda p: points_in_boxes(p, BOXES), (CLOUD[0],)),
    "point_roi_align": (lambda p: point_roi_align(p, BOXES, torch.zeros(2, 3)).local, (CLOUD[0],)),
    "surface_normals": (lambda p: surface_normals(p, k=3), (CLOUD,)),
    "normals_of_neighbours": (
        lambda p: normals_of_neighbours(p, ROWS.repeat(1, 12, 1)),
        (CLOUD,),
    ),
    "cut_blocks": (lambda p: cut_blocks(p, size=2.0, stride=1.0, min_points=1), (CLOUD[0],)),
    "voxelize": (lambda p: voxelize(p, voxel_size=2.0), (CLOUD[0],)),
    "mesh_voxels": (
        lambda v: mesh_voxels(v, TRIANGLE, voxel_size=1.0, origin=(0.0, 0.0, 0.0), size=(4, 4, 4)),
        (CLOUD[0, :3],),
    ),
    "directional_tsdf": (
        lambda p, d: directional_tsdf(
            p,
            p / 4,
            d,
            torch.eye(3, dtype=torch.float64),
            torch.eye(4, dtype=torch.float64),
            origin=(0.0, 0.0, 0.5),
            voxel_size=1.0,
            size=(2, 2, 2),
        ),
        (CLOUD[0], torch.ones(2, 2)),
    ),
    "soft_silhouette": (lambda v: soft_silhouette(v, TRIANGLE, size=(4, 4)), (CLOUD[:, :3] + 1,)),
    "center_coherency": (
        lambda d, p: center_coherency(d, p, torch.tensor([0, 12]), ROWS, torch.tensor([[0], [-1]])),
        (torch.ones(12, 3), CLOUD[0]),
    ),
}
"""Geometry: 16 bits are no coordinates."""

EVERY = torch.arange(12).view(1, 4, 3)
NAN: dict[str, tuple[Callable[..., Any], tuple[Tensor, ...]]] = {
    "segment_sum": (lambda v: segment_sum(v, IDS.abs(), 4), (CLOUD[0],)),
    "segment_mean": (lambda v: segment_mean(v, IDS.abs(), 4), (CLOUD[0],)),
    "segment_max": (lambda v: segment_max(v, IDS.abs(), 4), (CLOUD[0],)),
    "gather": (lambda f: gather(f, EVERY), (CLOUD,)),
    "neighbour_max": (lambda f: neighbour_max(f, EVERY), (CLOUD,)),
    "nearest_both_ways": COMPUTED["nearest_both_ways"],
    "chamfer_distance": COMPUTED["chamfer_distance"],
    "group_max": COMPUTED["group_max"],
    "interpolate": (lambda f: interpolate(f, Neighbours(torch.ones(1, 4, 3), EVERY)), (CLOUD,)),
    "norm_relu": COMPUTED["norm_relu"],
    "voxelize": REFUSED["voxelize"],
    "roi_align_3d": (
        lambda v: roi_align_3d(
            v, WHOLE, ROWS[:1] * 0, origin=(0.0, 0.0, 0.0), cell=1.0, size=2, place="pool"
        ),
        (ROWS.float().view(1, 1, 2, 2, 3),),
    ),
    "roi_align_2d": COMPUTED["roi_align_2d"],
    "mesh_voxels": REFUSED["mesh_voxels"],
    "soft_silhouette": REFUSED["soft_silhouette"],
    "look_at": COMPUTED["look_at"],
    "project": COMPUTED["project"],
    "mean_shift": COMPUTED["mean_shift"],
    "dbscan": COMPUTED["dbscan"],
    "average_linkage": COMPUTED["average_linkage"],
    "graph_segments": COMPUTED["graph_segments"],
}
"""Here every row takes part in the answer."""


@pytest.mark.parametrize("name", COMPUTED)
def test_16_bit_floats_give_the_answer_of_float32_rounded(name: str) -> None:
    run, args = COMPUTED[name]
    kit.check_halves(run, *args)


@pytest.mark.parametrize("name", REFUSED)
def test_16_bit_coordinates_are_refused_with_the_way_out(name: str) -> None:
    run, args = REFUSED[name]
    kit.check_halves_are_refused(run, *args)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NAN)
def test_a_nan_is_seen_wherever_it_stands(name: str, dtype: torch.dtype) -> None:
    if name in REFUSED and dtype.itemsize == 2:
        pytest.skip("refused whatever the values are")
    run, args = NAN[name]
    kit.check_nan_is_not_lost(run, *(a.to(dtype) for a in args))


def test_every_operator_that_takes_floats_is_looked_at() -> None:
    found = set()
    for module in pkgutil.iter_modules(gestalt3d.ops.__path__):
        members = vars(importlib.import_module(f"gestalt3d.ops.{module.name}"))
        for name, value in members.items():
            if inspect.isfunction(value) and value.__module__ == f"gestalt3d.ops.{module.name}":
                public = not name.startswith("_") and not name.endswith("_reference")
                if public and "Float[Tensor" in str(inspect.signature(value).parameters):
                    found.add(name)
    assert found - {"voxel_grid", "voxel_keys"} <= {*COMPUTED, *REFUSED}, (
        "voxel_*: NumPy's, for checked clouds"
    )

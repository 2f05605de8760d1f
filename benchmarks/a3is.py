"""The operators of A3IS at its sizes: TSDF of a frame, RoIAlign in volumes, overlap of turned boxes, beside others.

A frame of a synthetic room, 640 x 480 pixels, in 208 x 208 x 100 voxels of 2.5 cm; boxes of 0.3 to 1.5 m in the same space.
"SciPy cKDTree" finds the nearest point within reach of every voxel and does no more than that. "torch" samples boxes
with `grid_sample` and takes the maximum with `max_pool3d`. shapely, where it is installed, clips the pairs of boxes whose heights
and circles meet, polygons made beforehand. The fastest of some runs of each, after one that compiles, all in one process.
"""

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor

from gestalt3d.ops.directional_tsdf import directional_tsdf
from gestalt3d.ops.oriented_boxes_overlap import oriented_iou, oriented_nms
from gestalt3d.ops.roi_align_3d import roi_align_3d, roi_bin_centers
from gestalt3d.synth.rooms import SPLITS
from gestalt3d.synth.views import ViewConfig, make_view

ORIGIN, VOXEL, SIZE = (-2.6, 0.4, -1.5), 0.025, (208, 208, 100)
BINS, SAMPLES = 14, 2

Case = tuple[str, dict[str, Callable[[], object]], int]
"""Name, ways (ours first) and runs of each."""


def tsdf() -> Case:
    view = make_view(SPLITS["test"], config=ViewConfig(width=640, height=480)).input
    cloud, camera, depth = view.cloud(), view.camera, view.depth
    assert camera is not None and depth is not None
    lens, pose = torch.from_numpy(camera.intrinsics), torch.from_numpy(camera.world_from_camera)

    def ours() -> Tensor:
        return directional_tsdf(
            cloud.points, cloud.colors, depth, lens, pose, origin=ORIGIN, voxel_size=VOXEL, size=SIZE
        )

    def by_tree() -> object:
        axes = [o + (np.arange(n) + 0.5) * VOXEL for o, n in zip(ORIGIN, SIZE, strict=True)]
        centres = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        tree = cKDTree(cloud.points.numpy())
        return tree.query(centres, distance_upper_bound=4 * VOXEL, workers=torch.get_num_threads())

    name = f"TSDF, {' x '.join(map(str, SIZE))} voxels, {len(cloud):,} points"
    return name, {"gestalt3d": ours, "SciPy cKDTree": by_tree}, 3


def boxes(count: int, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    extent = torch.tensor(SIZE) * VOXEL
    centre = torch.tensor(ORIGIN) + extent * torch.rand(count, 3, generator=g)
    return torch.cat(
        [centre, 0.3 + 1.2 * torch.rand(count, 3, generator=g), 3 * torch.rand(count, 1, generator=g)], 1
    )


def with_grid_sample(volume: Tensor, rois: Tensor, cell: float, *, at_once: int) -> Tensor:
    shape = torch.tensor(volume.shape[2:])
    found = []
    for places in roi_bin_centers(rois, size=BINS * SAMPLES).split(at_once):
        # Boxes of one volume lie behind each other along the first axis of one grid.
        grid = (2 * (places - torch.tensor(ORIGIN)) / (cell * shape) - 1).flip(-1).flatten(0, 1)
        values = F.grid_sample(volume, grid[None], padding_mode="border", align_corners=False)
        found.append(F.max_pool3d(values, SAMPLES)[0].unflatten(1, (len(places), BINS)).transpose(0, 1))
    return torch.cat(found)


def roi_align(channels: int, stride: int, count: int, *, backward: bool) -> Case:
    shape = [n // stride for n in SIZE]
    g = torch.Generator().manual_seed(0)
    volume = torch.randn(1, channels, *shape, generator=g).requires_grad_(backward)
    cell, rois, batch = VOXEL * stride, boxes(count), torch.zeros(count, dtype=torch.int64)
    grad = torch.randn(count, channels, BINS, BINS, BINS, generator=g)

    def ours() -> Tensor:
        return roi_align_3d(volume, rois, batch, origin=ORIGIN, cell=cell, size=BINS, samples=SAMPLES)

    def plain(at_once: int) -> Tensor:
        return with_grid_sample(volume, rois, cell, at_once=at_once)

    def there_and_back(run: Callable[[], Tensor]) -> object:
        return torch.autograd.grad(run(), volume, grad) if backward else run()

    ways = {
        "gestalt3d": lambda: there_and_back(ours),
        "torch, a box at a time": lambda: there_and_back(lambda: plain(1)),
        "torch, 16 boxes at a time": lambda: there_and_back(lambda: plain(16)),
    }
    what = f"RoIAlign, {count} boxes, {channels} x {' x '.join(map(str, shape))}"
    return f"{what}, {'forward + backward' if backward else 'forward'}", ways, 2


def overlap(count: int) -> Case:
    made = boxes(count)
    ways: dict[str, Callable[[], object]] = {"gestalt3d": lambda: oriented_iou(made, made)}
    if importlib.util.find_spec("shapely") is not None:
        ways["shapely"] = with_shapely(made.double().numpy())
    return f"IoU of turned boxes, {count} x {count}", ways, 3


def with_shapely(made: np.ndarray) -> Callable[[], object]:
    import shapely  # pyright: ignore[reportMissingImports]

    c, s = np.cos(made[:, 6]), np.sin(made[:, 6])
    turn = np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], axis=1)
    own = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * made[:, None, 3:5] / 2
    polygons = np.asarray(shapely.polygons(own @ turn + made[:, None, :2]))
    radius = np.hypot(made[:, 3], made[:, 4]) / 2
    low, high, volume = made[:, 2] - made[:, 5] / 2, made[:, 2] + made[:, 5] / 2, made[:, 3:6].prod(1)

    def run() -> np.ndarray:
        height = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
        apart = np.hypot(made[:, 0, None] - made[:, 0], made[:, 1, None] - made[:, 1])
        i, j = ((height > 0) & (apart < radius[:, None] + radius)).nonzero()
        shared = shapely.area(shapely.intersection(polygons[i], polygons[j])) * height[i, j]
        out = np.zeros_like(height)
        out[i, j] = shared / (volume[i] + volume[j] - shared)
        return out

    return run


def suppression(count: int) -> Case:
    made, scores = boxes(count), torch.rand(count, generator=torch.Generator().manual_seed(1))
    return (
        f"suppression of turned boxes, {count}",
        {"gestalt3d": lambda: oriented_nms(made, scores, max_iou=0.35)},
        3,
    )


def best(way: Callable[[], object], runs: int) -> float:
    """Seconds."""
    way()
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        way()
        taken.append(time.perf_counter() - start)
    return min(taken)


def run() -> list[dict[str, Any]]:
    rows = []
    for name, ways, runs in (
        tsdf(),
        *(
            roi_align(*sizes, backward=backward)
            for sizes in ((32, 2, 64), (64, 4, 128))
            for backward in (False, True)
        ),
        overlap(1000),
        suppression(2000),
    ):
        (_, ours), *others = ways.items()
        own = best(ours, runs)
        rows.append({"case": name, "way": "gestalt3d", "seconds": own, "times gestalt3d": 1.0})
        for other, way in others:
            usual = best(way, runs)
            rows.append({"case": name, "way": other, "seconds": usual, "times gestalt3d": usual / own})
    return rows

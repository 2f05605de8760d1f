"""Point operators beside scipy, torch and NumPy.

Every alternative computes the same thing from the same input, index construction included. Medians of five runs in
milliseconds; the first call, which compiles, is not counted.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree
from torch import Tensor

from gestalt3d.nn.dropout import Dropout
from gestalt3d.ops.aligned_boxes import suppressed, suppressed_reference
from gestalt3d.ops.ball_query import ball_query
from gestalt3d.ops.chamfer import chamfer_distance
from gestalt3d.ops.embedding_neighbours import embedding_neighbours
from gestalt3d.ops.farthest_points import farthest_points, farthest_points_reference
from gestalt3d.ops.gather import gather, gather_reference
from gestalt3d.ops.interpolate import interpolate, interpolate_reference, inverse_distance_weights
from gestalt3d.ops.knn import knn
from gestalt3d.ops.neighbour_max import neighbour_max
from gestalt3d.ops.norm_relu import norm_relu
from gestalt3d.ops.roi_align import points_in_boxes, points_in_boxes_reference


class Case(NamedTuple):
    op: str
    size: str
    ways: dict[str, Callable[[], object]]
    """Ours first, then the alternatives."""


def room(n: int, *, b: int = 1, seed: int = 0) -> Tensor:
    """Points on the walls and the floor of a 6 × 5 × 3 m room."""
    rng = np.random.default_rng(seed)
    points = rng.random((b, n, 3)) * [6.0, 5.0, 3.0]
    points[np.arange(b)[:, None], np.arange(n), rng.integers(0, 3, (b, n))] = 0
    return torch.from_numpy(points + rng.normal(0, 0.005, points.shape)).float()


def blobs(n: int, e: int, *, b: int = 1, spread: float = 0.3) -> Tensor:
    """Embeddings around ten centres."""
    rng = np.random.default_rng(0)
    centers = 2 * rng.normal(size=(b, 10, e))
    return torch.from_numpy(centers[:, rng.integers(0, 10, n)] + spread * rng.normal(size=(b, n, e))).float()


def sampling() -> Iterator[Case]:
    for b, n, k in ((1, 20_000, 2048), (8, 4096, 1024)):
        cloud = room(n, b=b)
        ours = {"gestalt3d": lambda c=cloud, k=k: farthest_points(c, k)}
        yield Case(
            "farthest_points",
            f"{b} × {n} → {k}",
            ours | {"torch loop": lambda c=cloud, k=k: farthest_points_reference(c, k)},
        )


def neighbours(threads: int) -> Iterator[Case]:
    cloud = room(20_000)
    queries = cloud[:, ::10][:, :2048] + 0.01
    for k in (3, 32):
        yield Case(
            "knn",
            f"2000 in 20000, k = {k}",
            {
                "gestalt3d": lambda k=k: knn(queries, cloud, k=k),
                "scipy cKDTree": lambda k=k: cKDTree(cloud[0]).query(queries[0], k=k, workers=threads),
                "torch cdist + topk": lambda k=k: torch.cdist(queries, cloud).topk(k, largest=False),
            },
        )
    scan = room(1_000_000)
    sampled = scan[:, ::10].contiguous()
    yield Case(
        "knn",
        "1000000 in 100000, k = 1",
        {
            "gestalt3d": lambda: knn(scan, sampled, k=1),
            "scipy cKDTree": lambda: cKDTree(sampled[0]).query(scan[0], k=1, workers=threads),
        },
    )
    blocks = room(4096, b=8) / 4
    centers = blocks[:, :1024]

    def by_distances() -> Tensor:
        number = torch.arange(blocks.shape[1])
        inside = torch.cdist(centers, blocks) < 0.1
        return torch.where(inside, number, blocks.shape[1]).topk(32, largest=False).values

    def by_tree() -> None:
        for c, p in zip(centers, blocks, strict=True):
            for row in cKDTree(p).query_ball_point(c, 0.1, workers=threads, return_sorted=True):
                row[:32]

    yield Case(
        "ball_query",
        "8 × 1024 in 4096, radius 0.1, k = 32",
        {
            "gestalt3d": lambda: ball_query(centers, blocks, radius=0.1, k=32),
            "scipy cKDTree": by_tree,
            "torch cdist + topk": by_distances,
        },
    )


def embeddings() -> Iterator[Case]:
    for e, p in ((5, 1), (5, 2), (32, 1)):
        x = blobs(4096, e)

        def with_tree(x: Tensor = x, p: int = p) -> None:
            cKDTree(x[0]).query(x[0], k=30, p=p)

        yield Case(
            "embedding_neighbours",
            f"4096 × {e}, k = 30, L{p}",
            {
                "gestalt3d": lambda x=x, p=p: embedding_neighbours(x, k=30, p=p),
                "scipy cKDTree": with_tree,
                "torch cdist + topk": lambda x=x, p=p: torch.cdist(x, x, p=p).topk(30, largest=False),
            },
        )


def shapes() -> Iterator[Case]:
    """What comparing and cutting out proposals takes."""
    g = torch.Generator().manual_seed(0)
    a, b = (torch.rand(256, 512, 3, generator=g) for _ in range(2))

    def by_distances() -> list[Tensor]:
        distances = torch.cdist(a, b)
        return [distances.amin(2), distances.amin(1)]

    def by_trees() -> None:
        for x, y in zip(a.numpy(), b.numpy(), strict=True):
            cKDTree(y).query(x)
            cKDTree(x).query(y)

    def plain() -> list[Tensor]:
        found = []
        for x, y in zip(a.split(32), b.split(32), strict=True):  # all at once take more than 2 GB
            squares = (x[:, :, None] - y[:, None]).square().sum(3)
            found += [squares.amin(2), squares.amin(1)]
        return found

    yield Case(
        "chamfer_distance",
        "256 pairs of 512 and 512 points",
        {
            "gestalt3d": lambda: chamfer_distance(a, b),
            "scipy cKDTree": by_trees,
            "torch cdist + min": by_distances,
            "torch differences": plain,
        },
    )
    scan = room(20_000)[0]
    centers = scan[torch.randperm(len(scan), generator=g)[:2048]]
    boxes = torch.cat([centers, 0.2 + 1.5 * torch.rand(2048, 3, generator=g)], dim=1)
    scores = torch.rand(2048, generator=g)
    ranked = boxes[scores.argsort(descending=True)]
    yield Case(
        "suppressed",
        "2048 boxes, IoU 0.5",
        {
            "gestalt3d": lambda: suppressed(boxes, scores, max_iou=0.5),
            "torch, a box at a time": lambda: suppressed_reference(ranked, 0.5),
        },
    )
    rois = torch.cat([boxes[:512], torch.zeros(512, 1)], dim=1)
    yield Case(
        "points_in_boxes",
        "20000 points, 512 boxes",
        {
            "gestalt3d": lambda: points_in_boxes(scan, rois),
            "torch, a box at a time": lambda: points_in_boxes_reference(scan, rois),
        },
    )


def features() -> Iterator[Case]:
    blocks = room(4096, b=8) / 4
    group = ball_query(blocks[:, :1024], blocks, radius=0.2, k=32)
    near = knn(blocks, blocks[:, :1024], k=3)
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(8, 4096, 64).to(dtype).requires_grad_()
        grad = torch.randn(8, 1024, 32, 64).to(dtype)

        def there_and_back(
            run: Callable[[Tensor, Tensor], Tensor], x: Tensor = x, index: Tensor = group, g: Tensor = grad
        ):
            return torch.autograd.grad(run(x, index), x, g)

        yield Case(
            "gather, forward + backward",
            f"8 × 1024 × 32 rows of 64 channels, {str(dtype).removeprefix('torch.')}",
            {
                "gestalt3d": lambda run=there_and_back: run(gather),
                "torch indexing": lambda run=there_and_back, g=grad: run(
                    gather_reference, index=group.flatten(1), g=g.flatten(1, 2)
                ),
            },
        )
    coarse = torch.randn(8, 1024, 256, requires_grad=True)
    weights = inverse_distance_weights(*near)
    grad = torch.randn(8, 4096, 256)
    yield Case(
        "interpolate, forward + backward",
        "8 × 4096 from 1024, 256 channels",
        {
            "gestalt3d": lambda: torch.autograd.grad(interpolate(coarse, near), coarse, grad),
            "torch indexing": lambda: torch.autograd.grad(
                interpolate_reference(coarse, near.index, weights), coarse, grad
            ),
        },
    )


def layers() -> Iterator[Case]:
    """What every layer of a point network does to memory, there and back."""
    rows, channels = 8 * 1024 * 32, 64
    for dtype in (torch.float32, torch.bfloat16):
        kind = str(dtype).removeprefix("torch.")
        x = torch.randn(rows, channels).to(dtype).requires_grad_()
        grad = torch.randn(rows, channels).to(dtype)
        weight, bias = (torch.rand(channels).requires_grad_() for _ in range(2))

        def plain(x: Tensor = x, weight: Tensor = weight, bias: Tensor = bias) -> Tensor:
            return torch.relu(
                F.batch_norm(x, None, None, weight.to(x.dtype), bias.to(x.dtype), training=True)
            )

        def there_and_back(
            run: Callable[[], Tensor], x: Tensor = x, g: Tensor = grad, more: Any = (weight, bias)
        ):
            return torch.autograd.grad(run(), (x, *more), g)

        yield Case(
            "norm_relu, forward + backward",
            f"{rows} rows of {channels} channels, {kind}",
            {
                "gestalt3d": lambda run=there_and_back, x=x, w=weight, b=bias: run(
                    lambda: norm_relu(x, w, b, eps=1e-5).out
                ),
                "torch batch_norm + relu": lambda run=there_and_back, plain=plain: run(plain),
            },
        )
        dropout, usual = Dropout(0.5), torch.nn.Dropout(0.5)
        yield Case(
            "dropout, forward + backward",
            f"{rows} rows of {channels} channels, {kind}",
            {
                name: lambda run=there_and_back, layer=layer, x=x: run(lambda: layer(x), more=())
                for name, layer in (("gestalt3d", dropout), ("torch dropout", usual))
            },
        )
    x = torch.randn(4, 4096, 128, requires_grad=True)
    index = embedding_neighbours(blobs(4096, 5, b=4), k=30).index
    grad = torch.randn(4, 4096, 128)
    rows_of = torch.arange(4)[:, None, None]
    yield Case(
        "neighbour_max, forward + backward",
        "4 × 4096, k = 30, 128 channels",
        {
            "gestalt3d": lambda: torch.autograd.grad(neighbour_max(x, index), x, grad),
            "torch indexing + max": lambda: torch.autograd.grad(x[rows_of, index].amax(2), x, grad),
        },
    )


def median(work: Callable[[], object], repeats: int = 5) -> float:
    """Milliseconds."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times))


def run() -> list[dict[str, Any]]:
    torch.manual_seed(0)
    rows = []
    for case in (
        *sampling(),
        *neighbours(torch.get_num_threads()),
        *embeddings(),
        *shapes(),
        *features(),
        *layers(),
    ):
        (_, ours), *others = case.ways.items()
        own = median(ours)
        for name, other in others:
            usual = median(other)
            row = {"case": f"{case.op}, {case.size}", "ours ms": own, "usual": name, "usual ms": usual}
            rows.append({**row, "ratio": usual / own})
    return rows

"""Sparse convolution beside the dense one, at the occupancy of a scanned room.

Submanifold 3³ convolution of 32 to 32 channels, forward and backward, rulebook at hand, in a grid of 1.6 million voxels
of which 4 % are occupied: floor, walls and furniture of a room with holes. The dense convolution starts from a dense grid
at hand. Medians in milliseconds; the first call, which compiles, is not counted.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gestalt3d.ops.sparse_conv import (
    Rules,
    sparse_conv,
    strided_rules,
    submanifold_pairs_reference,
    submanifold_rules,
)

GRID = (200, 160, 50)
CHANNELS = 32


def room() -> Tensor:
    """Ascending coordinates of the occupied voxels: surfaces, a fifth of them in patches that no camera saw."""
    rng = np.random.default_rng(0)
    grid = np.zeros(GRID, bool)
    grid[:, :, 0] = grid[0] = grid[-1] = grid[:, 0] = grid[:, -1] = True
    for _ in range(16):
        size = rng.integers((8, 8, 8), (26, 26, 26))
        x, y = rng.integers(2, np.array(GRID[:2]) - size[:2] - 2)
        box = grid[x : x + size[0], y : y + size[1], : size[2]]
        box[:] = True
        box[1:-1, 1:-1, :-1] = False
    unseen = rng.random(tuple(-(-side // 5) for side in GRID)) < 0.2
    for axis in range(3):
        unseen = unseen.repeat(5, axis)
    occupied = np.argwhere(grid & ~unseen[: GRID[0], : GRID[1], : GRID[2]])
    return torch.from_numpy(np.insert(occupied, 0, 0, axis=1))


def there_and_back(
    run: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor
) -> Callable[[], object]:
    """Forward and both gradients."""
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    grad = torch.randn_like(run(x, weight))
    return lambda: torch.autograd.grad(run(x, weight), (x, weight), grad)


def dense_way(
    at: Tensor, features: Tensor, weight: Tensor, layout: torch.memory_format
) -> Callable[[], object]:
    grid = features.new_zeros(1, CHANNELS, *GRID)
    grid[0, :, *at[:, 1:].unbind(1)] = features.T
    kernel = weight.view(3, 3, 3, CHANNELS, CHANNELS).permute(4, 3, 0, 1, 2)
    return there_and_back(
        lambda x, w: torch.nn.functional.conv3d(x, w, padding=1),
        grid.contiguous(memory_format=layout),
        kernel.contiguous(memory_format=layout),
    )


def spconv_way(at: Tensor, features: Tensor, weight: Tensor) -> Callable[[], object] | None:
    """Its CPU path with the index at hand; None where it is not installed."""
    try:
        import spconv.pytorch as spconv  # pyright: ignore[reportMissingImports]
        from spconv.pytorch import ops  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    # It asks for a CUDA stream even on the CPU where torch is a CUDA build.
    ops.get_current_stream = lambda: 0
    native = spconv.ConvAlgo.Native
    layer = spconv.SubMConv3d(CHANNELS, CHANNELS, 3, bias=False, algo=native, indice_key="room")
    layer.weight.data = weight.view(3, 3, 3, CHANNELS, CHANNELS).permute(4, 0, 1, 2, 3).contiguous()
    tensor = spconv.SparseConvTensor(features, at.int().contiguous(), list(GRID), 1)
    layer(tensor)
    x, grad = features.clone().requires_grad_(), torch.randn_like(features)
    return lambda: torch.autograd.grad(layer(tensor.replace_feature(x)).features, (x, layer.weight), grad)


def median(work: Callable[[], object], *, budget: float = 6.0) -> float:
    """Milliseconds of up to nine runs within a budget of seconds, one run at least, after one that is not counted."""
    work()
    times: list[float] = []
    while not times or (len(times) < 9 and sum(times) < budget * 1e3):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times))


def row(case: str, ours: float, usual: str, other: Callable[[], object] | None) -> dict[str, Any]:
    measured = None if other is None else median(other)
    ratio = None if measured is None else measured / ours
    return {"case": case, "ours ms": ours, "usual": usual, "usual ms": measured, "ratio": ratio}


def convolutions(at: Tensor, rules: Rules) -> list[dict[str, Any]]:
    torch.manual_seed(0)
    features, weight = torch.randn(len(at), CHANNELS), torch.randn(27, CHANNELS, CHANNELS) / 30
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        x, w = features.to(dtype), weight.to(dtype)
        ours = median(there_and_back(lambda f, k: sparse_conv(f, k, rules), x, w))
        name = str(dtype).removeprefix("torch.")
        case = f"sparse_conv 3³, {len(at)} voxels, {CHANNELS} → {CHANNELS}, {name}, forward + backward"
        for layout in (torch.contiguous_format, torch.channels_last_3d):
            usual = f"conv3d, {str(layout).removeprefix('torch.')}"
            rows.append(row(case, ours, usual, dense_way(at, x, w, layout)))
        if dtype == torch.float32:
            other = spconv_way(at, x, w)
            rows.append(row(case, ours, "spconv" if other else "spconv: not installed", other))
    return rows


def run() -> list[dict[str, Any]]:
    at = room()
    ours = median(lambda: submanifold_rules(at))
    rows = [
        row(
            f"submanifold_rules 3³, {len(at)} voxels",
            ours,
            "torch searchsorted",
            lambda: submanifold_pairs_reference(at, 3, 1),
        )
    ]
    unique = lambda: torch.unique(at // torch.tensor([1, 2, 2, 2]), dim=0, return_inverse=True)  # noqa: E731
    rows.append(
        row(f"strided_rules 2, {len(at)} voxels", median(lambda: strided_rules(at)), "torch.unique", unique)
    )
    return rows + convolutions(at, submanifold_rules(at))

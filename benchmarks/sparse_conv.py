"""Sparse convolution beside the dense one and spconv's, at the occupancy of a scanned room.

Submanifold 3³ convolution of 32 to 32 channels, forward and backward, rulebook at hand, on the voxels of 5 cm of a
synthetic room whose box is filled as the rooms' boxes are on average (16 test rooms: 4.3 % occupied, 10 neighbours a
voxel). The dense convolution starts from a dense grid at hand, spconv from its index. Medians in milliseconds; the first
call, which compiles, is not counted. "apart" is the largest difference between the outputs at occupied voxels, as a share of
the largest output. What spconv costs is measured with one thread and with all.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

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
from gestalt3d.ops.voxelize import voxelize
from gestalt3d.synth.rooms import SPLITS, make_room

CHANNELS = 32
ROOM = SPLITS["test"] + 8


class Way(NamedTuple):
    """One way to convolve: outputs of the occupied voxels, and forward and backward to be timed."""

    outputs: Tensor
    work: Callable[[], object]


def room() -> Tensor:
    """Ascending coordinates of the occupied voxels, from 0 on."""
    at = voxelize(make_room(ROOM).input.points, voxel_size=0.05).coordinates
    return torch.nn.functional.pad(at - at.amin(0), (1, 0)).contiguous()


def grid(at: Tensor) -> list[int]:
    """Voxels of the box along each axis."""
    return (at[:, 1:].amax(0) + 1).tolist()


def there_and_back(
    run: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor
) -> Callable[[], object]:
    """Forward and both gradients."""
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    grad = torch.randn_like(run(x, weight))
    return lambda: torch.autograd.grad(run(x, weight), (x, weight), grad)


def our_way(at: Tensor, features: Tensor, weight: Tensor, rules: Rules) -> Way:
    outputs = sparse_conv(features, weight, rules)
    return Way(outputs, there_and_back(lambda x, w: sparse_conv(x, w, rules), features, weight))


def dense_way(at: Tensor, features: Tensor, weight: Tensor, layout: torch.memory_format) -> Way:
    dense = features.new_zeros(1, CHANNELS, *grid(at))
    dense[0, :, *at[:, 1:].unbind(1)] = features.T
    dense = dense.contiguous(memory_format=layout)
    kernel = weight.view(3, 3, 3, CHANNELS, CHANNELS).permute(4, 3, 0, 1, 2).contiguous(memory_format=layout)
    convolve = lambda x, w: torch.nn.functional.conv3d(x, w, padding=1)  # noqa: E731
    outputs = convolve(dense, kernel)[0, :, *at[:, 1:].unbind(1)].T
    return Way(outputs, there_and_back(convolve, dense, kernel))


def spconv_way(at: Tensor, features: Tensor, weight: Tensor) -> Way | None:
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
    # It reads the memory behind coordinates as rows, whatever their strides.
    tensor = spconv.SparseConvTensor(features, at.int().contiguous(), grid(at), 1)
    outputs = layer(tensor).features.detach()
    x, grad = features.clone().requires_grad_(), torch.randn_like(features)
    convolve = lambda: layer(tensor.replace_feature(x)).features  # noqa: E731
    return Way(outputs, lambda: torch.autograd.grad(convolve(), (x, layer.weight), grad))


def median(work: Callable[[], object], *, budget: float = 6.0) -> float:
    """Milliseconds of up to nine runs within a budget of seconds, one run at least, after one that is not counted."""
    work()
    times: list[float] = []
    while not times or (len(times) < 9 and sum(times) < budget * 1e3):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times))


def row(
    case: str, ours: float, usual: str, other: float | None, apart: float | None = None
) -> dict[str, Any]:
    ratio = None if other is None else other / ours
    return {"case": case, "ours ms": ours, "usual": usual, "usual ms": other, "ratio": ratio, "apart": apart}


def against(case: str, ours: Way, milliseconds: float, usual: str, other: Way | None) -> dict[str, Any]:
    if other is None:
        return row(case, milliseconds, f"{usual}: not installed", None)
    apart = float((ours.outputs - other.outputs).abs().max() / ours.outputs.abs().max())
    return row(case, milliseconds, usual, median(other.work), apart)


def convolutions(at: Tensor, rules: Rules) -> list[dict[str, Any]]:
    torch.manual_seed(0)
    features, weight = torch.randn(len(at), CHANNELS), torch.randn(27, CHANNELS, CHANNELS) / 30
    rows, threads = [], torch.get_num_threads()
    for dtype in (torch.float32, torch.bfloat16):
        x, w = features.to(dtype), weight.to(dtype)
        ours = our_way(at, x, w, rules)
        milliseconds = median(ours.work)
        case = f"sparse_conv 3³, {str(dtype).removeprefix('torch.')}, threads: {threads}"
        for layout in (torch.contiguous_format, torch.channels_last_3d):
            usual = f"conv3d, {str(layout).removeprefix('torch.')}"
            rows.append(against(case, ours, milliseconds, usual, dense_way(at, x, w, layout)))
    for count in sorted({1, threads}):
        torch.set_num_threads(count)
        ours = our_way(at, features, weight, rules)
        case = f"sparse_conv 3³, float32, threads: {count}"
        rows.append(against(case, ours, median(ours.work), "spconv", spconv_way(at, features, weight)))
    torch.set_num_threads(threads)
    return rows


def run() -> list[dict[str, Any]]:
    at = room()
    sides = grid(at)
    share = 100 * len(at) / np.prod(sides)
    of = f"{len(at)} voxels in {' × '.join(map(str, sides))}, {share:.1f} %"
    slow = lambda: submanifold_pairs_reference(at, 3, 1)  # noqa: E731
    unique = lambda: torch.unique(at // torch.tensor([1, 2, 2, 2]), dim=0, return_inverse=True)  # noqa: E731
    ours = median(lambda: submanifold_rules(at)), median(lambda: strided_rules(at))
    return [
        row(f"submanifold_rules 3³, {of}", ours[0], "torch searchsorted", median(slow)),
        row("strided_rules 2", ours[1], "torch.unique", median(unique)),
        *convolutions(at, submanifold_rules(at)),
    ]

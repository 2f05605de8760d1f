"""Convolution on occupied voxels only: rulebooks of neighbours, and gather, multiply, add along them.

A sparse voxel grid is two plain tensors: whole coordinates (v, 4) with columns batch, x, y, z, all rows distinct, and
features (v, c). Coordinates may be negative and in any order; in ascending order rows that are close in space are
close in memory, which is faster. A rulebook depends on the coordinates alone and serves every layer of its level.

Submanifold convolution (Graham et al., CVPR 2018) keeps the occupied voxels; strided convolution makes coarser ones;
its rulebook read backwards (`Rules.inverse`) leads back to exactly the voxels it came from.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator

_FARTHEST = 2**62
_KERNEL_TYPES = (torch.float32, torch.float64, torch.bfloat16)


class Rules(NamedTuple):
    """`starts[k] <= p < starts[k + 1]` means: row `outputs[p]` takes row `inputs[p]` times weight k.

    Within one k no output and no input occurs twice. Offsets of the kernel count with z fastest, like the flattened
    last three dimensions of a weight of `conv3d`.
    """

    inputs: Int[Tensor, "p"]
    outputs: Int[Tensor, "p"]
    starts: tuple[int, ...]
    rows_in: int
    rows_out: int
    identity: int = -1
    """The k through which every row reaches itself, not listed among the pairs; -1 for none."""

    def inverse(self) -> "Rules":
        """The way back: of strided rules, the transposed convolution to the voxels they came from."""
        return Rules(self.outputs, self.inputs, self.starts, self.rows_out, self.rows_in, self.identity)


class Coarser(NamedTuple):
    coordinates: Int[Tensor, "m 4"]
    """`floor(coordinates / stride)` apart from the batch, distinct and ascending."""
    rules: Rules


def submanifold_rules(coordinates: Int[Tensor, "v 4"], *, kernel_size: int = 3, dilation: int = 1) -> Rules:
    """Pairs of occupied voxels of one batch that a cubic kernel joins; the centre is the identity.

    `outputs` take from `inputs` at `coordinates[outputs] + (x, y, z offset - kernel_size // 2) * dilation`, as
    `conv3d` with zeros for empty voxels, on occupied voxels only.
    """
    _check(coordinates, dilation=dilation)
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd and positive, got {kernel_size}; even ones have no centre")
    inputs, outputs, counts = _pairs(coordinates, kernel_size, dilation)
    rows = len(coordinates)
    return Rules(inputs, outputs, _starts(counts), rows, rows, kernel_size**3 // 2)


def neighbourhoods(coordinates: Int[Tensor, "v 3"]) -> Int[Tensor, "v 27"]:
    """Rows of the occupied voxels among the 3³ about each one, itself in the middle; -1 where there is none.

    Column `((x + 1) * 3 + y + 1) * 3 + z + 1` is the neighbour at offset (x, y, z).
    """
    if coordinates.ndim != 2 or coordinates.shape[1] != 3 or coordinates.is_floating_point():
        raise ValueError(
            f"coordinates must be whole numbers (v, 3): x, y, z; got {coordinates.dtype} {tuple(coordinates.shape)}"
        )
    rules = submanifold_rules(F.pad(coordinates, (1, 0)))
    near = torch.full((len(coordinates), 27), -1, device=coordinates.device)
    near[:, rules.identity] = torch.arange(len(coordinates), device=coordinates.device)
    counts = torch.tensor(rules.starts, device=coordinates.device).diff()
    offset = torch.arange(27, device=coordinates.device).repeat_interleave(counts)
    near[rules.outputs.long(), offset] = rules.inputs.long()
    return near


def strided_rules(coordinates: Int[Tensor, "v 4"], *, stride: int = 2) -> Coarser:
    """Pairs of each voxel with the coarse voxel that holds it: `conv3d` with kernel size and stride `stride`."""
    _check(coordinates, stride=stride)
    coarse, inputs, outputs, counts = _strided_pairs(coordinates.long(), stride)
    return Coarser(coarse, Rules(inputs, outputs, _starts(counts), len(coordinates), len(coarse)))


def sparse_conv(
    features: Float[Tensor, "n c"], weight: Float[Tensor, "k c d"], rules: Rules
) -> Float[Tensor, "m d"]:
    """`result[o] = sum of features[i] @ weight[k]` over the rules' pairs (i, o) of every k; zeros where there is none.

    Differentiable twice. Sums run over k in order, in float32 at least; products in bfloat16 are rounded before they
    are added. On one CPU the result and the gradients are the same, bit for bit, whatever the number of threads; another
    CPU or another torch may round products otherwise. Under autocast features and weight take its type, like a linear layer's.
    """
    kernel = len(rules.starts) - 1
    if weight.shape[:2] != (kernel, features.shape[1]):
        raise ValueError(
            f"weight must be ({kernel}, {features.shape[1]}, outputs) for these rules and features, "
            f"got {tuple(weight.shape)}"
        )
    if len(features) != rules.rows_in:
        raise ValueError(
            f"features must have the {rules.rows_in} rows of the rules, got {len(features)}; "
            "make the rules from the coordinates of these features"
        )
    device = features.device.type
    if torch.is_autocast_enabled(device) and features.dtype != torch.float64:
        dtype = torch.get_autocast_dtype(device)
        features, weight = features.to(dtype), weight.to(dtype)
    return _conv(
        features, weight, rules.inputs, rules.outputs, list(rules.starts), rules.rows_out, rules.identity
    )


# ── rulebooks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _check(coordinates: Tensor, **at_least_one: int) -> None:
    if coordinates.ndim != 2 or coordinates.shape[1] != 4 or coordinates.is_floating_point():
        raise ValueError(
            f"coordinates must be whole numbers (v, 4): batch, x, y, z; got {coordinates.dtype} {tuple(coordinates.shape)}"
        )
    for name, value in at_least_one.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if len(coordinates) >= 2**31:
        raise ValueError(f"coordinates must have fewer than 2^31 rows, got {len(coordinates)}; cut the scene")


def _starts(counts: Tensor) -> tuple[int, ...]:
    return (0, *counts.cumsum(0).tolist())


def _keys(coordinates: Tensor, margin: int, *, factor: int = 1) -> tuple[Tensor, tuple[int, int, int]]:
    """One int64 per row, ascending like the rows, and what a step along x, y and z adds to it.

    `margin` cells stay empty between the lines of the grid, so that a step that long cannot land in another line.
    """
    low = coordinates.amin(0)
    extents = [e + margin + 1 for e in (coordinates.amax(0) - low).tolist()]
    cells = factor * extents[0] * extents[1] * extents[2] * extents[3]
    if cells >= _FARTHEST or min(extents) <= 0:
        raise ValueError(
            f"coordinates must span fewer than 2^62 cells, got {' × '.join(map(str, extents))}; drop stray voxels"
        )
    steps = (extents[2] * extents[3], extents[3], 1)
    batch, x, y, z = (coordinates - low).unbind(1)
    return ((batch * extents[1] + x) * extents[2] + y) * extents[3] + z, steps


def _sorted(keys: Tensor, coordinates: Tensor) -> tuple[Tensor, Tensor | None]:
    """Ascending keys and the rows they came from; None where they ascend already."""
    order = None
    if not bool((keys[1:] > keys[:-1]).all()):
        # NumPy sorts whole numbers several times faster than PyTorch does on the CPU.
        on_cpu = keys.device.type == "cpu"
        order = torch.from_numpy(keys.numpy().argsort()) if on_cpu else torch.sort(keys).indices
        keys = keys[order]
        twice = (keys[1:] == keys[:-1]).nonzero()
        if len(twice):
            first, second = sorted(int(order[int(twice[0, 0]) + t]) for t in (0, 1))
            raise ValueError(
                f"coordinates must be distinct, got {tuple(coordinates[first].tolist())} in rows {first} and "
                f"{second}; merge them first, as voxelize does"
            )
    return keys, order


def _lines(coordinates: Tensor, kernel_size: int, dilation: int) -> tuple[Tensor, Tensor | None, list[int]]:
    """Ascending keys, their rows, and what the second half of the kernel's offsets adds to a key."""
    reach = kernel_size // 2
    keys, steps = _keys(coordinates.long(), reach * dilation)
    keys, order = _sorted(keys, coordinates)
    span = range(-reach, reach + 1)
    deltas = [
        dilation * (x * steps[0] + y * steps[1] + z * steps[2]) for x in span for y in span for z in span
    ]
    return keys, order, deltas[kernel_size**3 // 2 + 1 :]


def submanifold_pairs_reference(
    coordinates: Tensor, kernel_size: int, dilation: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The definition, in plain PyTorch: inputs and outputs of all pairs, and how many of them each offset has.

    The first half of the offsets mirrors the second: whom I reach reaches me. Within an offset, pairs ascend.
    """
    if len(coordinates) == 0:
        return _no_pairs(coordinates, kernel_size**3)
    keys, order, deltas = _lines(coordinates, kernel_size, dilation)
    sources, targets = [], []
    for delta in deltas:
        wanted = keys + delta
        place = torch.searchsorted(keys, wanted).clamp_(max=len(keys) - 1)
        target = (keys[place] == wanted).nonzero()[:, 0]
        sources.append(place[target])
        targets.append(target)
    none = keys.new_empty(0)
    inputs = torch.cat([*reversed(targets), none, *sources])
    outputs = torch.cat([*reversed(sources), none, *targets])
    counts = [len(t) for t in targets]
    every = torch.tensor([*reversed(counts), 0, *counts], device=coordinates.device)
    return _rows(inputs, order), _rows(outputs, order), every


def _rows(index: Tensor, order: Tensor | None) -> Tensor:
    return (index if order is None else order[index]).to(torch.int32)


def _no_pairs(coordinates: Tensor, kernel: int) -> tuple[Tensor, Tensor, Tensor]:
    none = coordinates.new_empty(0, dtype=torch.int32)
    return none, none.clone(), coordinates.new_zeros(kernel, dtype=torch.int64)


def _strided_pairs(coordinates: Tensor, stride: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if len(coordinates) == 0:
        return coordinates.clone(), *_no_pairs(coordinates, stride**3)
    scale = coordinates.new_tensor([1, stride, stride, stride])
    coarse = coordinates.div(scale, rounding_mode="floor")
    _, x, y, z = (coordinates - coarse * scale).unbind(1)
    offset = (x * stride + y) * stride + z
    keys, _ = _keys(coarse, 0, factor=stride**3)
    keys, order = _sorted(keys * stride**3 + offset, coordinates)
    if order is None:
        order = torch.arange(len(keys), device=keys.device)
    cell = keys.div(stride**3, rounding_mode="floor")
    first = torch.cat([cell.new_ones(1, dtype=torch.bool), cell[1:] != cell[:-1]])
    number = first.cumsum(0) - 1
    by_offset = torch.sort(offset[order], stable=True)
    counts = torch.bincount(by_offset.values, minlength=stride**3)
    inputs, outputs = order[by_offset.indices], number[by_offset.indices]
    return coarse[order[first]], inputs.to(torch.int32), outputs.to(torch.int32), counts


_pairs = Operator(
    "gestalt3d::submanifold_pairs",
    submanifold_pairs_reference,
    schema="(Tensor coordinates, int kernel_size, int dilation) -> (Tensor, Tensor, Tensor)",
)


@_pairs.register_kernel("cpu")
def _pairs_cpu(coordinates: Tensor, kernel_size: int, dilation: int) -> tuple[Tensor, Tensor, Tensor]:
    if len(coordinates) == 0:
        return _no_pairs(coordinates, kernel_size**3)
    from gestalt3d.ops._numba.sparse_conv import pairs as kernel

    keys, order, deltas = _lines(coordinates, kernel_size, dilation)
    inputs, outputs, counts = kernel(keys, deltas, kernel_size)
    return _rows(inputs, order), _rows(outputs, order), counts


@_pairs.register_fake
def _pairs_fake(coordinates: Tensor, kernel_size: int, dilation: int) -> tuple[Tensor, Tensor, Tensor]:
    pairs = torch.library.get_ctx().new_dynamic_size()
    rows = coordinates.new_empty(pairs, dtype=torch.int32)
    return rows, torch.empty_like(rows), coordinates.new_empty(kernel_size**3, dtype=torch.int64)


# ── convolution ─────────────────────────────────────────────────────────────────────────────────────────────────────


def sparse_conv_reference(
    features: Tensor,
    weight: Tensor,
    inputs: Tensor,
    outputs: Tensor,
    starts: list[int],
    rows: int,
    identity: int,
) -> Tensor:
    """The definition, in plain PyTorch: gather, multiply, add, one offset after the other.

    No output occurs twice in one offset, so nothing in the sum depends on timing, on a GPU neither.
    """
    wide = torch.promote_types(features.dtype, torch.float32)
    out = torch.zeros((rows, weight.shape[2]), dtype=wide, device=features.device)
    for k, (first, last) in enumerate(pairwise(starts)):
        if k == identity:
            out += features @ weight[k]
        elif last > first:
            product = features.index_select(0, inputs[first:last]) @ weight[k]
            out.index_add_(0, outputs[first:last], product.to(wide))
    return out.to(features.dtype)


def weight_gradient_reference(
    features: Tensor, grad: Tensor, inputs: Tensor, outputs: Tensor, starts: list[int], identity: int
) -> Tensor:
    """Sum of the outer products of features and gradients over the pairs of every offset."""
    out = features.new_zeros((len(starts) - 1, features.shape[1], grad.shape[1]))
    for k, (first, last) in enumerate(pairwise(starts)):
        if k == identity:
            out[k] = features.T @ grad
        elif last > first:
            taken = features.index_select(0, inputs[first:last])
            out[k] = taken.T @ grad.index_select(0, outputs[first:last])
    return out


_conv = Operator(
    "gestalt3d::sparse_conv",
    sparse_conv_reference,
    schema="(Tensor features, Tensor weight, Tensor inputs, Tensor outputs, int[] starts, SymInt rows, int identity)"
    " -> Tensor",
)
_weight_gradient = Operator(
    "gestalt3d::sparse_conv_weight_gradient",
    weight_gradient_reference,
    schema="(Tensor features, Tensor grad, Tensor inputs, Tensor outputs, int[] starts, int identity) -> Tensor",
)


@_conv.register_kernel("cpu", halves=True)
def _conv_cpu(features, weight, inputs, outputs, starts, rows, identity):
    if features.dtype not in _KERNEL_TYPES or 0 in weight.shape:
        return sparse_conv_reference(features, weight, inputs, outputs, starts, rows, identity)
    from gestalt3d.ops._numba.sparse_conv import sparse_conv as kernel

    return kernel(features, weight, inputs, outputs, starts, rows, identity)


@_conv.register_fake
def _conv_fake(features, weight, inputs, outputs, starts, rows, identity):
    return features.new_empty((rows, weight.shape[2]))


@_weight_gradient.register_kernel("cpu", halves=True)
def _weight_gradient_cpu(features, grad, inputs, outputs, starts, identity):
    if features.dtype not in _KERNEL_TYPES or 0 in (*features.shape, *grad.shape):
        return weight_gradient_reference(features, grad, inputs, outputs, starts, identity)
    from gestalt3d.ops._numba.sparse_conv import weight_gradient as kernel

    return kernel(features, grad, inputs, outputs, starts, identity)


@_weight_gradient.register_fake
def _weight_gradient_fake(features, grad, inputs, outputs, starts, identity):
    return features.new_empty((len(starts) - 1, features.shape[1], grad.shape[1]))


def _conv_context(ctx, inputs, output) -> None:
    features, weight, sources, targets, ctx.starts, _, ctx.identity = inputs
    ctx.save_for_backward(features, weight, sources, targets)


def _conv_gradient(ctx, grad):
    """A convolution along the inverse rules for the features, outer products along the rules for the weight."""
    features, weight, inputs, outputs = ctx.saved_tensors
    d_features = d_weight = None
    if ctx.needs_input_grad[0]:
        turned = weight.transpose(1, 2)
        d_features = _conv(grad, turned, outputs, inputs, ctx.starts, len(features), ctx.identity)
    if ctx.needs_input_grad[1]:
        d_weight = _weight_gradient(features, grad, inputs, outputs, ctx.starts, ctx.identity)
    return d_features, d_weight, None, None, None, None, None


def _weight_gradient_context(ctx, inputs, output) -> None:
    *tensors, ctx.starts, ctx.identity = inputs
    ctx.save_for_backward(*tensors)


def _weight_gradient_gradient(ctx, turn):
    """The weight's gradient is linear in both, and each part is a convolution again."""
    features, grad, inputs, outputs = ctx.saved_tensors
    d_features = d_grad = None
    if ctx.needs_input_grad[0]:
        turned = turn.transpose(1, 2)
        d_features = _conv(grad, turned, outputs, inputs, ctx.starts, len(features), ctx.identity)
    if ctx.needs_input_grad[1]:
        d_grad = _conv(features, turn, inputs, outputs, ctx.starts, len(grad), ctx.identity)
    return d_features, d_grad, None, None, None, None


_conv.register_autograd(_conv_gradient, setup_context=_conv_context)
_weight_gradient.register_autograd(_weight_gradient_gradient, setup_context=_weight_gradient_context)

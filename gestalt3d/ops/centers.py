"""Directions to the centre of sets of points, and how well given vectors agree with them.

A point that lies on its centre, to within a few rounding steps of the largest coordinate, has no direction.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator


def to_centers(
    positions: Float[Tensor, "n 3"], groups: Int[Tensor, "n"], num_groups: int
) -> tuple[Float[Tensor, "n 3"], Tensor]:
    """Unit vectors from every position to the mean of its group, zero where it lies on it; and where it does not (n,)."""
    wide = positions.to(torch.promote_types(positions.dtype, torch.float32))
    total = wide.new_zeros(num_groups, 3).index_add(0, groups, wide)
    counts = torch.bincount(groups, minlength=num_groups).clamp(min=1)
    offset = (total / counts[:, None])[groups] - wide
    length = torch.linalg.vector_norm(offset, dim=1, keepdim=True)
    rounding = _step(wide)
    known = length > rounding
    return torch.where(known, offset / length.clamp(min=rounding), 0.0).to(positions.dtype), known[:, 0]


def _step(positions: Tensor) -> float:
    """A few rounding steps of the largest coordinate: shorter vectors are noise."""
    largest = float(positions.abs().max()) if positions.numel() else 0.0
    return 8 * torch.finfo(positions.dtype).eps * max(largest, 1.0)


def center_coherency(
    directions: Float[Tensor, "v 3"],
    positions: Float[Tensor, "v 3"],
    offsets: Int[Tensor, "p_plus_1"],
    indices: Int[Tensor, "m"],
    pairs: Int[Tensor, "2 e"],
) -> Float[Tensor, "e"]:
    """Mean cosine between vectors and those to the centre of the union of two sets of points, -1 to 1; computed on the CPU.

    `indices[offsets[i]:offsets[i + 1]]` are the points of set i; the sets of a pair have none in common, and of a pair (i, -1)
    set i stands alone. Points on the centre do not count, vectors of length zero count as 0; a union of points on its centre
    only has 0. No gradient.
    """
    if len(directions) != len(positions):
        raise ValueError(
            f"there must be as many directions as positions, got {len(directions)} and {len(positions)}"
        )
    if not (
        len(offsets)
        and int(offsets[0]) == 0
        and int(offsets[-1]) == len(indices)
        and bool((offsets.diff() >= 0).all())
    ):
        raise ValueError(f"offsets must ascend from 0 to the number of indices, {len(indices)}")
    if len(indices) and not (int(indices.min()) >= 0 and int(indices.max()) < len(positions)):
        raise ValueError(
            f"indices must name points in [0, {len(positions)}), got {int(indices.min())} to {int(indices.max())}"
        )
    count = len(offsets) - 1
    if pairs.numel() and not (int(pairs.min()) >= -1 and int(pairs.max()) < count):
        raise ValueError(
            f"pairs must name sets in [0, {count}) or be -1, got {int(pairs.min())} to {int(pairs.max())}"
        )
    given = (each.detach().cpu() for each in (directions, positions, offsets, indices, pairs))
    return _op(*given).to(directions.device)


def center_coherency_reference(
    directions: Tensor, positions: Tensor, offsets: Tensor, indices: Tensor, pairs: Tensor
) -> Tensor:
    """The definition, a union at a time."""
    rounding, found = _step(positions), directions.new_zeros(pairs.shape[1])
    for e, sets in enumerate(pairs.T.tolist()):
        own = torch.cat(
            [indices[int(offsets[i]) : int(offsets[i + 1])] for i in sets if i >= 0] or [indices[:0]]
        )
        offset = positions[own].mean(0) - positions[own]
        known = torch.linalg.vector_norm(offset, dim=1) > rounding
        if known.any():
            found[e] = F.cosine_similarity(directions[own], offset, dim=1, eps=1e-12)[known].mean()
    return found


_op = Operator(
    "gestalt3d::center_coherency",
    center_coherency_reference,
    schema="(Tensor directions, Tensor positions, Tensor offsets, Tensor indices, Tensor pairs) -> Tensor",
)


@_op.register_kernel("cpu")
def _cpu(directions: Tensor, positions: Tensor, offsets: Tensor, indices: Tensor, pairs: Tensor) -> Tensor:
    from gestalt3d.ops._numba import centers as cpu
    from gestalt3d.ops._numba import parallel

    found, rounding = torch.empty(pairs.shape[1], dtype=torch.float64), _step(positions)
    unit = F.normalize(directions.contiguous(), dim=1).numpy()
    given = [each.contiguous().numpy() for each in (positions, offsets, indices, pairs)]
    parallel(
        lambda first, last: cpu.center_coherency(unit, *given, rounding, found.numpy(), first, last),
        pairs.shape[1],
    )
    return found.to(directions.dtype)


@_op.register_fake
def _fake(directions: Tensor, positions: Tensor, offsets: Tensor, indices: Tensor, pairs: Tensor) -> Tensor:
    return directions.new_empty(pairs.shape[1])

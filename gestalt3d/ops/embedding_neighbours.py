"""Nearest neighbours among embeddings, as ASIS's instance fusion asks for, without the n × n matrix."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.knn import smallest
from gestalt3d.ops.operator import Operator

_PAIRS_AT_ONCE = 2**24


class EmbeddingNeighbours(NamedTuple):
    """`index[b, n, j] = i` means `x[b, i]` is the j-th nearest to `x[b, n]`; (inf, -1) where none is."""

    distance: Float[Tensor, "b n k"]
    """Not squared, ascending."""
    index: Int[Tensor, "b n k"]


def embedding_neighbours_reference(
    x: Float[Tensor, "b n e"], k: int, p: int
) -> tuple[Float[Tensor, "b n k"], Int[Tensor, "b n k"]]:
    """The definition, in plain PyTorch: all distances, as many rows at a time as memory should hold."""
    b, n, _ = x.shape
    found = []
    for rows in x.split(max(1, _PAIRS_AT_ONCE // max(1, b * n)), dim=1):
        distance = x.new_zeros((b, rows.shape[1], n))
        for a, r in zip(x.unbind(-1), rows.unbind(-1), strict=True):
            difference = a[:, None, :] - r[:, :, None]
            distance += difference.abs_() if p == 1 else difference.square_()
        found.append(smallest(distance, k))
    distance, index = (torch.cat(parts, dim=1) for parts in zip(*found, strict=True))
    return (distance if p == 1 else distance.sqrt_()), index


_op = Operator(
    "gestalt3d::embedding_neighbours",
    embedding_neighbours_reference,
    schema="(Tensor x, int k, int p) -> (Tensor, Tensor)",
)


@_op.register_kernel("cpu")
def _cpu(x: Tensor, k: int, p: int) -> tuple[Tensor, Tensor]:
    from gestalt3d.ops._numba.embedding_neighbours import embedding_neighbours as kernel

    return kernel(x, k, p)


@_op.register_fake
def _fake(x: Tensor, k: int, p: int) -> tuple[Tensor, Tensor]:
    shape = (*x.shape[:2], k)
    return x.new_empty(shape), x.new_empty(shape, dtype=torch.int64)


def embedding_neighbours(x: Float[Tensor, "b n e"], *, k: int, p: Literal[1, 2] = 1) -> EmbeddingNeighbours:
    """The `k` rows of `x` nearest to each row in the L1 or L2 norm, nearest first, the row itself included.

    Exact, in memory linear in n. Equal distances (for p = 2: equal squares): lowest index wins, so among
    duplicates a row is not always its own first neighbour. Padded with (inf, -1) when n < k. Coordinates are
    added left to right in the precision of `x` (half precision: float32). Neither output carries a gradient.
    """
    if k < 0:
        raise ValueError(f"k must not be negative, got {k}")
    if p not in (1, 2):
        raise ValueError(f"p must be 1 or 2, got {p}")
    return EmbeddingNeighbours(*_op(x.detach().to(torch.promote_types(x.dtype, torch.float32)), k, p))

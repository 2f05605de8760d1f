"""Sets that overlap: by how much, and which of them stay. Elements count as one each, or as their `weights` say."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from torch import Tensor

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.sets import Sets

_ROWS_AT_ONCE = 256
"""Sets whose overlaps with all others are known at a time."""


def sizes_of(sets: Sets, weights: Int[Tensor, "e"] | None = None) -> Int[Tensor, "p"]:
    """What the elements of each set count together."""
    if weights is None:
        return sets.sizes
    return weights.new_zeros(len(sets)).index_add_(0, sets.owners, weights[sets.indices])


def table_of(sets: Sets, weights: Int[Tensor, "e"] | None = None) -> csr_matrix:
    """(p, e) int64: what element of a column counts in the set of a row."""
    index = sets.indices.cpu().numpy()
    ones = np.ones(len(index), dtype=np.int64)
    each = ones if weights is None else weights.long().cpu().numpy()[index]
    return csr_matrix((each, index, sets.offsets.cpu().numpy()), shape=(len(sets), sets.size))


class Overlap(NamedTuple):
    """Those sets that share anything with one set, itself included."""

    row: int
    others: np.ndarray
    """(k,) numbers of the sets."""
    iou: np.ndarray
    """(k,) float64."""


class Overlaps:
    """How much sets overlap each other, of some of them at a time."""

    def __init__(self, sets: Sets, weights: Int[Tensor, "e"] | None = None) -> None:
        self.sizes = sizes_of(sets, weights).cpu().numpy()
        self._members, self._holders = table_of(sets), table_of(sets, weights).T.tocsr()

    def of(self, rows: np.ndarray) -> Iterator[Overlap]:
        """Those of the sets of these numbers, one by one."""
        shared = (self._members[rows] @ self._holders).tocsr()
        for row, start, stop in zip(rows.tolist(), shared.indptr, shared.indptr[1:], strict=False):
            others, common = shared.indices[start:stop], shared.data[start:stop]
            union = self.sizes[row] + self.sizes[others] - common
            yield Overlap(row, others, common / np.maximum(union, 1))


def best_first(scores: Float[Tensor, "p"], sizes: Int[Tensor, "p"]) -> Int[Tensor, "p"]:
    """Sets by score, then size, both descending, then by number."""
    by_size = torch.argsort(sizes, descending=True, stable=True)
    return by_size[torch.argsort(scores[by_size], descending=True, stable=True)]


def suppress(
    proposals: Sets, order: Int[Tensor, "p"], *, max_iou: float, weights: Int[Tensor, "e"] | None = None
) -> Int[Tensor, "q"]:
    """Non-maximum suppression over sets: in the given order, each that overlaps no kept one by an IoU above `max_iou`."""
    if len(order) == 0:
        return order
    overlaps = Overlaps(proposals.take(order), weights)
    gone, kept = np.zeros(len(order), dtype=bool), []
    for first in range(0, len(order), _ROWS_AT_ONCE):
        # Of those that an earlier one has dropped nothing need be known.
        for found in overlaps.of(first + np.flatnonzero(~gone[first : first + _ROWS_AT_ONCE])):
            if not gone[found.row]:
                kept.append(found.row)
                gone[found.others[found.iou > max_iou]] = True
    return order[torch.tensor(kept, device=order.device)]


def without_overlap(
    proposals: Sets,
    order: Int[Tensor, "q"],
    *,
    min_rest: float,
    least: int,
    weights: Int[Tensor, "e"] | None = None,
) -> tuple[Sets, Int[Tensor, "r"]]:
    """One coherent labelling: in the given order each takes its elements that no earlier one took; and which were kept.

    A set that less than the share `min_rest` of its elements is left of, or what counts less than `least`, takes none.
    """
    counts = (
        torch.ones(proposals.size, dtype=torch.int64, device=order.device) if weights is None else weights
    )
    free = torch.ones(proposals.size, dtype=torch.bool, device=order.device)
    parts, kept = [], []
    members = list(proposals)
    for i in order.tolist():
        own = members[i]
        rest = own[free[own]]
        left, whole = int(counts[rest].sum()), int(counts[own].sum())
        if left >= max(least, 1) and left >= min_rest * whole:
            free[rest] = False
            parts.append(rest)
            kept.append(i)
    sizes = order.new_tensor([len(part) for part in parts])
    indices = torch.cat([order.new_zeros(0), *parts])
    return Sets.from_sizes(sizes, indices, proposals.size), order.new_tensor(kept)


def apart(found: Instances, *, min_rest: float = 0.5) -> Instances:
    """Each element in one instance at most, that of the best score; ties as in `best_first`. The best come first.

    An instance of which better ones leave less than the share `min_rest` is gone, and what they took with it. Whole objects and
    boxes that a method gives stay as they are.
    """
    order = best_first(found.scores, found.sizes)
    masks, kept = without_overlap(found.masks, order, min_rest=min_rest, least=1)
    return replace(found[kept], masks=masks)

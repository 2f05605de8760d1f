"""Merge what was found in overlapping blocks over superpoints: objects are those that the blocks agree on.

Ours. BlockMerging (`ops.blocks`) lets the first block decide, and votes (`ops.block_votes`) join what any two blocks agree on.

1. Two superpoints agree by the share of the pairs of drawn points, one of each in the same block, that the blocks put into
   the same cluster.
2. That counts as far as their classes are alike: times the cosine of their mean probabilities ** `class_power`.
3. Average linkage (`ops.average_linkage`), pairs of superpoints weighted by their pairs of points, joins what agrees by at least
   `min_agreement`.

More blocks, from other sides too, make the shares more certain, and neither their order nor one block's mistake decides.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_matrix, csr_matrix, triu
from torch import Tensor

from gestalt3d.ops.average_linkage import average_linkage

_ROWS_AT_ONCE = 2**14
"""Superpoints whose pairs with all others are counted at a time."""
_PAIRS_AT_ONCE = 2**20
"""Pairs of superpoints whose classes are compared at a time."""


class Agreement:
    """Takes block after block, then tells the objects."""

    def __init__(
        self,
        num_superpoints: int,
        num_classes: int,
        *,
        class_power: float = 4.0,
        min_agreement: float = 0.15,
        min_points: int = 30,
    ) -> None:
        self.num_superpoints, self.min_points = num_superpoints, min_points
        self.class_power, self.min_agreement = class_power, min_agreement
        self._blocks = self._clusters = 0
        self._seen: list[np.ndarray] = []
        self._members: list[np.ndarray] = []
        self._sums = np.zeros((num_superpoints, num_classes))
        self.times = torch.zeros(num_superpoints, dtype=torch.int64)
        """How often blocks drew points of each superpoint."""

    def add(
        self,
        superpoints: Int[Tensor, "n"],
        clusters: Int[Tensor, "n"],
        probabilities: Float[Tensor, "n c"],
    ) -> None:
        """Take note of one block, of which the superpoint, the cluster (-1: none) and the classes of each point are given."""
        pieces, found = superpoints.cpu().numpy(), clusters.cpu().numpy().astype(np.int64)
        own, row, counts = np.unique(pieces, return_inverse=True, return_counts=True)
        self._seen.append(np.stack([own, np.full_like(own, self._blocks), counts]).astype(np.int32))
        self.times[torch.from_numpy(own)] += torch.from_numpy(counts)
        number = int(found.max(initial=-1)) + 1
        member = found >= 0
        pairs, counts = np.unique(pieces[member] * max(number, 1) + found[member], return_counts=True)
        piece, cluster = np.divmod(pairs, max(number, 1))
        self._members.append(np.stack([piece, cluster + self._clusters, counts]).astype(np.int32))
        self._blocks, self._clusters = self._blocks + 1, self._clusters + number
        sums = csr_matrix((np.ones(len(row)), (row, np.arange(len(row)))), shape=(len(own), len(row)))
        self._sums[own] += sums @ probabilities.double().cpu().numpy()

    def means(self) -> Float[Tensor, "p c"]:
        """Mean probabilities of the classes over the drawn points of each superpoint, repeats counted; zeros without any."""
        return (torch.from_numpy(self._sums) / self.times.clamp(min=1)[:, None]).float()

    def objects(self) -> Int[Tensor, "p"]:
        """Object of each superpoint, counted from 0; -1 for those that no block saw and for objects of which blocks put fewer
        than `min_points` drawn points into clusters, repeats counted.
        """
        if not self._blocks:
            return torch.full((self.num_superpoints,), -1)
        members = self._table(self._members, self._clusters)
        pairs = _pairs(self._table(self._seen, self._blocks), self.num_superpoints)
        together = _pairs(members, self.num_superpoints)
        shares = np.zeros(len(pairs.data))
        # What is in one cluster was seen together: those pairs are among the others.
        keys = pairs.row.astype(np.int64) * self.num_superpoints + pairs.col
        shares[np.searchsorted(keys, together.row.astype(np.int64) * self.num_superpoints + together.col)] = (
            together.data
        )
        shares /= pairs.data
        shares *= self._alikeness(pairs.row, pairs.col)
        labels = average_linkage(
            torch.from_numpy(np.stack([pairs.row, pairs.col]).astype(np.int64)),
            torch.from_numpy(shares),
            torch.from_numpy(pairs.data.astype(np.float64)),
            num_nodes=self.num_superpoints,
            min_similarity=self.min_agreement,
        )
        drawn = np.asarray(members.sum(1)).ravel()
        enough = torch.from_numpy(np.bincount(labels.numpy(), drawn)) >= max(self.min_points, 1)
        return torch.where(enough[labels], enough.cumsum(0)[labels] - 1, -1)

    def _table(self, entries: list[np.ndarray], columns: int) -> csr_matrix:
        """Points of each superpoint in each block or cluster."""
        row, column, points = np.concatenate(entries, axis=1)
        return csr_matrix((points.astype(np.int64), (row, column)), shape=(self.num_superpoints, columns))

    def _alikeness(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Cosine of the mean probabilities of each two superpoints, to the power asked for."""
        length = np.linalg.norm(self._sums, axis=1, keepdims=True)
        unit = self._sums / np.maximum(length, np.finfo(float).tiny)
        alike = np.empty(len(first))
        for start in range(0, len(first), _PAIRS_AT_ONCE):
            some = slice(start, start + _PAIRS_AT_ONCE)
            alike[some] = np.einsum("mc,mc->m", unit[first[some]], unit[second[some]])
        return alike.clip(0, 1) ** self.class_power


def _pairs(table: csr_matrix, rows: int) -> coo_matrix:
    """`table @ table.T`, whose rows these are, right of the diagonal, row by row."""
    parts, columns = [], table.T.tocsr()
    for start in range(0, rows, _ROWS_AT_ONCE):
        part = table[start : start + _ROWS_AT_ONCE] @ columns
        part.sort_indices()
        above = coo_matrix(triu(part, k=start + 1))
        parts.append((above.row + start, above.col, above.data))
    row, column, values = (np.concatenate(each) for each in zip(*parts, strict=True))
    return coo_matrix((values, (row, column)), shape=(rows, rows))

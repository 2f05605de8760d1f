"""Merge what was found in overlapping blocks by agreement: ours, for when no block's word should be final."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_matrix, csr_matrix
from torch import Tensor

from gestalt3d.ops.components import graph_components, voxel_pairs
from gestalt3d.ops.voxel_keys import coordinates_of, modes, voxel_grid, voxel_keys


class _Block(NamedTuple):
    """What one block said."""

    voxels: np.ndarray
    """Keys of those that it saw, ascending."""
    cluster: np.ndarray
    """Of each entry: a cluster and a voxel that it has points in."""
    voxel: np.ndarray
    """Of each entry, a row of `voxels`."""
    points: np.ndarray
    """Of each entry: how many."""
    classes: np.ndarray
    """Of each cluster."""


class BlockVotes:
    """Parts of one object are found in several blocks: those that agree are joined, and every voxel goes by majority.

    1. Clusters of two blocks belong together where they have one class and, of the voxels that both blocks saw, share
       at least `min_overlap` and an IoU of at least `min_iou`. Up to a half, what one block parts in two another can
       join.
    2. An object is a connected component of clusters, of at least `min_points` points, repeats counted.
    3. A voxel is of the object that most points in it and in the 26 voxels around it were said to be of: blocks draw
       different points, so a voxel alone hears few of them. An object that wins less than `min_won` of the voxels that
       it has points in is dropped, and what it won goes by the others' votes; it keeps what is left then, if that is at
       least `min_points` voxels.

    Unlike in BlockMerging (`BlockMerger`) neither the blocks' order nor one block's mistake decides; unlike there,
    nothing is known before all blocks are. Ties: the object with the earliest cluster.
    """

    def __init__(
        self,
        voxel_size: float | Float[Tensor, "3"],
        *,
        origin: Float[Tensor, "3"] | None = None,
        min_iou: float = 0.35,
        min_overlap: int = 7,
        min_points: int = 30,
        min_won: float = 0.5,
    ) -> None:
        self.voxel_size, self.origin = voxel_grid(voxel_size, origin)
        self.min_iou, self.min_won = min_iou, min_won
        self.min_overlap, self.min_points = min_overlap, min_points
        self._blocks: list[_Block] = []

    def add(
        self, points: Float[Tensor, "n 3"], clusters: Int[Tensor, "n"], classes: Int[Tensor, "n"]
    ) -> None:
        """Take note of one block.

        `points` are in the room's frame; cluster -1 is none; a cluster's class is the mode of its points' `classes`, the lowest
        on ties.
        """
        voxels, row = np.unique(voxel_keys(points, self.voxel_size, self.origin), return_inverse=True)
        clusters_ = clusters.cpu().numpy().astype(np.int64)
        member = np.flatnonzero(clusters_ >= 0)
        clusters_ = clusters_[member]
        class_of = modes(
            clusters_, classes.cpu().numpy().astype(np.int64)[member], int(clusters_.max(initial=-1)) + 1
        )
        entries, counts = np.unique(clusters_ * max(len(voxels), 1) + row[member], return_counts=True)
        cluster, voxel = np.divmod(entries, max(len(voxels), 1))
        cluster, voxel, counts = (values.astype(np.int32) for values in (cluster, voxel, counts))
        self._blocks.append(_Block(voxels, cluster, voxel, counts, class_of))

    def labels(self, points: Float[Tensor, "n 3"]) -> Int[Tensor, "n"]:
        """Object of the voxel each point lies in, counted from 0, -1 where there is none."""
        voxels, objects = self._objects()
        keys = voxel_keys(points, self.voxel_size, self.origin)
        at = np.searchsorted(voxels, keys)
        found = np.append(objects, -1)[at]
        known = np.append(voxels, -1)[at] == keys
        return torch.from_numpy(np.where(known, found, -1)).to(points.device)

    def _objects(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys of all voxels, ascending, and the object of each."""
        blocks = self._blocks
        numbers = np.arange(len(blocks))
        classes = np.concatenate([_NONE, *(block.classes for block in blocks)])
        seen = np.concatenate([_NONE, *(block.voxels for block in blocks)])
        voxels, row = np.unique(seen, return_inverse=True)
        if len(classes) == 0:
            return voxels, np.full(len(voxels), -1)
        rows = np.split(row, np.cumsum([len(block.voxels) for block in blocks])[:-1])
        sight = _table(
            numbers.repeat([len(block.voxels) for block in blocks]), row, (len(blocks), len(voxels))
        )
        first = np.cumsum([0, *(len(block.classes) for block in blocks)])
        cluster = np.concatenate([block.cluster + k for block, k in zip(blocks, first, strict=False)])
        voxel = np.concatenate([own[block.voxel] for block, own in zip(blocks, rows, strict=True)])
        members = _table(cluster, voxel, (len(classes), len(voxels)))
        owner = numbers.repeat(first[1:] - first[:-1])
        object_of_cluster = self._joined(members, sight, owner, classes)

        points = np.concatenate([block.points for block in blocks])
        votes = csr_matrix((points, (voxel, object_of_cluster[cluster])), shape=members.T.shape)
        return voxels, self._won(votes, _near(voxels))

    def _joined(
        self, members: csr_matrix, sight: csr_matrix, owner: np.ndarray, classes: np.ndarray
    ) -> np.ndarray:
        """Connected components of the clusters that agree, in the order of their first clusters."""
        shared = (members @ members.T).tocoo()
        a, b = shared.row, shared.col
        pair = (
            (a < b) & (owner[a] != owner[b]) & (classes[a] == classes[b]) & (shared.data >= self.min_overlap)
        )
        a, b, common = a[pair], b[pair], shared.data[pair]
        visible = (members @ sight.T).tocsr()  # voxels of a cluster that a block saw
        of_a, of_b = (np.asarray(visible[x, owner[y]]).ravel() for x, y in ((a, b), (b, a)))
        agree = common >= self.min_iou * (of_a + of_b - common)
        links = torch.from_numpy(np.stack([a[agree], b[agree]]).astype(np.int64))
        return graph_components(links, num_nodes=len(owner)).numpy()

    def _won(self, votes: csr_matrix, near: csr_matrix) -> np.ndarray:
        """Who wins each voxel, counted from 0, from the votes in (voxel, object)."""
        heard, said = coo_matrix(near @ votes), coo_matrix(votes)
        count, number = len(near.indptr) - 1, int(said.col.max(initial=-1)) + 1
        stays = np.bincount(said.col, said.data, minlength=number) >= self.min_points
        first = _majority(heard, stays, count)
        wins = np.bincount(said.col[first[said.row] == said.col], minlength=number)
        stays &= wins >= self.min_won * np.bincount(said.col, minlength=number)
        winner = _majority(heard, stays, count)
        left = np.where(winner < 0, first, -1)
        again = np.bincount(left[left >= 0], minlength=number) >= self.min_points
        winner = np.where((left >= 0) & again[left], left, winner)
        ids, compact = np.unique(winner, return_inverse=True)
        return compact - int((ids < 0).sum())


_NONE = np.zeros(0, dtype=np.int64)


def _table(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> csr_matrix:
    """1 at the named places, of which none is named twice."""
    return csr_matrix((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=shape)


def _near(voxels: np.ndarray) -> csr_matrix:
    """1 between the voxels of these keys that share at least a corner, and on the diagonal."""
    a, b = voxel_pairs(torch.from_numpy(coordinates_of(voxels)), connectivity=26).numpy()
    itself = np.arange(len(voxels))
    shape = (len(voxels), len(voxels))
    return _table(np.concatenate([a, b, itself]), np.concatenate([b, a, itself]), shape)


def _majority(votes: coo_matrix, stays: np.ndarray, count: int) -> np.ndarray:
    """The object that `stays` and has most votes in each of `count` voxels, the lowest on ties; -1 where none has a vote."""
    order = np.lexsort((-votes.col, votes.data, votes.row))  # of repeated indices the last assignment stays
    order = order[stays[votes.col[order]] & (votes.data[order] > 0)]
    winner = np.full(count, -1, dtype=np.int64)
    winner[votes.row[order]] = votes.col[order]
    return winner

"""Whole objects as sets of voxels: what two sets of them share.

A set is (v, 3) whole numbers, places on one lattice that all sets of a frame have in common: voxel (0, 0, 0) of edge `e` reaches
from the origin to (e, e, e). Order does not matter, and a voxel that is named twice counts once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int64

Voxels = Int[np.ndarray, "_v 3"]
_REACH = 1 << 20
"""Voxels from the origin; 52 km of those of 5 cm."""


@dataclass(frozen=True)
class VoxelSets:
    """Several sets, their voxels as numbers that the sets of a frame have in common."""

    offsets: Int64[np.ndarray, "i_plus_1"]
    keys: Int64[np.ndarray, "m"]
    """Those of set `i` are `keys[offsets[i]:offsets[i + 1]]`, ascending, each once."""

    @classmethod
    def of(cls, sets: Sequence[Voxels]) -> "VoxelSets":
        """`ValueError` where voxels are no whole numbers (v, 3) within a million of the origin."""
        found = [_keys(voxels, i) for i, voxels in enumerate(sets)]
        offsets = np.cumsum([0, *map(len, found)], dtype=np.int64)
        return cls(offsets, np.concatenate([np.zeros(0, np.int64), *found]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def sizes(self) -> Int64[np.ndarray, "i"]:
        """Voxels of each."""
        return np.diff(self.offsets)

    def __getitem__(self, i: int) -> Int64[np.ndarray, "v"]:
        return self.keys[self.offsets[i] : self.offsets[i + 1]]

    def where(self, keep: Bool[np.ndarray, "m"]) -> "VoxelSets":
        """The sets with those of their voxels alone."""
        kept = np.concatenate([[0], np.cumsum(keep)]).astype(np.int64)
        return VoxelSets(kept[self.offsets], self.keys[keep])

    def within(self, other: "VoxelSets") -> Bool[np.ndarray, "m"]:
        """Which voxels are in any of the other sets."""
        return np.isin(self.keys, other.keys)

    def common(self, other: "VoxelSets") -> Int64[np.ndarray, "i j"]:
        """Voxels that every set here shares with every one there."""
        out = np.zeros((len(self), len(other)), np.int64)
        places, own = np.unique(self.keys, return_inverse=True)
        own = own.reshape(-1)
        marked = np.zeros(len(places), bool)
        for j in range(len(other)):
            at = np.searchsorted(places, keys := other[j])
            at = at[at < len(places)]
            at = at[places[at] == keys[: len(at)]]
            marked[at] = True
            until = np.concatenate([[0], np.cumsum(marked[own])])
            out[:, j] = np.diff(until[self.offsets])
            marked[at] = False
        return out


def voxel_iou(
    common: Int64[np.ndarray, "p r"], sizes: Int64[np.ndarray, "p"], true_sizes: Int64[np.ndarray, "r"]
) -> np.ndarray:
    """(p, r) float64 IoU from what sets share and their sizes; 0 for two empty ones."""
    return common / np.maximum(sizes[:, None] + true_sizes[None, :] - common, 1)


def _keys(voxels: Voxels, i: int) -> Int64[np.ndarray, "v"]:
    voxels = np.asarray(voxels)
    if voxels.ndim != 2 or voxels.shape[1] != 3 or voxels.dtype.kind not in "iu":
        raise ValueError(f"voxels of set {i} must be whole numbers (v, 3), got {voxels.dtype} {voxels.shape}")
    if len(voxels) and max(-int(voxels.min()), int(voxels.max())) >= _REACH:
        raise ValueError(
            f"voxels of set {i} must lie within {_REACH:,} of the origin, got {voxels.min()} to {voxels.max()}"
        )
    x, y, z = (voxels.astype(np.int64) + _REACH).T
    return np.unique((x * (2 * _REACH) + y) * (2 * _REACH) + z)

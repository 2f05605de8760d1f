"""Cut a room into overlapping blocks, and merge what was found in the blocks: BlockMerging of SGPN (Wang et
al., 2018).
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator
from gestalt3d.ops.voxel_keys import modes, most_frequent, voxel_grid, voxel_keys

MOST_BLOCKS = 1 << 24


class Blocks(NamedTuple):
    """`indices[offsets[k]:offsets[k + 1]]` are the points of block `k`, ascending; blocks overlap."""

    offsets: Int[Tensor, "k_plus_1"]
    indices: Int[Tensor, "m"]
    origins: Float[Tensor, "k 2"]
    """Lowest x and y of each block."""


def cut_blocks(points: Float[Tensor, "n 3"], *, size: float, stride: float, min_points: int = 100) -> Blocks:
    """Square blocks on the ground plane over the whole height, in serpentine order: odd columns of x run back
    in y.

    The first block starts at the lowest x and y; there are `ceil((extent - size) / stride) + 1` along an
    axis, at least one. A point belongs to every block with `origin <= p <= origin + size`, both ends
    included. Blocks with fewer than `min_points` points (and empty ones) are dropped, so a stray point may
    lie in no block.
    """
    if not (size > 0 and stride > 0):
        raise ValueError(f"size and stride must be positive metres, got {size} and {stride}")
    if stride > size:
        raise ValueError(
            f"stride {stride} exceeds size {size}: points between blocks would be lost; use stride <= size"
        )
    if len(points) and not bool(torch.isfinite(points).all()):
        raise ValueError("points must be finite, got NaN or infinity; drop those points first")
    return Blocks(
        *torch.ops.gestalt3d.cut_blocks(points.detach(), float(size), float(stride), int(min_points))
    )


def block_counts(extent: Float[Tensor, "2"], size: float, stride: float) -> tuple[int, int]:
    """Blocks along x and y of a room of that extent."""
    # The tolerance keeps a room of exactly 3 m from a fourth block because of float32 coordinates.
    columns, rows = (max(0, int(np.ceil((float(e) - size) / stride - 1e-6))) + 1 for e in extent)
    if columns * rows > MOST_BLOCKS:
        raise ValueError(
            f"points extend over {float(extent[0]):.0f} x {float(extent[1]):.0f} m, "
            f"which is {columns} x {rows} blocks; crop stray points, check the unit, or use a larger stride"
        )
    return columns, rows


def cut_blocks_reference(
    points: Tensor, size: float, stride: float, min_points: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The definition, block by block in plain PyTorch."""
    if len(points) == 0:
        return (
            points.new_zeros(1, dtype=torch.int64),
            points.new_zeros(0, dtype=torch.int64),
            points.new_zeros((0, 2)),
        )
    ground = points[:, :2].double()
    low = ground.amin(0)
    ground = ground - low
    columns, rows = block_counts(ground.amax(0), size, stride)
    members, origins = [], []
    for u in range(columns):
        for v in range(rows) if u % 2 == 0 else reversed(range(rows)):
            corner = torch.tensor([u * stride, v * stride], dtype=torch.float64, device=points.device)
            # The last block is closed by the room itself: what rounding left outside still belongs to it.
            last = torch.tensor([u == columns - 1, v == rows - 1], device=points.device)
            inside = ((ground >= corner) & ((ground <= corner + size) | last)).all(1).nonzero().flatten()
            if len(inside) >= max(min_points, 1):
                members.append(inside)
                origins.append(low + corner)
    sizes = torch.tensor([0, *map(len, members)], device=points.device)
    nothing = points.new_zeros(0, dtype=torch.int64)
    return (
        sizes.cumsum(0),
        torch.cat([nothing, *members]),
        torch.stack(origins).to(points.dtype) if origins else points.new_zeros((0, 2)),
    )


_op = Operator(
    "gestalt3d::cut_blocks",
    cut_blocks_reference,
    schema="(Tensor points, float size, float stride, int min_points) -> (Tensor, Tensor, Tensor)",
)


@_op.register_kernel("cpu")
def _cpu(points: Tensor, size: float, stride: float, min_points: int) -> tuple[Tensor, Tensor, Tensor]:
    if len(points) == 0:
        return cut_blocks_reference(points, size, stride, min_points)
    from gestalt3d.ops._numba import blocks as cpu

    x, y = points[:, 0].numpy(), points[:, 1].numpy()
    low_x, low_y = float(x.min()), float(y.min())
    extent = torch.tensor([float(x.max()) - low_x, float(y.max()) - low_y])
    counts = np.zeros(block_counts(extent.double(), size, stride), dtype=np.int64)
    cpu.count_members(x, y, low_x, low_y, size, stride, counts)
    u, v = np.indices(counts.shape, sparse=True)
    rank = u * counts.shape[1] + np.where(u % 2 == 0, v, counts.shape[1] - 1 - v)
    order = np.argsort(rank, axis=None)
    order = order[counts.ravel()[order] >= max(min_points, 1)]
    offsets = np.concatenate([[0], counts.ravel()[order].cumsum()])
    cursor = np.full(counts.size, -1, dtype=np.int64)
    cursor[order] = offsets[:-1]
    indices = np.empty(offsets[-1], dtype=np.int64)
    cpu.write_members(x, y, low_x, low_y, size, stride, cursor.reshape(counts.shape), indices)
    columns, rows = np.unravel_index(order, counts.shape)
    origins = np.stack([low_x + columns * stride, low_y + rows * stride], axis=1)
    return torch.from_numpy(offsets), torch.from_numpy(indices), torch.from_numpy(origins).to(points.dtype)


@_op.register_fake
def _fake(points: Tensor, size: float, stride: float, min_points: int) -> tuple[Tensor, Tensor, Tensor]:
    context = torch.library.get_ctx()
    blocks, members = context.new_dynamic_size(), context.new_dynamic_size()
    return (
        points.new_empty(blocks + 1, dtype=torch.int64),
        points.new_empty(members, dtype=torch.int64),
        points.new_empty((blocks, 2)),
    )


class BlockMerger:
    """Carry instance ids from block to block through a sparse table of voxels; blocks are added in order.

    A cluster takes over the id it meets most often in its own voxels, counting only voxels of its own class.
    With fewer than `min_overlap` such points it starts a new id when it has at least `min_points` points, and
    stays unassigned otherwise. A voxel keeps the first id it gets. Ties: the lowest id, the lowest class.
    There is no limit on clusters or ids.

    `reference_compat` reproduces the released code, where a small cluster with little overlap takes the id of
    its best overlap, and id 0 when it meets none at all.
    """

    def __init__(
        self,
        voxel_size: float | Float[Tensor, "3"],
        *,
        origin: Float[Tensor, "3"] | None = None,
        min_overlap: int = 7,
        min_points: int = 30,
        reference_compat: bool = False,
    ) -> None:
        self.voxel_size, self.origin = voxel_grid(voxel_size, origin)
        self.min_overlap, self.min_points, self.reference_compat = min_overlap, min_points, reference_compat
        self.num_instances = 0
        """One more than the highest id in the table."""
        self._used = 0
        from gestalt3d.ops._numba import blocks as cpu

        self._cpu = cpu
        self._keys, self._instances, self._classes = _table(1 << 12)

    @classmethod
    def of_room(cls, points: Float[Tensor, "n 3"], *, fraction: float = 0.005, **options) -> "BlockMerger":
        """Voxels of `fraction` of the room along each axis, the paper's 0.5 %: longer in the longer
        direction.
        """
        low, high = points.double().amin(0), points.double().amax(0)
        return cls((high - low).clamp_min(1e-9) * fraction, origin=low, **options)

    def add(
        self, points: Float[Tensor, "n 3"], clusters: Int[Tensor, "n"], classes: Int[Tensor, "n"]
    ) -> Int[Tensor, "c"]:
        """Merge one block and return the id of each of its clusters, -1 for unassigned.

        `points` are in the room's frame; cluster -1 is ignored; a cluster's class is the mode of its points'
        `classes`.
        """
        clusters_ = clusters.cpu().numpy().astype(np.int64)
        count = int(clusters_.max(initial=-1)) + 1
        member = np.flatnonzero(clusters_ >= 0)
        clusters_ = clusters_[member]
        keys = voxel_keys(points, self.voxel_size, self.origin)[member]
        class_of = modes(clusters_, classes.cpu().numpy().astype(np.int64)[member], count)

        met, met_classes = self._look_up(keys)
        agree = (met >= 0) & (met_classes == class_of[clusters_])
        best, overlap = most_frequent(clusters_[agree], met[agree].astype(np.int64), count)
        sizes = np.bincount(clusters_, minlength=count)
        fresh = (overlap < self.min_overlap) & (sizes >= self.min_points)
        stay = overlap >= self.min_overlap
        if self.reference_compat:
            target = np.where(sizes > 0, np.maximum(best, 0), -1)
        else:
            target = np.where(stay, best, -1)
        target[fresh] = self.num_instances + np.arange(int(fresh.sum()))

        self._reserve(len(keys))
        owners = target[clusters_].astype(np.int32)
        owner_classes = class_of[clusters_].astype(np.int32)
        table = (self._keys, self._instances, self._classes)
        claimed, highest = self._cpu.claim(keys, owners, owner_classes, *table)
        self._used += claimed
        # As in the paper an id that got no voxel is free again: nothing can ever meet it.
        self.num_instances = max(self.num_instances, highest + 1)
        return torch.from_numpy(target)

    def labels(self, points: Float[Tensor, "n 3"]) -> Int[Tensor, "n"]:
        """Instance id of the voxel each point lies in, -1 where nothing was merged."""
        keys = voxel_keys(points, self.voxel_size, self.origin)
        return torch.from_numpy(self._look_up(keys)[0].astype(np.int64)).to(points.device)

    def _look_up(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        instances, classes = np.empty((2, len(keys)), dtype=np.int32)
        self._cpu.look_up(keys, self._keys, self._instances, self._classes, instances, classes)
        return instances, classes

    def _reserve(self, more: int) -> None:
        """Make room for `more` voxels at a load of at most one half."""
        size = len(self._keys)
        while size < 2 * (self._used + more):
            size *= 2
        if size > len(self._keys):
            larger = _table(size)
            self._cpu.rehash(self._keys, self._instances, self._classes, *larger)
            self._keys, self._instances, self._classes = larger


def _table(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    keys = np.full(size, -1, dtype=np.int64)
    return keys, np.full(size, -1, dtype=np.int32), np.full(size, -1, dtype=np.int32)

"""The occupied voxels of a scene, and what is known of each."""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int, Shaped
from torch import Tensor

from gestalt3d.structures.rows import equal_fields


@dataclass(frozen=True, eq=False)
class VoxelGrid:
    """Occupied voxels of a grid of `size` voxels; only they cost memory. `from_dense`, `dense` and `gather` pass between the
    two forms.
    """

    coordinates: Int[Tensor, "v 3"]
    """In [0, size), ascending in x, then y, then z, none twice."""
    size: tuple[int, int, int]
    """Voxels along x, y and z."""
    voxel_size: float
    """Edge in metres."""
    features: Float[Tensor, "v c"] | None = None
    classes: Int[Tensor, "v"] | None = None
    """Semantic class, -1 unknown."""
    instances: Int[Tensor, "v"] | None = None
    """-1 none."""
    origin: Float64[Tensor, "3"] | None = None
    """World position of the lowest corner of voxel (0, 0, 0) in metres; None is the world's own origin."""

    def __post_init__(self) -> None:
        if not (self.voxel_size > 0 and np.isfinite(self.voxel_size)):
            raise ValueError(f"voxel_size must be positive metres, got {self.voxel_size}")
        if min(self.size) < 1 or np.prod([float(s) for s in self.size]) >= 2.0**62:
            raise ValueError(f"size must be three positive numbers of voxels, got {self.size}")
        c = self.coordinates
        if c.ndim != 2 or c.shape[1] != 3 or c.is_floating_point():
            raise ValueError(f"coordinates must be integers (v, 3), got {c.dtype} {tuple(c.shape)}")
        for name in ("features", "classes", "instances"):
            value = getattr(self, name)
            if value is not None and len(value) != len(c):
                raise ValueError(f"{name} must have {len(c)} rows like the coordinates, got {len(value)}")
        if len(c) and not bool(((c >= 0) & (c < c.new_tensor(self.size))).all()):
            low, high = c.amin(0).tolist(), c.amax(0).tolist()
            raise ValueError(
                f"coordinates must lie in [0, {self.size}), got {low} to {high}; "
                "take the lowest corner off and keep it as origin"
            )
        if bool((self._positions().diff() <= 0).any()):
            raise ValueError("coordinates must ascend in x, then y, then z, none twice; sort them first")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VoxelGrid):
            return NotImplemented
        return equal_fields(self, other, (f.name for f in fields(self)))

    @classmethod
    def from_dense(
        cls,
        occupied: Bool[Tensor, "x y z"],
        *,
        voxel_size: float,
        features: Float[Tensor, "c x y z"] | None = None,
        classes: Int[Tensor, "x y z"] | None = None,
        instances: Int[Tensor, "x y z"] | None = None,
        origin: Float64[Tensor, "3"] | None = None,
    ) -> "VoxelGrid":
        """The occupied voxels of dense arrays; what the arrays hold elsewhere is dropped."""
        x, y, z = occupied.shape
        bare = cls(occupied.nonzero(), (x, y, z), voxel_size, origin=origin)
        at = {"features": features, "classes": classes, "instances": instances}
        return replace(bare, **{name: bare.gather(a) for name, a in at.items() if a is not None})

    @classmethod
    def from_lattice(cls, places: Int[Tensor, "n 3"], voxel_size: float) -> "VoxelGrid":
        """Voxels of the lattice that has a corner in the world's origin, by their places in any order; none may be there."""
        places = torch.unique(places.long(), dim=0)
        low = places.amin(0) if len(places) else places.new_zeros(3)
        x, y, z = (places.amax(0) - low + 1).tolist() if len(places) else (1, 1, 1)
        return cls(places - low, (x, y, z), voxel_size, origin=low.double().cpu() * voxel_size)

    def __len__(self) -> int:
        return len(self.coordinates)

    @property
    def centers(self) -> Float[Tensor, "v 3"]:
        """Metres from `origin`, float32: the points of a `PointCloud` with the same origin."""
        return ((self.coordinates.double() + 0.5) * self.voxel_size).float()

    def dense(self, values: Shaped[Tensor, "v *c"], *, empty: int | float = 0) -> Shaped[Tensor, "*c x y z"]:
        """`values` at the occupied voxels and `empty` elsewhere: (v,) → (x, y, z), (v, c) → (c, x, y, z)."""
        if len(values) != len(self):
            raise ValueError(f"values must have {len(self)} rows, one per voxel, got {len(values)}")
        volume = values.new_full((*values.shape[1:], int(np.prod(self.size))), empty)
        volume[..., self._positions()] = values.movedim(0, -1)
        return volume.unflatten(-1, self.size)

    def gather(self, volume: Shaped[Tensor, "*c x y z"]) -> Shaped[Tensor, "v *c"]:
        """What a dense array holds at the occupied voxels, the inverse of `dense`."""
        if volume.shape[-3:] != self.size:
            raise ValueError(f"volume must end in {self.size}, got {tuple(volume.shape)}")
        return volume.flatten(-3)[..., self._positions()].movedim(-1, 0)

    def to(self, device: torch.device | str) -> "VoxelGrid":
        """All per-voxel arrays on `device`; the origin stays on the CPU."""
        names = ("coordinates", "features", "classes", "instances")
        return replace(self, **{n: v.to(device) for n in names if (v := getattr(self, n)) is not None})

    def _positions(self) -> Int[Tensor, "v"]:
        """Of each voxel in the memory of a dense grid."""
        x, y, z = self.coordinates.to(torch.int64).unbind(1)
        return (x * self.size[1] + y) * self.size[2] + z

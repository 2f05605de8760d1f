"""A cloud of points, and where it came from."""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from gestalt3d.structures.colors import scaled_colors
from gestalt3d.structures.rows import chosen_rows, equal_fields

STRAY = 50.0
"""A point this many times the cloud's extent away from it is an accident, no part of the scan."""
FEWEST_ZEROS = 10
"""Fewer points at 0 0 0 may well lie there."""
_SAMPLE = 100_000
_PER_POINT = ("colors", "normals", "semantic", "features", "superpoints")


@dataclass(frozen=True, eq=False)
class Source:
    """The file behind a cloud, kept so that results return to its order, frame and properties."""

    path: Path
    kind: str
    """The reader's name, such as "ply" or "las"."""
    world_from_source: np.ndarray
    """(4, 4) float64: stored coordinates → metres, z up, before `origin` is taken off."""
    table: np.ndarray | None = None
    """Structured array of every stored property, one row per point; None for formats re-read when written (LAS)."""
    notes: tuple[str, ...] = ()
    """What the reader decided for the user: units, axes, dropped values."""


@dataclass(frozen=True, eq=False, repr=False)
class PointCloud:
    """Points in metres, z up. Coordinates are float32 relative to a float64 `origin`, so georeferenced scans keep millimetres.

    `cloud[mask]`, `cloud[[2, 0]]` and `cloud[:100]` are clouds of the chosen points. `==` compares what the clouds hold, not
    the files that they came from.
    """

    points: Float[Tensor, "n 3"]
    """x y z; `origin` is taken off."""
    colors: Float[Tensor, "n 3"] | None = None
    """Red, green and blue in [0, 1]; None where there are none, never zeros."""
    normals: Float[Tensor, "n 3"] | None = None
    """As the file has them, turned with the points."""
    origin: Float64[Tensor, "3"] | None = None
    """World position of `points` = 0; None is the world's own origin."""
    source: Source | None = None
    semantic: Int[Tensor, "n"] | None = None
    """Class of each point that is *given* with the cloud, in the vocabulary of the method that reads it; -1 unknown.
    Input of methods that take classes, never a result.
    """
    features: Float[Tensor, "n c"] | None = None
    """More about each point that is given as input: scores of the classes, or what a network saw."""
    superpoints: Int[Tensor, "n"] | None = None
    """Piece of surface that each point is of, from 0 without gaps, where that is known; methods that go by superpoints then
    make none of their own.
    """

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 3:
            raise ValueError(
                f"points must be (n, 3), got {tuple(self.points.shape)}; pass colours separately"
            )
        for name in ("colors", "normals"):
            value = getattr(self, name)
            if value is not None and value.shape != self.points.shape:
                raise ValueError(
                    f"{name} must be {tuple(self.points.shape)} like the points, got {tuple(value.shape)}"
                )
        for name in ("semantic", "features", "superpoints"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self.points):
                raise ValueError(
                    f"{name} must have {len(self.points)} rows like the points, got {len(value)}"
                )

    @classmethod
    def from_arrays(
        cls, points: np.ndarray, colors: np.ndarray | None = None, normals: np.ndarray | None = None
    ) -> "PointCloud":
        """From NumPy: float64 points far from zero get an `origin` of their own.

        Colours of any type and range are scaled to [0, 1] as those of files are (`scaled_colors`).
        """
        points = np.asarray(points)
        origin = None
        if (
            points.dtype == np.float64
            and points.size
            and np.nanmax(np.abs(np.where(np.isfinite(points), points, 0))) > 1e4
        ):
            finite = points[np.isfinite(points).all(1)]
            centre = np.floor(np.median(finite, axis=0)) if len(finite) else np.zeros(3)
            points, origin = points - centre, torch.from_numpy(centre)
        if colors is not None:
            colors = np.asarray(colors)
            if colors.ndim == 2 and colors.shape[1] == 3:
                scaled, _ = scaled_colors(list(colors.T))
                colors = np.zeros(colors.shape, np.float32) if scaled is None else scaled
        tensors = [
            None if a is None else torch.from_numpy(np.array(a, dtype=np.float32))
            for a in (points, colors, normals)
        ]
        assert tensors[0] is not None
        return cls(tensors[0], tensors[1], tensors[2], origin)

    def zero_pixels(self) -> Bool[Tensor, "n"]:
        """Points at 0 0 0 of the file, where at least ten are: depth cameras write that for pixels without a depth."""
        return self._zero_and_usable[0]

    def usable(self) -> Bool[Tensor, "n"]:
        """Points that methods are shown: finite ones that are no zero pixels and not `STRAY` times as far away as others.

        Measured from the middle nine tenths along each axis, in units of their longest extent.
        """
        return self._zero_and_usable[1]

    @cached_property
    def _zero_and_usable(self) -> tuple[Bool[Tensor, "n"], Bool[Tensor, "n"]]:
        """Computed once, for reader, model and picture."""
        world = self.points if self.origin is None else self.points + self.origin
        zero, finite = (world == 0).all(1), torch.isfinite(world).all(1)
        if not FEWEST_ZEROS <= int(zero.sum()) < int(finite.sum()):
            zero = torch.zeros_like(zero)
        return zero, self._without_strays(torch.isfinite(self.points).all(1) & ~zero)

    def _without_strays(self, usable: Bool[Tensor, "n"]) -> Bool[Tensor, "n"]:
        sample = self.points[usable].double()
        sample = sample[:: max(1, len(sample) // _SAMPLE)]
        if len(sample) == 0:
            return usable
        low, high = torch.quantile(
            sample, torch.tensor([0.05, 0.95], dtype=torch.float64, device=sample.device), dim=0
        )
        reach = STRAY * (high - low).max()
        if float(reach) == 0:
            return usable
        return usable & ((self.points >= low - reach) & (self.points <= high + reach)).all(1)

    @cached_property
    def extents(self) -> np.ndarray:
        """(3,) metres along x, y and z without the outermost hundredth of the points; zeros of no points."""
        if not len(self):
            return np.zeros(3)
        low, high = np.quantile(self.points.detach().cpu().numpy(), [0.005, 0.995], axis=0)
        return high - low

    def same_points(self, **changes: Any) -> "PointCloud":
        """With other fields, but for `points` and `origin`: what has been computed of these is kept."""
        made = replace(self, **changes)
        assert made.points is self.points and made.origin is self.origin
        computed = {k: v for k, v in vars(self).items() if k in ("_zero_and_usable", "extents")}
        vars(made).update(computed)
        return made

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: Any) -> "PointCloud":
        """The chosen points, without their source: `index` as `chosen_rows` takes it."""
        if not isinstance(index, slice) or (index.step or 1) < 0:  # tensors have no slices backwards
            index = chosen_rows(index, len(self), of="points", device=self.points.device)
        pick = lambda value: None if value is None else value[index]  # noqa: E731
        return PointCloud(
            self.points[index],
            pick(self.colors),
            pick(self.normals),
            self.origin,
            semantic=pick(self.semantic),
            features=pick(self.features),
            superpoints=None if self.superpoints is None else _without_gaps(self.superpoints[index]),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PointCloud):
            return NotImplemented
        return equal_fields(self, other, (f.name for f in fields(self) if f.name != "source"))

    def __repr__(self) -> str:
        """`81,369 points, 4.1 x 3.2 x 2.6 m, with colors, around (353000, 5601000, 100), from office.ply`."""
        parts = [f"{len(self):,} point{'' if len(self) == 1 else 's'}"]
        finite = self.points[torch.isfinite(self.points).all(1)]
        if len(finite):
            size = (finite.amax(0) - finite.amin(0)).tolist()
            parts.append(" x ".join(f"{s:.4g}" for s in size) + " m")
        held = [n for n in _PER_POINT if getattr(self, n) is not None]
        parts += [f"with {' and '.join(held)}"] if held else []
        if self.origin is not None:
            parts.append(f"around ({', '.join(f'{v:.10g}' for v in self.origin.tolist())})")
        if self.source is not None:
            parts.append(f"from {self.source.path.name}")
        return ", ".join(parts)

    @property
    def world_points(self) -> Float64[Tensor, "n 3"]:
        """`points` with the origin added: their place in the world, of a whole shape that in the frame of its scan."""
        points = self.points.double()
        return points if self.origin is None else points + self.origin

    @property
    def source_from_cloud(self) -> np.ndarray:
        """(4, 4) float64: takes `points` to the axes, units and origin of the file behind the cloud."""
        world_from_cloud = np.eye(4)
        if self.origin is not None:
            world_from_cloud[:3, 3] = self.origin.cpu().numpy()
        if self.source is None:
            return world_from_cloud
        return np.linalg.inv(self.source.world_from_source) @ world_from_cloud

    def to(self, device: torch.device | str) -> "PointCloud":
        names = ("points", *_PER_POINT)
        return replace(self, **{n: v.to(device) for n in names if (v := getattr(self, n)) is not None})


def _without_gaps(labels: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
    """Numbered anew from 0, in the same order."""
    return torch.unique(labels, return_inverse=True)[1]

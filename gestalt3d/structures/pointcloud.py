"""A cloud of points, and where it came from."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor


@dataclass(frozen=True)
class Source:
    """The file behind a cloud, kept so that results return to its order, frame and properties."""

    path: Path
    kind: str
    """The reader's name, "ply", "las", …"""
    world_from_source: np.ndarray
    """(4, 4) float64: stored coordinates → metres, z up, before `origin` is taken off."""
    table: np.ndarray | None = None
    """Structured array of every stored property, one row per point; None for formats re-read when written (LAS)."""
    notes: tuple[str, ...] = ()
    """What the reader decided for the user: units, axes, dropped values."""


@dataclass(frozen=True)
class PointCloud:
    """Points in metres, z up. Coordinates are float32 relative to a float64 `origin`, so georeferenced scans keep millimetres."""

    points: Float[Tensor, "n 3"]
    colors: Float[Tensor, "n 3"] | None = None
    """In [0, 1]."""
    normals: Float[Tensor, "n 3"] | None = None
    origin: Float64[Tensor, "3"] | None = None
    """World position of `points` = 0; None is the world's own origin."""
    source: Source | None = None
    semantic: Int[Tensor, "n"] | None = None
    """Semantic class of each point that is *given* with the cloud, in the vocabulary of the method that reads it; -1 unknown.
    Input of methods that only part a labelled scene into instances, never an answer.
    """
    features: Float[Tensor, "n c"] | None = None
    """More about each point that is given as input: scores of the classes, or what a network saw."""

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
        for name in ("semantic", "features"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self.points):
                raise ValueError(
                    f"{name} must have {len(self.points)} rows like the points, got {len(value)}"
                )

    @classmethod
    def from_arrays(
        cls, points: np.ndarray, colors: np.ndarray | None = None, normals: np.ndarray | None = None
    ) -> "PointCloud":
        """From NumPy: float64 points far from zero get an `origin` of their own; 8- and 16-bit colours are scaled to [0, 1]."""
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
            scale = np.iinfo(colors.dtype).max if np.issubdtype(colors.dtype, np.integer) else 1.0
            colors = (colors / np.float32(scale)).astype(np.float32)
        tensors = [
            None if a is None else torch.from_numpy(np.array(a, dtype=np.float32))
            for a in (points, colors, normals)
        ]
        assert tensors[0] is not None
        return cls(tensors[0], tensors[1], tensors[2], origin)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: Tensor | slice) -> "PointCloud":
        """The chosen points (mask, indices or slice), without their source."""
        pick = lambda value: None if value is None else value[index]  # noqa: E731
        return PointCloud(
            self.points[index],
            pick(self.colors),
            pick(self.normals),
            self.origin,
            semantic=pick(self.semantic),
            features=pick(self.features),
        )

    def to(self, device: torch.device | str) -> "PointCloud":
        names = ("points", "colors", "normals", "semantic", "features")
        return replace(self, **{n: v.to(device) for n in names if (v := getattr(self, n)) is not None})

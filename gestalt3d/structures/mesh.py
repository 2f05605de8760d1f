"""A surface of triangles."""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from gestalt3d.structures.rows import equal_fields


@dataclass(frozen=True, eq=False, repr=False)
class Mesh:
    """Triangles between vertices, counter-clockwise seen from outside where a surface has an outside."""

    vertices: Float[Tensor, "v 3"]
    """Metres, in the frame of the input that it belongs to."""
    faces: Int[Tensor, "f 3"]
    """Rows of `vertices`."""

    def __post_init__(self) -> None:
        if self.vertices.ndim != 2 or self.vertices.shape[1] != 3:
            raise ValueError(f"vertices must be (v, 3), got {tuple(self.vertices.shape)}")
        if self.faces.ndim != 2 or self.faces.shape[1] != 3:
            raise ValueError(
                f"faces must be (f, 3), got {tuple(self.faces.shape)}; cut polygons into triangles"
            )
        if len(self.faces) and not (
            int(self.faces.min()) >= 0 and int(self.faces.max()) < len(self.vertices)
        ):
            raise ValueError(f"faces must lie in [0, {len(self.vertices)}), the vertices there are")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mesh):
            return NotImplemented
        return equal_fields(self, other, (f.name for f in fields(self)))

    def __repr__(self) -> str:
        count = len(self.faces)
        return f"mesh of {len(self.vertices):,} vertices and {count:,} triangle{'' if count == 1 else 's'}"

    def moved(self, transform: Float64[np.ndarray, "4 4"]) -> "Mesh":
        """Its vertices taken through a transform of homogeneous coordinates, float64."""
        return replace(self, vertices=moved_points(self.vertices, transform))

    def sampled(self, count: int, rng: np.random.Generator) -> Float[Tensor, "k 3"]:
        """Points drawn evenly from the surface; its vertices in turn where no triangle has an area, none where there are none."""
        a, b, c = self.vertices[self.faces].double().unbind(1)
        areas = torch.linalg.cross(b - a, c - a).norm(dim=1).cpu().numpy()
        if not areas.sum() > 0:
            return self.vertices[
                torch.arange(count if len(self.vertices) else 0) % max(len(self.vertices), 1)
            ]
        rows = torch.from_numpy(rng.choice(len(areas), count, p=areas / areas.sum()))
        u, v = torch.from_numpy(np.sort(rng.random((2, count)), axis=0))[..., None]  # uniform on the triangle
        points = a[rows] * u + b[rows] * (v - u) + c[rows] * (1 - v)
        return points.to(self.vertices.dtype)

    def to(self, device: torch.device | str) -> "Mesh":
        return Mesh(self.vertices.to(device), self.faces.to(device))


def moved_points(points: Float[Tensor, "n 3"], transform: Float64[np.ndarray, "4 4"]) -> Float[Tensor, "n 3"]:
    """Points taken through a transform of homogeneous coordinates, computed in float64, of the points' own type."""
    matrix = torch.from_numpy(np.asarray(transform, dtype=np.float64)).to(points.device)
    return (points.double() @ matrix[:3, :3].T + matrix[:3, 3]).to(points.dtype)

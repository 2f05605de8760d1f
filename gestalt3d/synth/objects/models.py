"""`make_object`: one object of a category, as a mesh with materials.

An object stands in its own frame as everything in `synth` does: x to the right, y to the back, z up. It looks along -y: nose,
bow, muzzle, bonnet, screen and seat face that way. The middle of its box is the origin and the box's diagonal has length 1, so
that the object lies in the sphere of radius 0.5 that reconstruction starts from, as ShapeNet's do. (What is (x, y, z) here is
(x, z, y) in SoftRas' frame, which is left-handed as it is drawn.)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64, Int

from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.vocabulary import SHAPENET13
from gestalt3d.synth.objects.airplanes import airplane
from gestalt3d.synth.objects.cars import car
from gestalt3d.synth.objects.displays import display
from gestalt3d.synth.objects.household import cabinet, lamp, table
from gestalt3d.synth.objects.phones import phone
from gestalt3d.synth.objects.rifles import rifle
from gestalt3d.synth.objects.seats import bench, chair, sofa
from gestalt3d.synth.objects.speakers import speaker
from gestalt3d.synth.objects.vessels import vessel
from gestalt3d.synth.shapes import Part, Shape

OBJECTS_VERSION = 1
"""Grows when an object of a seed changes."""
_MAKERS: dict[str, Callable[[np.random.Generator], Shape]] = {
    "airplane": airplane,
    "bench": bench,
    "cabinet": cabinet,
    "car": car,
    "chair": chair,
    "display": display,
    "lamp": lamp,
    "speaker": speaker,
    "rifle": rifle,
    "sofa": sofa,
    "table": table,
    "phone": phone,
    "vessel": vessel,
}
CATEGORIES = SHAPENET13.names
"""The thirteen, in the order of their synsets."""


@dataclass(frozen=True, eq=False)
class ObjectModel:
    """Triangles of an object, wound to face outwards; parts may reach into one another."""

    category: str
    vertices: Float64[np.ndarray, "v 3"]
    """In the object's frame; its box's diagonal is 1."""
    faces: Int[np.ndarray, "f 3"]
    face_material: Int[np.ndarray, "f"]
    materials: Float64[np.ndarray, "m 11"]
    """Rows as `colours.Material.row` has them; patterns have sizes in metres of the real thing."""
    metres: float
    """The diagonal of the real thing: a unit here is so many metres there."""

    @cached_property
    def normals(self) -> Float64[np.ndarray, "f 3"]:
        """Of the faces, outwards, of length 1."""
        a, b, c = self.vertices[self.faces].transpose(1, 0, 2)
        normals = np.cross(b - a, c - a)
        return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)

    @cached_property
    def face_frame(self) -> Int[np.ndarray, "f"]:
        """The frame of each face's pattern, as `colours.shade` wants it: one for all."""
        return np.zeros(len(self.faces), np.int64)

    def mesh(self) -> Mesh:
        """Shape alone."""
        return Mesh(
            torch.from_numpy(self.vertices.astype(np.float32)), torch.from_numpy(self.faces.astype(np.int64))
        )


def make_object(category: str, rng: np.random.Generator) -> ObjectModel:
    """One object; `ValueError` for a category that is none of `CATEGORIES`."""
    if category not in _MAKERS:
        raise ValueError(f"no category {category!r}; there are {', '.join(CATEGORIES)}")
    return normalised(_MAKERS[category](rng), category)


def normalised(shape: Shape, category: str) -> ObjectModel:
    """All parts of a shape, and of what stands in it, as one mesh in the unit sphere's convention."""
    vertices, faces, face_material, materials = [], [], [], []
    base = 0
    for v, part in _flattened(shape, np.zeros(3), 0.0):
        vertices.append(v)
        faces.append(part.faces + base)
        chosen = np.zeros(len(part.faces), np.int64) if part.face_material is None else part.face_material
        face_material.append(chosen + len(materials))
        materials.extend(material.row for material in part.materials)
        base += len(v)
    points = np.concatenate(vertices)
    low, high = points.min(0), points.max(0)
    metres = float(np.linalg.norm(high - low))
    return ObjectModel(
        category,
        (points - (low + high) / 2) / metres,
        np.concatenate(faces).astype(np.int32),
        np.concatenate(face_material).astype(np.int64),
        np.array(materials, float),
        metres,
    )


def _flattened(shape: Shape, at: np.ndarray, yaw: float) -> Iterator[tuple[np.ndarray, Part]]:
    """Vertices and part of all parts, those of items included."""
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    for part in shape.parts:
        yield part.vertices @ turn.T + at, part
    for item in shape.items:
        yield from _flattened(item.shape, turn @ np.array(item.at, float) + at, yaw + item.yaw)

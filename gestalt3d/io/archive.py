"""A whole result in one .npz: what was segmented and the instances in it, as plain arrays without a pickle."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gestalt3d.errors import UserError
from gestalt3d.io.clouds import cloud_arrays
from gestalt3d.io.numpy_files import read_members
from gestalt3d.structures.camera import Camera
from gestalt3d.structures.instances import Instances, Shape
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud, Source
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import VOCABULARIES, Vocabulary
from gestalt3d.structures.voxelgrid import VoxelGrid

AGAIN = "write it again with segment"

# Key → (kinds of dtype, shape): n elements, i instances, c classes, p points and f faces of all shapes, h w image, k anything.
_LAYOUT: dict[str, tuple[str, str]] = {
    # What was segmented: a cloud …
    "points": ("f", "n 3"),
    "colors": ("uf", "n 3"),
    "normals": ("f", "n 3"),
    "origin": ("f", "3"),
    "world_from_source": ("f", "4 4"),
    # … or a view.
    "image": ("u", "h w 3"),
    "depth": ("f", "h w"),
    "intrinsics": ("f", "3 3"),
    "world_from_camera": ("f", "4 4"),
    "source_from_cloud": ("f", "4 4"),
    "notes": ("U", "k"),
    # What was found.
    "offsets": ("iu", "i+1"),
    "indices": ("iu", "k"),
    "classes": ("iu", "i"),
    "scores": ("f", "i"),
    "whole_offsets": ("iu", "i+1"),
    "whole_indices": ("iu", "k"),
    "boxes": ("f", "i 7"),
    "amodal_boxes": ("f", "i 7"),
    "image_boxes": ("f", "i 4"),
    "shape_kinds": ("U", "i"),
    "shape_offsets": ("iu", "i+1"),
    "shape_points": ("f", "p 3"),
    "shape_face_offsets": ("iu", "i+1"),
    "shape_faces": ("iu", "f 3"),
    "shape_grids": ("f", "i 7"),
    "point_classes": ("iu", "n"),
    "class_names": ("U", "c"),
    "official_ids": ("iuf", "c"),
    "structure": ("b", "c"),
    "vocabulary": ("U", ""),
    "method": ("U", ""),
    "version": ("U", ""),
}
_NEEDED = ("offsets", "indices", "classes", "scores", "class_names")


def pack(instances: Instances, given: PointCloud | View) -> dict[str, np.ndarray]:
    """The arrays of the file. Of what there is not, they are there without rows."""
    arrays = _cloud_arrays(given) if isinstance(given, PointCloud) else _view_arrays(given, instances)
    for name, field in FIELDS.items():
        arrays |= field.pack(getattr(instances, name))
    classes, vocabulary = instances.element_classes, instances.vocabulary
    return arrays | {
        "point_classes": np.zeros(0, np.int32) if classes is None else classes.numpy().astype(np.int32),
        "class_names": np.array(vocabulary.names, dtype=np.str_),
        "official_ids": np.array(vocabulary.official_ids, dtype=np.int64),
        "structure": vocabulary.is_structure,
        "vocabulary": np.array(vocabulary.title),
        "method": np.array(instances.method),
        "version": np.array(package_version()),
    }


def read(path: Path) -> tuple[Instances, PointCloud | View]:
    """What `pack` made of both, in files of earlier versions, too; what does not fit together is a `UserError`."""
    held = _Held(path, read_members(path, _LAYOUT))
    held.check()
    try:
        given = _cloud(held) if "points" in held.arrays else _view(held)
        to_source = (
            given.source_from_cloud if isinstance(given, PointCloud) else held.matrix("source_from_cloud")
        )
        return Instances(
            **{name: field.unpack(held) for name, field in FIELDS.items()},
            vocabulary=_vocabulary(held),
            element_classes=held.tensor("point_classes", np.int64),
            method=held.text("method", ""),
            source_from_cloud=to_source,
        ), given
    except ValueError as error:
        raise UserError(f"{path}: {error}; {AGAIN}") from error


def package_version() -> str:
    try:
        return version("gestalt3d")
    except PackageNotFoundError:
        return "unknown"


@dataclass(frozen=True)
class _Held:
    """The arrays of a file, those of `_LAYOUT`."""

    path: Path
    arrays: dict[str, np.ndarray]

    def __contains__(self, key: str) -> bool:
        """Whether it is there, and not as an array without rows that stands for what is not."""
        return key in self.arrays and (self.arrays[key].size > 0 or key in _NEEDED)

    @property
    def size(self) -> int:
        """Points or pixels."""
        if "points" in self.arrays:
            return len(self.arrays["points"])
        return int(np.prod(self.arrays["image"].shape[:2]))

    def tensor(self, key: str, dtype: type) -> Tensor | None:
        return torch.from_numpy(self.arrays[key].astype(dtype)) if key in self else None

    def needed(self, key: str, dtype: type) -> Tensor:
        return torch.from_numpy(self.arrays[key].astype(dtype))

    def matrix(self, key: str) -> np.ndarray | None:
        return self.arrays[key].astype(np.float64) if key in self else None

    def text(self, key: str, otherwise: str) -> str:
        return str(self.arrays.get(key, otherwise))

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(str(text) for text in self.arrays.get(key, ()))

    def check(self) -> None:
        """Types, shapes and class ids."""
        for key in _NEEDED:
            if key not in self.arrays:
                raise UserError(f"{self.path}: is no result of segment, it has no {key!r}; {AGAIN}")
        if "points" not in self.arrays and "image" not in self.arrays:
            raise UserError(
                f"{self.path}: is no result of segment, it has neither 'points' nor 'image'; {AGAIN}"
            )
        count, classes = self.arrays["classes"].size, self.arrays["class_names"].size
        sizes = {"i": count, "i+1": count + 1, "c": classes}
        for words, key in (("n", "points"), ("h w", "image"), ("p", "shape_points"), ("f", "shape_faces")):
            shape = self.arrays[key].shape if key in self.arrays else ()
            sizes |= dict(zip(words.split(), (*shape, -1, -1), strict=False))
        if "points" not in self.arrays:
            sizes["n"] = sizes["h"] * sizes["w"]
        for key, array in self.arrays.items():
            kinds, words = _LAYOUT[key]
            sizes["k"] = array.size
            shape = tuple(sizes[w] if w in sizes else int(w) for w in words.split())
            fits = array.shape == shape or (key not in self and key not in ("points", "image"))
            if array.dtype.kind not in kinds or not fits:
                raise UserError(
                    f"{self.path}: its {key!r} is {array.dtype} {array.shape} instead of {shape}; {AGAIN}"
                )
        for key in ("classes", "point_classes"):
            ids = self.arrays.get(key, np.zeros(0, np.int64))
            if ids.size and not -1 <= int(ids.min()) <= int(ids.max()) < classes:
                raise UserError(f"{self.path}: its {key!r} are not positions in its class names; {AGAIN}")
        for key in ("world_from_source", "source_from_cloud"):
            matrix = self.arrays.get(key, np.eye(4))
            if matrix.size and not (np.isfinite(matrix).all() and abs(np.linalg.det(matrix[:3, :3])) > 0):
                raise UserError(f"{self.path}: its {key!r} is no frame; {AGAIN}")


def _cloud_arrays(cloud: PointCloud) -> dict[str, np.ndarray]:
    source = cloud.source
    return {
        "colors": np.zeros((0, 3), np.uint8),
        "normals": np.zeros((0, 3), np.float32),
        **cloud_arrays(cloud),
        "world_from_source": np.eye(4) if source is None else source.world_from_source,
        "notes": np.array(() if source is None else source.notes, dtype=np.str_),
    }


def _cloud(held: _Held) -> PointCloud:
    colors = held.tensor("colors", np.float32)
    if colors is not None and held.arrays["colors"].dtype.kind == "u":
        colors = colors / float(np.iinfo(held.arrays["colors"].dtype).max)
    origin = held.tensor("origin", np.float64)
    matrix = held.matrix("world_from_source")
    source = Source(held.path, "npz", np.eye(4) if matrix is None else matrix, None, held.texts("notes"))
    return PointCloud(
        held.needed("points", np.float32),
        colors,
        held.tensor("normals", np.float32),
        origin if origin is not None and bool(origin.any()) else None,
        source,
    )


def _view_arrays(view: View, instances: Instances) -> dict[str, np.ndarray]:
    camera, nothing = view.camera, np.zeros((0, 0), np.float32)
    image = (view.image.permute(1, 2, 0) * 255).round().clamp(0, 255).byte()
    return {
        "image": image.numpy(),
        "depth": nothing if view.depth is None else view.depth.numpy(),
        "intrinsics": nothing if camera is None else camera.intrinsics,
        "world_from_camera": nothing if camera is None else camera.world_from_camera,
        "source_from_cloud": np.eye(4)
        if instances.source_from_cloud is None
        else instances.source_from_cloud,
        "notes": np.array(view.notes, dtype=np.str_),
    }


def _view(held: _Held) -> View:
    image = held.needed("image", np.float32).permute(2, 0, 1).contiguous()
    intrinsics, pose = held.matrix("intrinsics"), held.matrix("world_from_camera")
    camera = None
    if intrinsics is not None and pose is not None:
        camera = Camera(intrinsics, pose, (image.shape[2], image.shape[1]))
    white = float(np.iinfo(held.arrays["image"].dtype).max)
    return View(image / white, held.tensor("depth", np.float32), camera, held.path, held.texts("notes"))


def _vocabulary(held: _Held) -> Vocabulary:
    """The known vocabulary of that title when the names agree, else one made of the names."""
    title, names = held.text("vocabulary", "file"), held.texts("class_names")
    known = VOCABULARIES.get(title)
    if known is not None and known.names == names:
        return known
    structure = held.arrays.get("structure", np.zeros(0, bool))
    inside = frozenset(n for n, s in zip(names, structure, strict=False) if s)
    return Vocabulary(title, names, tuple(int(v) for v in held.arrays.get("official_ids", ())), inside)


class _Field(NamedTuple):
    """How what `Instances` holds for each instance becomes arrays, and the way back."""

    pack: Callable[[Any], dict[str, np.ndarray]]
    """Also of None."""
    unpack: Callable[[_Held], Any]


def _rows(name: str, dtype: type, *shape: int) -> _Field:
    """A row of numbers each."""

    def pack(value: Tensor | None) -> dict[str, np.ndarray]:
        return {name: np.zeros((0, *shape), dtype) if value is None else value.numpy().astype(dtype)}

    return _Field(pack, lambda held: held.tensor(name, dtype))


def _masks(prefix: str) -> _Field:
    """The elements of `i` are `indices[offsets[i]:offsets[i + 1]]`."""
    offsets, indices = f"{prefix}offsets", f"{prefix}indices"

    def pack(value: Sets | None) -> dict[str, np.ndarray]:
        nothing = np.zeros(0, np.int64)
        if value is None:
            return {offsets: nothing, indices: nothing}
        return {offsets: value.offsets.numpy(), indices: value.indices.numpy()}

    def unpack(held: _Held) -> Sets | None:
        if offsets not in held or indices not in held.arrays:
            return None
        return Sets(held.needed(offsets, np.int64), held.needed(indices, np.int64), held.size)

    return _Field(pack, unpack)


def _pack_shapes(shapes: tuple[Shape, ...] | None) -> dict[str, np.ndarray]:
    """Points of clouds, vertices of meshes and whole coordinates of voxels in one array; their geometry, not what they carry.

    `shape_grids` holds the origin, and of voxel grids the number of voxels along x, y and z and their size.
    """
    shapes = shapes or ()
    points = [_points_of(shape) for shape in shapes]
    faces = [shape.faces.numpy() if isinstance(shape, Mesh) else np.zeros((0, 3)) for shape in shapes]
    grids = [_grid_of(shape) for shape in shapes]
    return {
        "shape_kinds": np.array([_KINDS[type(shape)] for shape in shapes], dtype=np.str_),
        "shape_offsets": np.cumsum([0, *map(len, points)]) if shapes else np.zeros(0, np.int64),
        "shape_points": np.concatenate([np.zeros((0, 3)), *points]).astype(np.float32),
        "shape_face_offsets": np.cumsum([0, *map(len, faces)]) if shapes else np.zeros(0, np.int64),
        "shape_faces": np.concatenate([np.zeros((0, 3)), *faces]).astype(np.int64),
        "shape_grids": np.array(grids, np.float64).reshape(-1, 7),
    }


_KINDS = {PointCloud: "cloud", Mesh: "mesh", VoxelGrid: "voxels"}


def _points_of(shape: Shape) -> np.ndarray:
    if isinstance(shape, Mesh):
        return shape.vertices.numpy()
    return shape.points.numpy() if isinstance(shape, PointCloud) else shape.coordinates.numpy()


def _grid_of(shape: Shape) -> np.ndarray:
    """(7,) float64 row of `shape_grids`."""
    row = np.zeros(7)
    if not isinstance(shape, Mesh) and shape.origin is not None:
        row[:3] = shape.origin.numpy()
    if isinstance(shape, VoxelGrid):
        row[3:] = *shape.size, shape.voxel_size
    return row


def _unpack_shapes(held: _Held) -> tuple[Shape, ...] | None:
    keys = (
        "shape_kinds",
        "shape_offsets",
        "shape_points",
        "shape_face_offsets",
        "shape_faces",
        "shape_grids",
    )
    if "shape_kinds" not in held or any(key not in held.arrays for key in keys):
        return None
    points, faces = (held.arrays[key] for key in ("shape_points", "shape_faces"))
    rows = Sets(held.needed("shape_offsets", np.int64), torch.arange(len(points)), len(points))
    sides = Sets(held.needed("shape_face_offsets", np.int64), torch.arange(len(faces)), len(faces))
    parts = zip(held.texts("shape_kinds"), rows, sides, held.arrays["shape_grids"], strict=True)
    return tuple(_shape(kind, points[r], faces[s], grid) for kind, r, s, grid in parts)


def _shape(kind: str, points: np.ndarray, faces: np.ndarray, grid: np.ndarray) -> Shape:
    given = torch.from_numpy(points.astype(np.float32))
    origin = torch.from_numpy(grid[:3].astype(np.float64))
    if kind == "mesh":
        return Mesh(given, torch.from_numpy(faces.astype(np.int64)))
    if kind == "cloud":
        return PointCloud(given, origin=origin if bool(origin.any()) else None)
    if kind != "voxels":
        raise ValueError(f"a shape is a {kind!r}, not one of {', '.join(_KINDS.values())}")
    x, y, z = (int(v) for v in np.nan_to_num(grid[3:6]))
    at = given.nan_to_num().to(torch.int64)
    return VoxelGrid(at, (x, y, z), float(grid[6]), origin=origin if bool(origin.any()) else None)


FIELDS: dict[str, _Field] = {
    "masks": _masks(""),
    "classes": _rows("classes", np.int64),
    "scores": _rows("scores", np.float32),
    "whole": _masks("whole_"),
    "boxes": _rows("boxes", np.float32, 7),
    "amodal_boxes": _rows("amodal_boxes", np.float32, 7),
    "image_boxes": _rows("image_boxes", np.float32, 4),
    "shapes": _Field(_pack_shapes, _unpack_shapes),
}
"""One for each field of `PER_INSTANCE`."""

"""Whole objects as surfaces, and these as files that programs for 3-D show: `.glb`."""

import json
import struct
from dataclasses import replace
from typing import BinaryIO

import numpy as np
from jaxtyping import Int64

from gestalt3d.ops._numba import each_on_one_thread
from gestalt3d.ops.voxel_surface import voxel_surface
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.voxelgrid import VoxelGrid

_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""From z up, with y ahead, to the frame of glTF."""
_FLOAT, _UINT = 5126, 5125
_VERTICES, _FACES = 34962, 34963


def surface_of(grid: VoxelGrid, *, smooth: int = 10) -> Mesh:
    """The closed surface around the voxels, as `voxel_surface`: metres in the frame that `origin` is said in, float64."""
    vertices, faces = voxel_surface(grid.coordinates, smooth=smooth)
    metres = vertices * grid.voxel_size
    return Mesh(metres if grid.origin is None else metres + grid.origin.cpu(), faces)


def with_surfaces(instances: Instances) -> Instances:
    """The same instances, their shapes of voxels as the surfaces around them."""
    shapes = list(instances.shapes or ())
    grids = {i: shape for i, shape in enumerate(shapes) if isinstance(shape, VoxelGrid)}
    if not grids:
        return instances
    # Hundreds of small products each: shared between threads they would mostly wait for each other.
    for i, surface in zip(grids, each_on_one_thread(surface_of, [*grids.values()]), strict=True):
        shapes[i] = surface
    return replace(instances, shapes=tuple(shapes))


def write_glb(
    file: BinaryIO,
    vertices: np.ndarray,
    faces: Int64[np.ndarray, "f 3"],
    *,
    name: str,
    color: tuple[int, int, int],
) -> None:
    """Binary glTF 2.0 of one mesh in one colour, 0 to 255. `vertices` (v, 3) are metres with z up; the file's y points up.

    A mesh without triangles becomes a file without a mesh: the format knows no empty one. Far from the origin, where float32
    knows no millimetres, the mesh is moved by its node.
    """
    base = np.round(vertices.mean(0)) if len(vertices) and np.abs(vertices).max() > 1e3 else np.zeros(3)
    places = ((vertices - base) @ _Y_UP.T).astype("<f4")
    corners = np.ascontiguousarray(faces, dtype="<u4")
    data = places.tobytes() + corners.tobytes()
    tree: dict[str, object] = {"asset": {"version": "2.0", "generator": "gestalt3d"}, "scene": 0}
    if len(corners):
        linear = [round(float(c), 4) for c in (np.array(color) / 255) ** 2.2]
        views = [
            {"buffer": 0, "byteOffset": 0, "byteLength": places.nbytes, "target": _VERTICES},
            {"buffer": 0, "byteOffset": places.nbytes, "byteLength": corners.nbytes, "target": _FACES},
        ]
        low, high = places.min(0).tolist(), places.max(0).tolist()
        tree |= {
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0, "name": name, "translation": (_Y_UP @ base).tolist()}],
            "meshes": [{"name": name, "primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "material": 0}]}],
            "materials": [
                {"pbrMetallicRoughness": {"baseColorFactor": [*linear, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.8}}
            ],
            "accessors": [
                {"bufferView": 0, "componentType": _FLOAT, "count": len(places), "type": "VEC3", "min": low, "max": high},
                {"bufferView": 1, "componentType": _UINT, "count": corners.size, "type": "SCALAR"},
            ],
            "bufferViews": views,
            "buffers": [{"byteLength": len(data)}],
        }  # fmt: skip
    else:
        tree |= {"scenes": [{}]}
    text = json.dumps(tree, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    if len(corners):
        chunks += struct.pack("<II", len(data), 0x004E4942) + data
    file.write(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)


def finite(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (v, 3) float64 and faces (f, 3) int64 without the triangles of vertices that are not finite, which lie at 0."""
    vertices, faces = mesh.vertices.detach().cpu().double().numpy(), mesh.faces.cpu().numpy().astype(np.int64)
    is_known = np.asarray(np.isfinite(vertices).all(1))
    return np.where(is_known[:, None], vertices, 0), faces[is_known[faces].all(1)]

"""Meshes: points drawn evenly from their surfaces, with their colours. Read with trimesh."""

import json
import os
import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from gestalt3d.errors import UserError
from gestalt3d.io.columns import Stored

if TYPE_CHECKING:
    from trimesh import Scene

SAMPLES = 200_000
"""Points drawn from a mesh."""
_MAX_FACES = 50_000_000
T = TypeVar("T")


def read_mesh(path: Path) -> Stored:
    """`SAMPLES` points, uniform over the surface, always the same; without faces the vertices themselves.

    Colours come from textures inside the file or from vertices and faces; other files that it names are not
    opened. glTF is in metres with y up by its definition.
    """
    kind = path.suffix.lower().removeprefix(".")
    data = path.read_bytes()
    if kind == "glb":
        _check_glb(path, data)
    pieces = _guard(path, lambda: list(_pieces(path, _load(data, kind))))
    for piece in pieces:
        _check_indices(path, piece)
    faces = sum(len(p.faces) for p in pieces if hasattr(p, "faces"))
    points, colors, normals = _draw(path, pieces) if faces else _vertices(path, pieces)
    notes = (
        ("its materials lie in other files and are not read: no colours",)
        if kind == "obj" and colors is None
        else ()
    )
    split = lambda a: None if a is None else (a[:, 0], a[:, 1], a[:, 2])  # noqa: E731
    return Stored(
        "mesh",
        (points[:, 0], points[:, 1], points[:, 2]),
        split(colors),
        split(normals),
        units="m" if kind == "glb" else None,
        up="y" if kind == "glb" else None,
        is_sampled=bool(faces),
        notes=((f"{len(points)} points drawn from {faces} faces",) if faces else ()) + notes,
    )


def _load(data: bytes, kind: str) -> "Scene":
    import trimesh

    # A nameless stream: from a named one trimesh would open the files that it refers to.
    loaded: Any = trimesh.load(
        BytesIO(data), file_type=kind, resolver=None, process=False, allow_remote=False
    )
    return loaded if isinstance(loaded, trimesh.Scene) else trimesh.Scene(loaded)


def _pieces(path: Path, scene: "Scene") -> Iterator[Any]:
    """Every placed geometry, in the scene's frame."""
    nodes = list(scene.graph.nodes_geometry)
    total = sum(len(getattr(scene.geometry[scene.graph[n][1]], "faces", ())) for n in nodes)
    if total > _MAX_FACES:
        raise UserError(f"{path}: has {total} faces with its repetitions; simplify it below {_MAX_FACES}")
    for node in nodes:
        matrix, name = scene.graph[node]
        geometry = scene.geometry[name].copy()
        if hasattr(geometry, "vertices"):
            geometry.apply_transform(matrix)
            yield geometry


def _check_indices(path: Path, piece: Any) -> None:
    faces = np.asarray(getattr(piece, "faces", ()))
    shape_is_good = np.ndim(piece.vertices) == 2 and np.shape(piece.vertices)[1] == 3
    if not shape_is_good or (
        faces.size and not 0 <= int(faces.min()) <= int(faces.max()) < len(piece.vertices)
    ):
        raise UserError(f"{path}: its faces name vertices that do not exist; export it again")


def _draw(path: Path, pieces: list[Any]) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Positions, colours, normals of points drawn in proportion to area."""
    meshes = [p for p in pieces if len(getattr(p, "faces", ()))]
    triangles = [np.asarray(m.vertices, np.float64)[m.faces] for m in meshes]
    crosses = [np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]) for t in triangles]
    areas = [np.nan_to_num(np.linalg.norm(c, axis=1), posinf=0.0) for c in crosses]
    area = np.concatenate(areas)
    edges = np.cumsum(area / max(area.max(), 1e-300))
    if not np.isfinite(edges[-1]) or area.max() <= 0:
        raise UserError(f"{path}: its faces have no area; check the mesh")
    rng = np.random.default_rng(0)
    # Stratified along the summed area: more even than independent draws, and still uniform.
    wanted = (np.arange(SAMPLES) + rng.random(SAMPLES)) / SAMPLES * edges[-1]
    chosen = np.minimum(np.searchsorted(edges, wanted, side="right"), len(edges) - 1)
    uv = rng.random((SAMPLES, 2))
    uv[uv.sum(1) > 1] = 1 - uv[uv.sum(1) > 1]
    weights = np.column_stack([1 - uv.sum(1), uv])
    points = np.einsum("nkd,nk->nd", np.concatenate(triangles)[chosen], weights)
    normals = np.concatenate(crosses)[chosen] / np.maximum(area[chosen], 1e-300)[:, None]
    starts = np.cumsum([0, *(len(a) for a in areas)])
    colors = np.full((SAMPLES, 3), 0.5, np.float32)
    is_colored = False
    for mesh, first, last in zip(meshes, starts[:-1], starts[1:], strict=True):
        rows = np.flatnonzero((chosen >= first) & (chosen < last))
        of_mesh = chosen[rows] - first, weights[rows]
        piece = _guard(path, lambda mesh=mesh, of_mesh=of_mesh: _surface_colors(mesh, *of_mesh))
        if piece is not None:
            colors[rows] = piece
            is_colored = True
    return points, colors if is_colored else None, normals


def _vertices(path: Path, pieces: list[Any]) -> tuple[np.ndarray, np.ndarray | None, None]:
    if not pieces or not sum(len(p.vertices) for p in pieces):
        raise UserError(f"{path}: holds neither faces nor points; export it again")
    points = np.concatenate([np.asarray(p.vertices, np.float64).reshape(-1, 3) for p in pieces])
    colors = [np.asarray(p.colors) if hasattr(p, "colors") else np.zeros((0, 4)) for p in pieces]
    if sum(len(c) for c in colors) != len(points):
        return points, None, None
    return points, np.concatenate(colors)[:, :3].astype(np.float32) / 255, None


def _surface_colors(mesh: Any, faces: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    """(n, 3) in [0, 1] at barycentric `weights` of `faces`; None without colour."""
    visual = mesh.visual
    uv = getattr(visual, "uv", None)
    material = getattr(visual, "material", None)
    if material is not None:
        image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
        if uv is not None and image is not None:
            at = np.einsum("nkd,nk->nd", np.asarray(uv)[mesh.faces[faces]], weights)
            return _texels(image, at)
        if image is None and (plain := getattr(material, "baseColorFactor", None)) is not None:
            return np.broadcast_to(np.asarray(plain[:3], np.float32) / 255, (len(faces), 3))
        return None
    if getattr(visual, "kind", None) == "vertex":
        corners = np.asarray(visual.vertex_colors)[mesh.faces[faces]][..., :3]
        return np.einsum("nkd,nk->nd", corners, weights).astype(np.float32) / 255
    if getattr(visual, "kind", None) == "face":
        return np.asarray(visual.face_colors)[faces, :3].astype(np.float32) / 255
    return None


def _texels(image: Any, uv: np.ndarray) -> np.ndarray:
    """Nearest pixel, repeating; v points up."""
    pixels = np.asarray(image.convert("RGB"))
    height, width = pixels.shape[:2]
    uv = np.nan_to_num(uv) % 1.0
    column = np.minimum((uv[:, 0] * width).astype(np.int64), width - 1)
    row = np.minimum(((1 - uv[:, 1]) * height).astype(np.int64), height - 1)
    return pixels[row, column].astype(np.float32) / 255


def _check_glb(path: Path, data: bytes) -> None:
    """What trimesh would allocate for accessors without data must not exceed the file."""
    claimed = 0
    try:
        magic, _, length, size, kind = struct.unpack_from("<4sIII4s", data)
        tree = json.loads(data[20 : 20 + size]) if magic == b"glTF" and kind == b"JSON" else None
        claimed = sum(int(a["count"]) for a in tree.get("accessors", ())) if isinstance(tree, dict) else 0
    except (struct.error, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        tree, length = None, 0
    if tree is None:
        raise UserError(f"{path}: is no GLB file or cut off; check the extension or export it again")
    if length > len(data) or claimed > len(data):
        raise UserError(
            f"{path}: its header claims more than its {len(data)} bytes hold; it is cut off, export it again"
        )


def _guard(path: os.PathLike[str], call: Callable[[], T]) -> T:
    """Whatever trimesh raises on damaged files, as a `UserError`."""
    try:
        return call()
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        cause = " ".join(f"{type(error).__name__} {error}".split())[:120]
        raise UserError(f"{path}: cannot be read as a mesh ({cause}); export it again") from error

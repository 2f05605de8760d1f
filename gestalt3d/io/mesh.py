"""Meshes: points drawn evenly from their surfaces, with their colours. Read with trimesh."""

import json
import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

import numpy as np

from gestalt3d.encoding import decode
from gestalt3d.errors import UserError
from gestalt3d.io.columns import Stored
from gestalt3d.structures.colors import scaled_colors

if TYPE_CHECKING:
    from trimesh import Scene

SAMPLES = 200_000
"""Points drawn from a mesh."""
_MAX_FACES = 50_000_000
_MAX_PIXELS = 1 << 28
_MAX_BYTES_BESIDE = 1 << 28
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".tga", ".webp", ".gif")
_STATED = "stated_by_file"
T = TypeVar("T")


def read_mesh(path: Path) -> Stored:
    """`SAMPLES` points, uniform over the surface, always the same; without faces the vertices themselves.

    Colours come from textures, materials, vertices and faces. Of other files that it names only materials and
    pictures beside it are opened (`Beside`). glTF is in metres with y up by its definition.
    """
    kind = path.suffix.lower().removeprefix(".")
    data = path.read_bytes()
    if kind == "glb":
        _check_glb(path, data)
    beside = Beside(path)
    pieces = _guard(path, lambda: list(_pieces(path, _load(path, data, kind, beside))))
    for piece in pieces:
        _check_indices(path, piece)
    faces = sum(len(p.faces) for p in pieces if hasattr(p, "faces"))
    points, colors, normals, num_plain = _draw(path, pieces) if faces else (*_vertices(path, pieces), 0)
    notes = [f"{len(points)} points drawn from {faces} faces"] if faces else []
    if beside.missing:
        names = ", ".join(dict.fromkeys(beside.missing))[:200]
        notes.append(f"colours may be missing: {names} cannot be read or does not lie beside it")
    if num_plain:
        notes.append(f"{num_plain} of its points are grey: their part has no colour")
    split = lambda a: None if a is None else (a[:, 0], a[:, 1], a[:, 2])  # noqa: E731
    return Stored(
        "mesh",
        (points[:, 0], points[:, 1], points[:, 2]),
        split(colors),
        split(normals),
        units="m" if kind == "glb" else None,
        up="y" if kind == "glb" else None,
        white=1.0,
        is_sampled=bool(faces),
        notes=tuple(notes),
    )


def read_triangles(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(v, 3) float64 vertices and (f, 3) int64 faces of a file without materials (.off, .stl, .ply), in its own frame.

    `UserError` where it cannot be read or has no faces.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    kind = path.suffix.lower().removeprefix(".")
    pieces = _guard(path, lambda: list(_pieces(path, _load(path, data, kind, Beside(path)))))
    meshes = [piece for piece in pieces if hasattr(piece, "faces")]
    for piece in meshes:
        _check_indices(path, piece)
    if not meshes:
        raise UserError(f"{path}: holds no faces; copy the file again")
    first = np.cumsum([0, *(len(piece.vertices) for piece in meshes[:-1])])
    faces = [np.asarray(piece.faces, np.int64) + at for piece, at in zip(meshes, first.tolist(), strict=True)]
    vertices = np.concatenate([np.asarray(piece.vertices, np.float64) for piece in meshes])
    if not np.isfinite(vertices).all():
        raise UserError(f"{path}: holds a vertex that is no finite number; copy the file again")
    return vertices, np.concatenate(faces)


def _load(path: Path, data: bytes, kind: str, beside: "Beside") -> "Scene":
    import trimesh

    if kind != "glb" and not (kind == "stl" and _is_binary_stl(data)):
        text = decode(data)
        if "\0" in text:
            raise UserError(f"{path}: is no text; check the extension")
        if kind == "off":
            return trimesh.Scene(_read_off(text))
        if kind == "obj":
            text = _with_unit_colors(text)
            beside.read_materials(text)
        data = text.encode()
    files: Any = beside
    # A nameless stream: from a named one trimesh would open the files that it refers to by itself.
    loaded: Any = trimesh.load(
        BytesIO(data), file_type=kind, resolver=files, process=False, allow_remote=False
    )
    return loaded if isinstance(loaded, trimesh.Scene) else trimesh.Scene(loaded)


def _is_binary_stl(data: bytes) -> bool:
    return len(data) >= 84 and len(data) == 84 + 50 * int.from_bytes(data[80:84], "little")


class Beside:
    """The materials and pictures that a mesh names, as far as they lie beside it; what trimesh asks for files.

    Opened are only `.mtl` files and pictures, and only in the mesh's folder, the folders in it and those next
    to it (`../textures/wood.png`). A name that leads elsewhere stands for the file of that name beside the mesh.
    """

    def __init__(self, path: Path) -> None:
        self.missing: list[str] = []
        self._folder = path.parent
        self._materials = b""

    def read_materials(self, text: str) -> None:
        """All materials of an OBJ. Where the picture of one cannot be read, its plain colour means nothing."""
        lines: list[str] = []
        for name in re.findall(r"^[ \t]*mtllib[ \t]+(.+?)[ \t\r]*$", text, re.MULTILINE):
            file = self._find(name, (".mtl",))
            if file is None:
                self.missing.append(name)
            else:
                for material in re.split(r"(?im)^(?=[ \t]*newmtl\b)", decode(file.read_bytes())):
                    lines += self._checked(material.splitlines())
        self._materials = "\n".join(lines).encode()

    def _checked(self, material: list[str]) -> list[str]:
        is_map = [line.split()[:1] in (["map_Kd"], ["map_kd"]) for line in material]
        maps = [_texture_name(line) for line, m in zip(material, is_map, strict=True) if m]
        kept = [line for line, m in zip(material, is_map, strict=True) if not m] + [f"{_STATED} yes"]
        if not maps:
            return kept
        if self._picture(maps[-1]):
            return [*kept, f"map_Kd {maps[-1]}"]
        return [line for line in kept if line.split()[:1] != ["Kd"]]

    def get(self, name: str) -> bytes:
        """The picture of that name, empty where there is none; the materials for any other file."""
        return self._picture(name) if name.lower().endswith(_PICTURES) else self._materials

    def _picture(self, name: str) -> bytes:
        name = unquote(name)
        file = self._find(name, _PICTURES)
        data = b"" if file is None else file.read_bytes()
        if not _is_picture(data):
            self.missing.append(name)
            return b""
        return data

    __getitem__ = get

    def keys(self) -> tuple[str, ...]:
        return ()

    def _find(self, name: str, suffixes: tuple[str, ...]) -> Path | None:
        name = name.strip("\"'").replace("\\", "/")
        top = self._folder.resolve().parent
        for file in (self._folder / name, self._folder / name.rsplit("/", 1)[-1]):
            with suppress(OSError, ValueError):
                real = file.resolve()
                inside = real.is_relative_to(top) and real.name.lower().endswith(suffixes)
                if inside and real.is_file() and real.stat().st_size <= _MAX_BYTES_BESIDE:
                    return real
        return None


def _texture_name(line: str) -> str:
    """Of `map_Kd -s 1 1 1 wood floor.png`, without the options."""
    name = line.split(maxsplit=1)[1] if len(line.split()) > 1 else ""
    return re.sub(r"^(-\w+([ \t]+(-?[0-9.]+|on|off))*[ \t]+)+", "", name).strip("\"' \t\r")


def _is_picture(data: bytes) -> bool:
    from PIL import Image

    try:
        with Image.open(BytesIO(data)) as image:
            return image.width * image.height <= _MAX_PIXELS
    except Exception:  # Whatever decoders raise on damaged files; decoding itself is under `_guard`.
        return False


_OBJ_VERTEX = re.compile(r"^(v(?:[ \t]+[^\s]+){3})((?:[ \t]+[^\s]+){3,4})[ \t\r]*$", re.MULTILINE)


def _with_unit_colors(text: str) -> str:
    """Colours behind the coordinates of an OBJ's vertices from 0 to 1, whatever range they were written in."""
    found = [match[2].split()[:3] for match in _OBJ_VERTEX.finditer(text)]
    if not found:
        return text
    values = np.array(found, dtype=np.float64)
    if np.nanmax(values) <= 1 and np.nanmin(values) >= 0:
        return text
    colors, _ = scaled_colors((values[:, 0], values[:, 1], values[:, 2]))
    rows = iter(np.zeros_like(values) if colors is None else colors)
    return _OBJ_VERTEX.sub(lambda m: f"{m[1]} {' '.join(f'{v:.6f}' for v in next(rows))}", text)


def _read_off(text: str) -> Any:
    """OFF with colours of vertices: `COFF`, or three or four numbers behind the coordinates (and normals: `NOFF`)."""
    import trimesh

    lines = [words for line in text.splitlines() if (words := line.split("#", 1)[0].split())]
    word = re.fullmatch(r"(ST)?(C?)(N?)OFF", lines[0][0] if lines else "", re.IGNORECASE)
    if word is None:
        raise ValueError("it does not begin with OFF")
    head, first = (lines[0][1:], 1) if len(lines[0]) > 1 else (lines[1], 2)
    count, num_faces = int(head[0]), int(head[1])
    rows = lines[first : first + max(count, 0)]
    if count < 0 or num_faces < 0 or len(lines) < first + count + num_faces:
        raise ValueError(f"it ends before its {count} vertices and {num_faces} faces")
    width = min(map(len, rows), default=3)
    table = np.array([row[:width] for row in rows], np.float64).reshape(count, width)
    at = 6 if word[3] else 3
    colors = None
    if width >= at + 3 and (word[2] or width <= at + 4) and not word[1]:
        colors, _ = scaled_colors((table[:, at], table[:, at + 1], table[:, at + 2]))
    colors = None if colors is None else np.rint(colors * 255).astype(np.uint8)
    polygons = [row[1 : 1 + int(row[0])] for row in lines[first + count : first + count + num_faces]]
    fans = [(p[0], p[i], p[i + 1]) for p in polygons for i in range(1, len(p) - 1)]
    if not fans:
        return trimesh.PointCloud(table[:, :3], colors=colors)
    return trimesh.Trimesh(table[:, :3], np.array(fans, np.int64), vertex_colors=colors, process=False)


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


def _draw(path: Path, pieces: list[Any]) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, int]:
    """Positions, colours, normals of points drawn in proportion to area, and how many have no colour of their own."""
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
    num_plain = SAMPLES
    for mesh, first, last in zip(meshes, starts[:-1], starts[1:], strict=True):
        rows = np.flatnonzero((chosen >= first) & (chosen < last))
        of_mesh = chosen[rows] - first, weights[rows]
        piece = _guard(path, lambda mesh=mesh, of_mesh=of_mesh: _surface_colors(mesh, *of_mesh))
        if piece is not None:
            colors[rows] = piece
            num_plain -= len(rows)
    return (points, None, normals, 0) if num_plain == SAMPLES else (points, colors, normals, num_plain)


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
    from trimesh.visual.material import SimpleMaterial

    visual = mesh.visual
    uv = getattr(visual, "uv", None)
    material = getattr(visual, "material", None)
    if material is not None:
        if isinstance(material, SimpleMaterial) and _STATED not in material.kwargs:
            return None  # Made up by trimesh for a mesh that names none which could be read.
        image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
        if uv is not None and image is not None:
            at = np.einsum("nkd,nk->nd", np.asarray(uv)[mesh.faces[faces]], weights)
            return _texels(image, at)
        plain = getattr(material, "baseColorFactor", None)
        if isinstance(material, SimpleMaterial):  # Its grey is made up, too, where the file gives none.
            plain = material.diffuse if "kd" in material.kwargs else None
        if image is None and plain is not None:
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
    if image.width * image.height > _MAX_PIXELS:
        raise ValueError(f"a texture of {image.width} x {image.height} pixels is too large")
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
    if isinstance(tree, dict):
        _check_parts(path, tree)
    if tree is None:
        raise UserError(f"{path}: is no GLB file or cut off; check the extension or export it again")
    if length > len(data) or claimed > len(data):
        raise UserError(
            f"{path}: its header claims more than its {len(data)} bytes hold; it is cut off, export it again"
        )


def _check_parts(path: Path, tree: dict[str, Any]) -> None:
    """Parts that trimesh would leave out without a word, or stumble over."""
    listed = lambda key: [e for e in tree.get(key) or () if isinstance(e, dict)]  # noqa: E731
    for buffer in listed("buffers"):
        uri = buffer.get("uri")
        if isinstance(uri, str) and not uri.startswith("data:"):
            raise UserError(
                f"{path}: its data lie in another file ({uri[:60]}); export it as one GLB with everything inside"
            )
    accessors = listed("accessors")
    text = json.dumps(tree.get("bufferViews"))
    names = {"EXT_meshopt_compression": "meshopt"} if "EXT_meshopt_compression" in text else {}
    for mesh in listed("meshes"):
        for part in mesh.get("primitives") or ():
            own = part.get("extensions") if isinstance(part, dict) else None
            if isinstance(own, dict) and "KHR_draco_mesh_compression" in own:
                at = (part.get("attributes") or {}).get("POSITION")
                # Some files hold the plain data as well.
                if not (isinstance(at, int) and 0 <= at < len(accessors) and "bufferView" in accessors[at]):
                    names["KHR_draco_mesh_compression"] = "Draco"
    if names:
        raise UserError(
            f"{path}: its surfaces are compressed with {' and '.join(names.values())}, which is not read; export it "
            "without compression"
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

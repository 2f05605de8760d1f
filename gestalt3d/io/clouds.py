"""Clouds by file extension."""

import os
from pathlib import Path

import numpy as np

from gestalt3d.errors import UserError
from gestalt3d.io.atomic import atomic_path
from gestalt3d.io.folders import Listing, entries
from gestalt3d.io.frame import place
from gestalt3d.io.semantic import given_semantic
from gestalt3d.lazy import imported
from gestalt3d.structures.pointcloud import PointCloud

_READERS = {
    ".ply": "gestalt3d.io.ply:read_ply",
    ".pcd": "gestalt3d.io.pcd:read_pcd",
    ".las": "gestalt3d.io.las:read_las",
    ".laz": "gestalt3d.io.las:read_las",
    ".xyz": "gestalt3d.io.text:read_text",
    ".txt": "gestalt3d.io.text:read_text",
    ".csv": "gestalt3d.io.text:read_text",
    ".asc": "gestalt3d.io.text:read_text",
    ".pts": "gestalt3d.io.text:read_text",
    ".npy": "gestalt3d.io.numpy_files:read_npy",
    ".npz": "gestalt3d.io.numpy_files:read_npz",
    ".obj": "gestalt3d.io.mesh:read_mesh",
    ".glb": "gestalt3d.io.mesh:read_mesh",
    ".stl": "gestalt3d.io.mesh:read_mesh",
    ".off": "gestalt3d.io.mesh:read_mesh",
}
"""From a path to the `Stored` in it."""
_READER_OF_FOLDERS = "gestalt3d.io.numpy_files:read_folder"
CLOUD_SUFFIXES: tuple[str, ...] = tuple(_READERS)
_NO_CLOUDS = ("classes.txt", "readme.txt", "license.txt", "licence.txt")


def load_cloud(
    path: str | os.PathLike[str],
    *,
    units: str | None = None,
    up: str | None = None,
    semantic: str | None = None,
) -> PointCloud:
    """Read a cloud, the points drawn from a mesh, or a folder with `coord.npy`, in metres with z up.

    By suffix: .ply .pcd .las .laz .xyz .txt .csv .asc .pts .npy .npz .obj .glb .stl .off. Points keep the file's order; those
    that are not finite stay. `units` is m, cm, mm, ft or in, `up` is x, y, z, -x, -y or -z; without them both are guessed, and
    `cloud.source.notes` says what was assumed. `semantic` names a property of the points (an array of an .npz) that holds
    class ids, negative where unknown: it becomes `cloud.semantic`, input of models that take classes. Without it no label
    is read. A file that is damaged, empty or unknown, or lacks the property, is a `UserError`.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"load_cloud(path): got a {type(path).__name__}, not a path; PointCloud.from_arrays takes arrays"
        )
    path = Path(path)
    try:
        if path.is_dir() and not is_cloud_folder(path):
            raise UserError(f"{path}: is a folder; name the files in it")
        if not path.exists():
            raise UserError(f"{path}: does not exist; check the name")
        reader = _READER_OF_FOLDERS if path.is_dir() else _READERS.get(path.suffix.lower())
        if reader is None:
            raise UserError(
                f"{path}: unknown extension {path.suffix!r}; convert it to one of {' '.join(CLOUD_SUFFIXES)}"
            )
        if not path.is_file() and reader is not _READER_OF_FOLDERS:
            raise UserError(f"{path}: is no regular file; save it as a file first")
        if path.stat().st_size == 0:
            raise UserError(f"{path}: is empty; export the scan again")
        cloud = place(path, imported(reader)(path), units=units, up=up)
        return cloud if semantic is None else cloud.same_points(semantic=given_semantic(cloud, semantic))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); check the file and its permissions"
        ) from error
    except MemoryError as error:
        raise UserError(f"{path}: does not fit into memory; reduce the scan") from error


def is_cloud_folder(path: Path) -> bool:
    """Whether the folder is one cloud in parts, as Pointcept keeps its scenes: `coord.npy` and others beside it."""
    return (path / "coord.npy").is_file()


def find_clouds(folder: str | os.PathLike[str], *, listed: Listing = entries) -> list[Path]:
    """Scans directly in `folder`, sorted: files, and folders that are one cloud (`is_cloud_folder`).

    Labels (`*.gt.npz`, ScanNet's `*.labels.ply`), results (`*.instances.*`), the list of classes (`classes.txt`) and
    texts about the folder (`README.txt`) are none.
    """
    inside = listed(Path(folder))
    beside = (".gt.npz", ".labels.ply", *(f".instances{suffix}" for suffix in CLOUD_SUFFIXES))
    files = [p for p in inside if p.suffix.lower() in CLOUD_SUFFIXES and p.is_file()]
    scans = [p for p in files if not p.name.endswith(beside) and p.name.lower() not in _NO_CLOUDS]
    return sorted([*scans, *(p for p in inside if is_cloud_folder(p))])


def save_cloud(path: str | os.PathLike[str], cloud: PointCloud) -> None:
    """Write points, colours and normals in metres, z up, the origin added.

    By suffix: .ply .npz .npy .xyz .las .laz. Points with an origin are written as doubles (.npz keeps them
    apart), colours as bytes.
    """
    from gestalt3d.io.las import write_las
    from gestalt3d.io.numpy_files import write_npz
    from gestalt3d.io.ply import METRIC_COMMENT, write_ply

    if not isinstance(path, str | os.PathLike) or not isinstance(cloud, PointCloud):
        kinds = " and a ".join(type(value).__name__ for value in (path, cloud))
        raise TypeError(f"save_cloud(path, cloud): wants a path and a PointCloud, got a {kinds}")
    path = Path(path)
    table = world_table(cloud)
    position = np.column_stack([table[n] for n in ("x", "y", "z")])
    suffix = path.suffix.lower()
    if suffix not in (".ply", ".npz", ".npy", ".xyz", ".las", ".laz"):
        raise UserError(
            f"{path}: clouds are not written as {suffix!r}; choose .ply .npz .npy .xyz .las or .laz"
        )
    if suffix in (".las", ".laz"):
        write_las(path, {}, position.astype(np.float64), byte_colors(cloud))
        return
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        if suffix == ".ply":
            write_ply(file, table, comments=(METRIC_COMMENT,))
        elif suffix == ".npz":
            write_npz(file, cloud_arrays(cloud))
        elif suffix == ".npy":
            np.save(file, position)
        else:
            digits = {"u": "%d", "f": "%.9g" if table.dtype[0] == np.float32 else "%.15g"}
            np.savetxt(file, table, fmt=[digits[table.dtype[n].kind] for n in table.dtype.names or ()])


def world_table(cloud: PointCloud) -> np.ndarray:
    """Structured array x y z [red green blue] [nx ny nz] in metres, z up, the origin added."""
    return cloud_table(
        _world_points(cloud),
        byte_colors(cloud),
        None if cloud.normals is None else cloud.normals.cpu().numpy(),
    )


def cloud_table(position: np.ndarray, colors: np.ndarray | None, normals: np.ndarray | None) -> np.ndarray:
    """Structured array x y z [red green blue] [nx ny nz] of (n, 3) arrays."""
    columns = dict(zip("xyz", position.T, strict=True))
    if colors is not None:
        columns |= dict(zip(("red", "green", "blue"), colors.T, strict=True))
    if normals is not None:
        columns |= dict(zip(("nx", "ny", "nz"), normals.T, strict=True))
    table = np.empty(len(position), [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        table[name] = column
    return table


def cloud_arrays(cloud: PointCloud) -> dict[str, np.ndarray]:
    """points float32, origin float64 (3,), and where the cloud has them colors uint8 and normals float32."""
    colors = byte_colors(cloud)
    arrays = {"points": cloud.points.cpu().numpy()}
    arrays |= {} if colors is None else {"colors": colors}
    arrays |= {} if cloud.normals is None else {"normals": cloud.normals.cpu().numpy()}
    arrays["origin"] = np.zeros(3) if cloud.origin is None else cloud.origin.cpu().numpy()
    return arrays


def _world_points(cloud: PointCloud) -> np.ndarray:
    points = cloud.points.detach().cpu().numpy()
    return points if cloud.origin is None else points + cloud.origin.cpu().numpy()


def byte_colors(cloud: PointCloud) -> np.ndarray | None:
    if cloud.colors is None:
        return None
    return (cloud.colors.detach().cpu() * 255).round().clamp(0, 255).byte().numpy()

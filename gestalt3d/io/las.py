"""LAS and LAZ, read and written with laspy."""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gestalt3d.errors import UserError
from gestalt3d.io.atomic import atomic_path
from gestalt3d.io.columns import Stored, Triple

_CHUNK = 1_000_000
T = TypeVar("T")


def read_las(path: Path) -> Stored:
    """Coordinates in float64, colours as stored. Units and axes are the file's reference system's: metres, z up."""
    _check_header(path)
    position, colors = _guard(path, lambda: _read_columns(path))
    return Stored("las", position, colors, units="m", up="z")


def write_las(
    path: os.PathLike[str], columns: dict[str, np.ndarray], position: np.ndarray, colors: np.ndarray | None
) -> None:
    """A new LAS 1.4 (LAZ by suffix) of (n, 3) float64 `position`, (n, 3) uint8 `colors` and extra dimensions `columns`.

    LAS knows no NaN: such points are put into the lowest corner.
    """
    import laspy

    finite = position[np.isfinite(position).all(1)]
    low = np.floor(finite.min(0)) if len(finite) else np.zeros(3)
    extent = float((finite.max(0) - low).max()) if len(finite) else 0.0
    header = laspy.LasHeader(point_format=6 if colors is None else 7, version="1.4")
    header.offsets = low
    header.scales = np.full(3, max(1e-4, extent / 2**30))
    las = laspy.LasData(header)
    las.xyz = np.where(np.isfinite(position), position, low)
    if colors is not None:
        # The standard asks for 16 bits: 255 becomes 65535.
        las.red, las.green, las.blue = (colors[:, i].astype(np.uint16) * np.uint16(257) for i in range(3))
    _write(path, las, columns)


def extend_las(source: Path, path: os.PathLike[str], columns: dict[str, np.ndarray]) -> None:
    """Copy the LAS or LAZ file `source` with its format, scales, offsets and dimensions, plus `columns`.

    Dimensions of these names that it has already are replaced.
    """
    import laspy

    count = len(next(iter(columns.values())))
    _check_header(source)
    las = _guard(source, lambda: laspy.read(source))
    if len(las.points) != count:
        raise UserError(
            f"{source}: has {len(las.points)} points now, but had {count} when it was read; segment it again"
        )
    if old := [name for name in las.point_format.extra_dimension_names if name in columns]:
        las.remove_extra_dims(old)
    _write(path, las, columns)


def _write(path: os.PathLike[str], las: Any, columns: dict[str, np.ndarray]) -> None:
    import laspy

    las.add_extra_dims([laspy.ExtraBytesParams(name=n, type=c.dtype) for n, c in columns.items()])
    for name, column in columns.items():
        las[name] = column
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        las.write(file, do_compress=Path(path).suffix.lower() == ".laz")


def _check_header(path: Path) -> None:
    """What laspy would believe: counts and offsets must fit into the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(375)
    if head[:4] != b"LASF" or len(head) < 227:
        raise UserError(f"{path}: is no LAS or LAZ file, or cut off; check the extension or export it again")
    minor = head[25]
    header_size, data_offset, num_vlrs, kind, row_bytes, count = struct.unpack_from("<HIIBHI", head, 94)
    evlr_offset = num_evlrs = 0
    if minor >= 4 and len(head) >= 375:
        evlr_offset, num_evlrs, count = struct.unpack_from("<QIQ", head, 235)
    is_compressed = bool(kind & 0x80)
    # LAZ needs at least a bit a point; one chunk holds 50,000.
    room = (size - data_offset) * 50_000 if is_compressed else (size - data_offset) // max(row_bytes, 1)
    if (
        not 227 <= header_size <= data_offset <= size
        or num_vlrs * 54 > data_offset - header_size
        or row_bytes < 20
        or count > room
        or (num_evlrs and evlr_offset + num_evlrs * 60 > size)
    ):
        raise UserError(
            f"{path}: its header does not fit its {size} bytes; it is cut off or damaged, export it again"
        )


def _read_columns(path: Path) -> tuple[Triple, Triple | None]:
    import laspy

    parts: list[list[np.ndarray]] = [[] for _ in range(6)]
    with laspy.open(path, read_evlrs=False) as reader:
        count = reader.header.point_count
        has_colors = "red" in set(reader.header.point_format.dimension_names)
        # In chunks, so that a lying count fails at the end of the data instead of in one great allocation.
        for points in reader.chunk_iterator(_CHUNK):
            stored = (points.x, points.y, points.z) + (
                (points.red, points.green, points.blue) if has_colors else ()
            )
            for part, values in zip(parts, stored, strict=False):
                part.append(np.array(values))
    read = sum(len(p) for p in parts[0])
    if read != count:
        raise UserError(f"{path}: ends after {read} of {count} points; the file is cut off, copy it again")
    columns = [np.concatenate(p) if p else np.zeros(0) for p in parts]
    return (columns[0], columns[1], columns[2]), (columns[3], columns[4], columns[5]) if has_colors else None


def _guard(path: os.PathLike[str], call: Callable[[], T]) -> T:
    """Whatever laspy and its decompressor raise on damaged files, a Rust panic included, as a `UserError`."""
    try:
        return call()
    except (UserError, OSError, MemoryError):
        raise
    except BaseException as error:
        # A panic of the decompressor is no `Exception`.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        cause = " ".join(str(error).split())[:120]
        raise UserError(
            f"{path}: cannot be read ({cause}); it is cut off or damaged, export it again"
        ) from error

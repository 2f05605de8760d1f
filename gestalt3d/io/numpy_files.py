"""NPY, NPZ and folders of NPY, never with pickles, never larger than they may be."""

import math
import os
import zipfile
from collections.abc import Callable, Iterable
from io import BufferedIOBase
from pathlib import Path
from typing import IO, TypeVar

import numpy as np

from gestalt3d.errors import UserError
from gestalt3d.io.columns import (
    COLOR,
    COLOR_KEYS,
    NORMAL,
    NORMAL_KEYS,
    POINT_KEYS,
    POSITION,
    Stored,
    Triple,
    as_table,
    column_names,
    from_table,
    roles_sentence,
)

MAX_RATIO = 200
"""A member may unpack to this many times its compressed size, or to `MIN_CAP` bytes if that is more."""
MIN_CAP = 64 << 20
_HEADER_LIMIT = 1 << 16
_ROWS = (3, 4, 6, 7, 9)
"""As many rows, and many more columns, are an array of points on its side."""

T = TypeVar("T")


def read_npy(path: Path) -> Stored:
    """(n, 3 or more) columns as `column_names` reads them, (h, w, 3 or 6) row by row, or fields x, y, z.

    An array with few rows and many columns, (3, n) or (6, n), is taken for its transpose.
    """
    return _from_array(path, "npy", read_array(path))


def read_array(path: Path) -> np.ndarray:
    """The array of an .npy, of any shape."""
    with path.open("rb") as file:
        return _read_array(path, file, path.stat().st_size)


def read_npz(path: Path) -> Stored:
    """Arrays called points (or xyz, …), colors (or rgb, …) and normals; with `origin` in metres, z up.

    Where no name says so, `arr_0` or the only array that can be points is taken for them.
    """
    members = read_members(path, (*POINT_KEYS, *COLOR_KEYS, *NORMAL_KEYS, "origin"))
    name = next((k for k in POINT_KEYS if k in members), None)
    if name is None:
        members = read_members(path)
        name = _unnamed_points(path, members)
    stored = _from_array(path, "npz", members[name])
    if name not in POINT_KEYS:
        unused = [k for k in members if k not in (name, *COLOR_KEYS, *NORMAL_KEYS, "origin")]
        rest = f", not used: {', '.join(unused)[:200]}" if unused else ""
        stored = stored._replace(assumed=(f"points from the array {name}{rest}", *stored.assumed))
    count = len(stored.position[0])
    colors = _triple(path, members, COLOR_KEYS, count)
    normals = _triple(path, members, NORMAL_KEYS, count)
    stored = stored._replace(
        kind="npz",
        colors=colors or stored.colors,
        normals=normals or stored.normals,
        table=stored.table if colors is None and normals is None else None,
    )
    origin = members.get("origin")
    if origin is None:
        return stored
    if origin.shape != (3,) or origin.dtype.kind not in "iuf" or not np.isfinite(origin).all():
        raise UserError(f"{path}: its origin is not three numbers; write it again")
    return stored._replace(units="m", up="z", origin=origin.astype(np.float64))


def read_folder(path: Path) -> Stored:
    """`coord.npy` (n, 3), `color.npy` and `normal.npy` where they are there, and any other `.npy` of n numbers.

    The others, `segment.npy` or `instance.npy`, become properties of these names.
    """
    parts = {file.stem: file for file in sorted(path.glob("*.npy"))}
    arrays: dict[str, np.ndarray] = {}
    for name, file in parts.items():
        arrays[name] = read_array(file)
    points = _from_array(parts["coord"], "npy", arrays["coord"])
    count = len(points.position[0])
    columns: dict[str, np.ndarray] = dict(zip(POSITION, points.position, strict=True))
    for name, names in (("color", COLOR), ("normal", NORMAL)):
        triple = _triple(path / f"{name}.npy", arrays, (name,), count)
        if triple is not None:
            columns.update(zip(names, triple, strict=True))
    for name, array in arrays.items():
        values = array.reshape(-1) if array.ndim and array.size == len(array) else array
        if (
            name not in ("coord", "color", "normal")
            and values.shape == (count,)
            and values.dtype.kind in "iufb"
        ):
            columns[name] = values
    return from_table(path, "npy", as_table(columns))


def _unnamed_points(path: Path, members: dict[str, np.ndarray]) -> str:
    able = [
        name
        for name, a in members.items()
        if (a.dtype.names and {"x", "y", "z"} <= {n.lower() for n in a.dtype.names})
        or (a.ndim == 2 and a.dtype.kind in "iuf" and (a.shape[1] >= 3 or a.shape[0] in _ROWS))
    ]
    if "arr_0" in able or len(able) == 1:
        return "arr_0" if "arr_0" in able else able[0]
    have = ", ".join(members)[:200] or "nothing"
    raise UserError(
        f"{path}: has no array called points (it has {have}); name it one of {', '.join(POINT_KEYS)}"
    )


def read_members(path: Path, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of an .npz that `names` lists (None: all). Sizes are checked before anything is unpacked."""
    members = {}
    with _guard(path, lambda: zipfile.ZipFile(path)) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if names is not None and name not in names:
                continue
            if info.file_size > max(MIN_CAP, MAX_RATIO * info.compress_size):
                raise UserError(
                    f"{path}: {name[:40]!r} unpacks to {info.file_size} bytes, suspiciously many; "
                    "save it uncompressed"
                )
            with _guard(path, lambda info=info: archive.open(info)) as file:
                members[name] = _read_array(path, file, info.file_size)
    return members


def write_npz(file: BufferedIOBase, arrays: dict[str, np.ndarray]) -> None:
    """As `np.savez`, but objects are refused in every version of NumPy."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def _read_array(path: Path, file: BufferedIOBase | IO[bytes], size: int) -> np.ndarray:
    """As `np.load` without pickles, but the header's claim is held against `size` first."""
    version = _guard(path, lambda: np.lib.format.read_magic(file))
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise UserError(f"{path}: its NPY version {version} is unknown; save it again with numpy.save")
    shape, is_fortran, dtype = _guard(path, lambda: read_header(file, max_header_size=_HEADER_LIMIT))
    if dtype.hasobject:
        raise UserError(f"{path}: holds Python objects (a pickle), which are never loaded; save numbers only")
    wanted = math.prod(shape) * dtype.itemsize
    if min(shape, default=1) < 0 or wanted > size - file.tell():
        raise UserError(
            f"{path}: claims an array of {str(shape)[:60]} {dtype}, more than the file holds; "
            "it is cut off, copy it again"
        )
    data = _guard(path, lambda: file.read(wanted))
    if len(data) < wanted:
        raise UserError(f"{path}: is cut off; copy or save it again")
    if not wanted:
        return np.zeros(shape if math.prod(shape) == 0 else (0,), dtype)
    return np.frombuffer(data, dtype).reshape(shape, order="F" if is_fortran else "C")


def _guard(path: os.PathLike[str], call: Callable[[], T]) -> T:
    """Whatever NumPy and zipfile raise on damaged files, as a `UserError`."""
    try:
        return call()
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        cause = " ".join(str(error).split())[:120]
        raise UserError(
            f"{path}: cannot be read ({cause}); save it again with numpy.save or numpy.savez"
        ) from error


def _from_array(path: Path, kind: str, array: np.ndarray) -> Stored:
    if array.dtype.names:
        return from_table(path, kind, array.reshape(-1))
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[2] in (3, 6, 9):
        array = array.reshape(-1, array.shape[2])
    assumed = []
    if array.ndim == 2 and array.shape[0] in _ROWS and array.shape[1] > 3 * array.shape[0]:
        assumed = [f"{array.shape[0]} rows of {array.shape[1]} numbers taken for {array.shape[1]} points"]
        array = array.T
    is_picture = array.ndim == 2 and array.shape[1] > 64 and 4 * array.shape[1] > len(array)
    if array.ndim != 2 or array.shape[1] < 3 or is_picture or array.dtype.kind not in "iuf":
        raise UserError(
            f"{path}: holds {array.shape} {array.dtype}, not points; save an (n, 3) or (n, 6) array of "
            "numbers"
        )
    with np.errstate(invalid="ignore"):
        head = array[:: max(1, len(array) // 1000)].astype(np.float64)
    names = column_names(head) if array.shape[1] <= 64 else [*POSITION]
    if sentence := roles_sentence(names):
        assumed.append(sentence)
    columns = dict(zip(names, array.T, strict=False))
    pick = lambda wanted: tuple(columns[n] for n in wanted) if wanted[0] in columns else None  # noqa: E731
    position = (columns["x"], columns["y"], columns["z"])
    return Stored(kind, position, pick(COLOR), pick(NORMAL), assumed=tuple(assumed))


def _triple(path: Path, members: dict[str, np.ndarray], keys: tuple[str, ...], count: int) -> Triple | None:
    """The array under the first of `keys` as three columns; an empty one stands for none."""
    name = next((k for k in keys if k in members), None)
    if name is None or members[name].shape[:1] == (0,) != (count,):
        return None
    array = members[name]
    array = array.reshape(-1, 3) if array.ndim == 3 and array.shape[2] == 3 else array
    if (
        array.ndim != 2
        or array.shape[1] not in (3, 4)
        or len(array) != count
        or array.dtype.kind not in "iuf"
    ):
        raise UserError(
            f"{path}: {name!r} is {array.shape} {array.dtype}, but there are {count} points; give ({count}, "
            "3) numbers"
        )
    return array[:, 0], array[:, 1], array[:, 2]

"""Matrices of numbers in MATLAB's files, read without MATLAB's objects: cells, structures and functions are passed over.

Version 5 (which MATLAB calls v6 and v7) is read here, version 7.3 as the HDF5 that it is. Files come from strangers: what is
unpacked is bounded, whatever a header claims.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gestalt3d.errors import UserError
from gestalt3d.hdf5 import Wanted, opened

MOST_BYTES = 128 << 20
"""Of a file, and of a matrix unpacked."""

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_STORED = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
"""Data types of elements."""
_NUMBERS = {
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip
"""Classes of matrices that hold numbers; these may be stored in a smaller type."""
_COMPLEX = 0x800
_MOST_DIMENSIONS = 32
_PEEK = 1 << 12
"""Bytes in which the name of a matrix stands."""


class _Element(NamedTuple):
    kind: int
    data: bytes
    size: int
    """Bytes that it claims; `data` may be fewer."""
    end: int
    """Where the next one begins."""


def read_matrix(path: Path, name: str) -> np.ndarray:
    """The matrix of real numbers of that name, in MATLAB's order of dimensions. `UserError` in a line for anything else."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise UserError(
                f"{path}: has {size >> 20:,} MiB; {MOST_BYTES >> 20} are read of a matrix at most"
            )
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); check the folder") from error
    if content.startswith((b"MATLAB 7.3", b"\x89HDF\r\n")):
        return _read_hdf5(path, name)
    order = {b"IM": "<", b"MI": ">"}.get(content[126:_HEADER])
    if order is None or not content.startswith(b"MATLAB 5.0"):
        raise UserError(f"{path}: is no MATLAB file; give the .mat that came with the data")
    others = []
    for matrix in _matrices(path, content, order, name):
        if isinstance(matrix, str):
            others.append(matrix)
        else:
            return matrix
    has = ", ".join(others)[:120] or "nothing"
    raise UserError(f"{path}: has no matrix {name!r} (it has {has}); is it another kind of file?")


def _read_hdf5(path: Path, name: str) -> np.ndarray:
    with opened(path, {name: Wanted(2, "iuf")}) as arrays:
        rows = arrays[name]
        if math.prod(rows.shape) * 8 > MOST_BYTES:
            raise UserError(f"{path}: {name!r} claims {rows.shape}, more than {MOST_BYTES >> 20} MiB")
        # MATLAB counts columns first.
        return np.stack([rows[i] for i in range(len(rows))], axis=1) if len(rows) else np.zeros((0, 0))


def _matrices(path: Path, content: bytes, order: str, wanted: str) -> Iterator[np.ndarray | str]:
    """Names of the variables up to the wanted one, then that one."""
    at = _HEADER
    while at < len(content):
        element = _element(path, content, at, order)
        at = element.end
        if len(element.data) < element.size:
            raise _cut_off(path)
        kind, body = element.kind, element.data
        if kind == _COMPRESSED:
            head = _unpacked(path, body, _PEEK)
            inner = _element(path, head, 0, order)
            kind = inner.kind
            if kind == _MATRIX and _name(path, inner.data, order) == wanted:
                if inner.size > MOST_BYTES:
                    raise UserError(
                        f"{path}: {wanted!r} claims {inner.size >> 20:,} MiB; copy the file again"
                    )
                inner = _element(path, _unpacked(path, body, inner.size + 8), 0, order)
                if len(inner.data) < inner.size:
                    raise _cut_off(path)
            body = inner.data
        if kind == _MATRIX:
            name = _name(path, body, order)
            yield _numbers(path, name, body, order) if name == wanted else name


def _unpacked(path: Path, packed: bytes, most: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, most)
    except zlib.error as error:
        raise UserError(f"{path}: is damaged ({error}); copy it again") from error


def _element(path: Path, content: bytes, at: int, order: str) -> _Element:
    """The element that begins at a byte; short ones share eight bytes with their tag."""
    if at + 8 > len(content):
        raise _cut_off(path)
    kind, size = struct.unpack_from(f"{order}II", content, at)
    if kind >> 16:
        size = kind >> 16
        if size > 4:
            raise UserError(f"{path}: is damaged (a short element of {size} bytes); copy it again")
        return _Element(kind & 0xFFFF, content[at + 4 : at + 4 + size], size, at + 8)
    padded = size if kind == _COMPRESSED else -(-size // 8) * 8
    return _Element(kind, content[at + 8 : at + 8 + size], size, at + 8 + padded)


def _parts(path: Path, body: bytes, order: str, count: int) -> list[_Element]:
    """Flags, dimensions, name and numbers of a matrix, the first `count` of them."""
    found: list[_Element] = []
    for _ in range(count):
        found.append(_element(path, body, found[-1].end if found else 0, order))
    return found


def _name(path: Path, body: bytes, order: str) -> str:
    return _parts(path, body, order, 3)[2].data.decode("latin-1")


def _numbers(path: Path, name: str, body: bytes, order: str) -> np.ndarray:
    flags, dimensions, _, stored = _parts(path, body, order, 4)
    flag = struct.unpack_from(f"{order}I", flags.data.ljust(4, b"\0"))[0]
    if flag & 0xFF not in _NUMBERS or flag & _COMPLEX or stored.kind not in _STORED:
        raise UserError(f"{path}: {name!r} holds no real numbers; is it another kind of file?")
    shape = tuple(np.frombuffer(dimensions.data[: dimensions.size // 4 * 4], f"{order}i4").tolist())
    dtype = np.dtype(f"{order}{_STORED[stored.kind]}")
    if len(stored.data) < stored.size:
        raise _cut_off(path)
    fits = 0 < len(shape) <= _MOST_DIMENSIONS and min(shape) >= 0
    if not fits or math.prod(shape) * dtype.itemsize != stored.size:
        raise UserError(
            f"{path}: {name!r} claims {str(shape)[:60]} and has {stored.size:,} bytes; copy the file again"
        )
    values = np.frombuffer(stored.data, dtype).reshape(shape, order="F")
    return values.astype(_NUMBERS[flag & 0xFF])


def _cut_off(path: Path) -> UserError:
    return UserError(f"{path}: is cut off; copy it again")

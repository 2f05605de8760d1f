"""Matrices of numbers and arrays of structures in MATLAB's files, read without MATLAB's objects and functions.

Version 5 (which MATLAB calls v6 and v7) is read here, version 7.3 as the HDF5 that it is. Files come from strangers: what is
unpacked is bounded, whatever a header claims.
"""

import math
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gestalt3d.errors import UserError
from gestalt3d.hdf5 import Wanted, opened

MOST_BYTES = 128 << 20
"""Of a file, and of a matrix unpacked."""

_HEADER = 128
MATRIX, _COMPRESSED = 14, 15
_STORED = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
"""Data types of elements."""
NUMBERS = {
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip
"""Classes of matrices that hold numbers; these may be stored in a smaller type."""
_COMPLEX = 0x800
_MOST_DIMENSIONS = 32
_PEEK = 1 << 12
"""Bytes in which the name of a matrix stands."""


class Element(NamedTuple):
    kind: int
    data: bytes
    size: int
    """Bytes that it claims; `data` may be fewer."""
    end: int
    """Where the next one begins."""


def read_matrix(path: Path, name: str) -> np.ndarray:
    """The matrix of real numbers of that name, in MATLAB's order of dimensions. `UserError` in a line for anything else."""
    content = content_of(path)
    if is_hdf5(content):
        return _read_hdf5(path, name)
    order = byte_order(path, content)
    return numbers(path, name, variable(path, content, order, name, most=MOST_BYTES), order)


def content_of(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise UserError(
                f"{path}: has {size >> 20:,} MiB; {MOST_BYTES >> 20} are read of a matrix at most"
            )
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); check the folder") from error


def is_hdf5(content: bytes) -> bool:
    return content.startswith((b"MATLAB 7.3", b"\x89HDF\r\n"))


def byte_order(path: Path, content: bytes) -> str:
    order = {b"IM": "<", b"MI": ">"}.get(content[126:_HEADER])
    if order is None or not content.startswith(b"MATLAB 5.0"):
        raise UserError(f"{path}: is no MATLAB file; give the .mat that came with the data")
    return order


def _read_hdf5(path: Path, name: str) -> np.ndarray:
    with opened(path, {name: Wanted(2, "iuf")}) as arrays:
        rows = arrays[name]
        if math.prod(rows.shape) * 8 > MOST_BYTES:
            raise UserError(f"{path}: {name!r} claims {rows.shape}, more than {MOST_BYTES >> 20} MiB")
        # MATLAB counts columns first.
        return np.stack([rows[i] for i in range(len(rows))], axis=1) if len(rows) else np.zeros((0, 0))


def variable(path: Path, content: bytes, order: str, wanted: str, *, most: int) -> bytes:
    """Flags, dimensions, name and what else is stored of a variable."""
    at, others = _HEADER, []
    while at < len(content):
        element = element_at(path, content, at, order)
        at = element.end
        if len(element.data) < element.size:
            raise cut_off(path)
        kind, body = element.kind, element.data
        if kind == _COMPRESSED:
            head = _unpacked(path, body, _PEEK)
            inner = element_at(path, head, 0, order)
            kind = inner.kind
            if kind == MATRIX and _name(path, inner.data, order) == wanted:
                if inner.size > most:
                    raise UserError(
                        f"{path}: {wanted!r} claims {inner.size >> 20:,} MiB; copy the file again"
                    )
                inner = element_at(path, _unpacked(path, body, inner.size + 8), 0, order)
                if len(inner.data) < inner.size:
                    raise cut_off(path)
            body = inner.data
        if kind == MATRIX:
            name = _name(path, body, order)
            if name == wanted:
                return body
            others.append(name)
    has = ", ".join(others)[:120] or "nothing"
    raise UserError(f"{path}: has no matrix {wanted!r} (it has {has}); is it another kind of file?")


def _unpacked(path: Path, packed: bytes, most: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, most)
    except zlib.error as error:
        raise UserError(f"{path}: is damaged ({error}); copy it again") from error


def element_at(path: Path, content: bytes, at: int, order: str) -> Element:
    """The element that begins at a byte; short ones share eight bytes with their tag."""
    if at + 8 > len(content):
        raise cut_off(path)
    kind, size = struct.unpack_from(f"{order}II", content, at)
    if kind >> 16:
        size = kind >> 16
        if size > 4:
            raise UserError(f"{path}: is damaged (a short element of {size} bytes); copy it again")
        return Element(kind & 0xFFFF, content[at + 4 : at + 4 + size], size, at + 8)
    padded = size if kind == _COMPRESSED else -(-size // 8) * 8
    return Element(kind, content[at + 8 : at + 8 + size], size, at + 8 + padded)


def end_of(path: Path, content: bytes, at: int, order: str) -> int:
    """Where the element behind the one that begins at a byte does; what lies in between is not looked at."""
    if at + 8 > len(content):
        raise cut_off(path)
    kind, size = struct.unpack_from(f"{order}II", content, at)
    return at + 8 if kind >> 16 else at + 8 + -(-size // 8) * 8


def _parts(path: Path, body: bytes, order: str, count: int) -> list[Element]:
    """Flags, dimensions, name and numbers of a matrix, the first `count` of them."""
    found: list[Element] = []
    for _ in range(count):
        found.append(element_at(path, body, found[-1].end if found else 0, order))
    return found


def _name(path: Path, body: bytes, order: str) -> str:
    return _parts(path, body, order, 3)[2].data.decode("latin-1")


def numbers(path: Path, name: str, body: bytes, order: str) -> np.ndarray:
    flags, dimensions, _, stored = _parts(path, body, order, 4)
    flag = struct.unpack_from(f"{order}I", flags.data.ljust(4, b"\0"))[0]
    if flag & 0xFF not in NUMBERS or flag & _COMPLEX or stored.kind not in _STORED:
        raise UserError(f"{path}: {name!r} holds no real numbers; is it another kind of file?")
    shape = tuple(np.frombuffer(dimensions.data[: len(dimensions.data) // 4 * 4], f"{order}i4").tolist())
    dtype = np.dtype(f"{order}{_STORED[stored.kind]}")
    if len(stored.data) < stored.size:
        raise cut_off(path)
    fits = 0 < len(shape) <= _MOST_DIMENSIONS and min(shape) >= 0
    if not fits or math.prod(shape) * dtype.itemsize != stored.size:
        raise UserError(
            f"{path}: {name!r} claims {str(shape)[:60]} and has {stored.size:,} bytes; copy the file again"
        )
    values = np.frombuffer(stored.data, dtype).reshape(shape, order="F")
    return values.astype(NUMBERS[flag & 0xFF])


def cut_off(path: Path) -> UserError:
    return UserError(f"{path}: is cut off; copy it again")

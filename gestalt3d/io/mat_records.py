"""Arrays of structures in MATLAB's files of version 5 (v6 and v7) and 7.3, whose fields are read when asked for.

A field is an array of numbers, a text, a list of such (a cell), or a list of records (a structure within). Objects, functions and
whatever else MATLAB saves are None. What is unpacked is bounded, and so is how deep structures lie within each other.
"""

import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from gestalt3d.errors import UserError
from gestalt3d.hdf5 import opened_file
from gestalt3d.io import mat

MOST_BYTES = 1 << 29
"""Of a variable unpacked: SUN RGB-D's 10,335 frames take a fifth of it."""
_MOST_DEPTH = 6
_CELL, _STRUCT, _CHAR = 1, 2, 4
_TEXT = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
"""Of data types that hold characters."""

Value = Any
"""`np.ndarray`, `str`, `None`, a list of these, or a list of `Record`."""
Record = dict[str, Value]


@runtime_checkable
class Records(Protocol):
    """The structures of one variable."""

    fields: tuple[str, ...]

    def __len__(self) -> int: ...

    def rows(self, rows: Iterable[int], fields: Sequence[str]) -> Iterator[Record]:
        """Those fields of some rows; fields that they do not have are left out. `UserError` in a line for what is damaged."""
        ...


def read_records(path: Path, name: str) -> Records:
    """The variable of that name, a structure or an array of them. `UserError` in a line for anything else."""
    with path.open("rb") if path.is_file() else _missing(path) as file:
        start = file.read(128)
    if mat.is_hdf5(start):
        return _Hdf5Records(path, name)
    content = mat.content_of(path)
    order = mat.byte_order(path, content)
    return _PackedRecords(path, name, mat.variable(path, content, order, name, most=MOST_BYTES), order)


def _missing(path: Path) -> Any:
    raise UserError(f"{path}: no such file; check the folder and the name")


class _PackedRecords:
    """Version 5."""

    def __init__(self, path: Path, name: str, body: bytes, order: str) -> None:
        self._path, self._body, self._order = path, body, order
        parts = _Parts(path, body, order)
        if parts.kind != _STRUCT:
            raise UserError(f"{path}: {name!r} is no structure; is it another kind of file?")
        self.fields = parts.field_names()
        count = math.prod(parts.shape)
        # Every field of a structure takes eight bytes at least, so that no header claims more than there is.
        if count * max(len(self.fields), 1) * 8 > len(body):
            raise mat.cut_off(path)
        self._starts = []
        at = parts.at
        for _ in range(count * len(self.fields)):
            self._starts.append(at)
            at = mat.end_of(path, body, at, order)
        self._count = count

    def __len__(self) -> int:
        return self._count

    def rows(self, rows: Iterable[int], fields: Sequence[str]) -> Iterator[Record]:
        wanted = [(name, self.fields.index(name)) for name in fields if name in self.fields]
        for row in rows:
            first = row * len(self.fields)
            yield {
                name: _value(self._path, self._body, self._starts[first + k], self._order, 1)
                for name, k in wanted
            }


class _Parts:
    """Kind and shape of an array, and where what it holds begins."""

    def __init__(self, path: Path, body: bytes, order: str) -> None:
        self._path, self._body, self._order = path, body, order
        flags = mat.element_at(path, body, 0, order)
        dimensions = mat.element_at(path, body, flags.end, order)
        self.kind = struct.unpack_from(f"{order}I", flags.data.ljust(4, b"\0"))[0] & 0xFF
        shape = np.frombuffer(dimensions.data[: len(dimensions.data) // 4 * 4], f"{order}i4").tolist()
        if not 0 < len(shape) <= 32 or min(shape) < 0:
            raise UserError(f"{path}: is damaged (an array of {str(shape)[:60]}); copy it again")
        self.shape = tuple(shape)
        self.at = mat.element_at(path, body, dimensions.end, order).end

    def field_names(self) -> tuple[str, ...]:
        """Of a structure; what follows begins behind them."""
        length = mat.element_at(self._path, self._body, self.at, self._order)
        names = mat.element_at(self._path, self._body, length.end, self._order)
        self.at = names.end
        wide = struct.unpack_from(f"{self._order}i", length.data.ljust(4, b"\0"))[0]
        if not 0 < wide <= 256:
            raise UserError(f"{self._path}: is damaged (fields of {wide} letters); copy it again")
        pieces = (names.data[i : i + wide] for i in range(0, len(names.data), wide))
        return tuple(piece.split(b"\0")[0].decode("latin-1") for piece in pieces)


def _value(path: Path, content: bytes, at: int, order: str, depth: int) -> Value:
    """Of the array that begins at a byte."""
    element = mat.element_at(path, content, at, order)
    if len(element.data) < element.size:
        raise mat.cut_off(path)
    if element.kind != mat.MATRIX or depth > _MOST_DEPTH:
        return None
    if not element.size:
        return np.zeros((0, 0))
    body = element.data
    parts = _Parts(path, body, order)
    count = math.prod(parts.shape)
    if parts.kind == _CHAR:
        text = mat.element_at(path, body, parts.at, order)
        coding = _TEXT.get(text.kind)
        if coding is None:
            return None
        little = {"utf-16": "-le", "utf-32": "-le"} if order == "<" else {"utf-16": "-be", "utf-32": "-be"}
        return text.data.decode(coding + little.get(coding, ""), "replace")
    if parts.kind in (_CELL, _STRUCT):
        names = parts.field_names() if parts.kind == _STRUCT else ("",)
        if count * max(len(names), 1) * 8 > len(body):
            raise mat.cut_off(path)
        values, start = [], parts.at
        for _ in range(count * len(names)):
            values.append(_value(path, body, start, order, depth + 1))
            start = mat.end_of(path, body, start, order)
        if parts.kind == _CELL:
            return values
        wide = len(names)
        return [dict(zip(names, values[i : i + wide], strict=True)) for i in range(0, count * wide, wide)]
    if parts.kind not in mat.NUMBERS:
        return None
    return mat.numbers(path, "a field", body, order)


class _Hdf5Records:
    """Version 7.3: opened anew for whatever is asked."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        with self._open() as (_, group):
            self.fields = tuple(sorted(group.keys()))
            self._count = self._length(group)

    def __len__(self) -> int:
        return self._count

    def rows(self, rows: Iterable[int], fields: Sequence[str]) -> Iterator[Record]:
        with self._open() as (reader, group):
            wanted = [name for name in fields if name in self.fields]
            columns = {name: reader.column(group, name, self._count) for name in wanted}
            for row in rows:
                yield {name: reader.value(column[row], 1) for name, column in columns.items()}

    def _length(self, group: Any) -> int:
        lengths = {_columns_of(group, name) for name in group}
        if len(lengths) > 1:
            return 1
        return max(lengths.pop() if lengths else 0, 0) or 1

    @contextmanager
    def _open(self) -> Iterator[tuple["_Hdf5", Any]]:
        with opened_file(self._path) as (h5py, file):
            reader = _Hdf5(self._path, h5py, file)
            try:
                group = reader.own(file, self._name)
                if not isinstance(group, h5py.Group):
                    has = ", ".join(sorted(file.keys())[:12])[:120] or "nothing"
                    raise UserError(
                        f"{self._path}: has no structure {self._name!r} (it has {has}); is it another kind of file?"
                    )
                yield reader, group
            except UserError:
                raise
            except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
                cause = " ".join(str(error).split())[:120]
                raise UserError(f"{self._path}: is damaged ({cause}); copy it again") from None


def _columns_of(group: Any, name: str) -> int:
    """How many structures a member of a group has values of; 0 where it is a value of one alone."""
    item = group[name]
    is_column = getattr(item, "dtype", None) is not None and item.dtype.kind == "O"
    return item.size if is_column and "MATLAB_class" not in item.attrs else 0


class _Hdf5:
    """Values of a file of version 7.3, each in the file itself."""

    def __init__(self, path: Path, h5py: Any, file: Any) -> None:
        self._path, self._h5py, self._file = path, h5py, file

    def own(self, group: Any, name: str) -> Any:
        link = group.get(name, getlink=True)
        if link is not None and not isinstance(link, self._h5py.HardLink):
            raise UserError(f"{self._path}: {name!r} is a link to elsewhere; write it into the file")
        return None if link is None else group[name]

    def column(self, group: Any, name: str, count: int) -> list[Any]:
        """What the structures of an array hold in a field."""
        item = self.own(group, name)
        if _columns_of(group, name):
            self._expect_bounded(item)
            return [self._file[ref] for ref in np.asarray(item).ravel()[:count]]
        return [item] * count

    def value(self, item: Any, depth: int) -> Value:
        if depth > _MOST_DEPTH:
            return None
        kind = item.attrs.get("MATLAB_class", b"")
        kind = kind.decode("latin-1", "replace") if isinstance(kind, bytes) else str(kind)
        if isinstance(item, self._h5py.Group):
            lengths = [_columns_of(item, name) for name in item]
            count = min(lengths, default=0) or 1
            columns = {name: self.column(item, name, count) for name in item}
            return [
                {name: self.value(column[i], depth + 1) for name, column in columns.items()}
                for i in range(count)
            ]
        self._expect_bounded(item)
        if item.attrs.get("MATLAB_empty", 0):
            return "" if kind == "char" else [] if kind in ("cell", "struct") else np.zeros((0, 0))
        values = np.asarray(item)
        if values.dtype.kind == "O":
            return [self.value(self._file[ref], depth + 1) for ref in values.ravel()]
        if kind == "char" and values.dtype.kind == "u":
            return "".join(map(chr, values.ravel().tolist()))
        return values.T if values.dtype.kind in "biuf" else None

    def _expect_bounded(self, item: Any) -> None:
        if item.external or item.is_virtual:
            raise UserError(f"{self._path}: keeps values in other files; write them into this one")
        if item.size * item.dtype.itemsize > mat.MOST_BYTES:
            raise UserError(f"{self._path}: claims {item.shape} for a value; copy the file again")

"""Columns of integers from text files and `.npz` archives; no loop over the lines of plain text."""

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gestalt3d.encoding import decode, encoding_of, text_lines
from gestalt3d.errors import UserError

# "0\n0\n0\n0\n" as a little-endian word. A line "1\n" differs from "0\n" in the lowest bit of its 16 bits.
_FOUR_ZEROS = np.uint64(0x0A30_0A30_0A30_0A30)
_LOWEST_BITS = np.uint64(0x0001_0001_0001_0001)
_NEWLINE = ord("\n")
_ZERO = ord("0")
_MOST_DIGITS = 18  # every number of 18 digits fits into int64


def read_integers(path: Path) -> np.ndarray:
    """(n,) int64: the number on each line. `UserError` naming file and line when one is no integer."""
    return _integers(_bytes(path), path)


def read_nonzero(path: Path, *, count: int) -> np.ndarray:
    """Ascending positions of the lines that are not zero, int64, in a file that must have `count` lines.

    A file that holds nothing but "0\\n" and "1\\n" is decoded four lines at a time.
    """
    data = _bytes(path)
    nonzero = _nonzero_of_bits(data, count)
    if nonzero is not None:
        return nonzero
    values = _integers(data, path)
    if len(values) != count:
        raise UserError(
            f"{path}: {len(values)} lines, but the ground truth has {count}; write one value per vertex"
        )
    return np.flatnonzero(values)


def read_last_columns(path: Path, *, count: int) -> tuple[np.ndarray, ...]:
    """The last `count` columns, (n,) int64 each, of a table with blanks between; floats are allowed."""
    if not len(data := _bytes(path)):
        return (np.zeros(0, dtype=np.int64),) * count
    try:
        lines = text_lines(io.BytesIO(data.tobytes()))
        table = np.loadtxt(lines, comments=None, ndmin=2, usecols=range(-count, 0))
    except (ValueError, IndexError) as error:
        cause = str(error).splitlines()[0]
        raise UserError(f"{path}: no table of at least {count} columns of numbers ({cause})") from error
    odd = np.argwhere((table != np.floor(table)) | (np.abs(table) > 2**53))
    if len(odd):
        row, column = odd[0].tolist()
        raise UserError(
            f"{path}:{row + 1}: {table[row, column]} is not an integer; the last {count} columns must be"
        )
    return tuple(table.astype(np.int64).T)


class Layout(NamedTuple):
    """What an array of an archive must be: `kinds` are NumPy's letters, such as "iu" for whole numbers."""

    dims: int
    kinds: str

    def __str__(self) -> str:
        words = {"b": "booleans", "i": "integers", "f": "floats"}
        shape = "(n,)" if self.dims == 1 else "(m, n)"
        return f"{' or '.join(words[kind] for kind in self.kinds if kind in words)} {shape}"


MOST_BYTES = 1 << 30
"""Of one array: a small archive may unpack to very much."""


def read_arrays(path: Path, names: tuple[str, ...]) -> tuple[np.ndarray, ...]:
    """The named arrays of an `.npz` archive, (n,) int64 each; allocates only what the file holds."""
    found = read_layouts(path, dict.fromkeys(names, Layout(1, "iu")))
    return tuple(array.astype(np.int64) for array in found)


def read_layouts(path: Path, wanted: Mapping[str, Layout]) -> list[np.ndarray]:
    """The named arrays of an `.npz` archive, each of the layout that is wanted; allocates only what the file holds."""
    import zipfile
    import zlib

    if not path.is_file():
        raise UserError(f"{path}: no such file; check the folder and the name")
    try:
        with zipfile.ZipFile(path) as archive:
            found = []
            for name, layout in wanted.items():
                if archive.getinfo(f"{name}.npy").file_size > MOST_BYTES:
                    raise ValueError(f"{name} would unpack to more than {MOST_BYTES >> 20} MiB")
                found.append(_member(archive.read(f"{name}.npy"), name, layout))
            return found
    except KeyError as error:
        missing = next(name for name in wanted if f"{name}.npy" in str(error))
        raise UserError(f"{path}: has no array {missing!r}; it must hold {', '.join(wanted)}") from error
    except (
        OSError,
        ValueError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise UserError(f"{path}: cannot be read as .npz ({error}); write it with numpy.savez") from error


def _member(data: bytes, name: str, layout: Layout) -> np.ndarray:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = (
        np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    )
    shape, is_fortran, dtype = read_header(stream)
    if len(shape) != layout.dims or dtype.kind not in layout.kinds:
        raise ValueError(f"{name} must be {layout}, is {dtype} {shape}")
    count = math.prod(shape)
    if count * dtype.itemsize != len(data) - stream.tell():
        raise ValueError(f"{name} claims {count} entries and holds {len(data) - stream.tell()} bytes")
    flat = np.frombuffer(data, dtype=dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if is_fortran else "C")


def _bytes(path: Path) -> np.ndarray:
    try:
        if not path.is_file():
            raise UserError(f"{path}: no such file; check the folder and the name")
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if encoding_of(data[:200].tobytes()) != "utf-8":
        data = np.frombuffer(decode(data.tobytes()).encode(), dtype=np.uint8)
    return data


def _nonzero_of_bits(data: np.ndarray, count: int) -> np.ndarray | None:
    """Positions of the ones in "0\\n1\\n…" (last newline optional), None when the text is anything else."""
    if len(data) not in (2 * count, 2 * count - 1):
        return None
    whole = len(data) // 8
    words = data[: 8 * whole].view("<u8")
    tail = _nonzero_of_words(_pad(data[8 * whole :]))
    head = _nonzero_of_words(words)
    if head is None or tail is None:
        return None
    return np.concatenate([head, 4 * whole + tail])


def _pad(tail: np.ndarray) -> np.ndarray:
    padded = np.frombuffer(b"0\n0\n0\n0\n", dtype=np.uint8).copy()
    padded[: len(tail)] = tail
    return padded.view("<u8")


def _nonzero_of_words(words: np.ndarray) -> np.ndarray | None:
    differing = words ^ _FOUR_ZEROS
    if np.bitwise_or.reduce(differing) & ~_LOWEST_BITS:
        return None
    at = np.flatnonzero(differing != 0)  # of a bool array: several times as fast as of numbers
    ones = np.flatnonzero(differing[at].view("<u2") != 0)
    return 4 * at[ones >> 2] + (ones & 3)


def _integers(data: np.ndarray, path: Path) -> np.ndarray:
    text = data.tobytes().rstrip()
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    if not text:
        return np.zeros(0, dtype=np.int64)
    values = _plain_integers(np.frombuffer(text + b"\n", dtype=np.uint8))
    return _any_integers(text, path) if values is None else values


def _plain_integers(data: np.ndarray) -> np.ndarray | None:
    """Numbers of a text that holds nothing but digits and newlines, None for any other text."""
    ends = np.flatnonzero(data == _NEWLINE)
    digits = data - np.uint8(_ZERO)  # wraps: everything but a digit is above 9
    if np.count_nonzero(digits <= 9) != len(data) - len(ends):
        return None
    lengths = np.diff(ends, prepend=-1) - 1
    longest = int(lengths.max())
    if lengths.min() == 0 or longest > _MOST_DIGITS:
        return None
    values = np.zeros(len(ends), dtype=np.int64)
    for k in range(longest):
        # Lines of k digits or fewer read a byte of an earlier line here; the factor removes it.
        values += digits[ends - 1 - k] * (lengths > k) * np.int64(10**k)
    return values


def _any_integers(text: bytes, path: Path) -> np.ndarray:
    """Signs, spaces and whole numbers written as floats, line by line."""
    lines = text.split(b"\n")
    values = np.empty(len(lines), dtype=np.int64)
    for i, line in enumerate(lines):
        try:
            values[i] = _integer(line)
        except (ValueError, OverflowError) as error:
            shown = line[:40].decode("utf-8", "replace")
            raise UserError(
                f"{path}:{i + 1}: {shown!r} is not an integer; write one integer per line"
            ) from error
    return values


def _integer(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        value = float(text)
        if not value.is_integer():
            raise
        return int(value)

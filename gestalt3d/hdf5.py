"""Arrays of HDF5 files, checked before they are read: of the layout wanted, in the file itself, no larger than may be.

Files come from strangers. A link or an external storage would lead to other files, and a few bytes may claim any size.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gestalt3d.errors import UserError

MOST_BYTES = 1 << 30
"""Of what is read or unpacked at once."""


class Wanted(NamedTuple):
    """What an array must be: `kinds` are NumPy's letters, "b" booleans, "i" and "u" integers, "f" floats."""

    dims: int
    kinds: str


@dataclass(frozen=True)
class Rows:
    """An array of a file, whose rows are read one at a time."""

    path: Path
    name: str
    shape: tuple[int, ...]
    _array: Any

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, row: int) -> np.ndarray:
        """Row `row`, an array of its own."""
        if not 0 <= row < len(self):
            raise IndexError(f"{self.name} of {self.path} has {len(self)} rows, asked for {row}")
        try:
            return np.asarray(self._array[row])
        except (OSError, RuntimeError, ValueError) as error:  # a chunk that is damaged or missing its filter
            where = f"{self.path}: {self.name}[{row}]"
            raise UserError(f"{where} cannot be read ({_cause(error)}); copy the file again") from None


@contextmanager
def opened(path: Path, wanted: Mapping[str, Wanted]) -> Iterator[dict[str, Rows]]:
    """The wanted arrays of a file, by name; a name that ends with "?" may be missing. `UserError` in a line for anything else."""
    with opened_file(path) as (h5py, file):
        found: dict[str, Rows] = {}
        for key, layout in wanted.items():
            name = key.removesuffix("?")
            array = _own(h5py, file, name, path)
            if array is None:
                if key.endswith("?"):
                    continue
                has = ", ".join(sorted(file.keys())[:12]) or "nothing"
                raise UserError(
                    f"{path}: has no array {name!r} (it has {has[:200]}); is it another kind of file?"
                )
            _expect(array, name, layout, path)
            found[name] = Rows(path, name, tuple(array.shape), array)
        yield found


@contextmanager
def opened_file(path: Path) -> Iterator[tuple[Any, Any]]:
    """h5py, and the file opened with it; `UserError` in a line where either is not to be had. Check what you read of it."""
    try:
        h5py: Any = import_module("h5py")
    except ImportError:
        raise UserError("files in HDF5 are read with h5py; pip install h5py") from None
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the folder and the name")
    try:
        file = h5py.File(path, "r")
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{path}: is no HDF5 file or cut off ({_cause(error)}); copy it again") from None
    with file:
        yield h5py, file


def _own(h5py: Any, file: Any, name: str, path: Path) -> Any:
    """The array of that name if its numbers lie in the file itself; None where there is none."""
    link = file.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise UserError(f"{path}: {name!r} is a link to elsewhere; write the numbers into the file")
    array = file[name]
    if not isinstance(array, h5py.Dataset):
        return None
    if array.external or array.is_virtual:
        raise UserError(f"{path}: {name!r} keeps its numbers in other files; write them into this one")
    return array


def _expect(array: Any, name: str, wanted: Wanted, path: Path) -> None:
    shape, dtype = tuple(array.shape or ()), array.dtype
    if len(shape) != wanted.dims or dtype.kind not in wanted.kinds:
        words = {"b": "booleans", "i": "integers", "f": "floats"}
        kinds = " or ".join(words[kind] for kind in wanted.kinds if kind in words)
        raise UserError(f"{path}: {name!r} must be {kinds} in {wanted.dims} dimensions, is {dtype} {shape}")
    chunk = array.chunks or shape[1:]
    largest = max(math.prod(shape[1:]), math.prod(chunk)) * dtype.itemsize
    if largest > MOST_BYTES:
        raise UserError(
            f"{path}: {name!r} would take {largest >> 20:,} MiB to read a row of; {MOST_BYTES >> 20:,} are the most"
        )


def _cause(error: Exception) -> str:
    return " ".join(str(error).split())[:120]

"""HDF5 files for tests; where h5py is not installed, a stand-in of it that keeps arrays in NumPy's archives.

What only a real file shows, such as links and damage, is in `tests/test_hdf5.py` and skipped without h5py.
"""

import importlib.util
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

IS_REAL = importlib.util.find_spec("h5py") is not None


class _HardLink:
    pass


class _Dataset:
    """An array as h5py shows it."""

    chunks = external = None
    is_virtual = False

    def __init__(self, values: np.ndarray) -> None:
        self._values, self.shape, self.dtype = values, values.shape, values.dtype

    def __getitem__(self, row: int) -> np.ndarray:
        return self._values[row]


class _File:
    def __init__(self, path: Path, mode: str) -> None:
        assert mode == "r"
        try:
            with np.load(path, allow_pickle=False) as arrays:
                self._arrays = {name: _Dataset(arrays[name]) for name in arrays.files}
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise OSError("file signature not found") from error

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self._arrays = {}

    def keys(self) -> list[str]:
        return list(self._arrays)

    def get(self, name: str, *, getlink: bool) -> Any:
        return _HardLink() if getlink and name in self._arrays else None

    def __getitem__(self, name: str) -> _Dataset:
        return self._arrays[name]


def stand_in() -> ModuleType:
    module: Any = ModuleType("h5py")
    module.File, module.Dataset, module.HardLink = _File, _Dataset, _HardLink
    return module


@pytest.fixture
def hdf5(monkeypatch: pytest.MonkeyPatch) -> None:
    """h5py, or the stand-in."""
    if not IS_REAL:
        monkeypatch.setitem(sys.modules, "h5py", stand_in())


def write_hdf5(path: Path, **arrays: np.ndarray) -> None:
    """Compressed as PartNet's are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not IS_REAL:
        with path.open("wb") as stream:
            np.savez(stream, **arrays)
        return
    import h5py

    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, compression="gzip", compression_opts=4)

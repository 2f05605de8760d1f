"""Arrays of HDF5 files: what is wanted is read, everything else is one line."""

import sys
from pathlib import Path

import numpy as np
import pytest

from gestalt3d import hdf5 as module
from gestalt3d.errors import UserError
from gestalt3d.hdf5 import Wanted, opened
from tests.hdf5_files import hdf5, write_hdf5

__all__ = ["hdf5"]
POINTS = {"pts": Wanted(3, "f")}


def test_rows_are_those_written(tmp_path: Path, hdf5: None) -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    write_hdf5(tmp_path / "a.h5", pts=values, other=np.ones(3))
    with opened(tmp_path / "a.h5", {**POINTS, "more?": Wanted(1, "i")}) as arrays:
        assert list(arrays) == ["pts"] and arrays["pts"].shape == (2, 4, 3) and len(arrays["pts"]) == 2
        assert np.array_equal(arrays["pts"][1], values[1])
        with pytest.raises(IndexError, match="2 rows"):
            arrays["pts"][2]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"points": Wanted(3, "f")}, r"has no array 'points' \(it has pts\)"),
        ({"pts": Wanted(2, "f")}, r"'pts' must be floats in 2 dimensions, is float32 \(2, 4, 3\)"),
        ({"pts": Wanted(3, "iu")}, "must be integers in 3 dimensions"),
    ],
)
def test_other_arrays_are_refused(
    tmp_path: Path, hdf5: None, wanted: dict[str, Wanted], message: str
) -> None:
    write_hdf5(tmp_path / "a.h5", pts=np.zeros((2, 4, 3), np.float32))
    with pytest.raises(UserError, match=message), opened(tmp_path / "a.h5", wanted):
        pass


def test_rows_that_would_take_much_memory_are_refused(
    tmp_path: Path, hdf5: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_hdf5(tmp_path / "a.h5", pts=np.zeros((2, 4, 3), np.float32))
    monkeypatch.setattr(module, "MOST_BYTES", 40)
    with pytest.raises(UserError, match="MiB to read a row"), opened(tmp_path / "a.h5", POINTS):
        pass


@pytest.mark.parametrize("content", [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n" + b"\0" * 50])
def test_what_is_no_hdf5_is_named(tmp_path: Path, hdf5: None, content: bytes) -> None:
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(UserError, match="no HDF5 file or cut off"), opened(tmp_path / "a.h5", POINTS):
        pass
    with pytest.raises(UserError, match="no such file"), opened(tmp_path / "b.h5", POINTS):
        pass


def test_without_h5py_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match="pip install h5py"), opened(tmp_path / "a.h5", POINTS):
        pass


def test_a_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    write_hdf5(path, pts=np.random.default_rng(0).random((4, 500, 3)).astype(np.float32))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="no HDF5 file or cut off"), opened(path, POINTS):
        pass


def test_numbers_that_are_damaged_are_named(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    write_hdf5(path, pts=np.random.default_rng(0).random((4, 5000, 3)).astype(np.float32))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = b"\xff" * 4000
    path.write_bytes(data)
    with opened(path, POINTS) as arrays, pytest.raises(UserError, match="cannot be read"):
        for row in range(4):
            arrays["pts"][row]


@pytest.mark.parametrize("kind", ["soft", "external", "storage"])
def test_links_to_elsewhere_are_refused(tmp_path: Path, kind: str) -> None:
    h5py = pytest.importorskip("h5py")
    write_hdf5(tmp_path / "other.h5", pts=np.zeros((2, 4, 3), np.float32))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        if kind == "soft":
            file["pts"] = h5py.SoftLink("/elsewhere")
        elif kind == "external":
            file["pts"] = h5py.ExternalLink("other.h5", "pts")
        else:
            (tmp_path / "raw").write_bytes(b"\0" * 96)
            file.create_dataset("pts", (2, 4, 3), "f4", external=[(str(tmp_path / "raw"), 0, 96)])
    message = "other files" if kind == "storage" else "link to elsewhere"
    with pytest.raises(UserError, match=message), opened(tmp_path / "a.h5", POINTS):
        pass


def test_a_claim_of_any_size_takes_no_memory(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("pts", (2, 10**12, 3), "f4", chunks=(1, 1000, 3))
    with pytest.raises(UserError, match="MiB to read a row"), opened(tmp_path / "a.h5", POINTS):
        pass

"""Matrices of MATLAB's files against SciPy's writer, and files that are damaged or hostile."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from gestalt3d.errors import UserError
from gestalt3d.io.mat import MOST_BYTES, read_matrix
from tests.hdf5_files import IS_REAL, write_hdf5


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i2", "u2", "i4", "u4", "i8"])
def test_a_matrix_is_what_was_saved(tmp_path: Path, dtype: str, packed: bool) -> None:
    values = np.arange(35).reshape(5, 7).astype(dtype)
    savemat(
        tmp_path / "a.mat", {"x": np.ones(3), "cells": np.array(["a", 1], object), "values": values},
        do_compression=packed,
    )  # fmt: skip
    found = read_matrix(tmp_path / "a.mat", "values")
    assert found.dtype == values.dtype and np.array_equal(found, values)


@pytest.mark.parametrize("shape", [(0, 6), (1, 1), (3, 1), (2, 3, 4)])
def test_small_and_many_dimensions(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape)
    savemat(tmp_path / "a.mat", {"v": values}, do_compression=True)
    assert np.array_equal(read_matrix(tmp_path / "a.mat", "v"), values)


@pytest.mark.skipif(not IS_REAL, reason="h5py is not installed")
def test_version_7_3_is_read_as_hdf5(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.float32).reshape(2, 6)
    write_hdf5(tmp_path / "a.mat", values=values.T)
    assert np.array_equal(read_matrix(tmp_path / "a.mat", "values"), values)


def test_what_is_no_matrix_is_said_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"cells": np.array(["a", 1], object), "z": np.array([1j])})
    for name, said in (("cells", "no real numbers"), ("z", "no real numbers"), ("gone", "it has cells, z")):
        with pytest.raises(UserError, match=said) as caught:
            read_matrix(path, name)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    path.write_bytes(b"\x80\x04pickle" * 40)
    with pytest.raises(UserError, match="is no MATLAB file"):
        read_matrix(path, "z")
    with pytest.raises(UserError, match="No such file"):
        read_matrix(tmp_path / "none.mat", "z")


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_cut_off_anywhere_is_an_error(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"values": np.random.default_rng(0).normal(size=(9, 6))}, do_compression=packed)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError):
            read_matrix(path, "values")


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_bytes_give_numbers_or_one_error(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"values": np.random.default_rng(0).normal(size=(9, 6))}, do_compression=packed)
    whole = bytearray(path.read_bytes())
    rng = np.random.default_rng(1)
    for _ in range(400):
        damaged = bytearray(whole)
        for at in rng.integers(0, min(len(whole), 220), 3):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            assert read_matrix(path, "values").size <= 9 * 6 * 8
        except UserError as error:
            assert "\n" not in str(error)


def test_what_a_header_claims_is_not_allocated(tmp_path: Path) -> None:
    header = b"MATLAB 5.0".ljust(124) + struct.pack("<H", 0x100) + b"IM"
    flags = struct.pack("<IIII", 6, 8, 7, 0)
    name = struct.pack("<II8s", 1, 8, b"instance")
    for rows, size in ((2**30, 24), (-1, 24), (2**30, 2**32 - 64), (1, 24)):
        dimensions = struct.pack("<IIii", 5, 8, rows, 6)
        body = flags + dimensions + name + struct.pack("<II", 7, size) + bytes(24)
        path = tmp_path / "a.mat"
        for claimed in (len(body), 2**32 - 1, MOST_BYTES + 1):
            matrix = struct.pack("<II", 14, claimed) + body
            packed = zlib.compress(matrix)
            for content in (matrix, struct.pack("<II", 15, len(packed)) + packed):
                path.write_bytes(header + content)
                if (rows, claimed) == (1, len(body)):
                    assert read_matrix(path, "instance").shape == (1, 6)
                else:
                    with pytest.raises(UserError):
                        read_matrix(path, "instance")

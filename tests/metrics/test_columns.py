"""Text columns: every accepted spelling gives the number, every other is refused with its line."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gestalt3d.errors import UserError
from gestalt3d.metrics import columns
from gestalt3d.metrics.columns import read_arrays, read_integers, read_last_columns, read_nonzero


def _write(folder: Path, data: bytes) -> Path:
    path = folder / "column.txt"
    path.write_bytes(data)
    return path


@given(
    values=st.lists(st.integers(-(2**62), 2**62), max_size=40),
    newline=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_integers_are_those_python_reads(tmp_path_factory, values, newline, last) -> None:
    text = newline.join(map(str, values)) + (newline if last else "")
    path = _write(tmp_path_factory.mktemp("integers"), text.encode())
    assert read_integers(path).tolist() == values


@given(bits=st.lists(st.integers(0, 1), min_size=1, max_size=70), last=st.booleans())
@settings(max_examples=100, deadline=None)
def test_mask_of_bits_is_decoded_without_parsing(tmp_path_factory, bits, last) -> None:
    path = _write(
        tmp_path_factory.mktemp("bits"), ("\n".join(map(str, bits)) + ("\n" if last else "")).encode()
    )
    assert columns._nonzero_of_bits(np.fromfile(path, dtype=np.uint8), len(bits)) is not None
    assert read_nonzero(path, count=len(bits)).tolist() == np.flatnonzero(bits).tolist()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"0\r\n1\r\n", [1]),
        (b"0\n7\n", [1]),
        (b"0\n255\n0\n3\n", [1, 3]),
        (b" 0\n 1 \n", [1]),
        (b"-1\n0\n", [0]),
        (b"0.0\n1.0\n", [1]),
        (b"0.000000000000000000e+00\n1.000000000000000000e+00\n", [1]),
        (b"0\n1\n\n\n", [1]),
        (b"00\n01\n", [1]),
        (b"", []),
    ],
)
def test_spellings_of_a_mask(tmp_path, data, expected) -> None:
    count = len(data.decode().split())
    assert read_nonzero(_write(tmp_path, data), count=count).tolist() == expected


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"1\nx\n", 2),
        (b"1\n\n2\n", 2),
        (b"1\n2\n0.5\n", 3),
        (b"nan\n", 1),
        (b"1\n99999999999999999999\n", 2),
        (b"0\n:\n", 2),
        (b"0 1\n", 1),
        (b"\xff\xfd\n", 1),
    ],
)
def test_refused_text_is_named_by_its_line(tmp_path, data, line) -> None:
    path = _write(tmp_path, data)
    for read in (read_integers, lambda p: read_nonzero(p, count=2)):
        with pytest.raises(UserError, match=rf"column\.txt:{line}: .* is not an integer") as error:
            read(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("data", [b"0\n1\n", b"0\n1\n0\n1\n", b"10\n0\n", b""])
def test_mask_of_another_length_is_refused(tmp_path, data) -> None:
    with pytest.raises(UserError, match=r"lines, but the ground truth has 3"):
        read_nonzero(_write(tmp_path, data), count=3)


def test_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(UserError, match=r"none\.txt: no such file"):
        read_integers(tmp_path / "none.txt")


def test_last_columns_of_a_table(tmp_path) -> None:
    path = _write(tmp_path, b"0.5 1.5 # 0.25 3.0 -1\n0.5 1.5 # 1e-3 2 7\n")
    classes, ids = read_last_columns(path, count=2)
    assert (classes.tolist(), ids.tolist()) == ([3, 2], [-1, 7])
    assert [len(c) for c in read_last_columns(_write(tmp_path, b""), count=2)] == [0, 0]


@pytest.mark.parametrize("data", [b"1\n2\n", b"1 2\n3\n", b"a b\n", b"1 2.5\n", b"1 nan\n"])
def test_table_that_is_none_is_refused(tmp_path, data) -> None:
    with pytest.raises(UserError, match=r"column\.txt") as error:
        read_last_columns(_write(tmp_path, data), count=2)
    assert "\n" not in str(error.value)


def test_arrays_of_an_archive(tmp_path) -> None:
    path = tmp_path / "room.npz"
    np.savez_compressed(path, a=np.array([3, 4], dtype=np.uint8), b=np.array([-1, 2], dtype=np.int32))
    a, b = read_arrays(path, ("a", "b"))
    assert (a.tolist(), b.tolist(), a.dtype) == ([3, 4], [-1, 2], np.int64)
    with pytest.raises(UserError, match="has no array"):
        read_arrays(path, ("a", "c"))


def _archive(path: Path, member: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", member)
    return path


def test_archive_that_lies_is_refused_without_allocation(tmp_path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i4", "fortran_order": False, "shape": (10**15,)})
    with pytest.raises(UserError, match="claims 1000000000000000 entries and holds 8 bytes"):
        read_arrays(_archive(tmp_path / "lies.npz", header.getvalue() + b"\0" * 8), ("a",))


@pytest.mark.parametrize(
    "array", [np.array([1.0, 2.0]), np.zeros((2, 2), dtype=np.int32), np.array([{"a": 1}])]
)
def test_archive_of_other_arrays_is_refused(tmp_path, array) -> None:
    np.savez(tmp_path / "room.npz", a=array)
    with pytest.raises(UserError, match=r"room\.npz: cannot be read"):
        read_arrays(tmp_path / "room.npz", ("a",))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04junk", b"\x93NUMPY\x01\x00"])
def test_junk_is_no_archive(tmp_path, data) -> None:
    (tmp_path / "room.npz").write_bytes(data)
    with pytest.raises(UserError, match=r"room\.npz: cannot be read"):
        read_arrays(tmp_path / "room.npz", ("a",))


@given(at=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.booleans())
@settings(max_examples=200, deadline=None)
def test_damaged_archive_is_read_or_refused(tmp_path_factory, at, value, cut) -> None:
    path = tmp_path_factory.mktemp("damaged") / "room.npz"
    np.savez_compressed(path, a=np.arange(50, dtype=np.int32))
    data = bytearray(path.read_bytes())
    at %= len(data)
    data[at] = value
    path.write_bytes(data[:at] if cut else data)
    try:
        read_arrays(path, ("a",))
    except UserError as error:
        assert "\n" not in str(error)

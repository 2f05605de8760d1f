"""Structures in MATLAB's files of both kinds, whole, damaged and something else."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from gestalt3d.errors import UserError
from gestalt3d.io.mat_records import Records, read_records

BOXES = [
    [
        {"classname": "bed", "coeffs": np.array([[1.0, 2.0, 0.5]])},
        {"classname": "lamp", "coeffs": np.ones((1, 3))},
    ],
    [],
    [{"classname": "chair", "coeffs": np.zeros((1, 3))}],
]


def write_packed(path: Path, *, packed: bool = True) -> Path:
    kind = np.dtype([("name", object), ("K", object), ("boxes", object), ("tags", object)])
    rows = np.empty((1, 3), kind)
    for i, boxes in enumerate(BOXES):
        inner = np.empty((1, len(boxes)), [("classname", object), ("coeffs", object)])
        for j, box in enumerate(boxes):
            inner[0, j] = (box["classname"], box["coeffs"])
        tags = np.empty(2, object)
        tags[:] = ["a", np.arange(3.0)]
        rows[0, i] = (f"SUNRGBD/kv1/frame{i}", np.eye(3) * i, inner, tags)
    savemat(path, {"other": np.ones(3), "meta": rows}, do_compression=packed)
    return path


def write_hdf5(path: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w", userblock_size=512) as file:
        refs, counter = file.create_group("#refs#"), iter(range(1000))

        def put(value) -> object:
            name = f"v{next(counter)}"
            if isinstance(value, str):
                item = refs.create_dataset(name, data=np.array([[ord(c)] for c in value], np.uint16))
                item.attrs["MATLAB_class"] = np.bytes_("char")
            elif isinstance(value, list) and value and not isinstance(value[0], dict):
                item = refs.create_dataset(name, data=np.array([[put(v)] for v in value], h5py.ref_dtype))
                item.attrs["MATLAB_class"] = np.bytes_("cell")
            elif isinstance(value, list) and not value:
                item = refs.create_dataset(name, data=np.array([0, 0], np.uint64))
                item.attrs["MATLAB_class"], item.attrs["MATLAB_empty"] = np.bytes_("struct"), 1
            elif isinstance(value, list):
                item = refs.create_group(name)
                fill(item, value)
            else:
                item = refs.create_dataset(name, data=np.asarray(value).T)
                item.attrs["MATLAB_class"] = np.bytes_("double")
            return item.ref

        def fill(group, rows: list[dict]) -> None:
            group.attrs["MATLAB_class"] = np.bytes_("struct")
            for key in rows[0]:
                if len(rows) > 1:
                    group.create_dataset(
                        key, data=np.array([[put(row[key])] for row in rows], h5py.ref_dtype)
                    )
                else:
                    group[key] = file[put(rows[0][key])]

        fill(
            file.create_group("meta"),
            [
                {
                    "name": f"SUNRGBD/kv1/frame{i}",
                    "K": np.eye(3) * i,
                    "boxes": boxes,
                    "tags": ["a", np.arange(3.0)[None]],
                }
                for i, boxes in enumerate(BOXES)
            ],
        )
    whole = bytearray(path.read_bytes())
    whole[:19] = b"MATLAB 7.3 MAT-file"
    path.write_bytes(whole)
    return path


def expect_rows(records: Records) -> None:
    assert len(records) == 3 and {*records.fields} == {"name", "K", "boxes", "tags"}
    rows = list(records.rows(range(3), ("name", "boxes", "K", "tags", "not there")))
    for i, row in enumerate(rows):
        assert [*row] == ["name", "boxes", "K", "tags"] and row["name"] == f"SUNRGBD/kv1/frame{i}"
        assert (row["K"] == np.eye(3) * i).all()
        assert row["tags"][0] == "a" and np.ravel(row["tags"][1]).tolist() == [0, 1, 2]
        assert [box["classname"] for box in row["boxes"]] == [box["classname"] for box in BOXES[i]]
        for found, box in zip(row["boxes"], BOXES[i], strict=True):
            assert (found["coeffs"] == box["coeffs"]).all() and found["coeffs"].shape == (1, 3)
    assert [row["name"][-1] for row in records.rows([2, 0], ("name",))] == ["2", "0"]


@pytest.mark.parametrize("packed", [False, True])
def test_structures_are_what_was_saved(tmp_path: Path, packed: bool) -> None:
    expect_rows(read_records(write_packed(tmp_path / "a.mat", packed=packed), "meta"))


def test_version_7_3_is_read_as_hdf5(tmp_path: Path) -> None:
    expect_rows(read_records(write_hdf5(tmp_path / "a.mat"), "meta"))


def test_one_structure_is_an_array_of_one(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"split": {"train": np.array(["x", "yy"], object), "n": 3.0}})
    (row,) = read_records(tmp_path / "a.mat", "split").rows([0], ("train", "n"))
    assert row["train"] == ["x", "yy"] and row["n"].item() == 3


def test_files_of_something_else_are_said_in_a_line(tmp_path: Path) -> None:
    for write in (write_packed, write_hdf5):
        path = write(tmp_path / f"{write.__name__}.mat")
        for name in ("gone", "other" if write is write_packed else "#nothing#"):
            with pytest.raises(UserError, match="is it another kind of file") as caught:
                read_records(path, name)
            assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    (tmp_path / "b.mat").write_text("no matrix")
    with pytest.raises(UserError, match="is no MATLAB file"):
        read_records(tmp_path / "b.mat", "meta")
    with pytest.raises(UserError, match="no such file"):
        read_records(tmp_path / "gone.mat", "meta")


@pytest.mark.parametrize("kind", ["stored", "packed", "hdf5"])
def test_damaged_structures_give_values_or_one_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.mat"
    if kind == "hdf5":
        write_hdf5(path)
    else:
        write_packed(path, packed=kind == "packed")
    whole = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for trial in range(150):
        damaged = bytearray(whole)
        if trial % 3:
            for at in rng.integers(128, len(whole), 4):
                damaged[at] = rng.integers(0, 256)
        else:
            damaged = damaged[: int(rng.integers(0, len(whole)))]
        path.write_bytes(damaged)
        try:
            records = read_records(path, "meta")
            assert len(records) < 1000
            list(records.rows(range(len(records)), records.fields))
        except UserError as error:
            assert "\n" not in str(error)


def test_a_link_of_version_7_3_is_not_followed(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = write_hdf5(tmp_path / "a.mat")
    with h5py.File(path, "r+") as file:
        del file["meta/name"]
        file["meta/name"] = h5py.ExternalLink("/etc/hostname", "/x")
    with pytest.raises(UserError) as caught:
        list(read_records(path, "meta").rows([0], ("name",)))
    assert "\n" not in str(caught.value)

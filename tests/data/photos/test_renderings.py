"""Neural Mesh Renderer's archives of renderings, on archives the tests write."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gestalt3d.data import open_data
from gestalt3d.data.photos.renderings import SYNSETS, azimuth
from gestalt3d.errors import UserError


def write(root: Path, split: str = "train", *, packed: bool = True, count: int = 2) -> np.ndarray:
    """Chairs whose object fills as many rows as the number of its view."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 24, 4, 64, 64), dtype=np.uint8)
    for view in range(24):
        pixels[:, view, 3] = np.where(np.arange(64)[:, None] < view, 128, 127)
    (np.savez_compressed if packed else np.savez)(root / f"03001627_{split}_images.npz", pixels)
    return pixels


@pytest.mark.parametrize("packed", [True, False])
def test_views_are_the_pixels_and_objects_what_is_opaque(tmp_path: Path, packed: bool) -> None:
    pixels = write(tmp_path, packed=packed)
    data: Any = open_data("nmr:train", root=tmp_path)
    assert len(data) == 48 and data.names[27] == "chair_train_00001_03"
    for i in (27, 0, 47):
        row, view = divmod(i, 24)
        sample = data[i]
        assert (sample.input.image.numpy() * 255 + 0.5).astype(np.uint8).tolist() == pixels[
            row, view, :3
        ].tolist()
        assert sample.truth.mask(0).reshape(64, 64).sum() == 64 * view
        assert sample.truth.whole == sample.truth.masks and sample.truth.class_name(0) == "chair"
    again = pickle.loads(pickle.dumps(data))
    assert again[27].truth == data[27].truth and again.fingerprint(27) == data.fingerprint(
        27
    ) != data.fingerprint(26)
    assert azimuth(3) == -45


def test_splits_and_files_that_are_not_there(tmp_path: Path) -> None:
    write(tmp_path, "test", count=1)
    assert len(open_data("nmr", root=tmp_path, limit=5)) == 5
    assert len(SYNSETS) == 13 and "12 files are not there" in open_data("nmr:test", root=tmp_path).notes[0]
    for spec, message in (
        ("nmr:late", "has no split 'late'"),
        ("nmr:train", "holds no <synset>_train_images.npz"),
    ):
        with pytest.raises(UserError, match=message):
            open_data(spec, root=tmp_path)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 24, 3, 64, 64), np.uint8),
        np.zeros((2, 24, 4, 64, 64), np.float32),
        np.zeros(3, np.uint8),
        np.array([None]),
    ],
    ids=["channels", "floats", "flat", "objects"],
)
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.savez(tmp_path / "03001627_train_images.npz", array)
    with pytest.raises(UserError, match=r"03001627_train_images\.npz: cannot be read as renderings"):
        open_data("nmr:train", root=tmp_path)


def test_archives_that_are_damaged_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "03001627_train_images.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cannot be read as renderings"):
        open_data("nmr:train", root=tmp_path)
    path.write_bytes(whole[:3000] + bytes(2000) + whole[5000:])
    with pytest.raises(UserError, match="cannot be read as renderings"):
        open_data("nmr:train", root=tmp_path)[47]
    with zipfile.ZipFile(path, "w") as archive:
        header = io.BytesIO()
        about: Any = {"descr": "|u1", "fortran_order": False, "shape": (10**9, 24, 4, 64, 64)}
        np.lib.format.write_array_header_1_0(header, about)
        archive.writestr("arr_0.npy", header.getvalue() + bytes(100))
    with pytest.raises(UserError, match="claims another size than it has"):
        open_data("nmr:train", root=tmp_path)

"""Texts in every encoding that editors write say the same, wherever they are read."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from gestalt3d.data.folder import Folder
from gestalt3d.data.s3dis import read_annotation
from gestalt3d.data.scannet import ScanNet
from gestalt3d.encoding import decode, text_lines
from gestalt3d.errors import UserError
from gestalt3d.io import load_cloud, save_instances
from gestalt3d.metrics.columns import read_integers, read_last_columns, read_nonzero
from gestalt3d.metrics.official import score
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.vocabulary import S3DIS
from tests.data.scannet_files import NAME, aggregation_file, segments_file, write_scene, write_table
from tests.data.test_folder import write_ply
from tests.io.test_pcd import make_pcd
from tests.io.test_ply import make_ply, table_of

ENCODINGS = {
    "utf-8": "utf-8",
    "utf-8 with mark": "utf-8-sig",
    "latin-1": "latin-1",
    "utf-16": "utf-16",
    "utf-16 from a big-endian machine": "utf-16-be",
    "utf-16 without mark": "utf-16-le",
    "utf-32": "utf-32",
}
every_encoding = pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
XYZ = np.random.default_rng(0).uniform(-2, 2, (12, 3)).round(3)


def saved_as(path: Path, encoding: str) -> None:
    """What is there in UTF-8, saved again by an editor."""
    path.write_bytes(path.read_bytes().decode("utf-8").encode(encoding))


@every_encoding
@pytest.mark.parametrize("text", ["stühle\nBücherregal\n", "chair\ntable\n"])
def test_a_text_is_the_same_in_every_encoding(encoding: str, text: str) -> None:
    data = text.encode(encoding)
    assert decode(data) == text
    assert "".join(text_lines(io.BytesIO(data))) == text


def test_a_stray_latin_1_byte_far_down_changes_nothing_before_it() -> None:
    data = "größe\n".encode() * 2000 + "größe\n".encode("latin-1")
    assert decode(data) == "größe\n" * 2001 == "".join(text_lines(io.BytesIO(data)))


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xfe", b"\xff\xfea", b"\xef\xbb\xbf", b"\x00\xd8a"])
def test_no_bytes_are_refused(data: bytes) -> None:
    assert isinstance(decode(data), str)


@every_encoding
@pytest.mark.parametrize("file", ["classes.txt", "classes.json"])
def test_names_of_classes(tmp_path: Path, file: str, encoding: str) -> None:
    write_ply(tmp_path / "a.ply", semantic=np.array([0, 1, 2, 2, 1, 0], dtype=np.uint8))
    names = ["wall", "Stühle", "lamp"]
    text = "\r\n".join(names) if file == "classes.txt" else json.dumps(names, ensure_ascii=False)
    (tmp_path / file).write_bytes(text.encode(encoding))
    assert Folder(tmp_path).vocabulary.names == tuple(names)
    assert Folder(tmp_path).vocabulary.structure == {"wall"}


@every_encoding
def test_the_files_of_scannet(tmp_path: Path, encoding: str) -> None:
    scene = write_scene(tmp_path)
    write_table(tmp_path, val=[NAME])
    expected = ScanNet(tmp_path, "val")[0]
    texts = [segments_file(scene), aggregation_file(scene), scene / f"{NAME}.txt"]
    for path in [*texts, *tmp_path.glob("*.t[sx][vt]")]:
        saved_as(path, encoding)
    found = ScanNet(tmp_path, "val")[0]
    assert found.truth.to_labels().tolist() == expected.truth.to_labels().tolist()
    assert found.input.points.equal(expected.input.points)


@every_encoding
def test_annotations_of_s3dis(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "chair_1.txt"
    path.write_bytes("1 2 3 4 5 6\n7.5 8 9 10 11 12\n".encode(encoding))
    notes: list[str] = []
    assert read_annotation(path, notes).tolist() == [[1, 2, 3, 4, 5, 6], [7.5, 8, 9, 10, 11, 12]]
    assert notes == []


@every_encoding
def test_columns_of_official_files(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("0\n7\n0\n".encode(encoding))
    assert read_integers(path).tolist() == [0, 7, 0]
    assert read_nonzero(path, count=3).tolist() == [1]
    path.write_bytes("1.5 3 4\n2.5 5 6\n".encode(encoding))
    assert [c.tolist() for c in read_last_columns(path, count=2)] == [[3, 5], [4, 6]]


@every_encoding
def test_lists_of_predictions(tmp_path: Path, encoding: str) -> None:
    for name, text in {
        "gt/scene0000_00.txt": "5001\n" * 150,
        "pred/scene0000_00.txt": "masks/a.txt 5 0.5\n",
        "pred/masks/a.txt": "1\n" * 150,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(encoding))
    report = score("scannet", tmp_path / "gt", tmp_path / "pred")
    assert report["per_class"]["chair"]["AP50"] == 1.0


@every_encoding
@pytest.mark.parametrize("suffix", [".xyz", ".csv", ".ply", ".pcd", ".obj", ".off", ".stl"])
def test_clouds_that_are_text(tmp_path: Path, suffix: str, encoding: str) -> None:
    table = table_of(XYZ)
    note = "# Größe\n"
    rows = "".join(f"{x} {y} {z}\n" for x, y, z in XYZ.tolist())
    text = {
        ".xyz": note + rows,
        ".csv": "x;y;z;größe\n" + rows.replace(" ", ";").replace("\n", ";1\n"),
        ".ply": make_ply(table, kind="ascii", extra=("comment Größe",)).decode(),
        ".pcd": note + make_pcd(table, "ascii").decode(),
        ".obj": note + "".join(f"v {row}\n" for row in rows.splitlines()),
        ".off": note + f"OFF\n12 0 0\n{rows}",
        ".stl": "solid Größe\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\n"
        "endloop\nendfacet\nendsolid Größe\n",
    }[suffix]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(text.encode(encoding))
    cloud = load_cloud(path)
    if suffix == ".stl":
        assert float(cloud.points[:, :2].sum(1).max()) <= 1.001
    else:
        np.testing.assert_allclose(cloud.points.numpy(), XYZ, atol=1e-6)


def test_labels_in_a_ply_with_a_mark(tmp_path: Path) -> None:
    table = table_of(XYZ, label=np.arange(12, dtype=np.int32) % 3)
    (tmp_path / "a.ply").write_bytes(make_ply(table, kind="ascii").decode().encode("utf-16"))
    assert Folder(tmp_path).vocabulary.names == ("0", "1", "2")


def test_a_ply_with_a_mark_is_written_back(tmp_path: Path) -> None:
    data = make_ply(table_of(XYZ), kind="ascii", faces_after=[[0, 1, 2]])
    (tmp_path / "a.ply").write_bytes(data.decode().encode("utf-16"))
    cloud = load_cloud(tmp_path / "a.ply")
    save_instances(tmp_path / "b.ply", Instances.empty(12, S3DIS), cloud)
    np.testing.assert_allclose(load_cloud(tmp_path / "b.ply").points.numpy(), XYZ, atol=1e-6)


@pytest.mark.parametrize("suffix", [".ply", ".pcd"])
def test_binary_data_saved_as_text_are_refused_by_their_cause(tmp_path: Path, suffix: str) -> None:
    table = table_of(XYZ)
    data = make_ply(table) if suffix == ".ply" else make_pcd(table, "binary")
    (tmp_path / f"a{suffix}").write_bytes(data.decode("latin-1").encode("utf-8-sig"))
    with pytest.raises(UserError, match="saved as text"):
        load_cloud(tmp_path / f"a{suffix}")

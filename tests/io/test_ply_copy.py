"""The answer in a copy of a PLY: everything that is no vertex stays as it was, and so does the kind of the file."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.errors import UserError
from gestalt3d.io import load_cloud, save_instances
from gestalt3d.io.ply import read_ply
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.vocabulary import Vocabulary

THINGS = Vocabulary("things", ("lamp", "rug"))
KINDS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
CODES = {"float": "f4", "double": "f8", "int": "i4", "uchar": "u1", "short": "i2"}

# Element, properties, rows: an element before the vertices, lists of several lengths behind them.
ELEMENTS = [
    ("camera", ["short id", "list uchar float view"], [(7, [0.5, 1.5]), (8, [])]),
    (
        "vertex",
        ["double x", "float y", "float z", "float score", "uchar red", "uchar green", "uchar blue"],
        [(i / 8 + 0.1, i % 3, i % 5, 0.25, i, 2 * i, 255 - i) for i in range(9)],
    ),
    (
        "face",
        ["list uchar int vertex_indices", "uchar part"],
        [([0, 1, 2], 1), ([2, 3, 4, 5], 2), ([6, 7, 8], 3)],
    ),
    ("edge", ["int vertex1", "int vertex2"], [(0, 1), (1, 2)]),
    ("material", ["uchar red", "float alpha"], [(200, 0.75)]),
]
COMMENTS = ["comment made by hand", "obj_info kept", "comment semantic 0 of an older answer"]


def encoded(row: tuple, properties: list[str], order: str) -> bytes:
    """One row as the format wants it."""
    parts: list[tuple[str, float]] = []
    for value, line in zip(row, properties, strict=True):
        words = line.split()
        if words[0] == "list":
            parts += [(words[1], len(value)), *((words[2], v) for v in value)]
        else:
            parts.append((words[0], value))
    if not order:
        return (" ".join(f"{v:g}" for _, v in parts) + "\n").encode()
    return b"".join(np.array(v, order + CODES[kind]).tobytes() for kind, v in parts)


def write_mesh(path: Path, kind: str, elements: list = ELEMENTS, newline: str = "\n") -> None:
    head = ["ply", f"format {kind} 1.0", *COMMENTS]
    for name, properties, rows in elements:
        head += [f"element {name} {len(rows)}", *(f"property {p}" for p in properties)]
    data = b"".join(encoded(row, p, KINDS[kind]) for _, p, rows in elements for row in rows)
    path.write_bytes(newline.join([*head, "end_header", ""]).encode() + data)


def answer() -> Instances:
    labels = torch.tensor([0, 0, 1, -1, 1, 0, -1, -1, 1])
    return Instances.from_labels(labels, torch.tensor([1, 0]), torch.tensor([0.5, 0.75]), vocabulary=THINGS)


def expected(kind: str, path: Path, elements: list = ELEMENTS) -> bytes:
    """The file written again by hand, with the answer in the place of the property that has its name."""
    found = answer()
    labels = found.to_labels()
    own = []
    for name, properties, rows in elements:
        if name == "vertex":
            old = next((k for k, p in enumerate(properties) if p.endswith(" score")), None)
            kept = [k for k in range(len(properties)) if k != old]
            new = [
                (int(i), int(found.classes[i]) if i >= 0 else -1, float(found.scores[i]) if i >= 0 else 0.0)
                for i in labels
            ]
            rows = [(*(row[k] for k in kept), *values) for row, values in zip(rows, new, strict=True)]
            properties = [*(properties[k] for k in kept), "int instance", "int semantic", "float score"]
        own.append((name, properties, rows))
    write_mesh(path, kind, own)
    data = path.read_bytes()
    old, new = (
        b"comment semantic 0 of an older answer\n",
        b"comment semantic 0 lamp\ncomment semantic 1 rug\n",
    )
    return data.replace(old, new)


@pytest.mark.parametrize("kind", KINDS)
def test_faces_edges_and_materials_stay_and_so_does_the_kind_of_file(tmp_path: Path, kind: str) -> None:
    write_mesh(tmp_path / "a.ply", kind)
    save_instances(tmp_path / "b.ply", answer(), load_cloud(tmp_path / "a.ply"))
    assert (tmp_path / "b.ply").read_bytes() == expected(kind, tmp_path / "c.ply")
    # And once more, from the answer itself, which has the properties already.
    save_instances(tmp_path / "d.ply", answer(), load_cloud(tmp_path / "b.ply"))
    assert (tmp_path / "d.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()


@pytest.mark.parametrize("kind", ["binary_little_endian", "binary_big_endian"])
def test_lists_of_the_vertices_stay(tmp_path: Path, kind: str) -> None:
    vertices = [(float(i), 0.0, 1.0, [i, i + 1]) for i in range(9)]
    elements = [("vertex", ["float x", "float y", "float z", "list uchar int near"], vertices), ELEMENTS[2]]
    write_mesh(tmp_path / "a.ply", kind, elements)
    save_instances(tmp_path / "b.ply", answer(), load_cloud(tmp_path / "a.ply"))
    assert (tmp_path / "b.ply").read_bytes() == expected(kind, tmp_path / "c.ply", elements)


@pytest.mark.parametrize("kind", KINDS)
def test_another_library_reads_the_faces(tmp_path: Path, kind: str) -> None:
    trimesh = pytest.importorskip("trimesh")
    write_mesh(tmp_path / "a.ply", kind, [ELEMENTS[1], ("face", ELEMENTS[2][1], ELEMENTS[2][2][::2])])
    save_instances(tmp_path / "b.ply", answer(), load_cloud(tmp_path / "a.ply"))
    mesh = trimesh.load(tmp_path / "b.ply", process=False)
    assert mesh.faces.tolist() == [[0, 1, 2], [6, 7, 8]] and len(mesh.vertices) == 9


def test_lines_of_windows_and_blank_lines_are_read_as_they_are(tmp_path: Path) -> None:
    write_mesh(tmp_path / "a.ply", "ascii")
    data = (tmp_path / "a.ply").read_bytes().replace(b"\n", b"\r\n")
    (tmp_path / "a.ply").write_bytes(data.replace(b"end_header\r\n", b"end_header\r\n\r\n"))
    save_instances(tmp_path / "b.ply", answer(), load_cloud(tmp_path / "a.ply"))
    table = read_ply(tmp_path / "b.ply").table
    assert table is not None and table["instance"].tolist() == answer().to_labels().tolist()
    np.testing.assert_allclose(table["x"], [i / 8 + 0.1 for i in range(9)])
    assert (tmp_path / "b.ply").read_bytes().split() == expected("ascii", tmp_path / "c.ply").split()


def test_a_mesh_may_be_answered_in_its_own_file(tmp_path: Path) -> None:
    write_mesh(tmp_path / "a.ply", "binary_little_endian")
    save_instances(tmp_path / "a.ply", answer(), tmp_path / "a.ply")
    assert (tmp_path / "a.ply").read_bytes() == expected("binary_little_endian", tmp_path / "c.ply")


def test_a_mesh_that_changed_since_is_not_mixed_up_and_a_lost_one_gives_its_points(tmp_path: Path) -> None:
    write_mesh(tmp_path / "a.ply", "ascii")
    cloud = load_cloud(tmp_path / "a.ply")
    write_mesh(tmp_path / "a.ply", "ascii", [("vertex", ELEMENTS[1][1], ELEMENTS[1][2][:5])])
    with pytest.raises(UserError, match="has 5 points now, but had 9"):
        save_instances(tmp_path / "b.ply", answer(), cloud)
    assert not (tmp_path / "b.ply").exists()
    (tmp_path / "a.ply").unlink()
    save_instances(tmp_path / "b.ply", answer(), cloud)
    assert len(load_cloud(tmp_path / "b.ply")) == 9


def test_many_vertices_are_copied_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gestalt3d.io.ply_copy._CHUNK", 4)
    write_mesh(tmp_path / "a.ply", "binary_big_endian")
    save_instances(tmp_path / "b.ply", answer(), load_cloud(tmp_path / "a.ply"))
    assert (tmp_path / "b.ply").read_bytes() == expected("binary_big_endian", tmp_path / "c.ply")

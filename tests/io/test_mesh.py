"""What meshes name beside themselves, and parts of them that must not vanish."""

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from gestalt3d.errors import UserError
from gestalt3d.io import load_cloud

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
CORNERS = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
TEXTURED = SQUARE + CORNERS + "usemtl wood\nf 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gestalt3d.io.mesh.SAMPLES", 2000)


def picture(path: Path) -> None:
    """Left half black, right half yellow, the upper half of that red."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, 32:] = [255, 255, 0]
    pixels[:32, 32:] = [255, 0, 0]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def colors_of(path: Path) -> tuple[np.ndarray | None, str]:
    cloud = load_cloud(path)
    assert cloud.source is not None
    return None if cloud.colors is None else cloud.colors.numpy(), "; ".join(cloud.source.notes)


# Where the picture lies, and how the material names it.
PLACES = {
    "beside": ("models/wood.png", "wood.png"),
    "below": ("models/maps/wood.png", "maps/wood.png"),
    "in a folder next to it": ("images/wood.jpg", "../images/wood.jpg"),
    "with backslashes": ("models/maps/wood.png", "maps\\wood.png"),
    "by a path of another machine": ("models/wood.png", "C:\\Users\\me\\wood.png"),
    "by an absolute path": ("models/wood.png", "/home/me/scans/wood.png"),
    "with blanks": ("models/my wood.png", "my wood.png"),
    "in quotes": ("models/my wood.png", '"my wood.png"'),
    "with options": ("models/wood.png", "-s 1 1 1 -clamp on wood.png"),
    "not in ascii": ("models/größe.png", "größe.png"),
}


@pytest.mark.parametrize("place", PLACES)
def test_the_texture_of_an_obj_is_read_where_its_faces_lie(tmp_path: Path, place: str) -> None:
    file, name = PLACES[place]
    picture(tmp_path / file)
    (tmp_path / "models" / "maps").mkdir(parents=True, exist_ok=True)
    (tmp_path / "models" / "a.mtl").write_bytes(f"newmtl wood\nKd 0 0 1\nmap_Kd {name}\n".encode("latin-1"))
    (tmp_path / "models" / "a.obj").write_text("mtllib a.mtl\n" + TEXTURED)
    cloud = load_cloud(tmp_path / "models" / "a.obj")
    assert cloud.colors is not None and cloud.source is not None
    assert "2000 points drawn from 2 faces" in cloud.source.notes and "missing" not in "".join(
        cloud.source.notes
    )
    x, y = cloud.points[:, 0], cloud.points[:, 1]
    for inside, color in (
        (x < 0.48, [0, 0, 0]),
        ((x > 0.52) & (y < 0.48), [1, 1, 0]),
        ((x > 0.52) & (y > 0.52), [1, 0, 0]),
    ):
        assert int(inside.sum()) > 200
        # Pictures with losses blur at the edges.
        assert float(np.abs(cloud.colors[inside].numpy() - color).mean()) < 0.02


def test_materials_without_texture_colour_their_faces(tmp_path: Path) -> None:
    (tmp_path / "a.mtl").write_text("newmtl wood\nKd 1 0.5 0\n")
    (tmp_path / "b.mtl").write_text("newmtl stone\nKd 0 0 1\n")
    faces = "usemtl wood\nf 1 2 3\nusemtl stone\nf 1 3 4\n"
    (tmp_path / "a.obj").write_text("mtllib a.mtl\nmtllib b.mtl\n" + SQUARE + faces)
    colors, _ = colors_of(tmp_path / "a.obj")
    points = load_cloud(tmp_path / "a.obj").points.numpy()
    below = points[:, 0] > points[:, 1]
    assert colors is not None
    np.testing.assert_allclose(colors[below], [[1, 0.5, 0]] * int(below.sum()), atol=0.003)
    np.testing.assert_allclose(colors[~below], [[0, 0, 1]] * int((~below).sum()), atol=0.003)


MISSING = {
    "materials": ("", "a.mtl"),
    "the texture": ("newmtl wood\nKd 1 1 1\nmap_Kd wood.png\n", "wood.png"),
    "a texture that is none": ("newmtl wood\nKd 1 1 1\nmap_Kd a.png\n", "a.png"),
    "a texture of another kind": ("newmtl wood\nmap_Kd a.txt\n", "a.txt"),
}


@pytest.mark.parametrize("case", MISSING)
def test_no_grey_is_made_up_for_what_is_missing(tmp_path: Path, case: str) -> None:
    text, name = MISSING[case]
    if text:
        (tmp_path / "a.mtl").write_text(text)
    (tmp_path / "a.png").write_text("no picture")
    (tmp_path / "a.txt").write_text("no picture")
    (tmp_path / "a.obj").write_text("mtllib a.mtl\n" + TEXTURED)
    colors, notes = colors_of(tmp_path / "a.obj")
    assert colors is None and f"colours may be missing: {name} " in notes


def test_texture_coordinates_without_materials_are_no_colour(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text(TEXTURED)
    colors, notes = colors_of(tmp_path / "a.obj")
    assert colors is None and "missing" not in notes


def test_grey_parts_beside_coloured_ones_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.mtl").write_text("newmtl wood\nKd 1 0 0\n")
    (tmp_path / "a.obj").write_text(
        "mtllib a.mtl\n" + SQUARE + "usemtl wood\nf 1 2 3\nusemtl none\nf 1 3 4\n"
    )
    colors, notes = colors_of(tmp_path / "a.obj")
    assert colors is not None and "1000 of its points are grey" in notes


@pytest.mark.parametrize("name", ["../../secret.{}", "{}/secret.{}", "linked.{}"])
@pytest.mark.parametrize("kind", ["mtl", "png"])
def test_files_elsewhere_are_not_opened(tmp_path: Path, name: str, kind: str) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (tmp_path / "secret.mtl").write_text("newmtl wood\nKd 1 0 0\n")
    picture(tmp_path / "secret.png")
    name = name.format(tmp_path, kind) if name.count("{}") == 2 else name.format(kind)
    if name.startswith("linked"):
        (folder / name).symlink_to(tmp_path / f"secret.{kind}")
    (folder / "a.mtl").write_text(f"newmtl wood\nmap_Kd {name}\n")
    library = name if kind == "mtl" else "a.mtl"
    (folder / "a.obj").write_text(f"mtllib {library}\n" + TEXTURED)
    colors, notes = colors_of(folder / "a.obj")
    assert colors is None and "colours may be missing" in notes


def test_only_materials_and_pictures_are_opened(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("newmtl wood\nKd 1 0 0\n")
    (tmp_path / "a.obj").write_text("mtllib passwd\n" + TEXTURED)
    colors, notes = colors_of(tmp_path / "a.obj")
    assert colors is None and "passwd" in notes


LATIN_1 = {
    "a.obj": "# Größe\n" + SQUARE + "f 1 2 3\n",
    "a.stl": "solid Größe\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\n"
    "endloop\nendfacet\nendsolid\n",
    "a.off": "# Größe\nOFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n",
}


@pytest.mark.parametrize("name", LATIN_1)
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig"])
def test_no_module_is_needed_to_read_odd_bytes(
    tmp_path: Path, name: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    (tmp_path / name).write_bytes(LATIN_1[name].encode(encoding))
    assert len(load_cloud(tmp_path / name)) == 2000


def test_a_binary_stl_may_have_any_bytes_in_its_title(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    trimesh.creation.box().export(tmp_path / "a.stl")
    data = (tmp_path / "a.stl").read_bytes()
    (tmp_path / "a.stl").write_bytes("Größe".encode("latin-1").ljust(80) + data[80:])
    assert len(load_cloud(tmp_path / "a.stl")) == 2000


OFF_FACES = "3 0 1 2 255 0 0\n4 0 1 2 3\n"
OFF = {
    "OFF": ("OFF\n4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n" + OFF_FACES, None),
    "counts beside the word": ("OFF 4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n" + OFF_FACES, None),
    "COFF": (
        "COFF\n# colours\n4 2 0\n0 0 0 255 0 0 255\n1 0 0 255 0 0 255\n1 1 0 255 0 0 255\n0 1 0 255 0 0 255\n"
        + OFF_FACES,
        [1, 0, 0],
    ),
    "CNOFF": (
        "CNOFF\n4 2 0\n" + "".join(f"{x} {y} 0 0 0 1 0 0.5 1\n" for x, y in ((0, 0), (1, 0), (1, 1), (0, 1)))
        + OFF_FACES,
        [0, 0.5, 1],
    ),
    "NOFF": (
        "NOFF\n4 2 0\n" + "".join(f"{x} {y} 0 0 0 1\n" for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))) + OFF_FACES,
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OFF)
def test_off_and_its_kin(tmp_path: Path, name: str) -> None:
    text, color = OFF[name]
    (tmp_path / "a.off").write_text(text)
    colors, notes = colors_of(tmp_path / "a.off")
    assert "from 3 faces" in notes and (colors is None) == (color is None)
    if colors is not None:
        np.testing.assert_allclose(colors, [color] * 2000, atol=0.003)


def glb(path: Path, change: Callable[[dict], object]) -> None:
    """A box whose description `change` has been at."""
    trimesh.creation.box().export(path)
    data = path.read_bytes()
    size = struct.unpack_from("<I", data, 12)[0]
    tree = json.loads(data[20 : 20 + size])
    change(tree)
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    body = data[20 + size :]
    head = struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text) + len(body), len(text), b"JSON")
    path.write_bytes(head + text + body)


def draco(tree: dict) -> None:
    part = tree["meshes"][0]["primitives"][0]
    part["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}}}
    for accessor in tree["accessors"]:
        accessor.pop("bufferView", None)
    tree["extensionsUsed"] = tree["extensionsRequired"] = ["KHR_draco_mesh_compression"]


def meshopt(tree: dict) -> None:
    tree["bufferViews"][0]["extensions"] = {"EXT_meshopt_compression": {"buffer": 0}}


GLB = {
    "Draco": (draco, "compressed with Draco"),
    "meshopt": (meshopt, "compressed with meshopt"),
    "another file": (
        lambda t: t["buffers"][0].update(uri="scene.bin"),
        r"its data lie in another file \(scene.bin\)",
    ),
}


@pytest.mark.parametrize("name", GLB)
def test_parts_of_a_glb_that_cannot_be_read_are_named(tmp_path: Path, name: str) -> None:
    change, message = GLB[name]
    glb(tmp_path / "a.glb", change)
    with pytest.raises(UserError, match=message) as caught:
        load_cloud(tmp_path / "a.glb")
    assert "\n" not in str(caught.value)


def test_a_part_that_is_also_there_without_compression_is_read(tmp_path: Path) -> None:
    def both(tree: dict) -> None:
        part = tree["meshes"][0]["primitives"][0]
        part["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}}}

    glb(tmp_path / "a.glb", both)
    assert len(load_cloud(tmp_path / "a.glb")) == 2000

"""Dispatch, NumPy files, meshes, and what is refused."""

import io
import json
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh

from gestalt3d.errors import UserError
from gestalt3d.io import CLOUD_SUFFIXES, find_clouds, load_cloud, save_cloud
from gestalt3d.structures.pointcloud import PointCloud

RNG = np.random.default_rng(0)
XYZ = RNG.uniform(-2, 2, (30, 3)).astype(np.float32)
RGB = RNG.integers(0, 256, (30, 3)).astype(np.uint8)
NORMALS = (XYZ / np.linalg.norm(XYZ, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("suffix", [".ply", ".npz", ".npy", ".xyz", ".las", ".laz"])
@pytest.mark.parametrize("offset", [0.0, 3e6])
def test_a_saved_cloud_loads_again(tmp_path: Path, suffix: str, offset: float) -> None:
    world = XYZ.astype(np.float64) + offset
    cloud = PointCloud.from_arrays(world if offset else XYZ, RGB)
    path = tmp_path / f"a{suffix}"
    save_cloud(path, cloud)
    back = load_cloud(path)
    origin = 0 if back.origin is None else back.origin.numpy()
    np.testing.assert_allclose(back.points.numpy() + origin, world, atol=2e-4)
    if suffix != ".npy":
        assert back.colors is not None
        np.testing.assert_allclose(back.colors.numpy() * 255, RGB, atol=1e-3)
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]


@pytest.mark.parametrize(
    ("array", "has_colors", "has_normals"),
    [
        (XYZ, False, False),
        (XYZ.astype(np.float16), False, False),
        (np.hstack([XYZ, RGB]), True, False),
        (np.hstack([XYZ, RGB / 255]), True, False),
        (np.hstack([XYZ, NORMALS]), False, True),
        (np.hstack([XYZ, RGB, NORMALS]), True, True),
        (np.hstack([XYZ, RGB, RNG.integers(0, 3, (30, 1))]), True, False),
        (np.asfortranarray(np.hstack([XYZ, RGB])), True, False),
        (np.hstack([XYZ, RGB]).reshape(5, 6, 6), True, False),
    ],
)
def test_npy_columns(tmp_path: Path, array: np.ndarray, has_colors: bool, has_normals: bool) -> None:
    np.save(tmp_path / "a.npy", array)
    cloud = load_cloud(tmp_path / "a.npy")
    np.testing.assert_allclose(cloud.points.numpy(), XYZ, atol=2e-3)
    assert (cloud.colors is not None, cloud.normals is not None) == (has_colors, has_normals)


@pytest.mark.parametrize("keys", [("points", "colors", "normals"), ("xyz", "rgb", "normal")])
def test_npz_keys(tmp_path: Path, keys: tuple[str, str, str]) -> None:
    np.savez_compressed(
        tmp_path / "a.npz", **dict(zip(keys, (XYZ, RGB, NORMALS), strict=True)), other=np.arange(3)
    )
    cloud = load_cloud(tmp_path / "a.npz")
    assert cloud.colors is not None and cloud.normals is not None
    np.testing.assert_allclose(cloud.colors.numpy() * 255, RGB, atol=1e-3)


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return (Path(tmp_path / "exploded").touch, ())

    np.save(tmp_path / "a.npy", np.array([Bomb()] * 3), allow_pickle=True)
    np.savez(tmp_path / "b.npz", points=np.array([Bomb()] * 3))
    for name in ("a.npy", "b.npz"):
        with pytest.raises(UserError, match="pickle"):
            load_cloud(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


def test_an_archive_that_swells_is_refused_before_it_does(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("points.npy", "w") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (10_000_000, 3)}
        )
        for _ in range(120):
            file.write(bytes(1_000_000))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(UserError, match="suspiciously many"):
        load_cloud(path)


def test_npy_claims_are_held_against_the_file(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 3)}
    )
    (tmp_path / "a.npy").write_bytes(buffer.getvalue() + bytes(1200))
    with pytest.raises(UserError, match="more than the file holds"):
        load_cloud(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((480, 640)),
        np.zeros((5, 2)),
        np.zeros(9),
        np.zeros((0, 3)),
        np.array(["a"] * 3),
        np.ones((4, 3), bool),
    ],
)
def test_arrays_that_are_no_points(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UserError, match=r"a\.npy"):
        load_cloud(tmp_path / "a.npy")


def box(**options: object) -> trimesh.Trimesh:
    return trimesh.creation.box(extents=(1.0, 0.5, 0.25), **options)


@pytest.mark.parametrize("suffix", [".obj", ".stl", ".off", ".glb"])
def test_meshes_are_sampled_evenly_and_always_alike(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    box().export(path)
    cloud, again = load_cloud(path), load_cloud(path)
    points = cloud.points.numpy()
    np.testing.assert_array_equal(points, again.points.numpy())
    half = np.array([1.0, 0.5, 0.25]) / 2 if suffix != ".glb" else np.array([1.0, 0.25, 0.5]) / 2
    np.testing.assert_allclose(np.abs(points).max(0), half, atol=1e-4)
    on_side = (np.abs(np.abs(points) - half) < 1e-5).mean(0)
    area = np.array([half[1] * half[2], half[0] * half[2], half[0] * half[1]])
    # Shares of 200,000 draws: three standard deviations are 0.0034 at most.
    np.testing.assert_allclose(on_side, area / area.sum(), atol=0.0034)


def test_vertex_colors_are_interpolated(tmp_path: Path) -> None:
    mesh = box()
    mesh.visual.vertex_colors = np.where(mesh.vertices[:, :1] > 0, [[255, 0, 0, 255]], [[0, 0, 255, 255]])
    mesh.export(tmp_path / "a.glb")
    cloud = load_cloud(tmp_path / "a.glb")
    assert cloud.colors is not None
    np.testing.assert_allclose(cloud.colors[:, 0].numpy(), cloud.points[:, 0].numpy() + 0.5, atol=0.01)


def test_textures_inside_a_glb_are_read(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, 32:] = [255, 255, 0]
    plane = trimesh.Trimesh(
        [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]], process=False
    )
    plane.visual = trimesh.visual.TextureVisuals(uv=plane.vertices[:, :2], image=Image.fromarray(pixels))
    plane.export(tmp_path / "a.glb")
    cloud = load_cloud(tmp_path / "a.glb")
    assert cloud.colors is not None
    right = cloud.points[:, 0] > 0.5
    np.testing.assert_allclose(cloud.colors[right].numpy(), [[1, 1, 0]] * int(right.sum()), atol=0.01)
    assert float(cloud.colors[~right].max()) < 0.01


def test_a_glb_that_claims_terabytes_is_refused(tmp_path: Path) -> None:
    box().export(tmp_path / "a.glb")
    data = (tmp_path / "a.glb").read_bytes()
    size = struct.unpack_from("<I", data, 12)[0]
    tree = json.loads(data[20 : 20 + size])
    for accessor in tree["accessors"]:
        accessor["count"] = 10**12
        accessor.pop("bufferView", None)
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    body = data[20 + size :]
    head = (
        b"glTF" + struct.pack("<II", 2, 20 + len(text) + len(body)) + struct.pack("<I", len(text)) + b"JSON"
    )
    (tmp_path / "a.glb").write_bytes(head + text + body)
    with pytest.raises(UserError, match="claims more"):
        load_cloud(tmp_path / "a.glb")


def test_points_without_faces_are_the_cloud(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("".join(f"v {x} {y} {z}\n" for x, y, z in XYZ.tolist()))
    cloud = load_cloud(tmp_path / "a.obj")
    np.testing.assert_allclose(cloud.points.numpy(), XYZ, atol=1e-6)


def test_unknown_extensions_list_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(b"PK")
    with pytest.raises(UserError) as caught:
        load_cloud(tmp_path / "a.docx")
    assert all(suffix in str(caught.value) for suffix in CLOUD_SUFFIXES)


@pytest.mark.parametrize("suffix", CLOUD_SUFFIXES)
@pytest.mark.parametrize(
    "content", [b"", b"\0" * 3000, b"\xff\xfe" * 999, b"hello world\n" * 99, b"ply\n", b"{}"]
)
def test_junk_under_any_extension_is_refused_in_one_line(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"junk{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_cloud(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        load_cloud(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        load_cloud(tmp_path / "none.ply")
    os.mkfifo(tmp_path / "pipe.ply")
    with pytest.raises(UserError, match="no regular file"):
        load_cloud(tmp_path / "pipe.ply")


def test_unreadable_files_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.ply").write_bytes(b"ply\n")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match="Permission denied"):
        load_cloud(tmp_path / "a.ply")


def test_a_folder_lists_scans_and_no_results(tmp_path: Path) -> None:
    for name in (
        "b.ply",
        "a.xyz",
        "a.gt.npz",
        "b.instances.ply",
        "b.instances.npz",
        "b.labels.ply",
        "classes.txt",
        "c.labels.xyz",
        "notes.md",
        ".c.ply",
    ):
        (tmp_path / name).touch()
    assert [p.name for p in find_clouds(tmp_path)] == ["a.xyz", "b.ply", "c.labels.xyz"]


def test_importing_io_imports_no_reader() -> None:
    import subprocess
    import sys

    code = "import sys, gestalt3d.io; assert not {'torch', 'numpy', 'laspy', 'trimesh'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_real_files_have_their_counts(shared: Path) -> None:
    data = shared / "data"
    counts = {
        "scans/scene0000_00.ply": 81_369, "scans/scene0470_00.ply": 67_465, "scans/hallway_3.ply": 175_075,
        "scans/osd_learn6.ply": 209_002, "scans/osd_test42.ply": 170_295, "scans/osd_test50.ply": 184_757,
        "scans/labelcloud.ply": 86_357, "scans/sunrgbd_000001.ply": 280_961,
        "scans/sunrgbd_000002.ply": 256_599, "labelcloud/exemplary.ply": 86_357,
        "shapes/partnet_179.ply": 10_000,
        "scannet/scans/scene0000_00/scene0000_00_vh_clean_2.ply": 81_369,
        "scannet/scans/scene0470_00/scene0470_00_vh_clean_2.labels.ply": 67_465,
        "s3dis/Stanford3dDataset_v1.2_Aligned_Version/Area_3/hallway_3/hallway_3.txt": 175_075,
    }  # fmt: skip
    for name, count in counts.items():
        cloud = load_cloud(data / name)
        assert len(cloud) == count, name
        assert (cloud.colors is None) == name.startswith("shapes/")
        assert cloud.points.isfinite().all()


def test_real_meshes_are_sampled(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gestalt3d.io.mesh.SAMPLES", 5000)
    files = sorted((shared / "data" / "meshes").rglob("*.off")) + sorted(
        (shared / "data" / "meshes").rglob("*.obj")
    )
    assert len(files) == 26
    for path in files:
        cloud = load_cloud(path)
        assert len(cloud) == 5000 and cloud.points.isfinite().all()
        assert float(cloud.points.abs().max()) < 2, path.name


PARTS = {
    "coord": XYZ,
    "color": RGB,
    "normal": NORMALS,
    "segment": (np.arange(30) % 4 - 1)[:, None].astype(np.int32),
    "instance": (np.arange(30) // 10).astype(np.int32),
}


def write_parts(folder: Path, **changes: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for name, array in (PARTS | changes).items():
        np.save(folder / f"{name}.npy", array)
    return folder


def test_a_folder_of_arrays_is_one_cloud(tmp_path: Path) -> None:
    scene = write_parts(tmp_path / "scene0000_00", strength=np.ones((30, 1), np.float32), odd=np.zeros(7))
    cloud = load_cloud(scene, semantic="segment")
    np.testing.assert_array_equal(cloud.points.numpy(), XYZ)
    assert cloud.colors is not None and cloud.normals is not None and cloud.semantic is not None
    np.testing.assert_allclose(cloud.colors.numpy() * 255, RGB, atol=1e-3)
    np.testing.assert_allclose(cloud.normals.numpy(), NORMALS, atol=1e-6)
    assert cloud.semantic.tolist() == (np.arange(30) % 4 - 1).tolist()
    assert cloud.source is not None and cloud.source.table is not None
    names = ("x", "y", "z", "red", "green", "blue", "nx", "ny", "nz", "instance", "segment", "strength")
    assert cloud.source.table.dtype.names == names


def test_folders_of_arrays_are_found_segmented_and_learnt_from(tmp_path: Path) -> None:
    from gestalt3d.data.folder import Folder
    from gestalt3d.io.inputs import Found, Inputs

    scenes = [write_parts(tmp_path / f"scene000{i}_00") for i in (1, 0)]
    (tmp_path / "empty").mkdir()
    assert find_clouds(tmp_path) == sorted(scenes)
    assert Inputs().at(scenes[0]) == Found(scenes[0])
    data = Folder(tmp_path)
    assert data.names == ["scene0000_00", "scene0001_00"] and data.vocabulary.names == ("0", "1", "2")
    assert data[0].truth.to_labels().tolist() == (np.arange(30) // 10).tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"color": RGB[:7]}, "'color' is .*there are 30 points"),
        ({"coord": XYZ[:, :2]}, "not points"),
        ({"coord": np.array([{}] * 3, dtype=object)}, "pickle"),
    ],
)
def test_folders_that_do_not_fit_together(
    tmp_path: Path, changes: dict[str, np.ndarray], message: str
) -> None:
    scene = write_parts(tmp_path / "a", **changes)
    with pytest.raises(UserError, match=message):
        load_cloud(scene)


ARRAYS: dict[str, tuple[np.ndarray, bool, str]] = {
    "3 rows": (XYZ.T, False, "3 rows of 30 numbers taken for 30 points"),
    "6 rows": (np.hstack([XYZ, RGB]).T, True, "6 rows of 30 numbers taken for 30 points"),
    "6 rows, Fortran": (np.asfortranarray(np.hstack([XYZ, RGB]).T), True, "6 rows of 30"),
    "a batch of one": (np.hstack([XYZ, RGB])[None], True, ""),
    "a batch of one, 3 rows": (XYZ.T[None], False, "3 rows of 30"),
    "colours and labels": (
        np.hstack([XYZ, RGB, PARTS["segment"]]),
        True,
        "position from 1, 2, 3; colour from 4, 5, 6; not used: 7",
    ),
}


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_on_their_side_and_in_batches(tmp_path: Path, name: str, suffix: str) -> None:
    array, has_colors, note = ARRAYS[name]
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, array)
    else:
        np.savez(path, points=array)
    cloud = load_cloud(path)
    np.testing.assert_allclose(cloud.points.numpy(), XYZ, atol=1e-6)
    assert (cloud.colors is not None) == has_colors and cloud.source is not None
    assert note in "".join(cloud.source.notes) and len(cloud.source.notes) <= 1


@pytest.mark.parametrize(
    ("arrays", "name"),
    [
        ({"arr_0": XYZ}, "arr_0"),
        ({"arr_0": XYZ, "arr_1": NORMALS}, "arr_0, not used: arr_1"),
        ({"cloud": XYZ.T, "labels": np.arange(30)}, "cloud"),
    ],
)
def test_arrays_without_a_telling_name_are_taken_and_said(
    tmp_path: Path, arrays: dict[str, np.ndarray], name: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # pyright: ignore[reportArgumentType]
    cloud = load_cloud(tmp_path / "a.npz")
    np.testing.assert_array_equal(cloud.points.numpy(), XYZ)
    assert cloud.source is not None and f"points from the array {name}" in cloud.source.notes[0]


def test_an_archive_with_two_candidates_lists_what_it_has(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", left=XYZ, right=XYZ)
    with pytest.raises(UserError, match="it has left, right"):
        load_cloud(tmp_path / "a.npz")


def test_texts_about_a_folder_are_no_scans(tmp_path: Path) -> None:
    for name in ("README.txt", "License.txt", "classes.txt", "a.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in find_clouds(tmp_path)] == ["a.txt"]

"""Results written and read back."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from gestalt3d.errors import UserError
from gestalt3d.io import load_cloud, load_instances, save_instances, save_objects, save_shapes
from gestalt3d.io.ply import read_ply, write_ply
from gestalt3d.structures.camera import LEVEL, Camera
from gestalt3d.structures.instances import BOX, Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import S3DIS, Vocabulary
from gestalt3d.structures.voxelgrid import VoxelGrid

N = 60


def a_cloud(offset: float = 0.0) -> PointCloud:
    rng = np.random.default_rng(0)
    return PointCloud.from_arrays(rng.random((N, 3)) + offset, rng.integers(0, 256, (N, 3)).astype(np.uint8))


def found(*, overlapping: bool = True, vocabulary: Vocabulary = S3DIS) -> Instances:
    rows = [
        torch.arange(0, 20),
        torch.arange(10 if overlapping else 20, 35),
        torch.arange(40, 41),
        torch.arange(0),
    ]
    return Instances(
        masks=Sets.from_sizes(torch.tensor([len(r) for r in rows]), torch.cat(rows), N),
        classes=torch.tensor([8, 7, 12, -1]),
        scores=torch.tensor([0.5, 0.75, 1.0, 0.25]),
        vocabulary=vocabulary,
        element_classes=torch.arange(N) % 13,
        method="test",
    )


def assert_same(a: Instances, b: Instances) -> None:
    assert a.vocabulary == b.vocabulary and a.method == b.method and a.masks.size == b.masks.size
    assert a.masks == b.masks
    for name in ("classes", "scores", "element_classes"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name


@pytest.mark.parametrize("offset", [0.0, 5e6])
def test_npz_round_trip(tmp_path: Path, offset: float) -> None:
    cloud, path = a_cloud(offset), tmp_path / "a.instances.npz"
    save_instances(path, found(), cloud)
    instances, back = load_instances(path)
    assert_same(instances, found())
    assert torch.equal(back.points, cloud.points) and back.colors is not None and cloud.colors is not None
    assert torch.allclose(back.colors, cloud.colors, atol=1e-6)
    assert (back.origin is None) == (cloud.origin is None)
    if back.origin is not None and cloud.origin is not None:
        assert torch.equal(back.origin, cloud.origin)
    assert torch.allclose(load_cloud(path).points, cloud.points)


def test_npz_needs_no_pickle_and_has_all_keys(tmp_path: Path) -> None:
    save_instances(tmp_path / "a.npz", found(), a_cloud())
    with np.load(tmp_path / "a.npz", allow_pickle=False) as data:
        held = {k: data[k] for k in data.files}
    keys = "points colors origin offsets indices classes scores class_names structure boxes amodal_boxes "
    keys += "point_classes method version"
    assert set(keys.split()) <= set(held)
    assert (
        held["points"].dtype == np.float32
        and held["colors"].dtype == np.uint8
        and held["origin"].dtype == np.float64
    )
    assert held["offsets"].dtype == held["indices"].dtype == np.int64
    assert held["boxes"].shape == (4, 7) and held["class_names"].tolist() == list(S3DIS.names)
    assert held["structure"].tolist() == S3DIS.is_structure.tolist()


def test_an_unknown_vocabulary_comes_back_too(tmp_path: Path) -> None:
    own = Vocabulary(
        "mine", tuple(f"thing {i}" for i in range(13)), tuple(range(100, 113)), frozenset({"thing 3"})
    )
    save_instances(tmp_path / "a.npz", found(vocabulary=own), a_cloud())
    assert load_instances(tmp_path / "a.npz")[0].vocabulary == own


def test_nothing_found_round_trip(tmp_path: Path) -> None:
    for suffix in (".npz", ".ply", ".json", ".las"):
        save_instances(tmp_path / f"a{suffix}", Instances.empty(N, S3DIS), a_cloud())
    instances, cloud = load_instances(tmp_path / "a.npz")
    assert len(instances) == 0 and len(cloud) == N and instances.element_classes is None
    table = read_ply(tmp_path / "a.ply").table
    assert table is not None and (table["instance"] == -1).all() and (table["semantic"] == -1).all()


def test_ply_gives_back_every_property_and_the_answer(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    fields = [("intensity", ">u2"), ("z", ">f8"), ("x", ">f4"), ("semantic", "u1"), ("y", ">f4")]
    fields += [("gps_time", ">f8"), ("red", "u1"), ("green", "u1"), ("blue", "u1")]
    table = np.zeros(N, fields)
    for name in table.dtype.names or ():
        table[name] = rng.uniform(0, 200, N)
    table["x"][3] = np.nan
    words = {"u1": "uchar", "u2": "ushort", "f4": "float", "f8": "double"}
    head = ["ply", "format binary_big_endian 1.0", f"element vertex {N}"]
    head += [f"property {words[table.dtype[n].str[1:]]} {n}" for n in table.dtype.names or ()]
    (tmp_path / "a.ply").write_bytes("\n".join([*head, "end_header\n"]).encode() + table.tobytes())
    cloud = load_cloud(tmp_path / "a.ply", units="mm", up="y")
    save_instances(tmp_path / "b.ply", found(), cloud)
    back = read_ply(tmp_path / "b.ply").table
    assert back is not None
    assert back.dtype.names == (
        "intensity",
        "z",
        "x",
        "y",
        "gps_time",
        "red",
        "green",
        "blue",
        "instance",
        "semantic",
        "score",
    )
    for name in back.dtype.names[:8]:
        assert back.dtype[name].str[1:] == table.dtype[name].str[1:]
        np.testing.assert_array_equal(back[name], table[name])
    np.testing.assert_array_equal(back["instance"], found().to_labels().numpy())
    np.testing.assert_array_equal(back["semantic"], np.arange(N) % 13)
    # Overlap: the better score wins; points of none have no score.
    assert back["instance"][15] == 1 and back["score"][15] == 0.75 and back["score"][50] == 0
    # In the file's own byte order.
    assert [back.dtype[name].str for name in ("instance", "semantic", "score")] == [">i4", ">i4", ">f4"]


@pytest.mark.parametrize("kind", ["json", "csv"])
@pytest.mark.parametrize("given", ["array far away", "file in millimetres with y up"])
def test_json_and_csv_speak_of_the_frame_of_the_input(tmp_path: Path, kind: str, given: str) -> None:
    cloud = a_cloud(5e6)
    world = (cloud.points.double() + cloud.origin).numpy()
    if given.startswith("file"):
        world = a_cloud().points.numpy().astype(np.float64) * 1000
        with (tmp_path / "a.ply").open("wb") as file:
            write_ply(file, dict(zip("xyz", world.T, strict=True)))
        cloud = load_cloud(tmp_path / "a.ply", units="mm", up="y")
    save_instances(tmp_path / f"b.{kind}", found(), cloud)
    text = (tmp_path / f"b.{kind}").read_text(encoding="utf-8")
    if kind == "json":
        document = json.loads(text)
        rows = document["instances"]
        center, size = rows[0]["box"]["center"], rows[0]["box"]["size"]
        assert rows[0]["shape"] is None and rows[0]["amodal_box"] is None
    else:
        rows = list(csv.DictReader(text.splitlines()))
        assert list(rows[0]) == ["id", "class", "score", "points", *BOX]
        center, size = ([float(rows[0][f"{n}_{a}"]) for a in "xyz"] for n in ("center", "size"))
    low, high = world[:20].min(0), world[:20].max(0)
    np.testing.assert_allclose(center, (low + high) / 2, rtol=1e-6)
    np.testing.assert_allclose(size, high - low, rtol=1e-5)
    assert [row["class"] for row in rows] == ["chair", "table", "clutter", "unknown"]
    assert [int(row["points"]) for row in rows] == [20, 25, 1, 0]


def test_a_result_read_back_gives_the_same_table(tmp_path: Path) -> None:
    cloud = a_cloud(5e6)
    answer = replace(found(), boxes=torch.rand(4, 7), source_from_cloud=cloud.source_from_cloud)
    save_instances(tmp_path / "a.npz", answer, cloud)
    back = load_instances(tmp_path / "a.npz")[0]
    assert back == answer and back.to_dicts() == answer.to_dicts()


def test_the_path_of_the_scan_stands_for_the_scan(tmp_path: Path) -> None:
    with (tmp_path / "a.ply").open("wb") as file:
        write_ply(file, {n: np.arange(N, dtype=np.float32) for n in ("x", "y", "z", "extra")})
    for given in (tmp_path / "a.ply", str(tmp_path / "a.ply"), load_cloud(tmp_path / "a.ply")):
        save_instances(tmp_path / "b.ply", found(), given)
        table = read_ply(tmp_path / "b.ply").table
        assert table is not None and table.dtype.names[:4] == ("x", "y", "z", "extra")


def test_objects_are_one_file_each_in_the_frame_of_the_input(tmp_path: Path) -> None:
    own = Vocabulary("mine", tuple(["../../etc/passwd", "a b"] + [f"c{i}" for i in range(11)]))
    instances = Instances.from_labels(torch.arange(N) % 3 - 1, torch.tensor([0, 1]), vocabulary=own)
    with (tmp_path / "a.ply").open("wb") as file:
        write_ply(file, {n: np.arange(N, dtype=np.float32) for n in ("x", "y", "z", "extra")})
    cloud = load_cloud(tmp_path / "a.ply", units="mm")
    paths = save_objects(tmp_path / "objects", instances, cloud)
    assert [p.name for p in paths] == ["0000_etc-passwd.ply", "0001_a-b.ply"]
    table = read_ply(paths[1]).table
    assert table is not None
    np.testing.assert_array_equal(table["extra"], np.arange(2, N, 3))
    np.testing.assert_array_equal(table["x"], np.arange(2, N, 3))


def a_frame() -> tuple[View, Instances]:
    """4 x 6 pixels, two without depth, of a camera 1 m above (5e5, 0, 0); object 0 is the left half, 1 one blind pixel."""
    depth = 2 + torch.rand(4, 6)
    depth[0, 0], depth[2, 3] = 0, torch.nan
    pose = LEVEL.copy()
    pose[:3, 3] = 5e5, 0, 1
    labels = torch.where(torch.arange(24) % 6 < 3, 0, -1)
    labels[2 * 6 + 3] = 1
    found = Instances.from_labels(labels, torch.tensor([0, 1]), vocabulary=S3DIS)
    return View(torch.rand(3, 4, 6), depth, Camera.from_focal(5.0, (6, 4), pose)), found


def test_what_was_found_in_a_frame_is_written_with_its_points_too(tmp_path: Path) -> None:
    view, instances = a_frame()
    save_instances(tmp_path / "a.ply", instances, view)
    table = read_ply(tmp_path / "a.ply").table
    assert table is not None and len(table) == 22
    np.testing.assert_array_equal(table["instance"], instances.to_labels()[view.pixels()])
    cloud = view.cloud()
    assert cloud.origin is not None
    np.testing.assert_allclose(table["x"], cloud.points[:, 0].double() + cloud.origin[0], atol=1e-3)
    paths = save_objects(tmp_path / "objects", instances, view)
    sizes = [len(t) for path in paths if (t := read_ply(path).table) is not None]
    assert sizes == [11, 0], "an object whose pixels have no depth has a file without points"


@pytest.mark.parametrize("missing", ["depth", "camera"])
def test_without_points_a_view_has_no_ply(tmp_path: Path, missing: str) -> None:
    view, instances = a_frame()
    view = replace(view, **{missing: None})
    for write in (
        lambda: save_instances(tmp_path / "a.ply", instances, view),
        lambda: save_objects(tmp_path / "objects", instances, view),
    ):
        with pytest.raises(UserError, match=f"a view without {missing} has no points"):
            write()
    assert list(tmp_path.iterdir()) == []


def test_whole_shapes_are_surfaces_in_the_frame_of_the_input(tmp_path: Path) -> None:
    mesh = Mesh(
        torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]]), torch.tensor([[0, 2, 1], [0, 1, 3]])
    )
    voxels = VoxelGrid.from_dense(torch.ones(2, 3, 4, dtype=torch.bool), voxel_size=0.5)
    points = PointCloud(torch.rand(5, 3))
    nothing = VoxelGrid(torch.zeros(0, 3, dtype=torch.int64), (1, 1, 1), 0.5)
    own = Vocabulary("mine", ("../a", "b", "c", "d"))
    instances = Instances.from_labels(torch.arange(N) % 4, torch.arange(4), vocabulary=own)
    turned = np.array([[1000.0, 0, 0, 7], [0, 0, 1000, 0], [0, -1000, 0, 0], [0, 0, 0, 1]])
    instances = replace(instances, shapes=(mesh, voxels, points, nothing), source_from_cloud=turned)
    folder = tmp_path / "shapes"
    assert [p.name for p in save_shapes(folder, instances)] == [
        "0000_a.ply",
        "0001_b.ply",
        "0002_c.ply",
        "0003_d.ply",
    ]
    first, second, third, last = (
        read_ply(folder / name).table for name in sorted(p.name for p in folder.iterdir())
    )
    assert first is not None and second is not None and third is not None and last is not None
    np.testing.assert_allclose(
        [first["x"], first["y"], first["z"]], [[7, 1007, 7, 7], [0, 0, 0, 3000], [0, 0, -2000, 0]]
    )
    extent = [np.ptp(second[axis]) for axis in "xyz"]
    np.testing.assert_allclose(extent, [1000, 2000, 1500], atol=250)
    assert len(third) == 5 and len(last) == 0
    assert len(trimesh.load(folder / "0001_b.ply", process=False).faces) > 0


def test_whole_shapes_as_glb_stand_upright_in_metres_wherever_they_are(tmp_path: Path) -> None:
    far = torch.tensor([5e5, 6e6, 100], dtype=torch.float64)
    grid = VoxelGrid.from_dense(torch.ones(2, 4, 20, dtype=torch.bool), voxel_size=0.05, origin=far)
    broken = Mesh(torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, torch.nan, 0]]), torch.tensor([[0, 1, 2]]))
    instances = Instances.from_labels(torch.arange(N) % 2, torch.tensor([0, 1]), vocabulary=S3DIS)
    instances = replace(instances, shapes=(grid, broken))
    colors = np.array([[255, 0, 0], [0, 255, 0]], dtype=np.uint8)
    paths = save_shapes(tmp_path, instances, glb_colors=colors)
    assert [p.suffix for p in paths] == [".ply", ".glb"] * 2
    scene = trimesh.load(paths[1])
    low, high = scene.bounds
    # x stays, z up becomes y up, y ahead becomes -z.
    np.testing.assert_allclose(low, [5e5, 100, -6e6 - 0.2], atol=0.02)
    np.testing.assert_allclose(high, [5e5 + 0.1, 101, -6e6], atol=0.02)
    (piece,) = scene.geometry.values()
    assert piece.is_watertight and piece.volume > 0 and np.ptp(piece.vertices[:, 1]) > 0.9
    assert piece.visual.material.baseColorFactor.tolist() == [255, 0, 0, 255]
    assert len(trimesh.load(paths[3]).geometry) == 0, "without a triangle there is no mesh"
    assert load_cloud(paths[1]).points.shape[1] == 3


def test_wrong_cloud_and_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the cloud has 60"):
        save_instances(tmp_path / "a.npz", Instances.empty(3, S3DIS), a_cloud())
    with pytest.raises(UserError, match="choose one of"):
        save_instances(tmp_path / "a.xlsx", found(), a_cloud())
    assert list(tmp_path.iterdir()) == []


CHANGES = {
    "no points": {"points": None},
    "no offsets": {"offsets": None},
    "offsets fall": {"offsets": np.array([0, 30, 20, 46, 46])},
    "offsets end early": {"offsets": np.array([0, 1, 2, 3, 4])},
    "offsets too short": {"offsets": np.array([0, 46])},
    "index too large": {"indices": np.full(46, N)},
    "index negative": {"indices": np.full(46, -1)},
    "indices float": {"indices": np.zeros(46)},
    "class too large": {"classes": np.array([8, 7, 13, 0])},
    "class below none": {"classes": np.array([8, 7, -2, 0])},
    "scores missing one": {"scores": np.zeros(3, np.float32)},
    "points flat": {"points": np.zeros(N * 3, np.float32)},
    "points wide": {"points": np.zeros((N, 4), np.float32)},
    "colors short": {"colors": np.zeros((N - 1, 3), np.uint8)},
    "names twice": {"class_names": np.array(["a"] * 13)},
    "boxes narrow": {"boxes": np.zeros((4, 6), np.float32)},
    "point classes short": {"point_classes": np.zeros(3, np.int32)},
    "origin short": {"origin": np.zeros(2)},
    "frame singular": {"world_from_source": np.zeros((4, 4))},
    "structure short": {"structure": np.zeros(2, bool)},
}


@pytest.mark.parametrize("name", CHANGES)
def test_results_that_do_not_fit_together_are_refused(tmp_path: Path, name: str) -> None:
    save_instances(tmp_path / "a.npz", found(), a_cloud())
    with np.load(tmp_path / "a.npz") as data:
        arrays = {k: data[k] for k in data.files} | CHANGES[name]
    np.savez(tmp_path / "b.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(UserError, match=r"b\.npz: .*;"):
        load_instances(tmp_path / "b.npz")


def test_loading_what_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04junk")
    np.savez(tmp_path / "b.npz", points=np.zeros((3, 3), np.float32))
    for path in (tmp_path, tmp_path / "none.npz", tmp_path / "a.npz", tmp_path / "b.npz"):
        with pytest.raises(UserError):
            load_instances(path)
    (tmp_path / "a.instances.ply").write_bytes(b"ply\n")
    with pytest.raises(UserError, match=r"only \.npz holds a whole result; name an \.instances\.npz"):
        load_instances(tmp_path / "a.instances.ply")

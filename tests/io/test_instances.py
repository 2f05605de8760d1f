"""Results written and read back."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.errors import UserError
from gestalt3d.io import load_cloud, load_instances, save_instances, save_objects
from gestalt3d.io.ply import read_ply, write_ply
from gestalt3d.structures.instances import BOX, Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import S3DIS, Vocabulary

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

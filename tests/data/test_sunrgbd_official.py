"""SUN RGB-D in its official folders, with the boxes of either kind of metadata, on frames the tests write and on real ones."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

import gestalt3d as g3
from gestalt3d.data.check import check
from gestalt3d.data.sunrgbd_official import OfficialSunRGBD, boxes_of_annotation, read_json
from gestalt3d.errors import UserError
from gestalt3d.structures.vocabulary import DSS19

WIDTH, HEIGHT = 40, 30
INTRINSICS = np.array([[35.0, 0, 20.5], [0, 36.0, 15.5], [0, 0, 1]])
C, S = np.cos(0.3), np.sin(0.3)
DOWN = np.array([[1, 0, 0, 0], [0, C, S, 0], [0, -S, C, 0]])
"""Of a camera that looks down: y points down and z ahead."""
BED = {
    "name": "bed",
    "polygon": [{"X": [-1, 1, 1, -1], "Z": [2, 2, 4, 4], "Ymin": 1.2, "Ymax": 0.2, "rectangle": True}],
}
"""2 m wide and 2 m long before the camera, from 1.2 to 0.2 m below it."""


def write_frame(
    root: Path, name: str = "kv1/set/img_1", *, objects: object = (BED,), depth: str = "depth_bfx"
) -> np.ndarray:
    folder = root / "SUNRGBD" / name
    for inner in ("image", depth, "extrinsics", "annotation3Dfinal", "annotation2Dfinal"):
        (folder / inner).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(folder / "image" / "a.jpg")
    stored = rng.integers(500, 4000, (HEIGHT, WIDTH)).astype(np.uint16)
    stored.flat[::7] = 0
    Image.fromarray((stored << 3) | (stored >> 13)).save(folder / depth / "a.png")
    np.savetxt(folder / "intrinsics.txt", INTRINSICS.reshape(1, 9))
    np.savetxt(folder / "extrinsics" / "2014.txt", DOWN)
    (folder / "annotation3Dfinal" / "index.json").write_text(json.dumps({"objects": objects}))
    outlines = {
        "objects": [{"name": "bed"}, None, {"name": "rug"}, {"name": "lamp:truncated"}],
        "frames": [
            {
                "polygon": [
                    {"x": [5, 8, 8, 5], "y": [5, 5, 8, 8], "object": 3},
                    {"x": [3, 22, 22, 3], "y": [3, 3, 12, 12], "object": 0},
                    {"x": [12, 14, 14], "y": [6, 6, 9], "object": 2},
                    {"x": [1, 2], "y": [1, 2], "object": 0},
                    {"x": None, "y": [], "object": 9},
                ]
            }
        ],
    }
    (folder / "annotation2Dfinal" / "index.json").write_text(json.dumps(outlines))
    return stored / 1000


def write_meta(path: Path, names: list[str]) -> None:
    """Each frame has a table turned by 0.5 whose length, along the heading, is the first of its sides."""
    c, s = np.cos(0.5), np.sin(0.5)
    rows = np.empty((1, len(names)), [("sequenceName", object), ("groundtruth3DBB", object)])
    kinds = [
        ("basis", object),
        ("coeffs", object),
        ("centroid", object),
        ("classname", object),
        ("orientation", object),
    ]
    for i, name in enumerate(names):
        boxes = np.empty((1, 2), kinds)
        basis = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        boxes[0, 0] = (
            basis,
            np.array([[1.0, 0.4, 0.3]]),
            np.array([[0.1, 3, -0.7]]),
            "table",
            np.array([[c, s, 0.0]]),
        )
        boxes[0, 1] = (basis, np.ones((1, 3)), np.ones((1, 3)), "wall", np.array([[c, s, 0.0]]))
        rows[0, i] = (f"SUNRGBD/{name}/", boxes)
    savemat(path, {"SUNRGBDMeta": rows}, do_compression=True)


def test_a_frame_of_the_official_folders(tmp_path: Path) -> None:
    depth = write_frame(tmp_path)
    data = g3.open_data("sunrgbd", root=tmp_path)
    assert isinstance(data, OfficialSunRGBD) and data.names == ["kv1/set/img_1"]
    assert any("annotation3Dfinal" in note for note in data.notes)
    sample = data[0]
    view, truth = sample.input, sample.truth
    assert view.depth is not None and view.camera is not None
    np.testing.assert_allclose(view.depth.numpy(), depth, atol=1e-6)
    assert view.camera.intrinsics.tolist() == [[35, 0, 19.5], [0, 36, 14.5], [0, 0, 1]]
    np.testing.assert_allclose(view.camera.world_from_camera[:3, 2], [0, C, -S], atol=1e-6)
    assert truth.classes.tolist() == [DSS19.id("bed")] and truth.amodal_boxes is not None
    # Across, x: 2 m; along, y: 2 m; the heading is towards the camera.
    wanted = [[0, 3, -0.7, 2, 2, 1, -np.pi / 2]]
    np.testing.assert_allclose(truth.amodal_boxes.numpy(), wanted, atol=1e-6)
    assert truth.image_boxes is not None and bool((truth.image_boxes[:, 2:] > truth.image_boxes[:, :2]).all())
    assert g3.open_data("sunrgbd", root=tmp_path / "SUNRGBD")[0].truth == truth


def test_pixels_have_the_classes_of_outlines_the_smaller_above(tmp_path: Path) -> None:
    write_frame(tmp_path)
    classes = OfficialSunRGBD(tmp_path)[0].truth.classes_of_elements().reshape(HEIGHT, WIDTH)
    assert int(classes[4, 20]) == DSS19.id("bed") and int(classes[5, 5]) == DSS19.id("lamp")
    assert int(classes[6, 12]) == -1 and int(classes[20, 20]) == -1  # a rug is none of the nineteen
    assert int((classes >= 0).sum()) < 20 * 10 + 1


def test_the_depth_as_measured_is_taken_where_none_is_filled(tmp_path: Path) -> None:
    depth = write_frame(tmp_path, depth="depth")
    found = OfficialSunRGBD(tmp_path)[0].input.depth
    assert found is not None
    np.testing.assert_allclose(found.numpy(), depth, atol=1e-6)


def test_boxes_and_splits_of_the_metadata(tmp_path: Path) -> None:
    for name in ("kv1/set/img_1", "kv2/img_2", "xtion/a/b/img_3"):
        write_frame(tmp_path, name)
    names = [f"realsense/gone_{i}" for i in range(5051)]
    names[7], names[5050] = "kv2/img_2", "kv1/set/img_1"
    write_meta(tmp_path / "SUNRGBDMeta3DBB_v2.mat", names)
    test = OfficialSunRGBD(tmp_path, "test")
    assert test.names == ["kv2/img_2"] and OfficialSunRGBD(tmp_path, "train").names == ["kv1/set/img_1"]
    assert any("5,049 of 5,050 frames are not in" in note for note in test.notes)
    assert any("lists 5,051 frames, the official one 10,335" in note for note in test.notes)
    assert any("in no split: xtion/a/b/img_3" in note for note in test.notes)
    assert OfficialSunRGBD(tmp_path).names == ["kv2/img_2", "kv1/set/img_1", "xtion/a/b/img_3"]
    truth = test[0].truth
    assert truth.classes.tolist() == [DSS19.id("table")] and truth.amodal_boxes is not None
    np.testing.assert_allclose(truth.amodal_boxes.numpy(), [[0.1, 3, -0.7, 2, 0.8, 0.6, 0.5]], atol=1e-6)
    report = check("sunrgbd", tmp_path)
    assert [(c.name, c.found) for c in report.counts] == [("train", 1), ("val", 1)]


def test_without_metadata_there_are_no_splits(tmp_path: Path) -> None:
    write_frame(tmp_path)
    with pytest.raises(UserError, match="put it beside SUNRGBD, or take sunrgbd:all"):
        OfficialSunRGBD(tmp_path, "train")
    report = check("sunrgbd", tmp_path)
    assert [(c.name, c.found, c.expected) for c in report.counts] == [("all", 1, 10335)]


@pytest.mark.parametrize(
    "content",
    [
        '{"objects": [{"name": "wall\\"}, {"name": "bed", "polygon": []}]}',
        '{"objects": [{"name":"wall\\" , "polygon": []}, {"name": "bed"}]}',
        '{"objects": [{"name": "wall"}, {"name": "bed"}], "note": "tab\there"}',
    ],
)
def test_names_that_end_in_a_backslash_are_mended(tmp_path: Path, content: str) -> None:
    (tmp_path / "index.json").write_text(content)
    assert [item["name"] for item in read_json(tmp_path / "index.json")["objects"]] == ["wall", "bed"]


def test_boxes_that_are_none_are_passed_over(tmp_path: Path) -> None:
    polygon = BED["polygon"][0]
    objects = [
        None, {}, [], {"name": "chair"}, {"name": "chair", "polygon": None}, {"name": "wall", "polygon": [polygon]},
        {"name": "chair", "polygon": [{**polygon, "X": [1, 2]}]}, {"name": "chair", "polygon": [{**polygon, "X": ["a"] * 4}]},
        {"name": "chair", "polygon": [{**polygon, "X": [0] * 4, "Z": [0] * 4}]},
        {"name": "chair", "polygon": [{**polygon, "Ymin": 1e300}]}, {"name": "sofa_:left", "polygon": polygon}, BED,
    ]  # fmt: skip
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"objects": objects}))
    names, boxes = boxes_of_annotation(path)
    assert names == ["sofa", "bed"] and boxes.shape == (2, 7)
    path.write_text("{}")
    assert boxes_of_annotation(path)[0] == []


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("annotation3Dfinal/index.json", "{", "is no annotation"),
        ("annotation3Dfinal/index.json", "[" * 100_000, "is no annotation"),
        ("annotation2Dfinal/index.json", "[1]", "is no annotation"),
        ("annotation2Dfinal/index.json", " " * (17 << 20), "too long"),
        ("intrinsics.txt", "1 2 3", "must hold 9 numbers"),
        ("intrinsics.txt", "0 " * 9, "holds no camera"),
        ("extrinsics/2014.txt", "1 " * 12, "holds no rotation"),
        ("extrinsics/2014.txt", "x", "must hold 9 or 12 numbers"),
        ("depth_bfx/a.png", "no image", "cannot be read"),
        ("image/a.jpg", "no image", "cannot be read"),
    ],
)
def test_bad_files_are_named_in_one_line(tmp_path: Path, file: str, content: str, said: str) -> None:
    write_frame(tmp_path)
    path = tmp_path / "SUNRGBD/kv1/set/img_1" / file
    path.write_text(content)
    with pytest.raises(UserError, match=said) as caught:
        OfficialSunRGBD(tmp_path)[0]
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_metadata_that_is_something_else(tmp_path: Path) -> None:
    write_frame(tmp_path)
    path = tmp_path / "SUNRGBDMeta3DBB_v2.mat"
    for values, said in (
        ({"SUNRGBDMeta": np.ones(3)}, "is no structure"),
        ({"other": {"a": 1}}, "has no matrix 'SUNRGBDMeta'"),
        ({"SUNRGBDMeta": {"sequenceName": "x"}}, "has no groundtruth3DBB"),
        ({"SUNRGBDMeta": {"sequenceName": 3.0, "groundtruth3DBB": 1.0}}, "holds no texts"),
    ):
        savemat(path, values)
        with pytest.raises(UserError, match=said) as caught:
            OfficialSunRGBD(tmp_path)
        assert str(caught.value).startswith(f"{path}: ")
    savemat(
        path,
        {"SUNRGBDMeta": {"sequenceName": "SUNRGBD/kv1/set/img_1", "groundtruth3DBB": {"classname": "bed"}}},
    )
    with pytest.raises(UserError, match="is no box"):
        OfficialSunRGBD(tmp_path)[0]


def test_parts_of_a_frame_that_are_missing_and_links(tmp_path: Path) -> None:
    write_frame(tmp_path)
    folder = tmp_path / "SUNRGBD/kv1/set/img_1"
    (tmp_path / "SUNRGBD/kv1/loop").symlink_to(tmp_path / "SUNRGBD", target_is_directory=True)
    (tmp_path / "SUNRGBD/kv1/empty").mkdir()
    assert OfficialSunRGBD(tmp_path).names == ["kv1/set/img_1"]
    (folder / "extrinsics" / "2014.txt").unlink()
    with pytest.raises(UserError, match="extrinsics: cannot be read"):
        OfficialSunRGBD(tmp_path)[0]
    with pytest.raises(UserError, match="neither the official folders"):
        g3.open_data("sunrgbd", root=tmp_path / "SUNRGBD" / "kv1")


def test_the_real_frames(shared: Path) -> None:
    data = OfficialSunRGBD(shared / "data" / "sunrgbd")
    assert len(data) == 2 and {name.split("/")[0] for name in data.names} == {"kv1", "kv2"}
    for i in range(2):
        sample = data[i]
        assert len(sample.truth) == 0 and sample.input.depth is not None
        known = sample.input.depth.reshape(-1)[sample.input.seen]
        assert 0.6 < float(known.min()) < float(torch.quantile(known[::7], 0.99)) < 4
    # Where both are there what the scripts made is taken.
    assert g3.open_data("sunrgbd:val", root=shared / "data" / "sunrgbd").names == ["000001", "000002"]

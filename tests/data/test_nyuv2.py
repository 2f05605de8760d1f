"""NYU Depth v2 from folders and from the official file, both written by the tests, and a real frame if there is one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat, savemat

import gestalt3d as g3
from gestalt3d.data.check import check
from gestalt3d.data.nyuv2 import FRAMES, NYUv2
from gestalt3d.errors import UserError
from gestalt3d.io.gravity import find_gravity
from gestalt3d.structures.vocabulary import DSS19, NYU13, NYU13_OF_NYU40, NYU40
from tests.hdf5_files import hdf5, write_hdf5

__all__ = ["hdf5"]

WIDTH, HEIGHT = 64, 48
LABELS = np.zeros((HEIGHT, WIDTH), np.uint8)
LABELS[:10], LABELS[10:20], LABELS[20:30, :40] = 1, 5, 32
OBJECTS = np.zeros((HEIGHT, WIDTH), np.uint8)
OBJECTS[:10], OBJECTS[10:20, :30], OBJECTS[10:20, 30:60], OBJECTS[20:30] = 1, 1, 2, 1


def write_frame(root: Path, number: int = 1, *, objects: np.ndarray | None = None) -> np.ndarray:
    """(h, w) depth of a frame in folders."""
    for folder in ("rgb", "depth", "label40", "instance"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    colors = Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    colors.save(root / "rgb" / f"{number:04d}.png")
    depth = rng.uniform(1, 4, (HEIGHT, WIDTH)).astype(np.float32)
    np.save(root / "depth" / f"{number:04d}.npy", depth)
    labels = Image.fromarray(LABELS)
    labels.putpalette(list(range(256)) * 3)
    labels.save(root / "label40" / f"{number:04d}.png")
    if objects is not None:
        Image.fromarray(objects).save(root / "instance" / f"{number:04d}.png")
    return depth


def write_shared(root: Path) -> None:
    train, test = np.arange(1, 796.0)[:, None], np.arange(796, 1450.0)[:, None]
    savemat(root / "splits.mat", {"trainNdxs": train, "testNdxs": test})
    tilt = "1 0 0\n0 0.8 0.6\n0 -0.6 0.8\n\n"
    (root / "camera_rotations_NYU.txt").write_text(tilt * FRAMES)


def expect_objects(truth: g3.Instances) -> None:
    assert truth.vocabulary == NYU40
    assert [truth.class_name(i) for i in range(len(truth))] == ["wall", "chair", "chair", "night stand"]
    assert truth.sizes.tolist() == [10 * WIDTH, 10 * 30, 10 * 30, 10 * 40]
    assert truth.element_classes is not None
    assert truth.element_classes.tolist() == (LABELS.astype(int).reshape(-1) - 1).tolist()


def test_a_frame_of_folders(tmp_path: Path) -> None:
    depth = write_frame(tmp_path)
    write_shared(tmp_path)
    sample = g3.open_data("nyuv2:train", root=tmp_path)[0]
    view, truth = sample.input, sample.truth
    assert sample.name == "0001" and view.depth is not None and view.camera is not None
    assert np.array_equal(view.depth.numpy(), depth)
    # The toolbox's focal length at a tenth of the size; the camera looks down by its rotation.
    assert view.camera.intrinsics[0, 0] == pytest.approx(51.8858, abs=1e-3)
    np.testing.assert_allclose(view.camera.world_from_camera[:3, 2], [0, 0.8, -0.6], atol=1e-9)
    assert len(truth) == 0 and truth.element_classes is not None
    assert torch.unique(truth.element_classes).tolist() == [-1, 0, 4, 31]


def test_objects_are_pixels_of_a_class_and_a_number(tmp_path: Path) -> None:
    write_frame(tmp_path, objects=OBJECTS)
    data = NYUv2(tmp_path)
    expect_objects(data[0].truth)
    assert data.without_instances() == []


def test_splits_and_what_is_not_there(tmp_path: Path) -> None:
    for number in (1, 2, 1449):
        write_frame(tmp_path, number)
    with pytest.raises(UserError, match=r"splits\.mat: no such file.*nyuv2:all needs none"):
        NYUv2(tmp_path, "test")
    assert NYUv2(tmp_path).names == ["0001", "0002", "1449"]
    write_shared(tmp_path)
    test = NYUv2(tmp_path, "test")
    assert test.names == ["1449"] and any("653 of 654" in note for note in test.notes)
    (tmp_path / "depth" / "0002.npy").unlink()
    assert NYUv2(tmp_path, "train").names == ["0001"]
    with pytest.raises(UserError, match="no split 'val'"):
        NYUv2(tmp_path, "val")


def test_other_vocabularies(tmp_path: Path) -> None:
    write_frame(tmp_path, objects=OBJECTS)
    for vocabulary, names in (
        (NYU13, ["wall", "chair", "chair", "furniture"]),
        (DSS19, ["unknown", "chair", "chair", "night_stand"]),
    ):
        truth = NYUv2(tmp_path, vocabulary=vocabulary)[0].truth
        assert [truth.class_name(i) for i in range(len(truth))] == names


def test_gravity_is_found_where_no_rotation_is_given(tmp_path: Path) -> None:
    write_frame(tmp_path)
    data = NYUv2(tmp_path)
    assert any("gravity is found" in note for note in data.notes)
    assert data[0].input.notes == ("the camera taken for level",)  # there is none in noise


@pytest.mark.usefixtures("hdf5")
def test_the_official_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 3, 640, 480), dtype=np.uint8)
    depths = rng.uniform(1, 4, (2, 640, 480)).astype(np.float32)
    own, objects = np.zeros((2, 640, 480), np.uint16), np.zeros((2, 640, 480), np.uint8)
    # Official classes 21, 5 and 171 are wall, chair and night stand of the table below.
    large = np.array([0, 21, 5, 171], np.uint16)[np.searchsorted([0, 1, 5, 32], LABELS)]
    own[1, :WIDTH, :HEIGHT], objects[1, :WIDTH, :HEIGHT] = large.T, OBJECTS.T
    write_hdf5(
        tmp_path / "nyu_depth_v2_labeled.mat", images=images, depths=depths, labels=own, instances=objects
    )
    with pytest.raises(UserError, match=r"classMapping40\.mat: no such file"):
        NYUv2(tmp_path)[0]
    table = np.full((1, 894), 40.0)
    table[0, [20, 4, 170, 42]] = 1, 5, 32, 5
    savemat(tmp_path / "classMapping40.mat", {"mapClass": table})
    data = NYUv2(tmp_path)
    assert data.names == ["0001", "0002"]
    view, truth = data[1].input, data[1].truth
    assert view.depth is not None and torch.equal(view.depth, torch.from_numpy(depths[1].T.copy()))
    assert torch.equal(
        (view.image * 255).round().byte(), torch.from_numpy(images[1].transpose(0, 2, 1).copy())
    )
    assert [truth.class_name(i) for i in range(len(truth))] == ["wall", "chair", "chair", "night stand"]
    assert truth.sizes.tolist() == [10 * WIDTH, 10 * 30, 10 * 30, 10 * 40]
    # Two of the many classes become chairs: chair 1 and stacked chair 1 are two objects.
    own[1, :4, 40:44], objects[1, :4, 40:44] = 43, 1
    write_hdf5(
        tmp_path / "nyu_depth_v2_labeled.mat", images=images, depths=depths, labels=own, instances=objects
    )
    chairs = data[1].truth
    assert sorted(chairs.sizes[chairs.classes == NYU40.id("chair")].tolist()) == [16, 300, 300]
    # Garbage bins and monitors are no classes of the forty, and of the nineteen.
    own[1, 50:54, 40:44], objects[1, 50:54, 40:44] = 12, 1
    own[1, 60:62, 40:44], objects[1, 60:62, 40:44] = 49, 1
    write_hdf5(
        tmp_path / "nyu_depth_v2_labeled.mat", images=images, depths=depths, labels=own, instances=objects
    )
    for vocabulary, names in ((DSS19, ("garbage_bin", "monitor")), (NYU40, ("otherprop", "otherprop"))):
        found = NYUv2(tmp_path, vocabulary=vocabulary)[1].truth
        assert found.vocabulary == vocabulary
        for name, size in zip(names, (16, 8), strict=True):
            assert size in found.sizes[found.classes == vocabulary.id(name)].tolist()
        chairs = found.sizes[found.classes == vocabulary.id("chair")]
        assert sorted(chairs.tolist()) == [16, 300, 300]
    own[0] = 895
    write_hdf5(
        tmp_path / "nyu_depth_v2_labeled.mat", images=images, depths=depths, labels=own, instances=objects
    )
    with pytest.raises(UserError, match="go to 895"):
        NYUv2(tmp_path)[0]
    write_hdf5(
        tmp_path / "nyu_depth_v2_labeled.mat", images=images, depths=depths[:1], labels=own, instances=objects
    )
    with pytest.raises(UserError, match="different sizes"):
        NYUv2(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("rgb/0001.png", b"none", "cannot be read"),
        ("label40/0001.png", b"none", "cannot be read"),
        ("depth/0001.npy", b"none", "0001.npy"),
        ("camera_rotations_NYU.txt", b"1 0 0 0 1 0 0 0 1", "must hold 1449 rotations"),
        ("camera_rotations_NYU.txt", b"x" * 9, "must hold 1449 rotations"),
        ("camera_rotations_NYU.txt", b"2 " * 9 * FRAMES, "must hold 1449 rotations"),
        ("camera_rotations_NYU.txt", b"1 " * 2_500_000, "too long"),
    ],
)
def test_bad_files_are_named_in_one_line(tmp_path: Path, file: str, content: bytes, said: str) -> None:
    write_frame(tmp_path)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        NYUv2(tmp_path)[0]
    assert str(caught.value).startswith(f"{tmp_path / file}: ") and "\n" not in str(caught.value)


def test_images_that_do_not_fit(tmp_path: Path) -> None:
    write_frame(tmp_path)
    Image.fromarray(LABELS[:-1]).save(tmp_path / "label40" / "0001.png")
    with pytest.raises(UserError, match="its labels are 64 x 47 and its depth 64 x 48"):
        NYUv2(tmp_path)[0]
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "label40" / "0001.png")
    with pytest.raises(UserError, match="no labels"):
        NYUv2(tmp_path)[0]
    np.save(tmp_path / "depth" / "0001.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(UserError, match="never loaded"):
        NYUv2(tmp_path)[0]
    with pytest.raises(UserError, match="holds neither"):
        NYUv2(tmp_path / "rgb")


def test_splits_that_are_something_else(tmp_path: Path) -> None:
    write_frame(tmp_path)
    for values in (np.array([0, 1]), np.array([1, 1]), np.array([1.5]), np.array([1450])):
        savemat(tmp_path / "splits.mat", {"trainNdxs": values})
        with pytest.raises(UserError, match="numbers of frames"):
            NYUv2(tmp_path, "train")


def test_check_counts_and_names_what_is_missing(tmp_path: Path) -> None:
    for number in (1, 2, 800):
        write_frame(tmp_path, number)
    write_shared(tmp_path)
    (tmp_path / "rgb" / "0002.png").unlink()
    (tmp_path / "depth" / "0800.npy").write_bytes(b"none")
    report = check("nyuv2", tmp_path)
    counted = [(c.name, c.found, c.expected) for c in report.counts]
    assert counted == [("all", 2, 1449), ("train", 1, 795), ("test", 1, 654)]
    assert any("rgb: 1 frames have no file here: 0002" in line for line in report.problems)
    assert any("0800.npy" in line for line in report.problems)


def test_the_real_frame(shared: Path) -> None:
    root = shared / "data" / "nyuv2"
    sample = NYUv2(root, "test")[0]
    view, truth = sample.input, sample.truth
    assert sample.name == "0001" and view.depth is not None and view.camera is not None
    assert (float(view.depth.min()), float(view.depth.max())) == pytest.approx((1.7986, 3.6156), abs=1e-3)
    assert truth.element_classes is not None and len(torch.unique(truth.element_classes)) == 13
    # What its rotation calls up is what the surfaces say, to a degree; turned the other way it were four.
    found = find_gravity(view.camera.rays() * view.depth.double().numpy()[..., None])
    assert found is not None and found.sure > 0.9
    assert np.rad2deg(np.arccos(found.up @ view.camera.world_from_camera[2, :3])) < 1.2


def test_the_forty_classes_are_the_published_ones(shared: Path) -> None:
    root = shared / "data" / "nyuv2"
    many = [str(cell.item()) for cell in loadmat(root / "classMapping40.mat")["allClassName"][0]]
    assert (many[12 - 1], many[49 - 1]) == ("garbage bin", "monitor")
    names = [str(cell.item()) for cell in loadmat(root / "classMapping40.mat")["className"][0]]
    assert ["refrigerator" if n == "refridgerator" else n for n in names] == list(NYU40.names)
    thirteen = loadmat(root / "class13Mapping.mat")["classMapping13"][0, 0]
    assert tuple(thirteen[0][0].tolist()) == NYU13_OF_NYU40
    assert tuple(str(cell.item()) for cell in np.ravel(thirteen[1])) == NYU13.names

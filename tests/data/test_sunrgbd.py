"""SUN RGB-D as VoteNet's scripts prepare it, on frames the tests write and on real ones if there are any."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

import gestalt3d as g3
from gestalt3d.data.check import check
from gestalt3d.data.sunrgbd import SunRGBD
from gestalt3d.errors import UserError
from gestalt3d.io.mat import read_matrix
from gestalt3d.structures.vocabulary import DSS19, SYNTH
from tests.command import Command

WIDTH, HEIGHT = 40, 30
TILT = np.array([[1, 0, 0], [0, np.cos(0.3), np.sin(0.3)], [0, -np.sin(0.3), np.cos(0.3)]])
"""Of a camera that looks down: z upright for points with x right, y ahead and z up."""
BED = "bed 3 5 10 8 0.5 2 -0.25 0.5 1 0.25 0 -1"
OTHER = "ottoman 1 1 4 4 1 3 -1 0.25 0.25 0.5 0.6 0.8"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def write_frame(root: Path, number: int = 1, *, boxes: str = f"{BED}\n{OTHER}\n") -> np.ndarray:
    """(h, w) depth of a frame in the files of the scripts; every seventh pixel has none."""
    name = f"{number:06d}"
    for folder in ("image", "depth", "calib", "label"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    colors = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(colors).save(root / "image" / f"{name}.jpg")
    depth = rng.uniform(1, 4, (HEIGHT, WIDTH))
    depth.flat[::7] = 0
    intrinsics = np.array([[35.0, 0, 20.5], [0, 36.0, 15.5], [0, 0, 1]])
    column, row = np.meshgrid(np.arange(1, WIDTH + 1), np.arange(1, HEIGHT + 1))  # MATLAB's
    seen = np.stack([(column - 20.5) / 35 * depth, depth, -(row - 15.5) / 36 * depth], axis=-1)
    known = (depth > 0).T
    points = (seen @ TILT.T).transpose(1, 0, 2)[known]
    values = np.column_stack([points, colors.transpose(1, 0, 2)[known] / 255])
    savemat(root / "depth" / f"{name}.mat", {"instance": values.astype(np.float32)}, do_compression=True)
    rows = (" ".join(f"{v:.6g}" for v in m.T.reshape(-1)) for m in (TILT, intrinsics))
    (root / "calib" / f"{name}.txt").write_text("\n".join(rows) + "\n")
    (root / "label" / f"{name}.txt").write_text(boxes)
    return depth


def test_points_become_the_depth_of_their_pixels(tmp_path: Path) -> None:
    depth = write_frame(tmp_path)
    sample = g3.open_data("sunrgbd:val", root=tmp_path)[0]
    assert sample.name == "000001"
    view = sample.input
    assert view.depth is not None and view.camera is not None and view.image.shape == (3, HEIGHT, WIDTH)
    np.testing.assert_allclose(view.depth.numpy(), depth, atol=2e-4)
    assert view.camera.intrinsics.tolist() == [[35, 0, 19.5], [0, 36, 14.5], [0, 0, 1]]
    # A camera that looks down by 0.3: its axis falls in the world, and its right stays level.
    turn = view.camera.world_from_camera[:3, :3]
    np.testing.assert_allclose(turn[:, 2], [0, np.cos(0.3), -np.sin(0.3)], atol=1e-5)
    np.testing.assert_allclose(turn[:, 0], [1, 0, 0], atol=1e-5)


def test_boxes_have_whole_sizes_and_length_along_the_heading(tmp_path: Path) -> None:
    write_frame(tmp_path)
    truth = SunRGBD(tmp_path)[0].truth
    assert truth.vocabulary == DSS19 and truth.classes.tolist() == [DSS19.id("bed"), -1]
    assert truth.amodal_boxes is not None and truth.image_boxes is not None
    wanted = [[0.5, 2, -0.25, 2, 1, 0.5, -np.pi / 2], [1, 3, -1, 0.5, 0.5, 1, np.arctan2(0.8, 0.6)]]
    np.testing.assert_allclose(truth.amodal_boxes.numpy(), wanted, atol=1e-6)
    assert truth.image_boxes.tolist() == [[2, 4, 12, 12], [0, 0, 4, 4]]
    assert truth.sizes.tolist() == [0, 0]  # nobody drew masks


def test_classes_of_another_vocabulary(tmp_path: Path) -> None:
    write_frame(tmp_path)
    data = SunRGBD(tmp_path, vocabulary=SYNTH)
    assert data[0].truth.classes.tolist() == [SYNTH.id("bed"), -1]
    assert any("tv → monitor" in note for note in data.notes)


def test_a_frame_may_have_no_boxes(tmp_path: Path) -> None:
    write_frame(tmp_path, boxes="\n")
    truth = SunRGBD(tmp_path)[0].truth
    assert len(truth) == 0 and truth.amodal_boxes is not None and truth.amodal_boxes.shape == (0, 7)


def test_splits_by_number_or_by_the_lists(tmp_path: Path) -> None:
    for number in (1, 5050, 5051):
        write_frame(tmp_path / "sunrgbd_trainval", number)
    assert SunRGBD(tmp_path, "train").names == ["005051"]
    assert SunRGBD(tmp_path, "val").names == SunRGBD(tmp_path, "test").names == ["000001", "005050"]
    assert SunRGBD(tmp_path, "all", limit=2).names == ["000001", "005050"]
    (tmp_path / "sunrgbd_trainval" / "train_data_idx.txt").write_text("5050\n1\n7\n")
    train = SunRGBD(tmp_path, "train")
    assert train.names == ["000001", "005050"]
    assert any("1 of 3 frames are not in" in note for note in train.notes)
    with pytest.raises(UserError, match="no split 'area5'"):
        SunRGBD(tmp_path, "area5")


def test_the_earlier_boxes_are_other_data(tmp_path: Path) -> None:
    write_frame(tmp_path)
    (tmp_path / "label_v1").mkdir()
    (tmp_path / "label_v1" / "000001.txt").write_text(BED)
    assert len(g3.open_data("sunrgbd-v1:val", root=tmp_path)[0].truth) == 1


def test_boxes_are_scored_and_masks_cannot_be_learnt(tmp_path: Path) -> None:
    write_frame(tmp_path)
    data = SunRGBD(tmp_path)
    assert data.without_instances() == data.names
    sample = data[0]
    evaluator = data.evaluator(DSS19)
    evaluator.see(sample, sample.truth)  # pyright: ignore[reportArgumentType]
    figures = evaluator.results()["pooled"]
    assert figures["APb"] == figures["APb50"] == figures["recallb"] == 100
    assert (
        figures["n_gt"] == 2 and figures["AP"] is None
    )  # the one of another class counts where classes do not
    assert figures["class_agnostic"]["recallb"] == 100  # pyright: ignore
    shifted = replace(
        sample.truth, amodal_boxes=sample.truth.amodal_boxes + torch.tensor([0.9, 0, 0, 0, 0, 0, 0])
    )  # pyright: ignore
    evaluator = data.evaluator(DSS19, class_agnostic=True)
    evaluator.see(sample, shifted)  # pyright: ignore[reportArgumentType]
    # The bed, 1 m wide along x, shares 0.1 of 1.9 with itself moved; the other nothing.
    assert evaluator.results()["pooled"]["APb"] == 0


def test_methods_that_complete_nothing_are_scored_by_their_visible_boxes(
    tmp_path: Path, command: Command
) -> None:
    write_frame(tmp_path)
    words = ("-m", "geometric", "-d", "sunrgbd:val", "--root", tmp_path, "--json", tmp_path / "figures.json")
    assert command("evaluate", *words).code == 0
    pooled = json.loads((tmp_path / "figures.json").read_text())["pooled"]
    assert pooled["APb"] is not None and pooled["recallb"] is not None and pooled["AP"] is None


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("label/000001.txt", "bed 1 2 3\n", "line 1 must be a class and 12 numbers"),
        ("label/000001.txt", BED + "\n" + BED.replace(" 2 ", " nan ") + "\n", "line 2 must be"),
        ("label/000001.txt", BED.replace(" 2 ", " 1e300 "), "line 1 must be"),
        ("label/000001.txt", BED.replace("0.5 1 0.25", "0.5 -1 0.25"), "negative size"),
        ("label/000001.txt", BED.replace("0 -1", "0 0"), "no heading"),
        ("calib/000001.txt", "1 0 0 0 1 0 0 0 1\n", "two lines of nine numbers"),
        ("calib/000001.txt", "2 0 0 0 1 0 0 0 1\n9 0 0 0 9 0 1 1 1\n", "no rotation"),
        ("calib/000001.txt", "1 0 0 0 1 0 0 0 1\n35 0 0 0 36 0 20.5 15.5 1\n", "fall on pixels"),
        ("calib/000001.txt", "1 0 0 0 1 0 0 0 1\n0 0 0 0 0 0 0 0 0\n", "holds no camera"),
        ("calib/000001.txt", "1 0 0 0 1 0 0 0 1\n1e300 0 0 0 1 0 0 0 1\n", "two lines of nine"),
        ("calib/000001.txt", "x" * 2_000_000, "is too long"),
        ("image/000001.jpg", "no image", "cannot be read"),
        ("depth/000001.mat", "no matrix", "is no MATLAB file"),
    ],
)
def test_bad_files_are_named_in_one_line(tmp_path: Path, file: str, content: str, said: str) -> None:
    write_frame(tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(UserError, match=said) as caught:
        SunRGBD(tmp_path)[0]
    named = "depth/000001.mat" if said == "fall on pixels" else file
    assert str(caught.value).startswith(f"{tmp_path / named}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((3, 4), np.float32), "must be"),
        (np.zeros((3, 6), np.uint8), "must be"),
        (np.ones((WIDTH * HEIGHT + 1, 6), np.float32), "different frames"),
    ],
)
def test_clouds_that_are_something_else(tmp_path: Path, values: np.ndarray, said: str) -> None:
    write_frame(tmp_path)
    savemat(tmp_path / "depth" / "000001.mat", {"instance": values})
    with pytest.raises(UserError, match=said):
        SunRGBD(tmp_path)[0]
    savemat(tmp_path / "depth" / "000001.mat", {"other": values})
    with pytest.raises(UserError, match="no matrix 'instance'"):
        SunRGBD(tmp_path)[0]


def test_a_cloud_without_points_is_a_frame_without_depth(tmp_path: Path) -> None:
    write_frame(tmp_path)
    savemat(tmp_path / "depth" / "000001.mat", {"instance": np.full((2, 6), np.nan, np.float32)})
    assert not bool(SunRGBD(tmp_path)[0].input.seen.any())


def test_check_counts_and_names_what_is_missing(tmp_path: Path, command: Command) -> None:
    for number in (1, 2, 3):
        write_frame(tmp_path, number)
    (tmp_path / "calib" / "000002.txt").unlink()
    (tmp_path / "label" / "000003.txt").write_text("bed\n")
    report = check("sunrgbd", tmp_path)
    assert [(c.name, c.found, c.expected) for c in report.counts] == [("train", 0, 5285), ("val", 2, 5050)]
    assert any("calib: 1 frames have no file here: 000002" in line for line in report.problems)
    assert sum("000003.txt: line 1" in line for line in report.problems) == 1
    answer = command("data", "check", "sunrgbd", "--root", tmp_path)
    assert answer.code == 2 and "2 of 5,050 frames" in answer.out
    for wrong in (tmp_path / "gone", tmp_path / "image"):
        with pytest.raises(UserError, match=str(wrong)):
            check("sunrgbd", wrong)


def inside(points: np.ndarray, box: np.ndarray, yaw: float) -> int:
    c, s = np.cos(yaw), np.sin(yaw)
    own = (points - box[:3]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return int((np.abs(own) <= box[3:6] / 2).all(1).sum())


def test_on_real_frames_points_are_pixels_of_the_image(shared: Path) -> None:
    data = SunRGBD(shared / "data" / "sunrgbd", "val")
    assert data.names == ["000001", "000002"]
    for i, name in enumerate(data.names):
        view = data[i].input
        stored = read_matrix(data.files(name)["depth"], "instance")
        cloud = view.cloud()
        assert len(cloud) == len(stored) and cloud.colors is not None
        # The same points and colours, column by column in the file.
        pixels = view.pixels()
        order = torch.argsort(pixels % 730 * 530 + pixels // 730)
        assert np.abs(cloud.points[order].numpy() - stored[:, :3]).max() < 1e-4
        assert np.abs(cloud.colors[order].numpy() - stored[:, 3:]).max() < 1e-6


def test_on_real_frames_boxes_stand_along_the_walls_and_hold_points(shared: Path) -> None:
    data = SunRGBD(shared / "data" / "sunrgbd", "val")
    along = {"as read": 0, "mirrored": 0, "across": 0}
    for i in range(len(data)):
        view, truth = data[i].input, data[i].truth
        assert truth.amodal_boxes is not None and view.camera is not None and view.depth is not None
        points = view.cloud().points.double().numpy()
        boxes = truth.amodal_boxes.double().numpy()
        for box in boxes:
            along["as read"] += inside(points, box, box[6])
            along["mirrored"] += inside(points, box, -box[6])
            along["across"] += inside(points, box, box[6] + np.pi / 2)
        # The main direction of upright surfaces, modulo a quarter turn.
        grid = (view.camera.rays() * view.depth.double().numpy()[..., None]) @ view.camera.world_from_camera[
            :3, :3
        ].T
        grid[view.depth.numpy() == 0] = np.nan
        normals = np.cross(
            grid[:-12:3, 6:-6:3] - grid[12::3, 6:-6:3], grid[6:-6:3, :-12:3] - grid[6:-6:3, 12::3]
        )
        normals = normals.reshape(-1, 3)
        normals = normals[np.isfinite(normals).all(1) & (np.abs(normals).max(1) > 0)]
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        upright = normals[np.abs(normals[:, 2]) < 0.15]
        wall = np.angle(np.exp(4j * np.arctan2(upright[:, 1], upright[:, 0])).mean()) / 4
        off = np.angle(np.exp(4j * (boxes[:, 6] - wall))) / 4
        assert np.abs(np.rad2deg(off)).max() < 4
    assert along["as read"] == max(along.values()) and along["as read"] > 250_000

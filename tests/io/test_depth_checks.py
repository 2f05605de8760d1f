"""Frames whose depth, camera or folder may be wrong: said in a note, and nothing changed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gestalt3d import load_input, make_view
from gestalt3d.errors import UserError
from gestalt3d.io.depth_checks import doubts, ray_power
from gestalt3d.io.inputs import Inputs
from gestalt3d.structures.camera import LEVEL, Camera
from gestalt3d.structures.view import View
from gestalt3d.synth.depth_noise import PLAIN
from gestalt3d.synth.views import ViewConfig

WIDTH, HEIGHT = 160, 120
CAMERA = Camera.from_focal(140.0, (WIDTH, HEIGHT))


def corner(camera: Camera = CAMERA) -> np.ndarray:
    """(h, w) metres along the axis: floor, ceiling, a wall ahead and one to the right."""
    rays = camera.rays()
    with np.errstate(divide="ignore"):
        planes = [
            np.where(r > 0, d / r, np.inf)
            for r, d in ((rays[..., 1], 1.2), (-rays[..., 1], 1.3), (rays[..., 0], 1.5))
        ]
    return np.minimum.reduce([*planes, np.full(rays.shape[:2], 3.5)])


def lengths(camera: Camera = CAMERA) -> np.ndarray:
    """Of the rays to depth 1."""
    return np.linalg.norm(camera.rays(), axis=-1)


def save(folder: Path, metres: np.ndarray, name: str = "depth.png", color: str = "color.png") -> None:
    for file in (name, color):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(metres * 1000).astype(np.uint16)).save(folder / name)
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / color)


def notes_of(path: Path, **options: str) -> str:
    view = load_input(path, **options)
    assert isinstance(view, View)
    return " | ".join(view.notes)


def test_planes_tell_depth_along_the_axis_from_that_along_the_ray() -> None:
    power, bent = ray_power(corner(), CAMERA.intrinsics), ray_power(corner() * lengths(), CAMERA.intrinsics)
    assert power is not None and abs(power) < 0.02
    # A power between is taken for linear, which it is about.
    assert bent is not None and abs(bent - 1) < 0.2
    assert ray_power(np.random.default_rng(0).uniform(1, 3, (HEIGHT, WIDTH)), CAMERA.intrinsics) is None
    assert ray_power(np.zeros((HEIGHT, WIDTH)), CAMERA.intrinsics) is None


@pytest.mark.parametrize("seed", range(6))
def test_rooms_are_told_from_bent_rooms(seed: int) -> None:
    seen = make_view(seed, config=ViewConfig(noise=PLAIN, camera="kinect-v1"))
    camera, depth = seen.input.camera, seen.input.depth
    assert camera is not None and depth is not None
    power = ray_power(depth.numpy(), camera.intrinsics)
    bent = ray_power(depth.numpy() * lengths(camera), camera.intrinsics)
    assert power is not None and bent is not None
    # Round things lead below.
    assert -0.5 < power < 0.1 and 0.75 < bent < 1.5


def test_the_length_of_the_ray_is_said_and_the_depth_left_as_it_is(tmp_path: Path) -> None:
    bent = corner() * lengths()
    save(tmp_path, bent)
    np.savetxt(tmp_path / "intrinsics.txt", CAMERA.intrinsics)
    view = load_input(tmp_path)
    assert isinstance(view, View) and view.depth is not None
    assert sum("the length of the ray" in note for note in view.notes) == 1
    np.testing.assert_allclose(view.depth.numpy(), bent, atol=0.001)
    save(tmp_path, corner())
    assert "ray" not in notes_of(tmp_path)


@pytest.mark.parametrize(
    ("intrinsics", "said"),
    [
        (np.diag([3000.0, 3000, 1]), "3 degrees fit across"),
        (np.diag([20.0, 20, 1]), "152 degrees fit across"),
        (np.diag([140.0, 50, 1]), "focal lengths of 140 and 50"),
    ],
)
def test_intrinsics_of_something_else_are_doubted(tmp_path: Path, intrinsics: np.ndarray, said: str) -> None:
    save(tmp_path, corner())
    intrinsics[:2, 2] = CAMERA.intrinsics[:2, 2]
    np.savetxt(tmp_path / "intrinsics.txt", intrinsics)
    assert said in notes_of(tmp_path)
    past = CAMERA.intrinsics.copy()
    past[0, 2] = 400
    (note,) = doubts(np.zeros((HEIGHT, WIDTH)), Camera(past, LEVEL, (WIDTH, HEIGHT)), has_pose=False)
    assert "looks past the image" in note


def test_scenes_that_are_too_small_or_too_large_are_doubted(tmp_path: Path) -> None:
    save(tmp_path, corner())
    np.savetxt(tmp_path / "intrinsics.txt", CAMERA.intrinsics)
    assert "reaches over" not in notes_of(tmp_path)
    assert "reaches over 3.5e+03 m" in notes_of(tmp_path, units="m")
    save(tmp_path, corner() / 100)
    assert "reaches over 0.035 m" in notes_of(tmp_path)


def test_a_pose_upside_down_is_doubted(tmp_path: Path) -> None:
    save(tmp_path, corner())
    upside = LEVEL.copy()
    upside[:3, :3] = np.diag([-1.0, 1, -1]) @ LEVEL[:3, :3]
    for pose, is_said in ((upside, True), (LEVEL, False)):
        np.savetxt(tmp_path / "pose.txt", pose)
        assert ("upside down" in notes_of(tmp_path, up="z")) is is_said
    np.savetxt(tmp_path / "pose.txt", upside)
    assert "upside down" not in notes_of(tmp_path, up="-z")


def test_files_that_make_no_frame_are_named_once(tmp_path: Path) -> None:
    for i in range(3):
        save(tmp_path, corner(), f"depth/{i}.png", f"rgb/{i}.png")
    for name in ("rgb/7.png", "rgb/8.png", "rgb/9.png", "rgb/10.png"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / name)
    (tmp_path / "depth" / "5.png").write_bytes((tmp_path / "depth" / "1.png").read_bytes())
    inputs = Inputs()
    frames = [one for one in inputs.inside(tmp_path) if one.frame is not None]
    views = [inputs.read(one) for one in frames]
    said = [[note for note in view.notes if "no depth (" in note] for view in views if isinstance(view, View)]
    assert said[0] == [
        "4 colour images have no depth (10.png, 7.png, 8.png, …), 1 depth images no colour (5.png)"
    ]
    assert said[1:] == [[], []]


def test_a_whole_frame_says_nothing_of_other_files(tmp_path: Path) -> None:
    save(tmp_path, corner())
    assert "no depth (" not in notes_of(tmp_path)


def test_holes_everywhere_are_counted_and_none_but_holes_refused(tmp_path: Path) -> None:
    sparse = np.zeros((HEIGHT, WIDTH))
    sparse[::10, ::10] = 2.0
    save(tmp_path, sparse)
    assert f"{WIDTH * HEIGHT - 192:,} of {WIDTH * HEIGHT:,} pixels have no depth" in notes_of(tmp_path)
    save(tmp_path, sparse * 0)
    with pytest.raises(UserError, match="no pixel with a depth"):
        load_input(tmp_path)


def test_links_out_of_the_folder_are_read_or_refused_in_a_line(tmp_path: Path) -> None:
    save(tmp_path / "real", corner())
    folder = tmp_path / "frame"
    folder.mkdir()
    for name in ("color.png", "depth.png"):
        (folder / name).symlink_to(tmp_path / "real" / name)
    assert isinstance(load_input(folder), View)
    (folder / "depth").symlink_to(folder, target_is_directory=True)
    assert isinstance(load_input(folder / "color.png"), View)
    (tmp_path / "secret.txt").write_text("nothing of yours")
    for name in ("intrinsics.txt", "depth.png"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(tmp_path / "secret.txt")
        with pytest.raises(UserError) as caught:
            load_input(folder)
        assert "\n" not in str(caught.value) and "nothing of yours" not in str(caught.value)


def test_real_frames_are_not_doubted(shared: Path) -> None:
    data = shared / "data"
    names = [
        "rgbd/redwood/color/00001.jpg", "rgbd/redwood/color/00000.jpg", "rgbd/tum", "rgbd/sun", "nyuv2",
        "rgbd/icl_nuim/image/00005.jpg", "rgbd/icl_nuim/image/00045.jpg", "syntable/data/mono/rgb/2_0.png",
        "syntable/data/mono/rgb/0_0.png", "sunrgbd/SUNRGBD/kv1/b3dodata/img_0063",
        *(str(p.relative_to(data)) for p in (data / "sunrgbd/SUNRGBD/kv2/align_kv2").iterdir()),
    ]  # fmt: skip
    for name in names:
        view = load_input(data / name)
        assert isinstance(view, View) and view.depth is not None and view.camera is not None
        assert doubts(view.depth.numpy(), view.camera, has_pose=True) == [], name

"""Clouds, photos and RGB-D frames in the layouts that people have."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gestalt3d.errors import UserError
from gestalt3d.io import save_cloud
from gestalt3d.io.inputs import Inputs, is_frame, load_input
from gestalt3d.io.rgbd import find_frames
from gestalt3d.structures.camera import Camera
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.view import View
from tests.scenes import tiny_scan

WIDTH, HEIGHT, FOCAL = 64, 48, 50.0
INTRINSICS = np.array([[FOCAL, 0, 31.5], [0, FOCAL, 23.5], [0, 0, 1]])
TURNED = np.array([[0.0, 0, 1, 3], [-1, 0, 0, 4], [0, -1, 0, 5], [0, 0, 0, 1]])
"""A level camera that looks along the world's x."""


def corner_of_a_room() -> np.ndarray:
    """(h, w) metres: a floor 1.2 m below a level camera, and a wall 3 m ahead of it."""
    rows = np.arange(HEIGHT)[:, None] - 23.5
    with np.errstate(divide="ignore"):
        floor = np.where(rows > 0, 1.2 * FOCAL / rows, np.inf)
    return np.broadcast_to(np.minimum(floor, 3.0), (HEIGHT, WIDTH)).copy()


def rgb(scale: int = 1) -> np.ndarray:
    colors = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    return colors.repeat(scale, 0).repeat(scale, 1)


def save_depth(path: Path, metres: np.ndarray, unit: float = 0.001) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(metres / unit).astype(np.uint16)).save(path)


def save_color(path: Path, scale: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb(scale)).save(path, quality=95)


def save_matrix(path: Path, matrix: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, matrix)


def plain(folder: Path) -> Path:
    """`color.jpg`, `depth.png`, `intrinsics.txt` and `pose.txt` in one folder."""
    save_color(folder / "color.png")
    save_depth(folder / "depth.png", corner_of_a_room())
    save_matrix(folder / "intrinsics.txt", INTRINSICS)
    save_matrix(folder / "pose.txt", TURNED)
    return folder


def scannet(folder: Path) -> Path:
    """Folders of numbered files; the colour image is larger than the depth and has its own intrinsics."""
    save_color(folder / "color" / "7.png", scale=2)
    save_depth(folder / "depth" / "7.png", corner_of_a_room())
    larger = np.eye(4)
    larger[:2, :3] = 2 * INTRINSICS[:2]
    save_matrix(folder / "intrinsic" / "intrinsic_color.txt", larger)
    own = np.eye(4)
    own[:3, :3] = INTRINSICS
    save_matrix(folder / "intrinsic" / "intrinsic_depth.txt", own)
    save_matrix(folder / "intrinsic" / "extrinsic_depth.txt", np.eye(4))
    save_matrix(folder / "pose" / "7.txt", TURNED)
    return folder


def seven_scenes(folder: Path) -> Path:
    """All in one folder, each name a number and what it is."""
    save_color(folder / "frame-000003.color.png")
    save_depth(folder / "frame-000003.depth.png", corner_of_a_room())
    save_matrix(folder / "frame-000003.pose.txt", TURNED)
    save_matrix(folder / "camera-intrinsics.txt", INTRINSICS)
    return folder


def intrinsics_of_the_colour(folder: Path) -> Path:
    """One file of intrinsics, those of a colour image twice as large."""
    save_color(folder / "image" / "a_7.png", scale=2)
    save_depth(folder / "depth" / "a_7_abs.png", corner_of_a_room())
    save_matrix(folder / "intrinsics.txt", np.diag([2.0, 2, 1]) @ INTRINSICS)
    save_matrix(folder / "pose.txt", TURNED)
    return folder


def json_intrinsics(folder: Path) -> Path:
    """As Open3D writes them, column by column."""
    plain(folder)
    (folder / "intrinsics.txt").unlink()
    columns = ", ".join(str(v) for v in INTRINSICS.T.ravel())
    (folder / "camera_intrinsic.json").write_text(
        f'{{"width": 64, "height": 48, "intrinsic_matrix": [{columns}]}}'
    )
    return folder


def metres_in_npy(folder: Path) -> Path:
    plain(folder)
    (folder / "depth.png").unlink()
    np.save(folder / "depth.npy", corner_of_a_room().astype(np.float32))
    return folder


LAYOUTS = [plain, scannet, seven_scenes, intrinsics_of_the_colour, json_intrinsics, metres_in_npy]


def read(path: Path, **options: str) -> View:
    view = load_input(path, **options)
    assert isinstance(view, View)
    return view


def points_in(view: View) -> np.ndarray:
    cloud = view.cloud()
    return cloud.points.numpy() + (0 if cloud.origin is None else cloud.origin.numpy())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_frame_is_read_with_its_colours_its_depth_and_its_camera(tmp_path: Path, layout) -> None:
    folder = layout(tmp_path / "frame")
    assert is_frame(folder)
    view = read(folder, up="z")
    assert view.image.shape == (3, HEIGHT, WIDTH) and view.path == folder
    np.testing.assert_allclose(view.image.permute(1, 2, 0).numpy(), rgb() / 255, atol=1e-6)
    assert view.camera is not None and view.depth is not None
    np.testing.assert_allclose(view.depth.numpy(), corner_of_a_room(), atol=0.001)
    np.testing.assert_allclose(view.camera.intrinsics, INTRINSICS, atol=1e-9)
    np.testing.assert_allclose(view.camera.world_from_camera, TURNED, atol=1e-12)
    # The wall stands 3 m along x from the camera at (3, 4, 5), the floor lies 1.2 m below it.
    points = points_in(view)
    assert np.abs(points[:, 0].max() - 6.0) < 0.002 and np.abs(points[:, 2].min() - 3.8) < 0.05


def test_the_colour_image_of_a_frame_stands_for_the_frame(tmp_path: Path) -> None:
    scannet(tmp_path)
    assert read(tmp_path / "color" / "7.png", up="z") == read(tmp_path, up="z")
    assert read(plain(tmp_path / "plain") / "color.png", up="z").depth is not None


@pytest.mark.parametrize(
    ("unit", "encode", "words"),
    [
        (0.001, lambda d: d, "taken for millimetres"),
        (0.0002, lambda d: d - d % 5, "steps of 0.2 mm"),
        (0.001, lambda d: (d << 3) | (d >> 13), "turned by three bits"),
    ],
)
def test_the_unit_of_a_depth_is_seen_in_its_numbers_and_said(
    tmp_path: Path, unit: float, encode, words: str
) -> None:
    plain(tmp_path)
    uneven = corner_of_a_room() + np.random.default_rng(0).uniform(0, 0.02, (HEIGHT, WIDTH))
    stored = encode(np.rint(uneven / unit).astype(np.uint16)).astype(np.uint16)
    Image.fromarray(stored).save(tmp_path / "depth.png")
    view = read(tmp_path, up="z")
    assert view.depth is not None and words in view.notes[0] and "--units" in view.notes[0]
    np.testing.assert_allclose(view.depth.numpy(), uneven, atol=0.0011)


def test_a_flat_depth_of_round_numbers_is_millimetres(tmp_path: Path) -> None:
    plain(tmp_path)
    save_depth(tmp_path / "depth.png", np.full((HEIGHT, WIDTH), 8.0))
    depth = read(tmp_path).depth
    assert depth is not None and bool((depth == 8).all())


def test_units_and_up_overrule_what_is_assumed(tmp_path: Path) -> None:
    plain(tmp_path)
    depth = read(tmp_path, units="cm").depth
    assert depth is not None and float(depth.max()) == 30
    with pytest.raises(UserError, match="--units yards"):
        load_input(tmp_path, units="yards")
    # The world of this pose has y up: the camera's down is the world's -y.
    tall = TURNED[[0, 2, 1, 3]] * np.array([[1], [1], [-1], [1]])
    save_matrix(tmp_path / "pose.txt", tall)
    np.testing.assert_allclose(points_in(read(tmp_path, up="y"))[:, 2].min(), 3.8, atol=0.05)


def test_a_frame_with_a_pose_is_not_turned_upside_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A floor without a ceiling, seen alone, may look like a ceiling."""
    plain(tmp_path)
    monkeypatch.setattr(
        "gestalt3d.io.rgbd.guess_up", lambda points: ("-z", "up: -z, guessed (--up z overrules)")
    )
    view = read(tmp_path)
    assert "up: z, for the camera is taken not to be upside down (--up -z overrules)" in view.notes[0]
    assert view == read(tmp_path, up="z")
    monkeypatch.setattr("gestalt3d.io.rgbd.guess_up", lambda points: ("z", "up: z, as it seems"))
    assert read(tmp_path) == view and "up: z, as it seems" in read(tmp_path).notes[0]


def test_without_pose_and_intrinsics_a_level_camera_is_assumed_and_said(tmp_path: Path) -> None:
    plain(tmp_path)
    (tmp_path / "pose.txt").unlink()
    (tmp_path / "intrinsics.txt").unlink()
    view = read(tmp_path)
    (note,) = view.notes
    assert (
        "no intrinsics: a focal length of 52" in note and "looks 0 degrees" in note and "millimetres" in note
    )
    points = points_in(view)
    assert abs(points[:, 1].max() - 3.0) < 0.01, "the wall is ahead, along y"
    assert abs(points[-1, 2] + 1.2) < 0.1, "the floor is below"


@pytest.mark.parametrize("down", [-15.0, 20.0, 40.0])
def test_a_camera_without_a_pose_is_levelled_by_what_it_sees(tmp_path: Path, down: float) -> None:
    """A floor 1.2 m below and a wall 3 m ahead of a camera that looks down, or up and then sees the wall alone."""
    plain(tmp_path)
    (tmp_path / "pose.txt").unlink()
    c, s = np.cos(np.deg2rad(down)), np.sin(np.deg2rad(down))
    rays = Camera(INTRINSICS, np.eye(4), (WIDTH, HEIGHT)).rays()
    ahead, below = c * rays[..., 2] - s * rays[..., 1], s * rays[..., 2] + c * rays[..., 1]
    with np.errstate(divide="ignore"):
        floor, wall = (np.where(r > 0, d / r, np.inf) for r, d in ((below, 1.2), (ahead, 3.0)))
    save_depth(tmp_path / "depth.png", np.minimum(floor, wall))
    view = read(tmp_path)
    assert f"the camera looks {abs(down):.0f} degrees {'down' if down > 0 else 'up'} (" in view.notes[0]
    assert "% sure; --up -y takes it for level)" in view.notes[0]
    points = points_in(view).reshape(HEIGHT, WIDTH, 3)
    on_floor = floor < wall - 0.01
    assert np.abs(points[on_floor][:, 2] + 1.2).max(initial=0) < 0.03
    assert np.abs(points[~on_floor][:, 1] - 3.0).max() < 0.05
    assert np.ptp(points[..., 0], axis=1).min() > 1, "x points right"


def test_where_nothing_is_level_or_upright_the_camera_is_taken_for_level(tmp_path: Path) -> None:
    plain(tmp_path)
    (tmp_path / "pose.txt").unlink()
    save_depth(tmp_path / "depth.png", np.random.default_rng(0).uniform(1, 3, (HEIGHT, WIDTH)))
    assert "no pose: the camera taken for level" in read(tmp_path).notes[0]


def test_frames_in_netpbm(tmp_path: Path) -> None:
    plain(tmp_path)
    expected = read(tmp_path)
    for name in ("color.png", "depth.png"):
        with Image.open(tmp_path / name) as image:
            image.save(tmp_path / f"{Path(name).stem}.{'ppm' if name == 'color.png' else 'pgm'}")
        (tmp_path / name).unlink()
    found = read(tmp_path)
    assert torch.equal(found.depth, expected.depth) and torch.equal(found.image, expected.image)
    assert found.notes == tuple(note.replace("depth.png", "depth.pgm") for note in expected.notes)
    assert read(tmp_path / "color.ppm") == found


def save_codes(path: Path, metres: np.ndarray) -> None:
    """As NYUv2's raw frames have them: 2047 for none, and bytes exchanged in a file whose bytes are big-endian."""
    codes = np.where(metres > 0, np.rint(1092.5 - 351.3 / np.maximum(metres, 0.5)), 2047).astype("<u2")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"P5 %d %d 65535\n" % metres.shape[::-1] + codes.tobytes())


def test_the_codes_of_nyuv2s_raw_frames(tmp_path: Path) -> None:
    depth = corner_of_a_room()
    depth[:3] = 0
    save_codes(tmp_path / "d-1294886363.964230-3220063587.pgm", depth)
    Image.fromarray(rgb()).save(tmp_path / "r-1294886363.973060-3239272270.ppm")
    view = read(tmp_path)
    assert view.depth is not None
    # One code more or less is z² / 351.3 metres.
    np.testing.assert_array_less(np.abs(view.depth.numpy() - depth), 0.51 * depth**2 / 351.3 + 1e-6)
    assert "raw codes of a Kinect" in view.notes[0] and "--units" in view.notes[0]
    assert "192 of 3,072 pixels have no depth" in view.notes[1]
    save_codes(tmp_path / "d-1294886363.964230-3220063587.pgm", 0 * depth)
    with pytest.raises(UserError, match="has no pixel with a depth"):
        read(tmp_path)


def test_nyuv2s_raw_frames_are_paired_by_time(tmp_path: Path) -> None:
    """Both cameras at about thirty images a second, by turns; some are lost."""
    for time in (10.010, 10.043, 10.110, 12.0):
        save_codes(tmp_path / f"d-{time:.6f}-7.pgm", corner_of_a_room())
    for time in (10.000, 10.035, 10.068, 10.101, 11.5):
        Image.fromarray(rgb()).save(tmp_path / f"r-{time:.6f}-9.ppm")
    (tmp_path / "a-10.000000-1.dump").write_bytes(b"")
    found = [(f.color.name[2:8], f.depth.name[2:8]) for f in find_frames(tmp_path)]
    assert found == [("10.000", "10.010"), ("10.035", "10.043"), ("10.101", "10.110")]


def test_a_real_raw_frame_of_nyuv2(shared: Path) -> None:
    view = load_input(shared / "data" / "rgbd" / "nyu")
    assert isinstance(view, View) and view.depth is not None
    seen = view.depth[view.depth > 0]
    assert (float(seen.min()), float(seen.max())) == pytest.approx((1.386, 6.691), abs=0.001)
    assert len(seen) / view.depth.numel() == pytest.approx(1 - 0.07226, abs=1e-4)


def test_pixels_without_depth_are_counted(tmp_path: Path) -> None:
    plain(tmp_path)
    depth = corner_of_a_room()
    depth[:10] = 0
    save_depth(tmp_path / "depth.png", depth)
    view = read(tmp_path)
    assert len(view.cloud()) == (HEIGHT - 10) * WIDTH
    assert "640 of 3,072 pixels have no depth" in view.notes[1]


def test_a_pose_of_a_lost_camera_is_none(tmp_path: Path) -> None:
    plain(tmp_path)
    save_matrix(tmp_path / "pose.txt", np.full((4, 4), -np.inf))
    assert "no pose" in read(tmp_path).notes[0]


def test_poses_of_a_trajectory_go_to_their_frames(tmp_path: Path) -> None:
    lines = []
    for i in range(3):
        save_color(tmp_path / "color" / f"{i:05}.png")
        save_depth(tmp_path / "depth" / f"{i:05}.png", corner_of_a_room())
        pose = TURNED.copy()
        pose[0, 3] = i
        lines += [f"{i} {i} {i + 1}", *(" ".join(map(str, row)) for row in pose)]
    (tmp_path / "trajectory.log").write_text("\n".join(lines))
    assert not is_frame(tmp_path)
    found = [one.path for one in Inputs().inside(tmp_path)]
    assert found == [tmp_path / "color" / f"{i:05}.png" for i in range(3)]
    cameras = [read(path, up="z").camera for path in found]
    assert [camera.world_from_camera[0, 3] for camera in cameras if camera is not None] == [0, 1, 2]
    (tmp_path / "trajectory.log").write_text("\n".join(lines[:5]))
    with pytest.raises(UserError, match="ends before frame 2"):
        load_input(found[2])


def test_sun_rgbd_says_how_the_camera_was_tilted(tmp_path: Path) -> None:
    angle = np.deg2rad(20)
    c, s = np.cos(angle), np.sin(angle)
    tilt = np.array([[1.0, 0, 0, 0], [0, c, s, 0], [0, -s, c, 0]])  # looks 20 degrees down
    plain(tmp_path)
    (tmp_path / "pose.txt").unlink()
    save_matrix(tmp_path / "extrinsics" / "2014.txt", tilt)
    view = read(tmp_path)
    assert view.camera is not None and "no pose" not in view.notes[0]
    ahead = view.camera.world_from_camera[:3, 2]
    np.testing.assert_allclose(ahead, [0, c, -s], atol=1e-12)


def test_sun_rgbd_says_how_the_camera_was_rolled(tmp_path: Path) -> None:
    """Held askew: what is up in the image by 10 degrees to the right is up in the world."""
    c, s = np.cos(np.deg2rad(10)), np.sin(np.deg2rad(10))
    plain(tmp_path)
    (tmp_path / "pose.txt").unlink()
    save_matrix(tmp_path / "extrinsics" / "2014.txt", np.array([[c, s, 0, 0], [-s, c, 0, 0], [0, 0, 1, 0]]))
    camera = read(tmp_path).camera
    assert camera is not None
    np.testing.assert_allclose(camera.world_from_camera[:3, :3] @ [s, -c, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(camera.world_from_camera[:3, 2], [0, 1, 0], atol=1e-12)


DAMAGED = {
    "no depth at all": ("depth.png", lambda p: save_depth(p, np.zeros((HEIGHT, WIDTH)))),
    "depth cut off": ("depth.png", lambda p: p.write_bytes(p.read_bytes()[:80])),
    "eight bits of depth": ("depth.png", lambda p: Image.fromarray(rgb()[..., 0]).save(p)),
    "depth of other proportions": (
        "color.png",
        lambda p: save_depth(p.with_name("depth.png"), np.ones((40, 10))),
    ),
    "colour cut off": ("color.png", lambda p: p.write_bytes(p.read_bytes()[:80])),
    "intrinsics of words": ("intrinsics.txt", lambda p: p.write_text("fx 500 fy 500")),
    "intrinsics of two numbers": ("intrinsics.txt", lambda p: p.write_text("500 500")),
    "no intrinsics": ("intrinsics.txt", lambda p: save_matrix(p, np.zeros((3, 3)))),
    "intrinsics that are not numbers": ("intrinsics.txt", lambda p: save_matrix(p, np.full((3, 3), np.nan))),
    "a pose that mirrors": ("pose.txt", lambda p: save_matrix(p, np.diag([-1.0, 1, 1, 1]))),
    "a pose that scales": ("pose.txt", lambda p: save_matrix(p, np.diag([3.0, 3, 3, 1]))),
    "a pose of nine numbers": ("pose.txt", lambda p: save_matrix(p, np.eye(3))),
    "a pose of many numbers": ("pose.txt", lambda p: p.write_text("1 " * 5_000_000)),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_frame_is_refused_in_one_line_that_names_the_file(tmp_path: Path, name: str) -> None:
    plain(tmp_path)
    file, damage = DAMAGED[name]
    damage(tmp_path / file)
    with pytest.raises(UserError) as refusal:
        load_input(tmp_path)
    assert str(tmp_path / file) in str(refusal.value) or name == "no depth at all"
    assert "\n" not in str(refusal.value)


def test_a_photo_has_neither_depth_nor_camera(tmp_path: Path) -> None:
    save_color(tmp_path / "holiday.jpg")
    view = read(tmp_path / "holiday.jpg")
    assert view.depth is None and view.camera is None and view.image.shape == (3, HEIGHT, WIDTH)
    with pytest.raises(UserError, match="--semantic label"):
        load_input(tmp_path / "holiday.jpg", semantic="label")
    with pytest.raises(UserError, match="does not exist"):
        load_input(tmp_path / "no.jpg")


def test_a_cloud_is_read_as_ever(tmp_path: Path) -> None:
    save_cloud(tmp_path / "a.ply", tiny_scan(points=50).input)
    assert isinstance(load_input(tmp_path / "a.ply"), PointCloud)
    with pytest.raises(UserError, match="is a folder"):
        load_input(tmp_path)


def test_a_folder_is_listed_as_what_can_be_segmented_in_it(tmp_path: Path) -> None:
    save_cloud(tmp_path / "room.ply", tiny_scan(points=50).input)
    save_cloud(tmp_path / "old.ply", tiny_scan(points=50).input)
    save_color(tmp_path / "old.png")
    (tmp_path / "old.instances.npz").write_bytes(b"a result")
    save_color(tmp_path / "old.instances.png")
    save_color(tmp_path / "photo.jpg")
    plain(tmp_path / "desk")
    (tmp_path / "nothing").mkdir()
    names = ["desk", "old.ply", "photo.jpg", "room.ply"]
    (tmp_path / "._room.ply").write_bytes(b"what some systems put beside a file")
    assert [found.path.name for found in Inputs().inside(tmp_path)] == names
    without_photos = [found.path.name for found in Inputs().inside(tmp_path, photos=False)]
    assert without_photos == [n for n in names if n != "photo.jpg"]


def test_a_cloud_with_two_images_beside_it_is_a_cloud(tmp_path: Path) -> None:
    plain(tmp_path)
    save_cloud(tmp_path / "room.ply", tiny_scan(points=50).input)
    assert not is_frame(tmp_path)
    assert [found.path.name for found in Inputs().inside(tmp_path)] == ["color.png", "room.ply"]


@pytest.mark.parametrize(
    ("name", "size", "depths"),
    [
        ("rgbd/redwood/color/00001.jpg", (640, 480), (1.0, 2.7)),
        ("rgbd/tum", (640, 480), (1.46, 9.4)),
        ("rgbd/sun", (640, 480), (1.05, 9.9)),
        ("sunrgbd/SUNRGBD/kv1/b3dodata/img_0063", (561, 427), (1.43, 2.53)),
        ("nyuv2", (640, 480), (1.79, 3.62)),
        ("syntable/data/mono/rgb/2_0.png", (640, 480), (0.3, 8.0)),
    ],
)
def test_real_frames(shared: Path, name: str, size: tuple[int, int], depths: tuple[float, float]) -> None:
    view = read(shared / "data" / name)
    assert view.image.shape[1:] == size[::-1] and view.depth is not None
    low, high = (float(torch.quantile(view.depth.reshape(-1)[view.seen][::7], q)) for q in (0.01, 0.99))
    assert depths[0] <= low < high <= depths[1]

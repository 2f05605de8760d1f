import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from gestalt3d.errors import UserError
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import S3DIS, Vocabulary
from gestalt3d.viewer import Viewpoint, save_picture
from gestalt3d.viewer.coloring import instance_palette
from gestalt3d.viewer.ghosts import Ghost, Hung, ghosts
from gestalt3d.viewer.layers import ImagePlane, Points, Sight
from gestalt3d.viewer.palette import class_color, instance_colors
from gestalt3d.viewer.photo import _hatched
from gestalt3d.viewer.picture import _caption, write_picture
from gestalt3d.viewer.scene import scene_of
from gestalt3d.viewer.viewpoint import Projection
from tests.viewer.made_up_layers import BOOKCASE, CHAIR, SOFA, frame, photo_of_rectangles, room_with_ghosts
from tests.viewer.made_up_room import made_up_room

PAPER = (236, 239, 243)


def read(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def share_near(image: np.ndarray, color, tolerance: int = 24) -> float:
    return float((np.abs(image - np.array(color)).max(-1) <= tolerance).mean())


def test_a_room_is_seen_from_above_without_its_ceiling(tmp_path) -> None:
    cloud, instances = made_up_room(60_000)
    save_picture(tmp_path / "room.png", cloud, instances, size=(480, 360))
    image = read(tmp_path / "room.png")
    assert image.shape == (360, 480, 3)
    palette = instance_palette(instances)
    for name, i in (("floor", 0), ("table", 6), ("sofa", 10), ("bookcase", 11)):
        assert share_near(image, palette[i]) > 0.004, f"the {name} is not to be seen"
    assert share_near(image[:300], PAPER, 2) < 0.6


def test_pictures_are_the_same_every_time(tmp_path) -> None:
    cloud, instances = made_up_room(5_000)
    for name in "ab":
        save_picture(tmp_path / f"{name}.png", cloud, instances, size=(320, 240))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_classes_are_coloured_by_name(tmp_path) -> None:
    cloud, instances = made_up_room(30_000)
    save_picture(tmp_path / "class.png", cloud, instances, color_by="class", size=(480, 360))
    assert share_near(read(tmp_path / "class.png"), class_color("sofa")) > 0.01


def test_panels_lie_side_by_side(tmp_path) -> None:
    cloud, instances = made_up_room(20_000)
    view = Viewpoint(30, 45)
    save_picture(
        tmp_path / "two.png", cloud, instances, size=(800, 320), view=view, panels=("rgb", "instance")
    )
    left, right = np.split(read(tmp_path / "two.png")[:260], 2, axis=1)
    inked = [np.abs(half - PAPER).max(-1) > 3 for half in (left, right)]
    assert (inked[0] == inked[1]).mean() > 0.99
    assert np.abs(left - right).mean() > 5


@pytest.mark.parametrize("mode", ["rgb", "instance", "class", "score"])
def test_one_point_without_colour_or_instance(tmp_path, mode) -> None:
    cloud = PointCloud.from_arrays(np.zeros((1, 3), dtype=np.float32))
    save_picture(tmp_path / "one.png", cloud, Instances.empty(1, S3DIS), color_by=mode, size=(160, 120))
    assert (np.abs(read(tmp_path / "one.png")[:90] - PAPER).max(-1) > 5).sum() > 10


def test_a_long_list_of_classes_leaves_room_for_the_picture(tmp_path) -> None:
    vocabulary = Vocabulary("many", tuple(f"a class with a long name {i}\n" for i in range(300)))
    cloud = PointCloud.from_arrays(np.random.default_rng(0).random((300, 3)).astype(np.float32))
    instances = Instances.from_labels(torch.arange(300), torch.arange(300), vocabulary=vocabulary)
    save_picture(tmp_path / "many.png", cloud, instances, size=(400, 300))
    assert (np.abs(read(tmp_path / "many.png")[:200] - PAPER).max(-1) > 5).mean() > 0.01


def test_bad_requests_are_named(tmp_path) -> None:
    cloud, instances = made_up_room(100)
    with pytest.raises(Exception, match=r"colou?r|mode"):
        save_picture(tmp_path / "x.png", cloud, instances, color_by="mood")  # pyright: ignore
    with pytest.raises(ValueError, match="size"):
        save_picture(tmp_path / "x.png", cloud, instances, size=(20, 20))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"):
        save_picture(tmp_path / "file" / "x.png", cloud, instances, size=(160, 120))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_scan_looks_alike_beside_whatever_was_found(tmp_path) -> None:
    cloud, instances = made_up_room(20_000)
    few = instances[torch.arange(6, 9)]
    for name, found in (("all", instances), ("few", few)):
        save_picture(tmp_path / f"{name}.png", cloud, found, size=(800, 360), panels=("rgb", "instance"))
    all_found, few_found = (read(tmp_path / f"{name}.png")[40:300, :400] for name in ("all", "few"))
    assert (np.abs(all_found - few_found).max(-1) < 3).mean() > 0.99


def test_panels_have_captions(tmp_path) -> None:
    cloud, instances = made_up_room(2_000)
    save_picture(tmp_path / "two.png", cloud, instances, size=(800, 400), panels=("rgb", "instance"))
    for corner in np.split(read(tmp_path / "two.png")[:30], 2, axis=1):
        assert (np.abs(corner[:, :150] - (38, 42, 50)).max(-1) < 40).sum() > 50, "ink of letters"


def test_whole_shapes_are_a_veil_of_the_instance_s_colour_and_lines_are_drawn(tmp_path) -> None:
    scene = room_with_ghosts(40_000)
    bare = dataclasses.replace(scene, layers=scene.layers[:1])
    view, size = Viewpoint(15, 50), (800, 600)
    images = []
    for name, shown in (("ghosts", scene), ("bare", bare)):
        write_picture(tmp_path / f"{name}.png", shown, view=view, size=size)
        images.append(read(tmp_path / f"{name}.png"))
    changed = np.abs(images[0] - images[1]).max(-1) > 8
    palette = instance_palette(scene.instances).astype(float)
    for i, least in ((SOFA, 0.005), (BOOKCASE, 0.002), (CHAIR, 0.0005)):
        # How far the colour went from what is behind towards that of the instance.
        step, towards = images[0] - images[1], palette[i] - images[1]
        share = (step * towards).sum(-1) / np.maximum((towards**2).sum(-1), 1)
        aside = np.linalg.norm(step - share[..., None] * towards, axis=-1)
        assert (changed & (share > 0.2) & (share < 0.95) & (aside < 25)).mean() > least
    assert 0.01 < changed.mean() < 0.3


def test_what_the_scan_shows_is_not_veiled_by_a_ghost_behind_it(tmp_path) -> None:
    cloud, instances = made_up_room(40_000)
    scene = scene_of(cloud, instances)
    assert scene.scan is not None and scene.room is not None
    under = cloud.points[instances.elements_of(0)].numpy() - [0, 0, 0.5]  # below the floor
    ghost = Points(
        under.astype(np.float32),
        np.zeros(len(under), np.int64),
        np.zeros(len(under), np.int64),
        S3DIS,
        scene.room.bounds,
        opacity=0.5,
    )
    view, size = Viewpoint(15, 89), (400, 300)
    write_picture(
        tmp_path / "with.png", dataclasses.replace(scene, layers=(scene.scan, ghost)), view=view, size=size
    )
    write_picture(tmp_path / "without.png", scene, view=view, size=size)
    difference = np.abs(read(tmp_path / "with.png") - read(tmp_path / "without.png")).max(-1)
    assert (difference[60:200, 120:280] > 8).mean() < 0.02


def test_a_photo_lies_in_the_panel_with_its_masks(tmp_path) -> None:
    scene = photo_of_rectangles()
    write_picture(tmp_path / "photo.png", scene, size=(1312, 500), panels=("rgb", "instance"))
    plain, masked = np.split(read(tmp_path / "photo.png"), 2, axis=1)
    # 320 x 200 pixels are 640 x 400 within a margin of 8; the legend takes the rest of the height.
    top = np.flatnonzero((np.abs(plain - (90, 100, 110)).max(-1) < 3).any(1))[0]
    for row, column, instance, shade in ((130, 100, 0, 150), (60, 180, 1, 60), (40, 305, 2, 220)):
        at = (top + 2 * row, 8 + 2 * column)
        np.testing.assert_allclose(plain[at], shade, atol=4)
        np.testing.assert_allclose(masked[at], (instance_colors(3)[instance].astype(int) + shade) / 2, atol=4)
    outline = masked[top + 2 * 179 - 4 : top + 2 * 180 + 4, 8 + 2 * 130 : 8 + 2 * 150]
    assert (np.abs(outline - instance_colors(3)[1]).max(-1) < 30).sum() > 20, "of the chair behind the table"


def test_what_is_hidden_of_an_object_is_striped_in_its_colour() -> None:
    """A chair of 20 x 20 pixels, the lower half of it behind a table."""
    pixels = torch.arange(40 * 60).reshape(40, 60)
    chair, seen, table = (
        pixels[10:30, 20:40].flatten(),
        pixels[10:20, 20:40].flatten(),
        pixels[20:35, 5:55].flatten(),
    )
    masks, whole = (
        Sets.from_sizes(torch.tensor([len(table), len(own)]), torch.cat([table, own]), pixels.numel())
        for own in (seen, chair)
    )
    found = Instances(
        masks=masks,
        whole=whole,
        classes=torch.tensor([1, 0]),
        scores=torch.ones(2),
        vocabulary=Vocabulary("two", ("a", "b")),
    )
    scene = scene_of(View(torch.full((3, 40, 60), 0.8)), found)
    assert scene.photo is not None and scene.photo.hidden is not None
    hidden = scene.photo.hidden
    assert (
        (hidden[20:30, 20:40] == 1).all() and (hidden == 1).sum() == 200 and set(np.unique(hidden)) == {-1, 1}
    )
    colors = np.array([[10, 0, 0], [0, 20, 0], [0, 0, 0]], np.uint8)
    drawn = _hatched(np.full((40, 60, 3), 200, np.uint8), hidden, colors)
    assert 0.15 < (drawn[hidden == 1] == colors[1]).all(-1).mean() < 0.3
    assert (drawn[hidden < 0] == 200).all()
    assert _caption("instance", scene) == "instances found; striped: what is hidden of them"


def test_a_frame_with_whole_shapes_is_shown_beside_its_photo(tmp_path) -> None:
    view, instances = frame()
    nowhere = torch.full((1, 7), torch.nan)
    boxes = torch.cat([nowhere, torch.tensor([[0.3, 3.3, 0.4, 1.2, 0.6, 1.0, 0.0]])])
    for name, given in (("with", dataclasses.replace(instances, amodal_boxes=boxes)), ("without", instances)):
        save_picture(tmp_path / f"{name}.png", view, given, size=(800, 400), panels=("rgb", "instance"))
    image, plain = read(tmp_path / "with.png"), read(tmp_path / "without.png")
    palette = instance_palette(instances)
    half = image[:, :400]
    masks = np.abs(half - (0.5 * palette[0] + 0.5 * np.array([77, 128, 153]))).max(-1) < 30
    assert masks[200:].mean() > 0.02 > masks[:150].mean(), "the photo above, its masks below"
    assert share_near(image[:, 400:], palette[0]) > 0.002, "points"
    assert (np.abs(image - plain).max(-1) > 30).mean() > 0.001, "dashed edges of the whole box"
    alone = dataclasses.replace(instances, shapes=None)
    save_picture(tmp_path / "alone.png", view, alone, size=(800, 400))
    save_picture(tmp_path / "space.png", view, instances, size=(800, 400))
    assert share_near(read(tmp_path / "space.png")[:300], PAPER, 2) > 0.1
    assert np.abs(read(tmp_path / "alone.png") - read(tmp_path / "space.png")).mean() > 5


def test_the_photo_in_the_room_is_seen_as_it_hangs() -> None:
    """An eye that stands where the camera stood, and sees as wide, sees the photo."""
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    nothing = np.full((60, 80), -1)
    photo = ImagePlane(pixels, nothing, np.zeros((0, 4)))
    corners = np.array([[x, 2.0, z] for z in (1.5, -1.5) for x in (-2.0, 2.0)])

    def project(points: np.ndarray) -> Projection:
        away = np.maximum(points[:, 1], 1e-9)
        x, y = 40 + 40 * points[:, 0] / away, 30 - 40 * points[:, 2] / away
        return Projection(x, y, points[:, 1], 40.0)

    image = np.zeros((60, 80, 3), np.uint8)
    far, near = np.full((60, 80), np.inf), np.full((60, 80), 1.0)
    hung, lines = ghosts((photo, Sight(np.zeros(3), corners)), project, far)
    hung.blend_into(image, np.zeros((0, 3)))
    np.testing.assert_array_equal(image, pixels)
    assert isinstance(lines, Ghost)
    (behind, _) = ghosts((photo, Sight(np.zeros(3), corners)), project, near)
    assert len(behind.at) == 0, "what stands in front of it is seen"


@pytest.mark.parametrize(("back", "half"), [(3.0, 1.0), (0.2, 0.02)])
def test_a_photo_askew_is_looked_for_where_it_is(
    back: float, half: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Partly outside of the image, and from nearby with a corner behind the eye."""
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    photo = ImagePlane(pixels, np.full((60, 80), -1), np.zeros((0, 4)))
    corners = np.array([[x, 0.5 * x, z] for z in (half, -half) for x in (-1.0, 1.0)])

    def project(points: np.ndarray) -> Projection:
        away = points[:, 1] + back
        with np.errstate(divide="ignore"):
            return Projection(40 + 90 * points[:, 0] / away, 20 - 90 * points[:, 2] / away, away, 90.0)

    def hung() -> Ghost | Hung:
        return ghosts((photo, Sight(np.zeros(3), corners)), project, np.full((60, 80), np.inf))[0]

    found = hung()
    assert (project(corners).depth > 0).all() == (back == 3.0)
    everywhere = tuple(np.indices((60, 80)).reshape(2, -1))
    monkeypatch.setattr("gestalt3d.viewer.ghosts._reached", lambda seen, size: everywhere)
    expected = hung()
    np.testing.assert_array_equal(found.at, expected.at)
    assert isinstance(found, Hung) and isinstance(expected, Hung) and 100 < len(found.at) < 4800
    np.testing.assert_array_equal(found.colors, expected.colors)


def test_a_caption_says_what_is_pale() -> None:
    scene = room_with_ghosts(2_000)
    assert _caption("instance", scene) == "instances found; pale: whole shapes, seen or not"
    assert _caption("instance", dataclasses.replace(scene, layers=(scene.scan,))) == "instances found"
    assert _caption("rgb", scene) in ("colours of the scan", "height (the scan has no colours)")

import numpy as np
import pytest
import torch
from PIL import Image

from gestalt3d.errors import UserError
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS, Vocabulary
from gestalt3d.viewer import Viewpoint, save_picture
from gestalt3d.viewer.coloring import instance_palette
from gestalt3d.viewer.palette import class_color
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

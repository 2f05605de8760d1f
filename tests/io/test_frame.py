"""Units, axes and origin."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.errors import UserError
from gestalt3d.io import load_cloud, save_cloud, save_instances
from gestalt3d.io.frame import UNITS, UP_ROTATIONS
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS


def furnished_room(
    seed: int = 0, size: tuple[float, float, float] = (7.0, 6.0, 2.6), count: int = 60_000
) -> np.ndarray:
    """Floor, four walls a little askew, and boxes; metres, z up."""
    rng = np.random.default_rng(seed)
    u = rng.random((count, 3)) * size
    floor = u[: count // 3].copy()
    floor[:, 2] = 0
    walls = u[count // 3 : 2 * count // 3].copy()
    side = rng.integers(0, 4, len(walls))
    for s in range(4):
        walls[side == s, s // 2] = (s % 2) * size[s // 2]
    boxes = u[2 * count // 3 :].copy()
    boxes[:, 2] = np.minimum(boxes[:, 2], 0.3 + 0.5 * np.floor(boxes[:, 0]) % 1.1)
    points = np.concatenate([floor, walls, boxes]) + rng.normal(
        0, 0.004, (len(floor) + len(walls) + len(boxes), 3)
    )
    c, s = np.cos(0.3), np.sin(0.3)
    return points @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def table_top(seed: int = 0, count: int = 60_000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = rng.random((count, 3)) * [1.0, 0.8, 0.0]
    objects = points[: count // 5]
    objects[:] = rng.random((len(objects), 3)) * [0.1, 0.1, 0.25] + 0.3 * rng.integers(
        0, 3, (len(objects), 1)
    ) * [1, 0.8, 0]
    return points + rng.normal(0, 0.001, points.shape)


def load_array(tmp_path: Path, points: np.ndarray, **options: str) -> PointCloud:
    np.save(tmp_path / "a.npy", points)
    return load_cloud(tmp_path / "a.npy", **options)


def notes(cloud: PointCloud) -> str:
    """All that was noted, but for the clause about up that a guess always has."""
    return "" if cloud.source is None else UP.sub("", " ".join(cloud.source.notes))


def up_note(cloud: PointCloud) -> str:
    found = UP.search("" if cloud.source is None else " ".join(cloud.source.notes))
    return "" if found is None else found[0].strip("; ")


UP = re.compile(r"(; )?\bup: .*? overrules\)")


@pytest.mark.parametrize(("unit", "word"), [("m", ""), ("cm", "centimetres"), ("mm", "millimetres")])
def test_the_unit_of_a_room_is_recognised(tmp_path: Path, unit: str, word: str) -> None:
    room = furnished_room()
    cloud = load_array(tmp_path, room / UNITS[unit])
    np.testing.assert_allclose(cloud.points.numpy(), room, atol=1e-5)
    assert word in notes(cloud) and bool(notes(cloud)) == bool(word)


@pytest.mark.parametrize(("unit", "word"), [("m", ""), ("mm", "millimetres")])
def test_the_unit_of_a_table_top_is_recognised(tmp_path: Path, unit: str, word: str) -> None:
    cloud = load_array(tmp_path, table_top() / UNITS[unit])
    assert word in notes(cloud) and bool(notes(cloud)) == bool(word)
    assert float((cloud.points.max(0).values - cloud.points.min(0).values).max()) < 1.1


def test_a_street_scan_stays_in_metres(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    street = rng.normal(size=(120_000, 3)) * [25, 25, 1.2]
    assert notes(load_array(tmp_path, street)) == ""


def test_georeferenced_metres_are_not_millimetres(tmp_path: Path) -> None:
    site = np.random.default_rng(0).random((5000, 3)) * [400, 300, 90] + [512_000, 5_400_000, 300]
    cloud = load_array(tmp_path, site)
    assert notes(cloud) == "" and cloud.origin is not None
    np.testing.assert_allclose(cloud.points.numpy() + cloud.origin.numpy(), site, atol=1e-4)


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_units_can_be_said(tmp_path: Path, unit: str) -> None:
    points = furnished_room(count=300)
    cloud = load_array(tmp_path, points, units=unit)
    np.testing.assert_allclose(cloud.points.numpy(), points * UNITS[unit], atol=1e-5)
    assert notes(cloud) == ""


def test_a_room_with_y_up_is_turned_and_said(tmp_path: Path) -> None:
    room = furnished_room()
    cloud = load_array(tmp_path, np.column_stack([room[:, 0], room[:, 2], -room[:, 1]]))
    np.testing.assert_allclose(cloud.points.numpy(), room, atol=1e-5)
    assert "--up z" in up_note(cloud)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "size", [(7.0, 6.0, 2.6), (12.0, 2.0, 2.8), (3.0, 3.0, 2.5), (2.3, 2.1, 2.7), (20.0, 5.0, 3.0)]
)
def test_rooms_with_z_up_are_left_alone(tmp_path: Path, seed: int, size: tuple[float, float, float]) -> None:
    """Corridors along either axis included, whose walls are larger than their floor."""
    room = furnished_room(seed, size, 20_000)
    c, s = np.cos(-0.3), np.sin(-0.3)
    for points in (
        room,
        room @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]),
        room[:, [1, 0, 2]] * [-1, 1, 1],
    ):
        cloud = load_array(tmp_path, points)
        assert notes(cloud) == "" and up_note(cloud).startswith("up: z") and cloud.source is not None
        np.testing.assert_array_equal(cloud.source.world_from_source, np.eye(4))


@pytest.mark.parametrize("up", sorted(UP_ROTATIONS))
def test_up_can_be_said_and_is_a_rotation(tmp_path: Path, up: str) -> None:
    axis = np.zeros(3)
    axis["xyz".index(up[-1])] = -1 if up.startswith("-") else 1
    cloud = load_array(tmp_path, np.stack([axis, axis * 2, axis * 3]), up=up)
    np.testing.assert_allclose(cloud.points.numpy()[:, 2], [1, 2, 3])
    assert np.linalg.det(UP_ROTATIONS[up]) == pytest.approx(1)


@pytest.mark.parametrize("option", [{"units": "parsec"}, {"up": "w"}])
def test_unknown_options_list_the_known_ones(tmp_path: Path, option: dict[str, str]) -> None:
    with pytest.raises(UserError, match="choose one of"):
        load_array(tmp_path, np.eye(3), **option)


@pytest.mark.parametrize("points", [np.zeros((1, 3)), np.full((50, 3), 3.5), np.repeat(np.eye(3), 400, 0)])
def test_degenerate_clouds_load(tmp_path: Path, points: np.ndarray) -> None:
    cloud = load_array(tmp_path, points)
    np.testing.assert_allclose(cloud.points.numpy(), points, atol=1e-6)


def test_stray_points_neither_move_the_origin_nor_the_unit(tmp_path: Path) -> None:
    room = np.concatenate([furnished_room(), [[5e5, 5e5, 5e5], [1e12, 0, 0]]])
    cloud = load_array(tmp_path, room)
    assert cloud.origin is None and "million kilometres" in notes(cloud)
    np.testing.assert_allclose(cloud.points.numpy()[:-1], room[:-1], atol=1e-5)
    assert not cloud.points[-1].isfinite().all()
    assert "1 of 60,002 points lie far from all others" in notes(cloud)


def test_one_zero_in_a_scan_in_earth_centred_coordinates_is_left_out(tmp_path: Path) -> None:
    cloud = load_array(
        tmp_path, np.concatenate([furnished_room() + np.array([4.1e6, 6.2e5, 4.8e6]), np.zeros((1, 3))])
    )
    assert "1 of 60,001 points lie far from all others" in notes(cloud)
    assert cloud.usable()[:-1].all() and not cloud.usable()[-1]


@pytest.mark.parametrize("offset", [0.0, 5000.0])
def test_pixels_without_depth_are_left_out_and_shift_no_guess(tmp_path: Path, offset: float) -> None:
    room = furnished_room(count=30_000) + offset
    room = np.concatenate([np.zeros((20_000, 3)), room]) * 1000
    cloud = load_array(tmp_path, room, units="mm")
    assert "20,000 of 50,000 points are 0 0 0" in notes(cloud) and "far from" not in notes(cloud)
    assert cloud.usable().tolist() == [False] * 20_000 + [True] * 30_000
    assert up_note(cloud).startswith("up: z")


def test_a_few_points_at_zero_are_points(tmp_path: Path) -> None:
    cloud = load_array(tmp_path, np.concatenate([np.zeros((3, 3)), furnished_room(count=3000)]))
    assert notes(cloud) == "" and cloud.usable().all()


def test_a_wide_flat_landscape_stays_in_metres_and_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    land = rng.random((100_000, 3)) * [1001, 1002, 1] + [0, 0, 7]
    land[:, 2] *= 1 + 0.1 * np.sin(land[:, 0] / 90)
    cloud = load_array(tmp_path, land)
    assert "taken for metres" in notes(cloud) and "--units mm" in notes(cloud)
    np.testing.assert_allclose(cloud.points.numpy(), land, atol=1e-3)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2)])
def test_degrees_are_refused_with_the_way_out(tmp_path: Path, order: tuple[int, int, int]) -> None:
    site = furnished_room(size=(60.0, 40.0, 9.0)) / [71_000, 111_000, 1] + [8.40312, 49.01234, 115]
    with pytest.raises(UserError, match=r"look like degrees.*UTM.*--units m") as caught:
        load_array(tmp_path, site[:, order])
    assert "a.npy" in str(caught.value) and "\n" not in str(caught.value)
    assert len(load_array(tmp_path, site[:, order], units="m")) == len(site)


def test_a_pole_in_metres_is_not_taken_for_degrees(tmp_path: Path) -> None:
    pole = np.random.default_rng(0).random((2000, 3)) * [0.12, 0.12, 5] + [12, 33, 0]
    assert notes(load_array(tmp_path, pole)) == ""


@pytest.mark.parametrize("options", [{}, {"units": "mm", "up": "y"}, {"units": "ft", "up": "-x"}])
@pytest.mark.parametrize("offset", [0.0, 4.5e6])
@pytest.mark.parametrize("suffix", [".npy", ".ply"])
def test_results_return_to_the_frame_of_the_input(
    tmp_path: Path, options: dict, offset: float, suffix: str
) -> None:
    points = furnished_room(count=300) + offset
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, points)
    else:
        save_cloud(path, PointCloud.from_arrays(points))
    cloud = load_cloud(path, **options)
    save_instances(tmp_path / "b.ply", Instances.empty(len(cloud), S3DIS), cloud)
    back = load_cloud(tmp_path / "b.ply", units="m", up="z")
    origin = torch.zeros(3) if back.origin is None else back.origin
    # Float32 steps of the converted coordinates, in stored units.
    np.testing.assert_allclose((back.points + origin).numpy(), points, atol=1e-5 if offset == 0 else 0.02)


def test_every_real_scan_is_in_metres_with_z_up(shared: Path) -> None:
    files = sorted((shared / "data" / "scans").glob("*.ply")) + sorted(
        (shared / "data" / "shapes").glob("*.ply")
    )
    assert len(files) == 14
    for path in files:
        cloud = load_cloud(path)
        assert notes(cloud) == "" and up_note(cloud).startswith("up: z"), path.name
        assert cloud.source is not None and cloud.origin is None and bool(cloud.usable().all()), path.name
        np.testing.assert_array_equal(cloud.source.world_from_source, np.eye(4))


def test_every_real_scan_in_millimetres_is_recognised(shared: Path, tmp_path: Path) -> None:
    for path in sorted((shared / "data" / "scans").glob("*.ply")):
        cloud = load_array(tmp_path, load_cloud(path).points.numpy()[::2] * 1000)
        assert "millimetres" in notes(cloud), path.name

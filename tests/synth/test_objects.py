"""Single objects: what holds of every mesh, of the viewpoints, and of every picture."""

from collections import Counter
from functools import lru_cache

import numpy as np
import pytest
import torch

from gestalt3d.errors import UserError
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.vocabulary import SHAPENET13
from gestalt3d.synth.cameras import render
from gestalt3d.synth.colours import Material
from gestalt3d.synth.objects.airplanes import airplane
from gestalt3d.synth.objects.cars import car
from gestalt3d.synth.objects.drawing import Sprite, coverage
from gestalt3d.synth.objects.hulls import loft, round_rings
from gestalt3d.synth.objects.models import CATEGORIES, ObjectModel, make_object
from gestalt3d.synth.objects.occluders import cover
from gestalt3d.synth.objects.pictures import ObjectView, PictureConfig, category_of, make_picture
from gestalt3d.synth.objects.viewpoints import (
    HELD_OUT,
    SEEN,
    VIEWPOINTS,
    Viewpoint,
    camera_in_object,
    camera_in_view,
)  # fmt: skip
from gestalt3d.synth.shapes import Builder

FEW = 8
"""Objects of each category that tests look at."""
FRONT, RIGHT, BACK, LEFT = 0, 18, 12, 6
"""Viewpoints."""


@lru_cache(maxsize=256)
def model(category: str, number: int) -> ObjectModel:
    return make_object(category, np.random.default_rng([number, 77]))


@lru_cache(maxsize=256)
def picture(seed: int, viewpoint: int, shares: tuple[float, float] = (0.1, 0.5)) -> ObjectView:
    return make_picture(seed, viewpoint, PictureConfig(occlusion=shares))


def masks(seen: ObjectView) -> tuple[torch.Tensor, torch.Tensor]:
    """(s, s) visible and amodal."""
    size = seen.input.image.shape[1]
    assert seen.truth.whole is not None
    return tuple(sets.dense(0).reshape(size, size) for sets in (seen.truth.masks, seen.truth.whole))  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("category", CATEGORIES)
def test_objects_are_finite_and_fill_the_unit_convention(category: str) -> None:
    for number in range(FEW):
        made = model(category, number)
        assert np.isfinite(made.vertices).all() and np.isfinite(made.materials).all()
        low, high = made.vertices.min(0), made.vertices.max(0)
        np.testing.assert_allclose(low + high, 0, atol=1e-9)
        assert np.linalg.norm(high - low) == pytest.approx(1)
        assert np.linalg.norm(made.vertices, axis=1).max() <= 0.5 + 1e-9
        assert made.faces.min() >= 0 and made.faces.max() < len(made.vertices)
        assert len(made.face_material) == len(made.faces) and made.face_material.max() < len(made.materials)
        assert isinstance(made.mesh(), Mesh)


@pytest.mark.parametrize("category", CATEGORIES)
def test_faces_look_outwards(category: str) -> None:
    """From outside mostly front faces are seen; what is open, such as a lamp's shade or a sail, shows its inside, too."""
    from_behind = total = 0
    for number in range(FEW):
        made = model(category, number)
        for k in (1, 4, 9, 15, 20):
            viewpoint = VIEWPOINTS[k]
            seen = render(made.vertices, made.faces, camera_in_object(viewpoint, 64))
            faces = np.unique(seen.face[seen.face >= 0])
            eye = viewpoint.object_from_camera[:3, 3]
            away = ((made.vertices[made.faces[faces, 0]] - eye) * made.normals[faces]).sum(1) > 0
            shown = np.bincount(np.searchsorted(faces, seen.face[seen.face >= 0]), minlength=len(faces))
            from_behind, total = from_behind + shown[away].sum(), total + shown.sum()
    assert from_behind < 0.03 * total


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_two_objects_of_a_category_are_alike(category: str) -> None:
    sizes = [tuple(np.ptp(model(category, number).vertices, axis=0).round(4)) for number in range(FEW)]
    assert len(set(sizes)) == FEW
    assert len({len(model(category, number).faces) for number in range(FEW)}) > 2


@pytest.mark.parametrize("category", ["car", "rifle", "vessel"])
def test_what_has_a_nose_is_longest_along_y(category: str) -> None:
    for number in range(FEW):
        size = np.ptp(model(category, number).vertices, axis=0)
        assert size[1] > size[0]


@pytest.mark.parametrize("category", ["chair", "sofa"])
def test_seats_have_their_backs_behind(category: str) -> None:
    for number in range(FEW):
        seat = model(category, number)
        middle = seat.vertices[seat.faces].mean(1)
        high = middle[middle[:, 2] > 0.8 * middle[:, 2].max()]
        assert high[:, 1].mean() > 0


@pytest.mark.parametrize(("category", "end"), [("airplane", "rudder"), ("car", "tail light")])
def test_noses_look_to_the_front(category: str, end: str) -> None:
    maker = {"airplane": airplane, "car": car}[category]
    for number in range(FEW):
        shape = maker(np.random.default_rng(number))
        ys = np.concatenate([part.vertices[:, 1] for part in shape.parts])
        rear = np.concatenate([part.vertices[:, 1] for part in shape.parts if part.name == end])
        assert rear.mean() > ys.min() + 0.75 * np.ptp(ys)


def test_a_seed_makes_one_object_and_another_seed_another() -> None:
    one, same, other = (make_object("car", np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(one.vertices, same.vertices) and np.array_equal(one.materials, same.materials)
    assert one.vertices.shape != other.vertices.shape or not np.allclose(one.vertices, other.vertices)
    with pytest.raises(ValueError, match="no category 'spoon'; there are airplane, bench"):
        make_object("spoon", np.random.default_rng(0))


def test_a_loft_is_closed_and_has_the_volume_of_its_body() -> None:
    b = Builder()
    y = np.linspace(-1.0, 1.0, 60)
    round_body = np.sqrt(np.maximum(1 - y**2, 1e-12))
    loft(b, "ball", round_rings(y, round_body, round_body, sides=64), Material())
    part = b.parts[0]
    edges = Counter(
        tuple(sorted(e)) for f in part.faces.tolist() for e in ((f[0], f[1]), (f[1], f[2]), (f[2], f[0]))
    )
    assert set(edges.values()) == {2}
    a, c, d = part.vertices[part.faces].transpose(1, 0, 2)
    assert (a * np.cross(c, d)).sum() / 6 == pytest.approx(4 / 3 * np.pi, rel=0.01)


def test_viewpoints_are_those_of_the_renderings() -> None:
    assert len(VIEWPOINTS) == 24
    steps = np.degrees([v.azimuth for v in VIEWPOINTS])
    np.testing.assert_allclose(steps, -15 * np.arange(24))
    eyes = np.array([v.object_from_camera[:3, 3] for v in VIEWPOINTS])
    np.testing.assert_allclose(np.linalg.norm(eyes, axis=1), 2.732)
    np.testing.assert_allclose(eyes[:, 2], 2.732 * 0.5)
    assert eyes[FRONT, 1] < 0 and eyes[BACK, 1] > 0 and eyes[RIGHT, 0] > 0 and eyes[LEFT, 0] < 0


@pytest.mark.parametrize("viewpoint", VIEWPOINTS[::5])
def test_cameras_look_at_the_middle_upright_through_thirty_degrees(viewpoint: Viewpoint) -> None:
    camera = camera_in_object(viewpoint, 64)  # which checks that its pose turns and moves only
    pose = camera.world_from_camera
    middle = pose[:3, :3].T @ -pose[:3, 3]
    np.testing.assert_allclose(middle, [0, 0, 2.732], atol=1e-9)
    assert pose[2, 0] == pytest.approx(0) and pose[2, 1] < 0  # its right is level, its down points down
    edge = camera.intrinsics[0, 0] * np.tan(np.radians(15))
    assert edge == pytest.approx(32)


def test_the_viewpoints_held_out_are_no_mirror_image_of_those_seen() -> None:
    """Neither a mirrored picture nor the symmetry of an object brings a viewpoint that is held out into training."""
    held, seen = set(HELD_OUT), set(SEEN)
    assert not held & seen and held | seen == set(range(24))
    assert {-k % 24 for k in held} == held and {(k + 12) % 24 for k in held} == held


def test_the_world_of_a_picture_tells_nothing_of_the_viewpoint() -> None:
    front, side = picture(3, 0), picture(3, 6)
    assert front.input.camera == side.input.camera == camera_in_view(64)
    assert front.input.depth is None and front.truth.amodal_boxes is None


@pytest.mark.parametrize("seed", range(13))
def test_the_whole_mask_is_the_mesh_seen_alone(seed: int) -> None:
    seen = picture(seed, 2)
    assert seen.truth.shapes is not None and seen.input.camera is not None
    mesh = seen.truth.shapes[0]
    assert isinstance(mesh, Mesh)
    fine = camera_in_view(128)
    hit = render(mesh.vertices.double().numpy(), mesh.faces.numpy(), fine).face >= 0
    assert torch.equal(masks(seen)[1], torch.from_numpy(coverage(hit) >= 0.5))


@pytest.mark.parametrize("seed", range(26))
def test_what_is_visible_is_part_of_the_whole_and_as_much_is_hidden_as_asked_for(seed: int) -> None:
    for shares in ((0.1, 0.5), (0.7, 0.75)):
        seen = picture(seed, seed % 24, shares)
        visible, whole = masks(seen)
        pixels = int(whole.sum())
        assert bool((visible <= whole).all()) and int(visible.sum()) > 0
        assert shares[0] - 1 / pixels <= seen.hidden_share <= shares[1] + 1 / pixels
        assert category_of(seed) == seen.truth.class_name(0) and seen.truth.vocabulary == SHAPENET13


def test_hidden_shares_spread_over_the_range() -> None:
    found = np.array([picture(seed, 7).hidden_share for seed in range(60)])
    assert found.min() < 0.17 and found.max() > 0.43 and 0.24 < found.mean() < 0.36


def test_nothing_is_hidden_where_nothing_shall_be() -> None:
    seen = picture(5, 3, (0.0, 0.0))
    visible, whole = masks(seen)
    assert torch.equal(visible, whole) and seen.hidden_share == 0


def test_occluders_take_the_pixels_that_they_paint() -> None:
    """What an occluder fills to a half or more is what its mask takes, but for pixels at its edge."""
    nothing = Sprite(np.zeros((128, 128, 3), np.float32), np.zeros((128, 128), bool))
    whole = np.zeros((64, 64), bool)
    whole[20:44, 10:50] = True
    for seed in range(20):
        rng = np.random.default_rng(seed)
        covers = cover(whole, (0.3, 0.3), rng, lambda own: nothing)
        hidden = np.logical_or.reduce([one.hidden for one in covers])
        assert int((hidden & whole).sum()) == pytest.approx(0.3 * whole.sum(), abs=1)
        for one in covers:
            assert ((coverage(one.sprite.hit) >= 0.5) != one.hidden).mean() < 0.01


def test_pictures_are_the_same_whenever_they_are_made() -> None:
    one, again = make_picture(8, 4), make_picture(8, 4)
    assert one.input == again.input and one.truth == again.truth and one.viewpoint == again.viewpoint
    assert make_picture(8, 5).input != one.input and make_picture(21, 4).input != one.input


def test_pictures_are_in_range_and_show_the_object() -> None:
    """The mean colours within and beside the visible mask differ in most pictures."""
    differ = 0
    for seed in range(26):
        image, (visible, whole) = picture(seed, 20).input.image, masks(picture(seed, 20))
        assert image.shape == (3, 64, 64) and float(image.min()) >= 0 and float(image.max()) <= 1
        inside, outside = image[:, visible].mean(1), image[:, ~whole].mean(1)
        differ += int((inside - outside).abs().max() > 0.05)
    assert differ > 20


def test_one_edge_of_the_box_touches_the_mask_on_each_side() -> None:
    seen = picture(4, 11)
    visible, _ = masks(seen)
    assert seen.truth.image_boxes is not None
    left, top, right, bottom = seen.truth.image_boxes[0].int().tolist()
    inside = visible[top:bottom, left:right]
    assert int(inside.sum()) == int(visible.sum())
    assert all(bool(side.any()) for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


@pytest.mark.parametrize("size", [16, 96])
def test_pictures_have_other_sizes(size: int) -> None:
    for seed in range(13):
        seen = make_picture(seed, 0, PictureConfig(size=size))
        assert seen.input.image.shape == (3, size, size) and int(masks(seen)[0].sum()) > 0


def test_wrong_settings_and_viewpoints_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"occlusion 0\.5 0\.1: must be two numbers, the second not below the first"
    ):
        PictureConfig(occlusion=(0.5, 0.1))
    with pytest.raises(UserError, match="size 8"):
        PictureConfig(size=8)
    with pytest.raises(ValueError, match="viewpoints are 0 to 23, got 24"):
        make_picture(0, 24)

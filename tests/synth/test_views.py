"""RGB-D frames: what is seen of two boxes worked out by hand, and what must hold of every frame of a room."""

import subprocess
import sys
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch

from gestalt3d.errors import UserError
from gestalt3d.structures.camera import Camera
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.vocabulary import SYNTH
from gestalt3d.synth.cameras import CAMERAS, render, surface_at
from gestalt3d.synth.depth_noise import PLAIN
from gestalt3d.synth.views import (
    Stage,
    SyntheticView,
    ViewConfig,
    furnished_stage,
    make_view,
    take_view,
)
from tests.synth.boxes import stage_of

CAMERA = Camera.from_focal(100.0, (65, 49))  # axis through pixel (32, 24), looks along y
NEAR = ("chair", (-0.205, 2.0, -0.1025), (0.205, 2.5, 0.1025))
FAR = ("table", (0.0, 3.0, -0.2), (0.6, 3.5, 0.2))
WALL = ("wall", (-9.0, 5.0, -9.0), (9.0, 5.2, 9.0))
SEEDS = (0, 3, 11, 20, 25, 31)


@lru_cache
def view(seed: int, index: int = 0) -> SyntheticView:
    return make_view(seed, index)


def taken(
    stage: Stage, camera: Camera = CAMERA, *, min_pixels: int = 1, view_from_room: np.ndarray | None = None
) -> SyntheticView:
    rng, same = np.random.default_rng(0), np.eye(4)
    moved = same if view_from_room is None else view_from_room
    return take_view(
        stage, camera, moved, PLAIN, rng, min_pixels=min_pixels, name="boxes", camera_name="by hand"
    )


def masks(seen: SyntheticView) -> tuple[torch.Tensor, torch.Tensor]:
    """(i, h, w) visible and amodal."""
    assert seen.truth.whole is not None
    shape = seen.true_depth.shape
    return tuple(  # pyright: ignore[reportReturnType]
        torch.stack([sets.dense(i).reshape(shape) for i in range(len(sets))])
        for sets in (seen.truth.masks, seen.truth.whole)
    )


def rectangle(left: int, top: int, right: int, bottom: int) -> torch.Tensor:
    """True from column `left` to `right` and from row `top` to `bottom`, both included."""
    out = torch.zeros(49, 65, dtype=torch.bool)
    out[top : bottom + 1, left : right + 1] = True
    return out


def test_two_boxes_are_seen_where_their_corners_project() -> None:
    seen = taken(stage_of(NEAR, FAR, WALL))
    visible, whole = masks(seen)
    # 0.205 / 2 * 100 = 10.25 pixels to either side of the axis, and half as many up and down.
    near = rectangle(32 - 10, 24 - 5, 32 + 10, 24 + 5)
    # From the axis to 0.6 / 3 * 100 = 20 pixels, less what rounding leaves to the edge itself, and 6.67 up and down.
    assert torch.equal(whole[0], near) and torch.equal(visible[0], near)
    far = rectangle(33, 24 - 6, 32 + 19, 24 + 6)
    assert torch.equal(whole[1] & rectangle(33, 0, 51, 48), far)
    assert not bool(whole[1][:, :32].any()) and not bool(whole[1][:, 53:].any())
    assert torch.equal(visible[1], whole[1] & ~near)
    assert [SYNTH.names[c] for c in seen.truth.classes.tolist()] == ["chair", "table"]


def test_depth_is_along_the_axis_not_along_the_ray() -> None:
    seen = taken(stage_of(NEAR, FAR, WALL))
    visible, _ = masks(seen)
    assert torch.allclose(seen.true_depth[visible[0]], torch.tensor(2.0))
    assert torch.allclose(seen.true_depth[visible[1]], torch.tensor(3.0))
    assert torch.allclose(seen.true_depth[~visible.any(0)], torch.tensor(5.0))  # a wall is flat
    assert torch.equal(seen.input.depth, seen.true_depth)  # pyright: ignore[reportArgumentType]


def test_what_is_nearer_occludes() -> None:
    for boxes in ((NEAR, FAR), (FAR, NEAR)):
        seen = taken(stage_of(*boxes, WALL))
        near = [SYNTH.names[c] for c in seen.truth.classes.tolist()].index("chair")
        _, whole = masks(seen)
        assert seen.occludes.nonzero().tolist() == [[near, 1 - near]]
        assert int(seen.nearer[near, 1 - near]) == int((whole[0] & whole[1]).sum())


def test_a_hidden_box_has_the_amodal_mask_and_box_that_it_has_alone() -> None:
    both, alone = taken(stage_of(NEAR, FAR)), taken(stage_of(FAR))
    assert torch.equal(masks(both)[1][1], masks(alone)[1][0])
    assert torch.equal(masks(alone)[0][0], masks(alone)[1][0])
    assert both.truth.amodal_boxes is not None and alone.truth.amodal_boxes is not None
    torch.testing.assert_close(both.truth.amodal_boxes[1], torch.tensor([0.3, 3.25, 0, 0.6, 0.5, 0.4, 0]))
    assert torch.equal(both.truth.amodal_boxes[1], alone.truth.amodal_boxes[0])


def test_boxes_and_cameras_turn_with_the_world_of_the_view() -> None:
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]]
    turn[:3, 3] = (1, 2, 3)
    plain, turned = taken(stage_of(NEAR, FAR)), taken(stage_of(NEAR, FAR), view_from_room=turn)
    assert plain.truth.amodal_boxes is not None and turned.truth.amodal_boxes is not None
    torch.testing.assert_close(turned.truth.amodal_boxes, plain.truth.moved(turn).amodal_boxes)
    assert torch.equal(plain.input.depth, turned.input.depth)  # pyright: ignore[reportArgumentType]
    moved = plain.input.cloud().points.double() @ torch.from_numpy(turn[:3, :3]).T + torch.tensor([1.0, 2, 3])
    torch.testing.assert_close(turned.input.cloud().points, moved.float())


def test_nothing_is_where_no_face_is() -> None:
    seen = taken(stage_of(NEAR))
    hit = masks(seen)[0][0]
    assert torch.equal(seen.true_depth > 0, hit) and torch.equal(seen.input.seen.reshape(49, 65), hit)
    assert seen.truth.element_classes is not None
    assert bool((seen.truth.element_classes.reshape(49, 65)[~hit] == -1).all())


def test_an_object_of_too_few_pixels_and_the_building_are_no_instances() -> None:
    pixels = int(taken(stage_of(NEAR, WALL)).truth.sizes[0])
    assert len(taken(stage_of(NEAR, WALL), min_pixels=pixels).truth) == 1
    none = taken(stage_of(NEAR, WALL), min_pixels=pixels + 1)
    assert len(none.truth) == 0 and none.nearer.shape == (0, 0) and none.truth.whole is not None
    assert none.truth.element_classes is not None
    assert set(none.truth.element_classes.tolist()) == {SYNTH.id("chair"), SYNTH.id("wall")}


def test_image_boxes_end_at_the_edges_of_the_visible_masks() -> None:
    seen = taken(stage_of(NEAR, FAR, WALL))
    assert seen.truth.image_boxes is not None
    assert seen.truth.image_boxes[0].tolist() == [22, 19, 43, 30]
    for mask, (left, top, right, bottom) in zip(
        masks(seen)[0], seen.truth.image_boxes.int().tolist(), strict=True
    ):
        inside = mask[top:bottom, left:right]
        assert int(inside.sum()) == int(mask.sum())
        assert all(bool(side.any()) for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


@pytest.mark.parametrize("seed", SEEDS)
def test_visible_masks_are_disjoint_parts_of_the_amodal_ones(seed: int) -> None:
    visible, whole = masks(view(seed))
    assert bool((visible <= whole).all())
    assert int(visible.sum(0).max()) == 1
    assert bool((visible.flatten(1).sum(1) >= 64).all())


@pytest.mark.parametrize("seed", SEEDS)
def test_masks_and_background_cover_the_image(seed: int) -> None:
    """A pixel whose depth is known belongs to one object; it is of an instance or of what is none, and says its class."""
    seen = view(seed)
    labels, classes = seen.truth.to_labels(), seen.truth.element_classes
    assert classes is not None
    known = (seen.true_depth > 0).flatten()
    assert bool((classes[known] >= 0).all()) and bool((classes[~known] == -1).all())
    own = labels >= 0
    assert torch.equal(classes[own], seen.truth.classes[labels[own]])
    structure = torch.from_numpy(SYNTH.is_structure)
    counts = torch.bincount(classes[known & ~own & ~structure[classes]])
    # What is no instance is the building, or small in every class it is of.
    assert float(counts.sum()) < 0.05 * len(labels)


@pytest.mark.parametrize("seed", SEEDS)
def test_visible_points_lie_in_the_amodal_box_which_the_shape_fills(seed: int) -> None:
    seen = view(seed)
    truth, camera = seen.truth, seen.input.camera
    assert truth.amodal_boxes is not None and truth.shapes is not None and camera is not None
    points = torch.from_numpy(camera.rays()) * seen.true_depth[..., None].double()
    points = points.reshape(-1, 3) @ torch.from_numpy(camera.world_from_camera[:3, :3]).T
    for i, (box, shape) in enumerate(zip(truth.amodal_boxes.double(), truth.shapes, strict=True)):
        assert isinstance(shape, Mesh)
        c, s = torch.cos(box[6]), torch.sin(box[6])
        own_axes = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=torch.float64)
        own = (shape.vertices.double() - box[:3]) @ own_axes
        torch.testing.assert_close(own.amax(0), box[3:6] / 2, atol=1e-4, rtol=0)
        torch.testing.assert_close(own.amin(0), -box[3:6] / 2, atol=1e-4, rtol=0)
        outside = ((points[truth.elements_of(i)] - box[:3]) @ own_axes).abs() - box[3:6] / 2
        assert float(outside.max()) < 2e-3, truth.class_name(i)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_world_of_a_view_is_upright_and_the_camera_stands_in_its_origin(seed: int) -> None:
    seen = view(seed)
    camera, depth = seen.input.camera, seen.input.depth
    assert camera is not None and depth is not None and seen.truth.element_classes is not None
    assert camera.world_from_camera[:3, 3] == pytest.approx(0, abs=1e-9)
    ahead = camera.world_from_camera[:3, 2]
    assert ahead[0] == pytest.approx(0, abs=1e-9) and ahead[1] > 0 and -0.8 < ahead[2] < 0.06
    on_floor = (seen.truth.element_classes == SYNTH.id("floor")).reshape(depth.shape) & (depth > 0)
    if int(on_floor.sum()) > 200:
        heights = seen.input.cloud().points[on_floor.flatten()[seen.input.seen], 2]
        assert 1.0 < -float(heights.median()) < 1.85


@pytest.mark.parametrize("seed", SEEDS)
def test_views_show_something_and_no_object_from_within(seed: int) -> None:
    seen = view(seed)
    assert len(seen.truth) >= 2 and float((seen.true_depth > 0).float().mean()) > 0.95
    assert float(seen.true_depth.median()) > 1.0 and float((seen.true_depth < 0.6).float().mean()) < 0.1
    assert float(seen.input.seen.float().mean()) > 0.6


def test_inside_a_box_faces_are_seen_from_behind() -> None:
    stage = stage_of(("box", (-1.0, -1, -1), (1.0, 1, 1)))
    camera = CAMERA
    from_within = surface_at(render(stage.world.vertices, stage.world.faces, camera), stage.normals, camera)
    assert bool((from_within.cosine < 0).all())
    outside = stage_of(NEAR)
    seen = render(outside.world.vertices, outside.world.faces, camera)
    assert bool((surface_at(seen, outside.normals, camera).cosine[seen.face >= 0] > 0).all())


def test_views_are_those_of_seed_and_number_in_any_order_and_process() -> None:
    first = make_view(5, 1)
    furnished_stage.cache_clear()
    again = make_view(5, 1)
    assert same(first, again) and not same(first, make_view(5, 0)) and not same(first, make_view(6, 1))
    code = (
        "from gestalt3d.synth.views import make_view; v = make_view(5, 1); "
        "print(v.truth.sizes.tolist(), round(float(v.input.image.double().sum()), 3))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = f"{first.truth.sizes.tolist()} {round(float(first.input.image.double().sum()), 3)}"
    assert done.stdout.strip() == expected


def same(a: SyntheticView, b: SyntheticView) -> bool:
    return a.input == b.input and a.truth == b.truth and torch.equal(a.nearer, b.nearer)


def test_noise_changes_the_depth_alone() -> None:
    noisy, plain = make_view(3), make_view(3, 0, ViewConfig(noise=PLAIN))
    assert noisy.truth == plain.truth and torch.equal(noisy.true_depth, plain.true_depth)
    assert noisy.input.camera == plain.input.camera and torch.equal(noisy.input.image, plain.input.image)
    assert plain.input.depth is not None and torch.equal(plain.input.depth, plain.true_depth)
    assert noisy.input.depth is not None and not torch.equal(noisy.input.depth, noisy.true_depth)


@pytest.mark.parametrize("name", CAMERAS)
def test_every_camera_takes_views_of_any_size(name: str) -> None:
    seen = make_view(3, 0, ViewConfig(camera=name, width=96, height=80, min_pixels=8))
    assert seen.camera_name == name and seen.input.image.shape == (3, 80, 96) and len(seen.truth) >= 1


@pytest.mark.parametrize("name", CAMERAS)
def test_scaled_intrinsics_see_the_same_rays(name: str) -> None:
    model = CAMERAS[name]
    (width, height), k = model.size, np.eye(3)
    k[[0, 1], [0, 1]], k[:2, 2] = model.focal, model.center
    np.testing.assert_allclose(model.intrinsics(model.size), k)
    half = model.intrinsics((width // 2, height // 2))
    # The corner between the first two pixels and rows of the large image is the centre of the first pixel of the small one.
    large = np.linalg.inv(k) @ [0.5, 0.5, 1]
    np.testing.assert_allclose(np.linalg.inv(half) @ [0, 0, 1], large, atol=1e-12)
    # A square cuts the wider side evenly.
    square = model.intrinsics((height, height))
    assert square[0, 2] == pytest.approx(model.center[0] - (width - height) / 2)


def test_bad_settings_are_one_line() -> None:
    for make, said in (
        (lambda: ViewConfig(camera="kodak"), "kinect-v1"),
        (lambda: ViewConfig(width=3), "width 3: must be at least 16"),
        (lambda: ViewConfig(min_pixels=0), "min_pixels 0"),
        (lambda: make_view(-1), "seed -1"),
        (lambda: replace(PLAIN, quadratic=-1.0), "quadratic -1"),
    ):
        with pytest.raises(UserError, match=said) as error:
            make()
        assert "\n" not in str(error.value)

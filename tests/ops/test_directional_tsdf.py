"""Directional TSDF: equal to the definition, right for a plane, and a plane found again from it."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gestalt3d.ops import directional_tsdf as module
from gestalt3d.ops.directional_tsdf import directional_tsdf, directional_tsdf_reference
from gestalt3d.structures.camera import LEVEL, Camera
from gestalt3d.structures.view import View
from tests.ops import kit

OP = kit.Op(module._op, directional_tsdf_reference, module._op)
IDENTITY = torch.eye(4, dtype=torch.float64)
LENS = torch.tensor([[20.0, 0, 7.5], [0, 20, 5.5], [0, 0, 1]], dtype=torch.float64)


def args(
    seed: int,
    *,
    n: int = 60,
    lattice: bool = False,
    colored: bool = True,
    scale: float = 1.0,
    far: float = 0.0,
) -> tuple[Any, ...]:
    """What the operator takes: a grid of unit voxels times `scale`, seen by a camera some way behind."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-3, 11, (n, 3))
    points = np.round(points * 2) / 2 if lattice else points
    depth = rng.uniform(12, 24, (12, 16)) * scale
    depth[rng.random((12, 16)) < 0.2] = rng.choice([0.0, np.nan, np.inf, -1.0])
    turn = kit.rotation(seed).numpy()
    camera = np.concatenate([turn, turn @ [[-4.0], [-4], [-3]] + [[0], [0], [18]]], axis=1)
    camera[:, 3] *= scale
    colors = torch.from_numpy(rng.random((n, 3))).float() if colored else None
    origin = (far, -far, far / 2)
    return (
        torch.from_numpy(points * scale + np.array(origin)).float(),
        colors,
        torch.from_numpy(depth).float(),
        LENS @ torch.from_numpy(camera),
        *origin,
        scale,
        8,
        9,
        7,
        2.0 * scale,
        4.0 * scale,
        False,
    )


@kit.quick(60)
@given(
    st.integers(0, 2**16), st.sampled_from([0, 1, 8, 60, 300]), st.booleans(), st.booleans(), st.booleans()
)
def test_is_the_definition(seed: int, n: int, lattice: bool, colored: bool, per_axis: bool) -> None:
    given_ = args(seed, n=n, lattice=lattice, colored=colored)
    kit.check_equals_reference(OP, *given_[:-1], per_axis)


@pytest.mark.parametrize("reach", [0.3, 0.5, 0.65, 1.0, 1.7, 2.6, 6.0])
@pytest.mark.parametrize("lattice", [False, True])
def test_every_reach_is_exact(reach: float, lattice: bool) -> None:
    given_ = args(3, n=200, lattice=lattice)
    kit.check_equals_reference(OP, *given_[:-2], reach, False)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("far", [0.0, 1e4])
def test_scales_and_far_origins(scale: float, far: float) -> None:
    if scale > 1e-3 or far == 0:  # at 10 km float32 has steps of 1 mm
        kit.check_equals_reference(OP, *args(5, scale=scale, far=far))


def plane(at: float = 1.0, shape: tuple[int, int] = (48, 64)) -> tuple[View, tuple[Tensor, Tensor]]:
    """A wall `at` metres ahead of a level camera in the origin that looks along y."""
    height, width = shape
    camera = Camera.from_focal(60.0, (width, height))
    image = torch.linspace(0, 1, height * width).expand(3, -1).reshape(3, height, width).clone()
    view = View(image, torch.full(shape, at), camera)
    return view, (torch.from_numpy(camera.intrinsics), torch.from_numpy(camera.world_from_camera))


GRID = {"origin": (-0.2, 0.6, -0.2), "voxel_size": 0.02, "size": (20, 40, 20)}


def test_a_plane_flips_the_sign_and_is_clipped_two_voxels_away() -> None:
    view, camera = plane()
    cloud = view.cloud()
    found = directional_tsdf(cloud.points, None, view.depth, *camera, **GRID)
    centre = 0.6 + (torch.arange(40) + 0.5) * 0.02
    behind = centre > 1
    column = found[:, 10, :, 10]
    assert bool((column[:, behind] <= 0).all()) and bool((column[:, ~behind] >= 0).all())
    # Pixels are 1 / 60 m apart on the wall: beside and above it is the nearest point at most half of that.
    assert float(column[[0, 2]][:, (centre - 1).abs() < 0.07].abs().max()) <= 0.5 / 60 / 0.04 + 1e-5
    signed = (1 - centre) / 0.04
    torch.testing.assert_close(column[1], signed.clamp(-1, 1), atol=1e-5, rtol=0)
    out_of_reach = (centre - 1).abs() > 0.085
    assert bool((column[:, out_of_reach].abs() == 1).all())


def test_beside_the_image_and_behind_the_camera_is_nothing() -> None:
    view, camera = plane()
    cloud = view.cloud()
    grid = {"origin": (-2.0, -1.0, -2.0), "voxel_size": 0.1, "size": (40, 30, 40)}
    found = directional_tsdf(cloud.points, cloud.colors, view.depth, *camera, **grid)
    across, along = (torch.arange(40) + 0.5) * 0.1 - 2, (torch.arange(30) + 0.5) * 0.1 - 1
    x, y, z = torch.meshgrid(across, along, across, indexing="ij")
    beyond = torch.maximum(x.abs() * 60 - 32 * y, z.abs() * 60 - 24 * y)  # the image has 64 × 48 pixels
    assert int((beyond < -1e-4).sum()) > 1000
    assert bool((found[:, beyond > 1e-4] == 0).all())
    assert bool((found[1, beyond < -1e-4] != 0).all())


def test_colours_are_those_of_the_nearest_point() -> None:
    view, camera = plane()
    cloud = view.cloud()
    found = directional_tsdf(cloud.points, cloud.colors, view.depth, *camera, **GRID)
    assert found.shape == (6, 20, 40, 20)
    centre = torch.tensor([-0.2 + 10.5 * 0.02, 0.6 + 20.5 * 0.02, -0.2 + 10.5 * 0.02])
    nearest = (cloud.points - centre).square().sum(1).argmin()
    assert cloud.colors is not None and torch.equal(found[3:, 10, 20, 10], cloud.colors[nearest])
    assert bool((found[3:, :, 0] == 0).all())


def test_what_no_depth_shows_is_not_known_to_be_free() -> None:
    view, camera = plane()
    for unknown in (0.0, -1.0, torch.nan, torch.inf):
        found = directional_tsdf(view.cloud().points, None, torch.full((48, 64), unknown), *camera, **GRID)
        assert bool((found[:3, 5:15, :, 5:15] <= 0).all())


def test_without_points_all_is_at_the_clip() -> None:
    view, camera = plane()
    found = directional_tsdf(torch.zeros(0, 3), torch.zeros(0, 3), view.depth, *camera, **GRID)
    assert bool((found[:3].abs() == 1).all()) and bool((found[3:] == 0).all())
    assert bool((found[:3, :, :20] == 1).all()) and bool((found[:3, :, 20:] == -1).all())


def test_the_other_reading_has_a_sign_per_axis() -> None:
    view, camera = plane()
    one = torch.tensor([[0.0, 1.0, 0.0]])
    found = directional_tsdf(one, None, view.depth, *camera, **GRID, per_axis_sign=True)
    usual = directional_tsdf(one, None, view.depth, *camera, **GRID)
    assert torch.equal(found.abs(), usual.abs())
    torch.testing.assert_close(found[:, 9, 20, 10], torch.tensor([0.25, -0.25, -0.25]), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[:, 10, 19, 9], torch.tensor([-0.25, 0.25, 0.25]), atol=1e-6, rtol=0)
    assert bool((found[:, 0, 0, 0] == 1).all())


def test_a_slanting_plane_is_found_again_in_the_image() -> None:
    """Depth → points → TSDF → where its sign changes along a ray → pixel and depth."""
    width, height = 80, 60
    turn = np.eye(4)
    turn[:3, :3] = [[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]
    turn[:3, 3] = [3.0, -2.0, 1.4]
    camera = Camera.from_focal(90.0, (width, height), turn @ LEVEL)
    rays = camera.rays()
    depth = torch.from_numpy(1.5 / (rays @ [0.3, -0.2, 1.0])).float()
    view = View(torch.zeros(3, height, width), depth, camera)
    points = view.cloud().points
    low, voxel = points.amin(0) - 0.15, 0.02
    size = ((points.amax(0) + 0.15 - low) / voxel).ceil().int().tolist()
    found = directional_tsdf(
        points,
        None,
        depth,
        torch.from_numpy(camera.intrinsics),
        torch.from_numpy(camera.world_from_camera),
        origin=(float(low[0]), float(low[1]), float(low[2])),
        voxel_size=voxel,
        size=(size[0], size[1], size[2]),
    )
    pose = torch.from_numpy(camera.world_from_camera).float()
    for row, column in ((30, 40), (12, 20), (50, 66)):
        along = torch.arange(0.9, 2.0, 0.002)
        ray = torch.from_numpy(rays[row, column]).float()
        world = (along[:, None] * ray) @ pose[:3, :3].T + pose[:3, 3]
        voxels = ((world - low) / voxel).floor().long()
        inside = ((voxels >= 0) & (voxels < torch.tensor(size))).all(1)
        x, y, z = voxels[inside].unbind(1)
        values = found[:, x, y, z]
        at = int((values[0] < 0).int().argmax())
        assert bool((values[:, at] <= 0).all()) and at > 0
        # A voxel's centre lies at most half a diagonal from where the ray is in it.
        shown = float(depth[row, column])
        assert abs(float(along[inside][at]) - shown) < voxel * 3**0.5
        assert float(values[:, at].abs().max()) < 1


def test_determinism_layouts_registration_and_workers() -> None:
    given_ = args(1)
    kit.check_deterministic(OP, *given_)
    kit.check_layouts(OP, *given_)
    kit.check_registration(OP, *given_)
    kit.check_in_forked_worker(lambda: OP.run(*given_))


def test_the_precision_is_that_of_the_points() -> None:
    view, camera = plane()
    points = view.cloud().points
    assert view.depth is not None
    wide = directional_tsdf(points.double(), None, view.depth.double(), *camera, **GRID)
    assert wide.dtype == torch.float64
    torch.testing.assert_close(
        directional_tsdf(points, None, view.depth, *camera, **GRID), wide.float(), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"points": torch.full((1, 3), torch.nan)}, "points must be finite"),
        ({"colors": torch.full((1, 3), torch.inf)}, "colors must be finite"),
        ({"depth": torch.zeros(0, 4)}, "depth must be an image"),
        ({"intrinsics": torch.ones(3, 3, dtype=torch.float64)}, "intrinsics must end in a row"),
        ({"world_from_camera": torch.full((4, 4), torch.nan).double()}, "world_from_camera must be"),
        ({"voxel_size": 0.0}, "voxel_size must be positive"),
        ({"size": (4, 0, 4)}, "size three numbers from 1 on"),
        ({"reach": 4.0}, "reach 32 voxels of 0.1 at most"),
        ({"truncation": -1.0}, "truncation and reach must be positive"),
    ],
)
def test_what_makes_no_sense_is_refused(changed: dict[str, Any], words: str) -> None:
    given_ = {
        "points": torch.zeros(1, 3),
        "colors": None,
        "depth": torch.ones(4, 4),
        "intrinsics": LENS,
        "world_from_camera": IDENTITY,
        "origin": (0.0, 0.0, 0.0),
        "voxel_size": 0.1,
        "size": (4, 4, 4),
    }
    with pytest.raises(ValueError, match=words):
        directional_tsdf(**{**given_, **changed})

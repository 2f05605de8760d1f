"""Whole objects in voxels: visible, occluded and outside of the image, of boxes by hand and of rooms."""

import numpy as np
import pytest
import torch

from gestalt3d.ops.mesh_voxels import mesh_voxels
from gestalt3d.structures.camera import Camera
from gestalt3d.structures.mesh import Mesh
from gestalt3d.synth.depth_noise import PLAIN
from gestalt3d.synth.shapes import Vector
from gestalt3d.synth.view_voxels import Sight, WholeVoxels, whole_voxels
from gestalt3d.synth.views import SyntheticView, make_view, take_view
from tests.synth.boxes import stage_of

CAMERA = Camera.from_focal(200.0, (161, 121))
FRONT = ("box", (-0.2, 2.0, -0.2), (0.2, 2.4, 0.2))
BEHIND = ("chair", (-0.2, 3.0, -0.2), (0.6, 3.4, 0.2))


def taken(*boxes) -> SyntheticView:
    rng = np.random.default_rng(0)
    return take_view(
        stage_of(*boxes), CAMERA, np.eye(4), PLAIN, rng, min_pixels=1, name="boxes", camera_name="by hand"
    )


def corners(voxels: WholeVoxels) -> torch.Tensor:
    """(v, 3) lattice position of each voxel."""
    assert voxels.grid.origin is not None
    return voxels.grid.coordinates + (voxels.grid.origin / voxels.grid.voxel_size).round().long()


def test_a_box_is_eight_voxels_wide_and_its_front_is_seen() -> None:
    voxels = whole_voxels(taken(FRONT), 0, voxel_size=0.05)
    at = corners(voxels)
    assert len(voxels.grid) == 8**3
    assert at.amin(0).tolist() == [-4, 40, -4] and at.amax(0).tolist() == [3, 47, 3]
    # The camera looks at the front alone; of it one layer is seen, and nothing is cut.
    assert torch.equal(voxels.is_(Sight.VISIBLE), at[:, 1] == 40)
    assert torch.equal(voxels.is_(Sight.OCCLUDED), at[:, 1] > 40)


def test_what_another_box_hides_is_occluded() -> None:
    seen = taken(FRONT, BEHIND)
    voxels = whole_voxels(seen, 1, voxel_size=0.05)
    at, visible = corners(voxels), voxels.is_(Sight.VISIBLE)
    # At depth 3 the front one, which is 0.2 wide at depth 2 to either side, hides up to x = 0.3.
    front = at[:, 1] == 60
    assert not bool(visible[at[:, 0] < 5].any()) and bool(visible[front & (at[:, 0] >= 6)].all())
    assert bool(voxels.is_(Sight.OCCLUDED)[~visible].all())


@pytest.mark.parametrize(
    ("low", "high"),
    [((0.5, 2, -0.2), (1.5, 2.4, 0.2)), ((-1.5, 2, -0.2), (-0.5, 2.4, 0.2)), ((-0.2, 2, 0.3), (0.2, 2.4, 1.2)),
     ((-0.2, 2, -1.2), (0.2, 2.4, -0.3)), ((0.3, -1, -0.2), (0.7, 3, 0.2))],
    ids=["right", "left", "above", "below", "behind the camera"],
)  # fmt: skip
def test_what_lies_beyond_the_image_is_outside(low: Vector, high: Vector) -> None:
    """At depth z the image reaches to x = 80.5 / 200 z on either side, and to 60.5 / 200 z up and down."""
    voxels = whole_voxels(taken(("table", low, high)), 0, voxel_size=0.05)
    assert voxels.grid.origin is not None
    x, z, y = (voxels.grid.centers.double() + voxels.grid.origin).unbind(1)
    beyond = (x.abs() >= z * 80.5 / 200) | (y.abs() >= z * 60.5 / 200)
    visible = voxels.is_(Sight.VISIBLE)
    assert torch.equal(voxels.is_(Sight.OUTSIDE)[~visible], beyond[~visible])
    assert 0 < int(visible.sum()) < int(beyond.sum())


@pytest.mark.parametrize("seed", [0, 3, 11])
def test_the_three_kinds_are_the_whole_object(seed: int) -> None:
    seen = make_view(seed)
    assert seen.truth.shapes is not None
    for i, shape in enumerate(seen.truth.shapes):
        voxels = whole_voxels(seen, i)
        assert isinstance(shape, Mesh) and voxels.grid.origin is not None
        x, y, z = voxels.grid.origin.tolist()
        alone = mesh_voxels(
            shape.vertices.double(), shape.faces, voxel_size=0.05, origin=(x, y, z), size=voxels.grid.size
        )
        assert torch.equal(voxels.grid.dense(torch.ones(len(voxels.grid), dtype=torch.bool)), alone)
        assert sum(int(voxels.is_(sight).sum()) for sight in Sight) == int(alone.sum()) > 0
        assert bool(voxels.is_(Sight.VISIBLE).any())


def test_of_an_object_that_is_in_the_image_whole_nothing_is_outside() -> None:
    found = 0
    for seed in (0, 3, 11, 20):
        seen = make_view(seed)
        camera = seen.input.camera
        assert seen.truth.shapes is not None and camera is not None
        for i, shape in enumerate(seen.truth.shapes):
            assert isinstance(shape, Mesh)
            in_camera = shape.vertices.double().numpy() @ camera.world_from_camera[:3, :3]
            pixel = in_camera @ camera.intrinsics.T / in_camera[:, 2:]
            # Centres of its voxels lie up to half a diagonal beyond it.
            margin = 0.05 * camera.intrinsics[0, 0] / in_camera[:, 2].min()
            width, height = camera.size
            inside = (in_camera[:, 2] > 0.1) & (pixel[:, 0] > margin) & (pixel[:, 0] < width - 1 - margin)
            inside &= (pixel[:, 1] > margin) & (pixel[:, 1] < height - 1 - margin)
            if inside.all():
                found += 1
                assert not bool(whole_voxels(seen, i).is_(Sight.OUTSIDE).any())
    assert found > 10


def test_voxels_fill_what_they_stand_for() -> None:
    """Nearly closed furniture is as large as its voxels; half of the edge is what they may be off by on either side."""
    seen = make_view(3)
    assert seen.truth.amodal_boxes is not None
    for i in range(len(seen.truth)):
        voxels = whole_voxels(seen, i, voxel_size=0.025)
        assert voxels.grid.origin is not None and seen.truth.shapes is not None
        shape = seen.truth.shapes[i]
        assert isinstance(shape, Mesh)
        centres = voxels.grid.centers.double() + voxels.grid.origin
        low, high = centres.amin(0), centres.amax(0)
        assert float((low - shape.vertices.amin(0)).abs().max()) < 0.04
        assert float((high - shape.vertices.amax(0)).abs().max()) < 0.04

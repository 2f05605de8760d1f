"""Voxels: exact floors, one order, whatever the order of the points."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gestalt3d.ops import voxelize as module
from gestalt3d.ops.voxelize import voxel_means, voxelize, voxelize_reference
from tests.ops import kit

OP = kit.Op(lambda points, size: voxelize(points, voxel_size=size), voxelize_reference, module._op)


@kit.quick()
@given(kit.clouds(), st.sampled_from([1e-3, 0.1, 1.0, 1e3]), st.sampled_from([torch.float32, torch.float64]))
def test_kernel_is_the_reference(cloud, size, dtype):
    kit.check_equals_reference(OP, cloud[0].to(dtype), size)


@pytest.mark.parametrize("name", kit.awkward_clouds())
def test_awkward_clouds(name):
    kit.check_equals_reference(OP, kit.awkward_clouds()[name][0], 0.05)


def test_voxels_hold_their_points_and_ascend():
    points = kit.surface(5000)[0] - 2.0
    coordinates, voxel_of_point, counts = voxelize(points, voxel_size=0.1)
    assert torch.equal(coordinates[voxel_of_point], torch.floor(points.double() / 0.1).long())
    assert torch.equal(counts, torch.bincount(voxel_of_point)) and counts.min() >= 1
    rows = coordinates.tolist()
    assert rows == sorted(rows) and len({tuple(r) for r in rows}) == len(rows)


@kit.quick()
@given(st.integers(1, 200), st.integers(0, 2**16))
def test_order_of_points_is_irrelevant(n, seed):
    points = kit.surface(n, seed)[0]
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    found, mixed = voxelize(points, voxel_size=0.3), voxelize(points[order], voxel_size=0.3)
    kit.assert_same((mixed.coordinates, mixed.counts), (found.coordinates, found.counts))
    assert torch.equal(mixed.voxel_of_point, found.voxel_of_point[order])


def test_whole_voxels_of_translation_only_shift_the_coordinates():
    points = kit.lattice(200)[0]
    found, moved = voxelize(points, voxel_size=0.5), voxelize(points - 64, voxel_size=0.5)
    assert torch.equal(moved.coordinates, found.coordinates - 128)
    assert torch.equal(moved.voxel_of_point, found.voxel_of_point)


def test_no_points():
    coordinates, voxel_of_point, counts = voxelize(torch.zeros(0, 3), voxel_size=1.0)
    assert coordinates.shape == (0, 3) and voxel_of_point.shape == (0,) and counts.shape == (0,)


def test_a_stray_point_beyond_packed_keys_changes_nothing_for_the_others():
    points = kit.surface(2000)[0]
    stray = torch.cat([points, torch.full((1, 3), 1e9)])
    found, alone = voxelize(stray, voxel_size=0.05), voxelize(points, voxel_size=0.05)
    assert torch.equal(found.voxel_of_point[:-1], alone.voxel_of_point)
    assert torch.equal(found.coordinates[:-1], alone.coordinates)


@pytest.mark.parametrize("reach", [1e18, -1e30])
def test_coordinates_beyond_integers_are_refused(reach):
    points = torch.tensor([[0.0, 0, 0], [reach, reach, reach]])
    for call in (OP.run, OP.reference):
        with pytest.raises(ValueError, match=r"more than 2\^62; drop stray points"):
            call(points, 0.01)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_points_that_are_not_finite_are_refused(bad):
    for call in (OP.run, OP.reference):
        with pytest.raises(ValueError, match="points must be finite"):
            call(torch.tensor([[0.0, bad, 0.0]]), 0.1)


def test_a_senseless_voxel_size_is_refused():
    with pytest.raises(ValueError, match="voxel_size must be positive"):
        voxelize(torch.zeros(1, 3), voxel_size=0.0)


def test_determinism_layouts_registration_and_workers():
    points = kit.surface(3000)[0]
    kit.check_deterministic(OP, points, 0.1)
    kit.check_layouts(OP, points, 0.1)
    kit.check_registration(OP, points[:100], 0.1)
    kit.check_in_forked_worker(lambda: OP.run(points, 0.1))


def test_means_of_voxels_keep_their_digits_far_from_the_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 100)
    points = torch.rand(1000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    far = points + 2.0**22
    for cloud, tolerance in ((points, 1e-15), (far, 2.0**-30)):
        voxels = voxelize(cloud, voxel_size=0.25)
        middle, offset = voxel_means(cloud, voxels, voxel_size=0.25)
        for v in range(0, len(voxels.counts), 7):
            own = cloud[voxels.voxel_of_point == v]
            torch.testing.assert_close(offset[v], (own - middle[v]).mean(0), atol=tolerance, rtol=0)
            assert float(offset.abs().max()) <= 0.125
    assert torch.equal(voxelize(points, voxel_size=0.25).counts, voxelize(far, voxel_size=0.25).counts)

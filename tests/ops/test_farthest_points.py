"""Farthest points: exact, each sample the farthest from those before it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gestalt3d.ops import farthest_points as module
from gestalt3d.ops.farthest_points import farthest_points, farthest_points_reference
from tests.ops import kit

OP = kit.Op(
    lambda points, k, start: farthest_points(points, k, start=start), farthest_points_reference, module._op
)


def assert_farthest(points: torch.Tensor, index: torch.Tensor) -> None:
    """No point is farther from the samples before it than the sample itself, up to rounding."""
    distance = torch.cdist(
        points.double(), points[index].double(), compute_mode="donot_use_mm_for_euclid_dist"
    )
    for j in range(1, len(index)):
        to_earlier = distance[:, :j].amin(1)
        assert to_earlier[index[j]] >= to_earlier.max() * (1 - 1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 1000])
def test_kernel_is_the_reference(n, dtype):
    for cloud in (kit.surface(n, seed=n, b=2), kit.lattice(n, seed=n, b=2)):
        kit.check_equals_reference(OP, cloud.to(dtype), n // 2 + 1, n - 1)


@pytest.mark.parametrize("name", kit.awkward_clouds())
def test_awkward_clouds(name):
    cloud = kit.awkward_clouds()[name]
    kit.check_equals_reference(OP, cloud, 80, 0)
    index = farthest_points(cloud, min(80, cloud.shape[1]))
    assert_farthest(cloud[0], index[0])
    assert len(index.unique()) == index.shape[1]


def test_the_farthest_point_comes_next():
    cloud = kit.surface(2000, seed=3)
    assert_farthest(cloud[0], farthest_points(cloud, 200, start=5)[0])


@kit.quick()
@given(kit.clouds(), st.integers(0, 2**16))
def test_all_points_are_a_permutation(cloud, seed):
    n = cloud.shape[1]
    index = farthest_points(cloud, n, start=seed % n)[0]
    assert index[0] == seed % n
    assert torch.equal(index.sort().values, torch.arange(n))


@kit.quick()
@given(kit.clouds(2), st.integers(1, 60))
def test_fewer_samples_are_a_prefix(cloud, k):
    assert torch.equal(farthest_points(cloud, k), farthest_points(cloud, 60)[:, :k])


@kit.quick()
@given(st.integers(1, 60), st.integers(0, 2**16), kit.exact_motions())
def test_rigid_motions_change_nothing(n, seed, motion):
    cloud = kit.lattice(n, seed, size=16)
    rotation, shift = motion
    assert torch.equal(farthest_points(cloud @ rotation.T + shift, n), farthest_points(cloud, n))


@kit.quick()
@given(st.integers(1, 60), st.integers(0, 2**16))
def test_reordered_points_give_the_same_samples(n, seed):
    cloud = kit.surface(n, seed)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    moved = farthest_points(cloud[:, order], n, start=int(order.argsort()[0]))
    assert torch.equal(order[moved[0]], farthest_points(cloud, n)[0])


@pytest.mark.parametrize("scale", [2.0**-30, 2.0**-10, 2.0**10, 2.0**30])
def test_units_do_not_matter(scale):
    cloud = kit.surface(500)
    assert torch.equal(farthest_points(cloud * scale, 100), farthest_points(cloud, 100))


def test_padding_and_emptiness():
    cloud = kit.surface(3)
    assert farthest_points(cloud, 5)[0, 3:].tolist() == [-1, -1]
    assert farthest_points(cloud[:, :0], 2).tolist() == [[-1, -1]]
    assert farthest_points(cloud, 0).shape == (1, 0)
    assert farthest_points(cloud[:0], 2).shape == (0, 2)
    for args in ((cloud, 5, 1), (cloud[:, :0], 2, 0), (cloud, 0, 0), (cloud[:0], 2, 0)):
        kit.check_equals_reference(OP, *args)


def test_equal_distances_take_the_lowest_index():
    square = torch.tensor([[[0.0, 0, 0], [0, 1, 0], [1, 0, 0], [0, -2, 0], [-1, 0, 0]]])
    assert farthest_points(square, 5).tolist() == [[0, 3, 1, 2, 4]]


def test_half_precision_points_count_in_float32():
    cloud = kit.surface(200)
    assert torch.equal(farthest_points(cloud.bfloat16(), 50), farthest_points(cloud.bfloat16().float(), 50))


def test_wrong_arguments_are_named():
    cloud = kit.surface(4)
    with pytest.raises(ValueError, match=r"start must be .* got 4"):
        farthest_points(cloud, 2, start=4)
    with pytest.raises(ValueError, match="k must not be negative"):
        farthest_points(cloud, -1)
    cloud[0, 1, 2] = torch.nan
    with pytest.raises(ValueError, match="points must be finite, got 1 of 4"):
        farthest_points(cloud, 2)


def test_determinism_layout_registration():
    cloud = kit.surface(700, b=3)
    kit.check_deterministic(OP, cloud, 100, 0)
    kit.check_layouts(OP, cloud, 100, 0)
    kit.check_registration(OP, cloud, 10, 0)


def test_inside_a_forked_worker():
    cloud = kit.surface(700, b=2)
    kit.check_in_forked_worker(lambda: farthest_points(cloud, 50))

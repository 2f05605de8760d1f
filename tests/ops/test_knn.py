"""Nearest neighbours: exact, ties by index, against scipy's kd-tree."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from gestalt3d.ops import knn as module
from gestalt3d.ops.knn import knn, knn_among, knn_reference
from tests.ops import kit

OP = kit.Op(lambda queries, points, k: knn(queries, points, k=k), knn_reference, module._op)

# Subtraction, square and two additions: five roundings of half a unit in the last place.
RTOL = 5 * 2.0**-24


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 2, 32, 33, 65, 1000])
@pytest.mark.parametrize("k", [1, 3, 32])
def test_kernel_is_the_reference(n, k, dtype):
    for make in (kit.surface, kit.lattice):
        kit.check_equals_reference(OP, make(77, seed=1, b=2).to(dtype), make(n, seed=n, b=2).to(dtype), k)


@pytest.mark.parametrize("name", kit.awkward_clouds())
def test_awkward_clouds(name):
    cloud = kit.awkward_clouds()[name]
    elsewhere = torch.cat([cloud.flip(1) + cloud.std(1, correction=0, keepdim=True), cloud], dim=1)
    kit.check_equals_reference(OP, elsewhere, cloud, 9)
    kit.check_near_float64(OP, elsewhere, cloud, 9, rtol=RTOL)


def test_nobody_nearer_is_left_out():
    cloud, queries = kit.surface(3000)[0], kit.surface(400, seed=8)[0]
    dist2, index = (r[0] for r in knn(queries[None], cloud[None], k=12))
    expected, nearest = cKDTree(cloud.numpy()).query(queries.numpy(), k=12)
    torch.testing.assert_close(dist2.double().sqrt(), torch.from_numpy(expected), rtol=RTOL, atol=0)
    assert (
        index == torch.from_numpy(nearest)
    ).double().mean() > 0.999  # scipy breaks rounding's ties its own way


@kit.quick()
@given(kit.clouds(), kit.clouds(), st.integers(1, 8))
def test_answers_are_neighbours(queries, points, k):
    dist2, index = (r[0] for r in knn(queries, points, k=k))
    found = min(k, points.shape[1])
    assert (index[:, found:] == -1).all() and torch.isinf(dist2[:, found:]).all()
    dist2, index = dist2[:, :found], index[:, :found]
    difference = points[0, index] - queries[0][:, None]
    dx, dy, dz = (difference * difference).unbind(-1)
    assert torch.equal(dist2, dx + dy + dz)
    later = (dist2.diff() > 0) | ((dist2.diff() == 0) & (index.diff() > 0))
    assert later.all()


@kit.quick()
@given(st.integers(1, 60), st.integers(0, 2**16), kit.exact_motions())
def test_rigid_motions_change_nothing(n, seed, motion):
    rotation, shift = motion
    queries, points = kit.lattice(9, seed + 1, size=16), kit.lattice(n, seed, size=16)
    moved = knn(queries @ rotation.T + shift, points @ rotation.T + shift, k=5)
    kit.assert_same(moved, knn(queries, points, k=5))


@kit.quick()
@given(st.integers(3, 60), st.integers(0, 2**16))
def test_reordered_points_are_the_same_neighbours(n, seed):
    queries, points = kit.surface(9, seed + 1), kit.surface(n, seed)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    dist2, index = knn(queries, points[:, order], k=3)
    kit.assert_same((dist2, order[index]), tuple(knn(queries, points, k=3)))


def test_a_point_is_its_own_first_neighbour():
    cloud = kit.surface(2000)
    dist2, index = knn(cloud, cloud, k=1)
    assert torch.equal(index[0, :, 0], torch.arange(2000)) and not dist2.any()


def test_equal_distances_take_the_lowest_index():
    cross = torch.tensor([[[0.0, 1, 0], [1, 0, 0], [0, -1, 0], [-1, 0, 0]]])
    assert knn(torch.zeros(1, 1, 3), cross, k=3).index.tolist() == [[[0, 1, 2]]]
    same = torch.full((1, 1000, 3), 0.25)
    assert knn(same[:, :3], same, k=4).index.tolist() == [[[0, 1, 2, 3]] * 3]


def test_padding_and_emptiness():
    cloud = kit.surface(3)
    for args in (
        (cloud, cloud, 5),
        (cloud, cloud[:, :0], 2),
        (cloud[:, :0], cloud, 2),
        (cloud, cloud, 0),
        (cloud[:0], cloud[:0], 2),
    ):
        kit.check_equals_reference(OP, *args)
    dist2, index = knn(cloud, cloud[:, :0], k=2)
    assert torch.isinf(dist2).all() and (index == -1).all()


def test_reference_splits_its_rows(monkeypatch):
    queries, points = kit.surface(50, b=2), kit.surface(40, b=2)
    whole = knn_reference(queries, points, 4)
    monkeypatch.setattr(module, "_PAIRS_AT_ONCE", 40 * 2 * 7)
    kit.assert_same(knn_reference(queries, points, 4), whole)


def test_distances_are_as_wide_as_the_wider_input():
    cloud = kit.surface(5)
    assert knn(cloud, cloud.double(), k=1).dist2.dtype == torch.float64
    assert knn(cloud.half(), cloud.bfloat16(), k=1).dist2.dtype == torch.float32


def test_wrong_arguments_are_named():
    cloud = kit.surface(4)
    with pytest.raises(ValueError, match="k must not be negative"):
        knn(cloud, cloud, k=-1)
    broken = cloud.clone()
    broken[0, 0, 0] = torch.inf
    with pytest.raises(ValueError, match="points must be finite"):
        knn(cloud, broken, k=1)
    with pytest.raises(ValueError, match="queries must be finite"):
        knn(broken, cloud, k=1)


def test_determinism_layout_registration():
    queries, points = kit.surface(900, seed=2, b=2), kit.surface(300, b=2)
    kit.check_deterministic(OP, queries, points, 4)
    kit.check_layouts(OP, queries, points, 4)
    kit.check_registration(OP, queries[:, :9], points[:, :9], 3)


def test_a_large_cloud_does_not_depend_on_threads():
    cloud = kit.surface(70_000)
    kit.check_deterministic(OP, cloud[:, :500], cloud, 2)


def test_inside_a_forked_worker():
    cloud = kit.surface(700, b=2)
    kit.check_in_forked_worker(lambda: knn(cloud, cloud, k=3))


@pytest.mark.parametrize("at_once", [7, 2**19])
def test_neighbours_among_themselves(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_QUERIES_AT_ONCE", at_once)
    cloud = kit.surface(50, b=2)
    dist2, index = knn(cloud, cloud, k=5)
    found = knn_among(cloud, k=5)
    assert found.dtype == torch.int32 and torch.equal(found.long(), index)
    reach = float(dist2[..., 3].median().sqrt())
    assert torch.equal(knn_among(cloud, k=5, reach=reach), index.masked_fill(dist2 > reach**2, -1).int())
    assert knn_among(cloud[:, :3], k=5)[..., 3:].eq(-1).all()
    assert knn_among(cloud[:, :0], k=5).shape == (2, 0, 5)

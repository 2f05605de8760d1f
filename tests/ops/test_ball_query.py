"""Ball query: the first k points inside, in index order."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gestalt3d.ops import ball_query as module
from gestalt3d.ops.ball_query import ball_query, ball_query_reference
from tests.ops import kit

OP = kit.Op(
    lambda centers, points, radius, k: ball_query(centers, points, radius=radius, k=k),
    ball_query_reference,
    module._op,
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 32, 33, 65, 1000])
@pytest.mark.parametrize("radius", [0.0, 0.3, 1.0, 100.0])
def test_kernel_is_the_reference(n, radius, dtype):
    for make in (kit.surface, kit.lattice):
        kit.check_equals_reference(
            OP, make(77, seed=1, b=2).to(dtype), make(n, seed=n, b=2).to(dtype), radius, 16
        )


@pytest.mark.parametrize("name", kit.awkward_clouds())
def test_awkward_clouds(name):
    cloud = kit.awkward_clouds()[name]
    extent = float(cloud.std(1, correction=0).norm())
    for radius in (0.1 * extent + 1e-9, extent, 3 * extent):
        kit.check_equals_reference(OP, cloud, cloud, radius, 9)


@kit.quick()
@given(kit.clouds(), kit.clouds(), st.floats(0, 4), st.integers(1, 12))
def test_answers_are_the_first_inside(centers, points, radius, k):
    index = ball_query(centers, points, radius=radius, k=k)[0]
    difference = points[0][None] - centers[0][:, None]
    dx, dy, dz = (difference * difference).unbind(-1)
    inside = dx + dy + dz < torch.tensor(radius * radius, dtype=torch.float32)
    for row, truth in zip(index, inside, strict=True):
        expected = truth.nonzero().flatten()[:k].tolist()
        assert row.tolist() == expected + [-1] * (k - len(expected))


@kit.quick()
@given(st.integers(1, 60), st.integers(0, 2**16), kit.exact_motions())
def test_rigid_motions_change_nothing(n, seed, motion):
    rotation, shift = motion
    centers, points = kit.lattice(9, seed + 1, size=16), kit.lattice(n, seed, size=16)
    moved = ball_query(centers @ rotation.T + shift, points @ rotation.T + shift, radius=5.0, k=7)
    assert torch.equal(moved, ball_query(centers, points, radius=5.0, k=7))


@pytest.mark.parametrize("scale", [2.0**-30, 2.0**10])
def test_units_do_not_matter(scale):
    cloud = kit.surface(500)
    scaled = ball_query(cloud * scale, cloud * scale, radius=0.25 * scale, k=8)
    assert torch.equal(scaled, ball_query(cloud, cloud, radius=0.25, k=8))


def test_ten_kilometres_away_at_one_centimetre():
    """float32 steps there are 1 mm: a lattice of 1 cm keeps its neighbours."""
    steps = torch.stack(torch.meshgrid(*(torch.arange(8),) * 3, indexing="ij"), dim=-1).reshape(1, -1, 3)
    near = (steps * 0.01).float()
    far = (steps.double() * 0.01 + torch.tensor([1e4, -1e4, 1e4], dtype=torch.float64)).float()
    assert torch.equal(ball_query(far, far, radius=0.0125, k=8), ball_query(near, near, radius=0.0125, k=8))


def test_the_surface_of_the_ball_is_outside():
    line = torch.arange(5.0)[None, :, None] * torch.tensor([1.0, 0, 0])
    assert ball_query(line[:, 2:3], line, radius=1.0, k=5).tolist() == [[[2, -1, -1, -1, -1]]]
    assert ball_query(line[:, 2:3], line, radius=1.01, k=5).tolist() == [[[1, 2, 3, -1, -1]]]
    assert (ball_query(line, line, radius=0.0, k=2) == -1).all()


def test_emptiness():
    cloud = kit.surface(3)
    for args in (
        (cloud, cloud, 9.0, 5),
        (cloud, cloud[:, :0], 1.0, 2),
        (cloud[:, :0], cloud, 1.0, 2),
        (cloud, cloud, 1.0, 0),
        (cloud[:0], cloud[:0], 1.0, 2),
    ):
        kit.check_equals_reference(OP, *args)


def test_reference_splits_its_rows(monkeypatch):
    centers, points = kit.surface(50, b=2), kit.surface(40, b=2)
    whole = ball_query_reference(centers, points, 1.0, 4)
    monkeypatch.setattr(module, "_PAIRS_AT_ONCE", 40 * 2 * 7)
    kit.assert_same(ball_query_reference(centers, points, 1.0, 4), whole)


def test_wrong_arguments_are_named():
    cloud = kit.surface(4)
    with pytest.raises(ValueError, match="k must not be negative"):
        ball_query(cloud, cloud, radius=1.0, k=-1)
    for radius in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="radius must be"):
            ball_query(cloud, cloud, radius=radius, k=1)
    broken = cloud.clone()
    broken[0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="points must be finite"):
        ball_query(cloud, broken, radius=1.0, k=1)
    with pytest.raises(ValueError, match="centers must be finite"):
        ball_query(broken, cloud, radius=1.0, k=1)


def test_determinism_layout_registration():
    centers, points = kit.surface(900, seed=2, b=2), kit.surface(300, b=2)
    kit.check_deterministic(OP, centers, points, 0.5, 4)
    kit.check_layouts(OP, centers, points, 0.5, 4)
    kit.check_registration(OP, centers[:, :9], points[:, :9], 0.5, 3)


def test_inside_a_forked_worker():
    cloud = kit.surface(700, b=2)
    kit.check_in_forked_worker(lambda: ball_query(cloud, cloud, radius=0.5, k=3))

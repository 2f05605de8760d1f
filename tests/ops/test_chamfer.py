"""Nearest points both ways: the kernel is the definition, the distance what geometry says."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from gestalt3d.ops import chamfer as module
from gestalt3d.ops.chamfer import chamfer_distance, nearest_both_ways, nearest_reference
from tests.ops import kit

OP = kit.Op(module._op, nearest_reference, module._op)


@kit.quick()
@given(kit.clouds(1, 70), kit.clouds(1, 70))
def test_is_the_definition(a, b):
    kit.check_equals_reference(OP, a, b)
    kit.check_equals_reference(OP, a.double(), b.double())


def test_trees_take_over_with_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = kit.lattice(90, b=3), kit.lattice(70, seed=1, b=3)
    monkeypatch.setattr(module, "_PAIRS", 0)
    kit.check_equals_reference(OP, a, b)


@pytest.mark.parametrize("name", kit.awkward_clouds())
def test_awkward_clouds(name: str) -> None:
    cloud = kit.awkward_clouds()[name]
    kit.check_equals_reference(OP, cloud, cloud.flip(1))


def test_distances_are_scipys() -> None:
    a, b = kit.surface(400, b=2), kit.surface(300, seed=1, b=2)
    found = nearest_both_ways(a.double(), b.double())
    for k in range(2):
        there, back = cKDTree(b[k].double()).query(a[k].double()), cKDTree(a[k].double()).query(b[k].double())
        np.testing.assert_allclose(found.dist2_a[k], there[0] ** 2, rtol=1e-12)
        np.testing.assert_allclose(found.dist2_b[k], back[0] ** 2, rtol=1e-12)
        expected = (there[0] ** 2).mean() + (back[0] ** 2).mean()
        assert float(chamfer_distance(a.double(), b.double())[k]) == pytest.approx(expected, rel=1e-12)


@kit.quick()
@given(kit.clouds(1, 40), kit.exact_motions())
def test_moving_both_sets_changes_nothing_and_the_order_of_points_does_not_matter(cloud, motion):
    axes, shift = motion
    lattice = cloud.round()
    other = lattice.flip(1) + 1
    distance = chamfer_distance(lattice, other)
    assert torch.equal(distance, chamfer_distance(other, lattice))
    assert torch.equal(distance, chamfer_distance(lattice @ axes.T + shift, other @ axes.T + shift))
    torch.testing.assert_close(
        distance, chamfer_distance(lattice[:, torch.randperm(lattice.shape[1])], other)
    )


def test_a_set_is_at_no_distance_from_itself_and_its_gradient_is_zero() -> None:
    cloud = kit.surface(50).requires_grad_()
    distance = chamfer_distance(cloud, cloud.detach().clone())
    assert float(distance.detach()) == 0.0
    (gradient,) = torch.autograd.grad(distance.sum(), cloud)
    assert torch.equal(gradient, torch.zeros_like(gradient))


def test_far_from_the_origin_nothing_is_negative() -> None:
    far = kit.awkward_clouds()["10 km from the origin"]
    found = nearest_both_ways(far, far + 0.01)
    assert bool((found.dist2_a >= 0).all()) and float(found.dist2_a.max()) < 1e-3


def test_gradients_are_those_of_finite_differences() -> None:
    g = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 6, 3, generator=g), torch.rand(2, 5, 3, generator=g)
    kit.check_gradients(chamfer_distance, a, b)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (17, 16), (16, 17), (33, 31)])
def test_any_number_of_points(shape: tuple[int, int]) -> None:
    kit.check_equals_reference(OP, kit.surface(shape[0], b=3), kit.surface(shape[1], seed=1, b=3))


def test_determinism_layouts_registration_and_workers() -> None:
    args = kit.surface(60, b=4), kit.surface(50, seed=1, b=4)
    kit.check_deterministic(OP, *args)
    kit.check_layouts(OP, *args)
    kit.check_registration(OP, *args)
    kit.check_in_forked_worker(lambda: OP.run(*args))


@given(st.sampled_from([(0, 3), (3, 0), (0, 0)]))
def test_a_set_without_points_is_refused(counts: tuple[int, int]) -> None:
    a, b = (torch.zeros(1, count, 3) for count in counts)
    with pytest.raises(ValueError, match=f"both sets need a point, got {counts[0]} and {counts[1]}"):
        chamfer_distance(a, b)

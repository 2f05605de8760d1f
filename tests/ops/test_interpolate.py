"""Three-point interpolation: a weighted mean of neighbours."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gestalt3d.ops import interpolate as module
from gestalt3d.ops.interpolate import (
    interpolate,
    interpolate_backward_reference,
    interpolate_reference,
    inverse_distance_weights,
)
from gestalt3d.ops.knn import Neighbours, knn
from tests.ops import kit

FORWARD = kit.Op(module._forward, interpolate_reference, module._forward)
BACKWARD = kit.Op(module._backward, interpolate_backward_reference, module._backward)


def problem(b: int, n: int, m: int, c: int, dtype: torch.dtype = torch.float32, seed: int = 0):
    """Features, neighbours of m points among n, and values for the way back."""
    random = torch.Generator().manual_seed(seed)
    near = knn(kit.surface(m, seed + 1, b), kit.surface(n, seed, b), k=3)
    features = torch.randn(b, n, c, generator=random).to(dtype)
    return features, near, torch.randn(b, m, c, generator=random).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 1, 5, 1), (2, 2, 50, 7), (3, 40, 700, 67)])
def test_kernels_agree_with_the_float64_reference(shape, dtype):
    features, near, grad = problem(*shape, dtype)
    weights = inverse_distance_weights(*near).to(torch.promote_types(dtype, torch.float32))
    # The sums are of three terms forward and of at most 3 m backward; each product and addition rounds once.
    unit = torch.finfo(torch.promote_types(dtype, torch.float32)).eps
    last = torch.finfo(dtype).eps
    args = features, near.index, weights
    kit.check_near_float64(FORWARD, *args, rtol=last, atol=4 * unit * float(features.abs().max()))
    back = grad, near.index, weights, shape[1]
    scale = float(
        interpolate_backward_reference(grad.double().abs(), near.index, weights.double(), shape[1]).max()
    )
    kit.check_near_float64(BACKWARD, *back, rtol=last, atol=3 * shape[2] * unit * scale)


@kit.quick()
@given(st.integers(1, 20), st.integers(1, 40), st.integers(0, 2**16))
def test_answers_lie_between_the_neighbours(n, m, seed):
    features, near, _ = problem(1, n, m, 2, torch.float64, seed)
    found = interpolate(features, near)
    rows = features[0, near.index[0].clamp(min=0)].masked_fill((near.index[0] < 0)[..., None], torch.nan)
    low = rows.nan_to_num(nan=torch.inf).amin(1)
    high = rows.nan_to_num(nan=-torch.inf).amax(1)
    assert ((found[0] >= low - 1e-6) & (found[0] <= high + 1e-6)).all()


def test_a_known_point_keeps_its_features():
    cloud, features = kit.surface(50), torch.randn(1, 50, 4)
    apart = knn(cloud, cloud, k=3)
    assert apart.dist2[..., 1].min() > 1e-6
    # The next neighbour, 1 mm² away at least, weighs 1e-10 / 1e-6 of it.
    torch.testing.assert_close(interpolate(features, apart), features, rtol=0, atol=2e-4 * 4)


def test_weights_are_inverse_squared_distances():
    points = torch.tensor([[[0.0, 0, 0], [3, 0, 0]]])
    features = torch.tensor([[[0.0], [1.0]]])
    found = interpolate(features, knn(torch.tensor([[[1.0, 0, 0]]]), points, k=3))
    torch.testing.assert_close(found, torch.tensor([[[0.2]]]))  # (1/4) / (1 + 1/4)


def test_padding_does_not_count():
    features = torch.tensor([[[5.0], [torch.nan]]])
    near = Neighbours(torch.tensor([[[1.0, torch.inf, torch.inf]]]), torch.tensor([[[0, -1, -1]]]))
    assert interpolate(features, near).item() == 5
    nobody = Neighbours(torch.full((1, 1, 3), torch.inf), torch.full((1, 1, 3), -1))
    assert interpolate(features, nobody).item() == 0


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_constants_are_kept_at_every_scale(scale):
    cloud = kit.surface(300) * scale
    found = interpolate(torch.full((1, 100, 2), 3.0), knn(cloud, cloud[:, :100], k=3))
    torch.testing.assert_close(found, torch.full((1, 300, 2), 3.0), rtol=4 * 2.0**-23, atol=0)


def test_gradients_reach_features_only():
    features, near, _ = problem(2, 5, 4, 3)
    kit.check_gradients(lambda f: interpolate(f, Neighbours(near.dist2.double(), near.index)), features)
    assert not near.dist2.requires_grad


def test_emptiness():
    features, near, grad = problem(2, 5, 6, 3)
    weights = inverse_distance_weights(*near)
    none = torch.full_like(near.index, -1)
    for f, i, w, g in (
        (features, near.index[:, :0], weights[:, :0], grad[:, :0]),
        (features[:0], near.index[:0], weights[:0], grad[:0]),
        (features[..., :0], near.index, weights, grad[..., :0]),
        (features[:, :0], none, weights, grad),
    ):
        kit.check_equals_reference(FORWARD, f, i, w)
        kit.check_equals_reference(BACKWARD, g, i, w, f.shape[1])


@pytest.mark.parametrize("b", [1, 3])
def test_determinism_and_layout(b):
    features, near, grad = problem(b, 20, 2000, 70)
    weights = inverse_distance_weights(*near)
    for op, args in (
        (FORWARD, (features, near.index, weights)),
        (BACKWARD, (grad, near.index, weights, 20)),
    ):
        kit.check_deterministic(op, *args)
        kit.check_layouts(op, *args)


def test_registration():
    features, near, grad = problem(2, 5, 6, 3)
    weights = inverse_distance_weights(*near)
    kit.check_registration(FORWARD, features.requires_grad_(), near.index, weights)
    kit.check_registration(BACKWARD, grad.requires_grad_(), near.index, weights, 5)


def test_an_index_beyond_the_rows_is_named():
    features, near, _ = problem(1, 5, 6, 3)
    with pytest.raises(IndexError, match="index must be below the 4 rows"):
        interpolate(features[:, :4], Neighbours(near.dist2, near.index.clamp(min=4)))


def test_inside_a_forked_worker():
    features, near, _ = problem(2, 20, 2000, 70)
    kit.check_in_forked_worker(lambda: interpolate(features, near))

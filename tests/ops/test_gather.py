"""Gather: rows by index, and its adjoint."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gestalt3d.ops import gather as module
from gestalt3d.ops.gather import gather, gather_reference, scatter_add_reference
from tests.ops import kit

GATHER = kit.Op(gather, gather_reference, module._gather)
SCATTER = kit.Op(module._scatter_add, scatter_add_reference, module._scatter_add)


def rows(b: int, n: int, m: int, c: int, dtype: torch.dtype = torch.float32, seed: int = 0):
    """Features, indices with padding, and values for the way back."""
    random = torch.Generator().manual_seed(seed)
    features = torch.randn(b, n, c, generator=random).to(dtype)
    values = torch.randn(b, m, c, generator=random).to(dtype)
    return features, torch.randint(-1, n, (b, m), generator=random), values


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 50, 300, 7), (3, 9, 1000, 67), (1, 40, 500, 129)])
def test_kernels_are_the_references(shape, dtype):
    features, index, values = rows(*shape, dtype)
    kit.check_equals_reference(GATHER, features, index)
    kit.check_equals_reference(SCATTER, values, index, shape[1])


def test_index_may_have_two_or_three_dimensions():
    features, index, _ = rows(2, 10, 12, 5)
    grid = index.view(2, 4, 3)
    assert torch.equal(gather(features, grid), gather(features, index).view(2, 4, 3, 5))
    for b, i, j in ((0, 0, 0), (1, 3, 2)):
        expected = features[b, grid[b, i, j]] if grid[b, i, j] >= 0 else torch.zeros(5)
        assert torch.equal(gather(features, grid)[b, i, j], expected)


def test_int32_indices_are_welcome():
    features, index, _ = rows(2, 10, 12, 5)
    assert torch.equal(gather(features, index.int()), gather(features, index))


def test_padding_is_zero_even_beside_nan():
    features = torch.full((1, 2, 3), torch.nan)
    assert not gather(features, torch.tensor([[-1, -1]])).any()


@kit.quick()
@given(st.integers(1, 3), st.integers(1, 20), st.integers(0, 40), st.integers(1, 40), st.integers(0, 2**16))
def test_the_backward_is_the_adjoint(b, n, m, c, seed):
    features, index, values = rows(b, n, m, c, torch.float64, seed)
    there = (gather(features, index) * values).sum()
    back = (features * module._scatter_add(values, index, n)).sum()
    torch.testing.assert_close(there, back, rtol=1e-12, atol=1e-12)


def test_gradients():
    features, index, _ = rows(2, 4, 6, 3)
    kit.check_gradients(lambda f: gather(f, index.view(2, 3, 2)), features)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_backward_is_rounded_once(dtype):
    """A thousand halves of a unit in the last place do not vanish in bfloat16."""
    features = torch.zeros(1, 1, 8, dtype=dtype, requires_grad=True)
    picked = gather(features, torch.zeros(1, 1001, dtype=torch.int64))
    weights = torch.full((1001, 1), 2.0**-9, dtype=dtype)
    weights[0] = 1
    picked.backward(weights.expand_as(picked))
    assert features.grad is not None and features.grad.dtype == dtype
    expected = torch.tensor(1 + 1000 * 2.0**-9).to(dtype)
    assert (features.grad == expected).all()


def test_bfloat16_under_autocast_trains():
    layer = torch.nn.Linear(3, 4)
    index = torch.tensor([[0, 0, 1, -1]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = gather(layer(torch.ones(1, 2, 3)), index)
    assert out.dtype == torch.bfloat16
    out.float().sum().backward()
    torch.testing.assert_close(layer.weight.grad, torch.full((4, 3), 3.0))


def test_emptiness():
    features, index, values = rows(2, 5, 6, 3)
    for f, i, v in (
        (features, index[:, :0], values[:, :0]),
        (features[:0], index[:0], values[:0]),
        (features[..., :0], index, values[..., :0]),
        (features[:, :0], torch.full_like(index, -1), values),
    ):
        kit.check_equals_reference(GATHER, f, i)
        kit.check_equals_reference(SCATTER, v, i, f.shape[1])


def test_an_index_beyond_the_rows_is_named():
    features, index, values = rows(1, 5, 6, 3)
    index[0, 2] = 5
    with pytest.raises(IndexError, match="index must be below the 5 rows of features, got 5"):
        gather(features, index)
    with pytest.raises(IndexError, match="index must be below"):
        module._scatter_add(values, index, 5)


@pytest.mark.parametrize("b", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_determinism_layout_registration(b, dtype):
    features, index, values = rows(b, 20, 3000, 70, dtype)
    for op, args in ((GATHER, (features, index)), (SCATTER, (values, index, 20))):
        kit.check_deterministic(op, *args)
        kit.check_layouts(op, *args)


def test_registration():
    features, index, values = rows(2, 5, 6, 3)
    kit.check_registration(GATHER, features.requires_grad_(), index)
    kit.check_registration(SCATTER, values.requires_grad_(), index, 5)


def test_inside_a_forked_worker():
    features, index, values = rows(2, 20, 3000, 70)
    kit.check_in_forked_worker(lambda: (gather(features, index), module._scatter_add(values, index, 20)))

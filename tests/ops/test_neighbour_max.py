"""Maximum over neighbours: the plain definition, its gradient, ties and missing neighbours."""

import pytest
import torch

from gestalt3d.ops.neighbour_max import (
    _group_max,
    _neighbour_max,
    group_max,
    group_max_reference,
    neighbour_max,
    neighbour_max_reference,
)
from tests.ops import kit

GATHERED = kit.Op(torch.ops.gestalt3d.neighbour_max, neighbour_max_reference, _neighbour_max)
GROUPED = kit.Op(torch.ops.gestalt3d.group_max, group_max_reference, _group_max)


def case(
    b: int = 2, n: int = 30, m: int = 20, k: int = 5, c: int = 7, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Small whole numbers, full of ties; a third of the neighbours are missing."""
    g = torch.Generator().manual_seed(seed)
    features = torch.randint(-4, 5, (b, n, c), generator=g).float()
    index = torch.randint(0, n, (b, m, k), generator=g)
    return features, index.masked_fill(torch.rand(b, m, k, generator=g) < 0.3, -1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_agrees_with_the_definition(dtype: torch.dtype) -> None:
    features, index = case()
    kit.check_equals_reference(GATHERED, features.to(dtype), index)
    kit.check_equals_reference(GROUPED, features.to(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_first_nan_is_the_maximum(dtype: torch.dtype) -> None:
    for seed in range(10):
        features, index = case(seed=seed)
        rng = torch.Generator().manual_seed(seed)
        features[torch.rand(features.shape, generator=rng) < 0.1] = torch.nan
        features[torch.rand(features.shape, generator=rng) < 0.1] = -torch.nan
        features = features.to(dtype)
        kit.check_equals_reference(GATHERED, features, index)
        kit.check_equals_reference(GROUPED, features)
        assert torch.equal(group_max(features).isnan(), features.isnan().any(1))


def test_is_deterministic_and_ignores_memory_layout() -> None:
    features, index = case(b=3, n=300, m=500, k=9, c=40)
    for op, args in ((GATHERED, (features, index)), (GROUPED, (features,))):
        kit.check_deterministic(op, *args)
        kit.check_layouts(op, *args)


def test_backward_is_deterministic() -> None:
    features, index = case(b=1, n=200, m=700, k=9, c=70)
    grad = torch.randn(1, 700, 70)
    which = neighbour_max_reference(features, index)[1]
    backward = torch.ops.gestalt3d.neighbour_max_backward
    kit.check_deterministic(kit.Op(backward, backward), grad, index, which, 200)


def test_gradients() -> None:
    _, index = case(1, 8, 6, 3, 2)
    distinct = (
        torch.randperm(16, generator=torch.Generator().manual_seed(0)).double().view(1, 8, 2).requires_grad_()
    )
    assert torch.autograd.gradcheck(lambda f: neighbour_max(f, index), distinct)
    assert torch.autograd.gradcheck(group_max, distinct)


def test_registration() -> None:
    features, index = case(1, 8, 6, 3, 2)
    kit.check_registration(GATHERED, features.requires_grad_(), index)
    kit.check_registration(GROUPED, features.detach().requires_grad_())


def test_gradient_goes_to_the_first_of_equals() -> None:
    features = torch.zeros(1, 3, 1, requires_grad=True)
    neighbour_max(features, torch.tensor([[[2, 1, 0]]])).sum().backward()
    assert features.grad is not None
    assert features.grad.flatten().tolist() == [0.0, 0.0, 1.0]


def test_bfloat16_gradients_sum_in_float32() -> None:
    features = torch.zeros(1, 1, 1, dtype=torch.bfloat16, requires_grad=True)
    neighbour_max(features, torch.zeros(1, 600, 1, dtype=torch.int64)).sum().backward()
    assert features.grad is not None
    assert float(features.grad) == 600  # bfloat16 would stall at 256


@pytest.mark.parametrize(("b", "n", "m", "k"), [(1, 0, 3, 2), (1, 4, 0, 2), (1, 4, 3, 0), (2, 1, 1, 1)])
def test_empty_inputs(b: int, n: int, m: int, k: int) -> None:
    features = torch.ones(b, n, 2, requires_grad=True)
    index = torch.zeros(b, m, k, dtype=torch.int64) if n else torch.full((b, m, k), -1)
    found = neighbour_max(features, index)
    assert found.shape == (b, m, 2)
    assert bool((found == (1 if n and k else 0)).all())
    found.sum().backward()


def test_rows_without_neighbours_are_zero() -> None:
    assert neighbour_max(torch.full((1, 2, 1), -5.0), torch.full((1, 1, 2), -1)).item() == 0


def test_an_empty_group_is_refused() -> None:
    with pytest.raises(ValueError, match="k = 0"):
        group_max(torch.zeros(2, 0, 3))


def test_an_index_beyond_the_features_is_refused() -> None:
    with pytest.raises(IndexError, match="below the 3 rows"):
        neighbour_max(torch.zeros(1, 3, 1), torch.tensor([[[3]]]))

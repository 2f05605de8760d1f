"""Eq. 2-4 against the formulas written out as loops, gradients, and what takes no part."""

import itertools

import pytest
import torch
from torch import Tensor

from gestalt3d.losses.embedding import discriminative_loss


def by_hand(e: Tensor, ids: Tensor, norm: int) -> tuple[float, float, float]:
    def length(v: Tensor) -> float:
        return float(torch.linalg.vector_norm(v, ord=norm))

    mu = {i: e[ids == i].mean(0) for i in set(ids.tolist()) if i >= 0}
    count = len(mu)
    pull = [
        sum(max(length(m - x) - 0.5, 0) ** 2 for x in e[ids == i]) / int((ids == i).sum())
        for i, m in mu.items()
    ]
    push = [max(3.0 - length(mu[a] - mu[b]), 0) ** 2 for a, b in itertools.permutations(mu, 2)]
    size = [length(m) for m in mu.values()]
    return sum(pull) / max(count, 1), sum(push) / max(count * (count - 1), 1), sum(size) / max(count, 1)


@pytest.mark.parametrize("norm", [1, 2])
def test_is_the_mean_over_scenes_of_the_papers_formulas(norm: int) -> None:
    torch.manual_seed(0)
    e = torch.randn(4, 40, 5, dtype=torch.float64)
    # Five instances, gaps in the numbering, one instance, none.
    ids = torch.stack(
        [torch.randint(-1, 5, (40,)), torch.randint(0, 3, (40,)) * 2, torch.zeros(40), -torch.ones(40)]
    )
    ids = ids.long()
    expected = torch.tensor(
        [by_hand(*scene, norm) for scene in zip(e, ids, strict=True)], dtype=torch.float64
    ).mean(0)
    found = torch.stack(discriminative_loss(e, ids, norm=norm))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("norm", [1, 2])
def test_gradients(norm: int) -> None:
    torch.manual_seed(1)
    e = torch.randn(2, 12, 3, dtype=torch.float64, requires_grad=True)
    ids = torch.randint(-1, 3, (2, 12))
    assert torch.autograd.gradcheck(lambda x: torch.stack(discriminative_loss(x, ids, norm=norm)), e)


def test_the_order_of_points_does_not_matter() -> None:
    torch.manual_seed(2)
    e, ids, order = torch.randn(1, 50, 5), torch.randint(-1, 4, (1, 50)), torch.randperm(50)
    one, other = discriminative_loss(e, ids), discriminative_loss(e[:, order], ids[:, order])
    torch.testing.assert_close(torch.stack(one), torch.stack(other))


def test_perfect_embeddings_cost_only_their_size() -> None:
    ids = torch.arange(3).repeat_interleave(10)[None]
    e = torch.eye(3)[ids] * 1.5  # centres 3 apart in L1, points on them
    variance, distance, regularisation = discriminative_loss(e, ids)
    assert float(variance) == float(distance) == 0
    assert float(regularisation) == 1.5


def test_gradient_is_finite_where_all_embeddings_agree() -> None:
    for norm in (1, 2):
        e = torch.zeros(1, 8, 5, requires_grad=True)
        torch.stack(discriminative_loss(e, torch.arange(8)[None] % 3, norm=norm)).sum().backward()
        assert e.grad is not None and bool(torch.isfinite(e.grad).all())


def test_without_instances_zero_with_a_gradient() -> None:
    e = torch.randn(2, 5, 3, requires_grad=True)
    total = torch.stack(discriminative_loss(e, torch.full((2, 5), -1))).sum()
    total.backward()
    assert float(total.detach()) == 0 and e.grad is not None


def test_float32_under_autocast() -> None:
    e, ids = torch.randn(1, 20, 5), torch.randint(0, 3, (1, 20))
    with torch.autocast("cpu", torch.bfloat16):
        inside = discriminative_loss(e, ids)
    assert torch.equal(torch.stack(inside), torch.stack(discriminative_loss(e, ids)))

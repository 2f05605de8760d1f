"""Distances between Gaussians, against torch's own distributions."""

import pytest
import torch
from torch.distributions import Normal
from torch.distributions import kl_divergence as torchs

from gestalt3d.losses.variational import Gaussian, kl_divergence


def gaussian(seed: int) -> Gaussian:
    g = torch.Generator().manual_seed(seed)
    return Gaussian(torch.randn(4, 6, generator=g), torch.randn(4, 6, generator=g))


def normal(given: Gaussian) -> Normal:
    return Normal(given.mean, (0.5 * given.log_variance).exp())


def test_both_directions_are_torchs() -> None:
    proposal, prior = gaussian(0), gaussian(1)
    printed = torchs(normal(prior), normal(proposal)).sum(-1)
    bound = torchs(normal(proposal), normal(prior)).sum(-1)
    torch.testing.assert_close(kl_divergence(proposal, prior), printed)
    torch.testing.assert_close(kl_divergence(proposal, prior, direction="bound"), bound)
    assert not torch.allclose(printed, bound)


def test_printed_is_equation_2() -> None:
    proposal, prior = gaussian(2), gaussian(3)
    mean_q, sigma_q = proposal.mean, (0.5 * proposal.log_variance).exp()
    mean_p, sigma_p = prior.mean, (0.5 * prior.log_variance).exp()
    written = (sigma_q / sigma_p).log() + (sigma_p**2 + (mean_p - mean_q) ** 2) / (2 * sigma_q**2) - 0.5
    torch.testing.assert_close(kl_divergence(proposal, prior), written.sum(-1))


def test_the_same_distribution_is_at_no_distance_and_pulls_nowhere() -> None:
    same = gaussian(4)
    mean = same.mean.clone().requires_grad_()
    distance = kl_divergence(Gaussian(mean, same.log_variance), same)
    assert distance.tolist() == pytest.approx([0.0] * 4, abs=1e-6)
    (gradient,) = torch.autograd.grad(distance.sum(), mean)
    torch.testing.assert_close(gradient, torch.zeros_like(mean))


def test_draws_have_the_mean_and_the_deviation() -> None:
    given = Gaussian(torch.full((20_000, 1), 3.0), torch.full((20_000, 1), 1.0))
    drawn = given.sample(torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0)))
    deviation = float(torch.tensor(0.5).exp())
    assert float(drawn.mean()) == pytest.approx(3.0, abs=5 * deviation / 20_000**0.5)
    assert float(drawn.std()) == pytest.approx(deviation, rel=0.03)

"""Losses of networks that draw from a distribution they predict."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Gaussian(NamedTuple):
    """Independent in every channel."""

    mean: Float[Tensor, "*n z"]
    log_variance: Float[Tensor, "*n z"]

    def sample(self, noise: Float[Tensor, "*n z"]) -> Float[Tensor, "*n z"]:
        """The draw that belongs to `noise` of mean 0 and variance 1; gradients reach mean and variance."""
        return self.mean + noise * (0.5 * self.log_variance).exp()


def kl_divergence(
    proposal: Gaussian, prior: Gaussian, *, direction: Literal["printed", "bound"] = "printed"
) -> Float[Tensor, "*n"]:
    """How far the two distributions are from each other, in nats, summed over channels; 0 where they are the same.

    "printed" is GSPN's Eq. 2, with primes for the proposal (mu', sigma'): log(sigma'/sigma) + (sigma^2 + (mu - mu')^2) / (2
    sigma'^2) - 1/2, which is KL(prior || proposal). "bound" is KL(proposal || prior), the term of the variational bound, Eq. 1.
    In float32 also under autocast.
    """
    one, other = (prior, proposal) if direction == "printed" else (proposal, prior)
    with torch.autocast(one.mean.device.type, enabled=False):
        (mean_a, log_a), (mean_b, log_b) = ((g.mean.float(), g.log_variance.float()) for g in (one, other))
        apart = (log_a.exp() + (mean_a - mean_b).square()) * (-log_b).exp()
        return (0.5 * (log_b - log_a + apart - 1)).sum(-1)  # Eq. 2

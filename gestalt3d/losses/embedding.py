"""Losses that shape an embedding space: pull each instance together, push instances apart."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


class EmbeddingTerms(NamedTuple):
    variance: Float[Tensor, ""]
    distance: Float[Tensor, ""]
    regularisation: Float[Tensor, ""]


def discriminative_loss(
    embedding: Float[Tensor, "b n e"],
    instances: Int[Tensor, "b n"],
    *,
    delta_var: float = 0.5,
    delta_dist: float = 1.5,
    norm: int = 1,
) -> EmbeddingTerms:
    """ASIS Eq. 2-4 (`norm=1`), MTML Eq. 2-4 (`norm=2`), unweighted: one scene per row, the mean over rows.

    Ids are small and start at 0; points with a negative id take no part. A row with one instance has
    nothing to push apart, a row without instances contributes zeros. In float32 also under autocast.
    """
    with torch.autocast(embedding.device.type, enabled=False):
        embedding = embedding.float() if embedding.dtype != torch.float64 else embedding
        rows, width = len(embedding), int(instances.max()) + 1 if instances.numel() else 0
        if width <= 0:
            nothing = embedding.sum() * 0.0
            return EmbeddingTerms(nothing, nothing, nothing)
        # Row `b` owns the slots [b * (width + 1), …); its last slot collects the points that take no part.
        slot = torch.where(instances < 0, width, instances)
        slot = (slot + torch.arange(rows, device=slot.device)[:, None] * (width + 1)).flatten()

        def per_slot(values: Tensor) -> Tensor:
            total = values.new_zeros(rows * (width + 1), *values.shape[1:]).index_add(0, slot, values)
            return total.view(rows, width + 1, *values.shape[1:])

        flat = embedding.flatten(0, 1)
        points = per_slot(flat.new_ones(len(flat)))
        mu = per_slot(flat) / points.clamp(min=1)[..., None]
        spread = _norm(mu.flatten(0, 1).index_select(0, slot) - flat, norm)
        hinge = F.relu(spread - delta_var).square()
        pulled = (per_slot(hinge) / points.clamp(min=1))[:, :width]
        mu, present = mu[:, :width], points[:, :width] > 0
        number = present.sum(1)

        variance = _mean(torch.where(present, pulled, 0.0).sum(1), number)  # Eq. 2
        pair = present[:, :, None] & present[:, None] & ~torch.eye(width, dtype=torch.bool, device=mu.device)
        gap = _norm(mu[:, :, None] - mu[:, None], norm)
        pushed = F.relu(2 * delta_dist - gap).square()
        distance = _mean(torch.where(pair, pushed, 0.0).sum((1, 2)), number * (number - 1))  # Eq. 3
        regularisation = _mean(torch.where(present, _norm(mu, norm), 0.0).sum(1), number)  # Eq. 4
        return EmbeddingTerms(variance.mean(), distance.mean(), regularisation.mean())


def _mean(total: Tensor, number: Tensor) -> Tensor:
    return total / number.clamp(min=1)


def _norm(x: Tensor, p: int) -> Tensor:
    if p == 1:
        return x.abs().sum(-1)
    # The gradient of the square root at zero is infinite; torch's own norm gives zero there.
    return torch.linalg.vector_norm(x, dim=-1)

"""Loss of predicted classes."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def semantic_loss(
    logits: Float[Tensor, "*n c"], classes: Int[Tensor, "*n"], weights: Float[Tensor, "c"]
) -> Float[Tensor, ""]:
    """Mean cross entropy over the points with a class, weighted by class; zero when there are none."""
    known = (classes >= 0).sum()
    total = F.cross_entropy(
        logits.flatten(0, -2), classes.flatten().long(), weights, ignore_index=-1, reduction="sum"
    )
    return total / known.clamp(min=1)

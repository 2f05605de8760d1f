"""Loss of predicted classes, and weights that keep the rare ones from being forgotten."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def semantic_loss(
    logits: Float[Tensor, "*n c"], classes: Int[Tensor, "*n"], weights: Float[Tensor, "c"] | None = None
) -> Float[Tensor, ""]:
    """Mean cross entropy over the points with a class, weighted by class where there are weights; zero when there are none."""
    known = (classes >= 0).sum()
    total = F.cross_entropy(
        logits.flatten(0, -2), classes.flatten().long(), weights, ignore_index=-1, reduction="sum"
    )
    return total / known.clamp(min=1)


def class_weights(points: Float[Tensor, "c"], *, power: float) -> Float[Tensor, "c"]:
    """Frequency ** -power of classes with so many points, 1 in the mean over the points.

    A class without points counts like the rarest that has some.
    """
    seen = points.clamp(min=float(points[points > 0].min()) if bool(points.any()) else 1.0)
    weights = (seen / seen.sum()) ** -power
    return weights / ((weights * points).sum() / points.sum().clamp(min=1))

"""How often the classes are: weights that keep the rare ones from being forgotten."""

from jaxtyping import Float
from torch import Tensor


def class_weights(points: Float[Tensor, "c"], *, power: float) -> Float[Tensor, "c"]:
    """Frequency ** -power of classes with so many points, 1 in the mean over the points.

    A class without points counts like the rarest that has some.
    """
    seen = points.clamp(min=float(points[points > 0].min()) if bool(points.any()) else 1.0)
    weights = (seen / seen.sum()) ** -power
    return weights / ((weights * points).sum() / points.sum().clamp(min=1))

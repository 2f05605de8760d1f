"""Labels without gaps."""

from jaxtyping import Int
from torch import Tensor


def renumbered(labels: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
    """The labels counted from 0 in their order, int64; those below 0 become -1."""
    ids, index = labels.clamp(min=-1).unique(return_inverse=True)
    return index - int((ids < 0).sum())

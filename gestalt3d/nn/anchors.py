"""Boxes of typical objects, which proposals start from: those of Deep Sliding Shapes (Song and Xiao, CVPR 2016)."""

import itertools
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

_SQUARE = (
    (0.5, 0.5, 0.2), (0.3, 0.3, 0.5), (0.55, 0.55, 0.65), (1.25, 1.25, 0.75), (2.0, 2.0, 0.95), (0.6, 0.6, 1.0),
    (0.95, 0.95, 0.9),
)  # fmt: skip
_OBLONG = (
    (0.6, 0.2, 0.4), (1.6, 0.8, 0.75), (1.2, 0.5, 0.8), (2.0, 1.5, 1.0), (0.7, 0.3, 1.1), (0.5, 0.25, 0.7),
)  # fmt: skip
DSS_ANCHORS: tuple[tuple[float, float, float], ...] = (
    *_SQUARE,
    *itertools.chain.from_iterable(((w, d, h), (d, w, h)) for w, d, h in _OBLONG),
)
"""Width, depth and height in metres of the nineteen: seven, and six in two directions each."""
DSS_SMALL = (0, 1, 7, 8)
"""Those that the branch with the smaller receptive field looks for."""

_SCALES = (0.3, 0.6, 1.2, 2.0)
_ASPECTS = ((1.0, 1.0, 1.0), (1.4, 0.7, 1.0), (0.7, 1.4, 1.0))
GRID_ANCHORS: tuple[tuple[float, float, float], ...] = tuple(
    (s * w, s * d, s * h) for s in _SCALES for w, d, h in _ASPECTS
)
"""Four scales by three aspect ratios, which is what the text of A3IS-CNN says beside its nineteen."""
GRID_SMALL = (0, 1, 2)

Kind = Literal["dss", "grid4x3"]


def anchor_sizes(kind: Kind, *, small: bool) -> Float[Tensor, "a 3"]:
    """Sizes in metres, of the small group or of all others."""
    sizes, group = (DSS_ANCHORS, DSS_SMALL) if kind == "dss" else (GRID_ANCHORS, GRID_SMALL)
    return torch.tensor([size for i, size in enumerate(sizes) if (i in group) == small])

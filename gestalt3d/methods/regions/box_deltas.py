"""Better boxes as differences from given ones (Ren et al., "Faster R-CNN", NeurIPS 2015), along three axes."""

import torch
from jaxtyping import Float
from torch import Tensor

_UNITS = torch.tensor([0.1, 0.1, 0.1, 0.2, 0.2, 0.2])
"""Usual size of a difference, by which it is divided (the authors of GSPN: `BBOX_STD_DEV`)."""
_LEAST = 0.02
"""Sides in metres below which boxes count as so long."""
_MOST_GROWTH = 1.5
"""Largest logarithm of a change of size; no network may make a box without end."""


def box_deltas(boxes: Float[Tensor, "n 6"], truth: Float[Tensor, "n 6"]) -> Float[Tensor, "n 6"]:
    """What leads from boxes, centre and size, to the true ones: shift in sizes, logarithm of the growth, in usual units."""
    size, wanted = boxes[:, 3:].clamp(min=_LEAST), truth[:, 3:].clamp(min=_LEAST)
    found = torch.cat([(truth[:, :3] - boxes[:, :3]) / size, (wanted / size).log()], dim=1)
    return found / _UNITS.to(found)


def changed_boxes(boxes: Float[Tensor, "n 6"], deltas: Float[Tensor, "n 6"]) -> Float[Tensor, "n 6"]:
    """The boxes to which `box_deltas` lead."""
    size, by = boxes[:, 3:].clamp(min=_LEAST), deltas * _UNITS.to(deltas)
    growth = by[:, 3:].clamp(-_MOST_GROWTH, _MOST_GROWTH).exp()
    return torch.cat([boxes[:, :3] + by[:, :3] * size, size * growth], dim=1)

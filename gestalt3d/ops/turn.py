"""Turns about the vertical."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def turn_matrix(angle: float) -> Float[Tensor, "3 3"]:
    """`points @ turn_matrix(angle).T` are points turned by `angle` radians about z, counter-clockwise from above; float64."""
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)

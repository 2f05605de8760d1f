"""Vessels: sailing boats, cargo ships, warships, motor boats, rowing boats, tugs. Bow at -y."""

import numpy as np

from gestalt3d.synth.objects.boats import motor_boat, rowing_boat, sailing_boat
from gestalt3d.synth.objects.ships import cargo_ship, tug, warship
from gestalt3d.synth.shapes import Shape

_KINDS = (sailing_boat, cargo_ship, warship, motor_boat, rowing_boat, tug)


def vessel(rng: np.random.Generator) -> Shape:
    """One vessel; metres are roughly right."""
    return _KINDS[int(rng.choice(6, p=(0.26, 0.2, 0.17, 0.2, 0.09, 0.08)))](rng)

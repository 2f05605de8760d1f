"""Metres from the numbers of a depth image, whose unit files do not say: what they look like tells."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32, Num

from gestalt3d.errors import UserError
from gestalt3d.io.frame import UNITS
from gestalt3d.io.kinect_dump import are_codes, metres_of_codes

_FAR = 4000
"""As millimetres a median that most depth cameras do not reach."""
_FEWEST_DEPTHS = 20


def metres(
    path: Path, stored: Num[np.ndarray, "h w"], units: str | None
) -> tuple[Float32[np.ndarray, "h w"], list[str]]:
    """0 where the depth is not known, and what was assumed. `UserError` where it is known nowhere."""
    nothing = UserError(f"{path}: has no pixel with a depth; save the depth image again")
    known_depth = np.isfinite(stored) & (stored > 0)
    values = stored[known_depth]
    if not len(values):
        raise nothing
    what = f"depth of {path.name}"
    if units is not None:
        scale, note = UNITS[units], []
    elif stored.dtype.kind == "f":
        scale, note = 1.0, [f"{what} taken for metres"]
    elif path.suffix.lower() == ".pgm" and are_codes(values):
        stored, known_depth = metres_of_codes(stored)
        scale = 1.0
        note = [
            f"{what} taken for NYUv2's raw codes of a Kinect, which lie beside what the colour image shows"
        ]
        if not known_depth.any():
            raise nothing
    elif _are_rotated(values):
        stored = (stored.astype(np.uint16) >> 3) | (stored.astype(np.uint16) << 13)
        scale, note = UNITS["mm"], [f"{what} taken for SUN RGB-D's millimetres, turned by three bits"]
    elif _are_fifths(values):
        scale, note = 1 / 5000, [f"{what} taken for steps of 0.2 mm, as TUM's"]
    else:
        scale, note = UNITS["mm"], [f"{what} taken for millimetres"]
    depth = np.where(known_depth, stored.astype(np.float64) * scale, 0.0).astype(np.float32)
    low, high = np.percentile(depth[known_depth], [1, 99])
    return depth, [f"{n}, {low:.2f} to {high:.2f} m (--units overrules)" for n in note]


def _are_rotated(values: np.ndarray) -> bool:
    """SUN RGB-D's way: the three highest bits of the millimetres stand lowest, and are 0 or 1 in rooms."""
    return _are_odd_units(values) and float(np.mean(values & 7 <= 1)) > 0.99


def _are_fifths(values: np.ndarray) -> bool:
    """TUM's way: whole millimetres times five."""
    return _are_odd_units(values) and float(np.mean(values % 5 == 0)) > 0.99


def _are_odd_units(values: np.ndarray) -> bool:
    some = values[:: max(1, len(values) // 100_000)]
    return float(np.median(some)) > _FAR and len(np.unique(some)) > _FEWEST_DEPTHS

"""Which points stand between an eye outside a room and the things inside: the ceiling and the nearest walls.

A point's code is one byte: 0 stays, `CEILING` hides from above, `WALL` and above hide from behind. A wall's
back is the side without floor: where the ground around it is covered on one side only, there is the room.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import binary_dilation, correlate1d

from gestalt3d.structures.vocabulary import Vocabulary
from gestalt3d.viewer.viewpoint import Viewpoint

CEILING = 1
WALL = 2
"""Codes from here to 255: the azimuth in which the room lies, in 254 steps."""

_ROOF = {"ceiling", "beam"}
_IN_WALLS = {
    "wall",
    "column",
    "window",
    "door",
    "board",
    "whiteboard",
    "picture",
    "curtain",
    "blinds",
    "mirror",
}
_LOWEST_ROOM = 1.6
"""Metres; lower scans (a table top) have no geometric ceiling and no geometric walls."""
_LEVELS = 16


class _Ground(NamedTuple):
    """The scan seen from above, in square cells."""

    cell: np.ndarray
    """(n,) flat cell of each point."""
    shape: tuple[int, int]
    size: float
    filled: np.ndarray
    """Per cell, the share of the height's levels that hold points."""
    upper: np.ndarray
    """The same of the levels above the middle but for the two highest, where a ceiling may be: walls seen in part."""
    top: np.ndarray
    """Per cell, height of the highest point; -inf where empty."""
    bottom: np.ndarray


def cutaway_codes(
    points: np.ndarray, classes: np.ndarray, vocabulary: Vocabulary, bounds: np.ndarray
) -> np.ndarray:
    """(n,) uint8 for points (n, 3) with classes (n,), -1 unknown; `bounds` (2, 3) without strays."""
    codes = np.zeros(len(points), dtype=np.uint8)
    names = [name.lower() for name in vocabulary.names]
    roof = np.array([name in _ROOF for name in names] + [False])[classes]
    in_wall = np.array([name in _IN_WALLS for name in names] + [False])[classes]
    unknown = classes < 0
    if len(points) < 100 or not (roof.any() or in_wall.any() or unknown.any()):
        return codes
    ground = _ground(points, bounds)
    tall = bool(bounds[1, 2] - bounds[0, 2] >= _LOWEST_ROOM)
    towards = _room_side(ground)
    azimuth = towards[ground.cell]
    upright = ((ground.filled >= 0.5) | (ground.upper >= 0.5)).reshape(ground.shape)
    near_upright = np.asarray(binary_dilation(upright), dtype=bool).ravel()[ground.cell]
    candidate = in_wall | (near_upright & unknown & tall)
    wall = np.logical_and(np.isfinite(azimuth), candidate)
    steps = np.rint(np.nan_to_num(azimuth) / (2 * np.pi) * 254).astype(np.int64) % 254
    codes[wall] = (WALL + steps[wall]).astype(np.uint8)
    codes[roof] = CEILING
    if tall and (height := _ceiling_height(ground, bounds)) is not None:
        codes[points[:, 2] > height] = CEILING
    return codes


def hidden_from(codes: np.ndarray, viewpoint: Viewpoint) -> np.ndarray:
    """(n,) bool: points cut away for an eye far outside."""
    azimuth = (np.arange(256) - WALL) * (2 * np.pi / 254)
    hides = np.cos(azimuth - np.deg2rad(viewpoint.azimuth)) < -0.03
    hides[:WALL] = (False, viewpoint.elevation > 0)
    return hides[codes]


def _ground(points: np.ndarray, bounds: np.ndarray) -> _Ground:
    low, extent = bounds[0], np.maximum(bounds[1] - bounds[0], 1e-6)
    size = max(min(extent[:2].max() / 100, 0.15), extent[:2].max() / 1500)
    width, depth = (int(e / size) + 3 for e in extent[:2])
    ij = np.clip(((points[:, :2] - low[:2]) / size).astype(np.int64) + 1, 0, (width - 1, depth - 1))
    cell = ij[:, 0] * depth + ij[:, 1]
    level = np.clip((points[:, 2] - low[2]) / extent[2] * _LEVELS, 0, _LEVELS - 1).astype(np.int64)
    occupied = np.zeros(width * depth * _LEVELS, dtype=bool)
    occupied[cell * _LEVELS + level] = True
    top = np.full(width * depth, -np.inf)
    bottom = np.full(width * depth, np.inf)
    np.maximum.at(top, cell, points[:, 2])
    np.minimum.at(bottom, cell, points[:, 2])
    levels = occupied.reshape(-1, _LEVELS)
    upper = levels[:, _LEVELS // 2 : -2].mean(1)
    return _Ground(cell, (width, depth), size, levels.mean(1), upper, top, bottom)


def _room_side(ground: _Ground) -> np.ndarray:
    """Per cell, the azimuth in [0, 2 pi) of covered, open ground; NaN where it lies all around or nowhere."""
    # Ground that is covered but not upright, seen through a square window of about a metre.
    open_ground = (
        np.logical_and(np.isfinite(ground.top), ground.filled < 0.4).reshape(ground.shape).astype(np.float64)
    )
    reach = max(4, round(0.6 / ground.size)) if ground.size < 0.15 else 4
    reach = min(reach, max(ground.shape))
    ramp, flat = np.arange(-reach, reach + 1.0), np.ones(2 * reach + 1)
    mass = correlate1d(correlate1d(open_ground, flat, 0, mode="constant"), flat, 1, mode="constant")
    x = correlate1d(correlate1d(open_ground, ramp, 0, mode="constant"), flat, 1, mode="constant")
    y = correlate1d(correlate1d(open_ground, flat, 0, mode="constant"), ramp, 1, mode="constant")
    # A wall with the room on one side has its covered ground half a window away; one between rooms has none.
    one_sided = np.hypot(x, y) > 0.18 * reach * np.maximum(mass, 1e-9)
    return np.where(one_sided & (mass > 0.5), np.arctan2(y, x) % (2 * np.pi), np.nan).ravel()


def _ceiling_height(ground: _Ground, bounds: np.ndarray) -> float | None:
    """Lower side of the slab in which much of the ground has its highest point, with things far below."""
    low, high = bounds[:, 2]
    covered = np.isfinite(ground.top)
    top = ground.top[covered]
    has_below = ground.bottom[covered] < low + 0.5 * (high - low)
    edges = np.arange(low + 0.55 * (high - low), high + 0.3, 0.05)
    if len(edges) < 6:
        return None
    count = np.histogram(top[has_below], edges)[0]
    slab = np.convolve(count, np.ones(5), mode="valid")
    best = int(slab.argmax())
    # Upright cells always reach up; a ceiling covers more ground than they do.
    upright = (ground.filled[covered] >= 0.5).sum()
    if slab[best] < 0.3 * len(top) or slab[best] < 2 * upright:
        return None
    return float(edges[best]) - 0.03

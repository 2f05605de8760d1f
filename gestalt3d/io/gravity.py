"""Which way is up in what a camera sees: what stands in rooms is level or upright.

Gupta, Arbeláez, Malik, "Perceptual Organization and Recognition of Indoor Scenes from RGB-D Images" (CVPR 2013), find it from the
normals of surfaces: starting from a guess, those nearly level or nearly upright vote for a better one. From a level camera as
the guess this ends at the wrong wall as soon as the camera looks well down or is rolled. So here the guess is, of many
directions, the one by which most surfaces are floor, ceiling or wall, where a hand-held camera's usual tilt counts a little; its
lead over the others says how sure the answer is. Normals are of planes fitted to the inverse depth, which is linear over the
image of a plane, and whose noise is about the same near and far.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

_WINDOW, _ALONG_WIDTH = 24, 80
"""A normal is of a square as wide as one so manieth part of the image; so many lie side by side."""
_LEAST_KNOWN = 0.7
"""Share of a square's pixels whose depth is known."""
_EVEN = 0.015
"""Root of the mean square of what a square is off from its plane, as a share of its inverse depth; more is no plane."""
_FEWEST = 100
"""Normals that there must be."""
_SOME, _DIRECTIONS = 600, 1200
"""Normals that are looked at for the guess, and directions that are tried."""
_FARTHEST = 65
"""Degrees of these from the level camera's."""
_SPREAD = 6
"""Degrees by which normals are off."""
_FLOOR, _CEILING, _WALL = 32, 4, 8
"""How much likelier than any other one the normal of such a surface is."""
_COUNT = 16
"""Surfaces of an image that are independent of each other, about."""
_USUAL_DOWN, _DOWN_SPREAD, _ROLL_SPREAD = 20, 20, 6
"""Degrees by which cameras look down, normally distributed, and are rolled, of which a Cauchy distribution knows a lot, too."""
_ANGLES = (15, 15, 10, 10, 10)
"""Degrees, one turn after the other, within which a normal is level or upright and votes."""
_GUESS = 0.001
"""Share of the votes that the guess has, without its roll: it decides where a single wall leaves it open."""
_SAME = 12
"""Degrees from the answer within which directions say the same."""
_LEAST_SURE = 0.5


class Gravity(NamedTuple):
    """Which way is up, and how sure that is."""

    up: Float64[np.ndarray, "3"]
    """Unit vector in the frame of the camera: x right, y down, z ahead."""
    sure: float
    """From 0 to 1: the share that this direction and those near it have of all that would explain the surfaces."""

    @property
    def down(self) -> float:
        """Degrees by which the camera looks down."""
        return float(np.rad2deg(np.arcsin(np.clip(-self.up[2], -1, 1))))

    @property
    def roll(self) -> float:
        """Degrees by which the camera is turned about its axis, clockwise as who holds it sees it."""
        return float(np.rad2deg(np.arctan2(-self.up[0], -self.up[1])))


def find_gravity(points: Float[np.ndarray, "h w 3"]) -> Gravity | None:
    """Up, within 65 degrees of -y, in points of the pixels with x right, y down and z ahead.

    `points` are 0 where the depth is not known. None where too little is even or no direction stands out.
    """
    normals = _normals(points)
    if len(normals) < _FEWEST:
        return None
    directions = _directions()
    likely = _COUNT * _explained(normals[:: -(-len(normals) // _SOME)], directions) + _usual(directions)
    up = _refined(normals, directions[likely.argmax()])
    share = np.exp(likely - likely.max())
    sure = float(share[directions @ up >= np.cos(np.deg2rad(_SAME))].sum() / share.sum())
    return Gravity(up, sure) if sure >= _LEAST_SURE else None


def upright_from(up: np.ndarray) -> np.ndarray:
    """(3, 3) the rotation from the camera's frame to a world with z along `up` in which the camera looks along y, up or down."""
    y = np.array([0.0, 0.0, 1.0]) - up[2] * up
    y /= np.linalg.norm(y)
    return np.stack([np.cross(y, up), y, up])


def _directions() -> Float64[np.ndarray, "k 3"]:
    """Evenly over the cap around -y."""
    i = np.arange(_DIRECTIONS) + 0.5
    along = 1 - i / _DIRECTIONS * (1 - np.cos(np.deg2rad(_FARTHEST)))
    around, across = i * np.pi * (3 - np.sqrt(5)), np.sqrt(1 - along**2)
    return np.stack([across * np.cos(around), -along, across * np.sin(around)], axis=1)


def _explained(
    normals: Float64[np.ndarray, "m 3"], directions: Float64[np.ndarray, "k 3"]
) -> Float64[np.ndarray, "k"]:
    """Mean logarithm of how likely the normals, which face the camera, are if a direction is up."""
    along, narrow = normals @ directions.T, 1 / np.deg2rad(_SPREAD) ** 2
    level = _FLOOR * np.exp(narrow * (along - 1)) + _CEILING * np.exp(-narrow * (along + 1))
    return np.log1p(level + _WALL * np.exp(-narrow / 2 * along**2)).mean(0)


def _usual(directions: Float64[np.ndarray, "k 3"]) -> Float64[np.ndarray, "k"]:
    """Logarithm of how often cameras are held so."""
    down = np.rad2deg(np.arcsin(-directions[:, 2]))
    roll = np.rad2deg(np.arctan2(directions[:, 0], -directions[:, 1]))
    return -(((down - _USUAL_DOWN) / _DOWN_SPREAD) ** 2) / 2 - np.log1p((roll / _ROLL_SPREAD) ** 2)


def _refined(
    normals: Float64[np.ndarray, "m 3"], guess: Float64[np.ndarray, "3"]
) -> Float64[np.ndarray, "3"]:
    """The direction most along the normals of what is level and most across those of what is upright."""
    up, plain = guess, guess * [0, 1, 1]
    vote = _GUESS * len(normals) * np.outer(plain, plain)
    for angle in np.deg2rad(_ANGLES):
        along = np.abs(normals @ up)
        level, upright = normals[along > np.cos(angle)], normals[along < np.sin(angle)]
        up = np.linalg.eigh(upright.T @ upright - level.T @ level - vote)[1][:, 0]
        up *= np.sign(up @ guess) or 1.0
    return up


def _normals(points: Float[np.ndarray, "h w 3"]) -> Float64[np.ndarray, "m 3"]:
    """Of planes in squares all over the image, towards the camera; those of squares that are not even are left out.

    Of a plane a x + b y + c z = 1, and so a x/z + b y/z + c is the inverse depth: least squares in sums over squares.
    """
    height, width = points.shape[:2]
    half = max(2, round(width / _WINDOW / 2))
    if min(height, width) < 2 * half:
        return np.zeros((0, 3))
    depth = points[..., 2].astype(np.float64)
    known = np.isfinite(depth) & (depth > 0)
    inverse = np.divide(1.0, depth, out=np.zeros_like(depth), where=known)
    x, y, one = points[..., 0] * inverse, points[..., 1] * inverse, known.astype(np.float64)
    step = max(1, width // _ALONG_WIDTH)
    rows, columns = (np.arange(half, side - half + 1, step) for side in (height, width))

    def total(values: np.ndarray) -> np.ndarray:
        """Over the square around each place of the grid."""
        table = np.zeros((height + 1, width + 1))
        table[1:, 1:] = np.where(known, values, 0).cumsum(0).cumsum(1)
        strips = table[rows + half] - table[rows - half]
        return strips[:, columns + half] - strips[:, columns - half]

    count = total(one)
    whole = count >= _LEAST_KNOWN * (2 * half) ** 2
    sides = (x, y, one)
    square = {
        (i, j): total(a * b)[whole]
        for i, a in enumerate(sides)
        for j, b in enumerate(sides) if i <= j
    }  # fmt: skip
    matrix = np.stack([square[min(i, j), max(i, j)] for i in range(3) for j in range(3)], axis=-1)
    right = np.stack([total(a * inverse)[whole] for a in sides], axis=-1)
    count = count[whole]
    # A touch of the diagonal: pixels in one row make no plane.
    matrix = matrix.reshape(-1, 3, 3) + 1e-12 * count[:, None, None] * np.eye(3)
    plane = np.linalg.solve(matrix, right[..., None])[..., 0]
    off = np.sqrt(np.maximum(total(inverse**2)[whole] - (plane * right).sum(1), 0) / count)
    lengths = np.linalg.norm(plane, axis=1)
    even = (off < _EVEN * right[:, 2] / count) & (lengths > 0)
    return -plane[even] / lengths[even, None]

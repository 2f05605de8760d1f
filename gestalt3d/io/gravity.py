"""Which way is up in what a camera sees: what stands in rooms is level or upright.

As in Gupta, Arbeláez, Malik, "Perceptual Organization and Recognition of Indoor Scenes from RGB-D Images" (CVPR 2013): surfaces
that by a first guess are level or upright to within a wide angle vote for a better one, then those within a narrow angle.
"""

import numpy as np

_ANGLES = (45, 45, 45, 45, 45, 15, 15, 15, 15, 15)
"""Degrees, one turn after the other."""
_NEAR = 10
"""Degrees: surfaces that agree with the answer."""
_FEWEST, _LEAST = 300, 0.25
"""Surfaces that there must be, and the share of them that must agree."""
_GUESS = 0.001
"""Surfaces that count for the first guess, as a share of all: they decide where a single wall leaves it open."""
_FARTHEST = 60
"""Degrees from the first guess."""
_ALONG_WIDTH = 160
"""Surfaces side by side."""
_JUMP = 0.1
"""Of the depth: more between the two sides of a surface is an edge."""


def find_gravity(points: np.ndarray) -> np.ndarray | None:
    """(3,) the unit vector that points up, near -y, in (h, w, 3) points of the pixels with x right, y down and z ahead.

    `points` are 0 where the depth is not known. None where too little is seen that agrees.
    """
    normals = _normals(points)
    if len(normals) < _FEWEST:
        return None
    up = np.array([0.0, -1.0, 0.0])
    guess = _GUESS * len(normals) * np.outer(up, up)
    for angle in np.deg2rad(_ANGLES):
        along = np.abs(normals @ up)
        level, upright = normals[along > np.cos(angle)], normals[along < np.sin(angle)]
        # The direction most along the normals of what is level and most across those of what is upright.
        up = np.linalg.eigh(upright.T @ upright - level.T @ level - guess)[1][:, 0]
        up *= -1 if up[1] > 0 else 1
    along = np.abs(normals @ up)
    near = np.deg2rad(_NEAR)
    agreeing = np.mean((along > np.cos(near)) | (along < np.sin(near)))
    return up if agreeing >= _LEAST and -up[1] >= np.cos(np.deg2rad(_FARTHEST)) else None


def upright_from(up: np.ndarray) -> np.ndarray:
    """(3, 3) the rotation from the camera's frame to a world with z along `up` in which the camera looks along y, up or down."""
    y = np.array([0.0, 0.0, 1.0]) - up[2] * up
    y /= np.linalg.norm(y)
    return np.stack([np.cross(y, up), y, up])


def _normals(points: np.ndarray) -> np.ndarray:
    """(m, 3) of surfaces all over the image, from the neighbours left, right, above and below."""
    height, width = points.shape[:2]
    step = max(1, width // _ALONG_WIDTH)
    reach = max(1, step // 2)

    def at(row: int, column: int) -> np.ndarray:
        rows = slice(reach + row, height - reach + row, step)
        return points[rows, reach + column : width - reach + column : step].astype(np.float64)

    left, right, above, below = at(0, -reach), at(0, reach), at(-reach, 0), at(reach, 0)
    depth = at(0, 0)[..., 2]
    is_whole = np.minimum.reduce([side[..., 2] for side in (left, right, above, below)]) > 0
    for one, other in ((left, right), (above, below)):
        is_whole &= np.abs(one[..., 2] - other[..., 2]) < _JUMP * depth
    normals = np.cross(right - left, below - above)[is_whole]
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return (normals / np.maximum(lengths, 1e-300))[lengths[:, 0] > 0]

"""Where the eye stands: directions, projection, and the side from which a room shows most."""

from typing import NamedTuple

import numpy as np

TAN_HALF_FOV = 0.35
"""Vertical; 39 degrees in all. The web page uses the same."""


class Viewpoint(NamedTuple):
    """Degrees around z from the x axis, and above the ground; the distance is such that everything fits."""

    azimuth: float
    elevation: float = 40.0
    zoom: float = 1.0


class Projection(NamedTuple):
    """Pixels (x right, y down) and distance in metres along the line of sight, one row per point."""

    x: np.ndarray
    y: np.ndarray
    depth: np.ndarray
    focal: float
    """Pixels per metre at a distance of one metre."""


def axes(viewpoint: Viewpoint) -> np.ndarray:
    """(3, 3) rows: right, up, towards the eye."""
    a, e = np.deg2rad(viewpoint.azimuth), np.deg2rad(viewpoint.elevation)
    right = (-np.sin(a), np.cos(a), 0.0)
    up = (-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e))
    back = (np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e))
    return np.array([right, up, back])


def project(
    points: np.ndarray, viewpoint: Viewpoint, size: tuple[int, int], fit_to: np.ndarray
) -> Projection:
    """Perspective into an image of `size` (width, height) that shows `fit_to` (m, 3) as large as can be."""
    width, height = size
    frame = axes(viewpoint)
    tan_x, tan_y = TAN_HALF_FOV * width / height, TAN_HALF_FOV
    centre = fit_to.mean(0, dtype=np.float64)
    u, v, w = ((fit_to - centre) @ frame.T).T
    right, left = (u / tan_x + w).max(), (w - u / tan_x).max()
    above, below = (v / tan_y + w).max(), (w - v / tan_y).max()
    # Each pair of frustum planes touches the points; the farther of the two eyes sees all of them.
    distance = max((right + left) / 2, (above + below) / 2, 1e-6) * 1.03 / viewpoint.zoom
    shift = np.array([tan_x * (right - left) / 2, tan_y * (above - below) / 2, 0.0])
    focal = height / (2 * tan_y)
    seen = ((points - centre.astype(points.dtype)) @ frame.T.astype(points.dtype)) - shift.astype(
        points.dtype
    )
    depth = distance - seen[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        x = width / 2 + focal * seen[:, 0] / depth
        y = height / 2 - focal * seen[:, 1] / depth
    return Projection(x, y, depth, focal)


def visible_value(projection: Projection, groups: np.ndarray, size: tuple[int, int]) -> float:
    """What an eye sees of the groups (n,): the sum of the roots of their pixels; group -1 counts a little."""
    width, height = size
    x, y = projection.x.astype(np.int64), projection.y.astype(np.int64)
    inside = (projection.depth > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    pixel, depth = (y * width + x)[inside], projection.depth[inside]
    far_to_near = np.argsort(-depth, kind="stable")
    image = np.full(width * height, -2, dtype=np.int64)
    image[pixel[far_to_near]] = groups[inside][far_to_near]
    pixels = np.bincount(image[image >= 0])
    return float(np.sqrt(pixels).sum() + 0.01 * (image == -1).sum())

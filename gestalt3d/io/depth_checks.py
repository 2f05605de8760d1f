"""What may be wrong with a depth image, its camera or its pose, in sentences; nothing is changed.

Depth along the ray in place of depth along the axis bends walls. Along a plane the inverse of the depth is linear over the image,
and that of the length of the ray once it is multiplied by the length of the ray to depth 1. Of that factor a power, 0 or 1, makes
planes of what is stored, and every even patch of the image estimates it.
"""

import math

import numpy as np
from jaxtyping import Float64

from gestalt3d.structures.camera import Camera

_PATCHES = 10
"""Patches begin at every so manieth part of the image, and are two of these wide and high."""
_ALONG_PATCH = 24
"""Pixels of it that are looked at, each way."""
_EVEN = 0.01
"""Root of the mean square of what a patch is off from its plane, as a share of the depth; more is no plane."""
_FEWEST = 6
"""Even patches that there must be."""
_NARROWEST, _WIDEST = 20.0, 120.0
"""Degrees across an image."""
_MOST_UNEQUAL = 1.5
"""Ratio of the focal lengths."""
_LEAST_SPAN, _MOST_SPAN = 0.05, 60.0
"""Metres."""
_BENT = (0.6, 1.5)
"""Powers that are those of rays; noise and bent things lead below."""
_UPSIDE_DOWN = -0.5
"""Of what points up in the image the part that points up in the world."""


def doubts(depth: np.ndarray, camera: Camera, *, has_pose: bool) -> list[str]:
    """Of a (h, w) depth in metres, 0 where it is not known, and its camera in a world with z up."""
    return [
        *_of_intrinsics(camera),
        *_of_span(depth, camera),
        *_of_rays(depth, camera),
        *(_of_pose(camera) if has_pose else ()),
    ]


def _of_intrinsics(camera: Camera) -> list[str]:
    (width, height), k = camera.size, camera.intrinsics
    angle = math.degrees(2 * math.atan(width / 2 / k[0, 0]))
    found = []
    if not _NARROWEST <= angle <= _WIDEST:
        found.append(
            f"by the intrinsics {angle:.0f} degrees fit across the image; are they those of this image?"
        )
    elif max(k[0, 0] / k[1, 1], k[1, 1] / k[0, 0]) > _MOST_UNEQUAL:
        found.append(f"focal lengths of {k[0, 0]:.0f} and {k[1, 1]:.0f} pixels; are the intrinsics in order?")
    if not (0 <= k[0, 2] < width and 0 <= k[1, 2] < height):
        found.append("by the intrinsics the camera looks past the image; are they those of this image?")
    return found


def _of_span(depth: np.ndarray, camera: Camera) -> list[str]:
    known = np.isfinite(depth) & (depth > 0)
    if not known.any():
        return []
    ends = np.percentile(camera.rays()[known] * depth[known][:, None], [1, 99], axis=0)
    longest = float(np.ptp(ends, axis=0).max())
    longest = max(longest, float(ends[1, 2]))
    if _LEAST_SPAN <= longest <= _MOST_SPAN:
        return []
    return [
        f"what it shows reaches over {longest:.3g} m; if that is wrong, say --units or mend the intrinsics"
    ]


def _of_rays(depth: np.ndarray, camera: Camera) -> list[str]:
    power = ray_power(depth, camera.intrinsics)
    if power is None or not _BENT[0] <= power <= _BENT[1]:
        return []
    return [
        "level surfaces are bent as if the depth were the length of the ray; if it is, divide it by that of (x, y, 1)"
    ]


def _of_pose(camera: Camera) -> list[str]:
    if -camera.world_from_camera[2, 1] >= _UPSIDE_DOWN:
        return []
    return ["by its pose the camera is upside down; if it is not, name the axis that points up with --up"]


def ray_power(depth: np.ndarray, intrinsics: Float64[np.ndarray, "3 3"]) -> float | None:
    """About 0 for depth along the axis, about 1 for the length of the ray; None where too little is even to tell."""
    height, width = depth.shape
    rays = Camera(intrinsics, np.eye(4), (width, height)).rays()
    powers, weights = [], []
    tall, wide = 2 * height // _PATCHES, 2 * width // _PATCHES
    for top in range(0, height - tall + 1, max(tall // 2, 1)):
        for left in range(0, width - wide + 1, max(wide // 2, 1)):
            rows = slice(top, top + tall, max(1, tall // _ALONG_PATCH))
            columns = slice(left, left + wide, max(1, wide // _ALONG_PATCH))
            if (found := _of_patch(depth[rows, columns], rays[rows, columns])) is not None:
                powers.append(found[0])
                weights.append(found[1])
    if len(powers) < _FEWEST:
        return None
    order = np.argsort(powers)
    share = np.cumsum(np.array(weights)[order]) / np.sum(weights)
    return float(np.array(powers)[order][int(np.searchsorted(share, 0.5))])


def _of_patch(depth: np.ndarray, rays: np.ndarray) -> tuple[float, float] | None:
    """The power, and one over its variance; None for what is no plane."""
    known = np.isfinite(depth) & (depth > 0)
    if known.mean() < 0.8 or known.sum() < 50:
        return None
    inverse = 1 / depth[known].astype(np.float64)
    x, y = rays[known][:, 0], rays[known][:, 1]
    plane = np.stack([np.ones_like(x), x - x.mean(), y - y.mean()], axis=1)
    basis = np.linalg.qr(plane)[0]
    level = basis @ (basis.T @ inverse)
    # What a plane leaves of both: the one is a multiple of the other, by the power. The plane itself has less noise.
    longer = level * np.log(np.sqrt(1 + x**2 + y**2))
    bent, left = basis @ (basis.T @ longer) - longer, inverse - level
    power = float(bent @ left / max(float(bent @ bent), 1e-300))
    off = left - power * bent
    if np.sqrt(np.mean(off**2)) > _EVEN * inverse.mean():
        return None
    variance = float(np.mean(off**2)) / max(float(bent @ bent), 1e-300)
    return power, 1 / max(variance, 1e-3)

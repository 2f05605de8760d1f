"""What a depth camera measures of what is there.

Cameras that find depth by triangulation know the disparity of a pixel to a fixed share of a pixel, so that the error of its depth
grows with the square of the range: a Kinect's is about 1.4 mm at one metre and 3.5 cm at five (K. Khoshelham and S. O. Elberink,
Accuracy and Resolution of Kinect Depth Data for Indoor Mapping Applications, Sensors 2012). It grows further where a surface is
seen at a flat angle, and edges are ragged by a pixel (C. V. Nguyen, S. Izadi and D. Lovell, Modeling Kinect Sensor Noise for
Improved 3D Reconstruction and Tracking, 3DIMPVT 2012). The order here: colour and depth are not quite on the same pixels, what
the projector does not reach is dark, then noise, then steps of disparity.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float, Float32

from gestalt3d.configs import NotNegative, Positive, Share, Within, check_ranges
from gestalt3d.ops._numba import kernel


@dataclass(frozen=True)
class DepthNoise:
    """Pixels are those of the image that is made; the defaults are a Kinect v1's at 320 x 240."""

    constant: NotNegative = 0.001
    """Standard deviation of the depth in metres, apart from what grows."""
    quadratic: NotNegative = 0.0014
    """What is added to it at one metre; it grows with the square of the depth."""
    tilted: NotNegative = 0.0001
    """What is added by a surface seen at 45 degrees; without bound towards 90, where it is cut at a hundred times as much."""
    lateral: NotNegative = 0.4
    """Standard deviation in pixels of the place that a depth is taken from: edges are ragged by it."""
    registration: NotNegative = 0.7
    """Standard deviation in pixels of the shift of the whole depth against the colour."""
    step: NotNegative = 0.0028
    """Metres between two depths that can be told apart at one metre, by disparity; 0: as fine as floats are."""
    baseline: NotNegative = 0.075
    """Metres from the camera to its projector on its right: what that does not reach has no depth; 0: it reaches all."""
    near: NotNegative = 0.5
    """Nothing is measured nearer, metres."""
    far: Positive = 8.0
    """Nothing is measured beyond."""
    grazing: Annotated[float, Within(least=0, below=1)] = 0.1
    """Surfaces are lost around this cosine between ray and normal, none above one and a half times of it."""
    specks: Share = 0.004
    """Share of the pixels that are lost for no reason."""
    lost: Share = 0.8
    """Share of the pixels lost on the worst surfaces, such as glass and mirrors."""

    def __post_init__(self) -> None:
        check_ranges(self)


PLAIN = DepthNoise(
    constant=0.0, quadratic=0.0, tilted=0.0, lateral=0.0, registration=0.0, step=0.0, baseline=0.0, near=0.0, far=1e6,
    grazing=0.0, specks=0.0, lost=0.0,
)  # fmt: skip
"""The depth as it is."""


def measured(
    depth: Float32[np.ndarray, "h w"],
    cosine: Float[np.ndarray, "h w"],
    dropout: Float[np.ndarray, "h w"],
    focal: float,
    noise: DepthNoise,
    rng: np.random.Generator,
) -> Float32[np.ndarray, "h w"]:
    """The depth that the camera gives, 0 where it gives none.

    `cosine` is that between ray and normal, of either sign, `dropout` in [0, 1] how badly the surface is measured, `focal` in
    pixels.
    """
    shape = depth.shape
    normal = rng.standard_normal((*shape, 3), dtype=np.float32)
    uniform = rng.random((*shape, 3), dtype=np.float32)
    shift = rng.normal(0, 1, 2) * noise.registration
    return _measured(
        depth, np.abs(cosine), dropout, _in_shadow(depth, focal * noise.baseline), normal, uniform, shift,
        noise.constant, noise.quadratic, noise.tilted, noise.lateral, noise.step,
        noise.near, noise.far, noise.grazing, noise.specks, noise.lost,
    )  # fmt: skip


@kernel
def _in_shadow(depth, strength):
    """What a projector on the right does not reach: in its picture something nearer lies before it or further left.

    `strength` is focal length times baseline: a depth z lies strength / z pixels further left there.
    """
    height, width = depth.shape
    out = np.zeros((height, width), np.bool_)
    if strength <= 0:
        return out
    for v in range(height):
        leftmost = np.inf
        for u in range(width - 1, -1, -1):
            at = u - strength / depth[v, u]
            if at > leftmost:
                out[v, u] = True
            else:
                leftmost = at
    return out


@kernel
def _measured(
    depth, cosine, dropout, dark, normal, uniform, shift,
    constant, quadratic, tilted, lateral, step, near, far, grazing, specks, lost,
):  # fmt: skip
    height, width = depth.shape
    out = np.zeros((height, width), np.float32)
    for v in range(height):
        for u in range(width):
            p = min(max(int(np.rint(u + shift[0] + lateral * normal[v, u, 1])), 0), width - 1)
            q = min(max(int(np.rint(v + shift[1] + lateral * normal[v, u, 2])), 0), height - 1)
            z = float(depth[q, p])
            if dark[q, p] or z < near or not z <= far:
                continue
            chance = uniform[v, u]
            if chance[0] < specks or chance[1] < dropout[q, p] * lost:
                continue
            c = cosine[q, p]
            if c < grazing * (0.5 + chance[2]):
                continue
            angle = np.arccos(min(c, 1.0))
            t = min(angle / max(np.pi / 2 - angle, 0.01), 10.0)
            z += normal[v, u, 0] * (constant + quadratic * z * z + tilted * t * t / np.sqrt(max(z, 0.1)))
            if step > 0:
                z = 1 / (step * max(np.rint(1 / (step * max(z, 0.01))), 1.0))
            out[v, u] = max(z, 0.0)
    return out

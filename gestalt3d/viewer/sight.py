"""Where a photo hangs among what was found in it, as a layer."""

import numpy as np

from gestalt3d.structures.view import View
from gestalt3d.viewer.layers import Sight

_GAP = 0.04
"""Of the photo's width, between the photo and the nearest shape before it."""
_NEAR, _FREE = 0.2, 0.5
"""Distance of the photo from the eye as a share of the median depth, and at most of the nearest depths: it covers little."""


def sight_of(view: View) -> Sight:
    """The camera of a view that has one and pixels whose depth is known, in the frame of `view.cloud()`."""
    assert view.camera is not None and view.depth is not None
    depth = view.depth.reshape(-1)[view.seen].double().cpu().numpy()
    nearest, median = np.quantile(depth, [0.02, 0.5])
    away = min(_NEAR * float(median), _FREE * float(nearest))
    width, height = view.camera.size
    edges = [(u, v, 1.0) for v in (-0.5, height - 0.5) for u in (-0.5, width - 0.5)]
    in_camera = np.array(edges) @ np.linalg.inv(view.camera.intrinsics).T * away
    pose = view.pose
    return Sight(pose[:3, 3], in_camera @ pose[:3, :3].T + pose[:3, 3])


def backdrop(size: tuple[int, int], behind: float) -> Sight:
    """A photo of that width and height without a camera, upright behind the shapes in its pixels (`methods.refiner`), the last of
    which reaches as far as `behind`.
    """
    width, height = size
    y = behind + _GAP * width
    return Sight(
        None, np.array([[x, y, z] for z in (height, 0) for x in (0, width)], dtype=np.float64), "Photo"
    )

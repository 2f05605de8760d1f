"""The 24 viewpoints from which ShapeNet's objects are rendered for reconstruction (Kato et al. 2018), and those held out.

Every 15 degrees around the object, 30 degrees above the horizon, 2.732 units from its middle, through a field of view of 30
degrees. Azimuth 0 sees the front; viewpoint k stands at azimuth -15 k degrees.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from gestalt3d.structures.camera import LEVEL, Camera

FIELD_OF_VIEW = float(np.radians(30))
"""Of the whole image, in both directions."""


class Viewpoint(NamedTuple):
    """Where a camera stands that looks at the middle of an object, upright."""

    index: int
    """In `VIEWPOINTS`; -1 for one that is none of them."""
    azimuth: float
    """Radians; 0 in front (-y), positive to the right (+x)."""
    elevation: float
    """Radians above the horizon."""
    distance: float
    """From the middle, in units of the object's frame."""

    @property
    def object_from_camera(self) -> Float64[np.ndarray, "4 4"]:
        """The camera's pose in the object's frame: at d (cos e sin a, -cos e cos a, sin e), looking at the origin, upright."""
        cos, sin = np.cos(self.elevation), np.sin(self.elevation)
        eye = self.distance * np.array([cos * np.sin(self.azimuth), -cos * np.cos(self.azimuth), sin])
        ahead = -eye / self.distance
        right = np.array([np.cos(self.azimuth), np.sin(self.azimuth), 0.0])
        out = np.eye(4)
        out[:3, :3] = np.stack([right, np.cross(ahead, right), ahead], axis=1)
        out[:3, 3] = eye
        return out

    @property
    def view_from_object(self) -> Float64[np.ndarray, "4 4"]:
        """To the world of the view, in which the camera stands in the origin, level: it tells nothing of the viewpoint."""
        return _view_from_object(self)


@lru_cache(maxsize=64)
def _view_from_object(viewpoint: Viewpoint) -> Float64[np.ndarray, "4 4"]:
    return LEVEL @ np.linalg.inv(viewpoint.object_from_camera)


VIEWPOINTS = tuple(
    Viewpoint(k, float(np.radians(-15.0 * k)), float(np.radians(30.0)), 2.732) for k in range(24)
)
HELD_OUT = (5, 6, 7, 17, 18, 19)
"""Viewpoints that no training sees: azimuths of 75, 90 and 105 degrees to either side, where the object is seen from its side.

The two sectors are each other's mirror image, and each other turned half round: neither an object's symmetry nor a mirrored
picture brings them into the training set. The middle of each is 30 degrees away from the next viewpoint seen."""
SEEN = tuple(k for k in range(len(VIEWPOINTS)) if k not in HELD_OUT)
"""The others, 18."""


def focal(size: int) -> float:
    """Of images of `size` x `size` pixels, in pixels."""
    return size / 2 / float(np.tan(FIELD_OF_VIEW / 2))


@lru_cache(maxsize=64)
def camera_in_object(viewpoint: Viewpoint, size: int) -> Camera:
    """The camera in the object's frame."""
    return Camera.from_focal(focal(size), (size, size), viewpoint.object_from_camera)


@lru_cache(maxsize=8)
def camera_in_view(size: int) -> Camera:
    """The same camera in the world of the view: alike for all viewpoints."""
    return Camera.from_focal(focal(size), (size, size))

"""Where a picture was taken from."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float64

from gestalt3d.structures.rows import equal_fields


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera without distortion. In its frame x points right, y down and z ahead; pixel (u, v) is column u of row v.

    A point (x, y, z) in front of the camera is seen at `intrinsics @ (x, y, z) / z`, in pixels, where whole numbers are the
    centres of pixels.
    """

    intrinsics: Float64[np.ndarray, "3 3"]
    """[[f_x, s, c_x], [0, f_y, c_y], [0, 0, 1]] in pixels."""
    world_from_camera: Float64[np.ndarray, "4 4"]
    """Rotation and translation, metres; the world's z points up."""
    size: tuple[int, int]
    """Width and height in pixels."""

    def __post_init__(self) -> None:
        k, pose = self.intrinsics, self.world_from_camera
        if k.shape != (3, 3) or not np.isfinite(k).all() or k[0, 0] <= 0 or k[1, 1] <= 0:
            raise ValueError(f"intrinsics must be (3, 3) with positive focal lengths, got {k.tolist()}")
        if k[1, 0] != 0 or k[2].tolist() != [0, 0, 1]:
            raise ValueError(f"intrinsics must end in rows [0, f_y, c_y] and [0, 0, 1], got {k.tolist()}")
        if pose.shape != (4, 4) or not np.isfinite(pose).all() or pose[3].tolist() != [0, 0, 0, 1]:
            raise ValueError(f"world_from_camera must be (4, 4) and end in 0 0 0 1, got {pose.tolist()}")
        turn = pose[:3, :3]
        if not np.allclose(turn @ turn.T, np.eye(3), atol=1e-3) or np.linalg.det(turn) < 0:
            raise ValueError(
                f"world_from_camera must turn and move, not scale or mirror, got {pose.tolist()}"
            )
        if min(self.size) < 1:
            raise ValueError(f"size must be width and height in pixels, got {self.size}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Camera):
            return NotImplemented
        return equal_fields(self, other, (f.name for f in fields(self)))

    @classmethod
    def from_focal(
        cls,
        focal: float,
        size: tuple[int, int],
        world_from_camera: Float64[np.ndarray, "4 4"] | None = None,
    ) -> "Camera":
        """Its axis goes through the middle of the image; without a pose it stands in the origin, level, and looks along y."""
        width, height = size
        intrinsics = np.array(
            [[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]], dtype=np.float64
        )
        return cls(intrinsics, LEVEL.copy() if world_from_camera is None else world_from_camera, size)

    def rays(self) -> Float64[np.ndarray, "h w 3"]:
        """The point at depth 1 behind the centre of each pixel, in the camera's frame."""
        width, height = self.size
        u, v = np.meshgrid(np.arange(width), np.arange(height))
        pixels = np.stack([u, v, np.ones_like(u)], axis=-1).astype(np.float64)
        return pixels @ np.linalg.inv(self.intrinsics).T


LEVEL = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""World from the camera of one that stands in the origin, level, and looks along y: its down is the world's -z."""


def facing_y(forward: Float64[np.ndarray, "3"], eye: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "4 4"]:
    """From a world whose z points up to one that is turned about z and moved: its origin is `eye`, `forward` lies above its y."""
    cos, sin = forward[1], forward[0]
    out = np.eye(4)
    out[:2, :2] = np.array([[cos, -sin], [sin, cos]]) / np.hypot(cos, sin)
    out[:3, 3] = -out[:3, :3] @ eye
    return out

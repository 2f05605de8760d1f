"""What one camera saw: a photo, or an RGB-D frame."""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from gestalt3d.structures.camera import Camera
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.rows import equal_fields


@dataclass(frozen=True, eq=False, repr=False)
class View:
    """An image, with the depth of its pixels and its camera where they are known.

    Its elements are pixels, counted row by row from the upper left: pixel (row, column) is element `row * width + column`.
    """

    image: Float[Tensor, "3 h w"]
    """Red, green and blue in [0, 1]."""
    depth: Float[Tensor, "h w"] | None = None
    """Metres along the camera's axis, not along the ray; 0, NaN and infinity where it is not known."""
    camera: Camera | None = None
    path: Path | None = None
    """The file or folder that it was read from."""
    notes: tuple[str, ...] = ()
    """What the reader decided for the user: units, a guessed camera."""

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[0] != 3:
            raise ValueError(f"image must be (3, height, width), got {tuple(self.image.shape)}")
        height, width = self.image.shape[1:]
        if self.depth is not None and self.depth.shape != (height, width):
            raise ValueError(
                f"depth must be {(height, width)} like the image, got {tuple(self.depth.shape)}; resize one of them"
            )
        if self.camera is not None and self.camera.size != (width, height):
            raise ValueError(f"the camera is of images of {self.camera.size}, got one of {(width, height)}")

    def __len__(self) -> int:
        """Pixels."""
        return self.image.shape[1] * self.image.shape[2]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, View):
            return NotImplemented
        held = (f.name for f in fields(self) if f.name not in ("path", "notes"))
        return equal_fields(self, other, held)

    def __repr__(self) -> str:
        """`view of 640 x 480 pixels, with depth and camera, from desk`."""
        held = [name for name in ("depth", "camera") if getattr(self, name) is not None]
        parts = [f"view of {self.image.shape[2]} x {self.image.shape[1]} pixels"]
        parts += [f"with {' and '.join(held)}"] if held else []
        parts += [f"from {self.path.name}"] if self.path is not None else []
        return ", ".join(parts)

    @cached_property
    def seen(self) -> Bool[Tensor, "n"]:
        """Pixels whose depth is known, as elements."""
        if self.depth is None:
            return torch.zeros(len(self), dtype=torch.bool, device=self.image.device)
        depth = self.depth.reshape(-1)
        return torch.isfinite(depth) & (depth > 0)

    def cloud(self) -> PointCloud:
        """The points of the pixels whose depth is known, in their order and colours, in the world of the camera.

        `ValueError` where depth or camera are missing. Point `i` is pixel `pixels()[i]`.
        """
        return self._cloud

    @cached_property
    def _cloud(self) -> PointCloud:
        """Made once, for model and picture."""
        if self.depth is None or self.camera is None:
            missing = " and ".join(n for n in ("depth", "camera") if getattr(self, n) is None)
            raise ValueError(f"a view becomes a cloud by its depth and its camera; this one has no {missing}")
        where = self.seen.cpu()
        rays = torch.from_numpy(self.camera.rays()).reshape(-1, 3)[where]
        in_camera = rays * self.depth.reshape(-1).cpu()[where].double()[:, None]
        pose = torch.from_numpy(self.pose)
        points = in_camera @ pose[:3, :3].T + pose[:3, 3]
        colors = self.image.reshape(3, -1).T.cpu()[where]
        moved = torch.from_numpy(self.camera.world_from_camera[:3, 3].copy()) if self._is_far else None
        return PointCloud(points.float(), colors.contiguous(), origin=moved)

    @property
    def _is_far(self) -> bool:
        """From the world's origin: such views keep their millimetres in the origin of the cloud."""
        return self.camera is not None and bool(np.abs(self.camera.world_from_camera[:3, 3]).max() > 1e4)

    @property
    def pose(self) -> Float64[np.ndarray, "4 4"]:
        """From the camera's frame to that of `cloud()`: the world, or far from its origin the world moved to the camera.

        `ValueError` without a camera.
        """
        if self.camera is None:
            raise ValueError("a view without camera has no pose")
        found = self.camera.world_from_camera.copy()
        if self._is_far:
            found[:3, 3] = 0
        return found

    def pixels(self) -> Int[Tensor, "k"]:
        """The pixel of each point of `cloud()`, ascending."""
        return self.seen.nonzero().flatten()

    def to(self, device: torch.device | str) -> "View":
        """Image and depth on `device`; the camera stays as it is, and a view that is there already, with its cloud, all of it."""
        if self.image.device == torch.device(device):
            return self
        depth = None if self.depth is None else self.depth.to(device)
        return replace(self, image=self.image.to(device), depth=depth)

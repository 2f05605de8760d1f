"""What a network sees of an RGB-D frame: a volume around what the camera sees, its photo, and how the two belong together.

The volume stands upright. The camera is at its (0, 0, 0), looks along its y, and gravity pulls along its -z.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from gestalt3d.configs import Count, NotNegative, Positive, check_ranges
from gestalt3d.ops.directional_tsdf import directional_tsdf
from gestalt3d.ops.turn import turn_matrix
from gestalt3d.stages import stage
from gestalt3d.structures.camera import facing_y
from gestalt3d.structures.view import View

_CELL = 0.1
"""Metres: points are counted in such cubes."""
_FULL = 640 * 480
"""Pixels of the images that densities of points are said of."""
_FLOOR = 0.05
"""Points this near to the floor, in metres, are the floor."""
_NOWHERE = 1e4
"""Metres: coordinates of what is not known, far from everything."""
_JUMP, _LEVEL, _FEWEST = 0.05, 0.3, 500
"""Of walls: neighbours farther apart than this share of the depth are no surface; a normal's vertical part; pixels."""


@dataclass(frozen=True)
class SpaceConfig:
    """The defaults are those of Deep Sliding Shapes: 208 x 208 x 100 voxels."""

    nearest: NotNegative = 0.4
    """Where the volume begins ahead of the camera, in metres; to the left and to the right it reaches equally far."""
    below: NotNegative = 1.5
    """How far it reaches below the camera, in metres."""
    size: tuple[Count, Count, Count] = (208, 208, 100)
    """Voxels along its axes."""
    voxel: Positive = 0.025
    """Edge of a voxel in metres."""
    colored: bool = True
    """Voxels know the colour of their nearest surface."""
    # Half the turns that a network would have to learn.
    along_walls: bool = False
    """Turn the volume to the room's walls; in Deep Sliding Shapes anchors are turned instead."""
    image: tuple[Count, Count] = (240, 320)
    """Height and width to which photos are brought."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def low(self) -> tuple[float, float, float]:
        """Lowest corner of the volume, in metres."""
        return -self.size[0] * self.voxel / 2, self.nearest, -self.below

    @property
    def channels(self) -> int:
        """Of the volume."""
        return 6 if self.colored else 3

    @property
    def middle(self) -> tuple[float, float]:
        """Of the volume, along x and y; what is turned is turned about it."""
        x, y = (low + n * self.voxel / 2 for low, n in zip(self.low[:2], self.size[:2], strict=True))
        return x, y


class Frame(NamedTuple):
    """As many views of one size as there are in a batch."""

    volume: Float[Tensor, "b c x y z"]
    image: Float[Tensor, "b 3 h w"]
    intrinsics: Float[Tensor, "b 3 3"]
    """Of the image as it is here."""
    camera_from_grid: Float[Tensor, "b 4 4"]
    yaw: Float[Tensor, "b"]
    """Of the walls in the grid, radians in (-π/4, π/4]."""
    places: Float[Tensor, "b h w 3"]
    """What the pixels show, in the grid; far from everything where that is not known."""
    counts: Float[Tensor, "b u v w"]
    """Points in cubes of 10 cm, the floor's left out, as if the image had 640 x 480 pixels."""

    def to(self, device: torch.device | str) -> "Frame":
        return Frame(*(values.to(device) for values in self))

    @property
    def seen(self) -> Bool[Tensor, "b h w"]:
        """Pixels whose place is known."""
        return self.places[..., 2] < _NOWHERE / 2


class Posed(NamedTuple):
    """A frame, and where it stands."""

    frame: Frame
    grid_from_world: Float64[np.ndarray, "4 4"]
    """From the frame of `view.cloud()`."""


def frame_of(view: View, config: SpaceConfig) -> Posed:
    """What the network sees of one view with depth and camera; `ValueError` where one of them is missing."""
    if view.depth is None or view.camera is None:
        raise ValueError("an amodal network needs a view with depth and camera")
    with stage("axes"):
        pose = view.pose
        grid_from_world = _upright(pose)
        grid_from_camera = grid_from_world @ pose
        places = _places(view, grid_from_camera)
        yaw = wall_yaw(places)
        if config.along_walls:
            turned = _turn_about(config.middle, -yaw)
            grid_from_world, grid_from_camera = turned @ grid_from_world, turned @ grid_from_camera
            places, yaw = _places(view, grid_from_camera), 0.0
    known = places[..., 2] < _NOWHERE / 2
    flat = places[known].float()
    with stage("volume"):
        colors = view.image.permute(1, 2, 0)[known] if config.colored else None
        volume = directional_tsdf(
            flat, colors, view.depth, torch.from_numpy(view.camera.intrinsics), torch.from_numpy(grid_from_camera),
            origin=config.low, voxel_size=config.voxel, size=config.size,
        )  # fmt: skip
        counts = _counts(flat, config) * (_FULL / known.numel())
    image, intrinsics = _resized(view, config.image)
    small = F.interpolate(places.permute(2, 0, 1)[None], config.image, mode="nearest")[0].permute(1, 2, 0)
    frame = Frame(
        volume[None],
        image[None],
        intrinsics[None],
        torch.from_numpy(np.linalg.inv(grid_from_camera)).float()[None],
        torch.tensor([yaw], dtype=torch.float32),
        small.float()[None],
        counts[None],
    )
    return Posed(frame, grid_from_world)


def _upright(pose: Float64[np.ndarray, "4 4"]) -> Float64[np.ndarray, "4 4"]:
    """From the world, whose z points up, to one whose origin is the camera, which looks along y, up or down."""
    is_vertical = np.hypot(*pose[:2, 2]) < 1e-6
    return facing_y(-pose[:3, 1] if is_vertical else pose[:3, 2], pose[:3, 3])


def _turn_about(middle: tuple[float, float], angle: float) -> Float64[np.ndarray, "4 4"]:
    found = np.eye(4)
    found[:3, :3] = turn_matrix(angle).numpy()
    at = np.array([*middle, 0.0])
    found[:3, 3] = at - found[:3, :3] @ at
    return found


def _places(view: View, grid_from_camera: Float64[np.ndarray, "4 4"]) -> Float64[Tensor, "h w 3"]:
    assert view.depth is not None and view.camera is not None
    shape = view.depth.shape
    known = view.seen.cpu().reshape(shape)
    depth = torch.where(known, view.depth.cpu(), 0).double()
    in_camera = torch.from_numpy(view.camera.rays()) * depth[..., None]
    pose = torch.from_numpy(grid_from_camera)
    return torch.where(known[..., None], in_camera @ pose[:3, :3].T + pose[:3, 3], _NOWHERE)


def wall_yaw(places: Float64[Tensor, "h w 3"]) -> float:
    """The direction of the room's walls, radians in (-π/4, π/4], 0 where too little of them is seen.

    The angle, of those a degree apart, that most normals of upright surfaces are nearest to, in quarter turns; refined by the
    mean of those within ten degrees.
    """
    points = places.numpy()
    right, down = points[:-1, 1:] - points[:-1, :-1], points[1:, :-1] - points[:-1, :-1]
    reach = _JUMP * np.linalg.norm(points[:-1, :-1], axis=-1)
    near = (
        (np.abs(right).max(-1) < reach)
        & (np.abs(down).max(-1) < reach)
        & (points[:-1, :-1, 2] < _NOWHERE / 2)
    )
    normal = np.cross(right[near], down[near])
    # Weighted by their area, or near surfaces would count most.
    area = np.linalg.norm(normal, axis=-1)
    upright = np.abs(normal[:, 2]) < _LEVEL * area
    if np.count_nonzero(upright) < _FEWEST:
        return 0.0
    angle, weight = np.arctan2(normal[upright, 1], normal[upright, 0]), area[upright]
    fourfold = np.exp(4j * angle)
    votes, edges = np.histogram(np.mod(angle, np.pi / 2), bins=90, range=(0, np.pi / 2), weights=weight)
    smooth = sum(np.roll(votes, shift) for shift in range(-2, 3))
    best = edges[int(np.argmax(smooth))] + np.pi / 360
    off = np.angle(fourfold * np.exp(-4j * best)) / 4
    own = np.abs(off) < np.deg2rad(10)
    best += float(np.angle(np.sum((weight * np.exp(4j * off))[own])) / 4)
    return float((best + np.pi / 4) % (np.pi / 2) - np.pi / 4)


def _counts(points: Float[Tensor, "n 3"], config: SpaceConfig) -> Float[Tensor, "u v w"]:
    """Of the volume's points, but for those of the floor: of level things the lowest."""
    low = torch.tensor(config.low)
    extent = [n * config.voxel for n in config.size]
    cells = [max(1, round(length / _CELL)) for length in extent]
    counts = torch.zeros(cells)
    inside = ((points >= low) & (points < low + torch.tensor(extent))).all(1)
    points = points[inside]
    if len(points) == 0:
        return counts
    floor = float(points[:, 2].kthvalue(1 + len(points) // 100).values)
    above = points[points[:, 2] > floor + _FLOOR]
    at = ((above - low) / _CELL).long().clamp(max=torch.tensor(cells) - 1)
    rows = (at[:, 0] * cells[1] + at[:, 1]) * cells[2] + at[:, 2]
    return torch.bincount(rows, minlength=counts.numel()).float().reshape(counts.shape)


def _resized(view: View, size: tuple[int, int]) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "3 3"]]:
    """The photo and its intrinsics, stretched to `size`. Whole numbers are the centres of pixels before and after."""
    assert view.camera is not None
    height, width = view.image.shape[1:]
    image = view.image
    if (height, width) != size:
        image = F.interpolate(image[None], size, mode="bilinear", align_corners=False, antialias=True)[0]
    sx, sy = size[1] / width, size[0] / height
    change = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])
    return image, torch.from_numpy(change @ view.camera.intrinsics).float()

"""Cameras people hold: what they are made of, and where one stands in a furnished room and looks."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

from gestalt3d.ops._numba import kernel
from gestalt3d.ops._numba.rasterize import rasterize
from gestalt3d.structures.camera import Camera, facing_y
from gestalt3d.synth.depth_noise import DepthNoise
from gestalt3d.synth.scanner import Pose, World, look, standing_place


@dataclass(frozen=True)
class CameraModel:
    """A depth camera whose colour lies on its depth, with the numbers of one such device."""

    size: tuple[int, int]
    """Width and height in pixels."""
    focal: tuple[float, float]
    """Pixels."""
    center: tuple[float, float]
    """Where the axis goes through the image; whole numbers are the centres of pixels."""
    noise: DepthNoise

    def intrinsics(self, size: tuple[int, int]) -> Float64[np.ndarray, "3 3"]:
        """For images of another size: scaled to fill it, and what stands over cut off on both sides alike."""
        scale = max(size[0] / self.size[0], size[1] / self.size[1])
        matrix = np.eye(3)
        for axis in (0, 1):
            cut = (self.size[axis] * scale - size[axis]) / 2
            matrix[axis, axis] = self.focal[axis] * scale
            matrix[axis, 2] = (self.center[axis] + 0.5) * scale - 0.5 - cut
        return matrix


CAMERAS = {
    "kinect-v1": CameraModel((640, 480), (518.86, 519.47), (325.58, 253.74), DepthNoise()),
    "kinect-v2": CameraModel(
        (512, 424),
        (365.4, 365.4),
        (254.9, 205.4),
        DepthNoise(constant=0.002, quadratic=0.0005, step=0.0, baseline=0.0, far=6.0, grazing=0.12),
    ),
    "realsense-d435": CameraModel(
        (640, 480),
        (615.4, 615.6),
        (320.1, 240.2),
        DepthNoise(quadratic=0.0035, step=0.0016, baseline=0.05, near=0.3, far=6.0, specks=0.01),
    ),
    "iphone-lidar": CameraModel(
        (256, 192),
        (212.0, 212.0),
        (127.5, 95.5),
        DepthNoise(
            constant=0.004,
            quadratic=0.001,
            lateral=0.8,
            step=0.0,
            baseline=0.0,
            near=0.2,
            far=5.0,
            specks=0.0,
        ),
    ),
}
"""By name: two of a Kinect's kinds, RealSense D435 with its depth on the colour's pixels, the depth of an iPhone or iPad."""


class Rendered(NamedTuple):
    """What a camera without faults sees."""

    depth: Float32[np.ndarray, "h w"]
    """Metres along the axis; infinite where there is nothing."""
    face: Int[np.ndarray, "h w"]
    """Of the world's faces the one in front, -1 none."""


def render(vertices: Float64[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], camera: Camera) -> Rendered:
    """Triangles in the world of the camera; those nearer than 5 cm are cut."""
    pose, k = camera.world_from_camera, camera.intrinsics
    in_camera = ((vertices - pose[:3, 3]) @ pose[:3, :3]).astype(np.float32)
    return Rendered(*rasterize(in_camera, faces, k[0, 0], k[1, 1], k[0, 2], k[1, 2], *camera.size, 0.05))


def camera_at(pose: Pose, intrinsics: Float64[np.ndarray, "3 3"], size: tuple[int, int]) -> Camera:
    """That of a pose in the room, whose world is the room's."""
    room_from_camera = np.eye(4)
    room_from_camera[:3, :3], room_from_camera[:3, 3] = pose.rotation.T, pose.eye
    return Camera(intrinsics, room_from_camera, size)


class Surface(NamedTuple):
    """What the rays of an image meet; zeros where there is nothing."""

    points: Float64[np.ndarray, "h w 3"]
    """In the world of the camera."""
    normals: Float64[np.ndarray, "h w 3"]
    cosine: Float64[np.ndarray, "h w"]
    """Of the angle between the ray, back to the camera, and the normal; negative where a face is seen from behind."""


def surface_at(seen: Rendered, normals: Float64[np.ndarray, "f 3"], camera: Camera) -> Surface:
    """`normals` are those of the faces, outwards."""
    pose = camera.world_from_camera
    made = _surface_at(
        *seen, normals, np.linalg.inv(camera.intrinsics), pose[:3, :3].copy(), pose[:3, 3].copy()
    )
    return Surface(*made)


@kernel
def _surface_at(depth, face, normals, rays_from_pixels, turn, eye):
    height, width = depth.shape
    points = np.zeros((height, width, 3))
    chosen = np.zeros((height, width, 3))
    cosine = np.zeros((height, width))
    towards = turn @ rays_from_pixels
    for v in range(height):
        for u in range(width):
            f = face[v, u]
            if f < 0:
                continue
            dot = 0.0
            length2 = 0.0
            for c in range(3):
                ray = towards[c, 0] * u + towards[c, 1] * v + towards[c, 2]
                points[v, u, c] = eye[c] + ray * depth[v, u]
                chosen[v, u, c] = normals[f, c]
                dot -= ray * normals[f, c]
                length2 += ray * ray
            cosine[v, u] = dot / np.sqrt(length2)
    return points, chosen, cosine


_TRIES = 24
_SCREEN = 64
"""Width in pixels of the picture that decides whether a place is worth a frame."""


def hand_held(
    world: World,
    normals: Float64[np.ndarray, "f 3"],
    counts: Bool[np.ndarray, "objects"],
    model: CameraModel,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> Pose:
    """A pose as of somebody who shows what stands in the room: of some tries the first good one, else the least bad.

    `normals` are those of the faces, `counts` says which objects are worth looking at. The eye is 1.1 to 1.8 m high, in
    free space.
    """
    small = (_SCREEN, max(1, round(_SCREEN * size[1] / size[0])))
    intrinsics = model.intrinsics(small)
    best, most = None, -np.inf
    for _ in range(_TRIES):
        pose = _drawn(world, counts, rng)
        worth = _worth(world, normals, counts, camera_at(pose, intrinsics, small))
        if best is None or worth > most:
            best, most = pose, worth
        if most > 0:
            break
    assert best is not None
    return best


def _drawn(world: World, counts: Bool[np.ndarray, "objects"], rng: np.random.Generator) -> Pose:
    areas = (world.cells[:, 2] - world.cells[:, 0]) * (world.cells[:, 3] - world.cells[:, 1])
    cell = world.cells[int(rng.choice(len(areas), p=areas / areas.sum()))]
    height = min(float(rng.uniform(1.1, 1.8)), world.height - 0.3)
    place = standing_place(world, cell, rng, height)
    x, y = world.frames[counts, 2], world.frames[counts, 3]
    inside = (x > cell[0]) & (x < cell[2]) & (y > cell[1]) & (y < cell[3])
    if inside.any() and rng.random() < 0.75:
        chosen = world.frames[counts][inside][int(rng.integers(inside.sum())), 2:4]
        aim = chosen + rng.normal(0, 0.3, 2)
    else:
        aim = np.array([rng.uniform(cell[0], cell[2]), rng.uniform(cell[1], cell[3])])
    yaw = float(np.arctan2(aim[1] - place[1], aim[0] - place[0]))
    pitch = float(np.clip(rng.normal(-0.35, 0.18), -0.9, 0.05))
    return look(place, yaw, pitch, float(rng.normal(0, 0.04)))


def _worth(
    world: World, normals: Float64[np.ndarray, "f 3"], counts: Bool[np.ndarray, "objects"], camera: Camera
) -> float:
    """Above 0 where a person would press the button: nothing right in front, not inside anything, and objects to see."""
    seen = render(world.vertices, world.faces, camera)
    hit = seen.face >= 0
    shown = np.bincount(world.face_object[seen.face[hit]], minlength=len(counts)) / hit.size
    objects = np.count_nonzero(counts & (shown > 0.004))
    faults = [
        0.95 - hit.mean(),
        (seen.depth < 0.6).mean() - 0.08,
        1.2 - float(np.median(seen.depth)),
        (surface_at(seen, normals, camera).cosine < 0).mean() - 0.03,
        0.12 - shown[counts].sum(),
        (2 - objects) / 2,
    ]
    return -sum(max(fault, 0.0) for fault in faults) if max(faults) > 0 else float(objects)


def in_front(pose: Pose) -> Float64[np.ndarray, "4 4"]:
    """Takes the room's coordinates to those of the view's own world: the camera stands in its origin, z points up, y ahead."""
    return facing_y(pose.rotation[2], pose.eye)

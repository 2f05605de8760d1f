"""A small labelled RGB-D frame, made in milliseconds: a floor, two walls and a few boxes, seen by one camera."""

import math

import numpy as np
import torch
from jaxtyping import Float64

from gestalt3d.structures.camera import Camera
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.samples import LabelledView
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import S3DIS, Vocabulary

_CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
_FACES = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
     [1, 5, 7], [1, 7, 3]]
)  # fmt: skip


def tiny_view(
    seed: int = 0,
    *,
    boxes: int = 3,
    size: tuple[int, int] = (80, 60),
    yaw: float = 0.2,
    vocabulary: Vocabulary = S3DIS,
    names: tuple[str, ...] = ("table", "chair"),
) -> LabelledView:
    """Boxes of the classes `names` by turns, in a room turned by `yaw`; the camera looks along y and a little down.

    `truth` has visible masks, amodal masks and boxes, and whole shapes as meshes.
    """
    rng = np.random.default_rng(seed)
    tilt, (width, height) = 0.35, size
    forward = np.array([0.0, math.cos(tilt), -math.sin(tilt)])
    right = np.array([1.0, 0.0, 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    camera = Camera.from_focal(0.9 * width, size, pose)
    rays = camera.rays() @ pose[:3, :3].T
    floor = -1.2
    found = []
    for b in range(boxes):
        extent = rng.uniform(0.4, 0.7, 3)
        center = np.array([(b + 0.5) * 2.4 / boxes - 1.2, 2.0 + 0.5 * (b % 2), floor + extent[2] / 2])
        found.append(np.array([*center, *extent, yaw]))
    depths = np.stack([_plane(rays, floor), _wall(rays, yaw), *(_box(rays, box) for box in found)])
    nearest = depths.argmin(0)
    depth = depths.min(0)
    seen = np.isfinite(depth)
    tints = rng.random((len(depths), 3)).astype(np.float32)
    image = torch.from_numpy(np.where(seen[..., None], tints[nearest], 0).astype(np.float32))
    labels = torch.from_numpy(np.where(seen & (nearest >= 2), nearest - 2, -1).ravel())
    whole = [torch.from_numpy(np.flatnonzero(np.isfinite(own))) for own in depths[2:]]
    classes = torch.tensor([vocabulary.id(names[b % len(names)]) for b in range(boxes)], dtype=torch.int64)
    truth = Instances(
        masks=Sets.from_labels(labels, boxes),
        classes=classes,
        scores=torch.ones(boxes),
        vocabulary=vocabulary,
        whole=Sets.of(whole, width * height),
        amodal_boxes=torch.tensor(np.array(found).reshape(-1, 7), dtype=torch.float32),
        shapes=tuple(_mesh(box) for box in found),
        element_classes=torch.cat([classes, torch.tensor([-1])])[labels],
    )  # fmt: skip
    view = View(
        image.permute(2, 0, 1).contiguous(), torch.from_numpy(np.where(seen, depth, 0)).float(), camera
    )
    return LabelledView(f"tiny{seed}", view, truth)


def _plane(rays: Float64[np.ndarray, "h w 3"], height: float) -> Float64[np.ndarray, "h w"]:
    with np.errstate(divide="ignore"):
        distance = height / rays[..., 2]
    return np.where(distance > 0, distance, np.inf)


def _wall(rays: Float64[np.ndarray, "h w 3"], yaw: float) -> Float64[np.ndarray, "h w"]:
    """3.5 m ahead, across the room's second axis."""
    with np.errstate(divide="ignore"):
        distance = 3.5 / (rays[..., :2] @ np.array([-math.sin(yaw), math.cos(yaw)]))
    return np.where(distance > 0, distance, np.inf)


def _box(rays: Float64[np.ndarray, "h w 3"], box: Float64[np.ndarray, "7"]) -> Float64[np.ndarray, "h w"]:
    """Where the rays from the origin enter it; infinite where they do not."""
    cos, sin = math.cos(box[6]), math.sin(box[6])
    turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    start, along = -turn @ box[:3], rays @ turn.T
    with np.errstate(divide="ignore"):
        a, b = (-box[3:6] / 2 - start) / along, (box[3:6] / 2 - start) / along
    near, far = np.minimum(a, b).max(-1), np.maximum(a, b).min(-1)
    return np.where((near < far) & (near > 0), near, np.inf)


def _mesh(box: Float64[np.ndarray, "7"]) -> Mesh:
    cos, sin = math.cos(box[6]), math.sin(box[6])
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    corners = (_CORNERS * box[3:6]) @ turn.T + box[:3]
    return Mesh(torch.from_numpy(corners.astype(np.float32)), torch.from_numpy(_FACES))

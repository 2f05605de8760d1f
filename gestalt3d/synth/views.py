"""RGB-D frames of synthetic rooms, and what only a synthetic world knows of the objects in them.

The world of a view is what one frame alone can have: the camera stands in its origin, z points up and y ahead, as gravity says.
In it lie the boxes and shapes. An instance is an object that is not part of the building and shows `min_pixels` pixels. Its
visible mask has the pixels at which it is in front, its amodal mask (`truth.whole`) those at which it would be, were it alone in
the world. Both are of what is there, not of what a noisy depth image says; so are `true_depth` and the order of occlusion.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int
from torch import Tensor

from gestalt3d.configs import Count, Within, check_ranges
from gestalt3d.errors import UserError
from gestalt3d.ops._numba import kernel
from gestalt3d.structures.camera import Camera
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.samples import LabelledView
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import SYNTH, Vocabulary
from gestalt3d.synth import colours
from gestalt3d.synth.cameras import CAMERAS, Surface, camera_at, hand_held, in_front, render, surface_at
from gestalt3d.synth.depth_noise import DepthNoise, measured
from gestalt3d.synth.rooms import GENERATOR_VERSION, build_world, furnish_room
from gestalt3d.synth.scanner import World, face_geometry
from gestalt3d.synth.whole import box_around, faces_of

VIEWS_VERSION = 1
"""Grows when the views of a room change."""
_DROPOUT = 9
"""The column of a material that says how badly its depth is measured."""
_EMPTY = (0.85, 0.9, 1.0)
"""The colour of where there is no world."""


@dataclass(frozen=True)
class ViewConfig:
    """How frames are taken."""

    camera: str | None = None
    """One of `cameras.CAMERAS`; None draws it for each frame."""
    width: Annotated[int, Within(least=16, most=4096)] = 320
    """Pixels; the camera's image is scaled to that, and cut where proportions differ."""
    height: Annotated[int, Within(least=16, most=4096)] = 240
    """Pixels."""
    min_pixels: Count = 64
    """An object that shows fewer is no instance."""
    noise: DepthNoise | None = None
    """What the depth suffers; None: what that of the camera does. `depth_noise.PLAIN` leaves it as it is."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.camera is not None and self.camera not in CAMERAS:
            raise UserError(f"no camera {self.camera!r}; there are {', '.join(CAMERAS)}")


@dataclass(frozen=True)
class SyntheticView(LabelledView):
    """A frame with all that is known of it. `truth.shapes` are the whole objects as meshes, in the world of the view."""

    camera_name: str
    true_depth: Float[Tensor, "h w"]
    """Metres, without faults; 0 where there is nothing."""
    nearer: Int[Tensor, "i i"]
    """`nearer[i, j]`: pixels that amodal masks `i` and `j` share and at which `i` is nearer to the camera."""

    def __post_init__(self) -> None:
        super().__post_init__()
        count = len(self.truth)
        if self.nearer.shape != (count, count):
            raise ValueError(f"nearer must be ({count}, {count}), got {tuple(self.nearer.shape)}")

    @property
    def occludes(self) -> Bool[Tensor, "i i"]:
        """`occludes[i, j]`: instance `i` lies before instance `j` at most of the pixels that their amodal masks share."""
        return self.nearer > self.nearer.T


class Stage(NamedTuple):
    """A world to take pictures of."""

    world: World
    normals: Float64[np.ndarray, "f 3"]
    """Of its faces, outwards."""
    classes: Int[np.ndarray, "objects"]
    """In the vocabulary; -1 for what is none of its classes."""
    vocabulary: Vocabulary = SYNTH

    @property
    def counts(self) -> Bool[np.ndarray, "objects"]:
        """Which objects can be instances: the building's parts and those of no class cannot."""
        return (self.classes >= 0) & ~self.vocabulary.is_structure[self.classes]


@lru_cache(maxsize=4)
def furnished_stage(seed: int) -> Stage:
    """The room that `make_room(seed)` scans, whole. The last few are kept: a room is worth several views."""
    plan, scene = furnish_room(seed)
    world = build_world(plan, scene, np.random.default_rng([seed, GENERATOR_VERSION, 3]))
    classes = np.array([SYNTH.id(placed.shape.kind) for placed in scene.placed], np.int64)
    return Stage(world, face_geometry(world)[0], classes)


def make_view(seed: int, index: int = 0, config: ViewConfig = ViewConfig()) -> SyntheticView:
    """View `index` of the room of that seed, the same for the same arguments and versions, in whatever order they are made."""
    if seed < 0 or index < 0:
        raise UserError(f"views have seeds and numbers of 0 or more, got seed {seed} and view {index}")
    stage = furnished_stage(seed)
    rng = np.random.default_rng([seed, GENERATOR_VERSION, VIEWS_VERSION, 6, index])
    drawn = list(CAMERAS)[int(rng.integers(len(CAMERAS)))]
    name = config.camera or drawn
    size = (config.width, config.height)
    pose = hand_held(stage.world, stage.normals, stage.counts, CAMERAS[name], size, rng)
    camera = camera_at(pose, CAMERAS[name].intrinsics(size), size)
    noise = CAMERAS[name].noise if config.noise is None else config.noise
    return take_view(
        stage, camera, in_front(pose), noise, rng,
        min_pixels=config.min_pixels, name=f"view_{seed:07d}_{index}", camera_name=name,
    )  # fmt: skip


def take_view(
    stage: Stage,
    camera: Camera,
    view_from_room: Float64[np.ndarray, "4 4"],
    noise: DepthNoise,
    rng: np.random.Generator,
    *,
    min_pixels: int,
    name: str,
    camera_name: str,
) -> SyntheticView:
    """What a camera in the room sees; the view's own world is that of `view_from_room`, which may turn about z and move."""
    world = stage.world
    seen = render(world.vertices, world.faces, camera)
    hit = seen.face >= 0
    objects = np.where(hit, world.face_object[seen.face], -1)
    shown = np.bincount(objects[hit], minlength=len(stage.classes))
    present = np.flatnonzero(stage.counts & (shown >= min_pixels))
    alone = [_alone(world, index, camera) for index in present.tolist()]
    surface = surface_at(seen, stage.normals, camera)
    image = _colours(world, seen.face, surface, rng)
    dropout = world.materials[:, _DROPOUT][world.face_material[seen.face]]
    depth = measured(seen.depth, surface.cosine, dropout, float(camera.intrinsics[0, 0]), noise, rng)
    own_camera = Camera(camera.intrinsics, view_from_room @ camera.world_from_camera, camera.size)
    return SyntheticView(
        name,
        View(torch.from_numpy(image).permute(2, 0, 1).contiguous(), torch.from_numpy(depth), own_camera),
        _truth(stage, objects, present, alone, view_from_room),
        camera_name,
        torch.from_numpy(np.where(hit, seen.depth, np.float32(0))),
        _nearer(alone),
    )


def _alone(world: World, index: int, camera: Camera) -> Float32[np.ndarray, "h w"]:
    """The depth of one object with nothing else in the world, infinite beside it."""
    vertices, faces = _own_mesh(world, index)
    return render(vertices, faces, camera).depth


def _own_mesh(world: World, index: int) -> tuple[Float64[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """Of one object; what it shares with nothing else."""
    faces = world.faces[faces_of(world, index)]
    first, last = int(faces.min()), int(faces.max()) + 1
    return world.vertices[first:last], faces - first


def _colours(
    world: World, face: Int[np.ndarray, "h w"], surface: Surface, rng: np.random.Generator
) -> Float32[np.ndarray, "h w 3"]:
    """The photo."""
    points = surface.points.reshape(-1, 3)
    linear = colours.shade(
        points, surface.normals.reshape(-1, 3), face.ravel(), world.face_material, world.face_object,
        world.materials, world.frames, world.lights, world.ambient, world.salt,
    )  # fmt: skip
    linear[face.ravel() < 0] = _EMPTY
    exposed = colours.expose(linear, points.astype(np.float32), rng, unevenness=0.07)
    return exposed.reshape(surface.points.shape)


def _truth(
    stage: Stage,
    objects: Int[np.ndarray, "h w"],
    present: Int[np.ndarray, "i"],
    alone: list[Float32[np.ndarray, "h w"]],
    view_from_room: Float64[np.ndarray, "4 4"],
) -> Instances:
    world, size = stage.world, objects.size
    linear, shift = view_from_room[:3, :3], view_from_room[:3, 3]
    boxes, shapes, edges = [], [], []
    for index in present.tolist():
        vertices, faces = _own_mesh(world, index)
        moved = vertices @ linear.T + shift
        cos, sin = linear[:2, :2] @ world.frames[index, :2]
        boxes.append(box_around(moved, float(np.arctan2(sin, cos))))
        shapes.append(
            Mesh(torch.from_numpy(moved.astype(np.float32)), torch.from_numpy(faces.astype(np.int64)))
        )
        edges.append(edges_of(objects == index))
    numbers = np.full(len(stage.classes) + 1, -1, np.int64)
    numbers[present] = np.arange(len(present))
    whole = [torch.from_numpy(np.flatnonzero(np.isfinite(depth))) for depth in alone]
    return Instances(
        masks=Sets.from_labels(torch.from_numpy(numbers[objects.ravel()]), len(present)),
        classes=torch.from_numpy(stage.classes[present]),
        scores=torch.ones(len(present)),
        vocabulary=stage.vocabulary,
        whole=Sets.of(whole, size),
        amodal_boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 7),
        image_boxes=torch.tensor(edges, dtype=torch.float32).reshape(-1, 4),
        shapes=tuple(shapes),
        element_classes=torch.from_numpy(np.append(stage.classes, -1)[objects.ravel()]),
    )


def edges_of(mask: Bool[np.ndarray, "h w"]) -> list[int]:
    """Left, top, right and bottom edge of a mask that is not empty."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def _nearer(alone: list[Float32[np.ndarray, "h w"]]) -> Int[Tensor, "i i"]:
    """Of every two, at how many pixels that have both the first is nearer."""
    if not alone:
        return torch.zeros(0, 0, dtype=torch.int64)
    return torch.from_numpy(_count_nearer(np.stack(alone).reshape(len(alone), -1)))


@kernel
def _count_nearer(depths):
    count, pixels = depths.shape
    out = np.zeros((count, count), np.int64)
    there = np.empty(count, np.int64)
    for p in range(pixels):
        found = 0
        for i in range(count):
            if depths[i, p] < np.inf:
                there[found] = i
                found += 1
        for a in range(found):
            for b in range(found):
                if depths[there[a], p] < depths[there[b], p]:
                    out[there[a], there[b]] += 1
    return out

"""`make_photo`: several objects of the thirteen categories in one picture, hiding one another, in a setting that varies widely.

Three settings: a ground, before a wall or under the sky; a table top; and a wall far behind, before which objects float, tilted
at random. Objects are models, as on a shelf of toys: each has a size of its own, whatever the real thing's. Everything lies in
one world, so that the order in which objects hide one another follows from depth. Masks are those of `synth.views`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from gestalt3d.configs import Count, Within, check_ranges
from gestalt3d.structures.camera import Camera, facing_y
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import SHAPENET13
from gestalt3d.synth import colours
from gestalt3d.synth.cameras import camera_at, render
from gestalt3d.synth.depth_noise import PLAIN
from gestalt3d.synth.objects.models import CATEGORIES, OBJECTS_VERSION, ObjectModel, make_object
from gestalt3d.synth.placement import oriented, overlap
from gestalt3d.synth.scanner import Pose, World, face_geometry, look
from gestalt3d.synth.shapes import Builder, Vector
from gestalt3d.synth.views import Stage, SyntheticView, take_view

PHOTOS_VERSION = 1
"""Grows when the photo of a seed changes."""
_SCALE = 7
"""The column of a material that holds the size of its pattern."""
_TRIES = 30
_CAMERAS = 6
"""So many are tried; the one from which most is seen hiding one another takes the photo."""
_SCREEN = 80
"""Width in pixels of the pictures that decide that."""
_SHOWN = 0.002
"""Of these pictures' pixels; who shows fewer does not count."""
_NEAREST = 0.5
"""No object may be nearer to the camera."""


@dataclass(frozen=True)
class PhotoConfig:
    """How photos are composed."""

    width: Annotated[int, Within(least=16, most=4096)] = 320
    """Pixels."""
    height: Annotated[int, Within(least=16, most=4096)] = 240
    """Pixels."""
    objects: Annotated[tuple[Count, Annotated[int, Within(most=100)]], Within(rising=True)] = (4, 10)
    """Fewest and most that are put into the scene, not all of which need to be seen."""
    min_pixels: Count = 64
    """An object that shows fewer is no instance."""

    def __post_init__(self) -> None:
        check_ranges(self)


class _Piece(NamedTuple):
    """Triangles in the world of a photo, all of one object."""

    vertices: Float64[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    face_material: Int[np.ndarray, "f"]
    materials: Float64[np.ndarray, "m 11"]
    frame: tuple[float, float, float, float, float]
    """cos and sin of the yaw, x, y, z."""
    number: int
    """Of the class; -1 for ground and walls."""


def make_photo(seed: int, config: PhotoConfig = PhotoConfig()) -> SyntheticView:
    """The photo of a seed, the same for the same arguments and versions. Its input has no depth.

    `camera_name` is the setting. `true_depth`, `nearer` and `occludes` say what lies before what.
    """
    rng = np.random.default_rng([seed, OBJECTS_VERSION, PHOTOS_VERSION, 8])
    setting = str(rng.choice(("ground", "table", "floating"), p=(0.4, 0.35, 0.25)))
    count = int(rng.integers(config.objects[0], config.objects[1] + 1))
    models = [make_object(str(rng.choice(CATEGORIES)), rng) for _ in range(count)]
    pieces = _floating(models, rng) if setting == "floating" else _standing(models, rng)
    spread = float(np.percentile(np.abs(np.concatenate([p.vertices for p in pieces])[:, :2]), 90))
    tried = [_any_camera(setting, spread, config, rng) for _ in range(_CAMERAS)]
    pose, focal = max(tried, key=lambda one: _worth(pieces, *one, config))
    pieces = [*_surroundings(setting, spread, pose, rng), *pieces]
    world = _world(pieces, rng)
    stage = Stage(world, face_geometry(world)[0], np.array([p.number for p in pieces], np.int64), SHAPENET13)
    size = (config.width, config.height)
    intrinsics = Camera.from_focal(focal, size).intrinsics
    seen = take_view(
        stage, camera_at(pose, intrinsics, size), facing_y(pose.rotation[2], pose.eye), PLAIN, rng,
        min_pixels=config.min_pixels, name=f"photo_{seed:07d}", camera_name=setting,
    )  # fmt: skip
    return replace(seen, input=View(seen.input.image, camera=seen.input.camera))


def _placed(model: ObjectModel, size: float, turn: Float64[np.ndarray, "3 3"], at: np.ndarray) -> _Piece:
    """A model whose box's diagonal becomes `size`; its patterns shrink with it."""
    materials = model.materials.copy()
    materials[:, _SCALE] *= size / model.metres
    yaw = float(np.arctan2(turn[1, 0], turn[0, 0]))
    return _Piece(
        model.vertices * size @ turn.T + at, model.faces, model.face_material, materials,
        (float(np.cos(yaw)), float(np.sin(yaw)), *at.tolist()), CATEGORIES.index(model.category),
    )  # fmt: skip


def _turned(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> Float64[np.ndarray, "3 3"]:
    """About z, after about x, after about y."""
    (c, cp, cr), (s, sp, sr) = (f([yaw, pitch, roll]) for f in (np.cos, np.sin))
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    return about_z @ about_x @ np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])


def _standing(models: list[ObjectModel], rng: np.random.Generator) -> list[_Piece]:
    """Upright on z = 0, close to one another: their boxes do not overlap."""
    taken, out = np.zeros((0, 8)), []
    close = float(rng.uniform(0.12, 0.4))
    for model in models:
        size = float(np.exp(rng.normal(0, 0.25)))
        half = np.abs(model.vertices).max(0) * size
        for attempt in range(_TRIES):
            yaw = float(rng.uniform(0, 2 * np.pi))
            x, y = rng.normal(0, (close + 0.6 * attempt / _TRIES) * np.sqrt(len(models)), 2)
            own = oriented(np.array([[*-half, *half]]), x, y, half[2], yaw)
            if not overlap(own, taken):
                taken = np.concatenate([taken, own])
                out.append(_placed(model, size, _turned(yaw), np.array([x, y, half[2]])))
                break
    return out


def _floating(models: list[ObjectModel], rng: np.random.Generator) -> list[_Piece]:
    """Anywhere in a block, turned about all axes though rarely upside down; they may run into one another a little."""
    centres: list[np.ndarray] = []
    out = []
    for model in models:
        size = float(np.exp(rng.normal(0, 0.3)))
        for _ in range(_TRIES):
            at = rng.uniform(-1, 1, 3) * [0.9, 0.9, 0.6]
            if all(np.linalg.norm(at - other) > 0.4 * size for other in centres):
                break
        centres.append(at)
        turn = _turned(float(rng.uniform(0, 2 * np.pi)), *rng.normal(0, 0.35, 2).tolist())
        out.append(_placed(model, size, turn, at))
    return out


def _any_camera(
    setting: str, spread: float, config: PhotoConfig, rng: np.random.Generator
) -> tuple[Pose, float]:
    """Aimed at the middle, so far off that most of the group fits; the focal length in pixels."""
    field = float(rng.uniform(0.5, 1.1))
    focal = config.width / 2 / np.tan(field / 2)
    down = float(rng.uniform(0.04, 0.85)) ** 1.3 if setting != "floating" else float(rng.normal(0, 0.25))
    yaw = float(rng.uniform(0, 2 * np.pi))
    ahead = np.array([np.cos(yaw) * np.cos(down), np.sin(yaw) * np.cos(down), -np.sin(down)])
    distance = max(spread * float(rng.uniform(0.8, 1.6)) / np.tan(field / 2), spread + 0.6)
    target = rng.normal(0, 0.12, 3) * spread + [0, 0, 0.0 if setting == "floating" else 0.3]
    eye = target - distance * ahead
    if setting != "floating":
        eye[2] = max(eye[2], 0.15)
    return look(eye, yaw, -down, float(rng.normal(0, 0.05))), float(focal)


def _worth(pieces: list[_Piece], pose: Pose, focal: float, config: PhotoConfig) -> float:
    """More, the more objects show and the more of them are partly hidden; little where one is right in front."""
    small = (_SCREEN, max(1, round(_SCREEN * config.height / config.width)))
    intrinsics = Camera.from_focal(focal * _SCREEN / config.width, small).intrinsics
    camera = camera_at(pose, intrinsics, small)
    alone = np.stack([render(piece.vertices, piece.faces, camera).depth for piece in pieces])
    nearest = alone.min(0)
    if nearest.min() < _NEAREST:
        return -1.0
    whole = np.isfinite(alone)
    sizes = whole.sum((1, 2))
    shown = (whole & (alone == nearest)).sum((1, 2))
    hidden = 1 - shown / np.maximum(sizes, 1)
    counts = shown >= _SHOWN * nearest.size
    partly = counts & (hidden > 0.1) & (hidden < 0.8)
    crowded = max(0.0, float(sizes.max()) / nearest.size - 0.4)
    return float(counts.sum() + 2 * partly.sum() - 10 * crowded)


def _surroundings(setting: str, spread: float, pose: Pose, rng: np.random.Generator) -> Iterator[_Piece]:
    """Ground or table, floor below it, wall behind."""
    if setting == "ground":
        yield _slab((-40, -40, -0.1), (40, 40, 0), _ground(rng))
    elif setting == "table":
        half = spread * rng.uniform(1.3, 2.2, 2) + 0.3
        thick = float(rng.uniform(0.04, 0.15))
        cover = colours.wood(rng) if rng.random() < 0.5 else _ground(rng)
        yield _slab((-half[0], -half[1], -thick), (half[0], half[1], 0), cover)
        yield _slab((-40, -40, -2.6), (40, 40, -2.5), colours.flooring(rng))
    if setting == "ground" and rng.random() < 0.25:
        return
    forward = pose.rotation[2] * [1, 1, 0]
    forward = forward / (np.linalg.norm(forward) + 1e-9)
    yaw = float(np.arctan2(forward[1], forward[0])) + float(rng.normal(0, 0.25))
    off = spread * float(rng.uniform(1.6, 5)) + 1.5
    wall = colours.paint(rng) if rng.random() < 0.4 else _ground(rng)
    piece = _slab((off, -60, -40), (off + 0.1, 60, 40), wall)
    turn = _turned(yaw)
    yield piece._replace(vertices=piece.vertices @ turn.T, frame=(turn[0, 0], turn[1, 0], 0.0, 0.0, 0.0))


def _ground(rng: np.random.Generator) -> colours.Material:
    """Whatever covers a ground or a wall; patterns from fine to coarse."""
    makers = (
        colours.flooring,
        colours.cloth,
        colours.leaf,
        colours.tiling,
        colours.masonry,
        colours.poster,
        colours.wood,
    )
    made = makers[int(rng.choice(len(makers), p=(0.35, 0.2, 0.1, 0.1, 0.08, 0.09, 0.08)))](rng)
    return made._replace(scale=made.scale * float(np.exp(rng.uniform(-0.3, 1.2))), emission=0.0)


def _slab(low: Vector, high: Vector, material: colours.Material) -> _Piece:
    b = Builder()
    b.box("slab", low, high, material)
    vertices, faces = b.parts[0].vertices, b.parts[0].faces
    paint = np.zeros(len(faces), np.int64)
    return _Piece(vertices, faces, paint, np.array([material.row], float), (1.0, 0.0, 0.0, 0.0, 0.0), -1)


def _world(pieces: list[_Piece], rng: np.random.Generator) -> World:
    """All of it under one to four lamps, of a colour, far and even or near and harsh."""
    counts = [len(p.vertices) for p in pieces]
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    own = np.concatenate([[0], np.cumsum([len(p.materials) for p in pieces])[:-1]])
    materials = np.concatenate([p.materials for p in pieces])
    materials[:, 1:7] *= np.tile(np.exp(rng.normal(0, 0.12, 3)), 2)
    lights = []
    for _ in range(int(rng.integers(1, 5))):
        way = rng.normal(size=3)
        way = np.array([way[0], way[1], abs(way[2]) + 0.3]) / np.linalg.norm(way)
        far = float(np.exp(rng.uniform(np.log(1.5), np.log(12))))
        lights.append((*(way * far), rng.uniform(0.25, 1.0), far * rng.uniform(0.6, 2.5)))
    return World(
        vertices=np.concatenate([p.vertices for p in pieces]),
        faces=np.concatenate([p.faces + k for p, k in zip(pieces, first, strict=True)]).astype(np.int32),
        face_material=np.concatenate([p.face_material + k for p, k in zip(pieces, own, strict=True)]),
        face_object=np.repeat(np.arange(len(pieces)), [len(p.faces) for p in pieces]),
        materials=materials,
        frames=np.array([p.frame for p in pieces]),
        lights=np.array(lights),
        ambient=float(rng.uniform(0.1, 0.6)),
        salt=int(rng.integers(2**20)),
        cells=np.zeros((0, 4)),
        height=0.0,
        obstacles=np.zeros((0, 8)),
    )

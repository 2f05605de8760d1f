"""Rooms from another hand, to choose by and to be tested on, never to learn from: `rooms` is what networks have seen.

Walls, doors and windows are planned as there. All else is other: furniture that `rooms` does not have (that of single objects and
of objects in parts, and things without a name), crowded into rows, blocks and groups that touch; colours that say nothing of what
a thing is; a scanner that looks about from a few places and is put together a little askew, without fusing what it sees.

What helps in `rooms` and not here has been learnt by heart.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import SYNTH
from gestalt3d.synth import colours, scanner
from gestalt3d.synth import plan as plans
from gestalt3d.synth.objects import displays, household, seats, speakers
from gestalt3d.synth.placement import Maker, Scene
from gestalt3d.synth.rooms import build_world, merge_small, structure
from gestalt3d.synth.shapes import Builder, Shape, Surface

GENERATOR_VERSION = 1
SPLITS = {"val": 0, "test": 1_000_000}
"""First seed of each split; a split ends where the next begins. There is none to train on."""
MOST_POINTS = 120_000
_KINDS = {"display": "monitor", "speaker": "clutter"}
"""What classes of single objects are called in rooms."""
_TRIES = 60


def make_other_room(seed: int) -> Scan:
    """The scan of one place, the same for the same seed and `GENERATOR_VERSION`."""
    plan, scene = crowded_room(seed)
    rng = np.random.default_rng([seed, GENERATOR_VERSION, 3])
    world = _repainted(build_world(plan, scene, rng), rng)
    points, face = _seen(world, np.random.default_rng([seed, GENERATOR_VERSION, 4]))
    objects = merge_small(world.face_object[face], scene)
    present, labels = np.unique(objects, return_inverse=True)
    classes = torch.from_numpy(np.array([SYNTH.id(scene.placed[i].shape.kind) for i in present], np.int64))
    rows = torch.from_numpy(labels.reshape(-1))
    truth = Instances.from_labels(rows, classes, vocabulary=SYNTH, element_classes=classes[rows])
    own = np.random.default_rng([seed, GENERATOR_VERSION, 5])
    colors = None if own.random() < 0.15 else _colors(world, points, face, own)
    yaw = float(own.uniform(0, 2 * np.pi))
    turned = points @ np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1.0]])
    cloud = PointCloud.from_arrays(turned.astype(np.float32), colors)
    return Scan(f"other_room_{seed:07d}", cloud, truth)


def crowded_room(seed: int) -> tuple[plans.Plan, Scene]:
    """The plan and everything in it, before anyone looks."""
    plan = plans.make_plan(np.random.default_rng([seed, GENERATOR_VERSION, 0, 7]))
    scene = Scene()
    walls = structure(scene, plan, np.random.default_rng([seed, GENERATOR_VERSION, 1, 7]))
    for k, cell in enumerate(plan.cells):
        rng = np.random.default_rng([seed, GENERATOR_VERSION, 2, k])
        _Crowd(scene, cell, walls[k], rng).fill()
    return plan, scene


# ── what stands there ───────────────────────────────────────────────────────────────────────────────────────────────


def _called(shape: Shape) -> Shape:
    return replace(shape, kind=_KINDS.get(shape.kind, shape.kind))


def _with_top(shape: Shape) -> Shape:
    """Things can stand on it."""
    if shape.surfaces:
        return shape
    low, high = shape.low, shape.high
    edge = 0.03
    top = Surface(low[0] + edge, low[1] + edge, high[0] - edge, high[1] - edge, float(high[2]), 1.2)
    return replace(shape, surfaces=(top,))


def _table(rng: np.random.Generator) -> Shape:
    return _with_top(household.table_in_parts(rng))


def _cabinet(rng: np.random.Generator) -> Shape:
    return _with_top(household.cabinet_in_parts(rng))


def _chair(rng: np.random.Generator) -> Shape:
    return seats.slatted(rng, "chair", seats=1)


def _bench(rng: np.random.Generator) -> Shape:
    return (seats.park_bench, seats.block_bench)[int(rng.integers(2))](rng)


def _small(rng: np.random.Generator) -> Shape:
    u = rng.random()
    if u < 0.25:
        return _called(displays.display(rng))
    if u < 0.45:
        return _called(speakers.speaker(rng))
    return _nameless(rng, float(np.exp(rng.uniform(np.log(0.08), np.log(0.4)))))


def _nameless(rng: np.random.Generator, size: float) -> Shape:
    """Some solids one on the other, that mean nothing; about `size` metres large."""
    b = Builder()
    z = 0.0
    for _ in range(1 + int(rng.geometric(0.5))):
        w, d, h = size * rng.uniform(0.3, 1.0, 3)
        m = colours.anything(rng)
        u = rng.random()
        if u < 0.4:
            b.box("body", (-w / 2, -d / 2, z), (w / 2, d / 2, z + h), m)
        elif u < 0.6:
            b.rounded("body", (-w / 2, -d / 2, z), (w / 2, d / 2, z + h), 0.3 * min(w, d, h), m)
        elif u < 0.85:
            b.cylinder("body", (0, 0, z), (0, 0, z + h), w / 2, float(rng.uniform(0.1, 0.5)) * w, m, 16)
        else:
            middle = (float(rng.uniform(0.3, 0.6)) * w, z + h / 2)
            b.lathe("body", [(0, z), (w / 4, z), middle, (w / 5, z + h), (0, z + h)], m)
        z += h
        if z > 1.8:
            break
    return b.finish("clutter")


def _panel(rng: np.random.Generator) -> Shape:
    """Flat, for a wall."""
    w, h, t = float(rng.uniform(0.3, 2.0)), float(rng.uniform(0.25, 1.1)), float(rng.uniform(0.01, 0.05))
    b = Builder()
    b.box("panel", (-w / 2, -t, 0), (w / 2, 0, h), colours.anything(rng))
    return b.finish("board" if w > 0.9 else "picture")


class _Crowd:
    """Fills one cell until a share of its floor is covered."""

    def __init__(self, scene: Scene, cell: plans.Cell, walls: list[int], rng: np.random.Generator) -> None:
        self.scene, self.cell, self.walls, self.rng = scene, cell, walls, rng
        self.standing: list[int] = []

    def fill(self) -> None:
        rng = self.rng
        wanted = float(rng.uniform(0.25, 0.55)) * self.cell.area
        ways: tuple[Callable[[], None], ...] = (self._row, self._group, self._block, self._anywhere)
        for _ in range(_TRIES):
            if sum(self._floor_of(i) for i in self.standing) > wanted:
                break
            ways[int(rng.choice(4, p=(0.35, 0.25, 0.2, 0.2)))]()
        for index in list(self.standing):
            for _ in range(int(rng.poisson(1.8))):
                self.scene.put_on(index, _small(rng), rng)
        for _ in range(int(rng.poisson(2.0))):
            side = int(rng.integers(len(self.cell.sides)))
            room = self.cell.sides[side]
            at, z = float(rng.uniform(-0.5, 0.5)) * room.length, float(rng.uniform(0.7, 1.5))
            self.scene.put_at_wall(_panel(rng), room, at, z=z, support=self.walls[side])

    def _floor_of(self, index: int) -> float:
        size = self.scene.placed[index].shape.size
        return float(size[0] * size[1])

    def _kept(self, index: int | None) -> bool:
        if index is not None:
            self.standing.append(index)
        return index is not None

    def _designs(self, makers: tuple[Maker, ...], count: int) -> list[Shape]:
        """Often one design again and again."""
        maker = makers[int(self.rng.integers(len(makers)))]
        first = int(self.rng.integers(2**31))
        same = self.rng.random() < 0.6
        return [maker(np.random.default_rng(first + (0 if same else k))) for k in range(count)]

    def _row(self) -> None:
        """Side by side at a wall, touching."""
        rng = self.rng
        side = self.cell.sides[int(rng.integers(len(self.cell.sides)))]
        x = -side.length / 2 + float(rng.uniform(0, 0.5 * side.length))
        for shape in self._designs((_cabinet, _cabinet, _chair, _table), int(rng.integers(2, 7))):
            at = x - float(shape.low[0])
            if not self._kept(self.scene.put_at_wall(shape, side, at, gap=float(rng.exponential(0.01)))):
                break
            x += float(shape.size[0]) + float(rng.exponential(0.004))

    def _group(self) -> None:
        """A table, and seats that touch it or nearly."""
        rng = self.rng
        table = _table(rng)
        x, y, yaw = self._place()
        if not self._kept(self.scene.put(table, x, y, yaw)):
            return
        c, s = np.cos(yaw), np.sin(yaw)
        for k, seat in enumerate(self._designs((_chair, _chair, _bench), int(rng.integers(2, 7)))):
            along, sign = float(rng.uniform(-0.5, 0.5)), 1 if k % 2 else -1
            reach = float(table.size[1] + seat.size[1]) / 2 + float(rng.exponential(0.03)) - 0.02
            lx, ly = along * max(float(table.size[0]) - 0.4, 0.0), sign * reach
            turn = yaw + (0 if sign > 0 else np.pi) + float(rng.normal(0, 0.15))
            self._kept(self.scene.put(seat, x + c * lx - s * ly, y + s * lx + c * ly, turn))

    def _block(self) -> None:
        """Two rows back to back."""
        rng = self.rng
        x, y, yaw = self._place()
        c, s = np.cos(yaw), np.sin(yaw)
        for k, shape in enumerate(self._designs((_table, _cabinet, _chair), 2 * int(rng.integers(1, 4)))):
            column, back = k // 2, k % 2
            lx = column * (float(shape.size[0]) + 0.005)
            ly = (1 if back else -1) * float(shape.size[1]) / 2
            self._kept(
                self.scene.put(shape, x + c * lx - s * ly, y + s * lx + c * ly, yaw + (0 if back else np.pi))
            )

    def _anywhere(self) -> None:
        rng = self.rng
        u = rng.random()
        if u < 0.25:
            shape = seats.rolled_sofa(rng)
        elif u < 0.4:
            shape = _bench(rng)
        elif u < 0.55:
            shape = household.lamp_in_parts(rng)
        else:
            shape = _with_top(_nameless(rng, float(np.exp(rng.uniform(np.log(0.3), np.log(1.4))))))
        self._kept(self.scene.put(shape, *self._place()))

    def _place(self) -> tuple[float, float, float]:
        c, rng = self.cell, self.rng
        yaw = float(rng.integers(4)) * np.pi / 2 + (float(rng.normal(0, 0.3)) if rng.random() < 0.4 else 0.0)
        return float(rng.uniform(c.x0 + 0.4, c.x1 - 0.4)), float(rng.uniform(c.y0 + 0.4, c.y1 - 0.4)), yaw


# ── how it is seen ──────────────────────────────────────────────────────────────────────────────────────────────────


def _repainted(world: scanner.World, rng: np.random.Generator) -> scanner.World:
    """In colours that say nothing of what a thing is: a palette of a few, greys, anything, or those it was made in."""
    materials = world.materials.copy()
    count = len(materials)
    u = rng.random()
    if u < 0.2:
        return world
    if u < 0.6:
        few = np.array([colours.any_color(rng) for _ in range(int(rng.integers(2, 5)))])
        chosen = few[rng.integers(len(few), size=(2, count))]
    elif u < 0.75:
        chosen = np.repeat(rng.uniform(0.05, 0.95, (2, count, 1)), 3, axis=2)
    else:
        chosen = np.array([[colours.any_color(rng) for _ in range(count)] for _ in range(2)])
    shade = rng.uniform(0.75, 1.2, (1, count, 1))
    materials[:, 1:4], materials[:, 4:7] = np.clip(chosen * shade, 0.02, 0.98)
    return replace(world, materials=materials)


def _seen(world: scanner.World, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One point of each voxel that has several, and some of those that have one; and their faces. Places are a little askew."""
    every, faces = [np.zeros((0, 3))], [np.zeros(0, np.int64)]
    askew, turn = float(rng.uniform(0.001, 0.01)), float(rng.uniform(0.0003, 0.003))
    noise = float(rng.uniform(0.001, 0.004))
    for cell in world.cells:
        for _ in range(int(rng.integers(2, 5))):
            eye = scanner.standing_place(world, cell, rng, float(rng.uniform(1.3, 2.0)))
            start = float(rng.uniform(0, 2 * np.pi))
            poses = [
                scanner.look(eye, start + k * np.pi / 3, float(pitch))
                for k in range(6)
                for pitch in (-0.55, 0.25)
            ]
            points, face = scanner.depth_frames(world, poses, rng, 160, 120, 1.15, noise, 0.0)
            yaw = float(rng.normal(0, turn))
            about = points - eye
            about[:, :2] += yaw * about[:, 1::-1] * np.array([-1.0, 1.0])
            every.append(about + eye + rng.normal(0, askew, 3))
            faces.append(face)
    points, face = np.concatenate(every), np.concatenate(faces)
    order = rng.permutation(len(points))
    # Most of what was seen but once lies in the middle of nowhere.
    stays = rng.random(len(points)) < float(rng.uniform(0.05, 0.4))
    edge = float(rng.uniform(0.012, 0.035))
    while True:
        cells = np.floor(points[order] / edge).astype(np.int64)
        cells -= cells.min(axis=0)
        extent = cells.max(axis=0) + 1
        flat = np.ravel_multi_index(tuple(cells.T), tuple(extent))
        _, first, times = np.unique(flat, return_index=True, return_counts=True)
        first = first[(times > 1) | stays[first]]
        if len(first) <= MOST_POINTS:
            kept = np.sort(order[first])
            return points[kept], face[kept]
        edge *= 1.15


def _colors(
    world: scanner.World, points: np.ndarray, face: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    normals, _ = scanner.face_geometry(world)
    shaded = colours.shade(
        points, normals[face], face, world.face_material, world.face_object, world.materials,
        world.frames, world.lights, world.ambient, world.salt,
    )  # fmt: skip
    return colours.expose(shaded, points.astype(np.float32), rng, unevenness=0.1)

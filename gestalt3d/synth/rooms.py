"""Rooms: plan, furniture, scan and labels from one seed.

Labels follow the data sets that weights meet later. Every wall plane is an instance, floor and ceiling are
one each, a rug is floor, stoves, radiators and machines are clutter. Books and small things on a shelf
belong to the bookcase; boxes of 20 cm and more on it are instances of their own. An instance that the scan
shows with fewer than `MIN_POINTS` points is merged into what it stands on or hangs at.
"""

from dataclasses import dataclass

import numpy as np
import torch

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import SYNTH
from gestalt3d.synth import colours, fittings, scanner
from gestalt3d.synth import plan as plans
from gestalt3d.synth.furnishing import Furnisher
from gestalt3d.synth.placement import Scene, oriented
from gestalt3d.synth.scanner import World
from gestalt3d.synth.shapes import Builder
from gestalt3d.synth.whole import with_whole_objects

GENERATOR_VERSION = 1
SPLITS = {"train": 0, "second": 500_000, "val": 1_000_000, "test": 2_000_000}
"""First seed of each split; a split ends where the next begins. "second" is for what learns from the answers of methods that have
learnt from "train".
"""
MIN_POINTS = 20


@dataclass(frozen=True)
class RoomConfig:
    points: int = 100_000
    """Largest number of points; small or barely seen rooms have fewer."""
    mode: str | None = None
    """"fused", "static" or "single" (see `scanner`); None draws it."""


def structure(scene: Scene, plan: plans.Plan, rng: np.random.Generator) -> list[list[int]]:
    """Floor (0), ceiling (1), walls and what is in them, beams, columns. Returns each cell's wall indices."""
    scene.add(plans.floor_shape(plan), 0, 0, 0, 0, 0)
    scene.add(plans.ceiling_shape(plan, rng), 0, 0, 0, 0, 1)
    trim = colours.hard(rng) if rng.random() < 0.5 else colours.paint(rng)
    skirting = trim if rng.random() < 0.7 else None
    leaf = colours.hard(rng)
    seed = int(rng.integers(2**31))
    walls = []
    for cell in plan.cells:
        own = []
        for side in cell.sides:
            index = scene.add(
                plans.wall_shape(side, cell, plan.height, rng, skirting=skirting),
                side.x,
                side.y,
                0,
                side.yaw,
                0,
            )
            own.append(index)
            for o in side.openings:
                w, h = o.x1 - o.x0, o.z1 - o.z0
                x, y = side.at((o.x0 + o.x1) / 2, 0.0)
                if o.kind == "window":
                    g = np.random.default_rng(seed + 1) if rng.random() < 0.8 else rng
                    scene.add(
                        fittings.window(g, w, h, depth=o.depth), x, y, o.z0, side.yaw, index, solid=False
                    )
                    rows = oriented(
                        np.array([[-w / 2, -0.5, o.z0 + 0.1, w / 2, 0.05, o.z1]]), x, y, 0.0, side.yaw
                    )
                    if rng.random() < 0.75:
                        scene.reserve(rows)
                elif o.kind == "door":
                    state = rng.random()
                    outside = plans.clear_behind(plan, side, o)
                    angle = 0.0 if state < 0.6 else float(rng.uniform(0.1, 1.9)) if state < 0.9 else -1.0
                    g = np.random.default_rng(seed + 2) if rng.random() < 0.8 else rng
                    made = fittings.door(g, w, h, depth=o.depth, angle=angle, leaf=leaf, frame=trim)
                    scene.add(made, x, y, 0.0, side.yaw, index, solid=angle > 0)
                    if angle != 0.0 and outside:
                        scene.add(
                            plans.outlook_shape(side, o, rng, plan.height),
                            *side.at(0.0, 0.0),
                            0.0,
                            side.yaw,
                            index,
                            solid=False,
                        )
                if o.kind in ("door", "passage", "gap"):
                    reach = 0.8 if o.kind != "gap" else 0.45
                    scene.reserve(
                        oriented(np.array([[-w / 2, -reach, 0.0, w / 2, 0.05, 2.0]]), x, y, 0.0, side.yaw)
                    )
                if o.kind == "passage" and o.depth > 0 and plans.clear_behind(plan, side, o):
                    scene.add(
                        plans.outlook_shape(side, o, rng, plan.height),
                        *side.at(0.0, 0.0),
                        0.0,
                        side.yaw,
                        index,
                        solid=False,
                    )
            _curtains(scene, plan, side, index, rng)
        walls.append(own)
        _columns(scene, plan, cell, rng)
    return walls


def _curtains(scene: Scene, plan: plans.Plan, side: plans.Side, wall: int, rng: np.random.Generator) -> None:
    windows = [o for o in side.openings if o.kind == "window"]
    if not windows or rng.random() > 0.4:
        return
    cover = colours.cloth(rng)
    top = min(max(o.z1 for o in windows) + 0.12, plan.height - 0.02)
    long = rng.random() < 0.65
    for o in windows:
        for sign in (-1, 1):
            if rng.random() < 0.2:
                continue
            w = float(rng.uniform(0.18, 0.5)) * (o.x1 - o.x0 + 0.2)
            edge = (o.x0 - 0.1 + w / 2) if sign < 0 else (o.x1 + 0.1 - w / 2)
            edge = float(np.clip(edge, -side.length / 2 + w / 2, side.length / 2 - w / 2))
            bottom = float(rng.uniform(0.01, 0.1)) if long else o.z0 - float(rng.uniform(0.0, 0.2))
            x, y = side.at(edge, 0.0)
            shape = fittings.curtain(np.random.default_rng(int(rng.integers(2**62))), w, top - bottom, cover)
            scene.put(shape, x, y, side.yaw, z=bottom, support=wall, ignore_reserved=True)


def _columns(scene: Scene, plan: plans.Plan, cell: plans.Cell, rng: np.random.Generator) -> None:
    """Beams, columns, pipes and boxed-in corners."""
    if rng.random() < 0.22 and cell.area > 8:
        drop, wide = float(rng.uniform(0.12, 0.4)), float(rng.uniform(0.15, 0.4))
        m = cell.wall if rng.random() < 0.6 else colours.wood(rng)
        along_x = cell.width < cell.depth
        for k in range(int(rng.integers(1, 4))):
            b = Builder()
            half = (cell.width if along_x else cell.depth) / 2
            b.box("beam", (-half, -wide / 2, -drop), (half, wide / 2, 0), m)
            t = (k + float(rng.uniform(0.3, 0.7))) / 3
            x = (cell.x0 + cell.x1) / 2 if along_x else cell.x0 + t * cell.width
            y = cell.y0 + t * cell.depth if along_x else (cell.y0 + cell.y1) / 2
            scene.put(
                b.finish("beam"),
                x,
                y,
                0.0 if along_x else np.pi / 2,
                z=plan.height,
                support=1,
                ignore_reserved=True,
            )
    for _ in range(int(rng.poisson(0.25))):
        b = Builder()
        r = float(rng.uniform(0.1, 0.3))
        m = cell.wall if rng.random() < 0.6 else colours.paint(rng)
        # A column in the middle of a narrow corridor would close it.
        free = rng.random() < 0.3 and cell.area > 14 and min(cell.width, cell.depth) > 2
        if rng.random() < 0.4 and free:
            b.cylinder("column", (0, 0, 0), (0, 0, plan.height), r, r, m, 16)
        else:
            b.box("column", (-r, -r * 0.8, 0), (r, r * 0.8, plan.height), m)
        shape = b.finish("column")
        if free:
            scene.put(
                shape,
                float(rng.uniform(cell.x0 + 1, cell.x1 - 1)),
                float(rng.uniform(cell.y0 + 1, cell.y1 - 1)),
                0.0,
            )
        else:
            side = cell.sides[int(rng.integers(4))]
            at = (
                float(rng.choice((-1, 1))) * (side.length / 2 - r)
                if rng.random() < 0.6
                else float(rng.uniform(-0.3, 0.3)) * side.length
            )
            scene.put_at_wall(shape, side, at)
    if rng.random() < 0.15:
        b = Builder()
        r = float(rng.uniform(0.025, 0.07))
        b.cylinder(
            "pipe",
            (0, -r, 0),
            (0, -r, plan.height),
            r,
            r,
            cell.wall if rng.random() < 0.5 else colours.metal(rng),
            8,
        )
        side = cell.sides[int(rng.integers(4))]
        scene.put_at_wall(b.finish("clutter"), side, float(rng.choice((-1, 1))) * (side.length / 2 - 2 * r))


def furnish_room(seed: int) -> tuple[plans.Plan, Scene]:
    """The plan and everything in it, before anyone looks."""
    root = np.random.default_rng([seed, GENERATOR_VERSION, 0])
    plan = plans.make_plan(root)
    scene = Scene()
    walls = structure(scene, plan, np.random.default_rng([seed, GENERATOR_VERSION, 1]))
    for k, cell in enumerate(plan.cells):
        rng = np.random.default_rng([seed, GENERATOR_VERSION, 2, k])
        Furnisher(scene, plan, cell, walls[k], rng, tidy=float(rng.beta(1.6, 1.2))).furnish()
    return plan, scene


def _rugs(
    plan: plans.Plan, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray, colours.Material]]:
    """Carpets on the floor: vertices, faces, material; they are floor to every data set."""
    out = []
    for cell in plan.cells:
        if rng.random() > (0.45 if cell.use in ("living", "bedroom", "bathroom") else 0.12):
            continue
        w = float(rng.uniform(0.4, 0.8)) * cell.width
        d = float(rng.uniform(0.3, 0.75)) * cell.depth
        x, y = (
            float(rng.uniform(cell.x0 + w / 2, cell.x1 - w / 2)),
            float(rng.uniform(cell.y0 + d / 2, cell.y1 - d / 2)),
        )
        z = float(rng.uniform(0.006, 0.02))
        if rng.random() < 0.2:
            t = np.arange(24) * 2 * np.pi / 24
            outline = np.stack([x + w / 2 * np.cos(t), y + d / 2 * np.sin(t)], 1)
        else:
            outline = np.array(
                [
                    [x - w / 2, y - d / 2],
                    [x + w / 2, y - d / 2],
                    [x + w / 2, y + d / 2],
                    [x - w / 2, y + d / 2],
                ]
            )
        vertices = np.concatenate([outline, np.full((len(outline), 1), z)], 1)
        k = np.arange(1, len(outline) - 1)
        out.append((vertices, np.stack([np.zeros_like(k), k, k + 1], 1).astype(np.int32), colours.cloth(rng)))
    return out


def build_world(plan: plans.Plan, scene: Scene, rng: np.random.Generator) -> World:
    """All triangles with their object and material; the whole is sheared a little, as built walls are."""
    vertices, faces, materials, face_material, face_object = [], [], [], [], []
    frames = np.empty((len(scene.placed), 5))
    base = 0
    for index, placed in enumerate(scene.placed):
        c, s = np.cos(placed.yaw), np.sin(placed.yaw)
        frames[index] = (c, s, placed.x, placed.y, placed.z)
        parts = [(p.vertices, p.faces, p.materials, p.face_material) for p in placed.shape.parts]
        if index == 0:
            parts += [(v, f, (m,), None) for v, f, m in _rugs(plan, rng)]
        for v, f, m, chosen in parts:
            world = np.empty_like(v)
            world[:, 0] = c * v[:, 0] - s * v[:, 1] + placed.x
            world[:, 1] = s * v[:, 0] + c * v[:, 1] + placed.y
            world[:, 2] = v[:, 2] + placed.z
            vertices.append(world)
            faces.append(f + base)
            base += len(v)
            face_material.append(
                np.full(len(f), len(materials)) if chosen is None else chosen + len(materials)
            )
            face_object.append(np.full(len(f), index))
            materials.extend(m)
    points = np.concatenate(vertices)
    shear = rng.normal(0, 0.008, 2)
    points[:, :2] += points[:, 1::-1] * shear
    lights = []
    for cell in plan.cells:
        for _ in range(int(rng.integers(1, 4))):
            x, y = rng.uniform(cell.x0, cell.x1), rng.uniform(cell.y0, cell.y1)
            lights.append(
                (x, y, plan.height - rng.uniform(0.05, 1.0), rng.uniform(0.3, 0.9), rng.uniform(1.5, 4.0))
            )
    return World(
        vertices=points,
        faces=np.concatenate(faces).astype(np.int32),
        face_material=np.concatenate(face_material).astype(np.int64),
        face_object=np.concatenate(face_object).astype(np.int64),
        materials=np.array([m.row for m in materials]),
        frames=frames,
        lights=np.array(lights),
        ambient=float(rng.uniform(0.25, 0.55)),
        salt=int(rng.integers(2**20)),
        cells=np.array([[c.x0, c.y0, c.x1, c.y1] for c in plan.cells]),
        height=plan.height,
        obstacles=scene.solids.copy(),
    )


def merge_small(objects: np.ndarray, scene: Scene) -> np.ndarray:
    """Points of instances too small to be one go to their support, the smallest first, until none is left."""
    counts = np.bincount(objects, minlength=len(scene.placed))
    target = np.arange(len(scene.placed))
    # Supports are placed before what they carry, so one pass from the last to the first settles chains.
    for i in range(len(scene.placed) - 1, 1, -1):
        if 0 < counts[i] < MIN_POINTS:
            support = scene.placed[i].support
            target[i] = support
            counts[support] += counts[i]
            counts[i] = 0
    for i in range(len(target)):
        target[i] = target[target[i]] if target[i] != i else i
    return target[objects]


def make_room(seed: int, config: RoomConfig = RoomConfig(), *, shapes: bool = False) -> Scan:
    """The scan of one synthetic place, the same for the same seed, config and `GENERATOR_VERSION`.

    With `shapes`, which change nothing else, the truth has the whole `shapes` and `amodal_boxes` of its instances.
    """
    plan, scene = furnish_room(seed)
    world = build_world(plan, scene, np.random.default_rng([seed, GENERATOR_VERSION, 3]))
    shot = scanner.scan(
        world, np.random.default_rng([seed, GENERATOR_VERSION, 4]), points=config.points, mode=config.mode
    )
    objects = merge_small(shot.objects, scene)
    present, labels = np.unique(objects, return_inverse=True)
    classes = np.array([SYNTH.id(scene.placed[i].shape.kind) for i in present], np.int64)
    cloud = PointCloud(torch.from_numpy(shot.points), torch.from_numpy(shot.colors))
    instances = Instances.from_labels(
        torch.from_numpy(labels.reshape(-1)),
        torch.from_numpy(classes),
        vocabulary=SYNTH,
        element_classes=torch.from_numpy(classes[labels.reshape(-1)]),
    )
    if shapes:
        rng = np.random.default_rng([seed, GENERATOR_VERSION, 5])
        instances = with_whole_objects(instances, world, present, shot.shot_from_world, rng)
    return Scan(f"room_{seed:07d}", cloud, instances)

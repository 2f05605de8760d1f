"""Table tops: some small things on a table, side by side, touching or stacked, in one frame of a depth camera.

What a robot's camera gives. Depth comes in steps that grow with its square, as those of cameras that project a pattern
(2.8 mm at one metre); pixels beyond the table are left out, and the table is the plane z = 0.
"""

import numpy as np
import torch

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import TABLE_TOPS
from gestalt3d.synth import colours, props, scanner, tables
from gestalt3d.synth.placement import Scene, oriented
from gestalt3d.synth.plan import Plan, make_cell
from gestalt3d.synth.rooms import build_world
from gestalt3d.synth.shapes import Builder, Shape
from gestalt3d.synth.whole import with_whole_objects

GENERATOR_VERSION = 1
SPLITS = {"train": 0, "val": 1_000_000, "test": 2_000_000}
"""First seed of each split; a split ends where the next begins."""
MIN_POINTS = 100
DEPTH_STEP = 0.0028
"""Metres between two depths that the camera tells apart at one metre."""
_WIDTH, _HEIGHT, _FIELD = 640, 480, 1.09


def make_table_top(seed: int) -> Scan:
    """The scan of one table, the same for the same seed and `GENERATOR_VERSION`; an object shows at least 100 points."""
    rng = np.random.default_rng([seed, GENERATOR_VERSION])
    scene = _laid_table(rng)
    top = scene.placed[0].shape
    (x0, y0), (x1, y1) = top.low[:2].tolist(), top.high[:2].tolist()
    plan = Plan([make_cell(rng, x0, y0, x1, y1, "office")], 2.5, 0.1)
    world = build_world(plan, scene, rng)
    points, face = _seen(world, float(top.high[2]), rng)
    objects = world.face_object[face]
    normals, _ = scanner.face_geometry(world)
    colors = colours.shade(
        points, normals[face], face, world.face_material, world.face_object, world.materials,
        world.frames, world.lights, world.ambient, world.salt,
    )  # fmt: skip
    colors = colours.expose(colors, points.astype(np.float32), rng, unevenness=0.07)
    points[:, 2] -= top.high[2]
    sizes = np.bincount(objects, minlength=len(scene.placed))
    keep = sizes[objects] >= MIN_POINTS
    keep &= (points[:, 2] > -0.03) & (np.abs(points).max(1) < 0.75)
    present, labels = np.unique(objects[keep], return_inverse=True)
    classes = torch.from_numpy((present > 0).astype(np.int64))
    rows = torch.from_numpy(labels.reshape(-1))
    cloud = PointCloud.from_arrays(points[keep].astype(np.float32), colors[keep])
    found = Instances.from_labels(rows, classes, vocabulary=TABLE_TOPS, element_classes=classes[rows])
    scan_from_world = np.eye(4)
    scan_from_world[2, 3] = -top.high[2]
    own = np.random.default_rng([seed, GENERATOR_VERSION, 1])
    found = with_whole_objects(found, world, present, scan_from_world, own)
    return Scan(f"table_top_{seed:07d}", cloud, found)


def _laid_table(rng: np.random.Generator) -> Scene:
    scene = Scene()
    table = tables.table(rng, width=float(rng.uniform(1.0, 1.6)), depth=float(rng.uniform(0.8, 1.1)))
    scene.add(table, 0, 0, 0, 0, 0)
    middle = rng.uniform(-0.1, 0.1, 2)
    spread = float(rng.uniform(0.1, 0.3))
    for _ in range(int(rng.integers(2, 13))):
        thing = _thing(rng)
        below = int(rng.integers(len(scene.placed)))
        if below and rng.random() < 0.5 and scene.put_on(below, thing, rng) is not None:
            continue
        for _ in range(20):
            x, y = middle + rng.normal(0, spread, 2)
            if abs(x) < 0.5 and abs(y) < 0.4 and _put_near(scene, thing, x, y, rng):
                break
    return scene


def _put_near(scene: Scene, thing: Shape, x: float, y: float, rng: np.random.Generator) -> bool:
    """At the place, or moved from there to what stands nearest until they touch."""
    z, yaw = float(scene.placed[0].shape.high[2]), float(rng.uniform(0, 2 * np.pi))
    others = [(p.x, p.y) for p in scene.placed[1:]]
    if others and rng.random() < 0.4:
        aim = np.array(others[int(rng.integers(len(others)))])
        for t in np.linspace(1, 0, 25):
            px, py = aim + t * (np.array([x, y]) - aim)
            tx, ty = aim + (t - 0.04) * (np.array([x, y]) - aim)
            if not scene.fits(oriented(thing.solids, tx, ty, z, yaw)):
                return scene.put(thing, px, py, yaw, z=z) is not None
    return scene.put(thing, x, y, yaw, z=z) is not None


def _thing(rng: np.random.Generator) -> Shape:
    """A packet, a can, a book, or what else is small."""
    u = rng.random()
    if u < 0.45:
        size = tuple(float(v) for v in np.exp(rng.uniform(np.log(0.05), np.log(0.28), 3)))
        return props.box(rng, (size[0], size[1], min(size[2], 0.25)))
    if u < 0.6:
        b = Builder()
        r, h = float(rng.uniform(0.03, 0.06)), float(rng.uniform(0.06, 0.2))
        b.cylinder("can", (0, 0, 0), (0, 0, h), r, r, colours.anything(rng), 20)
        b.solid(-r * 0.8, -r * 0.8, 0, r * 0.8, r * 0.8, h)
        return b.finish("clutter")
    return props.books(rng) if u < 0.7 else props.small(rng)


def _seen(world: scanner.World, height: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points of one frame from in front of the table, and their faces."""
    distance, pitch = float(rng.uniform(0.8, 1.2)), float(rng.uniform(-0.95, -0.45))
    yaw = float(rng.uniform(0, 2 * np.pi))
    back = -distance * np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    pose = scanner.look(back + np.array([0, 0, height]), yaw, pitch)
    points, face = scanner.depth_frames(
        world, [pose], rng, _WIDTH, _HEIGHT, _FIELD, float(rng.uniform(0.0008, 0.002)), 0.0
    )
    rays = (points - pose.eye) @ pose.rotation.T
    depth = rays[:, 2:]
    steps = np.rint(1 / (DEPTH_STEP * depth))
    return pose.eye + rays / depth / (DEPTH_STEP * steps) @ pose.rotation, face

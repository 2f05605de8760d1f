"""How a scanner sees a world: what is hidden is missing, and what is seen is noisy, uneven and coloured.

- "fused": an RGB-D camera walks through; its depth images, each a little off its place, are averaged in a
  grid, which rounds edges and doubles thin things. Points lie about one voxel apart.
- "static": a few panoramas from tripods; dense, complete up to the ceiling, points anywhere on the surfaces.
- "single": one RGB-D frame, one point per pixel.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gestalt3d.ops._numba import kernel
from gestalt3d.ops._numba.rasterize import rasterize
from gestalt3d.synth import colours

MODES = ("fused", "static", "single")


@dataclass(frozen=True)
class World:
    """Triangles with their material and object, lamps, and where a person can stand."""

    vertices: np.ndarray
    faces: np.ndarray
    face_material: np.ndarray
    face_object: np.ndarray
    materials: np.ndarray
    frames: np.ndarray
    """(objects, 5): cos and sin of the yaw, x, y, z; patterns live in these frames."""
    lights: np.ndarray
    """(l, 5): x, y, z, power, reach."""
    ambient: float
    salt: int
    cells: np.ndarray
    """(c, 4): x0, y0, x1, y1."""
    height: float
    obstacles: np.ndarray
    """(s, 8): oriented boxes as in `placement`."""


class Shot(NamedTuple):
    points: np.ndarray
    colors: np.ndarray
    objects: np.ndarray
    shot_from_world: np.ndarray
    """(4, 4) float64: takes the world's coordinates to those of the points, apart from what the scanner measures wrongly."""


class Pose(NamedTuple):
    """`rotation` has the camera's right, down and forward as rows."""

    eye: np.ndarray
    rotation: np.ndarray


def look(eye: np.ndarray, yaw: float, pitch: float, roll: float = 0.0) -> Pose:
    """A camera that looks along `yaw`, `pitch` above the horizon."""
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    forward = np.array([cy * cp, sy * cp, sp])
    right = np.array([sy, -cy, 0.0])
    down = np.cross(forward, right)
    cr, sr = np.cos(roll), np.sin(roll)
    return Pose(np.asarray(eye, float), np.stack([cr * right + sr * down, cr * down - sr * right, forward]))


def standing_place(world: World, cell: np.ndarray, rng: np.random.Generator, eye: float) -> np.ndarray:
    """A free spot for a head at height `eye`."""
    m = min(0.35, (cell[2] - cell[0]) * 0.2, (cell[3] - cell[1]) * 0.2)
    best, clear = np.zeros(2), -1.0
    o = world.obstacles[(world.obstacles[:, 7] > 0.5) & (world.obstacles[:, 6] < eye + 0.15)]
    for _ in range(8):
        p = np.array([rng.uniform(cell[0] + m, cell[2] - m), rng.uniform(cell[1] + m, cell[3] - m)])
        dx, dy = p[0] - o[:, 0], p[1] - o[:, 1]
        ax = np.abs(dx * o[:, 4] + dy * o[:, 5]) - o[:, 2]
        ay = np.abs(-dx * o[:, 5] + dy * o[:, 4]) - o[:, 3]
        d = float(np.maximum(ax, ay).min()) if len(o) else 1.0
        if d > clear:
            best, clear = p, d
        if d > 0.25:
            break
    return np.array([best[0], best[1], eye])


def _walk(world: World, rng: np.random.Generator, frames: int) -> list[Pose]:
    """Views along a walk through the cells: the camera turns about and looks at what stands there."""
    areas = (world.cells[:, 2] - world.cells[:, 0]) * (world.cells[:, 3] - world.cells[:, 1])
    share = np.maximum(3, np.round(frames * areas / areas.sum())).astype(int)
    eye = float(rng.uniform(1.2, 1.75))
    down = float(rng.uniform(-0.5, -0.12))
    staring = float(rng.uniform(0.25, 0.75))
    poses = []
    for cell, count in zip(world.cells, share, strict=True):
        if len(world.cells) > 1 and rng.random() < 0.08:
            continue
        m = 0.2
        at = world.frames[2:, 2:5]
        targets = at[
            (at[:, 0] > cell[0] - m)
            & (at[:, 0] < cell[2] + m)
            & (at[:, 1] > cell[1] - m)
            & (at[:, 1] < cell[3] + m)
        ]
        turn = float(rng.uniform(0, 2 * np.pi))
        # A careless walk leaves a part of the room unseen.
        spread = 1.0 if rng.random() < 0.85 else float(rng.uniform(0.4, 0.9))
        for k in range(int(count)):
            if k % 3 == 0:
                place = standing_place(world, cell, rng, eye + float(rng.normal(0, 0.1)))
            if len(targets) and rng.random() < staring:
                aim = targets[int(rng.integers(len(targets)))] + rng.normal(0, 0.25, 3) - place
                aim[2] += 0.4
                yaw = float(np.arctan2(aim[1], aim[0]))
                pitch = float(np.clip(np.arctan2(aim[2], np.hypot(aim[0], aim[1])), -1.1, 0.3))
            else:
                yaw = turn + 2 * np.pi * spread * k / int(count) * 2 + float(rng.normal(0, 0.2))
                pitch = float(rng.normal(down, 0.25))
            poses.append(look(place, yaw, pitch, float(rng.normal(0, 0.06))))
    return poses or _walk(world, rng, frames)


@kernel
def _unproject(
    depth,
    face,
    rotation,
    eye,
    fx,
    fy,
    cx,
    cy,
    vertices,
    faces,
    face_material,
    materials,
    noise,
    waves,
    far,
    grazing,
    limit,
    flying,
    out,
    out_face,
    start,
):
    """Pixels → world points with a depth camera's errors, appended at `start`; returns the new end.

    `noise` has a standard normal and a uniform number per pixel; `waves` (w, 4) bend the depth smoothly.
    """
    height, width = depth.shape
    n = start
    for v in range(height):
        for u in range(width):
            f = face[v, u]
            if f < 0:
                continue
            z = depth[v, u]
            if z > far:
                continue
            material = face_material[f]
            chance = noise[v, u, 1]
            if chance < materials[material, 9] * 0.8:
                continue
            rx = (u - cx) / fx
            ry = (v - cy) / fy
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            ux = vertices[b, 0] - vertices[a, 0]
            uy = vertices[b, 1] - vertices[a, 1]
            uz = vertices[b, 2] - vertices[a, 2]
            wx = vertices[c, 0] - vertices[a, 0]
            wy = vertices[c, 1] - vertices[a, 1]
            wz = vertices[c, 2] - vertices[a, 2]
            nx = uy * wz - uz * wy
            ny = uz * wx - ux * wz
            nz = ux * wy - uy * wx
            norm = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
            dx = rotation[0, 0] * rx + rotation[1, 0] * ry + rotation[2, 0]
            dy = rotation[0, 1] * rx + rotation[1, 1] * ry + rotation[2, 1]
            dz = rotation[0, 2] * rx + rotation[1, 2] * ry + rotation[2, 2]
            cosine = abs(nx * dx + ny * dy + nz * dz) / (norm * np.sqrt(dx * dx + dy * dy + dz * dz))
            # Seen too flat, a surface returns nothing.
            if cosine < grazing * (0.5 + chance):
                continue
            bend = 0.0
            for k in range(len(waves)):
                bend += waves[k, 2] * np.sin(waves[k, 0] * u + waves[k, 1] * v + waves[k, 3])
            # Between two depths a camera may see something in the middle of nowhere.
            if (
                u + 1 < width
                and abs(depth[v, u + 1] - z) > 0.05 * z
                and depth[v, u + 1] < far
                and chance > 1.0 - flying
            ):
                z += (depth[v, u + 1] - z) * (1.0 - chance) / flying
            sigma = limit * (0.4 + 0.45 * z * z * 0.45) / max(cosine, 0.3)
            z = z + noise[v, u, 0] * sigma + bend * z * z
            out[n, 0] = eye[0] + dx * z
            out[n, 1] = eye[1] + dy * z
            out[n, 2] = eye[2] + dz * z
            out_face[n] = f
            n += 1
    return n


@kernel
def _fuse(points, faces, face_object, voxel):
    """Mean position, a face of the most frequent object and number of points of every voxel."""
    n = len(points)
    size = 16
    while size < 2 * n:
        size *= 2
    slot = np.full(size, -1, np.int32)
    keys = np.empty((n, 3), np.int64)
    total = np.zeros((n, 3))
    weight = np.zeros(n)
    best = np.empty(n, np.int64)
    lead = np.zeros(n, np.int64)
    count = 0
    for i in range(n):
        x = np.int64(np.floor(points[i, 0] / voxel))
        y = np.int64(np.floor(points[i, 1] / voxel))
        z = np.int64(np.floor(points[i, 2] / voxel))
        h = (x * 73856093) ^ (y * 19349663) ^ (z * 83492791)
        h = (h ^ (h >> 15)) & (size - 1)
        while True:
            s = slot[h]
            if s < 0:
                slot[h] = count
                keys[count, 0] = x
                keys[count, 1] = y
                keys[count, 2] = z
                best[count] = faces[i]
                s = count
                count += 1
                break
            if keys[s, 0] == x and keys[s, 1] == y and keys[s, 2] == z:
                break
            h = (h + 1) & (size - 1)
        for k in range(3):
            total[s, k] += points[i, k]
        weight[s] += 1
        # Boyer & Moore's majority vote.
        if face_object[best[s]] == face_object[faces[i]]:
            lead[s] += 1
        elif lead[s] == 0:
            best[s] = faces[i]
            lead[s] = 1
        else:
            lead[s] -= 1
    for s in range(count):
        for k in range(3):
            total[s, k] /= weight[s]
    return total[:count], best[:count], weight[:count]


@kernel
def _visible(
    points, cosines, face, face_normals, depth, rotation, eye, focal, center, seen, near_factor, draw
):
    """Mark the points that a depth image shows, a panorama's density falling with range and slant."""
    height, width = depth.shape
    for i in range(len(points)):
        if seen[i]:
            continue
        dx = points[i, 0] - eye[0]
        dy = points[i, 1] - eye[1]
        dz = points[i, 2] - eye[2]
        z = rotation[2, 0] * dx + rotation[2, 1] * dy + rotation[2, 2] * dz
        if z < 0.05:
            continue
        u = focal * (rotation[0, 0] * dx + rotation[0, 1] * dy + rotation[0, 2] * dz) / z + center
        v = focal * (rotation[1, 0] * dx + rotation[1, 1] * dy + rotation[1, 2] * dz) / z + center
        iu = int(np.floor(u + 0.5))
        iv = int(np.floor(v + 0.5))
        if iu < 0 or iv < 0 or iu >= width or iv >= height:
            continue
        r = np.sqrt(dx * dx + dy * dy + dz * dz)
        f = face[i]
        cosine = -(face_normals[f, 0] * dx + face_normals[f, 1] * dy + face_normals[f, 2] * dz) / r
        if cosine < 0.03:
            continue
        tolerance = 0.008 + 1.2 * z / focal / max(cosine, 0.12)
        if z <= depth[iv, iu] + tolerance and draw[i] < near_factor / (r * r) * (0.3 + cosine) + 0.35:
            seen[i] = True


def face_geometry(world: World) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals and areas."""
    a, b, c = (world.vertices[world.faces[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    double = np.linalg.norm(cross, axis=1)
    return cross / np.maximum(double, 1e-12)[:, None], double / 2


def _waves(rng: np.random.Generator, width: int, strength: float) -> np.ndarray:
    k = rng.normal(0, 2.2, (3, 2)) * 2 * np.pi / width
    return np.concatenate([k, rng.normal(0, strength, (3, 1)), rng.uniform(0, 6.28, (3, 1))], 1)


def _render(world: World, pose: Pose, focal: float, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    camera = ((world.vertices - pose.eye) @ pose.rotation.T).astype(np.float32)
    return rasterize(
        camera, world.faces, focal, focal, (width - 1) / 2, (height - 1) / 2, width, height, 0.05
    )


def depth_frames(
    world: World,
    poses: list[Pose],
    rng: np.random.Generator,
    width: int,
    height: int,
    fov: float,
    noise: float,
    drift: float,
) -> tuple[np.ndarray, np.ndarray]:
    """All depth images as points, with the face of each."""
    focal = width / 2 / np.tan(fov / 2)
    out = np.empty((len(poses) * width * height, 3))
    out_face = np.empty(len(out), np.int64)
    far = float(rng.uniform(4.2, 7.5))
    grazing = float(rng.uniform(0.05, 0.16))
    bend = float(rng.uniform(0.0001, 0.0009))
    flying = float(rng.uniform(0.02, 0.25))
    offset = np.zeros(3)
    end = 0
    vertices = world.vertices.astype(np.float32)
    for pose in poses:
        depth, face = _render(world, pose, focal, width, height)
        offset = 0.85 * offset + rng.normal(0, drift, 3)
        turn = rng.normal(0, drift * 0.25)
        c, s = np.cos(turn), np.sin(turn)
        rotation = pose.rotation @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        random = np.empty((height, width, 2), np.float32)
        random[..., 0] = rng.standard_normal((height, width), dtype=np.float32)
        random[..., 1] = rng.random((height, width), dtype=np.float32)
        end = _unproject(
            depth, face, rotation, pose.eye + offset, focal, focal, (width - 1) / 2, (height - 1) / 2,
            vertices, world.faces, world.face_material, world.materials, random, _waves(rng, width, bend),
            far, grazing, noise, flying, out, out_face, end,
        )  # fmt: skip
    return out[:end], out_face[:end]


def _turned(points: np.ndarray, yaw: float) -> np.ndarray:
    c, s = np.cos(yaw), np.sin(yaw)
    return points @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])


def _fused(world: World, rng: np.random.Generator, points: int) -> tuple[np.ndarray, np.ndarray, float]:
    area = float(((world.cells[:, 2] - world.cells[:, 0]) * (world.cells[:, 3] - world.cells[:, 1])).sum())
    frames = int(np.clip(6 + area * rng.uniform(0.8, 1.5), 12, 50))
    poses = _walk(world, rng, frames)
    noise = float(rng.uniform(0.001, 0.005))
    drift = float(rng.choice((0.0005, 0.0015, 0.004)))
    cloud, face = depth_frames(world, poses, rng, 176, 132, float(rng.uniform(1.0, 1.2)), noise, drift)
    yaw = float(rng.uniform(0, 2 * np.pi)) if rng.random() < 0.7 else float(rng.integers(4)) * np.pi / 2
    cloud = _turned(cloud, yaw)
    # What a walk sees of a furnished room is about three times its floor; large rooms take a coarser grid.
    voxel = float(rng.uniform(0.016, 0.034))
    voxel = max(voxel, float(np.sqrt(2.9 * area / points)))
    # The grid lies askew, so that its rows show on no wall.
    askew, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    cloud = cloud @ askew
    while True:
        fused, best, weight = _fuse(cloud, face, world.face_object, voxel)
        if len(fused) <= points:
            break
        voxel *= float(np.sqrt(len(fused) / points)) * 1.02
    # Places glanced at once by few pixels are ragged: most reconstructions drop them.
    keep = (weight >= 2) | (rng.random(len(fused)) < rng.uniform(0.2, 0.9))
    return fused[keep] @ askew.T, best[keep], yaw


def _static(world: World, rng: np.random.Generator, points: int) -> tuple[np.ndarray, np.ndarray, float]:
    normals, areas = face_geometry(world)
    total = int(points * 2.6)
    cumulative = np.cumsum(areas)
    face = np.searchsorted(cumulative, rng.random(total) * cumulative[-1])
    face = np.minimum(face, len(areas) - 1)
    u, v = np.sqrt(rng.random((total, 1))), rng.random((total, 1))
    a, b, c = (world.vertices[world.faces[face, k]] for k in range(3))
    cloud = (1 - u) * a + u * (1 - v) * b + u * v * c
    seen = np.zeros(total, bool)
    draw = rng.random(total)
    resolution = 160
    focal = resolution / 2 / np.tan(np.radians(46))
    for cell in world.cells:
        stops = 1 + int(rng.integers(0, 3)) + int((cell[2] - cell[0]) * (cell[3] - cell[1]) > 12)
        for _ in range(stops):
            eye = standing_place(world, cell, rng, float(rng.uniform(1.2, 1.6)))
            turn = float(rng.uniform(0, 1.57))
            views = [look(eye, turn + k * np.pi / 2, 0.0) for k in range(4)] + [
                look(eye, turn, np.pi / 2),
                look(eye, turn, -np.pi / 2),
            ]
            for pose in views:
                depth, _ = _render(world, pose, focal, resolution, resolution)
                _visible(
                    cloud,
                    draw,
                    face,
                    normals,
                    depth,
                    pose.rotation,
                    pose.eye,
                    focal,
                    (resolution - 1) / 2,
                    seen,
                    rng.uniform(2.0, 8.0),
                    draw,
                )
    keep = np.flatnonzero(seen)
    keep = keep[draw[keep] * 0.5 >= world.materials[world.face_material[face[keep]], 9] * 0.25]
    if len(keep) > points:
        keep = np.sort(rng.choice(keep, points, replace=False))
    cloud, face = cloud[keep], face[keep]
    noise = float(rng.choice((0.0003, 0.001, 0.003)))
    waves = rng.normal(0, 1, (5, 3)) * rng.uniform(1.0, 9.0, (5, 1))
    phase = rng.uniform(0, 6.28, 5)
    swell = np.sin(cloud @ waves.T + phase).sum(1) * float(rng.uniform(0, 0.004))
    cloud = cloud + normals[face] * (rng.normal(0, noise, len(cloud)) + swell)[:, None]
    yaw = float(rng.uniform(0, 2 * np.pi)) if rng.random() < 0.3 else float(rng.integers(4)) * np.pi / 2
    return _turned(cloud, yaw), face, yaw


def _single(world: World, rng: np.random.Generator, points: int) -> tuple[np.ndarray, np.ndarray, float]:
    # Of six places the one that shows most, as a person would choose.
    best, most = [], -1
    for _ in range(6):
        cell = world.cells[int(rng.integers(len(world.cells)))]
        eye = standing_place(world, cell, rng, float(rng.uniform(1.1, 1.7)))
        centre = np.array([(cell[0] + cell[2]) / 2, (cell[1] + cell[3]) / 2]) - eye[:2]
        yaw = float(np.arctan2(centre[1], centre[0]) + rng.normal(0, 0.35))
        pose = look(eye, yaw, float(rng.uniform(-0.5, -0.1)), float(rng.normal(0, 0.03)))
        _, face = _render(world, pose, 42.0, 48, 36)
        shown = len(np.unique(world.face_object[face[face >= 0]]))
        if shown > most:
            best, most = [pose], shown
    width = int(np.clip(np.sqrt(points * 4 / 3), 64, 400))
    cloud, face = depth_frames(
        world,
        best,
        rng,
        width,
        width * 3 // 4,
        float(rng.uniform(1.0, 1.2)),
        float(rng.uniform(0.001, 0.004)),
        0.0,
    )
    yaw = float(rng.uniform(0, 2 * np.pi))
    if len(cloud) > points:
        keep = np.sort(rng.choice(len(cloud), points, replace=False))
        cloud, face = cloud[keep], face[keep]
    return _turned(cloud, yaw), face, yaw


def scan(world: World, rng: np.random.Generator, *, points: int, mode: str | None = None) -> Shot:
    """At most `points` points of what the scanner sees, turned about z, a corner near the origin."""
    drawn = MODES[int(np.searchsorted((0.6, 0.9), rng.random(), side="right"))]
    mode = mode or drawn
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    cloud, face, yaw = {"fused": _fused, "static": _static, "single": _single}[mode](world, rng, points)
    normals, _ = face_geometry(world)
    room = _turned(cloud, -yaw)
    chosen = normals[face]
    colors = colours.shade(
        room,
        chosen,
        face,
        world.face_material,
        world.face_object,
        world.materials,
        world.frames,
        world.lights,
        world.ambient,
        world.salt,
    )
    colors = colours.expose(
        colors, room.astype(np.float32), rng, unevenness=0.14 if mode == "fused" else 0.07
    )
    shot_from_world = np.eye(4)
    shot_from_world[:3, :3] = _turned(np.eye(3), yaw).T
    if mode == "fused":
        tilt = rng.normal(0, 0.004, 2)
        cloud[:, 2] += cloud[:, :2] @ tilt
        shot_from_world[2, :2] = tilt @ shot_from_world[:2, :2]
    if rng.random() < 0.9 and len(cloud):
        corner = cloud[:, :2].min(0)
        cloud[:, :2] -= corner
        shot_from_world[:2, 3] = -corner
    return Shot(cloud.astype(np.float32), colors, world.face_object[face], shot_from_world)

"""Whole objects: the surface that each has, seen or not, and the box around it. Only a synthetic world knows them.

A whole object is `POINTS` points of its surface, spread by area. Faces inside other parts of the same object, such as where a leg
meets a table's top or a drawer's front the body behind it, are no surface of it: nobody could ever see them. What stands in or
on an object as an instance of its own is no part of it, and neither are things too small to be instances, though their points
count to what they stand on.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float64

from gestalt3d.ops._numba import kernel
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.synth.scanner import World

SHAPES_VERSION = 1
"""Grows when the shapes of a room change; cached ones are made anew then."""
POINTS = 1024
"""Of each object."""
_OFF = 0.003
"""Metres in front of a face at which another part covers it."""
_DIRECTIONS = np.array([[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if x or y or z])


def with_whole_objects(
    found: Instances,
    world: World,
    objects: np.ndarray,
    scan_from_world: Float64[np.ndarray, "4 4"],
    rng: np.random.Generator,
) -> Instances:
    """The instances with `shapes` and `amodal_boxes`, in the frame of the scan; instance `i` is `objects[i]` of the world.

    Among an object's points are its outermost vertices, so that a box around the points is one around the object. Amodal boxes
    stand as the object does: their yaw is its own.
    """
    linear, shift = scan_from_world[:3, :3], scan_from_world[:3, 3]
    shapes, boxes = [], []
    for index in objects.tolist():
        triangles = world.vertices[world.faces[faces_of(world, index)]] @ linear.T + shift
        cos, sin = linear[:2, :2] @ world.frames[index, :2]
        yaw = np.arctan2(sin, cos)
        own_axes = _turn(yaw)
        corners = triangles.reshape(-1, 3) @ own_axes
        boxes.append(box_around(triangles.reshape(-1, 3), yaw))
        outermost = np.unique((corners @ _DIRECTIONS.T).argmax(0))
        points = [corners[outermost] @ own_axes.T, surface(triangles, POINTS - len(outermost), rng)]
        shapes.append(PointCloud(torch.from_numpy(np.concatenate(points).astype(np.float32))))
    amodal = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 7)
    return replace(found, shapes=tuple(shapes), amodal_boxes=amodal)


def box_around(points: Float64[np.ndarray, "n 3"], yaw: float) -> list[float]:
    """The smallest box of that yaw that holds the points: centre, size along its own axes, yaw."""
    own_axes = _turn(yaw)
    own = points @ own_axes
    low, high = own.min(0), own.max(0)
    return [*(own_axes @ ((low + high) / 2)), *(high - low), yaw]


def _turn(yaw: float) -> Float64[np.ndarray, "3 3"]:
    return np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1.0]])


def faces_of(world: World, index: int) -> slice:
    """Of one object; they lie together, as its vertices do."""
    return slice(*np.searchsorted(world.face_object, [index, index + 1]).tolist())


def surface(
    triangles: Float64[np.ndarray, "f 3 3"], count: int, rng: np.random.Generator
) -> Float64[np.ndarray, "k 3"]:
    """`count` points spread by area over closed, possibly overlapping parts, outside of all of them; face after face."""
    a, b, c = triangles.transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    double = np.linalg.norm(normals, axis=1)
    normals /= np.maximum(double, 1e-12)[:, None]
    bounds = np.concatenate([triangles.min(1), triangles.max(1)], axis=1)
    cumulative = np.cumsum(double)
    for pool in (2 * count, 8 * count):
        # One draw in each of so many equal shares of the area.
        at = (np.arange(pool) + rng.random(pool)) * (cumulative[-1] / pool)
        face = np.minimum(np.searchsorted(cumulative, at), len(double) - 1)
        u, v = np.sort(rng.random((2, pool)), axis=0)[..., None]
        points = a[face] * u + b[face] * (v - u) + c[face] * (1 - v)
        free = np.flatnonzero(~_inside(points + _OFF * normals[face], triangles, bounds))
        if len(free) >= count:
            break
    else:
        free = np.resize(free, count) if len(free) else np.arange(count)
    return points[free[((np.arange(count) + rng.random()) * (len(free) / count)).astype(np.int64)]]


@kernel
def _inside(points, triangles, bounds):
    """Whether each point lies in the solid: along all six axes more surfaces are left than entered on the way out.

    Counted so, parts may overlap, and what only half surrounds a point, as a lamp's shade, does not hold it.
    """
    inside = np.ones(len(points), np.bool_)
    for i in range(len(points)):
        for axis in range(3):
            p, q = (axis + 1) % 3, (axis + 2) % 3
            x, y, z = points[i, p], points[i, q], points[i, axis]
            above = 0
            below = 0
            for f in range(len(triangles)):
                if x < bounds[f, p] or x > bounds[f, p + 3] or y < bounds[f, q] or y > bounds[f, q + 3]:
                    continue
                ax, ay = triangles[f, 0, p] - x, triangles[f, 0, q] - y
                bx, by = triangles[f, 1, p] - x, triangles[f, 1, q] - y
                cx, cy = triangles[f, 2, p] - x, triangles[f, 2, q] - y
                u = bx * cy - by * cx
                v = cx * ay - cy * ax
                w = ax * by - ay * bx
                if not ((u > 0 and v > 0 and w > 0) or (u < 0 and v < 0 and w < 0)):
                    continue
                height = (
                    u * triangles[f, 0, axis] + v * triangles[f, 1, axis] + w * triangles[f, 2, axis]
                ) / (u + v + w)
                out = 1 if u > 0 else -1
                if height > z:
                    above += out
                else:
                    below -= out
            if above < 1 or below < 1:
                inside[i] = False
                break
    return inside

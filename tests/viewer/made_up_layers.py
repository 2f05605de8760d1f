"""Layers of plain arrays: a box as a surface, its edges as lines, a photo of rectangles; and a frame with depth."""

import dataclasses

import numpy as np
import torch

from gestalt3d.structures.camera import Camera
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.viewer.layers import ImagePlane, Lines, Points, Triangles
from gestalt3d.viewer.scene import Scene, scene_of
from tests.viewer.made_up_room import box_surface, made_up_room

CHAIR, SOFA, BOOKCASE = 8, 9, 10
_CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float32)
_QUADS = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
_EDGES = [(a, b) for a in range(8) for b in range(a) if np.abs(_CORNERS[a] - _CORNERS[b]).sum() == 1]


def box_mesh(low: tuple[float, float, float], high: tuple[float, float, float], label: int) -> Triangles:
    faces = [corner for a, b, c, d in _QUADS for corner in ((a, b, c), (a, c, d))]
    vertices = np.array(low) + _CORNERS * (np.array(high) - np.array(low))
    return Triangles(vertices.astype(np.float32), np.array(faces), np.full(len(faces), label))


def box_lines(low: tuple[float, float, float], high: tuple[float, float, float], label: int) -> Lines:
    vertices = np.array(low) + _CORNERS * (np.array(high) - np.array(low))
    return Lines(vertices[np.array(_EDGES)].astype(np.float32), np.full(12, label), name="Edges")


def room_with_ghosts(points: int = 100_000) -> Scene:
    """A sofa seen in part with a box around all of it, a bookcase of points up to the ceiling, edges around a chair."""
    scene = scene_of(*made_up_room(points, ceiling=False))
    assert scene.room is not None
    own = np.random.default_rng(0)
    stack = box_surface(own, 3000, np.array([0.05, 2.4, 2.0]), np.array([0.45, 4.0, 2.9])).astype(np.float32)
    bookcase = Points(
        stack,
        np.full(3000, BOOKCASE),
        np.full(3000, S3DIS.id("bookcase")),
        S3DIS,
        scene.room.bounds,
        opacity=0.5,
        name="Whole clouds",
    )
    sofa = box_mesh((4.9, 1.2, 0.0), (5.9, 3.2, 1.6), SOFA)
    chair = box_lines((1.9, 2.6, 0.0), (2.5, 3.2, 1.2), CHAIR)
    return dataclasses.replace(scene, layers=(*scene.layers, sofa, bookcase, chair))


def photo_of_rectangles() -> Scene:
    """320 x 200 pixels: a table (0) before a chair (1), which reaches behind it, and a lamp (2) at the edge."""
    pixels = np.full((200, 320, 3), (90, 100, 110), dtype=np.uint8)
    labels, hidden = np.full((200, 320), -1), np.full((200, 320), -1)
    for label, (left, top, right, bottom), shade in (
        (1, (120, 40, 200, 150), 60),
        (0, (60, 90, 160, 180), 150),
        (2, (290, 20, 320, 60), 220),
    ):
        pixels[top:bottom, left:right] = shade
        labels[top:bottom, left:right] = label
    # The chair goes on behind the table, and below, where nothing that was found hides it.
    hidden[90:150, 120:160] = 1
    hidden[150:180, 170:190] = 1
    corners = np.array([[120, -40], [200, -40], [200, -180], [120, -180]], dtype=np.float32)
    ends = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
    outlines = Lines(np.concatenate([ends, np.zeros((4, 2, 1), np.float32)], axis=2), np.ones(4, np.int64))
    boxes = np.array([[60, 90, 160, 180], [120, 40, 200, 150], [290, 20, 320, 60]], dtype=np.float64)
    classes = torch.tensor([S3DIS.id(name) for name in ("table", "chair", "clutter")])
    found = Instances.from_labels(
        torch.from_numpy(labels.ravel()),
        classes,
        torch.tensor([0.9, 0.8, 0.7]),
        vocabulary=S3DIS,
        method="made up",
    )
    return Scene((ImagePlane(pixels, labels, boxes, outlines, hidden),), found, None)


def frame() -> tuple[View, Instances]:
    """160 x 120 pixels of a level camera before a wall, with a near box (0) that hides most of a far one (1); some have no depth.

    The near box is a metre wide and stands 2 m ahead; the far one is said to reach behind it, as a mask and as a mesh.
    """
    width, height, focal = 160, 120, 120.0
    camera = Camera.from_focal(focal, (width, height))
    x, z = camera.rays()[..., 0], -camera.rays()[..., 1]
    depth, labels, whole = (
        np.full((height, width), 5.0),
        np.full((height, width), -1),
        np.full((height, width), -1),
    )
    for label, away, (left, right, low, high) in (
        (1, 3.0, (-0.2, 0.9, -0.5, 0.9)),
        (0, 2.0, (0.0, 1.0, -0.5, 0.4)),
    ):
        inside = (x * away > left) & (x * away < right) & (z * away > low) & (z * away < high)
        depth[inside], labels[inside] = away, label
        whole[inside & (label == 1)] = 1
    depth[:5, :5] = 0
    rng = np.random.default_rng(0)
    image = np.stack([0.3 + 0.2 * labels, 0.5 + 0 * labels, 0.6 - 0.1 * labels]) + rng.normal(
        0, 0.02, (3, height, width)
    )
    mesh = box_mesh((-0.3, 3.0, -0.1), (0.9, 3.6, 0.9), 1)
    nothing = Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))
    visible = Sets.from_labels(torch.from_numpy(labels.ravel()), 2)
    hidden = Sets.from_labels(torch.from_numpy(whole.ravel()), 2)
    found = Instances(
        masks=visible,
        whole=Sets.cat([visible.take(torch.tensor([0])), hidden.take(torch.tensor([1]))]),
        classes=torch.tensor([S3DIS.id("table"), S3DIS.id("bookcase")]),
        scores=torch.tensor([0.9, 0.6]),
        vocabulary=S3DIS,
        shapes=(nothing, Mesh(torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces))),
        method="made up",
    )
    view = View(torch.from_numpy(image.clip(0, 1)).float(), torch.from_numpy(depth).float(), camera)
    return view, found

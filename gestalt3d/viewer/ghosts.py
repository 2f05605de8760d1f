"""What a picture shows beside the scan: surfaces and points that are not seen but said to be there, and lines."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw

from gestalt3d.ops.rasterize import rasterize
from gestalt3d.viewer.layers import ImagePlane, Layer, Lines, Points, Sight, Triangles
from gestalt3d.viewer.palette import NOTHING
from gestalt3d.viewer.splat import splat
from gestalt3d.viewer.viewpoint import Projection

Project = Callable[[np.ndarray], Projection]
_BEHIND = 0.01
"""Share of the distance by which a ghost must stand in front of the scan to cover it: on its surface the scan is seen."""
_LINE, _DASH = 3, 14.0
"""Pixels."""


class Ghost(NamedTuple):
    """Where a layer is seen in an image of (h, w) pixels."""

    at: np.ndarray
    """(k,) flat pixels."""
    labels: np.ndarray
    """(k,) the instance of each, -1 for none."""
    light: np.ndarray
    """(k,) brightness."""
    opacity: float

    def blend_into(self, image: np.ndarray, table: np.ndarray) -> None:
        """Into (h, w, 3) uint8, with the colour of each instance (i, 3)."""
        colors = np.append(table, [NOTHING], axis=0)[self.labels] * self.light[:, None]
        flat = image.reshape(-1, 3)
        flat[self.at] = np.rint((1 - self.opacity) * flat[self.at] + self.opacity * colors).astype(np.uint8)


class Hung(NamedTuple):
    """Where a photo is seen that hangs in the room."""

    at: np.ndarray
    """(k,) flat pixels."""
    colors: np.ndarray
    """(k, 3) uint8."""

    def blend_into(self, image: np.ndarray, table: np.ndarray) -> None:
        """Into (h, w, 3) uint8, whatever the colours of instances."""
        image.reshape(-1, 3)[self.at] = self.colors


def ghosts(layers: Sequence[Layer], project: Project, depth: np.ndarray) -> list[Ghost | Hung]:
    """All layers but the scan, in front of which stands what has this `depth` (h, w); the photo before its camera."""
    drawn: list[Ghost | Hung] = []
    photo = next((layer for layer in layers if isinstance(layer, ImagePlane)), None)
    for layer in layers:
        if isinstance(layer, Sight):
            if photo is not None:
                drawn.append(_photo(layer, photo, project, depth))
            drawn.append(_lines(layer.lines, project, depth.shape))
        if isinstance(layer, Triangles) and len(layer):
            drawn.append(_surface(layer, project, depth))
        elif isinstance(layer, Points) and layer.opacity < 1:
            drawn.append(_cloud(layer, project, depth))
        elif isinstance(layer, Lines) and len(layer):
            drawn.append(_lines(layer, project, depth.shape))
    return drawn


def _surface(layer: Triangles, project: Project, depth: np.ndarray) -> Ghost:
    height, width = depth.shape
    seen = project(layer.vertices.astype(np.float64))
    x, y = (seen.x - width / 2) / seen.focal * seen.depth, (seen.y - height / 2) / seen.focal * seen.depth
    in_camera = np.stack([x, y, seen.depth], axis=1)
    hit = rasterize(
        torch.from_numpy(in_camera),
        torch.from_numpy(layer.faces.astype(np.int64)),
        focal=(seen.focal, seen.focal),
        center=(width / 2, height / 2),
        size=(height, width),
        near=1e-3 * max(float(seen.depth.max()), 1e-6),
    )
    face = hit.face.numpy()
    at = np.flatnonzero((face >= 0) & _in_front(hit.depth.numpy(), depth))
    a, b, c = (in_camera[layer.faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    slope = np.abs(normal[:, 2]) / np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    chosen = face.ravel()[at]
    return Ghost(at, layer.labels[chosen], 0.6 + 0.4 * slope[chosen], layer.opacity)


def _cloud(layer: Points, project: Project, depth: np.ndarray) -> Ghost:
    own, nearest = splat(project(layer.positions), layer.spacing, depth.shape)
    at = np.flatnonzero((nearest >= 0) & _in_front(own, depth))
    return Ghost(at, layer.labels[nearest.ravel()[at]], np.ones(len(at)), layer.opacity)


def _photo(layer: Sight, photo: ImagePlane, project: Project, depth: np.ndarray) -> Hung:
    """Each pixel's ray meets the photo's plane; as large as it is seen, so that it does not flicker."""
    height, width = depth.shape
    seen = project(layer.corners)
    x, y = (seen.x - width / 2) / seen.focal * seen.depth, (seen.y - height / 2) / seen.focal * seen.depth
    corner, right, lower = np.stack([x, y, seen.depth], axis=1)[:3]
    across, down = right - corner, lower - corner
    normal = np.cross(across, down)
    rows, columns = _reached(seen, (height, width))
    rays = np.stack([(columns + 0.5 - width / 2), (rows + 0.5 - height / 2)], axis=1) / seen.focal
    with np.errstate(divide="ignore", invalid="ignore"):
        away = normal @ corner / (rays @ normal[:2] + normal[2])
        on = np.stack([away * rays[:, 0], away * rays[:, 1], away], axis=1) - corner
        s = on @ np.cross(down, normal) / (across @ np.cross(down, normal))
        t = on @ np.cross(across, normal) / (down @ np.cross(across, normal))
        hit = (away > 0) & (s >= 0) & (s < 1) & (t >= 0) & (t < 1) & (away < depth[rows, columns])
    at, s, t = (rows * width + columns)[hit], s[hit], t[hit]
    side = max(1, int(np.sqrt(len(at) * photo.pixels.shape[1] / photo.pixels.shape[0])))
    shrink = max(1, photo.pixels.shape[1] // side)
    pixels = np.asarray(Image.fromarray(photo.pixels).reduce(shrink))
    u, v = (s * pixels.shape[1]).astype(int), (t * pixels.shape[0]).astype(int)
    return Hung(at, pixels[v, u])


def _reached(seen: Projection, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns, (k,) each, of the pixels among which lies what has these corners; all where one is behind the eye."""
    corners = np.stack([seen.y, seen.x])
    low, high = np.zeros(2, int), np.array(size)
    if (seen.depth > 0).all():
        low, high = (
            np.clip(edge, 0, size).astype(int) for edge in (np.floor(corners.min(1)), np.ceil(corners.max(1)))
        )
    rows, columns = np.mgrid[low[0] : high[0], low[1] : high[1]]
    return rows.ravel(), columns.ravel()


def _lines(layer: Lines, project: Project, size: tuple[int, int]) -> Ghost:
    """Drawn by number, so that a pixel knows its line; behind the eye there are none."""
    seen = project(layer.ends.reshape(-1, 3).astype(np.float64))
    x, y, depth = (column.reshape(-1, 2) for column in seen[:3])
    sheet = Image.new("I", (size[1], size[0]), 0)
    draw = ImageDraw.Draw(sheet)
    for line in np.flatnonzero((depth > 0).all(1)).tolist():
        (x0, x1), (y0, y1) = x[line], y[line]
        for start, end in _dashes(float(np.hypot(x1 - x0, y1 - y0))) if layer.dashed else [(0.0, 1.0)]:
            xy = [x0 + start * (x1 - x0), y0 + start * (y1 - y0), x0 + end * (x1 - x0), y0 + end * (y1 - y0)]
            draw.line(xy, fill=line + 1, width=_LINE)
    number = np.asarray(sheet).ravel()
    at = np.flatnonzero(number)
    return Ghost(at, layer.labels[number[at] - 1], np.ones(len(at)), 0.9)


def _dashes(length: float) -> list[tuple[float, float]]:
    """Parts of a line of `length` pixels that are drawn."""
    length = max(length, 1e-6)
    starts, share = np.arange(0, length, _DASH) / length, 0.55 * _DASH / length
    return [(s, min(1.0, s + share)) for s in starts.tolist()]


def _in_front(own: np.ndarray, depth: np.ndarray) -> np.ndarray:
    return own < depth * (1 - _BEHIND)

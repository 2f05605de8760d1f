"""What instances say beyond their visible points, as layers: whole shapes as ghosts, outlines of masks as lines."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from gestalt3d.io.surfaces import finite, with_surfaces
from gestalt3d.ops.aligned_boxes import suppressed
from gestalt3d.structures.instances import Instances, Shape
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.sets import Sets
from gestalt3d.viewer.layers import GHOST, Lines, Points, Triangles

_MOST_TRIANGLES = 1_000_000
_MOST_POINTS = 300_000
_MOST_SHARED = 0.3
"""IoU of two boxes above which the worse shape is left out."""
_DASHES = 64
"""As many fit along the longer side of an image."""


class _Surface(NamedTuple):
    vertices: np.ndarray
    faces: np.ndarray


def whole_shapes(instances: Instances, notes: list[str]) -> list[Points | Triangles]:
    """A layer of surfaces, meshes and those of voxels, and one of points, as far as there are any.

    Of points that largely fill the box of a better shape, such as of many proposals for one object, nothing is seen but a fog.
    They are left out, as is what is too much for a page, the lowest scores first; both is added to the notes.
    """
    shapes: list[Shape] = list(with_surfaces(instances).shapes or ())
    by_score = np.argsort(-instances.scores.cpu().numpy(), kind="stable").tolist() if shapes else []
    solid = {i: _Surface(*finite(shape)) for i in by_score if isinstance(shape := shapes[i], Mesh)}
    dots = {i: _points(shapes[i]) for i in by_score if isinstance(shapes[i], PointCloud)}
    shown = _as_fit({i: len(s.faces) for i, s in solid.items()}, _MOST_TRIANGLES)
    apart = _apart(dots)
    if len(apart) < len(dots):
        notes.append(
            f"{len(dots) - len(apart):,} of {len(dots):,} whole shapes are not shown, for they overlap better ones"
        )
    shown_dots = _as_fit({i: len(dots[i]) for i in apart}, _MOST_POINTS)
    drawn, wanted = len(shown) + len(shown_dots), len(solid) + len(apart)
    if drawn < wanted:
        notes.append(f"{drawn:,} of {wanted:,} whole shapes are shown, those of the highest scores")
    layers: list[Points | Triangles] = []
    if any(len(solid[i].faces) for i in shown):
        layers.append(_joined([solid[i] for i in shown], shown))
    if any(len(dots[i]) for i in shown_dots):
        labels = np.repeat(shown_dots, [len(dots[i]) for i in shown_dots])
        positions = np.concatenate([dots[i] for i in shown_dots])
        classes = instances.classes.cpu().numpy()[labels]
        bounds = np.stack([positions.min(0), positions.max(0)]).astype(np.float64)
        name = "Whole shapes" if not layers else "Whole shapes of points"
        layers.append(
            Points(positions, labels, classes, instances.vocabulary, bounds, opacity=GHOST, name=name)
        )
    return layers


def _apart(dots: dict[int, np.ndarray]) -> list[int]:
    """Keys of the points whose box overlaps none of an earlier key by more than `_MOST_SHARED`."""
    filled = [i for i, points in dots.items() if len(points)]
    if not filled:
        return list(dots)
    corners = np.array([[dots[i].min(0), dots[i].max(0)] for i in filled], dtype=np.float64)
    low, high = corners[:, 0], corners[:, 1]
    boxes = torch.from_numpy(np.concatenate([(low + high) / 2, high - low], axis=1))
    in_order = -torch.arange(len(filled), dtype=torch.float64)
    kept = {filled[k] for k in suppressed(boxes, in_order, max_iou=_MOST_SHARED).tolist()}
    return [i for i, points in dots.items() if not len(points) or i in kept]


def _as_fit(sizes: dict[int, int], most: int) -> list[int]:
    """The first keys, as many as have `most` together."""
    return [
        i for i, total in zip(sizes, np.cumsum(list(sizes.values())).tolist(), strict=True) if total <= most
    ]


def _joined(surfaces: Sequence[_Surface], labels: Sequence[int]) -> Triangles:
    firsts = np.cumsum([0, *(len(s.vertices) for s in surfaces)])
    return Triangles(
        np.concatenate([s.vertices for s in surfaces]).astype(np.float32),
        np.concatenate([s.faces + first for s, first in zip(surfaces, firsts[:-1], strict=True)]),
        np.repeat(labels, [len(s.faces) for s in surfaces]),
    )


def _points(shape: Shape) -> np.ndarray:
    """(k, 3) float32 in the frame of the input, the finite ones."""
    assert isinstance(shape, PointCloud)
    points = shape.points.detach().cpu().numpy()
    if shape.origin is not None:
        points = (points + shape.origin.cpu().numpy()).astype(np.float32)
    return points[np.isfinite(points).all(1)]


def box_lines(boxes: np.ndarray) -> Lines:
    """Dashed edges of boxes (i, 7), each its instance's; none of those that are not finite."""
    known = np.flatnonzero(np.isfinite(boxes).all(1))
    signs = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    local = signs * boxes[known, None, 3:6]
    cos, sin = np.cos(boxes[known, 6])[:, None], np.sin(boxes[known, 6])[:, None]
    x, y = cos * local[..., 0] - sin * local[..., 1], sin * local[..., 0] + cos * local[..., 1]
    corners = np.stack([x, y, local[..., 2]], axis=-1) + boxes[known, None, :3]
    edges = [(a, b) for a in range(8) for b in range(a) if (signs[a] != signs[b]).sum() == 1]
    ends = corners[:, edges].reshape(-1, 2, 3).astype(np.float32)
    return Lines(ends, np.repeat(known, len(edges)), dashed=True, name="Whole boxes")


def outlines(masks: Sets, size: tuple[int, int], shrink: int) -> Lines:
    """Dashes around masks of the pixels of an image of `size` (height, width), every `shrink`-th pixel of which is shown."""
    ends, labels = [np.zeros((0, 2, 2))], [np.zeros(0, dtype=np.int64)]
    step = max(6, round(max(size) / shrink / _DASHES))
    for i, elements in enumerate(masks):
        mask = np.zeros(size, dtype=bool)
        mask.ravel()[elements.cpu().numpy()] = True
        own = [dashes for loop in _loops(mask[::shrink, ::shrink]) for dashes in _dashed(loop, step)]
        ends += own
        labels += [np.full(len(dashes), i) for dashes in own]
    rows_columns = np.concatenate(ends)
    flat = np.zeros((len(rows_columns), 2, 3), dtype=np.float32)
    flat[..., 0], flat[..., 1] = rows_columns[..., 1], -rows_columns[..., 0]
    return Lines(flat, np.concatenate(labels), name="Outlines")


def _loops(mask: np.ndarray) -> list[np.ndarray]:
    """Around (h, w) bool: corners of pixels (k, 2), row and column, one after the other; each loop closes with its first."""
    padded = np.pad(mask, 1)
    rows, columns = mask.nonzero()
    starts, stops = [], []
    for (dr, dc), a, b in (
        ((-1, 0), (0, 0), (0, 1)),
        ((0, 1), (0, 1), (1, 1)),
        ((1, 0), (1, 1), (1, 0)),
        ((0, -1), (1, 0), (0, 0)),
    ):
        free = ~padded[rows + 1 + dr, columns + 1 + dc]
        pixel = np.stack([rows[free], columns[free]], axis=1)
        starts.append(pixel + a)
        stops.append(pixel + b)
    onward: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for a, b in zip(np.concatenate(starts).tolist(), np.concatenate(stops).tolist(), strict=True):
        onward.setdefault((a[0], a[1]), []).append((b[0], b[1]))
    loops = []
    while onward:
        at = next(iter(onward))
        loop = [at]
        while ways := onward.get(at):
            at, before = ways.pop(), at
            if not ways:
                del onward[before]
            loop.append(at)
        loops.append(np.array(loop))
    return loops


def _dashed(loop: np.ndarray, step: int) -> list[np.ndarray]:
    """Ends (k, 2, 2) of straight pieces of a few pixels that follow three fifths of the loop."""
    last = len(loop) - 1
    pieces = []
    for start in range(0, last, step):
        at = np.minimum(start + np.linspace(0, 0.6 * step, 4).round().astype(np.int64), last)
        pieces.append(np.stack([loop[at[:-1]], loop[at[1:]]], axis=1).astype(np.float64))
    return pieces

"""Boxes that stand upright: how much they overlap, and the average precision of them (Song, Xiao, CVPR 2014 and 2016).

A box is (7,): centre x y z, size along its own axes, yaw about z in radians; metres. A box is right whose IoU with a true one is
at least .25, as for NYUv2 and SUN RGB-D; the area is that of PASCAL VOC with all points (`metrics.detection`).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from gestalt3d.metrics.detection import Pairs, Precision, precision_at

BOX_IOU = 0.25
"""From which a box is right."""


def box_iou(a: Float[np.ndarray, "p 7"], b: Float[np.ndarray, "r 7"]) -> Float64[np.ndarray, "p r"]:
    """IoU of the volumes of every two boxes, in [0, 1].

    Computed in float64 about the centre of either pair, so that far boxes lose nothing. That of a box with itself is 1, whatever
    its yaw and place. Boxes that touch share nothing; one without volume has IoU 0 with all. `ValueError` for a negative size or
    what is not finite.
    """
    a, b = _checked(a, "a"), _checked(b, "b")
    volume_a, volume_b = a[:, 3:6].prod(axis=1), b[:, 3:6].prod(axis=1)
    iou = np.zeros((len(a), len(b)))
    p, r = np.nonzero(_may_meet(a, b) & (volume_a[:, None] > 0) & (volume_b[None, :] > 0))
    if not len(p):
        return iou
    one, other = a[p], b[r]
    half_a, half_b = one[:, 5] / 2, other[:, 5] / 2
    lift = one[:, 2] - other[:, 2]
    height = np.minimum(lift + half_a, half_b) - np.maximum(lift - half_a, -half_b)
    least = np.minimum(volume_a[p], volume_b[r])
    common = np.minimum(_common_area(one, other) * np.maximum(height, 0), least)
    iou[p, r] = np.minimum(common / (volume_a[p] + volume_b[r] - common), 1)
    return iou


def inside_box(points: Float[np.ndarray, "n 3"], box: Float[np.ndarray, "7"]) -> Bool[np.ndarray, "n"]:
    """Which points lie in a box or on its sides."""
    box = np.asarray(box, np.float64)
    apart = np.asarray(points, np.float64) - box[:3]
    c, s = np.cos(box[6]), np.sin(box[6])
    own = np.stack(
        [c * apart[:, 0] + s * apart[:, 1], c * apart[:, 1] - s * apart[:, 0], apart[:, 2]], axis=1
    )
    return np.logical_and.reduce(np.abs(own) <= box[3:6] / 2, axis=1)


def box_pairs(
    boxes: Float[np.ndarray, "p 7"],
    classes: Int[np.ndarray, "p"],
    scores: Float[np.ndarray, "p"],
    true_boxes: Float[np.ndarray, "r 7"],
    true_classes: Int[np.ndarray, "r"],
) -> Pairs:
    """The boxes found in a frame beside its true ones, for `box_average_precision`."""
    return Pairs(classes, scores, true_classes, box_iou(boxes, true_boxes))


def box_average_precision(
    frames: Sequence[Pairs],
    *,
    classes: Sequence[int],
    threshold: float = BOX_IOU,
    class_agnostic: bool = False,
) -> Precision:
    """Of each of the `classes` over all frames; `class_agnostic`: of all boxes as one class, those of class -1 among them."""
    if class_agnostic:
        return precision_at([frame.any_class() for frame in frames], threshold, classes=[0])
    return precision_at(frames, threshold, classes=classes)


def _checked(boxes: np.ndarray, name: str) -> np.ndarray:
    boxes = np.asarray(boxes, dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 7:
        raise ValueError(f"{name} must be boxes (n, 7), got {boxes.shape}")
    if not np.isfinite(boxes).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity; leave such boxes out")
    if (boxes[:, 3:6] < 0).any():
        raise ValueError(f"sizes of {name} must not be negative, got {boxes[:, 3:6].min()}")
    return boxes


def _may_meet(a: np.ndarray, b: np.ndarray) -> Bool[np.ndarray, "p r"]:
    """Not those whose circles around or whose heights are apart."""
    apart = np.hypot(*(a[:, None, :2] - b[None, :, :2]).transpose(2, 0, 1))
    reach = np.hypot(a[:, 3], a[:, 4])[:, None] + np.hypot(b[:, 3], b[:, 4])[None, :]
    lift = np.abs(a[:, None, 2] - b[None, :, 2])
    return (2 * apart < reach * (1 + 1e-9)) & (2 * lift < a[:, None, 5] + b[None, :, 5])


def _common_area(a: Float64[np.ndarray, "k 7"], b: Float64[np.ndarray, "k 7"]) -> Float64[np.ndarray, "k"]:
    """Of the rectangles of `k` pairs seen from above: that of `a` is cut by the four sides of `b`, in the axes of `b`."""
    turn = a[:, 6] - b[:, 6]
    apart = _turned(a[:, :2] - b[:, :2], -b[:, 6])
    corners = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) / 2 * a[:, None, 3:5]
    polygon = _turned(corners, turn[:, None]) + apart[:, None]
    for axis in (0, 1):
        half = b[:, None, 3 + axis] / 2
        for sign in (1.0, -1.0):
            polygon = _cut(polygon, half - sign * polygon[..., axis])
    x, y = polygon[..., 0], polygon[..., 1]
    return np.abs((x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1)) / 2


def _turned(points: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Counter-clockwise about the origin."""
    c, s = np.cos(angle), np.sin(angle)
    x, y = points[..., 0], points[..., 1]
    return np.stack([c * x - s * y, s * x + c * y], axis=-1)


def _cut(
    polygons: Float64[np.ndarray, "k n 2"], inside: Float64[np.ndarray, "k n"]
) -> Float64[np.ndarray, "k m 2"]:
    """What lies on one side of a line: `inside` is each corner's distance from it, negative beyond.

    Corners that a polygon has fewer than another are repeated, which changes no area; one that is all beyond shrinks to a point.
    """
    count, corners = inside.shape
    following, beyond = np.roll(polygons, -1, axis=1), np.roll(inside, -1, axis=1)
    keeps = inside >= 0
    crosses = keeps != (beyond >= 0)
    share = inside / np.where(crosses, inside - beyond, 1)
    met = polygons + share[..., None] * (following - polygons)
    # Of each corner in turn: itself, and where its side meets the line.
    there = np.stack([keeps, crosses], axis=2).reshape(count, 2 * corners)
    points = np.stack([polygons, met], axis=2).reshape(count, 2 * corners, 2)
    held = there.sum(axis=1)
    order = np.argsort(~there, axis=1, kind="stable")[:, : max(int(held.max(initial=0)), 1)]
    last = np.minimum(np.arange(order.shape[1]), np.maximum(held, 1)[:, None] - 1)
    out = np.take_along_axis(points, np.take_along_axis(order, last, axis=1)[..., None], axis=1)
    out[held == 0] = 0
    return out

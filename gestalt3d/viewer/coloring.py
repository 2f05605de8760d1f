"""The colour of every point by what it shows."""

from typing import Literal, get_args

import numpy as np

from gestalt3d.structures.instances import Instances
from gestalt3d.viewer.layers import Points
from gestalt3d.viewer.palette import (
    NOTHING,
    class_color,
    class_colors,
    height_colors,
    instance_colors,
    score_colors,
)

Mode = Literal["rgb", "instance", "class", "score"]


def point_colors(points: Points, instances: Instances, mode: Mode) -> np.ndarray:
    """(n, 3) uint8."""
    if mode == "rgb":
        return base_colors(points)
    if mode == "class":
        return np.append(class_colors(points.vocabulary), [class_color("unknown")], axis=0).astype(np.uint8)[
            points.classes
        ]
    table = np.append(instance_table(instances, mode), np.array([NOTHING]), axis=0).astype(np.uint8)
    colors = table[points.labels]
    loose = points.labels < 0
    colors[loose] = quiet(base_colors(points)[loose])
    return colors


def instance_table(instances: Instances, mode: Mode) -> np.ndarray:
    """(i, 3) uint8: the colour of each instance; for "rgb" the same as for "instance"."""
    if mode not in get_args(Mode):
        raise ValueError(f"color_by must be one of {', '.join(get_args(Mode))}, got {mode!r}")
    if mode == "class":
        table = np.append(class_colors(instances.vocabulary), [class_color("unknown")], axis=0)
        return table.astype(np.uint8)[instances.classes.cpu().numpy()]
    if mode == "score":
        return score_colors(instances.scores.cpu().numpy())
    return instance_palette(instances)


def base_colors(points: Points) -> np.ndarray:
    """The scan's own colours, or its height."""
    if points.colors is not None:
        return points.colors
    low, high = points.bounds[:, 2]
    return height_colors((points.positions[:, 2] - low) / max(high - low, 1e-6))


def quiet(colors: np.ndarray) -> np.ndarray:
    """What belongs to no instance: grey of the same brightness, pulled to the middle."""
    brightness = colors.astype(np.float32) @ np.array([0.3, 0.59, 0.11], dtype=np.float32)
    return np.repeat((110 + 0.35 * brightness)[:, None], 3, axis=1).astype(np.uint8)


def instance_palette(instances: Instances) -> np.ndarray:
    """(i, 3) uint8: walls and floors are instances too, in quiet shades, so that the things stand out."""
    colors = instance_colors(len(instances)).astype(np.float64)
    structure = np.append(instances.vocabulary.is_structure, False)[instances.classes.cpu().numpy()]
    grey = np.array([186.0, 189.0, 194.0])
    colors[structure] = 0.2 * colors[structure] + 0.8 * grey
    return np.rint(colors).astype(np.uint8)

"""A photo with the instances at its pixels, in a panel of a picture."""

import numpy as np
from PIL import Image, ImageDraw

from gestalt3d.structures.instances import Instances
from gestalt3d.viewer.coloring import Mode, instance_table
from gestalt3d.viewer.layers import ImagePlane
from gestalt3d.viewer.palette import NOTHING

_MARGIN = 8
_LINE = 2
"""Pixels."""
_PERIOD = 9
"""From one stripe to the next, in pixels."""
_INSIDE = 0.5
"""Share of the instance's colour in a mask; on its edge it is all."""


def photo_panel(
    photo: ImagePlane,
    instances: Instances,
    mode: Mode,
    size: tuple[int, int],
    paper: tuple[int, int, int],
) -> np.ndarray:
    """(h, w, 3) uint8 of `size` (width, height): the photo as large as fits; for "rgb" alone, else with its masks."""
    height, width = photo.labels.shape
    scale = min(
        max(1, side - 2 * _MARGIN) / length for side, length in zip(size, (width, height), strict=True)
    )
    fitted = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(photo.pixels).resize(fitted, Image.Resampling.LANCZOS)
    if mode != "rgb":
        table = np.append(instance_table(instances, mode), [NOTHING], axis=0).astype(np.uint8)
        drawn = _with_masks(np.asarray(image), _resized(photo.labels, fitted), table)
        if photo.hidden is not None:
            drawn = _hatched(drawn, _resized(photo.hidden, fitted), table)
        image = Image.fromarray(drawn)
        _draw_outlines(image, photo, scale, table)
    panel = Image.new("RGB", size, paper)
    panel.paste(image, ((size[0] - fitted[0]) // 2, (size[1] - fitted[1]) // 2))
    return np.asarray(panel)


def _resized(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The nearest pixel's."""
    columns = np.minimum(
        ((np.arange(size[0]) + 0.5) * labels.shape[1] / size[0]).astype(int), labels.shape[1] - 1
    )
    rows = np.minimum(
        ((np.arange(size[1]) + 0.5) * labels.shape[0] / size[1]).astype(int), labels.shape[0] - 1
    )
    return labels[rows[:, None], columns]


def _with_masks(image: np.ndarray, labels: np.ndarray, table: np.ndarray) -> np.ndarray:
    padded = np.pad(labels, 1, mode="edge")
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    edge = np.any([labels != other for other in neighbours], axis=0)
    share = np.where(labels < 0, 0.0, np.where(edge, 1.0, _INSIDE))[..., None]
    return np.rint((1 - share) * image + share * table[labels]).astype(np.uint8)


def _hatched(image: np.ndarray, labels: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Stripes in the colour of what is hidden there."""
    row, column = np.indices(labels.shape)
    striped = (labels >= 0) & ((row + column) % _PERIOD < _LINE)
    return np.where(striped[..., None], table[labels], image).astype(np.uint8)


def _draw_outlines(image: Image.Image, photo: ImagePlane, scale: float, table: np.ndarray) -> None:
    if photo.outlines is None:
        return
    draw = ImageDraw.Draw(image)
    ends = photo.outlines.ends[..., :2] * [scale, -scale]
    for xy, label in zip(ends.reshape(-1, 4).tolist(), photo.outlines.labels.tolist(), strict=True):
        draw.line(xy, fill=tuple(table[label].tolist()), width=_LINE)

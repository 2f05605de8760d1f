"""The layers of a scene as bytes: for each some planes of one byte a row, in the order in which the script reads them.

Positions lie on a grid of 65,536 steps a side. Points are stored in an order whose first sixteenth, eighth, quarter
and half are even samples with neighbours side by side, which deflate likes.
"""

import base64
import io
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from gestalt3d.viewer.coloring import base_colors
from gestalt3d.viewer.layers import ImagePlane, Layer, Lines, Points, Sight, Triangles

_GRID = 65535
_LEVELS = 16
_JPEG_QUALITY = 92


class Packed(NamedTuple):
    """One layer: `about` tells the page what its bytes mean."""

    about: dict[str, Any]
    data: bytes


def packed(layer: Layer) -> Packed:
    """`about["kind"]` is "points", "triangles", "lines", "image" or "camera"."""
    match layer:
        case Points():
            return _points(layer)
        case Triangles():
            return _triangles(layer)
        case Lines():
            return _lines(layer)
        case ImagePlane():
            return _image(layer)
        case Sight():
            return _camera(layer)


def rounded(values: np.ndarray, digits: int) -> list:
    """Nested lists with null for what is not finite, which JSON cannot say."""
    values = np.round(np.asarray(values, dtype=np.float64), digits)
    as_objects = values.astype(object)
    as_objects[~np.isfinite(values)] = None
    return as_objects.tolist()


def _points(layer: Points) -> Packed:
    """x, y, z (2 planes each), red, green, blue, cutaway, class (2), instance + 1."""
    order, levels = _levels(layer.positions, layer.bounds)
    positions, about = _on_grid(layer.positions[order])
    classes = np.where(layer.classes < 0, len(layer.vocabulary), layer.classes)[order].astype(np.uint16)
    labels = _labels(layer.labels[order])
    planes = [*positions, *base_colors(layer)[order].T, layer.cutaway[order], *_bytes(classes, 2), *labels]
    about |= {
        "kind": "points",
        "name": layer.name,
        "rows": len(order),
        "labelBytes": len(labels),
        "levels": levels,
        "spacing": max(layer.spacing, 1e-5),
        "opacity": layer.opacity,
    }
    return Packed(about, np.stack(planes).tobytes())


def _triangles(layer: Triangles) -> Packed:
    """x, y, z of the vertices (2 planes each); then of the triangles three rows of vertices (4 each), instance + 1."""
    positions, about = _on_grid(layer.vertices)
    corners = [plane for k in range(3) for plane in _bytes(layer.faces[:, k].astype(np.uint32), 4)]
    labels = _labels(layer.labels)
    about |= {
        "kind": "triangles",
        "name": layer.name,
        "vertices": len(layer.vertices),
        "rows": len(layer),
        "labelBytes": len(labels),
        "opacity": layer.opacity,
    }
    return Packed(about, np.stack(positions).tobytes() + np.stack([*corners, *labels]).tobytes())


def _lines(layer: Lines) -> Packed:
    """x, y, z of one end, of the other (2 planes each), instance + 1."""
    ends, about = _on_grid(layer.ends.reshape(-1, 3))
    both = np.stack(ends).reshape(6, -1, 2)
    labels = _labels(layer.labels)
    about |= {
        "kind": "lines",
        "name": layer.name,
        "rows": len(layer),
        "labelBytes": len(labels),
        "dashed": layer.dashed,
    }
    return Packed(about, np.concatenate([both[..., 0], both[..., 1], np.stack(labels)]).tobytes())


def _image(layer: ImagePlane) -> Packed:
    """instance + 1 of every pixel row by row, then of `hidden`, then the outlines as a layer of lines."""
    height, width = layer.labels.shape
    labels = _labels(layer.labels.ravel())
    about: dict[str, Any] = {
        "kind": "image",
        "name": layer.name,
        "width": width,
        "height": height,
        "rows": layer.labels.size,
        "labelBytes": len(labels),
        "boxes": rounded(layer.boxes.ravel(), 1),
        "pixels": _data_uri(layer.pixels),
    }
    data = np.stack(labels).tobytes()
    if layer.hidden is not None:
        hidden = _labels(layer.hidden.ravel())
        about["hiddenBytes"] = len(hidden)
        data += np.stack(hidden).tobytes()
    if layer.outlines is not None:
        about["outlines"], more = _lines(layer.outlines)
        data += more
    return Packed(about, data)


def _camera(layer: Sight) -> Packed:
    """No bytes: the photo is that of the image."""
    eye = None if layer.eye is None else rounded(layer.eye, 5)
    places = {"eye": eye, "corners": rounded(layer.corners, 5)}
    return Packed({"kind": "camera", "name": layer.name, "rows": 0} | places, b"")


def _data_uri(pixels: np.ndarray) -> str:
    """JPEG where that is much smaller, else without loss."""
    texts = {}
    for kind, options in (
        ("png", {"compress_level": 4}),
        ("jpeg", {"quality": _JPEG_QUALITY, "subsampling": 0}),
    ):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format=kind, **options)
        texts[kind] = f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
    return texts["jpeg"] if 2 * len(texts["jpeg"]) < len(texts["png"]) else texts["png"]


def _on_grid(positions: np.ndarray) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Six planes, and what undoes the grid."""
    positions = positions.astype(np.float64)
    low, high = (positions.min(0), positions.max(0)) if len(positions) else (np.zeros(3), np.zeros(3))
    unit = np.maximum(high - low, 1e-6) / _GRID
    grid = np.rint((positions - low) / unit).astype(np.uint16)
    planes = [half for axis in range(3) for half in _bytes(grid[:, axis], 2)]
    return planes, {"low": rounded(low, 9), "unit": unit.tolist()}


def _labels(labels: np.ndarray) -> list[np.ndarray]:
    """Two planes, or four where there are many instances; 0 is none."""
    shifted = (labels + 1).astype(np.uint32)
    return _bytes(shifted, 2 if len(shifted) == 0 or shifted.max() < 1 << 16 else 4)


def _bytes(values: np.ndarray, count: int) -> list[np.ndarray]:
    return [((values >> (8 * k)) & 255).astype(np.uint8) for k in range(count)]


def _levels(points: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """An order along a space-filling curve, dealt out, and the lengths of its evenly thinned prefixes."""
    extent = np.maximum(bounds[1] - bounds[0], 1e-6)
    curve = np.argsort(
        _morton((np.clip((points - bounds[0]) / extent, 0, 1) * 1023).astype(np.uint64)), kind="stable"
    )
    rank = np.arange(len(points)) % _LEVELS
    # Rank 0 first, then 8, then 4 and 12, then the other even ones, then the odd ones.
    level = np.select([rank == 0, rank % 8 == 0, rank % 4 == 0, rank % 2 == 0], [0, 1, 2, 3], 4)
    dealt = np.argsort(level, kind="stable")
    return curve[dealt], np.cumsum(np.bincount(level, minlength=5)).tolist()


def _morton(grid: np.ndarray) -> np.ndarray:
    """(n, 3) uint64 below 1024 → (n,) interleaved bits."""
    # Of all numbers there are, the bits two places apart.
    number, apart = np.arange(1024, dtype=np.uint64), np.zeros(1024, dtype=np.uint64)
    for bit in range(10):
        apart |= (number >> np.uint64(bit) & np.uint64(1)) << np.uint64(3 * bit)
    x, y, z = (apart[column] for column in grid.T)
    return x | y << np.uint64(1) | z << np.uint64(2)

"""Masks as they stand in JSON: COCO's strings and lists of runs, one outline or several."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gestalt3d.coco.polygons import FARTHEST, fill_polygons
from gestalt3d.coco.runs import MOST_PIXELS, Runs
from gestalt3d.coco.strings import BadMask, from_counts, from_strings, to_strings

_FEWEST = 3
"""Corners of an outline that has an area."""


class Read(NamedTuple):
    """Masks, and what was odd about them."""

    runs: Runs
    flat_outlines: int
    """Of fewer than three corners: without area, left out."""


def read_masks(values: Sequence[Any], sizes: np.ndarray) -> Read:
    """A mask of each value of a "segmentation", in images of (i, 2) heights and widths; -1 where these are not known.

    A value is `{"size": [h, w], "counts": a string or a list of numbers}`, a list of outlines x1, y1, x2, y2, … that are joined,
    or the numbers of one outline. `BadMask` says of which row what is wrong: its form, or a size that is not the image's.
    """
    sides: list[list[int]] = np.array(sizes, np.int64).reshape(-1, 2).tolist()
    strings: dict[int, bytes] = {}
    lengths: dict[int, np.ndarray] = {}
    outlines: dict[int, list[np.ndarray]] = {}
    flat = 0
    for row, value in enumerate(values):
        if isinstance(value, dict):
            sides[row] = _size(row, value, sides[row])
            counts = value.get("counts")
            if isinstance(counts, str | bytes):
                strings[row] = counts if isinstance(counts, bytes) else _ascii(row, counts)
            else:
                lengths[row] = _whole_numbers(row, counts)
        elif isinstance(value, list):
            if sides[row][0] < 0:
                raise BadMask(row, "an outline needs the height and width of its image")
            given = [value] if value and not isinstance(value[0], list) else value
            own = [_corners(row, outline) for outline in given]
            outlines[row] = [corners for corners in own if len(corners) >= _FEWEST]
            flat += len(own) - len(outlines[row])
        else:
            raise BadMask(row, f"is {_shown(value)}; a mask is runs with size and counts, or outlines")
    sizes = np.array(sides, np.int64).reshape(-1, 2)
    parts = [
        _at(strings, lambda rows: from_strings(list(strings.values()), sizes[rows])),
        _at(lengths, lambda rows: from_counts(list(lengths.values()), sizes[rows])),
        _at(outlines, lambda rows: _filled(list(outlines.values()), sizes[rows])),
    ]
    rows = np.concatenate([np.array([*table], np.int64) for table in (strings, lengths, outlines)])
    return Read(Runs.cat(parts).take(np.argsort(rows)), flat)


def write_mask(runs: Runs) -> list[dict[str, Any]]:
    """Each mask as COCO's results have it: `{"size": [h, w], "counts": string}`."""
    texts = to_strings(runs)
    return [
        {"size": size, "counts": text.decode("ascii")}
        for size, text in zip(runs.sizes.tolist(), texts, strict=True)
    ]


def _at(table: dict[int, Any], read: Any) -> Runs:
    """What `read` makes of the rows of a table; its complaints name the row among all."""
    rows = np.array([*table], np.int64)
    try:
        return read(rows)
    except BadMask as error:
        raise BadMask(int(rows[error.row]), error.cause) from None


def _filled(outlines: list[list[np.ndarray]], sizes: np.ndarray) -> Runs:
    amount = np.array([len(own) for own in outlines], np.int64)
    each = fill_polygons([one for own in outlines for one in own], np.repeat(sizes, amount, axis=0))
    has = amount > 0
    joined = each.joined(amount[has])
    place = np.where(has, np.cumsum(has) - 1, int(has.sum()))
    return Runs.cat([joined, Runs.empty(sizes)]).take(np.where(has, place, has.sum() + np.arange(len(has))))


def _size(row: int, value: dict[str, Any], image: list[int]) -> list[int]:
    size = value.get("size")
    if size == image:
        return image
    if not isinstance(size, list) or len(size) != 2 or not all(type(s) is int and s > 0 for s in size):
        raise BadMask(row, f"its size is {_shown(size)}, must be [height, width]")
    if size[0] * size[1] > MOST_PIXELS:
        raise BadMask(row, f"its size of {size[1]} x {size[0]} is more than {MOST_PIXELS:,} pixels")
    if image[0] >= 0:
        raise BadMask(row, f"its size is {size[1]} x {size[0]}, its image is {image[1]} x {image[0]}")
    return size


def _ascii(row: int, text: str) -> bytes:
    try:
        return text.encode("ascii")
    except UnicodeEncodeError:
        raise BadMask(row, "its counts hold a character that COCO's strings do not have") from None


def _whole_numbers(row: int, counts: Any) -> np.ndarray:
    array = np.array(counts) if isinstance(counts, list) and len(counts) else np.zeros(0)
    if array.ndim != 1 or array.dtype.kind not in "iu" or array.max() > MOST_PIXELS:
        raise BadMask(row, f"its counts are {_shown(counts)}, must be a string or lengths of runs")
    return array.astype(np.int64)


def _corners(row: int, outline: Any) -> np.ndarray:
    """(c, 2) float64."""
    try:
        array = np.array(outline) if outline else np.zeros(0)
    except ValueError:
        array = np.zeros((0, 0))
    if not isinstance(outline, list) or array.ndim != 1 or array.dtype.kind not in "iuf" or len(array) % 2:
        raise BadMask(row, f"an outline is {_shown(outline)}, must be numbers x1, y1, x2, y2, …")
    if not (np.abs(array) <= FARTHEST).all():
        raise BadMask(row, f"an outline has a corner that is no number or beyond {FARTHEST:,.0f} pixels")
    return array.astype(np.float64).reshape(-1, 2)


def _shown(value: Any) -> str:
    text = str(value[:4]) if isinstance(value, list) else repr(value)
    return "missing" if value is None else text if len(text) < 40 else f"{text[:40]}…"

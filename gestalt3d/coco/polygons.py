"""Outlines to masks, pixel for pixel as COCO's `frPyObjects` does.

The rule: corners are rounded to fifths of a pixel. Each side is walked along its longer axis in steps of a fifth, the other
coordinate rounded at each step. Where two steps lie in fifths 5 c + 2 and 5 c + 3 from the left, the side crosses the middle of
column c, and there the mask changes at the first pixel whose third fifth is no higher than the upper of the two. A pixel belongs
to the mask if its column has changed an odd number of times above it. An outline that crosses itself has holes; several outlines
of one object are joined.
"""

from collections.abc import Sequence

import numpy as np

from gestalt3d.coco.runs import Runs, as_sizes, pieces

_STEPS = 5
"""In a pixel."""
_MIDDLE = 2
"""The fifth after which a column's middle lies."""
FARTHEST = 1e6
"""Pixels from the corner of the image; what lies beyond is damage."""
_AT_ONCE = 1 << 16
"""Corners that are walked together."""
_MOST_CROSSINGS = 1 << 25
"""Of columns by the sides of outlines that are filled together: a zigzag through a wide image has corners times columns."""


def fill_polygons(outlines: Sequence[np.ndarray], sizes: np.ndarray) -> Runs:
    """The mask of each outline, (c, 2) corners x, y in pixels; `sizes` are (i, 2) heights and widths.

    What lies outside the image is cut off. Fewer than three corners have no area. `ValueError` for corners that are not finite
    or farther than `FARTHEST`, and for outlines that cross too many columns.
    """
    sizes = as_sizes(sizes)
    amount = np.array([len(own) for own in outlines], np.int64)
    parts = [
        _filled(outlines[start:stop], amount[start:stop], sizes[start:stop])
        for start, stop in pieces(np.cumsum(amount) // _AT_ONCE)
    ]
    return Runs.cat(parts)


def _filled(outlines: Sequence[np.ndarray], amount: np.ndarray, sizes: np.ndarray) -> Runs:
    corners = np.concatenate([np.zeros((0, 2)), *outlines]).astype(np.float64)
    if not (np.abs(corners) <= FARTHEST).all():
        raise ValueError(f"an outline has a corner that is no number or farther than {FARTHEST:,.0f} pixels")
    # Towards zero, as C does.
    fifths = np.trunc(_STEPS * corners + 0.5).astype(np.int64)
    following = np.arange(len(corners)) + 1
    ends = np.cumsum(amount)
    following[ends[amount > 0] - 1] = (ends - amount)[amount > 0]
    owner = np.repeat(np.arange(len(amount)), amount)
    column, row, of = _crossings(fifths, fifths[following], owner, sizes)
    height = sizes[of, 0]
    toggles = column * height + np.clip((row + _STEPS - 1 - _MIDDLE) // _STEPS, 0, height)
    order = np.lexsort((toggles, of))
    return Runs.from_toggles(np.bincount(of, minlength=len(amount)), toggles[order], sizes)


def _crossings(
    start: np.ndarray, end: np.ndarray, owner: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each crossing of a column's middle the column, the fifth from the top, and the outline."""
    run, rise = np.abs(end - start).T
    is_flat = run >= rise
    # Sides are walked towards the right, and steep ones downwards.
    is_turned = np.where(is_flat, start[:, 0] > end[:, 0], start[:, 1] > end[:, 1])
    first, last = np.where(is_turned[:, None], end, start), np.where(is_turned[:, None], start, end)
    left, right = np.minimum(first[:, 0], last[:, 0]), np.maximum(first[:, 0], last[:, 0])
    width = sizes[owner, 1]
    lowest = np.maximum(-((_MIDDLE - left) // _STEPS), 0)
    beyond = np.minimum(-((_MIDDLE - right) // _STEPS), width)
    count = np.maximum(beyond - lowest, 0)
    if count.sum() > _MOST_CROSSINGS:
        raise ValueError(f"outlines cross {count.sum():,} columns, they may {_MOST_CROSSINGS:,}")
    side = np.repeat(np.arange(len(count)), count)
    within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    column = lowest[side] + within
    fifth = _STEPS * column + _MIDDLE
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(is_flat, (last[:, 1] - first[:, 1]) / run, (last[:, 0] - first[:, 0]) / rise)
    x, y, slope = first[side, 0], first[side, 1], slope[side]
    # A flat side has a step at each fifth from the left; of two the upper one counts.
    step = fifth - x
    flat = np.minimum(_rounded(y, slope, step), _rounded(y, slope, step + 1))
    # A steep one has a step at each fifth from the top: the last before the crossing, sought around where it should be.
    with np.errstate(divide="ignore", invalid="ignore"):
        guess = np.ceil((fifth + 0.5 - x) / slope)
    guess = np.where(is_flat[side], 0, guess).astype(np.int64)
    is_beyond = np.stack([(_rounded(x, slope, guess + k) > fifth) == (slope > 0) for k in (-1, 0)])
    steep = y + guess + np.where(is_beyond[0], -2, np.where(is_beyond[1], -1, 0))
    return column, np.where(is_flat[side], flat, steep), owner[side]


def _rounded(start: np.ndarray, slope: np.ndarray, step: np.ndarray) -> np.ndarray:
    return np.trunc(start + slope * step + 0.5).astype(np.int64)

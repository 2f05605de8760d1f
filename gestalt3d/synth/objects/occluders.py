"""What hides a wanted share of an object: rectangles, ellipses, lumps, and the pictures of other objects.

A rectangle, ellipse or lump has a place, a turn and proportions, and grows until it covers as many of the object's pixels as are
to be hidden. A picture of another object slides in from a side until it does.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from gestalt3d.synth import colours
from gestalt3d.synth.objects.backdrops import texture
from gestalt3d.synth.objects.drawing import Sprite, coverage, enlarged

_STEPS = 32
_TRIES = 8
_P_PICTURE = 0.4
"""How often the occluder is another object."""
_P_SECOND = 0.3
"""How often another one follows a rectangle, ellipse or lump."""


class Cover(NamedTuple):
    """Something in front, for a picture of h x w pixels."""

    hidden: Bool[np.ndarray, "h w"]
    """Pixels that it takes."""
    sprite: Sprite
    """On twice as many in each direction."""


def cover(
    whole: Bool[np.ndarray, "h w"],
    share: tuple[float, float],
    rng: np.random.Generator,
    other: Callable[[np.random.Generator], Sprite],
) -> list[Cover]:
    """Occluders, farthest first, that hide a share of the pixels of `whole` drawn uniformly from the range.

    Together they hide from `share[0]` to `share[1]` of the pixels, as far as whole pixels can. None where that is nothing.
    `other` draws the picture of another object.
    """
    count = int(whole.sum())
    wanted = round(count * float(rng.uniform(*share)))
    fewest, most = int(np.ceil(share[0] * count)), int(np.floor(share[1] * count))
    wanted = min(max(wanted, fewest), max(most, fewest), count - 1)
    if wanted <= 0:
        return []
    if rng.random() < _P_PICTURE:
        found = _slid_in(other(rng), whole, wanted, rng)
        if found is not None and fewest <= int((found.hidden & whole).sum()) <= most:
            return [found]
    first = round(wanted * float(rng.uniform(0.3, 0.7))) if rng.random() < _P_SECOND else 0
    covers = [_grown(whole, first, rng)] if first else []
    left = whole & ~covers[0].hidden if covers else whole
    return [*covers, _grown(left, wanted - int(whole.sum()) + int(left.sum()), rng)]


def _grown(whole: Bool[np.ndarray, "h w"], wanted: int, rng: np.random.Generator) -> Cover:
    """A rectangle, ellipse or lump that covers that many pixels; ties of many pixels at once are drawn anew."""
    size = whole.shape[0]
    rows, columns = np.nonzero(whole)
    for _ in range(_TRIES):
        reach = _any_reach(rng, rows, columns)
        sizes = np.sort(reach(columns, rows))
        # Between the last pixel that it covers and the first that it does not.
        limit = (sizes[wanted - 1] + sizes[wanted]) / 2 if wanted < len(sizes) else np.inf
        v, u = np.mgrid[0:size, 0:size]
        hidden = reach(u, v) < limit
        if int((hidden & whole).sum()) == wanted:
            break
    v2, u2 = (np.mgrid[0 : 2 * size, 0 : 2 * size] + 0.5) / 2 - 0.5
    hit = reach(u2, v2) < limit
    flat = np.array(colours.any_color(rng), np.float32)
    paint = np.broadcast_to(flat, (size, size, 3)) if rng.random() < 0.35 else texture(rng, size)
    return Cover(hidden, Sprite(enlarged(paint), hit))


Reach = Callable[[np.ndarray, np.ndarray], Float[np.ndarray, "..."]]
"""Of points at columns and rows, how large a shape must be to hold them."""


def _any_reach(rng: np.random.Generator, rows: Int[np.ndarray, "n"], columns: Int[np.ndarray, "n"]) -> Reach:
    """Somewhere between the middle of the pixels and well beyond them, so that the shape comes in from a side, or lies inside."""
    middle = np.array([columns.mean(), rows.mean()])
    extent = max(float(np.ptp(columns)), float(np.ptp(rows)), 2.0) / 2
    way = float(rng.uniform(0, 2 * np.pi))
    x, y = middle + extent * float(rng.uniform(0.1, 1.8)) * np.array([np.cos(way), np.sin(way)])
    upright = rng.random() < 0.4
    turn = float(rng.normal(0, 0.05)) if upright else float(rng.uniform(0, np.pi))
    long = float(np.exp(rng.uniform(-1.0, 1.0)))
    waves = (rng.normal(0, 1, 4) + 1j * rng.normal(0, 1, 4)) * 0.16 / np.arange(1, 5) ** 0.5
    kind = int(rng.integers(3))

    def reach(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        a = np.cos(turn) * (u - x) + np.sin(turn) * (v - y)
        b = (np.cos(turn) * (v - y) - np.sin(turn) * (u - x)) * long
        if kind == 0:
            return np.maximum(np.abs(a), np.abs(b))
        far = np.hypot(a, b)
        if kind == 1:
            return far
        way = (a + 1j * b) / np.maximum(far, 1e-9)
        bumps = (way * (waves[0] + way * (waves[1] + way * (waves[2] + way * waves[3])))).real
        return far / np.maximum(1 + bumps, 0.35)

    return reach


def _slid_in(
    sprite: Sprite, whole: Bool[np.ndarray, "h w"], wanted: int, rng: np.random.Generator
) -> Cover | None:
    """A picture moved by whole pixels along a random line through the middle, to where it hides most nearly as many as wanted."""
    size = whole.shape[0]
    mask = coverage(sprite.hit) >= 0.5
    if not mask.any():
        return None
    if rng.random() < 0.5:
        sprite, mask = Sprite(sprite.color[:, ::-1], sprite.hit[:, ::-1]), mask[:, ::-1]
    rows, columns = np.nonzero(whole)
    way = float(rng.uniform(0, 2 * np.pi))
    centre = np.array([columns.mean(), rows.mean()]) - np.argwhere(mask).mean(0)[::-1]
    steps = np.linspace(0, size, _STEPS)
    shifts = np.rint(centre + steps[:, None] * np.array([np.cos(way), np.sin(way)])).astype(np.int64)
    u, v = columns - shifts[:, :1], rows - shifts[:, 1:]
    inside = (u >= 0) & (u < size) & (v >= 0) & (v < size)
    counts = (mask[np.clip(v, 0, size - 1), np.clip(u, 0, size - 1)] & inside).sum(1)
    dx, dy = shifts[int(np.argmin(np.abs(counts - wanted)))].tolist()
    moved = Sprite(_shifted(sprite.color, 2 * dx, 2 * dy), _shifted(sprite.hit, 2 * dx, 2 * dy))
    return Cover(_shifted(mask, dx, dy), moved)


def _shifted(pixels: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """Moved to the right and down; zeros come in."""
    out = np.zeros_like(pixels)
    height, width = pixels.shape[:2]
    if abs(dx) < width and abs(dy) < height:
        out[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = pixels[
            max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
        ]
    return out

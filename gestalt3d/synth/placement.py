"""A place being furnished: what stands where, on what, and whether there is room for more."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gestalt3d.ops._numba import kernel
from gestalt3d.synth.colours import Number
from gestalt3d.synth.plan import Side
from gestalt3d.synth.shapes import Shape, Surface

Maker = Callable[[np.random.Generator], Shape]


@dataclass(frozen=True)
class Placed:
    """A shape in the room. `support` is the index of what it stands on or hangs at."""

    shape: Shape
    x: float
    y: float
    z: float
    yaw: float
    support: int

    def world(self, x: Number, y: Number) -> tuple[float, float]:
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return float(self.x + c * x - s * y), float(self.y + s * x + c * y)


@kernel
def _collides(taken, count, boxes, slack):
    """Whether any of `boxes` overlaps one of the first `count` rows of `taken`, by separating axes.

    Rows are (x, y, half x, half y, cos, sin, z0, z1).
    """
    for i in range(len(boxes)):
        for j in range(count):
            if boxes[i, 6] + slack >= taken[j, 7] or taken[j, 6] + slack >= boxes[i, 7]:
                continue
            dx = taken[j, 0] - boxes[i, 0]
            dy = taken[j, 1] - boxes[i, 1]
            cos = boxes[i, 4] * taken[j, 4] + boxes[i, 5] * taken[j, 5]
            sin = boxes[i, 4] * taken[j, 5] - boxes[i, 5] * taken[j, 4]
            c = abs(cos)
            s = abs(sin)
            ax = abs(dx * boxes[i, 4] + dy * boxes[i, 5])
            ay = abs(-dx * boxes[i, 5] + dy * boxes[i, 4])
            if ax + slack >= boxes[i, 2] + taken[j, 2] * c + taken[j, 3] * s:
                continue
            if ay + slack >= boxes[i, 3] + taken[j, 2] * s + taken[j, 3] * c:
                continue
            bx = abs(dx * taken[j, 4] + dy * taken[j, 5])
            by = abs(-dx * taken[j, 5] + dy * taken[j, 4])
            if bx + slack >= taken[j, 2] + boxes[i, 2] * c + boxes[i, 3] * s:
                continue
            if by + slack >= taken[j, 3] + boxes[i, 2] * s + boxes[i, 3] * c:
                continue
            return True
    return False


def oriented(solids: np.ndarray, x: Number, y: Number, z: Number, yaw: Number) -> np.ndarray:
    """Rows for `_collides` of a shape's solids at a pose."""
    c, s = np.cos(yaw), np.sin(yaw)
    mx, my = (solids[:, 0] + solids[:, 3]) / 2, (solids[:, 1] + solids[:, 4]) / 2
    out = np.empty((len(solids), 8))
    out[:, 0] = x + c * mx - s * my
    out[:, 1] = y + s * mx + c * my
    out[:, 2] = (solids[:, 3] - solids[:, 0]) / 2
    out[:, 3] = (solids[:, 4] - solids[:, 1]) / 2
    out[:, 4], out[:, 5] = c, s
    out[:, 6] = z + solids[:, 2]
    out[:, 7] = z + solids[:, 5]
    return out


def overlap(boxes: np.ndarray, others: np.ndarray) -> bool:
    """Whether any box of the one reaches into any of the others; rows as `oriented` makes them."""
    return _collides(others, len(others), boxes, 0.0)


class Scene:
    """Everything placed so far. Solids may touch; overlaps above `SLACK` metres are refused."""

    SLACK = 0.004

    def __init__(self) -> None:
        self.placed: list[Placed] = []
        self._solids = np.zeros((512, 8))
        self._count = 0
        self._reserved = np.zeros((64, 8))
        self._reserved_count = 0

    @property
    def solids(self) -> np.ndarray:
        return self._solids[: self._count]

    def _append(self, rows: np.ndarray) -> None:
        while self._count + len(rows) > len(self._solids):
            self._solids = np.concatenate([self._solids, np.zeros_like(self._solids)])
        self._solids[self._count : self._count + len(rows)] = rows
        self._count += len(rows)

    def reserve(self, rows: np.ndarray) -> None:
        """Room to be kept free of furniture: before doors and windows, along paths."""
        while self._reserved_count + len(rows) > len(self._reserved):
            self._reserved = np.concatenate([self._reserved, np.zeros_like(self._reserved)])
        self._reserved[self._reserved_count : self._reserved_count + len(rows)] = rows
        self._reserved_count += len(rows)

    def fits(self, rows: np.ndarray, *, ignore_reserved: bool = False) -> bool:
        if _collides(self._solids, self._count, rows, self.SLACK):
            return False
        return ignore_reserved or not _collides(self._reserved, self._reserved_count, rows, 0.0)

    def add(
        self, shape: Shape, x: Number, y: Number, z: Number, yaw: Number, support: int, *, solid: bool = True
    ) -> int:
        """Place without asking; the shape's items follow it. Returns the index."""
        index = len(self.placed)
        placed = Placed(shape, float(x), float(y), float(z), float(yaw), support)
        self.placed.append(placed)
        if solid:
            self._append(oriented(shape.solids, x, y, z, yaw))
        for item in shape.items:
            px, py = placed.world(item.at[0], item.at[1])
            self.add(item.shape, px, py, z + item.at[2], yaw + item.yaw, index, solid=False)
        return index

    def put(
        self,
        shape: Shape,
        x: Number,
        y: Number,
        yaw: Number,
        *,
        z: Number = 0.0,
        support: int = 0,
        ignore_reserved: bool = False,
    ) -> int | None:
        """Place if nothing is in the way: the index, or None."""
        if not self.fits(oriented(shape.solids, x, y, z, yaw), ignore_reserved=ignore_reserved):
            return None
        return self.add(shape, x, y, z, yaw, support)

    def put_at_wall(
        self,
        shape: Shape,
        side: Side,
        at: Number,
        *,
        z: Number = 0.0,
        gap: Number = 0.0,
        support: int = 0,
        turn: Number = 0.0,
        ignore_reserved: bool = False,
    ) -> int | None:
        """Back to the wall, with its middle at `at` along the side."""
        low, high = shape.low, shape.high
        if at + low[0] < -side.length / 2 or at + high[0] > side.length / 2:
            return None
        gap += abs(turn) * float(high[0] - low[0]) / 2
        x, y = side.at(at, -float(high[1]) - gap)
        return self.put(shape, x, y, side.yaw + turn, z=z, support=support, ignore_reserved=ignore_reserved)

    def put_on(
        self,
        parent: int,
        shape: Shape,
        rng: np.random.Generator,
        *,
        surface: int = 0,
        at: tuple[Number, Number] | None = None,
        yaw: Number | None = None,
        tries: int = 5,
    ) -> int | None:
        """On a surface of what is already there; `at` in [0, 1]² of the surface, else anywhere on it."""
        below = self.placed[parent]
        if surface >= len(below.shape.surfaces):
            return None
        s: Surface = below.shape.surfaces[surface]
        if shape.size[2] > s.clearance:
            return None
        for _ in range(1 if at is not None else tries):
            angle = float(rng.uniform(0, 2 * np.pi)) if yaw is None else yaw
            c, k = abs(np.cos(angle)), abs(np.sin(angle))
            low, high = shape.low, shape.high
            reach_x = float(max(-low[0], high[0]) * c + max(-low[1], high[1]) * k)
            reach_y = float(max(-low[0], high[0]) * k + max(-low[1], high[1]) * c)
            if 2 * reach_x > s.x1 - s.x0 + 0.02 or 2 * reach_y > s.y1 - s.y0 + 0.02:
                continue
            u, v = at if at is not None else (float(rng.random()), float(rng.random()))
            lx = s.x0 + reach_x + u * (s.x1 - s.x0 - 2 * reach_x)
            ly = s.y0 + reach_y + v * (s.y1 - s.y0 - 2 * reach_y)
            x, y = below.world(lx, ly)
            found = self.put(
                shape, x, y, below.yaw + angle, z=below.z + s.z, support=parent, ignore_reserved=True
            )
            if found is not None:
                return found
        return None

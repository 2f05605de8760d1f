"""Floor plans: cells with their sides, what opens in them, and the surfaces of the building."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from gestalt3d.synth import colours
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.shapes import Builder, Shape


class Opening(NamedTuple):
    """A hole in a side, in the side's own coordinates."""

    x0: float
    x1: float
    z0: float
    z1: float
    depth: float
    kind: str
    """window, door, passage (a doorway without leaf) or gap (no wall at all)."""


@dataclass
class Side:
    """One straight wall of a cell: x along it, y out of the room, the origin its middle on the floor."""

    x: float
    y: float
    yaw: float
    length: float
    openings: list[Opening] = field(default_factory=list)

    def at(self, x: Number, y: Number) -> tuple[float, float]:
        """World position of a point of the side."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return float(self.x + c * x - s * y), float(self.y + s * x + c * y)

    def free(self, x0: Number, x1: Number, margin: Number = 0.05) -> bool:
        return all(o.x1 + margin <= x0 or x1 <= o.x0 - margin for o in self.openings)


@dataclass
class Cell:
    x0: float
    y0: float
    x1: float
    y1: float
    use: str
    sides: list[Side]
    floor: Material
    wall: Material

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def depth(self) -> float:
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        return self.width * self.depth


@dataclass
class Plan:
    cells: list[Cell]
    height: float
    thickness: float


def make_cell(rng: np.random.Generator, x0: Number, y0: Number, x1: Number, y1: Number, use: str) -> Cell:
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    sides = [
        Side(cx, y1, 0.0, x1 - x0),
        Side(x1, cy, -np.pi / 2, y1 - y0),
        Side(cx, y0, np.pi, x1 - x0),
        Side(x0, cy, np.pi / 2, y1 - y0),
    ]
    wet = use in ("bathroom", "kitchen")
    floor = (
        colours.flooring(rng)
        if not wet or rng.random() < 0.4
        else colours.tiling(rng)._replace(pattern=colours.TILES, color=colours.any_color(rng))
    )
    wall = (
        colours.tiling(rng)
        if use == "bathroom" and rng.random() < 0.5
        else colours.masonry(rng)
        if rng.random() < 0.03
        else colours.paint(rng)
    )
    return Cell(x0, y0, x1, y1, use, sides, floor, wall)


def connect(
    a: Cell, b: Cell, rng: np.random.Generator, thickness: Number, height: Number, *, wide: bool
) -> None:
    """A doorway between two neighbours, or a gap over the whole of their common side."""
    for axis in (0, 1):
        for first, second in ((a, b), (b, a)):
            touch = abs((second.x0 - first.x1) if axis == 0 else (second.y0 - first.y1)) <= thickness + 1e-6
            low = max(first.y0, second.y0) if axis == 0 else max(first.x0, second.x0)
            high = min(first.y1, second.y1) if axis == 0 else min(first.x1, second.x1)
            if not touch or high - low < 1.0:
                continue
            near, far = (first.sides[1], second.sides[3]) if axis == 0 else (first.sides[0], second.sides[2])
            if wide:
                z1 = height if rng.random() < 0.7 else float(rng.uniform(2.1, 2.4))
                m = 0.0 if rng.random() < 0.6 else float(rng.uniform(0, (high - low) * 0.3))
                p, q = low + m, high - (m if rng.random() < 0.5 else 0.0)
                kind = "gap"
            else:
                w = float(rng.uniform(0.75, 0.95))
                p = float(rng.uniform(low + 0.08, high - w - 0.08))
                q = p + w
                z1 = min(float(rng.uniform(1.98, 2.12)), height - 0.1)
                kind = "door" if rng.random() < 0.6 else "passage"
            for side, of_kind, reveal in (
                (near, kind, thickness),
                (far, "gap" if kind == "gap" else "passage", 0.0),
            ):
                middle = side.y if axis == 0 else side.x
                sign = {0: -1, 1: 1}[axis] if side is near else {0: 1, 1: -1}[axis]
                x0, x1 = sorted((sign * (p - middle), sign * (q - middle)))
                side.openings.append(Opening(x0, x1, 0.0, z1, reveal, of_kind))
            return


def _cut(
    rng: np.random.Generator, w: Number, d: Number, uses: tuple[str, ...], thickness: Number, height: float
) -> list[Cell]:
    """One cell per use: the first is the largest; the others lie in a strip at its side."""
    if len(uses) == 1:
        return [make_cell(rng, -w / 2, -d / 2, w / 2, d / 2, uses[0])]
    split = w * float(rng.uniform(0.55, 0.7))
    flip = rng.random() < 0.5
    cells = []
    open_plan = [rng.random() < 0.35 and u not in ("bathroom", "storage", "bedroom") for u in uses]
    if flip:
        cells.append(make_cell(rng, -w / 2 + w - split, -d / 2, w / 2, d / 2, uses[0]))
        strip = (-w / 2, -w / 2 + w - split - thickness)
    else:
        cells.append(make_cell(rng, -w / 2, -d / 2, -w / 2 + split, d / 2, uses[0]))
        strip = (-w / 2 + split + thickness, w / 2)
    edges = np.linspace(-d / 2, d / 2, len(uses)) + np.concatenate(
        [[0], rng.uniform(-0.4, 0.4, len(uses) - 2), [0]]
    )
    for k, use in enumerate(uses[1:]):
        y0 = float(edges[k]) + (thickness if k else 0.0)
        y1 = float(edges[k + 1])
        if use == "nothing":
            continue
        cells.append(make_cell(rng, strip[0], y0, strip[1], y1, use))
        connect(cells[0], cells[-1], rng, thickness, height, wide=open_plan[k + 1])
    return cells


USES = (
    "office",
    "meeting",
    "living",
    "bedroom",
    "kitchen",
    "bathroom",
    "hallway",
    "storage",
    "lecture",
    "copy",
)
# Shortest and longest width and depth of a single room, in metres.
_SIZES = {
    "office": (2.6, 8.0, 2.4, 6.0),
    "meeting": (3.0, 8.0, 2.8, 5.0),
    "living": (3.4, 8.0, 3.0, 6.0),
    "bedroom": (2.8, 5.2, 2.6, 4.4),
    "kitchen": (2.2, 5.0, 1.9, 4.0),
    "bathroom": (1.8, 3.6, 1.5, 2.8),
    "hallway": (3.0, 12.0, 1.3, 2.4),
    "storage": (1.8, 5.0, 1.6, 4.0),
    "lecture": (5.0, 10.0, 4.5, 8.0),
    "copy": (2.0, 5.0, 1.8, 3.6),
}


def make_plan(rng: np.random.Generator) -> Plan:
    """Kind, size and shape of the place; a home or a floor of offices has several cells."""
    height = float(rng.uniform(2.35, 3.2))
    thickness = float(rng.uniform(0.08, 0.2))
    u = rng.random()
    if u < 0.2:
        uses: tuple[str, ...] = (
            "living",
            *rng.permutation(("kitchen", "bathroom", "bedroom", "hallway", "office"))[
                : int(rng.integers(1, 4))
            ].tolist(),
        )
        w, d = float(rng.uniform(6.0, 9.0)), float(rng.uniform(4.5, 7.5))
        if len(uses) > 3:
            d = max(d, 6.0)
    elif u < 0.27:
        uses = ("bedroom", str(rng.choice(("bathroom", "office", "storage"))))
        w, d = float(rng.uniform(5.0, 6.5)), float(rng.uniform(2.8, 4.0))
    elif u < 0.34:
        uses = ("office", str(rng.choice(("meeting", "storage", "hallway", "copy"))), "nothing")
        w, d = float(rng.uniform(5.5, 8.0)), float(rng.uniform(4.5, 7.0))
    else:
        use = str(rng.choice(USES, p=(0.17, 0.11, 0.13, 0.17, 0.13, 0.09, 0.07, 0.05, 0.04, 0.04)))
        a0, a1, b0, b1 = _SIZES[use]
        w = a0 + (a1 - a0) * float(rng.random()) ** 1.3
        d = b0 + (b1 - b0) * float(rng.random()) ** 1.2
        uses = (use,)
        if w > 4 and d > 3.2 and rng.random() < 0.2:
            uses = (use, "nothing", use) if rng.random() < 0.5 else (use, use, "nothing")
        if use == "lecture":
            height = max(height, 2.7)
    cells = _cut(rng, w, d, uses, thickness if len(set(uses)) > 1 else 0.0, height)
    if len(uses) > 1 and len(set(uses) - {"nothing"}) == 1 and len(cells) == 2:
        # The two arms of an L are one room.
        cells[1].floor, cells[1].wall = cells[0].floor, cells[0].wall
        for cell in cells:
            cell.sides = make_cell(
                np.random.default_rng(0), cell.x0, cell.y0, cell.x1, cell.y1, cell.use
            ).sides
        for first, second in ((cells[0], cells[1]), (cells[1], cells[0])):
            if abs(first.x1 - second.x0) < 1e-6:
                low, high = max(first.y0, second.y0), min(first.y1, second.y1)
                for side, sign in ((first.sides[1], -1), (second.sides[3], 1)):
                    x0, x1 = sorted((sign * (low - side.y), sign * (high - side.y)))
                    side.openings.append(Opening(x0, x1, 0.0, height, 0.0, "gap"))
    elif rng.random() < 0.6:
        for cell in cells[1:]:
            if cell.use not in ("bathroom", "kitchen") and rng.random() < 0.7:
                cell.floor, cell.wall = cells[0].floor, cells[0].wall
    plan = Plan(cells, height, thickness)
    _pierce(plan, rng)
    return plan


def _outer(plan: Plan, cell: Cell, side: Side) -> bool:
    """Whether nothing but the open air lies behind the side."""
    x, y = side.at(0.0, plan.thickness + 0.3)
    xs = [side.at(t * side.length, plan.thickness + 0.3) for t in (-0.4, 0.0, 0.4)]
    return not any(
        c is not cell and c.x0 <= x <= c.x1 and c.y0 <= y <= c.y1
        for x, y in (*xs, (x, y))
        for c in plan.cells
    )


def clear_behind(plan: Plan, side: Side, o: Opening) -> bool:
    """Whether the two metres behind an opening belong to no cell."""
    spots = [side.at(x, y) for x in (o.x0 - 0.4, (o.x0 + o.x1) / 2, o.x1 + 0.4) for y in (0.3, 1.0, 2.0)]
    return not any(c.x0 <= x <= c.x1 and c.y0 <= y <= c.y1 for c in plan.cells for x, y in spots)


def _pierce(plan: Plan, rng: np.random.Generator) -> None:
    """Outer doors and windows."""
    doors = 0
    for cell in plan.cells:
        outer = [s for s in cell.sides if _outer(plan, cell, s)]
        if not outer:
            continue
        hall = cell.use == "hallway"
        wanted = (1 if doors == 0 else 0) + int(rng.integers(2, 6) if hall else rng.random() < 0.3)
        for _ in range(wanted):
            side = outer[int(rng.integers(len(outer)))]
            w = float(rng.uniform(0.75, 1.0)) if rng.random() < 0.88 else float(rng.uniform(1.2, 1.8))
            if side.length < w + 0.3:
                continue
            room = side.length / 2 - w / 2 - 0.1
            x = (
                float(rng.choice((-1, 1))) * room * float(rng.uniform(0.6, 1))
                if rng.random() < 0.6 and not hall
                else float(rng.uniform(-room, room))
            )
            if side.free(x - w / 2, x + w / 2, 0.2):
                h = min(float(rng.uniform(1.95, 2.2)), plan.height - 0.1)
                kind = "door" if rng.random() < 0.85 else "passage"
                side.openings.append(
                    Opening(x - w / 2, x + w / 2, 0.0, h, float(rng.uniform(0.02, 0.25)), kind)
                )
                doors += 1
        if cell.use in ("hallway", "storage", "copy", "bathroom") and rng.random() < 0.7:
            continue
        high = plan.height - float(rng.uniform(0.1, 0.5))
        sill = float(rng.uniform(0.6, 1.1)) if rng.random() < 0.85 else float(rng.uniform(0.02, 0.3))
        if cell.use == "kitchen":
            sill = float(rng.uniform(1.0, 1.2))
        band = rng.random() < 0.25
        depth = float(rng.uniform(0.0, 0.35))
        for side in (outer[int(rng.integers(len(outer)))], *(outer if rng.random() < 0.15 else ())):
            x = -side.length / 2 + float(rng.uniform(0.1, 0.8))
            for _ in range(int(rng.integers(1, 5))):
                w = float(rng.uniform(0.6, 2.2)) if not band else float(rng.uniform(0.5, 1.0)) * side.length
                if x + w > side.length / 2 - 0.1:
                    break
                if side.free(x, x + w):
                    side.openings.append(
                        Opening(x, x + w, sill, max(min(high, sill + 1.9), sill + 0.4), depth, "window")
                    )
                x += w + float(rng.uniform(0.05, 1.2))


def wall_shape(
    side: Side, cell: Cell, height: Number, rng: np.random.Generator, *, skirting: Material | None
) -> Shape:
    """The side's surface with its openings, their reveals and a skirting board, in the side's own frame."""
    b = Builder()
    hx = side.length / 2
    xs = sorted({-hx, hx, *(min(max(v, -hx), hx) for o in side.openings for v in (o.x0, o.x1))})
    zs = sorted({0.0, height, *(min(max(v, 0.0), height) for o in side.openings for v in (o.z0, o.z1))})
    quads = []
    for x0, x1 in pairwise(xs):
        for z0, z1 in pairwise(zs):
            xm, zm = (x0 + x1) / 2, (z0 + z1) / 2
            if not any(o.x0 < xm < o.x1 and o.z0 < zm < o.z1 for o in side.openings):
                quads.append(((x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)))
    reveals = []
    for o in side.openings:
        d = o.depth
        if d < 1e-3:
            continue
        reveals.append(((o.x0, 0, o.z0), (o.x0, d, o.z0), (o.x0, d, o.z1), (o.x0, 0, o.z1)))
        reveals.append(((o.x1, 0, o.z0), (o.x1, 0, o.z1), (o.x1, d, o.z1), (o.x1, d, o.z0)))
        if o.z1 < height - 0.01:
            reveals.append(((o.x0, 0, o.z1), (o.x0, d, o.z1), (o.x1, d, o.z1), (o.x1, 0, o.z1)))
        if o.z0 > 0.01:
            reveals.append(((o.x0, 0, o.z0), (o.x1, 0, o.z0), (o.x1, d, o.z0), (o.x0, d, o.z0)))
    for name, polygons in (("wall", quads), ("reveal", reveals)):
        if polygons:
            vertices = np.array(polygons, float).reshape(-1, 3)
            base = np.arange(len(polygons))[:, None] * 4
            faces = np.concatenate([base + np.array([0, 1, 2]), base + np.array([0, 2, 3])]).astype(np.int32)
            b.mesh(name, vertices, faces, cell.wall)
    if skirting is not None:
        h = float(rng.uniform(0.05, 0.14))
        cuts = sorted((o.x0 - 0.06, o.x1 + 0.06) for o in side.openings if o.z0 < h)
        x = -hx
        for x0, x1 in [*cuts, (hx, hx)]:
            if x0 - x > 0.05:
                b.box("skirting", (x, -0.015, 0), (x0, 0.0, h), skirting)
            x = max(x, x1)
    x = -hx
    for x0, x1 in [*sorted((o.x0, o.x1) for o in side.openings if o.kind == "gap"), (hx, hx)]:
        if x0 - x > 1e-3:
            b.solid(x, 0.0, 0.0, x0, 0.08, height)
        x = x1
    return b.finish("wall")


def _level(
    b: Builder,
    name: str,
    x0: Number,
    y0: Number,
    x1: Number,
    y1: Number,
    z: Number,
    material: Material,
    *,
    up: bool,
) -> None:
    vertices = np.array([[x0, y0, z], [x1, y0, z], [x1, y1, z], [x0, y1, z]])
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    b.mesh(name, vertices, faces if up else faces[:, ::-1], material)


def _strip(side: Side, x0: Number, x1: Number, y0: Number, y1: Number) -> tuple[float, float, float, float]:
    """World rectangle (x0, y0, x1, y1) of a rectangle in a side's coordinates."""
    (xa, ya), (xb, yb) = side.at(x0, y0), side.at(x1, y1)
    return min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb)


def floor_shape(plan: Plan) -> Shape:
    """All floors as one instance, doorsteps and what shows through outer doors included."""
    b = Builder()
    for cell in plan.cells:
        _level(b, "floor", cell.x0, cell.y0, cell.x1, cell.y1, 0.0, cell.floor, up=True)
        for side in cell.sides:
            for o in side.openings:
                if o.z0 > 0 or o.depth <= 0:
                    continue
                _level(b, "doorstep", *_strip(side, o.x0, o.x1, 0.0, o.depth), 0.0, cell.floor, up=True)
                if o.kind != "gap" and clear_behind(plan, side, o):
                    beyond = _strip(side, o.x0 - 0.4, o.x1 + 0.4, o.depth, o.depth + 1.6)
                    _level(b, "landing", *beyond, -0.004, cell.floor, up=True)
    b.solid(-50, -50, -0.1, 50, 50, 0.0)
    return b.finish("floor")


def ceiling_shape(plan: Plan, rng: np.random.Generator) -> Shape:
    """All ceilings as one instance."""
    b = Builder()
    m = colours.paint(rng)._replace(color=(0.9, 0.9, 0.88))
    if rng.random() < 0.3:
        m = Material(colours.TILES, (0.88, 0.88, 0.86), (0.6, 0.6, 0.6), 0.6, 0.6)
    for cell in plan.cells:
        _level(b, "ceiling", cell.x0, cell.y0, cell.x1, cell.y1, plan.height, m, up=False)
        for side in cell.sides:
            for o in side.openings:
                if o.z1 >= plan.height - 0.01 and o.depth > 0:
                    _level(b, "ceiling", *_strip(side, o.x0, o.x1, 0.0, o.depth), plan.height, m, up=False)
    b.solid(-50, -50, plan.height, 50, 50, plan.height + 0.1)
    return b.finish("ceiling")


def outlook_shape(side: Side, o: Opening, rng: np.random.Generator, height: Number) -> Shape:
    """The wall of the corridor behind an open outer door."""
    b = Builder()
    y = o.depth + float(rng.uniform(0.9, 1.6))
    v = np.array([[o.x0 - 0.4, y, 0], [o.x1 + 0.4, y, 0], [o.x1 + 0.4, y, height], [o.x0 - 0.4, y, height]])
    b.mesh("wall", v, np.array([[0, 1, 2], [0, 2, 3]], np.int32), colours.paint(rng))
    return b.finish("wall")

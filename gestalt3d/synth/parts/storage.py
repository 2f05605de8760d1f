"""Cabinets, chests, shelves and racks in parts: a frame of panels or bars, and in its cells drawers, doors and shelves."""

from typing import NamedTuple

import numpy as np

from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.shapes import Builder, Part

_CABINET = "storage_furniture/cabinet"
_FRAME = f"{_CABINET}/cabinet_frame"
_BASE = f"{_CABINET}/cabinet_base"
_PLAIN = Material()


class Cell(NamedTuple):
    """A box to fill, open at its front y0."""

    x0: Number
    x1: Number
    y0: Number
    y1: Number
    z0: Number
    z1: Number


class Handle(NamedTuple):
    """How the handles of one piece look: `style` 0 none, 1 a bar, 2 a knob, 3 a bow."""

    style: int
    length: float
    thick: float


def handles(rng: np.random.Generator) -> Handle:
    """One design for a piece of furniture."""
    style = int(rng.choice((0, 1, 1, 2, 2, 3)))
    return Handle(style, float(rng.uniform(0.03, 0.09)), float(rng.uniform(0.006, 0.012)))


def handle(b: Builder, name: str, x: Number, y: Number, z: Number, look: Handle, *, upright: bool) -> None:
    """A handle before the front at y, its middle at (x, z)."""
    r, long = look.thick, look.length
    along = (0, long) if upright else (long, 0)
    if look.style == 1:
        b.box(
            name,
            (x - along[0] - r, y - 0.03, z - along[1] - r),
            (x + along[0] + r, y, z + along[1] + r),
            _PLAIN,
        )
    elif look.style == 2:
        profile = [
            (0.0, 0.0),
            (r, 0.0),
            (r, 0.012),
            (r * 2, 0.016),
            (r * 2.2, 0.024),
            (r, 0.03),
            (0.0, 0.031),
        ]
        knob = b.lathe(name, profile, _PLAIN, sides=10)
        knob[:] = np.stack([x + knob[:, 0], y - knob[:, 2], z + knob[:, 1]], 1)
    elif look.style == 3:
        s = np.array([-1, -1, -0.6, 0.6, 1, 1], float)
        out = np.array([0, 0.7, 1, 1, 0.7, 0])
        path = np.stack([x + s * along[0], y - 0.035 * out, z + s * along[1]], 1)
        b.tube(name, path, r * 0.7, _PLAIN)


def drawer(b: Builder, prefix: str, cell: Cell, look: Handle, *, out: Number = 0.0, knobs: int = 1) -> None:
    """Front, two sides, back and bottom, pulled `out` so many metres; `prefix` names this drawer."""
    x0, x1, y0, y1, z0, z1 = cell
    y0, y1 = y0 - out, y1 - out
    gap, t = 0.004, 0.012
    wide, high = x1 - x0, z1 - z0
    b.box(
        f"{prefix}/drawer_box/drawer_front",
        (x0 + gap, y0, z0 + gap),
        (x1 - gap, y0 + 0.018, z1 - gap),
        _PLAIN,
    )
    inner, deep = (x0 + 0.02, x1 - 0.02, z0 + 0.015, z0 + high * 0.8), y0 + 0.018
    back = deep + (y1 - y0 - 0.018) * 0.95
    for x in (inner[0], inner[1] - t):
        b.box(f"{prefix}/drawer_box/drawer_side", (x, deep, inner[2]), (x + t, back, inner[3]), _PLAIN)
    b.box(
        f"{prefix}/drawer_box/drawer_back",
        (inner[0] + t, back - t, inner[2]),
        (inner[1] - t, back, inner[3]),
        _PLAIN,
    )
    b.box(
        f"{prefix}/drawer_box/drawer_bottom",
        (inner[0] + t, deep, inner[2]),
        (inner[1] - t, back - t, inner[2] + 0.008),
        _PLAIN,
    )
    fits = look._replace(length=min(look.length, wide * 0.3))
    for k in range(knobs):
        x = x0 + wide * (k + 1) / (knobs + 1)
        handle(b, f"{prefix}/handle", x, y0, (z0 + z1) / 2, fits, upright=False)


def door(
    b: Builder,
    prefix: str,
    cell: Cell,
    look: Handle,
    *,
    hinged_left: bool,
    angle: Number = 0.0,
    hinges: bool = False,
) -> None:
    """A leaf before the cell, opened by `angle`; `prefix` names this door."""
    x0, x1, y0, _, z0, z1 = cell
    first = len(b.parts)
    gap = 0.003
    b.box(f"{prefix}/cabinet_door_surface", (x0 + gap, y0 - 0.02, z0 + gap), (x1 - gap, y0, z1 - gap), _PLAIN)
    x = x1 - 0.04 if hinged_left else x0 + 0.04
    fits = look._replace(length=min(look.length, (z1 - z0) * 0.3))
    handle(b, f"{prefix}/handle", x, y0 - 0.02, (z0 + z1) / 2, fits, upright=True)
    pivot = x0 if hinged_left else x1
    if angle:
        c, s = np.cos(angle), np.sin(angle) * (1 if hinged_left else -1)
        for part in b.parts[first:]:
            v = part.vertices
            dx, dy = v[:, 0] - pivot, v[:, 1] - y0
            v[:, 0], v[:, 1] = pivot + c * dx + s * dy, y0 - s * dx + c * dy
    if hinges:
        for z in (z0 + 0.12 * (z1 - z0), z1 - 0.12 * (z1 - z0)):
            b.cylinder(
                f"{prefix}/hinge",
                (pivot, y0 - 0.012, z - 0.025),
                (pivot, y0 - 0.012, z + 0.025),
                0.006,
                0.006,
                _PLAIN,
                8,
            )


def feet(b: Builder, rng: np.random.Generator, prefix: str, hx: Number, hy: Number, height: Number) -> None:
    """Four feet, square, round or tapered, or four castors, below `height`; `prefix` is the base that they belong to."""
    u = rng.random()
    r = float(rng.uniform(0.014, 0.03))
    spots = [(x, y) for x in (-hx + r * 1.5, hx - r * 1.5) for y in (-hy + r * 1.5, hy - r * 1.5)]
    for k, (x, y) in enumerate(spots):
        if u < 0.25:
            wheel = min(height * 0.42, 0.035)
            name = f"{prefix}/caster#{k}"
            b.cylinder(f"{name}/wheel", (x - 0.01, y, wheel), (x + 0.01, y, wheel), wheel, wheel, _PLAIN, 14)
            b.cylinder(f"{name}/caster_stem", (x, y, wheel), (x, y, height), 0.008, 0.008, _PLAIN, 8)
        elif u < 0.6:
            b.box(f"{prefix}/foot", (x - r, y - r, 0), (x + r, y + r, height), _PLAIN)
        else:
            b.cylinder(f"{prefix}/foot", (x, y, 0), (x, y, height), r * 0.6, r, _PLAIN, 10)


def storage(rng: np.random.Generator) -> list[Part]:
    """One piece of storage furniture."""
    u = rng.random()
    if u < 0.15:
        return _rack(rng)
    if u < 0.45:
        return _cabinet(rng, *_size(rng, "tall"))
    if u < 0.75:
        return _cabinet(rng, *_size(rng, "low"))
    return _cabinet(rng, *_size(rng, "chest"))


class _Plan(NamedTuple):
    """Size and contents of a cabinet: how many columns and rows, and the chances of what fills a cell."""

    w: float
    d: float
    h: float
    columns: int
    rows: int
    drawers: float
    doors: float


def _size(rng: np.random.Generator, kind: str) -> _Plan:
    d = float(rng.uniform(0.3, 0.6))
    if kind == "tall":
        w, h = float(rng.uniform(0.5, 1.6)), float(rng.uniform(1.2, 2.1))
        return _Plan(w, d, h, int(rng.integers(1, 4)), int(rng.integers(3, 7)), 0.15, 0.35)
    if kind == "low":
        w, h = float(rng.uniform(0.8, 1.9)), float(rng.uniform(0.45, 0.95))
        return _Plan(w, d, h, int(rng.integers(2, 5)), int(rng.integers(1, 4)), 0.35, 0.4)
    w, h = float(rng.uniform(0.4, 1.3)), float(rng.uniform(0.6, 1.3))
    return _Plan(w, d, h, int(rng.integers(1, 5)), int(rng.integers(3, 9)), 1.0, 0.0)


def _cabinet(
    rng: np.random.Generator,
    w: float,
    d: float,
    h: float,
    columns: int,
    rows: int,
    drawers: float,
    doors: float,
) -> list[Part]:
    b = Builder()
    hx, hy, t = w / 2, d / 2, float(rng.uniform(0.014, 0.028))
    foot = _base(b, rng, hx, hy)
    top = h
    for x in (-hx, hx - t):
        b.box(f"{_FRAME}/vertical_side_panel", (x, -hy, foot), (x + t, hy, top), _PLAIN)
    b.box(f"{_FRAME}/bottom_panel", (-hx + t, -hy, foot), (hx - t, hy, foot + t), _PLAIN)
    b.box(f"{_FRAME}/top_panel", (-hx + t, -hy, top - t), (hx - t, hy, top), _PLAIN)
    if rng.random() < 0.9:
        b.box(f"{_FRAME}/back_panel", (-hx + t, hy - 0.01, foot + t), (hx - t, hy, top - t), _PLAIN)
    if rng.random() < 0.45:
        over = float(rng.uniform(0.0, 0.03))
        b.box(f"{_CABINET}/countertop", (-hx - over, -hy - over, top), (hx + over, hy, top + t * 1.3), _PLAIN)
    edges = np.linspace(-hx + t, hx - t, columns + 1)
    look = handles(rng)
    knobs = 2 if w / columns > 0.6 and rng.random() < 0.5 else 1
    open_by = float(rng.uniform(0.2, 1.6)) if rng.random() < 0.15 else 0.0
    has_hinges = rng.random() < 0.3
    out = float(rng.uniform(0.05, 0.25)) if rng.random() < 0.2 else 0.0
    count = 0
    for c in range(columns):
        x0, x1 = (
            float(edges[c]) + (t / 2 if c else 0),
            float(edges[c + 1]) - (t / 2 if c + 1 < columns else 0),
        )
        if c:
            x = float(edges[c])
            b.box(
                f"{_FRAME}/vertical_divider_panel",
                (x - t / 2, -hy, foot + t),
                (x + t / 2, hy - 0.01, top - t),
                _PLAIN,
            )
        for kind, z0, z1 in _column(rng, foot + t, top - t, rows, drawers, doors):
            cell = Cell(x0, x1, -hy, hy - 0.01, z0, z1)
            if kind == "shelf":
                b.box(f"{_CABINET}/shelf", (x0, -hy + 0.01, z0), (x1, hy - 0.01, z0 + t * 0.8), _PLAIN)
            elif kind == "drawer":
                drawer(
                    b, f"{_CABINET}/drawer#{count}", cell, look, knobs=knobs, out=out * (rng.random() < 0.3)
                )
            elif kind == "door":
                angle = open_by * (rng.random() < 0.5)
                if x1 - x0 > 0.65:
                    middle = (x0 + x1) / 2
                    door(
                        b,
                        f"{_CABINET}/cabinet_door#{count}",
                        cell._replace(x1=middle),
                        look,
                        hinged_left=True,
                        angle=angle,
                        hinges=has_hinges,
                    )
                    count += 1
                    cell = cell._replace(x0=middle)
                    door(
                        b,
                        f"{_CABINET}/cabinet_door#{count}",
                        cell,
                        look,
                        hinged_left=False,
                        angle=angle,
                        hinges=has_hinges,
                    )
                else:
                    door(
                        b,
                        f"{_CABINET}/cabinet_door#{count}",
                        cell,
                        look,
                        hinged_left=c % 2 == 0,
                        angle=angle,
                        hinges=has_hinges,
                    )
            count += 1
    return b.parts


def _column(
    rng: np.random.Generator, z0: Number, z1: Number, rows: int, drawers: float, doors: float
) -> list[tuple[str, float, float]]:
    """What stands above each other in a column, from the bottom up; a door has a shelf or two behind it."""
    cuts = np.linspace(z0, z1, rows + 1)
    found: list[tuple[str, float, float]] = []
    k = 0
    while k < rows:
        u = rng.random()
        if u < drawers:
            found.append(("drawer", float(cuts[k]), float(cuts[k + 1])))
            k += 1
        elif u < drawers + doors:
            span = int(rng.integers(1, min(3, rows - k) + 1))
            found.append(("door", float(cuts[k]), float(cuts[k + span])))
            found += [("shelf", float(z), float(z)) for z in cuts[k + 1 : k + span]]
            k += span
        else:
            k += 1
        if k < rows and drawers < 1:
            found.append(("shelf", float(cuts[k]), float(cuts[k])))
    return found


def _base(b: Builder, rng: np.random.Generator, hx: Number, hy: Number) -> float:
    """What the cabinet stands on, and its height."""
    u = rng.random()
    if u < 0.3:
        return 0.0
    if u < 0.7:
        height = float(rng.uniform(0.04, 0.2))
        feet(b, rng, f"{_BASE}/foot_base", hx, hy, height)
        return height
    height, t = float(rng.uniform(0.04, 0.12)), 0.018
    for y in (-hy + 0.03, hy - t):
        b.box(f"{_BASE}/panel_base/base_side_panel", (-hx, y, 0), (hx, y + t, height), _PLAIN)
    for x in (-hx, hx - t):
        b.box(f"{_BASE}/panel_base/base_side_panel", (x, -hy + 0.03 + t, 0), (x + t, hy - t, height), _PLAIN)
    return height


def _rack(rng: np.random.Generator) -> list[Part]:
    """Four posts, boards of bars or of one piece, rails at the sides."""
    b = Builder()
    hx, hy, h = float(rng.uniform(0.25, 0.7)), float(rng.uniform(0.14, 0.28)), float(rng.uniform(0.7, 2.0))
    t = float(rng.uniform(0.01, 0.02))
    foot = float(rng.uniform(0.04, 0.09)) if rng.random() < 0.3 else 0.0
    if foot:
        feet(b, rng, f"{_BASE}/foot_base", hx, hy, foot)
    for x in (-hx + t, hx - t):
        for y in (-hy + t, hy - t):
            b.box(f"{_FRAME}/frame_vertical_bar", (x - t, y - t, foot), (x + t, y + t, h), _PLAIN)
    boards = int(rng.integers(3, 8))
    is_of_bars, rails = rng.random() < 0.35, rng.random() < 0.5
    count = int(rng.integers(4, 12))
    for z in np.linspace(foot + 0.08, h - 0.02, boards):
        if is_of_bars:
            for y in (-hy, hy - 2 * t):
                b.box(
                    f"{_FRAME}/frame_horizontal_bar",
                    (-hx + 2 * t, y, z - t),
                    (hx - 2 * t, y + 2 * t, z + t),
                    _PLAIN,
                )
            xs = np.linspace(-hx + 2 * t, hx - 2 * t, count + 2)[1:-1]
            for x in xs:
                b.box(
                    f"{_FRAME}/frame_horizontal_bar",
                    (x - t / 2, -hy + 2 * t, z - t / 2),
                    (x + t / 2, hy - 2 * t, z + t / 2),
                    _PLAIN,
                )
        else:
            b.box(f"{_CABINET}/shelf", (-hx, -hy, z), (hx, hy, z + t), _PLAIN)
        if rails and z + 0.06 + t <= h:
            for x in (-hx + t, hx - t):
                b.box(
                    f"{_FRAME}/frame_horizontal_bar",
                    (x - t / 2, -hy + 2 * t, z + 0.06),
                    (x + t / 2, hy - 2 * t, z + 0.06 + t),
                    _PLAIN,
                )
    return b.parts

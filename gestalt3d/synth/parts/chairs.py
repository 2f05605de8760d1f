"""Chairs in parts: those of the rooms, and slatted ones for the garden."""

import numpy as np

from gestalt3d.synth import seating
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.parts.naming import renamed
from gestalt3d.synth.shapes import Builder, Part

_BACK, _SEAT, _LEGS = "chair/chair_back", "chair/chair_seat", "chair/chair_base/regular_leg_base"
_STAR = "chair/chair_base/star_leg_base"
_SEAT_SURFACE = f"{_SEAT}/seat_surface/seat_single_surface"
_BACK_SURFACE = f"{_BACK}/back_surface/back_single_surface"
_ARM = "chair/chair_arm#{side}"

_NAMES = {
    "seat": _SEAT_SURFACE,
    "seat cushion": _SEAT_SURFACE,
    "base": f"{_SEAT}/seat_support",
    "chaise base": f"{_SEAT}/seat_support",
    "chaise cushion": _SEAT_SURFACE,
    "pouf": _SEAT_SURFACE,
    "back": _BACK_SURFACE,
    "back cushion": _BACK_SURFACE,
    "tub": _BACK_SURFACE,
    "slat": f"{_BACK}/back_surface/back_surface_vertical_bar",
    "rung": f"{_BACK}/back_surface/back_surface_horizontal_bar",
    "rail": f"{_BACK}/back_frame/back_frame_horizontal_bar",
    "post": f"{_BACK}/back_frame/back_frame_vertical_bar",
    "hoop": f"{_BACK}/back_frame/back_holistic_frame",
    "spine": f"{_BACK}/back_support",
    "headrest": "chair/chair_head/headrest",
    "armrest": f"{_ARM}/arm_horizontal_bar",
    "arm post": f"{_ARM}/arm_near_vertical_bar",
    "arm": f"{_ARM}/arm_sofa_style",
    "leg": f"{_LEGS}/leg",
    "panel": f"{_LEGS}/leg",
    "bar": f"{_LEGS}/bar_stretcher",
    "skid": f"{_LEGS}/runner",
    "column": "chair/chair_base/pedestal_base/central_support",
    "gas spring": f"{_STAR}/central_support",
    "star leg": f"{_STAR}/star_leg_set/leg",
}
_SHELL_ROWS, _SHELL_COLUMNS = 12, 9
_PLAIN = Material()


def chair(rng: np.random.Generator) -> list[Part]:
    """One chair, stool, bench or armchair."""
    u = rng.random()
    if u < 0.32:
        return _common(rng)
    if u < 0.52:
        return _on_wheels(rng)
    if u < 0.62:
        made = seating.armchair(rng) if rng.random() < 0.7 else seating.sofa(rng)
        return renamed(made.parts, _NAMES | {"foot": "chair/chair_base/foot_base/foot"})
    if u < 0.72:
        made = seating.stool(rng) if rng.random() < 0.7 else seating.bench(rng)
        return renamed(made.parts, _NAMES | {"foot": "chair/chair_base/pedestal_base/pedestal"})
    return slatted(rng)


def _common(rng: np.random.Generator) -> list[Part]:
    found: list[Part] = []
    for part in seating.chair(rng).parts:
        found += _shell_in_two(part) if part.name == "shell" else renamed([part], _NAMES)
    return found


def _shell_in_two(shell: Part) -> list[Part]:
    """Seat and back of a sheet that is bent once: its first rows of vertices, from the front, are the seat."""
    row = np.arange(len(shell.vertices)) // _SHELL_COLUMNS % _SHELL_ROWS
    is_seat = row[shell.faces].max(1) <= 6
    return [
        shell._replace(name=_SEAT_SURFACE, faces=shell.faces[is_seat]),
        shell._replace(name=_BACK_SURFACE, faces=shell.faces[~is_seat]),
    ]


def _on_wheels(rng: np.random.Generator) -> list[Part]:
    """An office chair; each of its castors is a stem and two wheels."""
    b = Builder()
    made = seating.office_chair(rng)
    castors = [part.vertices.mean(0) for part in made.parts if part.name == "castor"]
    for k, (x, y, z) in enumerate(castors):
        caster = f"{_STAR}/star_leg_set/caster#{k}"
        turn = float(rng.uniform(0, 2 * np.pi))
        ax, ay = float(np.cos(turn)), float(np.sin(turn))
        for side in (-1, 1):
            near, far = 0.004 * side, 0.018 * side
            b.cylinder(
                f"{caster}/wheel",
                (x + ax * near, y + ay * near, z),
                (x + ax * far, y + ay * far, z),
                0.03,
                0.03,
                _PLAIN,
                12,
            )
        b.cylinder(f"{caster}/caster_stem", (x, y, z), (x, y, z + 0.055), 0.008, 0.008, _PLAIN, 8)
    seat = next(part.vertices for part in made.parts if part.name == "seat")
    under = float(seat[:, 2].min())
    if rng.random() < 0.6:
        b.box(f"{_SEAT}/seat_support", (-0.11, -0.13, under - 0.03), (0.11, 0.13, under + 0.005), _PLAIN)
    if rng.random() < 0.5:
        side = float(rng.choice((-1, 1)))
        b.cylinder(
            f"{_STAR}/mechanical_control/lever",
            (0.05 * side, 0.03, under - 0.015),
            (0.24 * side, 0.05, under - 0.03),
            0.007,
            0.007,
            _PLAIN,
            6,
        )
    if rng.random() < 0.25:
        b.cylinder(
            f"{_STAR}/mechanical_control/knob",
            (0, -0.13, under - 0.02),
            (0, -0.2, under - 0.02),
            0.022,
            0.02,
            _PLAIN,
            10,
        )
    return renamed([part for part in made.parts if part.name != "castor"], _NAMES) + b.parts


def slatted(rng: np.random.Generator, *, seats: int | None = None) -> list[Part]:
    """Bars everywhere: seat and back of slats in a frame, with stretchers, arms or rockers; for one to three unless said."""
    b = Builder()
    if seats is None:
        seats = 1 if rng.random() < 0.75 else int(rng.integers(2, 4))
    hx = float(rng.uniform(0.2, 0.28)) * seats
    hy, seat = float(rng.uniform(0.19, 0.26)), float(rng.uniform(0.38, 0.48))
    top, t = seat + float(rng.uniform(0.35, 0.65)), float(rng.uniform(0.014, 0.028))
    rocks = seats == 1 and rng.random() < 0.2
    for x in (-hx + t, hx - t):
        b.box(f"{_LEGS}/leg", (x - t, -hy, 0), (x + t, -hy + 2 * t, seat - 2 * t), _PLAIN)
        b.box(f"{_LEGS}/leg", (x - t, hy - 2 * t, 0), (x + t, hy, seat - 2 * t), _PLAIN)
    for y in (-hy, hy - 2 * t):
        b.box(f"{_SEAT}/seat_frame/seat_frame_bar", (-hx, y, seat - 2.2 * t), (hx, y + 2 * t, seat), _PLAIN)
    for x in (-hx, hx - 2 * t):
        b.box(
            f"{_SEAT}/seat_frame/seat_frame_bar",
            (x, -hy + 2 * t, seat - 2.2 * t),
            (x + 2 * t, hy - 2 * t, seat),
            _PLAIN,
        )
    _seat_bars(b, rng, hx, hy, seat, t)
    _stretchers(b, rng, hx, hy, seat, t)
    if rocks:
        a = np.linspace(-1, 1, 9)
        for x in (-hx + t, hx - t):
            path = np.stack([np.full(9, x), a * hy * 1.5, 0.07 * a**2 - 0.03], 1)
            b.tube(f"{_LEGS}/rocker", path, t * 0.8, _PLAIN)
    _back_bars(b, rng, hx, hy, seat, top, t)
    if rng.random() < 0.55:
        _arms(b, rng, hx, hy, seat, t)
    return b.parts


def _seat_bars(b: Builder, rng: np.random.Generator, hx: Number, hy: Number, z: Number, t: Number) -> None:
    x0, x1, y0, y1 = -hx + 2 * t, hx - 2 * t, -hy + 2 * t, hy - 2 * t
    is_across = rng.random() < 0.6
    long = (y1 - y0) if is_across else (x1 - x0)
    step = float(rng.uniform(0.032, 0.075))
    count = max(3, int(long / step))
    width = float(rng.uniform(0.5, 0.85)) * long / count
    for k in range(count):
        at = (k + 0.5) * long / count
        low, high = at - width / 2, at + width / 2
        if is_across:
            b.box(f"{_SEAT}/seat_surface/seat_surface_bar", (x0, y0 + low, z - t), (x1, y0 + high, z), _PLAIN)
        else:
            b.box(f"{_SEAT}/seat_surface/seat_surface_bar", (x0 + low, y0, z - t), (x0 + high, y1, z), _PLAIN)


def _stretchers(
    b: Builder, rng: np.random.Generator, hx: Number, hy: Number, seat: Number, t: Number
) -> None:
    low = seat * float(rng.uniform(0.2, 0.55))
    r = t * 0.55
    x, y = hx - t, hy - t
    between = {
        "sides": [((-x, -y), (-x, y)), ((x, -y), (x, y))],
        "front": [((-x, -y), (x, -y))],
        "back": [((-x, y), (x, y))],
        "middle": [((-x, 0), (x, 0))],
    }
    wanted = [("sides",), ("sides", "middle"), ("sides", "front", "back"), ("front", "back"), ()]
    for which in wanted[int(rng.integers(len(wanted)))]:
        for (x0, y0), (x1, y1) in between[which]:
            b.cylinder(f"{_LEGS}/bar_stretcher", (x0, y0, low), (x1, y1, low), r, r, _PLAIN, 8)


def _back_bars(
    b: Builder,
    rng: np.random.Generator,
    hx: Number,
    hy: Number,
    seat: Number,
    top: Number,
    t: Number,
) -> None:
    """Two posts, rails between them, slats between the rails; all of it leans backwards."""
    first = len(b.parts)
    y0, y1 = hy - 1.8 * t, hy - 0.4 * t
    for x in (-hx, hx - 2 * t):
        b.box(f"{_BACK}/back_frame/back_frame_vertical_bar", (x, y0, seat), (x + 2 * t, y1, top), _PLAIN)
    low = seat + float(rng.uniform(0.03, 0.15))
    rail = float(rng.uniform(0.03, 0.07))
    x0, x1 = -hx + 2 * t, hx - 2 * t
    b.box(f"{_BACK}/back_frame/back_frame_horizontal_bar", (x0, y0, top - rail), (x1, y1, top), _PLAIN)
    u = rng.random()
    if u < 0.6:
        b.box(
            f"{_BACK}/back_frame/back_frame_horizontal_bar", (x0, y0, low), (x1, y1, low + rail * 0.8), _PLAIN
        )
        step = float(rng.uniform(0.035, 0.09))
        count = max(3, int((x1 - x0) / step))
        width = float(rng.uniform(0.3, 0.7)) * (x1 - x0) / count
        for k in range(count):
            x = x0 + (k + 0.5) * (x1 - x0) / count
            b.box(
                f"{_BACK}/back_surface/back_surface_vertical_bar",
                (x - width / 2, y0 + t * 0.3, low + rail * 0.8),
                (x + width / 2, y1 - t * 0.3, top - rail),
                _PLAIN,
            )
    else:
        count = int(rng.integers(3, 10))
        space = (top - rail - low) / count
        width = float(rng.uniform(0.4, 0.75)) * space
        for k in range(count):
            z = low + k * space
            b.box(
                f"{_BACK}/back_surface/back_surface_horizontal_bar",
                (x0, y0 + t * 0.2, z),
                (x1, y1 - t * 0.2, z + width),
                _PLAIN,
            )
    tilt = float(rng.uniform(0.0, 0.16))
    for part in b.parts[first:]:
        v = part.vertices
        v[:, 1] += tilt * (v[:, 2] - seat) / (top - seat)


def _arms(b: Builder, rng: np.random.Generator, hx: Number, hy: Number, seat: Number, t: Number) -> None:
    z = seat + float(rng.uniform(0.17, 0.25))
    w = float(rng.uniform(0.02, 0.045))
    posts = int(rng.integers(1, 5))
    for side, x in enumerate((-hx + t, hx - t)):
        arm = _ARM.format(side=side)
        b.box(f"{arm}/arm_horizontal_bar", (x - w, -hy - 0.02, z), (x + w, hy, z + 0.025), _PLAIN)
        for y in np.linspace(-hy + t, hy * 0.6, posts):
            b.box(
                f"{arm}/arm_near_vertical_bar",
                (x - t * 0.7, y - t * 0.7, seat),
                (x + t * 0.7, y + t * 0.7, z),
                _PLAIN,
            )

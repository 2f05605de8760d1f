"""Cargo ships and liners, warships, tugs. Bow at -y."""

import numpy as np

from gestalt3d.synth import colours
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.objects.ship_hulls import DARK, WHITE, hull, tower
from gestalt3d.synth.shapes import Builder, Shape


def cargo_ship(rng: np.random.Generator) -> Shape:
    """A long hull with containers, hatches or a liner's decks, the bridge at the stern."""
    b = Builder()
    long = float(rng.uniform(80, 200))
    wide, deep = long * float(rng.uniform(0.065, 0.09)), long * float(rng.uniform(0.06, 0.085))
    skin = Material(color=colours.any_color(rng)) if rng.random() < 0.6 else DARK
    hull(
        b,
        rng,
        long,
        wide,
        deep,
        skin,
        deck=Material(color=(0.45, 0.3, 0.25)),
        sheer=deep * 0.35,
        flare=0.1,
        stern=0.8,
        water=0.55,
    )
    liner = rng.random() < 0.3
    each = long * 0.018
    if liner:
        roof = tower(b, rng, long * 0.2, long * 0.92, wide * 0.92, 0.0, int(rng.integers(3, 6)), each, WHITE)
        for k in range(int(rng.integers(1, 4))):
            y = long * (0.45 + 0.14 * k)
            b.cylinder(
                "funnel",
                (0, y, roof - each),
                (0, y + each, roof + each * 2.5),
                each * 1.1,
                each,
                Material(color=colours.any_color(rng)),
                14,
            )
        b.cylinder("mast", (0, long * 0.25, roof), (0, long * 0.25, roof + each * 3), 0.3, 0.2, WHITE, 6)
        return b.finish("vessel")
    start = 0.78 if rng.random() < 0.8 else 0.3
    roof = tower(
        b, rng, long * start, long * (start + 0.11), wide * 0.85, 0.0, int(rng.integers(3, 6)), each, WHITE
    )
    b.cylinder(
        "funnel",
        (0, long * (start + 0.13), 0),
        (0, long * (start + 0.13), roof + each),
        wide * 0.25,
        wide * 0.22,
        Material(color=colours.any_color(rng)),
        12,
    )
    room = (0.1, start - 0.02) if start > 0.5 else (start + 0.18, 0.95)
    if rng.random() < 0.65:
        _containers(b, rng, long, wide, each, room)
    else:
        for y in np.arange(room[0] + 0.03, room[1] - 0.08, 0.12):
            b.box(
                "hatch",
                (-wide * 0.6, long * y, 0),
                (wide * 0.6, long * (y + 0.085), each * 0.6),
                Material(color=(0.35, 0.4, 0.38)),
            )
            if rng.random() < 0.7:
                b.cylinder(
                    "crane",
                    (0, long * (y + 0.1), 0),
                    (0, long * (y + 0.1), each * 3.5),
                    each * 0.22,
                    each * 0.16,
                    WHITE,
                    8,
                )
                b.cylinder(
                    "jib",
                    (0, long * (y + 0.1), each * 2.4),
                    (0, long * (y + 0.03), each * 3.8),
                    each * 0.1,
                    each * 0.08,
                    WHITE,
                    6,
                )
    return b.finish("vessel")


def _containers(
    b: Builder, rng: np.random.Generator, long: Number, wide: Number, each: Number, room: tuple[float, float]
) -> None:
    palette = [Material(color=colours.any_color(rng)) for _ in range(5)]
    low, high, paint = [], [], []
    rows, lanes = int((room[1] - room[0]) / 0.075), 5
    step = wide * 1.7 / lanes
    for r in range(rows):
        tall = int(rng.integers(1, 5))
        for lane in range(lanes):
            for k in range(max(1, tall - int(rng.random() < 0.3))):
                y, x = long * (room[0] + 0.075 * r), -wide * 0.85 + lane * step
                low.append((x, y, k * each * 0.95))
                high.append((x + step * 0.95, y + long * 0.07, (k + 0.95) * each * 0.95))
                paint.append(palette[int(rng.integers(5))])
    b.boxes("containers", np.array(low), np.array(high), paint)


def warship(rng: np.random.Generator) -> Shape:
    """Grey, slender, turrets fore and aft, a tower with masts; or a flat deck for aircraft."""
    b = Builder()
    long = float(rng.uniform(90, 220))
    wide, deep = long * float(rng.uniform(0.05, 0.07)), long * float(rng.uniform(0.04, 0.055))
    v = float(rng.uniform(0.35, 0.65))
    grey = Material(color=(v, v * 1.01, v * 1.05))
    deck = Material(color=(v * 0.7, v * 0.7, v * 0.72))
    hull(b, rng, long, wide, deep, grey, deck=deck, sheer=deep * 0.5, flare=0.25, stern=0.7, water=0.6)
    each = long * 0.022
    if rng.random() < 0.25:
        b.box(
            "flight deck", (-wide * 1.7, long * 0.02, deep * 0.35), (wide * 1.5, long * 1.0, deep * 0.5), deck
        )
        b.box("line", (-wide * 0.2, long * 0.03, deep * 0.5), (-wide * 0.05, long * 0.98, deep * 0.52), WHITE)
        b.box("sponson", (-wide * 1.2, long * 0.1, 0.0), (wide * 1.2, long * 0.95, deep * 0.36), grey)
        base = b.box(
            "island",
            (wide * 0.9, long * 0.5, deep * 0.5),
            (wide * 1.45, long * 0.64, deep * 0.5 + each * 2.2),
            grey,
        )
        top = float(base[:, 2].max())
        b.cylinder(
            "mast",
            (wide * 1.2, long * 0.57, top),
            (wide * 1.2, long * 0.57, top + each * 2),
            0.9,
            0.4,
            DARK,
            6,
        )
        return b.finish("vessel")
    roof = tower(b, rng, long * 0.34, long * 0.5, wide * 0.7, 0.0, int(rng.integers(2, 5)), each, grey)
    tower(b, rng, long * 0.56, long * 0.72, wide * 0.62, 0.0, int(rng.integers(1, 3)), each, grey)
    for y, h in ((0.43, 3.2), (0.62, 2.2)):
        b.cylinder(
            "mast",
            (0, long * y, roof * 0.5),
            (0, long * y, roof + each * h),
            each * 0.14,
            each * 0.06,
            grey,
            6,
        )
        b.box(
            "radar",
            (-each * 0.9, long * y - 0.3, roof + each * h * 0.6),
            (each * 0.9, long * y + 0.3, roof + each * h * 0.6 + each * 0.25),
            DARK,
        )
    for k in range(int(rng.integers(1, 3))):
        y = long * (0.53 + 0.08 * k)
        b.cylinder("funnel", (0, y, 0), (0, y + each * 0.4, each * 2.2), each * 0.75, each * 0.6, grey, 10)
    spots = [0.17, 0.26, 0.8, 0.88][: int(rng.integers(2, 5))] if rng.random() < 0.5 else [0.2, 0.84]
    for y in spots:
        ahead = -1 if y < 0.5 else 1
        z = each * (1.0 if y in (0.26, 0.8) and len(spots) > 2 else 0.3)
        b.cylinder("barbette", (0, long * y, -0.1), (0, long * y, z), wide * 0.42, wide * 0.4, grey, 12)
        b.box(
            "turret",
            (-wide * 0.42, long * y - each * 0.7, z),
            (wide * 0.42, long * y + each * 0.7, z + each * 0.6),
            grey,
        )
        for x in (-wide * 0.2, wide * 0.2) if rng.random() < 0.7 else (0.0,):
            b.cylinder(
                "gun",
                (x, long * y, z + each * 0.35),
                (x, long * y + ahead * each * 2.4, z + each * 0.55),
                each * 0.09,
                each * 0.07,
                DARK,
                6,
            )
    return b.finish("vessel")


def tug(rng: np.random.Generator) -> Shape:
    """Short and high, with a wheelhouse, a funnel and fenders; also a fishing boat."""
    b = Builder()
    long = float(rng.uniform(12, 26))
    wide, deep = long * float(rng.uniform(0.15, 0.19)), long * float(rng.uniform(0.12, 0.16))
    skin = Material(color=colours.any_color(rng))
    hull(
        b,
        rng,
        long,
        wide,
        deep,
        skin,
        deck=Material(color=(0.4, 0.32, 0.28)),
        sheer=deep * 0.7,
        flare=0.15,
        stern=0.75,
        water=0.6,
    )
    wall = WHITE if rng.random() < 0.7 else Material(color=colours.any_color(rng))
    at = float(rng.uniform(0.28, 0.5))
    roof = tower(b, rng, long * at, long * (at + 0.26), wide * 0.6, 0.0, 2, long * 0.1, wall)
    y = long * (at + 0.34)
    b.cylinder(
        "funnel",
        (0, y, 0),
        (0, y, roof * 0.95),
        wide * 0.28,
        wide * 0.25,
        Material(color=colours.any_color(rng)),
        12,
    )
    b.cylinder(
        "mast",
        (0, long * (at + 0.1), roof),
        (0, long * (at + 0.1), roof * 1.8),
        long * 0.008,
        long * 0.006,
        WHITE,
        6,
    )
    if rng.random() < 0.5:
        b.cylinder(
            "boom", (0, long * 0.75, 0), (0, long * 0.9, roof * 1.4), long * 0.01, long * 0.008, DARK, 6
        )
    return b.finish("vessel")

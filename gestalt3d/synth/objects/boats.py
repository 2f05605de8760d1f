"""Sailing boats, motor boats and rowing boats. Bow at -y."""

import numpy as np

from gestalt3d.synth import colours
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.objects.hulls import fin, loft
from gestalt3d.synth.objects.ship_hulls import DARK, WHITE, hull, outline
from gestalt3d.synth.shapes import Builder, Shape, Vector


def _sail(b: Builder, corners: list[Vector], belly: Number, material: Material) -> None:
    """A triangular cloth between tack, clew and head that bulges to the side."""
    tack, clew, head = (np.array(c) for c in corners)
    u = np.linspace(0, 1, 6)[:, None, None]
    v = np.linspace(0, 1, 8)[None, :, None]
    # Towards the head the rows shrink; not to nothing, so that the cloth keeps its normals.
    grid = tack + (head - tack) * v + (clew - tack) * u * (1 - 0.97 * v)
    grid = grid + np.array([1.0, 0, 0]) * belly * np.sin(np.pi * u) * np.sin(np.pi * (0.1 + 0.8 * v))
    b.sheet("sail", grid, material)


def sailing_boat(rng: np.random.Generator) -> Shape:
    """One to three masts with triangular sails, or bare."""
    b = Builder()
    long = float(rng.uniform(6, 16))
    wide, deep = long * float(rng.uniform(0.13, 0.18)), long * float(rng.uniform(0.08, 0.12))
    skin = WHITE if rng.random() < 0.4 else Material(color=colours.any_color(rng))
    wood = colours.wood(rng)
    hull(
        b,
        rng,
        long,
        wide,
        deep,
        skin,
        deck=wood,
        sheer=deep * 0.4,
        flare=0.35,
        stern=float(rng.uniform(0.3, 0.75)),
    )
    if rng.random() < 0.6:
        fin(
            b,
            "keel",
            (0, long * 0.42, -deep * 0.8),
            long * 0.2,
            (0, long * 0.5, -deep * 2.2),
            long * 0.12,
            DARK,
        )
    b.rounded("cabin", (-wide * 0.5, long * 0.4, -0.1), (wide * 0.5, long * 0.68, deep * 0.45), 0.15, WHITE)
    b.box("windows", (-wide * 0.51, long * 0.45, deep * 0.15), (wide * 0.51, long * 0.63, deep * 0.3), DARK)
    cloth = (
        Material(color=(0.95, 0.94, 0.9)) if rng.random() < 0.65 else Material(color=colours.any_color(rng))
    )
    other = cloth if rng.random() < 0.6 else Material(color=colours.any_color(rng))
    tall = long * float(rng.uniform(0.95, 1.4))
    masts = [0.38] if rng.random() < 0.75 else [0.3, 0.66]
    has_sails, side = rng.random() < 0.85, float(rng.choice((-1, 1)))
    for k, share in enumerate(masts):
        h, y, boom = tall * (1 - 0.25 * k), long * share, long * (0.5 - 0.18 * (len(masts) - 1))
        low = deep * 0.75
        out = side * boom * float(rng.uniform(0.05, 0.35))
        b.cylinder("mast", (0, y, -0.1), (0, y, h), long * 0.009, long * 0.006, wood, 8)
        b.cylinder("boom", (0, y, low), (out, y + boom, low), long * 0.006, long * 0.006, wood, 6)
        if has_sails:
            _sail(
                b,
                [(0, y + 0.1, low), (out, y + boom, low), (0, y + 0.1, h * 0.97)],
                side * boom * 0.12,
                cloth,
            )
        if k == 0 and has_sails:
            _sail(
                b,
                [(0, 0.02 * long, deep * 0.5), (side * wide * 0.6, y - 0.1, low), (0, y - 0.15, h * 0.85)],
                side * boom * 0.1,
                other,
            )
    return b.finish("vessel")


def motor_boat(rng: np.random.Generator) -> Shape:
    """A speed boat or a yacht: a wedge of a hull with a low windscreen, or cabins in tiers."""
    b = Builder()
    long = float(rng.uniform(5, 30))
    wide, deep = long * float(rng.uniform(0.13, 0.17)), long * float(rng.uniform(0.09, 0.12))
    skin = WHITE if rng.random() < 0.6 else Material(color=colours.any_color(rng))
    hull(
        b,
        rng,
        long,
        wide,
        deep,
        skin,
        deck=WHITE if rng.random() < 0.5 else colours.wood(rng),
        sheer=deep * 0.5,
        flare=0.4,
        stern=0.92,
    )
    if long < 11:
        b.box("cockpit", (-wide * 0.75, long * 0.48, 0.0), (wide * 0.75, long * 0.92, deep * 0.1), DARK)
        screen = b.box(
            "screen",
            (-wide * 0.8, long * 0.44, 0),
            (wide * 0.8, long * 0.46, deep * 0.6),
            Material(color=(0.2, 0.25, 0.3)),
        )
        screen[:, 1] += 0.7 * screen[:, 2]
        for x in (-wide * 0.4, wide * 0.4):
            b.rounded(
                "seat",
                (x - wide * 0.25, long * 0.62, 0),
                (x + wide * 0.25, long * 0.72, deep * 0.5),
                0.05,
                colours.leather(rng),
            )
        b.box("motor", (-wide * 0.2, long * 0.98, -deep * 0.6), (wide * 0.2, long * 1.06, deep * 0.45), DARK)
        return b.finish("vessel")
    z, y0, y1, w = 0.0, long * 0.26, long * 0.84, wide * 0.82
    h = deep * 0.6
    for k in range(int(rng.integers(1, 4))):

        def ring(at: Number, share: Number, foot=(w, y0, y1, z)) -> np.ndarray:
            half, front, back, low = foot
            x, y, top = half * share, (front + at * h * 1.4, back - at * h * 0.3), low + at * h
            return np.array([(-x, y[0], top), (x, y[0], top), (x, y[1], top), (-x, y[1], top)])

        loft(b, "cabin", np.stack([ring(0.0, 1.0), ring(0.35, 0.97)]), WHITE)
        loft(b, "windows", np.stack([ring(0.35, 0.965), ring(0.75, 0.92)]), DARK)
        loft(b, "roof", np.stack([ring(0.75, 0.95), ring(1.0, 0.92)]), WHITE)
        z, y0, y1, w = z + h, y0 + long * 0.1, y1 - long * 0.09, w * 0.86
        if k == 0 and rng.random() < 0.3:
            break
    b.cylinder("mast", (0, (y0 + y1) / 2, z), (0, (y0 + y1) / 2 + h, z + h * 1.2), 0.12, 0.06, WHITE, 6)
    return b.finish("vessel")


def rowing_boat(rng: np.random.Generator) -> Shape:
    """An open boat: one sees into it, thwarts across, oars perhaps; both ends pointed for a canoe."""
    b = Builder()
    long = float(rng.uniform(3, 6))
    wide, deep = long * float(rng.uniform(0.12, 0.17)), long * float(rng.uniform(0.08, 0.11))
    skin = colours.wood(rng) if rng.random() < 0.6 else Material(color=colours.any_color(rng))
    canoe = rng.random() < 0.4
    s, t = np.linspace(0, 1, 15), np.linspace(-1, 1, 11)
    half = np.sin(np.pi * s) ** 0.6 if canoe else outline(s, sharp=2.0, stern=0.7)
    half = wide * np.maximum(half, 0.03)
    rise = deep * 0.5 * np.abs(2 * s - 1) ** 2.5
    bulge = np.sign(t) * np.abs(t) ** 0.6
    outer = np.stack(
        [
            half[:, None] * bulge,
            np.broadcast_to((s * long)[:, None], (15, 11)),
            -deep
            + (deep + rise[:, None]) * np.abs(t) ** 2.2
            + deep * 0.5 * (np.abs(2 * s - 1) ** 4)[:, None] * (1 - np.abs(t) ** 2),
        ],
        axis=-1,
    )
    thick = 0.03 * long / 4
    inner = outer * np.array([1 - 2 * thick / wide, 1 - 2 * thick / long, 1]) + np.array([0, thick, thick])
    inner[:, [0, -1], 2] = outer[:, [0, -1], 2]
    loft(b, "hull", np.concatenate([outer, inner[:, ::-1]], axis=1), skin)
    for y in np.linspace(0.3, 0.75, int(rng.integers(2, 4))):
        w = float(np.interp(y, s, half)) * 0.95
        b.box(
            "thwart", (-w, long * y - 0.1, -deep * 0.25), (w, long * y + 0.1, -deep * 0.15), colours.wood(rng)
        )
    if rng.random() < 0.6:
        oar = colours.wood(rng)
        for side in (-1, 1):
            end = (side * wide * 2.6, long * float(rng.uniform(0.4, 0.8)), -deep * 0.6)
            b.cylinder("oar", (side * wide * 0.4, long * 0.55, deep * 0.25), end, 0.025, 0.025, oar, 6)
            b.box(
                "blade",
                (end[0] - 0.22, end[1] - 0.08, end[2] - 0.01),
                (end[0] + 0.22, end[1] + 0.08, end[2] + 0.01),
                oar,
            )
    return b.finish("vessel")

"""What hangs on walls and ceilings or sits in them. The wall is the plane y = 0, the room lies at y < 0."""

import numpy as np

from gestalt3d.synth import colours
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.shapes import Builder, Shape

DARK = Material(color=(0.1, 0.1, 0.11))


def door(
    rng: np.random.Generator,
    w: Number,
    h: Number,
    *,
    depth: Number,
    angle: Number,
    leaf: Material,
    frame: Material,
) -> Shape:
    """Frame and leaf in an opening of w x h, `depth` deep; `angle` opens it inwards, -1: no leaf."""
    b = Builder()
    f, t = float(rng.uniform(0.04, 0.09)), 0.04
    out = float(rng.uniform(0.01, 0.025))
    y = float(rng.uniform(0.0, depth)) if rng.random() < 0.5 else 0.0
    hx = w / 2
    for x in (-hx - f * 0.7, hx - f * 0.3):
        b.box("frame", (x, -out, 0), (x + f, out, h + f * 0.6), frame)
    b.box("frame", (-hx - f * 0.7, -out, h - f * 0.3), (hx + f * 0.7, out, h + f * 0.6), frame)
    if angle >= 0:
        first = len(b.parts)
        v = b.box("leaf", (-hx + 0.01, y, 0.006), (hx - 0.01, y + t, h - 0.01), leaf)
        style = rng.random()
        if style < 0.3:
            for z0, z1 in ((0.15, h * 0.45), (h * 0.52, h - 0.15)):
                b.box("panel", (-hx + 0.13, y - 0.012, z0), (hx - 0.13, y, z1), leaf)
        elif style < 0.5:
            b.box(
                "pane",
                (-hx + 0.14, y - 0.004, h * float(rng.uniform(0.3, 0.6))),
                (hx - 0.14, y, h - 0.14),
                colours.glass(rng),
            )
        metal = colours.metal(rng)
        b.box("plate", (hx - 0.1, y - 0.01, 0.93), (hx - 0.05, y, 1.15), metal)
        b.box("handle", (hx - 0.18, y - 0.06, 1.03), (hx - 0.06, y - 0.035, 1.055), metal)
        if rng.random() < 0.25:
            b.box(
                "sign",
                (-0.1, y - 0.006, 1.5),
                (0.1, y, 1.6 + float(rng.uniform(0, 0.15))),
                colours.poster(rng),
            )
        if angle > 0:
            c, s = np.cos(angle), np.sin(angle)
            for part in b.parts[first:]:
                v = part.vertices
                dx, dy = v[:, 0] + hx, v[:, 1] - y
                v[:, 0], v[:, 1] = -hx + c * dx + s * dy, y - s * dx + c * dy
    if rng.random() < 0.5:
        for part in b.parts:
            part.vertices[:, 0] *= -1
        b.parts = [p._replace(faces=p.faces[:, ::-1]) for p in b.parts]
    return b.finish("door")


def window(rng: np.random.Generator, w: Number, h: Number, *, depth: Number) -> Shape:
    """Frame, bars and panes; the origin is the middle of the opening's lower edge."""
    b = Builder()
    hx = w / 2
    m = colours.ceramic(rng) if rng.random() < 0.6 else colours.hard(rng)
    pane = colours.glass(rng)
    f = float(rng.uniform(0.04, 0.08))
    y = depth * float(rng.uniform(0.4, 0.9))
    b.box("pane", (-hx, y + 0.02, 0), (hx, y + 0.03, h), pane)
    columns = max(1, round(w / float(rng.uniform(0.6, 1.2))))
    for k in range(columns + 1):
        x = -hx + k * (w - f) / columns
        b.box("bar", (x, y - 0.01, 0), (x + f, y + 0.04, h), m)
    rows = int(rng.integers(1, 4)) if rng.random() < 0.4 else 1
    for k in range(rows + 1):
        z = k * (h - f) / rows
        b.box("bar", (-hx, y - 0.01, z), (hx, y + 0.04, z + f), m)
    if rng.random() < 0.6:
        b.box(
            "sill",
            (-hx - 0.03, -float(rng.uniform(0.02, 0.12)), -0.03),
            (hx + 0.03, y, 0.005),
            m if rng.random() < 0.5 else colours.hard(rng),
        )
    if rng.random() < 0.35:
        # Slatted or roller blind, drawn some way down.
        low = h * float(rng.uniform(0.0, 0.8))
        blind = Material(colours.STRIPES, colours.lacquer(rng).color, (0.6, 0.6, 0.58), 0.03, 0.4)
        b.box("blind", (-hx + 0.01, max(y - 0.07, -0.02), low), (hx - 0.01, max(y - 0.04, -0.01), h), blind)
    return b.finish("window")


def curtain(rng: np.random.Generator, w: Number, h: Number, cover: Material, kind: str = "curtain") -> Shape:
    """A folded cloth of width w hanging down from height h to almost the floor (z = 0)."""
    b = Builder()
    n = max(12, int(w / 0.025))
    x = np.linspace(-w / 2, w / 2, n)
    period = float(rng.uniform(0.07, 0.2))
    depth = float(rng.uniform(0.02, 0.07))
    phase = rng.uniform(0, 6.28) + np.cumsum(rng.normal(0, 0.15, n))
    z = np.linspace(0, h, 7)
    grow = 1.2 - 0.5 * z / h
    y = (
        -0.09
        + depth * np.sin(x * 6.28 / period + phase)[None] * grow[:, None]
        + 0.01 * np.sin(z * 3)[:, None]
    )
    grid = np.stack(
        [
            np.broadcast_to(x, y.shape) * (1 + 0.03 * (1 - z / h))[:, None],
            y,
            np.broadcast_to(z[:, None], y.shape),
        ],
        -1,
    )
    b.sheet("cloth", grid, cover)
    return b.finish(kind)


def board(rng: np.random.Generator) -> Shape:
    """White, green, black or cork, in a frame, with a tray."""
    b = Builder()
    w, h = float(rng.uniform(0.8, 3.2)), float(rng.uniform(0.7, 1.3))
    t = float(rng.uniform(0.012, 0.035))
    u = rng.random()
    if u < 0.6:
        face = Material(
            colours.PRINT,
            (0.93, 0.94, 0.94),
            colours.any_color(rng),
            float(rng.uniform(0.03, 0.08)),
            float(rng.choice((0.0, 0.0, 0.5))),
        )
    elif u < 0.75:
        face = Material(colours.BLOTCHES, (0.12, 0.25, 0.2), (0.3, 0.38, 0.34), 0.3, 0.7)
    elif u < 0.85:
        face = Material(colours.BLOTCHES, (0.08, 0.08, 0.09), (0.25, 0.25, 0.25), 0.3, 0.6)
    else:
        face = Material(colours.PATCHES, (0.7, 0.52, 0.34), colours.any_color(rng), 0.15, 0.6)
    frame = colours.metal(rng) if rng.random() < 0.6 else colours.wood(rng)
    b.box("face", (-w / 2, -t, 0), (w / 2, 0, h), face)
    e = float(rng.uniform(0.015, 0.05))
    for low, high in (
        ((-w / 2, -t - 0.01, 0), (w / 2, 0, e)),
        ((-w / 2, -t - 0.01, h - e), (w / 2, 0, h)),
        ((-w / 2, -t - 0.01, 0), (-w / 2 + e, 0, h)),
        ((w / 2 - e, -t - 0.01, 0), (w / 2, 0, h)),
    ):
        b.box("frame", low, high, frame)
    if rng.random() < 0.6:
        b.box("tray", (-w * 0.4, -t - 0.07, 0), (w * 0.4, -t, 0.015), frame)
    return b.finish("board")


def picture(rng: np.random.Generator) -> Shape:
    b = Builder()
    w, h = float(rng.uniform(0.22, 1.2)), float(rng.uniform(0.22, 0.9))
    t = float(rng.uniform(0.008, 0.045))
    b.box("image", (-w / 2, -t * 0.7, 0), (w / 2, 0, h), colours.poster(rng))
    if rng.random() < 0.75:
        frame = colours.hard(rng)
        e = float(rng.uniform(0.01, 0.06))
        for low, high in (
            ((-w / 2, -t, 0), (w / 2, 0, e)),
            ((-w / 2, -t, h - e), (w / 2, 0, h)),
            ((-w / 2, -t, 0), (-w / 2 + e, 0, h)),
            ((w / 2 - e, -t, 0), (w / 2, 0, h)),
        ):
            b.box("frame", low, high, frame)
    return b.finish("picture")


def mirror(rng: np.random.Generator) -> Shape:
    b = Builder()
    w, h = float(rng.uniform(0.35, 1.2)), float(rng.uniform(0.5, 1.1))
    b.box("mirror", (-w / 2, -0.025, 0), (w / 2, 0, h), colours.mirror(rng))
    return b.finish("picture")


def radiator(rng: np.random.Generator, w: Number) -> Shape:
    b = Builder()
    h, d = float(rng.uniform(0.35, 0.75)), float(rng.uniform(0.06, 0.16))
    m = colours.ceramic(rng) if rng.random() < 0.75 else colours.lacquer(rng)
    if rng.random() < 0.5:
        n = max(3, int(w / 0.06))
        x = np.linspace(-w / 2, w / 2, n)
        low = np.stack([x - 0.02, np.full(n, -d - 0.03), np.zeros(n)], 1)
        b.boxes("rib", low, low + np.array([0.04, d, h]), [m] * n)
        b.box("pipe", (-w / 2, -d, 0.05), (w / 2, -d * 0.5, 0.08), m)
    else:
        b.box("plate", (-w / 2, -d - 0.03, 0), (w / 2, -0.03, h), m)
        b.box(
            "grille",
            (-w / 2 + 0.01, -d - 0.035, h * 0.06),
            (w / 2 - 0.01, -d - 0.03, h * 0.94),
            m._replace(pattern=colours.STRIPES, scale=0.035, contrast=0.3),
        )
    return b.finish("clutter")


def wall_box(rng: np.random.Generator) -> Shape:
    """Fuse box, paper dispenser, extinguisher, intercom, thermostat, switch, coat hooks with coats, towel."""
    b = Builder()
    u = rng.random()
    if u < 0.4:
        w, d, h = rng.uniform(0.15, 0.5), rng.uniform(0.05, 0.2), rng.uniform(0.15, 0.6)
        b.rounded(
            "body",
            (-w / 2, -d, 0),
            (w / 2, 0, h),
            0.015,
            colours.plastic(rng) if rng.random() < 0.6 else colours.lacquer(rng),
        )
    elif u < 0.5:
        b.cylinder(
            "bottle", (0, -0.09, 0), (0, -0.09, 0.42), 0.075, 0.075, Material(color=(0.7, 0.08, 0.06)), 12
        )
        b.tube(
            "hose",
            np.array([[0, -0.09, 0.42], [0, -0.09, 0.52], [0.08, -0.1, 0.45], [0.1, -0.1, 0.1]]),
            0.014,
            DARK,
        )
    elif u < 0.8:
        w = float(rng.uniform(0.25, 0.7))
        h = float(rng.uniform(0.35, 1.0))
        n = 14
        x = np.linspace(-w / 2, w / 2, n)
        z = np.linspace(0, h, 6)
        y = -0.06 + 0.035 * np.sin(x * 25 + rng.uniform(0, 6))[None] * (1.2 - z / h)[:, None]
        narrow = 1 - 0.35 * (z / h) ** 2 * (rng.random() < 0.5)
        grid = np.stack(
            [x[None] * narrow[:, None], np.minimum(y, -0.01), np.broadcast_to(z[:, None], y.shape)], -1
        )
        b.sheet("cloth", grid, colours.cloth(rng))
        b.box("rail", (-w / 2, -0.07, h - 0.01), (w / 2, -0.05, h + 0.01), colours.metal(rng))
    else:
        w, h = float(rng.uniform(0.08, 0.25)), float(rng.uniform(0.08, 0.2))
        b.box("plate", (-w / 2, -0.02, 0), (w / 2, 0, h), colours.ceramic(rng))
    return b.finish("clutter")


def ceiling_lamp(rng: np.random.Generator, kind: int) -> Shape:
    """Hangs below z = 0, the ceiling: panel, tube, ball on a rod, disc."""
    b = Builder()
    light = Material(color=(0.97, 0.96, 0.92), emission=0.9, dropout=0.1)
    if kind == 0:
        w, d = (0.6, 0.6) if rng.random() < 0.5 else (1.2, 0.3 if rng.random() < 0.5 else 0.6)
        b.box("panel", (-w / 2, -d / 2, -0.015), (w / 2, d / 2, 0.0), light)
        b.box(
            "rim", (-w / 2 - 0.02, -d / 2 - 0.02, -0.008), (w / 2 + 0.02, d / 2 + 0.02, 0), colours.metal(rng)
        )
    elif kind == 1:
        w = float(rng.uniform(1.0, 1.6))
        drop = float(rng.uniform(0, 0.6))
        b.box("tube", (-w / 2, -0.08, -drop - 0.07), (w / 2, 0.08, -drop), light)
        if drop > 0.1:
            for x in (-w * 0.4, w * 0.4):
                b.cylinder("rod", (x, 0, -drop), (x, 0, 0), 0.006, 0.006, colours.metal(rng), 5)
    elif kind == 2:
        drop, r = float(rng.uniform(0.3, 1.1)), float(rng.uniform(0.1, 0.28))
        m = light if rng.random() < 0.5 else colours.lacquer(rng)
        b.cylinder("cord", (0, 0, -drop), (0, 0, 0), 0.008, 0.008, DARK, 5)
        h = r * float(rng.uniform(0.7, 1.8))
        b.lathe(
            "shade", [(0, -drop - h), (r, -drop - h), (r * float(rng.uniform(0.3, 1)), -drop), (0, -drop)], m
        )
    else:
        r = float(rng.uniform(0.12, 0.3))
        b.lathe("disc", [(0, -0.1), (r * 0.7, -0.09), (r, -0.04), (r, 0.0)], light)
    return b.finish("lamp")


def vent(rng: np.random.Generator) -> Shape:
    """Ventilation grilles, projectors, smoke detectors, sprinklers below the ceiling z = 0."""
    b = Builder()
    if rng.random() < 0.4:
        w, d, h = float(rng.uniform(0.3, 0.5)), float(rng.uniform(0.25, 0.4)), float(rng.uniform(0.1, 0.18))
        drop = float(rng.uniform(0.15, 0.6))
        b.rounded("body", (-w / 2, -d / 2, -drop - h), (w / 2, d / 2, -drop), 0.02, colours.lacquer(rng))
        b.cylinder("rod", (0, 0, -drop), (0, 0, 0), 0.025, 0.025, colours.metal(rng), 6)
    else:
        w = float(rng.uniform(0.1, 0.6))
        b.box(
            "grille",
            (-w / 2, -w / 2, -0.03),
            (w / 2, w / 2, 0),
            Material(colours.STRIPES, (0.85, 0.85, 0.85), (0.4, 0.4, 0.4), 0.04, 0.6),
        )
    return b.finish("clutter")

"""Bathroom and kitchen fixtures."""

import numpy as np

from gestalt3d.synth import colours
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.shapes import Builder, Shape, Surface, grid_faces


def toilet(rng: np.random.Generator) -> Shape:
    b = Builder()
    m = colours.ceramic(rng)
    w, bowl, h = float(rng.uniform(0.35, 0.4)), float(rng.uniform(0.42, 0.5)), float(rng.uniform(0.38, 0.45))
    r = w / 2
    tank = rng.random() < 0.75
    y = -(0.2 if tank else 0.02) / 2
    profile = [
        (0.0, 0.0),
        (r * 0.62, 0.0),
        (r * 0.58, h * 0.3),
        (r * 0.95, h * 0.8),
        (r, h),
        (r * 0.75, h),
        (r * 0.55, h * 0.6),
        (0.0, h * 0.55),
    ]
    b.lathe("bowl", profile, m, at=(0, y - 0.03, 0), stretch=(1, bowl / w))
    lid = colours.lacquer(rng) if rng.random() < 0.25 else m
    if rng.random() < 0.55:
        b.lathe(
            "lid",
            [(0, h), (r * 1.02, h), (r * 1.02, h + 0.03), (0, h + 0.035)],
            lid,
            at=(0, y - 0.03, 0),
            stretch=(1, bowl / w),
        )
    else:
        b.lathe(
            "seat",
            [(r * 0.72, h), (r * 1.02, h), (r * 1.02, h + 0.02), (r * 0.72, h + 0.02), (r * 0.72, h - 0.02)],
            lid,
            at=(0, y - 0.03, 0),
            stretch=(1, bowl / w),
        )
        b.rounded("lid", (-r, y + bowl / 2 - 0.03, h), (r, y + bowl / 2, h + 0.42), 0.012, lid)
    back = y + bowl / 2
    if tank:
        b.rounded(
            "tank",
            (-r * 1.08, back - 0.03, h * 0.9),
            (r * 1.08, back + 0.17, h + float(rng.uniform(0.33, 0.42))),
            0.03,
            m,
        )
        b.rounded(
            "tank lid", (-r * 1.12, back - 0.045, h + 0.35), (r * 1.12, back + 0.175, h + 0.4), 0.015, m
        )
    b.box("base", (-r * 0.55, back - 0.2, 0), (r * 0.55, back + (0.14 if tank else 0.02), h * 0.9), m)
    return b.finish("toilet")


def _basin(
    b: Builder,
    w: Number,
    d: Number,
    z: Number,
    m: Material,
    rng: np.random.Generator,
    at: tuple[Number, Number] = (0.0, 0.0),
    depth: Number = 0.14,
) -> None:
    """A bowl let in from the level z, with a tap behind."""
    rx, stretch = w / 2, d / w
    profile = [
        (rx, z - 0.03),
        (rx, z + 0.01),
        (rx * 0.88, z + 0.01),
        (rx * 0.75, z - depth * 0.7),
        (rx * 0.3, z - depth),
        (0.0, z - depth),
    ]
    b.lathe("basin", profile, m, at=(at[0], at[1], 0), stretch=(1, stretch), sides=20)
    tap = colours.metal(rng)
    y = at[1] + d / 2 - 0.02
    hgt = float(rng.uniform(0.1, 0.28))
    b.tube(
        "tap",
        np.array(
            [
                [at[0], y, z],
                [at[0], y, z + hgt],
                [at[0], y - 0.06, z + hgt + 0.02],
                [at[0], y - 0.14, z + hgt - 0.03],
            ]
        ),
        0.012,
        tap,
    )


def sink(rng: np.random.Generator) -> Shape:
    """On a column, hung on the wall, or in a vanity of drawers."""
    b = Builder()
    m = colours.ceramic(rng)
    w, d, h = float(rng.uniform(0.42, 0.65)), float(rng.uniform(0.38, 0.5)), float(rng.uniform(0.8, 0.9))
    u = rng.random()
    if u < 0.5:
        rim = [
            (0.0, -0.2),
            (0.2, -0.2),
            (0.36, -0.15),
            (0.47, -0.05),
            (0.5, 0.0),
            (0.43, 0.0),
            (0.35, -0.1),
            (0.1, -0.14),
            (0.0, -0.14),
        ]
        b.lathe("bowl", [(w * r, h + z) for r, z in rim], m, stretch=(1, d / w), sides=20)
        b.box("ledge", (-w / 2 + 0.02, d / 2 - 0.1, h - 0.08), (w / 2 - 0.02, d / 2, h + 0.01), m)
        if u < 0.35:
            b.cylinder("column", (0, 0.05, 0), (0, 0.05, h - 0.17), 0.1, 0.07, m)
        else:
            b.tube(
                "pipe",
                np.array([[0, 0, h - 0.2], [0, 0, h - 0.4], [0, d / 2, h - 0.42]]),
                0.02,
                colours.metal(rng),
            )
        tap = colours.metal(rng)
        b.tube(
            "tap",
            np.array([[0, d / 2 - 0.05, h], [0, d / 2 - 0.05, h + 0.12], [0, d / 2 - 0.16, h + 0.1]]),
            0.012,
            tap,
        )
        b.solid(-w / 2, -d / 2, 0 if u < 0.35 else h - 0.45, w / 2, d / 2, h)
    else:
        w = float(rng.uniform(0.55, 1.3))
        body = colours.hard(rng)
        b.box(
            "body",
            (-w / 2, -d / 2 + 0.02, 0.0 if rng.random() < 0.6 else 0.25),
            (w / 2, d / 2, h - 0.16),
            body,
        )
        n = max(2, round(w / 0.4))
        for k in range(n):
            x0 = -w / 2 + k * w / n
            b.box("door", (x0 + 0.005, -d / 2, 0.26), (x0 + w / n - 0.005, -d / 2 + 0.02, h - 0.17), body)
        top = colours.ceramic(rng) if rng.random() < 0.5 else colours.hard(rng)
        bw, bd = min(0.48, w * 0.75), d * 0.72
        _frame(b, w / 2, d / 2, bw / 2 * 0.9, bd / 2 * 0.9, h - 0.04, h, top)
        _basin(b, bw, bd, h, m, rng)
        b.box("apron", (-w / 2, -d / 2, h - 0.16), (w / 2, -d / 2 + 0.02, h - 0.04), body)
        for x in (-w / 2, w / 2 - 0.02):
            b.box("cheek", (x, -d / 2, h - 0.17), (x + 0.02, d / 2, h - 0.04), body)
        b.solid(-w / 2, -d / 2, 0, w / 2, d / 2, h)
        b.surfaces.append(Surface(-w / 2 + 0.02, d / 2 - 0.12, w / 2 - 0.02, d / 2 - 0.01, h, 0.3))
    return b.finish("sink")


def _frame(
    b: Builder, hx: Number, hy: Number, ix: Number, iy: Number, z0: Number, z1: Number, m: Material
) -> None:
    """A slab with a rectangular hole."""
    b.box("top", (-hx, iy, z0), (hx, hy, z1), m)
    b.box("top", (-hx, -hy, z0), (hx, -iy, z1), m)
    b.box("top", (-hx, -iy, z0), (-ix, iy, z1), m)
    b.box("top", (ix, -iy, z0), (hx, iy, z1), m)


def kitchen_sink(rng: np.random.Generator) -> Shape:
    """Lies on a worktop: rim, one or two bowls seen as shallow troughs, a tap."""
    b = Builder()
    m = colours.metal(rng) if rng.random() < 0.75 else colours.ceramic(rng)
    m = m._replace(color=(0.62, 0.63, 0.65)) if m.dropout else m
    w, d = float(rng.uniform(0.45, 0.8)), float(rng.uniform(0.4, 0.48))
    t = 0.02
    b.box(
        "bottom",
        (-w / 2 + t, -d / 2 + t, 0.001),
        (w / 2 - t, d / 2 - t, 0.004),
        m._replace(color=(m.color[0] * 0.6, m.color[1] * 0.6, m.color[2] * 0.6)),
    )
    _frame(b, w / 2, d / 2, w / 2 - 0.03, d / 2 - 0.04, 0.0, 0.025, m)
    if w > 0.6:
        b.box("divider", (-0.015, -d / 2, 0), (0.015, d / 2, 0.025), m)
    h = float(rng.uniform(0.15, 0.4))
    y = d / 2 - 0.03
    b.tube(
        "tap",
        np.array(
            [
                [0, y, 0.02],
                [0, y, h],
                [0, y - 0.06, h + 0.05],
                [0, y - 0.15, h + 0.02],
                [0, y - 0.18, h - 0.06],
            ]
        ),
        0.014,
        colours.metal(rng),
    )
    return b.finish("sink")


def stove(rng: np.random.Generator) -> Shape:
    """A free-standing cooker; labelled as clutter, as most data sets do."""
    b = Builder()
    w, d, h = float(rng.uniform(0.5, 0.76)), 0.6, 0.9
    m = colours.ceramic(rng) if rng.random() < 0.5 else colours.metal(rng)
    dark = Material(color=(0.06, 0.06, 0.06), dropout=0.3)
    b.box("body", (-w / 2, -d / 2, 0.04), (w / 2, d / 2, h - 0.02), m)
    b.box("hob", (-w / 2, -d / 2, h - 0.02), (w / 2, d / 2, h), dark)
    b.box("oven", (-w / 2 + 0.05, -d / 2 - 0.012, 0.2), (w / 2 - 0.05, -d / 2, h - 0.22), dark)
    b.box(
        "handle",
        (-w / 2 + 0.06, -d / 2 - 0.05, h - 0.2),
        (w / 2 - 0.06, -d / 2 - 0.025, h - 0.17),
        colours.metal(rng),
    )
    for x in (-w / 4, w / 4):
        for y in (-d / 4, d / 5):
            b.cylinder("ring", (x, y, h), (x, y, h + 0.015), 0.09, 0.08, dark, 12)
    if rng.random() < 0.5:
        b.box("panel", (-w / 2, d / 2 - 0.07, h), (w / 2, d / 2, h + 0.16), m)
    b.solid(-w / 2, -d / 2, 0, w / 2, d / 2, h)
    b.surfaces.append(Surface(-w / 2 + 0.1, -d / 2 + 0.1, w / 2 - 0.1, d / 2 - 0.12, h + 0.015, 0.4))
    return b.finish("clutter")


def bathtub(rng: np.random.Generator) -> Shape:
    b = Builder()
    m = colours.ceramic(rng)
    w, d, h = float(rng.uniform(1.4, 1.8)), float(rng.uniform(0.68, 0.82)), float(rng.uniform(0.45, 0.6))
    hx, hy = w / 2, d / 2
    r = 0.07
    t = np.arange(28) * 2 * np.pi / 28
    c, s = np.cos(t), np.sin(t)
    oval = np.stack([np.sign(c) * np.abs(c) ** 0.45, np.sign(s) * np.abs(s) ** 0.45], 1)
    rings = [(1.0, 1.0, h), (0.82, 0.75, h * 0.45), (0.7, 0.6, 0.14), (0.0, 0.0, 0.12)]
    grid = np.concatenate(
        [
            np.concatenate([oval * [(hx - r) * a, (hy - r) * e], np.full((28, 1), z)], 1)[None]
            for a, e, z in rings
        ]
    )
    b.mesh("tub", grid.reshape(-1, 3), grid_faces(len(rings), 28, wrap=True), m)
    square = np.stack([np.clip(oval[:, 0] * 1.6, -1, 1) * hx, np.clip(oval[:, 1] * 1.6, -1, 1) * hy], 1)
    inner = oval * [hx - r, hy - r]
    rim = np.concatenate(
        [
            np.concatenate([square, np.full((28, 1), 0.0)], 1),
            np.concatenate([square, np.full((28, 1), h)], 1),
            np.concatenate([inner, np.full((28, 1), h)], 1),
        ]
    )
    b.mesh("apron", rim, grid_faces(3, 28, wrap=True), m)
    b.tube(
        "tap",
        np.array([[hx - 0.05, 0, h], [hx - 0.05, 0, h + 0.15], [hx - 0.2, 0, h + 0.13]]),
        0.018,
        colours.metal(rng),
    )
    b.solid(-hx, -hy, 0, hx, hy, h)
    return b.finish("bathtub")


def washer(rng: np.random.Generator) -> Shape:
    """A washing machine or dryer with its round door; clutter to every data set."""
    b = Builder()
    w, d, h = 0.6, float(rng.uniform(0.5, 0.62)), float(rng.uniform(0.83, 0.92))
    m = colours.ceramic(rng) if rng.random() < 0.8 else colours.lacquer(rng)
    b.rounded("body", (-w / 2, -d / 2, 0), (w / 2, d / 2, h), 0.012, m)
    b.cylinder(
        "door",
        (0, -d / 2, h * 0.5),
        (0, -d / 2 - 0.04, h * 0.5),
        0.19,
        0.16,
        Material(color=(0.25, 0.25, 0.27), dropout=0.3),
        16,
    )
    b.box(
        "panel",
        (-w / 2 + 0.02, -d / 2 - 0.01, h - 0.13),
        (w / 2 - 0.02, -d / 2, h - 0.02),
        colours.plastic(rng),
    )
    b.solid(-w / 2, -d / 2, 0, w / 2, d / 2, h)
    b.surfaces.append(Surface(-w / 2 + 0.03, -d / 2 + 0.03, w / 2 - 0.03, d / 2 - 0.03, h, 0.5))
    return b.finish("clutter")

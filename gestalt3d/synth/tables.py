"""Things to work, eat and put things on."""

import numpy as np

from gestalt3d.synth import colours
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.seating import legs
from gestalt3d.synth.shapes import Builder, Shape, Surface


def _rectangle_solids(
    b: Builder, hx: Number, hy: Number, height: Number, under: Number, t: Number = 0.05
) -> None:
    """A top and four corners: chairs may stand between them."""
    b.solid(-hx, -hy, height - under, hx, hy, height)
    for x in (-hx, hx - t):
        for y in (-hy, hy - t):
            b.solid(x, y, 0, x + t, y + t, height - under)


def _oval(hx: Number, hy: Number, power: Number, sides: int = 24) -> np.ndarray:
    t = np.arange(sides) * 2 * np.pi / sides
    c, s = np.cos(t), np.sin(t)
    return np.stack([hx * np.sign(c) * np.abs(c) ** power, hy * np.sign(s) * np.abs(s) ** power], 1)


def table(
    rng: np.random.Generator,
    *,
    width: Number | None = None,
    depth: Number | None = None,
    height: Number | None = None,
    kind: str = "table",
) -> Shape:
    """Rectangular, round, oval or boat-shaped; on legs, a column, two trestles or panels."""
    b = Builder()
    h = height if height is not None else float(rng.uniform(0.7, 0.78))
    w = width if width is not None else float(rng.uniform(0.7, 2.0))
    d = depth if depth is not None else float(min(w, rng.uniform(0.6, 1.05)))
    t = float(rng.uniform(0.015, 0.06))
    top, frame = colours.hard(rng), colours.hard(rng) if rng.random() < 0.5 else colours.metal(rng)
    if rng.random() < 0.08:
        top = Material(color=(0.5, 0.58, 0.56), dropout=float(rng.uniform(0.2, 0.6)))
    round_ = (width is None and rng.random() < 0.3) or (w < 1.3 and d > 0.8 * w and rng.random() < 0.5)
    if round_:
        w = min(w, 1.6)
        d = w if rng.random() < 0.7 else min(d, w)
    hx, hy = w / 2, d / 2
    power = 1.0 if round_ else float(rng.choice((0.15, 0.4))) if rng.random() < 0.15 else 0.0
    if power:
        b.prism("top", _oval(hx, hy, power), h - t, h, top)
    elif rng.random() < 0.3:
        b.rounded("top", (-hx, -hy, h - t), (hx, hy, h), t / 2, top)
    else:
        b.box("top", (-hx, -hy, h - t), (hx, hy, h), top)
    inset = 0.6 if power == 1.0 else float(rng.uniform(0.9, 1))
    u = rng.random()
    if (round_ and u < 0.65) or (w > 1.6 and u < 0.25):
        spots = (0.0,) if w < 1.5 or round_ else (-w * 0.28, w * 0.28)
        for x in spots:
            r = float(rng.uniform(0.03, 0.09))
            b.cylinder("column", (x, 0, 0.02), (x, 0, h - t), r, r, frame)
            reach = min(hy, hx) * 0.75
            if rng.random() < 0.5:
                b.cylinder("foot", (x, 0, 0), (x, 0, 0.04), reach * 0.8, reach * 0.6, frame, 16)
            else:
                for a in np.arange(4) * np.pi / 2 + float(rng.uniform(0, 1)):
                    tip = (x + reach * float(np.cos(a)), reach * float(np.sin(a)), 0.025)
                    b.cylinder("foot", tip, (x, 0, 0.09), 0.02, 0.03, frame, 6)
            b.solid(x - r, -r, 0, x + r, r, h - 0.1)
        b.solid(
            -hx * (0.75 if round_ else 1),
            -hy * (0.75 if round_ else 1),
            h - 0.1,
            hx * (0.75 if round_ else 1),
            hy * (0.75 if round_ else 1),
            h,
        )
    else:
        legs(
            b, rng, hx * inset - 0.01, hy * inset - 0.01, h - t, frame, thick=float(rng.uniform(0.018, 0.045))
        )
        if rng.random() < 0.4:
            a = float(rng.uniform(0.05, 0.1))
            for y in (-hy * inset + 0.03, hy * inset - 0.05):
                b.box(
                    "apron", (-hx * inset + 0.03, y, h - t - a), (hx * inset - 0.03, y + 0.02, h - t), frame
                )
        if power == 1.0:
            b.solid(-hx * 0.75, -hy * 0.75, h - 0.12, hx * 0.75, hy * 0.75, h)
        else:
            _rectangle_solids(b, hx, hy, h, 0.12)
    k = 0.68 if power == 1.0 else 0.96
    b.surfaces.append(Surface(-hx * k, -hy * k, hx * k, hy * k, h))
    return b.finish(kind)


def coffee_table(rng: np.random.Generator) -> Shape:
    if rng.random() < 0.2:
        b = Builder()
        w, d, h = float(rng.uniform(0.5, 1.2)), float(rng.uniform(0.45, 0.7)), float(rng.uniform(0.3, 0.48))
        m = colours.hard(rng) if rng.random() < 0.6 else colours.fabric_or_leather(rng)
        b.rounded("body", (-w / 2, -d / 2, 0), (w / 2, d / 2, h), float(rng.uniform(0.005, 0.06)), m)
        b.surfaces.append(Surface(-w / 2 + 0.04, -d / 2 + 0.04, w / 2 - 0.04, d / 2 - 0.04, h))
        return b.finish("coffee_table")
    w = float(rng.uniform(0.5, 1.3))
    shape = table(
        rng,
        width=w,
        depth=float(min(w, rng.uniform(0.45, 0.8))),
        height=float(rng.uniform(0.32, 0.52)),
        kind="coffee_table",
    )
    low, high = shape.low, shape.high
    return Shape(shape.kind, shape.parts, np.concatenate([low, high])[None], shape.surfaces)


def _drawers(
    b: Builder,
    rng: np.random.Generator,
    x0: Number,
    x1: Number,
    y0: Number,
    y1: Number,
    z0: Number,
    z1: Number,
    material: Material,
    rows: int,
) -> None:
    """A closed body with `rows` fronts that stand a little proud, and handles."""
    b.box("body", (x0, y0 + 0.015, z0), (x1, y1, z1), material)
    fronts = material if rng.random() < 0.7 else colours.hard(rng)
    handle = colours.metal(rng)
    step = (z1 - z0) / rows
    for k in range(rows):
        z = z0 + k * step
        b.box("drawer", (x0 + 0.006, y0, z + 0.006), (x1 - 0.006, y0 + 0.02, z + step - 0.006), fronts)
        m = (x0 + x1) / 2
        b.box(
            "handle", (m - 0.05, y0 - 0.025, z + step * 0.7), (m + 0.05, y0, z + step * 0.7 + 0.015), handle
        )


def desk(rng: np.random.Generator) -> Shape:
    """Legs or drawers below, sometimes a hutch, a screen at the back or an L."""
    b = Builder()
    w, d, h = float(rng.uniform(1.0, 1.8)), float(rng.uniform(0.55, 0.85)), float(rng.uniform(0.7, 0.78))
    t = float(rng.uniform(0.018, 0.04))
    top, frame = colours.hard(rng), colours.hard(rng) if rng.random() < 0.6 else colours.metal(rng)
    hx, hy = w / 2, d / 2
    b.box("top", (-hx, -hy, h - t), (hx, hy, h), top)
    left, right = -hx, hx
    u = rng.random()
    if u < 0.55:
        pw = float(rng.uniform(0.36, 0.48))
        _drawers(
            b,
            rng,
            hx - pw,
            hx - 0.01,
            -hy + 0.03,
            hy - 0.05,
            0.0 if rng.random() < 0.5 else 0.06,
            h - t,
            frame,
            int(rng.integers(2, 5)),
        )
        b.solid(hx - pw, -hy, 0, hx, hy, h)
        right = hx - pw
        if u < 0.15:
            _drawers(b, rng, -hx + 0.01, -hx + pw, -hy + 0.03, hy - 0.05, 0.05, h - t, frame, 3)
            b.solid(-hx, -hy, 0, -hx + pw, hy, h)
            left = -hx + pw
    if left == -hx:
        if right == hx:
            legs(b, rng, hx - 0.02, hy - 0.02, h - t, frame, thick=float(rng.uniform(0.02, 0.04)))
        else:
            b.box("panel", (-hx, -hy + 0.02, 0), (-hx + 0.03, hy - 0.02, h - t), frame)
    if rng.random() < 0.55:
        b.box(
            "modesty panel",
            (-hx + 0.03, hy - 0.05, float(rng.uniform(0.1, 0.4))),
            (hx - 0.03, hy - 0.03, h - t),
            frame,
        )
        b.solid(-hx, hy - 0.06, 0.1, hx, hy, h)
    b.solid(-hx, -hy, h - 0.08, hx, hy, h)
    for x in (-hx, hx - 0.06):
        b.solid(x, -hy, 0, x + 0.06, hy, h - 0.08)
    back = hy
    v = rng.random()
    if v < 0.14:
        z = h + float(rng.uniform(0.25, 0.55))
        depth = float(rng.uniform(0.2, 0.32))
        for x in (-hx, hx - 0.02):
            b.box("hutch side", (x, hy - depth, h), (x + 0.02, hy, z + 0.3), frame)
        for zz in (z, z + 0.28):
            b.box("hutch shelf", (-hx, hy - depth, zz), (hx, hy, zz + 0.02), frame)
        b.box("hutch back", (-hx, hy - 0.015, h), (hx, hy, z + 0.3), frame)
        b.solid(-hx, hy - depth, z, hx, hy, z + 0.3)
        b.surfaces.append(Surface(-hx + 0.04, hy - depth, hx - 0.04, hy - 0.02, z + 0.02, 0.25))
        b.surfaces.append(Surface(-hx + 0.04, hy - depth, hx - 0.04, hy - 0.02, z + 0.3, 0.6))
    elif v < 0.3:
        z = h + float(rng.uniform(0.3, 0.6))
        b.box("screen", (-hx, hy, 0.2), (hx, hy + 0.03, z), colours.cloth(rng))
        b.solid(-hx, hy, 0.2, hx, hy + 0.03, z)
    if rng.random() < 0.22:
        reach, lw = float(rng.uniform(0.5, 1.0)), float(rng.uniform(0.45, 0.6))
        b.box("return", (-hx, -hy - reach, h - t), (-hx + lw, -hy, h), top)
        b.box("panel", (-hx + 0.02, -hy - reach, 0), (-hx + lw - 0.02, -hy - reach + 0.03, h - t), frame)
        b.solid(-hx, -hy - reach, h - 0.08, -hx + lw, -hy, h)
        b.solid(-hx, -hy - reach, 0, -hx + lw, -hy - reach + 0.06, h - 0.08)
        b.surfaces.append(Surface(-hx + 0.03, -hy - reach + 0.03, -hx + lw - 0.03, -hy, h))
    b.surfaces.insert(0, Surface(-hx + 0.03, -hy + 0.03, hx - 0.03, back - 0.03, h))
    return b.finish("desk")


def counter(
    rng: np.random.Generator,
    width: Number,
    body: Material,
    top: Material,
    *,
    depth: Number = 0.6,
    height: Number = 0.9,
) -> Shape:
    """A kitchen's base cabinets under one worktop; the doors of one kitchen share `body`."""
    b = Builder()
    hx, hy = width / 2, depth / 2
    t = float(rng.uniform(0.02, 0.05))
    b.box("plinth", (-hx, -hy + 0.09, 0), (hx, hy, 0.1), Material(color=(0.15, 0.14, 0.13)))
    b.box("body", (-hx, -hy + 0.04, 0.1), (hx, hy, height - t), body)
    doors = max(1, round(width / 0.55))
    step = width / doors
    handle = colours.metal(rng)
    for k in range(doors):
        x0 = -hx + k * step + 0.005
        x1 = x0 + step - 0.01
        if rng.random() < 0.3:
            for z in np.linspace(0.1, height - t, 4)[:-1]:
                b.box(
                    "drawer",
                    (x0, -hy + 0.02, z + 0.005),
                    (x1, -hy + 0.045, z + (height - t - 0.1) / 3 - 0.005),
                    body,
                )
        else:
            b.box("door", (x0, -hy + 0.02, 0.105), (x1, -hy + 0.045, height - t - 0.01), body)
            b.box("handle", (x1 - 0.05, -hy, 0.55), (x1 - 0.035, -hy + 0.02, 0.72), handle)
    b.box("worktop", (-hx, -hy, height - t), (hx, hy, height), top)
    if rng.random() < 0.4:
        b.box("upstand", (-hx, hy - 0.02, height), (hx, hy, height + 0.08), top)
    b.surfaces.append(Surface(-hx + 0.04, -hy + 0.05, hx - 0.04, hy - 0.04, height, 0.5))
    b.solid(-hx, -hy, 0, hx, hy, height)
    return b.finish("counter")

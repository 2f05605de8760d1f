"""Things to sit on."""

import numpy as np

from gestalt3d.synth import colours
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.shapes import Builder, Shape, Surface, mirrored


def legs(
    b: Builder,
    rng: np.random.Generator,
    hx: Number,
    hy: Number,
    height: Number,
    material: Material,
    *,
    thick: Number | None = None,
    style: int | None = None,
) -> None:
    """Legs under a slab of half sizes hx, hy: posts, splayed posts, bars, skids or panels."""
    t = thick if thick is not None else float(rng.uniform(0.012, 0.035))
    style = int(rng.integers(5)) if style is None else style
    x, y = hx - t, hy - t
    corners = ((-x, -y), (x, -y), (-x, y), (x, y))
    if style == 0:
        for cx, cy in corners:
            b.box("leg", (cx - t, cy - t, 0), (cx + t, cy + t, height), material)
    elif style == 1:
        splay = float(rng.uniform(0.0, 0.05))
        for cx, cy in corners:
            out = (cx + splay * np.sign(cx), cy + splay * np.sign(cy), 0.0)
            b.cylinder("leg", out, (cx * 0.9, cy * 0.9, height), t * 0.7, t, material, 8)
    elif style == 2:
        for cx, cy in corners:
            b.cylinder("leg", (cx, cy, 0), (cx, cy, height), t * 0.6, t * 0.6, material, 8)
        low = height * float(rng.uniform(0.15, 0.5))
        b.box("bar", (-x, -y - t / 2, low), (x, -y + t / 2, low + t), material)
        b.box("bar", (-x, y - t / 2, low), (x, y + t / 2, low + t), material)
    elif style == 3:
        for cx in (-x, x):
            for cy in (-y, y):
                b.box("leg", (cx - t / 2, cy - t / 2, 0), (cx + t / 2, cy + t / 2, height), material)
            b.box("skid", (cx - t / 2, -y, 0), (cx + t / 2, y, t), material)
    else:
        for cx in (-x, x):
            b.box("panel", (cx - t / 2, -y, 0), (cx + t / 2, y, height), material)


def _back(
    b: Builder,
    rng: np.random.Generator,
    w: Number,
    y: Number,
    z0: Number,
    z1: Number,
    frame: Material,
    cover: Material,
    tilt: Number,
) -> None:
    """A backrest: plate, cushion, slats, ladder or hoop, leaning backwards by `tilt` metres at the top."""
    first = len(b.parts)
    style = int(rng.integers(5))
    t = float(rng.uniform(0.012, 0.03))
    h = w / 2
    start = z0 + float(rng.uniform(0.0, 0.4)) * (z1 - z0)
    if style == 0:
        b.rounded("back", (-h, y - t, start), (h, y + t, z1), 0.04, cover)
    elif style == 1:
        b.rounded("back", (-h, y - t - 0.02, start), (h, y + t, z1), 0.03, cover, puff=0.02)
    elif style == 2:
        for x in np.linspace(-h + 0.02, h - 0.02, int(rng.integers(3, 8))):
            b.box("slat", (x - 0.012, y - 0.01, z0), (x + 0.012, y + 0.01, z1), frame)
        b.box("rail", (-h, y - 0.015, z1 - 0.06), (h, y + 0.015, z1), frame)
    elif style == 3:
        for z in np.linspace(start + 0.05, z1 - 0.04, int(rng.integers(2, 5))):
            b.box("rung", (-h, y - 0.01, z - 0.025), (h, y + 0.01, z + 0.025), frame)
    else:
        a = np.linspace(0, np.pi, 9)
        path = np.stack([-h * np.cos(a), np.full(9, y), z0 + (z1 - z0) * np.sin(a)], 1)
        b.tube("hoop", path, 0.014, frame)
        b.rounded("back", (-h * 0.7, y - t, start), (h * 0.7, y + t, z0 + 0.8 * (z1 - z0)), 0.03, cover)
    if style in (0, 1, 3) and (style == 3 or start > z0 + 0.02):
        for x in (-h + 0.015, h - 0.015):
            b.box("post", (x - 0.014, y - 0.012, z0), (x + 0.014, y + 0.012, z1 - 0.01), frame)
    curve = float(rng.uniform(0, 0.05)) if style < 2 else 0.0
    for part in b.parts[first:]:
        v = part.vertices
        v[:, 1] += tilt * np.clip((v[:, 2] - z0) / (z1 - z0), 0, 1) - curve * (v[:, 0] / h) ** 2


def _arms(
    b: Builder, rng: np.random.Generator, hx: Number, hy: Number, seat: Number, material: Material
) -> None:
    z = seat + float(rng.uniform(0.17, 0.26))
    t = float(rng.uniform(0.015, 0.03))
    for x in (-hx, hx):
        b.rounded("armrest", (x - t * 1.4, -hy * 0.7, z - 0.03), (x + t * 1.4, hy * 0.85, z), 0.012, material)
        b.box("arm post", (x - t / 2, -hy * 0.55, seat - 0.02), (x + t / 2, -hy * 0.4, z - 0.02), material)
        if rng.random() < 0.5:
            b.box("arm post", (x - t / 2, hy * 0.6, seat - 0.02), (x + t / 2, hy * 0.75, z - 0.02), material)


def chair(rng: np.random.Generator) -> Shape:
    b = Builder()
    w, d, seat = rng.uniform(0.38, 0.52), rng.uniform(0.38, 0.5), rng.uniform(0.41, 0.49)
    top = seat + rng.uniform(0.3, 0.62)
    frame = colours.wood(rng) if rng.random() < 0.5 else colours.metal(rng)
    cover = (
        frame
        if rng.random() < 0.3
        else (colours.fabric_or_leather(rng) if rng.random() < 0.6 else colours.plastic(rng))
    )
    hx, hy = float(w / 2), float(d / 2)
    thick = float(rng.uniform(0.015, 0.08))
    tilt = float(rng.uniform(0.0, 0.12))
    if rng.random() < 0.22:
        # A moulded shell: seat and back are one bent sheet.
        u = np.linspace(0, 1, 12)
        y = np.where(u < 0.55, -hy + u / 0.55 * 2 * hy * 0.95, hy * 0.95 + (u - 0.55) * 0.25)
        z = np.where(
            u < 0.5, seat - 0.02 * np.sin(u * 6), seat + (np.maximum(u - 0.5, 0) / 0.5) ** 1.3 * (top - seat)
        )
        x = np.linspace(-1, 1, 9)
        width = hx * (0.85 + 0.15 * np.sin(np.pi * u))
        grid = np.stack(
            [
                x[None] * width[:, None],
                y[:, None] - 0.05 * x[None] ** 2 * u[:, None],
                z[:, None] + 0.05 * x[None] ** 2 * (1 - u[:, None]),
            ],
            -1,
        )
        b.sheet("shell", grid, cover)
        tilt = 0.1
    else:
        if rng.random() < 0.5:
            b.rounded(
                "seat",
                (-hx, -hy, seat - thick),
                (hx, hy, seat),
                thick * 0.6,
                cover,
                puff=float(rng.uniform(0, 0.02)),
            )
        else:
            b.box("seat", (-hx, -hy, seat - 0.025), (hx, hy, seat), cover)
        _back(
            b,
            rng,
            2 * hx * float(rng.uniform(0.8, 1)),
            hy - 0.02,
            float(seat),
            float(top),
            frame,
            cover,
            tilt,
        )
    legs(
        b,
        rng,
        hx * 0.95,
        hy * 0.95,
        float(seat) - min(thick, 0.02),
        frame,
        thick=float(rng.uniform(0.01, 0.02)),
        style=int(rng.integers(4)),
    )
    if rng.random() < 0.3:
        _arms(b, rng, hx, hy, float(seat), frame)
        hx += 0.03
    b.solid(-hx, -hy, 0, hx, hy, float(seat))
    b.solid(-hx, hy - 0.05, float(seat), hx, hy + tilt, float(top))
    b.surfaces.append(_seat(hx, hy, float(seat)))
    return b.finish("chair")


def _seat(hx: Number, hy: Number, z: Number) -> Surface:
    return Surface(-hx * 0.8, -hy * 0.8, hx * 0.8, hy * 0.6, z, 0.5)


def office_chair(rng: np.random.Generator) -> Shape:
    b = Builder()
    w, d, seat = rng.uniform(0.44, 0.54), rng.uniform(0.42, 0.52), rng.uniform(0.42, 0.55)
    top = float(seat + rng.uniform(0.38, 0.75))
    hx, hy, seat = float(w / 2), float(d / 2), float(seat)
    frame = colours.plastic(rng) if rng.random() < 0.7 else colours.metal(rng)
    dark = Material(color=(0.08, 0.08, 0.09), dropout=0.1)
    frame = dark if rng.random() < 0.5 else frame
    u = rng.random()
    cover = colours.leather(rng) if u < 0.25 else colours.cloth(rng) if u < 0.65 else dark
    b.rounded("seat", (-hx, -hy, seat - 0.09), (hx, hy, seat), 0.05, cover, puff=float(rng.uniform(0, 0.03)))
    b.cylinder("gas spring", (0, 0, 0.08), (0, 0, seat - 0.08), 0.03, 0.025, frame, 8)
    turn = float(rng.uniform(0, 6.28))
    reach = float(rng.uniform(0.26, 0.35))
    for k in range(5):
        a = turn + k * 2 * np.pi / 5
        tip = (reach * float(np.cos(a)), reach * float(np.sin(a)))
        b.cylinder("star leg", (tip[0], tip[1], 0.07), (0, 0, 0.11), 0.018, 0.03, frame, 6)
        b.blob("castor", (tip[0], tip[1], 0.03), (0.028, 0.028, 0.03), rng, dark, bumps=0, rings=5, sides=6)
    first = len(b.parts)
    start = seat + float(rng.uniform(0.02, 0.15))
    bw = hx * float(rng.uniform(0.75, 1.05))
    b.rounded(
        "back",
        (-bw, hy - 0.03, start),
        (bw, hy + 0.04, top),
        float(rng.uniform(0.03, 0.1)),
        cover,
        puff=float(rng.uniform(0, 0.03)),
    )
    if top - seat > 0.6 and rng.random() < 0.4:
        b.rounded("headrest", (-bw * 0.6, hy, top + 0.02), (bw * 0.6, hy + 0.06, top + 0.16), 0.04, cover)
        top += 0.16
    b.box("spine", (-0.035, hy + 0.03, seat - 0.06), (0.035, hy + 0.055, start + 0.15), frame)
    curve, tilt = float(rng.uniform(0.02, 0.09)), float(rng.uniform(0, 0.12))
    for part in b.parts[first:]:
        v = part.vertices
        v[:, 1] += -curve * (v[:, 0] / bw) ** 2 + tilt * np.clip((v[:, 2] - seat) / (top - seat), 0, 1) ** 1.5
    if rng.random() < 0.72:
        _arms(b, rng, hx + 0.02, hy, seat, frame)
        hx += 0.04
    b.solid(-hx, -hy, 0, hx, hy, seat)
    b.solid(-hx, hy - 0.05, seat, hx, hy + tilt + 0.04, top)
    b.surfaces.append(_seat(hx, hy, seat))
    return b.finish("office_chair")


def stool(rng: np.random.Generator) -> Shape:
    b = Builder()
    high = rng.random() < 0.4
    seat = float(rng.uniform(0.6, 0.8) if high else rng.uniform(0.38, 0.5))
    r = float(rng.uniform(0.15, 0.22))
    frame, cover = colours.hard(rng), colours.fabric_or_leather(rng)
    u = rng.random()
    if u < 0.25 and not high:
        b.rounded("pouf", (-r - 0.05, -r - 0.05, 0), (r + 0.05, r + 0.05, seat), 0.08, cover, puff=0.03)
    else:
        if u < 0.7:
            b.cylinder("seat", (0, 0, seat - 0.05), (0, 0, seat), r, r, cover, 16)
        else:
            b.rounded("seat", (-r, -r * 0.8, seat - 0.05), (r, r * 0.8, seat), 0.03, cover)
        if u < 0.45:
            b.cylinder("column", (0, 0, 0.02), (0, 0, seat - 0.03), 0.025, 0.025, frame, 8)
            b.cylinder("foot", (0, 0, 0), (0, 0, 0.025), r * 1.1, r * 0.9, frame, 14)
        else:
            legs(b, rng, r * 0.8, r * 0.8, seat - 0.04, frame, thick=0.016, style=int(rng.integers(1, 3)))
    return b.finish("stool")


def bench(rng: np.random.Generator) -> Shape:
    b = Builder()
    w, d, h = float(rng.uniform(0.9, 1.9)), float(rng.uniform(0.32, 0.48)), float(rng.uniform(0.38, 0.48))
    frame = colours.hard(rng)
    cover = colours.fabric_or_leather(rng) if rng.random() < 0.4 else frame
    b.rounded("seat", (-w / 2, -d / 2, h - 0.06), (w / 2, d / 2, h), 0.02, cover)
    legs(b, rng, w / 2 - 0.06, d / 2 - 0.02, h - 0.05, frame)
    if rng.random() < 0.3:
        _back(b, rng, w * 0.95, d / 2 - 0.03, h, h + 0.4, frame, cover, 0.06)
    return b.finish("bench")


def _couch(
    b: Builder,
    rng: np.random.Generator,
    w: Number,
    d: Number,
    seat: Number,
    top: Number,
    arm: Number,
    cover: Material,
    seats: int,
    *,
    loose: bool,
) -> None:
    foot = float(rng.uniform(0.0, 0.12))
    arm_top = min(top, seat + float(rng.uniform(0.08, 0.28)))
    soft = float(rng.uniform(0.02, 0.1))
    back = float(rng.uniform(0.12, 0.26))
    if foot > 0.03:
        for x in (-w / 2 + 0.06, w / 2 - 0.06):
            for y in (-d / 2 + 0.06, d / 2 - 0.06):
                b.cylinder("foot", (x, y, 0), (x, y, foot + 0.02), 0.02, 0.03, colours.wood(rng), 6)
    else:
        foot = 0.0
    base = seat - float(rng.uniform(0.1, 0.18))
    b.rounded("base", (-w / 2 + 0.02, -d / 2 + 0.02, foot), (w / 2 - 0.02, d / 2, base), 0.02, cover)
    b.rounded("back", (-w / 2 + 0.01, d / 2 - back, foot), (w / 2 - 0.01, d / 2, top), soft, cover, puff=0.01)
    if arm > 0.02:
        for x in (-w / 2, w / 2 - arm):
            b.rounded(
                "arm",
                (x, -d / 2, foot),
                (x + arm, d / 2 - 0.02, arm_top),
                min(soft, arm / 2),
                cover,
                puff=0.01,
            )
    inner = w - 2 * arm
    each = inner / seats
    puff = float(rng.uniform(0.01, 0.04))
    for k in range(seats):
        x = -inner / 2 + k * each
        b.rounded(
            "seat cushion",
            (x + 0.005, -d / 2 + 0.01, base - 0.01),
            (x + each - 0.005, d / 2 - back + 0.02, seat),
            0.05,
            cover,
            puff=puff,
        )
        if loose:
            v = b.rounded(
                "back cushion",
                (x + 0.01, d / 2 - back - 0.15, seat - 0.02),
                (x + each - 0.01, d / 2 - back + 0.03, top + float(rng.uniform(-0.03, 0.08))),
                0.06,
                cover,
                puff=puff + 0.02,
            )
            v[:, 1] += 0.1 * (v[:, 2] - seat)


def sofa(rng: np.random.Generator) -> Shape:
    b = Builder()
    seats = int(rng.choice((2, 3, 3, 4)))
    cover = colours.fabric_or_leather(rng)
    arm = float(rng.uniform(0.08, 0.28)) if rng.random() < 0.88 else 0.0
    w = float(seats * rng.uniform(0.52, 0.75) + 2 * arm)
    d = float(rng.uniform(0.78, 1.05))
    seat = float(rng.uniform(0.38, 0.48))
    top = float(seat + rng.uniform(0.28, 0.5))
    _couch(b, rng, w, d, seat, top, arm, cover, seats, loose=rng.random() < 0.65)
    b.solid(-w / 2, -d / 2, 0, w / 2, d / 2 - 0.25, seat)
    b.solid(-w / 2, d / 2 - 0.25, 0, w / 2, d / 2, top)
    b.surfaces.append(Surface(-w / 2 + arm, -d / 2 + 0.05, w / 2 - arm, d / 2 - 0.32, seat, 0.6))
    if rng.random() < 0.3:
        # The long leg of a corner sofa.
        reach = float(rng.uniform(0.5, 1.1))
        x1 = w / 2
        x0 = x1 - float(rng.uniform(0.7, 0.95))
        b.rounded("chaise base", (x0, -d / 2 - reach, 0.03), (x1, -d / 2 + 0.02, seat - 0.12), 0.02, cover)
        b.rounded(
            "chaise cushion",
            (x0, -d / 2 - reach, seat - 0.13),
            (x1, -d / 2 + 0.02, seat),
            0.05,
            cover,
            puff=0.02,
        )
        b.solid(x0, -d / 2 - reach, 0, x1, -d / 2, seat)
        if rng.random() < 0.4:
            b.rounded("back", (x1 - 0.2, -d / 2 - reach, 0.03), (x1, -d / 2 + 0.02, top), 0.05, cover)
            b.solid(x1 - 0.2, -d / 2 - reach, seat, x1, -d / 2, top)
    shape = b.finish("sofa")
    return mirrored(shape) if rng.random() < 0.5 else shape


def armchair(rng: np.random.Generator) -> Shape:
    b = Builder()
    cover = colours.fabric_or_leather(rng)
    arm = float(rng.uniform(0.06, 0.22))
    w = float(rng.uniform(0.5, 0.65) + 2 * arm)
    d = float(rng.uniform(0.68, 0.95))
    seat = float(rng.uniform(0.38, 0.47))
    top = float(seat + rng.uniform(0.3, 0.65))
    if rng.random() < 0.2:
        r = w / 2
        a = np.linspace(-0.25 * np.pi, 1.25 * np.pi, 18)
        outer = np.stack([r * np.cos(a), r * np.sin(a)], 1)
        z = np.linspace(0.05, 1, 5)
        rise = 0.62 + 0.38 * np.clip(np.sin(a), 0, 1)
        wall = np.concatenate(
            [outer[None] * np.ones((5, 1, 1)), (z[:, None] * rise[None] * top)[..., None]], 2
        )
        inner = wall[::-1] * np.array([0.82, 0.82, 1])
        b.sheet("tub", np.concatenate([wall, inner]), cover)
        b.cylinder("seat", (0, 0, 0.08), (0, 0, seat), r * 0.84, r * 0.84, cover, 16)
    else:
        _couch(b, rng, w, d, seat, top, arm, cover, 1, loose=rng.random() < 0.5)
    b.solid(-w / 2, -d / 2, 0, w / 2, d / 2 - 0.22, seat)
    b.solid(-w / 2, d / 2 - 0.22, 0, w / 2, d / 2, top)
    b.surfaces.append(_seat(w / 2 - arm, d / 2 - 0.1, seat))
    return b.finish("armchair")

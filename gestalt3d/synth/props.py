"""Small and movable things: what stands on tables and shelves, and what lies about."""

import numpy as np

from gestalt3d.synth import colours
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.shapes import Builder, Shape, Surface, turned

Size = tuple[Number, Number, Number]


def box(rng: np.random.Generator, size: Size | None = None) -> Shape:
    """Of cardboard or wrapped; closed, or open with flaps."""
    b = Builder()
    w, d, h = size or (
        float(rng.uniform(0.2, 0.6)),
        float(rng.uniform(0.18, 0.5)),
        float(rng.uniform(0.12, 0.5)),
    )
    m = colours.cardboard(rng)
    hx, hy = w / 2, d / 2
    if rng.random() < 0.75 or h < 0.12:
        b.box("body", (-hx, -hy, 0), (hx, hy, h), m)
        if rng.random() < 0.4:
            b.box(
                "tape",
                (-hx - 0.001, -0.025, h * 0.8),
                (hx + 0.001, 0.025, h + 0.001),
                Material(color=(0.6, 0.5, 0.35)),
            )
    else:
        t = 0.006
        b.box("bottom", (-hx, -hy, 0), (hx, hy, 0.01), m)
        for x in (-hx, hx - t):
            b.box("side", (x, -hy, 0), (x + t, hy, h), m)
        for y in (-hy, hy - t):
            b.box("side", (-hx, y, 0), (hx, y + t, h), m)
        fill = h * float(rng.uniform(0.2, 0.9))
        b.blob(
            "content",
            (0, 0, fill * 0.6),
            (hx * 0.9, hy * 0.9, fill * 0.4),
            rng,
            colours.anything(rng),
            power=0.5,
        )
        if rng.random() < 0.6:
            lean = float(rng.uniform(-0.6, 0.8))
            reach = min(hy, 0.15)
            for sign in (-1, 1):
                y = sign * hy
                out = y + sign * reach * np.cos(lean)
                grid = np.array(
                    [
                        [[-hx, y, h], [hx, y, h]],
                        [[-hx, out, h + reach * np.sin(lean)], [hx, out, h + reach * np.sin(lean)]],
                    ]
                )
                b.sheet("flap", grid, m)
    b.solid(-hx, -hy, 0, hx, hy, h)
    b.surfaces.append(Surface(-hx, -hy, hx, hy, h, 0.6))
    return b.finish("box")


def crate(rng: np.random.Generator, size: Size | None = None) -> Shape:
    """A plastic bin or basket with a rim, labelled as a box."""
    b = Builder()
    w, d, h = size or (
        float(rng.uniform(0.25, 0.6)),
        float(rng.uniform(0.2, 0.45)),
        float(rng.uniform(0.12, 0.4)),
    )
    m = colours.plastic(rng)
    hx, hy = w / 2, d / 2
    v = b.rounded("body", (-hx * 0.96, -hy * 0.96, 0), (hx * 0.96, hy * 0.96, h * 0.97), 0.02, m)
    v[:, :2] *= 0.88 + 0.12 * v[:, 2:] / h
    b.rounded(
        "rim", (-hx, -hy, h * 0.9), (hx, hy, h), 0.012, m if rng.random() < 0.5 else colours.plastic(rng)
    )
    b.solid(-hx, -hy, 0, hx, hy, h)
    b.surfaces.append(Surface(-hx, -hy, hx, hy, h, 0.6))
    return b.finish("box")


def books(rng: np.random.Generator) -> Shape:
    """A pile, a few standing ones, an open one or a sheaf of paper."""
    b = Builder()
    u = rng.random()
    if u < 0.55:
        z = 0.0
        for _ in range(int(rng.integers(1, 9))):
            w, d, t = rng.uniform(0.15, 0.32), rng.uniform(0.12, 0.24), rng.uniform(0.01, 0.05)
            v = b.box("book", (-w / 2, -d / 2, z), (w / 2, d / 2, z + t), colours.book_cover(rng))
            a = rng.normal(0, 0.2)
            v[:, :2] = v[:, :2] @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + rng.normal(
                0, 0.01, 2
            )
            z += t
    elif u < 0.85:
        n = int(rng.integers(3, 14))
        t = rng.uniform(0.015, 0.05, n)
        x = np.cumsum(t) - t.sum() / 2
        h, d = rng.uniform(0.18, 0.32, n), rng.uniform(0.14, 0.24, n)
        low = np.stack([x - t + 0.001, -d / 2, np.zeros(n)], 1)
        b.boxes("book", low, np.stack([x - 0.001, d / 2, h], 1), [colours.book_cover(rng) for _ in range(n)])
    else:
        w, d = float(rng.uniform(0.25, 0.45)), float(rng.uniform(0.18, 0.3))
        x = np.linspace(-w / 2, w / 2, 13)
        z = 0.01 + 0.03 * np.abs(np.sin(np.pi * x / w * 2))
        grid = np.stack(
            [
                np.broadcast_to(x, (2, 13)),
                np.array([[-d / 2], [d / 2]]) * np.ones(13),
                np.broadcast_to(z, (2, 13)),
            ],
            -1,
        )
        b.sheet("pages", grid, Material(colours.PRINT, (0.92, 0.9, 0.86), (0.3, 0.3, 0.3), 0.012, 0.7))
    return b.finish("book")


def papers(rng: np.random.Generator) -> Shape:
    b = Builder()
    for _ in range(int(rng.integers(1, 6))):
        w, d, h = rng.uniform(0.15, 0.3), rng.uniform(0.2, 0.32), rng.uniform(0.004, 0.05)
        v = b.box(
            "paper",
            (-w / 2, -d / 2, 0),
            (w / 2, d / 2, h),
            Material(colours.PRINT, (0.93, 0.93, 0.92), colours.any_color(rng), 0.02, 0.5),
        )
        a = rng.uniform(0, 3.14)
        v[:, :2] = v[:, :2] @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + rng.normal(
            0, 0.08, 2
        )
    return b.finish("clutter")


def monitor(rng: np.random.Generator, width: Number | None = None) -> Shape:
    """A flat screen on a foot, or two; a laptop; an old tube."""
    b = Builder()
    w = width or float(rng.uniform(0.38, 0.7))
    h = w * float(rng.uniform(0.52, 0.7))
    case = colours.plastic(rng) if rng.random() < 0.4 else Material(color=(0.07, 0.07, 0.08), dropout=0.15)
    face = colours.screen(rng)
    u = rng.random() if width is None else 0.0
    if u < 0.72:
        z = float(rng.uniform(0.06, 0.16))
        t = float(rng.uniform(0.02, 0.06))
        for k in range(1 if w > 0.6 or rng.random() < 0.85 else 2):
            x0 = -w / 2 + k * (w + 0.01)
            b.box("case", (x0, 0, z), (x0 + w, t, z + h), case)
            b.box("screen", (x0 + 0.012, -0.004, z + 0.015), (x0 + w - 0.012, 0.001, z + h - 0.012), face)
        b.box("neck", (-0.03, 0.02, 0.01), (0.03, 0.05, z + h * 0.4), case)
        if rng.random() < 0.5:
            b.cylinder("foot", (0, 0.02, 0), (0, 0.02, 0.015), 0.12, 0.11, case, 14)
        else:
            b.box("foot", (-w * 0.22, -0.08, 0), (w * 0.22, 0.11, 0.015), case)
    elif u < 0.93:
        w, d = float(rng.uniform(0.28, 0.38)), float(rng.uniform(0.2, 0.26))
        b.box("keyboard", (-w / 2, -d, 0), (w / 2, 0, 0.018), case)
        lean = float(rng.uniform(0.02, 0.12))
        v = b.box("lid", (-w / 2, -0.008, 0.015), (w / 2, 0.002, 0.015 + d), case)
        v[:, 1] += (v[:, 2] - 0.015) / d * lean
        v = b.box("screen", (-w / 2 + 0.01, -0.012, 0.03), (w / 2 - 0.01, -0.006, d), face)
        v[:, 1] += (v[:, 2] - 0.015) / d * lean
    else:
        w, h = w * 0.8, w * 0.75
        b.box("case", (-w / 2, 0, 0.03), (w / 2, 0.12, 0.03 + h), case)
        v = b.box("tube", (-w / 2, 0.12, 0.03), (w / 2, 0.4, 0.03 + h), case)
        far = v[:, 1] > 0.2
        v[far, 0] *= 0.55
        v[far, 2] = (v[far, 2] - h / 2) * 0.6 + h / 2
        b.box("screen", (-w / 2 + 0.03, -0.008, 0.06), (w / 2 - 0.03, 0.002, h), face)
        b.box("foot", (-0.12, 0.02, 0), (0.12, 0.25, 0.03), case)
    return b.finish("monitor")


def wall_screen(rng: np.random.Generator) -> Shape:
    b = Builder()
    w = float(rng.uniform(0.7, 1.5))
    h = w * 0.57
    b.box(
        "case",
        (-w / 2, -float(rng.uniform(0.04, 0.1)), 0),
        (w / 2, 0, h),
        Material(color=(0.06, 0.06, 0.07), dropout=0.2),
    )
    b.box("screen", (-w / 2 + 0.02, -0.102, 0.02), (w / 2 - 0.02, -0.1, h - 0.02), colours.screen(rng))
    return b.finish("monitor")


def keyboard(rng: np.random.Generator) -> Shape:
    b = Builder()
    m = colours.plastic(rng)
    w = float(rng.uniform(0.3, 0.46))
    b.box("keyboard", (-w / 2, -0.075, 0), (w / 2, 0.075, 0.025), m)
    b.blob("mouse", (w / 2 + 0.1, 0, 0.018), (0.03, 0.055, 0.018), rng, m, bumps=0, rings=5, sides=8)
    return b.finish("clutter")


def table_lamp(rng: np.random.Generator) -> Shape:
    b = Builder()
    shade = Material(
        color=(0.9, 0.85, 0.72) if rng.random() < 0.6 else colours.any_color(rng),
        emission=float(rng.choice((0.0, 0.5))),
    )
    h = float(rng.uniform(0.28, 0.6))
    r = float(rng.uniform(0.08, 0.18))
    base = colours.ceramic(rng) if rng.random() < 0.5 else colours.anything(rng)
    if rng.random() < 0.75:
        swell = float(rng.uniform(0.03, 0.09))
        b.lathe(
            "base",
            [
                (0.0, 0.0),
                (r * 0.6, 0.0),
                (r * 0.6, 0.02),
                (0.015, 0.04),
                (swell, h * 0.3),
                (0.012, h * 0.6),
                (0.0, h * 0.62),
            ],
            base,
            sides=12,
        )
        b.lathe(
            "shade",
            [(0.0, h * 0.55), (r, h * 0.55), (r * float(rng.uniform(0.5, 1)), h), (0.0, h)],
            shade,
            sides=14,
        )
    else:
        b.cylinder("foot", (0, 0, 0), (0, 0, 0.02), 0.08, 0.07, base)
        path = np.array([[0, 0, 0.02], [0.02, 0, h * 0.6], [0.14, 0, h], [0.22, 0, h * 0.92]])
        b.tube("arm", path, 0.009, base)
        b.cylinder("shade", (0.25, 0, h * 0.8), (0.2, 0, h * 0.95), 0.07, 0.03, shade)
    return b.finish("lamp")


def floor_lamp(rng: np.random.Generator) -> Shape:
    b = Builder()
    h = float(rng.uniform(1.3, 1.9))
    m = colours.metal(rng)
    shade = Material(
        color=(0.92, 0.88, 0.78) if rng.random() < 0.6 else colours.any_color(rng),
        emission=float(rng.choice((0.0, 0.6))),
    )
    r = float(rng.uniform(0.12, 0.24))
    b.cylinder("foot", (0, 0, 0), (0, 0, 0.025), r * 0.9, r * 0.8, m, 14)
    bend = 0.0
    if rng.random() < 0.25:
        bend = float(rng.uniform(0.2, 0.5))
        t = np.linspace(0, 1, 8)[:, None]
        path = np.concatenate([bend * t**3, 0 * t, 0.02 + (h - 0.1) * np.sin(t * 1.57)], 1)
        b.tube("pole", path, 0.014, m)
    else:
        b.cylinder("pole", (0, 0, 0.02), (0, 0, h - 0.1), 0.014, 0.012, m, 8)
    top = r * float(rng.uniform(0.4, 1.1))
    b.lathe(
        "shade", [(0.0, 0.0), (r, 0.0), (top, 0.28), (0.0, 0.28)], shade, at=(bend, 0, h - 0.28), sides=14
    )
    b.solid(-r, -r, 0, r + bend, r, h)
    return b.finish("lamp")


def garbage_bin(rng: np.random.Generator) -> Shape:
    b = Builder()
    h = float(rng.uniform(0.25, 0.75))
    r = float(rng.uniform(0.11, 0.17)) + 0.12 * (h - 0.25)
    m = colours.plastic(rng) if rng.random() < 0.75 else colours.metal(rng)
    inside = Material(color=(0.85, 0.85, 0.87) if rng.random() < 0.5 else (0.08, 0.08, 0.08))
    taper = float(rng.uniform(0.7, 1))
    fill = h * float(rng.uniform(0.25, 0.85))
    u = rng.random()
    if u < 0.5:
        profile = [
            (0.0, 0.0),
            (r * taper, 0.0),
            (r, h),
            (r * 1.04, h),
            (r * 0.94, h),
            (r * 0.9, fill),
            (0.0, fill),
        ]
        b.lathe("body", profile, m, stretch=(1, float(rng.uniform(0.6, 1))))
    else:
        hx, hy = r, r * float(rng.uniform(0.6, 1.1))
        v = b.rounded("body", (-hx, -hy, 0), (hx, hy, h), 0.03, m)
        v[:, :2] *= taper + (1 - taper) * v[:, 2:] / h
        if u < 0.75:
            b.rounded(
                "lid",
                (-hx * 1.03, -hy * 1.03, h),
                (hx * 1.03, hy * 1.03, h + 0.07),
                0.03,
                m if rng.random() < 0.5 else colours.plastic(rng),
            )
        else:
            b.box("opening", (-hx * 0.85, -hy * 0.85, h), (hx * 0.85, hy * 0.85, h + 0.003), inside)
            b.blob("rubbish", (0, 0, h), (hx * 0.7, hy * 0.7, 0.05), rng, inside, rings=6, sides=9)
    if u < 0.5 and rng.random() < 0.4:
        b.lathe(
            "bag",
            [
                (r * 0.6, h * 0.74),
                (r * 1.02, h * 0.75),
                (r * 1.07, h * 0.86),
                (r * 1.05, h + 0.01),
                (r * 0.9, h),
            ],
            inside,
        )
    return b.finish("garbage_bin")


def bag(rng: np.random.Generator) -> Shape:
    """Backpack, handbag, suitcase or shopping bag, standing or lying."""
    b = Builder()
    u = rng.random()
    m = colours.cloth(rng) if rng.random() < 0.75 else colours.leather(rng)
    w, d, h = float(rng.uniform(0.26, 0.48)), float(rng.uniform(0.14, 0.28)), float(rng.uniform(0.28, 0.52))
    if u < 0.5:
        b.blob("body", (0, 0, h / 2), (w / 2, d / 2, h / 2), rng, m, bumps=0.12, power=0.55)
        b.blob(
            "pocket",
            (0, -d / 2, h * 0.3),
            (w * 0.36, d * 0.25, h * 0.22),
            rng,
            m if rng.random() < 0.6 else colours.cloth(rng),
            bumps=0.1,
            power=0.6,
            rings=7,
            sides=10,
        )
        path = np.array(
            [
                [-w * 0.2, d / 2, h * 0.9],
                [-w * 0.22, d / 2 + 0.06, h * 0.6],
                [-w * 0.2, d / 2 + 0.02, h * 0.1],
            ]
        )
        b.tube("strap", path, 0.018, m, 5)
        b.tube("strap", path * np.array([-1, 1, 1]), 0.018, m, 5)
    elif u < 0.75:
        v = b.blob("body", (0, 0, h / 2), (w / 2, d / 2, h / 2), rng, m, bumps=0.15, power=0.5)
        v[:, 1] *= 1 - 0.5 * v[:, 2] / h
        a = np.linspace(0, np.pi, 8)
        for y in (-0.03, 0.03):
            b.tube(
                "handle",
                np.stack([w * 0.22 * np.cos(a), np.full(8, y), h * 0.92 + 0.16 * np.sin(a)], 1),
                0.008,
                m,
                5,
            )
    else:
        b.rounded(
            "body",
            (-w / 2, -d / 2, 0.02),
            (w / 2, d / 2, h + 0.15),
            0.04,
            colours.plastic(rng) if rng.random() < 0.6 else colours.cloth(rng),
        )
        if rng.random() < 0.5:
            for x in (-0.1, 0.1):
                b.cylinder(
                    "rod", (x, d / 2, h * 0.8), (x, d / 2, h + 0.5), 0.008, 0.008, colours.metal(rng), 6
                )
            b.box(
                "grip",
                (-0.11, d / 2 - 0.012, h + 0.48),
                (0.11, d / 2 + 0.012, h + 0.51),
                colours.plastic(rng),
            )
    shape = b.finish("bag")
    if rng.random() < 0.25:
        return turned(shape, pitch=float(rng.choice((-1, 1))) * np.pi / 2)
    return turned(shape, pitch=float(rng.uniform(-0.25, 0.0)))


def plant(rng: np.random.Generator, scale: Number | None = None) -> Shape:
    b = Builder()
    s = scale or float(rng.uniform(0.4, 1.7))
    r, ph = float(rng.uniform(0.16, 0.24)) * s**0.6 * 0.8, float(rng.uniform(0.25, 0.35)) * s**0.7
    pot = colours.ceramic(rng) if rng.random() < 0.5 else colours.anything(rng)
    b.lathe(
        "pot",
        [(0, 0), (r * 0.7, 0), (r, ph), (r * 0.92, ph), (r * 0.9, ph * 0.9), (0, ph * 0.9)],
        pot,
        sides=14,
    )
    green = colours.leaf(rng)
    n = int(rng.integers(14, 60))
    top = ph + s * float(rng.uniform(0.5, 0.8))
    style = rng.random()
    long, wide = s * float(rng.uniform(0.12, 0.4)), s * float(rng.uniform(0.02, 0.1))
    base = np.zeros((n, 3))
    if style < 0.4:
        base[:, 2] = ph * 0.9
        long = top - ph * 0.9
    else:
        base[:, 2] = rng.uniform(ph + 0.3 * (top - ph), top, n)
        base[:, :2] = rng.normal(0, 0.06 * s, (n, 2))
        b.tube(
            "stem",
            np.array(
                [[0, 0, ph * 0.8], [rng.normal(0, 0.03), rng.normal(0, 0.03), (ph + top) / 2], [0, 0, top]]
            ),
            0.012 * s + 0.005,
            colours.wood(rng),
            5,
        )
    a = rng.uniform(0, 2 * np.pi, n)
    rise = rng.uniform(0.2, 1.4, n)
    out = np.stack([np.cos(a), np.sin(a)], 1)
    side = np.stack([-out[:, 1], out[:, 0], np.zeros(n)], 1)
    t = np.linspace(0, 1, 5)
    length = long * rng.uniform(0.6, 1.1, n)
    along = length[:, None] * t * np.cos(rise)[:, None]
    up = length[:, None] * (t * np.sin(rise)[:, None] - 0.55 * t**2 * np.cos(rise)[:, None])
    center = base[:, None] + np.concatenate([out[:, None] * along[..., None], up[..., None]], 2)
    half = wide * np.sin(np.pi * (0.12 + 0.88 * t))
    left, right = center - side[:, None] * half[None, :, None], center + side[:, None] * half[None, :, None]
    normals = np.cross(right - left, np.gradient(center, axis=1))
    normals *= 0.001 / (np.linalg.norm(normals, axis=2, keepdims=True) + 1e-9)
    vertices = np.stack([left + normals, right + normals, left - normals, right - normals], 2).reshape(-1, 3)
    vertices[:, 2] = np.maximum(vertices[:, 2], 0.02)
    q = np.arange(4)
    front = np.concatenate(
        [np.stack([4 * q, 4 * q + 1, 4 * q + 5], 1), np.stack([4 * q, 4 * q + 5, 4 * q + 4], 1)]
    )
    one = np.concatenate([front, front[:, ::-1] + 2])
    faces = (np.arange(n)[:, None, None] * 20 + one).reshape(-1, 3).astype(np.int32)
    b.mesh("leaves", vertices, faces, green)
    b.solid(-r, -r, 0, r, r, top)
    return b.finish("plant")


def pillow(rng: np.random.Generator, size: Size | None = None) -> Shape:
    b = Builder()
    w, d, h = size or (
        float(rng.uniform(0.35, 0.6)),
        float(rng.uniform(0.3, 0.45)),
        float(rng.uniform(0.09, 0.17)),
    )
    v = b.blob(
        "pillow",
        (0, 0, h / 2),
        (w / 2, d / 2, h / 2),
        rng,
        colours.cloth(rng),
        bumps=0.12,
        power=0.5,
        rings=10,
        sides=20,
    )
    # Thin at the rim, thick in the middle.
    q = np.clip(np.maximum(np.abs(v[:, 0]) / (w / 2), np.abs(v[:, 1]) / (d / 2)), 0, 1)
    v[:, 2] = h / 2 + (v[:, 2] - h / 2) * (1 - 0.6 * q**3)
    shape = b.finish("pillow")
    return turned(shape)


def heap(rng: np.random.Generator, size: Number | None = None) -> Shape:
    """Clothes, blankets, cables: an irregular pile of lumps."""
    b = Builder()
    s = size or float(rng.uniform(0.2, 0.6))
    for _ in range(int(rng.integers(1, 5))):
        at = rng.normal(0, s * 0.25, 2)
        r = s * rng.uniform(0.25, 0.6, 2)
        h = s * rng.uniform(0.1, 0.4)
        v = b.blob(
            "lump",
            (float(at[0]), float(at[1]), float(h * 0.8)),
            (float(r[0]), float(r[1]), float(h)),
            rng,
            colours.cloth(rng),
            bumps=0.5,
            power=0.9,
        )
        v[:, 2] = np.maximum(v[:, 2], 0.0)
    return b.finish("clutter")


def small(rng: np.random.Generator) -> Shape:
    """Cup, bottle, vase, telephone, can, jar, toy, bowl, pen holder."""
    b = Builder()
    u = rng.random()
    m = colours.anything(rng)
    if u < 0.25:
        r, h = float(rng.uniform(0.03, 0.06)), float(rng.uniform(0.08, 0.13))
        b.lathe("cup", [(0, 0), (r * 0.8, 0), (r, h), (r * 0.88, h), (r * 0.8, 0.02), (0, 0.02)], m, sides=12)
    elif u < 0.5:
        r, h = float(rng.uniform(0.03, 0.05)), float(rng.uniform(0.2, 0.34))
        b.lathe(
            "bottle", [(0, 0), (r, 0), (r, h * 0.6), (r * 0.35, h * 0.78), (r * 0.35, h), (0, h)], m, sides=12
        )
    elif u < 0.65:
        p = rng.uniform(0.02, 0.12, 5)
        z = np.linspace(0, float(rng.uniform(0.12, 0.4)), 5)
        b.lathe(
            "vase", [(0.0, 0.0), *zip(p.tolist(), z.tolist(), strict=True), (0.0, float(z[-1]))], m, sides=14
        )
    elif u < 0.8:
        w, d, h = rng.uniform(0.06, 0.3), rng.uniform(0.05, 0.25), rng.uniform(0.04, 0.25)
        b.rounded("device", (-w / 2, -d / 2, 0), (w / 2, d / 2, h), 0.015, m)
    elif u < 0.9:
        r = float(rng.uniform(0.06, 0.16))
        b.lathe(
            "bowl",
            [(0, 0), (r * 0.5, 0), (r, r * 0.6), (r * 0.92, r * 0.6), (r * 0.45, 0.02), (0, 0.02)],
            m,
            sides=14,
        )
    else:
        b.blob(
            "thing",
            (0, 0, 0.08),
            (float(rng.uniform(0.04, 0.12)), float(rng.uniform(0.04, 0.1)), 0.08),
            rng,
            m,
            bumps=0.4,
            rings=7,
            sides=10,
        )
    return b.finish("clutter")


def machine(rng: np.random.Generator) -> Shape:
    """Printer, microwave, computer case, loudspeaker, kettle-sized appliance: a body with details."""
    b = Builder()
    u = rng.random()
    m = colours.plastic(rng) if rng.random() < 0.7 else colours.lacquer(rng)
    if u < 0.3:
        w, d, h = float(rng.uniform(0.38, 0.55)), float(rng.uniform(0.35, 0.5)), float(rng.uniform(0.2, 0.42))
        b.rounded("body", (-w / 2, -d / 2, 0), (w / 2, d / 2, h), 0.03, m)
        b.box(
            "tray",
            (-w / 2 + 0.05, -d / 2 - 0.1, 0.05),
            (w / 2 - 0.05, -d / 2 + 0.02, 0.08),
            colours.plastic(rng),
        )
        b.box(
            "lid",
            (-w / 2 + 0.01, -d / 2 + 0.01, h),
            (w / 2 - 0.01, d / 2 - 0.01, h + 0.03),
            colours.plastic(rng),
        )
    elif u < 0.55:
        w, d, h = (
            float(rng.uniform(0.44, 0.54)),
            float(rng.uniform(0.34, 0.42)),
            float(rng.uniform(0.26, 0.32)),
        )
        b.box("body", (-w / 2, -d / 2, 0), (w / 2, d / 2, h), m)
        b.box(
            "window",
            (-w / 2 + 0.03, -d / 2 - 0.004, 0.04),
            (w / 2 - 0.13, -d / 2, h - 0.04),
            Material(color=(0.05, 0.05, 0.05), dropout=0.4),
        )
    elif u < 0.8:
        w, d, h = (
            float(rng.uniform(0.16, 0.22)),
            float(rng.uniform(0.38, 0.5)),
            float(rng.uniform(0.35, 0.48)),
        )
        b.rounded("case", (-w / 2, -d / 2, 0), (w / 2, d / 2, h), 0.01, m)
        b.box(
            "front",
            (-w / 2 + 0.01, -d / 2 - 0.01, 0.02),
            (w / 2 - 0.01, -d / 2, h - 0.02),
            colours.plastic(rng),
        )
    else:
        w, d, h = float(rng.uniform(0.12, 0.3)), float(rng.uniform(0.12, 0.3)), float(rng.uniform(0.15, 0.5))
        b.rounded("body", (-w / 2, -d / 2, 0), (w / 2, d / 2, h), 0.03, m)
    return b.finish("clutter")


def copier(rng: np.random.Generator) -> Shape:
    """A printer as large as a person's hip."""
    b = Builder()
    w, d, h = float(rng.uniform(0.55, 1.1)), float(rng.uniform(0.55, 0.75)), float(rng.uniform(0.85, 1.2))
    m, dark = colours.lacquer(rng), Material(color=(0.2, 0.2, 0.22))
    b.box("body", (-w / 2, -d / 2, 0), (w / 2, d / 2, h * 0.7), m)
    b.box("slot", (-w / 2 + 0.04, -d / 2 + 0.03, h * 0.7), (w / 2 - 0.1, d / 2, h * 0.8), dark)
    b.rounded("scanner", (-w / 2, -d / 2, h * 0.8), (w / 2, d / 2, h), 0.03, m)
    for z in np.linspace(0.05, h * 0.6, 4)[:-1]:
        b.box(
            "drawer",
            (-w / 2 + 0.01, -d / 2 - 0.015, float(z)),
            (w / 2 - 0.01, -d / 2, float(z) + h * 0.17),
            m,
        )
    b.box("panel", (-w * 0.2, -d / 2 - 0.1, h - 0.05), (w * 0.3, -d / 2 + 0.02, h), dark)
    b.solid(-w / 2, -d / 2, 0, w / 2, d / 2, h)
    b.surfaces.append(Surface(-w / 2, -d / 2, w / 2, d / 2, h, 0.6))
    return b.finish("clutter")


def leaning_board(rng: np.random.Generator) -> Shape:
    """A board, a folded table or a broom that leans with its head at y = 0 against the wall behind."""
    b = Builder()
    h = float(rng.uniform(0.6, 1.8))
    angle = float(rng.uniform(0.08, 0.3))
    u = rng.random()
    if u < 0.65:
        w, t = float(rng.uniform(0.3, 1.1)), float(rng.uniform(0.01, 0.06))
        b.box("board", (-w / 2, -t, 0), (w / 2, 0, h), colours.anything(rng))
    else:
        b.cylinder("stick", (0, 0, 0), (0, 0, h), 0.015, 0.015, colours.wood(rng), 6)
        b.rounded("head", (-0.16, -0.05, 0), (0.16, 0.05, 0.08), 0.02, colours.cloth(rng))
    return turned(b.finish("clutter"), pitch=-angle)


def ladder_or_rack(rng: np.random.Generator) -> Shape:
    """A coat stand, drying rack or step ladder: thin bars."""
    b = Builder()
    m = colours.metal(rng) if rng.random() < 0.6 else colours.wood(rng)
    u = rng.random()
    if u < 0.4:
        h = float(rng.uniform(1.5, 1.9))
        b.cylinder("pole", (0, 0, 0), (0, 0, h), 0.02, 0.02, m, 8)
        b.cylinder("foot", (0, 0, 0), (0, 0, 0.03), 0.22, 0.2, m, 14)
        for k in range(int(rng.integers(0, 4))):
            a = k * 2.1 + float(rng.uniform(0, 1))
            b.blob(
                "coat",
                (0.12 * float(np.cos(a)), 0.12 * float(np.sin(a)), h - 0.5),
                (0.16, 0.12, 0.45),
                rng,
                colours.cloth(rng),
                bumps=0.35,
            )
    elif u < 0.75:
        w, h, d = float(rng.uniform(0.4, 0.55)), float(rng.uniform(0.8, 1.9)), float(rng.uniform(0.4, 0.8))
        for y in (-d / 2, d / 2):
            for x in (-w / 2, w / 2):
                b.cylinder("rail", (x, y, 0), (x * 0.8, 0, h), 0.02, 0.02, m, 6)
        for z in np.arange(0.25, h - 0.1, 0.28):
            y = -d / 2 * (1 - z / h)
            b.box("step", (-w / 2, float(y) - 0.05, float(z)), (w / 2, float(y) + 0.05, float(z) + 0.025), m)
    else:
        w, d, h = float(rng.uniform(0.6, 1.2)), 0.5, float(rng.uniform(0.8, 1.1))
        for y in np.linspace(-d / 2, d / 2, 7):
            b.cylinder("bar", (-w / 2, float(y), h), (w / 2, float(y), h), 0.006, 0.006, m, 5)
        for x in (-w / 2, w / 2):
            b.cylinder("leg", (x, -d / 2, 0), (x, d / 2, h), 0.012, 0.012, m, 6)
            b.cylinder("leg", (x, d / 2, 0), (x, -d / 2, h), 0.012, 0.012, m, 6)
        if rng.random() < 0.7:
            grid = np.array(
                [
                    [[x, y, h - 0.02 - 0.4 * abs(y) / d] for x in np.linspace(-w * 0.4, w * 0.2, 4)]
                    for y in np.linspace(-d / 2, d / 2, 7)
                ]
            )
            b.sheet("laundry", grid, colours.cloth(rng))
    return b.finish("clutter")

"""Displays: flat monitors and television sets, curved ones, tubes. Screen at -y."""

import numpy as np

from gestalt3d.synth import colours
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.objects.hulls import loft
from gestalt3d.synth.shapes import Builder, Shape


def display(rng: np.random.Generator) -> Shape:
    """One display, in metres."""
    u = rng.random()
    if u < 0.78:
        return _flat(rng)
    return _tube(rng)


def _case(rng: np.random.Generator) -> Material:
    u = rng.random()
    if u < 0.6:
        v = float(rng.uniform(0.04, 0.15))
        return Material(color=(v, v, v))
    if u < 0.9:
        v = float(rng.uniform(0.6, 0.92))
        return Material(color=(v, v, v))
    return Material(color=colours.any_color(rng))


def _picture(rng: np.random.Generator) -> Material:
    if rng.random() < 0.45:
        v = float(rng.uniform(0.02, 0.1))
        return Material(color=(v, v, v * 1.15))
    pattern = colours.PHOTO if rng.random() < 0.6 else colours.PATCHES
    return Material(
        pattern,
        colours.any_color(rng),
        colours.any_color(rng),
        float(rng.uniform(0.06, 0.2)),
        0.9,
        emission=0.25,
    )


def _flat(rng: np.random.Generator) -> Shape:
    """A thin panel, flat or curved, on a foot, two feet, or made for the wall."""
    b = Builder()
    wide = float(rng.uniform(0.4, 1.3))
    aspect = float(rng.choice((0.5625, 0.5625, 0.625, 0.75, 0.42)))
    w, h, t = wide / 2, wide * aspect, float(rng.uniform(0.015, 0.05)) * (1 + wide * 0.3)
    frame = float(rng.uniform(0.008, 0.03))
    case, foot = _case(rng), float(rng.uniform(0.05, 0.16)) * (0.6 + wide * 0.5)
    hung = rng.random() < 0.1
    z = 0.0 if hung else foot
    chin = frame * float(rng.choice((1, 1, 2.5)))
    curve = float(rng.uniform(0.05, 0.12)) if aspect < 0.57 and rng.random() < 0.2 else 0.0
    n = 9 if curve else 2
    x = np.linspace(-1, 1, n)

    def slab(
        half: Number, z0: Number, z1: Number, y0: Number, y1: Number, name: str, material: Material
    ) -> None:
        bend = curve * wide * x**2
        rings = np.stack(
            [
                np.stack([x * half, -bend + dy, np.full(n, at)], 1)
                for at, dy in ((z0, y0), (z0, y1), (z1, y1), (z1, y0))
            ],
            1,
        )
        loft(b, name, rings, material)

    slab(w, z, z + h, 0.0, t, "case", case)
    slab(w - frame, z + chin, z + h - frame, -0.006, 0.002, "screen", _picture(rng))
    if rng.random() < 0.6:
        b.rounded(
            "back",
            (-w * 0.6, t * 0.5, z + h * 0.2),
            (w * 0.6, t + float(rng.uniform(0.02, 0.07)), z + h * 0.8),
            0.02,
            case,
        )
    if not hung:
        _stand(b, rng, w, h, t, foot, case if rng.random() < 0.7 else colours.metal(rng))
    return b.finish("display")


def _stand(
    b: Builder, rng: np.random.Generator, w: Number, h: Number, t: Number, foot: Number, material: Material
) -> None:
    deep = float(rng.uniform(0.09, 0.14)) * (0.7 + w)
    u = rng.random()
    if u < 0.25 and w > 0.3:
        for x in (-w * 0.7, w * 0.7):
            b.box("foot", (x - 0.015, t / 2 - deep, 0), (x + 0.015, t / 2 + deep, 0.015), material)
            b.box("leg", (x - 0.012, t / 2 - 0.012, 0), (x + 0.012, t / 2 + 0.012, foot + 0.02), material)
        return
    neck = w * float(rng.uniform(0.08, 0.2))
    b.box("neck", (-neck, t, 0.01), (neck, t + 0.03, foot + h * 0.45), material)
    if u < 0.5:
        b.cylinder("foot", (0, t, 0), (0, t, 0.014), deep * 1.1, deep * 1.0, material, 20)
        b.parts[-1].vertices[:, 0] *= float(rng.uniform(1.0, 1.6))
    elif u < 0.85:
        b.rounded("foot", (-w * 0.45, t - deep, 0), (w * 0.45, t + deep * 0.8, 0.018), 0.008, material)
    else:
        for side in (-1, 1):
            b.cylinder(
                "foot",
                (0, t + 0.015, 0.015),
                (side * w * 0.55, t - deep * 1.2, 0.008),
                0.012,
                0.008,
                material,
                6,
            )


def _tube(rng: np.random.Generator) -> Shape:
    """A deep box that narrows to the back, as of old computers and television sets."""
    b = Builder()
    w = float(rng.uniform(0.18, 0.4))
    h, d = w * float(rng.uniform(1.45, 1.75)), w * float(rng.uniform(1.4, 2.0))
    case = _case(rng) if rng.random() < 0.75 else colours.wood(rng)
    foot = float(rng.uniform(0.02, 0.07)) if rng.random() < 0.6 else 0.0
    frame, chin = w * 0.12, h * float(rng.uniform(0.1, 0.2))
    b.rounded("case", (-w, 0, foot), (w, d * 0.35, foot + h), 0.02, case)
    shrink = float(rng.uniform(0.5, 0.7))
    z = foot + h / 2
    rings = [
        [(sx * w * k, y, z + sz * h / 2 * k) for sx, sz in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        for y, k in ((d * 0.3, 0.97), (d * 0.62, 0.9), (d * 0.95, shrink), (d, shrink * 0.9))
    ]
    loft(b, "back", np.array(rings), case)
    glass = b.rounded(
        "screen",
        (-w + frame, -0.012, foot + chin),
        (w - frame, 0.02, foot + h - frame),
        0.02,
        _picture(rng),
        puff=0.01,
    )
    glass[:, 1] = np.minimum(glass[:, 1], 0.01)
    if foot:
        b.cylinder("foot", (0, d * 0.4, 0), (0, d * 0.4, foot + 0.01), w * 0.7, w * 0.55, case, 16)
    if rng.random() < 0.3 and foot == 0:
        for side in (-1, 1):
            b.cylinder(
                "aerial",
                (0, d * 0.2, h),
                (side * w * 0.8, d * 0.25, h + w),
                0.006,
                0.004,
                colours.metal(rng),
                6,
            )
    for k in range(int(rng.integers(1, 4))):
        x = w - frame - 0.03 - 0.045 * k
        b.cylinder(
            "knob",
            (x, -0.015, foot + chin * 0.45),
            (x, 0, foot + chin * 0.45),
            0.013,
            0.013,
            Material(color=(0.3, 0.3, 0.3)),
            10,
        )
    return b.finish("display")

"""Airplanes: airliners, fighters, propeller planes, biplanes. Nose at -y."""

import numpy as np

from gestalt3d.synth import colours
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.objects.hulls import fin, loft, pair_of_fins, repainted, round_rings
from gestalt3d.synth.shapes import Builder, Shape

_DARK = Material(color=(0.06, 0.07, 0.09))
_TYRE = Material(color=(0.05, 0.05, 0.05))


def airplane(rng: np.random.Generator) -> Shape:
    """One airplane; metres are roughly right."""
    u = rng.random()
    if u < 0.5:
        return _airliner(rng)
    if u < 0.72:
        return _fighter(rng)
    return _propeller(rng, biplane=rng.random() < 0.25)


def _skin(rng: np.random.Generator) -> Material:
    u = rng.random()
    if u < 0.6:
        v = float(rng.uniform(0.72, 0.96))
        return Material(color=(v, v, v))
    return colours.metal(rng) if u < 0.75 else Material(color=colours.any_color(rng))


def _camouflage(rng: np.random.Generator) -> Material:
    v = float(rng.uniform(0.25, 0.6))
    if rng.random() < 0.5:
        return Material(color=(v, v * 1.02, v * 1.06))
    color = (v * 0.9, v, v * 0.6)
    return Material(colours.BLOTCHES, color, (v * 0.5, v * 0.55, v * 0.35), 2.0, 0.9)


def _fuselage(
    b: Builder,
    rng: np.random.Generator,
    long: Number,
    r: Number,
    skin: Material,
    *,
    nose: Number,
    tail: Number,
    sides: int = 20,
) -> None:
    """A tube from y = 0 to `long` with so much of it nose and tail, which rises."""
    s = np.concatenate(
        [np.linspace(0, nose, 8)[:-1], np.linspace(nose, 1 - tail, 4)[:-1], np.linspace(1 - tail, 1, 7)]
    )
    blunt = float(rng.uniform(0.45, 0.7))
    front = np.clip(s / nose, 0, 1)
    back = np.clip((s - 1 + tail) / tail, 0, 1)
    size = np.where(s < nose, np.sin(front * np.pi / 2) ** blunt, 1) * (1 - 0.86 * back**1.5)
    size = np.maximum(size, 0.03)
    z = 0.75 * r * back**1.6 - 0.25 * r * (1 - front) ** 2
    loft(b, "fuselage", round_rings(s * long, r * size, r * size, z, sides=sides), skin)


def _airliner(rng: np.random.Generator) -> Shape:
    """Low swept wings, engines under them or at the tail."""
    b = Builder()
    long = float(rng.uniform(20, 70))
    r = long * float(rng.uniform(0.042, 0.065))
    skin = _skin(rng)
    accent = Material(color=colours.any_color(rng)) if rng.random() < 0.7 else skin
    _fuselage(b, rng, long, r, skin, nose=float(rng.uniform(0.09, 0.16)), tail=float(rng.uniform(0.25, 0.36)))
    part = b.parts[-1]
    middle = part.vertices[part.faces].mean(1)
    # Windows: a row of dark faces, and those of the cockpit.
    row = (np.abs(middle[:, 2] - 0.3 * r) < 0.2 * r) & (np.abs(middle[:, 0]) > 0.7 * r)
    cockpit = (middle[:, 1] < 0.05 * long) & (middle[:, 2] > 0.1 * r) & (middle[:, 1] > 0.012 * long)
    if rng.random() < 0.75:
        b.parts[-1] = repainted(part, (row & (rng.random() < 0.6)) | cockpit, _DARK)
    wing = long * float(rng.uniform(0.4, 0.58))
    sweep, chord = wing * float(rng.uniform(0.35, 0.7)), long * float(rng.uniform(0.16, 0.22))
    at, rise = long * float(rng.uniform(0.32, 0.4)), wing * float(rng.uniform(0.03, 0.13))
    low = -0.6 * r if rng.random() < 0.85 else 0.85 * r
    wings = skin if rng.random() < 0.75 else accent
    pair_of_fins(b, "wing", (0.3 * r, at, low), chord, (wing, at + sweep, low + rise), chord * 0.25, wings)
    if rng.random() < 0.5:
        x, y, z = wing, at + sweep, low + rise
        pair_of_fins(
            b,
            "winglet",
            (x, y, z),
            chord * 0.25,
            (x * 1.01, y + chord * 0.2, z + chord * 0.4),
            chord * 0.1,
            accent,
        )
    tee = rng.random() < 0.25
    high = long * float(rng.uniform(0.12, 0.17))
    back = long * 0.86
    fin(
        b,
        "rudder",
        (0, back - high * 0.3, 0.6 * r),
        high * 1.1,
        (0, back + high * 0.7, r + high),
        high * 0.45,
        accent,
    )
    span, z = wing * float(rng.uniform(0.34, 0.44)), (r + high * 0.97 if tee else 0.7 * r)
    y = back + (high * 0.65 if tee else 0.02 * long)
    pair_of_fins(
        b, "tailplane", (0, y, z), high * 0.75, (span, y + span * 0.5, z + span * 0.05), high * 0.3, wings
    )
    _jet_engines(
        b,
        rng,
        long,
        r,
        wing,
        at,
        sweep,
        low,
        rise,
        chord,
        accent if rng.random() < 0.3 else skin,
        at_tail=tee,
    )
    return b.finish("airplane")


def _nacelle(b: Builder, x: Number, y: Number, z: Number, long: Number, r: Number, skin: Material) -> None:
    s = np.array([0.0, 0.15, 0.6, 1.0])
    loft(
        b,
        "engine",
        round_rings(
            y + s * long, r * np.array([0.88, 1.0, 0.95, 0.6]), r * np.array([0.88, 1, 0.95, 0.6]), z, x
        ),
        skin,
    )
    b.cylinder("intake", (x, y - long * 0.02, z), (x, y + long * 0.02, z), r * 0.74, r * 0.74, _DARK, 14)


def _jet_engines(
    b: Builder, rng: np.random.Generator, long: Number, r: Number, wing: Number, at: Number, sweep: Number, low: Number,
    rise: Number, chord: Number, skin: Material, *, at_tail: bool,
) -> None:  # fmt: skip
    size, length = r * float(rng.uniform(0.4, 0.6)), long * float(rng.uniform(0.08, 0.12))
    if at_tail:
        for side in (-1, 1):
            _nacelle(b, side * (r + size * 0.9), long * 0.7, 0.3 * r, length * 1.2, size, skin)
            b.box(
                "pylon",
                (side * r * 0.7 - size * 0.4, long * 0.73, 0.25 * r),
                (side * r * 0.7 + size * 0.8, long * 0.78, 0.4 * r),
                skin,
            )
        return
    for share in (0.33,) if rng.random() < 0.7 else (0.28, 0.55):
        x, y, z = wing * share, at + sweep * share, low + rise * share
        for side in (-1, 1):
            _nacelle(b, side * x, y - length * 0.65, z - size * 1.25, length, size, skin)
            b.box(
                "pylon",
                (side * x - size * 0.12, y - length * 0.2, z - size * 0.6),
                (side * x + size * 0.12, y + chord * 0.4, z),
                skin,
            )


def _fighter(rng: np.random.Generator) -> Shape:
    """A pointed nose, wings swept or as a delta, one or two fins at the tail."""
    b = Builder()
    long = float(rng.uniform(13, 20))
    r = long * float(rng.uniform(0.042, 0.06))
    skin = _camouflage(rng) if rng.random() < 0.8 else _skin(rng)
    y = np.array([0, 0.06, 0.16, 0.3, 0.45, 0.7, 0.92, 1.0]) * long
    wide = np.array([0.04, 0.35, 0.7, 0.95, 1.3, 1.5, 1.25, 1.0]) * r
    high = np.array([0.04, 0.35, 0.7, 0.95, 1.0, 0.95, 0.8, 0.65]) * r
    loft(b, "fuselage", round_rings(y, wide, high, 0.0, power=2.4), skin)
    bulge = np.maximum(np.sin(np.linspace(0, np.pi, 7)), 0.03)
    glass = Material(color=(0.1, 0.12, 0.16) if rng.random() < 0.7 else (0.45, 0.38, 0.2))
    canopy = round_rings(long * np.linspace(0.17, 0.38, 7), 0.45 * r * bulge, 0.75 * r * bulge, 0.65 * r)
    loft(b, "canopy", canopy, glass)
    span = long * float(rng.uniform(0.28, 0.4))
    delta = rng.random() < 0.5
    root, tip = (long * 0.5, long * 0.04) if delta else (long * 0.32, long * 0.1)
    at = long * (0.4 if delta else 0.42)
    sweep = root - tip * float(rng.uniform(0.4, 1.2)) if delta else long * float(rng.uniform(0.14, 0.25))
    pair_of_fins(b, "wing", (r, at, 0), root, (span, at + sweep, -0.02 * span), tip, skin, thick=0.06)
    if not delta or rng.random() < 0.4:
        y0 = long * (0.84 if not delta else 0.27)
        pair_of_fins(
            b,
            "tailplane",
            (r * 0.9, y0, 0),
            long * 0.14,
            (span * 0.55, y0 + long * 0.1, 0),
            long * 0.06,
            skin,
            thick=0.06,
        )
    tall = long * float(rng.uniform(0.13, 0.18))
    y0 = long * 0.76
    if rng.random() < 0.5:
        pair_of_fins(
            b,
            "rudder",
            (r * 1.1, y0, 0.4 * r),
            tall * 1.2,
            (r * 1.8, y0 + tall * 0.7, tall),
            tall * 0.5,
            skin,
            thick=0.06,
        )
        nozzles = (-0.5 * r, 0.5 * r)
    else:
        fin(b, "rudder", (0, y0, 0.5 * r), tall * 1.4, (0, y0 + tall, r + tall), tall * 0.5, skin, thick=0.06)
        nozzles = (0.0,)
    for x in nozzles:
        b.cylinder("nozzle", (x, long * 0.97, 0), (x, long * 1.05, 0), r * 0.6, r * 0.45, _DARK, 14)
    for side in (-1, 1):
        b.box(
            "intake",
            (side * 1.15 * r - 0.3 * r, long * 0.34, -0.7 * r),
            (side * 1.15 * r + 0.3 * r, long * 0.5, 0.4 * r),
            skin,
        )
        b.box(
            "inlet",
            (side * 1.15 * r - 0.25 * r, long * 0.338, -0.6 * r),
            (side * 1.15 * r + 0.25 * r, long * 0.345, 0.3 * r),
            _DARK,
        )
        if rng.random() < 0.5:
            x = side * span * 0.6
            b.cylinder(
                "missile",
                (x, at + sweep * 0.4, -0.5 * r),
                (x, at + sweep * 0.4 + long * 0.16, -0.5 * r),
                0.13 * r,
                0.13 * r,
                Material(),
                8,
            )
    return b.finish("airplane")


def _propeller(rng: np.random.Generator, *, biplane: bool) -> Shape:
    """Straight wings, a propeller at the nose, wheels that stay out."""
    b = Builder()
    long = float(rng.uniform(6, 11))
    r = long * float(rng.uniform(0.06, 0.085))
    skin = Material(color=colours.any_color(rng)) if rng.random() < 0.6 else _skin(rng)
    accent = Material(color=colours.any_color(rng)) if rng.random() < 0.5 else skin
    y = np.array([0, 0.05, 0.2, 0.32, 0.5, 0.75, 1.0]) * long
    wide = np.array([0.55, 0.8, 1.0, 1.05, 0.85, 0.45, 0.15]) * r
    high = np.array([0.55, 0.8, 0.95, 1.1, 0.85, 0.45, 0.2]) * r
    loft(
        b,
        "fuselage",
        round_rings(y, wide, high, np.array([-0.1, -0.1, 0, 0, 0.1, 0.3, 0.45]) * r, power=2.8),
        skin,
    )
    span, chord = long * float(rng.uniform(0.5, 0.72)), long * float(rng.uniform(0.15, 0.22))
    at, tip = long * 0.24, float(rng.uniform(0.55, 1.0))
    high_wing = rng.random() < 0.5 and not biplane
    levels = [-0.7 * r, 1.9 * r] if biplane else [1.25 * r] if high_wing else [-0.65 * r]
    rise = span * float(rng.uniform(0.0, 0.09))
    for z in levels:
        pair_of_fins(
            b,
            "wing",
            (0, at, z),
            chord,
            (span, at + chord * (1 - tip) / 2, z + rise),
            chord * tip,
            accent,
            thick=0.11,
        )
    if biplane:
        for x in (-span * 0.65, span * 0.65):
            for dy in (chord * 0.25, chord * 0.75):
                b.cylinder(
                    "strut", (x, at + dy, levels[0]), (x, at + dy, levels[1] + rise), 0.06, 0.06, _DARK, 6
                )
        for x in (-0.6 * r, 0.6 * r):
            b.cylinder(
                "strut",
                (x, at + chord * 0.4, 0.7 * r),
                (x, at + chord * 0.4, levels[1]),
                0.06,
                0.06,
                _DARK,
                6,
            )
    elif high_wing:
        for side in (-1, 1):
            b.cylinder(
                "strut",
                (side * 0.7 * r, at + chord * 0.4, -0.4 * r),
                (side * span * 0.5, at + chord * 0.4, levels[0] + rise * 0.4),
                0.05,
                0.05,
                skin,
                6,
            )
    s = np.linspace(0.0, np.pi, 6)
    cabin = np.linspace(0.17, 0.44, 6) if not high_wing else np.linspace(0.16, 0.4, 6)
    loft(
        b,
        "cabin",
        round_rings(
            cabin * long,
            np.maximum(0.8 * r * np.sin(s) ** 0.5, 0.05),
            np.maximum(0.75 * r * np.sin(s) ** 0.6, 0.05),
            0.7 * r,
        ),
        _DARK,
    )
    tall = long * float(rng.uniform(0.12, 0.18))
    fin(
        b,
        "rudder",
        (0, long * 0.83, 0.5 * r),
        tall * 1.2,
        (0, long * 0.93, 0.5 * r + tall),
        tall * 0.6,
        accent,
    )
    pair_of_fins(
        b,
        "tailplane",
        (0, long * 0.86, 0.45 * r),
        tall,
        (span * 0.38, long * 0.9, 0.45 * r),
        tall * 0.6,
        accent,
    )
    engines = [(0.0, 0.0, -0.1 * r)]
    if not biplane and rng.random() < 0.25:
        engines = [(side * span * 0.35, at - chord * 0.35, levels[0] + rise * 0.35) for side in (-1, 1)]
        for x, y0, z in engines:
            _nacelle(b, x, y0, z, chord * 1.1, 0.45 * r, skin)
    blades, size, turn = int(rng.integers(2, 5)), r * float(rng.uniform(1.2, 1.7)), float(rng.uniform(0, 3))
    for x, y0, z in engines:
        b.cylinder("spinner", (x, y0 - 0.5 * r, z), (x, y0 + 0.05, z), 0.05, 0.3 * r, accent, 12)
        for k in range(blades):
            a = turn + k * 2 * np.pi / blades
            tip_at = (x + size * float(np.cos(a)), y0 - 0.2 * r, z + size * float(np.sin(a)))
            b.cylinder("blade", (x, y0 - 0.2 * r, z), tip_at, 0.14 * r, 0.09 * r, _DARK, 6)
    leg = levels[0] if not high_wing else -0.8 * r
    for side in (-1, 1):
        x, z = side * r * 1.5, leg - 1.2 * r
        b.cylinder(
            "leg", (side * 0.6 * r, at + chord * 0.2, leg), (x, at + chord * 0.1, z), 0.07, 0.07, skin, 6
        )
        b.cylinder(
            "wheel",
            (x - 0.12 * r, at + chord * 0.1, z),
            (x + 0.12 * r, at + chord * 0.1, z),
            0.38 * r,
            0.38 * r,
            _TYRE,
            12,
        )
    return b.finish("airplane")

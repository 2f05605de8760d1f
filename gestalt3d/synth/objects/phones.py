"""Phones: smartphones, bars with keys, flip phones and sliders that stand upright, and phones for the desk. Front at -y."""

import numpy as np

from gestalt3d.synth import colours
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.objects.hulls import panel
from gestalt3d.synth.shapes import Builder, Shape


def phone(rng: np.random.Generator) -> Shape:
    """One phone, in metres."""
    kinds = (_smart, _bar, _flip, _slider, _desk)
    return kinds[int(rng.choice(5, p=(0.32, 0.28, 0.16, 0.1, 0.14)))](rng)


def _case(rng: np.random.Generator) -> Material:
    u = rng.random()
    if u < 0.45:
        v = float(rng.uniform(0.04, 0.2))
        return Material(color=(v, v, v))
    if u < 0.75:
        v = float(rng.uniform(0.6, 0.92))
        return Material(color=(v, v, v))
    return Material(color=colours.any_color(rng))


def _screen(rng: np.random.Generator) -> Material:
    """Off and dark, bright, or with a picture on it."""
    u = rng.random()
    if u < 0.35:
        return Material(color=(0.03, 0.035, 0.05))
    if u < 0.65:
        return Material(
            color=(float(rng.uniform(0.3, 0.7)), float(rng.uniform(0.5, 0.9)), float(rng.uniform(0.5, 0.95))),
            emission=0.2,
        )
    pattern = colours.PHOTO if u < 0.85 else colours.PATCHES
    return Material(pattern, colours.any_color(rng), colours.any_color(rng), 0.012, 0.9, emission=0.15)


def _keys(
    b: Builder,
    rng: np.random.Generator,
    wide: Number,
    z0: Number,
    z1: Number,
    y: Number,
    case: Material,
    rows: int = 4,
    columns: int = 3,
) -> None:
    """A pad of keys on the front at `y`."""
    light = float(np.mean(case.color)) > 0.4
    v = float(rng.uniform(0.08, 0.25)) if light else float(rng.uniform(0.55, 0.9))
    key = Material(color=(v, v, v))
    dx, dz = 2 * wide / columns, (z1 - z0) / rows
    low, high = [], []
    for r in range(rows):
        for c in range(columns):
            x, z = -wide + c * dx, z0 + r * dz
            low.append((x + dx * 0.14, y - 0.0018, z + dz * 0.18))
            high.append((x + dx * 0.86, y + 0.001, z + dz * 0.82))
    b.boxes("keys", np.array(low), np.array(high), [key] * len(low))


def _smart(rng: np.random.Generator) -> Shape:
    """A thin slab that is nearly all screen."""
    b = Builder()
    h = float(rng.uniform(0.11, 0.165))
    w, t = h * float(rng.uniform(0.46, 0.56)) / 2, float(rng.uniform(0.004, 0.007))
    case, frame = _case(rng), float(rng.uniform(0.003, 0.006))
    old = rng.random() < 0.5
    margin = h * float(rng.uniform(0.1, 0.15)) if old else frame
    b.rounded("case", (-w, -t, 0), (w, t, h), t * 0.9, case)
    black = Material(color=(0.04, 0.04, 0.045)) if rng.random() < 0.7 else case
    panel(b, "face", (-w + 0.0015, w - 0.0015), (0.003, h - 0.003), -t, black, 0.0006)
    panel(b, "screen", (-w + frame, w - frame), (margin, h - margin), -t, _screen(rng), 0.0011)
    if old:
        r = margin * 0.28
        b.cylinder(
            "button",
            (0, -t - 0.0016, margin / 2),
            (0, -t, margin / 2),
            r,
            r,
            Material(color=(0.35, 0.35, 0.36)),
            12,
        )
        panel(
            b,
            "speaker",
            (-w * 0.25, w * 0.25),
            (h - margin * 0.6, h - margin * 0.45),
            -t,
            Material(color=(0.4, 0.4, 0.4)),
            0.0016,
        )
    for x, z in ((-w * 0.55, h * 0.88), (-w * 0.55, h * 0.78))[: int(rng.integers(1, 3))]:
        b.cylinder(
            "camera", (x, t, z), (x, t + 0.002, z), w * 0.2, w * 0.18, Material(color=(0.03, 0.03, 0.05)), 12
        )
    return b.finish("phone")


def _bar(rng: np.random.Generator) -> Shape:
    """A small screen above twelve keys, sometimes with an aerial; or a keyboard below a wide screen."""
    b = Builder()
    h = float(rng.uniform(0.1, 0.145))
    w, t = h * float(rng.uniform(0.38, 0.54)) / 2, float(rng.uniform(0.006, 0.011))
    case = _case(rng)
    v = b.rounded(
        "case", (-w, -t, 0), (w, t, h), min(t * 0.95, 0.009), case, puff=float(rng.uniform(0, 0.003)), steps=3
    )
    waist = float(rng.uniform(-0.06, 0.12))
    v[:, 0] *= 1 - waist * np.sin(np.pi * v[:, 2] / h)
    front = -t - 0.0022
    cut = float(rng.uniform(0.42, 0.56))
    panel(
        b,
        "surround",
        (-w * 0.84, w * 0.84),
        (h * (cut + 0.03), h * 0.93),
        front + 0.0006,
        Material(color=(0.06, 0.06, 0.07)),
        0.0012,
    )
    panel(b, "screen", (-w * 0.7, w * 0.7), (h * (cut + 0.07), h * 0.88), front, _screen(rng), 0.0016)
    panel(
        b,
        "menu",
        (-w * 0.3, w * 0.3),
        (h * (cut - 0.075), h * (cut - 0.015)),
        front,
        Material(color=(0.6, 0.6, 0.62)),
        0.002,
    )
    qwerty = rng.random() < 0.25
    _keys(b, rng, w * 0.8, h * 0.05, h * (cut - 0.1), front, case, 4, 8 if qwerty else 3)
    if rng.random() < 0.35:
        x, long = w * 0.65, h * float(rng.uniform(0.12, 0.4))
        b.cylinder(
            "aerial", (x, 0, h * 0.97), (x, 0, h + long), 0.004, 0.003, Material(color=(0.05, 0.05, 0.05)), 8
        )
    return b.finish("phone")


def _flip(rng: np.random.Generator) -> Shape:
    """Two shells on a hinge, opened: keys on the lower one, the screen on the upper one, which leans."""
    b = Builder()
    h = float(rng.uniform(0.075, 0.095))
    w, t = h * float(rng.uniform(0.46, 0.58)) / 2, float(rng.uniform(0.005, 0.008))
    case = _case(rng)
    lean = float(rng.uniform(0.1, 0.55))
    b.rounded("lower", (-w, -t, 0), (w, t, h), t * 0.8, case)
    _keys(b, rng, w * 0.8, h * 0.06, h * 0.62, -t, case)
    panel(b, "menu", (-w * 0.35, w * 0.35), (h * 0.68, h * 0.88), -t, Material(color=(0.6, 0.6, 0.63)), 0.002)
    first = len(b.parts)
    b.rounded("upper", (-w, -t, 0), (w, t, h), t * 0.8, case)
    panel(
        b,
        "surround",
        (-w * 0.86, w * 0.86),
        (h * 0.1, h * 0.9),
        -t,
        Material(color=(0.05, 0.05, 0.06)),
        0.0008,
    )
    panel(b, "screen", (-w * 0.72, w * 0.72), (h * 0.2, h * 0.82), -t, _screen(rng), 0.0014)
    cos, sin = np.cos(lean), np.sin(lean)
    for part in b.parts[first:]:
        y, z = part.vertices[:, 1].copy(), part.vertices[:, 2].copy()
        part.vertices[:, 1], part.vertices[:, 2] = cos * y - sin * z, h + 0.003 + sin * y + cos * z
    b.cylinder("hinge", (-w * 0.9, 0, h), (w * 0.9, 0, h), t * 1.1, t * 1.1, case, 10)
    if rng.random() < 0.3:
        b.cylinder(
            "aerial",
            (w * 0.8, t, h),
            (w * 0.8, t, h * 1.5),
            0.004,
            0.003,
            Material(color=(0.05, 0.05, 0.05)),
            8,
        )
    return b.finish("phone")


def _slider(rng: np.random.Generator) -> Shape:
    """The screen's half slid up from above the keys."""
    b = Builder()
    h = float(rng.uniform(0.085, 0.11))
    w, t = h * float(rng.uniform(0.42, 0.54)) / 2, float(rng.uniform(0.004, 0.006))
    case = _case(rng)
    up = h * float(rng.uniform(0.35, 0.5))
    b.rounded("back", (-w, 0, 0), (w, 2 * t, h), t * 0.9, case)
    _keys(b, rng, w * 0.8, h * 0.06, up * 0.95, 0.0, case)
    b.rounded("front", (-w, -2 * t, up), (w, 0, up + h), t * 0.9, case)
    panel(b, "screen", (-w * 0.82, w * 0.82), (up + h * 0.28, up + h * 0.93), -2 * t, _screen(rng), 0.0014)
    panel(
        b,
        "menu",
        (-w * 0.35, w * 0.35),
        (up + h * 0.07, up + h * 0.2),
        -2 * t,
        Material(color=(0.6, 0.6, 0.63)),
        0.0018,
    )
    return b.finish("phone")


def _desk(rng: np.random.Generator) -> Shape:
    """A wedge with keys, the handset across its top or along its side, a curled cord."""
    b = Builder()
    w, d = float(rng.uniform(0.08, 0.11)), float(rng.uniform(0.09, 0.12))
    low, high = float(rng.uniform(0.025, 0.04)), float(rng.uniform(0.07, 0.11))
    case = _case(rng)
    body = b.rounded("body", (-w, -d, 0), (w, d, high), 0.012, case)
    body[:, 2] *= (low + (high - low) * (body[:, 1] + d) / (2 * d)) / high
    slope = (high - low) / (2 * d)
    first = len(b.parts)
    side = rng.random() < 0.5
    left = -w * 0.35 if side else -w * 0.55
    key = Material(color=(0.75, 0.75, 0.75) if float(np.mean(case.color)) < 0.4 else (0.2, 0.2, 0.22))
    for r in range(4):
        for c in range(3):
            x, y = left + c * w * 0.4, -d * 0.85 + r * d * 0.24
            b.box("key", (x, y, -0.002), (x + w * 0.28, y + d * 0.16, 0.006), key)
    b.box("screen", (left, d * 0.22, -0.002), (w * 0.8, d * 0.6, 0.004), Material(color=(0.35, 0.42, 0.36)))
    for part in b.parts[first:]:
        part.vertices[:, 2] += low + slope * (part.vertices[:, 1] + d)
    x, y = (-w * 0.72, 0.0) if side else (0.0, d * 0.7)
    lift = low + slope * (y + d) + 0.03
    long, r = d * 0.95, w * 0.17
    across = np.array([0.0, 1.0, slope]) if side else np.array([1.0, 0.0, 0.0])
    s = np.linspace(-1, 1, 9)
    path = (
        np.array([x, y, lift])
        + long * s[:, None] * across
        + np.array([0, 0, 1.0]) * (0.012 * (1 - s[:, None] ** 2))
    )
    b.tube("handset", path, r * 0.7, case, sides=8)
    for end in (-1, 1):
        p = np.array([x, y, lift]) + end * long * across * 0.9
        b.cylinder("ear", (p[0], p[1], p[2] - 0.03), (p[0], p[1], p[2] + 0.012), r * 1.15, r * 1.05, case, 12)
    turns = np.linspace(0, 1, 60)
    start = np.array([-w, -d * 0.3, 0.02])
    cord = start + np.stack(
        [
            -0.05 * np.sin(np.pi * turns) + 0.007 * np.cos(turns * 75),
            d * 1.2 * turns * 0.6,
            0.007 * np.sin(turns * 75),
        ],
        1,
    )
    b.tube("cord", cord, 0.0025, Material(color=(0.1, 0.1, 0.1)), sides=5)
    return b.finish("phone")

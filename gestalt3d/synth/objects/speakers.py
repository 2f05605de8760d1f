"""Loudspeakers: boxes and towers with their cones, amplifiers behind cloth, wedges, small rounded ones. Cones at -y."""

import numpy as np

from gestalt3d.synth import colours
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.objects.hulls import facing_front, loft
from gestalt3d.synth.shapes import Builder, Shape


def speaker(rng: np.random.Generator) -> Shape:
    """One loudspeaker, in metres."""
    u = rng.random()
    if u < 0.68:
        return _box(rng)
    if u < 0.8:
        return _amplifier(rng)
    return _small(rng)


def _cone(
    b: Builder, rng: np.random.Generator, x: Number, z: Number, y: Number, r: Number, ring: Material
) -> None:
    """A driver on a front at `y`: ring, dish that goes in, cap in its middle."""
    dish = Material(color=(0.07, 0.07, 0.08) if rng.random() < 0.75 else (0.55, 0.5, 0.35))
    cap = Material(color=(0.15, 0.15, 0.16) if rng.random() < 0.7 else (0.7, 0.7, 0.72))
    v = b.lathe(
        "ring", [(r * 0.82, 0.0), (r, 0.0), (r, 0.012), (r * 0.9, 0.016), (r * 0.82, 0.004)], ring, sides=20
    )
    facing_front(v, (x, y, z))
    v = b.lathe(
        "cone",
        [(0.0, 0.0015), (r * 0.3, 0.0015), (r * 0.84, 0.009), (r * 0.84, 0.0), (0.0, 0.0)][::-1],
        dish,
        sides=20,
    )
    facing_front(v, (x, y, z))
    s = np.linspace(np.pi / 2, 0, 5)
    v = b.lathe(
        "cap",
        [(float(r * 0.32 * np.cos(a)), float(0.002 + r * 0.22 * np.sin(a))) for a in s[::-1]],
        cap,
        sides=14,
    )
    facing_front(v, (x, y, z))


def _veneer(rng: np.random.Generator) -> Material:
    u = rng.random()
    if u < 0.45:
        return colours.wood(rng)
    v = float(rng.uniform(0.05, 0.2) if u < 0.85 else rng.uniform(0.6, 0.92))
    return Material(color=(v, v, v))


def _box(rng: np.random.Generator) -> Shape:
    """Upright: for the shelf, or a tower, on spikes, on a stand."""
    b = Builder()
    tower = rng.random() < 0.4
    w = float(rng.uniform(0.08, 0.2))
    h = float(rng.uniform(0.8, 1.3)) if tower else w * 2 * float(rng.uniform(1.15, 1.9))
    d = w * float(rng.uniform(0.8, 1.5))
    case = _veneer(rng)
    front = Material(color=(0.06, 0.06, 0.065)) if rng.random() < 0.5 else case
    ring = Material(color=(0.25, 0.25, 0.26) if rng.random() < 0.6 else (0.7, 0.7, 0.72))
    z = 0.0
    u = rng.random()
    if not tower and u < 0.25:
        z = float(rng.uniform(0.4, 0.7))
        b.box("plate", (-w, -d, 0), (w, d, 0.02), case)
        b.cylinder("pole", (0, 0, 0), (0, 0, z), 0.03, 0.03, Material(color=(0.1, 0.1, 0.1)), 10)
    elif tower and u < 0.5:
        z = 0.04
        b.box(
            "plinth", (-w * 1.12, -d * 1.05, 0), (w * 1.12, d * 1.05, z), Material(color=(0.08, 0.08, 0.08))
        )
    if rng.random() < 0.75:
        b.box("case", (-w, -d, z), (w, d, z + h), case)
    else:
        v = b.rounded("case", (-w, -d, z), (w, d, z + h), w * 0.25, case)
        v[:, 0] *= 1 - float(rng.uniform(0.0, 0.4)) * np.clip((v[:, 1] + d) / (2 * d), 0, 1)
    y = -d - 0.004
    b.box("front", (-w * 0.94, y, z + h * 0.02), (w * 0.94, -d + 0.01, z + h * 0.98), front)
    big, count = w * float(rng.uniform(0.62, 0.8)), int(rng.integers(1, 4)) if tower else 1
    small = big * float(rng.uniform(0.35, 0.55))
    stack = 2.15 * big * count + 2.2 * small
    shrink = min(1.0, 0.92 * h / stack)
    big, small, stack = big * shrink, small * shrink, stack * shrink
    first = z + (h - stack) * (0.9 if tower else 0.5) + big
    for k in range(count):
        _cone(b, rng, 0, first + 2.15 * big * k, y, big, ring)
    _cone(b, rng, 0, first - big + 2.15 * big * count + small, y, small, ring)
    if tower and h - stack > w * 1.2 and rng.random() < 0.5:
        port, low = Material(color=(0.02, 0.02, 0.02)), z + (h - stack) * 0.4
        b.cylinder("port", (0, y - 0.003, low), (0, y + 0.01, low), w * 0.35, w * 0.35, port, 14)
    return b.finish("speaker")


def _amplifier(rng: np.random.Generator) -> Shape:
    """For guitars and stages: cloth over the cones, a strip of knobs, a handle, corners; or a box with slanted sides."""
    b = Builder()
    w = float(rng.uniform(0.22, 0.38))
    h, d = w * float(rng.uniform(1.4, 2.4)), w * float(rng.uniform(0.5, 0.8))
    case = Material(color=(0.07, 0.07, 0.075)) if rng.random() < 0.7 else colours.leather(rng)
    body = b.box("case", (-w, -d, 0), (w, d, h), case)
    body[:, 0] *= 1 - float(rng.choice((0.0, 0.25))) * (body[:, 1] > 0)
    v = float(rng.uniform(0.15, 0.6))
    cloth = Material(colours.SPECKLE, (v, v * 0.95, v * 0.85), (v * 0.5, v * 0.5, v * 0.45), 0.012, 0.7)
    strip = h * 0.16
    b.box("cloth", (-w * 0.9, -d - 0.006, h * 0.05), (w * 0.9, -d + 0.01, h * 0.95 - strip), cloth)
    if rng.random() < 0.6:
        _cone(
            b,
            rng,
            0,
            (h - strip) / 2,
            -d - 0.006,
            min(w * 0.7, (h - strip) * 0.4),
            Material(color=(0.3, 0.3, 0.3)),
        )
    b.box(
        "strip",
        (-w * 0.9, -d - 0.006, h * 0.96 - strip),
        (w * 0.9, -d + 0.01, h * 0.96),
        Material(color=(0.7, 0.65, 0.5) if rng.random() < 0.5 else (0.2, 0.2, 0.2)),
    )
    for k in range(5):
        x = -w * 0.65 + k * w * 0.32
        b.cylinder(
            "knob",
            (x, -d - 0.02, h * 0.96 - strip / 2),
            (x, -d, h * 0.96 - strip / 2),
            strip * 0.2,
            strip * 0.22,
            Material(color=(0.9, 0.9, 0.88)),
            10,
        )
    a = np.linspace(0, np.pi, 7)
    b.tube(
        "handle",
        np.stack([-w * 0.35 * np.cos(a), np.zeros(7), h + 0.035 * np.sin(a)], 1),
        0.012,
        Material(color=(0.05, 0.05, 0.05)),
    )
    return b.finish("speaker")


def _small(rng: np.random.Generator) -> Shape:
    """For a desk: a leaning wedge, an egg, or a drum on its side."""
    b = Builder()
    r = float(rng.uniform(0.05, 0.1))
    case = _veneer(rng)
    ring = Material(color=(0.5, 0.5, 0.52))
    u = rng.random()
    if u < 0.5:
        h, d = r * float(rng.uniform(2.6, 4.2)), r * float(rng.uniform(0.8, 1.2))
        rings = np.array([[(sx * r * k, sy * d * k + z * 0.15, z) for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
                          for z, k in ((0, 1.1), (h * 0.05, 1.15), (h * 0.9, 0.85), (h, 0.75))])  # fmt: skip
        loft(b, "case", rings, case)
        b.box(
            "foot", (-r * 1.2, -d * 1.2, -0.012), (r * 1.2, d * 1.2, 0.0), Material(color=(0.05, 0.05, 0.05))
        )
        for z, size in ((h * 0.34, r * 0.72), (h * 0.74, r * 0.42)):
            first = len(b.parts)
            _cone(b, rng, 0, 0, 0, size, ring)
            y = -d * float(np.interp(z / h, [0.05, 0.9], [1.15, 0.85])) + z * 0.15
            for part in b.parts[first:]:
                part.vertices[:] = part.vertices + np.array([0, y - 0.002, z])
        return b.finish("speaker")
    b.blob(
        "case",
        (0, 0, r * 1.25),
        (r, r * float(rng.uniform(0.8, 1.1)), r * float(rng.uniform(1.0, 1.3))),
        rng,
        case,
        bumps=0,
        power=0.8,
        rings=11,
        sides=18,
    )
    b.cylinder("foot", (0, 0, 0), (0, 0, r * 0.5), r * 0.8, r * 0.5, Material(color=(0.1, 0.1, 0.1)), 14)
    deep = float(-b.parts[0].vertices[:, 1].min())
    _cone(b, rng, 0, r * 1.25, -deep * 0.94, r * 0.62, ring)
    return b.finish("speaker")

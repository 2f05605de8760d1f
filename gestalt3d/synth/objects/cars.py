"""Cars: saloons, hatchbacks, estates, off-roaders, sports cars, pick-ups, vans. Bonnet at -y."""

from typing import NamedTuple

import numpy as np

from gestalt3d.synth import colours
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.objects.hulls import loft, wheel
from gestalt3d.synth.shapes import Builder, Shape

_TYRE, _BLACK = Material(color=(0.05, 0.05, 0.05)), Material(color=(0.03, 0.03, 0.035))
_LIGHT, _RED = Material(color=(0.95, 0.95, 0.9)), Material(color=(0.7, 0.05, 0.04))


class _Kind(NamedTuple):
    """Lengths as shares of the car's, heights in metres; ranges are drawn from uniformly."""

    long: tuple[float, float]
    wide: tuple[float, float]
    belt: tuple[float, float]
    """Height of the lower edge of the windows."""
    roof: tuple[float, float]
    """Of the roof above the belt."""
    cabin: tuple[float, float, float, float]
    """Windscreen's foot, roof's front, roof's rear and rear window's foot, from the front."""
    bonnet: float
    """Height of its front edge as a share of the belt."""
    tail: float
    wheel: tuple[float, float]
    clearance: tuple[float, float]


_KINDS = {
    "saloon": _Kind(
        (4.3, 5.1), (1.7, 1.9), (0.85, 0.98), (0.42, 0.5),
        (0.26, 0.42, 0.68, 0.86), 0.72, 0.9, (0.3, 0.34), (0.16, 0.22),
    ),
    "hatchback": _Kind(
        (3.5, 4.3), (1.6, 1.8), (0.88, 1.0), (0.48, 0.6),
        (0.22, 0.4, 0.84, 0.97), 0.74, 0.92, (0.28, 0.33), (0.16, 0.22),
    ),
    "estate": _Kind(
        (4.4, 5.0), (1.7, 1.9), (0.9, 1.0), (0.45, 0.52),
        (0.25, 0.4, 0.9, 0.985), 0.74, 0.94, (0.3, 0.34), (0.16, 0.22),
    ),
    "off-roader": _Kind(
        (3.8, 5.0), (1.75, 2.0), (1.05, 1.25), (0.55, 0.7),
        (0.28, 0.36, 0.94, 0.985), 0.85, 0.96, (0.36, 0.45), (0.26, 0.4),
    ),
    "sports": _Kind(
        (3.9, 4.7), (1.8, 2.0), (0.76, 0.86), (0.32, 0.4),
        (0.33, 0.52, 0.66, 0.92), 0.84, 0.95, (0.3, 0.35), (0.1, 0.15),
    ),
    "pick-up": _Kind(
        (4.8, 5.6), (1.75, 2.0), (0.98, 1.15), (0.5, 0.6),
        (0.27, 0.36, 0.55, 0.6), 0.86, 0.95, (0.35, 0.43), (0.24, 0.36),
    ),
    "van": _Kind(
        (4.2, 5.6), (1.7, 2.0), (1.0, 1.2), (0.75, 1.1),
        (0.08, 0.2, 0.97, 0.99), 0.75, 0.98, (0.31, 0.36), (0.18, 0.25),
    ),
}  # fmt: skip
_SHARES = (0.24, 0.2, 0.1, 0.16, 0.14, 0.08, 0.08)


def car(rng: np.random.Generator) -> Shape:
    """One car, in metres."""
    name = str(rng.choice(list(_KINDS), p=_SHARES))
    kind = _KINDS[name]
    b = Builder()
    long, wide = float(rng.uniform(*kind.long)), float(rng.uniform(*kind.wide)) / 2
    belt, r = float(rng.uniform(*kind.belt)), float(rng.uniform(*kind.wheel))
    roof, low = belt + float(rng.uniform(*kind.roof)), float(rng.uniform(*kind.clearance))
    body = _paint(rng)
    cuts = np.array(kind.cabin) + rng.normal(0, 0.012, 4)
    cuts = np.sort(np.clip(cuts, 0.05, 0.99)) * long
    _body(b, rng, long, wide, low, belt, kind, float(cuts[0]), float(cuts[3]), body)
    if name == "pick-up":
        _bed(b, long, wide, belt, float(cuts[3]), body)
    open_top = name == "sports" and rng.random() < 0.25
    _cabin(
        b,
        rng,
        wide,
        belt,
        roof,
        cuts,
        body,
        windows_behind=name != "van" or rng.random() < 0.4,
        is_open=open_top,
    )
    _wheels(
        b,
        rng,
        long,
        wide,
        r,
        belt * kind.bonnet,
        front=float(rng.uniform(0.16, 0.2)),
        rear=float(rng.uniform(0.77, 0.82)),
    )
    _trim(b, rng, long, wide, low, belt, kind, body)
    if name == "sports" and rng.random() < 0.5:
        z = belt * 1.0 + 0.16
        b.box("spoiler", (-wide * 0.8, long * 0.93, z), (wide * 0.8, long * 0.99, z + 0.03), body)
        for x in (-wide * 0.55, wide * 0.55):
            b.box("spoiler", (x - 0.02, long * 0.94, belt * 0.85), (x + 0.02, long * 0.97, z), body)
    if name in ("off-roader", "estate") and rng.random() < 0.5:
        for x in (-wide * 0.68, wide * 0.68):
            b.box(
                "rail", (x - 0.02, cuts[1] + 0.1, roof + 0.03), (x + 0.02, cuts[2] - 0.1, roof + 0.06), _BLACK
            )
    if name == "off-roader" and rng.random() < 0.4:
        b.cylinder(
            "spare wheel", (0, long, belt * 0.8), (0, long + 0.2, belt * 0.8), r * 0.95, r * 0.9, _TYRE, 18
        )
    return b.finish("car")


def _paint(rng: np.random.Generator) -> Material:
    u = rng.random()
    if u < 0.5:
        v = float(rng.choice((0.08, 0.2, 0.45, 0.65, 0.85, 0.95))) + float(rng.uniform(-0.03, 0.03))
        return Material(color=(v, v, v * float(rng.uniform(0.97, 1.05))))
    return Material(color=colours.any_color(rng))


def _section(wide: Number, z0: Number, z1: Number, y: Number) -> list[tuple[float, float, float]]:
    """Across the car: upright sides that lean in a little at the top, rounded corners."""
    h = z1 - z0
    right = [(0.86, 0.0), (0.96, 0.06), (1.0, 0.3), (0.99, 0.62), (0.95, 0.86), (0.86, 0.97), (0.6, 1.0)]
    points = [*right, *((-x, z) for x, z in reversed(right))]
    return [(float(x * wide), float(y), float(z0 + z * h)) for x, z in points]


def _body(
    b: Builder, rng: np.random.Generator, long: Number, wide: Number, low: Number, belt: Number, kind: _Kind, screen: Number,
    rear: Number, body: Material,
) -> None:  # fmt: skip
    """Bonnet, doors and boot: all below the windows."""
    nose, tail = belt * kind.bonnet, belt * kind.tail
    narrow = float(rng.uniform(0.78, 0.92))
    y = (
        np.array([0.0, 0.012, 0.05, screen / long * 0.7, screen / long, 0.5, rear / long, 0.97, 0.993, 1.0])
        * long
    )
    y = np.maximum.accumulate(y)
    top = np.array(
        [
            nose * 0.8,
            nose * 0.93,
            nose,
            (nose + 2 * belt) / 3,
            belt,
            belt,
            belt,
            tail,
            tail * 0.95,
            tail * 0.8,
        ]
    )
    bottom = np.array([low * 1.7, low * 1.2, low, low, low, low, low, low * 1.1, low * 1.4, low * 1.9])
    size = np.array([narrow * 0.94, narrow, (1 + narrow) / 2, 1, 1, 1, 1, 0.95, 0.91, 0.87])
    rings = [_section(w * wide, z0, z1, at) for at, z0, z1, w in zip(y, bottom, top, size, strict=True)]
    loft(b, "body", np.array(rings), body)


def _bed(b: Builder, long: Number, wide: Number, belt: Number, start: Number, body: Material) -> None:
    """What one sees of a pick-up's open bed: a dark hollow between its boards."""
    b.box("bed", (-wide * 0.8, start + 0.1, belt * 0.93), (wide * 0.8, long * 0.975, belt + 0.004), _BLACK)
    for x in (-wide * 0.9, wide * 0.82):
        b.box("board", (x, start, belt * 0.9), (x + wide * 0.08, long * 0.985, belt + 0.12), body)


def _cabin(
    b: Builder, rng: np.random.Generator, wide: Number, belt: Number, roof: Number, cuts: np.ndarray, body: Material, *,
    windows_behind: bool, is_open: bool,
) -> None:  # fmt: skip
    """Windows as one dark body that narrows upwards, pillars and roof over it."""
    v = float(rng.uniform(0.05, 0.2))
    glass = Material(color=(v, v * 1.05, v * 1.12))
    foot, top = wide * 0.93, wide * float(rng.uniform(0.7, 0.82))
    a, c, d, e = cuts.tolist()

    def level(share: float, grow: float = 0.0) -> np.ndarray:
        z = belt - 0.02 + share * (roof - belt)
        w = foot + share * (top - foot) + grow
        y0, y1 = a + share * (c - a) - grow, e + share * (d - e) + grow
        corner = 0.12 * w
        return np.array([
            (-w, y0 + corner, z), (-w + corner, y0, z), (w - corner, y0, z), (w, y0 + corner, z),
            (w, y1 - corner, z), (w - corner, y1, z), (-w + corner, y1, z), (-w, y1 - corner, z),
        ])  # fmt: skip

    if is_open:
        # An open car: a low windscreen and two seats.
        b.box("screen", (-top, a, belt), (top, a + 0.04, belt + 0.3), glass)
        b.parts[-1].vertices[:, 1] += 0.6 * (b.parts[-1].vertices[:, 2] - belt)
        b.box("cockpit", (-foot * 0.85, a + 0.2, belt - 0.05), (foot * 0.85, d + 0.3, belt + 0.012), _BLACK)
        for x in (-foot * 0.42, foot * 0.42):
            b.rounded(
                "seat",
                (x - 0.2, d - 0.05, belt - 0.1),
                (x + 0.2, d + 0.1, belt + 0.26),
                0.06,
                colours.leather(rng),
            )
        return
    loft(b, "windows", np.stack([level(0.0), level(0.5), level(0.95)]), glass)
    loft(b, "roof", np.stack([level(0.9, 0.015), level(1.0, 0.0), _shrunk(level(1.06), 0.8)]), body)
    stations = [(c, a), (d, e)] if d - c < 1.0 else [(c, a), ((c + d) / 2, (c + d) / 2), (d, e)]
    for upper, lower in stations:
        for side in (-1, 1):
            b.cylinder(
                "pillar",
                (side * foot, lower, belt - 0.02),
                (side * top * 0.97, upper, roof - 0.045),
                0.045,
                0.04,
                body,
                6,
            )
    if not windows_behind:
        middle = a + 0.42 * (e - a)
        rear = [np.maximum(level(s, 0.012), [-9.0, middle, 0.0]) for s in (0.0, 1.0)]
        loft(b, "panel", np.stack(rear), body)


def _shrunk(ring: np.ndarray, share: float) -> np.ndarray:
    middle = ring.mean(0) * np.array([1, 1, 0]) + ring[:, 2:].mean() * np.array([0, 0, 1])
    return middle + (ring - middle) * np.array([share, share, 1.0])


def _wheels(
    b: Builder,
    rng: np.random.Generator,
    long: Number,
    wide: Number,
    r: Number,
    nose: Number,
    *,
    front: Number,
    rear: Number,
) -> None:
    """Under a bonnet of height `nose`."""
    hub = Material(color=(0.7, 0.7, 0.72) if rng.random() < 0.8 else (0.12, 0.12, 0.12))
    for y in (front * long, rear * long):
        for side in (-1, 1):
            # The arch: a dark disc a little larger than the wheel, flush with the side.
            x, arch = side * wide, min(r * 1.16, nose * 0.95 - r * 1.05)
            b.cylinder("arch", (x * 0.9, y, r * 1.05), (x * 1.003, y, r * 1.05), arch, arch, _BLACK, 18)
            wheel(b, side * (wide - 0.1), y, r, 0.22, _TYRE, hub)


def _trim(
    b: Builder,
    rng: np.random.Generator,
    long: Number,
    wide: Number,
    low: Number,
    belt: Number,
    kind: _Kind,
    body: Material,
) -> None:
    """Lights, grille, bumpers, plates, mirrors, door lines."""
    nose = belt * kind.bonnet
    lamp, h = wide * float(rng.uniform(0.14, 0.24)), (nose - low) * float(rng.uniform(0.14, 0.22))
    z, z_rear = low + (nose - low) * 0.62, low + (belt * kind.tail - low) * 0.62
    for side in (-1, 1):
        x = side * wide * 0.62
        b.box("headlight", (x - lamp, -0.015, z - h / 2), (x + lamp, 0.08, z + h / 2), _LIGHT)
        b.box(
            "tail light",
            (x - lamp, long - 0.08, z_rear - h / 2),
            (x + lamp, long + 0.012, z_rear + h / 2),
            _RED,
        )
        b.box(
            "mirror",
            (side * wide * 1.05 - 0.07, long * 0.29, belt),
            (side * wide * 1.05 + 0.07, long * 0.29 + 0.08, belt + 0.12),
            body,
        )
        for y in (0.35, 0.55) if rng.random() < 0.7 else (0.38,):
            b.box(
                "handle",
                (side * wide - 0.012, long * (y + 0.12), belt * 0.83),
                (side * wide + 0.012, long * (y + 0.15), belt * 0.86),
                _BLACK,
            )
    b.box("grille", (-wide * 0.34, -0.012, z - h * 0.7), (wide * 0.34, 0.06, z + h * 0.4), _BLACK)
    bumper = _BLACK if rng.random() < 0.4 else body
    b.rounded("bumper", (-wide * 0.85, -0.07, low * 1.2), (wide * 0.85, 0.12, low * 1.2 + 0.2), 0.05, bumper)
    b.rounded(
        "bumper",
        (-wide * 0.85, long - 0.12, low * 1.3),
        (wide * 0.85, long + 0.06, low * 1.3 + 0.2),
        0.05,
        bumper,
    )
    b.box("plate", (-0.24, long + 0.01, z_rear - 0.28), (0.24, long + 0.065, z_rear - 0.17), _LIGHT)

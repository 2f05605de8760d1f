"""Rifles: hunting rifles, assault rifles, marksman's rifles, shotguns. Muzzle at -y, sights at +z."""

import numpy as np

from gestalt3d.synth import colours
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.objects.hulls import bar_rings, loft
from gestalt3d.synth.shapes import Builder, Shape


def rifle(rng: np.random.Generator) -> Shape:
    """One rifle, in metres."""
    return _assault(rng) if rng.random() < 0.55 else _wooden(rng)


def _steel(rng: np.random.Generator) -> Material:
    v = float(rng.uniform(0.05, 0.3))
    return Material(color=(v, v, v * 1.05))


def _tube(
    b: Builder, name: str, y0: Number, y1: Number, z: Number, r: Number, material: Material, sides: int = 10
) -> None:
    b.cylinder(name, (0, y0, z), (0, y1, z), r, r, material, sides)


def _scope(b: Builder, rng: np.random.Generator, y: Number, z: Number, steel: Material) -> None:
    """A telescope on two rings."""
    long, r = float(rng.uniform(0.2, 0.34)), float(rng.uniform(0.012, 0.017))
    top = z + 0.022 + r
    _tube(b, "scope", y, y + long, top, r, steel)
    b.cylinder("scope", (0, y - long * 0.12, top), (0, y + long * 0.22, top), r * 1.7, r * 1.05, steel, 12)
    b.cylinder("scope", (0, y + long * 0.82, top), (0, y + long * 1.05, top), r * 1.1, r * 1.45, steel, 12)
    for at in (0.35, 0.7):
        b.box("ring", (-0.008, y + long * at - 0.01, z), (0.008, y + long * at + 0.01, top), steel)


def _bipod(b: Builder, y: Number, z: Number, steel: Material) -> None:
    for x in (-0.09, 0.09):
        b.cylinder("bipod", (0, y, z), (x, y - 0.05, z - 0.22), 0.007, 0.007, steel, 6)


def _guard(b: Builder, y0: Number, y1: Number, z: Number, steel: Material) -> None:
    """The bow below the trigger, and the trigger."""
    a = np.linspace(0, np.pi, 7)
    path = np.stack([np.zeros(7), (y0 + y1) / 2 - (y1 - y0) / 2 * np.cos(a), z - 0.036 * np.sin(a)], 1)
    b.tube("trigger guard", path, 0.004, steel)
    b.box("trigger", (-0.003, (y0 + y1) / 2 - 0.004, z - 0.025), (0.003, (y0 + y1) / 2 + 0.004, z), steel)


def _magazine(
    b: Builder, y: Number, z: Number, long: Number, drop: Number, bend: Number, steel: Material
) -> None:
    """Down from the receiver, curved forwards by `bend` metres at its foot."""
    s = np.linspace(0, 1, 6)
    half, w = long / 2, 0.013
    middle = y - bend * s**1.8
    z_at = z - drop * s
    rings = [
        [(x, m + y, at) for x, y in ((-w, -half), (w, -half), (w, half), (-w, half))]
        for m, at in zip(middle, z_at, strict=True)
    ]
    loft(b, "magazine", np.array(rings), steel)


def _wooden(rng: np.random.Generator) -> Shape:
    """A stock of one piece under barrel and bolt; also shotguns with two barrels or a pump, with or without a scope."""
    b = Builder()
    steel = _steel(rng)
    stock = colours.wood(rng) if rng.random() < 0.8 else Material(color=(0.12, 0.14, 0.1))
    barrel, r = float(rng.uniform(0.5, 0.78)), float(rng.uniform(0.008, 0.012))
    fore = barrel * float(rng.uniform(0.25, 0.9))
    receiver, butt = float(rng.uniform(0.18, 0.26)), float(rng.uniform(0.34, 0.42))
    drop, deep = float(rng.uniform(0.03, 0.07)), float(rng.uniform(0.1, 0.14))
    rear, end = receiver + 0.1, receiver + butt
    y = [-fore, -fore + 0.03, 0.0, receiver, rear, rear + 0.08, end - 0.02, end]
    low = [-0.025, -0.035, -0.045, -0.045, -0.05 - drop, -0.05 - drop * 1.4, -deep - drop, -deep - drop]
    high = [0.0, 0.002, 0.004, 0.0, -0.012 - drop * 0.5, -0.005 - drop * 0.4, -drop * 0.6, -drop * 0.7]
    half = [0.013, 0.017, 0.02, 0.02, 0.016, 0.018, 0.021, 0.02]
    loft(b, "stock", bar_rings(y, low, high, half, 0.5), stock)
    b.box(
        "butt plate",
        (-0.02, end, -deep - drop),
        (0.02, end + 0.012, -drop * 0.7),
        Material(color=(0.06, 0.05, 0.05)),
    )
    twin = rng.random() < 0.2
    if twin:
        for x in (-r * 1.05, r * 1.05):
            b.cylinder("barrel", (x, -barrel, r), (x, receiver * 0.3, r), r, r * 1.2, steel, 10)
    else:
        b.cylinder("barrel", (0, -barrel, r * 1.1), (0, receiver * 0.3, r * 1.1), r * 0.9, r * 1.4, steel, 10)
        if rng.random() < 0.25:
            _tube(b, "tube", -barrel * 0.9, 0.0, -r * 1.3, r * 1.1, steel)
            b.rounded("pump", (-0.022, -barrel * 0.6, -0.035), (0.022, -barrel * 0.32, 0.012), 0.01, stock)
    b.rounded("receiver", (-0.018, 0.0, -0.01), (0.018, receiver, 0.03), 0.01, steel)
    if not twin:
        b.cylinder(
            "bolt", (0.015, receiver * 0.85, 0.015), (0.07, receiver * 0.9, -0.02), 0.006, 0.006, steel, 6
        )
        b.blob(
            "bolt knob",
            (0.072, receiver * 0.9, -0.022),
            (0.012, 0.012, 0.012),
            rng,
            steel,
            bumps=0,
            rings=5,
            sides=8,
        )
    _guard(b, receiver * 0.75, receiver + 0.06, -0.045, steel)
    if rng.random() < 0.25:
        _magazine(b, receiver * 0.45, -0.04, 0.07, float(rng.uniform(0.04, 0.09)), 0.0, steel)
    if rng.random() < 0.5:
        _scope(b, rng, receiver * 0.1, 0.03, steel)
    else:
        b.box("sight", (-0.003, -barrel + 0.01, r), (0.003, -barrel + 0.025, r * 2 + 0.02), steel)
    if rng.random() < 0.12:
        _bipod(b, -fore * 0.8, -0.01, steel)
    return b.finish("rifle")


def _assault(rng: np.random.Generator) -> Shape:
    """Receiver, hand guard, pistol grip, magazine and a stock that is solid, a frame or none."""
    b = Builder()
    steel = _steel(rng)
    u = rng.random()
    furniture = steel if u < 0.5 else colours.wood(rng) if u < 0.72 else Material(color=(0.45, 0.38, 0.26))
    receiver, h = float(rng.uniform(0.2, 0.28)), float(rng.uniform(0.05, 0.07))
    guard, barrel = float(rng.uniform(0.16, 0.3)), float(rng.uniform(0.12, 0.34))
    b.rounded("receiver", (-0.02, 0, -h / 2), (0.02, receiver, h / 2), 0.008, steel)
    b.rounded("hand guard", (-0.024, -guard, -h * 0.42), (0.024, 0.01, h * 0.42), 0.014, furniture)
    _tube(b, "barrel", -guard - barrel, 0, h * 0.1, 0.009, steel)
    if rng.random() < 0.7:
        _tube(b, "muzzle", -guard - barrel - 0.02, -guard - barrel + 0.04, h * 0.1, 0.013, steel)
    if rng.random() < 0.25:
        _tube(b, "silencer", -guard - barrel - 0.16, -guard - barrel + 0.02, h * 0.1, 0.02, steel, 12)
    y = receiver * float(rng.uniform(0.72, 0.85))
    grip = np.array(bar_rings([0, 0.035, 0.04], [-0.1, -0.1, -0.1], [0, 0, 0], 0.014, 0.4))
    loft(b, "grip", _leaning(grip, y, -h / 2 + 0.005, 0.4), furniture)
    _guard(b, y - 0.06, y + 0.01, -h / 2, steel)
    curved = rng.random() < 0.6
    drop = float(rng.uniform(0.1, 0.19))
    _magazine(
        b,
        receiver * float(rng.uniform(0.3, 0.42)),
        -h / 2 + 0.01,
        0.065,
        drop,
        drop * 0.45 if curved else drop * 0.08,
        steel,
    )
    _rear(b, rng, receiver, h, furniture, steel)
    top = h / 2
    u = rng.random()
    if u < 0.4:
        _scope(b, rng, receiver * 0.1, top, steel)
    elif u < 0.6:
        b.box(
            "carry handle",
            (-0.008, receiver * 0.15, top + 0.035),
            (0.008, receiver * 0.85, top + 0.055),
            steel,
        )
        for at in (0.2, 0.75):
            b.box(
                "carry handle",
                (-0.008, receiver * at, top - 0.01),
                (0.008, receiver * (at + 0.1), top + 0.045),
                steel,
            )
    else:
        b.box("rear sight", (-0.01, receiver * 0.5, top), (0.01, receiver * 0.6, top + 0.025), steel)
    front = b.box(
        "front sight",
        (-0.005, -guard - barrel * 0.5, 0),
        (0.005, -guard - barrel * 0.5 + 0.02, top + 0.035),
        steel,
    )
    front[front[:, 2] > 0, 1] += 0.006
    if rng.random() < 0.2:
        _bipod(b, -guard * 0.95, -h * 0.3, steel)
    if rng.random() < 0.2:
        b.cylinder(
            "front grip",
            (0, -guard * 0.5, -h * 0.3),
            (0, -guard * 0.5, -h * 0.3 - 0.09),
            0.014,
            0.012,
            furniture,
            8,
        )
    return b.finish("rifle")


def _leaning(rings: np.ndarray, y: Number, z: Number, lean: Number) -> np.ndarray:
    """Rings moved to (y, z); what is lower lies farther back."""
    out = rings.copy()
    out[..., 1] += y - lean * rings[..., 2]
    out[..., 2] += z
    return out


def _rear(
    b: Builder, rng: np.random.Generator, receiver: Number, h: Number, furniture: Material, steel: Material
) -> None:
    """The stock."""
    long, deep = float(rng.uniform(0.2, 0.28)), float(rng.uniform(0.09, 0.13))
    end, top = receiver + long, h * float(rng.uniform(0.1, 0.45))
    u = rng.random()
    if u < 0.6:
        y = [receiver - 0.01, receiver + long * 0.4, end - 0.02, end]
        loft(
            b,
            "stock",
            bar_rings(
                y,
                [-h * 0.4, -h * 0.55, -deep + top, -deep + top],
                [top, top, top, top],
                [0.016, 0.018, 0.02, 0.02],
                0.45,
            ),
            furniture,
        )
    elif u < 0.9:
        _tube(b, "stock", receiver - 0.01, end - 0.03, top * 0.5, 0.013, steel)
        loft(
            b,
            "stock",
            bar_rings(
                [end - 0.11, end - 0.03, end],
                [-0.03, -deep + top, -deep + top],
                [top + 0.01, top + 0.01, top + 0.01],
                0.017,
                0.4,
            ),
            furniture,
        )
    else:
        for z in (top, -h * 0.4):
            b.tube(
                "stock",
                np.array([[0, receiver - 0.01, z], [0, end, z - (0.0 if z > 0 else 0.04)]]),
                0.007,
                steel,
            )
        b.box("butt", (-0.012, end - 0.012, -deep + top), (0.012, end + 0.012, top + 0.012), steel)

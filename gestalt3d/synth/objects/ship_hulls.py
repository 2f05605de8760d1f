"""Hulls of ships and boats, and the houses on them. Bow at y = 0, stern at larger y; the deck amidships at z = 0."""

import numpy as np

from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.objects.hulls import loft, repainted
from gestalt3d.synth.shapes import Builder

DARK, WHITE = Material(color=(0.06, 0.07, 0.09)), Material(color=(0.93, 0.93, 0.92))
_RUST = Material(color=(0.45, 0.12, 0.1))


def outline(s: np.ndarray, *, sharp: Number, stern: Number) -> np.ndarray:
    """Half width along the hull, as a share of its most: bow at s = 0, stern of width `stern` at 1."""
    bow = 1 - (1 - np.clip(s / 0.45, 0, 1)) ** sharp
    return np.maximum(bow * (1 - (1 - stern) * np.clip((s - 0.6) / 0.4, 0, 1) ** 2), 0.015)


def hull(
    b: Builder, rng: np.random.Generator, long: Number, wide: Number, deep: Number, skin: Material, *, deck: Material,
    sheer: Number, flare: Number, stern: Number, water: Number | None = None,
) -> None:  # fmt: skip
    """A closed hull from y = 0 to `long`, its deck at z = 0 amidships, higher by `sheer` at the bow; red below `water`."""
    s = np.concatenate([np.linspace(0, 0.3, 7)[:-1], np.linspace(0.3, 1, 7)])
    half = wide * outline(s, sharp=float(rng.uniform(1.6, 2.4)), stern=stern)
    high = sheer * (1 - np.clip(s / 0.5, 0, 1)) ** 2 + 0.25 * sheer * np.clip((s - 0.7) / 0.3, 0, 1) ** 2
    rake = float(rng.uniform(0.05, 0.12)) * long
    depth = np.linspace(0, 1, 6)
    rings = []
    for share, w, top in zip(s, half, high, strict=True):
        # Down the right side, along the keel, up the left; the bow's stem leans forward.
        across = w * (1 - flare * depth**2) * (1 - depth**6 * 0.75)
        down = top - depth * (top + deep * (0.75 + 0.25 * min(1.0, share / 0.15)))
        y = share * long + rake * depth * max(0.0, 1 - share / 0.25)
        right = np.stack([across, y, down], 1)
        left = right[::-1] * np.array([-1, 1, 1])
        rings.append(np.concatenate([right, left]))
    vertices = loft(b, "hull", np.stack(rings), skin)
    part = b.parts[-1]
    normal_up = np.cross(
        vertices[part.faces[:, 1]] - vertices[part.faces[:, 0]],
        vertices[part.faces[:, 2]] - vertices[part.faces[:, 0]],
    )
    size = np.linalg.norm(normal_up, axis=1) + 1e-12
    middle = vertices[part.faces].mean(1)
    painted = repainted(part, (normal_up[:, 2] / size > 0.8) & (middle[:, 2] > -0.1 * deep), deck)
    assert painted.face_material is not None
    if water is not None:
        under = middle[:, 2] < -water * deep
        painted = painted._replace(
            materials=(skin, deck, _RUST), face_material=np.where(under, 2, painted.face_material)
        )
    b.parts[-1] = painted


def tower(
    b: Builder,
    rng: np.random.Generator,
    y0: Number,
    y1: Number,
    wide: Number,
    z: Number,
    floors: int,
    each: Number,
    wall: Material,
) -> float:
    """Storeys of a ship's house, each a little smaller, with a row of windows; the height of its roof."""
    for k in range(floors):
        shrink = 1 - 0.1 * k
        span, middle = (y1 - y0) * (1 - 0.12 * k), (y0 + y1) / 2 + (y1 - y0) * 0.04 * k
        low = z + k * each
        b.box(
            "house",
            (-wide * shrink, middle - span / 2, low),
            (wide * shrink, middle + span / 2, low + each),
            wall,
        )
        if rng.random() < 0.8:
            b.box(
                "windows", (-wide * shrink * 0.92, middle - span / 2 - each * 0.03, low + each * 0.5),
                (wide * shrink * 0.92, middle + span / 2 * 0.9, low + each * 0.8), DARK,
            )  # fmt: skip
            b.box(
                "windows", (-wide * shrink * 1.01, middle - span * 0.4, low + each * 0.5),
                (wide * shrink * 1.01, middle + span * 0.4, low + each * 0.75), DARK,
            )  # fmt: skip
    return z + floors * each

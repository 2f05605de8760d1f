"""Beds with their bedding."""

import numpy as np

from gestalt3d.synth import colours, props
from gestalt3d.synth.colours import Number
from gestalt3d.synth.seating import legs
from gestalt3d.synth.shapes import Builder, Item, Shape, Surface


def _cover(
    rng: np.random.Generator, w: Number, y0: Number, y1: Number, z: Number, drop: Number
) -> np.ndarray:
    """A blanket's grid of points: on the mattress in folds, hanging down at both sides and the foot."""
    across = np.concatenate([[-1.04, -1.03], np.linspace(-0.98, 0.98, 13), [1.03, 1.04]])
    along = np.concatenate([[y0 - 0.03, y0 - 0.02], np.linspace(y0 + 0.02, y1, 16)])
    x, y = np.meshgrid(across * w / 2, along)
    height = np.full_like(x, z + 0.02)
    k = rng.normal(0, 7, (6, 2))
    amplitude = rng.uniform(0.0, 0.022)
    for wave in k:
        height += amplitude * np.sin(x * wave[0] + y * wave[1] + rng.uniform(0, 6))
    height[:, [0, -1]] = z - drop + rng.normal(0, 0.02, (len(along), 2))
    height[:, [1, -2]] = z - drop * 0.4
    height[0] = np.minimum(height[0], z - drop)
    height[1] = np.minimum(height[1], z - drop * 0.4)
    x = x + 0.015 * np.sin(y * 9)
    return np.stack([x, y, height], -1)


def bed(rng: np.random.Generator) -> Shape:
    """The head stands at the wall. Pillows are items of their own."""
    b = Builder()
    double = rng.random() < 0.55
    w = float(rng.uniform(1.3, 1.85) if double else rng.uniform(0.85, 1.2))
    length = float(rng.uniform(1.9, 2.15))
    top = float(rng.uniform(0.38, 0.68))
    thick = float(rng.uniform(0.14, 0.3))
    frame = colours.hard(rng) if rng.random() < 0.7 else colours.fabric_or_leather(rng)
    hx, hy = w / 2, length / 2
    base = top - thick
    sheet = colours.cloth(rng)
    u = rng.random()
    if u < 0.5:
        b.box("frame", (-hx - 0.03, -hy - 0.03, max(base - 0.2, 0.02)), (hx + 0.03, hy, base + 0.05), frame)
        legs(b, rng, hx, hy, max(base - 0.18, 0.03), frame, thick=0.03, style=int(rng.integers(2)))
    elif u < 0.8:
        b.rounded("box spring", (-hx, -hy, 0.06), (hx, hy, base), 0.03, frame)
    else:
        b.box("frame", (-hx - 0.02, -hy - 0.02, 0), (hx + 0.02, hy, base), frame)
    b.rounded("mattress", (-hx, -hy, base), (hx, hy, top), 0.06, sheet)
    v = rng.random()
    head = float(rng.uniform(0.75, 1.3))
    if v < 0.75:
        soft = rng.random() < 0.4
        cover = colours.fabric_or_leather(rng) if soft else frame
        b.rounded(
            "headboard", (-hx - 0.04, hy, 0), (hx + 0.04, hy + (0.1 if soft else 0.05), head), 0.03, cover
        )
        b.solid(-hx - 0.04, hy, 0, hx + 0.04, hy + 0.08, head)
    if rng.random() < 0.2:
        b.box(
            "footboard",
            (-hx - 0.03, -hy - 0.06, 0),
            (hx + 0.03, -hy - 0.02, top + float(rng.uniform(0.05, 0.3))),
            frame,
        )
    fold = hy - float(rng.uniform(0.3, 0.9))
    if rng.random() < 0.85:
        b.sheet(
            "blanket",
            _cover(rng, w, -hy, fold, top, min(float(rng.uniform(0.08, 0.5)), top - 0.03)),
            colours.cloth(rng),
        )
        if rng.random() < 0.4:
            b.rounded("fold", (-hx, fold - 0.25, top), (hx, fold, top + 0.05), 0.025, sheet)
    elif rng.random() < 0.7:
        # Not made: the blanket lies in a heap.
        b.blob(
            "blanket",
            (float(rng.uniform(-0.2, 0.2)), -0.3, top + 0.06),
            (hx * 0.8, 0.6, 0.14),
            rng,
            colours.cloth(rng),
            bumps=0.5,
        )
    b.solid(-hx, -hy, 0, hx, hy, top)
    b.surfaces.append(Surface(-hx + 0.1, -hy + 0.1, hx - 0.1, hy - 0.6, top + 0.04, 0.6))
    pillow_width = min(0.75, w * (0.42 if double else 0.65))
    for x in (-w * 0.25, w * 0.25) if double else (0.0,):
        if rng.random() < 0.9:
            p = props.pillow(rng, (pillow_width, float(rng.uniform(0.35, 0.5)), float(rng.uniform(0.1, 0.2))))
            b.items.append(
                Item(
                    p,
                    (x + float(rng.normal(0, 0.04)), hy - 0.28 + float(rng.normal(0, 0.04)), top),
                    float(rng.normal(0, 0.12)),
                )
            )
    return b.finish("bed")

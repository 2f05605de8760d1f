"""Chairs, benches and sofas: those of the rooms and their parts, park benches, rolled arms. Front at -y."""

import numpy as np

from gestalt3d.synth import colours, seating
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.objects.hulls import dressed, loft, round_rings
from gestalt3d.synth.parts import chairs
from gestalt3d.synth.shapes import Builder, Shape


def chair(rng: np.random.Generator) -> Shape:
    """A chair for one: on legs, on wheels, slatted, upholstered, or a stool with a back."""
    u = rng.random()
    if u < 0.45:
        return seating.chair(rng)
    if u < 0.63:
        return seating.office_chair(rng)
    if u < 0.73:
        return seating.armchair(rng)
    return slatted(rng, "chair", seats=1)


def slatted(rng: np.random.Generator, kind: str, *, seats: int) -> Shape:
    """A frame with slats, for so many side by side."""
    parts = chairs.slatted(rng, seats=seats)
    frame = _outdoors(rng)
    slats = frame if rng.random() < 0.5 else _outdoors(rng)
    b = Builder()
    b.parts = dressed(parts, {"surface": slats}, frame)
    return b.finish(kind)


def _outdoors(rng: np.random.Generator) -> Material:
    u = rng.random()
    return (
        colours.wood(rng)
        if u < 0.6
        else colours.metal(rng)
        if u < 0.8
        else Material(color=colours.any_color(rng))
    )


def bench(rng: np.random.Generator) -> Shape:
    """For several: in parks, without a back, of stone, at tables."""
    u = rng.random()
    if u < 0.4:
        return park_bench(rng)
    if u < 0.6:
        return slatted(rng, "bench", seats=int(rng.integers(2, 4)))
    if u < 0.8:
        return seating.bench(rng)
    return block_bench(rng)


def park_bench(rng: np.random.Generator) -> Shape:
    """Planks for seat and back between sides of iron or wood."""
    b = Builder()
    w, d = float(rng.uniform(0.6, 1.1)), float(rng.uniform(0.36, 0.5))
    seat, top = float(rng.uniform(0.4, 0.47)), float(rng.uniform(0.75, 0.95))
    plank = _outdoors(rng)
    iron = Material(color=(0.07, 0.08, 0.08)) if rng.random() < 0.6 else plank
    has_back, lean = rng.random() < 0.8, float(rng.uniform(0.06, 0.18))
    count = int(rng.integers(3, 8))
    step = d / count
    thick = float(rng.uniform(0.02, 0.04))
    for k in range(count):
        y = -d / 2 + k * step
        b.box("seat plank", (-w, y, seat - thick), (w, y + step * float(rng.uniform(0.75, 0.9)), seat), plank)
    if has_back:
        rows = int(rng.integers(2, 6))
        low = seat + 0.1
        each = (top - low) / rows
        for k in range(rows):
            z = low + k * each
            y = d / 2 + lean * (z - seat) / (top - seat)
            b.box("back plank", (-w, y - thick / 2, z), (w, y + thick / 2, z + each * 0.8), plank)
    has_arms = rng.random() < 0.6
    t = float(rng.uniform(0.02, 0.04))
    for x in (-w * 0.94, w * 0.94) if w < 0.9 else (-w * 0.94, 0.0, w * 0.94):
        splay = float(rng.uniform(0.0, 0.05))
        for y in (-d / 2 + t, d / 2 - t):
            b.cylinder("leg", (x, y + splay * np.sign(y), 0), (x, y, seat - thick), t, t, iron, 4)
        b.box("rail", (x - t / 2, -d / 2, seat - thick - 0.04), (x + t / 2, d / 2, seat - thick), iron)
        if has_back:
            b.cylinder(
                "post",
                (x, d / 2 + thick, seat - 0.04),
                (x, d / 2 + lean + thick, top),
                t * 0.7,
                t * 0.7,
                iron,
                4,
            )
        if has_arms and x != 0:
            z = seat + 0.22
            b.box("arm", (x - t, -d / 2, z), (x + t, d / 2 + lean * 0.4, z + 0.03), iron)
            b.box("arm post", (x - t / 2, -d / 2 + 0.01, seat), (x + t / 2, -d / 2 + 0.04, z), iron)
    return b.finish("bench")


def block_bench(rng: np.random.Generator) -> Shape:
    """A slab on two blocks or on a box, of stone or wood."""
    b = Builder()
    w, d, h = float(rng.uniform(0.5, 1.0)), float(rng.uniform(0.17, 0.25)), float(rng.uniform(0.38, 0.48))
    v = float(rng.uniform(0.45, 0.75))
    stone = (
        Material(colours.BLOTCHES, (v, v * 0.98, v * 0.95), (v * 0.75, v * 0.75, v * 0.75), 0.2, 0.6)
        if rng.random() < 0.6
        else colours.wood(rng)
    )
    t = float(rng.uniform(0.05, 0.1))
    b.rounded("slab", (-w, -d, h - t), (w, d, h), 0.015, stone)
    block = float(rng.uniform(0.05, 0.14))
    at = w * float(rng.uniform(0.6, 0.9))
    for x in (-at, at):
        foot = b.box("block", (x - block, -d * 0.9, 0), (x + block, d * 0.9, h - t), stone)
        foot[:, :2] *= np.where(foot[:, 2:] < 0.1, 1.0, float(rng.uniform(0.9, 1.0)))
    return b.finish("bench")


def sofa(rng: np.random.Generator) -> Shape:
    """For one to four; with corner, with rolled arms, with buttons."""
    u = rng.random()
    if u < 0.55:
        return seating.sofa(rng)
    if u < 0.67:
        return seating.armchair(rng)
    return rolled_sofa(rng)


def _roll(b: Builder, name: str, start: np.ndarray, end: np.ndarray, r: Number, cover: Material) -> None:
    b.cylinder(name, tuple(start.tolist()), tuple(end.tolist()), r, r, cover, 14)


def rolled_sofa(rng: np.random.Generator) -> Shape:
    """Arms and back end in rolls of one height, or the back is higher and bowed."""
    b = Builder()
    seats = int(rng.choice((1, 2, 3, 3)))
    cover = colours.fabric_or_leather(rng)
    r = float(rng.uniform(0.07, 0.13))
    w = seats * float(rng.uniform(0.5, 0.65)) / 2 + 2 * r
    d, seat = float(rng.uniform(0.38, 0.47)), float(rng.uniform(0.38, 0.46))
    arm = seat + float(rng.uniform(0.14, 0.3))
    bowed = rng.random() < 0.4
    foot = float(rng.uniform(0.03, 0.12))
    wood = colours.wood(rng)
    for x in (-w + 0.08, w - 0.08):
        for y in (-d + 0.08, d - 0.08):
            b.cylinder("foot", (x, y, 0), (x, y, foot + 0.02), 0.022, 0.035, wood, 8)
    b.rounded("base", (-w + r, -d + 0.03, foot), (w - r, d, seat - 0.12), 0.02, cover)
    for side in (-1, 1):
        x = side * (w - r)
        b.rounded("arm", (x - r * 0.75, -d + 0.02, foot), (x + r * 0.75, d, arm), 0.03, cover)
        _roll(b, "arm roll", np.array([x, -d, arm]), np.array([x, d, arm]), r, cover)
    if bowed:
        x = np.linspace(-1, 1, 9)
        top = arm + float(rng.uniform(0.12, 0.3)) * (1 - x**2)
        rings = round_rings(x * (w - r), 0.1, (top - foot) / 2, (top + foot) / 2, d - 0.1, power=5, sides=12)
        loft(b, "back", rings[..., [1, 0, 2]], cover)
    else:
        b.rounded("back", (-w + r, d - 0.16, foot), (w - r, d + 0.02, arm), 0.03, cover)
        _roll(b, "back roll", np.array([-w + r, d - 0.06, arm]), np.array([w - r, d - 0.06, arm]), r, cover)
    each = 2 * (w - 1.7 * r) / seats
    for k in range(seats):
        x = -w + 1.7 * r + k * each
        b.rounded(
            "cushion",
            (x + 0.006, -d + 0.01, seat - 0.14),
            (x + each - 0.006, d - 0.14, seat),
            0.05,
            cover,
            puff=0.02,
        )
    return b.finish("sofa")

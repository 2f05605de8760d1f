"""Things to keep things in."""

from itertools import pairwise

import numpy as np

from gestalt3d.synth import colours, props
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.shapes import Builder, Item, Shape, Surface


def _fill_with_books(
    b: Builder,
    rng: np.random.Generator,
    x0: Number,
    x1: Number,
    y0: Number,
    y1: Number,
    z: Number,
    height: float,
) -> None:
    """A row of books, some leaning, standing at the front or pushed back: part of the shelf."""
    n = int(max(1, (x1 - x0) / 0.03))
    widths = rng.uniform(0.012, 0.055, n)
    ends = x0 + np.cumsum(widths)
    n = int(np.searchsorted(ends, x1))
    if n == 0:
        return
    ends, widths = ends[:n], widths[:n]
    if rng.random() < 0.3:
        # A set of equal volumes.
        tall = np.full(n, height * rng.uniform(0.6, 0.9))
        covers = [colours.book_cover(rng)] * n
    else:
        tall = height * np.clip(rng.normal(0.72, 0.12, n), 0.4, 0.95)
        palette = [colours.book_cover(rng) for _ in range(min(n, 7))]
        covers = [palette[int(i)] for i in rng.integers(0, len(palette), n)]
    deep = np.minimum(y1 - y0, np.clip(rng.normal(0.17, 0.03, n), 0.1, 0.3))
    front = y0 + rng.uniform(0, 0.03) + rng.uniform(0, 0.02, n)
    low = np.stack([ends - widths + 0.001, front, np.full(n, z)], 1)
    high = np.stack([ends - 0.001, np.minimum(front + deep, y1), z + tall], 1)
    b.boxes("books", low, high, covers)
    if rng.random() < 0.5:
        # The last ones lean against the others.
        v = b.parts[-1].vertices.reshape(n, 8, 3)
        k = int(rng.integers(1, 4))
        v[-k:, :, 0] -= (v[-k:, :, 2] - z) * rng.uniform(0.05, 0.3)


def _fill_shelf(
    b: Builder,
    rng: np.random.Generator,
    x0: Number,
    x1: Number,
    y0: Number,
    y1: Number,
    z: Number,
    height: Number,
    mode: str,
) -> None:
    """What stands on one board."""
    x = x0 + 0.01
    while x < x1 - 0.06:
        u = rng.random()
        room = x1 - x
        if u < {"books": 0.72, "mixed": 0.4, "boxes": 0.08}[mode]:
            w = min(room, float(rng.uniform(0.12, 0.9)))
            _fill_with_books(b, rng, x, x + w, y0, y1, z, min(height, float(rng.uniform(0.2, 0.36))))
        elif u < {"books": 0.8, "mixed": 0.72, "boxes": 0.85}[mode]:
            w = min(room, float(rng.uniform(0.15, 0.45)))
            h = min(height * 0.95, float(rng.uniform(0.1, 0.4)))
            if w > 0.12 and h > 0.08:
                d = min(y1 - y0, float(rng.uniform(0.18, 0.5)))
                made = (
                    props.box(rng, (w * 0.96, d, h))
                    if rng.random() < 0.75
                    else props.crate(rng, (w * 0.96, d, h))
                )
                if max(w, h) >= 0.2 and mode != "books":
                    b.items.append(
                        Item(
                            made,
                            (x + w / 2, y0 + d / 2 + float(rng.uniform(0, max(y1 - y0 - d, 0) * 0.5)), z),
                            float(rng.normal(0, 0.03)),
                        )
                    )
                else:
                    shift = np.array([x + w / 2, y0 + d / 2, z])
                    b.parts.extend(p._replace(vertices=p.vertices + shift) for p in made.parts)
        elif u < 0.9:
            w = min(room, float(rng.uniform(0.08, 0.25)))
            made = props.small(rng)
            k = min(
                1.0,
                w / float(made.size[0]),
                height * 0.9 / float(made.size[2]),
                (y1 - y0) / float(made.size[1]),
            )
            centre = np.array([(made.low[0] + made.high[0]) / 2, (made.low[1] + made.high[1]) / 2, 0])
            shift = np.array([x + w / 2, (y0 + y1) / 2, z])
            b.parts.extend(p._replace(vertices=(p.vertices - centre) * k + shift) for p in made.parts)
        else:
            w = min(room, float(rng.uniform(0.05, 0.4)))
        x += w + (0.0 if rng.random() < 0.6 else float(rng.uniform(0, 0.08)))


def bookcase(rng: np.random.Generator, *, mode: str | None = None) -> Shape:
    """Boards between sides or on posts, filled; its books belong to it, larger boxes are items."""
    b = Builder()
    mode = mode or str(rng.choice(("books", "mixed", "mixed", "boxes")))
    w = float(rng.uniform(0.4, 1.3))
    d = float(rng.uniform(0.24, 0.42)) if mode != "boxes" else float(rng.uniform(0.32, 0.65))
    h = float(rng.uniform(0.7, 2.35))
    m = colours.hard(rng) if mode != "boxes" or rng.random() < 0.4 else colours.metal(rng)
    t = float(rng.uniform(0.015, 0.035))
    hx, hy = w / 2, d / 2
    boards = max(2, round(h / float(rng.uniform(0.28, 0.45))) + 1)
    open_frame = rng.random() < (0.5 if mode == "boxes" else 0.12)
    if open_frame:
        for x in (-hx, hx - t):
            for y in (-hy, hy - t):
                b.box("post", (x, y, 0), (x + t, y + t, h), m)
    else:
        b.box("side", (-hx, -hy, 0), (-hx + t, hy, h), m)
        b.box("side", (hx - t, -hy, 0), (hx, hy, h), m)
        if rng.random() < 0.8:
            b.box("back", (-hx, hy - 0.012, 0), (hx, hy, h), m)
    levels = np.linspace(float(rng.uniform(0.02, 0.1)), h - t, boards)
    full = float(rng.uniform(0.4, 1.0))
    bays = [(-hx + t, hx - t)]
    if w > 0.8 and rng.random() < 0.5:
        b.box("divider", (-t / 2, -hy, levels[0]), (t / 2, hy - 0.01, h - t), m)
        bays = [(-hx + t, -t / 2), (t / 2, hx - t)]
    for k, z in enumerate(levels):
        b.box(
            "board",
            (-hx + (0 if open_frame else t), -hy, float(z)),
            (hx - (0 if open_frame else t), hy - 0.01, float(z) + t),
            m,
        )
        if k + 1 < boards:
            for x0, x1 in bays:
                if rng.random() < full:
                    _fill_shelf(
                        b,
                        rng,
                        x0,
                        x1,
                        -hy + 0.01,
                        hy - 0.02,
                        float(z) + t,
                        float(levels[k + 1] - z) - t,
                        mode,
                    )
    if rng.random() < 0.25 and not open_frame:
        b.box(
            "door",
            (-hx, -hy - 0.018, levels[0]),
            (hx, -hy, float(levels[min(1 + int(rng.integers(2)), boards - 1)])),
            m,
        )
    b.solid(-hx, -hy, 0, hx, hy, h)
    b.surfaces.append(Surface(-hx + 0.03, -hy + 0.02, hx - 0.03, hy - 0.02, h, 0.6))
    return b.finish("bookcase")


def wall_shelf(rng: np.random.Generator) -> Shape:
    """Boards on a wall with what stands on them."""
    b = Builder()
    w, d = float(rng.uniform(0.5, 1.6)), float(rng.uniform(0.18, 0.32))
    m = colours.hard(rng)
    boards, step = int(rng.integers(1, 4)), float(rng.uniform(0.28, 0.42))
    mode = str(rng.choice(("books", "mixed")))
    for k in range(boards):
        b.box("board", (-w / 2, -d, k * step), (w / 2, 0, k * step + 0.022), m)
        if rng.random() < 0.9:
            _fill_shelf(
                b,
                rng,
                -w / 2 + 0.02,
                w / 2 - 0.02,
                -d + 0.01,
                -0.01,
                k * step + 0.022,
                min(step - 0.03, 0.34),
                mode,
            )
    b.solid(-w / 2, -d, 0, w / 2, 0, boards * step)
    return b.finish("bookcase")


def _fronts(
    b: Builder, rng: np.random.Generator, w: Number, h: Number, y: Number, z0: Number, m: Material
) -> None:
    """Doors and drawers over a front, flat or framed, with handles or knobs or none."""
    columns = max(1, round(w / float(rng.uniform(0.4, 0.65))))
    layout = rng.random()
    handle = colours.metal(rng)
    style = int(rng.integers(4))
    gap = 0.004
    second = m if rng.random() < 0.75 else colours.hard(rng)
    for c in range(columns):
        x0, x1 = -w / 2 + c * w / columns + gap, -w / 2 + (c + 1) * w / columns - gap
        cuts = [z0, z0 + h]
        if layout < 0.35:
            cuts = list(np.linspace(z0, z0 + h, max(2, round(h / 0.24)) + 1))
        elif layout < 0.6 and h > 0.5:
            cuts = [z0, z0 + h - 0.18, z0 + h]
        for low, high in pairwise(cuts):
            b.box("front", (x0, y - 0.02, low + gap), (x1, y, high - gap), second)
            if style == 0 and high - low > 0.25:
                e = 0.05
                b.box("frame", (x0, y - 0.03, low + gap), (x0 + e, y - 0.02, high - gap), second)
                b.box("frame", (x1 - e, y - 0.03, low + gap), (x1, y - 0.02, high - gap), second)
                b.box("frame", (x0, y - 0.03, low + gap), (x1, y - 0.02, low + gap + e), second)
                b.box("frame", (x0, y - 0.03, high - gap - e), (x1, y - 0.02, high - gap), second)
            if style < 3:
                drawer = high - low < 0.32
                xm = (x0 + x1) / 2 if drawer else (x1 - 0.05 if c % 2 == 0 else x0 + 0.05)
                zm = (low + high) / 2
                long = float(rng.uniform(0.02, 0.1))
                if drawer:
                    b.box("handle", (xm - long, y - 0.05, zm), (xm + long, y - 0.02, zm + 0.015), handle)
                else:
                    b.box(
                        "handle", (xm - 0.01, y - 0.05, zm - long), (xm + 0.01, y - 0.02, zm + long), handle
                    )


def _case(
    rng: np.random.Generator, kind: str, w: Number, d: Number, h: Number, m: Material, foot: float
) -> Shape:
    b = Builder()
    hx, hy = w / 2, d / 2
    if foot > 0.05 and rng.random() < 0.5:
        for x in (-hx + 0.03, hx - 0.03):
            for y in (-hy + 0.05, hy - 0.03):
                b.cylinder("foot", (x, y, 0), (x, y, foot), 0.015, 0.022, m, 6)
    elif foot > 0:
        b.box("plinth", (-hx + 0.01, -hy + 0.05, 0), (hx - 0.01, hy, foot), m)
    b.box("body", (-hx, -hy + 0.03, foot), (hx, hy, h), m)
    _fronts(b, rng, w - 0.01, h - foot - 0.03, -hy + 0.03, foot + 0.01, m)
    if rng.random() < 0.5:
        b.box(
            "top",
            (-hx - 0.01, -hy, h),
            (hx + 0.01, hy, h + 0.02),
            m if rng.random() < 0.7 else colours.hard(rng),
        )
        h += 0.02
    b.solid(-hx, -hy, 0, hx, hy, h)
    b.surfaces.append(Surface(-hx + 0.03, -hy + 0.03, hx - 0.03, hy - 0.03, h, 0.8))
    return b.finish(kind)


def cabinet(rng: np.random.Generator) -> Shape:
    """Filing cabinets, sideboards, cupboards, lockers, wardrobes."""
    u = rng.random()
    foot = float(rng.choice((0.0, 0.0, 0.04, 0.1)))
    if u < 0.25:
        return _case(
            rng,
            "cabinet",
            rng.uniform(0.38, 0.5),
            rng.uniform(0.45, 0.62),
            rng.uniform(0.55, 1.4),
            colours.lacquer(rng),
            0.0,
        )
    if u < 0.5:
        return _case(
            rng,
            "cabinet",
            rng.uniform(0.8, 2.0),
            rng.uniform(0.35, 0.55),
            rng.uniform(0.45, 1.1),
            colours.hard(rng),
            foot,
        )
    if u < 0.75:
        return _case(
            rng,
            "cabinet",
            rng.uniform(0.6, 1.2),
            rng.uniform(0.4, 0.62),
            rng.uniform(1.5, 2.2),
            colours.hard(rng),
            foot,
        )
    return _case(
        rng,
        "cabinet",
        rng.uniform(0.7, 2.4),
        rng.uniform(0.5, 0.66),
        rng.uniform(1.8, 2.4),
        colours.hard(rng),
        foot,
    )


def media_console(rng: np.random.Generator) -> Shape:
    return _case(
        rng,
        "cabinet",
        rng.uniform(0.9, 1.9),
        rng.uniform(0.35, 0.5),
        rng.uniform(0.35, 0.65),
        colours.hard(rng),
        0.06,
    )


def dresser(rng: np.random.Generator) -> Shape:
    return _case(
        rng,
        "dresser",
        rng.uniform(0.7, 1.6),
        rng.uniform(0.4, 0.55),
        rng.uniform(0.7, 1.15),
        colours.hard(rng),
        float(rng.choice((0.0, 0.05, 0.12))),
    )


def night_stand(rng: np.random.Generator) -> Shape:
    return _case(
        rng,
        "night_stand",
        rng.uniform(0.35, 0.6),
        rng.uniform(0.33, 0.5),
        rng.uniform(0.4, 0.68),
        colours.hard(rng),
        float(rng.choice((0.0, 0.06, 0.15))),
    )


def wall_cabinet(rng: np.random.Generator, width: Number, m: Material) -> Shape:
    """To hang on a wall; its lowest point is z = 0 as always."""
    d, h = rng.uniform(0.3, 0.38), rng.uniform(0.5, 0.9)
    return _case(rng, "cabinet", width, float(d), float(h), m, 0.0)


def fridge(rng: np.random.Generator) -> Shape:
    b = Builder()
    w, d = float(rng.uniform(0.55, 0.92)), float(rng.uniform(0.58, 0.75))
    h = float(rng.uniform(1.4, 1.95)) if rng.random() < 0.75 else float(rng.uniform(0.82, 1.1))
    u = rng.random()
    m = colours.ceramic(rng) if u < 0.55 else colours.metal(rng)
    hx, hy = w / 2, d / 2
    b.box("body", (-hx, -hy + 0.06, 0.03), (hx, hy, h), m)
    cut = h * float(rng.uniform(0.3, 0.7)) if h > 1.2 else h
    if w > 0.85 and rng.random() < 0.6:
        b.rounded("door", (-hx, -hy, 0.05), (-0.003, -hy + 0.055, h), 0.012, m)
        b.rounded("door", (0.003, -hy, 0.05), (hx, -hy + 0.055, h), 0.012, m)
        for x in (-0.05, 0.03):
            b.box("handle", (x, -hy - 0.045, h * 0.4), (x + 0.02, -hy - 0.02, h * 0.8), colours.metal(rng))
    else:
        b.rounded("door", (-hx, -hy, 0.05), (hx, -hy + 0.055, cut - 0.004), 0.012, m)
        if cut < h:
            b.rounded("door", (-hx, -hy, cut + 0.004), (hx, -hy + 0.055, h), 0.012, m)
        b.box(
            "handle",
            (hx - 0.08, -hy - 0.04, cut - 0.4),
            (hx - 0.055, -hy - 0.015, cut - 0.06),
            colours.metal(rng),
        )
    b.solid(-hx, -hy, 0, hx, hy, h)
    b.surfaces.append(Surface(-hx + 0.03, -hy + 0.05, hx - 0.03, hy - 0.05, h, 0.4))
    return b.finish("fridge")

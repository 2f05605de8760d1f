"""Tables in parts: those of the rooms, slatted ones and picnic tables, desks with drawers, carts."""

import numpy as np

from gestalt3d.synth import tables
from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.parts.naming import renamed
from gestalt3d.synth.parts.storage import Cell, Handle, door, drawer, feet, handles
from gestalt3d.synth.shapes import Builder, Part

_TABLE, _PICNIC = "table/regular_table", "table/picnic_table"
_BOARD = f"{_TABLE}/tabletop/tabletop_surface/board"
_GLASS = f"{_TABLE}/tabletop/tabletop_surface/glass"
_TOP_BAR = f"{_TABLE}/tabletop/tabletop_surface/bar"
_FRAME_BAR = f"{_TABLE}/tabletop/tabletop_frame/bar"
_LEGS, _DRAWERS = f"{_TABLE}/table_base/regular_leg_base", f"{_TABLE}/table_base/drawer_base"
_STAR, _PEDESTAL = f"{_TABLE}/table_base/star_leg_base", f"{_TABLE}/table_base/pedestal_base"

_NAMES = {
    "body": _BOARD,
    "top": _BOARD,
    "apron": _FRAME_BAR,
    "leg": f"{_LEGS}/leg",
    "panel": f"{_LEGS}/leg",
    "bar": f"{_LEGS}/bar_stretcher",
    "skid": f"{_LEGS}/runner",
}
_PLAIN = Material()


def table(rng: np.random.Generator) -> list[Part]:
    """One table, desk or cart."""
    u = rng.random()
    if u < 0.4:
        return _common(rng)
    if u < 0.55:
        return _slatted(rng)
    if u < 0.62:
        return _picnic(rng)
    if u < 0.9:
        return _desk(rng)
    return _cart(rng)


def _common(rng: np.random.Generator) -> list[Part]:
    """A table of the rooms, sometimes with a pane, leaves, feet or a ring between its legs."""
    made = (tables.table(rng) if rng.random() < 0.65 else tables.coffee_table(rng)).parts
    while len(made) < 2:
        made = tables.table(rng).parts
    columns = sum(part.name == "column" for part in made)
    stars = sum(part.name == "foot" for part in made) > columns
    names = _NAMES | {
        "column": f"{_STAR if stars else _PEDESTAL}/central_support",
        "foot": f"{_STAR}/star_leg_set/leg" if stars else f"{_PEDESTAL}/pedestal",
    }
    parts = renamed(made, names)
    top = next(part for part in parts if part.name == _BOARD).vertices
    low, high = top.min(0), top.max(0)
    b = Builder()
    u = rng.random()
    if u < 0.12:
        parts = [part._replace(name=_GLASS) if part.name == _BOARD else part for part in parts]
    elif u < 0.2 and high[0] - low[0] > 0.8 and len(top) <= 8:
        leaf = float(rng.uniform(0.15, 0.3))
        for x in (low[0], high[0]):
            b.box(
                f"{_TABLE}/tabletop/tabletop_dropleaf",
                (x - 0.01, low[1], high[2] - leaf),
                (x + 0.01, high[1], high[2] - 0.005),
                _PLAIN,
            )
    legs = [part.vertices for part in parts if part.name == f"{_LEGS}/leg"]
    if len(legs) == 4 and rng.random() < 0.25:
        for leg in legs:
            x, y = leg[leg[:, 2] < leg[:, 2].min() + 0.01][:, :2].mean(0)
            b.cylinder(f"{_LEGS}/foot", (x, y, -0.02), (x, y, 0.005), 0.02, 0.02, _PLAIN, 10)
    if len(legs) == 4 and rng.random() < 0.12:
        corner = np.abs(np.concatenate(legs)[:, :2]).max(0)
        a = np.linspace(0, 2 * np.pi, 25)
        z = float(rng.uniform(0.1, 0.3)) * high[2]
        ring = np.stack([corner[0] * 0.9 * np.cos(a), corner[1] * 0.9 * np.sin(a), np.full(25, z)], 1)
        b.tube(f"{_LEGS}/circular_stretcher", ring, 0.012, _PLAIN)
    return parts + b.parts


def _bars(
    b: Builder,
    name: str,
    x: tuple[Number, Number],
    y: tuple[Number, Number],
    z: tuple[Number, Number],
    count: int,
    share: Number,
) -> None:
    """Bars along x, side by side across y, of which they cover that share."""
    step = (y[1] - y[0]) / count
    for k in range(count):
        y0 = y[0] + (k + (1 - share) / 2) * step
        b.box(name, (x[0], y0, z[0]), (x[1], y0 + share * step, z[1]), _PLAIN)


def _slatted(rng: np.random.Generator) -> list[Part]:
    """A top of bars in a frame on four legs."""
    b = Builder()
    hx, hy, h = float(rng.uniform(0.3, 0.9)), float(rng.uniform(0.25, 0.5)), float(rng.uniform(0.35, 0.78))
    t = float(rng.uniform(0.016, 0.035))
    count, share = int(rng.integers(4, 16)), float(rng.uniform(0.6, 0.9))
    _bars(b, _TOP_BAR, (-hx + 2 * t, hx - 2 * t), (-hy + 2 * t, hy - 2 * t), (h - t, h), count, share)
    for y in (-hy, hy - 2 * t):
        b.box(_FRAME_BAR, (-hx, y, h - 2.5 * t), (hx, y + 2 * t, h), _PLAIN)
    for x in (-hx, hx - 2 * t):
        b.box(_FRAME_BAR, (x, -hy + 2 * t, h - 2.5 * t), (x + 2 * t, hy - 2 * t, h), _PLAIN)
    for x in (-hx + t, hx - t):
        for y in (-hy + t, hy - t):
            b.box(f"{_LEGS}/leg", (x - t, y - t, 0), (x + t, y + t, h - 2.5 * t), _PLAIN)
    low = h * float(rng.uniform(0.15, 0.5))
    u = rng.random()
    if u < 0.4:
        for y in (-hy + t, hy - t):
            b.box(
                f"{_LEGS}/bar_stretcher",
                (-hx + 2 * t, y - t / 2, low),
                (hx - 2 * t, y + t / 2, low + t),
                _PLAIN,
            )
        for x in (-hx + t, hx - t):
            b.box(
                f"{_LEGS}/bar_stretcher",
                (x - t / 2, -hy + 2 * t, low),
                (x + t / 2, hy - 2 * t, low + t),
                _PLAIN,
            )
    elif u < 0.6:
        for x in (-hx + t, hx - t):
            b.box(f"{_LEGS}/runner", (x - t, -hy, -2 * t), (x + t, hy, 0), _PLAIN)
    return b.parts


def _picnic(rng: np.random.Generator) -> list[Part]:
    """A table and two benches that it carries."""
    b = Builder()
    hx, hy, h = float(rng.uniform(0.7, 1.0)), float(rng.uniform(0.33, 0.42)), float(rng.uniform(0.7, 0.78))
    seat, reach = float(rng.uniform(0.42, 0.46)), hy + float(rng.uniform(0.3, 0.4))
    surface = f"{_PICNIC}/regular_table/tabletop/tabletop_surface"
    b.box(surface, (-hx, -hy, h - 0.035), (hx, hy, h), _PLAIN)
    for x in (-hx * 0.7, hx * 0.7):
        for side in (-1, 1):
            leg = f"{_PICNIC}/regular_table/table_base/regular_leg_base/leg"
            b.cylinder(
                leg, (x, side * reach * 0.8, 0), (x, side * hy * 0.6, h - 0.035), 0.035, 0.035, _PLAIN, 4
            )
        b.box(
            f"{_PICNIC}/bench_connector",
            (x + 0.035, -reach, seat - 0.1),
            (x + 0.07, reach, seat - 0.03),
            _PLAIN,
        )
    for side in (-1, 1):
        b.box(
            f"{_PICNIC}/bench",
            (-hx, side * reach - 0.13, seat - 0.03),
            (hx, side * reach + 0.13, seat),
            _PLAIN,
        )
    return b.parts


def _desk(rng: np.random.Generator) -> list[Part]:
    """A board on one or two pedestals of drawers or doors; between them a tray, a shelf, a panel at the back."""
    b = Builder()
    hx, hy, h = float(rng.uniform(0.5, 0.9)), float(rng.uniform(0.25, 0.42)), float(rng.uniform(0.7, 0.78))
    t, foot = float(rng.uniform(0.015, 0.03)), 0.0
    b.box(_BOARD, (-hx, -hy, h - t), (hx, hy, h), _PLAIN)
    under, look = h - t, handles(rng)
    if rng.random() < 0.4:
        foot = float(rng.uniform(0.03, 0.25))
        feet(b, rng, _DRAWERS, hx, hy - 0.02, foot)
    pedestals = int(rng.integers(0, 3))
    rows = int(rng.integers(2, 6))
    width = float(rng.uniform(0.3, 0.44))
    left, right = -hx, hx
    for k in range(pedestals):
        x0 = hx - width - 0.01 if k == 0 else -hx + 0.01
        x1 = x0 + width
        left, right = (left, x0) if k == 0 else (x1, right)
        for x in (x0, x1 - t):
            b.box(f"{_DRAWERS}/vertical_side_panel", (x, -hy + 0.03, foot), (x + t, hy - 0.02, under), _PLAIN)
        b.box(f"{_DRAWERS}/bottom_panel", (x0 + t, -hy + 0.03, foot), (x1 - t, hy - 0.02, foot + t), _PLAIN)
        b.box(f"{_DRAWERS}/back_panel", (x0 + t, hy - 0.035, foot + t), (x1 - t, hy - 0.025, under), _PLAIN)
        cell = Cell(x0 + t, x1 - t, -hy + 0.03, hy - 0.04, foot + t, under)
        _pedestal(b, rng, cell, rows, look, first=k * 10)
    for x, is_free in ((-hx, left == -hx), (hx - t, right == hx)):
        if is_free:
            b.box(f"{_DRAWERS}/vertical_side_panel", (x, -hy + 0.02, foot), (x + t, hy - 0.02, under), _PLAIN)
    left, right = (left + t if left == -hx else left), (right - t if right == hx else right)
    high = under
    if pedestals == 0 or rng.random() < 0.5:
        high -= float(rng.uniform(0.09, 0.15))
        count = max(1, round((right - left) / float(rng.uniform(0.3, 0.7))))
        edges = np.linspace(left, right, count + 1)
        for k in range(count):
            cell = Cell(float(edges[k]), float(edges[k + 1]), -hy + 0.02, hy - 0.04, high, under - 0.003)
            drawer(b, f"{_DRAWERS}/drawer#{100 + k}", cell, look)
    elif rng.random() < 0.3:
        z = under - 0.1
        b.box(
            f"{_DRAWERS}/keyboard_tray/keyboard_tray_surface",
            (left + 0.02, -hy - 0.05, z),
            (right - 0.02, hy * 0.4, z + 0.015),
            _PLAIN,
        )
    u = rng.random()
    if u < 0.5:
        low = float(rng.uniform(0.1, 0.5))
        b.box(f"{_DRAWERS}/back_panel", (left, hy - 0.05, low), (right, hy - 0.035, high), _PLAIN)
    elif u < 0.7:
        z = foot + float(rng.uniform(0.05, 0.2))
        b.box(f"{_DRAWERS}/shelf", (left, -hy + 0.06, z), (right, hy - 0.02, z + t), _PLAIN)
    elif u < 0.85:
        z = foot + float(rng.uniform(0.08, 0.2))
        b.box(f"{_DRAWERS}/bar_stretcher", (left, hy - 0.06, z), (right, hy - 0.03, z + 0.03), _PLAIN)
    return b.parts


def _pedestal(
    b: Builder, rng: np.random.Generator, cell: Cell, rows: int, look: Handle, *, first: int
) -> None:
    if rng.random() < 0.25:
        door(b, f"{_DRAWERS}/cabinet_door#{first}", cell, look, hinged_left=rng.random() < 0.5)
        z = (cell.z0 + cell.z1) / 2
        b.box(f"{_DRAWERS}/shelf", (cell.x0, cell.y0 + 0.02, z), (cell.x1, cell.y1, z + 0.015), _PLAIN)
        return
    cuts = np.linspace(cell.z0, cell.z1 - 0.002, rows + 1)
    for k in range(rows):
        drawer(
            b, f"{_DRAWERS}/drawer#{first + k}", cell._replace(z0=float(cuts[k]), z1=float(cuts[k + 1])), look
        )


def _cart(rng: np.random.Generator) -> list[Part]:
    """Shelves between four posts on castors or feet."""
    b = Builder()
    hx, hy, h = float(rng.uniform(0.25, 0.6)), float(rng.uniform(0.2, 0.35)), float(rng.uniform(0.5, 0.9))
    t, foot = float(rng.uniform(0.012, 0.025)), float(rng.uniform(0.06, 0.1))
    b.box(_BOARD, (-hx, -hy, h - t), (hx, hy, h), _PLAIN)
    for x in (-hx + t, hx - t):
        for y in (-hy + t, hy - t):
            b.box(f"{_DRAWERS}/leg", (x - t, y - t, foot), (x + t, y + t, h - t), _PLAIN)
    feet(b, rng, _DRAWERS, hx + t * 0.5, hy + t * 0.5, foot)
    for z in np.linspace(foot + 0.03, h - t, int(rng.integers(2, 5)))[:-1]:
        b.box(f"{_DRAWERS}/shelf", (-hx, -hy, z), (hx, hy, z + t), _PLAIN)
    if rng.random() < 0.4:
        count = int(rng.integers(1, 4))
        edges = np.linspace(-hx + 2 * t, hx - 2 * t, count + 1)
        look = handles(rng)
        for k in range(count):
            cell = Cell(
                float(edges[k]), float(edges[k + 1]), -hy + 0.01, hy - 0.02, h - t - 0.12, h - t - 0.002
            )
            drawer(b, f"{_DRAWERS}/drawer#{k}", cell, look)
    return b.parts

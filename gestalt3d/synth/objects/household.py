"""Cabinets, lamps and tables: those of the rooms and those in parts, painted. Front at -y."""

import numpy as np

from gestalt3d.synth import colours, props, storage, tables
from gestalt3d.synth.colours import Material
from gestalt3d.synth.objects.hulls import dressed
from gestalt3d.synth.parts import lamps as lamp_parts
from gestalt3d.synth.parts import storage as storage_parts
from gestalt3d.synth.parts import tables as table_parts
from gestalt3d.synth.shapes import Builder, Part, Shape

_MOST_PARTS = 90
"""Of what is painted; more, as of chains of many links, take long to draw and are not seen."""


def cabinet(rng: np.random.Generator) -> Shape:
    """Cupboards, chests of drawers, night stands, shelves with doors."""
    makers = (storage.cabinet, storage.dresser, storage.night_stand, storage.media_console)
    k = int(rng.choice(5, p=(0.4, 0.2, 0.1, 0.08, 0.22)))
    return makers[k](rng) if k < 4 else cabinet_in_parts(rng)


def cabinet_in_parts(rng: np.random.Generator) -> Shape:
    """Storage furniture with its doors, drawers and shelves as parts."""
    body, front = colours.hard(rng), colours.hard(rng)
    if rng.random() < 0.6:
        front = body
    paint = {
        "handle": colours.metal(rng),
        "knob": colours.metal(rng),
        "glass": colours.screen(rng),
        "door": front,
        "drawer": front,
    }
    return _painted(_few(storage_parts.storage, rng), paint, body, "cabinet")


def table(rng: np.random.Generator) -> Shape:
    """Dining tables, coffee tables, desks, tables of slats."""
    u = rng.random()
    if u < 0.3:
        return tables.table(rng)
    if u < 0.42:
        return tables.coffee_table(rng)
    if u < 0.55:
        return tables.desk(rng)
    return table_in_parts(rng)


def table_in_parts(rng: np.random.Generator) -> Shape:
    """Tables of one leg or many, with drawers or shelves, as parts."""
    top = colours.hard(rng)
    legs = top if rng.random() < 0.6 else colours.metal(rng) if rng.random() < 0.5 else colours.hard(rng)
    paint = {
        "glass": Material(color=(0.55, 0.66, 0.66)),
        "handle": colours.metal(rng),
        "knob": colours.metal(rng),
        "tabletop": top,
    }
    return _painted(_few(table_parts.table, rng), paint, legs, "table")


def lamp(rng: np.random.Generator) -> Shape:
    """Lamps that stand, hang, are fixed to a wall or stand in the street."""
    u = rng.random()
    if u < 0.18:
        return props.table_lamp(rng)
    if u < 0.34:
        return props.floor_lamp(rng)
    return lamp_in_parts(rng)


def lamp_in_parts(rng: np.random.Generator) -> Shape:
    """Lamps of arms, chains and shades."""
    v = rng.random()
    shade = Material(color=(0.92, 0.87, 0.76), emission=float(rng.choice((0.0, 0.4))))
    if v < 0.5:
        shade = shade._replace(color=colours.any_color(rng))
    body = (
        colours.metal(rng)
        if rng.random() < 0.5
        else colours.hard(rng)
        if rng.random() < 0.5
        else colours.ceramic(rng)
    )
    bulb = Material(color=(0.98, 0.95, 0.8), emission=0.7)
    return _painted(_few(lamp_parts.lamp, rng), {"shade": shade, "bulb": bulb}, body, "lamp")


def _few(make, rng: np.random.Generator) -> list[Part]:
    """Of some tries the first of not too many parts."""
    for _ in range(20):
        parts = make(rng)
        if 2 <= len(parts) <= _MOST_PARTS:
            break
    return parts


def _painted(parts: list[Part], paint: dict[str, Material], otherwise: Material, kind: str) -> Shape:
    b = Builder()
    b.parts = dressed(parts, paint, otherwise)
    return b.finish(kind)

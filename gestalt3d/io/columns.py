"""What a reader found in a file, before units and axes are settled: columns of numbers with roles."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gestalt3d.errors import UserError

Triple = tuple[np.ndarray, np.ndarray, np.ndarray]

POSITION_NAMES = (("x", "y", "z"),)
COLOR_NAMES = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))
NORMAL_NAMES = (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z"))


class Stored(NamedTuple):
    """Columns as the file holds them, one entry per point in the file's order."""

    kind: str
    position: Triple
    colors: Triple | None = None
    """Any number type; `color_scale` says what white is."""
    normals: Triple | None = None
    table: np.ndarray | None = None
    """Every stored property, to be written back."""
    units: str | None = None
    """What the format itself prescribes; None: to be guessed."""
    up: str | None = None
    origin: np.ndarray | None = None
    """Added to the positions; for files that split coordinates themselves."""
    is_sampled: bool = False
    """The points were drawn from surfaces, so their spacing says nothing."""
    notes: tuple[str, ...] = ()


def from_table(path: os.PathLike[str], kind: str, table: np.ndarray, notes: tuple[str, ...] = ()) -> Stored:
    """Find position, colours and normals by the names of the properties, upper or lower case."""
    position = find_triple(table, POSITION_NAMES)
    if position is None:
        have = ", ".join(table.dtype.names or ()) or "nothing"
        raise UserError(f"{path}: has no x, y and z (it has {have[:200]}); name the coordinates x, y, z")
    colors, normals = find_triple(table, COLOR_NAMES), find_triple(table, NORMAL_NAMES)
    return Stored(kind, position, colors, normals, table, notes=notes)


def find_triple(table: np.ndarray, choices: Sequence[tuple[str, str, str]]) -> Triple | None:
    """Three numeric columns whose lower-case names are one of `choices`."""
    names = {name.lower(): name for name in reversed(table.dtype.names or ())}
    for a, b, c in choices:
        if a in names and b in names and c in names:
            triple = table[names[a]], table[names[b]], table[names[c]]
            if all(column.ndim == 1 and column.dtype.kind in "iuf" for column in triple):
                return triple
    return None


def color_scale(colors: Triple) -> float:
    """The stored value of full brightness: 255, 65535 or 1.

    Bytes mean 255. Wider integers mean 65535 unless none exceeds 255, which is what writers do that never
    scaled. Floats mean 1 unless they exceed it.
    """
    if all(c.dtype.itemsize == 1 for c in colors):
        return 255.0
    with np.errstate(all="ignore"):
        brightest = max(float(np.max(c, initial=0, where=np.isfinite(c))) for c in colors)
    if colors[0].dtype.kind == "f" and brightest <= 1.001:
        return 1.0
    return 255.0 if brightest <= 255 else 65535.0


def column_names(block: np.ndarray, *, has_intensity: bool = False) -> list[str]:
    """Names for unnamed columns (n, c ≥ 3), from what the values of the first rows can be.

    x y z come first. A triple of whole numbers in 0…255 or of numbers in 0…1 is colour, one of unit length
    normals. One column may stand between position and colour (`x y z intensity r g b`, always when
    `has_intensity`); the rest is numbered.
    """
    count = block.shape[1]
    names = ["x", "y", "z"]
    taken: set[str] = set()
    while len(names) < count:
        at = len(names)
        if at == 3 and has_intensity and count in (4, 7):
            names.append("intensity")
            continue
        role = _triple_role(block[:, at : at + 3]) if at + 3 <= count else None
        shifted = _triple_role(block[:, at + 1 : at + 4]) if at == 3 and count == 7 else None
        if shifted == "color" and role != "normal" and not _is_likelier_color(block[:, 3:6], block[:, 4:7]):
            names.append("intensity")
        elif role is not None and role not in taken:
            taken.add(role)
            names += ["red", "green", "blue"] if role == "color" else ["nx", "ny", "nz"]
        else:
            names.append(f"column_{at + 1}")
    return names


def _triple_role(values: np.ndarray) -> str | None:
    values = values[np.isfinite(values).all(1)]
    if not len(values):
        return None
    lengths = np.linalg.norm(values, axis=1)
    if np.mean(np.abs(lengths - 1) < 0.01) > 0.9 and (values.min() < 0 or np.mean(lengths > 0.99) > 0.98):
        return "normal"
    if (
        values.min() >= 0
        and values.max() <= 255
        and (values.max() <= 1 or bool((values == np.rint(values)).all()))
    ):
        return "color"
    return None


def _is_likelier_color(first: np.ndarray, second: np.ndarray) -> bool:
    """Of `x y z [a b c] d` and `x y z a [b c d]`: `d` is a class id, not a colour, when it varies less."""
    if _triple_role(first) != "color":
        return False
    return len(np.unique(second[:, 2])) <= len(np.unique(first[:, 0]))

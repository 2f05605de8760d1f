"""What a reader found in a file, before units and axes are settled: columns of numbers with roles."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gestalt3d.errors import UserError

Triple = tuple[np.ndarray, np.ndarray, np.ndarray]

POSITION = ("x", "y", "z")
COLOR = ("red", "green", "blue")
NORMAL = ("nx", "ny", "nz")
POSITION_NAMES = (POSITION,)
COLOR_NAMES = (
    COLOR,
    ("r", "g", "b"),
    ("diffuse_red", "diffuse_green", "diffuse_blue"),
    ("rf", "gf", "bf"),
    ("scalar_r", "scalar_g", "scalar_b"),
    ("scalar_rf", "scalar_gf", "scalar_bf"),
    ("color_r", "color_g", "color_b"),
)
NORMAL_NAMES = (NORMAL, ("normal_x", "normal_y", "normal_z"), ("n_x", "n_y", "n_z"))

# Arrays of three columns under one name, as .npz and structured arrays have them.
POINT_KEYS = ("points", "xyz", "coords", "coord", "positions", "position", "vertices", "pos", "pc")
COLOR_KEYS = ("colors", "rgb", "color", "colours", "colour")
NORMAL_KEYS = ("normals", "normal")


class Stored(NamedTuple):
    """Columns as the file holds them, one entry per point in the file's order."""

    kind: str
    position: Triple
    colors: Triple | None = None
    """Any number type; `scaled_colors` finds out what white is, unless `white` says it."""
    normals: Triple | None = None
    table: np.ndarray | None = None
    """Every stored property, to be written back."""
    units: str | None = None
    """What the format itself prescribes; None: to be guessed."""
    up: str | None = None
    origin: np.ndarray | None = None
    """Added to the positions; for files that split coordinates themselves."""
    white: float | None = None
    """The colour value of full brightness, where the format defines it."""
    is_sampled: bool = False
    """The points were drawn from surfaces, so their spacing says nothing."""
    notes: tuple[str, ...] = ()
    """What happened to single points or parts, a note each."""
    assumed: tuple[str, ...] = ()
    """How the file was read where it does not say so itself: parts of the one note about that."""


def from_table(
    path: os.PathLike[str],
    kind: str,
    table: np.ndarray,
    notes: tuple[str, ...] = (),
    assumed: tuple[str, ...] = (),
) -> Stored:
    """Find position, colours and normals by the names of the properties, upper or lower case.

    Packed colours and fields of three numbers (`xyz`, `rgb`, …) are split into properties of their own.
    """
    table = unpack_colors(_split_vectors(table))
    position = find_triple(table, POSITION_NAMES)
    if position is None:
        have = ", ".join(table.dtype.names or ()) or "nothing"
        raise UserError(f"{path}: has no x, y and z (it has {have[:200]}); name the coordinates x, y, z")
    table.flags.writeable = False
    colors, normals = find_triple(table, COLOR_NAMES), find_triple(table, NORMAL_NAMES)
    return Stored(kind, position, colors, normals, table, notes=notes, assumed=assumed)


def find_triple(table: np.ndarray, choices: Sequence[tuple[str, str, str]]) -> Triple | None:
    """Three numeric columns whose lower-case names are one of `choices`."""
    names = {name.lower(): name for name in reversed(table.dtype.names or ())}
    for a, b, c in choices:
        if a in names and b in names and c in names:
            triple = table[names[a]], table[names[b]], table[names[c]]
            if all(column.ndim == 1 and column.dtype.kind in "iuf" for column in triple):
                return triple
    return None


def _split_vectors(table: np.ndarray) -> np.ndarray:
    """Fields of three or four numbers called like points, colours or normals become properties of their own."""
    roles = [(POINT_KEYS, POSITION), (COLOR_KEYS, (*COLOR, "alpha")), (NORMAL_KEYS, NORMAL)]
    columns: dict[str, np.ndarray] = {}
    for field in table.dtype.names or ():
        values = table[field]
        parts = next((names for keys, names in roles if field.lower() in keys), ())
        if values.ndim == 2 and values.shape[1] in (3, 4) and parts and not set(parts) & set(columns):
            columns |= dict(zip(parts, values.T, strict=False))
        else:
            columns[field] = values
    return table if len(columns) == len(table.dtype.names or ()) else as_table(columns)


def as_table(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Structured array of columns by name."""
    count = len(next(iter(columns.values())))
    table = np.empty(count, [(n, c.dtype, c.shape[1:]) for n, c in columns.items()])
    for name, column in columns.items():
        table[name] = column
    return table


def unpack_colors(table: np.ndarray) -> np.ndarray:
    """`rgb` or `rgba`, which holds 0xAARRGGBB in one number, becomes red, green, blue (and alpha)."""
    names = table.dtype.names or ()
    types = ("<f4", "<u4", "<i4", "<f8", "<u8", "<i8")
    packed = next((n for n in names if n.lower() in ("rgb", "rgba") and table.dtype[n] in types), None)
    if packed is None:
        return table
    parts = dict(zip(COLOR, (16, 8, 0), strict=True)) | ({"alpha": 24} if packed.lower() == "rgba" else {})
    columns: dict[str, np.ndarray] = {}
    for name in names:
        if name != packed:
            columns[name] = table[name]
        elif not set(parts) & set(names):
            bits = _packed_bits(table[packed])
            columns |= {p: (bits >> np.uint32(s) & np.uint32(255)).astype(np.uint8) for p, s in parts.items()}
    return as_table(columns)


def _packed_bits(packed: np.ndarray) -> np.ndarray:
    """uint32. A float holds the bits themselves, unless its values are whole numbers of 24 bits."""
    if packed.dtype.kind != "f":
        return packed.astype(np.uint32)
    values = packed[packed != 0]
    is_number = (values >= 1) & (values < 1 << 24) & (values == np.floor(values))
    if packed.dtype.itemsize == 4 and np.count_nonzero(is_number) <= len(values) / 2:
        return packed.view(np.uint32)
    return np.nan_to_num(packed).clip(0, (1 << 32) - 1).astype(np.uint32)


def column_names(block: np.ndarray, *, has_intensity: bool = False) -> list[str]:
    """Names for unnamed columns (n, c ≥ 3), from what the values of the first rows can be.

    x y z come first. A triple of whole numbers in 0…255, of numbers in 0…1 or of whole steps of a byte in
    -1…1 is colour, one of unit length normals; three numbers up to 255 after x y z are colours with
    decimals. One column may stand between position and colour (`x y z intensity r g b`, always when
    `has_intensity`); the rest is numbered.
    """
    count = block.shape[1]
    names = [*POSITION]
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
            names += COLOR if role == "color" else NORMAL
        elif at == 3 and role is None and count >= 6 and _are_mean_colors(block[:, 3:6]):
            taken.add("color")
            names += COLOR
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
    # A stray value beyond the range does not change what the others are.
    low, high = np.percentile(values, [1, 99], method="nearest")
    if low >= 0 and high <= 256:
        inside = (values >= 0) & (values <= 256)
        return "color" if high <= 1 or _are_mostly(values == np.rint(values), inside) else None
    steps = (values + 1) * 127.5
    if (
        -1 <= low < 0
        and high <= 1
        and _are_mostly(np.abs(steps - np.rint(steps)) < 0.01, np.abs(values) <= 1)
    ):
        return "color"
    return None


def _are_mostly(hold: np.ndarray, among: np.ndarray) -> bool:
    return bool(np.mean(hold[among]) > 0.99)


def _are_mean_colors(values: np.ndarray) -> bool:
    """Numbers with decimals that fill the range of a byte: means of several colours."""
    values = values[np.isfinite(values).all(1)]
    if len(values) < 10:
        return False
    low, high = np.percentile(values, [1, 99])
    return bool(low >= 0 and 32 < high <= 256)


def _is_likelier_color(first: np.ndarray, second: np.ndarray) -> bool:
    """Of `x y z [a b c] d` and `x y z a [b c d]`: `d` is a class id, not a colour, when it varies less."""
    if _triple_role(first) != "color":
        return False
    return len(np.unique(second[:, 2])) <= len(np.unique(first[:, 0]))


def roles_sentence(names: Sequence[str], shown: Sequence[str] | None = None) -> str | None:
    """Which columns were taken as what; None for x y z alone. `shown` are the file's own names, else numbers."""
    if tuple(names) == POSITION and shown is None:
        return None
    words = [str(i + 1) for i in range(len(names))] if shown is None else list(shown)
    if tuple(word.lower() for word in words) in (POSITION, (*POSITION, *COLOR), (*POSITION, *"rgb")):
        return None
    parts = []
    for role, wanted in (("position", POSITION), ("colour", COLOR), ("normals", NORMAL)):
        if set(wanted) <= set(names):
            parts.append(f"{role} from {', '.join(words[names.index(n)] for n in wanted)}")
    used = {*POSITION, *(n for t in (COLOR, NORMAL) if set(t) <= set(names) for n in t)}
    if left := [w for w, n in zip(words, names, strict=True) if n not in used]:
        parts.append(f"not used: {', '.join(left)[:200]}")
    return ("columns: " if shown is not None else "columns by number: ") + "; ".join(parts)

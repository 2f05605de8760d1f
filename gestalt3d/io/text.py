"""Points as lines of text: .xyz .txt .csv .asc .pts, with or without a header line."""

import re
from collections.abc import Iterator
from io import TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gestalt3d.errors import UserError
from gestalt3d.io.columns import Stored, column_names, from_table
from gestalt3d.io.decimals import number_blocks

_HEAD_LINES = 1000
_COMMENT = re.compile(r"^\s*(#|//|;|%)")


class Layout(NamedTuple):
    delimiter: str | None
    has_decimal_comma: bool
    names: list[str] | None
    """From a header line."""
    first_line: int
    claimed: int | None
    """Number of points that a .pts file begins with."""
    columns: int
    sample: np.ndarray
    """Rows of the first lines."""


def read_text(path: Path) -> Stored:
    """Columns by the header line's names, else x y z and what `column_names` makes of the rest."""
    with path.open("rb") as file:
        lines = TextIOWrapper(file, encoding="utf-8-sig", errors="replace")
        head = list(islice(lines, _HEAD_LINES))
        layout = _layout(path, head)
        if layout.claimed is not None and layout.claimed * 6 > path.stat().st_size:
            raise UserError(
                f"{path}: claims {layout.claimed} points, more than fit into the file; export it again"
            )
        body: Iterator[str] = chain(head[layout.first_line - 1 :], lines)
        if layout.has_decimal_comma:
            body = (line.replace(",", ".") for line in body)
        blocks = list(
            number_blocks(
                path,
                body,
                columns=layout.columns,
                rows=layout.claimed,
                delimiter=layout.delimiter,
                first_line=layout.first_line,
            )
        )
    names = layout.names or column_names(layout.sample, has_intensity=path.suffix.lower() == ".pts")
    table = _table(names, blocks)
    table.flags.writeable = False
    return from_table(path, "text", table)


def _layout(path: Path, head: list[str]) -> Layout:
    if any("\0" in line or line.count("\ufffd") > 8 for line in head):
        raise UserError(f"{path}: is no text; check the extension")
    names_line, claimed = "", None
    for number, line in enumerate(head, 1):
        words = _words(line)
        if not words:
            continue
        if _COMMENT.match(line):
            names_line = line
        elif not all(_is_number(w) for w in words):
            if number > 20:
                break
            names_line = line
        elif len(words) == 1 and claimed is None and re.fullmatch(r"[0-9]{1,15}", words[0]):
            claimed = int(words[0])
        else:
            return _numeric_layout(path, head[number - 1 :], number, names_line, claimed)
    if claimed == 0:
        raise UserError(f"{path}: holds no points; export the scan again")
    raise UserError(f"{path}: holds no rows of numbers; give one point per line: x y z, or x y z r g b")


def _numeric_layout(path: Path, rows: list[str], number: int, names_line: str, claimed: int | None) -> Layout:
    first = rows[0].strip()
    decimal_comma = ";" in first and "," in first
    delimiter = ";" if ";" in first else "," if "," in first else None
    words = _words(first, delimiter)
    if len(words) < 3:
        raise UserError(
            f"{path}: line {number} has {len(words)} columns; give one point per line: x y z, or x y z r g b"
        )
    sample = [[_float(w) for w in _words(row, delimiter)] for row in rows]
    names = _header_names(names_line)
    return Layout(
        delimiter,
        decimal_comma,
        names if names and len(names) == len(words) else None,
        number,
        claimed,
        len(words),
        np.array([row for row in sample if len(row) == len(words)], dtype=np.float64),
    )


def _words(line: str, delimiter: str | None = "") -> list[str]:
    """Split at `delimiter`; by default at whatever separates: semicolons, else commas, else blanks."""
    line = line.strip()
    if delimiter == "":
        delimiter = ";" if ";" in line else "," if "," in line else None
    return [w.strip() for w in line.split(delimiter)] if line else []


def _is_number(word: str) -> bool:
    return not np.isnan(_float(word)) or word.lower() in ("nan", "-nan", "+nan")


def _float(word: str) -> float:
    try:
        return float(word.replace(",", "."))
    except ValueError:
        return float("nan")


def _header_names(line: str) -> list[str] | None:
    """Names of the columns if the line names x, y and z, lower case and distinct."""
    words = [
        w.strip("\"'")
        for w in re.split(r"[\s,;]+", re.sub(r"^\s*(#|//|;|%)+", "", line).strip())
        if w.strip("\"'")
    ]
    names = [re.sub(r"[^0-9a-z_]+", "_", w.lower()).strip("_") or "column" for w in words]
    if not {"x", "y", "z"} <= set(names):
        return None
    return [n if n not in names[:i] else f"{n}_{i + 1}" for i, n in enumerate(names)]


def _table(names: list[str], blocks: list[np.ndarray]) -> np.ndarray:
    """Doubles, but bytes for colours that are whole numbers up to 255."""
    is_byte = {
        n: all(_are_bytes(b[:, i]) for b in blocks) for i, n in enumerate(names) if n in _COLOR_COLUMNS
    }
    colors = [n for n in names if n in is_byte]
    all_bytes = all(is_byte.values()) and any(
        bool((b[:, names.index(n)] > 1).any()) for n in colors for b in blocks
    )
    fields = [(n, "u1" if n in is_byte and all_bytes else "f8") for n in names]
    table = np.empty(sum(len(b) for b in blocks), fields)
    done = 0
    while blocks:  # Freed one by one: together they are as large as the table.
        block = blocks.pop(0)
        for name, column in zip(names, block.T, strict=True):
            table[name][done : done + len(block)] = column
        done += len(block)
    return table


_COLOR_COLUMNS = ("red", "green", "blue", "r", "g", "b")


def _are_bytes(values: np.ndarray) -> bool:
    return bool(((values >= 0) & (values <= 255) & (values == np.rint(values))).all())

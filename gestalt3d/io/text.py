"""Points as lines of text: .xyz .txt .csv .asc .pts, with or without a header line."""

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gestalt3d.encoding import text_lines
from gestalt3d.errors import UserError
from gestalt3d.io.columns import (
    COLOR,
    COLOR_NAMES,
    NORMAL,
    NORMAL_NAMES,
    POSITION,
    Stored,
    column_names,
    from_table,
    roles_sentence,
)
from gestalt3d.io.decimals import number_blocks

_HEAD_LINES = 1000
_TITLE_LINES = 20
_COMMENT = re.compile(r"^\s*(#|//|;|%)+")
_COUNT = re.compile(r"\s*[0-9]{1,15}\s*")
_NOT_IN_TEXT = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f]")
_QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_DECIMAL = re.compile(r"[+-]?[0-9]+(,[0-9]+)?([eE][+-]?[0-9]+)?")
_GRID = re.compile(
    r"\s*(ncols|nrows|xll(corner|center)|yll(corner|center)|cellsize)\s+[-+.0-9]", re.IGNORECASE
)
_GIVE_ROWS = "give one point per line: x y z, or x y z r g b"

_UPWARD = ("height", "z", "elevation", "altitude", "elev", "alt", "h", "up", "höhe", "hoehe")
_HORIZONTAL = (("x", "y"), ("easting", "northing"), ("east", "north"), ("e", "n"), ("rechtswert", "hochwert"))
_POSITIONS = (
    POSITION,
    *((east, north, up) for east, north in _HORIZONTAL for up in _UPWARD),
    *(tuple(form.format(a) for a in POSITION) for form in ("{}_coord", "{}_coordinate", "coord_{}", "pos_{}", "p{}")),
    *(tuple(form.format(a) for a in POSITION) for form in ("position_{}", "point_{}", "coordinate_{}", "{}_m")),
    ("points_0", "points_1", "points_2"),
)  # fmt: skip
_DEGREES = {"lon", "lat", "longitude", "latitude", "long", "lng"}


class Style(NamedTuple):
    """How the cells of a row are written."""

    delimiter: str | None
    has_decimal_comma: bool = False
    is_quoted: bool = False
    empty_cells: int = 0
    """Delimiters after the last number."""

    def cells(self, line: str) -> list[str]:
        cells = [c.strip() for c in self.plain(line).strip(" \r\n").split(self.delimiter)]
        return [] if cells == [""] else cells

    def plain(self, line: str) -> str:
        """The line as `np.loadtxt` wants it."""
        if self.is_quoted:
            line = _QUOTED.sub(lambda m: (m[1] or m[2] or "").replace(",", "."), line)
        if self.has_decimal_comma:
            line = line.replace(",", ".")
        for _ in range(self.empty_cells):
            line = line.rstrip(" \r\n").removesuffix(self.delimiter or "")
        return line

    @property
    def is_plain(self) -> bool:
        return not (self.is_quoted or self.has_decimal_comma or self.empty_cells)


class Layout(NamedTuple):
    style: Style
    names: list[str]
    first_line: int
    claimed: int | None
    """Number of points that a .pts file begins with."""
    assumed: tuple[str, ...]


class _Lines(Iterator[str]):
    """Lines that know how many of them are gone, and can be put back."""

    def __init__(self, lines: Iterable[str], number: int) -> None:
        self._lines, self.number = iter(lines), number

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        return line

    def put_back(self, line: str) -> None:
        self._lines = chain([line], self._lines)
        self.number -= 1


def read_text(path: Path) -> Stored:
    """Columns by the names in a header line, else x y z and what `column_names` makes of the rest.

    Numbers may stand in quotes, have decimal commas (cells apart by semicolons, tabs or blanks) or delimiters
    after the last one. Several stations one after the other, each with its count, are one cloud.
    """
    with path.open("rb") as file:
        lines = text_lines(file)
        head = list(islice(lines, _HEAD_LINES))
        layout = _layout(path, head)
        body: Iterable[str] = chain(head[layout.first_line - 1 :], lines)
        if not layout.style.is_plain:
            body = map(layout.style.plain, body)
        blocks, notes = _stations(path, _Lines(body, layout.first_line - 1), layout)
    return from_table(path, "text", _table(layout.names, blocks), notes, layout.assumed)


def _stations(path: Path, lines: _Lines, layout: Layout) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """All rows; a count in front says how many follow until the next count."""
    blocks: list[np.ndarray] = []
    claimed, stations, notes = layout.claimed, 1, []
    while True:
        if claimed is not None and claimed * 6 > path.stat().st_size:
            raise UserError(f"{path}: claims {claimed} points, more than fit into the file; export it again")
        blocks += number_blocks(
            path,
            lines,
            columns=len(layout.names),
            rows=claimed,
            delimiter=layout.style.delimiter,
            first_line=lines.number + 1,
        )
        following = next((line for line in lines if line.strip() and not _COMMENT.match(line)), None)
        if following is None:
            break
        if _COUNT.fullmatch(following):
            claimed, stations = int(following), stations + 1
        else:
            done = sum(map(len, blocks))
            notes.append(f"its count says {done} points, but more rows follow: all are read")
            lines.put_back(following)
            claimed = None
    return blocks, (*notes, *([f"{stations} stations are read as one cloud"] if stations > 1 else []))


def _layout(path: Path, head: list[str]) -> Layout:
    if any(_NOT_IN_TEXT.search(line) for line in head):
        raise UserError(f"{path}: is no text; check the extension")
    titles: list[str] = []
    comments: list[str] = []
    claimed = None
    for number, line in enumerate(head, 1):
        if not line.strip():
            continue
        if _COMMENT.match(line):
            comments.append(_COMMENT.sub("", line))
        elif _COUNT.fullmatch(line) and claimed is None:
            claimed = int(line)
        elif style := _style(line):
            return _numeric_layout(path, style, head[number - 1 :], number, titles, comments, claimed)
        else:
            titles.append(line)
            if len(titles) > _TITLE_LINES:
                break
    if claimed == 0 and not titles:
        raise UserError(f"{path}: holds no points; export the scan again")
    raise _no_rows(path, titles)


def _no_rows(path: Path, titles: list[str]) -> UserError:
    """What the lines are that are no rows of numbers."""
    for line in titles:
        cells = [
            c.strip(" \t\"'")
            for c in re.split(r"[,;\t]" if re.search("[,;\t]", line) else r"\s+", line.strip())
        ]
        words = [c for c in cells if not _is_number(c)]
        if len(cells) - len(words) >= 3 and words:
            return UserError(
                f"{path}: has {words[0][:40]!r} among the numbers of a row; remove that column, only numbers are read"
            )
    return UserError(f"{path}: holds no rows of numbers; {_GIVE_ROWS}")


def _style(line: str) -> Style | None:
    """How a row of numbers is written; None where it is no such row."""
    is_quoted = '"' in line or "'" in line
    candidates = [Style(None, False, is_quoted)]
    unquoted = candidates[0].plain(line)
    if ";" in unquoted:
        candidates = [Style(";", "," in unquoted, is_quoted)]
    elif "\t" in unquoted.strip():
        candidates = [Style("\t", "," in unquoted, is_quoted), *candidates]
    if "," in unquoted and ";" not in unquoted:
        words = unquoted.split()
        if len(words) > 2 and all(map(_DECIMAL.fullmatch, words)):
            candidates.append(Style(None, True, is_quoted))
        candidates.append(Style(",", False, is_quoted))
    for style in candidates:
        numbers = cells = style.cells(line)
        while numbers and not numbers[-1]:
            numbers = numbers[:-1]
        if numbers and all(map(_is_number, numbers)):
            return style._replace(empty_cells=len(cells) - len(numbers))
    return None


def _style_of_all(style: Style, rows: list[str]) -> Style:
    """What the first row does not show: quotes and decimal commas further down."""
    style = style._replace(is_quoted=style.is_quoted or any('"' in row for row in rows))
    if style.delimiter == "," or style.has_decimal_comma:
        return style
    rows = [_COMMENT.split(row)[0] for row in rows]
    cells = [c for row in rows if "," in row for c in style.cells(row)]
    return style._replace(has_decimal_comma=bool(cells) and all(map(_DECIMAL.fullmatch, cells)))


def _numeric_layout(
    path: Path,
    style: Style,
    rows: list[str],
    number: int,
    titles: list[str],
    comments: list[str],
    claimed: int | None,
) -> Layout:
    style = _style_of_all(style, rows)
    count = len(style.cells(rows[0]))
    if sum(bool(_GRID.match(line)) for line in titles) > 1:
        raise UserError(f"{path}: is a grid of heights (ESRI), not a cloud; convert it to x y z first")
    if count < 3:
        if titles:
            raise _no_rows(path, titles)
        raise UserError(f"{path}: line {number} has {count} columns; {_GIVE_ROWS}")
    header = _header(path, style, count, titles, comments)
    if header is not None:
        names = _role_names(header)
        sentence = roles_sentence(names, header)
    else:
        if len(titles) > 1:
            raise UserError(f"{path}: begins with text and names no columns x, y, z; {_GIVE_ROWS}")
        sample = _sample(style, rows, count)
        _refuse_leading_id(path, sample)
        if style.delimiter == "," and not style.is_quoted:
            _refuse_cut_decimals(path, rows)
        names = column_names(sample, has_intensity=path.suffix.lower() == ".pts")
        sentence = roles_sentence(names)
    return Layout(style, names, number, claimed, (sentence,) if sentence else ())


def _sample(style: Style, rows: list[str], count: int) -> np.ndarray:
    cells = (style.cells(row) for row in rows)
    return np.array([[_float(c) for c in row] for row in cells if len(row) == count], dtype=np.float64)


def _refuse_leading_id(path: Path, sample: np.ndarray) -> None:
    """Without a header, a first column of whole numbers before three with decimals is an id or a class."""
    if sample.shape[1] < 4 or len(sample) < 10:
        return
    varies = len(np.unique(sample[:, 0])) > 1  # else x y z of a plane, unless the colours are one column late
    whole = np.mean(sample[:, :4] == np.rint(sample[:, :4]), axis=0)
    if whole[0] == 1 and whole[1:].max() < 0.5 and (varies or sample.shape[1] == 7):
        raise UserError(
            f"{path}: its first column holds whole numbers and the next three do not, so it is an id or a class and "
            "not x; name the columns in a first line (id x y z …) or remove it"
        )


def _refuse_cut_decimals(path: Path, rows: list[str]) -> None:
    """Between commas, whole numbers with zeros in front are what follows a decimal comma."""
    if not any("." in row for row in rows) and any(re.search(r",0[0-9]", row) for row in rows):
        raise UserError(
            f"{path}: its numbers seem to have decimal commas, and commas between them; write decimal points, or "
            "set the numbers apart by semicolons"
        )


def _header(path: Path, style: Style, count: int, titles: list[str], comments: list[str]) -> list[str] | None:
    """Names of the columns as the file writes them; None where no line names them."""
    for line in reversed([*comments, *titles]):
        names = _split_names(line, style, count)
        plain = {_plain_name(n) for n in names}
        if len(names) == count and _triple_of(plain, _POSITIONS):
            return names
        if len(names) == count and len(plain & _DEGREES) > 1:
            raise UserError(
                f"{path}: its columns {', '.join(names)[:200]} are degrees; project them to metres (UTM) first"
            )
    if len(titles) != 1:
        return None
    names = _split_names(titles[0], style, count)
    plain = {_plain_name(n) for n in names}
    listed = ", ".join(n or "(no name)" for n in names)[:200]
    if len(names) == count:
        raise UserError(
            f"{path}: none of its columns {listed} is a coordinate by its name; call them x, y and z"
        )
    if set(POSITION) <= plain:
        raise UserError(
            f"{path}: its first line names {len(names)} columns ({listed}), but its rows have {count}; mend the "
            "first line, or replace decimal commas by points"
        )
    return None


def _split_names(line: str, style: Style, count: int) -> list[str]:
    """At what separates the numbers, else at whatever gives as many names as there are columns."""
    line = line.strip()
    choices = [style.delimiter, ";", "\t", ",", None] if style.delimiter else ["\t", ";", ",", None]
    found: list[list[str]] = []
    for delimiter in choices:
        if delimiter is None or delimiter in line:
            names = [n.strip().strip("\"'").strip() for n in line.split(delimiter)]
            while len(names) > count and not names[-1]:
                names.pop()
            found.append(names)
    return next((names for names in found if len(names) == count), found[0])


def _plain_name(name: str) -> str:
    """`X [m]`, `Coord. X`, `Point ID` → x, coord_x, point_id."""
    return re.sub(r"\W+", "_", re.sub(r"[\[(].*?[\])]", "", name.lower())).strip("_")


def _role_names(header: list[str]) -> list[str]:
    """x y z, red green blue and nx ny nz for the columns with these roles, plain and distinct names for the rest."""
    plain = [_plain_name(n) or "column" for n in header]
    names = list(plain)
    for role, choices in ((POSITION, _POSITIONS), (COLOR, COLOR_NAMES), (NORMAL, NORMAL_NAMES)):
        for new, old in zip(role, _triple_of(plain, choices) or (), strict=False):
            names[plain.index(old)] = new
    seen = {new for new, old in zip(names, plain, strict=True) if new != old}
    for i, name in enumerate(plain):
        if names[i] == name:
            k = 1
            while names[i] in seen:
                k += 1
                names[i] = f"{name}_{k}"
            seen.add(names[i])
    return names


def _triple_of(names: Collection[str], choices: Iterable[tuple[str, ...]]) -> tuple[str, ...] | None:
    return next((triple for triple in choices if set(triple) <= set(names)), None)


def _is_number(word: str) -> bool:
    return not np.isnan(_float(word)) or word.lower() in ("nan", "-nan", "+nan")


def _float(word: str) -> float:
    # Python would take 1_000.
    try:
        return float(word) if "_" not in word else float("nan")
    except ValueError:
        return float("nan")


def _table(names: list[str], blocks: list[np.ndarray]) -> np.ndarray:
    """Doubles, but bytes for colours that are whole numbers up to 255."""
    colors = [i for i, name in enumerate(names) if name in COLOR]
    are_bytes = all(_are_bytes(b[:, i]) for b in blocks for i in colors)
    are_bytes = are_bytes and any(bool((b[:, i] > 1).any()) for b in blocks for i in colors)
    fields = [(n, "u1" if i in colors and are_bytes else "f8") for i, n in enumerate(names)]
    table = np.empty(sum(len(b) for b in blocks), fields)
    done = 0
    while blocks:  # Freed one by one: together they are as large as the table.
        block = blocks.pop(0)
        for name, column in zip(names, block.T, strict=True):
            table[name][done : done + len(block)] = column
        done += len(block)
    return table


def _are_bytes(values: np.ndarray) -> bool:
    return bool(((values >= 0) & (values <= 255) & (values == np.rint(values))).all())

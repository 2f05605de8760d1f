"""A PLY again with more properties of its vertices: faces, edges, materials and all else stay as they are."""

import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gestalt3d.encoding import open_unmarked
from gestalt3d.errors import UserError
from gestalt3d.io.ply import PLY_NAMES, Element, Header, end_of_rows, read_header, row_type

_CHUNK = 1 << 18


def extend_ply(
    source: Path, file: BinaryIO, columns: dict[str, np.ndarray], *, comments: tuple[str, ...] = ()
) -> None:
    """Copy the PLY `source` into `file`, ascii or in its byte order, with `columns` (n,) as properties of its vertices.

    Properties of these names that it has already are replaced, and so are comments of the kind of `comments`, which
    begin with the same word.
    """
    count = len(next(iter(columns.values())))
    with open_unmarked(source) as given:
        header = read_header(source, given)
        vertex = next((e for e in header.elements if e.name == "vertex"), None)
        if vertex is None or vertex.rows != count:
            now = "no" if vertex is None else f"{vertex.rows:,}"
            raise UserError(
                f"{source}: has {now} points now, but had {count:,} when it was read; segment it again"
            )
        given.seek(0)
        lines = [line.rstrip(b"\r") for line in given.read(header.size).split(b"\n")[:-1]]
        lines, kept = _new_header(lines, columns, comments)
        file.write(b"\n".join([*lines, b""]))
        before = header.elements[: header.elements.index(vertex)]
        if header.order:
            _copy_binary(source, given, file, header, before, vertex, kept, columns)
        else:
            _copy_ascii(given, file, header.size, sum(e.rows for e in before), kept, columns)
        shutil.copyfileobj(given, file)


def _new_header(
    lines: list[bytes], columns: dict[str, np.ndarray], comments: tuple[str, ...]
) -> tuple[list[bytes], list[int]]:
    """The lines of the new header, and which of the vertices' properties stay."""
    out: list[bytes] = []
    kept: list[int] = []
    number, is_vertex, has_elements, has_vertices = 0, False, False, False
    added = [f"property {PLY_NAMES[c.dtype.str[1:]]} {name}".encode() for name, c in columns.items()]
    kinds = {comment.split()[0].encode() for comment in comments}
    for line in lines:
        words = line.split()
        keyword = words[0] if words else b""
        if is_vertex and keyword in (b"element", b"end_header"):
            out += added
            is_vertex = False
        if keyword == b"element":
            out += [] if has_elements else [f"comment {comment}".encode() for comment in comments]
            has_elements = True
            is_vertex = words[1] == b"vertex" and not has_vertices
            has_vertices = has_vertices or is_vertex
        elif is_vertex and keyword == b"property":
            number += 1
            if words[-1].decode("utf-8", "replace") in columns:
                continue
            kept.append(number - 1)
        elif keyword == b"comment" and len(words) > 1 and words[1] in kinds:
            continue
        out.append(line)
    return out, kept


def _copy_binary(
    path: Path,
    given: BinaryIO,
    file: BinaryIO,
    header: Header,
    before: tuple[Element, ...],
    vertex: Element,
    kept: list[int],
    columns: dict[str, np.ndarray],
) -> None:
    size, start = path.stat().st_size, header.size
    for element in before:
        start = end_of_rows(path, given, header.order, element, start, size)
    dtype = row_type(path, given, header.order, vertex, start, size)
    given.seek(header.size)
    for part in _parts(start - header.size):
        file.write(given.read(len(part)))
    names = [
        name
        for p in (vertex.properties[k] for k in kept)
        for name in ([f"{p.name}_count"] if p.count_type else []) + [p.name]
    ]
    new = [(name, dtype[name]) for name in names]
    new += [(name, np.dtype(header.order + column.dtype.str[1:])) for name, column in columns.items()]
    for part in _parts(vertex.rows):
        rows = np.fromfile(given, dtype, len(part))
        out = np.empty(len(rows), new)
        for name in names:
            out[name] = rows[name]
        for name, column in columns.items():
            out[name] = column[part.start : part.stop]
        file.write(out.data)


def _copy_ascii(
    given: BinaryIO, file: BinaryIO, start: int, before: int, kept: list[int], columns: dict[str, np.ndarray]
) -> None:
    """`before` lines as they are, then one for each vertex. Blank lines count for nothing, as for the reader."""
    given.seek(start)
    lines = (line for line in given if line.strip())
    file.writelines(islice(lines, before))
    words = [
        [b"%d" % v if column.dtype.kind in "iu" else b"%.9g" % v for v in column.tolist()]
        for column in columns.values()
    ]
    # The new words first, so that no line too many is taken.
    for *added, line in zip(*words, lines, strict=False):
        own = line.split()
        file.write(b" ".join([*(own[k] for k in kept), *added]) + b"\n")


def _parts(count: int) -> Iterator[range]:
    return (range(first, min(first + _CHUNK, count)) for first in range(0, count, _CHUNK))

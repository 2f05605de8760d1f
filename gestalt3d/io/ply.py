"""PLY: ascii and both binaries, any property order and type."""

import re
from collections.abc import Iterator
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from gestalt3d.encoding import Unmarked, decode, open_unmarked
from gestalt3d.errors import UserError
from gestalt3d.io.columns import Stored, from_table
from gestalt3d.io.decimals import number_blocks

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "int64": "i8", "uint64": "u8", "float": "f4", "double": "f8", "float32": "f4", "float64": "f8",
}  # fmt: skip
PLY_NAMES = {
    "i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint",
    "f4": "float", "f8": "double",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_HEADER_LIMIT = 1 << 20
_CHUNK = 1 << 20
METRIC_COMMENT = "gestalt3d frame: metres, z up"


class Property(NamedTuple):
    name: str
    type: str
    """NumPy code without byte order, "f4"."""
    count_type: str | None = None
    """Of lists: the type of their length."""


class Element(NamedTuple):
    name: str
    rows: int
    properties: tuple[Property, ...]

    @property
    def has_lists(self) -> bool:
        return any(p.count_type for p in self.properties)


class Header(NamedTuple):
    order: str
    """Byte order as NumPy writes it; empty for ascii."""
    elements: tuple[Element, ...]
    comments: tuple[str, ...]
    size: int
    """Bytes up to the first byte of data."""
    lines: int


def read_ply(path: Path) -> Stored:
    """All properties of the element `vertex`; other elements are skipped, but the file must not end within them."""
    with open_unmarked(path) as file:
        header = read_header(path, file)
        refuse_text(path, file, is_binary=header.order != "")
        vertex = next((e for e in header.elements if e.name == "vertex"), None)
        if vertex is None:
            raise UserError(f"{path}: has no element named vertex; export it as a point cloud")
        names = {p.name.lower() for p in vertex.properties if p.count_type is None}
        if not {"x", "y", "z"} <= names:
            raise UserError(f"{path}: its vertices have no x, y and z; name the coordinates x, y, z")
        before = header.elements[: header.elements.index(vertex)]
        table = (_read_binary if header.order else _read_ascii)(path, file, header, before, vertex)
    stored = from_table(path, "ply", table, _notes(header, vertex))
    is_metric = METRIC_COMMENT in header.comments
    return stored._replace(units="m", up="z") if is_metric else stored


def refuse_text(path: Path, file: BinaryIO, *, is_binary: bool) -> None:
    """Bytes that went through a text editor are not the ones that were written."""
    if is_binary and isinstance(file, Unmarked):
        raise UserError(
            f"{path}: holds binary data, but was saved as text with a byte-order mark; take the original file"
        )


def read_header(path: Path, file: BinaryIO) -> Header:
    """Read up to `end_header` and leave `file` at the first byte of data."""
    lines = _header_lines(path, file)
    if next(lines, None) != "ply":
        raise UserError(f"{path}: is no PLY file (it does not begin with 'ply'); check the extension")
    order, comments, count = None, [], 1
    elements: list[tuple[str, int, list[Property]]] = []
    for count, line in enumerate(lines, 2):
        words = line.split()
        keyword = words[0] if words else ""
        if keyword == "end_header":
            break
        if keyword in ("comment", "obj_info", ""):
            comments += [line.partition(" ")[2]] if keyword == "comment" else []
        elif keyword == "format" and len(words) == 3 and words[1] in _ORDERS:
            order = _ORDERS[words[1]]
        elif keyword == "element" and len(words) == 3 and re.fullmatch(r"[0-9]{1,18}", words[2]):
            elements.append((words[1], int(words[2]), []))
        elif keyword == "property" and elements and (found := _property(words)):
            elements[-1][2].append(found)
        else:
            raise UserError(f"{path}: line {count} of its header is no PLY ({line[:60]!r}); export it again")
    if order is None:
        raise UserError(
            f"{path}: its header names no known format; export it as binary_little_endian or ascii"
        )
    made = tuple(Element(name, rows, _unique(properties)) for name, rows, properties in elements)
    return Header(order, made, tuple(comments), file.tell(), count)


def write_ply(
    file: BinaryIO,
    table: np.ndarray | dict[str, np.ndarray],
    *,
    comments: tuple[str, ...] = (),
    faces: np.ndarray | None = None,
) -> None:
    """Structured array or columns (n,) by name → binary little-endian PLY with these properties; and (f, 3) triangles.

    PLY has no 64-bit integers, half floats or booleans: they become int or double, float and uchar. Fields
    that are no single number are split (`name_0`, `name_1`) or, when not numeric, left out.
    """
    given = table if isinstance(table, dict) else {name: table[name] for name in table.dtype.names or ()}
    count = len(next(iter(given.values()), ()))
    columns = [column for name, values in given.items() for column in _columns(name, values)]
    dtype = np.dtype([(name, "<" + code) for name, code, _ in columns])
    words = ["ply", "format binary_little_endian 1.0"]
    words += [f"comment {' '.join(c.split())}" for c in comments]
    words += [f"element vertex {count}"]
    words += [f"property {PLY_NAMES[code]} {name}" for name, code, _ in columns]
    if faces is not None:
        words += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    file.write("\n".join([*words, "end_header\n"]).encode("utf-8"))
    for first in range(0, count, _CHUNK):
        rows = np.empty(min(_CHUNK, count - first), dtype)
        for name, _, column in columns:
            rows[name] = column[first : first + _CHUNK]
        file.write(rows.data)
    if faces is not None:
        triangles = np.zeros(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
        triangles["count"], triangles["corners"] = 3, faces
        file.write(triangles.data)


def _header_lines(path: Path, file: BinaryIO) -> Iterator[str]:
    read = 0
    while read < _HEADER_LIMIT:
        line = file.readline(_HEADER_LIMIT - read)
        read += len(line)
        if not line.endswith(b"\n"):
            break
        yield decode(line).strip()
    raise UserError(f"{path}: is no PLY file or cut off within its header; export it again")


def _property(words: list[str]) -> Property | None:
    if len(words) == 3 and words[1] in _TYPES:
        return Property(words[2], _TYPES[words[1]])
    if len(words) == 5 and words[1] == "list" and words[2] in _TYPES and words[3] in _TYPES:
        count_type = _TYPES[words[2]]
        return Property(words[4], _TYPES[words[3]], count_type) if count_type[0] != "f" else None
    return None


def _unique(properties: list[Property]) -> tuple[Property, ...]:
    """A name that comes again gets a number: NumPy wants distinct names."""
    seen: set[str] = set()
    out = []
    for p in properties:
        name, k = p.name, 1
        while name in seen:
            k += 1
            name = f"{p.name}_{k}"
        seen.add(name)
        out.append(p._replace(name=name))
    return tuple(out)


def _notes(header: Header, vertex: Element) -> tuple[str, ...]:
    faces = next((e.rows for e in header.elements if e.name == "face"), 0)
    if faces and vertex.rows < 5000:
        return (
            f"only the {vertex.rows} vertices of the mesh are used; save it as .obj or .glb to have its "
            "surface sampled",
        )
    return ()


def _read_binary(
    path: Path, file: BinaryIO, header: Header, before: tuple[Element, ...], vertex: Element
) -> np.ndarray:
    size = path.stat().st_size
    start = header.size
    for element in before:
        start = end_of_rows(path, file, header.order, element, start, size)
    dtype = row_type(path, file, header.order, vertex, start, size)
    _check_room(path, vertex, dtype.itemsize, size - start)
    file.seek(start)
    table = np.fromfile(file, dtype, vertex.rows)
    if len(table) < vertex.rows:
        raise UserError(
            f"{path}: ends after {len(table)} of {vertex.rows} points; the file is cut off, copy it again"
        )
    for p in vertex.properties:
        if p.count_type and bool((table[f"{p.name}_count"] != dtype[p.name].shape[0]).any()):
            raise UserError(
                f"{path}: the lists {p.name!r} of its vertices differ in length; export it without them"
            )
    expect_rest(path, file, header, vertex, start + table.nbytes)
    names = [p.name for p in vertex.properties if not p.count_type]
    return table if len(names) == len(dtype.names or ()) else _packed(table[names])


def expect_rest(path: Path, file: BinaryIO, header: Header, vertex: Element, start: int) -> None:
    """`UserError` where a binary file ends within the elements behind the vertices, which end at `start`.

    The last of them is not read where it fits with lists as long as its first, as those of triangles are.
    """
    size = path.stat().st_size
    rest = [e for e in header.elements[header.elements.index(vertex) + 1 :] if e.rows]
    for element in rest:
        _check_room(path, element, _least_row(element), size - start)
        row = row_type(path, file, header.order, element, start, size)
        if element is rest[-1] and element.rows * row.itemsize <= size - start:
            return
        start = end_of_rows(path, file, header.order, element, start, size)


def _least_row(element: Element) -> int:
    """Bytes of a row whose lists are empty."""
    return sum(np.dtype(p.count_type or p.type).itemsize for p in element.properties)


def _packed(view: np.ndarray) -> np.ndarray:
    """A copy without the gaps that leaving out fields leaves."""
    out = np.empty(len(view), [(name, view.dtype[name]) for name in view.dtype.names or ()])
    for name in out.dtype.names or ():
        out[name] = view[name]
    return out


def _check_room(path: Path, element: Element, row_bytes: int, room: int) -> None:
    """Before anything is allocated: the claimed rows must fit into the rest of the file."""
    if element.rows * row_bytes > room:
        raise UserError(
            f"{path}: claims {element.rows} rows of {element.name} ({row_bytes} bytes each), but only "
            f"{max(room, 0)} bytes follow; the file is cut off or its header is wrong, export it again"
        )


def row_type(path: Path, file: BinaryIO, order: str, element: Element, start: int, size: int) -> np.dtype:
    """Type of the first row; the caller checks that the lists of all rows are as long as its lists."""
    fields: list[tuple] = []
    at = start
    for p in element.properties:
        item = np.dtype(p.type).itemsize
        if p.count_type is None:
            fields.append((p.name, order + p.type))
            at += item
            continue
        count = _number(file, order + p.count_type, at) if element.rows else 0
        at += np.dtype(p.count_type).itemsize
        if not 0 <= count <= max(size - at, 0) // item:
            raise UserError(
                f"{path}: a list in element {element.name} claims more entries than follow; the file is cut off or damaged, "
                "export it again"
            )
        fields += [(f"{p.name}_count", order + p.count_type), (p.name, order + p.type, (count,))]
        at += count * item
    try:
        return np.dtype(fields)
    except ValueError:
        raise UserError(f"{path}: the properties of element {element.name} clash; export it again") from None


def _number(file: BinaryIO, dtype: str, at: int) -> int:
    """The integer stored at `at`, -1 beyond the end."""
    file.seek(at)
    data = file.read(np.dtype(dtype).itemsize)
    return int(np.frombuffer(data, dtype)[0]) if len(data) == np.dtype(dtype).itemsize else -1


def end_of_rows(path: Path, file: BinaryIO, order: str, element: Element, start: int, size: int) -> int:
    """First byte after the rows of `element`."""
    fixed = _least_row(element)
    _check_room(path, element, fixed, size - start)
    if not element.has_lists:
        return start + element.rows * fixed
    dtype = row_type(path, file, order, element, start, size)
    if element.rows * dtype.itemsize <= size - start:
        file.seek(start)
        table = np.fromfile(file, dtype, element.rows)
        lists = [p for p in element.properties if p.count_type]
        if all(bool((table[f"{p.name}_count"] == dtype[p.name].shape[0]).all()) for p in lists):
            return start + element.rows * dtype.itemsize
    return _walk(path, file, order, element, start)


def _walk(path: Path, file: BinaryIO, order: str, element: Element, start: int) -> int:
    """As `end_of_rows`, row by row, for lists of different lengths."""
    file.seek(start)
    data, at = file.read(), 0
    endian = "big" if order == ">" else "little"
    steps = [
        (np.dtype(p.count_type).itemsize if p.count_type else 0, np.dtype(p.type).itemsize)
        for p in element.properties
    ]
    for _ in range(element.rows):
        for count_bytes, item_bytes in steps:
            if count_bytes:
                at += count_bytes + int.from_bytes(data[at : at + count_bytes], endian) * item_bytes
            else:
                at += item_bytes
        if at > len(data):
            raise UserError(
                f"{path}: its element {element.name} runs over the end; the file is cut off, copy it again"
            )
    return start + at


def _read_ascii(
    path: Path, file: BinaryIO, header: Header, before: tuple[Element, ...], vertex: Element
) -> np.ndarray:
    if vertex.has_lists:
        raise UserError(f"{path}: its vertices carry lists; export it as binary PLY or without them")
    # A digit and a separator for each number is the least a row can take.
    _check_room(path, vertex, 2 * len(vertex.properties), path.stat().st_size - header.size + 1)
    file.seek(header.size)
    lines = (line for line in TextIOWrapper(file, encoding="latin-1") if line.strip())
    for element in before:
        _check_room(path, element, 2, path.stat().st_size - header.size + 1)
    skipped = sum(e.rows for e in before)
    for _ in islice(lines, skipped):
        pass
    table = np.empty(vertex.rows, [(p.name, p.type) for p in vertex.properties])
    done = 0
    first_line = header.lines + skipped + 1
    columns = len(vertex.properties)
    for block in number_blocks(path, lines, columns=columns, rows=vertex.rows, first_line=first_line):
        fill_table(table[done : done + len(block)], block)
        done += len(block)
    rest = sum(e.rows for e in header.elements) - skipped - vertex.rows
    if sum(1 for _ in islice(lines, rest)) < rest:
        raise UserError(
            f"{path}: ends before the last of its faces or other elements; the file is cut off, copy it again"
        )
    return table


def fill_table(table: np.ndarray, block: np.ndarray) -> None:
    """Columns of (k, c) → the c fields of `table`; integers are clipped to their range, NaN becomes 0."""
    for name, column in zip(table.dtype.names or (), block.T, strict=True):
        kind = table.dtype[name]
        if kind.kind in "iu":
            limits = np.iinfo(kind)
            column = np.clip(np.nan_to_num(column), limits.min, limits.max)
        with np.errstate(all="ignore"):
            table[name] = column


def _columns(name: str, values: np.ndarray) -> list[tuple[str, str, np.ndarray]]:
    """PLY properties (name, type code, values) of one field."""
    if values.ndim > 1:
        flat = values.reshape(len(values), -1)
        return [c for k in range(flat.shape[1]) for c in _columns(f"{name}_{k}", flat[:, k])]
    kind = values.dtype.kind
    code = values.dtype.str[1:]
    if kind == "b":
        code = "u1"
    elif kind == "f" and code not in PLY_NAMES:
        code = "f4" if values.dtype.itemsize < 4 else "f8"
    elif kind in "iu" and code not in PLY_NAMES:
        fits = not len(values) or (values.min() >= -(2**31) and values.max() < 2**31)
        code = "i4" if fits else "f8"
    elif kind not in "iuf":
        return []
    return [(re.sub(r"\s+", "_", name) or "unnamed", code, values)]

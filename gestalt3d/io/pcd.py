"""PCD, the point-cloud library's format: ascii, binary, binary_compressed."""

import re
import struct
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from gestalt3d.encoding import decode, open_unmarked
from gestalt3d.errors import UserError
from gestalt3d.io.columns import Stored, as_table, from_table
from gestalt3d.io.decimals import number_blocks
from gestalt3d.io.ply import fill_table, refuse_text

_KINDS = {"I": "i", "U": "u", "F": "f"}
_SIZES = {"I": (1, 2, 4, 8), "U": (1, 2, 4, 8), "F": (4, 8)}
_KEYS = ("VERSION", "FIELDS", "SIZE", "TYPE", "COUNT", "WIDTH", "HEIGHT", "VIEWPOINT", "POINTS", "DATA")


class Header(NamedTuple):
    dtype: np.dtype
    points: int
    data: str
    size: int
    lines: int


def read_pcd(path: Path) -> Stored:
    """All fields; a packed `rgb` or `rgba` becomes red, green, blue (and alpha)."""
    with open_unmarked(path) as file:
        header = _read_header(path, file)
        refuse_text(path, file, is_binary=header.data != "ascii")
        room = path.stat().st_size - header.size
        read = {"ascii": _read_ascii, "binary": _read_binary, "binary_compressed": _read_compressed}[
            header.data
        ]
        table = _without_padding(read(path, file, header, room))
    return from_table(path, "pcd", table)


def _read_header(path: Path, file: BinaryIO) -> Header:
    found: dict[str, list[str]] = {}
    lines = 0
    while "DATA" not in found:
        line = file.readline(1 << 16)
        lines += 1
        words = decode(line).split()
        if not line.endswith(b"\n") or (
            words and not words[0].startswith("#") and words[0].upper() not in _KEYS
        ):
            raise UserError(
                f"{path}: is no PCD file or cut off within its header; check the extension or export it again"
            )
        if words and not words[0].startswith("#"):
            found[words[0].upper()] = words[1:]
        if lines > 1000:
            raise UserError(f"{path}: its header does not end; export it again")
    points = _number(path, found, "WIDTH") * (_number(path, found, "HEIGHT") if "HEIGHT" in found else 1)
    if "POINTS" in found and _number(path, found, "POINTS") != points:
        raise UserError(
            f"{path}: its header contradicts itself (POINTS is not WIDTH x HEIGHT); export it again"
        )
    data = found["DATA"][0].lower() if found["DATA"] else ""
    if data not in ("ascii", "binary", "binary_compressed"):
        raise UserError(
            f"{path}: DATA {data[:20]!r} is unknown; export it as ascii, binary or binary_compressed"
        )
    return Header(_row_type(path, found), points, data, file.tell(), lines)


def _number(path: Path, found: dict[str, list[str]], key: str) -> int:
    words = found.get(key, [])
    if len(words) != 1 or not re.fullmatch(r"[0-9]{1,15}", words[0]):
        raise UserError(f"{path}: its header gives no number for {key}; export it again")
    return int(words[0])


def _row_type(path: Path, found: dict[str, list[str]]) -> np.dtype:
    names, sizes, types = found.get("FIELDS", []), found.get("SIZE", []), found.get("TYPE", [])
    counts = found.get("COUNT", ["1"] * len(names))
    if not names or not len(names) == len(sizes) == len(types) == len(counts):
        raise UserError(f"{path}: FIELDS, SIZE, TYPE and COUNT of its header do not match; export it again")
    fields, seen = [], set()
    for name, size, kind, count in zip(names, sizes, types, counts, strict=True):
        if not (
            size.isdecimal()
            and count.isdecimal()
            and int(size) in _SIZES.get(kind, ())
            and 0 < int(count) <= 4096
        ):
            raise UserError(
                f"{path}: field {name[:30]!r} has an unknown type ({kind[:5]} of {size[:5]} bytes); export "
                "it again"
            )
        unique, k = name, 1
        while unique in seen:  # Padding is called "_", as often as it occurs.
            k += 1
            unique = f"{name}_{k}"
        seen.add(unique)
        code = f"<{_KINDS[kind]}{int(size)}"
        fields.append((unique, code) if int(count) == 1 else (unique, code, (int(count),)))
    return np.dtype(fields)


def _check_room(path: Path, header: Header, row_bytes: int, room: int) -> None:
    if header.points * row_bytes > room:
        raise UserError(
            f"{path}: claims {header.points} points ({row_bytes} bytes each), but only {max(room, 0)} bytes "
            "follow; the file is cut off or its header is wrong, export it again"
        )


def _read_ascii(path: Path, file: BinaryIO, header: Header, room: int) -> np.ndarray:
    kinds = [header.dtype[name] for name in header.dtype.names or ()]
    codes = [kind.base for kind in kinds for _ in range(_count(kind))]
    _check_room(path, header, 2 * len(codes), room + 1)
    table = np.empty(header.points, [(str(i), code) for i, code in enumerate(codes)])
    done = 0
    lines = TextIOWrapper(file, encoding="latin-1")
    blocks = number_blocks(path, lines, columns=len(codes), rows=header.points, first_line=header.lines + 1)
    for block in blocks:
        fill_table(table[done : done + len(block)], block)
        done += len(block)
    return table.view(header.dtype)


def _count(field: np.dtype) -> int:
    return field.shape[0] if field.shape else 1


def _read_binary(path: Path, file: BinaryIO, header: Header, room: int) -> np.ndarray:
    _check_room(path, header, header.dtype.itemsize, room)
    return np.fromfile(file, header.dtype, header.points)


def _read_compressed(path: Path, file: BinaryIO, header: Header, room: int) -> np.ndarray:
    """Two uint32 sizes, then LZF over the fields one after the other."""
    from gestalt3d.io.lzf import MAX_RATIO, lzf_decode

    head = file.read(8)
    packed, unpacked = struct.unpack("<II", head) if len(head) == 8 else (0, -1)
    expected = header.points * header.dtype.itemsize
    if unpacked != expected or packed > room - 8 or expected > MAX_RATIO * packed:
        raise UserError(
            f"{path}: its compressed block does not match its header; "
            "the file is cut off or damaged, export it again"
        )
    flat = np.empty(expected, np.uint8)
    if lzf_decode(np.frombuffer(file.read(packed), np.uint8), flat) != expected:
        raise UserError(f"{path}: its compressed block is damaged; export it again")
    table = np.empty(header.points, header.dtype)
    at = 0
    for name in header.dtype.names or ():
        field = header.dtype[name]
        column = flat[at : at + header.points * field.itemsize]
        table[name] = column.view(field.base).reshape(header.points, *field.shape)
        at += header.points * field.itemsize
    return table


def _without_padding(table: np.ndarray) -> np.ndarray:
    """Fields called "_" fill gaps only."""
    names = [n for n in table.dtype.names or () if not n.startswith("_")]
    return table if len(names) == len(table.dtype.names or ()) else as_table({n: table[n] for n in names})

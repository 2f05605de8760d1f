"""LAS and LAZ, read and written with laspy."""

import os
import struct
from collections.abc import Callable
from importlib import import_module
from io import BufferedReader, BytesIO, FileIO
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from gestalt3d.errors import UserError
from gestalt3d.io.atomic import atomic_path
from gestalt3d.io.columns import Stored, Triple

_CHUNK_BYTES = 32 << 20
T = TypeVar("T")


def read_las(path: Path) -> Stored:
    """Coordinates in float64, colours as stored; taken to be in metres, z up, as reference systems are."""
    _check_header(path)
    position, colors = _guard(path, lambda: _read_columns(path))
    return Stored("las", position, colors, units="m", up="z")


def write_las(
    path: os.PathLike[str], columns: dict[str, np.ndarray], position: np.ndarray, colors: np.ndarray | None
) -> None:
    """A new LAS 1.4 (LAZ by suffix) of (n, 3) `position`, uint8 `colors` and `columns` as extra dimensions.

    LAS knows no NaN: such points are put into the lowest corner.
    """
    import laspy

    finite = position[np.isfinite(position).all(1)]
    low = np.floor(finite.min(0)) if len(finite) else np.zeros(3)
    extent = float((finite.max(0) - low).max()) if len(finite) else 0.0
    header = laspy.LasHeader(point_format=6 if colors is None else 7, version="1.4")
    header.offsets = low
    header.scales = np.full(3, max(1e-4, extent / 2**30))
    las = laspy.LasData(header)
    las.xyz = np.where(np.isfinite(position), position, low)
    if colors is not None:
        # The standard asks for 16 bits: 255 becomes 65535.
        las.red, las.green, las.blue = (colors[:, i].astype(np.uint16) * np.uint16(257) for i in range(3))
    _write(path, las, columns)


def extend_las(source: Path, path: os.PathLike[str], columns: dict[str, np.ndarray]) -> None:
    """Copy the LAS or LAZ file `source` with its format, scales, offsets, dimensions and records, plus `columns`.

    Dimensions of these names that it has already are replaced. The index of a COPC file is left out, for it speaks
    of an order and places that the copy does not have, and LAS 1.0 becomes 1.2.
    """
    import laspy

    count = len(next(iter(columns.values())))
    _check_header(source)
    las = _guard(source, lambda: laspy.read(_opened(source)))
    if len(las.points) != count:
        raise UserError(
            f"{source}: has {len(las.points)} points now, but had {count} when it was read; segment it again"
        )
    _write(path, las, columns)


def expect_extendable(source: Path, columns: dict[str, np.ndarray]) -> None:
    """Write the header of `extend_las` into memory, so that a file that cannot be copied is refused before all work."""
    import laspy

    with _guard(source, lambda: laspy.open(_opened(source))) as reader:
        reader.header.point_count = 0
        las = laspy.LasData(reader.header)
    try:
        _add(las, {name: column[:0] for name, column in columns.items()})
        _write_to(BytesIO(), las, source.suffix.lower() == ".laz")
    except Exception as error:
        cause = " ".join(str(error).split())[:120]
        raise UserError(
            f"{source}: can be read, but not copied with the answer ({cause}); save it as LAS 1.4 or PLY first"
        ) from error


def _make_writable(header: Any) -> None:
    """What laspy reads and does not write."""
    import laspy

    try:
        laspy.LasHeader(point_format=header.point_format.id, version=str(header.version))
    except laspy.LaspyException:
        header.version = laspy.LasHeader(point_format=header.point_format.id).version
    header.vlrs = [v if v.user_id.isascii() else _plain_record(v) for v in header.vlrs if v.user_id != "copc"]
    if header.evlrs:
        header.evlrs[:] = [_plain_record(v) for v in header.evlrs if v.user_id != "copc"]
        header.number_of_evlrs = len(header.evlrs)
        header.start_of_first_evlr = 0  # the writer sets it where there are any


def _plain_record(record: Any) -> Any:
    """The same data under a name and a description in ASCII, as laspy wants them in extended records."""
    import laspy

    texts = [t.decode("latin-1") if isinstance(t, bytes) else t for t in (record.user_id, record.description)]
    name, description = (t.encode("ascii", "replace").decode() for t in texts)
    return laspy.VLR(name, record.record_id, description, record.record_data_bytes())


def _write(path: os.PathLike[str], las: Any, columns: dict[str, np.ndarray]) -> None:
    _add(las, columns)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        try:
            _write_to(file, las, Path(path).suffix.lower() == ".laz")
        except Exception as error:
            # The compressor hides the `OSError` of a full disk in an exception of its own.
            if isinstance(error, OSError) or "IoError" not in str(error):
                raise
            raise UserError(
                f"{path}: cannot be written ({error}); check the free space of the disk"
            ) from error


def _add(las: Any, columns: dict[str, np.ndarray]) -> None:
    import laspy

    _make_writable(las.header)
    if old := [name for name in las.point_format.extra_dimension_names if name in columns]:
        las.remove_extra_dims(old)
    las.add_extra_dims([laspy.ExtraBytesParams(name=n, type=c.dtype) for n, c in columns.items()])
    for name, column in columns.items():
        las[name] = column


def _write_to(file: Any, las: Any, compress: bool) -> None:
    """As `las.write`, but texts that are not ASCII, such as the name of a system in Latin-1, keep their bytes."""
    import laspy

    with laspy.LasWriter(
        file, las.header, do_compress=compress, closefd=False, encoding_errors="replace"
    ) as writer:
        writer.write_points(las.points)
        if las.header.evlrs:
            writer.write_evlrs(las.header.evlrs)


class _WithHead(BufferedReader):
    """A file that begins with other bytes."""

    def __init__(self, path: Path, head: bytes) -> None:
        super().__init__(FileIO(path))
        self._head = head

    def read(self, size: int | None = -1) -> bytes:
        at = self.tell()
        data = super().read(size)
        mended = self._head[at : at + len(data)]
        return mended + data[len(mended) :]


def _opened(path: Path) -> BufferedReader:
    """The file; names in its records that are no UTF-8, which laspy refuses, are read as Latin-1."""
    with path.open("rb") as file:
        at, data_offset, num_vlrs = struct.unpack_from("<HII", file.read(104), 94)
        file.seek(0)
        head = bytearray(file.read(data_offset))
    original = bytes(head)
    for _ in range(num_vlrs):
        if at + 54 > len(head):
            break
        record, length = struct.unpack_from("<HH", head, at + 18)
        texts = [(at + 2, 16)]
        if head[at + 2 : at + 12] == b"LASF_Spec\0" and record == 4:  # extra dimensions, 192 bytes each
            starts = range(at + 54, min(at + 54 + length, len(head)) - 191, 192)
            texts += [(start + shift, 32) for start in starts for shift in (4, 160)]
        for first, width in texts:
            head[first : first + width] = _as_utf8(bytes(head[first : first + width]))
        at += 54 + length
    return path.open("rb") if head == original else _WithHead(path, bytes(head))


def _as_utf8(text: bytes) -> bytes:
    """The same width; where Latin-1 takes more room as UTF-8, its letters become question marks."""
    try:
        text.decode()
    except UnicodeDecodeError:
        word = text.rstrip(b"\0").decode("latin-1")
        longer = word.encode()
        shown = longer if len(longer) <= len(text) else word.encode("ascii", "replace")
        return shown.ljust(len(text), b"\0")
    return text


def _check_header(path: Path) -> None:
    """What laspy and the decompressor would believe: counts, sizes and offsets must fit into the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(375)
        if head[:4] != b"LASF" or len(head) < 227:
            raise UserError(
                f"{path}: is no LAS or LAZ file, or cut off; check the extension or export it again"
            )
        header_size, data_offset, num_vlrs, kind, row_bytes, count = struct.unpack_from("<HIIBHI", head, 94)
        evlr_offset = num_evlrs = 0
        if head[25] >= 4 and len(head) >= 375:
            evlr_offset, num_evlrs, count = struct.unpack_from("<QIQ", head, 235)
        fits = (
            227 <= header_size <= data_offset <= size
            and num_vlrs * 54 <= data_offset - header_size
            and row_bytes >= 20
            and (not num_evlrs or evlr_offset + num_evlrs * 60 <= size)
        )
        if fits and kind & 0x80:
            file.seek(header_size)
            vlrs = file.read(data_offset - header_size)
            fits = _chunks_fit(path, file, vlrs, data_offset, row_bytes, count)
        elif fits:
            fits = data_offset + count * row_bytes <= size
    if not fits:
        raise UserError(
            f"{path}: its header does not fit its {size} bytes; it is cut off or damaged, export it again"
        )


# Compressed streams ("layers") of an item of a LAZ point, by its type; 14 is extra bytes, one layer each.
_LAYERS = {10: 9, 11: 1, 12: 2, 13: 1}


def _chunks_fit(path: Path, file: BinaryIO, vlrs: bytes, start: int, row_bytes: int, count: int) -> bool:
    """The decompressor allocates what a LAZ file claims and aborts the process when it cannot: check first.

    LASzip record: compressor (u16 at 0), chunk size (u32 at 12), number of items (u16 at 32), items (type,
    size, version). Chunk table: its place stands where the points start; version, number of chunks, and their
    sizes, packed.
    """
    lazrs: Any = import_module("lazrs")  # Its names are made at run time.
    size = path.stat().st_size
    at = vlrs.find(b"laszip encoded")
    if at < 2 or at + 52 + 34 > len(vlrs):
        return False
    record = vlrs[at + 52 :][: struct.unpack_from("<H", vlrs, at + 18)[0]]
    if len(record) < 34 or len(record) < 34 + 6 * (num_items := struct.unpack_from("<H", record, 32)[0]):
        return False
    items = [struct.unpack_from("<HH", record, 34 + 6 * i) for i in range(num_items)]
    file.seek(start)
    table = _integer(file, "<q")
    if table == -1:  # Written by a program that could not go back.
        file.seek(size - 8)
        table = _integer(file, "<q")
    if not start + 8 <= table <= size - 8 or sum(item[1] for item in items) != row_bytes:
        return False
    file.seek(table + 4)
    if _integer(file, "<I") * row_bytes > size - start:
        return False
    file.seek(start)
    chunks = _guard(path, lambda: lazrs.read_chunk_table(file, lazrs.LazVlr(record)))
    if sum(c[0] for c in chunks) < count or start + 8 + sum(c[1] for c in chunks) > size:
        return False
    if struct.unpack_from("<H", record)[0] != 3:
        return True
    layers = sum(item[1] if item[0] == 14 else _LAYERS.get(item[0], 0) for item in items)
    at = start + 8
    for num_points, chunk_bytes in chunks:
        if not num_points and not chunk_bytes:  # Some writers close with an empty one.
            continue
        # One point as it is, the number of points, and the sizes of the layers.
        file.seek(at + row_bytes + 4)
        head = file.read(4 * layers)
        if len(head) < 4 * layers or sum(struct.unpack(f"<{layers}I", head)) > chunk_bytes:
            return False
        at += chunk_bytes
    return True


def _integer(file: BinaryIO, code: str) -> int:
    """The next integer, 0 at the end of the file."""
    data = file.read(struct.calcsize(code))
    return struct.unpack(code, data)[0] if len(data) == struct.calcsize(code) else 0


def _read_columns(path: Path) -> tuple[Triple, Triple | None]:
    import laspy

    parts: list[list[np.ndarray]] = [[] for _ in range(6)]
    with laspy.LasReader(_opened(path), read_evlrs=False) as reader:
        count = reader.header.point_count
        has_colors = "red" in set(reader.header.point_format.dimension_names)
        # In chunks, so that a lying count fails at the end of the data instead of in one great allocation.
        for points in reader.chunk_iterator(_CHUNK_BYTES // reader.header.point_format.size + 1):
            stored = (points.x, points.y, points.z) + (
                (points.red, points.green, points.blue) if has_colors else ()
            )
            for part, values in zip(parts, stored, strict=False):
                part.append(np.array(values))
    read = sum(len(p) for p in parts[0])
    if read != count:
        raise UserError(f"{path}: ends after {read} of {count} points; the file is cut off, copy it again")
    columns = [np.concatenate(p) if p else np.zeros(0) for p in parts]
    return (columns[0], columns[1], columns[2]), (columns[3], columns[4], columns[5]) if has_colors else None


def _guard(path: os.PathLike[str], call: Callable[[], T]) -> T:
    """Whatever laspy and its decompressor raise on damaged files, a Rust panic included, as a `UserError`."""
    try:
        return call()
    except (UserError, OSError, MemoryError):
        raise
    except BaseException as error:
        # A panic of the decompressor is no `Exception`.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        cause = " ".join(str(error).split())[:120]
        raise UserError(
            f"{path}: cannot be read ({cause}); it is cut off or damaged, export it again"
        ) from error

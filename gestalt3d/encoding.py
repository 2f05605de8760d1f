"""Text as people save it: with a byte-order mark, in UTF-8, UTF-16, UTF-32 or Latin-1."""

import codecs
from io import BufferedReader, BytesIO, TextIOWrapper
from pathlib import Path
from typing import BinaryIO

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # Before UTF-16, whose mark it begins with.
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HEAD = 4096
_OR_LATIN_1 = "gestalt3d-or-latin-1"


def _latin_1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(_OR_LATIN_1, _latin_1)


def encoding_of(head: bytes) -> str:
    """Of a text by its first bytes: by its mark, else UTF-16 where every second byte is zero, else "utf-8"."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    first, second = head[0:200:2], head[1:200:2]
    if len(second) > 1 and not any(second) and all(first):
        return "utf-16-le"
    if len(second) > 1 and not any(first) and all(second):
        return "utf-16-be"
    return "utf-8"


def decode(data: bytes) -> str:
    """The text of a whole file, without its mark. What is no UTF-8 is read as Latin-1; nothing is lost or refused."""
    return data.decode(encoding_of(data[:_HEAD]), _OR_LATIN_1)


def text_lines(file: BufferedReader | BytesIO) -> TextIOWrapper:
    """As `decode`, line by line from where `file` stands."""
    start = file.tell()
    head = file.read(_HEAD)
    file.seek(start)
    return TextIOWrapper(file, encoding=encoding_of(head), errors=_OR_LATIN_1)


class Unmarked(BytesIO):
    """A text in UTF-8 that was none in the file."""

    name = ""

    @property
    def mode(self) -> str:
        return "rb"


def open_unmarked(path: Path) -> BinaryIO:
    """The file as it is, for formats with a header of text; where that has a mark or is UTF-16, all of it as UTF-8."""
    file = path.open("rb")
    plain = encoding_of(file.read(_HEAD)) == "utf-8"
    file.seek(0)
    if plain:
        return file
    with file:
        return Unmarked(decode(file.read()).encode("utf-8"))

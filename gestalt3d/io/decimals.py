"""Numbers written as text, in bulk."""

import os
import re
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from gestalt3d.errors import UserError

BLOCK_ROWS = 200_000


def number_blocks(
    path: os.PathLike[str],
    lines: Iterable[str],
    *,
    columns: int,
    rows: int | None = None,
    delimiter: str | None = None,
    first_line: int = 1,
) -> Iterator[np.ndarray]:
    """Yield float64 (k, columns) until `rows` rows are read, or to the end of `lines`.

    Blank lines and what follows `#` or `//` are skipped. A row of another length or a word that is no number
    is a `UserError` naming the line; so is an end before `rows`.
    """
    lines, done = iter(lines), 0
    while rows is None or done < rows:
        wanted = BLOCK_ROWS if rows is None else min(BLOCK_ROWS, rows - done)
        # One line is at most one row, so the block is bounded and nothing beyond it is consumed.
        text = list(islice(lines, wanted))
        if not text:
            break
        block = _parse(path, text, columns, delimiter, first_line)
        first_line += len(text)
        done += len(block)
        yield block
    if rows is not None and done < rows:
        raise UserError(
            f"{path}: ends after {done} of {rows} points; the file is cut off or its header is wrong, "
            "export it again"
        )


def _parse(
    path: os.PathLike[str], text: list[str], columns: int, delimiter: str | None, first_line: int
) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # A block of blank lines holds no data, which is fine.
            block = np.loadtxt(text, dtype=np.float64, comments=["#", "//"], delimiter=delimiter, ndmin=2)
    except ValueError as error:
        raise UserError(f"{path}: {_explain(text, columns, delimiter, first_line, str(error))}") from None
    if block.size == 0:
        return np.empty((0, columns))
    if block.shape[1] != columns:
        raise UserError(f"{path}: {_explain(text, columns, delimiter, first_line, '')}")
    return block


def _explain(text: list[str], columns: int, delimiter: str | None, first_line: int, cause: str) -> str:
    """Find the line that `np.loadtxt` stumbled over."""
    for number, line in enumerate(text, first_line):
        words = re.split("#|//", line, maxsplit=1)[0].strip().split(delimiter)
        if words in ([], [""]):
            continue
        if len(words) != columns:
            return f"line {number} has {len(words)} columns instead of {columns}; mend or remove it"
        for word in words:
            try:
                float(word)
            except ValueError:
                return f"line {number} says {word.strip()[:40]!r} where a number belongs; mend or remove it"
    return f"cannot be read as numbers ({' '.join(cause.split())[:120]}); export it again"

"""JSON of bounded size, and the keys that it must have."""

import json
from pathlib import Path
from typing import Any

from gestalt3d.encoding import decode
from gestalt3d.errors import UserError

MOST_BYTES = 480_000_000
"""COCO's largest file of annotations has 470 million. Read, annotations take four to eight times the size of their file, and a
file of nothing but empty lists 25 times."""


def read_json(path: Path) -> Any:
    """What a JSON file holds; `UserError` for one that is no JSON, and for one larger than `MOST_BYTES`."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise UserError(
                f"{path}: has {size / 1e6:,.0f} MB, JSON is read up to {MOST_BYTES / 1e6:,.0f} MB; split it by images"
            )
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); check the name") from error
    try:
        return json.loads(decode(data))
    except (ValueError, RecursionError) as error:
        cause = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:120]
        raise UserError(f"{path}: is no JSON ({cause}); write or copy it again") from None
    except MemoryError:
        raise UserError(f"{path}: does not fit into memory; split it by images") from None


def needed(path: Path, table: Any, key: str, what: str) -> Any:
    """`table[key]`; `UserError` that names the key where it is missing. `what` begins the sentence: "annotation 7"."""
    if not isinstance(table, dict):
        raise UserError(
            f"{path}: {what} is {str(table)[:40]!r}, must be an object with {key!r}; write it again"
        )
    if key not in table:
        has = ", ".join(str(name)[:30] for name in [*table][:12]) or "nothing"
        raise UserError(f"{path}: {what} has no {key!r}; it has {has}")
    return table[key]


def needed_list(path: Path, table: Any, key: str, what: str) -> list[Any]:
    """The same of a list."""
    value = needed(path, table, key, what)
    if not isinstance(value, list):
        raise UserError(f"{path}: {key!r} of {what} is {str(value)[:40]!r}, must be a list; write it again")
    return value


def needed_int(path: Path, table: Any, key: str, what: str) -> int:
    """The same of a whole number that fits 64 bits."""
    value = needed(path, table, key, what)
    if type(value) is not int or abs(value) >= 1 << 63:
        raise UserError(f"{path}: {key!r} of {what} is {str(value)[:40]!r}, must be a whole number")
    return value

"""How data sets of parts are called: "parts", "parts-chair", "parts-chair-2": the data, the category, the level of detail."""

from typing import NamedTuple

LEVELS = (1, 2, 3)
"""Coarse to fine."""


class PartName(NamedTuple):
    """The words of such a name."""

    data: str
    category: str
    """Empty where none is named."""
    level: int
    """The finest where none is named."""


def part_name(name: str) -> PartName | None:
    """The words of a name; None where it is not made like that."""
    data, *words = name.split("-")
    level = 3
    if words and words[-1].isdecimal():
        level = int(words.pop()[:9])
    if len(words) > 1 or "" in words or level not in LEVELS:
        return None
    return PartName(data, words[0] if words else "", level)

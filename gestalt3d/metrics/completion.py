"""How good completions of objects are, by the share of each object's surface that is hidden."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Completion(NamedTuple):
    """How near what one answer takes for the whole object comes to it."""

    chamfer_m: float
    """Chamfer distance in metres, not squared: the mean distance from a point of either to the nearest of the other, which is
    the mean of the two ways."""
    chamfer: float
    """The same in units of the object: half the diagonal of the box along the axes around the whole of it."""
    box_iou: float
    """IoU of the boxes along the axes around both."""


class Completed(NamedTuple):
    """A true object, and the completions of what was found of it."""

    instance: int
    """Row of the truth."""
    found: int
    """Row of the answer; -1: it was not found, and there are no completions."""
    hidden: float
    """Share of its surface that the scan does not show."""
    half_diagonal: float
    """Metres."""
    completions: Mapping[str, Completion]
    """That of the answer, and those of baselines, by name."""


EDGES = (0.25, 0.5, 0.75)
"""Hidden shares between which objects are counted together."""


def by_hidden_share(rows: Sequence[Completed], *, edges: Sequence[float] = EDGES) -> list[dict[str, Any]]:
    """A row for the objects of each range of hidden shares, from the least hidden, and one of all.

    `{"hidden": (low, high), "objects": number, "found": number, NAME: {"chamfer_m", "chamfer", "box_iou"}, …}`, means over the
    found objects, None where there are none. A share on an edge counts to the range above. Fractions and metres.
    """
    if list(edges) != sorted(set(edges)) or not all(0 < edge < 1 for edge in edges):
        raise ValueError(f"edges must rise between 0 and 1, got {tuple(edges)}")
    names = list(dict.fromkeys(name for row in rows for name in row.completions))
    bins = np.searchsorted(edges, [row.hidden for row in rows], side="right").tolist()
    bounds = [0.0, *edges, 1.0]
    table = []
    for k in range(len(edges) + 1):
        chosen = [row for row, own in zip(rows, bins, strict=True) if own == k]
        table.append(_summary(chosen, names, (bounds[k], bounds[k + 1])))
    return [*table, _summary(rows, names, (0.0, 1.0))]


def _summary(rows: Sequence[Completed], names: Sequence[str], hidden: tuple[float, float]) -> dict[str, Any]:
    held = [row for row in rows if row.found >= 0]
    means = {name: _means([row.completions[name] for row in held]) for name in names}
    return {"hidden": hidden, "objects": len(rows), "found": len(held), **means}


def _means(values: Sequence[Completion]) -> dict[str, float | None]:
    columns = zip(*values, strict=True) if values else [None] * len(Completion._fields)
    return {
        field: None if column is None else float(np.mean(column))
        for field, column in zip(Completion._fields, columns, strict=True)
    }

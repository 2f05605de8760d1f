"""How often the direction that points up is found, on synthetic scans turned to all six.

Rooms of validation whole, turned about the vertical, cut to pieces, without ceiling or floor, and table tops of
validation. "false turns" are scans with z up that are taken for something else; "found" is the share of those with
another direction up that are recognised; "wrong and sure" counts wrong answers of all six that claim to be sure.
Rooms without floor but with a ceiling, and pieces of 1.6 to 3.2 m cut anywhere, say little about up.

`python benchmarks/upright.py` fits the weights that `gestalt3d.io.upright` holds, on rooms of training.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from gestalt3d.io.frame import UP_ROTATIONS
from gestalt3d.io.upright import DIRECTIONS, SURE_AT, find_up, look_along
from gestalt3d.ops.turn import turn_matrix
from gestalt3d.synth import rooms, table_tops


def scans(split: str, num_rooms: int, num_tables: int) -> Iterator[tuple[str, np.ndarray]]:
    """Kind and points, z up."""
    for i in range(num_rooms):
        seed = rooms.SPLITS[split] + i
        rng = np.random.default_rng(seed)
        room = rooms.make_room(seed, rooms.RoomConfig(points=60_000)).input.points.numpy().astype(np.float64)
        low, high = room[:, 2].min(), room[:, 2].max()
        yield "room", room
        yield "room, turned about z", room @ turn_matrix(rng.uniform(0, 2 * np.pi)).numpy().T
        yield "without ceiling", room[room[:, 2] < high - rng.uniform(0.3, 0.9)]
        yield "without floor", room[room[:, 2] > low + rng.uniform(0.1, 0.35)]
        yield "without both", room[(room[:, 2] > low + 0.15) & (room[:, 2] < high - 0.4)]
        for kind, axes in (("piece, floor to ceiling", 2), ("piece, floor to ceiling", 2), ("piece", 3)):
            middle, half = room[rng.integers(len(room)), :axes], rng.uniform(0.8, 1.6, axes)
            piece = room[(np.abs(room[:, :axes] - middle) < half).all(1)]
            if len(piece) > 1500:
                yield kind, piece
    for i in range(num_tables):
        table = table_tops.make_table_top(table_tops.SPLITS[split] + i).input.points.numpy()
        yield "table top", table.astype(np.float64)


def run() -> list[dict[str, Any]]:
    """A row for each kind of scan."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(("n", "false", "found", "sure"), 0))
    for kind, scan in scans("val", 20, 10):
        count = counts[kind]
        count["n"] += 1
        for up in DIRECTIONS:
            found = find_up(scan @ np.array(UP_ROTATIONS[up], dtype=np.float64))
            count["false" if up == "z" else "found"] += (found.up == up) != (up == "z")
            count["sure"] += found.up != up and found.sureness >= SURE_AT
    return [
        {
            "scans": kind,
            "number": c["n"],
            "false turns": c["false"],
            "found, percent": 100 * c["found"] / (5 * c["n"]),
            "wrong and sure, of six times the number": c["sure"],
        }
        for kind, c in counts.items()
    ]


def fit() -> tuple[list[float], list[float]]:
    """Weights of the axis and of its sign with the greatest likelihood; ceilings without floor say nothing of the sign."""
    views = [(kind, look_along(scan)) for kind, scan in scans("train", 50, 20)]
    axis = torch.tensor([[view.axis_terms() for view in along] for _, along in views], dtype=torch.float64)
    plain = [along[2].sign_terms() for kind, along in views if kind not in ("without floor", "piece")]
    sign = torch.tensor(plain, dtype=torch.float64)
    return (
        _greatest(axis, lambda scores: -torch.log_softmax(scores, 1)[:, 2].mean()),
        _greatest(sign, lambda scores: torch.nn.functional.softplus(-scores).mean()),
    )


def _greatest(terms: torch.Tensor, loss: Any) -> list[float]:
    """Weights per term, slightly drawn to zero."""
    scale = terms.flatten(0, -2).std(0)
    weights = torch.zeros(terms.shape[-1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(terms / scale @ weights) + 1e-3 * (weights**2).sum()
        value.backward()
        return value

    optimizer.step(closure)
    return [round(float(w), 2) for w in weights.detach() / scale]


if __name__ == "__main__":
    print("axis {}, sign {}".format(*fit()))

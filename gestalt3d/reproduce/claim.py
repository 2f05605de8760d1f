"""What a table claims, and whether the runs bear it out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Sequence[Mapping[str, Any]]]
"""The figures of every seed, by the row's key."""


@dataclass(frozen=True)
class Claim:
    """`better` exceeds `worse` in `metric` by more than twice the standard error of the difference."""

    better: str
    worse: str
    metric: str

    def judged(self, figures: Figures) -> dict[str, Any]:
        """`holds` is None where either row has fewer than two seeds."""
        a, b = (_of_seeds(figures, row, self.metric) for row in (self.better, self.worse))
        seeds = min(len(a), len(b))
        verdict: dict[str, Any] = {
            "claim": f"{self.better} beats {self.worse} in {self.metric}",
            "holds": None,
            "seeds": seeds,
        }
        if not seeds:
            return verdict
        difference = math.fsum(a) / len(a) - math.fsum(b) / len(b)
        error = math.sqrt(sum((sd(v) or 0.0) ** 2 / len(v) for v in (a, b)))
        return verdict | {
            "holds": difference > 2 * error if seeds > 1 else None,
            "difference": difference,
            "standard_error": error,
        }


@dataclass(frozen=True)
class Target:
    """The mean of `row` over seeds is at or above the paper's figure in every metric named."""

    row: str
    paper: Mapping[str, float]

    def judged(self, figures: Figures) -> dict[str, Any]:
        """`missed` says by how much where it is below; `holds` is None for fewer than two seeds."""
        ours = {metric: _of_seeds(figures, self.row, metric) for metric in self.paper}
        seeds = min(len(values) for values in ours.values())
        missed = {m: mean(v) - self.paper[m] for m, v in ours.items() if v and mean(v) < self.paper[m]}  # type: ignore[operator]
        return {
            "claim": f"{self.row} reaches the paper's "
            + ", ".join(f"{m} {v:g}" for m, v in self.paper.items()),
            "holds": not missed if seeds > 1 else None,
            "seeds": seeds,
            "missed": missed,
        }


def _of_seeds(figures: Figures, row: str, metric: str) -> list[float]:
    return [f[metric] for f in figures[row] if f.get(metric) is not None]


def mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def sd(values: Sequence[float]) -> float | None:
    """Sample standard deviation; None for fewer than two values."""
    if len(values) < 2:
        return None
    middle = sum(values) / len(values)
    return math.sqrt(sum((v - middle) ** 2 for v in values) / (len(values) - 1))

"""What a table claims, and whether the runs bear it out."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Claim:
    """`better` exceeds `worse` in `metric` by more than twice the standard error of the difference."""

    better: str
    worse: str
    metric: str


def judged(claim: Claim, figures: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """A claim holds when the difference exceeds twice its standard error; null where there are fewer than two seeds."""
    a = [r[claim.metric] for r in figures[claim.better] if r.get(claim.metric) is not None]
    b = [r[claim.metric] for r in figures[claim.worse] if r.get(claim.metric) is not None]
    sentence = f"{claim.better} beats {claim.worse} in {claim.metric}"
    if not a or not b:
        return {"claim": sentence, "holds": None, "seeds": min(len(a), len(b))}
    difference = mean(a) - mean(b)  # type: ignore[operator]
    errors = [(sd(v) or 0.0) ** 2 / len(v) for v in (a, b)]
    error = math.sqrt(sum(errors))
    holds = difference > 2 * error if min(len(a), len(b)) > 1 else None
    return {
        "claim": sentence,
        "holds": holds,
        "seeds": min(len(a), len(b)),
        "difference": difference,
        "standard_error": error,
    }


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def sd(values: list[float]) -> float | None:
    """Sample standard deviation; None for fewer than two values."""
    if len(values) < 2:
        return None
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))

"""What a table claims, and whether the runs bear it out.

Rows are compared in pairs: the same seeds, the same scans. A difference has two errors, which add up as in a crossed design:
that of other trainings, from the differences of the seeds, and that of other scans, from leaving each scan out in turn (the
jackknife) of the mean difference. A claim holds where zero lies below the two-sided 95 % interval by Student's t, with the
degrees of freedom of Welch and Satterthwaite.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

from scipy.special import stdtrit


@dataclass(frozen=True)
class Measured:
    """The figures of one run."""

    seed: int
    figures: Mapping[str, float | None]
    left_out: Mapping[str, Sequence[float | None]] = field(default_factory=dict[str, Sequence[float | None]])
    """By metric: the figure with each of `scans` left out in turn."""
    scans: Sequence[str] = ()
    trained: bool = True
    """With this seed; False: the same for every seed, shipped weights or a method without training."""
    device: str = ""
    num_scans: int | None = None
    """How many scans the figures are of, also where `scans` does not name them."""


Runs = Mapping[str, Sequence[Measured]]
"""Of every seed, by the row's key."""

CONFIDENCE = 0.95


class Verdict(TypedDict):
    """Whether a claim holds, and what that rests on."""

    claim: str
    """In words."""
    holds: bool | None
    """None: the runs are too few to tell."""
    seeds: int
    scans: NotRequired[int]
    difference: NotRequired[float]
    standard_error: NotRequired[float]
    interval: NotRequired[list[float]]
    """Of the difference, from and to."""
    opposite: NotRequired[bool]
    """Whether the contrary holds."""
    ratio: NotRequired[float]
    """How many times as fast."""
    missed: NotRequired[dict[str, float]]
    """By metric the difference from the paper's figure, where ours is below."""


@dataclass(frozen=True)
class Claim:
    """`better` exceeds `worse` in `metric`, beyond the error of the paired difference."""

    better: str
    worse: str
    metric: str

    def judged(self, runs: Runs) -> Verdict:
        """`holds` is None where trained rows share fewer than two seeds: one training may be luck.

        With "difference" come "interval" and "standard_error" where there is something to take them from, "seeds" and
        "scans" that were shared, and "opposite", true where the interval lies below zero.
        """
        pairs = _pairs(runs[self.better], runs[self.worse], self.metric)
        verdict: Verdict = {
            "claim": f"{self.better} beats {self.worse} in {self.metric}",
            "holds": None,
            "seeds": len(pairs),
        }
        if not pairs:
            return verdict
        differences = [_value(a, self.metric) - _value(b, self.metric) for a, b in pairs]
        difference = math.fsum(differences) / len(pairs)
        of_scans = _without_each(pairs, self.metric)
        verdict["difference"], verdict["scans"] = difference, len(of_scans)
        errors: list[tuple[float, int]] = []
        if len(pairs) > 1:
            errors.append((_variance(differences) / len(pairs), len(pairs) - 1))
        if len(of_scans) > 1:
            n = len(of_scans)
            errors.append((_variance(of_scans) * (n - 1) ** 2 / n, n - 1))
        if not errors:
            return verdict
        variance = sum(v for v, _ in errors)
        error = math.sqrt(variance)
        reach = 0.0
        if variance > 0:
            freedom = variance**2 / sum(v**2 / df for v, df in errors)
            reach = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * error
        verdict["standard_error"], verdict["interval"] = error, [difference - reach, difference + reach]
        if len(pairs) > 1 or not any(run.trained for pair in pairs for run in pair):
            verdict["holds"], verdict["opposite"] = difference > reach, difference < -reach
        return verdict


@dataclass(frozen=True)
class Faster:
    """`row` takes less of `metric` than `than`, by the factor that the paper gives."""

    row: str
    than: str
    metric: str
    factor: float

    def judged(self, runs: Runs) -> Verdict:
        """Of the seeds timed on one machine; `holds` is None where there is none."""
        pairs = [
            (a, b) for a, b in _pairs(runs[self.row], runs[self.than], self.metric) if a.device == b.device
        ]
        ratios = [_value(b, self.metric) / _value(a, self.metric) for a, b in pairs]
        verdict: Verdict = {
            "claim": f"{self.row} is {self.factor:g} times as fast as {self.than} ({self.metric})",
            "holds": None,
            "seeds": len(pairs),
        }
        if (ratio := mean(ratios)) is not None:
            verdict["holds"], verdict["ratio"] = ratio >= self.factor, ratio
        return verdict


@dataclass(frozen=True)
class Target:
    """The mean of `row` over seeds is at or above the paper's figure in every metric named."""

    row: str
    paper: Mapping[str, float]

    def judged(self, runs: Runs) -> Verdict:
        """`missed` says by how much where it is below; `holds` is None for fewer than two seeds."""
        ours = {metric: values_of(runs[self.row], metric) for metric in self.paper}
        seeds = min(len(values) for values in ours.values())
        behind = {m: middle - self.paper[m] for m, v in ours.items() if (middle := mean(v)) is not None}
        missed = {m: off for m, off in behind.items() if off < 0}
        return {
            "claim": f"{self.row} reaches the paper's "
            + ", ".join(f"{m} {v:g}" for m, v in self.paper.items()),
            "holds": not missed if seeds > 1 else None,
            "seeds": seeds,
            "missed": missed,
        }


def _pairs(a: Sequence[Measured], b: Sequence[Measured], metric: str) -> list[tuple[Measured, Measured]]:
    """Runs of one seed on as many scans that both have the figure; what is the same for every seed goes with each."""
    made = _by_seed(a, b, metric)
    return [(x, y) for x, y in made if x.num_scans == y.num_scans]


def _by_seed(a: Sequence[Measured], b: Sequence[Measured], metric: str) -> list[tuple[Measured, Measured]]:
    a, b = ([run for run in runs if run.figures.get(metric) is not None] for runs in (a, b))
    if not (a and b):
        return []
    if len(a) == 1 and not a[0].trained:
        return [(a[0], run) for run in b]
    if len(b) == 1 and not b[0].trained:
        return [(run, b[0]) for run in a]
    other = {run.seed: run for run in b}
    return [(run, other[run.seed]) for run in a if run.seed in other]


def _without_each(pairs: Sequence[tuple[Measured, Measured]], metric: str) -> list[float]:
    """Mean difference over the pairs with each scan left out; empty where some run does not say or saw other scans."""
    runs = [run for pair in pairs for run in pair]
    scans = list(runs[0].scans)
    if not scans or any(list(run.scans) != scans or metric not in run.left_out for run in runs):
        return []
    found: list[float] = []
    for i in range(len(scans)):
        values = [(a.left_out[metric][i], b.left_out[metric][i]) for a, b in pairs]
        known = [x - y for x, y in values if x is not None and y is not None]
        if len(known) == len(pairs):
            found.append(math.fsum(known) / len(known))
    return found


def _value(run: Measured, metric: str) -> float:
    value = run.figures[metric]
    assert value is not None
    return value


def _variance(values: Sequence[float]) -> float:
    middle = math.fsum(values) / len(values)
    return math.fsum((v - middle) ** 2 for v in values) / (len(values) - 1)


def values_of(runs: Sequence[Measured], metric: str) -> list[float]:
    """The figure of every run that has it."""
    return [value for run in runs if (value := run.figures.get(metric)) is not None]


def mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def sd(values: Sequence[float]) -> float | None:
    """Sample standard deviation; None for fewer than two values."""
    return math.sqrt(_variance(values)) if len(values) > 1 else None

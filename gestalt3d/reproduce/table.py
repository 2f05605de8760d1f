"""What a table of a paper is: rows, columns and claims, and the setting that its rows share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gestalt3d.reproduce.claim import Claim, Faster, Target

if TYPE_CHECKING:
    from gestalt3d.data import DataSet
    from gestalt3d.engine.model import Model
    from gestalt3d.engine.recipe import Recipe

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


FORMER = {"train_rooms": "train_scans", "test_rooms": "test_scans"}
"""What fields of a run's file were called when all scans were rooms."""


@dataclass(frozen=True)
class Budget:
    """What every row of a table gets."""

    train: int
    """Scans to train on."""
    test: int
    seeds: tuple[int, ...]
    steps: int | None = None
    """Optimiser steps; None for the recipe's own."""


@dataclass(frozen=True)
class Figures:
    """What was measured of a model on some scans."""

    values: dict[str, float | None]
    left_out: dict[str, list[float | None]]
    """By metric: the value with each of `scans` left out in turn."""
    scans: list[str]
    num_true: dict[str, int]
    """True instances of each class, over all scans."""


@dataclass(frozen=True)
class Setting:
    """Data, budget and measure of all rows of a table. A row's key names its runs, so no two settings share one."""

    data: str
    """Tested on."""
    full: Budget
    quick: Budget
    recipe: "Callable[[str, int | None, int], Recipe]"
    """That of a row's key, for a number of steps (None: its own) and a seed."""
    measure: "Callable[[Model, DataSet, Progress], Figures]"
    about: str
    """What was measured on what, with {train}, {test}, {steps} and {seeds} left open."""


@dataclass(frozen=True)
class Row:
    """One row of a table, trained with the recipe of its key unless it names a model to take as it is."""

    label: str
    key: str
    paper: dict[str, float]
    paper_area5: dict[str, float] | None = None
    untrained: str | None = None
    """A model that nothing is trained for."""
    weights: str | None = None
    """Shipped weights: one training, hence one run whatever the seeds."""
    adjust: "Callable[[Model], Model] | None" = None
    """The loaded model, which it may change, as the row wants it."""
    init: tuple[str, ...] = ()
    """Weights that its training starts from, as for `initialise`."""
    published_only: bool = False
    """Nothing of ours to run yet: the paper's figures stand there for comparison."""
    start: str | None = None
    """Key of the training, with the same seed and from nothing, that its own goes on from, beside `init`: rows that share it
    differ in the rest alone."""
    trained_as: str | None = None
    """Key of the row whose trained weights it takes, where the two differ in what `adjust` sets alone."""


@dataclass(frozen=True)
class Table:
    title: str
    setting: Setting
    columns: tuple[str, ...]
    """Figures to show, in order."""
    rows: tuple[Row, ...]
    claims: tuple[Claim | Faster | Target, ...] = ()
    times: "Callable[[Model], dict[str, float]] | None" = None
    """Times a model, where the table is about time."""
    curve: str = ""
    """What of a training is drawn over its steps, by the name under which the method watches it; empty: nothing is."""

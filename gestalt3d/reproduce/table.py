"""What a table of a paper is: rows, columns and claims, each row with the paper's figures."""

from dataclasses import dataclass

from gestalt3d.reproduce.claim import Claim


@dataclass(frozen=True)
class Budget:
    """What every row of a table gets."""

    steps: int
    train_rooms: int
    test_rooms: int
    seeds: tuple[int, ...]


FULL = Budget(steps=900, train_rooms=300, test_rooms=12, seeds=(0, 1, 2))
QUICK = Budget(steps=2, train_rooms=2, test_rooms=1, seeds=(0,))


@dataclass(frozen=True)
class Row:
    """One row of a table: a recipe of `recipes.table_row`, or a method that needs no training."""

    label: str
    key: str
    paper: dict[str, float]
    paper_area5: dict[str, float] | None = None


@dataclass(frozen=True)
class Table:
    title: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()
    per_class: tuple[str, ...] = ()
    """Metrics that are also shown for every class."""
    timed: bool = False
    """Times of one block instead of accuracy alone."""

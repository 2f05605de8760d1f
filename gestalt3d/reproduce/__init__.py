"""Tables of the papers, ours beside theirs: train every row at an equal budget, evaluate, compare, say which claims hold.

A run is one row and one seed, and its figures are one small file: the package ships those of the last full run, tables are put
together from them. `--retrain` can be stopped and started again: finished runs are read, half-trained ones continue from their
checkpoint.
"""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from gestalt3d import plugins
from gestalt3d.errors import UserError
from gestalt3d.reproduce import a3d, a3is, asis, consensus, gspn, mtml
from gestalt3d.reproduce.result import Result, assemble, judgements, shown_rows
from gestalt3d.reproduce.run import Run, one_run, read
from gestalt3d.reproduce.table import Progress, Table

__all__ = ["TABLES", "committed", "judgements", "retrain", "shown_rows", "table_of", "titles"]

TABLES: dict[str, Table] = {
    **asis.TABLES,
    **mtml.TABLES,
    **gspn.TABLES,
    **a3is.TABLES,
    **a3d.TABLES,
    **consensus.TABLES,
}


def titles() -> dict[str, str]:
    """Name → title of every table."""
    return {name: table.title for name, table in _all().items()}


def _all() -> dict[str, Table]:
    """Ours, and those of methods from elsewhere."""
    known = dict(TABLES)
    for _, module in plugins.working():
        known |= {name: table for name, table in getattr(module, "TABLES", {}).items() if name not in known}
    return known


def table_of(name: str) -> Table:
    if name in TABLES:
        return TABLES[name]
    known = _all()
    if name not in known:
        raise UserError("; ".join([f"no table {name!r}; there are {', '.join(known)}", *plugins.broken()]))
    return known[name]


def committed(name: str) -> Result:
    """The table from the runs that the package ships."""
    table = table_of(name)
    folder = Path(str(resources.files("gestalt3d") / "results"))
    runs = [read(file) for row in table.rows for file in sorted(folder.glob(f"{row.key}-seed*.json"))]
    if not runs:
        raise UserError(
            f"{name}: no result is shipped yet; make one with `gestalt3d reproduce {name} --retrain`"
        )
    return assemble(name, table, runs)


def retrain(
    name: str,
    out: Path,
    *,
    rows: Sequence[str] = (),
    seeds: Sequence[int] = (),
    quick: bool = False,
    device: str = "cpu",
    on_progress: Progress | None = None,
) -> Result:
    """Train and evaluate the rows that are not finished in `out`, and put the table together.

    `rows` and `seeds` take some of the table's rows and of the budget's seeds, so that several processes can share the work;
    the table shows the runs asked for.
    """
    table = table_of(name)
    budget = table.setting.quick if quick else table.setting.full
    keys = [row.key for row in table.rows if not row.published_only]
    for row in rows:
        if row not in keys:
            raise UserError(f"--rows {row}: {name} has {', '.join(keys)}")
    for seed in seeds:
        if seed not in budget.seeds:
            raise UserError(f"--seeds {seed}: the budget has {', '.join(map(str, budget.seeds))}")
    say = on_progress or _say_nothing
    jobs = [
        (row, seed)
        for number, seed in enumerate(seeds or budget.seeds)
        for row in table.rows
        if row.key in (rows or keys) and not (row.weights and number)
    ]
    folder = out / ("quick" if quick else "full")
    runs: list[Run] = []
    for number, (row, seed) in enumerate(jobs):
        say(f"{name}: {row.label}, seed {seed}", number, len(jobs))
        runs.append(one_run(table, row, seed, folder, budget, device, say))
    return assemble(name, table, runs)


def _say_nothing(_what: str, _done: int, _of: int) -> None:
    pass

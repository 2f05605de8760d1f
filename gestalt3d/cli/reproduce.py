"""`gestalt3d reproduce`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from gestalt3d.cli.options import Device, Json, Out, expect_writable, option
from gestalt3d.cli.report import say_broken, say_titles, write_json
from gestalt3d.errors import UserError
from gestalt3d.terminal import Progress, bold, say, table


def reproduce(
    name: Positional[
        Annotated[
            str, option("a table, such as asis-table1; without one all are listed", "TABLE", default="")
        ]
    ] = "",
    *,
    retrain: Annotated[
        bool,
        option("train every row of the table again; can be stopped and goes on where it was", default=""),
    ] = False,
    quick: Annotated[
        bool, option("a tiny version of --retrain, to see that everything runs", default="")
    ] = False,
    rows: Annotated[
        tuple[str, ...], option("with --retrain: only these rows, such as asis-pn2", "ROW…", default="all")
    ] = (),
    seeds: Annotated[
        tuple[int, ...],
        option("with --retrain: only these seeds of the random choices", "N…", default="all"),
    ] = (),
    out: Out = Path("runs/reproduce"),
    plot: Annotated[
        Path | None,
        option(
            "write the table's curves over the steps of training there, where it has any",
            "FILE.png",
            default="",
        ),
    ] = None,
    device: Device = "cpu",
    json: Json = None,
) -> None:
    """Print the committed table, or with `retrain` or `quick` one of new trainings; without a name the list of tables."""
    from gestalt3d import reproduce as tables

    if not name:
        say_titles(tables.titles())
        say_broken()
        return
    expect_writable(json)
    if plot is not None and not tables.table_of(name).curve:
        raise UserError(f"--plot {plot}: {name} has no curves")
    if retrain or quick:
        with Progress() as on_progress:
            result = tables.retrain(
                name, out, rows=rows, seeds=seeds, quick=quick, device=device, on_progress=on_progress
            )
    elif rows or seeds:
        raise UserError("--rows and --seeds choose what to train; add --retrain")
    else:
        result = tables.committed(name)
    say(f"{bold(result['title'])}\n{result['data']}\n{result['device']}; commit {result['commit']}\n")
    table("", tables.shown_rows(result))
    say("\n".join(tables.judgements(result)))
    if plot is not None:
        from gestalt3d.engine.curve import Lines, save_lines

        lines: Lines = {}
        for row, points in result.get("curves", {}).items():
            lines[row] = [*points]
        save_lines(plot, lines, title=result["title"], what=tables.table_of(name).curve.replace("_", " "))
        say(f"\nwrote {plot}")
    if json is not None:
        write_json(json, result)

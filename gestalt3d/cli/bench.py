"""`gestalt3d bench`."""

from typing import Annotated

from tyro.conf import Positional

from gestalt3d.cli.options import Json, expect_writable, option
from gestalt3d.cli.report import say_titles, write_json
from gestalt3d.terminal import table


def bench(
    name: Positional[
        Annotated[
            str, option("what to measure; without it all benchmarks are listed", "BENCHMARK", default="")
        ]
    ] = "",
    *,
    json: Json = None,
) -> None:
    """Run a benchmark and print its table; without a name the list of benchmarks."""
    from gestalt3d import bench as benchmarks

    if not name:
        say_titles(benchmarks.titles())
        return
    expect_writable(json)
    result = benchmarks.run(name)
    table(f"{name} on {result['machine']}", result["rows"])
    if json is not None:
        write_json(json, result)

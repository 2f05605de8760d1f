"""`gestalt3d average`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from gestalt3d.cli.options import option
from gestalt3d.terminal import say


def average(
    files: Positional[
        Annotated[
            tuple[str, ...],
            option("weight files or shipped models, all of the same network", "MODEL…", default=""),
        ]
    ] = (),
    *,
    shares: Annotated[
        tuple[float, ...],
        option(
            "how much each counts, in their order; 0.3 0.7 is the same as 3 7", "SHARE…", default="all alike"
        ),
    ] = (),
    out: Annotated[
        Path, option("weight file to write; its card is written beside it", "FILE", short="-o", default="")
    ],
) -> None:
    """Write the mean of weight files, with its card beside it."""
    from gestalt3d.engine.average import average as average_files

    for note in average_files(files, out, shares=shares):
        say(f"NOTE {note}")
    say(f"weights  {out}\ncard     {out.with_suffix('.json')}\ntry      gestalt3d segment scan.ply -m {out}")

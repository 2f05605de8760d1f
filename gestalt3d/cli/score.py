"""`gestalt3d score`."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional

from gestalt3d.cli.options import Json, expect_writable, option
from gestalt3d.cli.report import say_meanings, write_json
from gestalt3d.terminal import say, table


def score(
    benchmark: Positional[
        Annotated[
            Literal["scannet", "scannet-semantic", "s3dis"],
            option("benchmark whose rules and formats apply", default=""),
        ]
    ],
    *,
    gt: Annotated[Path, option("ground truth in the benchmark's format", "DIR", default="")],
    pred: Annotated[Path, option("predictions in the benchmark's format", "DIR", default="")],
    json: Json = None,
) -> None:
    """Print a benchmark's figures of files in its formats. Needs NumPy only."""
    from gestalt3d.metrics.official import score as score_files

    expect_writable(json)
    result = score_files(benchmark, gt, pred)
    per_class = {
        name: v if isinstance(v, dict) else {"IoU": v} for name, v in result.get("per_class", {}).items()
    }
    rows = [{"class": name, **values} for name, values in per_class.items()]
    table(f"{benchmark}, all", [{k: v for k, v in result.items() if not isinstance(v, dict)}], digits=4)
    say()
    table("per class", rows, digits=4)
    say()
    say_meanings({key for row in (result, *rows) for key in row})
    if json is not None:
        write_json(json, result)

"""`gestalt3d score`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional

from gestalt3d.cli.options import Json, expect_writable, option
from gestalt3d.cli.report import say_meanings, write_json
from gestalt3d.terminal import say, table


def score(
    benchmark: Positional[
        Annotated[
            Literal["scannet", "scannet-semantic", "s3dis", "partnet"],
            option("benchmark whose rules and file formats apply; `scannet` is of instances", default=""),
        ]
    ],
    *,
    gt: Annotated[
        Path,
        option(
            "folder with the truth: <scene>.txt (scannet), <room>.npz (s3dis), <shape>.npz (partnet)",
            "DIR",
            default="",
        ),
    ],
    pred: Annotated[
        Path, option("folder with what was predicted, in files of the same names", "DIR", default="")
    ],
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
    means = [_numbers(result)]
    means += [
        {"iou_threshold": float(k[3:]), **_numbers(v)} for k, v in result.items() if k.startswith("at_")
    ]
    table(f"{benchmark}, all", means, digits=4)
    say()
    table("per class", rows, digits=4)
    say()
    of_one_threshold = {"AP"} if benchmark == "partnet" else set()
    say_meanings({key for row in (result, *rows) for key in row} - of_one_threshold)
    if json is not None:
        write_json(json, result)


def _numbers(result: dict[str, Any]) -> dict[str, Any]:
    """What is neither by class nor by shape."""
    return {key: value for key, value in result.items() if not isinstance(value, dict | list)}

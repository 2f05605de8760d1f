"""`gestalt3d score`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional

from gestalt3d.cli.options import Json, expect_writable, option
from gestalt3d.cli.report import say_hidden_masks, say_meanings, write_json
from gestalt3d.terminal import say, table


def score(
    benchmark: Positional[
        Annotated[
            Literal["scannet", "scannet-semantic", "s3dis", "partnet", "coco-amodal"],
            option("benchmark whose rules and file formats apply; `scannet` is of instances", default=""),
        ]
    ],
    *,
    gt: Annotated[
        Path,
        option(
            "folder with the truth: <scene>.txt (scannet), <room>.npz (s3dis), <shape>.npz (partnet); coco-amodal: the file of "
            "annotations",
            "PATH",
            default="",
        ),
    ],
    pred: Annotated[
        Path,
        option(
            "folder with what was predicted, in files of the same names; coco-amodal: the file of results",
            "PATH",
            default="",
        ),
    ],
    json: Json = None,
) -> None:
    """Print a benchmark's figures of files in its formats. Needs NumPy only."""
    from gestalt3d.metrics.official import score as score_files

    expect_writable(json)
    result = score_files(benchmark, gt, pred)
    if benchmark == "coco-amodal":
        say_masks(result)
    else:
        _say_figures(benchmark, result)
    if json is not None:
        write_json(json, result)


def _say_figures(benchmark: str, result: dict[str, Any]) -> None:
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


def say_masks(result: dict[str, Any]) -> None:
    """Tables of amodal masks in photos."""
    kinds = {kind: result[kind] for kind in ("amodal", "visible") if result[kind] is not None}
    table("masks, all", [{"masks": kind, **_numbers(own)} for kind, own in kinds.items()], digits=4)
    say()
    names = result["amodal"]["per_class"]
    rows = [
        {"class": name, "masks": kind, **own["per_class"][name]}
        for name in names
        for kind, own in kinds.items()
    ]
    table("per class", rows, digits=4)
    shown = {key for row in rows for key in row} | set(_numbers(result["amodal"]))
    say()
    say_meanings(shown, masks_in_photos=True)
    say_hidden_masks(result, digits=4)
    for note in result["notes"]:
        say(f"NOTE {note}")


def _numbers(result: dict[str, Any]) -> dict[str, Any]:
    """What is neither by class nor by shape."""
    return {key: value for key, value in result.items() if not isinstance(value, dict | list)}

"""`gestalt3d segment`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional

from gestalt3d.cli.options import Device, Json, ModelName, Out, expect_writable, option
from gestalt3d.cli.report import (
    elements_of,
    object_rows,
    say_classes,
    say_files,
    say_seconds,
    timings,
    write_json,
)
from gestalt3d.errors import UserError
from gestalt3d.terminal import Progress, complain, duration, say

if TYPE_CHECKING:
    from gestalt3d.engine.segment import Result


def segment(
    files: Positional[
        Annotated[
            tuple[Path, ...],
            option(
                "scans (.ply .pcd .las .laz .xyz .npy .obj .glb and more), RGB-D frames (a folder with a colour image and its "
                "depth image), or folders of these",
                "FILE…",
                default="",
            ),
        ]
    ] = (),
    *,
    model: ModelName = "auto",
    out: Out = Path("out"),
    classes: Annotated[
        tuple[str, ...],
        option("keep only objects of these classes, such as chair table", "CLASS…", default="all"),
    ] = (),
    min_score: Annotated[
        float, option("keep only objects of which the model is at least this sure, 0 to 1", "SCORE")
    ] = 0.0,
    no_overlap: Annotated[
        bool,
        option(
            "every point in one object at most, of models that find objects which overlap; `auto` does so anyway",
            default="",
        ),
    ] = False,
    units: Annotated[
        Literal["m", "cm", "mm", "ft", "in"] | None,
        option(
            "unit of the coordinates, or of the depth of an RGB-D frame", "{m,cm,mm,ft,in}", default="guessed"
        ),
    ] = None,
    up: Annotated[
        Literal["x", "y", "z", "-x", "-y", "-z"] | None,
        option("axis of the file that points up", "{x,y,z,-x,-y,-z}", default="guessed"),
    ] = None,
    semantic: Annotated[
        str | None,
        option(
            "property of the file that holds the class of each point, for models that start from given classes",
            "PROPERTY",
            default="",
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        option(
            "visible masks of a photo's objects (COCO, a list of results, Segment Anything's or labelme's JSON), for a model "
            "that completes masks",
            "FILE.json",
            default="",
        ),
    ] = None,
    refiner: Annotated[
        str | None,
        option("a model that completes the masks which the model finds in photos", "MODEL", default=""),
    ] = None,
    objects: Annotated[
        bool,
        option(
            "also write each object as a PLY of its own, and whole shapes, where the model completes objects, as GLB, too",
            default="",
        ),
    ] = False,
    picture: Annotated[bool, option("write no picture (.png)", default="")] = True,
    page: Annotated[bool, option("write no web page (.html)", default="")] = True,
    device: Device = "cpu",
    seed: Annotated[
        int | None,
        option("seed of the model's random choices; the same seed gives the same answer", "N", default="0"),
    ] = None,
    json: Json = None,
) -> None:
    """Segment files one by one. One that cannot be read is told on stderr and the others go on; exit code 2 at the end."""
    if not files:
        raise UserError("name at least one file or folder, such as scan.ply")
    if not 0 <= min_score <= 1:
        raise UserError(f"--min-score {min_score}: must lie between 0 and 1")
    expect_writable(json)
    from gestalt3d.engine.model import load
    from gestalt3d.engine.results import Kinds
    from gestalt3d.engine.segment import Options, segment_files

    ready = load(model, device=device)
    if seed is not None:
        ready = ready.with_seed(seed)
    options = Options(
        classes or None,
        min_score,
        units,
        up,
        semantic,
        masks,
        None if refiner is None else load(refiner, device=device),
        Kinds(picture=picture, page=page, objects=objects),
        False if no_overlap else None,
    )
    reports: list[dict[str, Any]] = []
    failed: list[str] = []

    def on_result(result: "Result") -> None:
        reports.append(_summary(result))
        _say_result(result)

    def on_failure(line: str) -> None:
        failed.append(line)
        complain(f"gestalt3d segment: {line}")

    try:
        with Progress() as bar:
            segment_files(
                ready,
                files,
                out,
                options,
                on_progress=bar,
                on_result=on_result,
                on_failure=on_failure,
                on_start=lambda path, i, n: bar.begin(path.name if n == 1 else f"{path.name} ({i} of {n})"),
            )
    finally:
        if json is not None and (reports or failed):
            write_json(json, {"model": model, "files": reports, "failed": failed})
    if failed:
        if len(failed) + len(reports) > 1:
            complain(f"gestalt3d segment: {len(reports)} done, {len(failed)} could not be")
        sys.exit(2)


def _say_result(result: "Result") -> None:
    answer, took = result.answer, duration(result.work.seconds)
    elements = elements_of(answer.given)
    say(f"\n{result.source}: {len(answer.given):,} {elements}, {len(answer.found)} instances in {took}")
    for note in answer.notes:
        say(f"NOTE {note}")
    say()
    say_classes(answer)
    say()
    say_seconds(result.work)
    say_files(result.files)


def _summary(result: "Result") -> dict[str, Any]:
    answer = result.answer
    elements = elements_of(answer.given)
    return {
        "file": str(result.source),
        elements: len(answer.given),
        "instances": object_rows(answer.found, elements),
        **timings(result.work),
        "notes": list(answer.notes),
        "files": [str(f) for f in result.files],
    }

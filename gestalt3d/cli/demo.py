"""`gestalt3d demo`."""

import time
from pathlib import Path
from typing import Annotated

from gestalt3d.cli.options import Device, Json, ModelName, Out, expect_writable, option
from gestalt3d.cli.report import (
    object_rows,
    say_classes,
    say_files,
    say_meanings,
    say_seconds,
    timings,
    write_json,
)
from gestalt3d.errors import UserError
from gestalt3d.terminal import Progress, say, table

DEMO_ROOM = 13
"""By AP50 in `gestalt3d evaluate -m mtml-rooms -d rooms:val --limit 20`."""


def demo(
    *,
    model: ModelName = "auto",
    out: Out = Path("demo"),
    seed: Annotated[
        int, option("which room, 0 or more; of the first twenty mtml-rooms does best on 13", "N")
    ] = DEMO_ROOM,
    device: Device = "cpu",
    json: Json = None,
) -> None:
    """Segment one validation room, write what `segment` writes and the room itself, and print figures in percent."""
    from gestalt3d.data import open_data
    from gestalt3d.engine.model import load
    from gestalt3d.engine.results import ALL, Answer, result_folder, write_results
    from gestalt3d.engine.segment import notes_on
    from gestalt3d.io import save_cloud
    from gestalt3d.stages import measure, stage

    started = time.perf_counter()
    if seed < 0:
        raise UserError(f"--seed {seed}: must be 0 or more")
    expect_writable(json)
    ready = load(model, device=device)
    with result_folder(out), Progress() as on_progress, measure(on_progress) as work:
        on_progress.begin("room")
        with stage("make room"):
            rooms = open_data("rooms:val", vocabulary=ready.vocabulary, limit=seed + 1)
            scan = rooms[seed]
        found = ready.segment(scan.input)
        with stage("write"):
            answer = Answer("room", scan.input, found, notes_on(scan.input, ready, found.method))
            files = write_results(out, answer, ALL)
            save_cloud(out / "room.ply", scan.input)
    evaluator = rooms.evaluator(ready.vocabulary)
    evaluator.see(scan, found)
    figures = evaluator.results()["pooled"]
    objects = figures["class_agnostic"]
    assert isinstance(objects, dict)
    any_class = {f"{k}, any class": objects[k] for k in ("AP50", "AP25")}
    wanted = {k: figures[k] for k in ("AP50", "AP25", "mIoU")} | any_class
    chosen = ", of the first twenty the one that mtml-rooms does best" if seed == DEMO_ROOM else ""
    say(f"a validation room that training never saw{chosen}")
    say(f"{scan.name}: {len(scan.input):,} points, {len(found)} instances; there are {len(scan.truth)}")
    for note in answer.notes:
        say(f"NOTE {note}")
    say()
    say_classes(answer, scan.truth)
    say()
    table("how well, in percent", [{"room": scan.name, **wanted}])
    say()
    say_meanings(wanted)
    say()
    say_seconds(work, time.perf_counter() - started)
    say_files((*files, out / "room.ply"))
    say(f"look at it: open {out / 'room.html'} in a browser")
    if json is not None:
        room = {
            "scan": scan.name,
            "points": len(scan.input),
            "figures": wanted,
            "instances": object_rows(found),
        }
        write_json(json, {"model": model, **room, **timings(work)})

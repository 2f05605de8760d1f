"""`gestalt3d data`."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional

from gestalt3d.cli.options import Json, expect_writable, option
from gestalt3d.cli.report import write_json
from gestalt3d.terminal import say, table


def data(
    action: Positional[
        Annotated[Literal["check"], option("what to do with it; there is nothing else yet", default="")]
    ],
    kind: Positional[
        Annotated[
            Literal[
                "s3dis",
                "scannet",
                "partnet",
                "shapenet-part",
                "sunrgbd",
                "nyuv2",
                "folder",
                "cocoa",
                "cocoa-cls",
                "d2sa",
                "kins",
                "uoais",
                "coco-amodal",
                "coco",
                "labelme",
                "nmr",
                "pascal3d",
            ],
            option("the layout of the folder: a data set's, or clouds with labels beside them", default=""),
        ]
    ],
    *,
    root: Annotated[
        Path,
        option("folder of the data set; of photos also the file of their annotations", "PATH", default=""),
    ],
    json: Json = None,
) -> None:
    """Print what a data set's folder holds and what is wrong; exit code 2 where it is not complete."""
    from gestalt3d.data.check import check

    expect_writable(json)
    report = check(kind, root)
    rows = [{"what": c.name, "found": c.found, "expected": c.expected, "": c.unit} for c in report.counts]
    if not any(c.expected for c in report.counts):
        rows = [{k: v for k, v in row.items() if k != "expected"} for row in rows]
    table(f"{kind} in {root}", rows)
    say()
    for note in report.notes:
        say(f"NOTE {note}")
    for problem in report.problems:
        say(f"PROBLEM {problem}")
    say(report.advice)
    if json is not None:
        write_json(json, {**dataclasses.asdict(report), "counts": [c._asdict() for c in report.counts]})
    if not report.is_complete:
        sys.exit(2)

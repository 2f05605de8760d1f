"""`gestalt3d synth`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional

from gestalt3d.cli.options import Out, option
from gestalt3d.errors import UserError
from gestalt3d.terminal import Progress, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from gestalt3d.structures.samples import Scan


def synth(
    what: Positional[Annotated[Literal["rooms", "toyboxes"], option("kind of scan", default="")]],
    *,
    count: Annotated[int, option("number of scans", "N", short="-n")] = 10,
    seed: Annotated[int, option("seed of the first scan; the others count on from it", "N")] = 0,
    preset: Annotated[Literal["default", "hard"], option("toyboxes only: how often boxes touch")] = "default",
    out: Out = Path("data"),
) -> None:
    """Write the scans of `count` seeds into a folder of labelled clouds."""
    if count < 1:
        raise UserError(f"-n {count}: must be at least 1")
    if seed < 0:
        raise UserError(f"--seed {seed}: must be 0 or more")
    if what == "rooms" and preset != "default":
        raise UserError(f"--preset {preset}: rooms have no presets, toyboxes do")
    from gestalt3d.data.folder import save_scan

    make = _maker(what, preset)
    with Progress() as on_progress:
        for i in range(count):
            on_progress(what, i, count)
            save_scan(out, make(seed + i))
    say(f"{count} {what} in {out}")
    if what == "rooms":
        say(f"train on them: gestalt3d train asis-folder --root {out} --init asis-rooms")
    else:
        say(f"points are the centres of 10 cm voxels; in Python: gestalt3d.open_data('folder', root='{out}')")


def _maker(what: str, preset: str) -> "Callable[[int], Scan]":
    """From a seed to the scan of that world."""
    if what == "rooms":
        from gestalt3d.synth.rooms import make_room

        return make_room
    from gestalt3d.synth.toyboxes import PRESETS, make_toybox, scan_of

    name = "toybox" if preset == "default" else f"toybox_{preset}"
    return lambda seed: scan_of(make_toybox(seed, PRESETS[preset]), f"{name}_{seed:07d}")

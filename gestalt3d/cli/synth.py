"""`gestalt3d synth`."""

import os
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
    what: Positional[
        Annotated[
            Literal["rooms", "toyboxes", "parts", "views", "objects", "photos"],
            option(
                "scanned rooms, boxes in a cube, single objects in their parts, RGB-D frames of the rooms, single "
                "objects from 24 viewpoints, or photos of several objects",
                default="",
            ),
        ]
    ],
    *,
    count: Annotated[int, option("number of scans, of objects or of photos", "N", short="-n")] = 10,
    seed: Annotated[
        int,
        option("seed of the first scan, the others count on from it; the same seed gives the same scan", "N"),
    ] = 0,
    preset: Annotated[
        Literal["default", "hard"], option("toyboxes only; hard: boxes touch often")
    ] = "default",
    category: Annotated[
        str | None,
        option(
            "parts and objects only: the kind of objects, chair, table, lamp or storagefurniture in parts, or one of "
            "ShapeNet's thirteen",
            "NAME",
            default="all in turn",
        ),
    ] = None,
    level: Annotated[
        Literal[1, 2, 3] | None,
        option("parts only: how fine the parts are, from 1, coarse, to 3", "{1,2,3}", default="3"),
    ] = None,
    camera: Annotated[
        Literal["kinect-v1", "kinect-v2", "realsense-d435", "iphone-lidar"] | None,
        option(
            "views only: what takes them",
            "{kinect-v1,kinect-v2,realsense-d435,iphone-lidar}",
            default="drawn for each",
        ),
    ] = None,
    out: Out = Path("data"),
) -> None:
    """Write the scans of `count` seeds into a folder of labelled clouds, or of frames and pictures."""
    if count < 1:
        raise UserError(f"-n {count}: must be at least 1")
    if seed < 0:
        raise UserError(f"--seed {seed}: must be 0 or more")
    if what != "toyboxes" and preset != "default":
        raise UserError(f"--preset {preset}: {what} have no presets, toyboxes do")
    if what != "parts" and level is not None:
        raise UserError(f"--level {level}: {what} have none; synth parts does")
    if category is not None:
        _check_category(what, category)
    if what == "views":
        _write_views(count, seed, camera, out)
        return
    if camera is not None:
        raise UserError(f"--camera {camera}: {what} have none; synth views does")
    if what == "objects":
        _write_objects(count, seed, category, out)
        return
    if what == "photos":
        _write_photos(count, seed, out)
        return
    from gestalt3d.data.folder import save_scan

    make = _part_maker(category, level or 3) if what == "parts" else _maker(what, preset)
    with Progress() as on_progress:
        for i in range(count):
            on_progress(what, i, count)
            file = save_scan(out, make(seed + i))
    say(f"{count} {what} in {out}")
    if what == "rooms":
        say(f"train on them: gestalt3d train asis-folder --root {out} --init asis-rooms")
    elif what == "parts":
        say(f"look at one: gestalt3d view {file}; check them: gestalt3d data check folder --root {out}")
    else:
        say(f"points are the centres of 10 cm voxels; in Python: gestalt3d.open_data('folder', root='{out}')")


def _write_views(count: int, seed: int, camera: str | None, out: Path) -> None:
    """Of each seed's room the first view."""
    from gestalt3d.data.view_files import save_view
    from gestalt3d.synth.views import ViewConfig, make_view

    config = ViewConfig(camera=camera)
    with Progress() as on_progress:
        for i in range(count):
            on_progress("views", i, count)
            file = save_view(out, make_view(seed + i, config=config))
    say(f"{count} views in {out}{os.sep}{{rgb,depth,amodal,objects,voxels,…}}")
    say(f"segment one: gestalt3d segment {file}")


def _check_category(what: str, category: str) -> None:
    if what not in ("parts", "objects"):
        raise UserError(f"--category {category}: {what} have none; synth parts and synth objects do")
    if what == "parts":
        from gestalt3d.synth.parts.objects import CATEGORIES
    else:
        from gestalt3d.synth.objects.models import CATEGORIES
    known = [name.replace("_", "") for name in CATEGORIES]
    if category not in known:
        raise UserError(f"--category {category}: synth {what} knows {', '.join(known)}")


def _write_objects(count: int, seed: int, category: str | None, out: Path) -> None:
    """Of each seed's object all 24 pictures."""
    from gestalt3d.data.picture_files import save_picture
    from gestalt3d.synth.objects.pictures import make_picture
    from gestalt3d.synth.objects.viewpoints import VIEWPOINTS

    with Progress() as on_progress:
        for i in range(count):
            on_progress("objects", i, count)
            for viewpoint in range(len(VIEWPOINTS)):
                save_picture(out, make_picture(seed + i, viewpoint, category=category))
    say(
        f"{count} objects from {len(VIEWPOINTS)} viewpoints in {out}{os.sep}{{rgb,instance,amodal,objects,shapes,…}}"
    )


def _write_photos(count: int, seed: int, out: Path) -> None:
    from gestalt3d.data.view_files import save_view
    from gestalt3d.synth.objects.photos import make_photo

    with Progress() as on_progress:
        for i in range(count):
            on_progress("photos", i, count)
            save_view(out, make_photo(seed + i))
    say(f"{count} photos in {out}{os.sep}{{rgb,instance,amodal,objects,…}}")


def _maker(what: str, preset: str) -> "Callable[[int], Scan]":
    """From a seed to the scan of that world."""
    if what == "rooms":
        from gestalt3d.synth.rooms import make_room

        return make_room
    from gestalt3d.synth.toyboxes import PRESETS, make_toybox, scan_of

    name = "toybox" if preset == "default" else f"toybox_{preset}"
    return lambda seed: scan_of(make_toybox(seed, PRESETS[preset]), f"{name}_{seed:07d}")


def _part_maker(category: str | None, level: int) -> "Callable[[int], Scan]":
    """From a seed to its object; all of one folder have one vocabulary."""
    from gestalt3d.data.relabel import relabel
    from gestalt3d.structures.vocabulary import PARTNET_ALL
    from gestalt3d.synth.parts.objects import CATEGORIES, make_object

    known = {name.replace("_", ""): name for name in CATEGORIES}
    if category is not None:
        return lambda seed: make_object(seed, known[category], level=level)
    all_of_them = PARTNET_ALL[level]
    return lambda seed: relabel(make_object(seed, CATEGORIES[seed % 4], level=level), all_of_them)

"""A picture of a scene, drawn on the CPU: a look into the room from above, or the photo, with a legend."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gestalt3d.io.atomic import atomic_path
from gestalt3d.io.given import InputLike, expect_path
from gestalt3d.ops._numba import kernel, parallel
from gestalt3d.structures.instances import Instances
from gestalt3d.viewer.coloring import Mode, instance_palette, instance_table, point_colors
from gestalt3d.viewer.ghosts import ghosts
from gestalt3d.viewer.layers import ImagePlane
from gestalt3d.viewer.palette import class_color, score_colors
from gestalt3d.viewer.photo import photo_panel
from gestalt3d.viewer.scene import Room, Scene, scene_from
from gestalt3d.viewer.shapes import box_lines
from gestalt3d.viewer.splat import splat
from gestalt3d.viewer.viewpoint import Projection, Viewpoint, project

_PAPER = (236, 239, 243)
_INK = (38, 42, 50)
_FAINT = (112, 118, 128)
_RULE = (208, 213, 220)
_MOST_LEGEND_ROWS = 3
_SUPERSAMPLE = 2
_MOST_POINTS = 4_000_000
"""More than a picture has pixels."""

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class _Entry(NamedTuple):
    """A class in the legend."""

    name: str
    count: str
    dots: list[tuple[int, ...]]


def save_picture(
    path: str | Path,
    cloud: InputLike,
    instances: Instances,
    *,
    color_by: Mode = "instance",
    size: tuple[int, int] = (1280, 960),
    view: Viewpoint | None = None,
    panels: Sequence[Mode] | None = None,
) -> None:
    """Write a PNG of `size` (width, height) with points coloured by "rgb", "instance", "class" or "score".

    `panels` draws the same view several times side by side instead, for example ("rgb", "instance"), with a caption each.
    A cloud without colour is shaded by height for "rgb". Without a `view`, it is one that depends on the scan alone, so
    that pictures of what several methods found in it can be compared. A `View` is shown as its photo, covered by masks, and where
    whole shapes were found in it, as its points in space with these.
    """
    call = "save_picture(path, cloud, instances)"
    expect_path(path, call=call)
    scene = scene_from(cloud, instances, call=call)
    write_picture(path, scene, color_by=color_by, size=size, view=view, panels=panels)


def write_picture(
    path: str | Path,
    scene: Scene,
    *,
    color_by: Mode = "instance",
    size: tuple[int, int] = (1280, 960),
    view: Viewpoint | None = None,
    panels: Sequence[Mode] | None = None,
) -> None:
    """`save_picture` of a scene that is there already."""
    modes: tuple[Mode, ...] = tuple(panels) if panels else (color_by,)
    legend = _legend(scene.instances, modes[-1], size[0])
    height = size[1] - legend.height
    width = size[0] // len(modes)
    if width < 16 or height < 16:
        raise ValueError(f"size must leave room for {len(modes)} panels and the legend, got {size}")
    sheet = Image.new("RGB", size, _PAPER)
    for column, image in enumerate(_panels(scene, modes, view, (width, height))):
        sheet.paste(Image.fromarray(image), (column * width, 0))
        if len(modes) > 1:
            _write_caption(sheet, _caption(modes[column], scene), column * width)
    sheet.paste(legend, (0, height))
    with atomic_path(path) as target:
        sheet.save(target, format="PNG", compress_level=4)


def _panels(
    scene: Scene, modes: Sequence[Mode], view: Viewpoint | None, size: tuple[int, int]
) -> list[np.ndarray]:
    """(h, w, 3) uint8 each. Of a frame with whole shapes "rgb" is the photo and below it the masks, others are of the room."""
    photo, room = scene.photo, scene.room
    if photo is not None and not (scene.is_completed and room is not None):
        return [photo_panel(photo, scene.instances, mode, size, _PAPER) for mode in modes]
    assert room is not None, "a scene without a photo has a room"
    of_room: list[Mode] = [mode for mode in modes if mode != "rgb" or photo is None]
    images = iter(
        _room_panels(scene.thinned(_MOST_POINTS), room, of_room, view or room.best_viewpoint, size)
        if of_room
        else ()
    )
    return [
        next(images) if mode in of_room or photo is None else _photo_and_masks(photo, scene, modes[-1], size)
        for mode in modes
    ]


def _photo_and_masks(photo: ImagePlane, scene: Scene, mode: Mode, size: tuple[int, int]) -> np.ndarray:
    width, half = size[0], size[1] // 2
    upper = photo_panel(photo, scene.instances, "rgb", (width, half), _PAPER)
    lower = photo_panel(photo, scene.instances, mode, (width, size[1] - half), _PAPER)
    return np.concatenate([upper, lower])


def _caption(mode: Mode, scene: Scene) -> str:
    if mode != "rgb":
        what = {"instance": "instances found", "class": "classes", "score": "scores"}[mode]
        if scene.room is None and scene.photo is not None and scene.photo.hidden is not None:
            return f"{what}; striped: what is hidden of them"
        return f"{what}; pale: whole shapes, seen or not" if scene.is_completed else what
    if scene.photo is not None:
        return "photo"
    is_plain = scene.scan is not None and scene.scan.colors is None
    return "height (the scan has no colours)" if is_plain else "colours of the scan"


def _write_caption(sheet: Image.Image, text: str, left: int) -> None:
    unit = max(10, round(sheet.width / 80))
    font = ImageFont.load_default(size=unit)
    ImageDraw.Draw(sheet).text(
        (left + unit, unit * 0.8), text, fill=_INK, font=font, stroke_width=3, stroke_fill=_PAPER
    )


def _room_panels(
    scene: Scene, room: Room, modes: Sequence[Mode], view: Viewpoint, size: tuple[int, int]
) -> list[np.ndarray]:
    width, height = (side * _SUPERSAMPLE for side in size)
    fit_to = room.fit_points()

    def seen(positions: np.ndarray) -> Projection:
        return project(positions, view, (width, height), fit_to)

    depth, nearest = np.full((height, width), np.inf, np.float32), np.full((height, width), -1, np.int32)
    scan = scene.scan
    shown = np.zeros(0, dtype=bool)
    if scan is not None:
        hidden = scan.hidden_from(view)
        shown = ~hidden if not hidden.all() else hidden
        depth, nearest = splat(seen(scan.positions[shown]), scan.spacing, (height, width))
    layers = list(scene.layers)
    if scene.photo is not None and scene.instances.amodal_boxes is not None:
        layers.append(box_lines(scene.instances.amodal_boxes.cpu().double().numpy()))
    behind = ghosts(layers, seen, depth)
    light = _shade(depth)
    paper = np.array(_PAPER, dtype=np.uint8)
    images = []
    for mode in modes:
        image = np.empty((height, width, 3), dtype=np.uint8)
        colors = (
            np.zeros((0, 3), np.uint8) if scan is None else point_colors(scan, scene.instances, mode)[shown]
        )
        parallel(
            lambda first, last, i=image, c=colors: _paint(nearest, light, c, paper, i, first, last),
            height,
            grain=64,
        )
        if mode != "rgb":
            for ghost in behind:
                ghost.blend_into(image, instance_table(scene.instances, mode))
        images.append(np.asarray(Image.fromarray(image).reduce(_SUPERSAMPLE)))
    return images


def _shade(depth: np.ndarray) -> np.ndarray:
    light = np.empty_like(depth)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_depth = np.log2(depth)
    parallel(lambda first, last: _eye_dome(log_depth, light, first, last), len(depth), grain=64)
    return light


@kernel
def _eye_dome(log_depth, light, first, last):
    """Eye-dome lighting (Boucheny 2009) at two scales: nearer neighbours darken a pixel."""
    height, width = log_depth.shape
    for row in range(first, last):
        for column in range(width):
            here = log_depth[row, column]
            if not here < np.inf:
                light[row, column] = 1.0
                continue
            total = 0.0
            for scale in range(2):
                reach = 2 if scale == 0 else 7
                for dy in range(-1, 2):
                    for dx in range(-1, 2):
                        r, c = row + dy * reach, column + dx * reach
                        if 0 <= r < height and 0 <= c < width:
                            step = here - log_depth[r, c]
                            if step > 0.0:
                                # Bounded: a far wall behind a thin rod must not turn black.
                                total += min(step, 0.05)
            light[row, column] = np.exp(-2.6 * total)


@kernel
def _paint(nearest, light, colors, paper, image, first, last):
    for row in range(first, last):
        for column in range(nearest.shape[1]):
            p = nearest[row, column]
            for channel in range(3):
                if p < 0:
                    image[row, column, channel] = paper[channel]
                else:
                    image[row, column, channel] = np.uint8(colors[p, channel] * light[row, column])


def _legend(instances: Instances, mode: Mode, width: int) -> Image.Image:
    """Classes and counts, the most frequent first; an entry's dots have the colours the picture gives it."""
    unit = max(10, round(width / 80))
    font = ImageFont.load_default(size=unit)
    rows = _legend_rows(_legend_entries(instances, mode), font, unit, width)
    pad, line = unit, round(1.9 * unit)
    image = Image.new("RGB", (width, round(1.4 * pad) + line * len(rows)), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.line([(pad, 0), (width - pad, 0)], fill=_RULE, width=1)
    for row, entries in enumerate(rows):
        x, y = float(pad), pad * 0.7 + line * (row + 0.5)
        for entry in entries:
            _draw_entry(draw, entry, x, y, font, unit)
            x += _entry_width(entry, font, unit)
    return image


def _legend_rows(entries: list[_Entry], font: _Font, unit: int, width: int) -> list[list[_Entry]]:
    """As many rows as needed and allowed; what does not fit is counted."""
    rows: list[list[_Entry]] = [[]]
    at = unit
    for position, entry in enumerate(entries):
        more = _Entry(f"and {len(entries) - position} more classes", "", [])
        last = len(rows) == _MOST_LEGEND_ROWS and position < len(entries) - 1
        needed = _entry_width(entry, font, unit) + (_entry_width(more, font, unit) if last else 0)
        if at + needed > width and rows[-1]:
            if len(rows) == _MOST_LEGEND_ROWS:
                rows[-1].append(more)
                break
            rows.append([])
            at = unit
        rows[-1].append(entry)
        at += _entry_width(entry, font, unit)
    return rows


def _draw_entry(draw: ImageDraw.ImageDraw, entry: _Entry, x: float, y: float, font: _Font, unit: int) -> None:
    for k, dot in reversed(list(enumerate(entry.dots))):
        centre = x + unit * (0.5 + 0.55 * k)
        draw.ellipse(
            [centre - unit / 2, y - unit / 2, centre + unit / 2, y + unit / 2], fill=dot, outline=_PAPER
        )
    x += _dots_width(entry, unit)
    draw.text((x, y), entry.name, fill=_INK, font=font, anchor="lm")
    draw.text((x + font.getlength(entry.name + "  "), y), entry.count, fill=_FAINT, font=font, anchor="lm")


def _entry_width(entry: _Entry, font: _Font, unit: int) -> float:
    return _dots_width(entry, unit) + font.getlength(f"{entry.name}  {entry.count}") + 1.6 * unit


def _dots_width(entry: _Entry, unit: int) -> float:
    return unit * (1 + 0.55 * (len(entry.dots) - 1) + 0.5) if entry.dots else 0.0


def _legend_entries(instances: Instances, mode: Mode) -> list[_Entry]:
    if not len(instances):
        return [_Entry("no instances", "", [])]
    if mode == "score":
        ramp = score_colors(np.linspace(0, 1, 5)).tolist()
        return [_Entry("score from 0 to 1, instances", str(len(instances)), [tuple(c) for c in ramp])]
    classes = instances.classes.cpu().numpy()
    palette = instance_palette(instances).tolist()
    entries = []
    for c in sorted(set(classes.tolist()), key=lambda c: (-int((classes == c).sum()), c)):
        members = (classes == c).nonzero()[0]
        name = instances.vocabulary.names[c] if c >= 0 else "unknown"
        dots = {"class": [class_color(name)], "instance": [tuple(palette[i]) for i in members[:4]]}.get(
            mode, []
        )
        entries.append(_Entry(_plain(name), str(len(members)), dots))
    return entries


def _plain(name: str) -> str:
    """One short line, whatever a file calls its class."""
    line = "".join(c if c.isprintable() else " " for c in name.replace("_", " "))
    return line if len(line) <= 32 else line[:31] + "…"

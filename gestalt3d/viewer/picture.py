"""A picture of a scan and its instances, drawn on the CPU: looking into the room from above, with a legend."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gestalt3d.io.atomic import atomic_path
from gestalt3d.ops._numba import kernel, parallel
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.viewer.coloring import Mode, instance_palette, point_colors
from gestalt3d.viewer.palette import class_color, score_colors
from gestalt3d.viewer.scene import Scene, make_scene
from gestalt3d.viewer.viewpoint import Projection, Viewpoint, project

_PAPER = (236, 239, 243)
_INK = (38, 42, 50)
_FAINT = (112, 118, 128)
_SUPERSAMPLE = 2
_LARGEST_SPLAT = 9.0


def save_picture(
    path: str | Path,
    cloud: PointCloud,
    instances: Instances,
    *,
    color_by: Mode = "instance",
    size: tuple[int, int] = (1280, 960),
    view: Viewpoint | None = None,
    panels: Sequence[Mode] | None = None,
) -> None:
    """Write a PNG of `size` (width, height) with points coloured by "rgb", "instance", "class" or "score".

    `panels` draws the same view several times side by side instead, for example ("rgb", "instance"). Clouds without colour
    are shaded by height where "rgb" is asked for.
    """
    modes: tuple[Mode, ...] = tuple(panels) if panels else (color_by,)
    scene = make_scene(cloud, instances)
    legend = _legend(instances, modes[-1], size[0])
    height = size[1] - legend.height
    width = size[0] // len(modes)
    if width < 16 or height < 16:
        raise ValueError(f"size must leave room for {len(modes)} panels and the legend, got {size}")
    view = view or scene.best_viewpoint()
    sheet = Image.new("RGB", size, _PAPER)
    panel = (width, height)
    for column, image in enumerate(_panels(scene, instances, modes, view, panel)):
        sheet.paste(Image.fromarray(image), (column * width, 0))
    sheet.paste(legend, (0, height))
    with atomic_path(path) as target:
        sheet.save(target, format="PNG", compress_level=4)


def _panels(
    scene: Scene, instances: Instances, modes: Sequence[Mode], view: Viewpoint, size: tuple[int, int]
) -> list[np.ndarray]:
    hidden = scene.hidden_from(view)
    shown = ~hidden if not hidden.all() else hidden
    width, height = (side * _SUPERSAMPLE for side in size)
    projection = project(scene.points[shown], view, (width, height), scene.fit_points(~shown))
    depth, nearest = _splat(projection, scene.spacing, width, height)
    light = _shade(depth)
    images = []
    for mode in modes:
        image = np.empty((height, width, 3), dtype=np.uint8)
        colors = point_colors(scene, instances, mode)[shown]
        parallel(
            lambda first, last, i=image, c=colors: _paint(
                nearest, light, c, np.uint8(_PAPER), i, first, last
            ),
            height,
            grain=64,
        )
        parts = image.reshape(size[1], _SUPERSAMPLE, size[0], _SUPERSAMPLE, 3).astype(np.uint16)
        images.append((parts.sum((1, 3)) // _SUPERSAMPLE**2).astype(np.uint8))
    return images


def _splat(projection: Projection, spacing: float, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Depth (h, w) float32, infinite where nothing is, and the point seen there (h, w), -1 for none."""
    depth = np.full((height, width), np.inf, dtype=np.float32)
    nearest = np.full((height, width), -1, dtype=np.int32)
    columns = (np.ascontiguousarray(c, dtype=np.float32) for c in projection[:3])
    _splat_points(*columns, projection.focal, 1.35 * spacing, _LARGEST_SPLAT, depth, nearest)
    return depth, nearest


def _shade(depth: np.ndarray) -> np.ndarray:
    light = np.empty_like(depth)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_depth = np.log2(depth)
    parallel(lambda first, last: _eye_dome(log_depth, light, first, last), len(depth), grain=64)
    return light


@kernel
def _splat_points(x, y, z, focal, radius, largest, depth, nearest):
    """Discs whose rim lies deeper than their middle, so that neighbours meet half-way as cells of a Voronoi diagram."""
    height, width = depth.shape
    for p in range(len(x)):
        if not z[p] > 0:
            continue
        r = min(max(radius * focal / z[p], 1.0), largest)
        left, right = max(0, int(np.ceil(x[p] - r))), min(width - 1, int(np.floor(x[p] + r)))
        above, below = max(0, int(np.ceil(y[p] - r))), min(height - 1, int(np.floor(y[p] + r)))
        for row in range(above, below + 1):
            for column in range(left, right + 1):
                share = ((column - x[p]) ** 2 + (row - y[p]) ** 2) / (r * r)
                if share <= 1.0:
                    d = np.float32(z[p] + radius * share)
                    if d < depth[row, column]:
                        depth[row, column] = d
                        nearest[row, column] = p


@kernel
def _eye_dome(log_depth, light, first, last):
    """Eye-dome lighting (Boucheny 2009) at two scales: a pixel darkens by how much nearer its neighbours are."""
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
            light[row, column] = np.exp(-3.2 * total)


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
    """Classes with their counts, most frequent first; an entry's dots are the colours the picture uses for it."""
    unit = max(10, round(width / 80))
    font = ImageFont.load_default(size=unit)
    pad, gap, line = unit, round(1.6 * unit), round(1.9 * unit)
    rows: list[list[tuple[str, str, list[tuple[int, ...]]]]] = [[]]
    at = pad
    for name, count, dots in _legend_entries(instances, mode):
        entry_width = _dots_width(len(dots), unit) + font.getlength(f"{name}  {count}") + gap
        if at + entry_width > width - pad and rows[-1]:
            rows.append([])
            at = pad
        rows[-1].append((name, count, dots))
        at += entry_width
    image = Image.new("RGB", (width, round(1.4 * pad) + line * len(rows)), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.line([(pad, 0), (width - pad, 0)], fill=(208, 213, 220), width=1)
    for row, entries in enumerate(rows):
        x, y = float(pad), pad * 0.7 + line * (row + 0.5)
        for name, count, dots in entries:
            for k, dot in reversed(list(enumerate(dots))):
                centre = x + unit * (0.5 + 0.55 * k)
                draw.ellipse(
                    [centre - unit / 2, y - unit / 2, centre + unit / 2, y + unit / 2],
                    fill=dot,
                    outline=_PAPER,
                )
            x += _dots_width(len(dots), unit)
            draw.text((x, y), name, fill=_INK, font=font, anchor="lm")
            x += font.getlength(name + "  ")
            draw.text((x, y), count, fill=_FAINT, font=font, anchor="lm")
            x += font.getlength(count) + gap
    return image


def _legend_entries(instances: Instances, mode: Mode) -> list[tuple[str, str, list[tuple[int, ...]]]]:
    if not len(instances):
        return [("no instances", "", [])]
    if mode == "score":
        steps = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
        colors = [tuple(c) for c in score_colors(steps).tolist()]
        return [("score  0 to 1,  instances:", str(len(instances)), colors)]
    classes = instances.classes.cpu().numpy()
    palette = instance_palette(instances).tolist()
    entries = []
    for c in sorted(set(classes.tolist()), key=lambda c: -int((classes == c).sum())):
        members = (classes == c).nonzero()[0]
        name = instances.vocabulary.names[c] if c >= 0 else "unknown"
        dots = {"class": [class_color(name)], "instance": [tuple(palette[i]) for i in members[:4]]}.get(
            mode, []
        )
        entries.append((name.replace("_", " "), str(len(members)), dots))
    return entries


def _dots_width(count: int, unit: int) -> float:
    return unit * (1 + 0.55 * (count - 1) + 0.5) if count else 0.0

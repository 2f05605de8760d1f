"""Units, axes and origin: from the coordinates a file holds to metres with z up."""

import os
from pathlib import Path

import numpy as np
import torch

from gestalt3d.errors import UserError
from gestalt3d.io.columns import Stored, Triple
from gestalt3d.structures.colors import scaled_colors
from gestalt3d.structures.pointcloud import FEWEST_ZEROS, PointCloud, Source

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "ft": 0.3048, "in": 0.0254}

# Rows: the stored axes that become x, y (any) and z (up). All are rotations.
UP_ROTATIONS = {
    "z": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-z": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    "y": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "-y": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "x": ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
    "-x": ((0, 0, 1), (0, 1, 0), (-1, 0, 0)),
}

FAR = 1000.0
"""Metres: clouds whose median lies farther away get an origin (float32 steps are 0.06 mm there)."""
LIMIT = 1e9
"""Metres from the origin beyond which a coordinate is an accident, not a place."""
_CHUNK = 1 << 20
_SAMPLE = 200_000


def place(
    path: str | os.PathLike[str], stored: Stored, *, units: str | None = None, up: str | None = None
) -> PointCloud:
    """The stored columns as a cloud. `units` and `up` overrule the format, the format overrules guesses."""
    path = Path(path)
    count = len(stored.position[0])
    if count == 0:
        raise UserError(f"{path}: holds no points; export the scan again")
    sample, num_finite = _finite_sample(stored.position)
    if num_finite == 0:
        raise UserError(f"{path}: none of its {count} points is finite; export the scan again")
    colors, note = (None, None) if stored.colors is None else scaled_colors(stored.colors, stored.white)
    assumed = [*stored.assumed, *([note] if note else [])]
    units = known(units, UNITS, "units") or stored.units
    if units is None:
        _refuse_degrees(path, sample)
        units, note = guess_units(sample, num_points=num_finite, is_sampled=stored.is_sampled)
        assumed += [note] if note else []
    sample = sample * UNITS[units]
    up = known(up, UP_ROTATIONS, "up") or stored.up
    if up is None:
        up, note = guess_up(sample)
        assumed.append(note)
    # One note of all that was assumed, and one for each thing that befell single points or parts.
    notes = [*(["; ".join(assumed)] if assumed else []), *stored.notes]
    rotation = np.array(UP_ROTATIONS[up], dtype=np.float64)
    world_from_source = np.eye(4)
    world_from_source[:3, :3] = rotation * UNITS[units]
    shift = np.zeros(3) if stored.origin is None else rotation @ stored.origin * UNITS[units]
    median = np.median(sample, axis=0) @ rotation.T
    # Whole metres, so that nothing is lost by taking the origin off and adding it again.
    far = np.floor(median) if np.abs(median).max() > FAR else np.zeros(3)
    points, num_lost = _convert(stored.position, world_from_source[:3, :3], far)
    if num_lost == num_finite:
        raise UserError(
            f"{path}: all coordinates lie beyond a million kilometres; check the file and --units"
        )
    if num_lost:
        notes.append(f"{num_lost} of {count} points lie beyond a million kilometres and get no answer")
    if num_finite < count:
        notes.append(f"{count - num_finite} of {count} points are not finite and get no answer")
    origin = far + shift
    cloud = PointCloud(
        torch.from_numpy(points),
        None if colors is None else torch.from_numpy(colors),
        None
        if stored.normals is None
        else torch.from_numpy(_convert(stored.normals, rotation, np.zeros(3))[0]),
        torch.from_numpy(origin) if origin.any() else None,
    )
    notes += _left_out(cloud, num_finite - num_lost)
    return cloud.same_points(source=Source(path, stored.kind, world_from_source, stored.table, tuple(notes)))


USUAL_FRAME = "m with z up"


def frame_in_words(source: Source) -> str:
    """`mm with y up`: what the coordinates of the file were taken for."""
    linear = source.world_from_source[:3, :3]
    scale = np.cbrt(np.linalg.det(linear))
    unit = min(UNITS, key=lambda name: abs(UNITS[name] - scale))
    up = next(name for name, rows in UP_ROTATIONS.items() if np.allclose(rows, linear / scale))
    return f"{unit} with {up} up"


def source_points(cloud: PointCloud) -> np.ndarray:
    """(n, 3) coordinates in the frame and units of the file; float64 if the cloud has an origin."""
    points = cloud.points.detach().cpu().numpy()
    matrix = np.eye(4) if cloud.source is None else cloud.source.world_from_source
    if cloud.origin is None and np.array_equal(matrix, np.eye(4)):
        return points.astype(np.float32, copy=False)
    origin = np.zeros(3) if cloud.origin is None else cloud.origin.cpu().numpy()
    out = np.empty(points.shape, np.float32 if cloud.origin is None else np.float64)
    inverse = np.linalg.inv(matrix[:3, :3])
    for first in range(0, len(points), _CHUNK):
        out[first : first + _CHUNK] = (points[first : first + _CHUNK] + origin - matrix[:3, 3]) @ inverse.T
    return out


def source_normals(cloud: PointCloud) -> np.ndarray | None:
    """(n, 3) float32 normals turned back to the axes of the file behind `cloud`."""
    if cloud.normals is None:
        return None
    normals = cloud.normals.detach().cpu().numpy()
    if cloud.source is None:
        return normals
    linear = cloud.source.world_from_source[:3, :3]
    rotation = linear / np.cbrt(np.linalg.det(linear))
    return (normals @ rotation).astype(np.float32)


def guess_units(sample: np.ndarray, *, num_points: int, is_sampled: bool) -> tuple[str, str | None]:
    """Unit of (m, 3) finite coordinates of an indoor scene or a table-top, with a note unless it is metres.

    `long` and `short` are the largest and smallest extent between the 1st and 99th percentile, `spacing` the
    mean distance of neighbours. Everything up to 60 units is metres, as are wide clouds lower than 60 units
    (buildings, streets) unless their spacing exceeds 0.4. Of the rest, centimetres are what makes a room of
    it (1 to 5 m high, 2.5 to 60 m long, no single level with half of all points); all else is millimetres.
    Fewer than 100 points say nothing, and a cloud more than 100 times its length away from zero is
    georeferenced: in metres if that is a place on Earth. What spans 200 to 3000 units and is flatter than a twentieth
    of that is a landscape in metres: in millimetres it would be a table top with nothing on it.
    """
    extents = _extents(sample)
    long, short = float(extents.max()), float(extents.min())
    away = float(np.abs(np.median(sample, axis=0)).max())
    if long <= 60 or num_points < 100 or 100 * long < away < 2e7:
        return "m", None
    if is_sampled:
        is_metres = long <= 100
    else:
        spacing = _spacing(sample, long, num_points)
        is_metres = spacing < 0.4 if long > 200 else short < 60 or spacing < 0.1
        # A tall thing with room-like proportions and no close spacing is no building.
        is_metres = is_metres and not (long > 200 and short > 60 and spacing > 0.1)
    if is_metres:
        return "m", None
    size = " x ".join(f"{e:.0f}" for e in extents)
    if not is_sampled and 200 < long <= 3000 and short < 0.05 * long:
        return (
            "m",
            f"the coordinates span {size}, taken for metres; if that is wrong, say --units mm, cm, ft or in",
        )
    looks_like_room = 100 <= short <= 500 and 250 <= long <= 6000 and _level_share(sample, extents) < 0.5
    unit, word = ("cm", "centimetres") if looks_like_room else ("mm", "millimetres")
    return (
        unit,
        f"the coordinates span {size}, taken for {word}; if that is wrong, say --units m, cm, mm, ft or in",
    )


def guess_up(sample: np.ndarray) -> tuple[str, str]:
    """Up axis of (m, 3) coordinates in metres by `upright.find_up`, and a note that says how sure it is."""
    from gestalt3d.io.upright import SURE_AT, find_up

    found = find_up(sample)
    if found.up != "z":
        word = "guessed" if found.sureness >= SURE_AT else f"guessed, but unsure ({found.sureness:.0%})"
        return found.up, f"up: {found.up}, {word} (--up z overrules)"
    word = "as it seems" if found.sureness >= SURE_AT else "assumed, as the scan does not say"
    return "z", f"up: z, {word} (--up {found.rival} overrules)"


def _refuse_degrees(path: Path, sample: np.ndarray) -> None:
    """Longitude and latitude span next to nothing beside the height, and lie where degrees do."""
    across = _extents(sample)
    east, north = np.abs(np.median(sample[:, :2], axis=0))
    if (
        len(sample) >= 100
        and 0 < across[:2].max() < 0.05
        and across[2] > 50 * across[:2].max()
        and max(east, north) <= 180
        and min(east, north) <= 90
        and max(east, north) > 100 * across[:2].max()
    ):
        x, y = np.median(sample[:, :2], axis=0)
        raise UserError(
            f"{path}: its coordinates look like degrees ({x:.4f}, {y:.4f}); convert them to metres, for example to UTM with "
            "pdal or QGIS, or say --units m if they are"
        )


def _left_out(cloud: PointCloud, num_finite: int) -> list[str]:
    """What methods are not shown of the finite points."""
    zeros = int(cloud.zero_pixels().sum())
    stray = num_finite - zeros - int(cloud.usable().sum())
    notes = [f"{zeros:,} of {len(cloud):,} points are 0 0 0, pixels without depth, and get no answer"] * bool(
        zeros
    )
    return notes + [f"{stray:,} of {len(cloud):,} points lie far from all others and get no answer"] * bool(
        stray
    )


def _extents(sample: np.ndarray) -> np.ndarray:
    low, high = np.percentile(sample, [1, 99], axis=0)
    return high - low


def _spacing(sample: np.ndarray, long: float, num_points: int) -> float:
    """Root of the surface per point, the surface counted in occupied cubes of a 50th of the length."""
    edge = long / 50
    cells = np.unique(np.floor(np.clip(sample / edge, -1e6, 1e6)).astype(np.int64), axis=0)
    return float(edge * np.sqrt(len(cells) / num_points))


def _level_share(sample: np.ndarray, extents: np.ndarray) -> float:
    """Share of the points on the fullest level across the smallest extent (1.5 % of the largest thick)."""
    values = np.sort(sample[:, int(extents.argmin())])
    return _fullest_window(values, 0.015 * float(extents.max()))[0]


def _fullest_window(values: np.ndarray, width: float) -> tuple[float, float]:
    """Greatest share of ascending `values` within `width`, and the middle of that window."""
    ends = np.searchsorted(values, values + width, side="right")
    held = ends - np.arange(len(values))
    best = int(held.argmax())
    return float(held[best]) / len(values), float(values[best]) + width / 2


def _finite_sample(position: Triple) -> tuple[np.ndarray, int]:
    """About `_SAMPLE` finite points, float64, evenly over the file, no zero pixels, and the number of finite ones."""
    x, y, z = position
    finite = np.isfinite(x) & np.isfinite(y) & np.isfinite(z)
    num_finite = int(np.count_nonzero(finite))
    zero = (x == 0) & (y == 0) & (z == 0)
    shown = finite & ~zero if FEWEST_ZEROS <= np.count_nonzero(zero) < num_finite else finite
    num_shown = int(np.count_nonzero(shown))
    step = max(1, num_shown // _SAMPLE)
    rows = np.flatnonzero(shown)[::step] if num_shown < len(x) else slice(None, None, step)
    with np.errstate(all="ignore"):
        sample = np.stack([np.clip(c[rows].astype(np.float64), -1e30, 1e30) for c in position], axis=1)
    return sample, num_finite


def _convert(columns: Triple, linear: np.ndarray, origin: np.ndarray) -> tuple[np.ndarray, int]:
    """(n, 3) float32 `linear @ column - origin`, and how many finite points beyond `LIMIT` became NaN."""
    out = np.empty((len(columns[0]), 3), np.float32)
    num_lost = 0
    with np.errstate(all="ignore"):
        for first in range(0, len(out), _CHUNK):
            block = np.stack([c[first : first + _CHUNK].astype(np.float64) for c in columns], axis=1)
            finite = np.isfinite(block).all(1)
            block = block @ linear.T - origin
            lost = finite & ~(np.abs(block) <= LIMIT).all(1)
            if lost.any():
                block[lost] = np.nan
                num_lost += int(lost.sum())
            out[first : first + _CHUNK] = block
    return out, num_lost


def known(value: str | None, table: dict, name: str) -> str | None:
    """The value of the option `name`, if it is one of the table's."""
    value = value.removeprefix("+") if value else value
    if value is not None and value not in table:
        raise UserError(f"--{name} {value}: unknown; choose one of {', '.join(table)}")
    return value

"""RGB-D frames: a colour image, the depth of its pixels, and what is known of the camera, in folders as data sets have them.

Files, or the folders directly in a folder, say by their names what they are: `color.jpg` beside `depth.png`;
`frame-000000.color.jpg`, `frame-000000.depth.png` and `frame-000000.pose.txt`; `color/7.jpg`, `depth/7.png`, `pose/7.txt` and
`intrinsic/intrinsic_depth.txt` (ScanNet); `image/`, `depth/`, `intrinsics.txt` and `extrinsics/` (SUN RGB-D); `rgb/` and
`depth/*.npy`, metres; `trajectory.log` (Redwood); `r-….ppm` and `d-….pgm` (NYUv2's raw frames). What is not said is assumed, and
a note says so.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from gestalt3d.errors import UserError
from gestalt3d.io.depth_checks import doubts
from gestalt3d.io.depth_units import metres
from gestalt3d.io.folders import Listing, entries
from gestalt3d.io.frame import UNITS, UP_ROTATIONS, guess_up, known
from gestalt3d.io.gravity import find_gravity, upright_from
from gestalt3d.io.images import FORMATS, IMAGE_SUFFIXES, read_color, read_depth
from gestalt3d.io.kinect_dump import pairs
from gestalt3d.structures.camera import Camera
from gestalt3d.structures.view import View

_COLOR = {"color", "colour", "rgb", "image", "img", "photo"}
_DEPTH = {"depth", "depths"}
_INTRINSICS = ("intrinsic", "intrinsics", "k")
_POSE = ("pose", "poses")
_NO_FOLDER = "k"
"""Says what a file is, not what a folder holds."""
_OF_FOLDERS = {"bfx", "raw", "images", "maps", "frames", "png", "jpg", "aligned", "registered"}
"""What names of folders say besides."""
_OF_CAMERAS = {"camera", "cam", "matrix", "sensor", *_COLOR, *_DEPTH}
"""What names of files say besides that are of all frames."""
_MOST_TEXT = 1 << 22
_LEVEL_UP = "-y"
"""Up in the frame of a camera that is held level: x points right, y down and z ahead."""
_ROLLED = 3
"""Degrees from which a camera's roll is told."""
_FOCALS = {(561, 427): 519.0, (512, 424): 365.0}
"""Pixels: NYUv2's frames without their white rim, and the depth of a Kinect v2."""


@dataclass(frozen=True)
class Frame:
    """The two images of one frame."""

    folder: Path
    """Where what belongs to both lies."""
    color: Path
    depth: Path
    key: str
    """What the names of its files have in common, such as a number."""
    index: int
    """Position among the frames of its folder."""
    note: str = ""
    """Of the first, which files of the folder make no frame."""


def find_frames(folder: Path, *, listed: Listing = entries) -> list[Frame]:
    """The RGB-D frames of a folder, directly in it or in folders of it called after what they hold, by their names."""
    colors: dict[str, Path] = {}
    depths: dict[str, Path] = {}
    named = list(_named_files(folder, listed))
    if dumped := pairs(file for file, _ in named):
        return [
            Frame(folder, color, depth, "-".join(_words(color.stem)), i)
            for i, (color, depth) in enumerate(dumped)
        ]
    for file, words in named:
        key = "-".join(w for w in words if w not in _COLOR | _DEPTH)
        if file.suffix.lower() in (*IMAGE_SUFFIXES, ".npy") and _DEPTH & {*words}:
            depths.setdefault(key, file)
        elif file.suffix.lower() in IMAGE_SUFFIXES and not (key in colors and not _COLOR & {*words}):
            colors.setdefault(key, file)
    keys = [key for key in colors if key in depths]
    if not keys and len(colors) == len(depths) == 1:
        (key, color), (depth,) = *colors.items(), depths.values()
        return [Frame(folder, color, depth, key, 0)]
    lone = {
        "colour images have no depth": [colors[key] for key in colors if key not in depths],
        "depth images no colour": [depths[key] for key in depths if key not in colors],
    }
    notes = [
        f"{len(files):,} {what} ({', '.join(file.name for file in files[:3])}{', …' if files[3:] else ''})"
        for what, files in lone.items()
        if files
    ]
    # A photo or two beside a frame belong to nobody; a folder of depth images is one of frames.
    said = (
        ", ".join(notes) if {place.parent for place in colors.values()} != {folder} or len(keys) > 1 else ""
    )
    return [Frame(folder, colors[key], depths[key], key, i, "" if i else said) for i, key in enumerate(keys)]


class _Called(NamedTuple):
    """The texts of a folder that are called after intrinsics or poses."""

    by_key: dict[str, list[Path]]
    """By what their names say besides, which is the key of the frame that they are of."""
    shared: list[Path]
    """Those whose names say no more than that they are of a camera."""


class Texts:
    """Intrinsics and poses beside frames. Looks through each folder once, however many frames it has: a batch shares one."""

    def __init__(self, listed: Listing = entries) -> None:
        self.listed = listed
        self.numbers = cache(_numbers)
        self._called = cache(self._find_called)

    def of(self, frame: Frame, wanted: tuple[str, ...]) -> list[Path]:
        """Texts called after one of the words, or in a folder called so: those with the frame's key, then those of all frames."""
        places = (
            frame.folder,
            frame.color.parent,
            *(frame.folder / name for name in wanted if name != _NO_FOLDER),
        )
        called = [self._called(place, wanted) for place in dict.fromkeys(places)]
        own = [file for those in called for file in those.by_key.get(frame.key, ())]
        return own + [file for those in called for file in those.shared if file not in own]

    def _find_called(self, place: Path, wanted: tuple[str, ...]) -> _Called:
        called = _Called(defaultdict(list), [])
        for file in self.listed(place) if place.is_dir() else []:
            if file.suffix.lower() not in (".txt", ".json"):
                continue
            words = _words(file.stem)
            rest = [word for word in words if word not in wanted]
            is_called_so = len(rest) < len(words)
            if is_called_so or (place.name in wanted and place.name != _NO_FOLDER):
                called.by_key["-".join(rest)].append(file)
            if is_called_so and {*rest} <= _OF_CAMERAS:
                called.shared.append(file)
        return called


def read_frame(
    path: Path, frame: Frame, *, units: str | None = None, up: str | None = None, texts: Texts
) -> View:
    """The frame as a view of the size of its depth, metres, in a world with z up. `path` is what the user named.

    `units` is that of the depth, `up` the axis of the pose's world, or without a pose of the camera's frame (x right, y down, z
    ahead), that points up.
    """
    stored = read_depth(frame.depth)
    depth, assumed = metres(frame.depth, stored, known(units, UNITS, "units"))
    height, width = depth.shape
    size = (width, height)
    image = (
        torch.from_numpy(read_color(frame.color, size).astype(np.float32) / 255).permute(2, 0, 1).contiguous()
    )
    intrinsics, note = _intrinsics(frame, size, texts)
    assumed += note
    axis = known(up, UP_ROTATIONS, "up")
    pose, own_axis = _pose(frame, texts)
    has_pose = pose is not None
    if pose is None:
        pose, own_axis = np.eye(4), _LEVEL_UP
        if axis is None:
            pose[:3, :3], own_axis, why = _levelled(depth, intrinsics)
            assumed.append(why)
    view = View(image, torch.from_numpy(depth), Camera(intrinsics, pose, size))
    axis = axis or own_axis
    if axis is None:
        axis, why = _up_of_world(view.cloud().points.double().numpy(), pose)
        assumed.append(why)
    upright = np.eye(4)
    upright[:3, :3] = UP_ROTATIONS[axis]
    camera = Camera(intrinsics, upright @ pose, size)
    unseen = len(view) - int(view.seen.sum())
    notes = ["; ".join(assumed)]
    notes += [f"{unseen:,} of {len(view):,} pixels have no depth and get no answer"] * (unseen > 0)
    notes += doubts(depth, camera, has_pose=has_pose)
    notes += [frame.note] * bool(frame.note)
    return View(image, view.depth, camera, path, tuple(notes))


def _words(name: str) -> list[str]:
    """`frame-000000.color` → frame, 000000, color."""
    return [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]


def _named_files(folder: Path, listed: Listing) -> Iterable[tuple[Path, list[str]]]:
    """Files of a folder, and of folders in it called after images, with the words of their names and of their folder's name."""
    try:
        inside = listed(folder)
    except OSError:
        return
    yield from ((p, _words(p.stem)) for p in inside if p.is_file())
    for inner in inside:
        # `depth` before `depth_bfx`: what was seen before what was filled in.
        own = {*_words(inner.name)}
        role = [*(own & (_COLOR | _DEPTH))]
        if role and own <= {*role} | _OF_FOLDERS and inner.is_dir():
            for file in listed(inner):
                yield file, role + [w for w in _words(file.stem) if w not in _COLOR | _DEPTH]


def _intrinsics(frame: Frame, size: tuple[int, int], texts: Texts) -> tuple[np.ndarray, list[str]]:
    """(3, 3) for an image of `size`, and what was assumed."""
    found = texts.of(frame, _INTRINSICS)
    of_depth = [file for file in found if _DEPTH & {*_words(file.stem)}]
    file = next(iter(of_depth or found), None)
    if file is None:
        focal = _FOCALS.get(size, 525 / 640 * size[0])
        note = f"no intrinsics: a focal length of {focal:.0f} pixels and a camera that looks through the middle assumed"
        return Camera.from_focal(focal, size).intrinsics, [note]
    matrix = _matrix(file)
    if matrix.shape == (4,):
        fx, fy, cx, cy = matrix
        matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    matrix = np.array(matrix[:3, :3])
    if not (
        matrix[0, 0] > 0 and matrix[1, 1] > 0 and matrix[0, 2] > 0 and matrix[1, 2] > 0 and matrix[2, 2] == 1
    ):
        raise UserError(f"{file}: holds no intrinsics; write f_x 0 c_x, 0 f_y c_y and 0 0 1 in pixels")
    # They may be those of a larger colour image: its middle lies elsewhere.
    scale = size[0] / _likely_width(matrix, frame, size)
    matrix[:2] *= scale
    matrix[1, 0] = 0
    return matrix, []


def _likely_width(matrix: np.ndarray, frame: Frame, size: tuple[int, int]) -> int:
    """Of the depth or the colour image, whichever's middle is nearer to the principal point."""
    from PIL import Image

    with Image.open(frame.color, formats=FORMATS) as image:
        width = image.width
    return min((size[0], width), key=lambda w: abs(matrix[0, 2] / w - 0.5))


def _levelled(depth: np.ndarray, intrinsics: np.ndarray) -> tuple[np.ndarray, str, str]:
    """(3, 3) of a camera without a pose, from its frame to one of which the named axis points up, and what was assumed."""
    height, width = depth.shape
    rays = Camera(intrinsics, np.eye(4), (width, height)).rays()
    found = find_gravity(rays * depth[..., None])
    if found is None:
        why = "no pose: the camera taken for level, for what it sees does not tell its tilt (--up overrules)"
        return np.eye(3), _LEVEL_UP, why
    tilt = f"looks {abs(found.down):.0f} degrees {'down' if found.down > 0 else 'up'}"
    if abs(found.roll) >= _ROLLED:
        tilt += f", rolled by {abs(found.roll):.0f} {'clockwise' if found.roll > 0 else 'counter-clockwise'}"
    sure = f"{min(found.sure, 0.99):.0%} sure; --up {_LEVEL_UP} takes it for level"
    return upright_from(found.up), "z", f"no pose: by the surfaces that it sees the camera {tilt} ({sure})"


def _up_of_world(points: np.ndarray, pose: np.ndarray) -> tuple[str, str]:
    """The axis of a pose's world that points up, and what was assumed: one frame may look like a room upside down."""
    axis, why = guess_up(points[:: max(1, len(points) // 200_000)])
    up_in_image = -pose[:3, 1]
    if up_in_image @ np.array(UP_ROTATIONS[axis][2]) >= 0:
        return axis, why
    other = axis[1:] if axis.startswith("-") else f"-{axis}"
    return other, f"up: {other}, for the camera is taken not to be upside down (--up {axis} overrules)"


def _pose(frame: Frame, texts: Texts) -> tuple[np.ndarray | None, str | None]:
    """(4, 4) from the camera's frame to the world and, where that is clear, the world's axis that points up."""
    log = frame.folder / "trajectory.log"
    extrinsics = frame.folder / "extrinsics"
    if own := [file for file in texts.of(frame, _POSE) if file.suffix.lower() == ".txt"]:
        file, matrix = own[0], _matrix(own[0])
    elif log.is_file():
        # Of each frame a line of three numbers and a 4 x 4 matrix.
        file, numbers = log, texts.numbers(log)[19 * frame.index :][3:19]
        if len(numbers) < 16:
            raise UserError(
                f"{log}: ends before frame {frame.index}; name a folder with as many frames as it has"
            )
        matrix = numbers.reshape(4, 4)
    elif files := [
        f for f in (texts.listed(extrinsics) if extrinsics.is_dir() else []) if f.suffix == ".txt"
    ]:
        # SUN RGB-D: a rotation that makes y point down for points of the camera's frame.
        file = files[-1]
        matrix = np.array(UP_ROTATIONS[_LEVEL_UP], np.float64) @ _matrix(file)[:3, :3]
        return _rigid(file, np.column_stack([matrix, np.zeros(3)])), "z"
    else:
        return None, None
    if matrix.shape not in ((3, 4), (4, 4)):
        raise UserError(
            f"{file}: holds no pose; write the 4 x 4 matrix that takes the camera's frame to the world's"
        )
    # ScanNet writes infinity where the camera was lost.
    return (_rigid(file, matrix) if np.isfinite(matrix).all() else None), None


def _rigid(file: Path, matrix: np.ndarray) -> np.ndarray:
    """A (3, 4) or (4, 4) pose, its rotation made exact."""
    turn = matrix[:3, :3]
    if not np.allclose(turn @ turn.T, np.eye(3), atol=0.02) or np.linalg.det(turn) < 0:
        raise UserError(
            f"{file}: its matrix scales or mirrors; write the pose that takes the camera's frame to the world's"
        )
    left, _, right = np.linalg.svd(turn)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = left @ right, matrix[:3, 3]
    return pose


def _matrix(file: Path) -> np.ndarray:
    """The numbers of a text as (4,), (3, 3), (3, 4) or (4, 4), or Open3D's `intrinsic_matrix`, column by column."""
    if file.suffix.lower() == ".json":
        try:
            values = np.array(json.loads(_text(file))["intrinsic_matrix"], np.float64)
            return values.reshape(3, 3).T if values.ndim == 1 else values.reshape(3, 3)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{file}: holds no 'intrinsic_matrix' of 3 x 3 numbers; write it as Open3D does"
            ) from error
    values = _numbers(file)
    shape = {4: (4,), 9: (3, 3), 12: (3, 4), 16: (4, 4)}.get(len(values))
    if shape is None:
        raise UserError(f"{file}: holds {len(values)} numbers, no matrix of a camera; write 3 x 3 or 4 x 4")
    return values.reshape(shape)


def _numbers(file: Path) -> np.ndarray:
    try:
        return np.array(_text(file).replace(",", " ").split(), np.float64)
    except ValueError as error:
        raise UserError(f"{file}: holds more than numbers; write the matrix alone") from error


def _text(file: Path) -> str:
    if file.stat().st_size > _MOST_TEXT:
        raise UserError(f"{file}: is too long for a matrix of a camera; write the matrix alone")
    return file.read_text(encoding="utf-8", errors="replace")

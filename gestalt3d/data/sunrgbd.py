"""SUN RGB-D (Song, Lichtenberg, Xiao, CVPR 2015): 10,335 frames of four depth cameras with boxes of whole objects.

`root` holds the folders that VoteNet's scripts prepare, or a folder `sunrgbd_trainval` with them:

image/000001.jpg   colour
depth/000001.mat   `instance` (n, 6): a point for each pixel with a depth, x right, y ahead and z up; red, green, blue in [0, 1]
calib/000001.txt   Rtilt, then the intrinsics, each 3 x 3 column by column; pixels count from 1
label/000001.txt   an object in each line: class, image box x y w h, centre, half of width, length and height, heading vector
label_v1/          the same, an earlier version of the boxes

The depth image is that of the points, which fall on the pixels that they came from. The world is that of the boxes: the camera
in its origin, z up, levelled by Rtilt. A box's length lies along its heading, whose angle from x is the yaw.

An object has a box, a box in the image and a class, and no pixels: nobody drew masks for the boxes, and none are made up here.
Classes are the nineteen of Deep Sliding Shapes; objects of others keep their box and have class -1.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from gestalt3d.data import Evaluator
from gestalt3d.data.amodal_scoring import WholeScores
from gestalt3d.data.cache import digest_of_files
from gestalt3d.data.relabel import relabelled
from gestalt3d.data.scoring import LabelledClouds
from gestalt3d.errors import UserError
from gestalt3d.io.images import read_photo
from gestalt3d.io.mat import read_matrix
from gestalt3d.structures.camera import LEVEL, Camera
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.samples import LabelledView
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import DSS19, Vocabulary, mapping

COUNTS: dict[str, int] = {"train": 5285, "val": 5050}
"""Frames of the official parts; "val" is the official test."""
_LISTS = {"train": "train_data_idx.txt", "val": "val_data_idx.txt"}
_FIRST = {"train": 5051, "val": 1}
_PARTS = {"image": ".jpg", "depth": ".mat", "calib": ".txt", "label": ".txt"}
_NUMBER = re.compile(r"[0-9]{6}")
_MOST_TEXT = 1 << 20
_LARGEST = 1e6
"""Metres and pixels; more is damage."""
_OFF_PIXEL = 0.1
"""Pixels between a point's place in the image and the middle of a pixel; Rtilt has five digits."""


class BoxedFrames(LabelledClouds):
    """Base of the readers of SUN RGB-D: what follows from boxes without masks."""

    label_hint = "SUN RGB-D has boxes of objects and no masks"

    def without_instances(self) -> list[str]:
        """All: their objects have no pixels to learn from."""
        return list(self.names)

    def evaluator(self, vocabulary: Vocabulary, *, class_agnostic: bool = False) -> Evaluator:
        """That of the boxes of whole objects: there are no masks. Answers without such boxes have no figures."""
        return WholeScores(vocabulary, class_agnostic=class_agnostic)


class SunRGBD(BoxedFrames):
    """Frames of a split ("train", "val", which is the official test and is called "test", too, or "all") by their numbers.

    `version` 1 reads `label_v1`.
    """

    def __init__(
        self,
        root: Path | str,
        split: str = "all",
        *,
        vocabulary: Vocabulary | None = None,
        limit: int | None = None,
        version: int = 2,
    ) -> None:
        if split not in (*COUNTS, "test", "all"):
            raise UserError(
                f"sunrgbd has no split {split!r}; it has train, val, test (the same as val) and all"
            )
        self.vocabulary = DSS19 if vocabulary is None else vocabulary
        self.folder, self._labels = find_folder(Path(root)), "label" if version == 2 else "label_v1"
        there = frames(self.folder, self._labels)
        part = "val" if split == "test" else split
        wanted = sorted(there) if part == "all" else numbers_of(self.folder, part)
        present = [name for name in wanted if not there.get(name, _PARTS)]
        self.notes = ["boxes of whole objects, no masks"]
        if lacking := len(wanted) - len(present):
            self.notes.append(f"sunrgbd:{split}: {lacking:,} of {len(wanted):,} frames are not in {root}")
        if not present:
            raise UserError(
                f"{self.folder}: holds no whole frame of {split}; `gestalt3d data check sunrgbd --root {root}` says "
                "what is missing"
            )
        self.names = present[:limit]
        if note := mapping(DSS19, self.vocabulary):
            self.notes.append(note)

    def __len__(self) -> int:
        return len(self.names)

    def files(self, name: str) -> dict[str, Path]:
        """Of a frame: image, depth, calib and label."""
        folders = {part: self._labels if part == "label" else part for part in _PARTS}
        return {part: self.folder / folders[part] / f"{name}{end}" for part, end in _PARTS.items()}

    def fingerprint(self, i: int) -> str:
        """Changes when a file of the frame does."""
        return digest_of_files(*self.files(self.names[i]).values())

    def __getitem__(self, i: int) -> LabelledView:
        name = self.names[i]
        files = self.files(name)
        try:
            image = read_photo(files["image"])
        except OSError as error:
            raise UserError(f"{files['image']}: cannot be read ({error.strerror or error})") from error
        height, width = image.shape[:2]
        camera = read_camera(files["calib"], (width, height))
        depth = depth_of(files["depth"], read_matrix(files["depth"], "instance"), camera)
        colors = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1).contiguous()
        view = View(colors, torch.from_numpy(depth), camera, files["image"])
        truth = read_boxes(files["label"], len(view))
        return LabelledView(name, view, relabelled(truth, self.vocabulary))


def is_prepared(root: Path) -> bool:
    """Whether a folder, or the folder `sunrgbd_trainval` in it, is one of VoteNet's scripts."""
    folders = (root, root / "sunrgbd_trainval")
    return any((folder / part).is_dir() for folder in folders for part in ("depth", "calib"))


def find_folder(root: Path) -> Path:
    """`root`, or the folder `sunrgbd_trainval` in it."""
    if not root.is_dir():
        raise UserError(
            f"{root}: not a folder; name the one that holds image/, depth/, calib/ and label/ with --root"
        )
    for folder in (root, root / "sunrgbd_trainval"):
        if any((folder / part).is_dir() for part in ("depth", "calib")):
            return folder
    raise UserError(
        f"{root}: has neither the official folders SUNRGBD/kv1 … nor image, depth, calib and label, which VoteNet's "
        "scripts make of SUN RGB-D (https://rgbd.cs.princeton.edu)"
    )


def frames(folder: Path, labels: str = "label") -> dict[str, list[str]]:
    """Of each frame of which a file is there, the parts that are missing."""
    there: dict[str, set[str]] = {}
    for part, end in _PARTS.items():
        place = folder / (labels if part == "label" else part)
        for file in place.iterdir() if place.is_dir() else ():
            if file.suffix == end and _NUMBER.fullmatch(file.stem):
                there.setdefault(file.stem, set()).add(part)
    return {name: [part for part in _PARTS if part not in has] for name, has in sorted(there.items())}


def numbers_of(folder: Path, split: str) -> list[str]:
    """Names of the frames of "train" or "val", from the list beside them, else by their numbers: 1 to 5,050 are "val"."""
    path = folder / _LISTS[split]
    if not path.is_file():
        return [f"{_FIRST[split] + i:06d}" for i in range(COUNTS[split])]
    words = _text(path).replace(",", " ").split()
    if odd := [word for word in words if not (word.isascii() and word.isdigit() and len(word) <= 6)]:
        raise UserError(f"{path}: lists {odd[0][:40]!r}, no number of a frame; copy the file again")
    return sorted({f"{int(word):06d}" for word in words})


def read_camera(path: Path, size: tuple[int, int]) -> Camera:
    """Of a `calib` text; `size` is width and height of the image."""
    text = _text(path)
    try:
        values = np.array(text.split(), np.float64)
    except ValueError:
        values = np.zeros(0)
    if len(values) != 18 or not (np.abs(values) < _LARGEST).all():
        raise UserError(
            f"{path}: must hold two lines of nine numbers, Rtilt and the intrinsics; copy the file again"
        )
    tilt, intrinsics = (m.T for m in values.reshape(2, 3, 3))
    left, _, right = np.linalg.svd(tilt)
    pose = LEVEL.copy()
    pose[:3, :3] = left @ right @ LEVEL[:3, :3]
    shifted = intrinsics - np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]])  # pixels count from 1 there
    try:
        if not np.allclose(left @ right, tilt, atol=0.02):
            raise ValueError("its first line is no rotation")
        return Camera(shifted, pose, size)
    except ValueError as error:
        raise UserError(f"{path}: holds no camera ({str(error)[:120]}); copy the file again") from error


def depth_of(path: Path, points: np.ndarray, camera: Camera) -> np.ndarray:
    """(h, w) float32, 0 where there is no point."""
    width, height = camera.size
    if points.ndim != 2 or points.shape[1] != 6 or points.dtype.kind != "f":
        raise UserError(
            f"{path}: instance is {points.shape} {points.dtype}, must be (n, 6) floats; copy it again"
        )
    if len(points) > width * height:
        raise UserError(
            f"{path}: has {len(points):,} points for {width * height:,} pixels; image and depth are of different frames"
        )
    world = points[:, :3].astype(np.float64)
    in_camera = world[(np.abs(world) < _LARGEST).all(1)] @ camera.world_from_camera[:3, :3]
    in_camera = in_camera[in_camera[:, 2] > 0]
    ahead = in_camera[:, 2]
    depth = np.full((height, width), np.inf, np.float32)
    if len(ahead):
        with np.errstate(over="ignore"):  # points at almost no depth; they fall beyond the image
            exact = (in_camera @ camera.intrinsics.T)[:, :2] / ahead[:, None]
        column, row = np.clip(np.rint(exact), -1, [width, height]).astype(np.int64).T
        off = np.abs(exact - np.stack([column, row], 1)).max(1)
        inside = (column >= 0) & (row >= 0) & (column < width) & (row < height) & (off < _OFF_PIXEL)
        if np.mean(inside) < 0.99:
            raise UserError(
                f"{path}: only {np.mean(inside):.0%} of its points fall on pixels of the image; calib, depth and image "
                "are of different frames, copy them again"
            )
        np.minimum.at(depth, (row[inside], column[inside]), ahead[inside].astype(np.float32))
    return np.where(np.isfinite(depth), depth, np.float32(0))


def read_boxes(path: Path, pixels: int) -> Instances:
    """The objects of a `label` text, in its order."""
    classes, rows = [], []
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not (words := line.split()):
            continue
        try:
            values = np.array(words[-12:], np.float64)
        except ValueError:
            values = np.zeros(0)
        if len(words) < 13 or len(values) != 12 or not (np.abs(values) < _LARGEST).all():
            raise UserError(
                f"{path}: line {number} must be a class and 12 numbers, is {line[:60]!r}; copy the file again"
            )
        if (values[7:10] < 0).any() or not values[10:].any():
            raise UserError(f"{path}: line {number} has a negative size or no heading; copy the file again")
        name = " ".join(words[:-12])
        classes.append(DSS19.id(name) if name in DSS19.names else -1)
        rows.append(values)
    numbers = np.array(rows, np.float64).reshape(-1, 12)
    left, top, wide, high = numbers[:, :4].T
    half_width, half_length, half_height = numbers[:, 7:10].T
    size = 2 * np.stack([half_length, half_width, half_height], axis=1)
    yaw = np.arctan2(numbers[:, 11], numbers[:, 10])
    edges = np.stack(
        [left - 1, top - 1, left - 1 + wide, top - 1 + high], axis=1
    )  # pixels count from 1 there
    count = len(rows)
    nothing = torch.zeros(0, dtype=torch.int64)
    return Instances(
        masks=Sets.from_sizes(torch.zeros(count, dtype=torch.int64), nothing, pixels),
        classes=torch.tensor(classes, dtype=torch.int64),
        scores=torch.ones(count),
        vocabulary=DSS19,
        amodal_boxes=torch.from_numpy(np.column_stack([numbers[:, 4:7], size, yaw])).float(),
        image_boxes=torch.from_numpy(edges).float(),
        element_classes=torch.full((pixels,), -1),
    )


def boxed(names: Sequence[str], boxes: np.ndarray, camera: Camera, classes: torch.Tensor) -> Instances:
    """Objects by the names of their kinds and their (i, 7) boxes; in the image the edges around the corners that are ahead.

    `classes` are those of the pixels.
    """
    count, (width, height) = len(names), camera.size
    signs = np.stack(np.meshgrid(*[[-0.5, 0.5]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    edges = np.zeros((count, 4))
    for box, out in zip(boxes, edges, strict=True):
        c, s = np.cos(box[6]), np.sin(box[6])
        corners = signs * box[3:6] @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + box[:3]
        in_camera = corners @ camera.world_from_camera[:3, :3]
        ahead = in_camera[in_camera[:, 2] > 0.01]
        if len(ahead):
            pixel = (ahead @ camera.intrinsics.T)[:, :2] / ahead[:, 2:] + 0.5
            out[:2], out[2:] = np.clip([pixel.min(0), pixel.max(0)], 0, [width, height])
    return Instances(
        masks=Sets.from_sizes(
            torch.zeros(count, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), len(classes)
        ),
        classes=torch.tensor([DSS19.id(n) if n in DSS19.names else -1 for n in names], dtype=torch.int64),
        scores=torch.ones(count),
        vocabulary=DSS19,
        amodal_boxes=torch.from_numpy(boxes).float(),
        image_boxes=torch.from_numpy(edges).float(),
        element_classes=classes,
    )


def unreadable_texts(data: SunRGBD, names: Sequence[str]) -> list[str]:
    """What is wrong with texts of cameras and boxes, a line each."""
    problems = []
    for name in names:
        files = data.files(name)
        try:
            read_camera(files["calib"], (1, 1))
            read_boxes(files["label"], 0)
        except UserError as error:
            problems.append(str(error))
    return problems


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_TEXT:
            raise UserError(f"{path}: is too long for what it should hold; copy the file again")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); copy it again") from error

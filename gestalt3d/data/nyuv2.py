"""NYU Depth v2 (Silberman, Hoiem, Kohli, Fergus, ECCV 2012): 1,449 labelled frames of a Kinect, 640 x 480.

`root` holds either of

    nyu_depth_v2_labeled.mat       the official file (HDF5, read with h5py), and
    classMapping40.mat             which makes forty classes of its 894, or
    rgb/0001.jpg (or .png)         what is often made of it: colour,
    depth/0001.npy                 metres (or a 16-bit .png, millimetres),
    label40/0001.png               the forty classes, 0 unlabelled,
    instance/0001.png              if there: which object of its class among the forty, from 1 on, 0 none

and for either `splits.mat` (795 frames to train on, 654 to test), without which there is "all", and `camera_rotations_NYU.txt`:
of each frame the 3 x 3 rotation that makes z upright for points with x right, y ahead and z up. Without it gravity is found in
the depth. The depth is the one with its holes filled.

The data say nothing of intrinsics: they are those of the colour camera in the authors' toolbox, on whose pixels the depth lies.
The world of a view has the camera in its origin and z up. There are no boxes of whole objects; SUN RGB-D has some for these
frames.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from gestalt3d.data import Evaluator
from gestalt3d.data.amodal_scoring import ViewScores
from gestalt3d.data.cache import digest_of_files
from gestalt3d.data.relabel import relabelled
from gestalt3d.data.scoring import LabelledClouds
from gestalt3d.errors import UserError
from gestalt3d.hdf5 import Rows, Wanted, opened
from gestalt3d.io.gravity import find_gravity, upright_from
from gestalt3d.io.images import read_depth, read_labels, read_photo
from gestalt3d.io.mat import read_matrix
from gestalt3d.structures.camera import LEVEL, Camera
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.samples import LabelledView
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import NYU40, Vocabulary, mapping

COUNTS: dict[str, int] = {"train": 795, "test": 654}
"""Frames of the official split."""
FRAMES = sum(COUNTS.values())
OFFICIAL = "nyu_depth_v2_labeled.mat"
SIZE = (640, 480)
"""Width and height of every frame."""
INTRINSICS = np.array([[518.857901, 0, 324.582449], [0, 519.469611, 252.736166], [0, 0, 1]])
"""The toolbox's, whose pixels count from 1, for pixels that count from 0."""

_SPLIT_KEYS = {"train": "trainNdxs", "test": "testNdxs"}
_ROTATIONS = "camera_rotations_NYU.txt"
_ARRAYS = {
    "images": Wanted(4, "u"), "depths": Wanted(3, "f"), "labels": Wanted(3, "u"), "instances": Wanted(3, "u"),
}  # fmt: skip
_CLASSES = 894
_FINER = {12: "garbage_bin", 49: "monitor"}
"""Of the official file's classes those that other vocabularies have and the forty do not."""
_NYU42 = Vocabulary("nyu42", (*NYU40.names, *_FINER.values()), tuple(range(1, 43)), structure=NYU40.structure)
"""For vocabularies that have both."""
_MOST_OBJECTS = 1 << 16
"""Of one class in a frame, and one more."""
_MOST_TEXT = 4 << 20
_KINDS = {"rgb": (".jpg", ".png"), "depth": (".npy", ".png"), "label40": (".png",)}


class _Frame(NamedTuple):
    """What is stored of a frame, (h, w) each."""

    colors: np.ndarray
    depth: np.ndarray
    labels: np.ndarray
    """Official numbers of the source's vocabulary; 0 is unlabelled."""
    objects: np.ndarray | None
    """Which object of its class; 0 is none."""
    path: Path


class NYUv2(LabelledClouds):
    """Frames of a split ("train", "test", or "all" that are there) by their numbers, "0001" to "1449"."""

    def __init__(
        self,
        root: Path | str,
        split: str = "all",
        *,
        vocabulary: Vocabulary | None = None,
        limit: int | None = None,
    ) -> None:
        if split not in (*COUNTS, "all"):
            raise UserError(f"nyuv2 has no split {split!r}; it has {', '.join(COUNTS)} and all")
        self.root = Path(root)
        self.vocabulary = NYU40 if vocabulary is None else vocabulary
        there = numbers(self.root)
        is_finer = (self.root / OFFICIAL).is_file() and {*_FINER.values()} <= {*self.vocabulary.names}
        self._source = _NYU42 if is_finer else NYU40
        wanted = there if split == "all" else read_split(self.root / "splits.mat", split)
        present = sorted(set(wanted) & set(there))
        if not present:
            raise UserError(
                f"{root}: holds no whole frame of {split}; `gestalt3d data check nyuv2 --root {root}` says what is missing"
            )
        self.names = [f"{number:04d}" for number in present][:limit]
        self.notes = ["no intrinsics come with the data: those of the authors' toolbox"]
        if lacking := len(wanted) - len(present):
            self.notes.append(f"nyuv2:{split}: {lacking:,} of {len(wanted):,} frames are not in {root}")
        if not (self.root / _ROTATIONS).is_file():
            self.notes.append(f"no {_ROTATIONS}: gravity is found in the depth of each frame")
        if note := mapping(self._source, self.vocabulary):
            self.notes.append(note)

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self, i: int) -> str:
        """Changes when a file of the frame does."""
        own = [*files_of(self.root, int(self.names[i])).values()]
        shared = (self.root / name for name in (OFFICIAL, "classMapping40.mat", _ROTATIONS))
        return f"{self.names[i]}-{digest_of_files(*own, *shared)}"

    def __getitem__(self, i: int) -> LabelledView:
        number = int(self.names[i])
        official = self.root / OFFICIAL
        frame = (
            self._from_official(official, number) if official.is_file() else _from_files(self.root, number)
        )
        _expect_same_size(frame)
        height, width = frame.depth.shape
        intrinsics = np.diag([width / SIZE[0], height / SIZE[1], 1]) @ INTRINSICS
        colors = torch.from_numpy(frame.colors.astype(np.float32) / 255).permute(2, 0, 1).contiguous()
        pose, note = self._pose(number, frame.depth, intrinsics)
        camera = Camera(intrinsics, pose, (width, height))
        view = View(colors, torch.from_numpy(frame.depth), camera, frame.path, (note,) * bool(note))
        return LabelledView(self.names[i], view, relabelled(_truth(frame, self._source), self.vocabulary))

    def evaluator(self, vocabulary: Vocabulary, *, class_agnostic: bool = False) -> Evaluator:
        """That of pixels; figures of whole objects, of which the data know none, are None."""
        return ViewScores(vocabulary, class_agnostic=class_agnostic, min_region=self.min_region)

    def without_instances(self) -> list[str]:
        """Frames without an image of their objects."""
        if (self.root / OFFICIAL).is_file():
            return []
        return [name for name in self.names if "instance" not in files_of(self.root, int(name))]

    @property
    def label_hint(self) -> str:
        """Where the objects are."""
        return f"objects are in {OFFICIAL}, or as numbers in instance/0001.png, …"

    def _from_official(self, path: Path, number: int) -> _Frame:
        with _arrays(path) as arrays:
            # MATLAB's last dimension comes first in HDF5: frame, channel, column, row.
            images, depths, labels, objects = (arrays[name][number - 1] for name in _ARRAYS)
        if labels.size and int(labels.max()) > _CLASSES:
            raise UserError(
                f"{path}: labels of frame {number} go to {int(labels.max())}, must be 0 to {_CLASSES}"
            )
        # Objects are counted within each of the 894 classes, of which several may be one of the forty.
        own = np.where(objects > 0, labels.astype(np.int64) * _MOST_OBJECTS + objects, 0)
        return _Frame(
            images.transpose(2, 1, 0), depths.T.astype(np.float32), self._of_894[labels.T], own.T, path
        )

    @cached_property
    def _of_894(self) -> np.ndarray:
        """(895,) the number in the source's vocabulary of each of the official file's classes; 0 is 0."""
        path = self.root / "classMapping40.mat"
        if not path.is_file():
            raise UserError(f"{path}: no such file; it makes forty classes of the {_CLASSES} of {OFFICIAL}")
        table = read_matrix(path, "mapClass").reshape(-1)
        if len(table) != _CLASSES or not np.isin(table, np.arange(1, 41)).all():
            raise UserError(f"{path}: mapClass must be {_CLASSES} numbers from 1 to 40; copy the file again")
        table = np.append(0, table.astype(np.int64))
        if self._source == _NYU42:
            table[[*_FINER]] = 41, 42
        return table

    def _pose(self, number: int, depth: np.ndarray, intrinsics: np.ndarray) -> tuple[np.ndarray, str]:
        pose = LEVEL.copy()
        if self._rotations is not None:
            pose[:3, :3] = self._rotations[number - 1] @ LEVEL[:3, :3]
            return pose, ""
        height, width = depth.shape
        known = np.where(np.isfinite(depth) & (depth > 0), depth, 0)
        found = find_gravity(Camera(intrinsics, np.eye(4), (width, height)).rays() * known[..., None])
        if found is None:
            return pose, "the camera taken for level"
        pose[:3, :3] = upright_from(found.up)
        return pose, "gravity found in the depth"

    @cached_property
    def _rotations(self) -> np.ndarray | None:
        path = self.root / _ROTATIONS
        return read_rotations(path) if path.is_file() else None


def numbers(root: Path) -> list[int]:
    """Of the frames that are there, with all that they need."""
    if not root.is_dir():
        raise UserError(
            f"{root}: not a folder; name the one of {OFFICIAL} or of rgb/, depth/ and label40/ with --root"
        )
    if (root / OFFICIAL).is_file():
        with _arrays(root / OFFICIAL) as arrays:
            return [*range(1, min(len(rows) for rows in arrays.values()) + 1)]
    found = [set(_numbered(root / kind, ends)) for kind, ends in _KINDS.items()]
    if not any(found):
        raise UserError(
            f"{root}: holds neither {OFFICIAL} nor rgb/, depth/ and label40/; NYU Depth v2 is at "
            "https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html"
        )
    return sorted(set.intersection(*found))


def files_of(root: Path, number: int) -> dict[str, Path]:
    """Those of a frame that are there in folders, by kind."""
    found = {}
    for kind, ends in {**_KINDS, "instance": (".png",)}.items():
        for end in ends:
            if (path := root / kind / f"{number:04d}{end}").is_file():
                found.setdefault(kind, path)
    return found


def missing(root: Path) -> dict[str, list[str]]:
    """Of each kind of file the frames that lack it and have another."""
    found = {kind: set(_numbered(root / kind, ends)) for kind, ends in _KINDS.items()}
    every = set.union(*found.values())
    return {kind: [f"{n:04d}" for n in sorted(every - has)] for kind, has in found.items() if every - has}


def read_split(path: Path, split: str) -> list[int]:
    """Numbers of the frames of "train" or "test"."""
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; it comes with NYUv2 and says which frames are {split}; nyuv2:all needs none"
        )
    values = read_matrix(path, _SPLIT_KEYS[split]).reshape(-1)
    if not np.isin(values, np.arange(1, FRAMES + 1)).all() or len(np.unique(values)) != len(values):
        raise UserError(f"{path}: {_SPLIT_KEYS[split]} must be numbers of frames, 1 to {FRAMES}, each once")
    return values.astype(np.int64).tolist()


def read_rotations(path: Path) -> np.ndarray:
    """(1449, 3, 3), from points with x right, y ahead and z up as the camera is held to upright ones."""
    try:
        if path.stat().st_size > _MOST_TEXT:
            raise UserError(f"{path}: is too long for {FRAMES} rotations; copy the file again")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); copy it again") from error
    try:
        values = np.array(text.split(), np.float64)
    except ValueError:
        values = np.zeros(0)
    turns = values.reshape(-1, 3, 3) if len(values) == 9 * FRAMES else np.zeros((1, 3, 3))
    if (
        not np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-3)
        or np.linalg.det(turns).min() < 0
    ):
        raise UserError(f"{path}: must hold {FRAMES} rotations of 3 x 3 numbers; copy the file again")
    return turns


@contextmanager
def _arrays(path: Path) -> Iterator[dict[str, Rows]]:
    with opened(path, _ARRAYS) as arrays:
        shapes = {name: rows.shape for name, rows in arrays.items()}
        frames, *size = shapes["depths"]
        if shapes["images"] != (frames, 3, *size) or len({shapes[n] for n in shapes if n != "images"}) > 1:
            raise UserError(f"{path}: its arrays have different sizes, {shapes}; download the file again")
        if arrays["images"].shape[2:] != SIZE:
            raise UserError(f"{path}: its frames are {size[0]} x {size[1]}, must be {SIZE[0]} x {SIZE[1]}")
        yield arrays


def _from_files(root: Path, number: int) -> _Frame:
    files = files_of(root, number)
    for kind in _KINDS:
        if kind not in files:
            raise UserError(f"{root / kind}: has no {number:04d}{_KINDS[kind][0]}; copy it again")
    try:
        stored = read_depth(files["depth"])
        colors, labels = read_photo(files["rgb"]), read_labels(files["label40"])
        objects = read_labels(files["instance"]) if "instance" in files else None
    except OSError as error:
        raise UserError(f"{root}: frame {number:04d} cannot be read ({error.strerror or error})") from error
    depth = stored.astype(np.float32) if stored.dtype.kind == "f" else (stored / 1000).astype(np.float32)
    return _Frame(colors, np.ascontiguousarray(depth), labels, objects, files["rgb"])


def _expect_same_size(frame: _Frame) -> None:
    size = frame.depth.shape
    images = {"colour": frame.colors.shape[:2], "labels": frame.labels.shape}
    if frame.objects is not None:
        images["objects"] = frame.objects.shape
    for what, other in images.items():
        if other != size:
            raise UserError(
                f"{frame.path}: its {what} are {other[1]} x {other[0]} and its depth {size[1]} x {size[0]}; copy them again"
            )
    if size[0] * SIZE[0] != size[1] * SIZE[1]:
        raise UserError(
            f"{frame.path}: is {size[1]} x {size[0]}; its camera is known of whole frames, {SIZE[0]} x {SIZE[1]} or made smaller"
        )


def _truth(frame: _Frame, source: Vocabulary) -> Instances:
    """Classes of the pixels, and the objects where they are known: pixels of one class and one number are one object."""
    classes = torch.from_numpy(source.from_official(frame.labels).reshape(-1))
    if frame.objects is None:
        none = Instances.empty(len(classes), source)
        return Instances.from_labels(
            torch.full_like(classes, -1), none.classes, vocabulary=source, element_classes=classes
        )
    objects = frame.objects.astype(np.int64).reshape(-1)
    label = frame.labels.astype(np.int64).reshape(-1)
    keys, which = np.unique(label << 32 | objects, return_inverse=True)
    is_object = (keys >> 32 > 0) & (keys & 0xFFFFFFFF > 0)
    row = np.where(is_object, np.cumsum(is_object) - 1, -1)
    return Instances.from_labels(
        torch.from_numpy(row[which.reshape(-1)]),
        torch.from_numpy(source.from_official(keys[is_object] >> 32)),
        vocabulary=source,
        element_classes=classes,
    )


def _numbered(folder: Path, ends: tuple[str, ...]) -> list[int]:
    """Numbers that are names of files, 1 to 1449."""
    files = folder.iterdir() if folder.is_dir() else ()
    names = [file.stem for file in files if file.suffix in ends]
    named = [int(name) for name in names if len(name) == 4 and name.isascii() and name.isdigit()]
    return [number for number in named if 1 <= number <= FRAMES]

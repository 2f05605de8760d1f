"""ShapeNet part (Yi et al., SIGGRAPH Asia 2016): 16,881 shapes of 16 categories, 50 parts. ASIS's Table 6, SGPN's Sec. 5.4.

`root` is one of the two official folders, or holds it:

`shapenetcore_partanno_segmentation_benchmark_v0_normal`  <synset>/<id>.txt, columns x y z nx ny nz part, and the lists of shapes
                                                          in `train_test_split/shuffled_val_file_list.json`, …
`hdf5_data`                                               PointNet's: ply_data_val0.h5, …: data (s, 2048, 3), pid (s, 2048)

Readings of ours:

- A class is a part of a category, under its official number: "chair/12". The files name categories only.
- 2,048 points a shape, as in both papers: of a text file so many drawn by the shape's id, some twice where there are fewer.
- Points are centred on their mean and scaled to radius 1, and turned from y up to z up.
- **Instances are made here.** Those of the papers are SGPN's, which were never given away, nor the program that made them. Ours
  are the connected components of each part: points within `REACH` belong together, and a component of fewer than `FEWEST` points
  belongs to the nearest one of its part. Four legs of a table are four instances, legs with a bar between them one.
"""

import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from gestalt3d.data import Evaluator
from gestalt3d.data.cache import digest, digest_of_files
from gestalt3d.data.relabel import relabel
from gestalt3d.data.scoring import CloudScores, LabelledClouds
from gestalt3d.encoding import decode
from gestalt3d.errors import UserError
from gestalt3d.hdf5 import Wanted, opened
from gestalt3d.metrics.evaluator import JudgedScan
from gestalt3d.metrics.report import defined
from gestalt3d.ops.components import dbscan
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import SHAPENET_PART, Vocabulary, mapping

SPLITS = ("train", "val", "test")
COUNTS = {"train": 12_137, "val": 1_870, "test": 2_874}
"""Shapes of the official splits."""
CATEGORIES = {
    "02691156": "airplane", "02773838": "bag", "02954340": "cap", "02958343": "car", "03001627": "chair",
    "03261776": "earphone", "03467517": "guitar", "03624134": "knife", "03636649": "lamp", "03642806": "laptop",
    "03790512": "motorbike", "03797390": "mug", "03948459": "pistol", "04099429": "rocket", "04225987": "skateboard",
    "04379243": "table",
}  # fmt: skip
"""Names by WordNet's number, which is the folder's name."""
POINTS = 2048
REACH = 0.2
"""In radii of the shape."""
FEWEST = 10
_FORMAT = 1
_MOST_BYTES = 64 << 20
_LAYOUT = {"data": Wanted(3, "f"), "pid": Wanted(2, "iu")}


class _Shape(NamedTuple):
    path: Path
    row: int
    """In an HDF5 file; -1: a text file."""


class ShapeNetPart(LabelledClouds):
    """The shapes of a split that are there, in the order of the official lists ("chair_<id>") or the files ("train0_0001")."""

    min_region = 1
    """Parts have some dozens of points."""

    def __init__(
        self,
        root: Path | str,
        split: str = "all",
        *,
        vocabulary: Vocabulary | None = None,
        limit: int | None = None,
    ) -> None:
        if split not in (*SPLITS, "all"):
            raise UserError(f"shapenet-part has no split {split!r}; it has {', '.join(SPLITS)} and all")
        self.split = split
        self.vocabulary = SHAPENET_PART if vocabulary is None else vocabulary
        folder, listed = find_folder(Path(root)), 0
        names: list[str] = []
        shapes: list[_Shape] = []
        for one in SPLITS if split == "all" else (split,):
            found, number = _from_lists(folder, one) if _is_text(folder) else _from_hdf5(folder, one)
            names += [name for name, _ in found]
            shapes += [shape for _, shape in found]
            listed += number
        if not names:
            raise UserError(f"{folder}: holds no shape of {split}; unpack the archive again")
        missing = listed - len(names)
        self._notes = [f"{missing:,} of the {listed:,} listed shapes are not there"] if missing else []
        self.names, self._shapes = names[:limit], shapes[:limit]

    @property
    def notes(self) -> list[str]:
        """Which class counts as which, where they have other names; and how many shapes are missing."""
        note = mapping(SHAPENET_PART, self.vocabulary)
        return [*([note] if note else []), *self._notes]

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self, i: int) -> str:
        """Changes when the file of the shape does."""
        path, row = self._shapes[i]
        return digest(_FORMAT, str(path.resolve()), row, digest_of_files(path), POINTS, REACH, FEWEST)

    def evaluator(self, vocabulary: Vocabulary, *, class_agnostic: bool = False) -> Evaluator:
        """That of `CloudEvaluator`, and `shape_mIoU` beside it."""
        return ShapeScores(vocabulary, class_agnostic=class_agnostic, min_region=self.min_region)

    def __getitem__(self, i: int) -> Scan:
        if not 0 <= i < len(self):
            raise IndexError(f"shapenet-part:{self.split} has {len(self)} shapes, asked for {i}")
        path, row = self._shapes[i]
        points, parts = read_text(path) if row < 0 else _read_row(path, row)
        if not len(points):
            raise UserError(f"{path}: holds no point; copy it again")
        points = points - points.mean(0)
        points /= max(float(np.linalg.norm(points, axis=1).max()), 1e-12)
        points = np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1).astype(np.float32)
        instance, classes = instances_of(points, parts)
        chosen = _drawn(len(points), self.names[i])
        labels = torch.from_numpy(instance[chosen])
        rows = torch.from_numpy(classes)
        found = Instances.from_labels(labels, rows, vocabulary=SHAPENET_PART, element_classes=rows[labels])
        return relabel(Scan(self.names[i], PointCloud.from_arrays(points[chosen]), found), self.vocabulary)


class ShapeScores(CloudScores):
    """A `CloudScores` that adds `shape_mIoU`: of a shape the mean IoU of its category's parts, and of these the mean.

    A part that is neither true nor found in a shape counts 1. PointNet's script looks for the best part among those of the true
    category; here a part of another category is a miss.
    """

    def _scores(self, judged: Sequence[JudgedScan]) -> dict[str, Any]:
        scores = super()._scores(judged)
        if self.class_agnostic:
            return scores
        per_shape = [shape_iou(one.kept.counts, self.vocabulary) for one in judged]
        mean = float(np.mean(per_shape)) if per_shape else float("nan")
        return {"shape_mIoU": defined(mean), **scores}


def shape_iou(counts: np.ndarray, vocabulary: Vocabulary) -> float:
    """Of one shape, from its confusion table (c, c + 1): rows true, columns found, the last for none.

    Its category is that of most of its points.
    """
    categories = np.array([name.partition("/")[0] for name in vocabulary.names])
    own = categories[int(counts.sum(axis=1).argmax())] == categories
    common = np.diag(counts)[own]
    union = counts.sum(axis=1)[own] + counts[:, :-1].sum(axis=0)[own] - common
    return float(np.where(union > 0, common / np.maximum(union, 1), 1.0).mean())


def find_folder(root: Path) -> Path:
    """The official folder: `root`, or one in it."""
    names = ("shapenetcore_partanno_segmentation_benchmark_v0_normal", "hdf5_data")
    for folder in (root, *(root / name for name in names)):
        if _is_text(folder) or any(folder.glob("ply_data_*.h5")):
            return folder
    raise UserError(
        f"{root}: holds neither train_test_split/ nor ply_data_train0.h5; name the folder "
        "shapenetcore_partanno_segmentation_benchmark_v0_normal or hdf5_data of ShapeNet part (https://shapenet.org)"
    )


def read_list(folder: Path, split: str) -> list[tuple[str, str]]:
    """Synset and id of each shape of an official list."""
    path = folder / "train_test_split" / f"shuffled_{split}_file_list.json"
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"larger than {_MOST_BYTES >> 20} MiB")
        entries = json.loads(decode(path.read_bytes()))
        if not isinstance(entries, list):
            raise ValueError("not a list")
        found = [str(entry).split("/")[-2:] for entry in entries]
        if wrong := next((f for f in found if not _is_shape(f)), None):
            raise ValueError(f"{'/'.join(wrong)[:80]!r} is no synset/id")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; unpack the archive again") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: is no official list ({error}); copy it again") from None
    return [(synset, name) for synset, name in found]


def _is_shape(words: list[str]) -> bool:
    return len(words) == 2 and words[0] in CATEGORIES and bool(re.fullmatch(r"[A-Za-z0-9_-]{1,80}", words[1]))


def read_text(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3) float64 points as they are in the file, and (n,) int64 parts."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"is larger than {_MOST_BYTES >> 20} MiB")
        lines = decode(path.read_bytes()).splitlines()
        table = np.loadtxt(lines, dtype=np.float64, ndmin=2) if lines else np.zeros((0, 7))
        if table.shape[1] != 7:
            raise ValueError(f"has {table.shape[1]} columns, not x y z nx ny nz part")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is no shape ({error}); copy it again") from None
    return _checked(path, table[:, :3], table[:, 6])


def instances_of(points: np.ndarray, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) instance of each point of a shape of radius 1, and (i,) part of each instance, by part and lowest point."""
    instance = np.zeros(len(parts), dtype=np.int64)
    classes: list[int] = []
    for part in np.unique(parts).tolist():
        rows = np.flatnonzero(parts == part)
        labels = _components(torch.from_numpy(points[rows]))
        instance[rows] = len(classes) + labels
        classes += [part] * (int(labels.max()) + 1)
    return instance, np.array(classes, dtype=np.int64)


def _components(points: torch.Tensor) -> np.ndarray:
    """The component of each point, counted from 0; small ones belong to the nearest large one."""
    labels = dbscan(points, eps=REACH, min_points=1)
    large = (labels.bincount() >= FEWEST)[labels]
    if not bool(large.any()):
        return np.zeros(len(points), dtype=np.int64)
    nearest = torch.cdist(points, points[large]).argmin(1)
    labels = torch.where(large, labels, labels[large][nearest])
    return torch.unique(labels, return_inverse=True)[1].numpy()


def _drawn(count: int, name: str) -> np.ndarray:
    """`POINTS` of the points, none twice before all are taken; the same for the same name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    rounds = -(-POINTS // count)
    return np.concatenate([rng.permutation(count) for _ in range(rounds)])[:POINTS]


def _from_lists(folder: Path, split: str) -> tuple[list[tuple[str, _Shape]], int]:
    listed = read_list(folder, split)
    found = [
        (f"{CATEGORIES[synset]}_{name}", _Shape(path, -1))
        for synset, name in listed
        if (path := folder / synset / f"{name}.txt").is_file()
    ]
    return found, len(listed)


def _from_hdf5(folder: Path, split: str) -> tuple[list[tuple[str, _Shape]], int]:
    found: list[tuple[str, _Shape]] = []
    for path in sorted(folder.glob(f"ply_data_{split}*.h5")):
        with opened(path, _LAYOUT) as arrays:
            shape, parts = arrays["data"].shape, arrays["pid"].shape
            if shape[2] != 3 or shape[:2] != parts or shape[0] > 100_000:
                raise UserError(
                    f"{path}: data must be (shapes, points, 3) and pid (shapes, points), are {shape}, {parts}"
                )
            title = path.stem.removeprefix("ply_data_")
            found += [(f"{title}_{row:04d}", _Shape(path, row)) for row in range(shape[0])]
    return found, len(found)


def _read_row(path: Path, row: int) -> tuple[np.ndarray, np.ndarray]:
    with opened(path, _LAYOUT) as arrays:
        return _checked(path, arrays["data"][row].astype(np.float64), arrays["pid"][row])


def _checked(path: Path, points: np.ndarray, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not np.isfinite(points).all():
        raise UserError(f"{path}: holds a point that is no finite number; copy it again")
    wrong = (parts < 0) | (parts >= len(SHAPENET_PART)) | (parts != np.floor(parts))
    if wrong.any():
        raise UserError(
            f"{path}: part {parts[wrong][0]}, they are whole numbers from 0 to {len(SHAPENET_PART) - 1}"
        )
    return points, parts.astype(np.int64)


def _is_text(folder: Path) -> bool:
    return (folder / "train_test_split").is_dir()

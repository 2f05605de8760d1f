"""PartNet (Mo et al., CVPR 2019): parts of objects at three levels of detail, in the HDF5 files of its instance segmentation.

`root` is the folder that holds `ins_seg_h5_for_detection/` and `ins_seg_h5_gt/`, or one of these two, or a folder above. In them
`Chair-3/` is a category at a level, and `train-00.h5`, … hold hundreds of shapes each, with a `.json` of their ids beside:

`ins_seg_h5_for_detection`  pts (s, n, 3); gt_mask (s, k, n), gt_valid (s, k); gt_label (s, n), 0 in no part, else class + 1
`ins_seg_h5_gt`             pts; gt_mask (s, k, n), gt_mask_valid (s, k), gt_mask_label (s, k), classes from 0

Where a split is in both, as the test split is without labels in the first, the second is read. Classes are numbered as the
lines of `stats/after_merging_label_ids/Chair-level-3.txt` of the authors' code are; where that is not at hand, those of the
four largest categories are known. Shapes stand with y up in the files and are turned to z up, their front at -y.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gestalt3d.data.cache import Packed, ScanCache, digest, digest_of_files, unpack
from gestalt3d.data.part_names import LEVELS
from gestalt3d.data.relabel import relabel
from gestalt3d.data.scoring import LabelledParts
from gestalt3d.encoding import decode
from gestalt3d.errors import UserError
from gestalt3d.hdf5 import Rows, Wanted, opened
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import PARTNET, Vocabulary, mapping

SPLITS = ("train", "val", "test")
FOLDERS = ("ins_seg_h5_gt", "ins_seg_h5_for_detection")
"""The first counts where a split is in both."""
STATS = "after_merging_label_ids"
MOST_SHAPES = 100_000
"""Of one file; the largest official one has about a thousand."""
_FORMAT = 1  # of the cached arrays
_SIDECAR_BYTES = 256 << 20
_NUMBERS = Wanted(3, "f")
_MASKS, _FLAGS, _LABELS = Wanted(3, "biu"), Wanted(2, "biu"), Wanted(2, "iu")
_LAYOUT = {
    "pts": _NUMBERS,
    "gt_mask?": _MASKS,
    "gt_valid?": _FLAGS,
    "gt_label?": _LABELS,
    "gt_mask_valid?": _FLAGS,
    "gt_mask_label?": _LABELS,
}


class File(NamedTuple):
    """One file of shapes."""

    path: Path
    split: str
    category: str
    """As the folder spells it."""


class _Shape(NamedTuple):
    file: File
    row: int
    is_labelled: bool


class PartNet(LabelledParts):
    """The shapes of a split that are there, by category and in the order of the files, under PartNet's ids ("Chair_179")."""

    label_hint = f"looked for gt_mask in the files; those of {FOLDERS[0]} have it for the test split"

    def __init__(
        self,
        root: Path | str,
        split: str = "all",
        *,
        category: str = "",
        level: int = 3,
        vocabulary: Vocabulary | None = None,
        limit: int | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        if split not in (*SPLITS, "all"):
            raise UserError(f"partnet has no split {split!r}; it has {', '.join(SPLITS)} and all")
        root = Path(root)
        files = find_files(root, level)
        known = sorted({file.category for file in files})
        if category:
            files = [file for file in files if _word(file.category) == category]
        files = [file for file in files if split in (file.split, "all")]
        if not files:
            there = f"; there are {', '.join(map(_word, known))}" if category and known else ""
            raise UserError(
                f"{root}: no shapes of {split} in {category or 'any category'} at level {level}{there}; expected files such "
                f"as {FOLDERS[1]}/Chair-{level}/train-00.h5 (ask for ins_seg_h5.zip of PartNet at https://shapenet.org)"
            )
        self.split, self.level = split, level
        self._classes = {
            one: part_classes(root, one, level) for one in dict.fromkeys(f.category for f in files)
        }
        self._own = _joined(list(self._classes.values()))
        self.vocabulary = self._own if vocabulary is None else vocabulary
        self.names, self._shapes = _listed(files, limit)
        self._cache = ScanCache(f"partnet-{_FORMAT}-{digest(str(root.resolve()), level)}", root=cache_dir)

    @property
    def notes(self) -> list[str]:
        """Which class counts as which, where they have other names; and whether anything can be cached."""
        note = mapping(self._own, self.vocabulary)
        return [*([note] if note else []), *self._cache.notes]

    def without_instances(self) -> list[str]:
        """Names of the shapes in files without masks."""
        return [name for name, shape in zip(self.names, self._shapes, strict=True) if not shape.is_labelled]

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self, i: int) -> str:
        """Changes when the file of the shape does, or the list of classes."""
        return f"{self._shapes[i].file.path.resolve()}-{self._key(i)}-{digest(self._own.names)}"

    def _key(self, i: int) -> str:
        file, row, _ = self._shapes[i]
        return f"{file.category}-{file.path.parent.parent.name}-{file.path.stem}-{row}-{digest_of_files(file.path)}"

    def __getitem__(self, i: int) -> Scan:
        if not 0 <= i < len(self):
            raise IndexError(f"partnet:{self.split} has {len(self)} shapes, asked for {i}")
        file, row, _ = self._shapes[i]
        known = self._classes[file.category]
        packed = self._cache.get(self._key(i), lambda: read_shape(file.path, row, len(known)))
        return relabel(unpack(packed, self.names[i], known), self.vocabulary)


def find_files(root: Path, level: int) -> list[File]:
    """The files of shapes at a level, by category, split and name. A split that both folders hold is that of `FOLDERS[0]`."""
    if level not in LEVELS:
        raise UserError(f"partnet has no level {level}; it has {', '.join(map(str, LEVELS))}")
    chosen: dict[tuple[str, str], list[File]] = {}
    for folder in FOLDERS:
        for place in _places(root, folder):
            for path in sorted(place.glob(f"*-{level}")):
                category = path.name.rpartition("-")[0]
                for split in SPLITS:
                    found = sorted(path.glob(f"{split}-*.h5"))
                    if found and (category, split) not in chosen:
                        chosen[category, split] = [File(file, split, category) for file in found]
    order = {split: i for i, split in enumerate(SPLITS)}
    return [file for key in sorted(chosen, key=lambda k: (k[0], order[k[1]])) for file in chosen[key]]


def part_classes(root: Path, category: str, level: int) -> Vocabulary:
    """The classes of a category at a level: those of the authors' list at hand, else the known ones of the four largest."""
    name = f"{category}-level-{level}.txt"
    title = f"partnet-{_word(category)}-{level}"
    for place in (root, *list(root.resolve().parents)[:2]):
        for path in (place / "stats" / STATS / name, place / STATS / name, place / name):
            if path.is_file():
                return _read_classes(path, title)
    if (known := next((v for v in PARTNET.values() if v.title == title), None)) is not None:
        return known
    raise UserError(
        f"{root}: no list of the classes of {category} at level {level}; put stats/{STATS}/{name} of "
        "https://github.com/daerduoCarey/partnet_seg_exps there"
    )


def count_shapes(path: Path) -> int:
    """How many shapes a file holds; its arrays are checked, not read."""
    with opened(path, _LAYOUT) as arrays:
        _expect_sizes(path, arrays)
        return len(arrays["pts"])


def read_shape(path: Path, row: int, num_classes: int) -> Packed:
    """One shape; without parts where the file has no masks. Classes count from 0 among `num_classes`."""
    with opened(path, _LAYOUT) as arrays:
        _expect_sizes(path, arrays)
        points = _points(path, row, arrays["pts"][row])
        if "gt_mask" not in arrays:
            none = np.full(len(points), -1, dtype=np.int16)
            return Packed(points, None, none, none, np.zeros(0, dtype=np.int16))
        valid = arrays["gt_mask_valid" if "gt_mask_valid" in arrays else "gt_valid"][row].astype(bool)
        masks = arrays["gt_mask"][row].astype(bool)
        chosen = valid & masks.any(axis=1)  # the training files call parts valid that no point fell on
        masks = masks[chosen]
        if "gt_mask_label" in arrays:
            classes = arrays["gt_mask_label"][row].astype(np.int64)[chosen]
        else:
            classes = _classes_of(masks, arrays["gt_label"][row].astype(np.int64) - 1)
    if len(wrong := classes[(classes < 0) | (classes >= num_classes)]):
        raise UserError(
            f"{path}: a part of shape {row} has class {wrong[0]}, the list of its category has {num_classes}; "
            "take the list and the files of the same level and version"
        )
    return _packed(points, masks, classes)


def _packed(points: np.ndarray, masks: np.ndarray, classes: np.ndarray) -> Packed:
    """A point in several parts is labelled with the first; the masks keep it in all."""
    inside = masks.any(axis=0)
    instance = np.where(inside, masks.argmax(axis=0) if len(masks) else 0, -1)
    semantic = np.where(inside, np.append(classes, -1)[instance], -1)
    overlap = bool(masks.sum() > inside.sum())
    offsets = np.append(0, np.cumsum(masks.sum(axis=1))) if overlap else None
    indices = np.nonzero(masks)[1] if overlap else None
    return Packed(points, None, instance, semantic, classes, mask_offsets=offsets, mask_indices=indices)


def _points(path: Path, row: int, points: np.ndarray) -> np.ndarray:
    """Turned from y up to z up."""
    points = points.astype(np.float32)
    if not np.isfinite(points).all():
        raise UserError(f"{path}: shape {row} has a point that is no finite number; copy the file again")
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)


def _classes_of(masks: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The class of each part, that of its first point: the points of a part have one."""
    return labels[masks.argmax(axis=1)] if len(masks) else np.zeros(0, dtype=np.int64)


def _expect_sizes(path: Path, arrays: dict[str, Rows]) -> None:
    """All arrays are over the same shapes, parts and points, and what the masks need is there."""
    s, n, three = arrays["pts"].shape
    if three != 3 or s > MOST_SHAPES:
        raise UserError(f"{path}: pts must be (shapes, points, 3), is {arrays['pts'].shape}")
    k = arrays["gt_mask"].shape[1] if "gt_mask" in arrays else 0
    sizes = {
        "gt_mask": (s, k, n),
        "gt_valid": (s, k),
        "gt_mask_valid": (s, k),
        "gt_mask_label": (s, k),
        "gt_label": (s, n),
    }
    for name, shape in sizes.items():
        if name in arrays and arrays[name].shape != shape:
            raise UserError(f"{path}: {name} is {arrays[name].shape}, expected {shape} like pts and gt_mask")
    if "gt_mask" in arrays:
        for needed in (("gt_valid", "gt_mask_valid"), ("gt_label", "gt_mask_label")):
            if not any(name in arrays for name in needed):
                raise UserError(
                    f"{path}: has gt_mask, but neither {needed[0]} nor {needed[1]}; copy the file again"
                )


def _listed(files: list[File], limit: int | None) -> tuple[list[str], list[_Shape]]:
    """Names and places of the shapes. PartNet's ids make names where the file beside has them and none comes twice."""
    shapes: list[_Shape] = []
    by_id: list[str] = []
    by_place: list[str] = []
    for file in files:
        if limit is not None and len(shapes) >= limit:
            break
        with opened(file.path, _LAYOUT) as arrays:
            _expect_sizes(file.path, arrays)
            count, is_labelled = len(arrays["pts"]), "gt_mask" in arrays
        ids = _ids(file.path.with_suffix(".json"), count)
        shapes += [_Shape(file, row, is_labelled) for row in range(count)]
        by_id += [f"{file.category}_{ids[row]}" if ids else "" for row in range(count)]
        by_place += [f"{file.category}_{file.path.stem}_{row:04d}" for row in range(count)]
    is_by_id = all(by_id) and len(set(by_id)) == len(by_id)
    return (by_id if is_by_id else by_place)[:limit], shapes[:limit]


def _ids(path: Path, count: int) -> list[str]:
    """`anno_id` of each shape; empty where the file is missing or says something else."""
    try:
        if path.stat().st_size > _SIDECAR_BYTES:
            return []
        records = json.loads(decode(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(records, list) or len(records) != count:
        return []
    ids = [str(record.get("anno_id", "")) if isinstance(record, dict) else "" for record in records]
    return ids if all(re.fullmatch(r"[A-Za-z0-9]{1,40}", one) for one in ids) else []


def _places(root: Path, folder: str) -> list[Path]:
    """Where that folder may be: `root` itself, in it, or in its `data`."""
    inside = [root / folder, root / "data" / folder, root / "partnet" / folder]
    return [place for place in (*inside, *([root] if root.name == folder else [])) if place.is_dir()]


def _read_classes(path: Path, title: str) -> Vocabulary:
    try:
        rows = [line.split() for line in decode(path.read_bytes()).splitlines() if line.strip()]
        return Vocabulary(title, tuple(row[1] for row in rows), tuple(int(row[0]) for row in rows))
    except (OSError, ValueError, IndexError) as error:
        raise UserError(
            f"{path}: is no list of 'id name kind' with names of their own ({error}); copy it again"
        ) from None


def _joined(vocabularies: list[Vocabulary]) -> Vocabulary:
    """One category's own list, or those of several one after the other."""
    if len(vocabularies) == 1:
        return vocabularies[0]
    names = dict.fromkeys(name for vocabulary in vocabularies for name in vocabulary.names)
    return Vocabulary(f"partnet-{vocabularies[0].title.rpartition('-')[2]}", tuple(names))


def _word(category: str) -> str:
    """A category as the names of data sets spell it."""
    return category.lower().replace("_", "")

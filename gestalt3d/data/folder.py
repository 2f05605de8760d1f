"""Any folder of labelled clouds.

For each cloud `<name>.<suffix>` (every format `gestalt3d segment` reads) labels are looked for in two places:

1. `<name>.gt.npz` beside it: `semantic` (n,) index into `class_names`, -1 unlabelled; `instance` (n,) any
   number per object, negative unlabelled; `class_names` (c,) strings; optionally `structure` (c,) bool, the
   classes that are the building and not objects (void in class-agnostic scores).
2. Properties of the PLY's vertices, or arrays of a folder that is one cloud (`coord.npy`, `segment.npy`, …): one
   of `SEMANTIC_PROPERTIES` and one of `INSTANCE_PROPERTIES`, each also as CloudCompare's `scalar_…`, in capitals or
   not, with or without underscores; the first in the list that is there counts. Negative numbers, NaN and the
   highest number of an unsigned type mean none. Class names come from `classes.txt` in the folder (line k names
   number k, from 0) or `classes.json` (a list, or numbers to names); without either a class is called by its
   number. Names of the building's parts ("wall", "floor", …) are structure. Where instance numbers start anew in
   every class, as one number with several whole objects of different classes shows, they are told apart by class.

The vocabulary is the union of all class names, in order of first appearance. Clouds without any labels are
named in `unlabelled` and left out.
"""

import json
import re
import zipfile
from collections import Counter
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from gestalt3d.data.cache import digest, digest_of_files, pack
from gestalt3d.data.relabel import relabel
from gestalt3d.data.scoring import LabelledClouds
from gestalt3d.encoding import decode, open_unmarked
from gestalt3d.errors import UserError
from gestalt3d.io import find_clouds, load_cloud
from gestalt3d.io.frame import USUAL_FRAME, frame_in_words
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import S3DIS, SYNTH, Vocabulary, mapping

SEMANTIC_PROPERTIES = (
    "semantic", "label", "class", "classification", "semantic_id", "semantic_label", "semantics", "sem", "sem_id", "sem_label",
    "semseg", "sem_seg", "segment", "segment20", "category", "category_id", "class_id", "class_label", "label_id", "labels",
    "nyu40id", "gt_semantic", "semantic_gt", "gt_label",
)  # fmt: skip
INSTANCE_PROPERTIES = (
    "instance", "instance_id", "object", "object_id", "instance_label", "instances", "ins", "inst", "ins_id", "inst_id",
    "ins_label", "inst_label", "obj", "obj_id", "instance_gt", "gt_instance",
)  # fmt: skip
"""What others call the class and the object of a point, in order of precedence."""
STRUCTURE_NAMES = SYNTH.structure | S3DIS.structure

_HEADER_LIMIT = 65_536
_NAMES_LIMIT = 4_000_000


class _Labels(NamedTuple):
    semantic: np.ndarray
    """(n,) int64 position in the folder's own vocabulary, -1 none."""
    instance: np.ndarray
    """(n,) int64, negative none."""


class Folder(LabelledClouds):
    """The labelled clouds of a folder, in order of their names.

    One that cannot be read is named in `unreadable` and does not keep the others from being used; asking for it raises.
    """

    def __init__(
        self, root: Path | str, *, vocabulary: Vocabulary | None = None, limit: int | None = None
    ) -> None:
        self.root = Path(root)
        self._notes: list[str] = []
        self._frames: dict[str, set[str]] = {}
        """In words, units and up → the clouds that were taken for such."""
        clouds = _clouds(self.root)
        labelled = [path for path in clouds if _gt_file(path).exists() or _has_label_properties(path)]
        self._paths = labelled[:limit]
        self.names = _unique_names(self._paths)
        self.unlabelled = [path.name for path in clouds if path not in set(labelled)]
        if not labelled:
            for path in clouds[:1]:
                load_cloud(path)  # a file that cannot be read says why
            raise UserError(
                f"{self.root}: {len(clouds)} clouds and no labels; put <name>.gt.npz beside each <name>.ply "
                f"or label properties into the PLY; {_properties_of(clouds)}"
            )
        self.unreadable: dict[str, str] = {}
        """Name → what is wrong."""
        self._own_vocabulary = self._union()
        self.vocabulary = self._own_vocabulary if vocabulary is None else vocabulary
        if note := mapping(self._own_vocabulary, self.vocabulary):
            self._note(note)
        if vocabulary is not None and not len(self._own_vocabulary):
            self._note("the labels name no classes: only --class-agnostic has figures")

    @property
    def notes(self) -> list[str]:
        """Which class counts as which, what labels were mended, and what units and up the clouds read so far were taken for."""
        if self._frames.keys() <= {USUAL_FRAME}:
            return self._notes
        shown = (
            f"{len(n)} in {f} ({', '.join(sorted(n)[:3])}{', …' * (len(n) > 3)})"
            for f, n in self._frames.items()
        )
        frames = "; ".join(shown)
        return [*self._notes, f"taken for: {frames}; where that is wrong, save the cloud in metres with z up"]

    @property
    def label_hint(self) -> str:
        """In words, which properties the files have and which would be labels."""
        return _properties_of(self._paths)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> Scan:
        path = self._paths[i]
        cloud = load_cloud(path)
        if cloud.source is not None:
            self._frames.setdefault(frame_in_words(cloud.source), set()).add(self.names[i])
        labels = self._told_apart(path, self._labels(path, cloud))
        usable = cloud.usable()
        if not bool(usable.all()):
            cloud = cloud[usable]
            labels = _Labels(*(a[usable.numpy()] for a in labels))
        return relabel(Scan(self.names[i], cloud, _instances(labels, self._own_vocabulary)), self.vocabulary)

    def fingerprint(self, i: int) -> str:
        """Changes when the cloud, its labels or the names of the classes do."""
        path = self._paths[i]
        beside = (_gt_file(path), self.root / "classes.txt", self.root / "classes.json")
        return f"{digest(str(path.resolve()), self._own_vocabulary.names)}-{digest_of_files(path, *beside)}"

    def without_instances(self) -> list[str]:
        """Names of the scans that say nothing about instances, so have no score. Reads all labels."""
        return [
            name
            for name, path in zip(self.names, self._paths, strict=True)
            if name not in self.unreadable and not self._has_instances(path)
        ]

    def _told_apart(self, path: Path, labels: _Labels) -> _Labels:
        """Instances of one number and several classes as one of each class."""
        instance, numbers = separated(labels.semantic, labels.instance)
        if numbers:
            shown = ", ".join(map(str, numbers[:5])) + (" …" if len(numbers) > 5 else "")
            self._note(
                f"{path}: instance numbers {shown} are used in several classes, as where counting starts anew in each: "
                "told apart by class"
            )
        return _Labels(labels.semantic, instance)

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)

    def _has_instances(self, path: Path) -> bool:
        if _gt_file(path).exists():
            with _GroundTruth(_gt_file(path)) as truth:
                return bool((truth.numbers("instance", None) >= 0).any())
        if _property(_ply_properties(path), INSTANCE_PROPERTIES) is None:
            return False
        return bool((self._labels(path, load_cloud(path)).instance >= 0).any())

    def _labels(self, path: Path, cloud: PointCloud) -> _Labels:
        if _gt_file(path).exists():
            with _GroundTruth(_gt_file(path)) as truth:
                names = truth.class_names()
                semantic = truth.numbers("semantic", len(cloud))
                if len(semantic) and (semantic.min() < -1 or semantic.max() >= len(names)):
                    raise UserError(
                        f"{truth.path}: semantic must lie in [-1, {len(names)}), "
                        f"got {semantic.min()} … {semantic.max()}; it indexes class_names"
                    )
                position = np.array([*map(self._own_vocabulary.id, names), -1], dtype=np.int64)
                return _Labels(position[semantic], truth.numbers("instance", len(cloud)))
        semantic, instance = _property_labels(path, cloud)
        if self._class_names is None:
            names = {number: str(number) for number in np.unique(semantic[semantic >= 0]).tolist()}
        else:
            names = self._class_names
        return _Labels(self._positions(path, semantic, names), instance)

    def _positions(self, path: Path, semantic: np.ndarray, names: dict[int, str]) -> np.ndarray:
        found, inverse = np.unique(semantic, return_inverse=True)
        known = [number in names for number in found.tolist()]
        if unknown := [n for n, k in zip(found.tolist(), known, strict=True) if n >= 0 and not k]:
            self._note(f"{path}: classes {unknown} have no name in classes.txt or classes.json: unlabelled")
        table = [
            self._own_vocabulary.id(names[n]) if k else -1 for n, k in zip(found.tolist(), known, strict=True)
        ]
        return np.array(table, dtype=np.int64)[inverse.reshape(-1)]

    @cached_property
    def _class_names(self) -> dict[int, str] | None:
        return _named_classes(self.root)

    def _union(self) -> Vocabulary:
        is_structure: dict[str, bool] = {}
        for name, path in zip(self.names, self._paths, strict=True):
            try:
                classes = self._classes_of(path)
            except UserError as problem:
                self.unreadable[name] = str(problem)
                continue
            for title, flag in classes:
                is_structure[title] = is_structure.get(title, False) or flag
        if len(self.unreadable) == len(self.names):
            raise UserError(next(iter(self.unreadable.values())))
        structure = frozenset(name for name, flag in is_structure.items() if flag)
        return Vocabulary(self.root.resolve().name or "folder", tuple(is_structure), structure=structure)

    def _classes_of(self, path: Path) -> list[tuple[str, bool]]:
        if _gt_file(path).exists():
            with _GroundTruth(_gt_file(path)) as truth:
                return list(zip(truth.class_names(), truth.structure(), strict=True))
        if self._class_names is not None:
            return [(name, name in STRUCTURE_NAMES) for name in dict.fromkeys(self._class_names.values())]
        semantic, _ = _property_labels(path, load_cloud(path))
        return [(str(number), False) for number in np.unique(semantic[semantic >= 0]).tolist()]


class _GroundTruth:
    """An open `.gt.npz`. Member sizes are checked before anything is unpacked."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> "_GroundTruth":
        try:
            self._zip = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError) as error:
            raise UserError(
                f"{self.path}: not a readable .npz ({error}); write it with numpy.savez"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def class_names(self) -> list[str]:
        names = self._member("class_names", _NAMES_LIMIT)
        if names.ndim != 1 or names.dtype.kind != "U" or len(set(names.tolist())) != len(names):
            raise UserError(
                f"{self.path}: class_names must be different strings (c,), got {names.dtype} {names.shape}"
            )
        return names.tolist()

    def structure(self) -> list[bool]:
        names = self.class_names()
        if "structure.npy" not in self._zip.namelist():
            return [name in STRUCTURE_NAMES for name in names]
        flags = self._member("structure", _NAMES_LIMIT)
        if flags.shape != (len(names),):
            raise UserError(
                f"{self.path}: structure must be ({len(names)},) like class_names, got {flags.shape}"
            )
        return flags.astype(bool).tolist()

    def numbers(self, key: str, count: int | None) -> np.ndarray:
        """(n,) int64; `count` is what n must be."""
        limit = 1 << 34 if count is None else 8 * count + 4096
        values = self._member(key, limit)
        if values.ndim != 1 or values.dtype.kind not in "iu" or (count is not None and len(values) != count):
            expected = "n" if count is None else f"{count:,}"
            raise UserError(
                f"{self.path}: {key} must be integers ({expected},), one per point of the cloud, "
                f"got {values.dtype} {values.shape}"
            )
        return values.astype(np.int64)

    def _member(self, key: str, limit: int) -> np.ndarray:
        try:
            info = self._zip.getinfo(f"{key}.npy")
        except KeyError:
            raise UserError(
                f"{self.path}: has no {key!r}; it needs semantic, instance and class_names"
            ) from None
        if info.file_size > limit:
            raise UserError(f"{self.path}: {key} has {info.file_size:,} bytes, more than its cloud can need")
        try:
            return np.lib.format.read_array(BytesIO(self._zip.read(info)), allow_pickle=False)
        except (ValueError, MemoryError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{self.path}: {key} cannot be read ({error}); write it with numpy.savez"
            ) from None


def _clouds(root: Path) -> list[Path]:
    if not root.is_dir():
        raise UserError(f"{root}: not a folder; name the one that holds the clouds with --root")
    return find_clouds(root)


def _gt_file(cloud: Path) -> Path:
    return cloud.with_name(f"{cloud.stem}.gt.npz")


def _unique_names(paths: list[Path]) -> list[str]:
    """Stems, or whole file names where two clouds share one."""
    stems = Counter(path.stem for path in paths)
    return [path.name if stems[path.stem] > 1 else path.stem for path in paths]


def _instances(labels: _Labels, vocabulary: Vocabulary) -> Instances:
    """An instance's class is the most frequent one of its points, the lower id on ties."""
    instance = np.maximum(labels.instance, -1)
    ids, row = np.unique(instance, return_inverse=True)
    row = row.reshape(-1) - int(len(ids) > 0 and ids[0] < 0)
    count = int(row.max()) + 1 if len(row) else 0
    votes = np.zeros((count, len(vocabulary) + 1), dtype=np.int64)
    inside = row >= 0
    np.add.at(votes, (row[inside], labels.semantic[inside]), 1)
    votes = votes[:, :-1]  # -1 landed in the last column
    classes = np.where(votes.any(axis=1), votes.argmax(axis=1), -1) if votes.size else np.full(count, -1)
    return Instances.from_labels(
        torch.from_numpy(row.astype(np.int64)),
        torch.from_numpy(classes.astype(np.int64)),
        vocabulary=vocabulary,
        element_classes=torch.from_numpy(labels.semantic),
    )


def _ply_properties(path: Path) -> list[str]:
    """Names of the vertex properties in a PLY's header, or of the arrays in a folder; none for other files."""
    if path.is_dir():
        return [file.stem for file in path.glob("*.npy")]
    if path.suffix.lower() != ".ply":
        return []
    with open_unmarked(path) as file:
        head = file.read(_HEADER_LIMIT).split(b"end_header", 1)[0]
    names, element = [], ""
    for line in decode(head).splitlines():
        words = line.split()
        if words[:1] == ["element"] and len(words) > 1:
            element = words[1]
        elif words[:1] == ["property"] and element == "vertex":
            names.append(words[-1])
    return names


def _property(names: list[str], wanted: tuple[str, ...]) -> str | None:
    """The first of `wanted` that is among `names`, as it is written there."""
    plain = {_plain(name): name for name in names}
    return next((plain[_plain(w)] for w in wanted if _plain(w) in plain), None)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower().removeprefix("scalar_"))


def _properties_of(paths: list[Path]) -> str:
    """What the first PLY has, and what would be labels in it."""
    known = f"classes are read from {_few(SEMANTIC_PROPERTIES)}, instances from {_few(INSTANCE_PROPERTIES)}"
    for path in paths:
        if _gt_file(path).exists():
            return f"{_gt_file(path).name} has only -1"
        if names := _ply_properties(path):
            return f"{path.name} has the properties {', '.join(names)}; {known}"
    return known


def _few(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:6])} and the like"


def separated(semantic: np.ndarray, instance: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Instance numbers that are unique over all classes, and those that were not.

    A number is used in several classes where two or more have a tenth of its points, and at least `MIN_SHARED`, each. Its points
    of other classes stay with the largest. New numbers are above all others.
    """
    ids, row = np.unique(np.maximum(instance, -1), return_inverse=True)
    kinds = int(semantic.max(initial=-1)) + 2
    votes = np.zeros((len(ids), kinds), dtype=np.int64)
    np.add.at(votes, (row.reshape(-1), semantic + 1), 1)
    whole = votes >= np.maximum(0.1 * votes.sum(1, keepdims=True), MIN_SHARED)
    whole[:, 0] = False  # points without a class make no object of their own
    shared = (whole.sum(1) > 1) & (ids >= 0)
    if not shared.any():
        return instance, []
    largest = votes[:, 1:].argmax(1) + 1
    apart = shared[:, None] & whole
    apart[np.arange(len(ids)), largest] = False
    number = np.where(apart, int(ids.max()) + np.cumsum(apart).reshape(apart.shape), ids[:, None])
    return number[row.reshape(-1), semantic + 1], ids[shared].tolist()


MIN_SHARED = 20
"""Points of a second class from which an instance number is taken to be shared by two objects, not mislabelled at the rim."""


def _has_label_properties(path: Path) -> bool:
    names = _ply_properties(path)
    return (
        _property(names, SEMANTIC_PROPERTIES) is not None or _property(names, INSTANCE_PROPERTIES) is not None
    )


def _property_labels(path: Path, cloud: PointCloud) -> tuple[np.ndarray, np.ndarray]:
    """Class numbers and instance numbers, int64, -1 none."""
    table = None if cloud.source is None else cloud.source.table
    if table is None or table.dtype.names is None:
        raise UserError(f"{path}: its properties could not be read; put {_gt_file(path).name} beside it")
    columns = []
    for wanted in (SEMANTIC_PROPERTIES, INSTANCE_PROPERTIES):
        name = _property(list(table.dtype.names), wanted)
        columns.append(np.full(len(cloud), -1) if name is None else _integers(path, name, table[name]))
    return columns[0], columns[1]


def _integers(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        values = np.where(np.isfinite(values), values, -1)
        if (values != np.rint(values)).any():
            raise UserError(f"{path}: property {name!r} holds fractions, labels are whole numbers")
    none = np.iinfo(values.dtype).max if values.dtype.kind == "u" else None
    numbers = np.maximum(values.astype(np.int64), -1)
    return numbers if none is None else np.where(values == none, -1, numbers)


def _named_classes(root: Path) -> dict[int, str] | None:
    """Number → name from `classes.json` or `classes.txt`, None where there is neither."""
    path = root / "classes.json"
    try:
        if path.exists():
            listed = json.loads(decode(path.read_bytes()))
            named = (
                {int(k): v for k, v in listed.items()}
                if isinstance(listed, dict)
                else dict(enumerate(listed))
            )
            if not all(isinstance(name, str) for name in named.values()):
                raise ValueError("a class name is not a string")
            return named
        path = root / "classes.txt"
        if path.exists():
            lines = decode(path.read_bytes()).splitlines()
            return {k: line.strip() for k, line in enumerate(lines) if line.strip()}
    except (ValueError, TypeError, OSError) as error:
        raise UserError(f"{path}: expected a list of class names, or numbers to names ({error})") from None
    return None


def save_scan(root: Path | str, scan: Scan) -> Path:
    """Write `<name>.ply` with `<name>.gt.npz` beside it, as `Folder` reads them; returns the cloud's file.

    Instances of one scan must not overlap: the best-scored one keeps shared points.
    """
    from gestalt3d.io import atomic_path, save_cloud

    folder = Path(root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot write there ({error.strerror}); name another folder with --out"
        ) from None
    packed, vocabulary = pack(scan), scan.truth.vocabulary
    file = folder / f"{scan.name}.ply"
    save_cloud(file, scan.input)
    with atomic_path(folder / f"{scan.name}.gt.npz") as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            semantic=packed.semantic.astype(np.int32),
            instance=packed.instance.astype(np.int32),
            class_names=np.array(vocabulary.names),
            structure=vocabulary.is_structure,
        )
    return file

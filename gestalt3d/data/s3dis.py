"""S3DIS (Armeni et al., CVPR 2016): 272 rooms in six areas, thirteen classes.

`root` is the folder of `Area_1` … `Area_6` with the official annotated text files
(`Area_1/office_1/Annotations/chair_1.txt`, columns x y z r g b; one file, one instance), or a folder of
`Area_1_office_1.npy` (n, 8) with x y z, r g b in 0–255 or 0–1, class and instance. Either may lie one level
deeper. A file's name gives the class; an unknown one, "stairs", is clutter. Coordinates stay where they
are: the cloud's `origin` is the room's lower corner in whole metres. One line of Area_5/hallway_6 holds a
control byte inside a number; such lines are mended and noted.
"""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from gestalt3d.data import Official, Seen
from gestalt3d.data.cache import Packed, ScanCache, digest, digest_of_files, unpack
from gestalt3d.data.relabel import relabel
from gestalt3d.data.scoring import LabelledClouds
from gestalt3d.encoding import open_unmarked
from gestalt3d.errors import UserError
from gestalt3d.io.submission import RoomSubmission
from gestalt3d.metrics.matching import majority
from gestalt3d.structures.colors import scaled_colors
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import S3DIS as CLASSES
from gestalt3d.structures.vocabulary import Vocabulary, mapping

ROOMS: dict[str, dict[str, int]] = {
    "Area_1": {"WC": 1, "conferenceRoom": 2, "copyRoom": 1, "hallway": 8, "office": 31, "pantry": 1},
    "Area_2": {"WC": 2, "auditorium": 2, "conferenceRoom": 1, "hallway": 12, "office": 14, "storage": 9},
    "Area_3": {"WC": 2, "conferenceRoom": 1, "hallway": 6, "lounge": 2, "office": 10, "storage": 2},
    "Area_4": {"WC": 4, "conferenceRoom": 3, "hallway": 14, "lobby": 2, "office": 22, "storage": 4},
    "Area_5": {
        "WC": 2,
        "conferenceRoom": 3,
        "hallway": 15,
        "lobby": 1,
        "office": 42,
        "pantry": 1,
        "storage": 4,
    },
    "Area_6": {
        "conferenceRoom": 1,
        "copyRoom": 1,
        "hallway": 6,
        "lounge": 1,
        "office": 37,
        "openspace": 1,
        "pantry": 1,
    },
}
"""How many rooms of each kind an area has, numbered from 1."""

_FORMAT = 1  # of the cached arrays


def official_rooms(area: str) -> list[str]:
    """Names of an area's rooms, such as "office_1"."""
    return [f"{kind}_{k}" for kind, count in ROOMS[area].items() for k in range(1, count + 1)]


def areas_of(split: str) -> list[str]:
    """Areas of "area5", "not5" or "all"."""
    if split == "all":
        return list(ROOMS)
    if not (match := re.fullmatch(r"(area|not)([1-6])", split)):
        raise UserError(f"s3dis has no split {split!r}; it has area1 … area6, not1 … not6 and all")
    chosen = f"Area_{match[2]}"
    return [chosen] if match[1] == "area" else [area for area in ROOMS if area != chosen]


class S3DIS(LabelledClouds):
    """The rooms of a split that are there, in order of their names ("Area_5_hallway_6")."""

    def __init__(
        self,
        root: Path | str,
        split: str = "all",
        *,
        vocabulary: Vocabulary | None = None,
        limit: int | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        areas = areas_of(split)
        rooms = {name: path for area in areas for name, path in sorted(find_rooms(Path(root), area).items())}
        if not rooms:
            raise UserError(
                f"{root}: no rooms of {split}; expected Area_5/office_1/Annotations or Area_5_office_1.npy "
                "(ask for S3DIS at http://buildingparser.stanford.edu)"
            )
        self.split = split
        self.vocabulary = CLASSES if vocabulary is None else vocabulary
        self.names = list(rooms)[:limit]
        self._paths = [rooms[name] for name in self.names]
        self._cache = ScanCache(f"s3dis-{_FORMAT}-{digest(str(Path(root).resolve()))}", root=cache_dir)
        self._notes = [note] if (note := mapping(CLASSES, self.vocabulary)) else []

    @property
    def notes(self) -> list[str]:
        """Lines that were mended, and whether anything can be cached."""
        return self._notes + self._cache.notes

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self, i: int) -> str:
        """Changes when a file of the room does."""
        return f"{self._paths[i].resolve()}-{self._key(i)}"

    def official(self, folder: Path, vocabulary: Vocabulary) -> Official:
        """What was found and the truth, as `RoomSubmission` writes them; figures are those of what was written."""
        return _Rooms(RoomSubmission(folder, vocabulary, self.vocabulary))

    def _key(self, i: int) -> str:
        path = self._paths[i]
        files = annotation_files(path) if path.is_dir() else [path]
        return f"{self.names[i]}-{digest_of_files(*files)}"

    def __getitem__(self, i: int) -> Scan:
        path = self._paths[i]
        packed = self._cache.get(self._key(i), lambda: read_room(path, self._notes))
        return relabel(unpack(packed, self.names[i], CLASSES), self.vocabulary)


class _Rooms:
    """Writes rooms into a submission. In its files no point is in two instances, and an instance has no class but that of
    most of its points: that is what is scored.
    """

    takes_unlabelled = False

    def __init__(self, submission: RoomSubmission) -> None:
        self._submission = submission

    def add(self, found: Instances, seen: Seen) -> Seen:
        truth, found = seen.scan.truth, seen.found
        if not len(truth):
            return seen
        semantic, predicted, labels = (
            truth.classes_of_elements(),
            found.classes_of_elements(),
            found.to_labels(),
        )
        self._submission.add(
            seen.scan.name,
            semantic=semantic.numpy(),
            instance=truth.to_labels().numpy(),
            predicted_semantic=predicted.numpy(),
            predicted_instance=labels.numpy(),
        )
        voting = torch.where(semantic >= 0, labels, -1).numpy()
        classes = torch.from_numpy(majority(voting, predicted.numpy(), len(found)))
        left = Instances.from_labels(
            labels, classes, found.scores, vocabulary=found.vocabulary, element_classes=predicted
        )
        return seen._replace(found=left[left.sizes > 0])


def find_rooms(root: Path, area: str) -> dict[str, Path]:
    """Name → folder of annotations or `.npy` file, in `root` or one level below it. Annotations win."""
    rooms: dict[str, Path] = {}
    for folder in _with_children(root):
        for file in folder.glob(f"{area}_*.npy"):
            rooms.setdefault(file.stem, file)
    for folder in _with_children(root):
        for annotations in folder.glob(f"{area}/*/Annotations"):
            rooms[f"{area}_{annotations.parent.name}"] = annotations
    return rooms


def _with_children(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        raise UserError(f"{root}: not a folder; name the one that holds Area_1 … Area_6 with --root")
    yield root
    yield from sorted(child for child in root.iterdir() if child.is_dir())


def read_room(path: Path, notes: list[str]) -> Packed:
    """A room from its folder of annotations or its `.npy`; what had to be mended is appended to `notes`."""
    return _from_table(path) if path.suffix == ".npy" else _from_annotations(path, notes)


def annotation_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.txt") if not file.name.startswith("."))


def class_of(file: Path) -> int | None:
    """Class of an annotation file by its name, None for a class that S3DIS does not list."""
    name = file.stem.rsplit("_", 1)[0]
    return CLASSES.id(name) if name in CLASSES.names else None


def _from_annotations(folder: Path, notes: list[str]) -> Packed:
    files = annotation_files(folder)
    tables = [read_annotation(file, notes) for file in files]
    sizes = [len(table) for table in tables]
    if not sum(sizes):
        raise UserError(f"{folder}: no points in its *.txt; unpack the room again")
    known = [class_of(file) for file in files]
    classes = np.array([CLASSES.id("clutter") if c is None else c for c in known], dtype=np.int16)
    instance = np.repeat(np.arange(len(files)), sizes)
    return _packed(np.concatenate(tables), classes[instance], instance, classes)


def _from_table(path: Path) -> Packed:
    try:
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path}: not a readable .npy ({error}); convert the room again") from None
    if table.ndim != 2 or table.shape[1] < 8 or not len(table) or table.dtype.kind not in "fiu":
        raise UserError(
            f"{path}: expected numbers (n, 8) x y z r g b class instance, got {table.dtype} {table.shape}"
        )
    semantic = table[:, 6].astype(np.int64)
    if semantic.min() < -1 or semantic.max() >= len(CLASSES):
        raise UserError(
            f"{path}: classes must lie in [0, {len(CLASSES)}), got {semantic.min()} … {semantic.max()}"
        )
    _, first, instance = np.unique(table[:, 7].astype(np.int64), return_index=True, return_inverse=True)
    rows = np.asarray(table[:, :6], dtype=np.float64)
    colors, _ = scaled_colors((rows[:, 3], rows[:, 4], rows[:, 5]))
    rows[:, 3:] = 0 if colors is None else colors * 255
    return _packed(rows, semantic, instance, semantic[first])


def _packed(table: np.ndarray, semantic: np.ndarray, instance: np.ndarray, classes: np.ndarray) -> Packed:
    origin = np.floor(table[:, :3].min(axis=0))
    return Packed(
        points=(table[:, :3] - origin).astype(np.float32),
        colors=np.clip(np.rint(table[:, 3:6]), 0, 255).astype(np.uint8),
        instance=instance.astype(np.int32).reshape(-1),
        semantic=semantic.astype(np.int16),
        classes=classes.astype(np.int16),
        origin=origin,
    )


_NUMBER_BYTES = b"0123456789+-.eE \t\r\n"


def read_annotation(file: Path, notes: list[str]) -> np.ndarray:
    """(n, 6) float64 x y z r g b. Lines that bulk parsing cannot read are mended one by one."""
    with open_unmarked(file) as stream:
        raw = stream.read()
    if not has_foreign_bytes(raw):
        try:
            with warnings.catch_warnings():
                # Older NumPy warns and stops where newer NumPy raises.
                warnings.simplefilter("error", DeprecationWarning)
                values = np.fromstring(raw, sep=" ", dtype=np.float64)
        except (ValueError, DeprecationWarning):
            values = np.zeros(1)
        lines = raw.count(b"\n")
        if len(values) in (6 * lines, 6 * lines + 6) and _are_colors(values.reshape(-1, 6)[:, 3:]):
            return values.reshape(-1, 6)
    return _line_by_line(file, raw, notes)


def _are_colors(values: np.ndarray) -> bool:
    """Not so when a line has too few numbers: coordinates slip into these columns."""
    return bool(((values >= 0) & (values <= 255) & (values == np.rint(values))).all())


def has_foreign_bytes(raw: bytes) -> bool:
    """Whether anything but numbers and white space is in it."""
    return bool(raw.translate(None, _NUMBER_BYTES))


def _line_by_line(file: Path, raw: bytes, notes: list[str]) -> np.ndarray:
    rows = []
    for number, line in enumerate(raw.splitlines(), 1):
        if not line.strip():
            continue
        if (row := _numbers(line)) is None:
            # A stray byte either interrupts a number or stands where a space should be.
            joined = bytes(c for c in line if c in _NUMBER_BYTES)
            spaced = bytes(c if c in _NUMBER_BYTES else ord(" ") for c in line)
            row = _numbers(joined) or _numbers(spaced)
            if row is None:
                raise UserError(
                    f"{file}, line {number}: expected x y z r g b, got {line[:60]!r}; unpack the room again"
                )
            notes.append(f"{file}, line {number}: {line[:60]!r} read as {' '.join(f'{v:g}' for v in row)}")
        rows.append(row)
    return np.array(rows, dtype=np.float64).reshape(-1, 6)


def _numbers(line: bytes) -> list[float] | None:
    try:
        row = [float(field) for field in line.split()]
    except ValueError:
        return None
    return row if len(row) == 6 and np.isfinite(row).all() and _are_colors(np.array(row[3:])) else None

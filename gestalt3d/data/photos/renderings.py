"""Renderings of ShapeNet as the Neural Mesh Renderer (Kato et al., CVPR 2018) and SoftRas publish them, on which A3D is trained.

`root` holds `<synset>_<split>_images.npz`: its first array is (objects, 24, 4, 64, 64) uint8, red, green, blue and alpha. View k
has the elevation 30°, the distance 2.732 and the azimuth -15 k° (`azimuth`). 13 classes; train, val and test are the authors';
A3D's 39,405 objects are those of train and test. An object is what alpha is above a half; nothing hides it, so that what is
visible is the whole.

An archive is read as it lies where it is not compressed, and else unpacked once into a file that is gone with the process.
"""

import io
import math
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from gestalt3d.coco.runs import Runs
from gestalt3d.data.cache import digest
from gestalt3d.data.photos.annotated import LabelledPhotos
from gestalt3d.data.photos.truth import truth_of, view_of
from gestalt3d.data.relabel import relabelled
from gestalt3d.errors import UserError
from gestalt3d.structures.samples import LabelledView
from gestalt3d.structures.vocabulary import SHAPENET13, Vocabulary, mapping

SYNSETS = {
    "02691156": "airplane", "02828884": "bench", "02933112": "cabinet", "02958343": "car", "03001627": "chair",
    "03211117": "display", "03636649": "lamp", "03691459": "speaker", "04090263": "rifle", "04256520": "sofa",
    "04379243": "table", "04401088": "phone", "04530566": "vessel",
}  # fmt: skip
SPLITS = ("train", "val", "test")
VIEWS, SIZE = 24, 64
ELEVATION, DISTANCE = 30.0, 2.732
_OPAQUE = 128
_MOST_BYTES = 8 << 30
"""Of an array: the largest, of 5,958 tables, has 2.3 GB."""
_LONGEST_HEADER = 1 << 16
_PIECE = 1 << 22


def azimuth(view: int) -> float:
    """Degrees."""
    return -15.0 * view


class _Place(NamedTuple):
    path: Path
    synset: str
    row: int
    view: int


class Renderings(LabelledPhotos):
    """Views of the objects of a split ("train", "val", "test", or "all" that are there), "chair_train_00012_03" by name."""

    def __init__(
        self,
        root: Path | str,
        split: str = "all",
        *,
        vocabulary: Vocabulary | None = None,
        limit: int | None = None,
    ) -> None:
        if split not in (*SPLITS, "all"):
            raise UserError(f"nmr has no split {split!r}; it has {', '.join(SPLITS)} and all")
        self.vocabulary = SHAPENET13 if vocabulary is None else vocabulary
        self._arrays: dict[Path, _Array] = {}
        self._places: list[_Place] = []
        self.names: list[str] = []
        missing = []
        for part in SPLITS if split == "all" else (split,):
            for synset, name in SYNSETS.items():
                path = Path(root) / f"{synset}_{part}_images.npz"
                if not path.is_file():
                    missing.append(path.name)
                    continue
                self._arrays[path] = _Array(path)
                for row in range(self._arrays[path].count):
                    self._places += [_Place(path, synset, row, view) for view in range(VIEWS)]
                    self.names += [f"{name}_{part}_{row:05d}_{view:02d}" for view in range(VIEWS)]
        if not self._arrays:
            raise UserError(
                f"{root}: holds no <synset>_{'*' if split == 'all' else split}_images.npz; name the folder of "
                "mesh_reconstruction's data with --root"
            )
        self._places, self.names = self._places[:limit], self.names[:limit]
        self.notes = [
            f"{len(missing)} files are not there: {', '.join(missing[:3])}{', …' * (len(missing) > 3)}"
        ] * bool(missing)
        if note := mapping(SHAPENET13, self.vocabulary):
            self.notes.append(note)

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self, i: int) -> str:
        """Changes when the file does."""
        place, about = self._places[i], self._places[i].path.stat()
        return digest(place.path.name, about.st_size, about.st_mtime_ns, place.row, place.view)

    def __getitem__(self, i: int) -> LabelledView:
        if not 0 <= i < len(self):
            raise IndexError(f"nmr has {len(self)} views, asked for {i}")
        place = self._places[i]
        pixels = self._arrays[place.path].view(place.row, place.view)
        view = view_of(pixels[:3].transpose(1, 2, 0), place.path)
        mask = Runs.from_masks([pixels[3] >= _OPAQUE])
        classes = np.array([SHAPENET13.id(SYNSETS[place.synset])])
        truth = truth_of(mask, mask, classes, len(view), SHAPENET13)
        return LabelledView(self.names[i], view, relabelled(truth, self.vocabulary))


class _Array:
    """The first array of an archive, of which one view is read at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | zipfile.ZipExtFile | None = None
        try:
            with zipfile.ZipFile(path) as archive:
                self._member = next(
                    (one for one in archive.infolist() if one.filename.endswith(".npy")), None
                )
                if self._member is None:
                    raise ValueError("it holds no array")
                if self._member.file_size > _MOST_BYTES:
                    raise ValueError(f"its array would unpack to {self._member.file_size / 1e9:.0f} GB")
                with archive.open(self._member) as stream:
                    head = io.BytesIO(stream.read(_LONGEST_HEADER))
            self.count, self._start = _layout(head)
            if self._start + self.count * VIEWS * 4 * SIZE * SIZE != self._member.file_size:
                raise ValueError("its array claims another size than it has")
        except (
            OSError,
            ValueError,
            EOFError,
            NotImplementedError,
            RuntimeError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise self._damaged(error) from None

    def view(self, row: int, number: int) -> np.ndarray:
        """(4, 64, 64) uint8."""
        size = 4 * SIZE * SIZE
        try:
            if self._file is None:
                self._file = self._unpacked()
            self._file.seek(self._start + (row * VIEWS + number) * size)
            data = self._file.read(size)
        except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise self._damaged(error) from None
        if len(data) < size:
            raise self._damaged(EOFError("it is cut off"))
        return np.frombuffer(data, np.uint8).reshape(4, SIZE, SIZE)

    def _unpacked(self) -> IO[bytes] | zipfile.ZipExtFile:
        assert self._member is not None
        archive = zipfile.ZipFile(self.path)
        if self._member.compress_type == zipfile.ZIP_STORED:
            return archive.open(self._member)
        with archive, archive.open(self._member) as stream:
            file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
            while piece := stream.read(_PIECE):
                file.write(piece)
        return file

    def _damaged(self, error: BaseException) -> UserError:
        return UserError(f"{self.path}: cannot be read as renderings ({str(error)[:120]}); copy it again")

    def __getstate__(self) -> dict[str, Any]:
        """Workers of a loader open the file anew."""
        return self.__dict__ | {"_file": None}


def _layout(head: io.BytesIO) -> tuple[int, int]:
    """Objects, and where their pixels begin; `ValueError` for another kind of array."""
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(head)
    if len(shape) != 5 or shape[1:] != (VIEWS, 4, SIZE, SIZE) or dtype != np.uint8 or is_fortran:
        raise ValueError(f"its array is {dtype} {shape}, must be uint8 (objects, {VIEWS}, 4, {SIZE}, {SIZE})")
    return int(math.prod(shape[:1])), head.tell()

"""PASCAL3D+ (Xiang, Mottaghi, Savarese, WACV 2014): photos of 12 classes with a model and a viewpoint for each object.

`root` holds `Annotations/car_imagenet/NAME.mat`, `Images/car_imagenet/NAME.JPEG` (or .jpg), `CAD/car/01.off` and
`Image_sets/car_imagenet_train.txt`. `train` and `val` are ImageNet's part, by these lists; `all` is whatever has an annotation.

A whole mask is the silhouette of the object's model, seen by the toolbox's camera (`silhouette`). The data do not say which of
two objects is in front, nor what else hides them: an object that is marked as occluded is left out, of the others the visible
mask is the whole one. Objects of other classes, without a viewpoint or without a model are left out, too; the view's notes count
them.
"""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from gestalt3d.coco.runs import Runs
from gestalt3d.data.cache import digest_of_files
from gestalt3d.data.photos.annotated import LabelledPhotos
from gestalt3d.data.photos.truth import truth_of, view_of
from gestalt3d.data.relabel import relabelled
from gestalt3d.encoding import decode
from gestalt3d.errors import UserError
from gestalt3d.io.folders import entries
from gestalt3d.io.images import read_photo
from gestalt3d.io.mat_records import read_records
from gestalt3d.io.mesh import read_triangles
from gestalt3d.ops.rasterize import rasterize
from gestalt3d.structures.samples import LabelledView
from gestalt3d.structures.vocabulary import PASCAL12, Vocabulary, mapping

_PARTS = ("imagenet", "pascal")
_VIEWPORT = 3000.0
_SUFFIXES = (".JPEG", ".jpg", ".jpeg", ".png")
_MOST_TEXT = 16 << 20


class Viewpoint(NamedTuple):
    """A camera that looks at a model's origin, as the toolbox has it; the model's z points up."""

    azimuth: float
    """Radians, as are the others."""
    elevation: float
    distance: float
    """In units of the model."""
    turn: float
    """In the image."""
    focal: float
    """Pixels."""
    center: tuple[float, float]
    """Where the origin lies; whole numbers are the centres of pixels, counted from 0."""


class Pascal3D(LabelledPhotos):
    """Photos of a split ("train", "val" or "all"), "car_imagenet/n02814533_10003" by name."""

    label_hint = "objects are those of the .mat files that have a viewpoint and a model and are not occluded"

    def __init__(
        self,
        root: Path | str,
        split: str = "all",
        *,
        vocabulary: Vocabulary | None = None,
        limit: int | None = None,
    ) -> None:
        if split not in ("train", "val", "all"):
            raise UserError(f"pascal3d has no split {split!r}; it has train, val and all")
        self.root = Path(root)
        if not (self.root / "Annotations").is_dir() or not (self.root / "CAD").is_dir():
            raise UserError(
                f"{root}: has no folders Annotations and CAD; name PASCAL3D+_release1.1 with --root"
            )
        self.vocabulary = PASCAL12 if vocabulary is None else vocabulary
        wanted = [name for part in self._folders(split) for name in self._listed(part, split)]
        self.names = [
            name for name in wanted if self._photo(name) is not None and self._annotation(name).is_file()
        ]
        lacking = len(wanted) - len(self.names)
        if not self.names:
            raise UserError(
                f"{root}: holds no photo of {split} with its annotation; unpack the archive again"
            )
        self.names = self.names[:limit]
        self.notes = [f"{lacking:,} of {len(wanted):,} photos or annotations are not there"] * bool(lacking)
        self.notes.append("visible masks are the whole ones: occluded objects are left out")
        if note := mapping(PASCAL12, self.vocabulary):
            self.notes.append(note)
        self._models: dict[tuple[str, int], tuple[torch.Tensor, torch.Tensor] | None] = {}

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self, i: int) -> str:
        """Changes when the photo or its annotation does."""
        photo = self._photo(self.names[i])
        return digest_of_files(self._annotation(self.names[i]), *([photo] if photo else []))

    def __getitem__(self, i: int) -> LabelledView:
        name = self.names[i]
        photo, path = self._photo(name), self._annotation(name)
        if photo is None:
            raise UserError(f"{self.root / 'Images' / name}: its photo is gone; copy it again")
        try:
            image = read_photo(photo)
        except OSError as error:
            raise UserError(f"{photo}: cannot be read ({error.strerror or error})") from error
        height, width = image.shape[:2]
        masks, classes, odd = [], [], Counter[str]()
        for one in _objects(path):
            category, view = one.get("class"), _viewpoint(one.get("viewpoint"))
            number = _number(one.get("cad_index"))
            model = self._model(category, int(number)) if category in PASCAL12.names and number >= 1 else None
            if category not in PASCAL12.names:
                odd["of other classes"] += 1
            elif _number(one.get("occluded")) > 0:
                odd["occluded"] += 1
            elif view is None:
                odd["without a viewpoint"] += 1
            elif model is None:
                odd["without a model"] += 1
            else:
                masks.append(silhouette(*model, view, (height, width)))
                classes.append(PASCAL12.id(category))
        runs = Runs.from_masks(masks)
        seen = view_of(image, photo)
        truth = truth_of(runs, runs, np.array(classes, np.int64), len(seen), PASCAL12)
        if odd:
            said = ", ".join(f"{count} {words}" for words, count in odd.items())
            seen = type(seen)(seen.image, path=photo, notes=(f"objects left out: {said}",))
        return LabelledView(name, seen, relabelled(truth, self.vocabulary))

    def _folders(self, split: str) -> list[str]:
        parts = _PARTS if split == "all" else _PARTS[:1]
        return [f"{name}_{part}" for name in PASCAL12.names for part in parts]

    def _listed(self, part: str, split: str) -> list[str]:
        if split == "all":
            folder = self.root / "Annotations" / part
            return [
                f"{part}/{p.stem}" for p in (entries(folder) if folder.is_dir() else []) if p.suffix == ".mat"
            ]
        path = self.root / "Image_sets" / f"{part}_{split}.txt"
        try:
            if path.stat().st_size > _MOST_TEXT:
                raise UserError(f"{path}: is too long for a list of photos; copy it again")
            words = decode(path.read_bytes()).split()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
        if odd := [word for word in words if "/" in word or "\\" in word or word.startswith(".")]:
            raise UserError(f"{path}: lists {odd[0][:40]!r}, no name of a photo; copy the file again")
        return [f"{part}/{word}" for word in words]

    def _annotation(self, name: str) -> Path:
        return self.root / "Annotations" / f"{name}.mat"

    def _photo(self, name: str) -> Path | None:
        paths = (self.root / "Images" / f"{name}{suffix}" for suffix in _SUFFIXES)
        return next((path for path in paths if path.is_file()), None)

    def _model(self, category: str, number: int) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Vertices and faces; None where there is no such file."""
        key = category, number
        if key not in self._models:
            path = self.root / "CAD" / category / f"{number:02d}.off"
            read = read_triangles(path) if path.is_file() else None
            self._models[key] = (
                None if read is None else (torch.from_numpy(read[0]), torch.from_numpy(read[1]))
            )
        return self._models[key]


def silhouette(
    vertices: torch.Tensor, faces: torch.Tensor, view: Viewpoint, size: tuple[int, int]
) -> np.ndarray:
    """(h, w) bool: the pixels whose middle the model covers; `vertices` (v, 3) in its own frame, `size` (height, width)."""
    a, e = view.azimuth, view.elevation
    eye = view.distance * np.array([np.cos(e) * np.sin(a), -np.cos(e) * np.cos(a), np.sin(e)])
    right = np.array([np.cos(a), np.sin(a), 0])
    ahead = -eye / view.distance
    up = np.cross(right, ahead)
    c, s = np.cos(view.turn), np.sin(view.turn)
    # From x right and y down, turned in the image against the clock.
    axes = np.stack([c * right - s * up, -(s * right + c * up), ahead])
    in_camera = (vertices.double().numpy() - eye) @ axes.T
    found = rasterize(
        torch.from_numpy(in_camera).float(),
        faces,
        focal=(view.focal, view.focal),
        center=view.center,
        size=size,
    )
    return (found.face >= 0).numpy()


def _objects(path: Path) -> list[dict[str, Any]]:
    records = read_records(path, "record")
    for record in records.rows(range(min(len(records), 1)), ("objects",)):
        found = record.get("objects")
        if isinstance(found, list):
            return [one for one in found if isinstance(one, dict)]
    raise UserError(f"{path}: its record has no objects; copy the file again")


def _viewpoint(value: Any) -> Viewpoint | None:
    """None where only a coarse one is given, which is said by a distance of 0."""
    own = value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else {}
    names = ("azimuth", "elevation", "distance", "theta", "px", "py")
    azimuth, elevation, distance, turn, px, py = (_number(own.get(name)) for name in names)
    focal = (_number(own.get("focal")) or 1.0) * (_number(own.get("viewport")) or _VIEWPORT)
    if not distance > 0 or not np.isfinite([azimuth, elevation, distance, turn, px, py, focal]).all():
        return None
    angles = np.deg2rad([azimuth, elevation, turn])
    # MATLAB's pixels count from 1.
    return Viewpoint(float(angles[0]), float(angles[1]), distance, float(angles[2]), focal, (px - 1, py - 1))


def _number(value: Any) -> float:
    """0 for what is none."""
    return (
        float(value.flat[0])
        if isinstance(value, np.ndarray) and value.size and value.dtype.kind in "iufb"
        else 0.0
    )

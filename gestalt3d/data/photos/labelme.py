"""Photos labelled with labelme: a folder of photos with a .json beside each.

Outlines (polygons, rectangles, circles) of one label and one `group_id` are one object; without a group each is its own. An
outline with the flag or the description "whole" is the object's amodal mask, so that an object of which something is hidden has
two outlines in a group: what is visible, and the whole. An object without such an outline is whole as it is; one that has no
other is hidden altogether. Where no outline of the folder is so marked, the data know nothing of what is whole. Masks are filled
by COCO's rule.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gestalt3d.coco.json_text import needed, needed_int, needed_list, read_json
from gestalt3d.coco.polygons import FARTHEST, fill_polygons
from gestalt3d.coco.runs import MOST_PIXELS, Runs
from gestalt3d.data.cache import digest_of_files
from gestalt3d.data.photos.annotated import LabelledPhotos
from gestalt3d.data.photos.places import PhotoFiles
from gestalt3d.data.photos.truth import truth_of, view_of
from gestalt3d.data.relabel import relabelled
from gestalt3d.errors import UserError
from gestalt3d.io.folders import entries
from gestalt3d.io.images import read_annotated
from gestalt3d.structures.samples import LabelledView
from gestalt3d.structures.vocabulary import Vocabulary, mapping

WHOLE = "whole"
"""The flag or description of an amodal outline."""
_ROUND = 64
"""Corners of a circle."""
_FEWEST = {"polygon": 3, "rectangle": 2, "circle": 2}
"""Points of each kind of outline."""


class _Object(NamedTuple):
    label: str
    visible: list[np.ndarray]
    whole: list[np.ndarray]


class _File(NamedTuple):
    path: Path
    photo: Path
    size: tuple[int, int]
    """Height and width."""
    objects: list[_Object]


class Labelme(LabelledPhotos):
    """The labelled photos of a folder, by the names of their files. Classes are the labels, in alphabetical order."""

    label_hint = "objects are the outlines in labelme's files"

    def __init__(
        self, root: Path | str, *, vocabulary: Vocabulary | None = None, limit: int | None = None
    ) -> None:
        folder, odd = Path(root), Counter[str]()
        if not folder.is_dir():
            raise UserError(f"{folder}: not a folder; name the one of labelme's files and photos with --root")
        photos = PhotoFiles(folder / "any.json")
        found = (_read(path, photos, odd) for path in entries(folder) if path.suffix == ".json")
        self._files = [one for one in found if one is not None]
        if not self._files:
            raise UserError(
                f"{folder}: holds no file of labelme, *.json with 'shapes'; name the folder with --root"
            )
        labels = sorted({own.label for one in self._files for own in one.objects})
        self._source = Vocabulary("labelme", tuple(labels))
        self.vocabulary = self._source if vocabulary is None else vocabulary
        self._knows_whole = any(own.whole for one in self._files for own in one.objects)
        self._files = self._files[:limit]
        self.names = [one.path.stem for one in self._files]
        self.notes = [f"{words}: {count:,}" for words, count in odd.items()]
        if not self._knows_whole:
            self.notes.append(f"no outline is marked {WHOLE!r}: nothing is known of what is hidden")
        if note := mapping(self._source, self.vocabulary):
            self.notes.append(note)

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self, i: int) -> str:
        """Changes when the photo or its file does."""
        return digest_of_files(self._files[i].path, self._files[i].photo)

    def without_instances(self) -> list[str]:
        """Photos without an outline."""
        return [name for name, one in zip(self.names, self._files, strict=True) if not one.objects]

    def __getitem__(self, i: int) -> LabelledView:
        one = self._files[i]
        height, width = one.size
        view = view_of(read_annotated(one.photo, (width, height), one.path), one.photo)
        visible = _masks([own.visible for own in one.objects], one.size)
        whole = None
        if self._knows_whole:
            drawn = _masks([own.whole or own.visible for own in one.objects], one.size)
            # What is visible of an object belongs to it, however coarsely its whole outline is drawn.
            whole = drawn.union(visible)
        classes = np.array([self._source.id(own.label) for own in one.objects], np.int64)
        truth = truth_of(visible, whole, classes, len(view), self._source)
        return LabelledView(self.names[i], view, relabelled(truth, self.vocabulary))


def _read(path: Path, photos: PhotoFiles, odd: Counter[str]) -> _File | None:
    """None for JSON that is none of labelme's."""
    data = read_json(path)
    if not isinstance(data, dict) or "shapes" not in data:
        return None
    height, width = (needed_int(path, data, key, "the file") for key in ("imageHeight", "imageWidth"))
    if min(height, width) < 1 or max(height, width) > MOST_PIXELS or height * width > MOST_PIXELS:
        raise UserError(f"{path}: is of a photo of {width} x {height}, must be 1 to {MOST_PIXELS:,} pixels")
    groups: dict[Any, _Object] = {}
    for number, shape in enumerate(needed_list(path, data, "shapes", "the file"), 1):
        what = f"shape {number}"
        label, points = str(needed(path, shape, "label", what)), needed(path, shape, "points", what)
        corners = _corners(path, shape.get("shape_type", "polygon"), points, what, odd)
        if corners is None:
            continue
        group = shape.get("group_id")
        own = groups.setdefault(
            (label, number, None) if group is None else (label, 0, str(group)), _Object(label, [], [])
        )
        flags = shape.get("flags")
        is_whole = shape.get("description") == WHOLE or (isinstance(flags, dict) and flags.get(WHOLE) is True)
        (own.whole if is_whole else own.visible).append(corners)
    return _File(
        path,
        _photo(path, photos, needed(path, data, "imagePath", "the file")),
        (height, width),
        [*groups.values()],
    )


def _photo(path: Path, photos: PhotoFiles, name: Any) -> Path:
    # labelme writes the way from the file to the photo, which may have been copied elsewhere since.
    own = str(name).replace("\\", "/").rpartition("/")[2]
    try:
        found = photos.find(own)
    except ValueError as error:
        raise UserError(f"{path}: imagePath: {error}") from None
    if found is None:
        raise UserError(f"{path}: its photo {own[:80]} is not beside it; copy it there")
    return found


def _corners(path: Path, kind: Any, points: Any, what: str, odd: Counter[str]) -> np.ndarray | None:
    """(c, 2) float64; None for what has no area."""
    try:
        array = np.array(points, np.float64)
    except (ValueError, TypeError):
        array = np.zeros(0)
    if array.ndim != 2 or array.shape[-1] != 2 or not (np.abs(array) <= FARTHEST).all():
        raise UserError(f"{path}: points of {what} are no list of x, y in pixels; save the file again")
    if kind not in _FEWEST:
        odd[f"shapes of kind {str(kind)[:20]}, left out"] += 1
        return None
    if len(array) < _FEWEST[kind]:
        odd[f"{kind}s of fewer than {_FEWEST[kind]} points, left out"] += 1
        return None
    if kind == "rectangle":
        (left, top), (right, bottom) = array[0], array[1]
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    if kind == "circle":
        angle = np.linspace(0, 2 * np.pi, _ROUND, endpoint=False)
        return array[0] + np.linalg.norm(array[1] - array[0]) * np.stack(
            [np.cos(angle), np.sin(angle)], axis=1
        )
    return array


def _masks(outlines: Sequence[list[np.ndarray]], size: tuple[int, int]) -> Runs:
    """A mask of the outlines of each object."""
    amount = np.array([max(len(own), 1) for own in outlines], np.int64)
    nothing = [np.zeros((0, 2))]
    each = [corners for own in outlines for corners in (own or nothing)]
    return fill_polygons(each, np.array([size] * len(each), np.int64).reshape(-1, 2)).joined(amount)

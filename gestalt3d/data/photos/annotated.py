"""Photos with files of annotations in the manner of COCO: COCOA, COCOA-cls, D2SA, KINS, UOAIS, SynTable, and your own.

Which keys a file has is told by the file (`coco.layouts`). Visible masks are an object's `masks`, amodal ones its `whole`; of
plain COCO there are no whole ones. Crowds are no objects, nor is what has no pixel; both are counted in the notes, as is what
is odd in the files. Photos are looked for by `file_name` below the file's folder and the one around it.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from gestalt3d.coco.annotations import ANYTHING, Annotations, expect_visible, read_annotations
from gestalt3d.coco.layouts import COCO
from gestalt3d.data import Evaluator
from gestalt3d.data.cache import digest_of_files
from gestalt3d.data.photos.places import PhotoFiles, annotation_files
from gestalt3d.data.photos.scores import PhotoScores
from gestalt3d.data.photos.truth import truth_of, view_of
from gestalt3d.data.relabel import relabelled
from gestalt3d.data.scoring import LabelledClouds
from gestalt3d.errors import UserError
from gestalt3d.io.images import read_annotated
from gestalt3d.structures.samples import LabelledView
from gestalt3d.structures.vocabulary import Vocabulary, mapping

_TITLES = {
    "cocoa": ("COCOA",),
    "cocoa-cls": ("COCOA-cls",),
    "d2sa": ("COCOA-cls",),
    "kins": ("KINS 2020", "KINS 2019"),
    "uoais": ("UOAIS", "COCOA-cls"),
}
"""Layouts that a data set's files have."""


class LabelledPhotos(LabelledClouds):
    """Base of the readers of photos."""

    def evaluator(self, vocabulary: Vocabulary, *, class_agnostic: bool = False) -> Evaluator:
        """That of masks in photos, by COCO's rule."""
        return PhotoScores(vocabulary, class_agnostic=class_agnostic)


class AnnotatedPhotos(LabelledPhotos):
    """The photos of a split that are there, in the order of the file, by the names of their files less the suffix."""

    label_hint = "objects are those of the file of annotations"

    def __init__(
        self,
        root: Path | str,
        split: str = "",
        *,
        kind: str = "coco-amodal",
        vocabulary: Vocabulary | None = None,
        limit: int | None = None,
        annotator: int = 0,
    ) -> None:
        self.files = annotation_files(kind, Path(root), split)
        self.read = tuple(read_annotations(file, annotator=annotator) for file in self.files)
        for one in self.read:
            _expect_layout(one, kind)
        self._source = _vocabulary(kind, self.read)
        self.vocabulary = self._source if vocabulary is None else vocabulary
        self._photos, lacking = _photos(self.read)
        if not self._photos:
            first = self.read[0].photos[0].file if self.read[0].photos else "none is listed"
            raise UserError(
                f"{self.files[0]}: none of its {lacking:,} photos is in its folder or in one beside it ({first}); "
                "unpack them there"
            )
        self._photos = self._photos[:limit]
        self.names = _names([self.read[part].photos[row].file for part, row, _ in self._photos])
        self.notes = [
            f"{file.name}: {note}"
            for file, one in zip(self.files, self.read, strict=True)
            for note in _said(one)
        ]
        if lacking:
            self.notes.append(f"{lacking:,} of {lacking + len(self._photos):,} photos are not there")
        if note := mapping(self._source, self.vocabulary):
            self.notes.append(note)

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self, i: int) -> str:
        """Changes when the photo or the annotations do."""
        part, row, path = self._photos[i]
        return f"{row}-{digest_of_files(path, self.files[part])}"

    def without_instances(self) -> list[str]:
        """Photos in which no object is marked."""
        has = [set(one.photo[_objects(one)].tolist()) for one in self.read]
        return [
            name
            for name, (part, row, _) in zip(self.names, self._photos, strict=True)
            if row not in has[part]
        ]

    def __getitem__(self, i: int) -> LabelledView:
        if not 0 <= i < len(self):
            raise IndexError(f"{self.files[0].name} has {len(self)} photos, asked for {i}")
        part, row, path = self._photos[i]
        one = self.read[part]
        rows = np.flatnonzero(_objects(one) & (one.photo == row))
        height, width = (
            one.photos[row].size if one.photos[row].size[0] > 0 or not len(rows) else one.whole.sizes[rows[0]]
        )
        view = view_of(read_annotated(path, (int(width), int(height)), self.files[part]), path)
        whole = one.whole.take(rows)
        if one.visible is None:
            truth = truth_of(whole, None, one.category[rows], len(view), self._source)
        else:
            truth = truth_of(one.visible.take(rows), whole, one.category[rows], len(view), self._source)
        return LabelledView(self.names[i], view, relabelled(truth, self.vocabulary))


def _expect_layout(one: Annotations, kind: str) -> None:
    titles = _TITLES.get(kind)
    if kind == "coco-amodal" or (titles and one.layout is COCO and len(one.whole)):
        expect_visible(one)
    elif titles and len(one.whole) and one.layout.title not in titles:
        raise UserError(
            f"{one.path}: has the keys of {one.layout.title}, {kind} has those of {' or '.join(titles)}; read it with "
            f"-d coco-amodal --root {one.path}"
        )


def _vocabulary(kind: str, read: Sequence[Annotations]) -> Vocabulary:
    first = read[0]
    for one in read[1:]:
        if (one.names, one.category_ids) != (first.names, first.category_ids):
            raise UserError(
                f"{one.path}: its categories are others than those of {first.path}; copy them again"
            )
    if first.names == (ANYTHING,):
        return Vocabulary(kind, first.names)
    return Vocabulary(kind, first.names, first.category_ids)


def _photos(read: Sequence[Annotations]) -> tuple[list[tuple[int, int, Path]], int]:
    """Of each photo that is there the number of its file of annotations, its row and its path; and how many are not there."""
    found, lacking = [], 0
    for part, one in enumerate(read):
        files = PhotoFiles(one.path)
        for row, photo in enumerate(one.photos):
            if not photo.file:
                raise UserError(
                    f"{one.path}: image {photo.id} has no 'file_name'; write the name of the photo"
                )
            try:
                path = files.find(photo.file)
            except ValueError as error:
                raise UserError(f"{one.path}: file_name of image {photo.id}: {error}") from None
            if path is None:
                lacking += 1
            else:
                found.append((part, row, path))
    return found, lacking


def _names(files: list[str]) -> list[str]:
    """Each once: the file's own name, less its suffix, or with its folders where several have that."""
    short = [PurePosixPath(file.replace("\\", "/")).stem for file in files]
    taken = {name for name, count in Counter(short).items() if count > 1}
    long = [
        PurePosixPath(file.replace("\\", "/")).with_suffix("").as_posix().replace("/", "_") for file in files
    ]
    names = [other if own in taken else own for own, other in zip(short, long, strict=True)]
    return names if len(set(names)) == len(names) else [f"{name}_{i}" for i, name in enumerate(names)]


def _objects(one: Annotations) -> np.ndarray:
    """(n,) bool: what is an object."""
    return ~one.is_crowd & (one.whole.areas > 0)


def _said(one: Annotations) -> list[str]:
    crowds = int(one.is_crowd.sum())
    return [*one.notes, *([f"crowds, left out: {crowds:,}"] if crowds else [])]

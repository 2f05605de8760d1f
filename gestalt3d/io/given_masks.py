"""Visible masks that somebody has found in photos, as files have them: a detector's results, an export of SAM, labels by hand.

Read are COCO's annotations (and those of the amodal data sets, `coco.layouts`), a list of results, what Segment Anything writes
of an image, and labelme's shapes. Of what names several images the objects of the photo's name count.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import torch

from gestalt3d.coco.annotations import masks_of, said
from gestalt3d.coco.json_text import needed, needed_list, read_json
from gestalt3d.coco.layouts import COCOA, layout_of, regions
from gestalt3d.errors import UserError
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary

_SCORES = ("score", "predicted_iou", "iou")
"""What finders call how sure they are."""


@dataclass(frozen=True)
class _Mask:
    what: str
    """"annotation 7", in errors."""
    value: Any
    name: str | None
    """Of its class."""
    score: float


class GivenMasks:
    """The masks of a file, which is read once. `UserError` for a file that holds none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._document = read_json(path)
        if not isinstance(self._document, dict | list):
            raise UserError(
                f"{path}: must be an object or a list of masks, is {type(self._document).__name__}"
            )

    def of(self, view: View, vocabulary: Vocabulary) -> tuple[Instances, list[str]]:
        """The objects that the file has of a photo, and what was odd about them.

        Classes are the file's, in a vocabulary of its own, where it names any that `vocabulary` lacks; -1 where it names none.
        `UserError` where it says nothing of the photo, or of one of another size.
        """
        height, width = view.image.shape[1:]
        found, odd = [*self._masks_of(view)], Counter[str]()
        sizes = np.tile([[height, width]], (len(found), 1))
        read = masks_of(self.path, [one.value for one in found], sizes, [one.what for one in found])
        odd["outlines with fewer than three corners, left out"] += read.flat_outlines
        odd["masks without pixels"] += int((read.runs.areas == 0).sum())
        names = [one.name for one in found]
        used = [name for name in dict.fromkeys(names) if name is not None]
        if not set(used) <= {*vocabulary.names}:
            vocabulary = Vocabulary(self.path.stem, tuple(used), tuple(range(len(used))))
        pixels = [torch.from_numpy(read.runs.pixels(i)) for i in range(len(found))]
        seen = Instances(
            masks=Sets.of(pixels, height * width),
            classes=torch.tensor([-1 if n is None else vocabulary.id(n) for n in names], dtype=torch.int64),
            scores=torch.tensor([one.score for one in found], dtype=torch.float32),
            vocabulary=vocabulary,
        )
        return seen, [f"{self.path.name}: {line}" for line in said(odd)]

    def _masks_of(self, view: View) -> Iterator[_Mask]:
        document = self._document
        if isinstance(document, dict) and "shapes" in document:
            return self._labelme()
        if isinstance(document, dict) and "images" in document:
            return self._annotations(view)
        entries = (
            document
            if isinstance(document, list)
            else needed_list(self.path, document, "annotations", "the file")
        )
        return self._entries(entries)

    def _annotations(self, view: View) -> Iterator[_Mask]:
        """Of the photo of that name, or of the file's only one."""
        images = needed_list(self.path, self._document, "images", "the file")
        entries = needed_list(self.path, self._document, "annotations", "the file")
        ids = [needed(self.path, one, "id", f"image {i + 1}") for i, one in enumerate(images)]
        files = [_base(str(one.get("file_name", ""))) for one in images]
        name = "" if view.path is None else view.path.name
        own = [number for number, file in zip(ids, files, strict=True) if file == name]
        if not own and len(ids) == 1:
            own = ids
        if not own:
            raise UserError(
                f"{self.path}: has no image called {name!r} among its {len(ids)} ({', '.join(files[:3])}"
                f"{', …' * (len(ids) > 3)}); name the photo as the file does"
            )
        layout = layout_of(self.path, entries)
        key = layout.visible or layout.whole
        for region in regions(self.path, entries, layout):
            if region.image_id != own[0]:
                continue
            value = region.entry.get(key, region.entry.get(layout.whole)) if layout is COCOA else needed(
                self.path, region.entry, key, region.what
            )  # fmt: skip
            yield _Mask(region.what, value, self._class_of(region.entry), _score(region.entry))

    def _entries(self, entries: list[Any]) -> Iterator[_Mask]:
        """Results and what SAM writes: all of them are of one image."""
        images = {
            str(entry.get("image_id")) for entry in entries if isinstance(entry, dict) and "image_id" in entry
        }
        if len(images) > 1:
            raise UserError(
                f"{self.path}: its masks are of {len(images)} images, which it does not name; give a file with 'images', or one "
                "of this photo"
            )
        for number, entry in enumerate(entries):
            what = f"mask {number + 1}"
            value = needed(self.path, entry, "segmentation", what)
            yield _Mask(what, value, self._class_of(entry), _score(entry))

    def _labelme(self) -> Iterator[_Mask]:
        for number, shape in enumerate(needed_list(self.path, self._document, "shapes", "the file")):
            what = f"shape {number + 1}"
            corners, kind = needed_list(self.path, shape, "points", what), shape.get("shape_type", "polygon")
            if (
                kind == "rectangle"
                and len(corners) == 2
                and all(isinstance(c, list) and len(c) == 2 for c in corners)
            ):
                (a, b), (c, d) = corners
                corners = [[a, b], [c, b], [c, d], [a, d]]
            elif kind != "polygon":
                raise UserError(f"{self.path}: {what} is a {kind!s:.20}; masks are polygons or rectangles")
            flat = [n for corner in corners for n in (corner if isinstance(corner, list) else [corner])]
            label = shape.get("label")
            yield _Mask(what, flat, None if label is None else str(label), 1.0)

    def _class_of(self, entry: dict[str, Any]) -> str | None:
        """By the name of its category, where the file lists any."""
        return self._names.get(str(entry.get("category_id"))) if self._names else None

    @cached_property
    def _names(self) -> dict[str, str]:
        listed = self._document.get("categories", []) if isinstance(self._document, dict) else []
        return {
            str(one["id"]): str(one["name"])
            for one in listed
            if isinstance(one, dict) and {"id", "name"} <= one.keys()
        }


def _base(name: str) -> str:
    """The last part, whichever system has written it."""
    return PurePosixPath(PureWindowsPath(name).as_posix()).name


def _score(entry: dict[str, Any]) -> float:
    """Between 0 and 1; 1 where nothing is said."""
    value = next((entry[key] for key in _SCORES if key in entry), 1.0)
    return min(max(float(value), 0.0), 1.0) if isinstance(value, int | float) and value == value else 1.0

"""What a file of annotations says of the objects in its images, whichever data set's keys it has (`layouts`)."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gestalt3d.coco.json_text import needed, needed_int, needed_list, read_json
from gestalt3d.coco.layouts import COCO, COCOA, Layout, Region, in_front, layout_of, regions
from gestalt3d.coco.masks import Read, read_masks
from gestalt3d.coco.runs import MOST_PIXELS, Runs
from gestalt3d.coco.strings import BadMask
from gestalt3d.errors import UserError

ANYTHING = "object"
"""The class of data that name none: COCOA has words of its annotators, some two thousand."""
_OUTSIDE = 1
"""Pixels by which a box may lie beyond its image."""


class Photo(NamedTuple):
    """An image of a file of annotations."""

    id: int
    file: str
    """Its `file_name`, "" where there is none."""
    size: tuple[int, int]
    """Height and width; -1 where they are not given."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """Objects, a row each, in the order of the file; those of unlisted categories and images are left out."""

    path: Path
    layout: Layout
    photos: tuple[Photo, ...]
    names: tuple[str, ...]
    """Of the categories, in the order of the file."""
    category_ids: tuple[int, ...]
    photo: np.ndarray
    """(n,) int64: position in `photos`."""
    category: np.ndarray
    """(n,) int64: position in `names`."""
    whole: Runs
    """Amodal masks; of plain COCO the only ones."""
    visible: Runs | None
    """None of plain COCO."""
    areas: np.ndarray
    """(n,) float64 as the file says, else pixels of `whole`."""
    is_crowd: np.ndarray
    """(n,) bool."""
    is_ignored: np.ndarray
    """(n,) bool: said to be, or a crowd."""
    front: np.ndarray
    """(e, 2) int64: rows of which the first is said to lie before the second (COCOA)."""
    odd: Counter[str]
    """What was counted and not refused: words and how often."""

    @property
    def notes(self) -> list[str]:
        """What was odd, a line each."""
        return said(self.odd)


def read_annotations(path: Path, *, annotator: int = 0) -> Annotations:
    """Read a file of any layout. Of COCOA's annotators of an image the one of that number counts.

    `UserError` in a line where a key is missing, a mask is none or of another size than its image, or an image is listed twice
    as two. What is only odd is counted: masks that are empty or more visible than whole, boxes outside, outlines without area.
    """
    document = read_json(path)
    odd: Counter[str] = Counter()
    photos = _photos(path, needed_list(path, document, "images", "the file"), odd)
    entries = needed_list(path, document, "annotations", "the file")
    layout = layout_of(path, entries)
    ids, names = _categories(path, document, layout)
    found = list(regions(path, entries, layout, annotator))
    photo = _positions([one.image_id for one in found], [one.id for one in photos])
    category = _category(path, found, ids, layout)
    odd["objects of images that are not listed, left out"] += int((photo < 0).sum())
    odd["objects of categories that are not listed, left out"] += int(((photo >= 0) & (category < 0)).sum())
    rows = np.flatnonzero((photo >= 0) & (category >= 0))
    kept = [found[row] for row in rows.tolist()]
    photo = photo[rows]
    sizes = np.array([one.size for one in photos], np.int64).reshape(-1, 2)[photo]
    whole = _masks(path, kept, layout.whole, sizes, odd)
    visible = None
    if layout is COCOA:
        # Only what is occluded has a visible mask of its own.
        has = np.array(["visible_mask" in one.entry for one in kept], bool)
        own = _masks(
            path,
            [one for one, own in zip(kept, has, strict=True) if own],
            "visible_mask",
            whole.sizes[has],
            odd,
        )
        visible = _replaced(whole, np.flatnonzero(has), own)
    elif layout is not COCO:
        visible = _masks(path, kept, layout.visible, whole.sizes, odd)
    areas = _areas(path, kept, layout.area, whole)
    _count_odd(kept, layout, whole, visible, areas, odd)
    is_crowd = _flags(path, kept, "iscrowd")
    new_row = np.full(len(found), -1)
    new_row[rows] = np.arange(len(rows))
    return Annotations(
        path=path,
        layout=layout,
        photos=tuple(photos),
        names=names,
        category_ids=ids,
        photo=photo,
        category=category[rows],
        whole=whole,
        visible=visible,
        areas=areas,
        is_crowd=is_crowd,
        is_ignored=is_crowd | _flags(path, kept, "ignore"),
        front=_fronts(path, entries, found, new_row, annotator)
        if layout is COCOA
        else np.zeros((0, 2), np.int64),
        odd=odd,
    )


def said(odd: Counter[str]) -> list[str]:
    """A line each: what was counted, and how often."""
    return [f"{words}: {count:,}" for words, count in odd.items() if count]


def expect_visible(read: Annotations) -> Runs:
    """The visible masks; `UserError` where the file says nothing of them."""
    if read.visible is None:
        raise UserError(
            f"{read.path}: says nothing of what is visible (visible_mask, inmodal_seg, i_segm, i_segmentation or visible_segm "
            "in each annotation); is it plain COCO?"
        )
    return read.visible


def masks_of(path: Path, values: list[Any], sizes: np.ndarray, what: list[str]) -> Read:
    """`read_masks`, whose complaints become a `UserError` with the `what` of the row."""
    try:
        return read_masks(values, sizes)
    except BadMask as error:
        raise UserError(f"{path}: mask of {what[error.row]}: {error.cause}") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def _photos(path: Path, entries: list[Any], odd: Counter[str]) -> list[Photo]:
    found: dict[int, Photo] = {}
    for position, entry in enumerate(entries):
        what = f"image {position + 1}"
        photo = Photo(
            needed_int(path, entry, "id", what), str(entry.get("file_name", "")), _size(path, entry, what)
        )
        before = found.setdefault(photo.id, photo)
        if before != photo:
            raise UserError(
                f"{path}: image {photo.id} is listed twice, as {before.file} {before.size} and {photo.file} {photo.size}"
            )
    odd["images that are listed more than once"] += len(entries) - len(found)
    return list(found.values())


def _size(path: Path, entry: dict[str, Any], what: str) -> tuple[int, int]:
    if "height" not in entry and "width" not in entry:
        return -1, -1
    height, width = (needed_int(path, entry, key, what) for key in ("height", "width"))
    if min(height, width) < 1 or max(height, width) > MOST_PIXELS or height * width > MOST_PIXELS:
        raise UserError(f"{path}: {what} is {width} x {height}, must be 1 to {MOST_PIXELS:,} pixels")
    return height, width


def _categories(path: Path, document: Any, layout: Layout) -> tuple[tuple[int, ...], tuple[str, ...]]:
    if layout is COCOA:
        return (1,), (ANYTHING,)
    entries = needed_list(path, document, "categories", "the file")
    ids = tuple(needed_int(path, entry, "id", "a category") for entry in entries)
    names = tuple(
        str(needed(path, entry, "name", f"category {own}")) for own, entry in zip(ids, entries, strict=True)
    )
    for kind, values in (("id", ids), ("name", names)):
        if twice := [value for value, count in Counter(values).items() if count > 1]:
            raise UserError(f"{path}: categories have the {kind} {twice[0]!r} twice; give each its own")
    return ids, names


def _category(path: Path, found: list[Region], ids: tuple[int, ...], layout: Layout) -> np.ndarray:
    if layout is COCOA:
        return np.zeros(len(found), np.int64)
    return _positions([needed(path, one.entry, "category_id", one.what) for one in found], list(ids))


def _positions(values: list[Any], known: list[int]) -> np.ndarray:
    """(n,) int64, -1 for what is not known; values may be anything that JSON has."""
    table = {value: position for position, value in enumerate(known)}
    return np.array([table.get(v, -1) if type(v) is int else -1 for v in values], np.int64)


def _masks(path: Path, found: list[Region], key: str, sizes: np.ndarray, odd: Counter[str]) -> Runs:
    values = [needed(path, one.entry, key, one.what) for one in found]
    read = masks_of(path, values, sizes, [f"{one.what} ({key})" for one in found])
    odd[f"outlines of {key} with fewer than three corners, left out"] += read.flat_outlines
    return read.runs


def _replaced(masks: Runs, rows: np.ndarray, own: Runs) -> Runs:
    order = np.arange(len(masks))
    order[rows] = len(masks) + np.arange(len(rows))
    return Runs.cat([masks, own]).take(order)


def _areas(path: Path, found: list[Region], key: str, whole: Runs) -> np.ndarray:
    values = [one.entry.get(key) for one in found]
    areas = whole.areas.astype(np.float64)
    for row, value in enumerate(values):
        if value is None:
            continue
        if type(value) not in (int, float) or not np.isfinite(value):
            raise UserError(f"{path}: {key!r} of {found[row].what} is {str(value)[:40]!r}, must be a number")
        areas[row] = value
    return areas


def _flags(path: Path, found: list[Region], key: str) -> np.ndarray:
    """0 where nothing is said."""
    flags = [one.entry.get(key, 0) for one in found]
    for one, flag in zip(found, flags, strict=True):
        if flag not in (0, 1):
            raise UserError(f"{path}: {key!r} of {one.what} is {str(flag)[:40]!r}, must be 0 or 1")
    return np.array(flags, bool)


def _fronts(
    path: Path, entries: list[Any], found: list[Region], new_row: np.ndarray, annotator: int
) -> np.ndarray:
    """Rows of the pairs of `depth_constraint`."""
    pairs: list[tuple[int, int]] = []
    seen: Counter[str] = Counter()
    first = 0
    for position, entry in enumerate(entries):
        image, count = str(entry["image_id"]), len(entry["regions"])
        if seen[image] == annotator:
            what = f"annotation {entry.get('id', position)}"
            # Counted over the regions that the annotator drew, of which the file may lack some.
            most = max(count, entry["size"] if type(entry.get("size")) is int else 0)
            own = in_front(path, entry.get("depth_constraint"), most, what)
            pairs += [(new_row[first + a], new_row[first + b]) for a, b in own if max(a, b) < count]
            first += count
        seen[image] += 1
    rows = np.array(pairs, np.int64).reshape(-1, 2)
    return rows[(rows >= 0).all(axis=1)]


def _count_odd(
    found: list[Region],
    layout: Layout,
    whole: Runs,
    visible: Runs | None,
    areas: np.ndarray,
    odd: Counter[str],
) -> None:
    odd["objects whose mask is empty"] += int((whole.areas == 0).sum())
    is_other = (areas < whole.areas / 2 - 1) | (areas > whole.areas * 2 + 1)
    odd["objects whose area is said to be less than half, or more than twice, that of the mask"] += int(
        is_other.sum()
    )
    if visible is not None:
        odd["objects of which nothing is visible"] += int(((visible.areas == 0) & (whole.areas > 0)).sum())
        odd["objects whose visible mask is not within the whole one"] += int(
            (visible.minus(whole).areas > 0).sum()
        )
    for one, size in zip(found, whole.sizes.tolist(), strict=True):
        if (box := one.entry.get(layout.box)) is not None and not _is_inside(box, size):
            odd["boxes that are none or lie outside their image, not used"] += 1


def _is_inside(box: Any, size: list[int]) -> bool:
    """A box is left, top, width, height."""
    if not isinstance(box, list) or len(box) != 4 or any(type(v) not in (int, float) for v in box):
        return False
    left, top, wide, high = box
    fits = left + wide <= size[1] + _OUTSIDE and top + high <= size[0] + _OUTSIDE
    return min(left, top) >= -_OUTSIDE and min(wide, high) >= 0 and fits

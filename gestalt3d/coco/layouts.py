"""How the data sets of amodal segmentation call what they know of an object: a table of keys, by which a file is told.

| data | whole mask | visible mask |
|---|---|---|
| COCOA | `regions[].segmentation`, one outline | `regions[].visible_mask`, else all of it |
| KINS, 2020 | `a_segm` | `i_segm` |
| KINS, 2019 | `segmentation` | `inmodal_seg` |
| AISFormer, BCNet | `segmentation` | `i_segmentation` |
| aistron | `segmentation` | `visible_segm` |
| UOAIS, SynTable | `segmentation` | `visible_mask`, and `occluded_mask` |
| COCOA-cls, D2SA | `segmentation` | `visible_mask` |
| COCO | none: `segmentation` is what is visible | `segmentation` |
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gestalt3d.coco.json_text import needed, needed_list
from gestalt3d.errors import UserError


class Layout(NamedTuple):
    """The keys of an object. `visible` is "" where none says it."""

    title: str
    whole: str
    visible: str
    area: str = "area"
    box: str = "bbox"
    tells: str = ""
    """A key besides that no other layout has."""


COCOA = Layout("COCOA", "segmentation", "visible_mask")
COCO = Layout("COCO", "segmentation", "")
LAYOUTS = (
    COCOA,
    Layout("KINS 2020", "a_segm", "i_segm", "a_area", "a_bbox"),
    Layout("KINS 2019", "segmentation", "inmodal_seg"),
    Layout("AISFormer", "segmentation", "i_segmentation"),
    Layout("aistron", "segmentation", "visible_segm"),
    Layout("UOAIS", "segmentation", "visible_mask", tells="occluded_mask"),
    Layout("COCOA-cls", "segmentation", "visible_mask"),
    COCO,
)
"""The first whose keys any object of a file has is that of the file."""


def layout_of(path: Path, annotations: list[Any]) -> Layout:
    """That of a file's annotations; COCO's where there are none. `UserError` where no key of a mask is found in any."""
    keys = {key for entry in annotations if isinstance(entry, dict) for key in entry}
    if "regions" in keys:
        return COCOA
    for layout in LAYOUTS[1:]:
        wanted = {layout.visible or layout.whole, layout.tells or layout.whole}
        if wanted <= keys or (layout.visible in keys and not layout.tells):
            return layout
    if annotations:
        known = ", ".join(dict.fromkeys(one.whole for one in LAYOUTS))
        raise UserError(
            f"{path}: no annotation has a mask ({known}); it has {', '.join(sorted(keys)[:12]) or 'nothing'}"
        )
    return COCO


class Region(NamedTuple):
    """An object as its file has it."""

    what: str
    """"annotation 7", in errors."""
    image_id: Any
    entry: dict[str, Any]


def regions(path: Path, annotations: list[Any], layout: Layout, annotator: int = 0) -> Iterator[Region]:
    """The objects of a file. COCOA's are in the annotations, one for each annotator of an image; the file's order counts them."""
    seen: dict[Any, int] = {}
    for position, entry in enumerate(annotations):
        what = f"annotation {entry.get('id', position) if isinstance(entry, dict) else position}"
        image_id = needed(path, entry, "image_id", what)
        if layout is not COCOA:
            yield Region(what, image_id, entry)
            continue
        turn = seen[str(image_id)] = seen.get(str(image_id), -1) + 1
        for number, region in enumerate(
            needed_list(path, entry, "regions", what) if turn == annotator else (), 1
        ):
            if not isinstance(region, dict):
                raise UserError(
                    f"{path}: region {number} of {what} is {str(region)[:40]!r}, must be an object"
                )
            yield Region(f"region {number} of {what}", image_id, region)


def in_front(path: Path, text: Any, count: int, what: str) -> list[tuple[int, int]]:
    """COCOA's `depth_constraint`, "1-3,2-3": pairs of regions, counted from 0 here, of which the first lies before the second."""
    pairs = []
    for word in str(text or "").replace(" ", "").split(","):
        ends = word.split("-") if word else []
        numbers = [int(end) for end in ends if end.isascii() and end.isdigit() and len(end) < 9]
        if word and (len(numbers) != 2 or len(ends) != 2 or not all(1 <= n <= count for n in numbers)):
            raise UserError(
                f"{path}: depth_constraint of {what} has {word[:40]!r}, must be pairs of its {count} regions such as 1-3"
            )
        pairs += [(numbers[0] - 1, numbers[1] - 1)] if word else []
    return pairs

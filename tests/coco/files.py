"""Tiny files of annotations in each layout: two photos, three objects, one of which hides a part of the second."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from gestalt3d.coco.masks import write_mask
from gestalt3d.coco.runs import Runs

HEIGHT, WIDTH = 12, 20
LAYOUTS = ("COCOA", "KINS 2020", "KINS 2019", "AISFormer", "aistron", "UOAIS", "COCOA-cls", "COCO")


def box(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """(h, w) bool."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


WHOLE = [box(2, 2, 8, 8), box(5, 4, 15, 10), box(0, 0, 20, 3)]
VISIBLE = [WHOLE[0], WHOLE[1] & ~WHOLE[0], WHOLE[2]]
PHOTO = [0, 0, 1]
CATEGORY = [2, 7, 2]


def rle(mask: np.ndarray) -> dict[str, Any]:
    return write_mask(Runs.from_masks([mask]))[0]


def outline(left: int, top: int, right: int, bottom: int) -> list[float]:
    return [left, top, right, top, right, bottom, left, bottom]


OUTLINES = [outline(2, 2, 8, 8), outline(5, 4, 15, 10), outline(0, 0, 20, 3)]


def images() -> list[dict[str, Any]]:
    return [{"id": 30 - i, "file_name": f"p{i}.png", "height": HEIGHT, "width": WIDTH} for i in range(2)]


def document(layout: str) -> dict[str, Any]:
    """As a file of that layout has it."""
    categories = [{"id": 2, "name": "cup"}, {"id": 7, "name": "box"}]
    base = [
        {
            "id": i + 1,
            "image_id": 30 - PHOTO[i],
            "category_id": CATEGORY[i],
            "iscrowd": 0,
            "area": int(WHOLE[i].sum()),
        }
        for i in range(3)
    ]
    visible = {"UOAIS": "visible_mask", "COCOA-cls": "visible_mask", "KINS 2019": "inmodal_seg"}
    if layout == "COCOA":
        regions = []
        for i in range(3):
            own: dict[str, Any] = {
                "name": "thing",
                "isStuff": 0,
                "order": 1 + i % 2,
                "area": int(WHOLE[i].sum()),
            }
            own |= {"segmentation": OUTLINES[i], "occlude_rate": 0.0}
            if i == 1:
                own |= {"visible_mask": rle(VISIBLE[i]), "invisible_mask": rle(WHOLE[i] & ~VISIBLE[i])}
            regions.append(own)
        entries = [
            {
                "id": 1,
                "image_id": 30,
                "author": "a",
                "size": 2,
                "depth_constraint": "1-2",
                "regions": regions[:2],
            },
            {
                "id": 2,
                "image_id": 29,
                "author": "a",
                "size": 1,
                "depth_constraint": "",
                "regions": regions[2:],
            },
        ]
        return {"images": images(), "annotations": entries}
    for i, entry in enumerate(base):
        if layout == "KINS 2020":
            del entry["area"]
            entry |= {"a_segm": [OUTLINES[i]], "a_area": int(WHOLE[i].sum()), "a_bbox": [0, 0, 1, 1]}
            # Two outlines that touch: parts are joined.
            entry["i_segm"] = [[outline(8, 4, 15, 8), outline(5, 8, 15, 10)], [OUTLINES[i]]][i != 1]
            entry |= {"i_area": int(VISIBLE[i].sum()), "oco_id": 1, "ico_id": i}
        else:
            entry["segmentation"] = (
                [OUTLINES[i]] if layout in ("KINS 2019", "AISFormer", "COCO") else rle(WHOLE[i])
            )
        if key := visible.get(layout):
            entry[key] = rle(VISIBLE[i])
        if layout == "UOAIS":
            entry["occluded_mask"] = rle(WHOLE[i] & ~VISIBLE[i])
        if layout == "AISFormer":
            entry["i_segmentation"] = [[outline(8, 4, 15, 8), outline(5, 8, 15, 10)], [OUTLINES[i]]][i != 1]
        if layout == "aistron":
            entry["visible_segm"] = rle(VISIBLE[i])
    return {"images": images(), "annotations": base, "categories": categories}


def save(path: Path, data: Any) -> Path:
    path.write_text(json.dumps(data))
    return path

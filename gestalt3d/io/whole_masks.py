"""Whole and visible masks of a photo's objects as COCO's JSON, in the keys of COCOA-cls and D2SA, which most tools read."""

from pathlib import Path

from gestalt3d.coco.masks import write_mask
from gestalt3d.coco.runs import Runs
from gestalt3d.configs import Json
from gestalt3d.io.json_files import write_json
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View


def runs_of(masks: Sets, *, width: int, height: int) -> Runs:
    """Masks of an image of that size."""
    return Runs.from_pixels(masks.sizes.cpu().numpy(), masks.indices.cpu().numpy(), (height, width))


def save_whole_masks(path: Path, found: Instances, view: View) -> None:
    """Write `segmentation` (the whole mask), `visible_mask`, `bbox`, `area`, `occlude_rate`, `score` and `category_id` of each.

    Masks are COCO's compressed runs, boxes x y width height of the whole mask. Categories count from 1 in the order of the
    vocabulary; 0 is one that nobody knows. `ValueError` for instances without whole masks.
    """
    if found.whole is None:
        raise ValueError("these instances say nothing of whole objects")
    height, width = view.image.shape[1:]
    whole, visible = (runs_of(masks, width=width, height=height) for masks in (found.whole, found.masks))
    hidden = whole.minus(visible).areas
    edges = whole.boxes
    texts = zip(write_mask(whole), write_mask(visible), strict=True)
    annotations: list[Json] = [
        {
            "id": i + 1,
            "image_id": 1,
            "category_id": int(found.classes[i]) + 1,
            "score": round(float(found.scores[i]), 6),
            "bbox": [*edges[i, :2].tolist(), *(edges[i, 2:] - edges[i, :2]).tolist()],
            "area": int(whole.areas[i]),
            "iscrowd": 0,
            "occlude_rate": round(float(hidden[i]) / max(int(whole.areas[i]), 1), 6),
            "segmentation": own,
            "visible_mask": seen,
        }
        for i, (own, seen) in enumerate(texts)
    ]
    categories: list[Json] = [{"id": i + 1, "name": name} for i, name in enumerate(found.vocabulary.names)]
    if bool((found.classes < 0).any()):
        categories.insert(0, {"id": 0, "name": "unknown"})
    image: Json = {
        "id": 1,
        "file_name": "" if view.path is None else view.path.name,
        "width": width,
        "height": height,
    }
    write_json(path, {"images": [image], "categories": categories, "annotations": annotations})

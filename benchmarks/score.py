"""Whole-process time of score scannet and score coco-amodal on large cases.

The case is random: regions are cells of a grid, predictions are copies of them with ragged borders. "plain reading" is the
least any evaluator in plain Python must do: `[int(line) for line in file]` over every file, no score. Masks in photos are blobs
that hide one another, found up to three times each; pycocotools, where it is installed, scores whole masks and then visible
ones, ours what is hidden and the order besides.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from gestalt3d.coco.masks import write_mask
from gestalt3d.coco.polygons import fill_polygons
from gestalt3d.coco.runs import Runs
from gestalt3d.structures.vocabulary import SCANNET18

OURS = """
import sys
from gestalt3d.cli import main
main(["score", "scannet", "--gt", f"{sys.argv[1]}/gt", "--pred", f"{sys.argv[1]}/pred"])
"""
SIZE = 480, 640
"""Height and width of photos."""
PLAIN = """
import sys
from pathlib import Path
from typing import Any
for path in [*Path(sys.argv[1]).glob("gt/*.txt"), *Path(sys.argv[1]).glob("pred/predicted_masks/*.txt")]:
    with path.open(encoding="utf-8") as file:
        values = [int(line) for line in file]
"""

OURS_COCO = """
import sys
from gestalt3d.cli import main
main(["score", "coco-amodal", "--gt", f"{sys.argv[1]}/gt.json", "--pred", f"{sys.argv[1]}/pred.json"])
"""
PYCOCOTOOLS = """
import json, sys
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
for is_visible in (False, True):
    gt, found = (json.load(open(f"{sys.argv[1]}/{name}.json")) for name in ("gt", "pred"))
    if is_visible:
        for entry in (*gt["annotations"], *found):
            entry["segmentation"] = entry["visible_mask"]
        for entry in gt["annotations"]:
            entry["area"] = float(mask.area(entry["segmentation"]))
    truth = COCO()
    truth.dataset = gt
    truth.createIndex()
    score = COCOeval(truth, truth.loadRes(found), "segm")
    score.evaluate()
    score.accumulate()
    score.summarize()
"""


def write_scene(
    folder: Path, name: str, *, vertices: int, predictions: int, rng: np.random.Generator
) -> None:
    """Ground truth and predictions of one scene of 7 × 8 cells."""
    points = rng.random((vertices, 2))
    labels = rng.choice([0, 1, 2, *SCANNET18.official_ids], size=56)
    cell = cells(points)
    np.savetxt(
        folder / "gt" / f"{name}.txt",
        np.where(labels > 0, labels * 1000 + np.arange(1, 57), 0)[cell],
        fmt="%d",
    )
    lines = []
    for i in range(predictions):
        ragged = cells(np.clip(points + rng.normal(0.0, 0.002 * (1 + i % 10), points.shape), 0.0, 0.999))
        mask = ragged == i % 56
        relative = f"predicted_masks/{name}_{i:03d}.txt"
        (folder / "pred" / relative).write_bytes(
            np.stack([mask + ord("0"), np.full(vertices, ord("\n"))], 1).astype(np.uint8).tobytes()
        )
        label = (
            labels[i % 56]
            if rng.random() < 0.9 and labels[i % 56] > 2
            else rng.choice(SCANNET18.official_ids)
        )
        lines.append(f"{relative} {label} {rng.random():.6f}\n")
    (folder / "pred" / f"{name}.txt").write_text("".join(lines), encoding="utf-8")


def cells(points: np.ndarray) -> np.ndarray:
    return (points[:, 0] * 7).astype(np.int64) * 8 + (points[:, 1] * 8).astype(np.int64)


def seconds(code: str, folder: Path, repeats: int) -> list[float]:
    """Wall times of whole processes, files in the page cache."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", code, folder],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        times.append(time.perf_counter() - start)
    return times


def run(*, scenes: int = 10, vertices: int = 100_000, predictions: int = 60) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "gt").mkdir()
        (folder / "pred" / "predicted_masks").mkdir(parents=True)
        for scene in range(scenes):
            rng = np.random.default_rng(scene)
            write_scene(folder, f"scene{scene:04d}_00", vertices=vertices, predictions=predictions, rng=rng)
        ours, plain = (
            1e3 * float(np.median(seconds(code, folder, n))) for code, n in ((OURS, 5), (PLAIN, 2))
        )
        megabytes = sum(path.stat().st_size for path in folder.rglob("*.txt")) / 1e6
    case = f"{scenes} scenes of {vertices:,} vertices, {predictions} predictions each, {megabytes:.0f} MB"
    row = {"case": case, "ours ms": ours, "usual": "plain reading", "usual ms": plain}
    return [{**row, "ratio": plain / ours}, coco_row()]


def coco_row(*, photos: int = 200, objects: int = 15, classes: int = 30) -> dict[str, Any]:
    """Amodal masks, 640 x 480."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        masks = write_photos(folder, photos=photos, objects=objects, classes=classes)
        ours = 1e3 * float(np.median(seconds(OURS_COCO, folder, 3)))
        has = importlib.util.find_spec("pycocotools") is not None
        usual = 1e3 * float(np.median(seconds(PYCOCOTOOLS, folder, 3))) if has else None
        megabytes = sum(path.stat().st_size for path in folder.glob("*.json")) / 1e6
    return {
        "case": f"{photos} photos of 640 x 480, {masks:,} masks and as many visible ones, {megabytes:.0f} MB",
        "ours ms": ours,
        "usual": "pycocotools" if has else "pycocotools is not installed",
        "usual ms": usual,
        "ratio": usual / ours if usual else None,
    }


def write_photos(folder: Path, *, photos: int, objects: int, classes: int) -> int:
    """COCO's annotations and results; how many masks they hold."""
    rng = np.random.default_rng(0)
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for photo in range(1, photos + 1):
        taken = Runs.empty(np.array([SIZE]))
        for _ in range(objects):
            centre, size, turn = rng.random(2) * SIZE[::-1], 10 + 120 * rng.random(2) ** 2, rng.random() * 3
            near = [
                blob(centre + rng.normal(0, 4, 2), size * rng.normal(1, 0.08, 2), turn + rng.normal(0, 0.1))
                for _ in range(rng.integers(4))
            ]
            whole = fill_polygons([blob(centre, size, turn), *near], np.array([SIZE] * (1 + len(near))))
            visible = whole.minus(Runs.cat([taken] * len(whole)))
            taken = taken.union(whole.take(np.array([0])))
            entries = [
                {"image_id": photo, "category_id": int(c), "segmentation": a, "visible_mask": b}
                for a, b, c in zip(
                    write_mask(whole),
                    write_mask(visible),
                    [rng.integers(classes) + 1] * len(whole),
                    strict=True,
                )
            ]
            truth.append(entries[0] | {"id": len(truth) + 1, "iscrowd": 0, "area": int(whole.areas[0])})
            found += [entry | {"score": round(float(rng.random()), 4)} for entry in entries[1:]]
    height, width = SIZE
    images = [{"id": i, "height": height, "width": width} for i in range(1, photos + 1)]
    names = [{"id": c, "name": f"class {c}"} for c in range(1, classes + 1)]
    document = {"images": images, "annotations": truth, "categories": names}
    (folder / "gt.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "pred.json").write_text(json.dumps(found), encoding="utf-8")
    return len(truth) + len(found)


def blob(centre: np.ndarray, size: np.ndarray, turn: float) -> np.ndarray:
    """(60, 2) corners of an outline with five bulges."""
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    u, v = size[:, None] * (1 + 0.1 * np.sin(5 * angle)) * [np.cos(angle), np.sin(angle)]
    turned = [u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)]
    return centre + np.stack(turned, axis=1)

"""Whole-process time of score scannet on a large case.

The case is random: regions are cells of a grid, predictions are copies of them with ragged borders. "plain reading" is the
least any evaluator in plain Python must do: `[int(line) for line in file]` over every file, no score.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from gestalt3d.structures.vocabulary import SCANNET18

OURS = """
import sys
from gestalt3d.cli import main
main(["score", "scannet", "--gt", f"{sys.argv[1]}/gt", "--pred", f"{sys.argv[1]}/pred"])
"""
PLAIN = """
import sys
from pathlib import Path
from typing import Any
for path in [*Path(sys.argv[1]).glob("gt/*.txt"), *Path(sys.argv[1]).glob("pred/predicted_masks/*.txt")]:
    with path.open(encoding="utf-8") as file:
        values = [int(line) for line in file]
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
    return [{**row, "ratio": plain / ours}]

"""Toy boxes: connected components of the true semantics (AP50 per class), and CPU milliseconds a scene.

The baseline of Table 1 of Lahoud et al. (ICCV 2019): each 26-connected component of a class is an instance of
score 1. ScanNet's rule for AP50 with a minimum of 1 voxel, `SPLITS["train"]` and `SPLITS["test"]` seeds.
"""

import time
from typing import Any

import torch

from gestalt3d.metrics.average_precision import average_precision
from gestalt3d.metrics.matching import Overlaps, Regions, overlaps_of_labels
from gestalt3d.ops.components import grid_components
from gestalt3d.structures.voxelgrid import VoxelGrid
from gestalt3d.synth.toyboxes import PRESETS, SPLITS, TOY_VERSION, ToyConfig, make_toybox

PAPER = (92.5, 85.1, 86.9, 93.5, 79.9)
"""AP50 of "Connected comp." in Table 1."""


def overlaps(grid: VoxelGrid) -> Overlaps:
    """The components of the classes beside the true instances."""
    assert grid.classes is not None and grid.instances is not None
    components = grid.gather(grid_components(grid.dense(grid.classes, empty=-1), connectivity=26))
    semantic = grid.classes.numpy()
    regions = Regions.from_labels(semantic, grid.instances.numpy())
    return overlaps_of_labels(regions, semantic, components.numpy())


def connected_components(config: ToyConfig, seeds: range) -> list[float]:
    """AP50 of each class in percent."""
    scenes = [overlaps(make_toybox(seed, config)) for seed in seeds]
    found = average_precision(scenes, classes=range(len(config.shapes)), min_region=1)
    return (100 * found.per_class_50).tolist()


def run(*, train: int = 900, test: int = 100) -> list[dict[str, Any]]:
    torch.set_num_threads(1)
    rows = [_row("paper", PAPER, None)]
    for preset, config in PRESETS.items():
        for split, count in (("train", train), ("test", test)):
            seeds = range(SPLITS[split], SPLITS[split] + count)
            start = time.process_time()
            for seed in seeds[:50]:
                make_toybox(seed, config)
            milliseconds = (time.process_time() - start) / len(seeds[:50]) * 1000
            figures = connected_components(config, seeds)
            rows.append(_row(f"{preset}, {count} {split}, version {TOY_VERSION}", figures, milliseconds))
    return rows


def _row(case: str, figures: tuple[float, ...] | list[float], milliseconds: float | None) -> dict[str, Any]:
    columns = {f"box{c + 1}": value for c, value in enumerate(figures)}
    return {"case": case, **columns, "mean": sum(figures) / len(figures), "CPU ms a scene": milliseconds}

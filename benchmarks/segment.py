"""From file to files by stage: a synthetic room of 100,000 to ten million points, and floors of a dozen and of 120 rooms.

Whole processes, start-up and compilation included, beside the geometric baseline on the same file. The room is a test room
whose points are drawn again and again, each time moved by a normal error of 5 mm; rooms of a floor are as scanned.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gestalt3d.bench import MAXRSS
from gestalt3d.errors import UserError
from gestalt3d.io import save_cloud
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.synth.rooms import SPLITS, make_room


def dense_room(count: int, seed: int = 0) -> PointCloud:
    """A test room of `count` points in random order."""
    room = make_room(SPLITS["test"] + seed).input
    rng = np.random.default_rng(seed)
    rows = torch.from_numpy(rng.integers(len(room), size=count))
    noise = torch.from_numpy(rng.normal(0, 0.005, (count, 3)).astype(np.float32))
    return PointCloud(room.points[rows] + noise, None if room.colors is None else room.colors[rows])


def floor(count: int, *, spacing: float = 11.0) -> PointCloud:
    """Rooms side by side, `spacing` metres from corner to corner, as many in a row as there are rows."""
    points, colors, row = [], [], math.ceil(math.sqrt(count))
    for i in range(count):
        room = make_room(SPLITS["test"] + i).input
        assert room.colors is not None
        corner = torch.tensor([spacing * (i % row), spacing * (i // row), 0.0])
        points.append(room.points - room.points.amin(0) + corner)
        colors.append(room.colors)
    return PointCloud(torch.cat(points), torch.cat(colors))


def measure(file: Path, model: str) -> dict[str, Any]:
    """Seconds of the process and of its stages, and its greatest memory (None on Windows)."""
    report, out = file.with_suffix(".json"), file.parent / "out"
    words = ["segment", file, "-m", model, "-o", out, "--json", report]
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "gestalt3d", *map(str, words)], stdout=subprocess.DEVNULL
    )
    peak = None
    if hasattr(os, "wait4"):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        peak = usage.ru_maxrss * MAXRSS / 1e9
    if process.wait():
        raise UserError(f"segment -m {model} ended with code {process.returncode}; see what it said above")
    stages = json.loads(report.read_text(encoding="utf-8"))["files"][0]["seconds"]
    return {
        "seconds": time.perf_counter() - start,
        "peak GB": peak,
        "file GB": file.stat().st_size / 1e9,
        "stages": " · ".join(f"{name} {value:.1f}" for name, value in stages.items()),
    }


def run(
    points: Sequence[int] = (100_000, 1_000_000, 10_000_000),
    models: Sequence[str] = ("asis-rooms", "mtml-rooms", "consensus-fast", "consensus-best", "geometric"),
    rooms: Sequence[int] = (12, 120),
) -> list[dict[str, Any]]:
    rows = []
    cases = {f"{count:,} points": partial(dense_room, count) for count in points}
    cases |= {f"a floor of {count} rooms": partial(floor, count) for count in rooms}
    with tempfile.TemporaryDirectory() as folder:
        for case, make in cases.items():
            file = Path(folder) / "cloud.ply"
            cloud = make()
            save_cloud(file, cloud)
            for model in models:
                rows.append({"case": f"{case}, {model}", "points": len(cloud), **measure(file, model)})
    return rows

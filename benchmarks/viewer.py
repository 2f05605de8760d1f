"""Picture, web page and its first frame in headless Chromium.

The room is a test room whose points are drawn again and again. "plain page" is what a page without grid and deflate would
weigh: float32 coordinates, 8-bit colours, 16-bit class and instance, in base64. Medians of three; the first picture, which
compiles, is not counted. The first frame counts from the start of loading to the last point on the screen; it is undefined
without a browser or the tests of a checkout.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.synth.rooms import SPLITS, make_room
from gestalt3d.viewer import save_page, save_picture


def dense_room(count: int) -> tuple[PointCloud, Instances]:
    """A test room whose points are drawn again and again, each moved by 5 mm, with its instances."""
    room = make_room(SPLITS["test"])
    rng = np.random.default_rng(0)
    rows = rng.integers(len(room.input), size=count)
    points = room.input.points.numpy()[rows] + rng.normal(0, 0.005, (count, 3)).astype(np.float32)
    colors = None if room.input.colors is None else room.input.colors.numpy()[rows]
    truth = room.truth
    found = Instances.from_labels(truth.to_labels()[rows], truth.classes, vocabulary=truth.vocabulary)
    return PointCloud.from_arrays(points, colors), found


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def first_frame(page: Path) -> float | None:
    """Milliseconds; None where nothing can be measured."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    try:
        from tests.viewer.chromium import Browser
    except ImportError:
        return None
    with Browser(page) as browser:
        browser.wait_for("window.gestalt3d && (gestalt3d.firstFrameMs || gestalt3d.error)")
        return float(browser.evaluate("gestalt3d.firstFrameMs"))


def row(count: int, folder: Path) -> dict[str, Any]:
    cloud, found = dense_room(count)
    page, picture = folder / "room.html", folder / "room.png"
    return {
        "case": f"{count:,} points",
        "picture s": seconds(lambda: save_picture(picture, cloud, found)),
        "page s": seconds(lambda: save_page(page, cloud, found, title="room")),
        "page MB": page.stat().st_size / 1e6,
        "plain page MB": count * (12 + 3 + 2 + 2) * 4 / 3 / 1e6,
        "first frame ms": first_frame(page),
    }


def run() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        row(1000, Path(name))
        return [row(count, Path(name)) for count in (100_000, 1_000_000)]

"""Picture, page and first frame in headless Chromium: `python benchmarks/viewer.py -o results.json`.

The room is made up: floor, walls, ceiling and boxes. "plain page" is the weight of a page without grid and
deflate: float32 coordinates, 8-bit colours, 16-bit class and instance, in base64. Medians; the first picture,
which compiles, is not counted. The first frame counts from the start of loading to the last point shown.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.viewer import save_page, save_picture
from tests.viewer.chromium import Browser
from tests.viewer.made_up_room import made_up_room


def seconds(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def first_frame(page: Path) -> float:
    with Browser(page) as browser:
        browser.wait_for("window.gestalt3d && (gestalt3d.firstFrameMs || gestalt3d.error)")
        return browser.evaluate("gestalt3d.firstFrameMs")


def row(cloud: PointCloud, instances: Instances, folder: Path, repeats: int) -> dict[str, float]:
    page, picture = folder / "room.html", folder / "room.png"
    return {
        "points": len(cloud),
        "picture_s": round(seconds(lambda: save_picture(picture, cloud, instances), repeats), 2),
        "page_s": round(seconds(lambda: save_page(page, cloud, instances, title="room"), repeats), 2),
        "page_mb": round(page.stat().st_size / 1e6, 2),
        "plain_page_mb": round(len(cloud) * (12 + 3 + 2 + 2) * 4 / 3 / 1e6, 2),
        "first_frame_ms": round(statistics.median(first_frame(page) for _ in range(repeats))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        save_picture(Path(folder) / "warm.png", *made_up_room(1000))
        for n in options.points:
            rows.append(row(*made_up_room(n), Path(folder), options.repeats))
            print("  ".join(f"{key} {value:,}" for key, value in rows[-1].items()))
    if options.output is not None:
        about = {"machine": platform.machine(), "python": platform.python_version(), "rows": rows}
        options.output.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

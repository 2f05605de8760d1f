"""Rooms per second: `python benchmarks/synth.py [--rooms N] [--workers W] [--json FILE]`.

Compilation is paid before the clock starts. Workers are processes of one thread each.
"""

import argparse
import json
import multiprocessing
import time
from collections import Counter
from pathlib import Path

import numpy as np

from gestalt3d.structures.vocabulary import SYNTH
from gestalt3d.synth.rooms import GENERATOR_VERSION, make_room


def one(seed: int) -> tuple[int, list[str]]:
    scan = make_room(seed)
    return len(scan.cloud), [SYNTH.names[c] for c in scan.instances.classes.tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rooms", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    one(0)
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        pool.map(one, range(4 * args.workers), chunksize=2)
        start = time.perf_counter()
        made = pool.map(one, range(args.rooms), chunksize=4)
        seconds = time.perf_counter() - start
    points = np.array([p for p, _ in made])
    result = {
        "generator_version": GENERATOR_VERSION,
        "rooms": args.rooms,
        "workers": args.workers,
        "rooms_per_second": round(args.rooms / seconds, 2),
        "points_mean": int(points.mean()),
        "instances_median": float(np.median([len(k) for _, k in made])),
        "classes_median": float(np.median([len(set(k)) for _, k in made])),
        "rooms_showing": dict(Counter(n for _, k in made for n in set(k)).most_common()),
    }
    print(json.dumps(result, indent=1))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Synthetic rooms per second.

Compilation is paid before the clock starts. Workers are processes of one thread each.
"""

import multiprocessing
import time
from typing import Any

import numpy as np

from gestalt3d.data.rooms import one_thread_each
from gestalt3d.structures.vocabulary import SYNTH
from gestalt3d.synth.rooms import GENERATOR_VERSION, make_room


def one(seed: int) -> tuple[int, list[str]]:
    scan = make_room(seed)
    return len(scan.input), [SYNTH.names[c] for c in scan.truth.classes.tolist()]


def run(*, rooms: int = 100, workers: int = 2) -> list[dict[str, Any]]:
    one(0)
    with one_thread_each(), multiprocessing.get_context("spawn").Pool(workers) as pool:
        pool.map(one, range(4 * workers), chunksize=2)
        start = time.perf_counter()
        made = pool.map(one, range(rooms), chunksize=4)
        seconds = time.perf_counter() - start
    return [
        {
            "case": f"{rooms} rooms, {workers} workers, generator {GENERATOR_VERSION}",
            "rooms a second": rooms / seconds,
            "points a room": int(np.mean([points for points, _ in made])),
            "instances": float(np.median([len(names) for _, names in made])),
            "classes": float(np.median([len(set(names)) for _, names in made])),
        }
    ]

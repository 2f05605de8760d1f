"""Synthetic rooms and RGB-D views of them per second.

Compilation is paid before the clock starts. Workers are processes of one thread each.
"""

import multiprocessing
import time
from typing import Any

import numpy as np

from gestalt3d.data.rooms import one_thread_each
from gestalt3d.data.views import PER_ROOM
from gestalt3d.structures.vocabulary import SYNTH
from gestalt3d.synth.rooms import GENERATOR_VERSION, make_room
from gestalt3d.synth.view_voxels import whole_voxels
from gestalt3d.synth.views import VIEWS_VERSION, make_view


def one(seed: int) -> tuple[int, list[str]]:
    scan = make_room(seed)
    return len(scan.input), [SYNTH.names[c] for c in scan.truth.classes.tolist()]


def views_of(seed: int) -> tuple[int, float]:
    """Of one room: instances, and CPU seconds of its views, furnishing included."""
    start = time.process_time()
    found = sum(len(make_view(seed, index).truth) for index in range(PER_ROOM))
    return found, time.process_time() - start


def voxels_of(seed: int) -> float:
    """CPU seconds of the voxels of all objects of one view, which is made before."""
    seen = make_view(seed)
    start = time.process_time()
    for i in range(len(seen.truth)):
        whole_voxels(seen, i)
    return time.process_time() - start


def run(*, rooms: int = 100, workers: int = 2) -> list[dict[str, Any]]:
    one(0)
    voxels_of(0)
    with one_thread_each(), multiprocessing.get_context("spawn").Pool(workers) as pool:
        pool.map(one, range(4 * workers), chunksize=2)
        start = time.perf_counter()
        made = pool.map(one, range(rooms), chunksize=4)
        seconds = time.perf_counter() - start
        pool.map(voxels_of, range(4 * workers), chunksize=2)
        start = time.perf_counter()
        seen = pool.map(views_of, range(rooms), chunksize=4)
        seconds_of_views = time.perf_counter() - start
        of_voxels = pool.map(voxels_of, range(rooms), chunksize=4)
    views = rooms * PER_ROOM
    return [
        {
            "case": f"{rooms} rooms, {workers} workers, generator {GENERATOR_VERSION}",
            "rooms a second": rooms / seconds,
            "points a room": int(np.mean([points for points, _ in made])),
            "instances": float(np.median([len(names) for _, names in made])),
            "classes": float(np.median([len(set(names)) for _, names in made])),
        },
        {
            "case": f"{views} views of 320 x 240, {workers} workers, views {VIEWS_VERSION}",
            "views a second": views / seconds_of_views,
            "CPU ms a view": 1000 * sum(cpu for _, cpu in seen) / views,
            "CPU ms more for its voxels": 1000 * float(np.mean(of_voxels)),
            "instances": sum(found for found, _ in seen) / views,
        },
    ]

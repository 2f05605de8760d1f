"""Synthetic rooms and RGB-D views of them, pictures of single objects and photos per second.

Compilation is paid before the clock starts. Workers are processes of one thread each.
"""

import multiprocessing
import time
from typing import Any

import numpy as np

from gestalt3d.data.objects import Objects
from gestalt3d.data.rooms import one_thread_each
from gestalt3d.data.views import PER_ROOM
from gestalt3d.structures.vocabulary import SYNTH
from gestalt3d.synth.objects.models import OBJECTS_VERSION
from gestalt3d.synth.objects.photos import PHOTOS_VERSION, make_photo
from gestalt3d.synth.objects.pictures import PICTURES_VERSION
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


def pictures_of(first: int) -> float:
    """CPU seconds of 100 pictures of training from there on, each of another object, which is made for it."""
    data = Objects("train")
    start = time.process_time()
    for i in range(first, first + 100):
        data[i]
    return time.process_time() - start


def photo(seed: int) -> tuple[int, float]:
    """Instances, and those of which a tenth or more is hidden."""
    truth = make_photo(seed).truth
    assert truth.whole is not None
    return len(truth), int((truth.sizes < 0.9 * truth.whole.sizes).sum())


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
        pool.map(pictures_of, [30_000] * 2 * workers, chunksize=1)
        start = time.perf_counter()
        of_pictures = pool.map(pictures_of, range(0, 15 * rooms, 100), chunksize=1)
        seconds_of_pictures = time.perf_counter() - start
        pool.map(photo, range(4 * workers), chunksize=2)
        start = time.perf_counter()
        photos = pool.map(photo, range(rooms), chunksize=4)
        seconds_of_photos = time.perf_counter() - start
    views, pictures = rooms * PER_ROOM, 100 * len(of_pictures)
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
        {
            "case": f"{pictures} pictures of objects, 64 x 64, {workers} workers, objects {OBJECTS_VERSION}.{PICTURES_VERSION}",
            "pictures a second": pictures / seconds_of_pictures,
            "CPU ms a picture": 1000 * sum(of_pictures) / pictures,
        },
        {
            "case": f"{rooms} photos of 320 x 240, {workers} workers, photos {OBJECTS_VERSION}.{PHOTOS_VERSION}",
            "photos a second": rooms / seconds_of_photos,
            "instances": sum(found for found, _ in photos) / rooms,
            "a tenth hidden or more": sum(hidden for _, hidden in photos) / rooms,
        },
    ]

"""Synthetic scanned rooms as a data set: generated when first asked for, cached on disk afterwards."""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from gestalt3d.data.cache import Packed, ScanCache, digest, pack, unpack
from gestalt3d.data.relabel import relabel
from gestalt3d.data.scoring import LabelledClouds
from gestalt3d.errors import UserError
from gestalt3d.stages import counted
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import SYNTH, Vocabulary, mapping
from gestalt3d.synth.rooms import GENERATOR_VERSION, SPLITS, RoomConfig, make_room
from gestalt3d.synth.whole import SHAPES_VERSION

COUNTS = {"train": 1000, "second": 100, "val": 20, "test": 50}
"""Rooms per split where nothing is said."""


class Rooms(LabelledClouds):
    """Room `i` of a split is `make_room(SPLITS[split] + i)`, with 8-bit colours whether cached or not.

    With `shapes` the truth has whole shapes and amodal boxes, and rooms a cache of their own; all else is the same.
    """

    def __init__(
        self,
        split: str,
        *,
        count: int | None = None,
        vocabulary: Vocabulary = SYNTH,
        cache_dir: Path | None = None,
        config: RoomConfig | None = None,
        shapes: bool = False,
    ) -> None:
        if split not in SPLITS:
            raise UserError(f"rooms has no split {split!r}; it has {', '.join(SPLITS)}")
        count = COUNTS[split] if count is None else count
        self.split, self.vocabulary, self.shapes = split, vocabulary, shapes
        self.config = RoomConfig() if config is None else config
        self.names = [f"{split}_{i:06d}" for i in range(count)]
        self._title = f"{GENERATOR_VERSION}-{digest(self.config)}" + f"-whole-{SHAPES_VERSION}" * shapes
        self._cache = ScanCache(f"rooms-{self._title}", root=cache_dir)

    @property
    def notes(self) -> list[str]:
        """Which class counts as which, where they have other names; and that nothing can be cached."""
        note = mapping(SYNTH, self.vocabulary)
        return [*([note] if note else []), *self._cache.notes]

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self, i: int) -> str:
        """Of the generator, its settings and the seed."""
        return f"{self._title}-{SPLITS[self.split] + i}"

    def __getitem__(self, i: int) -> Scan:
        if not 0 <= i < len(self):
            raise IndexError(f"rooms:{self.split} has {len(self)} rooms, asked for {i}")
        seed = SPLITS[self.split] + i
        packed = self._cache.get(str(seed), lambda: _make(seed, self.config, self.shapes))
        return relabel(unpack(packed, self.names[i], SYNTH), self.vocabulary)

    def build(self, *, workers: int = 2) -> None:
        """Generate what the cache lacks, in `workers` processes (in this one if 1)."""
        seeds = [SPLITS[self.split] + i for i in range(len(self))]
        todo = [seed for seed in seeds if str(seed) not in self._cache]
        if self._cache.folder is None or not todo:
            return
        jobs = [(seed, self.config, self.shapes, self._cache.folder) for seed in todo]
        if workers <= 1:
            for job in counted(jobs):
                _build(job)
            return
        # Spawned, because a forked child would inherit torch's and Numba's threads dead.
        spawn = multiprocessing.get_context("spawn")
        with one_thread_each(), ProcessPoolExecutor(workers, mp_context=spawn) as pool:
            made = pool.map(_build, jobs)
            for _ in counted(jobs):
                next(made)


def _make(seed: int, config: RoomConfig, shapes: bool) -> Packed:
    scan = make_room(seed, config, shapes=shapes)
    if scan.truth.vocabulary != SYNTH:
        raise ValueError(
            f"make_room must answer in vocabulary {SYNTH.title}, got {scan.truth.vocabulary.title}"
        )
    return pack(scan)


def _build(job: tuple[int, RoomConfig, bool, Path]) -> None:
    seed, config, shapes, folder = job
    ScanCache(folder.name, root=folder.parent).get(str(seed), lambda: _make(seed, config, shapes))


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes spawned here compute with one thread: BLAS threads that wait for each other halve the rooms a second."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

"""Blocks of many scans on disk, cut once and mapped into memory: any of them costs a few reads, whatever its scan.

A scan's blocks are a folder of the cache: one flat file per field, and `fields.json` with their types and shapes. The folder
appears by one rename, so a killed process leaves nothing half written, and processes that cut the same scan at once end
with one copy. Blocks are written some at a time and files are opened only while they are read, so that neither memory nor
open files grow with the number of scans.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gestalt3d.data import DataSet
from gestalt3d.data.cache import FolderCache, digest, fingerprint
from gestalt3d.errors import UserError
from gestalt3d.stages import counted, stage
from gestalt3d.structures.samples import Scan

_FORMAT = 1

Cut = Callable[[Scan], Iterable[Sequence[Tensor]]]
"""From a scan to its blocks, some at a time: fields whose first dimension is the blocks'."""


class _Field(NamedTuple):
    dtype: str
    shape: list[int]
    """Of one block."""


class _Part(NamedTuple):
    """The blocks of one scan."""

    folder: Path
    count: int
    fields: list[_Field]


class BlockStore:
    """Row `k` of the store is a block; those of a scan follow each other, scans in the order of the data.

    Cuts what the cache lacks. `settings` is all that the blocks depend on besides the scans. `first` is the scan to begin
    with: processes that start together share the work where each begins elsewhere. `UserError` where nothing can be cached or
    the data has no blocks.
    """

    def __init__(
        self,
        scans: DataSet,
        cut: Cut,
        settings: object,
        *,
        first: int = 0,
        root: Path | None = None,
    ) -> None:
        cache = FolderCache(f"blocks-{_FORMAT}-{digest(settings, scans.vocabulary.names)}", root=root)
        parts: dict[int, _Part] = {}
        with stage("cutting blocks"):
            for n in counted(range(len(scans))):
                i = (first + n) % len(scans)
                key = digest(fingerprint(scans, i))
                parts[i] = _kept(cache, key) or _made(cache, key, scans[i], cut)
        self._parts = [parts[i] for i in range(len(scans)) if parts[i].count]
        self._ends = np.cumsum([part.count for part in self._parts])
        if not self._parts:
            raise UserError("the scans have no blocks: none of them has a point")

    def __len__(self) -> int:
        return int(self._ends[-1])

    def rows(self, indices: Sequence[int]) -> list[Tensor]:
        """The blocks of these numbers, one tensor per field, whole numbers as int64."""
        taken = [self._row(index) for index in indices]
        return [torch.from_numpy(np.stack(field)) for field in zip(*taken, strict=True)]

    def drawn(self, positions: Iterable[int], seed: int) -> list[int]:
        """Numbers of the blocks at these positions of an endless sequence: every `len(self)` of it are an epoch, all blocks
        in an order that seed and epoch alone decide.
        """
        epochs = [divmod(position, len(self)) for position in positions]
        return [int(_order(seed, epoch, len(self))[at]) for epoch, at in epochs]

    def _row(self, index: int) -> list[np.ndarray]:
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} blocks, asked for {index}")
        at = int(np.searchsorted(self._ends, index, side="right"))
        part = self._parts[at]
        row = index - int(self._ends[at]) + part.count
        values = []
        for k, field in enumerate(part.fields):
            mapped = np.memmap(_file(part.folder, k), field.dtype, "r", shape=(part.count, *field.shape))
            row_of_field = np.array(mapped[row])
            values.append(row_of_field if field.dtype == "float32" else row_of_field.astype(np.int64))
        return values


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(count)


def _file(folder: Path, field: int) -> Path:
    return folder / f"{field}.bin"


def _kept(cache: FolderCache, key: str) -> _Part | None:
    """What lies under that key; None where nothing does, or something damaged, which is removed."""
    if cache.folder is None or key not in cache:
        return None
    folder = cache.folder / key
    try:
        about = json.loads((folder / "fields.json").read_text(encoding="utf-8"))
        part = _Part(folder, int(about["count"]), [_Field(*field) for field in about["fields"]])
        for k, field in enumerate(part.fields):
            size = part.count * int(np.prod(field.shape)) * np.dtype(field.dtype).itemsize
            if _file(folder, k).stat().st_size != size:
                raise ValueError(f"{folder}: cut short")
    except (OSError, ValueError, TypeError, KeyError):
        cache.remove(key)
        return None
    return part


def _made(cache: FolderCache, key: str, scan: Scan, cut: Cut) -> _Part:
    try:
        if cache.folder is None:
            raise OSError(cache.notes[-1])
        with cache.writing(key) as folder:
            _write(folder, cut(scan))
    except OSError as error:
        raise UserError(
            f"{scan.name}: its blocks cannot be kept ({error.strerror or error}); set GESTALT3D_CACHE to a folder with "
            "space, about 180 kB a block, and permission to write"
        ) from error
    part = _kept(cache, key)
    assert part is not None
    return part


def _write(folder: Path, chunks: Iterable[Sequence[Tensor]]) -> None:
    count, fields = 0, []
    for chunk in chunks:
        values = [_narrow(field.numpy()) for field in chunk]
        fields = [_Field(v.dtype.name, list(v.shape[1:])) for v in values]
        count += len(values[0])
        for k, value in enumerate(values):
            with _file(folder, k).open("ab") as file:
                file.write(np.ascontiguousarray(value).tobytes())
    about: dict[str, Any] = {"count": count, "fields": fields}
    (folder / "fields.json").write_text(json.dumps(about), encoding="utf-8")


def _narrow(values: np.ndarray) -> np.ndarray:
    """Classes and numbers of instances need no 64 bits."""
    return values.astype(np.float32 if values.dtype.kind == "f" else np.int32)

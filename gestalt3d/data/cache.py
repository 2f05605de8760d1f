"""Labelled clouds on disk: one folder per scan, one flat memory-mapped array per field.

A scan's folder appears by one rename, so a killed process leaves nothing half written and two processes
that make the same scan do not disturb each other. Where nothing can be
written the cache is off and says so in `notes`.
"""

import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan, Scans
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import Vocabulary

_STALE_SECONDS = 24 * 3600


def cache_root() -> Path:
    """`$GESTALT3D_CACHE`, else the platform's folder for caches."""
    if named := os.environ.get("GESTALT3D_CACHE"):
        return Path(named)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
        return Path(base).expanduser() / "gestalt3d" / "cache"
    if sys.platform == "darwin":
        return Path("~/Library/Caches/gestalt3d").expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "gestalt3d"


def digest(*parts: object) -> str:
    """Twelve hexadecimal digits that change with any of `parts` (by their `repr`)."""
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()[:12]


def digest_of_files(*paths: Path) -> str:
    """A `digest` that changes when one of the files does, or comes or goes."""
    return digest(*((p.name, s.st_size, s.st_mtime_ns) for p in paths if p.exists() for s in [p.stat()]))


class Packed(NamedTuple):
    """A `Scan` as plain arrays; each field is one file."""

    points: np.ndarray
    """(n, 3) float32."""
    colors: np.ndarray | None
    """(n, 3) uint8."""
    instance: np.ndarray
    """(n,) row of `classes`, -1 none; where instances overlap, the first of those with the highest score."""
    semantic: np.ndarray
    """(n,) class of every point, -1 unknown."""
    classes: np.ndarray
    """(i,) class of every instance."""
    origin: np.ndarray | None = None
    """(3,) float64."""
    mask_offsets: np.ndarray | None = None
    mask_indices: np.ndarray | None = None
    """The masks as `Sets`, where they overlap; else `instance` says it all."""
    whole_offsets: np.ndarray | None = None
    whole_indices: np.ndarray | None = None
    """The amodal masks as `Sets`, where there are any."""


def pack(scan: Scan) -> Packed:
    """Colours are rounded to 8 bits; scores, boxes and normals are left out."""
    found, cloud = scan.truth, scan.input
    labels = found.to_labels()
    semantic = found.element_classes
    if semantic is None:
        semantic = torch.where(labels >= 0, _lookup(found.classes, labels), -1)
    colors = None if cloud.colors is None else (cloud.colors * 255 + 0.5).clamp(0, 255).byte().numpy()
    origin = None if cloud.origin is None else cloud.origin.numpy()
    return Packed(
        cloud.points.numpy(),
        colors,
        _narrow(labels.numpy()),
        _narrow(semantic.numpy()),
        _narrow(found.classes.numpy()),
        origin,
        *_plain(found.masks if found.masks.overlap else None),
        *_plain(found.whole),
    )


def unpack(packed: Packed, name: str, vocabulary: Vocabulary) -> Scan:
    """The scan whose class ids count in `vocabulary`."""
    colors = None if packed.colors is None else torch.from_numpy(packed.colors * np.float32(1 / 255))
    origin = None if packed.origin is None else torch.from_numpy(packed.origin)
    instances = Instances.from_labels(
        torch.from_numpy(packed.instance.astype(np.int64)),
        torch.from_numpy(packed.classes.astype(np.int64)),
        vocabulary=vocabulary,
        element_classes=torch.from_numpy(packed.semantic.astype(np.int64)),
    )
    masks = _sets(packed.mask_offsets, packed.mask_indices, len(packed.points)) or instances.masks
    whole = _sets(packed.whole_offsets, packed.whole_indices, len(packed.points))
    instances = replace(instances, masks=masks, whole=whole)
    return Scan(name, PointCloud(torch.from_numpy(packed.points), colors, origin=origin), instances)


def _plain(sets: Sets | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    return (None, None) if sets is None else (sets.offsets.numpy(), _narrow(sets.indices.numpy()))


def _sets(offsets: np.ndarray | None, indices: np.ndarray | None, size: int) -> Sets | None:
    if offsets is None or indices is None:
        return None
    return Sets(torch.from_numpy(offsets.astype(np.int64)), torch.from_numpy(indices.astype(np.int64)), size)


def fingerprint(scans: Scans, i: int) -> str:
    """Changes with what scan `i` holds: the data set says so without reading it, or all of it is read."""
    known = getattr(scans, "fingerprint", None)
    if known is not None:
        return known(i)
    return digest([values.tobytes() for values in pack(scans[i]) if values is not None])


class FolderCache:
    """Folders by key below `root/title`. Keys and titles must change with everything that the content depends on."""

    def __init__(self, title: str, *, root: Path | None = None) -> None:
        self.notes: list[str] = []
        self.folder: Path | None = None
        try:
            folder = (root or cache_root()) / title
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(f"no permission to write {folder}")
            self.folder = folder
            _remove_stale(folder)
        except (OSError, RuntimeError) as error:
            self._switch_off(error)

    def __contains__(self, key: str) -> bool:
        return self.folder is not None and (self.folder / key).is_dir()

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """A new folder that appears under `key` when its content is complete; nothing of it stays where that fails.

        Where another process was first, with the same content, that stays. An `OSError` is the caller's to judge.
        """
        assert self.folder is not None
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=self.folder))
        try:
            yield temporary
            try:
                temporary.rename(self.folder / key)
            except OSError:
                if key not in self:
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def remove(self, key: str) -> None:
        """What lies under `key` is damaged."""
        if self.folder is not None:
            shutil.rmtree(self.folder / key, ignore_errors=True)

    def _switch_off(self, error: Exception) -> None:
        self.folder = None
        self.notes.append(
            f"nothing is cached ({error}); set GESTALT3D_CACHE to a folder with space and permission to write"
        )


class ScanCache(FolderCache):
    """Scans by key."""

    def get(self, key: str, make: Callable[[], Packed]) -> Packed:
        """The scan under `key`; where there is none, or a damaged one, that of `make()`, then kept."""
        if (found := self.load(key)) is not None:
            return found
        packed = make()
        self.save(key, packed)
        return packed

    def load(self, key: str) -> Packed | None:
        """Arrays are mapped copy-on-write: read when touched, and writing to them does not reach the file."""
        if key not in self:
            return None
        assert self.folder is not None
        try:
            return _read(self.folder / key)
        except (OSError, ValueError, EOFError):
            self.remove(key)
            return None

    def save(self, key: str, packed: Packed) -> None:
        if self.folder is None:
            return
        try:
            with self.writing(key) as temporary:
                for field, value in packed._asdict().items():
                    if value is not None:
                        np.save(temporary / f"{field}.npy", value, allow_pickle=False)
        except OSError as error:
            self._switch_off(error)


def _read(folder: Path) -> Packed:
    values: list[np.ndarray | None] = []
    for field in Packed._fields:
        path = folder / f"{field}.npy"
        optional = field in Packed._field_defaults or field == "colors"
        optional = optional and not path.exists()
        values.append(None if optional else _map(path))
    packed = Packed(*values)  # pyright: ignore[reportArgumentType]
    n = len(packed.points)
    same = [packed.instance, packed.semantic] + ([] if packed.colors is None else [packed.colors])
    if packed.points.shape != (n, 3) or any(len(a) != n for a in same):
        raise ValueError(f"{folder}: arrays of different lengths")
    for offsets, indices in (
        (packed.mask_offsets, packed.mask_indices),
        (packed.whole_offsets, packed.whole_indices),
    ):
        if (offsets is None) != (indices is None):
            raise ValueError(f"{folder}: half of the masks is missing")
        _sets(offsets, indices, n)  # says what is wrong with them
    return packed


def _map(path: Path) -> np.ndarray:
    """An empty file cannot be mapped; an empty array is read instead."""
    try:
        return np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))
    except ValueError:
        array = np.load(path, allow_pickle=False)
        if array.size:
            raise
        return array


def _narrow(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int16 if values.size == 0 or values.max() < 2**15 else np.int32)


def _lookup(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """`table[index]`, anything where the index is -1."""
    return torch.cat([table, table.new_full((1,), -1)])[index]


def _remove_stale(folder: Path) -> None:
    """What killed processes left behind."""
    for left in folder.glob(".new-*"):
        if time.time() - left.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)

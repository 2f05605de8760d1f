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

from gestalt3d.structures.instances import Instances, Shape
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
    amodal_boxes: np.ndarray | None = None
    """(i, 7) float32."""
    shape_offsets: np.ndarray | None = None
    """(i + 1,) int32: whole shape `k` is `shape_points[shape_offsets[k]:shape_offsets[k + 1]]`."""
    shape_points: np.ndarray | None = None
    """(p, 3) uint16: each coordinate is the part of 65,535 of the shape's extent."""
    shape_bounds: np.ndarray | None = None
    """(i, 6) float32: of each shape the lowest coordinates and the extents."""


def pack(scan: Scan) -> Packed:
    """Colours are rounded to 8 bits, whole shapes to 16 along each of their extents; scores, visible boxes and normals are left
    out, and shapes that are not of points.
    """
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
        None if found.amodal_boxes is None else found.amodal_boxes.float().numpy(),
        *_plain_shapes(found.shapes),
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
    boxes = None if packed.amodal_boxes is None else torch.from_numpy(packed.amodal_boxes)
    instances = replace(instances, masks=masks, whole=whole, amodal_boxes=boxes, shapes=_shapes(packed))
    return Scan(name, PointCloud(torch.from_numpy(packed.points), colors, origin=origin), instances)


def _plain(sets: Sets | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    return (None, None) if sets is None else (sets.offsets.numpy(), _narrow(sets.indices.numpy()))


def _sets(offsets: np.ndarray | None, indices: np.ndarray | None, size: int) -> Sets | None:
    if offsets is None or indices is None:
        return None
    return Sets(torch.from_numpy(offsets.astype(np.int64)), torch.from_numpy(indices.astype(np.int64)), size)


_STEPS = 65535


def _plain_shapes(
    shapes: tuple[Shape, ...] | None,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """`shape_offsets`, `shape_points` and `shape_bounds`, where all are points."""
    if shapes is None or not all(isinstance(shape, PointCloud) for shape in shapes):
        return None, None, None
    clouds = [shape.world_points.numpy() for shape in shapes if isinstance(shape, PointCloud)]
    bounds, parts = np.zeros((len(clouds), 6), np.float32), [np.zeros((0, 3), np.uint16)]
    for row, points in zip(bounds, clouds, strict=True):
        if len(points):
            row[:3] = points.min(0)
            row[3:] = points.max(0) - row[:3]
            share = (points - row[:3]) / np.where(row[3:] > 0, row[3:], 1)
            parts.append(np.rint(share.clip(0, 1) * _STEPS).astype(np.uint16))
    return np.cumsum([0, *map(len, clouds)], dtype=np.int32), np.concatenate(parts), bounds


def _shapes(packed: Packed) -> tuple[PointCloud, ...] | None:
    if packed.shape_offsets is None or packed.shape_points is None or packed.shape_bounds is None:
        return None
    sizes = np.diff(packed.shape_offsets)
    low, extent = np.repeat(packed.shape_bounds, sizes, axis=0).reshape(-1, 2, 3).transpose(1, 0, 2)
    points = torch.from_numpy(low + packed.shape_points * (extent / np.float32(_STEPS)))
    return tuple(PointCloud(own) for own in points.split(sizes.tolist()))


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
    _expect_whole(packed, folder)
    return packed


def _expect_whole(packed: Packed, folder: Path) -> None:
    """`ValueError` unless amodal boxes and whole shapes are those of as many instances as there are."""
    count = len(packed.classes)
    if packed.amodal_boxes is not None and packed.amodal_boxes.shape != (count, 7):
        raise ValueError(f"{folder}: amodal boxes of other instances")
    offsets, points, bounds = packed.shape_offsets, packed.shape_points, packed.shape_bounds
    if offsets is None and points is None and bounds is None:
        return
    if offsets is None or points is None or bounds is None:
        raise ValueError(f"{folder}: a part of the shapes is missing")
    fits = offsets.shape == (count + 1,) and bounds.shape == (count, 6) and points.shape[1:] == (3,)
    if not (fits and offsets[0] == 0 and offsets[-1] == len(points) and (np.diff(offsets) >= 0).all()):
        raise ValueError(f"{folder}: shapes of other instances")


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

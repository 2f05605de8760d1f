"""What a scene is made of. Every layer knows the instance of each of its parts, so that all of them can be pointed at.

Points, triangles, lines and a camera's sight stand in the room, in metres. An image plane lies flat by itself, and its pixels are
the unit: x to the right, y up, the upper left corner at 0 0, so that pixel (row, column) reaches from (column, -row - 1) to
(column + 1, -row).
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from gestalt3d.structures.vocabulary import Vocabulary
from gestalt3d.viewer.cutaway import cutaway_codes, hidden_from
from gestalt3d.viewer.viewpoint import Viewpoint

GHOST = 0.4
"""Opacity of what is not seen but said to be there."""
_KEPT_OF_AN_INSTANCE = 64


@dataclass(frozen=True, eq=False)
class Points:
    """A scan, or with an `opacity` below one a ghost: points that are not seen but said to be there."""

    positions: np.ndarray
    """(n, 3) float32, finite."""
    labels: np.ndarray
    """(n,) int64: the instance of each, -1 for none."""
    classes: np.ndarray
    """(n,) int64: the class of the point's instance where it has one, else of the point; -1 unknown."""
    vocabulary: Vocabulary
    bounds: np.ndarray
    """(2, 3) lowest and highest corner without the outermost points."""
    colors: np.ndarray | None = None
    """(n, 3) uint8."""
    opacity: float = 1.0
    name: str = "Points"

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def cutaway(self) -> np.ndarray:
        """(n,) uint8, see `cutaway_codes`; a ghost hides nothing."""
        if self.opacity < 1:
            return np.zeros(len(self), dtype=np.uint8)
        return cutaway_codes(self.positions, self.classes, self.vocabulary, self.bounds)

    @cached_property
    def spacing(self) -> float:
        """Typical distance between neighbours in metres."""
        return _spacing(self.positions, self.bounds)

    def hidden_from(self, viewpoint: Viewpoint) -> np.ndarray:
        """(n,) bool: ceiling and near walls, for an eye outside."""
        return hidden_from(self.cutaway, viewpoint)

    def thinned(self, most: int, count: int) -> "Points":
        """At most `most` of them; of each of `count` instances some stay."""
        if len(self) <= most:
            return self
        kept = _thin_out(self.labels, count, most)
        return replace(
            self,
            positions=self.positions[kept],
            labels=self.labels[kept],
            classes=self.classes[kept],
            colors=None if self.colors is None else self.colors[kept],
        )


@dataclass(frozen=True, eq=False)
class Triangles:
    """Surfaces, seen from both sides."""

    vertices: np.ndarray
    """(v, 3) float32, finite."""
    faces: np.ndarray
    """(f, 3) int64: rows of `vertices`."""
    labels: np.ndarray
    """(f,) int64: the instance of each triangle, -1 for none."""
    opacity: float = GHOST
    name: str = "Whole shapes"

    def __len__(self) -> int:
        return len(self.faces)


@dataclass(frozen=True, eq=False)
class Lines:
    """Straight lines, which cover nothing and cannot be pointed at."""

    ends: np.ndarray
    """(l, 2, 3) float32, finite."""
    labels: np.ndarray
    """(l,) int64: the instance of each, -1 for none."""
    dashed: bool = False
    name: str = "Lines"

    def __len__(self) -> int:
        return len(self.ends)


@dataclass(frozen=True, eq=False)
class ImagePlane:
    """A photo and the instance at every pixel."""

    pixels: np.ndarray
    """(h, w, 3) uint8."""
    labels: np.ndarray
    """(h, w) int64: the instance seen there, -1 for none."""
    boxes: np.ndarray
    """(i, 4) left, top, right and bottom edge of each instance in pixels; NaN without pixels."""
    outlines: Lines | None = None
    """Around all that an instance covers, hidden or not."""
    hidden: np.ndarray | None = None
    """(h, w) int64: the instance that reaches there without being seen there, the surest where there are several; -1 for none."""
    name: str = "Photo"

    def __len__(self) -> int:
        return self.labels.size


@dataclass(frozen=True, eq=False)
class Sight:
    """Where a photo hangs in the room and, where that is known, the eye that took it, with lines from there to its corners."""

    eye: np.ndarray | None
    """(3,) float64."""
    corners: np.ndarray
    """(4, 3) float64: upper left, upper right, lower left and lower right corner of the photo."""
    name: str = "Camera"

    @property
    def places(self) -> np.ndarray:
        """(k, 3) what of it is to be seen."""
        return self.corners if self.eye is None else np.vstack([self.eye, self.corners])

    @property
    def azimuth(self) -> float:
        """Degrees around z at which the eye stands, as seen from what it looks at; without an eye, before the photo."""
        if self.eye is None:
            right, down = self.corners[1] - self.corners[0], self.corners[2] - self.corners[0]
            back = np.cross(down, right)
        else:
            back = self.eye - self.corners.mean(0)
        return float(np.rad2deg(np.arctan2(back[1], back[0])))

    @cached_property
    def lines(self) -> Lines:
        """The eight edges of the pyramid, or the four of the photo."""
        around = self.corners[[0, 1, 3, 2]]
        ends = np.stack([around, np.roll(around, -1, axis=0)], axis=1)
        if self.eye is not None:
            rays = np.stack([np.broadcast_to(self.eye, (4, 3)), around], axis=1)
            ends = np.concatenate([rays, ends])
        return Lines(ends.astype(np.float32), np.full(len(ends), -1), name=self.name)


Layer = Points | Triangles | Lines | ImagePlane | Sight


def _thin_out(labels: np.ndarray, count: int, max_points: int) -> np.ndarray:
    """Ascending positions: each instance keeps a few, the rest is shared in proportion, evenly spaced."""
    sizes = np.bincount(labels + 1, minlength=count + 1)
    least = np.minimum(sizes, max(1, min(_KEPT_OF_AN_INSTANCE, max_points // (4 * (count + 1)))))
    share = max(0, max_points - least.sum()) / max(1, (sizes - least).sum())
    quota = least + ((sizes - least) * share).astype(np.int64)
    order = np.argsort(labels, kind="stable")
    group = labels[order] + 1
    rank = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[group]
    steps = quota[group] / sizes[group]
    kept = np.floor((rank + 1) * steps + 1e-9) > np.floor(rank * steps + 1e-9)
    return np.sort(order[kept])


def _spacing(points: np.ndarray, bounds: np.ndarray) -> float:
    """From the area of the occupied cells, on the finest grid that still holds several points in each."""
    extent = float(np.max(bounds[1] - bounds[0]))
    if extent <= 0 or len(points) < 2:
        return 0.01
    unit = np.clip((points - bounds[0]) / extent, 0, 1 - 1e-6)
    area = 1.0
    for cells in (4, 8, 16, 32, 64, 128, 256):
        ijk = (unit * cells).astype(np.int64)
        occupied = np.zeros(cells**3, dtype=bool)
        occupied[(ijk[:, 0] * cells + ijk[:, 1]) * cells + ijk[:, 2]] = True
        filled = int(occupied.sum())
        if len(points) < 8 * filled:
            break
        area = filled / cells**2
    return extent * float(np.sqrt(area / len(points)))

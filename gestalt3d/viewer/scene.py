"""What there is to draw: finite points with one colour, one instance and one class each."""

from dataclasses import dataclass

import numpy as np

from gestalt3d.errors import UserError
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import Vocabulary
from gestalt3d.viewer.cutaway import cutaway_codes, hidden_from
from gestalt3d.viewer.viewpoint import Viewpoint, project, visible_value

_KEPT_OF_AN_INSTANCE = 64
_SAMPLE = 50_000


@dataclass(frozen=True)
class Scene:
    """Points in the cloud's frame, without those that are not finite and without strays far away."""

    points: np.ndarray
    """(n, 3) float32."""
    colors: np.ndarray | None
    """(n, 3) uint8."""
    labels: np.ndarray
    """(n,) int64: the instance of the highest score, -1 for none."""
    classes: np.ndarray
    """(n,) int64: the class of the point's instance where it has one, else of the point; -1 unknown."""
    cutaway: np.ndarray
    """(n,) uint8, see `cutaway_codes`."""
    sample: np.ndarray
    """(m, 3) float32: some points of the scan, whatever was found in it: all methods are looked at from one viewpoint."""
    extent: np.ndarray
    """(3,) metres along the axes, of all points."""
    bounds: np.ndarray
    """(2, 3) lowest and highest corner without the outermost points."""
    spacing: float
    """Typical distance between neighbours in metres."""
    boxes: np.ndarray
    """(i, 7) visible boxes, along the axes where the instances bring none; NaN without points."""
    vocabulary: Vocabulary
    notes: tuple[str, ...]

    def hidden_from(self, viewpoint: Viewpoint) -> np.ndarray:
        """(n,) bool: ceiling and near walls, for an eye outside."""
        return hidden_from(self.cutaway, viewpoint)

    def fit_points(self) -> np.ndarray:
        """Points for fitting a view to, strays pulled to the bounds."""
        return np.clip(self.sample, *self.bounds).astype(np.float32)

    def best_viewpoint(self) -> Viewpoint:
        """Of sixteen azimuths the one that shows most of what stands on the ground, whatever was found there."""
        points, fit_to, size = self.sample, self.fit_points(), (128, 96)
        codes = cutaway_codes(points, np.full(len(points), -1), Vocabulary("none", ()), self.bounds)
        groups = _columns(points, self.bounds)
        groups[codes > 0] = -1

        def value(viewpoint: Viewpoint) -> float:
            shown = ~hidden_from(codes, viewpoint)
            if not shown.any():
                return 0.0
            return visible_value(project(points[shown], viewpoint, size, fit_to), groups[shown], size)

        return max((Viewpoint(float(a)) for a in np.arange(15, 375, 22.5)), key=value)


def make_scene(cloud: PointCloud, instances: Instances, *, max_points: int | None = None) -> Scene:
    """Resolve overlaps, drop what cannot be drawn, thin out to `max_points` with every instance visible."""
    if len(cloud) != instances.masks.size:
        raise ValueError(f"instances describe {instances.masks.size} points, the cloud has {len(cloud)}")
    notes = list(cloud.source.notes) if cloud.source is not None else []
    all_points = cloud.points.detach().cpu().numpy()
    finite = np.isfinite(all_points).all(1)
    if not finite.any():
        raise UserError("there is no finite point to show; give a cloud with at least one")
    bounds = _bounds(all_points[finite])
    near = finite & (
        (all_points > 6 * bounds[0] - 5 * bounds[1] - 1) & (all_points < 6 * bounds[1] - 5 * bounds[0] + 1)
    ).all(1)
    if bad := int((~finite).sum()):
        notes.append(f"{bad:,} points without finite coordinates are not shown")
    if stray := int(finite.sum() - near.sum()):
        notes.append(f"{stray:,} stray points far away are not shown")
    labels = instances.to_labels().cpu().numpy()
    shown = near.nonzero()[0]
    sample = all_points[shown[:: -(-len(shown) // _SAMPLE)]].astype(np.float32)
    extent = np.ptp(all_points[shown].astype(np.float64), axis=0)
    if max_points is not None and len(shown) > max_points:
        notes.append(f"{max_points:,} of {len(shown):,} points are shown")
        shown = shown[_thin_out(labels[shown], len(instances), max_points)]
    points, labels = all_points[shown].astype(np.float32), labels[shown]
    colors = None
    if cloud.colors is None:
        notes.append("no colour in the input")
    else:
        fractions = np.nan_to_num(cloud.colors.detach().cpu().numpy()[shown])
        colors = np.rint(np.clip(fractions, 0, 1) * 255).astype(np.uint8)
    classes = _classes(instances, labels, shown)
    return Scene(
        points=points,
        colors=colors,
        labels=labels,
        classes=classes,
        cutaway=cutaway_codes(points, classes, instances.vocabulary, bounds),
        sample=sample,
        extent=extent,
        bounds=bounds,
        spacing=_spacing(points, bounds),
        boxes=_boxes(all_points, instances),
        vocabulary=instances.vocabulary,
        notes=tuple(dict.fromkeys(notes)),
    )


def _columns(points: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """(n,) the upright column, a twentieth of the scan wide, that each point stands in; -1 at the height of the ground."""
    extent = np.maximum(bounds[1] - bounds[0], 1e-6)
    ij = np.clip((points[:, :2] - bounds[0, :2]) / extent[:2].max() * 20, 0, 20).astype(np.int64)
    on_ground = points[:, 2] < bounds[0, 2] + 0.05 * extent[2]
    return np.where(on_ground, -1, ij[:, 0] * 21 + ij[:, 1])


def _bounds(points: np.ndarray) -> np.ndarray:
    some = points[:: -(-len(points) // 400_000)]
    return np.quantile(some.astype(np.float64), [0.003, 0.997], axis=0)


def _classes(instances: Instances, labels: np.ndarray, shown: np.ndarray) -> np.ndarray:
    of_instance = np.append(instances.classes.cpu().numpy(), -1)[labels]
    if instances.element_classes is None:
        return of_instance
    return np.where(labels >= 0, of_instance, instances.element_classes.cpu().numpy()[shown])


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


def _boxes(points: np.ndarray, instances: Instances) -> np.ndarray:
    if instances.boxes is not None:
        return instances.boxes.detach().cpu().numpy().astype(np.float64)
    boxes = np.full((len(instances), 7), np.nan)
    for i in range(len(instances)):
        own = points[instances.elements_of(i).cpu().numpy()]
        own = own[np.isfinite(own).all(1)]
        if len(own):
            low, high = own.min(0), own.max(0)
            boxes[i] = [*(low + high) / 2, *(high - low), 0.0]
    return boxes

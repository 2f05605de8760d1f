"""What there is to look at: layers, and whose instances they show. `scene_of` makes it, once for picture and page."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from gestalt3d.errors import UserError
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import Vocabulary
from gestalt3d.viewer.cutaway import cutaway_codes, hidden_from
from gestalt3d.viewer.layers import ImagePlane, Layer, Points
from gestalt3d.viewer.viewpoint import Viewpoint, project, visible_value

_SAMPLE = 50_000


@dataclass(frozen=True, eq=False)
class Room:
    """The space in which points, triangles and lines stand: metres in the frame of the cloud."""

    bounds: np.ndarray
    """(2, 3) lowest and highest corner without the outermost points."""
    extent: np.ndarray
    """(3,) metres along the axes, of all points."""
    sample: np.ndarray
    """(m, 3) float32: some points of the scan, whatever was found in it: all methods are looked at from one viewpoint."""
    boxes: np.ndarray
    """(i, 7) visible boxes, along the axes where the instances bring none; NaN without points."""
    origin: np.ndarray
    """(3,) float64: where the cloud's origin lies in the world."""

    def fit_points(self) -> np.ndarray:
        """Points for fitting a view to, strays pulled to the bounds."""
        return np.clip(self.sample, *self.bounds).astype(np.float32)

    @cached_property
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


@dataclass(frozen=True, eq=False)
class Scene:
    """Layers in the order in which they are listed, and the instances that their labels mean."""

    layers: tuple[Layer, ...]
    instances: Instances
    room: Room | None
    """None for a photo alone."""
    notes: tuple[str, ...] = ()

    @property
    def scan(self) -> Points | None:
        """The points that were segmented."""
        return next(
            (layer for layer in self.layers if isinstance(layer, Points) and layer.opacity == 1), None
        )

    @property
    def photo(self) -> ImagePlane | None:
        return next((layer for layer in self.layers if isinstance(layer, ImagePlane)), None)

    def thinned(self, most: int) -> "Scene":
        """With at most `most` points of the scan, every instance visible, and a note that says so."""
        scan = self.scan
        if scan is None or len(scan) <= most:
            return self
        fewer = scan.thinned(most, len(self.instances))
        note = f"{most:,} of {len(scan):,} points are shown"
        layers = tuple(fewer if layer is scan else layer for layer in self.layers)
        return replace(self, layers=layers, notes=(*self.notes, note))


def scene_of(given: PointCloud, instances: Instances) -> Scene:
    """The one way from a result to something that is drawn: `save_picture`, `save_page` and `view` all come here.

    Labels, boxes and viewpoint are computed once for whoever draws the scene: `write_picture` and `write_page` take it.
    Where instances overlap the one of the highest score is seen. Points that are not finite, and strays far away, are left
    out, which a note says.
    """
    if len(given) != instances.masks.size:
        raise ValueError(f"instances describe {instances.masks.size} points, the cloud has {len(given)}")
    labels = instances.to_labels().cpu().numpy()
    notes = list(given.source.notes) if given.source is not None else []
    scan, room = _scan_and_room(given, instances, labels, notes)
    return Scene((scan,), instances, room, tuple(dict.fromkeys(notes)))


def _scan_and_room(
    cloud: PointCloud, instances: Instances, labels: np.ndarray, notes: list[str]
) -> tuple[Points, Room]:
    """What can be drawn of a cloud; what cannot is added to the notes."""
    positions = cloud.points.detach().cpu().numpy()
    finite = np.isfinite(positions).all(1)
    if not finite.any():
        raise UserError("there is no finite point to show; give a cloud with at least one")
    bounds = _bounds(positions[finite])
    near = finite & (
        (positions > 6 * bounds[0] - 5 * bounds[1] - 1) & (positions < 6 * bounds[1] - 5 * bounds[0] + 1)
    ).all(1)
    if bad := int((~finite).sum()):
        notes.append(f"{bad:,} points without finite coordinates are not shown")
    if stray := int(finite.sum() - near.sum()):
        notes.append(f"{stray:,} stray points far away are not shown")
    shown = near.nonzero()[0]
    colors = None
    if cloud.colors is not None:
        fractions = np.nan_to_num(cloud.colors.detach().cpu().numpy()[shown])
        colors = np.rint(np.clip(fractions, 0, 1) * 255).astype(np.uint8)
    elif not any("colour" in note for note in notes):
        notes.append("no colour in the input")
    scan = Points(
        positions[shown].astype(np.float32),
        labels[shown],
        _classes(instances, labels, shown),
        instances.vocabulary,
        bounds,
        colors,
    )
    room = Room(
        bounds=bounds,
        extent=np.ptp(positions[shown].astype(np.float64), axis=0),
        sample=positions[shown[:: -(-len(shown) // _SAMPLE)]].astype(np.float32),
        boxes=_boxes(positions, instances),
        origin=np.zeros(3) if cloud.origin is None else cloud.origin.cpu().numpy(),
    )
    return scan, room


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
    of_instance = np.append(instances.classes.cpu().numpy(), -1)[labels[shown]]
    if instances.element_classes is None:
        return of_instance
    return np.where(labels[shown] >= 0, of_instance, instances.element_classes.cpu().numpy()[shown])


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

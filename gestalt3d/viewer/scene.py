"""What there is to look at: layers, and whose instances they show. `scene_of` makes it, once for picture and page."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from PIL import Image

from gestalt3d.errors import UserError
from gestalt3d.io.given import InputLike, instances_and_input
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary
from gestalt3d.viewer.cutaway import cutaway_codes, hidden_from
from gestalt3d.viewer.layers import ImagePlane, Layer, Points, Triangles
from gestalt3d.viewer.shapes import outlines, whole_shapes
from gestalt3d.viewer.sight import backdrop, sight_of
from gestalt3d.viewer.viewpoint import Viewpoint, project, visible_value

_SAMPLE = 50_000
_OF_GHOSTS = 300
"""Points of whole shapes that a look must show."""
_ASIDE = 45
"""Degrees between a look and that of the camera."""
_MOST_PIXELS = 2560
"""Along a side of a photo; phones take no textures much larger."""


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
    beside: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    """(k, 3) what is to be seen besides: a camera, whole shapes."""
    side: float | None = None
    """Degrees: the azimuth from which a single camera saw it; a look from another side shows the backs of things."""
    places: np.ndarray | None = None
    """(i, 7) boxes to look at instances by, where not by `boxes`."""
    unit: Literal["m", "px"] = "m"
    """Of lengths: metres, or pixels of a photo whose camera nobody knows."""

    def fit_points(self) -> np.ndarray:
        """Points for fitting a view to, strays pulled to the bounds."""
        return np.concatenate([np.clip(self.sample, *self.bounds), self.beside]).astype(np.float32)

    @cached_property
    def best_viewpoint(self) -> Viewpoint:
        """Of sixteen azimuths the one that shows most of what stands on the ground, whatever was found there.

        Of what one camera saw, of those on its side. Before a photo nothing stands on a ground: a little from its right.
        """
        if self.unit == "px":
            assert self.side is not None
            return Viewpoint(self.side + _ASIDE / 2)
        points, fit_to, size = self.sample, self.fit_points(), (128, 96)
        codes = cutaway_codes(points, np.full(len(points), -1), Vocabulary("none", ()), self.bounds)
        groups = _columns(points, self.bounds)
        groups[codes > 0] = -1

        def value(viewpoint: Viewpoint) -> float:
            shown = ~hidden_from(codes, viewpoint)
            if not shown.any():
                return 0.0
            return visible_value(project(points[shown], viewpoint, size, fit_to), groups[shown], size)

        azimuths = np.arange(15, 375, 22.5)
        if self.side is not None:
            off = (azimuths - self.side + 180) % 360 - 180
            azimuths = azimuths[np.abs(off) <= _ASIDE]
        return max((Viewpoint(float(a)) for a in azimuths), key=value)


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

    @property
    def is_completed(self) -> bool:
        """Whether there are whole shapes, seen or not."""
        return any(layer.opacity < 1 for layer in self.layers if isinstance(layer, Points | Triangles))

    def thinned(self, most: int) -> "Scene":
        """With at most `most` points of the scan, every instance visible, and a note that says so."""
        scan = self.scan
        if scan is None or len(scan) <= most:
            return self
        fewer = scan.thinned(most, len(self.instances))
        note = f"{most:,} of {len(scan):,} points are shown"
        layers = tuple(fewer if layer is scan else layer for layer in self.layers)
        return replace(self, layers=layers, notes=(*self.notes, note))


def scene_of(
    given: PointCloud | View, instances: Instances, *, labels: Int[torch.Tensor, "n"] | None = None
) -> Scene:
    """The one way from a result to something that is drawn: `save_picture`, `save_page` and `view` all come here.

    Labels, boxes and viewpoint are computed once for whoever draws the scene: `write_picture` and `write_page` take it.
    Where instances overlap the one of the highest score is seen. A view is a photo and, where its depth and camera are known,
    also its points. Whole shapes are ghosts. Points that are not finite, and strays far away, are left out, which a
    note says; `UserError` where no point is left. `labels` are `instances.to_labels()`, where they are known already.
    """
    if len(given) != instances.masks.size:
        what = "points, the cloud" if isinstance(given, PointCloud) else "pixels, the view"
        raise ValueError(f"instances describe {instances.masks.size} {what} has {len(given)}")
    shown = (instances.to_labels() if labels is None else labels).cpu().numpy()
    layers: list[Layer] = []
    if isinstance(given, View):
        notes = list(given.notes)
        layers.append(_photo(given, instances, shown, notes))
        cloud, unknown, is_told = _cloud_of_pixels(given), "pixels have no depth", given.path is not None
    else:
        notes = list(given.source.notes) if given.source is not None else []
        cloud, unknown = given, "points without finite coordinates are not shown"
        is_told = given.source is not None
    ghosts = whole_shapes(instances, notes)
    room = None
    if cloud is not None:
        scan, room = _scan_and_room(cloud, instances, shown, notes, unknown, is_told)
        layers.append(scan)
        if isinstance(given, View):
            sight = sight_of(given)
            layers.append(sight)
            room = replace(room, beside=sight.places, side=sight.azimuth)
        if ghosts:
            room = replace(room, beside=np.concatenate([room.beside, _some_of(ghosts)]))
    elif ghosts:
        room = _room_of(ghosts, instances)
        if isinstance(given, View):
            # Shapes of a photo alone are in its pixels.
            hung = backdrop((given.image.shape[2], given.image.shape[1]), float(room.bounds[1, 1]))
            layers.append(hung)
            room = replace(room, beside=hung.places, side=hung.azimuth, unit="px")
    return Scene((*layers, *ghosts), instances, room, tuple(dict.fromkeys(notes)))


def scene_from(given: InputLike, instances: Instances, *, call: str) -> Scene:
    """`scene_of` what a caller hands over; `call` begins the sentence of the error where it is something else."""
    instances, given = instances_and_input(instances, given, call=call)
    return scene_of(given, instances)


def _scan_and_room(
    cloud: PointCloud, instances: Instances, labels: np.ndarray, notes: list[str], unknown: str, is_told: bool
) -> tuple[Points, Room]:
    """What can be drawn of a cloud. What cannot is added to the notes, unless a reader told (`is_told`) what gets no answer;
    `unknown` is what to say of places that are not known.
    """
    positions = cloud.points.detach().cpu().numpy()
    finite = np.isfinite(positions).all(1)
    if not finite.any():
        raise UserError("there is no finite point to show; give a cloud with at least one")
    bounds = _bounds(positions[finite])
    near = finite & (
        (positions > 6 * bounds[0] - 5 * bounds[1] - 1) & (positions < 6 * bounds[1] - 5 * bounds[0] + 1)
    ).all(1)
    lost = finite & ~near
    if is_told and lost.any():
        lost &= cloud.usable().cpu().numpy()
    if not is_told and (bad := int((~finite).sum())):
        notes.append(f"{bad:,} {unknown}")
    if stray := int(lost.sum()):
        notes.append(f"{stray:,} stray points far away are not shown")
    shown = near.nonzero()[0]
    if cloud.colors is None and not any("colour" in note for note in notes):
        notes.append("no colour in the input")
    scan = Points(
        positions[shown].astype(np.float32),
        labels[shown],
        _classes(instances, labels, shown),
        instances.vocabulary,
        bounds,
        None if cloud.colors is None else _as_bytes(cloud.colors.detach().cpu().numpy()[shown]),
    )
    room = Room(
        bounds=bounds,
        extent=np.ptp(positions[shown].astype(np.float64), axis=0),
        sample=positions[shown[:: -(-len(shown) // _SAMPLE)]].astype(np.float32),
        boxes=_boxes(positions, instances),
        origin=np.zeros(3) if cloud.origin is None else cloud.origin.cpu().numpy(),
    )
    return scan, room


def _as_bytes(fractions: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(np.nan_to_num(fractions), 0, 1) * 255).astype(np.uint8)


def _photo(view: View, instances: Instances, labels: np.ndarray, notes: list[str]) -> ImagePlane:
    height, width = view.image.shape[1:]
    shrink = -(-max(height, width) // _MOST_PIXELS)
    pixels = _as_bytes(view.image.detach().cpu().numpy().transpose(1, 2, 0))
    if shrink > 1:
        notes.append(f"the photo is shown at 1 / {shrink} of its {width:,} × {height:,} pixels")
        pixels = np.asarray(Image.fromarray(pixels).reduce(shrink))
    whole = instances.whole
    if instances.image_boxes is None:
        boxes = _pixel_boxes(instances, width)
    else:
        boxes = instances.image_boxes.detach().cpu().numpy().astype(np.float64)

    def shown(labels: np.ndarray) -> np.ndarray:
        return labels.reshape(height, width)[::shrink, ::shrink]

    return ImagePlane(
        pixels,
        shown(labels),
        boxes / shrink,
        None if whole is None else outlines(whole, (height, width), shrink),
        None
        if whole is None
        else shown(whole.without(instances.masks).to_labels(instances.scores).cpu().numpy()),
    )


def _pixel_boxes(instances: Instances, width: int) -> np.ndarray:
    boxes = np.full((len(instances), 4), np.nan)
    for box, elements in zip(boxes, instances.masks, strict=True):
        if len(elements):
            rows, columns = np.divmod(elements.cpu().numpy(), width)
            box[:] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return boxes


def _cloud_of_pixels(view: View) -> PointCloud | None:
    """A point for every pixel, not finite where its depth is not known; none where all are so."""
    if view.depth is None or view.camera is None or not bool(view.seen.any()):
        return None
    known = view.cloud()
    points = torch.full((len(view), 3), torch.nan)
    points[view.pixels().cpu()] = known.points
    return PointCloud(points, view.image.reshape(3, -1).T.cpu(), origin=known.origin)


def _positions_of(ghosts: Sequence[Points | Triangles]) -> np.ndarray:
    return np.concatenate([g.positions if isinstance(g, Points) else g.vertices for g in ghosts])


def _some_of(ghosts: Sequence[Points | Triangles]) -> np.ndarray:
    """Those farthest out in many directions, without strays."""
    positions = _positions_of(ghosts).astype(np.float64)
    low, high = _bounds(positions)
    positions = np.clip(positions, low, high)
    rays = np.random.default_rng(0).normal(size=(_OF_GHOSTS, 3))
    return positions[np.unique((rays @ positions.T).argmax(1))]


def _room_of(ghosts: Sequence[Points | Triangles], instances: Instances) -> Room:
    """Where whole shapes are all that stands in space."""
    positions = _positions_of(ghosts)
    bounds = np.stack([positions.min(0), positions.max(0)]).astype(np.float64)
    boxes = instances.boxes if instances.boxes is not None else instances.amodal_boxes
    return Room(
        bounds=bounds,
        extent=bounds[1] - bounds[0],
        sample=positions[:: -(-len(positions) // _SAMPLE)].astype(np.float32),
        boxes=np.full((len(instances), 7), np.nan)
        if boxes is None
        else boxes.cpu().numpy().astype(np.float64),
        origin=np.zeros(3),
        places=_around(ghosts, len(instances)),
    )


def _around(ghosts: Sequence[Points | Triangles], count: int) -> np.ndarray:
    """(count, 7) boxes along the axes around the shapes of each instance, NaN without one."""
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    for ghost in ghosts:
        if isinstance(ghost, Points):
            positions, labels = ghost.positions, ghost.labels
        else:
            positions, labels = ghost.vertices[ghost.faces].reshape(-1, 3), np.repeat(ghost.labels, 3)
        named = labels >= 0
        np.minimum.at(low, labels[named], positions[named])
        np.maximum.at(high, labels[named], positions[named])
    low[low > high] = np.nan
    return np.concatenate([(low + high) / 2, high - low, np.zeros((count, 1))], axis=1)


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

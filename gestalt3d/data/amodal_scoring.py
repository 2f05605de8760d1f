"""How answers to views are scored as whole objects: truths and answers become boxes, and sets of voxels.

The lattice of a view has voxels of 5 cm and a corner in the origin of the view's world.
"""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from gestalt3d.data.scoring import CloudScores
from gestalt3d.metrics.amodal import AmodalEvaluator, WholeAnswer, WholeTruth
from gestalt3d.metrics.average_precision import MIN_REGION
from gestalt3d.metrics.boxes3d import inside_box
from gestalt3d.metrics.counts import Counts, ScanCounts
from gestalt3d.metrics.report import Results
from gestalt3d.ops.knn import knn
from gestalt3d.structures.instances import Instances, Shape
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary
from gestalt3d.structures.voxelgrid import VoxelGrid
from gestalt3d.synth.view_voxels import Sight, filled_mesh, whole_voxels
from gestalt3d.synth.views import SyntheticView

VOXEL_SIZE = 0.05
"""Metres."""
_MOST_VOXELS = 1 << 26
"""Of the block around a shape or a box; 8,000 cubic metres at 5 cm."""
_A_LITTLE = 1e-6
"""Of a voxel: a centre half-way between two values counts as if it lay a little lower."""


class WholeScores(AmodalEvaluator):
    """An `AmodalEvaluator` of views: all there is to score where data have boxes and no masks, as SUN RGB-D."""

    def see(self, scan: Scan, found: Instances) -> None:
        """Count what was found in a view, beside the truth; nothing where the data know no whole objects."""
        view: Any = scan.input
        assert isinstance(view, View), "whole objects are scored in views"
        wants_voxels = not len(found) or found.shapes is not None or found.amodal_boxes is not None
        truth = whole_truth(scan, voxels=wants_voxels, voxel_size=self.voxel_size)
        if truth is not None:
            answer = whole_answer(view, found, voxels=truth.voxels is not None, voxel_size=self.voxel_size)
            self.add(scan.name, truth, answer)


class ViewScores:
    """Figures of the pixels of views, those of `CloudScores`, and as "amodal" those of whole objects (`WholeScores`)."""

    def __init__(
        self, vocabulary: Vocabulary, *, class_agnostic: bool = False, min_region: int = MIN_REGION
    ) -> None:
        self._pixels = CloudScores(vocabulary, class_agnostic=class_agnostic, min_region=min_region)
        self._whole = WholeScores(vocabulary, class_agnostic=class_agnostic, voxel_size=VOXEL_SIZE)

    def see(self, scan: Scan, found: Instances) -> None:
        """Count what was found in a view, beside the truth."""
        self._pixels.see(scan, found)
        self._whole.see(scan, found)

    def results(self) -> Results:
        """Those of the pixels, and "amodal" in each view's figures and the pooled ones, None where answers say nothing of it."""
        pixels, whole = self._pixels.results(), self._whole.results()
        nothing = WholeScores(self._whole.vocabulary, class_agnostic=self._whole.class_agnostic)
        unknown = nothing.results()["pooled"]
        scans = whole["scans"]
        return {
            "scans": {
                name: {**own, "amodal": scans.get(name, unknown)} for name, own in pixels["scans"].items()
            },
            "pooled": {**pixels["pooled"], "amodal": whole["pooled"]},
            "skipped": pixels["skipped"],
        }

    def left_out(self) -> dict[str, list[float | None]]:
        """The pooled figures of the pixels with each view left out in turn."""
        return self._pixels.left_out()

    def counts(self) -> Counts:
        """What `add_counts` takes, as plain JSON."""
        pixels, whole = self._pixels.counts(), self._whole.counts()
        scans: dict[str, ScanCounts] = {
            name: {**own, **whole["scans"].get(name, {})} for name, own in pixels["scans"].items()
        }
        settings = {**pixels["settings"], "amodal": whole["settings"]}
        return {"settings": settings, "skipped": pixels["skipped"], "scans": scans}

    def add_counts(self, counts: Counts) -> None:
        """Add the views of another evaluator; `ValueError` with a sentence where these are no counts or do not belong here."""
        whole = WholeScores(self._whole.vocabulary, class_agnostic=self._whole.class_agnostic)
        try:
            settings, scans = {**counts["settings"]}, counts["scans"]
            own: Any = settings.pop("amodal")
            of_whole: dict[str, ScanCounts] = {n: s for n, s in scans.items() if "amodal" in s}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"holds no counts of views ({error})") from None
        whole.add_counts({"settings": own, "skipped": [], "scans": of_whole})  # before anything is added
        self._pixels.add_counts({"settings": settings, "skipped": counts["skipped"], "scans": scans})
        self._whole.add_counts(whole.counts())


def whole_truth(scan: Scan, *, voxels: bool = True, voxel_size: float = VOXEL_SIZE) -> WholeTruth | None:
    """The objects of a view that are no structure; None where nothing is known of whole objects.

    Of a synthetic view the voxels and which of them the image shows, as `synth.view_voxels` says, unless `voxels` is False; of
    others the boxes alone. An object of none of the vocabulary's classes counts as one of class -1.
    """
    truth = scan.truth
    if truth.amodal_boxes is None:
        return None
    rows = _objects(truth)
    boxes = truth.amodal_boxes[rows].double().numpy()
    classes = truth.classes[rows].numpy()
    view: Any = scan
    if not voxels or not isinstance(view, SyntheticView):
        return WholeTruth(classes, boxes=boxes)
    found = [whole_voxels(view, i, voxel_size=voxel_size) for i in rows.tolist()]
    lattices = [_of_grid(one.grid, voxel_size) for one in found]
    visible = [one.is_(Sight.VISIBLE).numpy() for one in found]
    return WholeTruth(classes, lattices, visible, boxes)


def whole_answer(
    view: View, found: Instances, *, voxels: bool = True, voxel_size: float = VOXEL_SIZE
) -> WholeAnswer:
    """What was found that is no structure. Voxels are those of the shapes, or of amodal boxes alone what of them is not free.

    Of a method that completes nothing the boxes are those of what is visible.
    """
    rows = _objects(found)
    said = found.boxes if found.amodal_boxes is None else found.amodal_boxes
    boxes = None if said is None else said[rows].double().cpu().numpy()
    sets = None
    if voxels and found.shapes is not None:
        sets = [lattice_voxels(found.shapes[i], voxel_size=voxel_size) for i in rows.tolist()]
    elif voxels and boxes is not None and found.amodal_boxes is not None:
        sets = not_free(view, boxes, voxel_size=voxel_size)
    return WholeAnswer(found.classes[rows].cpu().numpy(), found.scores[rows].cpu().numpy(), sets, boxes)


def lattice_voxels(shape: Shape, *, voxel_size: float = VOXEL_SIZE) -> Int64[np.ndarray, "v 3"]:
    """The voxels of the lattice that a shape fills, by their places.

    A mesh as `ops.mesh_voxels` says; a cloud those that hold a point. Of voxels of this lattice these. Of others, whose edge or
    corner is another, those in whose middle they come to a half or more: 1 at the centre of each, 0 at the centres of what is
    empty, and linear along the axes in between. `ValueError` for what is not finite or spans too much.
    """
    if isinstance(shape, Mesh):
        if not len(shape.vertices):
            return np.zeros((0, 3), np.int64)
        _expect_bounded(shape.vertices.double().cpu().numpy(), voxel_size)
        return _of_grid(filled_mesh(shape.to("cpu"), voxel_size=voxel_size), voxel_size)
    if isinstance(shape, PointCloud):
        points = shape.world_points.double().cpu().numpy()
        _expect_bounded(points, voxel_size)
        return np.unique(np.floor(points / voxel_size).astype(np.int64), axis=0)
    return _of_grid(shape.to("cpu"), voxel_size)


def not_free(
    view: View, boxes: Float64[np.ndarray, "i 7"], *, voxel_size: float = VOXEL_SIZE
) -> list[Int64[np.ndarray, "_v 3"]]:
    """Voxels with their centre in each box, less those through which the view looks.

    Free is what lies before the depth of the pixel at its centre and farther than a voxel from all points of the view. What is
    out of the image or at a pixel without depth may hold anything.
    """
    inside = [box_voxels(box, voxel_size) for box in boxes]
    every, which = np.unique(
        np.concatenate([np.zeros((0, 3), np.int64), *inside]), axis=0, return_inverse=True
    )
    taken = ~_is_free(view, (every + 0.5) * voxel_size, voxel_size)
    ends = np.cumsum([len(own) for own in inside])
    parts = np.split(taken[which.reshape(-1)], ends[:-1]) if inside else []
    return [own[part] for own, part in zip(inside, parts, strict=True)]


def _objects(found: Instances) -> Tensor:
    """Rows of a class that is no structure, unknown ones among them."""
    structure = torch.from_numpy(np.append(found.vocabulary.is_structure, False)).to(found.classes.device)
    return (~structure[found.classes]).nonzero().flatten().cpu()


def _of_grid(grid: VoxelGrid, voxel_size: float) -> Int64[np.ndarray, "v 3"]:
    coordinates = grid.coordinates.long().numpy()
    corner = np.zeros(3) if grid.origin is None else grid.origin.numpy()
    first = corner / voxel_size
    if math.isclose(grid.voxel_size, voxel_size, rel_tol=1e-6) and np.allclose(
        first, first.round(), atol=1e-3
    ):
        return coordinates + first.round().astype(np.int64)
    if not len(coordinates):
        return coordinates
    # In units of the grid's own voxels, whose centres are whole numbers; one more on every side is empty.
    lowest, highest = coordinates.min(axis=0) - 1, coordinates.max(axis=0) + 1
    ends = (np.stack([lowest, highest]) + 0.5) * grid.voxel_size + corner
    _expect_bounded(ends, min(voxel_size, grid.voxel_size))
    dense = np.zeros(highest - lowest + 1, np.float64)
    dense[tuple((coordinates - lowest).T)] = 1
    low, high = np.floor(ends[0] / voxel_size), np.ceil(ends[1] / voxel_size)
    axes = [np.arange(a, b, dtype=np.int64) for a, b in zip(low, high, strict=True)]
    values = dense
    for axis, along in enumerate(axes):
        at = ((along + 0.5 - _A_LITTLE) * voxel_size - corner[axis]) / grid.voxel_size - 0.5 - lowest[axis]
        values = _interpolated(values, at, axis)
    return np.argwhere(values >= 0.5) + low.astype(np.int64)


def _interpolated(
    values: Float64[np.ndarray, "x y z"], at: Float64[np.ndarray, "k"], axis: int
) -> np.ndarray:
    """Along one axis, linear; 0 outside."""
    last = values.shape[axis] - 1
    below = np.floor(at)
    share = at - below
    shape = [1, 1, 1]
    shape[axis] = -1
    out = 0.0
    for step, weight in ((0, 1 - share), (1, share)):
        row = below + step
        weight = np.where((row >= 0) & (row <= last), weight, 0).reshape(shape)
        out = out + weight * np.take(values, np.clip(row, 0, last).astype(np.int64), axis=axis)
    return np.asarray(out)


def box_voxels(box: Float64[np.ndarray, "7"], voxel_size: float) -> Int64[np.ndarray, "v 3"]:
    """Places of the voxels whose centre lies in it."""
    c, s = abs(math.cos(box[6])), abs(math.sin(box[6]))
    half = np.array([c * box[3] + s * box[4], s * box[3] + c * box[4], box[5]]) / 2
    ends = np.stack([box[:3] - half, box[:3] + half])
    _expect_bounded(ends, voxel_size)
    low, high = np.floor(ends / voxel_size).astype(np.int64)
    axes = [np.arange(a, b + 1) for a, b in zip(low, high, strict=True)]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return places[inside_box((places + 0.5) * voxel_size, box)]


def _is_free(view: View, points: Float64[np.ndarray, "n 3"], voxel_size: float) -> Bool[np.ndarray, "n"]:
    if view.depth is None or view.camera is None:
        return np.zeros(len(points), bool)
    camera, depth = view.camera, view.depth.cpu().numpy().astype(np.float64)
    pose = camera.world_from_camera
    in_camera = (points - pose[:3, 3]) @ pose[:3, :3]
    ahead = in_camera[:, 2]
    at = np.rint((in_camera @ camera.intrinsics.T)[:, :2] / np.maximum(ahead, 1e-6)[:, None])
    width, height = camera.size
    seen = (ahead > 0) & ((at >= 0) & (at < [width, height])).all(axis=1)
    column, row = np.where(seen[:, None], at, 0).astype(np.int64).T
    measured = depth[row, column]
    free = seen & np.isfinite(measured) & (measured > 0) & (ahead < measured)
    cloud = view.cloud().world_points.double()
    if free.any() and len(cloud):
        centers = torch.from_numpy(points[free])
        near = knn(centers[None], cloud[None], k=1).dist2[0, :, 0] <= voxel_size**2
        free[free] = ~near.numpy()
    return free


def _expect_bounded(points: Float[np.ndarray, "n 3"], voxel_size: float) -> None:
    if not np.isfinite(points).all():
        raise ValueError("a whole object must be finite, got NaN or infinity; leave such objects out")
    if len(points):
        size = np.ptp(points, axis=0)
        if np.prod(size / voxel_size + 1) > _MOST_VOXELS:
            raise ValueError(
                f"a whole object of {' x '.join(f'{s:.0f}' for s in size)} m is more than {_MOST_VOXELS:,} voxels; "
                "leave it out"
            )

"""How near the whole objects of an answer come to the true ones, which only a synthetic world knows."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gestalt3d.methods.regions.objects import without_strays
from gestalt3d.methods.voxels.labelled import is_object
from gestalt3d.metrics.completion import Completed, Completion
from gestalt3d.ops.aligned_boxes import aligned_iou
from gestalt3d.ops.chamfer import nearest_both_ways
from gestalt3d.ops.knn import knn
from gestalt3d.ops.turn import turn_matrix
from gestalt3d.structures.instances import Instances, Shape
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.sets import Sets

ANSWER, VISIBLE, TO_GROUND = "answer", "visible points", "box to the ground"
"""The completions of a `Completed`."""
_DRAWN = 1024
"""Points of a surface that is given as triangles or as a box."""


def completions(
    scan: Scan, found: Instances, rng: np.random.Generator, *, near: float = 0.04, min_iou: float = 0.5
) -> list[Completed]:
    """A row for each true object of a scan: how much of it is hidden, and how good the completions of what was found are.

    Objects are the true instances of a class that is no structure, and class names are not compared. An object is found by the
    instance whose mask has the largest IoU with its own, where that is above `min_iou`. Of its whole surface a point is hidden
    where no scanned point of the object lies within `near` metres, which should be a little more than the scan's points are
    apart: what nobody looked at, what others cover, its back at the wall and its underside. Without scanned points all of it is
    hidden.

    ANSWER is the shape of `found` and its amodal box, of one that is turned the box around the shape; where there is only one of
    both, the other is made of it. Two baselines know the scan and the found mask alone: VISIBLE is its points and the box around
    them, TO_GROUND is the surface of that box, extended down to what is scanned below it or, where nothing is, to the floor;
    stray points are left out of both. Of triangles and boxes points are drawn with `rng`. Distances are between points, so that
    the truth itself, drawn anew, is not at 0 but at about what its points are apart.

    `ValueError` where the truth has no `shapes`, the answer neither `shapes` nor `amodal_boxes`, or both are of different scans.
    """
    truth, cloud = scan.truth, scan.input.points
    if truth.shapes is None:
        raise ValueError(f"scan {scan.name!r} knows no whole shapes; take one of rooms-whole or table-tops")
    if len(found) and found.shapes is None and found.amodal_boxes is None:
        raise ValueError("found must have shapes or amodal_boxes, got neither; its method completes nothing")
    overlaps = _mask_iou(truth.masks, found.masks)
    floor = float(np.quantile(cloud[:, 2].numpy(), 0.01)) if len(cloud) else 0.0
    rows = []
    for i in is_object(truth.classes, truth.vocabulary).nonzero().flatten().tolist():
        whole = _points_of(truth.shapes[i], rng)
        if not len(whole):
            continue
        apart = knn(whole[None], cloud[truth.elements_of(i)][None], k=1).dist2[0, :, 0]
        hidden = float((apart > near**2).float().mean())
        half_diagonal = float(_around(whole)[3:].norm()) / 2
        best = int(overlaps[i].argmax()) if len(found) else -1
        if best < 0 or float(overlaps[i, best]) <= min_iou:
            rows.append(Completed(i, -1, hidden, half_diagonal, {}))
            continue
        visible = without_strays(cloud[found.elements_of(best)])
        around = _around(visible)
        to_ground = _extended(around, cloud, floor)
        shape, box = _answer(found, best, visible, rng)
        made = {
            ANSWER: (shape, box),
            VISIBLE: (visible, around),
            TO_GROUND: (_surface(to_ground, 0.0, rng), to_ground),
        }
        scores = {name: _score(*one, whole, half_diagonal) for name, one in made.items()}
        rows.append(Completed(i, best, hidden, half_diagonal, scores))
    return rows


def _mask_iou(true: Sets, found: Sets) -> Float[Tensor, "i j"]:
    if true.size != found.size:
        raise ValueError(f"found must be instances of the {true.size} points of the scan, got {found.size}")
    common = torch.zeros(len(true), len(found))
    inside, owners = torch.zeros(true.size, dtype=torch.bool), found.owners
    for row, elements in zip(common, true, strict=True):
        inside[elements] = True
        row += torch.bincount(owners[inside[found.indices]], minlength=len(found))
        inside[elements] = False
    return common / (true.sizes[:, None] + found.sizes - common).clamp(min=1)


def _answer(
    found: Instances, i: int, visible: Float[Tensor, "k 3"], rng: np.random.Generator
) -> tuple[Float[Tensor, "p 3"], Float[Tensor, "6"]]:
    """Points of the whole object and the box around it along the axes; a shape without points is no more than is visible."""
    shape = None if found.shapes is None else _points_of(found.shapes[i], rng)
    if shape is not None and not len(shape):
        shape = visible
    if found.amodal_boxes is None:
        assert shape is not None, "completions has looked for either"
        return shape, _around(shape)
    box = found.amodal_boxes[i].float()
    yaw = float(box[6])
    if shape is None:
        shape = _surface(box[:6], yaw, rng)
        return shape, torch.cat([box[:3], turn_matrix(yaw).abs().float() @ box[3:6]])
    return shape, box[:6] if yaw == 0 else _around(shape)


def _points_of(shape: Shape, rng: np.random.Generator) -> Float[Tensor, "p 3"]:
    """In the frame of the scan: of a surface so many, of a voxel grid the centres of its voxels."""
    if isinstance(shape, Mesh):
        return shape.sampled(_DRAWN, rng)
    cloud = shape if isinstance(shape, PointCloud) else PointCloud(shape.centers, origin=shape.origin)
    return cloud.world_points.float()


def _around(points: Float[Tensor, "p 3"]) -> Float[Tensor, "6"]:
    """Centre and size of the box along the axes."""
    low, high = points.amin(0), points.amax(0)
    return torch.cat([(low + high) / 2, high - low])


def _extended(box: Float[Tensor, "6"], cloud: Float[Tensor, "n 3"], floor: float) -> Float[Tensor, "6"]:
    """The box with its lower side on the highest point of the cloud that lies below it, or at that height where none does."""
    low, high = box[:3] - box[3:] / 2, box[:3] + box[3:] / 2
    below = ((cloud[:, :2] >= low[:2]) & (cloud[:, :2] <= high[:2])).all(1) & (cloud[:, 2] < low[2])
    heights = cloud[below, 2]
    low[2] = float(heights.max()) if len(heights) else min(float(low[2]), floor)
    return _around(torch.stack([low, high]))


def _surface(box: Float[Tensor, "6"], yaw: float, rng: np.random.Generator) -> Float[Tensor, "p 3"]:
    """Points drawn evenly from the six sides of a box turned by `yaw` about its centre."""
    size = box[3:].numpy().astype(np.float64)
    areas = np.array([size[1] * size[2], size[2] * size[0], size[0] * size[1]])
    share = areas / areas.sum() if areas.sum() > 0 else np.full(3, 1 / 3)
    at = rng.random((_DRAWN, 3))
    at[np.arange(_DRAWN), rng.choice(3, _DRAWN, p=share)] = rng.integers(0, 2, _DRAWN)
    turned = torch.from_numpy((at - 0.5) * size) @ turn_matrix(yaw).T
    return turned.float() + box[:3]


def _score(
    points: Float[Tensor, "p 3"], box: Float[Tensor, "6"], whole: Float[Tensor, "w 3"], half_diagonal: float
) -> Completion:
    apart = nearest_both_ways(points[None], whole[None])
    chamfer = float(apart.dist2_a.sqrt().mean() + apart.dist2_b.sqrt().mean()) / 2
    iou = float(aligned_iou(box[None], _around(whole)[None])[0, 0])
    return Completion(chamfer, chamfer / max(half_diagonal, 1e-6), iou)

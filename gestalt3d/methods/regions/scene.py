"""A scene as whole-scene point networks see it: some thousand of its points, farthest from each other, with seeds and objects."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gestalt3d.errors import UserError
from gestalt3d.methods import staged
from gestalt3d.methods.regions.objects import box_around, objects_of, without_strays
from gestalt3d.ops.farthest_points import farthest_points
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan


def random_order(cloud: PointCloud, rng: np.random.Generator) -> Int[Tensor, "n"]:
    """The points in an order that changes from look to look, for training."""
    return torch.from_numpy(rng.permutation(len(cloud)))


def order_of_places(cloud: PointCloud) -> Int[Tensor, "n"]:
    """The points in an order that depends on where they are, not on where they stand in the file."""
    return torch.from_numpy(np.lexsort(cloud.points.numpy().T))


def thinned(points: Float[Tensor, "n 3"], order: Int[Tensor, "n"], *, wanted: int) -> Int[Tensor, "k"]:
    """`wanted` rows of the points, the first of `order` first, each farthest from all before; some again where there are too few.

    `points` must have a row at least.
    """
    chosen = order[farthest_points(points[order][None], min(wanted, len(order)))[0]]
    return chosen[torch.arange(wanted) % len(chosen)]


def about_grey(cloud: PointCloud, rows: Int[Tensor, "k"]) -> Float[Tensor, "k 3"]:
    """The colours of some points, from -1/2 to 1/2; zeros where there are none."""
    return torch.zeros(len(rows), 3) if cloud.colors is None else cloud.colors[rows] - 0.5


class Batch(NamedTuple):
    """Scenes, each with as many points and seeds; objects of all scenes one after the other."""

    voxels: staged.Batch
    """What a trained network sees of the scenes, or nothing."""
    points: Float[Tensor, "b n 3"]
    """Metres, farthest first, so that the first points of a sphere are spread over it."""
    colors: Float[Tensor, "b n 3"]
    """About grey; zeros where there are none."""
    seeds: Int[Tensor, "b s"]
    """Rows of `points`."""
    owner: Int[Tensor, "b s"]
    """Object of each seed, counted from 0 in its scene; -1: none, -2: not known, which takes no part in any loss."""
    shapes: Float[Tensor, "o t 3"]
    """Points of each object, from the centre of its box."""
    boxes: Float[Tensor, "o 6"]
    """Centre and size along the axes."""
    objects: Int[Tensor, "b"]
    """Of each scene."""
    owner_of_points: Int[Tensor, "b n"]
    """Object of each point, as `owner`."""
    voxel_of_point: Int[Tensor, "b n"]
    """Voxel of each point, counted from 0 in its scene; 0 where nothing is seen."""

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(self.voxels.to(device), *(values.to(device) for values in self[1:]))

    @classmethod
    def cat(cls, parts: Sequence["Batch"]) -> "Batch":
        others = map(torch.cat, zip(*(part[1:] for part in parts), strict=True))
        return Batch(staged.Batch.cat([part.voxels for part in parts]), *others)

    @property
    def object_of_seed(self) -> Int[Tensor, "b s"]:
        """Row of `boxes` and `shapes`; negative as in `owner`."""
        return self._over_all_scenes(self.owner)

    @property
    def object_of_point(self) -> Int[Tensor, "b n"]:
        """Row of `boxes` and `shapes`; negative as in `owner`."""
        return self._over_all_scenes(self.owner_of_points)

    def _over_all_scenes(self, owner: Int[Tensor, "b k"]) -> Int[Tensor, "b k"]:
        first = self.objects.cumsum(0) - self.objects
        return torch.where(owner >= 0, owner + first[:, None], owner)

    def untold(self) -> "Batch":
        """The same scenes and seeds, without what is known of their objects."""
        return self._replace(
            owner=torch.full_like(self.owner, -2),
            shapes=self.shapes[:0],
            boxes=self.boxes[:0],
            objects=torch.zeros_like(self.objects),
            owner_of_points=torch.full_like(self.owner_of_points, -2),
        )


def batch_of(
    sample: Scan,
    rows: Int[Tensor, "n"],
    rng: np.random.Generator,
    *,
    seeds: int,
    on_objects: float,
    shape_points: int,
    whole: bool,
    backbone: staged.Staged | None = None,
) -> Batch:
    """These points of a scene and all its objects, `shape_points` points of each, with random seeds, a share of them on objects.

    An object is what was scanned of it or, with `whole`, its whole shape: `UserError` where the sample knows none.
    """
    cloud, truth = sample.input, sample.truth
    objects, owner = objects_of(truth, rows)
    chosen = _seeds(owner >= 0, rng, wanted=seeds, on_objects=on_objects)
    shapes, boxes = [], []
    for i in objects.nonzero().flatten().tolist():
        own = _target(cloud, truth, i, rng, whole=whole, count=shape_points)
        boxes.append(box_around(own))
        shapes.append(own[torch.from_numpy(_drawn(len(own), shape_points, rng))] - boxes[-1][:3])
    none = torch.zeros(0, shape_points, 3), torch.zeros(0, 6)
    voxels, voxel_of_point = _voxels_of(cloud, rows, backbone)
    return Batch(
        voxels,
        cloud.points[rows][None],
        about_grey(cloud, rows)[None],
        chosen[None],
        owner[chosen][None],
        torch.stack(shapes) if shapes else none[0],
        torch.stack(boxes) if boxes else none[1],
        torch.tensor([len(shapes)]),
        owner[None],
        voxel_of_point,
    )


def bare_scene(
    cloud: PointCloud, rows: Int[Tensor, "n"], *, shape_points: int, backbone: staged.Staged | None = None
) -> Batch:
    """These points of a scene of which nothing is known, without seeds."""
    # Sums over voxels depend on the order of the points, in their last bits.
    order = order_of_places(cloud)
    places = order.argsort()[rows] if backbone is not None else rows
    ordered = cloud[order] if backbone is not None else cloud
    nothing = torch.zeros(1, 0, dtype=torch.int64)
    voxels, voxel_of_point = _voxels_of(ordered, places, backbone)
    return Batch(
        voxels, cloud.points[rows][None], about_grey(cloud, rows)[None], nothing, nothing,
        torch.zeros(0, shape_points, 3), torch.zeros(0, 6), torch.zeros(1, dtype=torch.int64),
        torch.full((1, len(rows)), -2), voxel_of_point,
    )  # fmt: skip


def _voxels_of(
    cloud: PointCloud, rows: Int[Tensor, "n"], backbone: staged.Staged | None
) -> tuple[staged.Batch, Int[Tensor, "1 n"]]:
    if backbone is None:
        return staged.Batch.nothing(), torch.zeros(1, len(rows), dtype=torch.int64)
    voxels, voxel_of_point = backbone.voxels_of(cloud)
    return voxels, voxel_of_point[rows][None]


def _seeds(
    on_object: Bool[Tensor, "n"], rng: np.random.Generator, *, wanted: int, on_objects: float
) -> Int[Tensor, "s"]:
    """So many rows in random order, at least a share of them on objects, where there are any."""
    objects = on_object.nonzero()[:, 0].numpy()
    chosen = rng.choice(objects, int(wanted * on_objects) if len(objects) else 0)
    count = wanted - len(chosen)
    anywhere = rng.choice(len(on_object), count, replace=len(on_object) < count)
    return torch.from_numpy(rng.permutation(np.concatenate([chosen, anywhere])))


def _drawn(have: int, want: int, rng: np.random.Generator) -> np.ndarray:
    """`want` of so many, none twice where there are enough; else every one, some of them again."""
    return rng.permutation(have)[:want] if have >= want else np.resize(rng.permutation(have), want)


def _target(
    cloud: PointCloud, truth: Instances, i: int, rng: np.random.Generator, *, whole: bool, count: int
) -> Float[Tensor, "k 3"]:
    """What the generator should make of object `i`."""
    if not whole:
        return without_strays(cloud.points[truth.elements_of(i)])
    shape = None if truth.shapes is None else truth.shapes[i]
    if isinstance(shape, Mesh):
        return shape.sampled(count, rng)
    if not isinstance(shape, PointCloud):
        raise UserError(
            'target "whole" learns whole shapes, and these scans know none; train with --data rooms-whole:train, or with '
            "--model.target scanned"
        )
    return shape.world_points.float()

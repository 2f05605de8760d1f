"""The voxels of whole objects in a view, and which of them a camera could know of.

A voxel of an object is visible if its centre lies within the edge of a voxel from a point of the object that the image shows, so
that what is seen is one layer thick. Otherwise it is outside if its centre does not project into the image, and occluded if it
does, whether other objects or its own front hide it.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor

from gestalt3d.ops.knn import knn
from gestalt3d.ops.mesh_voxels import mesh_voxels
from gestalt3d.structures.camera import Camera
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.voxelgrid import VoxelGrid
from gestalt3d.synth.views import SyntheticView


class Sight(IntEnum):
    """What a view knows of a voxel."""

    VISIBLE = 0
    OCCLUDED = 1
    OUTSIDE = 2
    """Of the image."""


@dataclass(frozen=True)
class WholeVoxels:
    """A complete object in voxels."""

    grid: VoxelGrid
    """In the world of the view. Voxels of all objects of one size are those of one lattice, which has a corner in the origin."""
    sight: Int[Tensor, "v"]
    """`Sight` of each."""

    def is_(self, sight: Sight) -> Bool[Tensor, "v"]:
        """Which voxels are visible, occluded or outside."""
        return self.sight == sight


def whole_voxels(seen: SyntheticView, i: int, *, voxel_size: float = 0.05) -> WholeVoxels:
    """Instance `i` of the view in voxels of that edge in metres, filled as `mesh_voxels` says."""
    assert seen.truth.shapes is not None and seen.input.camera is not None
    mesh, camera = seen.truth.shapes[i], seen.input.camera
    assert isinstance(mesh, Mesh)
    grid = filled_mesh(mesh, voxel_size=voxel_size)
    assert grid.origin is not None
    centers = grid.centers.double() + grid.origin
    sight = torch.where(_in_image(centers, camera), int(Sight.OCCLUDED), int(Sight.OUTSIDE))
    points = _points_at(seen, seen.truth.elements_of(i), camera)
    near = knn(centers[None], points[None], k=1).dist2[0, :, 0] <= voxel_size**2
    return WholeVoxels(grid, sight.masked_fill(near, int(Sight.VISIBLE)))


def filled_mesh(mesh: Mesh, *, voxel_size: float) -> VoxelGrid:
    """The voxels that a mesh with vertices fills, on the lattice of that edge in metres that has a corner in the origin."""
    vertices = mesh.vertices.double()
    first = (vertices.amin(0) / voxel_size).floor()
    x, y, z = ((vertices.amax(0) / voxel_size).floor() - first + 1).long().tolist()
    origin = first * voxel_size
    ox, oy, oz = origin.tolist()
    filled = mesh_voxels(vertices, mesh.faces, voxel_size=voxel_size, origin=(ox, oy, oz), size=(x, y, z))
    return VoxelGrid.from_dense(filled, voxel_size=voxel_size, origin=origin)


def _in_image(points: Float64[Tensor, "n 3"], camera: Camera) -> Bool[Tensor, "n"]:
    """Whether each point of the world projects into a pixel."""
    pose = torch.from_numpy(camera.world_from_camera)
    in_camera = (points - pose[:3, 3]) @ pose[:3, :3]
    depth = in_camera[:, 2]
    pixel = in_camera @ torch.from_numpy(camera.intrinsics).T / depth[:, None].clamp(min=1e-6)
    width, height = camera.size
    u, v = pixel[:, 0], pixel[:, 1]
    return (depth > 0) & (u >= -0.5) & (u < width - 0.5) & (v >= -0.5) & (v < height - 0.5)


def _points_at(seen: SyntheticView, pixels: Int[Tensor, "k"], camera: Camera) -> Float64[Tensor, "k 3"]:
    """What the pixels show, in the world of the view and without the faults of the depth."""
    pose = camera.world_from_camera
    rays = camera.rays().reshape(-1, 3)[pixels.numpy()]
    depth = seen.true_depth.reshape(-1)[pixels].double().numpy()
    points: np.ndarray = (rays * depth[:, None]) @ pose[:3, :3].T + pose[:3, 3]
    return torch.from_numpy(points)

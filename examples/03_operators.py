"""The operators alone: tensors in, tensors out, exact and the same every time."""

import torch

from gestalt3d.ops.ball_query import ball_query
from gestalt3d.ops.farthest_points import farthest_points
from gestalt3d.ops.gather import gather
from gestalt3d.ops.knn import knn
from gestalt3d.ops.mean_shift import mean_shift
from gestalt3d.ops.segment import segment_mean
from gestalt3d.ops.voxelize import voxelize

generator = torch.Generator().manual_seed(0)
points = torch.rand(2, 20_000, 3, generator=generator)  # two clouds of 20,000 points

# 512 points far from each other; ties go to the lowest index.
index = farthest_points(points, 512)
centers = gather(points, index)

# Up to 32 points within 0.06 of each; missing ones are -1 and gather zeros.
members = ball_query(centers, points, radius=0.06, k=32)
print("a ball holds", f"{(members >= 0).sum(2).float().mean():.1f} points")

# The three nearest, squared distances ascending.
near = knn(points, centers, k=3)
print("a point is", f"{near.dist2[..., 0].sqrt().mean():.3f} from the nearest centre")

# Gradients flow to features, never to indices.
features = torch.rand(2, 20_000, 8, generator=generator, requires_grad=True)
gather(features, members).amax(dim=2).square().sum().backward()
assert features.grad is not None
print("points with a gradient:", int((features.grad.abs().sum(2) > 0).sum()))

# Voxels in the order of their coordinates, so the order of the points does not matter.
voxels = voxelize(points[0], voxel_size=0.2)
means = segment_mean(points[0], voxels.voxel_of_point, len(voxels.counts))
print(len(means), "voxels")

# Flat-kernel mean shift, scikit-learn's partition.
blobs = torch.randn(3000, 5, generator=generator) * 0.1 + 2 * torch.arange(3).repeat(1000)[:, None]
print("clusters of", mean_shift(blobs, bandwidth=0.6).labels.bincount().tolist(), "points")

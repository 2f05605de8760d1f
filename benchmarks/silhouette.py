"""Soft silhouettes of meshes, forward and backward, beside every pixel against every triangle in torch.

Sixteen blobs of 642 vertices and 1,280 triangles, made of one icosphere, as cameras all around them see them, 64 x 64 pixels,
and their IoU with boxes; the gradient goes to the vertices on the image plane. "torch" is the printed formula without any
culling, a mesh at a time because all sixteen at once would take many GB. Both in float32. What differs is beside them: the
largest difference of a pixel, and of a gradient in parts of the largest gradient. The least of 20 runs beside a single one, in
one process; where a machine has other work, the ratio of the times of CPU is the fairer one.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gestalt3d.losses.silhouette import silhouette_loss
from gestalt3d.ops.look_at import look_at, project
from gestalt3d.ops.silhouette import soft_silhouette
from gestalt3d.structures.icosphere import icosphere

SIZE, BATCH = (64, 64), 16


def meshes() -> tuple[Tensor, Tensor]:
    """Vertices on the image plane with their depths, and the faces."""
    sphere, g = icosphere(3), torch.Generator().manual_seed(0)
    spread = 0.2 + 0.3 * torch.rand(BATCH, 1, 3, generator=g)
    bumps = 1 + 0.05 * torch.randn(BATCH, len(sphere.vertices), 1, generator=g)
    elevation, azimuth = torch.rand(2, BATCH, generator=g)
    pose = look_at(elevation, 2 * math.pi * azimuth, torch.full((BATCH,), 2.732))
    return project(sphere.vertices * spread * bumps, pose, field_of_view=math.radians(30)), sphere.faces


def boxes() -> Tensor:
    out = torch.zeros(BATCH, *SIZE)
    out[:, 16:48, 20:44] = 1
    return out


def plain(mesh: Tensor, faces: Tensor, sigma: float) -> Tensor:
    """One silhouette by the printed formula."""
    height, width = SIZE
    y = (height - 1 - 2 * torch.arange(height)) / height
    x = (2 * torch.arange(width) + 1 - width) / height
    pixels = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1).reshape(-1, 1, 2)
    corners = mesh[faces, :2]
    dist2, hands = None, []
    for k in range(3):
        a, side = corners[:, k], corners[:, (k + 1) % 3] - corners[:, k]
        way = pixels - a
        along = ((way * side).sum(-1) / side.square().sum(-1).clamp(min=1e-12)).clamp(0, 1)
        to_side = (way - along[..., None] * side).square().sum(-1)
        dist2 = to_side if dist2 is None else torch.minimum(dist2, to_side)
        hands.append(side[:, 0] * way[..., 1] - side[:, 1] * way[..., 0])
    assert dist2 is not None
    a, b, c = hands
    inside = ((a > 0) & (b > 0) & (c > 0)) | ((a < 0) & (b < 0) & (c < 0))
    z = torch.where(inside, dist2, -dist2) / sigma
    return (1 - torch.exp(-F.softplus(z).sum(-1))).view(SIZE)


def there_and_back(
    silhouette: Callable[[Tensor], Tensor], vertices: Tensor, target: Tensor
) -> tuple[Tensor, ...]:
    """Silhouettes and the gradient of the loss at the vertices, which are the meshes of a batch."""
    given = vertices.clone().requires_grad_()
    found = silhouette(given)
    (gradient,) = torch.autograd.grad(silhouette_loss(found, target), given)
    return found.detach(), gradient


def timed(way: Callable[[], tuple[Tensor, ...]], runs: int) -> tuple[tuple[Tensor, ...], float, float]:
    """What it gives, and the least seconds and seconds of CPU of some runs."""
    found, taken, worked = (), math.inf, math.inf
    for _ in range(runs):
        start, cpu = time.perf_counter(), time.process_time()
        found = way()
        taken, worked = min(taken, time.perf_counter() - start), min(worked, time.process_time() - cpu)
    return found, taken, worked


def run() -> list[dict[str, Any]]:
    (vertices, faces), target, rows = meshes(), boxes(), []
    for sigma in (1e-4, 1e-3):

        def ours(sigma: float = sigma) -> tuple[Tensor, ...]:
            return there_and_back(
                lambda v: soft_silhouette(v, faces, size=SIZE, sigma=sigma), vertices, target
            )

        def naive(sigma: float = sigma) -> tuple[Tensor, ...]:
            parts = [
                there_and_back(lambda v: plain(v[0], faces, sigma)[None], v[None], t[None])
                for v, t in zip(vertices, target, strict=True)
            ]
            images, gradients = zip(*parts, strict=True)
            return torch.cat(images), torch.cat(gradients) / BATCH

        (image, gradient), own, work = timed(ours, 20)
        (expected, exact), *usual = timed(naive, 1)
        case = f"{BATCH} meshes of {len(faces):,} triangles, {SIZE[0]} x {SIZE[1]}, sigma {sigma:g}"
        apart = (
            float((image - expected).abs().max()),
            float((gradient - exact).abs().max() / exact.abs().max()),
        )
        for way, (seconds, cpu), (pixels, slopes) in (
            ("gestalt3d", (own, work), (0.0, 0.0)),
            ("torch", usual, apart),
        ):
            rows.append(
                {
                    "case": case,
                    "way": way,
                    "ms": 1e3 * seconds,
                    "ms of CPU": 1e3 * cpu,
                    "times gestalt3d": seconds / own,
                    "times its CPU": cpu / work,
                    "pixels differ by, millionths": 1e6 * pixels,
                    "gradients differ by, millionths": 1e6 * slopes,
                }
            )
    return rows

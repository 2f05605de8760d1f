"""Gradients of silhouettes beside Mitsuba 3's projective integrator and outlines of polygons.

How fast the area right of the middle of the image, in squared units of the image plane, changes when a mesh of 1,280 triangles
is moved, turned about z, widened or dented. "gestalt3d" is the soft silhouette with sigma 6e-7 on 2,048 x 2,048 pixels; "Mitsuba"
samples edges of the sharp silhouette on 128 x 128 (variant llvm_ad_rgb); "outline" are central differences of the area that the
union of the projected triangles has by shapely. Needs `pip install mitsuba shapely` and LLVM's library, which Mitsuba finds by
itself or at DRJIT_LIBLLVM_PATH; its integrator aborts with LLVM 15 and 16, and works with 19.
"""

import math
import tempfile
from pathlib import Path
from typing import Any

import torch
import trimesh
from torch import Tensor

from gestalt3d.ops.look_at import look_at, project
from gestalt3d.ops.silhouette import soft_silhouette
from gestalt3d.structures.icosphere import icosphere

FOV, VIEWPOINT = 30.0, (0.5, 0.9, 2.732)
"""Degrees; elevation and azimuth in radians, distance."""


def mesh() -> tuple[Tensor, Tensor]:
    sphere = icosphere(3)
    wide = sphere.vertices.double() * torch.tensor([0.5, 0.3, 0.4], dtype=torch.float64)
    return wide + torch.tensor([0.1, 0.0, 0.05], dtype=torch.float64), sphere.faces


def motions(vertices: Tensor) -> dict[str, Tensor]:
    """The velocity of every vertex."""
    x, y, _ = vertices.unbind(1)
    none = torch.zeros_like(x)
    return {
        "along x": torch.stack([none + 1, none, none], dim=1),
        "along z": torch.stack([none, none, none + 1], dim=1),
        "turned about z": torch.stack([-y, x, none], dim=1),
        "widened": vertices,
        "dented from +x": torch.stack([-((4 * (x - 0.4)).clamp(min=0) ** 2), none, none], dim=1),
    }


def on_image(vertices: Tensor) -> Tensor:
    pose = look_at(*(torch.tensor([v], dtype=torch.float64) for v in VIEWPOINT))
    return project(vertices[None], pose, field_of_view=math.radians(FOV))


def by_soft_silhouette(vertices: Tensor, faces: Tensor, pixels: int = 2048) -> tuple[Tensor, Tensor]:
    """The right half of the image, and the gradient of its area."""
    given = vertices.clone().requires_grad_()
    right = soft_silhouette(on_image(given), faces, size=(pixels, pixels), sigma=6e-7)[0, :, pixels // 2 :]
    (gradient,) = torch.autograd.grad(right.sum() * (2 / pixels) ** 2, given)
    return right.detach(), gradient


def by_mitsuba(vertices: Tensor, faces: Tensor, pixels: int = 128) -> tuple[Tensor, Tensor]:
    """The same; the mesh glows and everything else is black, so that the light of a pixel is how much of it is covered."""
    import mitsuba as mi  # pyright: ignore[reportMissingImports]  # isort: skip
    import drjit as dr  # pyright: ignore[reportMissingImports]

    mi.set_variant("llvm_ad_rgb")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mesh.ply"
        trimesh.Trimesh(vertices.numpy(), faces.numpy(), process=False).export(file)
        shape = {"type": "ply", "filename": str(file), "face_normals": True}
        scene = mi.load_dict(
            {
                "type": "scene",
                "integrator": {"type": "direct_projective", "sppi": 0},
                "sensor": {
                    "type": "perspective",
                    "fov": FOV,
                    "fov_axis": "y",
                    "to_world": mi.ScalarTransform4f().look_at(origin=eye(), target=[0, 0, 0], up=[0, 0, 1]),
                    "film": {
                        "type": "hdrfilm",
                        "width": pixels,
                        "height": pixels,
                        "rfilter": {"type": "box"},
                        "pixel_format": "rgb",
                        "sample_border": True,
                    },
                },
                "mesh": shape | {"emitter": {"type": "area", "radiance": {"type": "rgb", "value": 1.0}}},
            }
        )
    params = mi.traverse(scene)
    name = "mesh.vertex_positions"
    dr.enable_grad(params[name])
    params.update()
    image = mi.render(scene, params, spp=256, seed=0)
    dr.backward(dr.sum(image[:, pixels // 2 :, 0]) * (2 / pixels) ** 2)
    gradient = torch.tensor(dr.grad(params[name]).numpy(), dtype=torch.float64).view(-1, 3)
    return torch.tensor(image.numpy())[:, pixels // 2 :, 0], gradient


def eye() -> list[float]:
    e, a, d = VIEWPOINT
    return [d * math.cos(e) * math.sin(a), -d * math.cos(e) * math.cos(a), d * math.sin(e)]


def by_outline(vertices: Tensor, faces: Tensor, velocity: Tensor, step: float = 1e-4) -> float:
    import shapely

    def area(moved: Tensor) -> float:
        triangles = shapely.polygons(on_image(moved)[0, faces, :2].numpy())
        return shapely.area(shapely.intersection(shapely.union_all(triangles), shapely.box(0, -1, 1, 1)))

    return float(area(vertices + step * velocity) - area(vertices - step * velocity)) / (2 * step)


def run() -> list[dict[str, Any]]:
    vertices, faces = mesh()
    theirs, sharp = by_mitsuba(vertices, faces)
    ours, soft = by_soft_silhouette(vertices, faces)
    smaller = torch.nn.functional.avg_pool2d(ours[None], ours.shape[0] // theirs.shape[0])[0]
    apart = 100 * float((smaller - theirs).abs().mean())
    rows = []
    for motion, velocity in motions(vertices).items():
        outline = by_outline(vertices, faces, velocity)
        rows.append(
            {
                "motion": motion,
                "outline, hundredths": 100 * outline,
                "gestalt3d, % of it": 100 * float((soft * velocity).sum()) / outline,
                "Mitsuba, % of it": 100 * float((sharp * velocity).sum()) / outline,
                "mean difference of a pixel, %": apart,
            }
        )
    return rows

"""The voxels that an object of triangles fills: its inside, and where it is thinner than a voxel its surface."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gestalt3d.ops._numba import mesh_voxels as _kernels
from gestalt3d.ops.operator import Operator

_MOST_VOXELS = 2**31
_FARTHEST = 2.0**20
"""Voxels from the grid's lowest corner: edges are walked along."""


def mesh_voxels_reference(
    vertices: Tensor,
    faces: Tensor,
    voxel_size: float,
    ox: float,
    oy: float,
    oz: float,
    x: int,
    y: int,
    z: int,
) -> Tensor:
    """Each middle line of the grid with each triangle, in float64."""
    origin = torch.tensor([ox, oy, oz], dtype=torch.float64, device=vertices.device)
    triangles = ((vertices.double() - origin) / voxel_size)[faces]
    size = (x, y, z)
    lines = [_crossings(triangles, size, axis) for axis in range(3)]
    solid = torch.ones(size, dtype=torch.bool, device=vertices.device)
    for axis, (height, out) in enumerate(lines):
        centre = torch.arange(size[axis], device=height.device).view(-1, 1, 1, 1) + 0.5
        above = torch.where(height >= centre, out, 0).sum(-1)
        below = out.sum(-1) - above
        solid &= ((above >= 1) & (below <= -1)).movedim(0, axis)
    filled = solid.clone()
    for axis, (height, out) in enumerate(lines):
        # Row k + 1 is voxel k; outside of the grid nothing is solid.
        padded = torch.nn.functional.pad(solid.movedim(axis, 0), (0, 0, 0, 0, 1, 1))
        p, q, f = ((out != 0) & (height >= 0) & (height < size[axis])).nonzero().unbind(1)
        at = height[p, q, f]
        row = (at - 0.5).floor().long() + 1
        bare = ~padded[row, p, q] & ~padded[row + 1, p, q]
        filled.movedim(axis, 0)[at.floor().long()[bare], p[bare], q[bare]] = True
    around = torch.nn.functional.max_pool3d(filled[None].double(), 3, 1, 1)[0] > 0
    places = _edge_voxels(triangles)
    places = places[((places >= 0) & (places < torch.tensor(size, device=places.device))).all(1)]
    lone = places[~around[tuple(places.unbind(1))]]
    filled[tuple(lone.unbind(1))] = True
    return filled


def _edge_voxels(triangles: Tensor) -> Tensor:
    """(k, 3) voxels of points of all edges, a quarter of a voxel apart at most."""
    a = triangles.flatten(0, 1)
    along = triangles[:, [1, 2, 0]].flatten(0, 1) - a
    steps = (4 * along.abs().amax(1)).ceil().clamp(min=1).long() if len(a) else a.new_zeros(0).long()
    edge = torch.arange(len(a), device=a.device).repeat_interleave(steps)
    step = torch.arange(len(edge), device=a.device) - (steps.cumsum(0) - steps)[edge]
    return (a[edge] + along[edge] * (step / steps[edge].double())[:, None]).floor().long()


def _crossings(triangles: Tensor, size: tuple[int, int, int], axis: int) -> tuple[Tensor, Tensor]:
    """(p, q, f) of the middle lines along `axis` and the triangles: the height at which they meet, and whether that leads
    out (1) or in (-1) on the way up; 0 where they do not meet.
    """
    across = [k for k in range(3) if k != axis]
    lines = torch.stack(
        torch.meshgrid(
            *(torch.arange(size[k], device=triangles.device) + 0.5 for k in across), indexing="ij"
        ),
        -1,
    )
    a, b, c = (triangles[:, k][:, across] - lines[:, :, None] for k in range(3))
    u, v, w = _edge(b, c), _edge(c, a), _edge(a, b)
    area = u[0] + v[0] + w[0]
    counter_clockwise = (area > 0) & u[1] & v[1] & w[1]
    clockwise = (area < 0) & ~u[1] & ~v[1] & ~w[1]
    height = (
        u[0] * triangles[:, 0, axis] + v[0] * triangles[:, 1, axis] + w[0] * triangles[:, 2, axis]
    ) / area
    out = counter_clockwise.long() - clockwise.long()
    return height, out if axis != 1 else -out


def _edge(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Twice the area of the triangle from the line to an edge, and whether the line lies on the edge's left. On it: as if it
    were moved a little to lower coordinates, all lines alike, so that of two triangles at an edge one is met.
    """
    area = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    along = b - a
    rises = (along[..., 1] > 0) | ((along[..., 1] == 0) & (along[..., 0] < 0))
    return area, (area > 0) | ((area == 0) & rises)


_op = Operator(
    "gestalt3d::mesh_voxels",
    mesh_voxels_reference,
    schema="(Tensor vertices, Tensor faces, float voxel_size, float ox, float oy, float oz, int x, int y, int z) -> Tensor",
)


@_op.register_kernel("cpu")
def _(vertices, faces, voxel_size, ox, oy, oz, x, y, z):
    origin = torch.tensor([ox, oy, oz], dtype=torch.float64)
    scaled = (vertices.detach().double() - origin) / voxel_size
    filled = _kernels.mesh_voxels(scaled.contiguous().numpy(), faces.contiguous().numpy(), x, y, z)
    return torch.from_numpy(filled)


@_op.register_fake
def _(vertices, faces, voxel_size, ox, oy, oz, x, y, z):
    return vertices.new_empty((x, y, z), dtype=torch.bool)


def mesh_voxels(
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    *,
    voxel_size: float,
    origin: tuple[float, float, float],
    size: tuple[int, int, int],
) -> Bool[Tensor, "x y z"]:
    """Which voxels of a grid of `size`, whose lowest corner is `origin`, belong to an object of closed parts wound outwards.

    A voxel does if its centre is in the object: along all three axes more surfaces lead out above it than in, and more in below
    it than out, so that parts may overlap and what is open holds nothing. So does one of whose three middle lines the surface
    crosses between two centres that are both outside: sheets are kept, without gaps, and thick things are not swollen. So do,
    where nothing around is filled, those that an edge runs through, looked at every quarter of a voxel: bars never vanish. A
    centre on the surface counts as if it lay a little lower along all axes. What lies outside of the grid fills
    nothing. Not differentiable.
    """
    if not voxel_size > 0 or min(size) < 1 or size[0] * size[1] * size[2] > _MOST_VOXELS:
        raise ValueError(
            f"voxel_size must be positive and size three numbers from 1 on, of {_MOST_VOXELS:,} voxels at most, "
            f"got {voxel_size} and {size}"
        )
    if not bool(vertices.isfinite().all()):
        raise ValueError("vertices must be finite, got NaN or infinity; leave these out with their faces")
    corner = vertices.new_tensor(origin, dtype=torch.float64)
    if len(vertices) and float((vertices - corner).abs().max()) > _FARTHEST * voxel_size:
        raise ValueError(
            f"vertices must lie within {_FARTHEST:,.0f} voxels of origin {origin}; leave others out"
        )
    if len(faces) and not (int(faces.min()) >= 0 and int(faces.max()) < len(vertices)):
        raise ValueError(
            f"faces must index the {len(vertices)} vertices, got {int(faces.min())} to {int(faces.max())}"
        )
    return _op(vertices, faces, voxel_size, *origin, *size)

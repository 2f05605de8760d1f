"""Objects as lists of named parts, and the solids they are built from.

An object's own frame: x to the right, y to the back (which stands at the wall), z up, the middle of its
footprint at the origin, its lowest point at z = 0. Metres.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from gestalt3d.synth.colours import Material, Number

Vector = tuple[Number, Number, Number]


class Part(NamedTuple):
    """Triangles of one material (or one per face through `face_material`), wound to face outwards."""

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    materials: tuple[Material, ...]
    face_material: np.ndarray | None = None


class Surface(NamedTuple):
    """A level rectangle that things can stand on, with `clearance` metres of free height above it."""

    x0: float
    y0: float
    x1: float
    y1: float
    z: float
    clearance: Number = 1.0


class Item(NamedTuple):
    """A shape standing on or in another one, as an instance of its own."""

    shape: "Shape"
    at: Vector
    yaw: float


@dataclass(frozen=True)
class Shape:
    """One object. `solids` are coarse boxes (x0 y0 z0 x1 y1 z1) of its matter, for non-intersection."""

    kind: str
    parts: tuple[Part, ...]
    solids: np.ndarray
    surfaces: tuple[Surface, ...] = ()
    items: tuple[Item, ...] = ()

    @property
    def low(self) -> np.ndarray:
        return self.solids[:, :3].min(0)

    @property
    def high(self) -> np.ndarray:
        return self.solids[:, 3:].max(0)

    @property
    def size(self) -> np.ndarray:
        return self.high - self.low


_CUBE = np.array([[x, y, z] for z in (0.0, 1.0) for y in (0.0, 1.0) for x in (0.0, 1.0)])
_CUBE_FACES = np.array(
    [
        [0, 2, 1],
        [1, 2, 3],
        [4, 5, 6],
        [5, 7, 6],
        [0, 1, 4],
        [1, 5, 4],
        [2, 6, 3],
        [3, 6, 7],
        [0, 4, 2],
        [2, 4, 6],
        [1, 3, 5],
        [3, 7, 5],
    ],
    np.int32,
)


def grid_faces(rows: int, columns: int, wrap: bool = False) -> np.ndarray:
    """Faces of a grid of vertices in row order; `wrap` joins the last column to the first."""
    across = columns if wrap else columns - 1
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(across), indexing="ij")
    a = (i * columns + j).ravel()
    b = (i * columns + (j + 1) % columns).ravel()
    c, d = a + columns, b + columns
    return np.concatenate([np.stack([a, b, d], 1), np.stack([a, d, c], 1)]).astype(np.int32)


@lru_cache
def _rounded_template(steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corner signs, unit directions and faces of a cube whose faces are grids with `steps` arcs per edge."""
    angle = np.linspace(0, np.pi / 4, steps + 1)
    half = np.tan(angle)
    line = np.concatenate([-half[::-1], half])
    sign_line = np.concatenate([-np.ones(steps + 1), np.ones(steps + 1)])
    # Along an edge of the cube the rounding runs from the face's middle (0) to the edge (1).
    u, v = np.meshgrid(line, line, indexing="ij")
    su, sv = np.meshgrid(sign_line, sign_line, indexing="ij")
    directions, signs, faces = [], [], []
    n = len(line)
    base = grid_faces(n, n)
    for axis in range(3):
        for side in (-1.0, 1.0):
            d = np.zeros((n * n, 3))
            s = np.zeros((n * n, 3))
            a, b = (axis + 1) % 3, (axis + 2) % 3
            d[:, axis], d[:, a], d[:, b] = side, u.ravel(), v.ravel()
            s[:, axis], s[:, a], s[:, b] = side, su.ravel(), sv.ravel()
            directions.append(d / np.linalg.norm(d, axis=1, keepdims=True))
            signs.append(s)
            faces.append((base if side < 0 else base[:, ::-1]) + len(faces) * n * n)
    return np.concatenate(signs), np.concatenate(directions), np.concatenate(faces)


@lru_cache
def _circle(sides: int) -> np.ndarray:
    t = np.arange(sides) * (2 * np.pi / sides)
    return np.stack([np.cos(t), np.sin(t)], 1)


class Builder:
    """Collects parts and the solids of one object."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.solids: list[tuple[Number, ...]] = []
        self.surfaces: list[Surface] = []
        self.items: list[Item] = []

    def mesh(self, name: str, vertices: np.ndarray, faces: np.ndarray, material: Material) -> np.ndarray:
        """Add a part; returns its vertices, which may still be moved in place."""
        self.parts.append(Part(name, vertices, faces, (material,)))
        return vertices

    def solid(self, x0: Number, y0: Number, z0: Number, x1: Number, y1: Number, z1: Number) -> None:
        self.solids.append((x0, y0, z0, x1, y1, z1))

    def box(self, name: str, low: Vector, high: Vector, material: Material) -> np.ndarray:
        low_ = np.array(low)
        return self.mesh(name, low_ + _CUBE * (np.array(high) - low_), _CUBE_FACES, material)

    def boxes(self, name: str, low: np.ndarray, high: np.ndarray, materials: list[Material]) -> None:
        """Many boxes as one part, a material each."""
        if not len(low):
            return
        vertices = (low[:, None] + _CUBE * (high - low)[:, None]).reshape(-1, 3)
        faces = (np.arange(len(low), dtype=np.int32)[:, None, None] * 8 + _CUBE_FACES).reshape(-1, 3)
        self.parts.append(Part(name, vertices, faces, tuple(materials), np.repeat(np.arange(len(low)), 12)))

    def rounded(
        self,
        name: str,
        low: Vector,
        high: Vector,
        radius: Number,
        material: Material,
        *,
        puff: Number = 0.0,
        steps: int = 2,
    ) -> np.ndarray:
        """A box with rounded edges; `puff` lets its sides bulge by so many metres, as cushions do."""
        low_, high_ = np.array(low), np.array(high)
        half = (high_ - low_) / 2
        radius = min(radius, float(half.min()) * 0.98)
        signs, directions, faces = _rounded_template(steps)
        vertices = signs * (half - radius) + directions * radius
        if puff:
            q = vertices / np.maximum(half, 1e-6)
            for axis in range(3):
                a, b = (axis + 1) % 3, (axis + 2) % 3
                vertices[:, axis] += puff * q[:, axis] * (1 - q[:, a] ** 2) * (1 - q[:, b] ** 2)
        return self.mesh(name, vertices + (low_ + high_) / 2, faces, material)

    def cylinder(
        self,
        name: str,
        base: Vector,
        top: Vector,
        r0: Number,
        r1: Number,
        material: Material,
        sides: int = 10,
    ) -> np.ndarray:
        """A closed cone frustum from `base` (radius r0) to `top` (radius r1)."""
        p, q = np.array(base), np.array(top)
        axis = q - p
        axis /= np.linalg.norm(axis) + 1e-12
        helper = np.array([1.0, 0, 0]) if abs(axis[0]) < 0.9 else np.array([0, 1.0, 0])
        u = np.cross(axis, helper)
        u /= np.linalg.norm(u)
        v = np.cross(axis, u)
        ring = _circle(sides) @ np.stack([u, v])
        vertices = np.concatenate([p + r0 * ring, q + r1 * ring, p[None], q[None]])
        i = np.arange(sides, dtype=np.int32)
        j = (i + 1) % sides
        side = np.concatenate([np.stack([i, j, j + sides], 1), np.stack([i, j + sides, i + sides], 1)])
        caps = np.concatenate(
            [
                np.stack([j, i, np.full_like(i, 2 * sides)], 1),
                np.stack([i + sides, j + sides, np.full_like(i, 2 * sides + 1)], 1),
            ]
        )
        return self.mesh(name, vertices, np.concatenate([side, caps]).astype(np.int32), material)

    def lathe(
        self,
        name: str,
        profile: list[tuple[Number, Number]],
        material: Material,
        *,
        at: Vector = (0, 0, 0),
        sides: int = 16,
        stretch: tuple[Number, Number] = (1, 1),
    ) -> np.ndarray:
        """A profile (radius, z) turned about z; run it from the bottom up along the outside."""
        shape = np.array(profile)
        ring = _circle(sides) * np.array(stretch)
        vertices = np.concatenate(
            [shape[:, :1, None] * ring[None], np.broadcast_to(shape[:, 1:, None], (len(shape), sides, 1))],
            axis=2,
        ).reshape(-1, 3)
        return self.mesh(name, vertices + np.array(at), grid_faces(len(shape), sides, wrap=True), material)

    def tube(self, name: str, path: np.ndarray, radius: Number, material: Material, sides: int = 6) -> None:
        """A bent round bar through the points of `path`."""
        vertices, faces = [], []
        ring2 = _circle(sides)
        for k in range(len(path)):
            along = path[min(k + 1, len(path) - 1)] - path[max(k - 1, 0)]
            along = along / (np.linalg.norm(along) + 1e-12)
            helper = np.array([0, 0, 1.0]) if abs(along[2]) < 0.9 else np.array([1.0, 0, 0])
            u = np.cross(along, helper)
            u /= np.linalg.norm(u)
            vertices.append(path[k] + radius * ring2 @ np.stack([u, np.cross(along, u)]))
        faces = grid_faces(len(path), sides, wrap=True)
        self.mesh(name, np.concatenate(vertices), faces, material)

    def prism(self, name: str, outline: np.ndarray, z0: Number, z1: Number, material: Material) -> np.ndarray:
        """A convex outline (k, 2), counter-clockwise, between two heights."""
        k = len(outline)
        low = np.concatenate([outline, np.full((k, 1), z0)], 1)
        high = np.concatenate([outline, np.full((k, 1), z1)], 1)
        i = np.arange(k, dtype=np.int32)
        j = (i + 1) % k
        side = np.concatenate([np.stack([i, j, j + k], 1), np.stack([i, j + k, i + k], 1)])
        fan = np.arange(1, k - 1, dtype=np.int32)
        zero = np.zeros_like(fan)
        caps = np.concatenate(
            [np.stack([zero, fan + 1, fan], 1), np.stack([zero + k, fan + k, fan + 1 + k], 1)]
        )
        return self.mesh(
            name, np.concatenate([low, high]), np.concatenate([side, caps]).astype(np.int32), material
        )

    def sheet(self, name: str, grid: np.ndarray, material: Material) -> np.ndarray:
        """A grid (rows, columns, 3) of points as a cloth seen from both sides."""
        rows, columns = grid.shape[:2]
        faces = grid_faces(rows, columns)
        normals = np.cross(np.gradient(grid, axis=1), np.gradient(grid, axis=0))
        normals /= np.linalg.norm(normals, axis=2, keepdims=True) + 1e-9
        # Two layers a hair apart, so that from each side the one that faces it is seen.
        layers = np.concatenate([grid + 0.001 * normals, grid - 0.001 * normals]).reshape(-1, 3)
        return self.mesh(name, layers, np.concatenate([faces, faces[:, ::-1] + rows * columns]), material)

    def blob(
        self,
        name: str,
        center: Vector,
        radii: Vector,
        rng: np.random.Generator,
        material: Material,
        *,
        bumps: Number = 0.25,
        power: Number = 1.0,
        rings: int = 9,
        sides: int = 14,
    ) -> np.ndarray:
        """A closed lump: a superellipsoid (power < 1 is boxy) with random bumps."""
        t = np.linspace(-np.pi / 2, np.pi / 2, rings)[:, None]
        s = np.arange(sides)[None] * (2 * np.pi / sides)
        bend = lambda value: np.sign(value) * np.abs(value) ** power  # noqa: E731
        d = np.stack(
            [
                bend(np.cos(t)) * bend(np.cos(s)),
                bend(np.cos(t)) * bend(np.sin(s)),
                bend(np.sin(t)) * np.ones_like(s),
            ],
            -1,
        )
        d = d.reshape(-1, 3)
        swell = np.ones(len(d))
        if bumps:
            for wave in rng.normal(0, 2.2, (4, 3)):
                swell += bumps * 0.5 * np.sin(d @ wave + rng.uniform(0, 6.28))
        vertices = d * swell[:, None] * np.array(radii) + np.array(center)
        return self.mesh(name, vertices, grid_faces(rings, sides, wrap=True), material)

    def finish(self, kind: str) -> Shape:
        """Without solids of its own, the object is one box around its parts."""
        if not self.solids and self.parts:
            points = np.concatenate([p.vertices for p in self.parts])
            self.solids.append((*points.min(0).tolist(), *points.max(0).tolist()))
        return Shape(
            kind,
            tuple(self.parts),
            np.array(self.solids, float).reshape(-1, 6),
            tuple(self.surfaces),
            tuple(self.items),
        )


def turned(shape: Shape, *, pitch: Number = 0.0, roll: Number = 0.0) -> Shape:
    """The shape tipped about x (pitch), then y (roll), and set on the ground: for things that lean."""
    cp, sp, cr, sr = np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    matrix = np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]]) @ np.array(
        [[1, 0, 0], [0, cp, -sp], [0, sp, cp]]
    )
    moved = [p.vertices @ matrix.T for p in shape.parts]
    everything = np.concatenate(moved)
    low, high = everything.min(0), everything.max(0)
    shift = np.array([-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]])
    parts = tuple(p._replace(vertices=v + shift) for p, v in zip(shape.parts, moved, strict=True))
    return Shape(shape.kind, parts, np.concatenate([low + shift, high + shift])[None])


def mirrored(shape: Shape) -> Shape:
    """Left and right exchanged."""
    flip = np.array([-1.0, 1, 1])
    parts = tuple(p._replace(vertices=p.vertices * flip, faces=p.faces[:, ::-1]) for p in shape.parts)
    solids = shape.solids[:, [3, 1, 2, 0, 4, 5]] * np.array([-1.0, 1, 1, -1, 1, 1])
    surfaces = tuple(s._replace(x0=-s.x1, x1=-s.x0) for s in shape.surfaces)
    items = tuple(Item(mirrored(i.shape), (-i.at[0], i.at[1], i.at[2]), -i.yaw) for i in shape.items)
    return Shape(shape.kind, parts, solids, surfaces, items)

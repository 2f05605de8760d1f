"""Curved bodies: skins over rings, fins between two chords, round things that lie on their side, and new paint."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.shapes import Builder, Part, Vector, grid_faces

Ring = Float64[np.ndarray, "k 3"]


def loft(b: Builder, name: str, rings: Float64[np.ndarray, "s k 3"], material: Material) -> np.ndarray:
    """A closed skin over rings of as many points each, with flat ends; returns its vertices, which may still be moved."""
    count, sides = rings.shape[:2]
    vertices = np.concatenate([rings.reshape(-1, 3), rings[:1].mean(1), rings[-1:].mean(1)])
    i = np.arange(sides, dtype=np.int32)
    j = (i + 1) % sides
    last, first_middle = (count - 1) * sides, count * sides
    ends = [
        np.stack([j, i, np.full_like(i, first_middle)], 1),
        np.stack([i + last, j + last, np.full_like(i, first_middle + 1)], 1),
    ]
    faces = np.concatenate([grid_faces(count, sides, wrap=True), *ends]).astype(np.int32)
    return b.mesh(name, vertices, outwards(vertices, faces), material)


def outwards(vertices: Float64[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, "f 3"]:
    """The faces of a closed surface, turned over if they look inwards."""
    a, b, c = (vertices[faces[:, k]] - vertices.mean(0) for k in range(3))
    return faces if (a * np.cross(b, c)).sum() >= 0 else faces[:, ::-1]


def round_rings(
    y: Float[np.ndarray, "s"],
    half_width: Float[np.ndarray, "s"] | Number,
    half_height: Float[np.ndarray, "s"] | Number,
    z: Float[np.ndarray, "s"] | Number = 0.0,
    x: Float[np.ndarray, "s"] | Number = 0.0,
    *,
    power: Number = 2.0,
    sides: int = 20,
) -> Float64[np.ndarray, "s k 3"]:
    """Superellipses across y, one at each: |u|^power + |v|^power = 1, so that 2 is round and 8 nearly a rectangle."""
    t = (np.arange(sides) + 0.5) * (2 * np.pi / sides)
    bent = [np.sign(v) * np.abs(v) ** (2 / power) for v in (np.cos(t), np.sin(t))]
    across, up, wide, high = (
        np.broadcast_to(np.asarray(v, float), y.shape) for v in (x, z, half_width, half_height)
    )
    return np.stack(
        [
            across[:, None] + wide[:, None] * bent[0],
            np.broadcast_to(y[:, None], (len(y), sides)),
            up[:, None] + high[:, None] * bent[1],
        ],
        axis=-1,
    )


def bar_rings(
    y: Sequence[Number],
    low: Sequence[Number],
    high: Sequence[Number],
    half_width: Sequence[Number] | Number,
    bevel: Number = 0.25,
) -> Float64[np.ndarray, "s 8 3"]:
    """Rectangles with cut corners across y: what a side view outlines by its lower and upper edge, at each y."""
    wide = np.broadcast_to(np.asarray(half_width, float), (len(y),))
    rings = []
    for at, z0, z1, w in zip(y, low, high, wide, strict=True):
        c = bevel * min(float(w), (z1 - z0) / 2)
        outline = [
            (-w + c, z0),
            (w - c, z0),
            (w, z0 + c),
            (w, z1 - c),
            (w - c, z1),
            (-w + c, z1),
            (-w, z1 - c),
            (-w, z0 + c),
        ]
        rings.append([(px, at, pz) for px, pz in outline])
    return np.array(rings, float)


def fin(
    b: Builder,
    name: str,
    root: Vector,
    root_chord: Number,
    tip: Vector,
    tip_chord: Number,
    material: Material,
    *,
    thick: Number = 0.12,
) -> None:
    """A wing or a keel: leading edges at `root` and `tip`, chords along y, a lens of so many chords as section."""
    along = np.array([0.0, 0.28, 0.7, 1.0, 0.7, 0.28])
    off = np.array([0.0, 0.5, 0.35, 0.0, -0.35, -0.5]) * thick
    span = np.array(tip, float) - np.array(root, float)
    normal = np.cross([0.0, 1.0, 0.0], span)
    normal /= np.linalg.norm(normal)
    ends = [(np.array(root, float), root_chord), (np.array(tip, float), tip_chord)]
    # A tip keeps some thickness: a fin should not vanish edge on.
    rings = [
        p
        + np.outer(along * chord, [0, 1, 0])
        + np.outer(off * max(float(chord), 0.3 * float(root_chord)), normal)
        for p, chord in ends
    ]
    loft(b, name, np.stack(rings), material)


def pair_of_fins(
    b: Builder,
    name: str,
    root: Vector,
    root_chord: Number,
    tip: Vector,
    tip_chord: Number,
    material: Material,
    *,
    thick: Number = 0.12,
) -> None:
    """The fin on the right and its mirror image on the left."""
    for side in (-1, 1):
        fin(
            b, name, (side * root[0], root[1], root[2]), root_chord, (side * tip[0], tip[1], tip[2]), tip_chord,
            material, thick=thick,
        )  # fmt: skip


def wheel(b: Builder, x: Number, y: Number, r: Number, width: Number, tyre: Material, hub: Material) -> None:
    """On the ground, turning about x; `x` is the middle of its width."""
    b.cylinder("wheel", (x - width / 2, y, r), (x + width / 2, y, r), r, r, tyre, 18)
    outside = 1 if x > 0 else -1
    near, far = x + outside * width * 0.45, x + outside * width * 0.54
    b.cylinder("hub", (near, y, r), (far, y, r), r * 0.62, r * 0.55, hub, 12)


def facing_front(vertices: np.ndarray, at: Vector) -> None:
    """Turns what was lathed about z, in place, so that its top looks along -y, and moves its origin to `at`."""
    x, y, z = vertices.T.copy()
    vertices[:] = np.stack([x, -z, y], 1) + np.array(at, float)


def panel(
    b: Builder,
    name: str,
    x: tuple[Number, Number],
    z: tuple[Number, Number],
    y: Number,
    material: Material,
    out: Number,
) -> None:
    """A thin box on a front at `y`, that stands out towards -y."""
    b.box(name, (x[0], y - out, z[0]), (x[1], y + out * 0.1, z[1]), material)


def repainted(part: Part, where: Bool[np.ndarray, "f"], material: Material) -> Part:
    """A part of one material with another one on some of its faces."""
    return part._replace(materials=(*part.materials[:1], material), face_material=where.astype(np.int64))


def dressed(parts: Sequence[Part], paint: Mapping[str, Material], otherwise: Material) -> list[Part]:
    """Parts that have no paint of their own under new paint: that of the first key found in their name."""
    out = []
    for part in parts:
        bare = all(material == Material() for material in part.materials)
        chosen = next((material for word, material in paint.items() if word in part.name), otherwise)
        out.append(part._replace(materials=(chosen,), face_material=None) if bare else part)
    return out

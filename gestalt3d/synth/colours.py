"""Materials, their patterns, and how a camera sees them."""

import colorsys
from typing import NamedTuple

import numpy as np

from gestalt3d.ops._numba import kernel

Number = float | int
RGB = tuple[Number, Number, Number]

PLAIN, WOOD, SPECKLE, TILES, STRIPES, PATCHES, BLOTCHES, PHOTO, BRICKS, PRINT = range(10)


class Material(NamedTuple):
    """A surface. `scale` is the size of the pattern in metres, `contrast` its strength in [0, 1]."""

    pattern: int = PLAIN
    color: RGB = (0.7, 0.7, 0.7)
    second: RGB = (0.5, 0.5, 0.5)
    scale: float = 0.1
    contrast: float = 0.1
    dropout: float = 0.0
    """Fraction of depth readings the surface swallows (glass, black plastic, mirrors)."""
    emission: float = 0.0
    """Light of its own: lamps and windows."""

    @property
    def row(self) -> tuple[Number, ...]:
        return (
            self.pattern,
            *self.color,
            *self.second,
            self.scale,
            self.contrast,
            self.dropout,
            self.emission,
        )


def any_color(rng: np.random.Generator) -> RGB:
    """Anything: bright, dull, dark, grey."""
    u = rng.random(4)
    if u[3] < 0.3:
        v = 0.04 + 0.9 * float(u[2])
        return (v * (0.95 + 0.1 * float(u[0])), v, v * (0.92 + 0.12 * float(u[1])))
    return colorsys.hsv_to_rgb(float(u[0]), float(u[1]) ** 1.3, 0.08 + 0.87 * float(u[2]))


def _near(rng: np.random.Generator, color: RGB, spread: float = 0.06) -> RGB:
    """`color`, somewhat lighter or darker and a little off in hue."""
    shift = rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
    r, g, b = np.clip(np.asarray(color) + shift, 0.02, 0.98).tolist()
    return (r, g, b)


_WOODS: tuple[RGB, ...] = (
    (0.80, 0.65, 0.46), (0.72, 0.52, 0.32), (0.58, 0.38, 0.21), (0.42, 0.26, 0.15), (0.28, 0.18, 0.12),
    (0.86, 0.76, 0.60), (0.66, 0.44, 0.24), (0.50, 0.25, 0.15), (0.70, 0.62, 0.52),
)  # fmt: skip
_CLOTHS: tuple[RGB, ...] = (
    (0.12, 0.12, 0.14), (0.25, 0.27, 0.32), (0.15, 0.18, 0.35), (0.45, 0.12, 0.12), (0.40, 0.38, 0.33),
    (0.62, 0.56, 0.46), (0.22, 0.32, 0.24), (0.72, 0.70, 0.66), (0.48, 0.32, 0.20), (0.20, 0.35, 0.48),
)  # fmt: skip
_PAINTS: tuple[RGB, ...] = (
    (0.93, 0.92, 0.89), (0.88, 0.85, 0.78), (0.80, 0.78, 0.74), (0.90, 0.86, 0.74), (0.75, 0.80, 0.82),
    (0.84, 0.87, 0.80), (0.87, 0.76, 0.62), (0.62, 0.64, 0.66), (0.95, 0.95, 0.96), (0.72, 0.60, 0.48),
)  # fmt: skip


def _of(rng: np.random.Generator, colors: tuple[RGB, ...], spread: float = 0.05) -> RGB:
    return _near(rng, colors[int(rng.integers(len(colors)))], spread)


def wood(rng: np.random.Generator) -> Material:
    color = _of(rng, _WOODS)
    dark = tuple(0.72 * c for c in color)
    return Material(WOOD, color, dark, float(rng.uniform(0.02, 0.09)), float(rng.uniform(0.1, 0.8)))  # pyright: ignore[reportArgumentType]


def cloth(rng: np.random.Generator) -> Material:
    color = _of(rng, _CLOTHS) if rng.random() < 0.65 else any_color(rng)
    u = rng.random()
    if u < 0.5:
        return Material(SPECKLE, color, _near(rng, color, 0.1), 0.012, float(rng.uniform(0.1, 0.5)))
    if u < 0.75:
        return Material(
            BLOTCHES,
            color,
            _near(rng, color, 0.15),
            float(rng.uniform(0.05, 0.3)),
            float(rng.uniform(0.2, 0.9)),
        )
    if u < 0.9:
        pattern = STRIPES if rng.random() < 0.5 else PATCHES
        return Material(
            pattern, color, any_color(rng), float(rng.uniform(0.03, 0.15)), float(rng.uniform(0.3, 1))
        )
    return Material(PHOTO, color, any_color(rng), float(rng.uniform(0.05, 0.2)), float(rng.uniform(0.2, 0.5)))


def leather(rng: np.random.Generator) -> Material:
    color = _of(
        rng,
        (
            (0.1, 0.1, 0.1),
            (0.3, 0.18, 0.1),
            (0.45, 0.3, 0.18),
            (0.75, 0.7, 0.6),
            (0.35, 0.08, 0.07),
            (0.85, 0.84, 0.8),
        ),
    )
    return Material(BLOTCHES, color, _near(rng, color, 0.06), 0.15, 0.4)


def paint(rng: np.random.Generator) -> Material:
    """Of walls."""
    color = _of(rng, _PAINTS, 0.04) if rng.random() < 0.93 else any_color(rng)
    return Material(BLOTCHES, color, _near(rng, color, 0.03), float(rng.uniform(0.3, 1.5)), 0.3)


def lacquer(rng: np.random.Generator) -> Material:
    """Furniture painted or coated: white and grey mostly."""
    u = rng.random()
    if u < 0.55:
        v = float(rng.uniform(0.7, 0.97))
        color: RGB = (v, v * float(rng.uniform(0.95, 1.0)), v * float(rng.uniform(0.86, 1.0)))
    elif u < 0.8:
        v = float(rng.uniform(0.08, 0.6))
        color = (v, v, v * float(rng.uniform(0.95, 1.08)))
    else:
        color = any_color(rng)
    return Material(PLAIN, color, color, 0.3, 0.06)


def metal(rng: np.random.Generator) -> Material:
    v = float(rng.uniform(0.08, 0.75))
    return Material(PLAIN, (v, v, v * 1.02), (v, v, v), 0.1, 0.12, dropout=float(rng.uniform(0, 0.3)))


def plastic(rng: np.random.Generator) -> Material:
    color = (
        any_color(rng)
        if rng.random() < 0.5
        else _near(rng, (0.1, 0.1, 0.11) if rng.random() < 0.6 else (0.85, 0.85, 0.83), 0.05)
    )
    return Material(PLAIN, color, color, 0.1, 0.05, dropout=0.05)


def ceramic(rng: np.random.Generator) -> Material:
    v = float(rng.uniform(0.82, 0.97))
    return Material(PLAIN, (v, v, v * float(rng.uniform(0.93, 1.0))), (v, v, v), 0.3, 0.04)


def glass(rng: np.random.Generator) -> Material:
    """A pane with daylight, night or the sky behind it."""
    v = float(rng.uniform(0.05, 0.3) if rng.random() < 0.3 else rng.uniform(0.6, 1))
    color = (v * float(rng.uniform(0.85, 1)), v * float(rng.uniform(0.92, 1)), v)
    return Material(
        BLOTCHES, color, any_color(rng), 0.5, 0.4, float(rng.uniform(0.1, 0.85)), float(rng.uniform(0, 0.8))
    )


def mirror(rng: np.random.Generator) -> Material:
    return Material(
        PHOTO, (0.6, 0.6, 0.6), (0.4, 0.4, 0.4), float(rng.uniform(0.3, 0.8)), 0.5, float(rng.uniform(0, 0.5))
    )


def screen(rng: np.random.Generator) -> Material:
    if rng.random() < 0.7:
        v = float(rng.uniform(0.02, 0.12))
        return Material(PLAIN, (v, v, v * 1.1), (v, v, v), 0.2, 0.3, float(rng.uniform(0, 0.5)))
    return Material(PHOTO, any_color(rng), any_color(rng), 0.12, 0.8, 0.2, 0.4)


def poster(rng: np.random.Generator) -> Material:
    if rng.random() < 0.3:
        return Material(PRINT, (0.92, 0.92, 0.9), any_color(rng), float(rng.uniform(0.02, 0.06)), 0.8)
    return Material(
        PHOTO, any_color(rng), any_color(rng), float(rng.uniform(0.05, 0.4)), float(rng.uniform(0.4, 1))
    )


def cardboard(rng: np.random.Generator) -> Material:
    u = rng.random()
    if u < 0.6:
        color = _near(rng, (0.66, 0.50, 0.34), 0.07)
        return Material(
            PRINT,
            color,
            _near(rng, (0.45, 0.33, 0.2), 0.1),
            float(rng.uniform(0.06, 0.2)),
            float(rng.uniform(0, 0.6)),
        )
    if u < 0.8:
        return Material(PRINT, (0.9, 0.9, 0.88), any_color(rng), float(rng.uniform(0.05, 0.2)), 0.6)
    return Material(PATCHES, any_color(rng), any_color(rng), float(rng.uniform(0.05, 0.3)), 0.8)


def book_cover(rng: np.random.Generator) -> Material:
    return Material(
        STRIPES if rng.random() < 0.4 else PLAIN,
        any_color(rng),
        any_color(rng),
        float(rng.uniform(0.03, 0.1)),
        0.5,
    )


def leaf(rng: np.random.Generator) -> Material:
    color = (float(rng.uniform(0.08, 0.35)), float(rng.uniform(0.25, 0.55)), float(rng.uniform(0.05, 0.25)))
    return Material(BLOTCHES, color, _near(rng, color, 0.12), 0.06, 0.8)


def flooring(rng: np.random.Generator) -> Material:
    u = rng.random()
    if u < 0.38:
        m = wood(rng)
        return m._replace(scale=float(rng.uniform(0.06, 0.2)), contrast=float(rng.uniform(0.2, 0.9)))
    if u < 0.72:
        color = _of(rng, (*_CLOTHS[:7], (0.5, 0.45, 0.4), (0.55, 0.5, 0.42), (0.42, 0.42, 0.44)), 0.06)
        return Material(
            SPECKLE if rng.random() < 0.7 else BLOTCHES,
            color,
            _near(rng, color, 0.12),
            float(rng.uniform(0.01, 0.04)),
            float(rng.uniform(0.2, 0.8)),
        )
    if u < 0.92:
        color = _near(rng, (0.75, 0.72, 0.68), 0.12)
        return Material(
            TILES,
            color,
            _near(rng, (0.5, 0.5, 0.5), 0.15),
            float(rng.uniform(0.1, 0.6)),
            float(rng.uniform(0.2, 1)),
        )
    color = _near(rng, (0.6, 0.6, 0.58), 0.1)
    return Material(BLOTCHES, color, _near(rng, color, 0.08), float(rng.uniform(0.2, 0.8)), 0.8)


def tiling(rng: np.random.Generator) -> Material:
    """Of kitchen and bathroom walls."""
    color = _near(rng, (0.88, 0.88, 0.86), 0.08) if rng.random() < 0.7 else any_color(rng)
    pattern = TILES if rng.random() < 0.7 else BRICKS
    return Material(
        pattern,
        color,
        _near(rng, (0.6, 0.6, 0.6), 0.15),
        float(rng.uniform(0.08, 0.3)),
        float(rng.uniform(0.2, 0.9)),
    )


def masonry(rng: np.random.Generator) -> Material:
    color = _near(rng, (0.6, 0.35, 0.27), 0.08)
    return Material(BRICKS, color, _near(rng, (0.65, 0.62, 0.58), 0.08), float(rng.uniform(0.15, 0.25)), 0.9)


def fabric_or_leather(rng: np.random.Generator) -> Material:
    return leather(rng) if rng.random() < 0.3 else cloth(rng)


def hard(rng: np.random.Generator) -> Material:
    """Furniture bodies: wood or lacquer."""
    return wood(rng) if rng.random() < 0.6 else lacquer(rng)


def anything(rng: np.random.Generator) -> Material:
    makers = (wood, cloth, lacquer, plastic, metal, cardboard, poster, leather)
    return makers[int(rng.integers(len(makers)))](rng)


@kernel
def _hash(x, y, z, salt):
    """A number in [0, 1) for an integer cell."""
    h = (
        (np.int64(x) * 73856093)
        ^ (np.int64(y) * 19349663)
        ^ (np.int64(z) * 83492791)
        ^ (np.int64(salt) * 2654435761)
    )
    h = (h ^ (h >> 13)) * 1274126177
    h = h ^ (h >> 16)
    return float(h & 0xFFFFF) / 1048576.0


@kernel
def _noise(x, y, z, salt):
    """Smooth noise in [0, 1] with features of size one."""
    i = np.floor(x)
    j = np.floor(y)
    k = np.floor(z)
    u = x - i
    v = y - j
    w = z - k
    u = u * u * (3 - 2 * u)
    v = v * v * (3 - 2 * v)
    w = w * w * (3 - 2 * w)
    total = 0.0
    for a in range(2):
        for b in range(2):
            for c in range(2):
                weight = (u if a else 1 - u) * (v if b else 1 - v) * (w if c else 1 - w)
                total += weight * _hash(i + a, j + b, k + c, salt)
    return total


@kernel
def _pattern(kind, x, y, z, nx, ny, nz, scale, salt):
    """How much of the second colour, in [0, 1]; two coordinates run along the surface, by its normal."""
    if abs(nz) >= abs(nx) and abs(nz) >= abs(ny):
        u, v = x, y
    elif abs(nx) >= abs(ny):
        u, v = y, z
    else:
        u, v = x, z
    if kind == 1:
        warp = _noise(u * 1.5, v * 6, 0.5, salt) * 2.5
        ring = 0.5 + 0.5 * np.sin((v / scale + warp) * 6.2831853)
        plank = _hash(
            np.floor(v / (scale * 2.2)),
            np.floor(u / 1.1 + 7 * _hash(np.floor(v / (scale * 2.2)), 0, 0, salt)),
            1,
            salt,
        )
        return 0.45 * ring * _noise(u * 8, v * 90, 0.5, salt) * 2 * 0.5 + 0.55 * plank
    if kind == 2:
        return _hash(np.floor(x / scale), np.floor(y / scale), np.floor(z / scale), salt)
    if kind == 3 or kind == 8:
        row = np.floor(v / (scale if kind == 3 else scale * 0.45))
        shift = 0.5 * (row % 2) if kind == 8 else 0.0
        fu = u / scale + shift
        fv = v / (scale if kind == 3 else scale * 0.45)
        du = abs(fu - np.floor(fu + 0.5))
        dv = abs(fv - np.floor(fv + 0.5))
        line = max(0.012 / scale, 0.03)
        if du < line or dv < line:
            return 1.0
        return 0.35 * _hash(np.floor(fu), row, 3, salt)
    if kind == 4:
        return 1.0 if np.floor(u / scale) % 2 == 0 else 0.0
    if kind == 5:
        return _hash(np.floor(u / scale), np.floor(v / scale), 0, salt)
    if kind == 6:
        return 0.65 * _noise(x / scale, y / scale, z / scale, salt) + 0.35 * _noise(
            x / scale * 3.1, y / scale * 3.1, z / scale * 3.1, salt + 1
        )
    if kind == 9:
        block = _hash(np.floor(u / (scale * 5)), np.floor(v / (scale * 3)), 0, salt)
        line = v / scale - np.floor(v / scale)
        if (
            block < 0.5
            and line < 0.55
            and _hash(np.floor(u / (scale * 0.7)), np.floor(v / scale), 1, salt) < 0.75
        ):
            return 1.0
        return 0.0
    return _noise(x / scale, y / scale, z / scale, salt)


@kernel
def shade(points, normals, face, face_material, face_frame, materials, frames, lights, ambient, salt):
    """(n, 3) linear colours: the pattern in its object's frame, lit by `lights` (x, y, z, power, reach)."""
    out = np.empty((len(points), 3), np.float32)
    for p in range(len(points)):
        f = face[p]
        m = face_material[f]
        frame = face_frame[f]
        co = frames[frame, 0]
        si = frames[frame, 1]
        dx = points[p, 0] - frames[frame, 2]
        dy = points[p, 1] - frames[frame, 3]
        x = co * dx + si * dy
        y = -si * dx + co * dy
        z = points[p, 2] - frames[frame, 4]
        nx = co * normals[p, 0] + si * normals[p, 1]
        ny = -si * normals[p, 0] + co * normals[p, 1]
        kind = int(materials[m, 0])
        scale = materials[m, 7]
        contrast = materials[m, 8]
        own = salt + frame * 17 + m
        wear = 1.0 + 0.08 * (_noise(x * 2.3, y * 2.3, z * 2.3, own + 5) - 0.5)
        light = ambient
        for k in range(len(lights)):
            lx = lights[k, 0] - points[p, 0]
            ly = lights[k, 1] - points[p, 1]
            lz = lights[k, 2] - points[p, 2]
            d = np.sqrt(lx * lx + ly * ly + lz * lz) + 1e-6
            cosine = (lx * normals[p, 0] + ly * normals[p, 1] + lz * normals[p, 2]) / d
            light += lights[k, 3] * (0.35 + 0.65 * max(cosine, 0.0)) / (1.0 + (d / lights[k, 4]) ** 2)
        light = light * wear + materials[m, 10]
        if kind == 7:
            for c in range(3):
                t = _noise(x / scale, y / scale, z / scale, own + 31 * c)
                t = 0.3 * t + 0.4 * _noise(x / scale, y / scale, z / scale, own + 91)
                t += 0.3 * _noise(x / scale * 4, y / scale * 4, z / scale * 4, own + 31 * c + 7)
                t = min(max((t - 0.5) * 2.2 + 0.5, 0.0), 1.0)
                base = materials[m, 1 + c] * (1 - t) + materials[m, 4 + c] * t
                out[p, c] = light * ((1 - contrast) * materials[m, 1 + c] + contrast * (0.5 * base + 0.5 * t))
        else:
            t = contrast * _pattern(kind, x, y, z, nx, ny, normals[p, 2], scale, own)
            for c in range(3):
                out[p, c] = light * (materials[m, 1 + c] * (1 - t) + materials[m, 4 + c] * t)
    return out


def expose(
    colors: np.ndarray, points: np.ndarray, rng: np.random.Generator, *, unevenness: float = 0.1
) -> np.ndarray:
    """What the camera stores, in [0, 1]: exposure, white balance, uneven frames, noise, eight bits."""
    # The camera exposes for the middle of what it sees.
    middle = max(float(np.median(colors.mean(1))), 0.05) if len(colors) else 0.5
    brightness = float(np.median(colors)) if len(colors) else 0.5
    gain = (
        (rng.normal(0.46, 0.1) / middle) ** 0.8
        * max(brightness, 0.1) ** 0.15
        * np.exp(rng.normal(0, 0.06, 3))
    )
    waves = rng.normal(0, 1, (4, 3)) * rng.uniform(0.4, 2.0, (4, 1))
    phase = rng.uniform(0, 2 * np.pi, 4)
    wave = np.sin(points @ waves.T.astype(np.float32) + phase.astype(np.float32)).mean(1) * 2
    value = colors * (gain * (1 + unevenness * wave[:, None])).astype(np.float32)
    # A soft shoulder instead of clipping, as cameras have.
    value = np.where(value > 0.8, 1 - 0.2 * np.exp(-(value - 0.8) / 0.2), value)
    haze = rng.uniform(0, 0.06)
    saturation = rng.uniform(0.6, 1.15)
    grey = value.mean(1, keepdims=True)
    value = haze + (1 - haze) * (grey + saturation * (value - grey))
    noise = rng.uniform(0.004, 0.03)
    value = value + rng.standard_normal(value.shape, dtype=np.float32) * noise
    return (np.round(np.clip(value, 0, 1) * 255) / 255).astype(np.float32)

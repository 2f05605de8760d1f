"""Colours that stay the same from file to file and apart for colour-blind eyes (NumPy only).

Lightness, chroma and hue are those of OKLab (Ottosson 2020); colour blindness is simulated as by Machado,
Oliveira and Fernandes (2009).
"""

import zlib
from functools import lru_cache

import numpy as np

from gestalt3d.structures.vocabulary import Vocabulary

NOTHING: tuple[int, int, int] = (126, 130, 138)
"""Points of no instance, no class or no score."""

# The building stays quiet, so that the things in it stand out.
_LCH_OF_CLASS: dict[str, tuple[float, float, float]] = {
    "ceiling": (0.86, 0.015, 90),
    "floor": (0.72, 0.030, 75),
    "wall": (0.80, 0.022, 250),
    "beam": (0.62, 0.030, 60),
    "column": (0.66, 0.030, 200),
    "window": (0.84, 0.090, 220),
    "door": (0.56, 0.095, 55),
    "table": (0.75, 0.145, 75),
    "desk": (0.68, 0.125, 70),
    "coffee table": (0.82, 0.125, 82),
    "chair": (0.60, 0.165, 255),
    "office chair": (0.53, 0.165, 265),
    "armchair": (0.67, 0.150, 300),
    "stool": (0.72, 0.120, 250),
    "bench": (0.66, 0.110, 235),
    "sofa": (0.60, 0.185, 320),
    "bed": (0.68, 0.165, 345),
    "bookcase": (0.64, 0.150, 150),
    "cabinet": (0.60, 0.115, 180),
    "dresser": (0.70, 0.115, 170),
    "night stand": (0.76, 0.110, 165),
    "counter": (0.79, 0.140, 125),
    "fridge": (0.76, 0.060, 185),
    "board": (0.86, 0.140, 108),
    "picture": (0.70, 0.145, 20),
    "curtain": (0.74, 0.115, 280),
    "shower curtain": (0.80, 0.090, 265),
    "monitor": (0.46, 0.130, 275),
    "lamp": (0.90, 0.150, 100),
    "garbage bin": (0.50, 0.090, 140),
    "toilet": (0.80, 0.100, 320),
    "sink": (0.73, 0.120, 205),
    "bathtub": (0.60, 0.110, 215),
    "box": (0.66, 0.170, 45),
    "book": (0.60, 0.195, 28),
    "bag": (0.52, 0.150, 350),
    "pillow": (0.82, 0.095, 0),
    "plant": (0.66, 0.180, 138),
    "clutter": (0.58, 0.040, 330),
    "box1": (0.62, 0.150, 255),
    "box2": (0.78, 0.150, 85),
    "box3": (0.58, 0.170, 25),
    "box4": (0.72, 0.130, 165),
    "box5": (0.52, 0.150, 320),
    "unknown": (0.60, 0.008, 260),
}
_SAME_THING = {
    "bookshelf": "bookcase",
    "refrigerator": "fridge",
    "showercurtain": "shower curtain",
    "nightstand": "night stand",
    "whiteboard": "board",
    "tv": "monitor",
    "television": "monitor",
    "bin": "garbage bin",
    "couch": "sofa",
    "books": "book",
    "blinds": "curtain",
    "floor mat": "floor",
    "otherfurniture": "clutter",
    "otherprop": "clutter",
    "otherstructure": "column",
    "object": "clutter",
    "floor lamp": "lamp",
    "desk lamp": "lamp",
}

_TABLE_SIZE = 60

# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB.
_DICHROMAT = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def instance_colors(n: int) -> np.ndarray:
    """(n, 3) uint8: the colour of instance `i` depends on `i` alone; consecutive ones are far apart."""
    table = _instance_table()
    i = np.arange(n)
    lap = i // len(table)
    lch_shift = 0.06 * np.where(lap == 0, 0.0, np.sin(2.4 * lap))
    lab = oklab(table[i % len(table)])
    lab[:, 0] = np.clip(lab[:, 0] + lch_shift, 0, 1)
    return np.where((lap == 0)[:, None], table[i % len(table)], from_oklab(lab))


def class_colors(vocabulary: Vocabulary) -> np.ndarray:
    """(c, 3) uint8: depends on the names alone, so that "chair" looks the same in every vocabulary."""
    return np.array([class_color(name) for name in vocabulary.names], dtype=np.uint8).reshape(-1, 3)


def class_color(name: str) -> tuple[int, int, int]:
    """The colour of a class name; unknown names get one from a checksum of the name."""
    key = name.strip().lower().replace("_", " ")
    key = _SAME_THING.get(key, key)
    if key in _LCH_OF_CLASS:
        lch = _LCH_OF_CLASS[key]
    else:
        code = zlib.crc32(key.encode())
        lch = (0.55 + 0.1 * (code % 4), 0.13, (code >> 2) % 3600 / 10)
    r, g, b = from_oklab(lch_to_oklab(np.array([lch])))[0].tolist()
    return r, g, b


def score_colors(scores: np.ndarray) -> np.ndarray:
    """(n, 3) uint8: dark violet at 0 over green to bright yellow at 1, lightness rising; NaN is grey."""
    scores = np.asarray(scores, dtype=np.float64)
    t = np.clip(np.nan_to_num(scores), 0, 1)
    lch = np.stack([0.34 + 0.56 * t, 0.13 + 0.03 * np.cos(2 * np.pi * t), 305 - 200 * t], axis=-1)
    return np.where(
        np.isfinite(scores)[:, None], from_oklab(lch_to_oklab(lch)), np.array(NOTHING, dtype=np.uint8)
    )


def height_colors(height: np.ndarray) -> np.ndarray:
    """(n, 3) uint8: for clouds without colour, cool and dark at 0 to warm and light at 1."""
    t = np.clip(np.nan_to_num(np.asarray(height, dtype=np.float64)), 0, 1)
    lch = np.stack([0.52 + 0.38 * t, np.full_like(t, 0.055), 255 - 175 * t], axis=-1)
    return from_oklab(lch_to_oklab(lch))


@lru_cache(maxsize=1)
def _instance_table() -> np.ndarray:
    """Farthest-point sampling; two colours are as far apart as the worst of four kinds of eyes sees them."""
    lightness, chroma, hue = np.meshgrid(
        np.linspace(0.52, 0.86, 8), np.linspace(0.10, 0.17, 3), np.arange(0, 360, 6), indexing="ij"
    )
    lab = lch_to_oklab(np.stack([lightness, chroma, hue], axis=-1).reshape(-1, 3))
    linear = _linear_from_oklab(lab)
    inside = ((linear >= 0) & (linear <= 1)).all(1)
    colors = from_oklab(lab[inside])
    seen = np.stack([oklab(colors), *(oklab(simulate(colors, kind)) for kind in _DICHROMAT)])
    # Asked to be twice as far apart for normal eyes, which most readers have.
    weight = np.array([0.5, 1.0, 1.0, 1.0])[:, None]

    def distance(i: int) -> np.ndarray:
        return (np.linalg.norm(seen - seen[:, i : i + 1], axis=2) * weight).min(0)

    first = int(np.abs(lab[inside] - lch_to_oklab(np.array([[0.62, 0.16, 255.0]]))).sum(1).argmin())
    chosen, nearest = [first], distance(first)
    while len(chosen) < _TABLE_SIZE:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, distance(chosen[-1]))
    return colors[chosen]


def simulate(colors: np.ndarray, kind: str) -> np.ndarray:
    """(n, 3) uint8 as seen with "protanopia", "deuteranopia" or "tritanopia"."""
    seen = _linear(np.asarray(colors) / 255.0) @ np.array(_DICHROMAT[kind]).T
    return _encode(np.clip(seen, 0, 1))


def oklab(colors: np.ndarray) -> np.ndarray:
    """(…, 3) sRGB uint8 → lightness, a, b."""
    lms = np.cbrt(_linear(np.asarray(colors) / 255.0) @ _LMS_FROM_LINEAR.T)
    return lms @ _LAB_FROM_LMS.T


def from_oklab(lab: np.ndarray) -> np.ndarray:
    """(…, 3) lightness, a, b → sRGB uint8; colours outside the gamut lose chroma until they fit."""
    lab = np.array(lab, dtype=np.float64)
    inside, outside = np.zeros(lab.shape[:-1]), np.ones(lab.shape[:-1])
    for _ in range(12):
        middle = (inside + outside) / 2
        linear = _linear_from_oklab(lab * np.stack([np.ones_like(middle), middle, middle], axis=-1))
        fits = ((linear >= -1e-4) & (linear <= 1 + 1e-4)).all(-1)
        inside, outside = np.where(fits, middle, inside), np.where(fits, outside, middle)
    keep = np.stack([np.ones_like(inside), inside, inside], axis=-1)
    return _encode(np.clip(_linear_from_oklab(lab * keep), 0, 1))


def lch_to_oklab(lch: np.ndarray) -> np.ndarray:
    """(…, 3) lightness, chroma, hue in degrees → lightness, a, b."""
    hue = np.deg2rad(lch[..., 2])
    return np.stack([lch[..., 0], lch[..., 1] * np.cos(hue), lch[..., 1] * np.sin(hue)], axis=-1)


_LMS_FROM_LINEAR = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB_FROM_LMS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_LINEAR_FROM_LMS, _LMS_FROM_LAB = np.linalg.inv(_LMS_FROM_LINEAR), np.linalg.inv(_LAB_FROM_LMS)


def _linear_from_oklab(lab: np.ndarray) -> np.ndarray:
    return (lab @ _LMS_FROM_LAB.T) ** 3 @ _LINEAR_FROM_LMS.T


def _linear(srgb: np.ndarray) -> np.ndarray:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _encode(linear: np.ndarray) -> np.ndarray:
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(srgb * 255).astype(np.uint8)

"""What lies behind an object, or is glued on what hides it: plain colours, gradients, patterns, a floor before a wall."""

import numpy as np
from jaxtyping import Float, Float64

from gestalt3d.synth import colours
from gestalt3d.synth.colours import Material

_AT_HOME = np.array([[1.0, 0.0, 0.0, 0.0, 0.0]])
_FACE = np.zeros(1, np.int64)


def backdrop(rng: np.random.Generator, size: int) -> Float[np.ndarray, "s s 3"]:
    """Linear colours of `size` x `size` pixels."""
    u = rng.random()
    if u < 0.2:
        return _plain(rng, size)
    if u < 0.35:
        return _gradient(rng, size)
    if u < 0.65:
        return texture(rng, size)
    return _floor_and_wall(rng, size)


def texture(
    rng: np.random.Generator, size: int, material: Material | None = None
) -> Float[np.ndarray, "s s 3"]:
    """A flat piece of some material, turned and scaled at random, unevenly lit."""
    span, turn = float(np.exp(rng.uniform(np.log(0.3), np.log(3.0)))), float(rng.uniform(0, 2 * np.pi))
    v, u = np.mgrid[0:size, 0:size] / size - 0.5
    points = np.stack(
        [np.cos(turn) * u - np.sin(turn) * v, np.sin(turn) * u + np.cos(turn) * v, np.zeros_like(u)], axis=-1
    )
    return _painted(
        points * span + rng.uniform(-20, 20, 3) * [1, 1, 0], span, material or _any_cover(rng), rng
    )


def _any_cover(rng: np.random.Generator) -> Material:
    makers = (
        colours.anything,
        colours.flooring,
        colours.paint,
        colours.tiling,
        colours.masonry,
        colours.leaf,
        colours.poster,
    )
    return makers[int(rng.choice(len(makers), p=(0.4, 0.2, 0.1, 0.08, 0.06, 0.06, 0.1)))](rng)


def _painted(
    points: Float64[np.ndarray, "s s 3"], span: float, material: Material, rng: np.random.Generator
) -> Float[np.ndarray, "s s 3"]:
    """Points on the plane z = 0 in metres, lit by a lamp above somewhere among them."""
    flat = points.reshape(-1, 3)
    normals = np.zeros_like(flat)
    normals[:, 2] = 1.0
    lamp = np.append(flat.mean(0)[:2] + rng.normal(0, span, 2), span * rng.uniform(0.5, 3))
    lights = np.array([[*lamp, rng.uniform(0.3, 1.0), span * rng.uniform(0.8, 4)]])
    color = colours.shade(
        flat, normals, np.zeros(len(flat), np.int32), _FACE, _FACE, np.array([material.row], float),
        _AT_HOME, lights, float(rng.uniform(0.2, 0.6)), int(rng.integers(2**20)),
    )  # fmt: skip
    return color.reshape(points.shape)


def _plain(rng: np.random.Generator, size: int) -> Float[np.ndarray, "s s 3"]:
    color = (rng.uniform(0.75, 1.0),) * 3 if rng.random() < 0.4 else colours.any_color(rng)
    return np.broadcast_to(np.array(color, np.float32), (size, size, 3))


def _gradient(rng: np.random.Generator, size: int) -> Float[np.ndarray, "s s 3"]:
    a, b = (np.array(colours.any_color(rng), np.float32) for _ in range(2))
    turn = float(rng.uniform(0, 2 * np.pi))
    v, u = np.mgrid[0:size, 0:size] / size - 0.5
    share = np.clip(np.cos(turn) * u + np.sin(turn) * v + 0.5, 0, 1)[..., None].astype(np.float32)
    return a + (b - a) * share


def _floor_and_wall(rng: np.random.Generator, size: int) -> Float[np.ndarray, "s s 3"]:
    """The floor in perspective, as one looks down at it by some 30 degrees, up to where a wall begins."""
    edge = float(rng.uniform(0.15, 0.6))
    horizon = edge - float(rng.uniform(0.15, 0.6))
    v, u = np.mgrid[0:size, 0:size] / size
    depth = 0.6 / np.maximum(v - horizon, 0.02)
    span = float(np.exp(rng.uniform(np.log(0.5), np.log(3.0))))
    points = np.stack([(u - 0.5) * depth, depth, np.zeros_like(u)], axis=-1) * span
    ground = colours.flooring(rng) if rng.random() < 0.6 else _any_cover(rng)
    below = _painted(points + rng.uniform(-20, 20, 3) * [1, 1, 0], 2 * span, ground, rng)
    wall = np.stack([u, v, np.zeros_like(u)], axis=-1) * span
    above = _painted(wall, span, colours.paint(rng) if rng.random() < 0.5 else _any_cover(rng), rng)
    return np.where((v > edge)[..., None], below, above)

"""An object as a camera sees it under some light, on twice as many pixels in each direction as the picture will have."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64

from gestalt3d.structures.camera import Camera
from gestalt3d.synth import colours
from gestalt3d.synth.cameras import render, surface_at
from gestalt3d.synth.objects.models import OBJECTS_VERSION, ObjectModel, make_object
from gestalt3d.synth.objects.viewpoints import Viewpoint, camera_in_object

_AT_HOME = np.array([[1.0, 0.0, 0.0, 0.0, 0.0]])
"""The frame in which the patterns of a lone object lie: its own."""


class Light(NamedTuple):
    """Lamps around an object, in units of its frame."""

    sources: Float64[np.ndarray, "l 5"]
    """x, y, z, power, reach, as `colours.shade` takes them."""
    ambient: float
    tint: Float64[np.ndarray, "3"]
    """Colour of all light."""


class Sprite(NamedTuple):
    """An object and nothing else."""

    color: Float[np.ndarray, "h w 3"]
    """Linear; 0 where it is not."""
    hit: Bool[np.ndarray, "h w"]


@lru_cache(maxsize=2048)
def object_of(seed: int, category: str) -> ObjectModel:
    """The object of a seed; the last ones are kept, some 60 kB each."""
    return make_object(category, np.random.default_rng([seed, OBJECTS_VERSION, 0]))


def any_light(rng: np.random.Generator) -> Light:
    """One to three lamps, mostly from above, near or far, strong or weak, warm or cold."""
    count = int(rng.integers(1, 4))
    toward = rng.normal(size=(count, 3))
    toward[:, 2] = np.abs(toward[:, 2]) * rng.choice((1.0, 1.0, 1.0, 1.0, -0.5), count) + 0.2
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    far = rng.uniform(1.5, 6.0, (count, 1))
    power = rng.uniform(0.25, 0.9, count)
    sources = np.concatenate([toward * far, power[:, None], rng.uniform(3, 9, (count, 1))], axis=1)
    return Light(sources, float(rng.uniform(0.15, 0.55)), np.exp(rng.normal(0, 0.1, 3)))


def draw(model: ObjectModel, camera: Camera, light: Light, salt: int) -> Sprite:
    """An object in its own frame; `salt` seeds its patterns."""
    seen = render(model.vertices, model.faces, camera)
    surface = surface_at(seen, model.normals, camera)
    hit = seen.face >= 0
    # Of what is open both sides are seen, each lit from its own.
    normals = surface.normals[hit] * np.where(surface.cosine[hit] < 0, -1.0, 1.0)[:, None]
    sources = light.sources.copy()
    sources[:, [0, 1, 2, 4]] *= model.metres
    face = seen.face[hit]
    color = colours.shade(
        surface.points[hit] * model.metres, normals, face, model.face_material, model.face_frame,
        model.materials, _AT_HOME, sources, light.ambient, salt,
    )  # fmt: skip
    out = np.zeros((*hit.shape, 3), np.float32)
    out[hit] = color * light.tint
    return Sprite(out, hit)


def seen_from(model: ObjectModel, viewpoint: Viewpoint, size: int, light: Light, salt: int) -> Sprite:
    """For a picture of `size` x `size`; the sprite has twice as many pixels in each direction."""
    return draw(model, camera_in_object(viewpoint, 2 * size), light, salt)


def coverage(hit: Bool[np.ndarray, "h2 w2"]) -> Float[np.ndarray, "h w"]:
    """Share of each pixel of the picture, 0 to 1 in quarters."""
    return reduced(hit.astype(np.float32))


def reduced(fine: Float[np.ndarray, "h2 w2 *c"]) -> Float[np.ndarray, "h w *c"]:
    """The mean of every four pixels."""
    return (fine[::2, ::2] + fine[::2, 1::2] + fine[1::2, ::2] + fine[1::2, 1::2]) / 4


def enlarged(coarse: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h2 w2 3"]:
    """Every pixel four times."""
    return coarse.repeat(2, axis=0).repeat(2, axis=1)

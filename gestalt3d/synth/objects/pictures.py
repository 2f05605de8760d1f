"""`make_picture`: one object, seen from one of 24 viewpoints, partly hidden: what a shape is to be learnt from.

The picture's mask of the whole object has the pixels of which it would fill half or more, were it alone; the visible one lacks
those that an occluder takes. Object, viewpoint, light, backdrop and occluders depend on seed and viewpoint alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32

from gestalt3d.configs import Within, check_ranges
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.samples import LabelledView
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import SHAPENET13
from gestalt3d.synth import colours
from gestalt3d.synth.objects.backdrops import backdrop
from gestalt3d.synth.objects.drawing import (
    Sprite,
    any_light,
    coverage,
    enlarged,
    object_of,
    reduced,
    seen_from,
)  # fmt: skip
from gestalt3d.synth.objects.models import CATEGORIES, OBJECTS_VERSION
from gestalt3d.synth.objects.occluders import cover
from gestalt3d.synth.objects.viewpoints import VIEWPOINTS, Viewpoint, camera_in_view
from gestalt3d.synth.views import edges_of

PICTURES_VERSION = 1
"""Grows when the picture of an object changes."""
_NEIGHBOURS = 208
"""Occluders are objects with seeds of the same so many, sixteen of each category."""
_Hidden = Annotated[float, Within(least=0, most=0.9)]


@dataclass(frozen=True)
class PictureConfig:
    """How pictures of single objects are taken."""

    size: Annotated[int, Within(least=16, most=1024)] = 64
    """Pixels in both directions."""
    occlusion: Annotated[tuple[_Hidden, _Hidden], Within(rising=True)] = (0.1, 0.5)
    """Share of the object's pixels that is hidden, drawn uniformly from this range; `0 0`: nothing is."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class ObjectView(LabelledView):
    """A picture with its one object, whose `truth.shapes` is the mesh in the world of the view: the camera's, level.

    What follows is for evaluation, and to find pictures of one object: no method is given it with the input.
    """

    object_name: str
    """Alike for all pictures of one object."""
    viewpoint: Viewpoint
    another: Callable[[np.random.Generator], "ObjectView"] | None = None
    """Makes another picture of the object, for training across views; None where there is none."""

    @property
    def hidden_share(self) -> float:
        """Of the pixels of the whole object."""
        assert self.truth.whole is not None
        return 1 - int(self.truth.sizes[0]) / int(self.truth.whole.sizes[0])


def category_of(seed: int) -> str:
    """They take turns."""
    return CATEGORIES[seed % len(CATEGORIES)]


def make_picture(
    seed: int, viewpoint: int, config: PictureConfig = PictureConfig(), *, category: str | None = None
) -> ObjectView:
    """The object of a seed from viewpoint 0 to 23, the same for the same arguments and versions.

    Without a `category` that of the seed's turn. `ValueError` for a viewpoint or category that there is none of.
    """
    if not 0 <= viewpoint < len(VIEWPOINTS):
        raise ValueError(f"viewpoints are 0 to {len(VIEWPOINTS) - 1}, got {viewpoint}")
    category = category_of(seed) if category is None else category
    model, size, seen_at = object_of(seed, category), config.size, VIEWPOINTS[viewpoint]
    number = CATEGORIES.index(category)
    rng = np.random.default_rng([seed, OBJECTS_VERSION, PICTURES_VERSION, number, viewpoint])
    sprite = seen_from(model, seen_at, size, any_light(rng), salt=seed % 2**20)
    whole = coverage(sprite.hit) >= 0.5
    covers = cover(whole, config.occlusion, rng, lambda own: _other(seed, size, own))
    visible = whole.copy()
    for one in covers:
        visible &= ~one.hidden
    image = _exposed(_layered(backdrop(rng, size), [sprite, *(one.sprite for one in covers)]), rng)
    name = f"{category}_{seed:07d}"
    view = View(torch.from_numpy(image).permute(2, 0, 1).contiguous(), camera=camera_in_view(size))
    mesh = model.mesh().moved(seen_at.view_from_object)
    truth = Instances(
        masks=_set_of(visible),
        classes=torch.tensor([number]),
        scores=torch.ones(1),
        vocabulary=SHAPENET13,
        whole=_set_of(whole),
        image_boxes=torch.tensor([edges_of(visible)], dtype=torch.float32),
        shapes=(mesh,),
        element_classes=torch.from_numpy(np.where(visible.ravel(), number, -1)),
    )
    return ObjectView(f"{name}_{viewpoint:02d}", view, truth, name, seen_at)


def _other(seed: int, size: int, rng: np.random.Generator) -> Sprite:
    """The picture of an object of another seed, from anywhere above, nearer or farther."""
    first = seed - seed % _NEIGHBOURS
    other = first + (seed - first + int(rng.integers(1, _NEIGHBOURS))) % _NEIGHBOURS
    where = Viewpoint(
        -1, float(rng.uniform(-np.pi, np.pi)), float(rng.uniform(0, 0.9)), float(rng.uniform(1.5, 3.5))
    )
    return seen_from(object_of(other, category_of(other)), where, size, any_light(rng), other % 2**20)


def _layered(behind: Float[np.ndarray, "s s 3"], sprites: list[Sprite]) -> Float[np.ndarray, "s s 3"]:
    """Pictures over a backdrop, the last in front, each pixel the mean of four."""
    out = enlarged(behind)
    for sprite in sprites:
        out[sprite.hit] = sprite.color[sprite.hit]
    return reduced(out)


def _exposed(linear: Float[np.ndarray, "s s 3"], rng: np.random.Generator) -> Float[np.ndarray, "s s 3"]:
    where = _places(linear.shape[0])
    flat = colours.expose(linear.reshape(-1, 3).astype(np.float32), where, rng, unevenness=0.07)
    return flat.reshape(linear.shape)


@lru_cache(maxsize=8)
def _places(size: int) -> Float32[np.ndarray, "p 3"]:
    """Pixels as points of a square of side 2, for the unevenness of an exposure."""
    v, u = np.mgrid[0:size, 0:size] * (2 / size)
    return np.stack([u, v, np.zeros_like(u)], axis=-1).reshape(-1, 3).astype(np.float32)


def _set_of(mask: Bool[np.ndarray, "s s"]) -> Sets:
    pixels = np.flatnonzero(mask)
    return Sets.from_sizes(torch.tensor([len(pixels)]), torch.from_numpy(pixels), mask.size)

"""What a refiner is: it completes the visible masks of a photo's objects, whoever has found them.

`refine(view, seen)` gets the objects as `Instances`: `masks` are what is visible of each, `classes` and `scores` what their
finder says of them (class -1: it does not say), `image_boxes` the boxes of the whole objects, where the finder knows them. The
answer is the same objects with `whole`, their amodal masks, and where the refiner thinks in three dimensions `shapes`.

A shape of a photo without camera is a mesh in pixels: x to the right and z up from the photo's lower left corner, y into the
photo from where the object stands, in pixels of its depth. How far away and how large it is no photo says.
"""

from typing import Protocol, TypeGuard, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor

from gestalt3d.methods.method import AnyMethod
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pixels import pixel_boxes
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary


@runtime_checkable
class Refiner(Protocol):
    """A method that completes masks. Its own `segment` finds them first, or says that it finds none."""

    def refine(self, view: View, seen: Instances, /) -> Instances:
        """The objects in their order, with `whole`. Masks, classes of a finder that knows them, and scores stay."""
        ...


def refines(method: AnyMethod) -> TypeGuard[Refiner]:
    """Whether it completes masks that it is given."""
    return isinstance(method, Refiner)


def finds(method: object) -> bool:
    """Whether it finds objects itself: all do but refiners, unless they say `finds_masks`, as those with a detector."""
    return not isinstance(method, Refiner) or bool(getattr(method, "finds_masks", False))


def wants_whole_boxes(method: object) -> bool:
    """Whether a refiner wants to know the boxes of whole objects, and says so as `wants_whole_boxes`."""
    return bool(getattr(method, "wants_whole_boxes", False))


def by_name(seen: Instances, vocabulary: Vocabulary) -> Int[Tensor, "i"]:
    """The classes of instances in another vocabulary, by their names; -1 where it has none of the name."""
    names = vocabulary.names
    ids = [names.index(name) if name in names else -1 for name in seen.vocabulary.names]
    return torch.tensor([*ids, -1], dtype=torch.int64)[seen.classes.cpu()]


def visible_part(truth: Instances, *, width: int, whole_boxes: bool = False) -> Instances:
    """What a refiner is given in the place of a finder's answer: the true visible masks, and no more of the truth.

    With `whole_boxes` the boxes of the whole objects, too, in images of that width; the classes never.
    """
    boxes = None
    if whole_boxes and truth.whole is not None:
        boxes = pixel_boxes(truth.whole, width=width)
    unknown = torch.full_like(truth.classes, -1)
    return Instances(
        masks=truth.masks,
        classes=unknown,
        scores=torch.ones(len(truth)),
        vocabulary=truth.vocabulary,
        image_boxes=boxes,
    )

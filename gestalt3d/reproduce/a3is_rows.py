"""The trained rows of A3IS-CNN's tables: the small recipe with one thing changed at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gestalt3d.data.amodal_guesses import down_to_the_floor, filled_boxes
from gestalt3d.engine.model import Model
from gestalt3d.engine.recipe import Recipe
from gestalt3d.errors import UserError
from gestalt3d.io.given import InputLike
from gestalt3d.methods.a3is import A3IS, A3ISConfig
from gestalt3d.methods.dss import DSSConfig
from gestalt3d.methods.frames.recognition import Place
from gestalt3d.nn.image_backbone import Name
from gestalt3d.recipes.a3is import a3is_rooms
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.view import View


def _model(recipe: Recipe) -> A3ISConfig:
    assert isinstance(recipe.model, A3ISConfig)
    return recipe.model


_BASE = _model(a3is_rooms())
_DSS = _BASE.dss
_BRANCH = replace(_BASE, learn="branch")
_PHOTO = (120, 160)
"""Height and width of photos in rows whose networks for them learn from nothing, all alike."""


def _with_photo(name: Name) -> A3ISConfig:
    """Another network for photos; it learns, since there are no weights of it here to start from."""
    space = replace(_DSS.space, image=_PHOTO)
    return replace(
        _BASE, dss=replace(_DSS, space=space, image=name, image_learns=True, image_start="nothing")
    )


_OF_FIGURE_6: dict[str, Name] = {"alexnet": "alexnet", "resnet16": "resnet18-c4", "vgg": "vgg16"}
_PLACES: tuple[Place, ...] = ("pool", "warp", "align")

ROWS: dict[str, A3ISConfig | DSSConfig] = {
    "dss": _DSS,
    "a3is-no-color": replace(_BASE, dss=replace(_DSS, space=replace(_DSS.space, colored=False), image=None)),
    "a3is": _BASE,
    "a3is-anchors": replace(_BASE, dss=replace(_DSS, propose="anchors")),
    "a3is-alexnet": _with_photo("alexnet"),
    "a3is-vgg16": _with_photo("vgg16"),
    "a3is-resnet10-c4": _with_photo("resnet10-c4"),
    "a3is-resnet18-c4": _with_photo("resnet18-c4"),
    "a3is-resnet18-fpn": _with_photo("resnet18-fpn"),
    **{
        f"quantized-{name}-{place}": replace(_with_photo(net), place=place, quantizer=3)
        for name, net in _OF_FIGURE_6.items()
        for place in _PLACES
    },
    "branch-pool-softmax": replace(_BRANCH, place="pool", activation="softmax"),
    "branch-pool-sigmoid": replace(_BRANCH, place="pool"),
    "branch-align-softmax": replace(_BRANCH, activation="softmax"),
    "branch": _BRANCH,
}
"""Settings by key. Of a branch, which learns behind trained boxes, those of the branch alone are the row's."""


def row(key: str, *, steps: int | None, seed: int) -> Recipe:
    """The training of a row of `ROWS`, in 32 bits, with the recipe's own steps for None; `UserError` for any other."""
    if key not in ROWS:
        raise UserError(f"no row {key!r}; there are {', '.join(ROWS)}")
    base = a3is_rooms()
    optim = replace(base.optim, steps=steps or base.optim.steps, precision="no")
    return replace(base, name=key, model=ROWS[key], optim=optim, seed=seed)


def boxes_alone(model: Model) -> Model:
    """A trained A3IS-CNN that answers with its boxes."""
    assert isinstance(model.method, A3IS)
    model.method.config = replace(model.method.config, answer="boxes")
    return model


@dataclass(frozen=True, repr=False)
class Guessing(Model):
    """A model whose whole objects are guesses from its own boxes and visible pixels."""

    guess: Callable[[View, Instances], Instances]

    def segment(
        self,
        given: InputLike,
        *,
        classes: Sequence[str] | None = None,
        min_score: float = 0.0,
        overlap: bool | None = None,
    ) -> Instances:
        assert isinstance(given, View), "whole objects are guessed in views"
        found = super().segment(given, classes=classes, min_score=min_score, overlap=overlap)
        return self.guess(given, found)


def filling_boxes(model: Model) -> Guessing:
    """Every object is all of its box."""
    return Guessing(model.name, model.method, filled_boxes)


def reaching_the_floor(model: Model) -> Guessing:
    """Every object is what lies below its visible points, down to the floor."""
    return Guessing(model.name, model.method, down_to_the_floor)

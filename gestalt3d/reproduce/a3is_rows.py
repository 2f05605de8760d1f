"""The trained rows of A3IS-CNN's tables: the small recipe with one thing changed at a time."""

from dataclasses import replace
from typing import TYPE_CHECKING

from gestalt3d.engine.recipe import Recipe
from gestalt3d.errors import UserError
from gestalt3d.methods.a3is import A3IS, A3ISConfig
from gestalt3d.methods.dss import DSSConfig
from gestalt3d.nn.image_backbone import Name
from gestalt3d.recipes.a3is import a3is_rooms_anchors

if TYPE_CHECKING:
    from gestalt3d.engine.model import Model


def _base() -> A3ISConfig:
    found = a3is_rooms_anchors().model
    assert isinstance(found, A3ISConfig)
    return found


_BASE, _DSS = _base(), _base().dss
_PHOTO = (120, 160)
"""Height and width of photos in rows whose networks for them learn from nothing, all alike."""


def _with_photo(name: Name) -> A3ISConfig:
    """Another network for photos; it learns, since there are no weights of it here to start from."""
    space = replace(_DSS.space, image=_PHOTO)
    return replace(
        _BASE, dss=replace(_DSS, space=space, image=name, image_learns=True, image_start="nothing")
    )


ROWS: dict[str, A3ISConfig | DSSConfig] = {
    "dss": _DSS,
    "a3is-no-color": replace(_BASE, dss=replace(_DSS, space=replace(_DSS.space, colored=False), image=None)),
    "a3is": _BASE,
    "a3is-alexnet": _with_photo("alexnet"),
    "a3is-vgg16": _with_photo("vgg16"),
    "a3is-resnet10-c4": _with_photo("resnet10-c4"),
    "a3is-resnet18-c4": _with_photo("resnet18-c4"),
    "a3is-resnet18-fpn": _with_photo("resnet18-fpn"),
    "a3is-pool-softmax": replace(_BASE, place="pool", activation="softmax"),
    "a3is-pool-sigmoid": replace(_BASE, place="pool"),
    "a3is-align-softmax": replace(_BASE, activation="softmax"),
}
"""Settings by key."""


def row(key: str, *, steps: int | None, seed: int) -> Recipe:
    """The training of a row of `ROWS`, in 32 bits, with the recipe's own steps for None; `UserError` for any other."""
    if key not in ROWS:
        raise UserError(f"no row {key!r}; there are {', '.join(ROWS)}")
    base = a3is_rooms_anchors()
    optim = replace(base.optim, steps=steps or base.optim.steps, precision="no")
    return replace(base, name=key, model=ROWS[key], optim=optim, seed=seed)


def boxes_alone(model: "Model") -> None:
    """Let a trained A3IS-CNN answer with its boxes."""
    assert isinstance(model.method, A3IS)
    model.method.config = replace(model.method.config, answer="boxes")

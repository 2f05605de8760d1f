"""The rows of GSPN's tables: trainings on synthetic rooms that differ in how an object is proposed, or in what the heads see."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from gestalt3d.engine.recipe import Recipe
from gestalt3d.errors import UserError
from gestalt3d.methods.gspn import GSPNConfig
from gestalt3d.methods.pointnet2 import PointNet2Config
from gestalt3d.methods.rpointnet import RPointNetConfig
from gestalt3d.recipes.gspn import gspn_rooms, pointnet2_rooms, rpointnet_rooms, rpointnet_rooms_alone
from gestalt3d.recipes.parts import gspn_parts, rpointnet_parts, rpointnet_parts_alone
from gestalt3d.reproduce import asis_rows
from gestalt3d.reproduce.mtml import ASIS_STEPS


@dataclass(frozen=True)
class _Row:
    """What a row differs in from the recipe for rooms."""

    proposes: Literal["shapes", "boxes", "segments"] = "shapes"
    variational: bool = True
    largest_context_alone: bool = False
    center: bool = True


ROWS: dict[str, _Row] = {
    "gspn": _Row(),
    "gspn-boxes": _Row(proposes="boxes"),
    "gspn-segments": _Row(proposes="segments"),
    "gspn-ed": _Row(variational=False),
    "gspn-one-context": _Row(largest_context_alone=True),
    "gspn-no-center": _Row(center=False),
}


def _heads() -> dict[str, RPointNetConfig]:
    base, semantics = rpointnet_rooms().model, pointnet2_rooms().model
    assert isinstance(base, RPointNetConfig) and isinstance(semantics, PointNet2Config)
    of_pointnet2 = replace(base, semantics=semantics, learn="semantics")
    return {
        "rpointnet": base,
        "rpointnet-no-context": replace(base, context_features=False),
        "rpointnet-no-semantics": replace(base, semantic_features=False),
        "rpointnet-pn2": of_pointnet2,
        "rpointnet-no-pretraining": of_pointnet2,
    }


HEADS = _heads()
"""The settings of the rows of Table 6, by key."""
PRETRAINING, _PRETRAINING_STEPS = "semantics-of-pn2", 5
"""Key of the training that `rpointnet-pn2` starts from, and its steps for each step of the heads."""
ALONE = {"rpointnet-alone": "gspn", "rpointnet-boxes": "gspn-boxes", "rpointnet-segments": "gspn-segments"}
"""By key of a row of Table 4: that of the proposals that its heads stand behind."""

PARTS: dict[str, Callable[[], Recipe]] = {
    "gspn-parts": gspn_parts,
    "rpointnet-parts-alone": rpointnet_parts_alone,
    "rpointnet-parts": rpointnet_parts,
}
"""Recipes that rows of Table 2 are trained by, by key."""


def heads_row(key: str, *, steps: int | None, seed: int) -> Recipe:
    """The training of a row of `HEADS`, with the recipe's own steps for None; `UserError` for any other."""
    if key == PRETRAINING:
        return _of(pointnet2_rooms(), key, steps and steps * _PRETRAINING_STEPS, seed)
    if key not in HEADS:
        raise UserError(f"no row {key!r}; there are {', '.join(HEADS)}")
    return _of(replace(rpointnet_rooms(), model=HEADS[key]), key, steps, seed)


def alone_row(key: str, *, steps: int | None, seed: int) -> Recipe:
    """The training of a row of `ALONE` or of the proposals behind it; `UserError` for any other."""
    if key not in ALONE:
        return row(key, steps=steps, seed=seed)
    base, proposing = rpointnet_rooms_alone(), row(ALONE[key], steps=None, seed=seed).model
    assert isinstance(base.model, RPointNetConfig) and isinstance(proposing, GSPNConfig)
    return _of(replace(base, model=replace(base.model, gspn=proposing)), key, steps, seed)


def parts_row(key: str, *, steps: int | None, seed: int) -> Recipe:
    """The training of a row of Table 2, on objects in parts; `UserError` for any other."""
    if key == "sgpn-parts":
        made = asis_rows.parts_row("sgpn-pn2-parts", steps=steps or ASIS_STEPS, seed=seed)
        return replace(made, name=key, data="parts:train", validate="parts:val", classes="partnet-3")
    if key not in PARTS:
        raise UserError(f"no row {key!r}; there are sgpn-parts, {', '.join(PARTS)}")
    made = PARTS[key]
    return _of(made(), key, steps, seed)


def row(key: str, *, steps: int | None, seed: int) -> Recipe:
    """The training of a row of `ROWS`, with the recipe's own steps for None; `UserError` for any other."""
    if key not in ROWS:
        raise UserError(f"no row {key!r}; there are {', '.join(ROWS)}")
    made, base = ROWS[key], gspn_rooms()
    assert isinstance(base.model, GSPNConfig)
    model = replace(
        base.model,
        proposes=made.proposes,
        variational=made.variational,
        contexts=base.model.contexts[-1:] if made.largest_context_alone else base.model.contexts,
        center=base.model.center if made.center else "none",
    )
    return _of(replace(base, model=model), key, steps, seed)


def _of(base: Recipe, key: str, steps: int | None, seed: int) -> Recipe:
    """In 32 bits on every machine: rows must not differ in what a CPU can multiply."""
    optim = replace(base.optim, steps=steps or base.optim.steps, precision="no")
    return replace(base, name=key, optim=optim, seed=seed)

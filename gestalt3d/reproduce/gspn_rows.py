"""The rows of GSPN's tables: trainings on synthetic rooms that differ in how an object is proposed, or in what the heads see."""

from dataclasses import dataclass, replace
from typing import Literal

from gestalt3d.engine.recipe import Recipe
from gestalt3d.errors import UserError
from gestalt3d.methods.gspn import GSPNConfig
from gestalt3d.methods.rpointnet import RPointNetConfig
from gestalt3d.recipes.gspn import gspn_parts, gspn_rooms, rpointnet_parts, rpointnet_rooms
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


HEADS: dict[str, dict[str, bool]] = {
    "rpointnet": {},
    "rpointnet-no-context": {"context_features": False},
    "rpointnet-no-semantics": {"semantic_features": False},
}
"""By key: what the settings of a row of Table 6 change in those of `rpointnet-rooms`."""


def heads_row(key: str, *, steps: int | None, seed: int) -> Recipe:
    """The training of a row of `HEADS`, with the recipe's own steps for None; `UserError` for any other."""
    if key not in HEADS:
        raise UserError(f"no row {key!r}; there are {', '.join(HEADS)}")
    base = rpointnet_rooms()
    assert isinstance(base.model, RPointNetConfig)
    model, optim = replace(base.model, **HEADS[key]), replace(base.optim, steps=steps or base.optim.steps)
    return replace(base, name=key, model=model, optim=optim, seed=seed)


def parts_row(key: str, *, steps: int | None, seed: int) -> Recipe:
    """The training of a row of Table 2, on objects in parts; `UserError` for any other."""
    if key == "sgpn-parts":
        made = asis_rows.parts_row("sgpn-pn2-parts", steps=steps or ASIS_STEPS, seed=seed)
        return replace(made, name=key, data="parts:train", validate="parts:val", classes="partnet-3")
    made = {"gspn-parts": gspn_parts, "rpointnet-parts": rpointnet_parts}.get(key)
    if made is None:
        raise UserError(f"no row {key!r}; there are sgpn-parts, gspn-parts, rpointnet-parts")
    base = made()
    return replace(base, optim=replace(base.optim, steps=steps or base.optim.steps), seed=seed)


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
    # In 32 bits on every machine: rows must not differ in what a CPU can multiply.
    optim = replace(base.optim, steps=steps or base.optim.steps, precision="no")
    return replace(base, name=key, model=model, optim=optim, seed=seed)

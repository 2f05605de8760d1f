"""Named experiments, one file a paper: each function returns a frozen `Recipe`, whose fields are the command line's options."""

from collections.abc import Callable

from gestalt3d import plugins
from gestalt3d.data import needs_root
from gestalt3d.engine.recipe import Recipe
from gestalt3d.errors import UserError
from gestalt3d.recipes import a3d, a3is, asis, consensus, gspn, mtml, parts, sgpn
from gestalt3d.recipes.commands import ROOT, training

RECIPES: dict[str, Callable[[], Recipe]] = {
    **asis.RECIPES,
    **sgpn.RECIPES,
    **mtml.RECIPES,
    **gspn.RECIPES,
    **parts.RECIPES,
    **a3is.RECIPES,
    **a3d.RECIPES,
    **consensus.RECIPES,
}
"""Ours, by name."""
_CHAINS = {
    **asis.CHAINS,
    **sgpn.CHAINS,
    **mtml.CHAINS,
    **gspn.CHAINS,
    **parts.CHAINS,
    **a3is.CHAINS,
    **a3d.CHAINS,
    **consensus.CHAINS,
}


def makers() -> dict[str, Callable[[], Recipe]]:
    """Every recipe by name, ours first, then those of methods from elsewhere."""
    known = dict(RECIPES)
    for _, module in plugins.working():
        known |= {name: make for name, make in getattr(module, "RECIPES", {}).items() if name not in known}
    return known


def chain(name: str) -> tuple[str, ...]:
    """The commands that make the weights of a recipe from nothing, one after the other; DIR is the folder of the data."""
    alone = training(name, ROOT) if needs_root(recipe(name).data) else training(name)
    return _CHAINS.get(name, (alone,))


def recipe(name: str) -> Recipe:
    """The recipe of that name; `UserError` listing the known ones."""
    if name in RECIPES:
        return RECIPES[name]()
    known = makers()
    if name not in known:
        raise UserError("; ".join([f"no recipe {name!r}; there are {', '.join(known)}", *plugins.broken()]))
    return known[name]()

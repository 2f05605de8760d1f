"""Model cards: what is shipped, what it was trained on, how well it does."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from gestalt3d import plugins
from gestalt3d.configs import Json
from gestalt3d.engine import auto, checkpoint
from gestalt3d.errors import UserError
from gestalt3d.methods import choice
from gestalt3d.methods.method import Network
from gestalt3d.methods.untrained import UNTRAINED


@dataclass(frozen=True)
class Card:
    """One model in a few words; `details` is all that the card beside its weights says."""

    name: str
    about: str
    lines: tuple[str, ...] = ()
    details: dict[str, Json] = field(default_factory=dict[str, Json])


def cards() -> list[Card]:
    """The one that chooses by the scan, the shipped models, then those that need no training."""
    default = Card(auto.NAME, f"the default: {choice.ABOUT}")
    trained = [_card(name, path) for name, path in checkpoint.shipped().items()]
    untrained = [Card(name, f"{it.about}; not trained") for name, it in UNTRAINED.items()]
    return [default, *trained, *untrained, *(_of_a_package(*found) for found in plugins.working())]


def _of_a_package(name: str, module: ModuleType) -> Card:
    recipes = " or ".join(plugins.recipes(name))
    untrained = "has to be trained" if issubclass(module.METHOD, Network) else "not trained"
    how = f"train it: gestalt3d train {recipes}" if recipes else untrained
    about = next(iter((module.METHOD.__doc__ or "").strip().splitlines()), "")
    return Card(name, f"{about} From {module.__name__}; {how}".strip())


def _card(name: str, weights: Path) -> Card:
    details = read_card(weights)
    size = f"{weights.stat().st_size / 1e6:.1f} MB"
    about = f"{details.get('method', 'weights')}, {size}, trained on {details.get('data', 'unknown data')}"
    figures = details.get("figures", {})
    if not isinstance(figures, dict):
        return Card(name, about, (), details)
    flat = {k: v for k, v in figures.items() if not isinstance(v, dict)}
    lines = [f"{where}: {_listed(v)}" for where, v in figures.items() if isinstance(v, dict)]
    return Card(name, about, (*([_listed(flat)] if flat else []), *lines), details)


def _listed(figures: Mapping[str, Json]) -> str:
    return ", ".join(f"{name} {value}" for name, value in figures.items())


def read_card(weights: Path) -> dict[str, Json]:
    """The JSON beside a weight file; empty where there is none."""
    file = weights.with_suffix(".json")
    if not file.exists():
        return {}
    try:
        card: Json = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UserError(
            f"{file}: cannot be read as a model card ({problem}); install gestalt3d anew"
        ) from None
    if not isinstance(card, dict):
        raise UserError(f"{file}: is no model card; install gestalt3d anew")
    return card

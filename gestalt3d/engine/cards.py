"""Model cards: what is shipped, what it was trained on, how well it does."""

import json
from pathlib import Path
from typing import Any

from gestalt3d.engine import checkpoint
from gestalt3d.errors import UserError


def cards() -> list[dict[str, Any]]:
    """One row per shipped model, the untrained baselines last."""
    rows = [_row(name, path) for name, path in checkpoint.shipped().items()]
    untrained = checkpoint.UNTRAINED.items()
    return [*rows, *({"name": n, "method": m, "trained on": "nothing", "figures": does} for n, (m, _, does) in untrained)]


def _row(name: str, weights: Path) -> dict[str, Any]:
    card = read_card(weights)
    figures = ", ".join(f"{k} {v}" for k, v in card.get("figures", {}).items())
    return {
        **card,
        "name": name,
        "method": card.get("method", "?"),
        "trained on": card.get("data", "?"),
        "figures": figures,
        "size": f"{weights.stat().st_size / 1e6:.1f} MB",
    }


def read_card(weights: Path) -> dict[str, Any]:
    """The JSON beside a weight file; empty where there is none."""
    file = weights.with_suffix(".json")
    if not file.exists():
        return {}
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as problem:
        raise UserError(f"{file}: not a model card ({problem})") from None

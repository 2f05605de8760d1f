"""`gestalt3d models`."""

import dataclasses

from gestalt3d.cli.options import Json
from gestalt3d.cli.report import say_broken, write_json
from gestalt3d.terminal import say


def models(*, json: Json = None) -> None:
    """Print a line or more of each model card."""
    from gestalt3d.engine.cards import cards

    found = cards()
    for card in found:
        say(f"{card.name:<20} {card.about}")
        for line in card.lines:
            say(f"{'':<20} {line}")
    say_broken()
    if json is not None:
        write_json(json, {"models": [dataclasses.asdict(card) for card in found]})

"""Other settings for a configuration and its parts."""

from dataclasses import replace
from typing import Any, TypeVar

T = TypeVar("T")


def changed(config: T, **settings: Any) -> T:
    """The configuration with these settings; those of a part as a table: `blocks={"points": 128}`."""
    made = {
        name: changed(getattr(config, name), **value) if isinstance(value, dict) else value
        for name, value in settings.items()
    }
    return replace(config, **made)  # type: ignore[type-var]

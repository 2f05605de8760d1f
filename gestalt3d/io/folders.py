"""What lies in a folder."""

from collections.abc import Callable
from pathlib import Path

Listing = Callable[[Path], list[Path]]
"""`entries`, or one that remembers what it has listed."""


def entries(folder: Path) -> list[Path]:
    """Files and folders directly in it, by name; without what is hidden. `OSError` where it cannot be listed."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith("."))

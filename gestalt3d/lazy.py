"""Names that are imported when they are first used, so that starting stays cheap."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def imported(where: str) -> Any:
    """`imported("gestalt3d.io.ply:read_ply")` is that function, `imported("gestalt3d.io.ply")` the module."""
    module, _, name = where.partition(":")
    return getattr(import_module(module), name) if name else import_module(module)


def on_first_use(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package whose names live in the modules that `homes` gives; once imported they stay."""

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = imported(f"{homes[name]}:{name}")
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__

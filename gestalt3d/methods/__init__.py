"""One paper, one file. Names resolve lazily, so that naming a method does not import torch."""

from importlib import import_module
from typing import Any

METHODS: dict[str, str] = {
    "asis": "gestalt3d.methods.asis:ASIS",
    "sgpn": "gestalt3d.methods.sgpn:SGPN",
    "mtml": "gestalt3d.methods.mtml:MTML",
    "gspn": "gestalt3d.methods.gspn:GSPN",
    "unet": "gestalt3d.methods.unet:UNet",
    "staged": "gestalt3d.methods.staged:Staged",
    "components": "gestalt3d.methods.components:Components",
    "geometric": "gestalt3d.methods.geometric:Geometric",
}
"""Name of a method → "module:Class"."""


def method_class(name: str) -> Any:
    """The class behind a name of `METHODS`."""
    from gestalt3d.errors import UserError

    if name not in METHODS:
        raise UserError(f"no method {name!r}; there are {', '.join(METHODS)}")
    module, attribute = METHODS[name].split(":")
    return getattr(import_module(module), attribute)

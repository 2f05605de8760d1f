"""Looking at results: a web page and a picture."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Imported at once, because the function must replace the module of its own name; it is cheap until called.
from gestalt3d.viewer.serve import serve, view

if TYPE_CHECKING:
    from gestalt3d.viewer.page import page_html, save_page
    from gestalt3d.viewer.picture import save_picture
    from gestalt3d.viewer.viewpoint import Viewpoint

__all__ = ["Viewpoint", "page_html", "save_page", "save_picture", "serve", "view"]

_HOMES = {"save_page": "page", "page_html": "page", "save_picture": "picture", "Viewpoint": "viewpoint"}


def __getattr__(name: str) -> Any:
    """Import on first use: the palette alone needs neither torch nor numba."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

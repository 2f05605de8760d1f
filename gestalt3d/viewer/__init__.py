"""Looking at results: a web page and a picture."""

from typing import TYPE_CHECKING

from gestalt3d.lazy import on_first_use

# Imported at once, because the function must replace the module of its own name; it is cheap until called.
from gestalt3d.viewer.serve import serve, view

if TYPE_CHECKING:
    from gestalt3d.viewer.page import page_html, save_page
    from gestalt3d.viewer.picture import save_picture
    from gestalt3d.viewer.viewpoint import Viewpoint

__all__ = ["Viewpoint", "page_html", "save_page", "save_picture", "serve", "view"]

_HOMES = {
    "save_page": "gestalt3d.viewer.page",
    "page_html": "gestalt3d.viewer.page",
    "save_picture": "gestalt3d.viewer.picture",
    "Viewpoint": "gestalt3d.viewer.viewpoint",
}

__getattr__ = on_first_use(__name__, _HOMES)

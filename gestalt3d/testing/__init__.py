"""What every method must do, as checks for methods of ours and of packages: `python -m gestalt3d.testing NAME`.

A method's author writes a `Case`, a configuration small enough for seconds. Nothing here needs pytest, and every check in
`checks(case)` fits into its tests.
"""

from typing import TYPE_CHECKING

from gestalt3d.lazy import on_first_use

if TYPE_CHECKING:
    from gestalt3d.testing.case import Case, Overfit, cases_in, ready
    from gestalt3d.testing.contract import checks
    from gestalt3d.testing.frame import tiny_view
    from gestalt3d.testing.scene import tiny_scan

__all__ = ["Case", "Overfit", "cases_in", "checks", "ready", "tiny_scan", "tiny_view"]

_HOMES = {
    "Case": "gestalt3d.testing.case",
    "Overfit": "gestalt3d.testing.case",
    "cases_in": "gestalt3d.testing.case",
    "checks": "gestalt3d.testing.contract",
    "ready": "gestalt3d.testing.case",
    "tiny_scan": "gestalt3d.testing.scene",
    "tiny_view": "gestalt3d.testing.frame",
}

__getattr__ = on_first_use(__name__, _HOMES)

"""Results as JSON."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gestalt3d.io.atomic import atomic_path


def write_json(path: Path, data: Any) -> None:
    """Write `data` as JSON, NaN and infinities as null, arrays as lists; a missing folder is made.

    The file appears whole or not at all; `UserError` where it cannot be written.
    """
    text = json.dumps(_plain(data), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    with atomic_path(path) as temporary:
        # Names of files that are no UTF-8 are kept as JSON's own escapes.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value

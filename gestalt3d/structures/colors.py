"""Colours of any number type and range, as files and arrays hold them, to [0, 1]."""

from collections.abc import Sequence

import numpy as np

_SAMPLE = 200_000


def scaled_colors(
    colors: Sequence[np.ndarray], white: float | None = None
) -> tuple[np.ndarray | None, str | None]:
    """(n, 3) float32 in [0, 1], NaN black, and the sentence that says which range was assumed.

    None is needed where `white` is known and for bytes, which run to 255. Colours that are 0 everywhere are none: None.
    """
    columns = [c.view(np.uint8) if c.dtype == np.int8 else c for c in colors]
    sample = _color_sample(columns)
    if not len(sample):
        return None, "its colours are 0 everywhere, which is taken for none"
    low, high = _color_range(columns, sample) if white is None else (0, white)
    out = np.empty((len(columns[0]), 3), np.float32)
    with np.errstate(all="ignore"):
        for axis, column in enumerate(columns):
            for first in range(0, len(out), 1 << 20):
                part = column[first : first + (1 << 20)].astype(np.float32)
                out[first : first + len(part), axis] = (part - np.float32(low)) / np.float32(high - low)
    np.nan_to_num(out, copy=False)
    np.clip(out, 0, 1, out=out)
    is_plain = white is not None or all(c.dtype == np.uint8 for c in columns)
    return out, None if is_plain else f"colours from {low} to {high}"


def _color_sample(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Values that say something, float64: finite and not 0, at most about `_SAMPLE` of them."""
    step = max(1, 3 * len(columns[0]) // _SAMPLE)
    for every in dict.fromkeys((step, 1)):  # All of them where a sparse sample meets none.
        values = np.concatenate([c[::every] for c in columns]).astype(np.float64)
        if len(values := values[np.isfinite(values) & (values != 0)]):
            return values
    return values


def _color_range(columns: Sequence[np.ndarray], sample: np.ndarray) -> tuple[int, int]:
    """Stored values of black and of full brightness, by type and by the 99th percentile of what is not black.

    A few values beyond the range change nothing. Wider integers that stay within a byte are what writers
    make that never scaled.
    """
    if all(c.dtype == np.uint8 for c in columns):
        return 0, 255
    darkest, brightest = np.percentile(sample, [1, 99])
    if darkest < -0.1 and brightest <= 1.5 and columns[0].dtype.kind == "f":
        return -1, 1
    if brightest <= 1.5 and columns[0].dtype.kind == "f":
        return 0, 1
    return 0, 255 if brightest <= 256 else 65535

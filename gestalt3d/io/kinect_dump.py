"""Raw frames of a Kinect as NYU Depth v2's dump has them: `r-TIME-NUMBER.ppm` and `d-TIME-NUMBER.pgm`, taken by turns.

A depth is a code of 11 bits, 2047 where there is none, and the two bytes of each are exchanged. The toolbox of the data
(Silberman, Hoiem, Kohli, Fergus, "Indoor Segmentation and Support Inference from RGBD Images", ECCV 2012) makes metres of a
code by 351.3 / (1092.5 - code), and moves the depth onto the colour image, which nothing here does.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Num

_NAME = re.compile(r"([rd])-(\d+\.\d+)-\d+")
_NONE = 2047
_FARTHEST = 10.0
"""Metres; the toolbox, too, believes no code beyond."""
_MOST_APART = 0.1
"""Seconds between the two images of a frame."""


def pairs(files: Iterable[Path]) -> list[tuple[Path, Path]]:
    """Colour and depth of each frame, by time: of each depth the nearest colour image, of each colour image the nearest depth."""
    stamped: dict[str, list[tuple[float, Path]]] = {"r": [], "d": []}
    for file in files:
        if (named := _NAME.fullmatch(file.stem)) and file.suffix.lower() == {"r": ".ppm", "d": ".pgm"}[
            named[1]
        ]:
            stamped[named[1]].append((float(named[2]), file))
    colors, depths = sorted(stamped["r"]), sorted(stamped["d"])
    nearest = {color: _nearest(color[0], depths) for color in colors}
    return [
        (color[1], depth[1])
        for color, depth in nearest.items()
        if depth is not None
        and abs(color[0] - depth[0]) <= _MOST_APART
        and _nearest(depth[0], colors) == color
    ]


def _nearest(time: float, stamped: list[tuple[float, Path]]) -> tuple[float, Path] | None:
    """The earlier of two that are as near."""
    at = bisect_left(stamped, time, key=lambda pair: pair[0])
    return min(stamped[max(at - 1, 0) : at + 1], key=lambda pair: abs(pair[0] - time), default=None)


def are_codes(values: Num[np.ndarray, "n"]) -> bool:
    """Whether 16-bit numbers are such codes: of other depths the lower byte is not always below 8."""
    return (
        len(values) > 0
        and int(values.max()) > 255
        and float(np.mean(values.astype(np.int64) & 255 <= _NONE >> 8)) > 0.999
    )


def metres_of_codes(
    stored: Num[np.ndarray, "h w"],
) -> tuple[Float64[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Metres, and where they are known."""
    codes = stored.astype(np.uint16).byteswap().astype(np.float64)
    is_known = codes < 1092.5 - 351.3 / _FARTHEST
    return np.where(is_known, 351.3 / np.where(is_known, 1092.5 - codes, 1), 0), is_known

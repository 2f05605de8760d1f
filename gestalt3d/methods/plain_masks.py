"""What is done without learning: every mask is completed by itself, by a rule. What a network has to beat."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from gestalt3d.configs import check_ranges
from gestalt3d.methods.photos.crops import only_behind
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary


@dataclass(frozen=True)
class PlainMasksConfig:
    """How masks are completed."""

    complete: Literal["not", "hull", "box"] = "hull"
    """Leave masks as they are, as if nothing were hidden, or fill their convex hulls or their boxes."""
    behind: bool = False
    """Fill only what another of the masks covers, for photos all of whose objects are given."""

    def __post_init__(self) -> None:
        check_ranges(self)


class PlainMasks:
    name = "plain-masks"
    takes = View
    takes_semantics = False
    needs_depth = False
    config: PlainMasksConfig

    def __init__(self, config: PlainMasksConfig, vocabulary: Vocabulary) -> None:
        self.config, self.vocabulary = config, vocabulary

    @classmethod
    def from_config(cls, config: PlainMasksConfig, vocabulary: Vocabulary) -> "PlainMasks":
        return cls(config, vocabulary)

    def segment(self, given: View, /) -> Instances:
        """`ValueError`: it completes masks that others find."""
        raise ValueError("plain-masks completes visible masks and finds none itself; call refine(view, seen)")

    def refine(self, view: View, seen: Instances, /) -> Instances:
        """The objects with `whole`."""
        width, height = view.image.shape[2], view.image.shape[1]
        complete = {"not": lambda pixels, _: pixels, "hull": hull, "box": box}[self.config.complete]
        found = [complete(pixels, width) for pixels in seen.masks]
        whole = Sets.of(found, width * height)
        if self.config.behind:
            whole = only_behind(whole, seen.masks)
        return replace(seen, whole=whole, method=self.name)


def hull(pixels: Int[Tensor, "k"], width: int) -> Int[Tensor, "j"]:
    """The pixels whose middles lie in the convex hull of the pixels' corners, row by row; ascending."""
    if not len(pixels):
        return pixels
    rows = (pixels // width).numpy()
    first = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])
    left = (pixels % width).numpy()[first]
    right = (pixels % width).numpy()[np.r_[first[1:], len(rows)] - 1] + 1
    rows = rows[first]
    # Corners of each row's run, whose hull is that of all pixels.
    top = np.arange(rows[0], rows[-1] + 1)
    low = _envelope(np.r_[rows, rows + 1], np.r_[left, left], top + 0.5, lower=True)
    high = _envelope(np.r_[rows, rows + 1], np.r_[right, right], top + 0.5, lower=False)
    start, stop = np.ceil(low - 0.5 - 1e-9).astype(np.int64), np.floor(high - 0.5 + 1e-9).astype(np.int64)
    lengths = stop - start + 1
    begin = np.repeat(top * width + start, lengths)
    return torch.from_numpy(
        begin + np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    )


def _envelope(y: np.ndarray, x: np.ndarray, at: np.ndarray, *, lower: bool) -> np.ndarray:
    """The side of the points' convex hull with the least x, or the greatest, at heights `at`."""
    sign = 1 if lower else -1
    order = np.lexsort((sign * x, y))
    chain: list[tuple[float, float]] = []
    for i in order:
        point = (float(y[i]), sign * float(x[i]))
        if chain and chain[-1][0] == point[0]:
            continue  # the first of a height is its least
        while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    heights, values = np.array(chain).T
    return sign * np.interp(at, heights, values)


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def box(pixels: Int[Tensor, "k"], width: int) -> Int[Tensor, "j"]:
    """The pixels of the smallest upright box around the pixels; ascending."""
    if not len(pixels):
        return pixels
    rows, columns = pixels // width, pixels % width
    rows = torch.arange(int(rows.min()), int(rows.max()) + 1)
    columns = torch.arange(int(columns.min()), int(columns.max()) + 1)
    return (rows[:, None] * width + columns).flatten()


METHOD = PlainMasks

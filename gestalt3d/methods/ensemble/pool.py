"""The pool: what all sources have found, as sets of superpoints that judge one another.

A superpoint is in a set where more than a share of its points is. So it does not matter how finely a source sees the cloud, nor
which of its points, and a set is some dozens of superpoints instead of thousands of points.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.methods.overlapping import Overlaps, sizes_of
from gestalt3d.structures.sets import Sets

_ROWS_AT_ONCE = 1024
"""Sets whose overlaps with all others are known at a time."""


class Found(NamedTuple):
    """What one source has found."""

    sets: Sets
    """Of superpoints."""
    scores: Float[Tensor, "p"]
    """As the source gives them."""


class Pool(NamedTuple):
    """What all have found."""

    sets: Sets
    """Of superpoints."""
    scores: Float[Tensor, "p"]
    """As the sources give them."""
    source: Int[Tensor, "p"]
    """Who found each, counted from 0."""

    @classmethod
    def of(cls, found: Sequence[Found], superpoints: int) -> "Pool":
        """One source after the other, which have found sets of so many superpoints."""
        counts = torch.tensor([len(own.sets) for own in found], dtype=torch.int64)
        return cls(
            Sets.cat([Sets.empty(superpoints), *(own.sets for own in found)]),
            torch.cat([torch.zeros(0), *(own.scores for own in found)]),
            torch.arange(len(found)).repeat_interleave(counts),
        )

    def of_sources(self, chosen: Sequence[int]) -> "Pool":
        """What these sources have found, which are counted anew in the order given; each once."""
        each = [(self.source == source).nonzero()[:, 0] for source in chosen]
        rows = torch.cat([torch.zeros(0, dtype=torch.int64), *each])
        counts = torch.tensor([len(own) for own in each], dtype=torch.int64)
        source = torch.arange(len(chosen)).repeat_interleave(counts)
        return Pool(self.sets.take(rows), self.scores[rows], source)


def of_superpoints(
    masks: Sets, superpoints: Int[Tensor, "n"], shown: Int[Tensor, "k"], *, count: int, least: float
) -> Sets:
    """For each set of points the superpoints of which more than the share `least` of the points shown lies inside.

    `masks` are of the points `shown`, rows of all `n`; superpoints are numbered from 0 to `count`. Sets may become empty.
    """
    own = superpoints[shown]
    points = torch.bincount(own, minlength=count)
    keys, inside = torch.unique(masks.owners * count + own[masks.indices], return_counts=True)
    owner, piece = keys // max(count, 1), keys % max(count, 1)
    stays = inside > least * points[piece]
    return Sets.from_sizes(torch.bincount(owner[stays], minlength=len(masks)), piece[stays], count)


def of_points(sets: Sets, superpoints: Int[Tensor, "n"]) -> Sets:
    """All points of the superpoints in each set."""
    pieces = Sets.from_labels(superpoints, sets.size)
    chosen = pieces.take(sets.indices)
    owners = sets.owners.repeat_interleave(chosen.sizes)
    order = torch.argsort(owners * max(len(superpoints), 1) + chosen.indices)
    sizes = torch.bincount(owners, minlength=len(sets))
    return Sets.from_sizes(sizes, chosen.indices[order], len(superpoints))


def agreement(pool: Pool, weights: Int[Tensor, "s"], *, sources: int) -> Float[Tensor, "p sources"]:
    """IoU of each proposal with what each source has found that is most like it; NaN for the source of the proposal itself.

    Superpoints count as their `weights`, the points that they have. Who found nothing agrees by 0.
    """
    best = np.zeros((len(pool.sets), sources))
    source = pool.source.numpy()
    overlaps = Overlaps(pool.sets, weights)
    for first in range(0, len(best), _ROWS_AT_ONCE):
        for found in overlaps.of(np.arange(first, min(first + _ROWS_AT_ONCE, len(best)))):
            np.maximum.at(best[found.row], source[found.others], found.iou)
    best[np.arange(len(best)), source] = np.nan
    return torch.from_numpy(best).float()


def by_method(agreed: Float[Tensor, "p sources"], looks: Sequence[int]) -> Float[Tensor, "p methods"]:
    """The mean over the looks of each method, which number `looks`; NaN of who has found the proposal in its only look."""
    return torch.stack([part.nanmean(1) for part in agreed.split(list(looks), dim=1)], dim=1)


def mean_of(sets: Sets, values: Float[Tensor, "s c"], weights: Int[Tensor, "s"]) -> Float[Tensor, "p c"]:
    """Mean over the points of each set of what is known of their superpoints; 0 in an empty set."""
    sums = torch.zeros(len(sets), values.shape[1], dtype=torch.float64)
    each = values[sets.indices].double() * weights[sets.indices, None]
    sums.index_add_(0, sets.owners, each)
    return (sums / sizes_of(sets, weights).clamp(min=1)[:, None]).float()

"""What is known of points from the blocks that drew them, until every point of the cloud is answered.

Of the blocks that stream by only sums are kept.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gestalt3d.methods.rooms.agreement import Agreement
from gestalt3d.methods.superpoints import mean_by_points, most_frequent
from gestalt3d.ops.block_votes import BlockVotes
from gestalt3d.ops.blocks import BlockMerger
from gestalt3d.ops.knn import knn

_AT_ONCE = 1 << 20
"""Points whose probabilities are summed at a time."""


class Answers(NamedTuple):
    """What is known about drawn points, or about superpoints."""

    labels: Int[Tensor, "r"]
    """-1: none."""
    classes: Int[Tensor, "r"]
    probabilities: Float[Tensor, "r c"]
    counts: Int[Tensor, "r"]
    """Points that each stands for."""

    def instances(self) -> tuple[Int[Tensor, "i"], Float[Tensor, "i"]]:
        """Class (the mode, the lowest on ties) and score (its mean probability) of every instance, over points."""
        count, names = int(self.labels.max()) + 1 if len(self.labels) else 0, self.probabilities.shape[1]
        votes = torch.zeros(count * names, dtype=torch.int64)
        sums = torch.zeros(count, names, dtype=torch.float64)
        for labels, classes, probabilities, counts in zip(*(x.split(_AT_ONCE) for x in self), strict=True):
            own = labels >= 0
            votes.index_add_(0, (labels * names + classes)[own], counts[own])
            sums.index_add_(0, labels[own], probabilities[own].double() * counts[own, None])
        votes = votes.reshape(count, names)
        classes = votes.argmax(1)
        scores = sums.gather(1, classes[:, None])[:, 0] / votes.sum(1).clamp(min=1)
        return classes, scores.float()


class Answered(NamedTuple):
    """Every point of a cloud answered."""

    answers: Answers
    row: Int[Tensor, "n"]
    """Whose answer each point has."""
    labels: Int[Tensor, "n"]
    """Instance of each point, -1 for none, and for what is farther than the reach from all that was drawn."""

    def by_superpoint(self, superpoints: Int[Tensor, "n"]) -> "Answered":
        """Each superpoint as a whole: the mean probabilities and the most frequent instance of its points, the far ones too."""
        mean = mean_by_points(self.answers.probabilities, self.row, superpoints)
        labels = most_frequent(self.labels, superpoints)
        answers = Answers(labels, mean.argmax(1), mean, torch.bincount(superpoints))
        return Answered(answers, superpoints, labels[superpoints])


class ByPoint:
    """Every point for itself: one that no block drew is answered by the nearest drawn one."""

    def __init__(
        self,
        points: Float[Tensor, "n 3"],
        drawable: Int[Tensor, "d"],
        classes: int,
        merger: BlockMerger | BlockVotes,
        superpoints: Int[Tensor, "n"] | None = None,
        *,
        reach: float,
    ):
        """`drawable` are the points that blocks may draw, `reach` metres is how far answers go. Where there are `superpoints`,
        each gets one answer in the end.
        """
        self._points, self._drawable, self._merger, self._reach = points, drawable, merger, reach
        self._superpoints = superpoints
        self._sums = torch.zeros(len(drawable), classes)
        self._times = torch.zeros(len(drawable), dtype=torch.int32)

    def add(self, rows: np.ndarray, clusters: Int[Tensor, "r"], probabilities: Float[Tensor, "r c"]) -> None:
        """Take note of one block, which draws rows of `drawable`, none twice."""
        drawn = torch.from_numpy(rows)
        self._merger.add(self._points[self._drawable[drawn]], clusters, probabilities.argmax(1))
        self._sums[drawn] += probabilities
        self._times[drawn] += 1

    def drawn(self) -> tuple[Int[Tensor, "r"], Answers]:
        """Which points were drawn, and what is known of them."""
        rows = self._times.nonzero()[:, 0]
        means = self._sums[rows] / self._times[rows, None]
        points = self._drawable[rows]
        labels = self._merger.labels(self._points[points])
        return points, Answers(labels, means.argmax(1), means, torch.ones_like(labels))

    def answer(self) -> Answered:
        """Of all points, once all blocks are added."""
        drawn, answers = self.drawn()
        row_of_point, far = _nearest(self._points, drawn, self._reach)
        answered = Answered(answers, row_of_point, answers.labels[row_of_point].masked_fill(far, -1))
        return answered if self._superpoints is None else answered.by_superpoint(self._superpoints)


class BySuperpoint:
    """Every superpoint as a whole: one that no block drew is answered by the nearest that one drew."""

    def __init__(
        self,
        points: Float[Tensor, "n 3"],
        drawable: Int[Tensor, "d"],
        superpoints: Int[Tensor, "n"],
        agreement: Agreement,
        *,
        reach: float,
    ):
        """As in `ByPoint`; `superpoints` are those that `agreement` is about."""
        self._points, self._drawable, self._reach = points, drawable, reach
        self._superpoints, self._agreement = superpoints, agreement

    def add(self, rows: np.ndarray, clusters: Int[Tensor, "r"], probabilities: Float[Tensor, "r c"]) -> None:
        """Take note of one block, which draws rows of `drawable`, none twice."""
        drawn = self._drawable[torch.from_numpy(rows)]
        self._agreement.add(self._superpoints[drawn], clusters, probabilities)

    def answer(self) -> Answered:
        """Of all points, once all blocks are added. How near a superpoint is, its drawable points tell."""
        labels, means, seen = self._agreement.objects(), self._agreement.means(), self._agreement.times > 0
        known = self._drawable[seen[self._superpoints[self._drawable]]]
        missing = (~seen[self._superpoints]).nonzero()[:, 0]
        if len(missing):
            found = knn(self._points[missing][None], self._points[known][None], k=1)
            own, distance = self._superpoints[missing], found.dist2[0, :, 0]
            least = distance.new_full((len(seen),), torch.inf).scatter_reduce_(0, own, distance, "amin")
            # The point that lies nearest to any decides for its superpoint; between such points the lowest superpoint.
            near = distance == least[own]
            source = torch.arange(len(seen)).scatter_reduce_(
                0, own[near], self._superpoints[known[found.index[0, near, 0]]], "amin", include_self=False
            )
            labels = labels[source].masked_fill(~seen & (least > self._reach**2), -1)
            means = means[source]
        answers = Answers(labels, means.argmax(1), means, torch.bincount(self._superpoints))
        return Answered(answers, self._superpoints, labels[self._superpoints])


def _nearest(
    points: Float[Tensor, "n 3"], drawn: Int[Tensor, "r"], reach: float
) -> tuple[Int[Tensor, "n"], Bool[Tensor, "n"]]:
    """Row of the nearest drawn point of every point, and whether that is farther than `reach` metres."""
    row = torch.full((len(points),), -1, dtype=torch.int64)
    row[drawn.flip(0)] = torch.arange(len(drawn)).flip(0)
    far = torch.zeros(len(points), dtype=torch.bool)
    left = (row < 0).nonzero().flatten()
    if len(left):
        found = knn(points[left][None], points[drawn][None], k=1)
        row[left] = found.index[0, :, 0]
        far[left] = found.dist2[0, :, 0] > reach**2
    return row, far

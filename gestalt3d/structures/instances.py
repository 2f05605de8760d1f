"""Instances in a cloud: the answer of every method and the ground truth of every data set."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gestalt3d.structures.vocabulary import Vocabulary


@dataclass(frozen=True)
class Instances:
    """`indices[offsets[i]:offsets[i + 1]]` are the points of instance `i`, ascending; instances may overlap."""

    offsets: Int[Tensor, "i_plus_1"]
    indices: Int[Tensor, "m"]
    classes: Int[Tensor, "i"]
    """Position in the vocabulary, -1 unknown."""
    scores: Float[Tensor, "i"]
    num_points: int
    vocabulary: Vocabulary
    point_classes: Int[Tensor, "n"] | None = None
    """Semantic class of every point, also of those in no instance; -1 unknown."""
    boxes: Float[Tensor, "i 7"] | None = None
    """Visible box: centre x y z, size along its own axes, yaw about z in radians; in the cloud's frame (origin taken off)."""
    amodal_boxes: Float[Tensor, "i 7"] | None = None
    """The whole object's box, for methods that complete objects."""
    method: str = ""

    def __post_init__(self) -> None:
        count = len(self.classes)
        if len(self.offsets) != count + 1 or len(self.scores) != count:
            raise ValueError(
                f"{count} classes need {count + 1} offsets and {count} scores, got {len(self.offsets)} and {len(self.scores)}"
            )
        if (
            int(self.offsets[0]) != 0
            or int(self.offsets[-1]) != len(self.indices)
            or bool((self.offsets.diff() < 0).any())
        ):
            raise ValueError(f"offsets must rise from 0 to {len(self.indices)}")
        if len(self.indices) and not (
            int(self.indices.min()) >= 0 and int(self.indices.max()) < self.num_points
        ):
            raise ValueError(f"indices must lie in [0, {self.num_points})")
        if self.point_classes is not None and len(self.point_classes) != self.num_points:
            raise ValueError(
                f"point_classes must have {self.num_points} entries, got {len(self.point_classes)}"
            )

    @classmethod
    def from_labels(
        cls,
        labels: Int[Tensor, "n"],
        classes: Int[Tensor, "i"],
        scores: Float[Tensor, "i"] | None = None,
        *,
        vocabulary: Vocabulary,
        point_classes: Int[Tensor, "n"] | None = None,
        method: str = "",
    ) -> "Instances":
        """From one id per point: id `i` belongs to row `i` of `classes`, negative ids to nothing. Rows may be empty."""
        count = len(classes)
        if len(labels) and int(labels.max()) >= count:
            raise ValueError(f"label {int(labels.max())} has no row: there are {count} classes")
        labels = labels.to(torch.int64)
        order = torch.argsort(labels, stable=True)
        order = order[int((labels < 0).sum()) :]
        sizes = torch.bincount(labels[order], minlength=count)
        offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        if scores is None:
            scores = torch.ones(count)
        return cls(
            offsets,
            order,
            classes.to(torch.int64),
            scores.float(),
            len(labels),
            vocabulary,
            point_classes,
            method=method,
        )

    @classmethod
    def empty(cls, num_points: int, vocabulary: Vocabulary, method: str = "") -> "Instances":
        nothing = torch.zeros(0, dtype=torch.int64)
        return cls(
            torch.zeros(1, dtype=torch.int64),
            nothing,
            nothing,
            torch.zeros(0),
            num_points,
            vocabulary,
            method=method,
        )

    @classmethod
    def cat(cls, parts: Sequence["Instances"]) -> "Instances":
        """All instances of `parts`, which must describe the same cloud with the same vocabulary."""
        first = parts[0]
        if any(p.num_points != first.num_points or p.vocabulary != first.vocabulary for p in parts):
            raise ValueError("instances of different clouds or vocabularies cannot be joined")
        sizes = torch.cat([p.sizes for p in parts])
        return replace(
            first,
            offsets=torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]),
            indices=torch.cat([p.indices for p in parts]),
            classes=torch.cat([p.classes for p in parts]),
            scores=torch.cat([p.scores for p in parts]),
            boxes=_joined([p.boxes for p in parts]),
            amodal_boxes=_joined([p.amodal_boxes for p in parts]),
        )

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def sizes(self) -> Int[Tensor, "i"]:
        """Points of each instance."""
        return self.offsets.diff()

    def class_id(self, name: str) -> int:
        return self.vocabulary.id(name)

    def class_name(self, i: int) -> str:
        c = int(self.classes[i])
        return self.vocabulary.names[c] if c >= 0 else "unknown"

    def points_of(self, i: int) -> Int[Tensor, "p"]:
        """Indices of the points of instance `i`, ascending."""
        return self.indices[int(self.offsets[i]) : int(self.offsets[i + 1])]

    def __getitem__(self, keep: Bool[Tensor, "i"] | Int[Tensor, "j"] | slice) -> "Instances":
        """The chosen instances, in the order asked for."""
        if isinstance(keep, slice):
            keep = torch.arange(len(self), device=self.indices.device)[keep]
        rows = keep.nonzero().flatten() if keep.dtype == torch.bool else keep.to(torch.int64)
        if keep.dtype == torch.bool and len(keep) != len(self):
            raise IndexError(f"a mask of {len(keep)} cannot choose among {len(self)} instances")
        sizes = self.sizes[rows]
        offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        take = torch.arange(int(offsets[-1]), device=rows.device) - torch.repeat_interleave(
            offsets[:-1] - self.offsets[rows], sizes
        )
        pick = lambda value: None if value is None else value[rows]  # noqa: E731
        return replace(
            self,
            offsets=offsets,
            indices=self.indices[take],
            classes=self.classes[rows],
            scores=self.scores[rows],
            boxes=pick(self.boxes),
            amodal_boxes=pick(self.amodal_boxes),
        )

    def to_labels(self) -> Int[Tensor, "n"]:
        """One id per point: the instance of the highest score, the lower id on ties, -1 for none."""
        order = torch.argsort(self.scores, descending=True, stable=True)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=order.device)
        best = torch.full((self.num_points,), len(order), dtype=torch.int64, device=self.indices.device)
        best.scatter_reduce_(0, self.indices, place.repeat_interleave(self.sizes), "amin")
        return torch.cat([order, order.new_tensor([-1])])[best]

    def classes_of_points(self) -> Int[Tensor, "n"]:
        """`point_classes`, or where they are not known the class of each point's instance in `to_labels`; -1 unknown."""
        if self.point_classes is not None:
            return self.point_classes
        return torch.cat([self.classes, self.classes.new_full((1,), -1)])[self.to_labels()]

    def to(self, device: torch.device | str) -> "Instances":
        names = ("offsets", "indices", "classes", "scores", "point_classes", "boxes", "amodal_boxes")
        return replace(self, **{n: v.to(device) for n in names if (v := getattr(self, n)) is not None})


def _joined(values: Sequence[Tensor | None]) -> Tensor | None:
    """All rows; None when any part has none."""
    present = [v for v in values if v is not None]
    return torch.cat(present) if len(present) == len(values) else None

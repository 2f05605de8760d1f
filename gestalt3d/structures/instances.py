"""Instances in a cloud: the answer of every method and the ground truth of every data set."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from gestalt3d.errors import UserError
from gestalt3d.structures.rows import chosen_row, chosen_rows, equal_fields
from gestalt3d.structures.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False, repr=False)
class Instances:
    """`indices[offsets[i]:offsets[i + 1]]` are the points of instance `i`, ascending; instances may overlap.

    `found[0]` is the first alone, `found[found.scores > 0.5]`, `found[[2, 0]]` and `found[:3]` are several, and
    a loop goes through them one by one: each is `Instances` of the same points again. `==` compares everything.
    """

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
    source_from_cloud: Float64[np.ndarray, "4 4"] | None = None
    """Takes `boxes` to the axes, units and origin of the file or array that was segmented; None: they are the same."""

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

    def class_name(self, i: SupportsIndex) -> str:
        c = int(self.classes[self._row(i)])
        return self.vocabulary.names[c] if c >= 0 else "unknown"

    def points_of(self, i: SupportsIndex) -> Int[Tensor, "p"]:
        """Indices of the points of instance `i`, ascending."""
        i = self._row(i)
        return self.indices[int(self.offsets[i]) : int(self.offsets[i + 1])]

    def mask(self, i: SupportsIndex) -> Bool[np.ndarray, "n"]:
        """True for the points of instance `i`, as NumPy; `to_labels().numpy()` is one id per point for all at once."""
        mask = np.zeros(self.num_points, dtype=bool)
        mask[self.points_of(i).cpu().numpy()] = True
        return mask

    def _row(self, i: Any) -> int:
        return chosen_row(i, len(self), of="instances")

    def __iter__(self) -> Iterator["Instances"]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Instances):
            return NotImplemented
        return equal_fields(self, other, (f.name for f in fields(self)))

    def __repr__(self) -> str:
        """`10 instances in 81,369 points: 5 chair, 2 table, …`, the most frequent first."""
        count, classes = len(self), self.classes.tolist()
        names = (*self.vocabulary.names, "unknown")
        ordered = sorted(set(classes), key=lambda c: (-classes.count(c), c))
        parts = [f"{classes.count(c)} {names[c]}" for c in ordered[:_MOST_CLASSES]]
        parts += ["..."] if len(ordered) > _MOST_CLASSES else []
        what = f"{count} instance{'' if count == 1 else 's'} in {self.num_points:,} points"
        return f"{what}: {', '.join(parts)}" if parts else what

    def to_dicts(self) -> list[dict[str, Any]]:
        """A row per instance: `id`, `class`, `score`, `points`, and of its visible box `center_x` … `size_z` and `yaw`.

        Boxes are in the axes, units and origin of the file or array that was segmented (`source_from_cloud`), sizes
        along the box's own axes, `yaw` in radians about the axis that points up; None where there is no box. Whole
        boxes, where a method finds them, follow as `amodal_center_x` ….
        """
        rows = [
            {"id": i, "class": self.class_name(i), "score": _finite(score), "points": int(size)}
            for i, (score, size) in enumerate(zip(self.scores.tolist(), self.sizes.tolist(), strict=True))
        ]
        absent = np.full((len(self), 7), np.nan)
        given = {"": absent if self.boxes is None else self.boxes}
        given |= {} if self.amodal_boxes is None else {"amodal_": self.amodal_boxes}
        for prefix, boxes in given.items():
            for row, box in zip(rows, self._in_source(boxes).tolist(), strict=True):
                row |= {prefix + name: _finite(value) for name, value in zip(BOX, box, strict=True)}
        return rows

    def to_dataframe(self) -> "pandas.DataFrame":
        """`to_dicts` as a pandas table; `UserError` where pandas is not installed."""
        try:
            import pandas
        except ImportError:
            raise UserError("pandas is not installed; run `pip install pandas`, or use to_dicts()") from None
        return pandas.DataFrame(self.to_dicts(), columns=None if len(self) else ["id", *_ROW, *BOX])

    def _in_source(self, boxes: Tensor | np.ndarray) -> np.ndarray:
        """(i, 7) float64 in the frame of the source, whose axes are those of the cloud in another order or direction."""
        out = np.array(torch.as_tensor(boxes).detach().cpu(), dtype=np.float64)
        if self.source_from_cloud is not None:
            linear, shift = self.source_from_cloud[:3, :3], self.source_from_cloud[:3, 3]
            out[:, :3] = out[:, :3] @ linear.T + shift
            out[:, 3:6] = out[:, 3:6] @ np.abs(linear).T
        return out

    def __getitem__(self, keep: Any) -> "Instances":
        """The chosen instances, in the order asked for: `keep` as `chosen_rows` takes it."""
        rows = chosen_rows(
            keep,
            len(self),
            of="instances",
            device=self.indices.device,
            hint="; those of a class are found[found.classes == found.class_id('chair')]",
        )
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


_MOST_CLASSES = 8
_ROW = ("class", "score", "points")
BOX = ("center_x", "center_y", "center_z", "size_x", "size_y", "size_z", "yaw")
"""Columns of a box in tables."""


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None  # micrometres, where the unit is metres


def _joined(values: Sequence[Tensor | None]) -> Tensor | None:
    """All rows; None when any part has none."""
    present = [v for v in values if v is not None]
    return torch.cat(present) if len(present) == len(values) else None

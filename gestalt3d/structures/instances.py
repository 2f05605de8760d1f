"""Instances in a cloud or an image: the answer of every method and the ground truth of every data set."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from gestalt3d.errors import UserError
from gestalt3d.structures.mesh import Mesh, moved_points
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.rows import chosen_row, chosen_rows, equal_fields
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import Vocabulary
from gestalt3d.structures.voxelgrid import VoxelGrid

if TYPE_CHECKING:
    import pandas

Shape = PointCloud | VoxelGrid | Mesh
"""A whole object."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Instances:
    """Row `i` of every field that has rows describes instance `i`. Masks are sets of elements: points of a cloud, or pixels of an
    image row by row. Instances may overlap.

    `found[0]` is the first alone, `found[found.scores > 0.5]`, `found[[2, 0]]` and `found[:3]` are several, and
    a loop goes through them one by one: each is `Instances` of the same elements again. `==` compares everything.

    Boxes and shapes are metres in the frame of the cloud (its origin taken off) or of the view's world.
    """

    masks: Sets
    """What is visible of each."""
    classes: Int[Tensor, "i"]
    """Position in the vocabulary, -1 unknown."""
    scores: Float[Tensor, "i"]
    vocabulary: Vocabulary
    whole: Sets | None = None
    """Amodal masks, of the same elements: what would be visible if nothing stood in front."""
    boxes: Float[Tensor, "i 7"] | None = None
    """Visible box: centre x y z, size along its own axes, yaw about z in radians."""
    amodal_boxes: Float[Tensor, "i 7"] | None = None
    """The whole object's box, for methods that complete objects."""
    image_boxes: Float[Tensor, "i 4"] | None = None
    """In an image, pixels: left, top, right and bottom edge; the corner of the upper left pixel is 0 0."""
    shapes: tuple[Shape, ...] | None = None
    """The whole object's shape, for methods that complete objects."""
    element_classes: Int[Tensor, "n"] | None = None
    """Semantic class of every element, also of those in no instance; -1 unknown."""
    method: str = ""
    source_from_cloud: Float64[np.ndarray, "4 4"] | None = None
    """Takes `boxes` to the axes, units and origin of the file or array that was segmented; None: they are the same."""

    def __post_init__(self) -> None:
        count = len(self.masks)
        for name in PER_INSTANCE:
            value = getattr(self, name)
            if value is not None and len(value) != count:
                raise ValueError(f"{name} must have a row for each of {count} masks, got {len(value)}")
        if self.whole is not None and self.whole.size != self.masks.size:
            raise ValueError(
                f"whole masks must be of the {self.masks.size} elements of the visible ones, got {self.whole.size}"
            )
        if self.element_classes is not None and len(self.element_classes) != self.masks.size:
            raise ValueError(
                f"element_classes must have {self.masks.size} entries, got {len(self.element_classes)}"
            )

    @classmethod
    def from_labels(
        cls,
        labels: Int[Tensor, "n"],
        classes: Int[Tensor, "i"],
        scores: Float[Tensor, "i"] | None = None,
        *,
        vocabulary: Vocabulary,
        element_classes: Int[Tensor, "n"] | None = None,
        method: str = "",
    ) -> "Instances":
        """From one id per element: id `i` belongs to row `i` of `classes`, negative ids to nothing. Rows may be empty."""
        return cls(
            masks=Sets.from_labels(labels, len(classes)),
            classes=classes.to(torch.int64),
            scores=torch.ones(len(classes)) if scores is None else scores.float(),
            vocabulary=vocabulary,
            element_classes=element_classes,
            method=method,
        )

    @classmethod
    def empty(cls, size: int, vocabulary: Vocabulary, method: str = "") -> "Instances":
        """No instances in `size` elements."""
        return cls(
            masks=Sets.empty(size),
            classes=torch.zeros(0, dtype=torch.int64),
            scores=torch.zeros(0),
            vocabulary=vocabulary,
            method=method,
        )

    @classmethod
    def cat(cls, parts: Sequence["Instances"]) -> "Instances":
        """All instances of `parts`, which must describe the same elements with the same vocabulary."""
        first = parts[0]
        if any(p.masks.size != first.masks.size or p.vocabulary != first.vocabulary for p in parts):
            raise ValueError("instances of different clouds or vocabularies cannot be joined")
        return replace(first, **{name: _joined([getattr(p, name) for p in parts]) for name in PER_INSTANCE})

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def sizes(self) -> Int[Tensor, "i"]:
        """Elements of each instance."""
        return self.masks.sizes

    def class_id(self, name: str) -> int:
        return self.vocabulary.id(name)

    def class_name(self, i: SupportsIndex) -> str:
        c = int(self.classes[self._row(i)])
        return self.vocabulary.names[c] if c >= 0 else "unknown"

    def elements_of(self, i: SupportsIndex) -> Int[Tensor, "p"]:
        """Points or pixels of instance `i`, ascending."""
        return self.masks[self._row(i)]

    def mask(self, i: SupportsIndex) -> Bool[np.ndarray, "n"]:
        """True for the elements of instance `i`, as NumPy; `to_labels().numpy()` is one id per element for all at once."""
        return self.masks.dense(self._row(i)).cpu().numpy()

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
        elements = "points" if self.image_boxes is None else "pixels"
        what = f"{count} instance{'' if count == 1 else 's'} in {self.masks.size:,} {elements}"
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
            device=self.classes.device,
            hint="; those of a class are found[found.classes == found.class_id('chair')]",
        )
        return replace(self, **{name: _taken(getattr(self, name), rows) for name in PER_INSTANCE})

    def to_labels(self) -> Int[Tensor, "n"]:
        """One id per element: the instance of the highest score, the lower id on ties, -1 for none."""
        return self.masks.to_labels(self.scores)

    def classes_of_elements(self) -> Int[Tensor, "n"]:
        """`element_classes`, or where they are not known the class of each element's instance in `to_labels`; -1 unknown."""
        if self.element_classes is not None:
            return self.element_classes
        return torch.cat([self.classes, self.classes.new_full((1,), -1)])[self.to_labels()]

    def moved(self, transform: Float64[np.ndarray, "4 4"]) -> "Instances":
        """Boxes and shapes in another frame: `transform` takes a point of theirs to it, as homogeneous coordinates.

        It may turn about z, move and scale all axes alike, as boxes stand upright; a voxel grid can be moved and scaled only.
        `ValueError` for any other. Masks, image boxes, classes and scores stay; `source_from_cloud` leads to the same source.
        """
        move = _Upright.of(transform)
        to_source = np.eye(4) if self.source_from_cloud is None else self.source_from_cloud
        return replace(
            self,
            boxes=move.boxes(self.boxes),
            amodal_boxes=move.boxes(self.amodal_boxes),
            shapes=None if self.shapes is None else tuple(move.shape(shape) for shape in self.shapes),
            source_from_cloud=to_source @ np.linalg.inv(move.matrix),
        )

    def to(self, device: torch.device | str) -> "Instances":
        """All that it holds on `device`."""
        return replace(
            self, **{name: _on(getattr(self, name), device) for name in (*PER_INSTANCE, "element_classes")}
        )


PER_INSTANCE = ("masks", "classes", "scores", "whole", "boxes", "amodal_boxes", "image_boxes", "shapes")
"""The fields of `Instances` that have a row for each of them."""
_MOST_CLASSES = 8
_ROW = ("class", "score", "points")
BOX = ("center_x", "center_y", "center_z", "size_x", "size_y", "size_z", "yaw")
"""Columns of a box in tables."""


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None  # micrometres, where the unit is metres


def _taken(value: Any, rows: Int[Tensor, "j"]) -> Any:
    """The chosen rows of a field."""
    if isinstance(value, Sets):
        return value.take(rows)
    if isinstance(value, tuple):
        return tuple(value[i] for i in rows.tolist())
    return None if value is None else value[rows]


def _joined(values: Sequence[Any]) -> Any:
    """All rows of a field; None when any part has none."""
    if any(value is None for value in values):
        return None
    if isinstance(values[0], Sets):
        return Sets.cat(values)
    if isinstance(values[0], tuple):
        return tuple(row for value in values for row in value)
    return torch.cat(list(values))


def _on(value: Any, device: torch.device | str) -> Any:
    if isinstance(value, tuple):
        return tuple(row.to(device) for row in value)
    return None if value is None else value.to(device)


def moved_boxes(boxes: Float[Tensor, "i 7"], transform: Float64[np.ndarray, "4 4"]) -> Float[Tensor, "i 7"]:
    """Boxes in another frame, as `Instances.moved` says."""
    return _Upright.of(transform).moved_boxes(boxes)


@dataclass(frozen=True)
class _Upright:
    """A turn about z, a scale and a move."""

    matrix: Float64[np.ndarray, "4 4"]
    scale: float
    yaw: float

    @classmethod
    def of(cls, transform: Float64[np.ndarray, "4 4"]) -> "_Upright":
        matrix = np.asarray(transform, dtype=np.float64)
        linear = matrix[:3, :3]
        scale = float(linear[2, 2])
        yaw = math.atan2(linear[1, 0], linear[0, 0])
        c, s = math.cos(yaw), math.sin(yaw)
        upright = scale * np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        if not (scale > 0 and np.allclose(linear, upright, rtol=0, atol=1e-6 * scale)):
            raise ValueError(
                f"boxes stand upright: a transform may turn about z, move and scale all axes alike, got {linear.tolist()}"
            )
        return cls(matrix, scale, yaw)

    def boxes(self, boxes: Float[Tensor, "i 7"] | None) -> Float[Tensor, "i 7"] | None:
        return None if boxes is None else self.moved_boxes(boxes)

    def moved_boxes(self, boxes: Float[Tensor, "i 7"]) -> Float[Tensor, "i 7"]:
        centre = moved_points(boxes[:, :3], self.matrix)
        size = (boxes[:, 3:6].double() * self.scale).to(boxes.dtype)
        return torch.cat([centre, size, boxes[:, 6:] + self.yaw], dim=1)

    def shape(self, shape: Shape) -> Shape:
        if isinstance(shape, Mesh):
            return shape.moved(self.matrix)
        turn = torch.from_numpy(self.matrix[:3, :3] / self.scale)
        if isinstance(shape, PointCloud):
            # Its origin goes along, so that a far cloud keeps its millimetres.
            origin = shape.points.new_zeros(3, dtype=torch.float64) if shape.origin is None else shape.origin
            normals = None if shape.normals is None else (shape.normals.double() @ turn.T).float()
            points = (shape.points.double() @ turn.T * self.scale).float()
            return replace(shape, points=points, normals=normals, origin=self._moved(origin))
        if self.yaw:
            raise ValueError("a voxel grid cannot be turned; make a mesh of it first")
        origin = torch.zeros(3, dtype=torch.float64) if shape.origin is None else shape.origin
        return replace(shape, voxel_size=shape.voxel_size * self.scale, origin=self._moved(origin))

    def _moved(self, origin: Float64[Tensor, "3"]) -> Float64[Tensor, "3"]:
        return moved_points(origin[None], self.matrix)[0]

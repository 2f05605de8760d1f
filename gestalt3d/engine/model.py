"""A loaded method that takes clouds as people have them: with NaN points, far from the origin."""

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from gestalt3d.engine import checkpoint
from gestalt3d.errors import UserError
from gestalt3d.io.given import CloudLike, cloud_of
from gestalt3d.methods.method import Method
from gestalt3d.ops.boxes import oriented_boxes
from gestalt3d.stages import stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import Vocabulary


@dataclass(frozen=True, repr=False)
class Model:
    """A method ready to segment: `model(cloud)` is `model.segment(cloud)`."""

    name: str
    method: Method[Any]

    def __repr__(self) -> str:
        names = self.vocabulary.names
        return f"model {self.name}, {len(names)} classes: {', '.join(names[:8])}{', ...' * (len(names) > 8)}"

    @property
    def vocabulary(self) -> Vocabulary:
        return self.method.vocabulary

    @property
    def takes_semantics(self) -> bool:
        """Whether it uses the semantics that a cloud carries."""
        return self.method.takes_semantics

    def for_cloud(self, cloud: PointCloud) -> "Model":
        """The model that segments this cloud: itself, but for one that chooses by the scan."""
        return self

    def with_seed(self, seed: int) -> "Model":
        """The same model drawing its samples from another seed, 0 to 2^63."""
        if not 0 <= seed < 2**63:
            raise UserError(f"the seed {seed} must be 0 or more and below 2^63")
        if not hasattr(self.method.config, "seed"):
            return self  # it draws none
        method = copy.copy(self.method)
        method.config = replace(method.config, seed=seed)
        return Model(self.name, method)

    def segment(
        self, cloud: CloudLike, *, classes: Sequence[str] | None = None, min_score: float = 0.0
    ) -> Instances:
        """Instances of the cloud, best first, with their visible boxes; points that are not `usable` have none.

        In place of a cloud, its path will do, or an array (n, 3) of metres, z up, or (n, 6) with r g b, up to 1 or 255.
        `boxes` are in the frame of `cloud.points`; `to_dicts` gives them in that of the file or array.

        `classes` and `min_score` choose among the instances found; they do not change the segmentation.
        `UserError` for an unknown class or when no point is finite.
        """
        cloud = cloud_of(cloud, call="segment(cloud)")
        wanted = class_ids(self.vocabulary, classes)
        usable = cloud.usable()
        if not bool(usable.any()):
            raise UserError("the cloud has no finite point; nothing to segment")
        chosen = self.for_cloud(cloud)
        found = chosen.method.segment(_centred(cloud, usable))
        found = _spread(found, usable)
        found = found[_best_first(found, wanted, min_score)]
        with stage("boxes"):
            boxes = oriented_boxes(cloud.points, found.masks.offsets, found.masks.indices)
        return replace(found, boxes=boxes, method=chosen.name, source_from_cloud=cloud.source_from_cloud)

    def __call__(
        self, cloud: CloudLike, *, classes: Sequence[str] | None = None, min_score: float = 0.0
    ) -> Instances:
        """`segment`."""
        return self.segment(cloud, classes=classes, min_score=min_score)


def load(name_or_path: str | Path, *, device: str = "cpu") -> Model:
    """A shipped model by name ("asis-rooms", "geometric", …) or a weight file by path, ready to `segment`.

    "auto" chooses for each scan: `mtml-rooms`, or `geometric-regions` for what is smaller than a room.

    Raises `UserError` for an unknown name, a file that is no safetensors, or a device this machine lacks.
    """
    if not isinstance(name_or_path, str | os.PathLike):
        raise TypeError(
            f"load(name_or_path): wants a model's name or a weight file, got {name_or_path!r:.60}"
        )
    if str(name_or_path) == "auto":
        from gestalt3d.engine.auto import load_auto

        return load_auto(device)
    path = Path(name_or_path)
    name = path.stem if path.suffix == checkpoint.SUFFIX else str(name_or_path)
    return Model(name, checkpoint.load(name_or_path, device=device))


def class_ids(vocabulary: Vocabulary, classes: Sequence[str] | None) -> torch.Tensor | None:
    """Ids of the named classes, None for all; `UserError` for a name the vocabulary lacks."""
    if classes is None:
        return None
    classes = [classes] if isinstance(classes, str) else classes
    for name in classes:
        if name not in vocabulary.names:
            raise UserError(f"no class {name!r}; the model knows {', '.join(vocabulary.names)}")
    return torch.tensor([vocabulary.id(name) for name in classes], dtype=torch.int64)


def _centred(cloud: PointCloud, usable: torch.Tensor) -> PointCloud:
    """The usable points, moved to their median: float32 has its best resolution there."""
    kept = cloud if bool(usable.all()) else cloud[usable]
    if float(kept.points.abs().max()) < 100.0:
        return kept
    centre = kept.points.median(dim=0).values
    return replace(kept, points=kept.points - centre)


def _spread(found: Instances, usable: torch.Tensor) -> Instances:
    """Instances of the usable points as instances of all points."""
    if bool(usable.all()):
        return found
    where = usable.nonzero().flatten()
    classes = None
    if found.element_classes is not None:
        classes = torch.full((len(usable),), -1, dtype=torch.int64)
        classes[where] = found.element_classes
    return replace(found, masks=found.masks.within(where, len(usable)), element_classes=classes)


def _best_first(found: Instances, wanted: torch.Tensor | None, min_score: float) -> torch.Tensor:
    """Rows of the wanted instances, in the order of their scores."""
    rows = torch.argsort(found.scores, descending=True, stable=True)
    rows = rows[found.scores[rows] >= min_score]
    return rows if wanted is None else rows[torch.isin(found.classes[rows], wanted)]

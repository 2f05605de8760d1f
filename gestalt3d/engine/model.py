"""A loaded method that takes inputs as people have them: clouds with NaN points and far from the origin, RGB-D frames, photos."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from gestalt3d import methods
from gestalt3d.engine import checkpoint
from gestalt3d.errors import UserError
from gestalt3d.io.given import InputLike, input_of
from gestalt3d.methods.method import AnyMethod, needs_depth, seeded, takes_clouds, takes_views
from gestalt3d.methods.overlapping import apart
from gestalt3d.methods.refiner import finds, refines
from gestalt3d.ops.boxes import oriented_boxes
from gestalt3d.stages import stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pixels import pixel_boxes
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary


@dataclass(frozen=True, repr=False)
class Model:
    """A method ready to segment: `model(given)` is `model.segment(given)`."""

    name: str
    method: AnyMethod

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
        """The model that segments this cloud of usable points: itself, but for one that chooses by the scan."""
        return self

    def with_seed(self, seed: int) -> "Model":
        """The same model drawing its samples from another seed, 0 to 2^63."""
        if not 0 <= seed < 2**63:
            raise UserError(f"the seed {seed} must be 0 or more and below 2^63")
        return Model(self.name, seeded(self.method, seed))

    @property
    def takes(self) -> type[PointCloud] | type[View]:
        """What its method is shown; clouds are made of views that have depth."""
        return self.method.takes

    def segment(
        self,
        given: InputLike,
        *,
        classes: Sequence[str] | None = None,
        min_score: float = 0.0,
        overlap: bool | None = None,
    ) -> Instances:
        """Instances in a cloud or a view, best first; points that are not `usable`, and pixels without depth, have none.

        In place of a cloud or view, its path will do, or an array (n, 3) of metres, z up, or (n, 6) with r g b, up to 1 or 255.
        A model that takes clouds is shown the cloud of a view, and the answer is of the view's pixels. `boxes` and shapes are in
        the frame of the cloud, or of `view.cloud()`; visible boxes, also those in the image, are the method's own, else those of
        the points. `to_dicts` gives boxes in the frame of the file or array.

        `classes` and `min_score` choose among the instances found; they do not change the segmentation. With `overlap` False each
        point or pixel is visible in one of the chosen instances at most, that of the best score (`methods.overlapping.apart`); by
        default it is as the method answers.
        `UserError` for an unknown class, when no point is finite, or where the model does not take such an input.
        """
        given = input_of(given, call="segment(given)")
        wanted = class_ids(self.vocabulary, classes)
        if not self.finds:
            raise UserError(
                f"{self.name} completes masks and finds none itself; give it the visible ones, with --masks or refine()"
            )
        if takes_views(self.method):
            if isinstance(given, PointCloud):
                images = "single images with their depth"
                if not needs_depth(self.method):
                    images = "single images, with their depth or without"
                raise UserError(f"{self.name} takes {images}, and this is a cloud; choose another model")
            if needs_depth(self.method):
                _expect_depth(given, self.name)
            found = _expected(self.method.segment(given), given, self.name)
            found = _chosen(found, wanted, min_score, overlap=overlap)
            return replace(_with_boxes(found, given), method=self.name)
        if isinstance(given, PointCloud):
            return self._segment_cloud(given, wanted, min_score, overlap=overlap)
        found = self._segment_cloud(cloud_of_view(given, self.name), wanted, min_score, overlap=overlap)
        found = _of_elements(found, given.pixels(), len(given))
        return replace(found, image_boxes=pixel_boxes(found.masks, width=given.image.shape[2]))

    @property
    def vocabulary_of_photos(self) -> Vocabulary:
        """In which the classes of masks are understood that somebody has found in a photo."""
        return self.vocabulary

    @property
    def finds(self) -> bool:
        """Whether it finds objects itself."""
        return finds(self.method)

    @property
    def refines(self) -> bool:
        """Whether it completes masks that it is given."""
        return refines(self.method)

    def refine(self, given: InputLike, seen: Instances, *, min_score: float = 0.0) -> Instances:
        """The objects of a photo that somebody has found, as whole objects: `seen.masks` are what is visible of each.

        `seen.image_boxes` are the boxes of the whole objects where they are known, `seen.classes` -1 where they are not. The
        answer keeps their order, and has `whole` masks of all pixels and, where the model makes them, `shapes`. `UserError` for
        a model that completes no masks, and for masks of another number of pixels.
        """
        given = input_of(given, call="refine(given, seen)")
        if not refines(self.method):
            raise UserError(f"{self.name} completes no masks; choose one that does: {', '.join(refiners())}")
        if isinstance(given, PointCloud):
            raise UserError(f"{self.name} completes masks in photos, and this is a cloud")
        if seen.masks.size != len(given):
            raise UserError(
                f"the masks are of {seen.masks.size:,} pixels and the photo has {len(given):,}; give masks of its size"
            )
        seen = seen[(seen.scores >= min_score).nonzero()[:, 0]]
        found = _expected(self.method.refine(given, seen), given, self.name)
        boxes = pixel_boxes(found.masks, width=given.image.shape[2])
        return replace(found, method=self.name, image_boxes=boxes)

    def _segment_cloud(
        self, cloud: PointCloud, wanted: torch.Tensor | None, min_score: float, *, overlap: bool | None
    ) -> Instances:
        usable = cloud.usable()
        if not bool(usable.any()):
            raise UserError("the cloud has no finite point; nothing to segment")
        shown, moved_by = _centred(cloud if bool(usable.all()) else cloud[usable])
        chosen = self.for_cloud(shown)
        assert takes_clouds(chosen.method)
        found = _expected(chosen.method.segment(shown), shown, chosen.name)
        found = found if moved_by is None else found.moved(np.linalg.inv(moved_by))
        found = found if bool(usable.all()) else _of_elements(found, usable.nonzero().flatten(), len(cloud))
        found = _chosen(found, wanted, min_score, overlap=overlap)
        boxes = found.boxes
        if boxes is None:
            with stage("boxes"):
                boxes = oriented_boxes(cloud.points, found.masks.offsets, found.masks.indices)
        return replace(found, boxes=boxes, method=chosen.name, source_from_cloud=cloud.source_from_cloud)

    def __call__(
        self,
        given: InputLike,
        *,
        classes: Sequence[str] | None = None,
        min_score: float = 0.0,
        overlap: bool | None = None,
    ) -> Instances:
        """`segment`."""
        return self.segment(given, classes=classes, min_score=min_score, overlap=overlap)


def refiners() -> list[str]:
    """The methods of this package that complete masks."""
    return [name for name in methods.METHODS if hasattr(methods.method_class(name), "refine")]


def load(name_or_path: str | Path, *, device: str = "cpu") -> Model:
    """A shipped model by name (`gestalt3d models` lists them) or a weight file by path, ready to `segment`.

    "auto" chooses for each scan, as `methods.choice` says.

    Raises `UserError` for an unknown name, a file that is no safetensors, or a device this machine lacks.
    """
    # Also for callers who check no types.
    if not isinstance(name_or_path, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]
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


def cloud_of_view(view: View, name: str) -> PointCloud:
    """The cloud that a model for clouds, of that name, is shown of a view; `UserError` where there is none."""
    _expect_depth(view, name)
    return view.cloud()


def without_photos(name: str) -> str:
    """That a model of that name takes no photos, and which do."""
    shipped = [
        name for name, file in checkpoint.shipped().items() if _finds_in_photos(checkpoint.method_in(file))
    ]
    remedy = f"photos are for {', '.join(shipped)}"
    return f"{name} wants depth, too (a colour image and its depth in a folder); {remedy}"


def _finds_in_photos(method: str) -> bool:
    kind = methods.method_class(method)
    return kind.takes is View and not needs_depth(kind) and finds(kind)


def _expect_depth(view: View, name: str) -> None:
    """`UserError` where a model of that name cannot know where the view's pixels are."""
    if view.depth is None:
        raise UserError(f"this is a photo without depth; {without_photos(name)}")
    if view.camera is None:
        raise UserError(f"this view has depth but no camera, by which {name} would know places; give it one")
    if not bool(view.seen.any()):
        raise UserError("no pixel of this view has a depth; nothing to segment")


def _with_boxes(found: Instances, view: View) -> Instances:
    """Boxes around visible pixels and their points, where the method has said none; NaN around no point."""
    boxes, image_boxes = found.boxes, found.image_boxes
    if boxes is None and view.camera is not None and bool(view.seen.any()):
        with stage("boxes"):
            seen, masks = view.seen.cpu(), found.masks
            has_point = seen[masks.indices]
            sizes = torch.bincount(masks.owners[has_point], minlength=len(found))
            point = seen.long().cumsum(0)[masks.indices[has_point]] - 1
            offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
            boxes = oriented_boxes(view.cloud().points, offsets, point)
            boxes[sizes == 0] = torch.nan
    if image_boxes is None:
        image_boxes = pixel_boxes(found.masks, width=view.image.shape[2])
    return replace(found, boxes=boxes, image_boxes=image_boxes)


def _expected(found: object, given: PointCloud | View, name: str) -> Instances:
    """The answer of a method, which another package may have written."""
    if not isinstance(found, Instances):
        raise UserError(f"the method {name} must return Instances from segment, got {type(found).__name__}")
    if found.masks.size != len(given):
        raise UserError(
            f"the method {name} must answer about all {len(given)} elements, got {found.masks.size}"
        )
    return found


def _centred(cloud: PointCloud) -> tuple[PointCloud, np.ndarray | None]:
    """The points moved to their median, where float32 has its best resolution, and the (4, 4) move; None for none."""
    if float(cloud.points.abs().max()) < 100.0:
        return cloud, None
    centre = cloud.points.median(dim=0).values
    move = np.eye(4)
    move[:3, 3] = -centre.double().numpy()
    return replace(cloud, points=cloud.points - centre), move


def _of_elements(found: Instances, where: torch.Tensor, size: int) -> Instances:
    """Instances of some elements, those at `where`, as instances of all `size`."""
    classes = None
    if found.element_classes is not None:
        classes = torch.full((size,), -1, dtype=torch.int64)
        classes[where] = found.element_classes
    return replace(
        found,
        masks=found.masks.within(where, size),
        whole=None if found.whole is None else found.whole.within(where, size),
        element_classes=classes,
    )


def _chosen(
    found: Instances, wanted: torch.Tensor | None, min_score: float, *, overlap: bool | None
) -> Instances:
    """The wanted instances, in the order of their scores."""
    rows = torch.argsort(found.scores, descending=True, stable=True)
    rows = rows[found.scores[rows] >= min_score]
    chosen = found[rows if wanted is None else rows[torch.isin(found.classes[rows], wanted)]]
    return apart(chosen) if overlap is False else chosen

"""The tables of the A3D paper, as far as they are here: Table 1 and the ablation, on synthetic objects instead of ShapeNet's."""

from typing import TYPE_CHECKING

from gestalt3d.reproduce import completions
from gestalt3d.reproduce.claim import Claim
from gestalt3d.reproduce.table import Budget, Row, Setting, Table
from gestalt3d.structures.vocabulary import SHAPENET13

if TYPE_CHECKING:
    from gestalt3d.engine.model import Model
    from gestalt3d.engine.recipe import Recipe


def _recipe(key: str, steps: int | None, seed: int) -> "Recipe":
    from gestalt3d.reproduce import a3d_rows

    return a3d_rows.row(key, steps=steps, seed=seed)


def _silhouettes_alone(model: "Model") -> "Model":
    from gestalt3d.reproduce import a3d_rows

    return a3d_rows.silhouettes_alone(model)


OBJECTS = Setting(
    data="objects:test",
    full=Budget(train=35_100, test=390, seeds=(0, 1, 2), steps=800),
    quick=Budget(train=26, test=13, seeds=(0,), steps=1),
    recipe=_recipe,
    measure=completions.measure,
    about="pictures of single synthetic objects: {train} to train on, {test} of new objects from viewpoints that training held"
    " out (objects:test), and as many from its viewpoints; {steps} steps of 32 pictures a row, seeds {seeds}; every row is given"
    " the true boxes and visible masks, which belong to every answer; paper: ShapeNet, where it finds boxes and masks itself",
)


def _ious(*values: float) -> dict[str, float]:
    """A row of the paper's Table 1: the thirteen categories in our order, and their mean."""
    return dict(zip((*SHAPENET13.names, "mIoU"), values, strict=True))


_OF_ALL = (*completions.MEANS, *SHAPENET13.names)
TABLES = {
    "a3d-table1": Table(
        "A3D Table 1: whole masks of single objects, thirteen categories",
        OBJECTS,
        _OF_ALL,
        (
            Row("nothing is hidden", "visible-masks-objects", {}, untrained="visible-masks"),
            Row("convex hull of what is visible", "convex-hulls-objects", {}, untrained="convex-hulls"),
            Row(
                "Deocclusion",
                "pcnet-objects",
                _ious(24.9, 67.4, 45.3, 58.8, 83.7, 78.4, 77.9, 15.2, 48.7, 48.1, 39.5, 23.8, 71.9, 52.2),
                published_only=True,
            ),
            Row(
                "Mask R-CNN",
                "mask-rcnn-objects",
                _ious(73.4, 66.0, 92.4, 93.5, 89.3, 90.0, 77.4, 88.5, 30.0, 86.0, 73.1, 89.8, 80.5, 79.2),
            ),
            Row(
                "ORCNN",
                "orcnn-objects",
                _ious(71.5, 61.1, 92.0, 92.7, 88.8, 88.8, 79.5, 88.7, 32.8, 85.6, 72.5, 89.0, 80.0, 78.7),
            ),
            Row(
                "BCNet",
                "bcnet-objects",
                _ious(73.0, 75.1, 93.8, 89.4, 86.6, 88.7, 81.6, 90.2, 32.8, 83.4, 77.5, 88.7, 74.8, 78.2),
            ),
            Row(
                "ShapeDict",
                "shapedict-objects",
                _ious(75.2, 68.5, 93.7, 93.6, 88.4, 89.3, 78.1, 88.6, 34.4, 87.3, 74.8, 90.7, 80.9, 80.3),
            ),
            Row(
                "A3D",
                "a3d-table",
                _ious(77.9, 80.8, 94.2, 92.8, 79.7, 87.5, 67.8, 90.5, 69.9, 90.3, 86.2, 92.1, 81.3, 83.9),
            ),
        ),
        tuple(
            Claim("a3d-table", other, "mIoU")
            for other in ("mask-rcnn-objects", "orcnn-objects", "bcnet-objects", "shapedict-objects")
        ),
    ),
    "a3d-ablation": Table(
        "A3D Sec. 4.5: what its parts bring",
        OBJECTS,
        completions.MEANS,
        (
            Row("Mask R-CNN", "mask-rcnn-objects", {"mIoU": 79.2}),
            Row("3D modelling, without edge refinement", "a3d-table-silhouettes", {"mIoU": 83.2},
                trained_as="a3d-table", adjust=_silhouettes_alone),
            Row("A3D", "a3d-table", {"mIoU": 83.9}),
            Row("without cross-view training", "a3d-table-no-cross-view", {"mIoU": 82.5}),
            Row("with one guess of the azimuth, as in the paper", "a3d-table-one-azimuth", {}),
        ),
        (
            Claim("a3d-table-silhouettes", "mask-rcnn-objects", "mIoU"),
            Claim("a3d-table", "a3d-table-silhouettes", "mIoU"),
            Claim("a3d-table", "a3d-table-no-cross-view", "mIoU"),
            Claim("a3d-table", "a3d-table-one-azimuth", "mIoU"),
        ),
    ),
}  # fmt: skip

"""The tables of the A3D paper, on synthetic objects instead of ShapeNet's, and on synthetic photos instead of real ones."""

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


def _recipe_of_photos(key: str, steps: int | None, seed: int) -> "Recipe":
    from gestalt3d.reproduce import a3d_rows

    return a3d_rows.row_of_photos(key, steps=steps, seed=seed)


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
    " the true boxes and visible masks, which belong to every answer."
    " Mask R-CNN's family begins with ImageNet's MobileNetV2 and learns at half A3D's rate;"
    " paper: ShapeNet, where it finds boxes and masks itself",
)


PHOTOS = Setting(
    data="photos:test",
    full=Budget(train=5000, test=100, seeds=(0, 1, 2), steps=400),
    quick=Budget(train=2, test=1, seeds=(0,), steps=1),
    recipe=_recipe_of_photos,
    measure=completions.measure_photos,
    about="synthetic photos of objects that hide one another: {train} to train on, {test} to test (photos:test); {steps} steps of"
    " 6 photos a row, seeds {seeds}, before which those that start from single objects had as many steps of 32 pictures of them."
    " For IoU every row is given the true boxes and visible masks, for mAP what the shipped mask-rcnn-photos finds. Costs are"
    " those of a photo of 320 x 240 with ten objects; of A3D and Deocclusion with this finder. Mask R-CNN's family begins with"
    " ImageNet's MobileNetV2, the others from nothing; paper: the mean of D2SA, KINS and COCOA-cls, where each finds masks"
    " itself",
)


def _mean(*values: float) -> float:
    return round(sum(values) / len(values), 1)


def _ious(*values: float) -> dict[str, float]:
    """A row of the paper's Table 1: the thirteen categories in our order, and their mean."""
    return dict(zip((*SHAPENET13.names, "mIoU"), values, strict=True))


def _of_photos(ious: tuple[float, float, float], aps: tuple[float, float, float]) -> dict[str, float]:
    """The means of a row of the paper's Table 2 over its data sets."""
    return {"mIoU": _mean(*ious), "mAP": _mean(*aps)}


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
    "a3d-table2": Table(
        "A3D Table 2: whole masks in photos",
        PHOTOS,
        completions.PHOTO_MEANS,
        (
            Row("nothing is hidden", "visible-masks-photos", {}, untrained="visible-masks"),
            Row("convex hull of what is visible", "convex-hulls-photos", {}, untrained="convex-hulls"),
            Row("Deocclusion", "pcnet-photos-none", _of_photos((73.8, 59.2, 39.2), (61.7, 27.5, 19.9))),
            Row("Mask R-CNN", "mask-rcnn-photos-none", _of_photos((74.6, 60.1, 63.8), (63.6, 30.0, 33.7))),
            Row("ORCNN", "orcnn-photos-none", _of_photos((74.1, 55.1, 57.6), (64.2, 30.6, 28.0))),
            Row("BCNet", "bcnet-photos-none", _of_photos((74.9, 44.0, 15.1), (50.9, 22.1, 16.2))),
            Row("ShapeDict", "shapedict-photos-none", _of_photos((75.0, 63.7, 64.5), (70.3, 32.1, 35.4))),
            Row("A3D", "a3d-photos-none", _of_photos((74.7, 61.4, 64.2), (68.5, 31.4, 34.9))),
            Row("A3D, pre-trained", "a3d-photos-all", _of_photos((78.4, 65.5, 67.4), (73.5, 36.2, 40.6)), start="a3d-all"),
        ),
        (
            Claim("a3d-photos-all", "a3d-photos-none", "mIoU"),
            *(Claim("a3d-photos-all", f"{other}-photos-none", "mIoU")
              for other in ("pcnet", "mask-rcnn", "orcnn", "bcnet", "shapedict")),
        ),
    ),
    "a3d-table3": Table(
        "A3D Table 3: what more pictures to start from bring",
        PHOTOS,
        ("mIoU", "hidden mIoU", "mAP"),
        tuple(
            Row(f"{label}, {from_what}", f"{method}-photos-{start}", {"mAP": paper},
                start=None if start == "none" else f"{method}-{start}")
            for label, method, papers in (
                ("Mask R-CNN", "mask-rcnn", (_mean(63.6, 30.0, 33.7), _mean(63.9, 30.5, 33.9), _mean(64.8, 31.1, 34.6))),
                ("ShapeDict", "shapedict", (_mean(70.3, 32.1, 35.4), _mean(70.5, 32.2, 35.7), _mean(71.2, 32.5, 36.4))),
                ("A3D", "a3d", (_mean(68.5, 31.4, 34.9), _mean(71.4, 33.7, 37.4), _mean(73.5, 36.2, 40.6))),
            )
            for start, from_what, paper in zip(
                ("none", "few", "all"), ("from nothing", "from a quarter of the pictures", "from all of them"), papers,
                strict=True,
            )
        ),
        (
            *(Claim(f"{method}-photos-{one}", f"{method}-photos-{other}", "mIoU")
              for method in ("mask-rcnn", "shapedict", "a3d") for one, other in (("few", "none"), ("all", "few"))),
            Claim("a3d-photos-all", "shapedict-photos-all", "mIoU"),
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

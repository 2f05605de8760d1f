"""The tables of the A3IS-CNN paper, as far as they are here, and one that it does not have: what nobody sees of an object."""

from dataclasses import replace
from typing import TYPE_CHECKING

from gestalt3d.reproduce import frames
from gestalt3d.reproduce.claim import Claim
from gestalt3d.reproduce.table import Budget, Row, Setting, Table

if TYPE_CHECKING:
    from gestalt3d.engine.model import Model
    from gestalt3d.engine.recipe import Recipe


def _recipe(key: str, steps: int | None, seed: int) -> "Recipe":
    from gestalt3d.reproduce import a3is_rows

    return a3is_rows.row(key, steps=steps, seed=seed)


def _boxes_alone(model: "Model") -> "Model":
    from gestalt3d.reproduce import a3is_rows

    return a3is_rows.boxes_alone(model)


def _filling_boxes(model: "Model") -> "Model":
    from gestalt3d.reproduce import a3is_rows

    return a3is_rows.filling_boxes(model)


def _reaching_the_floor(model: "Model") -> "Model":
    from gestalt3d.reproduce import a3is_rows

    return a3is_rows.reaching_the_floor(model)


FRAMES = Setting(
    data="views:test",
    full=Budget(train=5000, test=100, seeds=(0, 1, 2), steps=400),
    quick=Budget(train=2, test=1, seeds=(0,), steps=1),
    recipe=_recipe,
    measure=frames.measure,
    about="synthetic RGB-D frames: {train} train, {test} test (views:test); {steps} steps of 2 frames a row, seeds {seeds};"
    " regions are clusters, but for the row that says otherwise; whole objects in voxels of 5 cm; what the columns mean is our"
    " reading (docs/papers/a3is.md); paper: NYUv2",
)
BRANCHES = replace(
    FRAMES,
    full=replace(FRAMES.full, steps=250),
    about="synthetic RGB-D frames: {train} train, {test} test (views:test); every row has the boxes of the shipped a3is-rooms;"
    " its branch learns from nothing, {steps} steps of 2 frames, seeds {seeds}; paper: NYUv2",
)
HIDDEN = replace(
    BRANCHES,
    measure=frames.measure_hidden,
    about="synthetic RGB-D frames: {test} test (views:test); mean IoU of what no pixel shows of an object, in voxels of 5 cm, of"
    " the objects that have an answer, and by the percent of the object that is hidden. All rows but the last have the boxes"
    " of the shipped a3is-rooms; behind these the branch learns anew, {steps} steps of 2 frames, seeds {seeds}",
)
QUANTIZED = replace(
    FRAMES,
    full=replace(FRAMES.full, steps=150),
    measure=frames.measure_quantizer,
    about="synthetic RGB-D frames: {train} train, {test} test (views:test); {steps} steps of 2 frames a row, seeds {seeds}; every"
    " network for photos learns from nothing; the branch's features pass a Gaussian quantizer of three positive levels, whose"
    " mean square error is in thousandths of their variance; the paper prints a plot alone",
)
_SHIPPED = "a3is-rooms"
_BEHIND = (f"{_SHIPPED}.dss",)
"""The boxes that rows of a branch share."""


def _figures(*values: float) -> dict[str, float]:
    return dict(zip(("AP", "AP2", "AP4"), values, strict=True))


def _all(*values: float) -> dict[str, float]:
    return dict(zip(frames.COLUMNS, values, strict=True))


TABLES = {
    "a3is-table1": Table(
        "A3IS-CNN Table 1: whole objects in frames",
        FRAMES,
        frames.COLUMNS,
        (
            Row(
                "PointNet",
                "pointnet-frames",
                {"AP": 24.24, "AP2": 28.5, "AP4": 25.5, "APr": 39.8},
                published_only=True,
            ),
            Row("GeocNet", "geocnet-frames", _all(32.1, 36.4, 33.4, 37.3, 36.5, 35.5), published_only=True),
            Row("DSS", "dss", _all(36.4, 40.2, 38.5, 37.8, 40.5, 38.8)),
            Row("point cloud + branch", "a3is-no-color", _all(26.8, 30.5, 27.8, 28.5, 29.5, 29.8)),
            Row(
                "RGB-D, boxes of the row below",
                "a3is-boxes",
                _all(40.5, 45.2, 41.2, 38.2, 44.8, 40.4),
                trained_as="a3is",
                adjust=_boxes_alone,
            ),
            Row("RGB-D + A3IS branch", "a3is", _all(52.5, 58.1, 53.1, 52.1, 56.2, 53.5)),
            Row("the same, regions from a 3D RPN, which wants more training", "a3is-anchors", {}),
        ),
        (
            *(Claim("a3is", "a3is-boxes", metric) for metric in ("AP", "APr", "APm")),
            *(Claim("a3is", "a3is-no-color", metric) for metric in ("AP", "APb")),
            *(Claim("a3is", "dss", metric) for metric in ("AP", "APb")),
        ),
    ),
    "a3is-table2a": Table(
        "A3IS-CNN Table 2a: networks for the photo",
        FRAMES,
        ("AP", "AP2", "AP4"),
        (
            Row("AlexNet", "a3is-alexnet", _figures(35.2, 41.4, 34.8)),
            Row("VGGNet", "a3is-vgg16", _figures(39.9, 45.5, 39.8)),
            Row("ResNet-8 (one block a stage)", "a3is-resnet10-c4", _figures(43.2, 49.2, 44.1)),
            Row("ResNet-16-C4 (ResNet-18)", "a3is-resnet18-c4", _figures(45.5, 51.2, 46.3)),
            Row("ResNet-16-FPN (ResNet-18)", "a3is-resnet18-fpn", _figures(50.5, 56.4, 51.2)),
        ),
        tuple(
            Claim("a3is-resnet18-fpn", other, "AP")
            for other in ("a3is-alexnet", "a3is-vgg16", "a3is-resnet10-c4", "a3is-resnet18-c4")
        ),
    ),
    "a3is-table2b": Table(
        "A3IS-CNN Table 2b: bins and activations of the branch",
        BRANCHES,
        ("AP", "AP2", "AP4", "APr"),
        (
            Row("RoIPool + softmax", "branch-pool-softmax", _figures(38.5, 40.6, 37.8), init=_BEHIND),
            Row("RoIPool + sigmoid", "branch-pool-sigmoid", _figures(39.0, 42.9, 38.2), init=_BEHIND),
            Row("RoIAlign + softmax", "branch-align-softmax", _figures(40.0, 43.9, 39.2), init=_BEHIND),
            Row("RoIAlign + sigmoid", "branch", _figures(44.5, 50.8, 46.2), init=_BEHIND),
        ),
        (
            Claim("branch", "branch-align-softmax", "AP"),
            Claim("branch", "branch-pool-sigmoid", "AP"),
            Claim("branch-align-softmax", "branch-pool-softmax", "AP"),
        ),
    ),
    "a3is-fig6": Table(
        "A3IS-CNN Fig. 6: the quantizer's error while the network learns",
        QUANTIZED,
        ("error in test frames", "AP4"),
        tuple(
            Row(f"{network}, {sampling}", f"quantized-{key}-{place}", {})
            for network, key in (
                ("AlexNet", "alexnet"),
                ("ResNet-16 (ResNet-18)", "resnet16"),
                ("VGG-net", "vgg"),
            )
            for sampling, place in (("RoIPool", "pool"), ("RoIWarp", "warp"), ("RoIAlign", "align"))
        ),
        tuple(
            Claim(f"quantized-{key}-align", f"quantized-{key}-pool", "AP4")
            for key in ("alexnet", "resnet16", "vgg")
        ),
        curve="quantizer_error",
    ),
    "a3is-hidden": Table(
        "What nobody sees of an object (not in the paper)",
        HIDDEN,
        ("found %", "hidden IoU", *(f"hidden IoU {share} %" for share in frames.SHARES), *frames.HIDDEN[1:]),
        (
            Row("A3IS-CNN, its branch anew", "branch-hidden", {}, trained_as="branch", init=_BEHIND),
            Row("A3IS-CNN as shipped", "a3is-rooms-hidden", {}, weights=_SHIPPED),
            Row("all of its boxes", "boxes-hidden", {}, weights=_SHIPPED, adjust=_filling_boxes),
            Row(
                "its boxes but for what the camera looks through",
                "unseen-hidden",
                {},
                weights=_SHIPPED,
                adjust=_boxes_alone,
            ),
            Row(
                "its visible points, and what is below them",
                "floor-hidden",
                {},
                weights=_SHIPPED,
                adjust=_reaching_the_floor,
            ),
            Row("R-PointNet as shipped", "rpointnet-rooms-hidden", {}, weights="rpointnet-rooms"),
        ),
        tuple(
            Claim(answer, other, metric)
            for answer in ("branch-hidden", "a3is-rooms-hidden")
            for other in ("boxes-hidden", "unseen-hidden", "floor-hidden", "rpointnet-rooms-hidden")
            for metric in frames.HIDDEN[:2]
        ),
    ),
}

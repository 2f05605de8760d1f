"""A3IS-CNN and Deep Sliding Shapes on synthetic RGB-D frames, for a CPU, and as in the papers on NYUv2 and SUN RGB-D."""

from collections.abc import Callable
from dataclasses import replace

from gestalt3d.data.augment_views import ViewAugment
from gestalt3d.engine.recipe import Optim, Recipe
from gestalt3d.methods.a3is import A3ISConfig
from gestalt3d.methods.dss import DSSConfig
from gestalt3d.methods.frames.recognition import RecognitionConfig
from gestalt3d.methods.frames.regions import RegionConfig
from gestalt3d.methods.frames.space import SpaceConfig

_SMALL = DSSConfig(
    space=SpaceConfig(size=(80, 80, 40), voxel=0.065, along_walls=True),
    regions=RegionConfig(
        density=500.0,
        positive_iou=0.3,
        small_positive_iou=0.3,
        negative_iou=0.1,
        forced_iou=0.1,
        of_each_anchor=60,
        proposals=200,
        proposal_suppression=0.6,
    ),
    widths=(16, 32, 32),
    sizes=(3, 3),
    pools=(2, 1),
    large_sizes=(3, 3, 3, 1),
    norm=True,
    image="mobilenetv2",
    image_learns=False,
    image_start="imagenet",
    recognition=RecognitionConfig(
        size=8, widths=(24, 48), sizes=(3, 3), shared=True, hidden=256, joint=256, dropout=0.2, turn=True
    ),
    rois=32,
    min_score=0.1,
    most=50,
)


def a3is_rooms() -> Recipe:
    """A3IS-CNN on synthetic frames behind clusters instead of a proposal network; for a CPU."""
    base = a3is_rooms_anchors()
    assert isinstance(base.model, A3ISConfig)
    sees = replace(base.model.dss.recognition, margin=2.0, geometry=True)
    found = replace(
        base.model.dss, propose="clusters", recognition=sees, rois=48, roi_positive_share=0.6, max_iou=0.2
    )
    model = replace(
        base.model, dss=found, margin=1.4, mask_positive_iou=0.25, mask_threshold=0.2, visible_threshold=0.15
    )
    return replace(base, name="a3is-rooms", model=model)


def a3is_rooms_anchors() -> Recipe:
    """A3IS-CNN on synthetic frames as in the paper, a hundredth of its size; for a CPU, which is slow to teach it."""
    return Recipe(
        name="a3is-rooms-anchors",
        model=A3ISConfig(
            dss=_SMALL, bins=12, samples=1, color_width=16, mask_width=32, mask_rois=32, margin=1.1
        ),
        optim=Optim(
            kind="adamw", steps=2_000, lr=1.5e-3, schedule="cosine", samples_per_step=2, warmup=50, clip=5.0,
            weight_decay=1e-4, bn_momentum=0.1, halve_every=1_000_000, ema=0.995,
        ),
        data="views:train",
        augment=ViewAugment(),
        classes="dss19",
        scans_per_step=2,
        checkpoint_every=50,
    )  # fmt: skip


def dss_rooms() -> Recipe:
    """Deep Sliding Shapes on synthetic frames: what a3is-rooms-anchors is without its branch."""
    return replace(a3is_rooms_anchors(), name="dss-rooms", model=_SMALL)


def a3is_sunrgbd() -> Recipe:
    """The paper's A3IS-CNN on SUN RGB-D, 40,000 steps of 4 frames; add --root DIR. Needs a GPU. Its masks have no truth there."""
    return Recipe(
        name="a3is-sunrgbd",
        model=A3ISConfig(dss=replace(DSSConfig(), image="resnet18-fpn", image_start="imagenet")),
        optim=Optim(
            kind="sgd", steps=40_000, lr=1e-3, schedule="halving", samples_per_step=4, halve_every=40_000, momentum=0.9,
            weight_decay=5e-4,
        ),
        data="sunrgbd:train",
        augment=ViewAugment(),
        classes="dss19",
        scans_per_step=4,
    )  # fmt: skip


def dss_sunrgbd() -> Recipe:
    """Deep Sliding Shapes on SUN RGB-D, 10,000 steps of 2 frames; add --root DIR. Needs a GPU."""
    return Recipe(
        name="dss-sunrgbd",
        model=DSSConfig(image_start="imagenet"),
        optim=Optim(
            kind="sgd", steps=10_000, lr=1e-3, schedule="halving", samples_per_step=2, halve_every=4_000, momentum=0.9,
            weight_decay=5e-4,
        ),
        data="sunrgbd:train",
        augment=ViewAugment(),
        classes="dss19",
        scans_per_step=2,
    )  # fmt: skip


RECIPES: dict[str, Callable[[], Recipe]] = {
    "a3is-rooms": a3is_rooms,
    "a3is-rooms-anchors": a3is_rooms_anchors,
    "dss-rooms": dss_rooms,
    "a3is-sunrgbd": a3is_sunrgbd,
    "dss-sunrgbd": dss_sunrgbd,
}
CHAINS: dict[str, tuple[str, ...]] = {}

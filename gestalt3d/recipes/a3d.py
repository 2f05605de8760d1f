"""A3D and what it is compared with, on synthetic objects and photos, for a CPU, and as in the paper."""

from collections.abc import Callable
from dataclasses import replace

from gestalt3d.data.augment_views import AS_IT_IS, ViewAugment
from gestalt3d.engine.recipe import Optim, Recipe
from gestalt3d.methods.a3d import A3DConfig
from gestalt3d.methods.mask_rcnn import MaskRCNNConfig
from gestalt3d.methods.pcnet import PCNetConfig
from gestalt3d.recipes.commands import training

_SMALL = A3DConfig(
    around="visible",
    margin=2.0,
    shift=True,
    widths=(16, 32, 64, 128, 256),
    pool=False,
    hidden=(512, 512, 256),
    decoder=(512, 512),
    refine_widths=(16, 16, 16),
    class_forcing=0.5,
    azimuths=6,
    cross_view=True,
)
_COLORS = ViewAugment(p_mirror=0.0, p_holes=0.0)
_OPTIM = Optim(
    kind="adamw", steps=3_000, lr=1e-3, schedule="cosine", samples_per_step=16, warmup=100, clip=5.0, weight_decay=1e-4,
    bn_momentum=0.1, halve_every=1_000_000, ema=0.995,
)  # fmt: skip


def a3d_objects() -> Recipe:
    """A3D, a quarter of its size, on two pictures of each of sixteen synthetic objects a step; for a CPU."""
    return Recipe(
        name="a3d-objects",
        model=_SMALL,
        optim=_OPTIM,
        data="objects:train",
        augment=AS_IT_IS,
        classes="shapenet13",
        scans_per_step=16,
        checkpoint_every=100,
    )


def a3d_photos() -> Recipe:
    """That network, shown the other masks as well, on synthetic photos of objects that hide one another; for a CPU."""
    return replace(
        a3d_objects(),
        name="a3d-photos",
        model=replace(
            _SMALL,
            cross_view=False,
            beside=True,
            behind=True,
            front=0.25,
            behind_weight=3.0,
            unet=(16, 32, 64, 64, 64),
        ),
        optim=replace(_OPTIM, steps=1_500, lr=5e-4, samples_per_step=6),
        data="photos:train",
        augment=_COLORS,
        scans_per_step=6,
        init=("a3d-objects",),
    )


def a3d_shapenet() -> Recipe:
    """The paper's A3D on renderings of ShapeNet; add --root DIR. Adam at 1e-4, 64 pictures a step. Needs a GPU."""
    return Recipe(
        name="a3d-shapenet",
        model=A3DConfig(),
        optim=Optim(kind="adam", steps=250_000, lr=1e-4, schedule="constant", samples_per_step=64),
        data="nmr:train",
        augment=AS_IT_IS,
        classes="shapenet13",
        scans_per_step=64,
    )


def mask_rcnn_photos() -> Recipe:
    """A small Mask R-CNN with amodal boxes and visible masks, A3D's first stage, on synthetic photos; for a CPU."""
    return Recipe(
        name="mask-rcnn-photos",
        model=MaskRCNNConfig(
            levels="mobilenetv2", start="imagenet", width=64, shorter=240, longer=320, anchors=(16, 32, 64, 128, 192),
            proposals=200, rois=64, box_hidden=256, masks="visible", mask_width=64, mask_layers=2, centres=64, priors=8,
        ),
        optim=Optim(
            kind="adamw", steps=3_000, lr=5e-4, schedule="cosine", samples_per_step=4, warmup=100, clip=5.0, weight_decay=1e-4,
            bn_momentum=0.1, halve_every=1_000_000, ema=0.995,
        ),
        data="photos:train",
        augment=ViewAugment(p_holes=0.0),
        classes="shapenet13",
        scans_per_step=4,
        checkpoint_every=100,
    )  # fmt: skip


def pcnet_photos() -> Recipe:
    """PCNet-M on the visible masks of synthetic photos; for a CPU."""
    return Recipe(
        name="pcnet-photos",
        model=PCNetConfig(side=64, widths=(16, 32, 64, 64)),
        optim=replace(_OPTIM, steps=3_000, samples_per_step=6),
        data="photos:train",
        augment=AS_IT_IS,
        classes="shapenet13",
        scans_per_step=6,
        checkpoint_every=100,
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "a3d-objects": a3d_objects,
    "a3d-photos": a3d_photos,
    "a3d-shapenet": a3d_shapenet,
    "mask-rcnn-photos": mask_rcnn_photos,
    "pcnet-photos": pcnet_photos,
}
CHAINS: dict[str, tuple[str, ...]] = {
    "a3d-photos": (training("a3d-objects"), training("a3d-photos", init=("a3d-objects",))),
}

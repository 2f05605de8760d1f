"""ASIS: on synthetic rooms, on folders of one's own, and as in the paper on S3DIS."""

from collections.abc import Callable
from dataclasses import replace

from gestalt3d.data.augment import PLAIN
from gestalt3d.engine.recipe import Optim, Recipe
from gestalt3d.methods.asis import ASISConfig
from gestalt3d.methods.rooms.backbone import PointNet2Config, PointNetConfig
from gestalt3d.methods.rooms.blocks import LatticeConfig
from gestalt3d.methods.rooms.blockwise import TrainingConfig
from gestalt3d.methods.rooms.merging import AgreementConfig
from gestalt3d.recipes import rooms
from gestalt3d.recipes.commands import ROOT, training

# Areas 1-4 and 6 give about 16,700 blocks at a stride of half a metre; an epoch is that many, 24 a step.
S3DIS_STEPS = 700


def asis_rooms() -> Recipe:
    """ASIS (PointNet++) on synthetic rooms, made to work on real scans, too; two CPU cores, a few hours.

    The shipped weights come from several trainings with it: see their card.
    """
    return Recipe(
        name="asis-rooms",
        model=ASISConfig(
            backbone=PointNet2Config(radii=(0.12, 0.25, 0.5, 1.0), group_size=16),
            blocks=LatticeConfig(size=2.0, stride=1.0, grid=0.03, normals=16),
            training=TrainingConfig(blocks_per_scan=4, object_blocks=0.5, class_balance=0.5),
            merging=AgreementConfig(),
            turns=2, scan_statistics=8, bandwidth=0.5, dropout=0.0,
        ),
        optim=Optim(
            steps=9_000,
            lr=1.5e-3,
            schedule="cosine",
            samples_per_step=8,
            warmup=50,
            clip=1.0,
            bn_momentum=0.1,
            halve_every=1_000_000,
            precision="bf16",
            ema=0.995,
        ),
        data="rooms:train",
        validate="rooms:val",
        classes="s3dis",
        augment=rooms.AUGMENT,
        count=5000,
        scans_per_step=2,
        separate_scans=True,
        checkpoint_every=250,
    )  # fmt: skip


def asis_folder() -> Recipe:
    """Your own labelled scans and classes, starting from the shipped weights: add --root DIR --init asis-rooms."""
    base = asis_rooms()
    return replace(
        base,
        name="asis-folder",
        data="folder",
        validate="folder",
        classes="",
        count=None,
        hold_out=0.2,
        validate_every=100,
        validate_count=6,
        augment=replace(rooms.AUGMENT, p_bumps=0.0, p_smooth=0.0),  # real scans have that already
        optim=replace(base.optim, steps=500, lr=5e-4, warmup=20, ema=0.0),
    )


def asis_s3dis() -> Recipe:
    """The paper's ASIS (PointNet++) on S3DIS, tested on Area 5: 100 epochs, batch 24; add --root DIR. Needs a GPU."""
    return Recipe(
        name="asis-s3dis",
        model=ASISConfig(training=TrainingConfig(blocks_per_scan=1)),
        optim=Optim(steps=100 * S3DIS_STEPS),
        classes="s3dis",
        augment=PLAIN,
        data="s3dis:not5",
        validate="s3dis:area5",
        scans_per_step=24,
        stored_blocks=True,
    )


def asis_s3dis_pointnet() -> Recipe:
    """The paper's ASIS (PointNet) on S3DIS, tested on Area 5: 50 epochs, batch 24; add --root DIR. Needs a GPU."""
    base = asis_s3dis()
    return replace(
        base,
        name="asis-s3dis-pointnet",
        model=replace(base.model, backbone=PointNetConfig()),
        optim=replace(base.optim, steps=50 * S3DIS_STEPS),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "asis-rooms": asis_rooms,
    "asis-folder": asis_folder,
    "asis-s3dis": asis_s3dis,
    "asis-s3dis-pointnet": asis_s3dis_pointnet,
}
CHAINS: dict[str, tuple[str, ...]] = {
    "asis-rooms": (
        training("asis-rooms", out="asis-rooms-1"),
        training(
            "asis-rooms", "--optim.lr 1.3e-3 --optim.steps 5000 --seed 6", init=("asis-rooms-1",), out="asis-rooms-2"
        ),
        "gestalt3d average runs/asis-rooms-1/last.safetensors runs/asis-rooms-2/last.safetensors --shares 0.3 0.7 "
        "-o runs/asis-rooms.safetensors",
    ),
    "asis-folder": (training("asis-folder", ROOT, init=(":asis-rooms",)),),
}  # fmt: skip
"""The commands that make the weights of a recipe, where it is more than one training."""

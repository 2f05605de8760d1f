"""SGPN on S3DIS, as its authors train it: a semantic network first, then with its batch norm frozen."""

from collections.abc import Callable
from dataclasses import replace

from gestalt3d.engine.recipe import SEMANTIC, Optim, Recipe
from gestalt3d.methods.rooms.backbone import PointNetConfig
from gestalt3d.methods.rooms.blockwise import TrainingConfig
from gestalt3d.methods.sgpn import SGPNConfig
from gestalt3d.recipes.asis import S3DIS_STEPS, asis_s3dis, asis_s3dis_pointnet
from gestalt3d.recipes.commands import ROOT, training


def sgpn_s3dis_semantics() -> Recipe:
    """The semantic network that SGPN starts from, as PointNet is trained: batch 24, 50 epochs; add --root DIR. Needs a GPU."""
    return replace(
        asis_s3dis_pointnet(),
        name="sgpn-s3dis-semantics",
        model=SGPNConfig(
            backbone=PointNetConfig(), training=TrainingConfig(blocks_per_scan=1), semantics_only=True
        ),
        validate_by=SEMANTIC,
    )


def sgpn_s3dis() -> Recipe:
    """SGPN on S3DIS as its authors train it: batch 4, 200 epochs; add --root DIR --init WEIGHTS of sgpn-s3dis-semantics."""
    base = sgpn_s3dis_semantics()
    return replace(
        base,
        name="sgpn-s3dis",
        model=replace(base.model, semantics_only=False),
        validate_by=asis_s3dis().validate_by,
        optim=Optim(
            steps=200 * 6 * S3DIS_STEPS, lr=1e-4, lr_floor=1e-6, halve_every=800_000, samples_per_step=4
        ),
        scans_per_step=4,
        freeze_bn=True,
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "sgpn-s3dis-semantics": sgpn_s3dis_semantics,
    "sgpn-s3dis": sgpn_s3dis,
}
CHAINS: dict[str, tuple[str, ...]] = {
    "sgpn-s3dis": (
        training("sgpn-s3dis-semantics", ROOT),
        training("sgpn-s3dis", ROOT, init=("sgpn-s3dis-semantics",)),
    ),
}
"""The commands that make the weights of a recipe, where it is more than one training."""

"""MTML: on toy boxes, on synthetic rooms with its semantic stage, and as in the paper on ScanNet."""

from collections.abc import Callable
from dataclasses import replace

from gestalt3d.data.augment import PLAIN
from gestalt3d.engine.recipe import SEMANTIC, Optim, Recipe
from gestalt3d.methods.mtml import MTMLConfig
from gestalt3d.methods.staged import StagedConfig
from gestalt3d.methods.superpoints import SuperpointConfig
from gestalt3d.methods.unet import UNetConfig
from gestalt3d.methods.voxels.grouping import ProposalConfig
from gestalt3d.methods.voxels.semantic_noise import SemanticNoiseConfig
from gestalt3d.recipes import rooms
from gestalt3d.recipes.commands import ROOT, training

_SCANNET_EPOCHS, _SCANNET_SCANS = 100, 1201


def mtml_toyboxes() -> Recipe:
    """MTML on the toy boxes of its Sec. 4.1, true semantics as input; a quarter of an hour on one CPU core."""
    return Recipe(
        name="mtml-toyboxes",
        model=MTMLConfig(norm=True, proposals=ProposalConfig(coherent=True)),
        optim=Optim(
            steps=3_000, lr=3e-3, schedule="cosine", samples_per_step=2, warmup=50, clip=1.0, bn_momentum=0.1,
            halve_every=1_000_000,
        ),
        augment=PLAIN,
        data="toyboxes:train",
        classes="toyboxes",
        validate="toyboxes:val",
        scans_per_step=2,
    )  # fmt: skip


def mtml_toyboxes_hard() -> Recipe:
    """The same on the preset `hard`, whose boxes touch often."""
    return replace(
        mtml_toyboxes(), name="mtml-toyboxes-hard", data="toyboxes-hard:train", validate="toyboxes-hard:val"
    )


def semantics_rooms() -> Recipe:
    """MTML's semantic stage on synthetic rooms, made to work on real scans, too; one CPU core, about an hour."""
    return Recipe(
        name="semantics-rooms",
        model=UNetConfig(
            width=24, class_balance=0.3, max_extent=5.0, turns=4, superpoints=SuperpointConfig()
        ),
        optim=Optim(
            steps=1_800, lr=8e-3, schedule="cosine", samples_per_step=4, warmup=50, clip=1.0, bn_momentum=0.1,
            halve_every=1_000_000, precision="bf16", ema=0.995,
        ),
        data="rooms:train",
        validate="rooms:val",
        augment=rooms.AUGMENT,
        classes="scannet21",
        count=2000,
        validate_by=SEMANTIC,
        checkpoint_every=250,
    )  # fmt: skip


def mtml_rooms_true() -> Recipe:
    """The first stage of mtml-rooms: MTML on synthetic rooms with their true semantics (its Sec. 3.3)."""
    return Recipe(
        name="mtml-rooms-true",
        model=MTMLConfig(
            norm=True,
            turns=2,
            proposals=ProposalConfig(
                bandwidths=(1.0, 1.5, 2.0), across=True, merge=0.6, unions=False, feature_weight=0.0,
                size_weight=0.0, large_weight=1.0, min_voxels=5, coherent=True,
            ),
        ),
        optim=Optim(
            steps=3_000, lr=3e-3, schedule="cosine", samples_per_step=4, warmup=50, clip=1.0, bn_momentum=0.1,
            halve_every=1_000_000, precision="bf16", ema=0.995,
        ),
        data="rooms:train",
        validate="rooms:val",
        augment=rooms.AUGMENT,
        classes="scannet21",
        count=2000,
        checkpoint_every=100,
    )  # fmt: skip


def mtml_rooms() -> Recipe:
    """MTML on synthetic rooms with predicted semantics; add --init WEIGHTS of mtml-rooms-true and of semantics-rooms."""
    base, semantics = mtml_rooms_true(), semantics_rooms().model
    assert isinstance(base.model, MTMLConfig) and isinstance(semantics, UNetConfig)
    parter = replace(base.model, semantic_noise=SemanticNoiseConfig(deviation=2.5))
    return replace(
        base,
        name="mtml-rooms",
        model=StagedConfig(semantics, parter),
        optim=replace(base.optim, steps=450, lr=1e-3),
    )


def semantics_scannet() -> Recipe:
    """Semantics of ScanNet for mtml-scannet: a U-Net like the one its paper takes them from; add --root DIR. Needs a GPU."""
    return Recipe(
        name="semantics-scannet",
        model=UNetConfig(width=16, levels=7, normals=0),
        optim=Optim(
            steps=60_000, lr=1e-3, schedule="cosine", samples_per_step=4, bn_momentum=0.1, halve_every=1_000_000,
        ),
        augment=replace(PLAIN, rotation=True, flip=True, stretch=0.1),
        data="scannet:train",
        classes="scannet20",
        validate="scannet:val",
        validate_by=SEMANTIC,
    )  # fmt: skip


def mtml_scannet() -> Recipe:
    """The paper's MTML on ScanNet: 100 epochs, batch 2; add --root DIR, later --semantics DIR and --init. Needs a GPU."""
    return Recipe(
        name="mtml-scannet",
        model=MTMLConfig(),
        optim=Optim(
            steps=_SCANNET_EPOCHS * _SCANNET_SCANS // 2, lr=5e-4, schedule="constant", samples_per_step=2
        ),
        augment=replace(PLAIN, rotation=True),  # flips happen on voxels
        data="scannet:train",
        classes="scannet20",
        validate="scannet:val",
        scans_per_step=2,
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "mtml-toyboxes": mtml_toyboxes,
    "mtml-toyboxes-hard": mtml_toyboxes_hard,
    "semantics-rooms": semantics_rooms,
    "mtml-rooms-true": mtml_rooms_true,
    "mtml-rooms": mtml_rooms,
    "semantics-scannet": semantics_scannet,
    "mtml-scannet": mtml_scannet,
}
CHAINS: dict[str, tuple[str, ...]] = {
    "mtml-rooms": (
        training("semantics-rooms"),
        training("mtml-rooms-true"),
        training("mtml-rooms", init=("mtml-rooms-true", "semantics-rooms")),
    ),
    "mtml-scannet": (
        training("semantics-scannet", ROOT),
        "gestalt3d evaluate -m runs/semantics-scannet/last.safetensors -d scannet:train --root DIR --submission runs/classes",
        training("mtml-scannet", ROOT, out="mtml-scannet-true"),
        training("mtml-scannet", ROOT, "--semantics runs/classes/semantic", init=("mtml-scannet-true",)),
    ),
}  # fmt: skip
"""The commands that make the weights of a recipe, where it is more than one training."""

"""GSPN and the networks around it on synthetic rooms, for a CPU, and as in the paper on ScanNet."""

from collections.abc import Callable
from dataclasses import replace

from gestalt3d.data.augment import PLAIN
from gestalt3d.engine.recipe import SEMANTIC, Optim, Recipe
from gestalt3d.methods.gspn import Context, GSPNConfig
from gestalt3d.methods.pointnet2 import PointNet2Config
from gestalt3d.methods.rpointnet import RPointNetConfig
from gestalt3d.methods.staged import StagedConfig
from gestalt3d.methods.superpoints import SuperpointConfig
from gestalt3d.recipes import rooms
from gestalt3d.recipes.commands import training
from gestalt3d.recipes.mtml import mtml_rooms

_SCANNET_EPOCHS, _SCANNET_SCANS = 800, 1201


def gspn_rooms() -> Recipe:
    """GSPN on synthetic rooms, half as wide as the paper's; about an hour on one CPU core."""
    return Recipe(
        name="gspn-rooms",
        model=GSPNConfig(
            points=16_384,
            seeds=192,
            seeds_on_objects=0.75,
            test_seeds=1024,
            contexts=(Context(0.4, 64), Context(0.8, 64), Context(1.6, 128)),
            center="contexts",
            width_scale=0.5,
            latent=64,
            least_radius=0.1,
            confident=0.25,
            kl="bound",
            kl_weight=0.01,
            kl_every=400,
        ),
        optim=Optim(
            steps=2_400, lr=3e-3, schedule="cosine", samples_per_step=2, warmup=50, clip=1.0, bn_momentum=0.1,
            halve_every=1_000_000, precision="bf16", ema=0.995,
        ),
        data="rooms:train",
        augment=rooms.AUGMENT,
        classes="scannet21",
        count=2000,
        scans_per_step=2,
        checkpoint_every=100,
    )  # fmt: skip


def gspn_rooms_voting() -> Recipe:
    """GSPN on synthetic rooms behind mtml-rooms, generating whole objects; add --init mtml-rooms. An hour on one CPU core."""
    base, backbone = gspn_rooms(), mtml_rooms().model
    assert isinstance(base.model, GSPNConfig) and isinstance(backbone, StagedConfig)
    return replace(
        base,
        name="gspn-rooms-voting",
        model=replace(
            base.model,
            backbone=backbone,
            target="whole",
            seeds_on_objects=0.9,
            confident=0.2,
            extent_weight=0.5,
        ),
        data="rooms-whole:train",
        optim=replace(base.optim, steps=1_000),
    )


def pointnet2_rooms() -> Recipe:
    """The semantic stage of rpointnet-rooms-alone: PointNet++ on whole rooms; half an hour on one CPU core."""
    return replace(
        gspn_rooms(),
        name="pointnet2-rooms",
        model=PointNet2Config(points=16_384, height=True, normals=16, dropout=0.3, class_balance=0.3),
        optim=replace(gspn_rooms().optim, steps=2_000),
        validate="rooms:val",
        validate_by=SEMANTIC,
    )


def rpointnet_rooms() -> Recipe:
    """R-PointNet on synthetic rooms behind gspn-rooms-voting, with its backbone's semantics; add --init WEIGHTS of it."""
    base = gspn_rooms_voting()
    assert isinstance(base.model, GSPNConfig)
    return replace(
        base,
        name="rpointnet-rooms",
        model=RPointNetConfig(
            gspn=base.model,
            semantics=None,
            width_scale=0.5,
            test_region_points=512,
            min_score=0.05,
            mask_margin=1.3,
            superpoints=SuperpointConfig(),
        ),
        optim=replace(base.optim, steps=1_200),
        validate="rooms:val",
        validate_by=("AP50", "AP25", "mIoU"),
    )


def rpointnet_rooms_alone() -> Recipe:
    """The paper's R-PointNet on synthetic rooms behind gspn-rooms, learning semantics, too; add --init WEIGHTS of it."""
    base, proposing, semantics = gspn_rooms(), gspn_rooms().model, pointnet2_rooms().model
    assert isinstance(proposing, GSPNConfig) and isinstance(semantics, PointNet2Config)
    return replace(
        rpointnet_rooms(),
        name="rpointnet-rooms-alone",
        model=RPointNetConfig(
            gspn=proposing, semantics=semantics, learn="semantics", width_scale=0.5, test_region_points=512,
            min_score=0.05,
        ),
        data=base.data,
    )  # fmt: skip


def gspn_scannet() -> Recipe:
    """The paper's GSPN on ScanNet, batch 2, 800 epochs; add --root DIR. Needs a GPU."""
    return Recipe(
        name="gspn-scannet",
        model=GSPNConfig(),
        optim=Optim(
            steps=_SCANNET_EPOCHS * _SCANNET_SCANS // 2, lr=1e-3, samples_per_step=2, halve_every=110_000
        ),
        data="scannet:train",
        augment=replace(PLAIN, rotation=True),
        classes="scannet18",
        scans_per_step=2,
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "gspn-rooms": gspn_rooms,
    "gspn-rooms-voting": gspn_rooms_voting,
    "pointnet2-rooms": pointnet2_rooms,
    "rpointnet-rooms": rpointnet_rooms,
    "rpointnet-rooms-alone": rpointnet_rooms_alone,
    "gspn-scannet": gspn_scannet,
}
CHAINS: dict[str, tuple[str, ...]] = {
    "gspn-rooms-voting": (training("gspn-rooms-voting", init=(":mtml-rooms",)),),
    "rpointnet-rooms": (
        training("gspn-rooms-voting", init=(":mtml-rooms",)),
        training("rpointnet-rooms", init=("gspn-rooms-voting",)),
    ),
    "rpointnet-rooms-alone": (
        training("gspn-rooms"),
        training("pointnet2-rooms"),
        training("rpointnet-rooms-alone", init=("gspn-rooms", "pointnet2-rooms")),
    ),
}
"""The commands that make the weights of a recipe, where it is more than one training."""

"""Objects in parts: GSPN and R-PointNet as in their paper, and behind a network that was trained on parts before."""

from collections.abc import Callable
from dataclasses import replace

from gestalt3d.data.augment import PLAIN
from gestalt3d.engine.recipe import SEMANTIC, Optim, Recipe
from gestalt3d.methods.gspn import Context, GSPNConfig
from gestalt3d.methods.mtml import MTMLConfig
from gestalt3d.methods.pointnet2 import PointNet2Config
from gestalt3d.methods.regions.voting import MembersConfig
from gestalt3d.methods.rpointnet import RPointNetConfig
from gestalt3d.methods.staged import StagedConfig
from gestalt3d.methods.superpoints import SuperpointConfig
from gestalt3d.methods.unet import UNetConfig
from gestalt3d.methods.voxels.grouping import ProposalConfig
from gestalt3d.methods.voxels.semantic_noise import SemanticNoiseConfig
from gestalt3d.recipes.commands import ROOT, training
from gestalt3d.recipes.gspn import gspn_rooms

_PARTNET_EPOCHS, _CHAIRS = 100, 4489
AUGMENT = replace(
    PLAIN, rotation=True, flip=True, scale=(0.9, 1.1), stretch=0.1, noise=(0.0, 0.01), p_dropout=0.5, dropout=(0.1, 0.7)
)  # fmt: skip
"""Objects stand anywhere, and a scan of one has fewer points or noisy ones."""


def semantics_parts() -> Recipe:
    """Kinds of parts of synthetic objects, PartNet's finest classes; a quarter of an hour on one CPU core."""
    return Recipe(
        name="semantics-parts",
        model=UNetConfig(voxel_size=0.03, width=24, levels=6, class_balance=0.3),  # the last level sees the object
        optim=Optim(
            steps=1_200, lr=8e-3, schedule="cosine", samples_per_step=6, warmup=50, clip=1.0, bn_momentum=0.1,
            halve_every=1_000_000, precision="bf16", ema=0.995,
        ),
        data="parts:train",
        validate="parts:val",
        augment=AUGMENT,
        classes="partnet-3",
        validate_by=SEMANTIC,
        validate_count=40,
        scans_per_step=6,
        checkpoint_every=100,
    )  # fmt: skip


def mtml_parts_true() -> Recipe:
    """The first stage of mtml-parts: MTML on synthetic objects in parts with their true classes; half an hour on one CPU core."""
    base = semantics_parts()
    return replace(
        base,
        name="mtml-parts-true",
        model=MTMLConfig(
            voxel_size=0.03,
            first_kernel=3,
            dilations=(2, 2),  # sees about 60 voxels, 1.8 of an object's radii
            norm=True,
            proposals=ProposalConfig(bandwidths=(1.0, 1.5, 2.0), across=True, min_voxels=3, coherent=True),
        ),
        optim=replace(base.optim, steps=1_200, lr=3e-3, samples_per_step=4),
        scans_per_step=4,
        validate_by=("AP50", "AP25", "mIoU"),
    )


def mtml_parts() -> Recipe:
    """MTML on parts with predicted classes; add --init WEIGHTS of mtml-parts-true and of semantics-parts."""
    base, semantics = mtml_parts_true(), semantics_parts().model
    assert isinstance(base.model, MTMLConfig) and isinstance(semantics, UNetConfig)
    parter = replace(base.model, semantic_noise=SemanticNoiseConfig(deviation=2.5))
    return replace(
        base,
        name="mtml-parts",
        model=StagedConfig(semantics, parter),
        optim=replace(base.optim, steps=250, lr=1e-3),
    )


def gspn_parts() -> Recipe:
    """GSPN on synthetic objects in parts, PartNet's finest classes, an object a sample; an hour on one CPU core."""
    base = gspn_rooms()
    assert isinstance(base.model, GSPNConfig)
    return replace(
        base,
        name="gspn-parts",
        model=replace(
            base.model,
            points=4096,
            seeds=128,
            contexts=(Context(0.25, 32), Context(0.5, 64), Context(1.0, 64), Context(1.5, 128)),
            max_iou=0.8,  # parts lie in each other: a bulb in its shade
            least_radius=0.03,
            reach=0.03,
        ),
        data="parts:train",
        classes="partnet-3",
        count=None,
        augment=PLAIN,
    )


def gspn_parts_voting() -> Recipe:
    """GSPN on synthetic objects in parts behind mtml-parts; add --init WEIGHTS of it. Half an hour on one CPU core."""
    base, backbone = gspn_parts(), mtml_parts().model
    assert isinstance(base.model, GSPNConfig) and isinstance(backbone, StagedConfig)
    return replace(
        base,
        name="gspn-parts-voting",
        model=replace(
            base.model,
            backbone=backbone,
            members=MembersConfig(votes=0.3, reach=1.0),
            seeds_on_objects=0.9,
            confident=0.2,
            extent_weight=0.5,
        ),
        augment=AUGMENT,
        optim=replace(base.optim, steps=1_000),
    )


def rpointnet_parts() -> Recipe:
    """R-PointNet on parts behind gspn-parts-voting, with its backbone's semantics; add --init WEIGHTS of it."""
    base = gspn_parts_voting()
    assert isinstance(base.model, GSPNConfig)
    return replace(
        base,
        name="rpointnet-parts",
        model=RPointNetConfig(
            gspn=base.model, semantics=None, width_scale=0.5, test_region_points=512, min_score=0.005, mask_margin=1.15,
            superpoints=SuperpointConfig(), part_extent=100.0,
        ),
        optim=replace(base.optim, steps=1_000),
        validate="parts:val",
        validate_by=("AP50", "AP25", "mIoU"),
    )  # fmt: skip


def rpointnet_parts_alone() -> Recipe:
    """The paper's R-PointNet on parts behind gspn-parts, learning semantics, too; add --init WEIGHTS of it."""
    base = gspn_parts()
    assert isinstance(base.model, GSPNConfig)
    return replace(
        base,
        name="rpointnet-parts-alone",
        model=RPointNetConfig(
            gspn=base.model,
            semantics=PointNet2Config(points=4096, level_points=(1024, 256, 64, 16), normals=16, dropout=0.3),
            learn="semantics", width_scale=0.5, test_region_points=512, min_score=0.1, max_iou=0.3, part_extent=100.0,
        ),
        optim=replace(base.optim, steps=1_600),
        validate="parts:val",
        validate_by=("AP50", "AP25", "mIoU"),
    )  # fmt: skip


def gspn_partnet() -> Recipe:
    """The paper's GSPN on a category of PartNet, as a public fork of the authors sets it; add --root DIR. Needs a GPU."""
    contexts = (Context(0.25, 64), Context(0.5, 128), Context(1.0, 256), Context(1.5, 256))
    return Recipe(
        name="gspn-partnet",
        model=GSPNConfig(
            points=10_000, contexts=contexts, test_seeds=1024, max_iou=0.8, least_radius=0.03, reach=0.03
        ),
        optim=Optim(steps=_PARTNET_EPOCHS * _CHAIRS // 2, lr=1e-3, samples_per_step=2, halve_every=110_000),
        data="partnet-chair-3:train",
        augment=replace(PLAIN, noise=(0.01, 0.01)),
        scans_per_step=2,
    )


def rpointnet_partnet() -> Recipe:
    """The paper's R-PointNet behind gspn-partnet, learning semantics, too; add --root DIR --init WEIGHTS of it. Needs a GPU."""
    base = gspn_partnet()
    assert isinstance(base.model, GSPNConfig)
    return replace(
        base,
        name="rpointnet-partnet",
        model=RPointNetConfig(
            gspn=base.model, semantics=PointNet2Config(points=10_000), learn="semantics", min_score=0.1, mask_margin=1.3,
            part_extent=100.0,
        ),
        validate="partnet-chair-3:val",
        validate_by=("AP50", "AP25", "mIoU"),
    )  # fmt: skip


RECIPES: dict[str, Callable[[], Recipe]] = {
    "semantics-parts": semantics_parts,
    "mtml-parts-true": mtml_parts_true,
    "mtml-parts": mtml_parts,
    "gspn-parts": gspn_parts,
    "gspn-parts-voting": gspn_parts_voting,
    "rpointnet-parts": rpointnet_parts,
    "rpointnet-parts-alone": rpointnet_parts_alone,
    "gspn-partnet": gspn_partnet,
    "rpointnet-partnet": rpointnet_partnet,
}
_MTML = (
    training("semantics-parts"),
    training("mtml-parts-true"),
    training("mtml-parts", init=("mtml-parts-true", "semantics-parts")),
)
_VOTING = (*_MTML, training("gspn-parts-voting", init=("mtml-parts",)))
CHAINS: dict[str, tuple[str, ...]] = {
    "mtml-parts": _MTML,
    "gspn-parts-voting": _VOTING,
    "rpointnet-parts": (*_VOTING, training("rpointnet-parts", init=("gspn-parts-voting",))),
    "rpointnet-parts-alone": (
        training("gspn-parts"),
        training("rpointnet-parts-alone", init=("gspn-parts",)),
    ),
    "rpointnet-partnet": (
        training("gspn-partnet", ROOT),
        training("rpointnet-partnet", ROOT, init=("gspn-partnet",)),
    ),
}
"""The commands that make the weights of a recipe, where it is more than one training."""

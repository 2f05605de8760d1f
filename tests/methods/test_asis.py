"""ASIS's variants: the cases of the contract, and what they share."""

from dataclasses import replace

from gestalt3d.methods.asis import ASIS, ASISConfig
from gestalt3d.methods.rooms.backbone import PointNet2Config, PointNetConfig
from gestalt3d.methods.rooms.blocks import LatticeConfig
from gestalt3d.methods.rooms.blockwise import Batch, TrainingConfig
from gestalt3d.methods.rooms.merging import AgreementConfig, BlockMergingConfig, VotesConfig
from gestalt3d.methods.superpoints import SuperpointConfig
from gestalt3d.testing import Case, Overfit

SMALL = ASISConfig(
    backbone=PointNet2Config(width_scale=0.25),
    width=32,
    blocks=LatticeConfig(points=256, min_points=50),
    training=TrainingConfig(blocks_per_scan=3),
    merging=BlockMergingConfig(min_points=5),
    neighbours=10,
)
WIDE = replace(SMALL, backbone=PointNet2Config(width_scale=0.25, radii=(0.2, 0.4, 0.8, 1.6)))
THIN = replace(SMALL, blocks=LatticeConfig(points=256, min_points=50, grid=0.05))
POINTNET = replace(SMALL, backbone=PointNetConfig(width_scale=0.25))
SURFACES = SuperpointConfig(voxel_size=0.04, min_voxels=5)


def spread(method: ASIS, batch: Batch) -> None:
    method.embed.weight *= 0.6 / method(batch).embedding.std()


def by_heart(config: ASISConfig) -> ASISConfig:
    return replace(
        config,
        training=TrainingConfig(blocks_per_scan=6),
        merging=BlockMergingConfig(min_points=15),
        dropout=0.0,
    )


def variant(name: str, config: ASISConfig, overfit: Overfit | None = None) -> Case:
    return Case(name=name, config=config, spread=spread, overfit=overfit)


CASES = [
    variant("", WIDE, Overfit(config=by_heart(WIDE), steps=60, rate=2e-2)),
    variant("pointnet", POINTNET, Overfit(config=by_heart(POINTNET), steps=60, rate=2e-2)),
    variant("vanilla", replace(SMALL, semantic_awareness=False, instance_fusion=False, neighbours=30)),
    variant("votes", replace(THIN, merging=VotesConfig(min_points=5))),
    variant("superpoints", replace(THIN, merging=BlockMergingConfig(min_points=5, superpoints=SURFACES))),
    variant("agreement", replace(THIN, merging=AgreementConfig(min_points=5, superpoints=SURFACES), turns=2)),
]


def test_weights_of_one_variant_start_any_other() -> None:
    """Only semantic awareness has layers of its own (Eq. 5), and no other layer changes its shape for it."""
    full, vanilla = (case.build().state_dict() for case in (CASES[0], CASES[2]))
    assert {name.split(".")[0] for name in full.keys() - vanilla.keys()} == {"adapt"}
    assert vanilla.keys() <= full.keys()
    assert all(full[name].shape == value.shape for name, value in vanilla.items())

"""How the answers of overlapping blocks become one answer about the room, in three ways."""

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.configs import CountOrNone, NotNegative, Positive, Within, check_ranges
from gestalt3d.methods.rooms.agreement import Agreement
from gestalt3d.methods.rooms.answers import ByPoint, BySuperpoint
from gestalt3d.methods.rooms.blocks import Room
from gestalt3d.methods.superpoints import SuperpointConfig
from gestalt3d.ops.block_votes import BlockVotes
from gestalt3d.ops.blocks import BlockMerger

Fraction = Annotated[float, Within(above=0, most=1)]


@dataclass(frozen=True)
class BlockMergingConfig:
    """BlockMerging (SGPN, Wang et al., CVPR 2018), block after block: a voxel keeps the first instance it gets."""

    voxel_size: Positive = 0.05
    """Edge of the voxels in metres."""
    voxel_fraction: Fraction | None = None
    """Edge of the voxels as a fraction of the room along each axis, in place of `voxel_size`; 0.005 in the papers."""
    min_overlap: CountOrNone = 7
    """Points that a block's cluster must share with an instance to join it."""
    min_points: CountOrNone = 30
    """Points that a cluster which joins no instance must have to become a new one."""
    superpoints: SuperpointConfig | None = None
    """Each gets its points' mean class and most frequent instance; by default, as in the papers, points keep their own."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class VotesConfig:
    """Blocks vote (`BlockVotes`): clusters of two blocks are one instance where they cover the same voxels."""

    voxel_size: Positive = 0.05
    """Edge of the voxels in metres."""
    voxel_fraction: Fraction | None = None
    """Edge of the voxels as a fraction of the room along each axis, in place of `voxel_size`."""
    min_iou: Fraction = 0.35
    """Least IoU of two blocks' clusters of one instance, in the voxels that both blocks see."""
    min_overlap: CountOrNone = 7
    """Voxels that two clusters of one instance must share."""
    min_points: CountOrNone = 30
    """Points that an instance must have in all."""
    superpoints: SuperpointConfig | None = None
    """Each superpoint gets the mean class and the most frequent instance of its points; by default every point keeps its own."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class AgreementConfig:
    """Superpoints that blocks put together are one instance (`Agreement`)."""

    superpoints: SuperpointConfig = field(default_factory=SuperpointConfig)
    """Pieces of surface that belong together whatever blocks say."""
    class_power: NotNegative = 4.0
    """Power of the cosine of two superpoints' class probabilities, which their agreement is multiplied by."""
    min_agreement: Positive = 0.15
    """Least share of pairs of points that blocks put together, times that power, to join two superpoints."""
    min_points: CountOrNone = 30
    """Points that an instance must have in all."""

    def __post_init__(self) -> None:
        check_ranges(self)


MergingConfig = BlockMergingConfig | VotesConfig | AgreementConfig


def collector(
    config: MergingConfig,
    points: Float[Tensor, "n 3"],
    drawable: Int[Tensor, "d"],
    superpoints: Int[Tensor, "n"] | None,
    *,
    parts: list[Room],
    classes: int,
    reach: float,
) -> ByPoint | BySuperpoint:
    """What takes the answers of blocks, which draw of the points `drawable`, and answers all points within `reach` metres.

    `superpoints` are those of the points where the configuration has some, `parts` what the cloud was taken apart into.
    """
    if not isinstance(config, AgreementConfig):
        return ByPoint(points, drawable, classes, voxel_merger(parts, config), superpoints, reach=reach)
    assert superpoints is not None
    agreement = Agreement(
        int(superpoints.max()) + 1,
        classes,
        class_power=config.class_power,
        min_agreement=config.min_agreement,
        min_points=config.min_points,
    )
    return BySuperpoint(points, drawable, superpoints, agreement, reach=reach)


def voxel_merger(parts: list[Room], config: BlockMergingConfig | VotesConfig) -> BlockMerger | BlockVotes:
    """What merges over voxels of the box around all parts."""
    low = np.min([room.low for room in parts], axis=0)
    extent = np.max([room.high for room in parts], axis=0) - low
    fraction = config.voxel_fraction
    size = np.full(3, config.voxel_size) if fraction is None else extent.clip(1e-3) * fraction
    voxel, origin = torch.from_numpy(size).float(), torch.from_numpy(low).float()
    overlap, least = config.min_overlap, config.min_points
    if isinstance(config, BlockMergingConfig):
        return BlockMerger(voxel, origin=origin, min_overlap=overlap, min_points=least)
    return BlockVotes(voxel, origin=origin, min_iou=config.min_iou, min_overlap=overlap, min_points=least)

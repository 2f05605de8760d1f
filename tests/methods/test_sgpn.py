"""GroupMerging on proposals drawn by hand."""

from dataclasses import replace

import numpy as np
import torch

from gestalt3d.methods.method import Moment
from gestalt3d.methods.rooms.backbone import PointNet2Config
from gestalt3d.methods.rooms.blocks import LatticeConfig
from gestalt3d.methods.rooms.blockwise import Batch, TrainingConfig
from gestalt3d.methods.rooms.merging import BlockMergingConfig
from gestalt3d.methods.sgpn import SGPN, SGPNConfig, merge_groups
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.testing import Case, Overfit

CONFIG = SGPNConfig(min_group=3, min_proposal=2)
SMALL = SGPNConfig(
    backbone=PointNet2Config(width_scale=0.25, radii=(0.2, 0.4, 0.8, 1.6)),
    width=32,
    blocks=LatticeConfig(points=256, min_points=50),
    training=TrainingConfig(blocks_per_scan=3),
    merging=BlockMergingConfig(min_points=5),
    loss_rows=128,
    min_group=160,
    min_confidence=0.0,
)


def spread(method: SGPN, batch: Batch) -> None:
    method.similarity.weight *= 0.05 / method(batch).similarity.std()


BY_HEART = replace(
    SMALL, training=TrainingConfig(blocks_per_scan=6), merging=BlockMergingConfig(min_points=15)
)
CASE = Case(config=SMALL, spread=spread, overfit=Overfit(config=BY_HEART, steps=60))


def proposals(groups: list[list[int]]) -> np.ndarray:
    """Every point proposes its own row of `groups`."""
    rows = np.zeros((len(groups), len(groups)), dtype=bool)
    for i, members in enumerate(groups):
        rows[i, members] = True
    return rows


def test_equal_proposals_are_one_group() -> None:
    a, b = [0, 1, 2, 3], [4, 5, 6, 7]
    assert merge_groups(proposals([a] * 4 + [b] * 4), np.ones(8), CONFIG).tolist() == [0] * 4 + [1] * 4


def test_of_two_that_overlap_the_larger_stays() -> None:
    large, part = [0, 1, 2, 3, 4, 5], [0, 1, 2]
    confidence = np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.5])
    assert merge_groups(proposals([part, *[large] * 5]), confidence, CONFIG).tolist() == [0] * 6


def test_distrusted_and_small_proposals_make_no_group() -> None:
    rows = proposals([[0, 1, 2, 3]] * 4 + [[4, 5]] * 2)
    assert merge_groups(rows, np.array([0.1] * 4 + [1.0] * 2), CONFIG).tolist() == [-1] * 6
    assert merge_groups(rows, np.ones(6), CONFIG).tolist() == [0] * 4 + [-1] * 2


def test_least_sizes_are_those_of_4096_points_in_proportion() -> None:
    """Half the points of a block, half as many in what is just large enough."""
    for points in (4096, 2048):
        share = points // 2048
        for size, kept in ((25 * share, False), (25 * share + 1, True)):
            labels = merge_groups(
                np.ones((size, size), dtype=bool),
                np.ones(size),
                SGPNConfig(blocks=LatticeConfig(points=points)),
            )
            assert labels.tolist() == [0 if kept else -1] * size


def test_a_point_in_no_group_joins_the_one_it_proposes() -> None:
    rows = proposals([[0, 1, 2, 3]] * 4 + [[4, 2, 3]])
    assert merge_groups(rows, np.array([1.0] * 4 + [0.0]), CONFIG).tolist() == [0] * 5


def test_more_groups_than_any_table_foresees() -> None:
    blocks = [list(range(5 * g, 5 * g + 5)) for g in range(40)]
    labels = merge_groups(proposals([blocks[i // 5] for i in range(200)]), np.ones(200), CONFIG)
    assert labels.tolist() == [i // 5 for i in range(200)]


def test_alpha_rises_by_two_every_five_of_200_epochs_up_to_ten() -> None:
    torch.manual_seed(0)
    sgpn = SGPN.from_config(SGPNConfig(backbone=PointNet2Config(width_scale=0.125), width=16), S3DIS)
    found = []
    for epoch in (0, 4, 5, 12, 20, 100, 200):
        found.append(sgpn.alpha(Moment(epoch, 200, 0)))
    assert found == [2, 2, 4, 6, 10, 10, 10]

"""Synthetic table tops."""

import pytest
import torch

from gestalt3d.data import DataSet, open_data
from gestalt3d.errors import UserError
from gestalt3d.structures.vocabulary import TABLE_TOPS
from gestalt3d.synth.table_tops import MIN_POINTS, SPLITS, make_table_top


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_things_stand_on_the_level_of_zero(seed: int) -> None:
    scan = make_table_top(seed)
    labels, z = scan.truth.to_labels(), scan.input.points[:, 2]
    assert scan.truth.class_name(0) == "table" and 2 <= len(scan.truth) <= 13
    assert {scan.truth.class_name(i) for i in range(1, len(scan.truth))} == {"object"}
    assert float(z[labels == 0].abs().median()) < 0.005
    assert bool((scan.truth.sizes >= MIN_POINTS).all())
    for thing in range(1, len(scan.truth)):
        assert float(z[labels == thing].max()) > 0.005


def test_a_table_is_no_wider_than_a_camera_sees_and_has_colours() -> None:
    cloud = make_table_top(4).input
    assert float(cloud.points.abs().max()) < 0.8 and len(cloud) > 30_000
    assert cloud.colors is not None and float(cloud.colors.std()) > 0.02


def test_the_same_seed_makes_the_same_scan() -> None:
    one, two, other = make_table_top(5), make_table_top(5), make_table_top(6)
    assert torch.equal(one.input.points, two.input.points)
    assert torch.equal(one.truth.to_labels(), two.truth.to_labels())
    assert len(one.input) != len(other.input)


def test_splits_are_data_sets_with_other_seeds() -> None:
    data = open_data("table-tops:val", limit=2)
    assert isinstance(data, DataSet) and data.vocabulary == TABLE_TOPS and len(data) == 2 and data.notes == []
    assert torch.equal(data[1].input.points, make_table_top(SPLITS["val"] + 1).input.points)
    with pytest.raises(IndexError, match="2 scans"):
        data[2]
    with pytest.raises(UserError, match="no split 'best'"):
        open_data("table-tops:best")

"""Synthetic objects in parts: what a name says, what the generator promises."""

import re
from itertools import pairwise

import numpy as np
import pytest
import torch

from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import PARTNET
from gestalt3d.synth.parts import objects
from gestalt3d.synth.parts.naming import instances
from gestalt3d.synth.parts.objects import CATEGORIES, MOST_PARTS, POINTS, make_object


def test_parts_under_one_name_are_one_and_words_without_a_number_count_each() -> None:
    names = [
        "chair/chair_arm#0/arm_horizontal_bar",
        "chair/chair_arm#1/arm_horizontal_bar",
        "chair/chair_arm#1/arm_near_vertical_bar",
        "chair/chair_arm#1/arm_near_vertical_bar",
        "chair/chair_arm#1/arm_connector#0",
        "chair/chair_arm#1/arm_connector#0",
        "chair/radio",
    ]
    fine = instances(names, PARTNET["chair", 3])
    assert fine.instance.tolist() == [0, 1, 2, 3, 4, 4, -1]
    words = [PARTNET["chair", 3].names[c].split("/")[-1] for c in fine.classes]
    assert words == ["arm_horizontal_bar"] * 2 + ["arm_near_vertical_bar"] * 2 + ["arm_connector"]
    coarse = instances(names, PARTNET["chair", 1])
    assert coarse.instance.tolist() == [0, 1, 1, 1, 1, 1, -1]
    assert [PARTNET["chair", 1].names[c] for c in coarse.classes] == ["chair/chair_arm"] * 2


_COARSEST_WITHOUT = {"table/picnic_table/bench_connector"}
"""PartNet has no class for it at level 1."""


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_part_has_a_class_at_every_level(category: str) -> None:
    for seed in range(40):
        parts = objects._MAKERS[category](np.random.default_rng(seed))
        names = [part.name for part in parts]
        for level in (1, 2, 3):
            rows = instances(names, PARTNET[category, level]).instance
            without = {name for name, row in zip(names, rows, strict=True) if row < 0}
            assert without <= _COARSEST_WITHOUT if level == 1 else not without
        leaves = {re.sub(r"#\d+", "", name) for name in names}
        assert leaves <= set(PARTNET[category, 3].names)


@pytest.mark.parametrize("category", CATEGORIES)
def test_objects_are_as_partnet_has_them(category: str) -> None:
    sizes = []
    for seed in range(30):
        scan = make_object(seed, category)
        points, found = scan.input.points, scan.truth
        assert points.shape == (POINTS, 3) and points.dtype == torch.float32 and scan.input.colors is None
        assert float(points.norm(dim=1).max()) == pytest.approx(1, abs=1e-5)
        assert float(points.mean(0).abs().max()) < 1e-4
        assert bool((found.to_labels() >= 0).all()) and int(found.sizes.min()) >= 5
        assert 2 <= len(found) <= MOST_PARTS
        sizes.append(len(found))
    assert len(set(sizes)) > 8, "designs vary"


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_coarser_part_is_made_of_finer_ones(category: str) -> None:
    for seed in range(12):
        levels = [make_object(seed, category, level=level) for level in (1, 2, 3)]
        for coarse, fine in pairwise(levels):
            assert torch.equal(coarse.input.points, fine.input.points)
            pairs = torch.stack([coarse.truth.to_labels(), fine.truth.to_labels()]).unique(dim=1)
            assert pairs.shape[1] == len(fine.truth) >= len(coarse.truth)
            for above, below in pairs.T.tolist():
                assert fine.truth.class_name(below).startswith(coarse.truth.class_name(above))


def mean_of(scan: Scan, word: str) -> torch.Tensor:
    rows = [i for i in range(len(scan.truth)) if word in scan.truth.class_name(i).split("/")]
    return scan.input.points[torch.isin(scan.truth.to_labels(), torch.tensor(rows))].mean(0)


def test_chairs_stand_on_legs_and_lean_backwards() -> None:
    seen = 0
    for seed in range(40):
        scan = make_object(seed, "chair", level=1)
        names = {scan.truth.class_name(i) for i in range(len(scan.truth))}
        if {"chair/chair_back", "chair/chair_seat", "chair/chair_base"} <= names:
            back, seat, base = (mean_of(scan, f"chair_{word}") for word in ("back", "seat", "base"))
            assert back[2] > seat[2] > base[2] and back[1] > seat[1]
            seen += 1
    assert seen > 20


def test_bulbs_are_inside_their_shades() -> None:
    seen = 0
    for seed in range(60):
        scan = make_object(seed, "lamp")
        found, labels = scan.truth, scan.truth.to_labels()
        shades = [i for i in range(len(found)) if found.class_name(i).endswith("lamp_shade")]
        bulbs = [i for i in range(len(found)) if found.class_name(i).endswith("light_bulb")]
        if "table_or_floor_lamp" not in scan.truth.class_name(0) or len(shades) != 1 or len(bulbs) != 1:
            continue
        shade, bulb = (scan.input.points[labels == i] for i in (shades[0], bulbs[0]))
        assert bool((bulb[:, :2].amin(0) > shade[:, :2].amin(0)).all())
        assert bool((bulb[:, :2].amax(0) < shade[:, :2].amax(0)).all())
        seen += 1
    assert seen > 5


def test_points_are_spread_more_evenly_than_random_ones() -> None:
    """Distances to the nearest neighbour vary by 52 percent of their mean for random points (Clark and Evans 1954)."""
    spreads = []
    for seed in range(8):
        scan = make_object(seed, "chair")
        largest = scan.truth.to_labels() == int(scan.truth.sizes.argmax())
        points = scan.input.points[largest][:3000].double()
        near = torch.cdist(points, points).fill_diagonal_(torch.inf).amin(1)
        spreads.append(float(near.std() / near.mean()))
    assert np.mean(spreads) < 0.4


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_seed_decides_everything(category: str) -> None:
    one, two, other = (make_object(seed, category) for seed in (7, 7, 8))
    assert torch.equal(one.input.points, two.input.points)
    assert torch.equal(one.truth.to_labels(), two.truth.to_labels())
    assert not torch.equal(one.input.points, other.input.points)

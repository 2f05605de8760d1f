"""Rooms of the second generator: crowded, of other things, in other colours, and never trained on."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.data import open_data
from gestalt3d.data.other_rooms import OtherRooms
from gestalt3d.errors import UserError
from gestalt3d.ops.components import voxel_pairs
from gestalt3d.ops.segment import segment_mode
from gestalt3d.ops.voxelize import voxelize
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import SCANNET21, SYNTH
from gestalt3d.synth.other_rooms import MOST_POINTS, SPLITS, crowded_room, make_other_room
from gestalt3d.synth.rooms import make_room

SEEDS = (1, 3, 4)


@pytest.fixture(scope="module")
def rooms() -> list[Scan]:
    return [make_other_room(seed) for seed in SEEDS]


def objects_of(scan: Scan) -> torch.Tensor:
    return ~torch.from_numpy(SYNTH.is_structure)[scan.truth.classes]


def touching(scan: Scan) -> float:
    """Share of the objects whose voxels of 5 cm border on those of another object."""
    voxels = voxelize(scan.input.points, voxel_size=0.05)
    labels = segment_mode(scan.truth.to_labels(), voxels.voxel_of_point, len(voxels.counts), len(scan.truth))
    own = objects_of(scan)
    a, b = labels[voxel_pairs(voxels.coordinates, connectivity=26)]
    pair = (a != b) & (a >= 0) & (b >= 0)
    pair &= own[a] & own[b]
    return len(torch.unique(torch.cat([a[pair], b[pair]]))) / max(int(own.sum()), 1)


def test_a_room_has_walls_and_things_and_no_more_points_than_it_may(rooms: list[Scan]) -> None:
    for scan in rooms:
        own = objects_of(scan)
        assert 5 <= int(own.sum()) <= 120 and int((~own).sum()) >= 3
        assert 20_000 < len(scan.input) <= MOST_POINTS
        assert bool(torch.isfinite(scan.input.points).all()) and 1.8 < scan.input.extents[2] < 6
        assert int(scan.truth.to_labels().min()) >= 0


def test_most_things_touch_another_one(rooms: list[Scan]) -> None:
    shares = [touching(scan) for scan in rooms]
    assert np.mean(shares) > 0.5
    usual = [touching(make_room(1_000_000 + seed)) for seed in range(3)]
    assert np.mean(shares) > np.mean(usual)


def test_the_same_seed_makes_the_same_room(rooms: list[Scan]) -> None:
    again = make_other_room(SEEDS[0])
    assert again.input == rooms[0].input and again.truth == rooms[0].truth
    assert len(rooms[1].input) != len(again.input)


def test_things_stand_in_each_other_nowhere() -> None:
    """What has been placed has been asked for room."""
    _, scene = crowded_room(2)
    furniture = [p for p in scene.placed if p.shape.kind in ("cabinet", "table", "chair", "bench", "sofa")]
    assert len(furniture) > 5
    assert {p.shape.kind for p in scene.placed} <= set(SYNTH.names)


def test_it_is_a_data_set_in_any_vocabulary_and_not_to_train_on(tmp_path: Path) -> None:
    data = OtherRooms("val", count=2, vocabulary=SCANNET21, cache_dir=tmp_path)
    first, again = data[1], OtherRooms("val", count=2, vocabulary=SCANNET21, cache_dir=tmp_path)[1]
    assert torch.equal(first.input.points, make_other_room(SPLITS["val"] + 1).input.points)
    assert first.input == again.input and first.truth.vocabulary == SCANNET21
    assert data.fingerprint(0) != data.fingerprint(1)
    with pytest.raises(UserError, match="no split to train on"):
        open_data("rooms-other:train")
    with pytest.raises(UserError, match="it has val, test"):
        open_data("rooms-other:best")
    with pytest.raises(IndexError):
        data[2]

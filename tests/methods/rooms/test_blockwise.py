"""How a cloud becomes blocks: what is drawn, what is shown, what strays and wide clouds do."""

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from gestalt3d.methods.asis import ASIS, ASISConfig
from gestalt3d.methods.rooms import blocks, blockwise
from gestalt3d.methods.rooms.answers import ByPoint, BySuperpoint
from gestalt3d.methods.rooms.backbone import PointNet2Config
from gestalt3d.methods.rooms.blocks import LatticeConfig
from gestalt3d.methods.rooms.merging import AgreementConfig, BlockMergingConfig, VotesConfig, voxel_merger
from gestalt3d.methods.sgpn import SGPNConfig
from gestalt3d.methods.superpoints import SuperpointConfig
from gestalt3d.ops.voxelize import voxelize
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS
from tests.scenes import tiny_scan
from tests.settings import changed

CONFIG = ASISConfig(
    backbone=PointNet2Config(width_scale=0.25),
    width=16,
    blocks=LatticeConfig(points=128, min_points=20),
    merging=BlockMergingConfig(min_points=5),
    neighbours=4,
)

AGREEMENT = {"merging": AgreementConfig()}


def method(**changes: object) -> ASIS:
    torch.manual_seed(0)
    return ASIS.from_config(changed(CONFIG, **changes), S3DIS)


def test_training_shows_the_outer_wall_as_often_as_the_test_does() -> None:
    scan, wall = tiny_scan(), S3DIS.id("wall")
    batch = method(training={"blocks_per_scan": 200}).prepare(scan, np.random.default_rng(0))
    shown = (batch.classes == wall).any(1).float().mean()
    assert 0.15 < float(shown) < 0.6  # a row of blocks of five stands at this wall


def test_features_are_metres_from_centre_and_floor_colour_and_place() -> None:
    scan = tiny_scan()
    raised = replace(scan.input, points=scan.input.points + torch.tensor([7.0, -3.0, 40.0]))
    points = (
        method(training={"blocks_per_scan": 20})
        .prepare(replace(scan, input=raised), np.random.default_rng(0))
        .points
    )
    assert float(points[..., :2].abs().max()) <= 0.5 + 1e-5
    assert -0.1 < float(points[..., 2].min()) < 0.05 and float(points[..., 2].max()) < 2.6
    assert float(points[..., 3:6].abs().max()) <= 0.5
    assert float(points[..., 6:9].min()) >= 0 and float(points[..., 6:9].max()) <= 1
    blank = method().prepare(tiny_scan(colors=False), np.random.default_rng(0)).points
    assert not blank[..., 3:6].any()


def test_points_repeat_only_where_there_are_too_few() -> None:
    scan = tiny_scan(points=20000)
    full = method(training={"blocks_per_scan": 4}).prepare(scan, np.random.default_rng(0))
    assert all(len(block.unique(dim=0)) == 128 for block in full.points)
    sparse = method(training={"blocks_per_scan": 4}, blocks={"points": 4096}).prepare(
        tiny_scan(), np.random.default_rng(0)
    )
    for block, classes, instances in zip(*sparse, strict=True):
        rows = torch.cat([block, classes[:, None], instances[:, None]], dim=1)
        assert len(rows.unique(dim=0)) == len(block.unique(dim=0)) < 4096


def test_thinning_keeps_one_point_of_every_voxel_whatever_the_order() -> None:
    cloud = tiny_scan().input
    shuffle = torch.randperm(len(cloud), generator=torch.Generator().manual_seed(0))
    kept = [
        c.points[torch.from_numpy(blocks.thin(c.points, blocks.drawing_order(c, 3), 0.1))]
        for c in (cloud, cloud[shuffle])
    ]
    assert torch.equal(kept[0], kept[1])
    cells = (cloud.points / 0.1).floor().unique(dim=0)
    assert len(kept[0]) == len(cells) == len((kept[0] / 0.1).floor().unique(dim=0))


def test_a_wide_cloud_becomes_overlapping_rooms_that_cover_it() -> None:
    rng = np.random.default_rng(0)
    points = (rng.random((20000, 3)) * [35.0, 8.0, 2.5]).astype(np.float32)
    found = blocks.rooms(points, LatticeConfig(max_room=10.0))
    assert len(found) > 1
    assert all((room.high - room.low)[:2].max() <= 10.0 + 1e-6 for room in found)
    assert np.any([room.inside(points) for room in found], axis=0).all()
    edges = sorted((room.low[0], room.high[0]) for room in found)
    assert all(high - low >= 1.0 - 1e-6 for (_, high), (low, _) in pairwise(edges))


@pytest.mark.parametrize(
    "changes",
    [{}, {"merging": {"superpoints": SuperpointConfig()}}, AGREEMENT],
    ids=["points", "superpoints", "agreement"],
)
def test_stray_points_do_not_stretch_the_room_and_join_no_instance(changes) -> None:
    scan = tiny_scan()
    strays = torch.tensor([[400.0, 0.0, 1.0], [0.0, -300.0, 1.0], [1.0, 1.0, -80.0]])
    assert scan.input.colors is not None
    cloud = PointCloud(
        torch.cat([scan.input.points, strays]), torch.cat([scan.input.colors, torch.zeros(3, 3)])
    )
    (room,) = blocks.rooms(cloud.points.numpy()[blocks.drawing_order(cloud, 0)], CONFIG.blocks)
    assert (room.high - room.low).max() < 3 and -0.1 < room.low[2] < 0.1
    found = method(**changes).eval().segment(cloud)
    assert (found.to_labels()[-3:] == -1).all() and (found.element_classes[-3:] >= 0).all()


def test_the_size_filter_drops_what_is_far_below_the_mean_of_its_class() -> None:
    scan = tiny_scan()
    asis = method(size_filter={"share": 0.5}).eval()
    asis.fit([scan])
    assert bool((asis.mean_sizes[scan.truth.classes] > 0).all())
    free = method().eval().segment(scan.input)
    asis.mean_sizes.fill_(1e9)
    assert len(free) > 0 and len(asis.segment(scan.input)) == 0
    asis.mean_sizes.zero_()
    assert len(asis.segment(scan.input)) == len(free)
    # Voxels of all points of the answer, whatever the number of points in them.
    voxels = voxelize(scan.input.points, voxel_size=asis.config.size_filter.voxel_size).voxel_of_point
    sizes = torch.tensor([len(voxels[free.elements_of(i)].unique()) for i in range(len(free))])
    asis.mean_sizes.fill_(2 * float(sizes.median()))
    assert len(asis.segment(scan.input)) == int((sizes > sizes.median()).sum())


def test_scores_are_probabilities_and_classes_are_modes() -> None:
    scan = tiny_scan()
    found = method().eval().segment(scan.input)
    assert bool(((found.scores > 0) & (found.scores <= 1)).all())
    for i in range(len(found)):
        assert int(found.classes[i]) in found.element_classes[found.elements_of(i)].tolist()


def test_the_statistics_of_the_scan_replace_those_of_training_for_that_scan_alone() -> None:
    cloud = tiny_scan().input
    strange = method(scan_statistics=3).eval()
    for norm in strange.modules():
        if isinstance(norm, torch.nn.BatchNorm1d):
            norm.running_mean.fill_(7.0)
            norm.momentum = 0.2
    before = {name: value.clone() for name, value in strange.state_dict().items()}
    found = strange.segment(cloud)
    ours = method(scan_statistics=3).eval().segment(cloud)
    assert torch.equal(found.element_classes, ours.element_classes) and torch.equal(
        found.masks.indices, ours.masks.indices
    )
    theirs = method().eval().segment(cloud)
    assert not torch.equal(found.element_classes, theirs.element_classes)
    for name, value in strange.state_dict().items():
        assert torch.equal(value, before[name]), name
    norms = [part for part in strange.modules() if isinstance(part, torch.nn.BatchNorm1d)]
    assert all(norm.momentum == 0.2 and not norm.training for norm in norms)


@pytest.mark.parametrize("fraction", [None, 0.02])
def test_voxels_of_merging_in_metres_or_as_a_fraction_of_the_room(fraction: float | None) -> None:
    room = blocks.Room(np.zeros(3), np.array([5.0, 4.0, 2.5]))
    merger = voxel_merger([room], BlockMergingConfig(voxel_fraction=fraction))
    expected = [0.05] * 3 if fraction is None else [0.1, 0.08, 0.05]
    np.testing.assert_allclose(merger.voxel_size, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("part", "settings", "says"),
    [
        (VotesConfig, {"min_iou": 0.0}, "min_iou 0: must be above 0"),
        (VotesConfig, {"min_iou": 1.5}, "min_iou 1.5: must be above 0 and at most 1"),
        (AgreementConfig, {"min_agreement": 0.0}, "min_agreement 0: must be above 0"),
        (AgreementConfig, {"class_power": -1.0}, "class_power -1: must be at least 0"),
        (BlockMergingConfig, {"voxel_size": 0.0}, "voxel_size 0: must be above 0"),
        (ASISConfig, {"turns": 0}, "turns 0: must be at least 1"),
        (LatticeConfig, {"stride": 1.5}, "stride 1.5 exceeds size 1.0"),
    ],
)
def test_settings_are_checked(part: type, settings: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        part(**settings)


def test_turns_are_lattices_over_the_turned_room() -> None:
    scan = tiny_scan()
    config = replace(CONFIG, turns=2)
    (plain, _, straight), (turned, _, oblique) = (blockwise._look(scan.input, config, k) for k in (0, 1))
    assert plain is scan.input
    x, y, z = scan.input.points.T
    torch.testing.assert_close(turned.points, torch.stack([(x - y) / 2**0.5, (x + y) / 2**0.5, z], dim=1))
    assert len(straight) != len(oblique)  # the turned room is wider
    for cloud, tasks in ((plain, straight), (turned, oblique)):
        for task in tasks:
            inside = cloud.points[torch.from_numpy(task.rows), :2].numpy() - task.center
            assert np.abs(inside).max() <= config.blocks.size / 2 + 1e-5


def test_a_room_stays_one_room_when_it_is_turned() -> None:
    points = (np.random.default_rng(0).random((60000, 3)) * [8.0, 8.0, 2.5]).astype(np.float32)
    config = changed(CONFIG, blocks={"size": 2.0, "stride": 1.0}, turns=2)
    straight, oblique = (blockwise._look(PointCloud(torch.from_numpy(points)), config, k) for k in (0, 1))
    assert len(straight.rooms) == len(oblique.rooms) == 1
    assert len(oblique.tasks) < 2 * len(straight.tasks)


@pytest.mark.parametrize("changes", [{}, {"merging": VotesConfig(min_points=5)}, AGREEMENT])
def test_every_turn_is_heard(changes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean of what was said of a point or superpoint is over all blocks of all turns, however many they are."""
    scan, said, heard = tiny_scan(), [], []
    collector = BySuperpoint if changes is AGREEMENT else ByPoint
    add, answer = collector.add, collector.answer

    def listen(self, rows, clusters, probabilities):
        said.append((rows, probabilities))
        add(self, rows, clusters, probabilities)

    def listen_to_answer(self):
        heard.append((self, answer(self)))
        return heard[-1][1]

    monkeypatch.setattr(collector, "add", listen)
    monkeypatch.setattr(collector, "answer", listen_to_answer)
    found = method(turns=2, **changes).eval().segment(scan.input)
    straight = len(blockwise._look(scan.input, CONFIG, 0).tasks)
    assert found.masks.size == len(scan.input) and len(said) > straight
    ((collected, answered),) = heard
    order = collected._drawable
    own = torch.arange(len(order)) if changes is not AGREEMENT else answered.row[order]
    sums, times = torch.zeros(len(own), len(S3DIS)), torch.zeros(len(own), 1)
    for rows, probabilities in said:
        sums.index_add_(0, own[rows], probabilities)
        times.index_add_(0, own[rows], torch.ones(len(rows), 1))
    drawn = times[:, 0].nonzero()[:, 0]
    if changes is AGREEMENT:
        known = answered.answers.probabilities[drawn]
    else:
        points, known = collected.drawn()[0], answered.answers.probabilities
        assert torch.equal(points, order[drawn])
    torch.testing.assert_close(known, (sums / times)[drawn])


@pytest.mark.parametrize("config", [ASISConfig, SGPNConfig])
def test_no_method_gives_a_setting_of_the_blocks_another_meaning(config: type) -> None:
    shared = {field.name for field in fields(blockwise.BlockConfig)}
    assert not shared & set(config.__annotations__)

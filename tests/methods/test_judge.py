"""The judge of a consensus: what it is told, what it learns, and what it stands on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.engine import checkpoint
from gestalt3d.errors import UserError
from gestalt3d.methods.consensus import ConsensusConfig, SourceConfig
from gestalt3d.methods.ensemble.evidence import GENERAL, VOXEL, evidence, surface_of
from gestalt3d.methods.ensemble.looks import Look
from gestalt3d.methods.ensemble.pool import Found, Pool, agreement
from gestalt3d.methods.judge import Judge, JudgeConfig, _true_iou
from gestalt3d.methods.method import START
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import S3DIS, SCANNET21
from gestalt3d.testing import Case, Overfit

GEOMETRY = ConsensusConfig(
    sources=(
        SourceConfig("geometric", (Look(), Look(degrees=30.0))),
        SourceConfig("geometric-regions", (Look(), Look(spacing=0.05))),
    ),
    min_points=20,
)
CASE = Case(
    config=JudgeConfig(consensus=GEOMETRY, width=16, networks=2, proposals=32),
    labels={"iou": -1},
    overfit=Overfit(steps=150, rate=1e-2, loss=0.3, classes=None, instances=None),
)


def sets(*members: list[int], size: int) -> Sets:
    return Sets.of([torch.tensor(m, dtype=torch.int64) for m in members], size)


def row(pool: Pool, cloud: PointCloud, count: int, looks: list[int]) -> dict[str, list[float]]:
    """What is known of each proposal, by name."""
    assert cloud.superpoints is not None
    surface = surface_of(cloud, cloud.superpoints, count)
    agreed = agreement(pool, surface.points, sources=sum(looks))
    found = evidence(pool, agreed, surface, looks)
    names = [*(f"method {i}" for i in range(len(looks))), *GENERAL]
    return {name: [round(v, 4) for v in column] for name, column in zip(names, found.T.tolist(), strict=True)}


def slab(low: tuple[float, float, float], size: tuple[int, int, int]) -> torch.Tensor:
    """The middles of so many voxels along each axis."""
    index = torch.cartesian_prod(*(torch.arange(n) for n in size)).float().reshape(-1, 3)
    return torch.tensor(low) + (index + 0.5) * VOXEL


FLOOR = slab((0.0, 0.0, 0.0), (40, 40, 1))
BOX = slab((0.5, 0.5, 0.05), (8, 4, 4))
LID = slab((0.5, 0.5, 0.25), (8, 4, 1))
CLOUD = PointCloud(
    torch.cat([FLOOR, BOX, LID]),
    torch.cat([torch.zeros(len(FLOOR), 3), torch.ones(len(BOX) + len(LID), 3)]),
    superpoints=torch.tensor([0] * len(FLOOR) + [1] * len(BOX) + [2] * len(LID)),
)


def test_what_is_known_of_a_box_on_a_floor() -> None:
    one = Found(sets([1, 2], [1], size=3), torch.tensor([0.9, 0.8]))
    other = Found(sets([1, 2], size=3), torch.tensor([0.5]))
    known = row(Pool.of([one, other], 3), CLOUD, 3, [1, 1])
    whole, part = len(BOX) + len(LID), len(BOX)
    assert known["method 0"] == [
        1.0,
        round(part / whole, 4),
        1.0,
    ]  # of who has no other look: what the rest think
    assert known["method 1"] == [1.0, round(part / whole, 4), 1.0]
    assert known["relative size"] == [1.0, 0.0, 1.0]
    assert known["log points"][0] == pytest.approx(np.log(whole), abs=1e-4)
    assert known["log length"][0] == pytest.approx(np.log(8 * VOXEL), abs=1e-3)
    assert known["log width"][0] == pytest.approx(np.log(4 * VOXEL), abs=1e-3)
    assert known["log height"][0] == pytest.approx(np.log(5 * VOXEL), abs=1e-3)
    assert known["lowest"][0] == pytest.approx(VOXEL, abs=1e-4)
    assert known["highest"][0] == pytest.approx(5 * VOXEL, abs=1e-4)
    assert known["log filling"][0] == pytest.approx(0.0, abs=1e-2)  # it is full
    assert known["found inside"] == [1.0, 1.0, 1.0]
    assert known["together inside"] == [1.0, 1.0, 1.0]
    assert known["together across"][0] == known["found around"][0] == 0.0  # nobody has found the floor
    assert known["found around"][1] > 0 and known["together across"][1] > 0  # around the part is the lid
    assert known["contrast"][0] == pytest.approx(3**0.5, abs=1e-3)  # white on black
    assert known["agreement of holder"] == [0.0, 1.0, 0.0] and known["log held"][0] > 0
    assert known["log holders"][1] == pytest.approx(np.log(3), abs=1e-3)


def test_a_floor_is_flat_and_a_wall_stands_upright() -> None:
    wall = slab((0.0, 0.0, 0.05), (40, 1, 40))
    cloud = PointCloud(torch.cat([FLOOR, wall]), superpoints=torch.tensor([0] * len(FLOOR) + [1] * len(wall)))
    pool = Pool.of([Found(sets([0], [1], size=2), torch.ones(2)), Found(sets(size=2), torch.ones(0))], 2)
    known = row(pool, cloud, 2, [1, 1])
    assert known["flat"][0] > 0.9 and known["thick"][0] < 0.05
    assert known["upright"] == [1.0, 0.0]  # how far the direction of least spread points up
    assert known["contrast"] == [0.0, 0.0] and known["agreement"] == [0.0, 0.0]


def test_nothing_known_depends_on_the_order_or_the_place_of_the_cloud() -> None:
    pool = Pool.of(
        [Found(sets([1, 2], [1], size=3), torch.ones(2)), Found(sets([2], size=3), torch.ones(1))], 3
    )
    expected = row(pool, CLOUD, 3, [1, 1])
    order = torch.randperm(len(CLOUD), generator=torch.Generator().manual_seed(0))
    assert CLOUD.colors is not None and CLOUD.superpoints is not None
    turned = PointCloud(CLOUD.points[order], CLOUD.colors[order], superpoints=CLOUD.superpoints[order])
    assert row(pool, turned, 3, [1, 1]) == expected
    moved = replace(CLOUD, points=CLOUD.points + 100 * VOXEL)
    for name, values in row(pool, moved, 3, [1, 1]).items():
        assert values == pytest.approx(expected[name], abs=1e-3), name


def test_no_proposals_and_no_superpoints_are_no_error() -> None:
    nothing = Pool.of([Found(sets(size=3), torch.ones(0))] * 2, 3)
    assert row(nothing, CLOUD, 3, [1, 1])["agreement"] == []
    empty = PointCloud(torch.zeros(0, 3), superpoints=torch.zeros(0, dtype=torch.int64))
    assert row(Pool.of([Found(sets(size=0), torch.ones(0))] * 2, 0), empty, 0, [1, 1])["agreement"] == []


def test_the_true_iou_is_that_of_points_with_the_best_object() -> None:
    judge = CASE.build()
    scan = CASE.scan()
    answers = judge.consensus.ask(scan.input)
    found = _true_iou(answers.pool.sets, scan.truth, answers)
    labels = scan.truth.to_labels()
    structure = torch.from_numpy(S3DIS.is_structure)[scan.truth.classes]
    for i in range(0, len(answers.pool.sets), 3):
        mine = torch.isin(answers.superpoints, answers.pool.sets[i])
        best = 0.0
        for k in range(len(scan.truth)):
            own = labels == k
            if not structure[k]:
                best = max(best, float((mine & own).sum() / (mine | own).sum()))
        assert float(found[i]) == pytest.approx(best, abs=1e-6)
    assert found.max() > 0.5


def test_every_proposal_of_a_scan_is_in_one_block_of_each_set_of_looks() -> None:
    judge = CASE.build()
    blocks = [*judge.lattice(CASE.scan())]
    answers = judge.consensus.ask(CASE.scan().input)
    first = answers.pool.of_sources([0, 2])
    assert sum(int((b.weights > 0).sum()) for b in blocks) == len(answers.pool.sets) + len(first.sets)
    assert all(b.iou.shape == (1, 32) for b in blocks)
    total = sum(float(b.weights.sum()) for b in blocks)
    assert total == pytest.approx(2000, rel=1e-4)  # both count the same
    assert judge.lattice_settings() == CASE.build().lattice_settings()
    other = replace(CASE.config, consensus=replace(GEOMETRY, inside=0.6))
    assert CASE.build(other).lattice_settings() != judge.lattice_settings()


def test_the_loss_is_the_weighted_squared_error() -> None:
    judge = CASE.build()
    batch = CASE.batch(judge)
    judge.eval()
    prediction = judge(batch)
    expected = total = 0.0
    for b, p in batch.weights.nonzero().tolist():
        said = prediction.logits[b, p].sigmoid()
        weight = float(batch.weights[b, p])
        expected += weight * float(((said - batch.iou[b, p]) ** 2).mean().detach())
        total += weight
    loss = judge.losses(prediction, batch, START)["iou"]
    assert float(loss.detach()) == pytest.approx(expected / total, rel=1e-5)


def test_first_looks_ask_every_method_once_with_the_same_weights() -> None:
    judge = CASE.build().eval()
    fast = judge.with_consensus(judge.config.consensus.with_first_looks())
    assert fast.consensus.looks == [1, 1] and judge.consensus.looks == [2, 2]
    assert all(a is b for a, b in zip(fast.parameters(), judge.parameters(), strict=True))
    assert len(fast.segment(CASE.scan().input))


def test_what_is_hardly_an_object_can_be_left_out() -> None:
    judge = CASE.build().eval()
    every = judge.segment(CASE.scan().input)
    middle = float(every.scores.median())
    sure = CASE.build(replace(CASE.config, min_score=middle)).eval()
    some = sure.segment(CASE.scan().input)
    assert 0 < len(some) < len(every) and float(some.scores.min()) >= middle
    assert judge.not_trained == ("consensus", "min_score")


def test_a_judge_needs_the_models_that_it_stands_on(tmp_path: Path) -> None:
    config = JudgeConfig(
        consensus=ConsensusConfig(sources=(SourceConfig("mtml-rooms"), SourceConfig("geometric")))
    )
    judge = Judge.from_config(config, SCANNET21)
    assert judge.needs == ("mtml-rooms",)
    with pytest.raises(UserError, match="mtml-rooms"):
        judge.segment(CASE.scan().input)
    file = tmp_path / "judge.safetensors"
    checkpoint.save(file, judge.state_dict(), checkpoint.describe(judge))
    loaded = checkpoint.load(file)
    assert isinstance(loaded, Judge) and [*loaded.consensus.methods] == ["mtml-rooms", "geometric"]
    assert not [name for name in loaded.state_dict() if "mtml" in name]


def test_a_file_cannot_name_other_files_to_load(tmp_path: Path) -> None:
    other = str(tmp_path / "judge.safetensors")
    config = JudgeConfig(consensus=ConsensusConfig(sources=(SourceConfig(other), SourceConfig("geometric"))))
    judge = Judge.from_config(config, SCANNET21)
    checkpoint.save(Path(other), judge.state_dict(), checkpoint.describe(judge))
    with pytest.raises(UserError, match="no shipped model"):
        checkpoint.load(other)

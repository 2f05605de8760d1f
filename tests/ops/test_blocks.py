"""Blocks cover the room, and BlockMerging carries an instance through them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gestalt3d.ops import blocks as module
from gestalt3d.ops.blocks import BlockMerger, cut_blocks, cut_blocks_reference
from tests.ops import kit


def run(points, size, stride, min_points):
    return tuple(cut_blocks(points, size=size, stride=stride, min_points=min_points))


OP = kit.Op(run, cut_blocks_reference, module._op)


def members(blocks) -> list[torch.Tensor]:
    return list(blocks.indices.tensor_split(blocks.offsets[1:-1]))


@kit.quick()
@given(
    kit.clouds(0, 200), st.sampled_from([(1.0, 0.5), (2.0, 2.0), (0.9, 0.4), (10.0, 1.0)]), st.integers(0, 20)
)
def test_kernel_is_the_reference(cloud, cut, min_points):
    kit.check_equals_reference(OP, cloud[0], *cut, min_points)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_every_scale_and_far_from_the_origin(scale):
    points = kit.surface(800)[0] * scale
    kit.check_equals_reference(OP, points, scale, 0.5 * scale, 5)
    kit.check_equals_reference(OP, (points / scale / 0.01).round() * 0.01 + 1e4, 1.0, 0.5, 5)


@kit.quick()
@given(kit.clouds(1, 200), st.floats(0.2, 4), st.floats(0.3, 1))
def test_every_point_lies_in_a_block_and_within_it(cloud, size, overlap):
    points = cloud[0]
    blocks = cut_blocks(points, size=size, stride=size * overlap, min_points=1)
    assert torch.equal(blocks.indices.unique(), torch.arange(len(points)))
    for origin, own in zip(blocks.origins.double(), members(blocks), strict=True):
        assert (own.diff() > 0).all()
        inside = points[own, :2].double() - origin
        assert (inside >= -1e-5).all() and (inside <= size + 1e-5).all()


def test_blocks_come_in_serpentine_order():
    x, y = torch.meshgrid(torch.linspace(0, 3, 31), torch.linspace(0, 2, 21), indexing="ij")
    points = torch.stack([x.flatten(), y.flatten(), torch.zeros(x.numel())], dim=1) + torch.tensor(
        [10.0, 20, 0]
    )
    blocks = cut_blocks(points, size=1.0, stride=1.0, min_points=1)
    assert (blocks.origins - torch.tensor([10, 20])).round().tolist() == [
        [0, 0],
        [0, 1],
        [1, 1],
        [1, 0],
        [2, 0],
        [2, 1],
    ]
    assert [len(m) for m in members(blocks)] == [11 * 11] * 6  # both ends belong to a block


def test_block_count_is_the_papers():
    for extent in (0.5, 1.0, 1.2, 3.0, 3.3):
        points = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) * extent
        points[0], points[1] = 0, extent
        per_axis = max(0, math.ceil((extent - 1) / 0.5 - 1e-6)) + 1
        assert len(cut_blocks(points, size=1.0, stride=0.5, min_points=1).origins) == per_axis**2


def test_small_blocks_are_dropped():
    points = torch.cat([torch.zeros(100, 3), torch.tensor([[5.0, 5.0, 0.0]])])
    blocks = cut_blocks(points, size=1.0, stride=0.5)
    assert blocks.offsets.tolist() == [0, 100] and torch.equal(blocks.indices, torch.arange(100))


def test_no_point_one_point_equal_points():
    assert cut_blocks(torch.zeros(0, 3), size=1.0, stride=0.5).origins.shape == (0, 2)
    assert cut_blocks(torch.ones(1, 3), size=1.0, stride=0.5).origins.shape == (0, 2)
    blocks = cut_blocks(torch.full((7, 3), 0.1), size=1.0, stride=0.5, min_points=1)
    assert blocks.offsets.tolist() == [0, 7] and torch.equal(blocks.origins, torch.full((1, 2), 0.1))


def test_errors_name_the_way_out():
    points = torch.rand(9, 3)
    with pytest.raises(ValueError, match="size and stride must be positive"):
        cut_blocks(points, size=1.0, stride=0.0)
    with pytest.raises(ValueError, match="use stride <= size"):
        cut_blocks(points, size=1.0, stride=2.0)
    with pytest.raises(ValueError, match="points must be finite"):
        cut_blocks(points + float("nan"), size=1.0, stride=1.0)
    with pytest.raises(ValueError, match="crop stray points, check the unit"):
        cut_blocks(points * 1e6, size=1.0, stride=0.5)


def test_determinism_layouts_registration_and_workers():
    points = kit.surface(500)[0]
    kit.check_deterministic(OP, points, 1.0, 0.5, 3)
    kit.check_layouts(OP, points, 1.0, 0.5, 3)
    kit.check_registration(OP, points, 1.0, 0.5, 3)
    kit.check_in_forked_worker(lambda: run(points, 1.0, 0.5, 3))


def step_by_step(blocks, voxel_size, compat, min_overlap=7, min_points=30) -> dict[tuple[int, ...], int]:
    """BlockMerging as the paper's supplement tells it, with dictionaries: voxel → instance."""
    instance, class_of_voxel = {}, {}
    for points, clusters, classes in blocks:
        voxels = [tuple(v) for v in np.floor(points.double().numpy() / voxel_size).astype(int).tolist()]
        clusters, classes = clusters.numpy(), classes.numpy()
        target, modes = {}, {}
        new = fresh = max(instance.values(), default=-1) + 1
        for c in sorted(set(clusters[clusters >= 0].tolist())):
            values, times = np.unique(classes[clusters == c], return_counts=True)
            modes[c] = values[times.argmax()]
            own = [v for v, k in zip(voxels, clusters, strict=True) if k == c]
            overlap = np.zeros(new + 1, int)
            for v in own:
                if v in instance and class_of_voxel[v] == modes[c]:
                    overlap[instance[v]] += 1
            target[c] = int(overlap.argmax()) if compat or overlap.max() >= min_overlap else -1
            if overlap.max() < min_overlap and len(own) >= min_points:
                target[c], fresh = fresh, fresh + 1
        for v, c in zip(voxels, clusters.tolist(), strict=True):
            if c >= 0 and v not in instance and target[c] >= 0:
                instance[v], class_of_voxel[v] = target[c], modes[c]
    return instance


@kit.quick()
@given(st.integers(0, 2**16), st.booleans(), st.sampled_from([0.1, 0.5, 1.0]))
def test_merging_is_the_paper_step_by_step(seed, compat, voxel_size):
    g = torch.Generator().manual_seed(seed)
    blocks = []
    for k in range(6):
        points = (
            torch.rand(150, 3, generator=g) * torch.tensor([2.0, 2.0, 1.0])
            - 0.5
            + torch.tensor([0.7 * k, 0, 0])
        )
        clusters = (points[:, 0] / 0.8).floor().long() * 2 + (points[:, 1] > 0.5).long()
        clusters = torch.where(torch.rand(150, generator=g) < 0.1, -1, clusters - clusters.min())
        blocks.append(
            (points, clusters, torch.randint(0, 2, (150,), generator=g) * (points[:, 1] > 0).long())
        )
    merger = BlockMerger(voxel_size, reference_compat=compat)
    for block in blocks:
        merger.add(*block)
    expected = step_by_step(blocks, voxel_size, compat)
    everywhere = torch.cat([points for points, _, _ in blocks])
    keys = np.floor(everywhere.double().numpy() / voxel_size).astype(int).tolist()
    assert merger.labels(everywhere).tolist() == [expected.get(tuple(key), -1) for key in keys]
    assert merger.num_instances == max(expected.values(), default=-1) + 1


def row_of_objects(spacing: float = 1.3) -> tuple[torch.Tensor, torch.Tensor]:
    """Seven dense cubes of 0.9 m in a row, and which cube each point is of."""
    cube = torch.rand(7, 4000, 3, generator=torch.Generator().manual_seed(0)) * 0.9
    cube[..., 0] += spacing * torch.arange(7.0)[:, None]
    return cube.flatten(0, 1), torch.arange(7).repeat_interleave(4000)


def test_objects_cut_by_blocks_are_whole_again():
    points, truth = row_of_objects()
    blocks = cut_blocks(points, size=1.0, stride=0.5)
    merger = BlockMerger(0.05)
    for own in members(blocks):
        clusters = torch.unique(truth[own], return_inverse=True)[1]
        merger.add(points[own], clusters, 0 * own)
    labels = merger.labels(points)
    pairs = torch.unique(torch.stack([truth, labels]), dim=1)
    assert pairs.shape[1] == 7 and len(pairs[1].unique()) == 7 and labels.min() == 0


def test_other_classes_do_not_merge():
    points, _ = row_of_objects()
    merger = BlockMerger(0.05)
    one = torch.zeros(len(points), dtype=torch.int64)
    assert merger.add(points, one, one).tolist() == [0]
    assert merger.add(points, one, one + 1).tolist() == [1]  # a new id, though every voxel is taken
    assert not merger.labels(points).any()


def test_small_clusters_without_overlap_stay_unassigned_unless_asked():
    far = torch.full((29, 3), 5.0)
    zeros = torch.zeros(29, dtype=torch.int64)
    for compat, expected in ((False, -1), (True, 0)):
        merger = BlockMerger(0.1, reference_compat=compat)
        assert merger.add(far, zeros, zeros).tolist() == [expected]
        assert merger.labels(far[:1]).tolist() == [expected]
    assert BlockMerger(0.1).add(
        far[:1].repeat(30, 1), torch.zeros(30).long(), torch.zeros(30).long()
    ).tolist() == [0]


def test_seven_points_are_enough_overlap_and_ties_go_to_the_lowest_id():
    zeros = torch.zeros(60, dtype=torch.int64)
    first = torch.cat([torch.zeros(30, 3), torch.full((30, 3), 1.5)])
    for met, expected in ((6, 2), (7, 0)):
        merger = BlockMerger(1.0)
        assert merger.add(first, (torch.arange(60) >= 30).long(), zeros).tolist() == [0, 1]
        mixed = torch.cat([torch.zeros(met, 3), torch.full((met, 3), 1.5), torch.full((40, 3), 7.0)])
        assert merger.add(mixed, zeros[:1].repeat(len(mixed)), zeros[:1].repeat(len(mixed))).tolist() == [
            expected
        ]


def test_there_is_no_limit_on_clusters_and_ids():
    merger = BlockMerger(1.0, min_points=1)
    corners = torch.cartesian_prod(torch.arange(30.0), torch.arange(30.0), torch.arange(2.0))
    ids = torch.arange(len(corners))
    assert torch.equal(merger.add(corners, ids, ids * 0), ids)
    assert torch.equal(merger.add(corners + 100, ids, ids * 0), ids + len(ids))
    assert torch.equal(
        merger.labels(torch.cat([corners, corners + 100, corners - 50])),
        torch.cat([ids, ids + len(ids), -1 - ids * 0]),
    )


def test_a_fraction_of_the_room_is_200_voxels_along_each_axis():
    points = torch.tensor([[-1.0, 2, 0], [9, 4, 3]])
    merger = BlockMerger.of_room(points, min_points=1)
    np.testing.assert_allclose(merger.voxel_size, [0.05, 0.01, 0.015])
    merger.add(points[:1], torch.zeros(1).long(), torch.zeros(1).long())
    beside = points[:1] + torch.tensor([[0.049, 0, 0], [0.051, 0, 0], [0, 0.009, 0], [0, 0.011, 0]])
    assert merger.labels(beside).tolist() == [0, -1, 0, -1]


def test_unassigned_points_and_empty_blocks_change_nothing():
    merger = BlockMerger(0.1)
    nothing = torch.zeros(0, dtype=torch.int64)
    assert merger.add(torch.zeros(0, 3), nothing, nothing).shape == (0,)
    minus = torch.full((50,), -1)
    assert merger.add(torch.rand(50, 3), minus, minus).shape == (0,)
    assert (merger.labels(torch.rand(50, 3)) == -1).all()


def test_merging_refuses_what_its_table_cannot_hold():
    merger = BlockMerger(0.01)
    with pytest.raises(ValueError, match="drop stray and non-finite points"):
        merger.labels(torch.tensor([[0.0, 0, 1e6]]))
    with pytest.raises(ValueError, match="drop stray and non-finite points"):
        merger.labels(torch.tensor([[0.0, float("nan"), 0]]))
    with pytest.raises(ValueError, match="voxel_size must be positive"):
        BlockMerger(0.0)

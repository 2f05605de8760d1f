"""Blocks that agree are joined, and majorities decide."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gestalt3d.ops.block_votes import BlockVotes
from gestalt3d.ops.blocks import cut_blocks
from tests.ops import kit
from tests.ops.test_blocks import members, row_of_objects


def partition(labels: torch.Tensor) -> list[int]:
    """The same for labels that differ in their numbers alone; -1 stays."""
    numbers: dict[int, int] = {-1: -1}
    return [numbers.setdefault(label, len(numbers) - 1) for label in labels.tolist()]


def by_definition(blocks, voxel_size, min_iou=0.35, min_overlap=7, min_points=30, min_won=0.5) -> dict:
    """The three rules with dictionaries and sets: voxel → object."""
    seen, clusters = [], []
    for k, (points, ids, classes) in enumerate(blocks):
        voxels = [tuple(v) for v in np.floor(points.double().numpy() / voxel_size).astype(int).tolist()]
        seen.append(set(voxels))
        for c in sorted(set(ids[ids >= 0].tolist())):
            own = [v for v, i in zip(voxels, ids.tolist(), strict=True) if i == c]
            values, times = np.unique(classes[ids == c].numpy(), return_counts=True)
            clusters.append((k, own, values[times.argmax()]))
    objects = list(range(len(clusters)))
    for i, (k, a, kind) in enumerate(clusters):
        for j, (m, b, other) in enumerate(clusters[:i]):
            both = seen[k] & seen[m]
            common, union = len(set(a) & set(b)), len((set(a) | set(b)) & both)
            if k != m and kind == other and common >= min_overlap and common >= min_iou * union:
                low, high = sorted((objects[i], objects[j]))
                objects = [low if o == high else o for o in objects]
    votes = {}
    for o, (_, own, _) in zip(objects, clusters, strict=True):
        for v in own:
            votes.setdefault(v, {}).setdefault(o, 0)
            votes[v][o] += 1

    def winners(stays):
        won = {}
        for v in set().union(*seen):
            heard = {}
            for step in product((-1, 0, 1), repeat=3):
                near = tuple(a + b for a, b in zip(v, step, strict=True))
                for o in stays & votes.get(near, {}).keys():
                    heard[o] = heard.get(o, 0) + votes[near][o]
            if heard:
                won[v] = min(heard, key=lambda o, heard=heard: (-heard[o], o))
        return won

    size = {
        o: sum(len(own) for p, (_, own, _) in zip(objects, clusters, strict=True) if p == o) for o in objects
    }
    stays = {o for o in size if size[o] >= min_points}
    won = winners(stays)
    touched = {o: sum(o in each for each in votes.values()) for o in stays}
    own = {o: sum(w == o and o in votes.get(v, {}) for v, w in won.items()) for o in stays}
    final = winners({o for o in stays if own[o] >= min_won * touched[o]})
    left = {v: o for v, o in won.items() if v not in final}
    again = {v: o for v, o in left.items() if sum(p == o for p in left.values()) >= min_points}
    return final | again


def random_blocks(seed: int) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    g = torch.Generator().manual_seed(seed)
    blocks = []
    for k in range(5):
        points = torch.rand(200, 3, generator=g) * torch.tensor([2.0, 1.5, 0.6]) + torch.tensor(
            [0.6 * k, 0, 0]
        )
        clusters = (points[:, 0] / 0.8).floor().long() * 2 + (points[:, 1] > 0.7).long()
        wrong = torch.rand(200, generator=g) < 0.3
        clusters = torch.where(wrong, torch.randint(-1, 9, (200,), generator=g), clusters)
        blocks.append((points, clusters, (points[:, 1] > 1.1).long()))
    return blocks


@kit.quick()
@given(
    st.integers(0, 2**16),
    st.sampled_from([0.15, 0.35]),
    st.sampled_from([0.1, 0.5]),
    st.sampled_from([5, 60]),
)
def test_votes_are_the_definition(seed, voxel_size, min_iou, min_points):
    blocks = random_blocks(seed)
    votes = BlockVotes(voxel_size, min_iou=min_iou, min_points=min_points)
    for block in blocks:
        votes.add(*block)
    expected = by_definition(blocks, voxel_size, min_iou=min_iou, min_points=min_points)
    everywhere = torch.cat([points for points, _, _ in blocks])
    keys = np.floor(everywhere.double().numpy() / voxel_size).astype(int).tolist()
    truth = torch.tensor([expected.get(tuple(key), -1) for key in keys])
    assert partition(votes.labels(everywhere)) == partition(truth)


def test_objects_cut_by_blocks_are_whole_again():
    points, truth = row_of_objects()
    blocks = cut_blocks(points, size=1.0, stride=0.5)
    votes = BlockVotes(0.05)
    for own in members(blocks):
        votes.add(points[own], torch.unique(truth[own], return_inverse=True)[1], 0 * own)
    pairs = torch.unique(torch.stack([truth, votes.labels(points)]), dim=1)
    assert pairs.tolist() == [[*range(7)], [*range(7)]]


def test_one_block_that_runs_two_halves_together_is_outvoted_above_an_iou_of_a_half():
    points, truth = row_of_objects(spacing=1.0)
    near = truth < 2
    points, truth = points[near], truth[near]
    for min_iou, expected in ((0.6, truth), (0.4, 0 * truth)):
        votes = BlockVotes(0.05, min_iou=min_iou)
        for clusters in (truth, 0 * truth, truth):
            votes.add(points, clusters, 0 * truth)
        assert partition(votes.labels(points)) == partition(expected)


def test_other_classes_do_not_join():
    points, _ = row_of_objects()
    votes = BlockVotes(0.05)
    one = torch.zeros(len(points), dtype=torch.int64)
    votes.add(points, one, one)
    votes.add(points, one, one + 1)
    votes.add(points, one, one + 1)
    assert votes.labels(points).unique().tolist() == [0]  # the second class has the majority everywhere


def test_nothing_small_clusters_and_places_nobody_saw():
    somewhere = torch.full((1, 3), 5.0)
    assert BlockVotes(0.1).labels(somewhere).tolist() == [-1]
    votes = BlockVotes(0.1)
    votes.add(torch.zeros(0, 3), torch.zeros(0).long(), torch.zeros(0).long())
    assert votes.labels(somewhere).tolist() == [-1]
    votes.add(somewhere, torch.tensor([-1]), torch.tensor([0]))
    assert votes.labels(somewhere).tolist() == [-1]
    votes.add(somewhere.repeat(29, 1), torch.zeros(29).long(), torch.zeros(29).long())
    assert votes.labels(somewhere).tolist() == [-1]
    votes.add(somewhere.repeat(30, 1), torch.zeros(30).long(), torch.ones(30).long())
    assert votes.labels(somewhere).tolist() == [0]
    assert votes.labels(somewhere + 1).tolist() == [-1]


def test_errors_name_the_way_out():
    with pytest.raises(ValueError, match="voxel_size must be positive metres"):
        BlockVotes(0.0)
    with pytest.raises(ValueError, match="or pass an origin"):
        BlockVotes(0.01).add(torch.full((1, 3), 1e9), torch.zeros(1).long(), torch.zeros(1).long())

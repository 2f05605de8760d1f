"""Agreement of blocks on superpoints: equal to its definition over pairs of points, and what it is there for."""

from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gestalt3d.methods.rooms.agreement import Agreement
from gestalt3d.ops.average_linkage import average_linkage_reference
from tests.ops import kit

Block = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Superpoint, cluster and probabilities of each point."""


def random_blocks(seed: int, superpoints: int, blocks: int, points: int) -> list[Block]:
    g = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randint(0, superpoints, (points,), generator=g),
            torch.randint(-1, 3, (points,), generator=g),
            torch.rand(points, 4, generator=g).pow(3).softmax(-1),
        )
        for _ in range(blocks)
    ]


def defined(
    blocks: list[Block], superpoints: int, power: float, least: float, min_points: int
) -> torch.Tensor:
    """Every pair of points of every block, counted one by one."""
    shares: dict[tuple[int, int], list[int]] = {}
    sums, drawn = torch.zeros(superpoints, 4, dtype=torch.float64), torch.zeros(superpoints)
    for patches, clusters, probabilities in blocks:
        for i, j in combinations(range(len(patches)), 2):
            p, q = sorted((int(patches[i]), int(patches[j])))
            if p != q:
                count = shares.setdefault((p, q), [0, 0])
                count[0] += int(clusters[i] == clusters[j] >= 0)
                count[1] += 1
        for p, cluster, row in zip(patches, clusters, probabilities, strict=True):
            sums[p] += row.double()
            drawn[p] += int(cluster >= 0)
    pairs = sorted(shares)
    alike = [float(torch.cosine_similarity(sums[p], sums[q], dim=0)) ** power for p, q in pairs]
    agree = [shares[pair][0] / shares[pair][1] * like for pair, like in zip(pairs, alike, strict=True)]
    labels = average_linkage_reference(
        torch.tensor(pairs).reshape(-1, 2).T,
        torch.tensor(agree, dtype=torch.float64),
        torch.tensor([shares[pair][1] for pair in pairs], dtype=torch.float64),
        superpoints,
        least,
    )
    sizes = torch.zeros(superpoints).index_add_(0, labels, drawn)
    return torch.where(sizes[labels] >= max(min_points, 1), labels, -1)


def objects(blocks: list[Block], superpoints: int, **options: float) -> torch.Tensor:
    agreement = Agreement(superpoints, blocks[0][2].shape[1] if blocks else 2, **options)
    for block in blocks:
        agreement.add(*block)
    return agreement.objects()


def partition(labels: torch.Tensor) -> list[tuple[int, ...]]:
    return sorted(tuple((labels == i).nonzero().flatten().tolist()) for i in labels.unique() if i >= 0)


@kit.quick(40)
@given(
    st.integers(0, 2**16),
    st.integers(1, 8),
    st.integers(1, 4),
    st.integers(0, 25),
    st.sampled_from([0.0, 1.0, 4.0]),
    st.sampled_from([0.1, 0.3, 0.6]),
    st.sampled_from([0, 5, 20]),
)
def test_is_its_definition(seed, superpoints, blocks, points, power, least, min_points):
    some = random_blocks(seed, superpoints, blocks, points)
    found = objects(some, superpoints, class_power=power, min_agreement=least, min_points=min_points)
    assert partition(found) == partition(defined(some, superpoints, power, least, min_points))
    assert found.max() + 1 == len(partition(found))


def one_block(clusters: list[int], classes: list[int] | None = None, points: int = 10) -> Block:
    """`points` of each superpoint, all of them in that cluster."""
    patches = torch.arange(len(clusters)).repeat_interleave(points)
    named = torch.tensor(classes or [0] * len(clusters))
    return patches, torch.tensor(clusters)[patches], torch.eye(3)[named][patches]


def test_one_block_is_taken_at_its_word() -> None:
    assert objects([one_block([0, 0, 1, 1, 0])], 5, min_points=1).tolist() == [0, 0, 1, 1, 0]


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_one_blocks_mistake_does_not_decide(wrong: int) -> None:
    """Neither one that joins two objects nor one that parts an object."""
    for truth, mistake in (([0, 0, 1, 1], [0, 0, 0, 0]), ([0, 0, 0, 0], [0, 0, 1, 1])):
        said = [truth, truth, truth]
        said[wrong] = mistake
        found = objects([one_block(each) for each in said], 4, min_agreement=0.5)
        assert partition(found) == partition(torch.tensor(truth))


def test_what_no_block_saw_together_is_joined_by_what_lies_between() -> None:
    left, right = one_block([0, 0, -1]), one_block([-1, 0, 0])
    some = [tuple(each[block[1] >= 0] for each in block) for block in (left, right)]
    assert objects(some, 3).tolist() == [0, 0, 0]


def test_unlike_classes_part_what_clusters_join() -> None:
    block = one_block([0, 0, 0], [1, 1, 2])
    assert objects([block], 3, min_points=1).tolist() == [0, 0, 1]
    assert objects([block], 3, class_power=0.0, min_points=1).tolist() == [0, 0, 0]


def test_the_order_of_blocks_does_not_matter() -> None:
    some = random_blocks(0, 30, 6, 200)
    assert partition(objects(some, 30, min_agreement=0.2)) == partition(
        objects(some[::-1], 30, min_agreement=0.2)
    )


def test_what_is_unseen_small_or_in_no_cluster_is_no_object() -> None:
    assert Agreement(3, 2).objects().tolist() == [-1] * 3
    few, many = one_block([0, 1], points=29), one_block([0, 1], points=30)
    assert objects([few], 3, min_points=30).tolist() == [-1, -1, -1]
    assert objects([many], 3, min_points=30).tolist() == [0, 1, -1]
    assert objects([one_block([0, -1], points=30)], 2).tolist() == [0, -1]
    nothing = (torch.zeros(0).long(), torch.zeros(0).long(), torch.zeros(0, 3))
    assert objects([nothing], 2).tolist() == [-1, -1]

"""Each score by hand, and what a bound on memory must not change."""

import pytest
import torch

from gestalt3d.methods.voxels import proposals
from gestalt3d.methods.voxels.proposals import (
    class_probability,
    direction_coherency,
    distinct,
    feature_coherency,
    large,
    probable_class,
    propose,
    regular_size,
    split,
    total_score,
    unions,
)
from gestalt3d.ops.components import grid_components, voxel_pairs
from gestalt3d.structures.sets import Sets


def sets(*members: list[int], size: int = 100) -> Sets:
    sizes = torch.tensor([len(m) for m in members], dtype=torch.int64)
    return Sets.from_sizes(sizes, torch.tensor([i for m in members for i in m], dtype=torch.int64), size)


def as_sets(proposals: Sets) -> list[list[int]]:
    return [p.tolist() for p in proposals.indices.split(proposals.sizes.tolist())]


@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_components_of_a_cluster_are_those_of_the_dense_grid(connectivity: int) -> None:
    torch.manual_seed(0)
    labels = torch.randint(-1, 3, (7, 6, 5))
    coordinates = (labels >= 0).nonzero()[torch.randperm(int((labels >= 0).sum()))] - 3
    mine = labels[tuple((coordinates + 3).T)]
    found = split(mine, torch.zeros_like(mine), voxel_pairs(coordinates, connectivity=connectivity))
    dense = grid_components(labels, connectivity=connectivity)[tuple((coordinates + 3).T)]
    pairs = torch.unique(torch.stack([found, dense]), dim=1)
    assert len(found.unique()) == len(dense.unique()) == pairs.shape[1]


def test_a_cluster_splits_where_it_is_parted_or_changes_class() -> None:
    coordinates = torch.tensor([[0, 0, 0], [1, 1, 1], [2, 2, 2], [5, 5, 5]])
    found = split(
        torch.zeros(4).long(), torch.tensor([0, 0, 1, 1]), voxel_pairs(coordinates, connectivity=26)
    )
    assert found.tolist() == [0, 0, 1, 2]


def test_proposals_are_clusters_and_their_parts_each_once() -> None:
    embedding = torch.tensor([[0.0], [0.0], [0.0], [9.0], [9.0]])
    coordinates = torch.tensor([[0, 0, 0], [1, 0, 0], [8, 0, 0], [3, 0, 0], [4, 0, 0]])
    found = propose(embedding, coordinates, torch.zeros(5).long(), bandwidths=(0.5, 1.0), connectivity=26)
    assert len(found.sizes) > 4
    once = distinct([found, found], min_voxels=1)
    assert sorted(as_sets(once)) == [[0, 1], [0, 1, 2], [2], [3, 4]]
    larger = distinct([found], min_voxels=2)
    assert sorted(as_sets(larger)) == [[0, 1], [0, 1, 2], [3, 4]]


def test_components_across_classes_are_proposals_where_asked_for() -> None:
    coordinates = torch.tensor([[0, 0, 0], [1, 0, 0], [2, 0, 0], [8, 0, 0]])
    classes = torch.tensor([0, 0, 1, 0])
    given = {"bandwidths": (1.0,), "connectivity": 26}
    found = once(propose(torch.zeros(4, 1), coordinates, classes, **given))
    assert sorted(as_sets(found)) == [[0, 1], [0, 1, 2, 3], [2], [3]]
    found = once(propose(torch.zeros(4, 1), coordinates, classes, across=True, **given))
    assert sorted(as_sets(found)) == [[0, 1], [0, 1, 2], [0, 1, 2, 3], [2], [3]]


def once(made: Sets) -> Sets:
    return distinct([made], min_voxels=1)


def row_of(*lengths: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Voxels along x, those of several objects one after the other: positions, pairs, directions to the objects' centres."""
    x = torch.arange(sum(lengths))
    at = torch.stack([x, x * 0, x * 0], dim=1)
    owner = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    centre = torch.stack([x[owner == i].float().mean() for i in range(len(lengths))])[owner]
    towards = (centre - x).sign()
    return at, voxel_pairs(at, connectivity=6), torch.stack([towards, towards * 0, towards * 0], dim=1)


def test_pieces_unite_to_the_objects_that_directions_point_to() -> None:
    at, pairs, directions = row_of(8, 4, 6)
    pieces = torch.arange(18) // 2  # two voxels each, none across two objects
    # At an end a piece gains as much by pointing to the common centre as the middle loses: nothing.
    found = as_sets(unions(pieces, pairs, directions, at.float(), min_gain=-0.1))
    whole = [[*range(8)], [*range(8, 12)], [*range(12, 18)]]
    assert all(one in found for one in whole)
    # Whatever is united belongs to one object.
    assert all(any(set(one) <= set(other) for other in whole) for one in found)
    assert len({tuple(one) for one in found}) == len(found) == 9 - 3  # each union takes one piece away


def test_a_union_gains_what_its_directions_say() -> None:
    at, pairs, directions = row_of(4)
    pieces = torch.tensor(
        [0, 0, 1, 1]
    )  # alone each has coherency 0: one voxel points away from its own centre
    for gain, expected in ((1.9, [[0, 1, 2, 3]]), (2.0, [])):  # (1 * 4 - 0 * 2 - 0 * 2) / 2
        assert as_sets(unions(pieces, pairs, directions, at.float(), min_gain=gain)) == expected


def test_numbers_and_order_of_pieces_change_no_union() -> None:
    random = torch.Generator().manual_seed(0)
    at = torch.ones(5, 4, 3).nonzero()
    pieces = torch.randint(-1, 12, (60,), generator=random)
    directions = torch.randn(60, 3, generator=random)
    pairs = voxel_pairs(at, connectivity=26)
    found = as_sets(unions(pieces, pairs, directions, at.float(), min_gain=-9.0))
    names = torch.cat([torch.randperm(12, generator=random) + 5, torch.tensor([-1])])
    assert sorted(as_sets(unions(names[pieces], pairs, directions, at.float(), min_gain=-9.0))) == sorted(
        found
    )
    order = torch.randperm(60, generator=random)
    moved = unions(
        pieces[order],
        voxel_pairs(at[order], connectivity=26),
        directions[order],
        at[order].float(),
        min_gain=-9.0,
    )
    assert sorted(sorted(order[one].tolist()) for one in as_sets(moved)) == sorted(found)
    assert len(found) == 11 and max(map(len, found)) == int(
        (pieces >= 0).sum()
    )  # at any price all become one


@pytest.mark.parametrize("pieces", [[], [-1, -1], [0, 0], [0, -1, 1]])
def test_without_neighbours_there_is_no_union(pieces: list[int]) -> None:
    x = torch.arange(len(pieces))
    at = torch.stack([x, x * 0, x * 0], dim=1)
    given = (torch.tensor(pieces, dtype=torch.int64), voxel_pairs(at, connectivity=26))
    assert as_sets(unions(*given, torch.ones(len(pieces), 3), at.float(), min_gain=-9.0)) == []


def test_unions_are_proposals_where_asked_for() -> None:
    at, _, directions = row_of(6)
    embedding = (torch.arange(6) // 2).float()[:, None] * 5
    given = {
        "bandwidths": (),
        "connectivity": 26,
        "directions": directions,
        "merge": 1.0,
        "min_gain": -0.1,
    }
    found = propose(embedding, at, torch.tensor([0, 1, 0, 1, 0, 1]), **given)
    assert [0, 1, 2, 3, 4, 5] in as_sets(found) and [2, 3] in as_sets(found)
    # Without directions the pieces stay proposals, their unions do not.
    blind = propose(embedding, at, torch.zeros(6).long(), **{**given, "directions": None})
    assert sorted(as_sets(blind)) == [[0, 1], [0, 1, 2, 3, 4, 5], [2, 3], [4, 5]]


def test_feature_coherency_is_the_share_near_the_mean() -> None:
    embedding = torch.tensor([[0.0], [0.0], [4.0], [1.0]])
    # Means 4/3 and 0: of the first, distances 4/3, 4/3, 8/3.
    found = feature_coherency(embedding, sets([0, 1, 2], [0, 1]), threshold=1.5)
    torch.testing.assert_close(found, torch.tensor([2 / 3, 1.0]))


def test_direction_coherency_is_the_mean_cosine_to_the_centre() -> None:
    positions = torch.tensor([[0.0, 0, 0], [2, 0, 0], [1, 0, 0]])
    vectors = torch.tensor([[3.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    found = direction_coherency(vectors, positions, sets([0, 1], [0, 1, 2], [2]))
    torch.testing.assert_close(found, torch.tensor([0.5, 0.5, 0.0]))


def test_regular_size_is_one_at_the_usual_size_and_falls_by_the_log_normal() -> None:
    mean, deviation = torch.tensor([100.0, 10.0]).log(), torch.tensor([2.0**0.5, 0.0])
    found = regular_size(
        torch.tensor([100, round(100 * 2.718281828), 5, 5]), torch.tensor([0, 0, 1, -1]), mean, deviation
    )
    expected = torch.tensor([1.0, float(torch.tensor(-0.25).exp()), 1.0, 1.0])
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)  # 272 voxels are not quite 100 e


def test_large_is_the_share_of_the_largest_logarithm() -> None:
    found = large(torch.tensor([1, 99, 9999]))
    torch.testing.assert_close(
        found, torch.tensor([2.0, 100.0, 10_000.0]).log() / torch.tensor(10_000.0).log()
    )
    assert large(torch.zeros(0).long()).shape == (0,)


def test_class_is_the_most_probable_label() -> None:
    semantics = torch.tensor([[0.6, 0.4], [0.1, 0.9], [0.5, 0.5], [0.0, 0.0]])
    assert probable_class(semantics, sets([0, 1], [2], [3])).tolist() == [1, 0, -1]


def test_probability_of_the_class_is_its_mean() -> None:
    semantics, made = torch.tensor([[0.6, 0.4], [0.2, 0.8], [0.5, 0.5]]), sets([0, 1], [2], [0])
    found = class_probability(semantics, made, torch.tensor([0, 1, -1]))
    torch.testing.assert_close(found, torch.tensor([0.4, 0.5, 0.0]))
    assert class_probability(semantics[:, :0], made, torch.tensor([-1, -1, -1])).tolist() == [0, 0, 0]


def test_total_score_is_the_weighted_mean() -> None:
    a, b = torch.tensor([1.0, 0.5]), torch.tensor([-1.0, 0.5])
    torch.testing.assert_close(total_score((1.0, a), (3.0, b)), torch.tensor([0.25, 0.5]))
    with pytest.raises(ValueError, match="weights"):
        total_score((0.0, a))


def test_a_bound_on_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = torch.Generator().manual_seed(0)
    member = torch.rand(300, 60, generator=random) < 0.1 + 0.8 * torch.rand(300, 1, generator=random) ** 4
    made = sets(*(row.nonzero()[:, 0].tolist() for row in member))
    embedding, vectors, positions = (torch.randn(60, n, generator=random) for n in (4, 3, 3))
    semantics = torch.rand(60, 5, generator=random)

    def answers() -> list[torch.Tensor]:
        return [
            feature_coherency(embedding, made, threshold=1.0),
            direction_coherency(vectors, positions, made),
            probable_class(semantics, made),
            class_probability(semantics, made, torch.arange(300) % 5),
        ]

    expected = answers()
    for most in (1, 7, 1000):
        monkeypatch.setattr(proposals, "_MEMBERS_AT_ONCE", most)
        pieces = [*made.pieces(most)]
        assert sum(len(piece.sizes) for piece in pieces) == 300
        assert all(len(piece.indices) <= most or len(piece.sizes) == 1 for piece in pieces)
        for found, known in zip(answers(), expected, strict=True):
            assert torch.equal(found, known)


def test_no_voxels_no_proposals() -> None:
    none = propose(
        torch.zeros(0, 4),
        torch.zeros(0, 3).long(),
        torch.zeros(0).long(),
        bandwidths=(1.0,),
        connectivity=26,
    )
    assert len(none.sizes) == len(once(none).sizes) == 0
    assert len(feature_coherency(torch.zeros(0, 4), none, threshold=1.0)) == 0
    assert len(direction_coherency(torch.zeros(0, 3), torch.zeros(0, 3), none)) == 0

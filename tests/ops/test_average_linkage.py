"""Average linkage: equal to the definition, to SciPy's where all pairs are known, and what reducible linkages promise."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from gestalt3d.ops import average_linkage as module
from gestalt3d.ops.average_linkage import average_linkage, average_linkage_reference
from gestalt3d.ops.components import graph_components
from tests.ops import kit

OP = kit.Op(module._op, average_linkage_reference, module._op)


def graph(
    n: int, m: int, seed: int, *, ties: bool = False
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random edges, some of one node or parallel, with similarities in [0, 1), or in quarters, and weights of 1 to 4."""
    g = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, n, (2, m), generator=g)
    similarities = torch.rand(m, generator=g, dtype=torch.float64)
    weights = torch.randint(1, 5, (m,), generator=g).double()
    return edges, (similarities * 4).floor() / 4 if ties else similarities, weights


def means(edges, similarities, weights, found):
    """Mean similarity of every two clusters with an edge between them, and of none within."""
    clusters = found[edges].sort(0).values
    pairs, of_edge = clusters[:, clusters[0] != clusters[1]].unique(dim=1, return_inverse=True)
    own = clusters[0] != clusters[1]
    total = torch.zeros(pairs.shape[1], dtype=torch.float64).index_add_(
        0, of_edge, (similarities * weights)[own]
    )
    return total / torch.zeros_like(total).index_add_(0, of_edge, weights[own])


@kit.quick(80)
@given(
    st.integers(1, 40),
    st.integers(0, 160),
    st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.9]),
    st.booleans(),
    st.integers(0, 2**16),
)
def test_is_the_definition_ties_included(n, m, least, ties, seed):
    kit.check_equals_reference(OP, *graph(n, m, seed, ties=ties), n, least)


@kit.quick(40)
@given(st.integers(2, 60), st.sampled_from([0.2, 0.4, 0.5, 0.6, 0.8]), st.integers(0, 2**16))
def test_is_scipys_where_all_pairs_are_known(n, least, seed):
    pairs = torch.triu_indices(n, n, 1)
    similarities = torch.rand(
        pairs.shape[1], generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    found = average_linkage(
        pairs, similarities, torch.ones_like(similarities), num_nodes=n, min_similarity=least
    )
    tree = linkage((1 - similarities).numpy(), method="average")
    theirs = torch.from_numpy(fcluster(tree, t=1 - least, criterion="distance").astype(np.int64))
    together = torch.stack([found, theirs]).unique(dim=1)
    assert together.shape[1] == len(found.unique()) == len(theirs.unique())


@kit.quick()
@given(st.integers(2, 40), st.integers(1, 160), st.sampled_from([0.25, 0.5, 0.75]), st.integers(0, 2**16))
def test_what_is_left_is_not_similar_enough(n, m, least, seed):
    some = graph(n, m, seed)
    found = average_linkage(*some, num_nodes=n, min_similarity=least)
    assert bool((means(*some, found) < least).all())


@kit.quick()
@given(st.integers(2, 40), st.integers(1, 160), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**16))
def test_more_similarity_asked_parts_and_joins_nothing(n, m, one, other, seed):
    some = graph(n, m, seed)
    coarse, fine = (
        average_linkage(*some, num_nodes=n, min_similarity=least) for least in sorted((one, other))
    )
    assert torch.stack([coarse, fine]).unique(dim=1).shape[1] == len(fine.unique())


def test_the_extremes_are_components_and_nodes() -> None:
    some = graph(50, 60, 0)
    everything = average_linkage(*some, num_nodes=50, min_similarity=0.0)
    assert torch.equal(everything, graph_components(some[0], num_nodes=50))
    assert average_linkage(*some, num_nodes=50, min_similarity=1.1).tolist() == list(range(50))


def test_one_strong_edge_does_not_join_what_many_weak_ones_part() -> None:
    """Unlike connected components."""
    edges = torch.tensor([[0, 2, 0, 0, 1, 1], [1, 3, 2, 3, 2, 3]])
    similarities = torch.tensor([0.9, 0.9, 0.8, 0.1, 0.1, 0.1])
    found = average_linkage(edges, similarities, torch.ones(6), num_nodes=4, min_similarity=0.5)
    assert found.tolist() == [0, 0, 1, 1]
    weights = torch.tensor([1.0, 1.0, 9.0, 1.0, 1.0, 1.0])
    assert average_linkage(edges, similarities, weights, num_nodes=4, min_similarity=0.5).tolist() == [0] * 4


@kit.quick(20)
@given(st.integers(2, 30), st.integers(1, 80), st.integers(0, 2**16))
def test_names_of_nodes_and_order_of_edges_do_not_matter(n, m, seed):
    edges, similarities, weights = graph(n, m, seed)
    g = torch.Generator().manual_seed(seed + 1)
    names, order = torch.randperm(n, generator=g), torch.randperm(m, generator=g)
    plain = average_linkage(edges, similarities, weights, num_nodes=n, min_similarity=0.5)
    other = average_linkage(
        names[edges][:, order].flip(0), similarities[order], weights[order], num_nodes=n, min_similarity=0.5
    )[names]
    assert torch.stack([plain, other]).unique(dim=1).shape[1] == len(plain.unique()) == len(other.unique())


def test_meets_the_kit() -> None:
    some = (*graph(60, 300, 1), 60, 0.5)
    kit.check_deterministic(OP, *some)
    kit.check_layouts(OP, *some)
    kit.check_registration(OP, *some)
    kit.check_equals_reference(OP, torch.zeros(2, 0).long(), torch.zeros(0), torch.zeros(0), 0, 0.5)
    kit.check_equals_reference(OP, torch.zeros(2, 0).long(), torch.zeros(0), torch.zeros(0), 3, 0.5)
    kit.check_in_forked_worker(lambda: OP.run(*some))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edges": torch.tensor([[0], [2]])}, r"nodes in \[0, 2\), got 0 to 2"),
        ({"similarities": torch.tensor([float("nan")])}, "must be finite"),
        ({"weights": torch.zeros(1)}, "finite and positive"),
        ({"num_nodes": -1}, "must not be negative"),
        ({"min_similarity": float("inf")}, "must be finite"),
    ],
)
def test_wrong_arguments_are_named(changes, message) -> None:
    given = {
        "edges": torch.tensor([[0], [1]]),
        "similarities": torch.ones(1),
        "weights": torch.ones(1),
        "num_nodes": 2,
        "min_similarity": 0.5,
    } | changes
    with pytest.raises(ValueError, match=message):
        average_linkage(given.pop("edges"), given.pop("similarities"), given.pop("weights"), **given)

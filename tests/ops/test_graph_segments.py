"""Segments of weighted graphs: equal to the definition, and what its authors prove of them."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gestalt3d.ops import graph_segments as module
from gestalt3d.ops.components import graph_components
from gestalt3d.ops.graph_segments import graph_segments, graph_segments_reference
from tests.ops import kit

OP = kit.Op(module._op, graph_segments_reference, module._op)


def graph(n: int, m: int, seed: int, *, ties: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Random edges with weights in [0, 1), or in quarters."""
    g = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, n, (2, m), generator=g)
    weights = torch.rand(m, generator=g, dtype=torch.float64)
    return edges, (weights * 4).floor() / 4 if ties else weights


@kit.quick(60)
@given(
    st.integers(1, 40),
    st.integers(0, 120),
    st.sampled_from([0.0, 0.1, 1.0, 10.0]),
    st.integers(0, 9),
    st.booleans(),
    st.integers(0, 2**16),
)
def test_is_the_definition_ties_included(n, m, scale, least, ties, seed):
    kit.check_equals_reference(OP, *graph(n, m, seed, ties=ties), n, scale, least)


def inner_difference(edges: torch.Tensor, weights: torch.Tensor, member: torch.Tensor) -> float:
    """Int(C), Eq. 1: the greatest weight in the members' minimum spanning tree; infinite where they do not hang together."""
    own = member[edges].all(0)
    for least in [0.0, *sorted(weights[own].tolist())]:
        some = edges[:, own & (weights <= least)]
        if len(graph_components(some, num_nodes=len(member))[member].unique()) == 1:
            return least
    return float("inf")


def boundary(
    edges: torch.Tensor, weights: torch.Tensor, a: torch.Tensor, b: torch.Tensor, scale: float
) -> bool:
    """D(A, B), Eq. 3: the least weight between two sets is above MInt. False where nothing is between them."""
    between = (a[edges[0]] & b[edges[1]]) | (b[edges[0]] & a[edges[1]])
    inside = (inner_difference(edges, weights, c) + scale / int(c.sum()) for c in (a, b))
    return bool(between.any()) and float(weights[between].min()) > min(inside)


@kit.quick()
@given(st.integers(2, 30), st.integers(0, 80), st.sampled_from([0.1, 1.0]), st.integers(0, 2**16))
def test_not_too_fine(n, m, scale, seed):
    """Theorem 1: there is a boundary between any two segments that an edge connects; and each hangs together."""
    edges, weights = graph(n, m, seed)
    found = graph_segments(edges, weights, num_nodes=n, scale=scale)
    masks = [found == s for s in range(int(found.max()) + 1)]
    assert all(inner_difference(edges, weights, mask) < float("inf") for mask in masks)
    for s, t in found[edges].T.tolist():
        assert s == t or boundary(edges, weights, masks[s], masks[t], scale)


def refinements(found: list[int]) -> Iterator[torch.Tensor]:
    """All labellings that part some segments further and join nothing."""

    def grow(prefix: list[int]) -> Iterator[list[int]]:
        if len(prefix) == len(found):
            yield prefix
            return
        for label in range(max(prefix, default=-1) + 2):
            if all(found[i] == found[len(prefix)] for i, own in enumerate(prefix) if own == label):
                yield from grow([*prefix, label])

    for labels in grow([]):
        if max(labels) > max(found):
            yield torch.tensor(labels)


@kit.quick(25)
@given(st.integers(2, 5), st.integers(1, 10), st.sampled_from([0.3, 1.0, 3.0]), st.integers(0, 2**16))
def test_not_too_coarse(n, m, scale, seed):
    """Theorem 2: every proper refinement has two neighbours without a boundary."""
    edges, weights = graph(n, m, seed)
    found = graph_segments(edges, weights, num_nodes=n, scale=scale)
    for finer in refinements(found.tolist()):
        masks = [finer == s for s in range(int(finer.max()) + 1)]
        if any(inner_difference(edges, weights, mask) == float("inf") for mask in masks):
            continue  # its parts are no segments
        pairs = {tuple(sorted(pair)) for pair in finer[edges].T.tolist() if pair[0] != pair[1]}
        assert any(not boundary(edges, weights, masks[s], masks[t], scale) for s, t in pairs)


@kit.quick()
@given(st.integers(2, 60), st.integers(1, 200), st.integers(0, 2**16))
def test_the_order_among_equal_weights_does_not_matter(n, m, seed):
    """Theorem 3; of the joining of small segments it is not true."""
    edges, weights = graph(n, m, seed, ties=True)
    order = torch.randperm(m, generator=torch.Generator().manual_seed(seed + 1))
    one = graph_segments(edges, weights, num_nodes=n, scale=0.7)
    assert torch.equal(one, graph_segments(edges[:, order], weights[order], num_nodes=n, scale=0.7))


def test_no_scale_joins_by_nothing_and_a_great_one_all_that_is_connected() -> None:
    edges, weights = graph(50, 60, 0)
    none = graph_segments(edges, weights + 0.01, num_nodes=50, scale=0.0)
    assert torch.equal(none, torch.arange(50))
    everything = graph_segments(edges, weights, num_nodes=50, scale=1e9)
    assert torch.equal(everything, graph_components(edges, num_nodes=50))


def test_a_step_parts_and_a_slope_does_not() -> None:
    """What thresholds can not do: a long slope rises by more than the step."""
    heights = torch.cat([torch.arange(50) * 0.01, 3 + torch.arange(50) * 0.01])
    chain = torch.stack([torch.arange(99), torch.arange(1, 100)])
    found = graph_segments(chain, heights.diff().abs(), num_nodes=100, scale=1.0)
    assert torch.equal(found, (torch.arange(100) >= 50).long())


def test_small_ones_join_their_most_similar_neighbour() -> None:
    chain = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]])
    weights = torch.tensor([0.0, 0.5, 0.4, 0.0, 0.0])
    apart = graph_segments(chain, weights, num_nodes=6, scale=0.01)
    assert apart.tolist() == [0, 0, 1, 2, 2, 2]
    assert graph_segments(chain, weights, num_nodes=6, scale=0.01, min_size=2).tolist() == [0, 0, 1, 1, 1, 1]
    alone = graph_segments(
        torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0), num_nodes=2, scale=1.0, min_size=9
    )
    assert alone.tolist() == [0, 1]  # no edge leaves them


@kit.quick(20)
@given(st.integers(2, 30), st.integers(1, 80), st.integers(0, 2**16))
def test_names_of_nodes_and_order_of_edges_do_not_matter(n, m, seed):
    edges, weights = graph(n, m, seed)  # without ties
    g = torch.Generator().manual_seed(seed + 1)
    names, order = torch.randperm(n, generator=g), torch.randperm(m, generator=g)
    plain = graph_segments(edges, weights, num_nodes=n, scale=0.5, min_size=3)
    other = graph_segments(
        names[edges][:, order].flip(0), weights[order], num_nodes=n, scale=0.5, min_size=3
    )[names]
    pairs = torch.stack([plain, other]).unique(dim=1)
    assert pairs.shape[1] == int(plain.max()) + 1 == int(other.max()) + 1


def test_deterministic_and_registered() -> None:
    args = (*graph(300, 2000, 1), 300, 0.3, 5)
    kit.check_deterministic(OP, *args)
    kit.check_layouts(OP, *args)
    kit.check_in_forked_worker(lambda: OP.run(*args))
    kit.check_registration(OP, *graph(20, 40, 1), 20, 0.3, 2)


def test_nothing_has_no_segments() -> None:
    assert graph_segments(
        torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0), num_nodes=0, scale=1.0
    ).shape == (0,)


@pytest.mark.parametrize(
    ("edges", "weights", "scale", "says"),
    [
        ([[0], [5]], [1.0], 1.0, "nodes in"),
        ([[-1], [1]], [1.0], 1.0, "nodes in"),
        ([[0], [1]], [-1.0], 1.0, "weights must be finite and not negative"),
        ([[0], [1]], [float("nan")], 1.0, "weights must be finite"),
        ([[0], [1]], [1.0], -1.0, "scale must be"),
    ],
)
def test_what_is_no_graph_is_refused(edges, weights, scale, says) -> None:
    with pytest.raises(ValueError, match=says):
        graph_segments(torch.tensor(edges), torch.tensor(weights), num_nodes=3, scale=scale)

"""Segments of weighted graphs: equal to the definition, and what its authors prove of them."""

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


@kit.quick()
@given(st.integers(2, 40), st.integers(0, 120), st.sampled_from([0.1, 1.0]), st.integers(0, 2**16))
def test_neither_too_fine_nor_too_coarse(n, m, scale, seed):
    """Theorems 1 and 2: neighbours differ by more than MInt; each segment hangs together by edges of at most Int."""
    edges, weights = graph(n, m, seed)
    found = graph_segments(edges, weights, num_nodes=n, scale=scale)
    ends = found[edges]
    sizes = torch.bincount(found)
    inside = ends[0] == ends[1]
    int_of = torch.zeros(len(sizes), dtype=torch.float64)
    for s in range(len(sizes)):  # Int: the greatest weight in the minimum spanning tree
        own = inside & (ends[0] == s)
        for w in [0.0, *sorted(weights[own].tolist())]:
            some = edges[:, own & (weights <= w)]
            if len(graph_components(some, num_nodes=n)[found == s].unique()) == 1:
                int_of[s] = w
                break
        else:
            pytest.fail("a segment does not hang together")
    bears = int_of + scale / sizes
    for (a, b), w in zip(ends[:, ~inside].T, weights[~inside], strict=True):
        assert w > min(bears[a], bears[b])


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
        ([[0], [1]], [1.0, 2.0], 1.0, "weight"),
        ([[0], [1]], [-1.0], 1.0, "not negative"),
        ([[0], [1]], [float("nan")], 1.0, "finite"),
        ([[0], [1]], [1.0], -1.0, "scale"),
    ],
)
def test_what_is_no_graph_is_refused(edges, weights, scale, says) -> None:
    with pytest.raises(Exception, match=says):
        graph_segments(torch.tensor(edges), torch.tensor(weights), num_nodes=3, scale=scale)

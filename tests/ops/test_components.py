"""Components against scipy, DBSCAN against scikit-learn, both against the definition."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import DBSCAN

from gestalt3d.ops import components as module
from gestalt3d.ops.components import (
    dbscan,
    dbscan_reference,
    graph_components,
    graph_reference,
    grid_components,
    grid_reference,
)
from tests.ops import kit


def dbscan_op(points, eps, min_points):
    return module._dbscan_op(points, eps, min_points)


GRAPH = kit.Op(lambda edges, n: graph_components(edges, num_nodes=n), graph_reference, module._graph)
GRID = kit.Op(lambda g, c: grid_components(g, connectivity=c), grid_reference, module._grid_op)
DBSCAN_OP = kit.Op(dbscan_op, dbscan_reference, module._dbscan_op)


def integers(low: int, high: int, shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed))


@kit.quick()
@given(st.integers(1, 60), st.integers(0, 80), st.integers(0, 2**16))
def test_graph_components_are_scipys_numbered_by_lowest_member(n, m, seed):
    edges = integers(0, n, (2, m), seed)
    kit.check_equals_reference(GRAPH, edges, n)
    graph = coo_array((np.ones(m), tuple(edges.numpy())), shape=(n, n))
    expected = connected_components(graph, directed=False)[1]
    assert np.array_equal(GRAPH.run(edges, n), expected)  # scipy numbers in the same order


def test_a_long_chain_is_one_component():
    order = torch.randperm(10_000, generator=torch.Generator().manual_seed(0))
    assert not graph_components(torch.stack([order[1:], order[:-1]]), num_nodes=10_000).any()


@kit.quick()
@given(st.tuples(*(st.integers(1, 9),) * 3), st.sampled_from([6, 18, 26]), st.integers(0, 2**16))
def test_grid_components_are_scipys_of_each_label(shape, connectivity, seed):
    labels = integers(-1, 3, shape, seed)
    found = GRID.run(labels, connectivity)
    assert torch.equal(found, grid_reference(labels, connectivity))
    structure = scipy.ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])
    pairs = set()
    total = 0
    for label in range(3):
        theirs, count = scipy.ndimage.label(labels.numpy() == label, structure)
        total += count
        pairs |= {(label, t, f) for t, f in zip(theirs.ravel(), found.numpy().ravel(), strict=True) if t}
    assert len(pairs) == total == int(found.max()) + 1
    assert torch.equal(found < 0, labels < 0)


@kit.quick()
@given(kit.clouds(0, 80), st.integers(1, 6), st.sampled_from([1e-3, 1.0, 1e3]))
def test_dbscan_is_the_definition(cloud, min_points, scale):
    points = cloud[0] * scale
    for radius in (0.3, 1.0, 2.0):
        kit.check_equals_reference(DBSCAN_OP, points, radius * scale, min_points)


@pytest.mark.parametrize("name", kit.awkward_clouds())
def test_awkward_clouds(name):
    points = kit.awkward_clouds()[name][0]
    radius = 0.4 * float((points - points[0]).norm(dim=1).median()) or 1.0
    for min_points in (1, 5):
        kit.check_equals_reference(DBSCAN_OP, points, radius, min_points)


@pytest.mark.parametrize(("eps", "min_points"), [(0.05, 3), (0.1, 10), (0.3, 40), (10.0, 3)])
def test_dbscan_is_scikit_learns_on_core_points_and_noise(eps, min_points):
    points = kit.surface(6000)[0]
    theirs = DBSCAN(eps=eps, min_samples=min_points).fit(points.double().numpy())
    found = dbscan(points, eps=eps, min_points=min_points).numpy()
    core = theirs.core_sample_indices_
    assert np.array_equal(found[core], theirs.labels_[core])
    assert np.array_equal(found < 0, theirs.labels_ < 0)


def test_a_border_point_joins_its_nearest_core():
    # Two clumps on a line, and a point that reaches one point of each and is no core itself.
    line = torch.tensor([0.0, 0.1, 0.2, 0.3, 2.0, 2.1, 2.2, 2.3, 1.16])
    points = torch.stack([line, 0 * line, 0 * line], dim=1)
    assert dbscan(points, eps=0.87, min_points=4).tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert dbscan(points, eps=0.87, min_points=5).tolist() != [-1] * 9


def test_points_exactly_at_the_radius_touch():
    row = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2.5, 0, 0]])
    assert dbscan(row, eps=1.0, min_points=1).tolist() == [0, 0, 1]
    assert dbscan(row, eps=1.0, min_points=2).tolist() == [0, 0, -1]


def test_nothing_and_one_point():
    assert dbscan(torch.zeros(0, 3), eps=1.0, min_points=1).shape == (0,)
    assert dbscan(torch.zeros(1, 3), eps=1.0, min_points=1).tolist() == [0]
    assert dbscan(torch.zeros(1, 3), eps=1.0, min_points=2).tolist() == [-1]
    assert graph_components(torch.zeros(2, 0, dtype=torch.int64), num_nodes=3).tolist() == [0, 1, 2]
    assert grid_components(torch.zeros(0, 2, 2, dtype=torch.int64)).shape == (0, 2, 2)


def test_errors_name_the_way_out():
    points = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"edges must name nodes in \[0, 2\)"):
        graph_components(torch.tensor([[0], [2]]), num_nodes=2)
    with pytest.raises(ValueError, match="connectivity must be 6, 18 or 26, got 8"):
        grid_components(torch.zeros(1, 1, 1, dtype=torch.int64), connectivity=8)
    with pytest.raises(ValueError, match="eps must be positive"):
        dbscan(points, eps=0.0, min_points=1)
    with pytest.raises(ValueError, match="min_points must be at least 1"):
        dbscan(points, eps=1.0, min_points=0)
    with pytest.raises(ValueError, match="points must be finite"):
        dbscan(points + float("nan"), eps=1.0, min_points=1)


def test_determinism_layouts_registration_and_workers():
    points = kit.surface(2000)[0]
    edges, grid = integers(0, 50, (2, 60)), integers(-1, 3, (6, 7, 8))
    for op, args in ((DBSCAN_OP, (points, 0.2, 4)), (GRAPH, (edges, 50)), (GRID, (grid, 18))):
        kit.check_deterministic(op, *args)
        kit.check_layouts(op, *args)
        kit.check_registration(op, *args)
        kit.check_in_forked_worker(lambda op=op, args=args: op.run(*args))

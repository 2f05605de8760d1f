"""Neighbours among embeddings: exact in L1 and L2, in memory linear in n."""

import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gestalt3d.ops import embedding_neighbours as module
from gestalt3d.ops.embedding_neighbours import embedding_neighbours, embedding_neighbours_reference
from gestalt3d.ops.knn import knn
from tests.ops import kit

OP = kit.Op(lambda x, k, p: embedding_neighbours(x, k=k, p=p), embedding_neighbours_reference, module._op)


def clusters(n: int, e: int = 5, seed: int = 0, b: int = 1) -> torch.Tensor:
    """Embeddings around ten centres."""
    random = torch.Generator().manual_seed(seed)
    centers = 2 * torch.randn(b, 10, e, generator=random)
    chosen = torch.randint(0, 10, (n,), generator=random)
    return centers[:, chosen] + 0.3 * torch.randn(b, n, e, generator=random)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("n", "e"), [(1, 5), (64, 1), (65, 5), (700, 5), (300, 16), (5, 0)])
def test_kernel_is_the_reference(n, e, dtype, p):
    x = clusters(n, e, b=2).to(dtype)
    for rows in (x, x.round()):
        kit.check_equals_reference(OP, rows, 30, p)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("name", kit.awkward_clouds())
def test_awkward_clouds(name, p):
    cloud = kit.awkward_clouds()[name]
    kit.check_equals_reference(OP, cloud, 9, p)


@pytest.mark.parametrize("p", [1, 2])
def test_distances_agree_with_float64(p):
    # Subtraction, square, four additions and the root for p = 2: every rounding is half a unit.
    kit.check_near_float64(OP, clusters(600), 12, p, rtol=7 * 2.0**-24)


@pytest.mark.parametrize("p", [1, 2])
def test_nobody_nearer_is_left_out(p):
    x = clusters(800).double()
    distance, index = (r[0] for r in embedding_neighbours(x, k=30, p=p))
    all_pairs = torch.cdist(x[0], x[0], p=p, compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(distance, all_pairs.sort(1).values[:, :30], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(distance, all_pairs.gather(1, index), rtol=1e-12, atol=1e-12)


def test_three_dimensions_are_knn():
    cloud = kit.surface(500)
    dist2, index = knn(cloud, cloud, k=7)
    kit.assert_same(embedding_neighbours(cloud, k=7, p=2), (dist2.sqrt(), index))


def test_every_row_is_among_its_own_neighbours():
    x = clusters(900)
    distance, index = embedding_neighbours(x, k=1)
    assert torch.equal(index[0, :, 0], torch.arange(900)) and not distance.any()


@kit.quick()
@given(st.integers(1, 60), st.integers(0, 2**16), st.sampled_from([1, 2]))
def test_reordered_rows_and_axes_are_the_same_neighbours(n, seed, p):
    x = kit.lattice(n, seed, size=50)
    random = torch.Generator().manual_seed(seed)
    order = torch.randperm(n, generator=random)
    mirrored = -x[..., torch.randperm(3, generator=random)] + 7
    kit.assert_same(embedding_neighbours(mirrored, k=4, p=p), embedding_neighbours(x, k=4, p=p))
    moved = embedding_neighbours(x[:, order], k=4, p=p).distance[0]
    assert torch.equal(moved, embedding_neighbours(x, k=4, p=p).distance[0, order])


def test_equal_distances_take_the_lowest_index():
    assert embedding_neighbours(torch.zeros(1, 200, 5), k=3).index.unique(dim=1).tolist() == [[[0, 1, 2]]]
    line = torch.tensor([[[0.0], [1.0], [2.0]]])
    assert embedding_neighbours(line, k=3).index.tolist() == [[[0, 1, 2], [1, 0, 2], [2, 1, 0]]]


def test_padding_and_emptiness():
    x = clusters(3)
    for args in ((x, 5, 1), (x[:, :0], 2, 1), (x, 0, 2), (x[:0], 2, 1)):
        kit.check_equals_reference(OP, *args)
    distance, index = embedding_neighbours(x, k=5)
    assert torch.isinf(distance[..., 3:]).all() and (index[..., 3:] == -1).all()


def test_gradients_stop():
    x = clusters(40).requires_grad_()
    assert not embedding_neighbours(x, k=3).distance.requires_grad


def test_bfloat16_embeddings_count_in_float32():
    x = clusters(200).bfloat16()
    kit.assert_same(embedding_neighbours(x, k=5), embedding_neighbours(x.float(), k=5))


def test_reference_splits_its_rows(monkeypatch):
    x = clusters(50, b=2)
    whole = embedding_neighbours_reference(x, 4, 1)
    monkeypatch.setattr(module, "_PAIRS_AT_ONCE", 50 * 2 * 7)
    kit.assert_same(embedding_neighbours_reference(x, 4, 1), whole)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read as Linux reports it")
def test_memory_is_linear():
    import resource

    x = clusters(30_000, 3)
    embedding_neighbours(x[:, :100], k=2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    embedding_neighbours(x, k=2)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 300_000  # kilobytes; all pairs would be 3.6 GB


def test_wrong_arguments_are_named():
    x = clusters(4)
    with pytest.raises(ValueError, match="k must not be negative"):
        embedding_neighbours(x, k=-1)
    x[0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="x must be finite"):
        embedding_neighbours(x, k=1)


def test_determinism_layout_registration():
    x = clusters(900, b=2)
    kit.check_deterministic(OP, x, 5, 1)
    kit.check_layouts(OP, x, 5, 1)
    kit.check_registration(OP, x[:, :9], 3, 1)


def test_inside_a_forked_worker():
    x = clusters(900, b=2)
    kit.check_in_forked_worker(lambda: embedding_neighbours(x, k=5))

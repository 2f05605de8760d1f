"""Mean shift: scikit-learn's partition with bin seeds, whatever the data look like."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import MeanShift
from sklearn.metrics import adjusted_rand_score

from gestalt3d.ops import mean_shift as module
from gestalt3d.ops.mean_shift import mean_shift, mean_shift_reference
from tests.ops import kit


def run(x, bandwidth, max_iterations=300):
    labels, centers = mean_shift(x, bandwidth=bandwidth, max_iterations=max_iterations)
    return centers, labels


OP = kit.Op(run, mean_shift_reference, module._op)


def blobs(n: int, d: int = 5, *, spread: float, seed: int = 0, noise: float = 0.05) -> torch.Tensor:
    """(n, d) float64: ten clusters, 1.5 apart or more, and some noise: embeddings after training."""
    rng = np.random.default_rng(seed)
    centers: list[np.ndarray] = []
    while len(centers) < 10:
        c = rng.uniform(-2.5, 2.5, d)
        if all(np.linalg.norm(c - o) > 1.5 for o in centers) or d < 3:
            centers.append(c)
    x = np.array(centers)[rng.integers(0, 10, n)] + rng.normal(0, spread, (n, d))
    x[rng.random(n) < noise] += rng.normal(0, 0.6, d)
    return torch.from_numpy(x)


def theirs(x: torch.Tensor, bandwidth: float, **options) -> MeanShift:
    return MeanShift(bandwidth=bandwidth, bin_seeding=True, **options).fit(x.numpy())


@pytest.mark.parametrize(
    "x",
    [
        blobs(800, spread=0.05),
        blobs(500, spread=0.25),
        blobs(300, spread=0.6),
        blobs(500, 2, spread=0.2),
        blobs(400, 8, spread=0.1),
        torch.from_numpy(np.random.default_rng(1).normal(0, 2, (300, 5))),
        torch.from_numpy(np.random.default_rng(2).normal(0, 0.3, (400, 5))),
    ],
    ids=["tight", "loose", "mixed", "2-D", "8-D", "every point a cluster", "one blob"],
)
def test_labels_and_centers_are_scikit_learns(x):
    expected = theirs(x, 0.6)
    labels, centers = mean_shift(x, bandwidth=0.6)
    assert np.array_equal(labels.numpy(), expected.labels_)
    np.testing.assert_allclose(centers.numpy(), expected.cluster_centers_, rtol=1e-12, atol=1e-12)
    single = mean_shift(x.float(), bandwidth=0.6).labels
    assert adjusted_rand_score(single.numpy(), expected.labels_) >= 0.999


def test_stopping_after_few_steps_is_scikit_learns():
    x = blobs(250, spread=0.5)
    for steps in (0, 1, 3):
        expected = theirs(x, 0.6, max_iter=steps).labels_
        assert np.array_equal(mean_shift(x, bandwidth=0.6, max_iterations=steps).labels.numpy(), expected)


@kit.quick()
@given(st.integers(1, 200), st.integers(1, 6), st.integers(0, 2**16), st.sampled_from([1e-3, 1.0, 1e3]))
def test_kernel_and_reference_agree_at_every_scale(n, d, seed, scale):
    x = blobs(n, d, spread=0.3, seed=seed) * scale
    centers, labels = run(x, 0.6 * scale)
    expected_centers, expected_labels = mean_shift_reference(x, 0.6 * scale, 300)
    assert torch.equal(labels, expected_labels)
    torch.testing.assert_close(centers, expected_centers, rtol=1e-12, atol=1e-12 * scale)


@kit.quick()
@given(st.integers(2, 200), st.integers(0, 2**16))
def test_order_of_points_is_irrelevant(n, seed):
    x = blobs(n, spread=0.3, seed=seed)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    labels, centers = mean_shift(x, bandwidth=0.6)
    mixed_labels, mixed_centers = mean_shift(x[order], bandwidth=0.6)
    assert torch.equal(mixed_labels, labels[order])
    torch.testing.assert_close(mixed_centers, centers, rtol=1e-12, atol=1e-12)


def test_centers_are_apart_and_nearest_to_their_points():
    x = blobs(2000, spread=0.4)
    labels, centers = mean_shift(x, bandwidth=0.6)
    apart = torch.cdist(centers, centers) + torch.eye(len(centers)) * 9
    assert apart.min() > 0.6
    assert torch.equal(labels, ((x[:, None] - centers) ** 2).sum(-1).argmin(1))


def test_a_tie_goes_to_the_lower_center():
    # Two clusters of equal size at 0 and 2, and one point between: centres descend.
    x = torch.tensor([0.0, 0, 0, 2, 2, 2, 1]).double()[:, None]
    labels, centers = mean_shift(x, bandwidth=0.5)
    assert centers.flatten().tolist() == [2, 0, 1] and labels.tolist() == [1, 1, 1, 0, 0, 0, 2]
    near = mean_shift(
        torch.tensor([0.0, 0, 0, 2, 2, 2, 1]).double()[:, None], bandwidth=0.99, max_iterations=0
    )
    assert torch.equal(near.labels, mean_shift_reference(x, 0.99, 0)[1])


def test_no_point_one_point_equal_points():
    labels, centers = mean_shift(torch.zeros(0, 5), bandwidth=0.6)
    assert labels.shape == (0,) and centers.shape == (0, 5)
    for n in (1, 2, 300):
        labels, centers = mean_shift(torch.full((n, 5), 0.3), bandwidth=0.6)
        assert not labels.any() and torch.equal(centers, torch.full((1, 5), 0.3))


def test_points_out_of_reach_of_all_seeds_still_get_clusters():
    # The middle of a 5-D cell is 1.1 bandwidths from its corners.
    x = torch.full((40, 5), 0.2999)
    with pytest.raises(ValueError, match="No point was within bandwidth"):
        theirs(x, 0.6)
    kit.check_equals_reference(OP, x.double(), 0.6, 300)
    assert not mean_shift(x, bandwidth=0.6).labels.any()


def test_determinism_layouts_registration_and_workers():
    x = blobs(1500, spread=0.5)
    kit.check_deterministic(OP, x, 0.6)
    kit.check_layouts(OP, x, 0.6)
    kit.check_registration(OP, x[:100], 0.6, 300)
    kit.check_in_forked_worker(lambda: run(x, 0.6))


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, float("nan"), float("inf")])
def test_a_senseless_bandwidth_is_refused(bandwidth):
    with pytest.raises(ValueError, match="bandwidth must be a positive"):
        mean_shift(torch.zeros(3, 2), bandwidth=bandwidth)


def test_nan_is_refused():
    with pytest.raises(ValueError, match="x must be finite"):
        mean_shift(torch.tensor([[0.0], [float("nan")]]), bandwidth=1.0)

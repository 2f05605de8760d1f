"""Noise: the same all over a ball, added to logarithms, never where nothing is known."""

import numpy as np
import pytest
import torch

from gestalt3d.methods.voxels.semantic_noise import SemanticNoiseConfig, disturbed, semantic_noise


def test_noise_is_the_same_all_over_a_ball_and_shifts_logarithms() -> None:
    at, rng = torch.ones(30, 30, 1).nonzero(), np.random.default_rng(4)
    one, many = (SemanticNoiseConfig(deviation=2.0, balls=most, radius=(0.5, 0.5)) for most in (1, 300))
    made = [semantic_noise(at, 5, rng, one, voxel_size=0.1) for _ in range(40)]
    assert all(len(noise.unique(dim=0)) <= 2 for noise in made)
    hit = [noise[noise.any(1)] for noise in made if bool(noise.any())]
    assert 10 < len(hit) < 30  # one ball or none
    # A ball of 5 voxels about a voxel holds 81 of a plane, fewer at its edge.
    assert max(map(len, hit)) == 81
    drawn = torch.stack([noise[0] for noise in hit])
    assert float(drawn.std()) == pytest.approx(2.0, abs=4 * 2.0 / (2 * drawn.numel()) ** 0.5)
    sum_of_many = semantic_noise(at, 5, np.random.default_rng(0), many, voxel_size=0.1)
    assert float(sum_of_many.std()) > 2 * 2.0  # some 20 balls over each voxel: they add up
    scores = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    changed = disturbed(scores, torch.tensor([[0.0, 1.0, 2.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]))
    expected = scores[0] * torch.tensor([0.0, 1.0, 2.0]).exp()
    torch.testing.assert_close(changed[0], expected / expected.sum())
    assert torch.equal(changed[1:], scores[1:])  # unknown stays unknown

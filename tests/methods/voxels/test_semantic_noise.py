"""Doubt: the same all over a ball, added to logarithms, never where nothing is known."""

import numpy as np
import pytest
import torch

from gestalt3d.methods.voxels.semantic_noise import doubted, patches_of_doubt


def test_doubt_is_the_same_all_over_a_ball_and_shifts_logarithms() -> None:
    at, rng = torch.ones(30, 30, 1).nonzero(), np.random.default_rng(4)
    made = [patches_of_doubt(at, 5, rng, deviation=2.0, most=1, radius=(5.0, 5.0)) for _ in range(40)]
    assert all(len(doubt.unique(dim=0)) <= 2 for doubt in made)
    hit = [doubt[doubt.any(1)] for doubt in made if bool(doubt.any())]
    assert 10 < len(hit) < 30  # one ball or none
    # A ball of 5 voxels about a voxel holds 81 of a plane, fewer at its edge.
    assert max(map(len, hit)) == 81
    drawn = torch.stack([doubt[0] for doubt in hit])
    assert float(drawn.std()) == pytest.approx(2.0, abs=4 * 2.0 / (2 * drawn.numel()) ** 0.5)
    many = patches_of_doubt(at, 5, np.random.default_rng(0), deviation=2.0, most=300, radius=(5.0, 5.0))
    assert float(many.std()) > 2 * 2.0  # some 20 balls over each voxel: they add up
    scores = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    changed = doubted(scores, torch.tensor([[0.0, 1.0, 2.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]))
    expected = scores[0] * torch.tensor([0.0, 1.0, 2.0]).exp()
    torch.testing.assert_close(changed[0], expected / expected.sum())
    assert torch.equal(changed[1:], scores[1:])  # unknown stays unknown

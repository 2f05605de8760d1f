"""The cross entropy of classes."""

import torch
import torch.nn.functional as F

from gestalt3d.losses.semantic import semantic_loss


def test_the_mean_over_known_points_with_their_weights() -> None:
    logits = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([[0, 1, 2, -1, 1], [2, -1, 0, 0, 1]])
    weights = torch.tensor([1.0, 2.0, 0.5])
    each = -F.log_softmax(logits, -1)[classes >= 0][torch.arange(8), classes[classes >= 0]]
    expected = (each * weights[classes[classes >= 0]]).mean()
    torch.testing.assert_close(semantic_loss(logits, classes, weights), expected)
    torch.testing.assert_close(semantic_loss(logits.flatten(0, 1), classes.flatten(), weights), expected)


def test_nothing_known_costs_nothing() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    loss = semantic_loss(logits, torch.full((4,), -1), torch.ones(3))
    assert float(loss.detach()) == 0
    loss.backward()

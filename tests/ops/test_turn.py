"""Turns about the vertical."""

import math

import torch

from gestalt3d.ops.turn import turn_matrix


def test_a_quarter_turn_takes_x_to_y_and_leaves_heights() -> None:
    turned = torch.tensor([[2.0, 3.0, 5.0]], dtype=torch.float64) @ turn_matrix(math.pi / 2).T
    torch.testing.assert_close(turned, torch.tensor([[-3.0, 2.0, 5.0]], dtype=torch.float64))


def test_turns_add_up_and_keep_lengths() -> None:
    one, other = turn_matrix(0.3), turn_matrix(0.5)
    torch.testing.assert_close(one @ other, turn_matrix(0.8))
    torch.testing.assert_close(one @ one.T, torch.eye(3, dtype=torch.float64))

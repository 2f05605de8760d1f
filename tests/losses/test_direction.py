"""Eq. 5 against hand-computed values, and what takes no part."""

import torch

from gestalt3d.losses.direction import direction_loss

PAIR = torch.tensor([[[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]]])
ONE = torch.zeros(1, 2, dtype=torch.int64)


def test_vectors_towards_the_centre_cost_least_and_away_from_it_most() -> None:
    towards = torch.tensor([[[5.0, 0.0, 0.0], [-0.1, 0.0, 0.0]]])
    torch.testing.assert_close(direction_loss(towards, PAIR, ONE), torch.tensor(-1.0))
    torch.testing.assert_close(direction_loss(-towards, PAIR, ONE), torch.tensor(1.0))


def test_mean_over_voxels_then_over_instances() -> None:
    positions = torch.tensor([[[0.0, 0, 0], [2, 0, 0], [9, 0, 0], [9, 3, 0], [9, 0, 3], [9, 3, 3]]])
    instances = torch.tensor([[0, 0, 3, 3, 3, 3]])
    vectors = torch.zeros(1, 6, 3)
    vectors[0, :2, 0] = torch.tensor([1.0, 1.0])  # cosines 1 and -1: mean 0
    vectors[0, 2:, 1] = torch.tensor([1.0, -1, 1, -1])  # cosine sin 45° for all four
    expected = -(0.0 + 0.5**0.5) / 2
    torch.testing.assert_close(direction_loss(vectors, positions, instances), torch.tensor(expected))


def test_a_voxel_on_its_centre_takes_no_part() -> None:
    positions = torch.tensor([[[0.1, 0.2, 0.3], [1.1, 0.2, 0.3], [2.1, 0.2, 0.3], [7.0, 7.0, 7.0]]])
    instances = torch.tensor([[0, 0, 0, 1]])  # the second instance is one voxel
    vectors = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, 0, 1]]])
    torch.testing.assert_close(direction_loss(vectors, positions, instances), torch.tensor(-1.0))


def test_negative_ids_take_no_part_and_scenes_are_averaged() -> None:
    positions = PAIR.repeat(2, 1, 1)
    vectors = torch.tensor([[[1.0, 0, 0], [-1, 0, 0]], [[1.0, 0, 0], [-1, 0, 0]]])
    instances = torch.tensor([[0, 0], [-1, -1]])
    torch.testing.assert_close(direction_loss(vectors, positions, instances), torch.tensor(-0.5))
    nothing = vectors.requires_grad_()
    total = direction_loss(nothing, positions, torch.full_like(instances, -1))
    total.backward()
    assert float(total.detach()) == 0 and nothing.grad is not None


def test_gradients() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(2, 9, 3, dtype=torch.float64, requires_grad=True)
    positions, instances = torch.randn(2, 9, 3, dtype=torch.float64), torch.randint(-1, 3, (2, 9))
    assert torch.autograd.gradcheck(lambda v: direction_loss(v, positions, instances), vectors)
    zeros = torch.zeros(1, 2, 3, requires_grad=True)
    direction_loss(zeros, PAIR, ONE).backward()
    assert zeros.grad is not None and bool(torch.isfinite(zeros.grad).all())

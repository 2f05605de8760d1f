"""What blocks said becomes an answer for every point, drawn or not."""

import numpy as np
import torch

from gestalt3d.methods.rooms.agreement import Agreement
from gestalt3d.methods.rooms.answers import Answered, Answers, ByPoint, BySuperpoint, _nearest
from gestalt3d.ops.blocks import BlockMerger


def test_every_point_is_answered_by_the_nearest_drawn_one() -> None:
    points = torch.rand(500, 3, generator=torch.Generator().manual_seed(0))
    drawn = torch.arange(0, 500, 7)
    row, far = _nearest(points, drawn, 0.1)
    distance, expected = torch.cdist(points.double(), points[drawn].double()).min(1)
    assert torch.equal(row, expected)
    assert torch.equal(far, distance > 0.1) and 0 < int(far.sum()) < len(points)


def test_instances_have_the_mode_of_the_classes_and_the_mean_probability_of_it() -> None:
    probabilities = torch.tensor([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]])
    answers = Answers(
        torch.tensor([-1, 0, 0]), probabilities.argmax(1), probabilities, torch.tensor([9, 3, 2])
    )
    classes, scores = answers.instances()
    assert classes.tolist() == [0]
    torch.testing.assert_close(scores, torch.tensor([(3 * 0.9 + 2 * 0.2) / 5]))


def test_points_have_the_mean_of_what_was_said_of_them() -> None:
    points = torch.tensor([[0.0, 0, 0], [0.3, 0, 0], [0.6, 0, 0], [5.0, 0, 0]])
    order = torch.tensor([2, 0, 1])  # the last is not drawable
    merger = BlockMerger(torch.full((3,), 0.1), min_points=1)
    by_point = ByPoint(points, order, 2, merger, reach=1.0)
    by_point.add(np.array([0, 1]), torch.tensor([0, 1]), torch.tensor([[0.9, 0.1], [0.6, 0.4]]))
    by_point.add(np.array([1]), torch.tensor([0]), torch.tensor([[0.2, 0.8]]))
    answers, row, labels = by_point.answer()
    torch.testing.assert_close(answers.probabilities[row[0]], torch.tensor([0.4, 0.6]))
    torch.testing.assert_close(answers.probabilities[row[2]], torch.tensor([0.9, 0.1]))
    assert row[3] == row[2] and labels[3] == -1  # named by the nearest, but too far for an instance
    assert len({int(labels[0]), int(labels[2])}) == 2 and int(labels.min()) == -1


def test_superpoints_take_what_most_of_their_points_have() -> None:
    """Two drawn points of class 0, one of class 1; each stands for the points nearest to it."""
    probabilities = torch.tensor([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]])
    drawn = Answers(
        torch.tensor([0, 1, 1]), probabilities.argmax(1), probabilities, torch.ones(3, dtype=torch.int64)
    )
    row, superpoints = torch.tensor([0, 1, 2, 2, 2]), torch.tensor([0, 0, 0, 1, 1])
    labels = drawn.labels[row]
    labels[2] = -1  # too far
    answers, row, labels = Answered(drawn, row, labels).by_superpoint(superpoints)
    assert torch.equal(row, superpoints) and labels.tolist() == [-1, -1, -1, 1, 1]
    assert answers.labels.tolist() == [-1, 1] and answers.counts.tolist() == [3, 2]
    torch.testing.assert_close(answers.probabilities, torch.tensor([[1.7 / 3, 1.3 / 3], [0.2, 0.8]]))
    classes, scores = answers.instances()
    assert classes.tolist() == [0, 1]
    torch.testing.assert_close(scores, torch.tensor([0.0, 0.8]))


def test_superpoints_answer_for_their_points_and_those_next_to_them() -> None:
    """Superpoints 0 and 1 are drawn; 2 lies next to 1, 3 between them but nearer to 0, 4 is far away."""
    places = torch.tensor([0.0, 0.1, 1.0, 1.1, 1.2, 1.9, 0.4, 0.5, 9.0])
    superpoints = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 4])
    points = torch.stack([places, torch.zeros(9), torch.zeros(9)], dim=1)
    order = torch.tensor([3, 1, 4, 0])
    by_superpoint = BySuperpoint(points, order, superpoints, Agreement(5, 2, min_points=1), reach=0.5)
    zero, one = torch.tensor([0.8, 0.2]), torch.tensor([0.1, 0.9])
    by_superpoint.add(
        np.array([1, 3]), torch.tensor([0, 0]), torch.stack([zero, zero - torch.tensor([0.2, -0.2])])
    )
    by_superpoint.add(np.array([0]), torch.tensor([0]), one[None])
    answers, row, labels = by_superpoint.answer()
    assert torch.equal(row, superpoints) and answers.counts.tolist() == [2, 2, 2, 2, 1]
    of_zero, of_one = torch.tensor([0.7, 0.3]), one
    expected = torch.stack([of_zero, of_one, of_one, of_zero, of_one])
    torch.testing.assert_close(answers.probabilities, expected)
    assert labels.tolist() == [0, 0, 1, 1, 1, 1, 0, 0, -1]
    shuffled = torch.tensor([8, 5, 7, 0, 2, 4, 6, 1, 3])
    moved = shuffled.argsort()[order]
    again = BySuperpoint(points[shuffled], moved, superpoints[shuffled], by_superpoint._agreement, reach=0.5)
    assert torch.equal(again.answer().labels, labels[shuffled])


def test_between_two_as_near_the_first_in_the_drawing_order_answers() -> None:
    points = torch.tensor([[0.0, 0, 0], [2.0, 0, 0], [1.0, 0, 0]])
    for order in (torch.tensor([0, 1]), torch.tensor([1, 0])):
        by_superpoint = BySuperpoint(points, order, torch.arange(3), Agreement(3, 2, min_points=1), reach=5.0)
        by_superpoint.add(np.array([0, 1]), torch.tensor([0, 1]), torch.eye(2)[order])
        found = by_superpoint.answer().answers.probabilities
        assert torch.equal(found[2], found[order[0]])


def test_of_several_points_as_near_the_lowest_superpoint_answers() -> None:
    """Both points of superpoint 2 lie a metre from one that was drawn: the first from 1, the second from 0."""
    points = torch.tensor([[0.0, 0, 0], [5.0, 0, 0], [4.0, 0, 0], [1.0, 0, 0]])
    order = torch.tensor([1, 0])
    by_superpoint = BySuperpoint(
        points, order, torch.tensor([0, 1, 2, 2]), Agreement(3, 2, min_points=1), reach=5.0
    )
    by_superpoint.add(np.array([0, 1]), torch.tensor([0, 1]), torch.eye(2))
    found = by_superpoint.answer().answers.probabilities
    assert torch.equal(found[2], found[0]) and not torch.equal(found[2], found[1])

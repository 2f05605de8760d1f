"""The 3-D convolutions of Deep Sliding Shapes: sizes of its maps, and what its branches say."""

import torch

from gestalt3d.nn.scene_volume import LargeBranch, SceneTrunk, SmallBranch, centers, corners


def test_maps_of_the_paper_are_a_half_and_a_quarter_as_long() -> None:
    trunk = SceneTrunk(6, (4, 5), (5, 3), (2, 2), norm=False)
    seen = trunk(torch.rand(1, 6, 24, 20, 12))
    assert tuple(seen.near.shape) == (1, 4, 12, 10, 6) and tuple(seen.far.shape) == (1, 5, 6, 5, 3)


def test_branches_answer_at_corners_or_at_centers() -> None:
    far = torch.rand(2, 5, 6, 5, 4)
    small = SmallBranch(5, 4, norm=True)(far)
    assert tuple(small.said.shape) == (2, 7, 6, 5, 4, 8)
    at_corners = LargeBranch(5, 7, (3, 5), 1, 15, norm=False)(far)
    assert tuple(at_corners.said.shape) == (2, 7, 6, 5, 15, 8)
    at_centers = LargeBranch(5, 7, (3, 3, 1), 2, 15, norm=False)(far)
    assert tuple(at_centers.said.shape) == (2, 3, 2, 2, 15, 8)


def test_an_untrained_branch_is_undecided() -> None:
    torch.manual_seed(0)
    said = LargeBranch(5, 7, (3, 5), 1, 15, norm=False)(torch.rand(1, 5, 6, 5, 4)).said
    assert float(said.detach().abs().max()) < 1


def test_places() -> None:
    assert corners(2, 0.1, -1.0).tolist() == [-1.0, -0.8999999761581421, -0.800000011920929]
    assert torch.allclose(centers(2, 0.2, -1.0), torch.tensor([-0.9, -0.7]))

"""SGPN's double hinge against loops over all pairs, its own gradient, and the sampled rows."""

import pytest
import torch
from torch import Tensor

from gestalt3d.losses.similarity import double_hinge_loss


def case(n: int = 24) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    features = torch.randn(2, n, 3, generator=g, dtype=torch.float64) * 0.7
    instances = torch.randint(-1, 4, (2, n), generator=g)
    return features, instances, instances // 2


def by_hand(f: Tensor, ids: Tensor, classes: Tensor, alpha: float, rows: int) -> float:
    loss = weights = 0.0
    for i in range(rows):
        for j in range(len(f)):
            if ids[i] < 0 or ids[j] < 0:
                continue
            s = 10 * float((f[i] - f[j]).square().sum())
            if ids[i] == ids[j]:
                term = s
            elif classes[i] == classes[j]:
                term = alpha * max(10 - s, 0)
            else:
                term = max(80 - s, 0)
            weight = 1 / float((ids == ids[i]).sum() * (ids == ids[j]).sum())
            loss, weights = loss + weight * term, weights + weight
    return loss / weights


@pytest.mark.parametrize("rows", [None, 7])
def test_is_the_weighted_mean_over_pairs(rows: int | None) -> None:
    features, instances, classes = case()
    expected = (
        sum(by_hand(*block, 3.0, rows or 24) for block in zip(features, instances, classes, strict=True)) / 2
    )
    found = double_hinge_loss(features, instances, classes, alpha=3.0, rows=rows).loss
    assert float(found) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rows", [None, 7])
def test_gradients(rows: int | None) -> None:
    features, instances, classes = case(12)
    features.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda f: double_hinge_loss(f, instances, classes, alpha=3.0, rows=rows).loss, features
    )


def test_slices_of_the_matrix_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    features, instances, classes = case()
    whole = double_hinge_loss(features, instances, classes, alpha=2.0)
    monkeypatch.setattr("gestalt3d.losses.similarity._ROWS_AT_ONCE", 5)
    sliced = double_hinge_loss(features, instances, classes, alpha=2.0)
    torch.testing.assert_close(sliced.loss, whole.loss)
    assert torch.equal(sliced.overlap, whole.overlap)


def test_overlap_is_the_iou_of_proposal_and_instance() -> None:
    features = torch.tensor([[[0.0], [0.1], [5.0], [0.2]]])
    overlap = double_hinge_loss(
        features, torch.tensor([[0, 0, 0, 1]]), torch.zeros(1, 4, dtype=torch.int64), alpha=1.0
    )
    # Points 0, 1, 3 propose each other, point 2 itself alone.
    assert overlap.overlap[0].tolist() == pytest.approx([2 / 4, 2 / 4, 1 / 3, 1 / 3])


def test_without_instances_zero() -> None:
    features = torch.randn(1, 6, 3, requires_grad=True)
    nothing = torch.full((1, 6), -1)
    loss = double_hinge_loss(features, nothing, nothing, alpha=1.0).loss
    loss.backward()
    assert float(loss.detach()) == 0 and features.grad is not None

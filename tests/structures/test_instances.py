"""Instances: masks in compressed rows behave like sets of points."""

import pytest
import torch

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.vocabulary import S3DIS


def three(overlap: bool = False) -> Instances:
    """Instances {0, 2}, {1, 3, 4}, {5} of six points; with `overlap` the last also has point 1."""
    last = [1, 5] if overlap else [5]
    indices = torch.tensor([0, 2, 1, 3, 4, *last])
    offsets = torch.tensor([0, 2, 5, 5 + len(last)])
    return Instances(offsets, indices, torch.tensor([8, 7, 12]), torch.tensor([0.5, 0.9, 0.7]), 6, S3DIS)


def test_labels_there_and_back() -> None:
    labels = torch.tensor([0, 1, 0, 1, 1, 2])
    found = Instances.from_labels(labels, torch.tensor([8, 7, 12]), vocabulary=S3DIS)
    assert torch.equal(found.indices, three().indices)
    assert torch.equal(found.offsets, three().offsets)
    assert torch.equal(found.to_labels(), labels)


def test_points_without_instance_and_empty_rows() -> None:
    found = Instances.from_labels(torch.tensor([-1, 2, -1]), torch.tensor([1, 1, 1]), vocabulary=S3DIS)
    assert found.sizes.tolist() == [0, 0, 1]
    assert found.to_labels().tolist() == [-1, 2, -1]


def test_the_highest_score_wins_a_shared_point() -> None:
    assert three(overlap=True).to_labels().tolist() == [0, 1, 0, 1, 1, 2]


def test_the_lower_id_wins_among_equal_scores() -> None:
    found = Instances(
        torch.tensor([0, 1, 2]),
        torch.tensor([0, 0]),
        torch.tensor([1, 1]),
        torch.tensor([0.5, 0.5]),
        1,
        S3DIS,
    )
    assert found.to_labels().tolist() == [0]


@pytest.mark.parametrize("keep", [torch.tensor([True, False, True]), torch.tensor([0, 2])])
def test_choosing_instances(keep: torch.Tensor) -> None:
    chosen = three()[keep]
    assert chosen.indices.tolist() == [0, 2, 5]
    assert chosen.offsets.tolist() == [0, 2, 3]
    assert chosen.classes.tolist() == [8, 12]


def test_choosing_a_slice() -> None:
    assert three()[:2].classes.tolist() == [8, 7]


def test_choosing_none() -> None:
    assert len(three()[torch.zeros(3, dtype=torch.bool)]) == 0


def test_order_asked_for_is_kept() -> None:
    assert three()[torch.tensor([2, 0])].indices.tolist() == [5, 0, 2]


def test_joining_parts() -> None:
    whole = three()
    parts = [whole[torch.tensor([0])], whole[torch.tensor([1, 2])]]
    joined = Instances.cat(parts)
    assert torch.equal(joined.indices, whole.indices)
    assert torch.equal(joined.offsets, whole.offsets)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"offsets": torch.tensor([0, 2, 5])}, "offsets"),
        ({"offsets": torch.tensor([0, 5, 2, 6])}, "rise"),
        ({"indices": torch.tensor([0, 2, 1, 3, 4, 6])}, "indices must lie in"),
        ({"point_classes": torch.zeros(3, dtype=torch.int64)}, "point_classes"),
    ],
)
def test_inconsistent_parts_are_refused(changes: dict[str, torch.Tensor], words: str) -> None:
    from dataclasses import replace

    with pytest.raises(ValueError, match=words):
        replace(three(), **changes)


def test_a_label_without_row_is_refused() -> None:
    with pytest.raises(ValueError, match="label 3 has no row"):
        Instances.from_labels(torch.tensor([3]), torch.tensor([1]), vocabulary=S3DIS)

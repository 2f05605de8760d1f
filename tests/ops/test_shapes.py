"""Shapes at the public edge; called directly, because annotations speak first in tests."""

import pytest
import torch

from gestalt3d.ops.shapes import check_batch, check_clouds


@pytest.mark.parametrize("shape", [(3,), (5, 3), (1, 5, 2), (1, 5, 6), (1, 2, 5, 3)])
def test_a_cloud_is_b_n_3(shape):
    with pytest.raises(ValueError, match=r"points must be \(b, n, 3\), got \("):
        check_clouds(points=torch.zeros(shape))


def test_one_batch_for_all():
    with pytest.raises(ValueError, match=r"same batch, got queries \(2, 5, 3\), points \(1, 5, 3\)"):
        check_clouds(queries=torch.zeros(2, 5, 3), points=torch.zeros(1, 5, 3))
    with pytest.raises(ValueError, match="same batch"):
        check_batch(features=torch.zeros(2, 5, 8), index=torch.zeros(4))
    check_clouds(queries=torch.zeros(2, 0, 3), points=torch.zeros(2, 5, 3))
    check_batch(features=torch.zeros(2, 5, 8), index=torch.zeros(2, 4, 3))

"""The z-buffer against a ray for every pixel and triangle."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gestalt3d.ops.rasterize import _rasterize_reference, rasterize

SIZE, FOCAL, CENTER = (24, 32), (28.0, 27.0), (15.3, 11.8)


def triangles(seed: int, count: int, *, low: float = -1.0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    center = rng.uniform([-2, -2, low], [2, 2, 6], (count, 1, 3))
    vertices = center + rng.normal(0, 1, (count, 3, 3))
    return torch.tensor(vertices.reshape(-1, 3), dtype=torch.float32), torch.arange(3 * count).reshape(-1, 3)


@given(st.integers(0, 10_000), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_equals_a_ray_per_pixel_also_through_the_near_plane(seed: int, count: int) -> None:
    vertices, faces = triangles(seed, count)
    found = rasterize(vertices, faces, focal=FOCAL, center=CENTER, size=SIZE, near=0.1)
    depth, face = _rasterize_reference(vertices, faces, *FOCAL, *CENTER, *SIZE, 0.1)
    # A pixel whose ray runs along an edge may fall to either side.
    assert (found.face != face).float().mean() <= 0.01
    same = (found.face == face) & (face >= 0)
    torch.testing.assert_close(found.depth[same], depth[same], rtol=1e-4, atol=1e-4)
    assert found.depth[found.face < 0].isinf().all()


def test_a_wall_through_the_camera_is_clipped_not_lost() -> None:
    vertices = torch.tensor([[-1.0, 1, -5], [-1, 1, 5], [1, 1, 5], [1, 1, -5]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    found = rasterize(vertices, faces, focal=(20.0, 20.0), center=(10.0, 0.0), size=(20, 21), near=0.05)
    # The floor one below the eye is seen at depth 20 / row.
    assert found.depth[10, 10] == pytest.approx(2.0, rel=1e-5)
    assert found.depth[19, 10] == pytest.approx(20 / 19, rel=1e-5)
    assert found.face[2, 10] == -1


def test_equal_depths_go_to_the_lowest_face() -> None:
    vertices = torch.tensor([[-1.0, -1, 2], [1, -1, 2], [0, 1, 2]])
    faces = torch.tensor([[0, 1, 2], [2, 1, 0], [0, 2, 1]])
    found = rasterize(vertices, faces, focal=FOCAL, center=CENTER, size=SIZE)
    assert set(found.face.unique().tolist()) == {-1, 0}


def test_no_face_leaves_an_empty_image() -> None:
    found = rasterize(
        torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64), focal=FOCAL, center=CENTER, size=SIZE
    )
    assert found.depth.isinf().all() and (found.face == -1).all()


def test_bad_arguments_are_named() -> None:
    vertices, faces = triangles(0, 2)
    with pytest.raises(ValueError, match="near"):
        rasterize(vertices, faces, focal=FOCAL, center=CENTER, size=SIZE, near=0.0)
    with pytest.raises(ValueError, match="faces"):
        rasterize(vertices, faces + 3, focal=FOCAL, center=CENTER, size=SIZE)


def test_is_registered_correctly() -> None:
    vertices, faces = triangles(3, 5)
    torch.library.opcheck(
        torch.ops.gestalt3d.rasterize, (vertices, faces, 28.0, 27.0, 15.3, 11.8, 24, 32, 0.1)
    )

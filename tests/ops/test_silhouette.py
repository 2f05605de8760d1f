"""Soft silhouettes: the definition everywhere, outlines that any point-in-polygon test knows, gradients of finite differences."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gestalt3d.losses.silhouette import silhouette_loss, soft_iou
from gestalt3d.ops import silhouette as module
from gestalt3d.ops.look_at import look_at, project
from gestalt3d.ops.silhouette import (
    soft_cover_backward_reference,
    soft_cover_reference,
    soft_silhouette,
)
from gestalt3d.structures.icosphere import icosphere
from tests.ops import kit

FORWARD = kit.Op(module._forward, soft_cover_reference, module._forward)
BACKWARD = kit.Op(module._backward, soft_cover_backward_reference, module._backward)
HOW = (1e-2, math.log(1e6 - 1), 0.01)
"""sigma, cut and near."""
SPHERE = icosphere(2)
FOV = math.radians(30)


def mesh(seed: int = 0, *, b: int = 2, v: int = 9, f: int = 7, behind: bool = False) -> tuple[Tensor, Tensor]:
    """Triangles all over and around the image, of random order; some corners at the camera or behind it."""
    g = torch.Generator().manual_seed(seed)
    places = 2.4 * torch.rand(b, v, 3, generator=g) - 1.2
    places[..., 2] = 2.0
    if behind:
        places[:, ::4, 2] = -1.0
    return places, torch.randint(0, v, (f, 3), generator=g)


def ball(angle: float = 0.7, *, b: int = 1, radius: float = 0.5) -> Tensor:
    """A sphere as a camera at distance 2.732 sees it, as Soft Rasterizer's renderings do."""
    turns = torch.full((b,), angle, dtype=torch.float64)
    pose = look_at(turns / 2, turns, torch.full((b,), 2.732, dtype=torch.float64))
    return project(radius * SPHERE.vertices.double().expand(b, -1, -1), pose, field_of_view=FOV)


def triangle(*corners: tuple[float, float]) -> tuple[Tensor, Tensor]:
    places = torch.tensor([[[x, y, 1.0] for x, y in corners]], dtype=torch.float64)
    return places, torch.tensor([[0, 1, 2]])


def centres(height: int, width: int) -> np.ndarray:
    """(h, w, 2), as the module says."""
    r, c = np.mgrid[:height, :width]
    return np.stack([(2 * c + 1 - width) / height, (height - 1 - 2 * r) / height], axis=-1)


@kit.quick(40)
@given(st.integers(0, 2**16), st.booleans(), st.integers(0, 9), st.sampled_from([1e-4, 1e-2, 1.0]))
def test_is_the_definition(seed: int, behind: bool, f: int, sigma: float) -> None:
    vertices, faces = mesh(seed, f=f, behind=behind)
    how = sigma, *HOW[1:]
    grad = torch.randn(2, 11, 14, generator=torch.Generator().manual_seed(seed))
    exact = vertices.double()
    kit.check_near_float64(FORWARD, exact, faces, 11, 14, *how, rtol=1e-11, atol=1e-11)
    # Rounded once: computed in float64 from the same positions.
    kit.check_near_float64(FORWARD, vertices, faces, 11, 14, *how, rtol=1e-6, atol=1e-6)
    # A pixel may be as near to two sides to the last digit: a hundredth of the largest gradient is far more than rounding.
    scale = float(soft_cover_backward_reference(grad.double(), exact, faces, *how).abs().max())
    kit.check_near_float64(BACKWARD, grad.double(), exact, faces, *how, rtol=0, atol=1e-9 * scale)
    kit.check_near_float64(BACKWARD, grad, vertices, faces, *how, rtol=0, atol=1e-6 * scale)


def test_is_the_printed_product() -> None:
    vertices, faces = mesh(3)
    vertices = vertices.double()
    dist2 = torch.stack([module._signed_dist2(m[faces, :2], 16, 16)[0] for m in vertices])
    expected = 1 - (1 - (dist2 / 1e-2).sigmoid()).prod(-1)
    found = soft_silhouette(vertices, faces, size=(16, 16), sigma=1e-2)
    torch.testing.assert_close(found.flatten(1), expected, atol=1e-9, rtol=0)


def test_by_hand() -> None:
    """One pixel at the origin, 0.3 from the side below it; then the same side 0.2 above it."""
    for low, inside in ((-0.3, True), (0.2, False)):
        vertices, faces = triangle((-5, low), (5, low), (0, 9))
        x = (1 if inside else -1) * low**2 / 0.05
        found = soft_silhouette(vertices.requires_grad_(), faces, size=(1, 1), sigma=0.05)
        expected = 1 / (1 + math.exp(-x))
        assert float(found.detach()) == pytest.approx(expected, abs=1e-12)
        found.sum().backward()
        assert vertices.grad is not None
        # dS/dx is S (1 - S), and x is δ y² / sigma by the height y of the side, half of which each corner carries.
        slope = expected * (1 - expected) * (1 if inside else -1) * 2 * low / 0.05
        torch.testing.assert_close(
            vertices.grad[0, :, 1],
            torch.tensor([slope / 2, slope / 2, 0], dtype=torch.float64),
            atol=1e-12,
            rtol=0,
        )
        torch.testing.assert_close(vertices.grad[0, :, [0, 2]], torch.zeros(3, 2).double())


def test_rows_run_down_columns_right_and_pixels_are_square() -> None:
    """A small triangle in the upper right of a wide image."""
    at = centres(8, 20)[1, 17]
    assert at.tolist() == [15 / 8, 5 / 8]
    corners = [tuple(at + 0.2 * np.array(d)) for d in ((-0.5, -0.5), (0.5, -0.5), (0, 0.5))]
    vertices, faces = triangle(*corners)
    found = soft_silhouette(vertices, faces, size=(8, 20), sigma=1e-9)[0]
    assert found.nonzero().tolist() == [[1, 17]]


@kit.quick(30)
@given(st.integers(0, 2**16))
def test_without_blur_it_is_the_polygon(seed: int) -> None:
    """A place is in a triangle if it lies on one hand of all its sides."""
    vertices, faces = mesh(seed, b=1)
    vertices = vertices.double()
    found = soft_silhouette(vertices, faces, size=(23, 17), sigma=1e-12)[0].numpy()
    x, y = np.moveaxis(centres(23, 17), -1, 0)
    expected = np.zeros((23, 17), bool)
    for a, b, c in vertices[0, faces, :2].numpy():
        hands = [(q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in ((a, b), (b, c), (c, a))]
        expected |= np.all([h > 0 for h in hands], axis=0) | np.all([h < 0 for h in hands], axis=0)
    assert np.array_equal(found, expected.astype(float))


def test_without_blur_it_is_the_polygon_of_shapely() -> None:
    shapely = pytest.importorskip("shapely")
    vertices = ball(0.4)
    triangles = shapely.polygons(vertices[0, SPHERE.faces, :2].numpy())
    outline = shapely.union_all(triangles)
    places = centres(48, 48)
    expected = shapely.contains_xy(outline, places[..., 0], places[..., 1])
    found = soft_silhouette(vertices, SPHERE.faces, size=(48, 48), sigma=1e-12)[0].numpy()
    far = shapely.distance(shapely.points(places), outline.boundary) > 1e-5
    assert expected.sum() > 500 and np.array_equal(found[far] > 0.5, expected[far])
    # Edges that triangles share are the only places inside where a pixel is not wholly covered.
    assert (found[far & ~expected] == 0).all() and (found[far & expected] > 0.7).all()


def test_a_sphere_is_as_large_as_optics_say() -> None:
    """From distance d a sphere of radius r is seen within asin(r / d) of the axis."""
    vertices = project(
        0.5 * icosphere(5).vertices.double()[None],
        look_at(*(torch.tensor([x], dtype=torch.float64) for x in (0.3, 1.0, 2.732))),
        field_of_view=FOV,
    )
    found = soft_silhouette(vertices, icosphere(5).faces, size=(96, 96), sigma=1e-9)
    radius = math.tan(math.asin(0.5 / 2.732)) / math.tan(FOV / 2)
    # A circle of 33 pixels radius on a grid: its area is known to a few parts in a thousand.
    assert float(found.sum()) * (2 / 96) ** 2 == pytest.approx(math.pi * radius**2, rel=5e-3)


@kit.quick(20)
@given(st.integers(0, 2**16))
def test_which_way_round_and_in_which_order_triangles_come_does_not_matter(seed: int) -> None:
    vertices, faces = mesh(seed)
    vertices = vertices.double()
    g = torch.Generator().manual_seed(seed)
    expected = soft_silhouette(vertices, faces, size=(13, 13), sigma=1e-2)
    for others in (faces.flip(1), faces.roll(1, 1), faces[torch.randperm(len(faces), generator=g)]):
        found = soft_silhouette(vertices, others, size=(13, 13), sigma=1e-2)
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_a_mesh_moved_by_a_pixel_moves_the_picture_by_one() -> None:
    vertices, faces = mesh(5, b=1)
    vertices = vertices.double()
    expected = soft_silhouette(vertices, faces, size=(20, 30), sigma=1e-3)
    for dx, dy in ((1, 0), (0, 1), (-3, 2)):
        moved = vertices + torch.tensor([2 * dx / 20, 2 * dy / 20, 0.0], dtype=torch.float64)
        found = soft_silhouette(moved, faces, size=(20, 30), sigma=1e-3)
        there = found.roll((dy, -dx), dims=(1, 2))[:, 3:-3, 3:-3]
        torch.testing.assert_close(there, expected[:, 3:-3, 3:-3], atol=1e-10, rtol=0)
    assert float(expected[:, 3:-3, 3:-3].std()) > 0.1


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_a_mesh_and_a_blur_of_any_scale_cover_the_middle_alike(scale: float) -> None:
    """The one pixel of a picture stays in the origin."""
    vertices, faces = mesh(6, b=40)
    expected = soft_silhouette(vertices, faces, size=(1, 1), sigma=1e-2)
    assert float(expected.std()) > 0.1
    scaled = vertices * torch.tensor([scale, scale, 1.0])
    found = soft_silhouette(scaled, faces, size=(1, 1), sigma=1e-2 * scale**2)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("seed", range(4))
def test_gradients_are_those_of_finite_differences(seed: int) -> None:
    vertices, faces = mesh(seed, v=6, f=4, behind=True)
    vertices = vertices.double().requires_grad_()
    # So small an eps that a triangle which stops counting changes nothing that the differences see.
    assert torch.autograd.gradcheck(
        lambda v: soft_silhouette(v, faces, size=(7, 9), sigma=2e-2, eps=1e-14), vertices
    )


def test_gradients_reach_the_viewpoint() -> None:
    stretched = SPHERE.vertices.double() * torch.tensor([0.5, 0.3, 0.2])
    target = torch.rand(1, 12, 12, generator=torch.Generator().manual_seed(0)).double()

    def loss(*viewpoint: Tensor) -> Tensor:
        seen = project(stretched[None], look_at(*viewpoint), field_of_view=FOV)
        return silhouette_loss(
            soft_silhouette(seen, SPHERE.faces, size=(12, 12), sigma=1e-3, eps=1e-14), target
        )

    viewpoint = [torch.tensor([x], dtype=torch.float64, requires_grad=True) for x in (0.4, 1.1, 2.5)]
    assert torch.autograd.gradcheck(loss, viewpoint)
    grads = torch.autograd.grad(loss(*viewpoint), viewpoint)
    assert all(float(g.abs()) > 1e-4 for g in grads)


def test_a_triangle_without_area_covers_nothing_but_its_line() -> None:
    """Two corners in one place, all three there, and three in a line: within the blur of the line less than half."""
    flat, faces = triangle((-0.5, 0.0), (0.5, 0.0), (0.5, 0.0))
    point, _ = triangle((0.1, 0.2), (0.1, 0.2), (0.1, 0.2))
    row, _ = triangle((-0.5, 0.125), (0.0, 0.125), (0.5, 0.125))
    for vertices in (flat, point, row):
        vertices.requires_grad_()
        found = soft_silhouette(vertices, faces, size=(16, 16), sigma=1e-3)
        assert float(found.detach().max()) <= 0.5 and int((found > 1e-3).sum()) < 40
        found.sum().backward()
        assert vertices.grad is not None and bool(vertices.grad.isfinite().all())


def test_a_triangle_that_reaches_behind_the_camera_is_left_out() -> None:
    vertices, faces = mesh(1, b=1, v=6, f=2)
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]])
    expected = soft_silhouette(vertices, faces[:1], size=(9, 9), sigma=1e-2)
    for depth in (0.01, 0.0, -3.0):
        vertices[0, 4, 2] = depth
        asked = vertices.clone().requires_grad_()
        found = soft_silhouette(asked, faces, size=(9, 9), sigma=1e-2)
        assert torch.equal(found.detach(), expected)
        found.sum().backward()
        assert asked.grad is not None and not asked.grad[0, 3:].any() and bool(asked.grad[0, :3, :2].any())
    vertices[0, 4, 2] = 0.02
    assert not torch.equal(soft_silhouette(vertices, faces, size=(9, 9), sigma=1e-2), expected)


def test_where_everything_is_covered_gradients_are_zero_and_never_nan() -> None:
    """So many large triangles that 1 - D is 0 in every format."""
    vertices = torch.tensor([[[-9.0, -9, 1], [9, -9, 1], [0, 12, 1]]], requires_grad=True)
    faces = torch.tensor([[0, 1, 2]]).expand(2000, 3)
    for sigma in (1e-30, 1e-4, 1.0):
        found = soft_silhouette(vertices, faces, size=(8, 8), sigma=sigma)
        assert torch.equal(found.detach(), torch.ones(1, 8, 8))
        assert not torch.autograd.grad(found.sum(), vertices)[0].any()


def test_thousands_of_triangles_at_one_side_do_not_overflow() -> None:
    """Each leaves a half: 2^-3000 is no float64, but nothing has to be one."""
    vertices = torch.tensor([[[-1.0, 0, 1], [1, 0, 1], [0, 5, 1]]]).double()
    faces = torch.tensor([[0, 1, 2]]).expand(3000, 3)
    found = module._forward(vertices, faces, 1, 1, *HOW)
    assert float(found) == pytest.approx(3000 * math.log(2), rel=1e-12)


def test_emptiness() -> None:
    none = torch.zeros(0, 3, dtype=torch.int64)
    for vertices, faces in (
        (torch.zeros(2, 0, 3), none),
        (torch.ones(2, 3, 3), none),
        (torch.ones(0, 3, 3), none + 0),
    ):
        vertices.requires_grad_()
        found = soft_silhouette(vertices, faces, size=(3, 4))
        assert found.shape == (len(vertices), 3, 4) and not found.any()
        assert torch.autograd.grad(found.sum(), vertices)[0].shape == vertices.shape
    outside, faces = triangle((5, 5), (6, 5), (5, 6))
    assert not soft_silhouette(outside, faces, size=(4, 4)).any()


def test_determinism_layouts_registration_and_workers() -> None:
    vertices, faces = ball(b=3).float(), SPHERE.faces
    how = (1e-3, *HOW[1:])
    grad = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
    kit.check_deterministic(FORWARD, vertices, faces, 64, 64, *how)
    kit.check_deterministic(BACKWARD, grad, vertices, faces, *how)
    vertices, faces = mesh(2, behind=True)
    for op, inputs in (
        (FORWARD, (vertices, faces, 12, 10, *how)),
        (BACKWARD, (grad[:2, :12, :10], vertices, faces, *how)),
    ):
        kit.check_layouts(op, *inputs)
        kit.check_registration(op, *inputs)
        kit.check_in_forked_worker(lambda op=op, inputs=inputs: op.run(*inputs))
    kit.check_registration(FORWARD, vertices.requires_grad_(), faces, 12, 10, *how)


def test_it_is_differentiable_once() -> None:
    vertices, faces = mesh()
    vertices.requires_grad_()
    found = soft_silhouette(vertices, faces, size=(5, 5))
    (grad,) = torch.autograd.grad(found.square().sum(), vertices, create_graph=True)
    with pytest.raises(RuntimeError, match="has no gradient"):
        grad.sum().backward()


def test_the_turn_of_a_camera_is_found_from_an_outline() -> None:
    """A long body, whose outline tells how it is turned."""
    body = SPHERE.vertices * torch.tensor([0.6, 0.2, 0.3])

    def seen(azimuth: Tensor) -> Tensor:
        pose = look_at(torch.full_like(azimuth, 0.4), azimuth, torch.full_like(azimuth, 3.0))
        return soft_silhouette(
            project(body[None], pose, field_of_view=FOV), SPHERE.faces, size=(32, 32), sigma=1e-3
        )

    target = (seen(torch.tensor([0.9])) > 0.5).float()
    azimuth = torch.tensor([0.3], requires_grad=True)
    before = float(soft_iou(seen(azimuth), target).detach())
    step = torch.optim.Adam([azimuth], lr=0.05)
    for _ in range(40):
        step.zero_grad()
        silhouette_loss(seen(azimuth), target).backward()
        step.step()
    assert float(soft_iou(seen(azimuth), target).detach()) > max(before + 0.1, 0.85)
    assert float(azimuth.detach()) == pytest.approx(0.9, abs=0.1)


def test_a_sphere_takes_on_an_outline() -> None:
    pose = look_at(*(torch.tensor([x]) for x in (0.3, 0.5, 2.732)))
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    target = ((rows > 8) & (rows < 24) & (columns > 4) & (columns < 20)).float()[None]
    vertices = (0.4 * SPHERE.vertices)[None].requires_grad_()

    def seen() -> Tensor:
        shown = project(vertices, pose, field_of_view=FOV)
        return soft_silhouette(shown, SPHERE.faces, size=(32, 32), sigma=1e-3)

    before = float(soft_iou(seen(), target).detach())
    step = torch.optim.Adam([vertices], lr=0.02)
    for _ in range(60):
        step.zero_grad()
        silhouette_loss(seen(), target).backward()
        step.step()
    assert before < 0.7 and float(soft_iou(seen(), target).detach()) > 0.85


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"faces": torch.tensor([[0, 1, 9]])}, "faces must index the 9 vertices, got 0 to 9"),
        ({"vertices": torch.full((1, 9, 3), torch.nan)}, "vertices must be finite"),
        ({"size": (0, 3)}, "rows and columns, 1 or more"),
        ({"sigma": 0.0}, "sigma must be 1e-30 or more"),
        ({"eps": 0.5}, "eps between 0 and 1/2"),
        ({"near": -1.0}, "near not negative"),
    ],
)
def test_what_makes_no_sense_is_refused(changed: dict[str, Any], words: str) -> None:
    vertices, faces = mesh()
    with pytest.raises(ValueError, match=words):
        soft_silhouette(**{"vertices": vertices, "faces": faces, "size": (4, 4), **changed})


def test_shapes_are_looked_at_where_annotations_are_not() -> None:
    vertices, faces = mesh()
    with pytest.raises(ValueError, match=r"take vertices\[None\]"):
        module._check(vertices[0], faces, (4, 4))
    with pytest.raises(ValueError, match=r"faces must be \(f, 3\), the same for every mesh"):
        module._check(vertices, faces[None], (4, 4))

"""Changes of frames: a mirrored frame is a frame of the mirrored world."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gestalt3d.data.augment_views import AS_IT_IS, ViewAugment
from gestalt3d.errors import UserError
from gestalt3d.structures.mesh import Mesh
from gestalt3d.testing import tiny_scan, tiny_view

MIRROR = torch.tensor([-1.0, 1.0, 1.0])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_mirrored_frame_shows_the_mirrored_world() -> None:
    sample = tiny_view()
    mirrored = replace(AS_IT_IS, p_mirror=1.0)(sample, rng())
    before, after = sample.input.cloud(), mirrored.input.cloud()
    other = torch.arange(4800).reshape(60, 80).flip(1).flatten()
    row = torch.full((4800,), -1)
    row[sample.input.pixels()] = torch.arange(len(before))
    came_from = row[other[mirrored.input.pixels()]]
    assert torch.allclose(after.points, before.points[came_from] * MIRROR, atol=1e-4)
    assert torch.equal(after.colors, before.colors[came_from])  # pyright: ignore


def test_labels_are_mirrored_with_the_frame() -> None:
    sample = tiny_view()
    truth, found = sample.truth, replace(AS_IT_IS, p_mirror=1.0)(sample, rng()).truth
    flip = torch.arange(4800).reshape(60, 80).flip(1).flatten()
    assert torch.equal(found.to_labels(), truth.to_labels()[flip])
    assert truth.whole is not None and found.whole is not None
    for i in range(len(truth)):
        assert torch.equal(found.whole.dense(i), truth.whole.dense(i)[flip])
        assert bool((found.elements_of(i).diff() > 0).all())
        mesh, own = truth.shapes[i], found.shapes[i]  # pyright: ignore
        assert isinstance(mesh, Mesh) and isinstance(own, Mesh)
        assert torch.allclose(own.vertices, mesh.vertices * MIRROR)
        volumes = [torch.det(m.vertices[m.faces].double()).sum() for m in (mesh, own)]
        assert float(volumes[1]) == pytest.approx(float(volumes[0]), rel=1e-5), "insides stay inside"
        x, yaw = found.amodal_boxes[i, 0], found.amodal_boxes[i, 6]  # pyright: ignore
        assert float(x) == -float(truth.amodal_boxes[i, 0]) and float(yaw) == pytest.approx(-0.2)  # pyright: ignore


def test_mirrored_twice_is_as_it_was() -> None:
    sample, change = tiny_view(), replace(AS_IT_IS, p_mirror=1.0)
    again = change(change(sample, rng()), rng())
    assert torch.equal(again.input.image, sample.input.image)
    assert torch.allclose(again.input.cloud().points, sample.input.cloud().points, atol=1e-5)
    assert torch.equal(again.truth.to_labels(), sample.truth.to_labels())


def test_nothing_is_changed_where_nothing_is_asked() -> None:
    sample = tiny_view()
    same = AS_IT_IS(sample, rng())
    assert same.input == sample.input and same.truth == sample.truth
    assert AS_IT_IS.changes_nothing() and not ViewAugment().changes_nothing()


def test_colors_stay_colors_and_depth_only_gets_holes() -> None:
    sample = tiny_view()
    assert sample.input.depth is not None
    for seed in range(8):
        view = replace(ViewAugment(), p_mirror=0.0, p_holes=1.0)(sample, rng(seed)).input
        assert float(view.image.min()) >= 0 and float(view.image.max()) <= 1
        assert view.depth is not None
        lost = view.depth != sample.input.depth
        assert bool(lost.any()) and float(view.depth[lost].abs().max()) == 0
    again = [ViewAugment()(sample, rng(3)).input for _ in range(2)]
    assert again[0] == again[1], "the same from the same generator"


def test_a_cloud_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="tiny0: is a cloud"):
        ViewAugment()(tiny_scan(), rng())
